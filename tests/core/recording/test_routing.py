"""Between the doors of a server: settings, sources that flood, limits of connections, refused methods."""

import pytest

from siprec_core.errors import ConfigurationError
from siprec_core.limits import Limits
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import Address, Flow, FlowId, Transport
from tests.core.harness import SERVER, Pair
from tests.core.messages import field, invite, request, status


@pytest.mark.parametrize(
    "config",
    [ServerConfig(min_se=60), ServerConfig(session_expires=80), ServerConfig(min_se=600, session_expires=300)],
)
def test_intervals_that_cannot_be_are_refused(config: ServerConfig) -> None:
    with pytest.raises(ConfigurationError):
        Pair(config=config)


def test_a_flood_is_refused_with_503_then_met_with_silence_and_leaves_nothing() -> None:
    pair = Pair(config=ServerConfig(limits=Limits(requests_per_source=1, requests_burst=3)))
    for number in range(20):
        pair.inject(request("OPTIONS", call_id=f"flood-{number}"))
    answers = [status(each) for each in pair.server.sent]
    assert answers == [200] * 3 + [503] * 3
    assert field(pair.server.sent[-1], "Retry-After")
    assert len(pair.recorder._endpoint._layer._incoming) == 3, "nothing is kept of what is refused"
    pair.inject(request("OPTIONS", call_id="other"), source=Address("192.0.2.77", 5070))
    assert status(pair.server.sent[-1]) == 200
    pair.run(5.0)
    pair.inject(request("OPTIONS", call_id="later"))
    assert status(pair.server.sent[-1]) == 200


def test_a_call_goes_on_while_its_source_floods() -> None:
    pair = Pair(config=ServerConfig(limits=Limits(requests_per_source=1, requests_burst=3)))
    pair.call("1")
    pair.run(1.0)
    for number in range(20):
        pair.inject(request("OPTIONS", call_id=f"flood-{number}"))
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    assert field(pair.server.messages(b"SIP/2.0 200")[-1], "CSeq").endswith("BYE")


def test_connections_over_the_limit_of_a_source_are_closed() -> None:
    pair = Pair(config=ServerConfig(limits=Limits(connections_per_source=1)))
    flows = [Flow(Transport.TCP, SERVER, Address("192.0.2.2", 6000 + number), FlowId(number)) for number in (1, 2)]
    for flow in flows:
        pair.recorder.flow_opened(flow, now=0.0)
    pair.settle()
    for flow in flows:
        pair.recorder.receive_stream(flow, request("OPTIONS", transport="TCP", call_id=str(flow.id)), now=0.0)
    pair.settle()
    assert len(pair.server.sent) == 1


@pytest.mark.requirement("3261-8.2.1-a")
@pytest.mark.parametrize("method", ["SUBSCRIBE", "NOTIFY", "REFER", "PUBLISH", "MESSAGE", "REGISTER"])
def test_methods_of_others_are_405_with_allow(method: str) -> None:
    pair = Pair()
    pair.inject(request(method))
    assert status(pair.server.sent[-1]) == 405
    assert "INFO" in field(pair.server.sent[-1], "Allow")
    assert "PRACK" in field(pair.server.sent[-1], "Allow")


@pytest.mark.requirement("4475-3.3-a")
def test_max_forwards_0_is_taken_by_an_endpoint() -> None:
    """Only proxies answer 483."""
    pair = Pair()
    pair.inject(invite().replace(b"Max-Forwards: 70", b"Max-Forwards: 0"))
    assert status(pair.server.sent[-1]) == 200


def test_an_encrypted_body_is_493() -> None:
    pair = Pair()
    sealed = request("INVITE", extra=["Require: siprec"], body="x", content_type="application/pkcs7-mime")
    pair.inject(sealed)
    assert status(pair.server.sent[-1]) == 493


@pytest.mark.requirement("4028-7-a", "3311-4-a")
def test_what_is_supported_is_told() -> None:
    pair = Pair()
    pair.call("1")
    pair.run(1.0)
    (sent,) = pair.client.messages(b"INVITE")
    answer = pair.server.messages(b"SIP/2.0 200")[0]
    assert (field(sent, "Supported"), field(answer, "Supported")) == ("timer", "timer, 100rel")
    assert "UPDATE" in field(answer, "Allow")
