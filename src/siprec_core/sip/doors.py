"""The doors through which the owner of an endpoint takes what the wire brings: the same for server and client."""

from abc import ABC, abstractmethod

from siprec_core.sip.endpoint import SipEndpoint
from siprec_core.sip.names import DnsAnswer, QueryId
from siprec_core.types import Flow


class WireDoors(ABC):
    """Hands datagrams, connections and names to the endpoint, and has its outputs taken after each."""

    _endpoint: SipEndpoint

    @abstractmethod
    def _drain_endpoint(self, now: float) -> None:
        """Take all that the endpoint has to say."""

    def receive_datagram(self, data: bytes, *, flow: Flow, now: float) -> None:
        """Take one UDP datagram of a SIP socket."""
        self._endpoint.receive_datagram(data, flow=flow, now=now)
        self._drain_endpoint(now)

    def flow_opened(self, flow: Flow, *, now: float) -> None:
        """Take a new connection: a peer's, or one that was asked for."""
        self._endpoint.flow_opened(flow, now=now)
        self._drain_endpoint(now)

    def receive_stream(self, flow: Flow, data: bytes, *, now: float) -> None:
        """Take octets of a connection; empty means that the peer has finished sending."""
        self._endpoint.receive_stream(flow, data, now=now)
        self._drain_endpoint(now)

    def flow_failed(self, flow: Flow, error: str, *, now: float) -> None:
        """Take the failure of a connection, or of opening one. Dialogs outlive it."""
        self._endpoint.flow_failed(flow, error, now=now)
        self._drain_endpoint(now)

    def host_resolved(self, query: QueryId, answer: DnsAnswer, *, now: float) -> None:
        """Take the answer to a `Resolve`: records, or why there are none."""
        self._endpoint.host_resolved(query, answer, now=now)
        self._drain_endpoint(now)
