"""An endpoint with its inputs and outputs in hand."""

from typing import TypeVar

from siprec_core.entropy import Ids
from siprec_core.limits import Limits
from siprec_core.sip.authentication import DigestRule
from siprec_core.sip.authorisation import DigestUser
from siprec_core.sip.commands import SendDatagram, SendStream
from siprec_core.sip.endpoint import SipEndpoint
from siprec_core.sip.endpoint_events import EndpointOutput, InviteReceived, MessageTraced, OfferReceived
from siprec_core.sip.identity import EndpointConfig
from siprec_core.sip.invite import UsageId
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Flow, FlowId, Transport
from tests.core.harness import entropy
from tests.core.messages import invite, read, request, tag

LOCAL = Address("192.0.2.1", 5060)
REMOTE = Address("192.0.2.2", 5070)
UDP = Flow(Transport.UDP, LOCAL, REMOTE)
TCP = Flow(Transport.TCP, LOCAL, REMOTE, FlowId(1))
HOP = Hop(Transport.UDP, REMOTE)

EventT = TypeVar("EventT")


class Agent:
    """One endpoint; `sent` holds the messages that it sent, `events` what it told, without traces."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        understood: str = "siprec 100rel",
        authentication: tuple[DigestRule, ...] = (),
        credentials: DigestUser | None = None,
    ) -> None:
        config = EndpointConfig(
            product="siprec",
            feature_tag="+sip.srs",
            decline=lambda response, host: f"declined by {host}".encode() if response.body else b"",
            understood=frozenset(understood.split()),
            limits=limits or Limits(),
            authentication=authentication,
            credentials=credentials,
        )
        self.endpoint = SipEndpoint(config, ids=Ids(entropy(3)))
        self.now = 0.0
        self.outputs: list[EndpointOutput] = []
        self.sent: list[bytes] = []
        self.events: list[EndpointOutput] = []

    def drain(self) -> None:
        while (output := self.endpoint.poll_output()) is not None:
            self.outputs.append(output)
            if isinstance(output, (SendDatagram, SendStream)):
                self.sent.append(output.data)
            elif not isinstance(output, MessageTraced):
                self.events.append(output)

    def receive(self, *messages: bytes, flow: Flow = UDP) -> list[bytes]:
        """Hand over messages, over a stream in one piece; give what was sent."""
        before = len(self.sent)
        if flow.id is None:
            for message in messages:
                self.endpoint.receive_datagram(message, flow=flow, now=self.now)
                self.drain()
        else:
            self.endpoint.receive_stream(flow, b"".join(messages), now=self.now)
            self.drain()
        return self.sent[before:]

    def run(self, seconds: float) -> list[bytes]:
        """Let time pass; give what was sent."""
        before, until = len(self.sent), self.now + seconds
        for _ in range(10_000):
            due = self.endpoint.next_timeout()
            if due is None or due > until:
                self.now = until
                return self.sent[before:]
            self.now = max(self.now, due)
            self.endpoint.handle_timeout(now=self.now)
            self.drain()
        raise RuntimeError("the endpoint does not come to rest")

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    # calls that come

    def invited(self, data: bytes | None = None, flow: Flow = UDP) -> UsageId:
        self.receive(invite() if data is None else data, flow=flow)
        return self.of(InviteReceived)[-1].usage

    def accept(self, usage: UsageId) -> bytes:
        self.endpoint.accept(usage, body=b"v=0\r\n", content_type="application/sdp", now=self.now)
        self.drain()
        return self.sent[-1]

    def established(self, data: bytes | None = None, flow: Flow = UDP) -> tuple[UsageId, str]:
        """Take a call and its ACK; give it with our tag."""
        usage = self.invited(data, flow)
        ours = tag(self.accept(usage))
        self.receive(request("ACK", to_tag=ours, branch="z9hG4bK-ack"), flow=flow)
        return usage, ours

    def offered(self, ours: str, *, cseq: int = 2, method: str = "INVITE", branch: str | None = None) -> UsageId:
        self.receive(invite(method=method, cseq=cseq, to_tag=ours, branch=branch))
        return self.of(OfferReceived)[-1].usage

    def answer_offer(self, usage: UsageId) -> bytes:
        self.endpoint.answer_offer(usage, body=b"v=0\r\n", content_type="application/sdp", now=self.now)
        self.drain()
        return self.sent[-1]

    # calls that we start

    def call(self, hop: Hop = HOP, *, uri: str = "sip:recorder@192.0.2.2:5070", offerless: bool = False) -> UsageId:
        message = read(request("INVITE", uri=uri, contact=None, call_id="ours", from_tag="ours"))
        message.headers.remove("Via")
        usage = self.endpoint.call(message, hop, local=LOCAL, offerless=offerless, now=self.now)
        self.drain()
        return usage

    def hang_up(self, usage: UsageId) -> list[bytes]:
        before = len(self.sent)
        self.endpoint.hang_up(usage, now=self.now)
        self.drain()
        return self.sent[before:]

    def empty(self) -> bool:
        """Tell whether nothing of any call or transaction is left."""
        return is_empty(self.endpoint)


def is_empty(endpoint: SipEndpoint) -> bool:
    """Tell whether nothing of any call or transaction is left in the tables of an endpoint."""
    tables = (
        endpoint._calls._calls,
        endpoint._calls._dialogs,
        endpoint._calls._early,
        endpoint._called._merged,
        endpoint._called._waiting,
        endpoint._layer._incoming,
        endpoint._layer._outgoing,
        endpoint._layer._arrived_below,
        endpoint._transport._token_flows,
    )
    if len(endpoint._locations) or endpoint._locations.next_timeout() is not None:
        return False
    return not any(tables) and len(endpoint._calls._timers) == 0 and len(endpoint._layer._timers) == 0
