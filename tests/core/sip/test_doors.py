"""What the wire brings goes to the endpoint, and its outputs are taken at once."""

from siprec_core.entropy import Ids
from siprec_core.sip.doors import WireDoors
from siprec_core.sip.endpoint import SipEndpoint
from siprec_core.sip.identity import EndpointConfig
from siprec_core.sip.names import LookupFailure, QueryId
from siprec_core.types import Address, Flow, FlowId, Transport
from tests.core.harness import entropy
from tests.core.messages import request

US, PEER = Address("192.0.2.1", 5060), Address("192.0.2.2", 5070)


class Owner(WireDoors):
    """Keeps what the endpoint says, by the instant of the input."""

    def __init__(self) -> None:
        config = EndpointConfig(product="test", feature_tag="+sip.srs", understood=frozenset())
        self._endpoint = SipEndpoint(config, ids=Ids(entropy(1)))
        self.told: list[tuple[float, str]] = []
        self.drained = 0

    def _drain_endpoint(self, now: float) -> None:
        self.drained += 1
        while (output := self._endpoint.poll_output()) is not None:
            self.told.append((now, type(output).__name__))


def test_every_input_is_followed_by_a_drain() -> None:
    owner = Owner()
    stream = Flow(Transport.TCP, US, PEER, FlowId(1))
    owner.receive_datagram(request("OPTIONS"), flow=Flow(Transport.UDP, US, PEER), now=1.0)
    owner.flow_opened(stream, now=2.0)
    owner.receive_stream(stream, request("OPTIONS", transport="TCP", call_id="b"), now=3.0)
    owner.host_resolved(QueryId(7), LookupFailure.NO_ANSWER, now=4.0)
    owner.flow_failed(stream, "reset", now=5.0)
    assert owner.drained == 5
    assert (1.0, "OptionsReceived") in owner.told
    assert (3.0, "OptionsReceived") in owner.told
