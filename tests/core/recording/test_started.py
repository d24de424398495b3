"""A session that we ask a client for, without its server: states, deadlines, what it has answered and refused."""

import pytest

from siprec_core.entropy import Ids
from siprec_core.limits import Limits
from siprec_core.recording.commands import BindMedia, CloseMedia
from siprec_core.recording.exchanges import Answer, Invitation, Refuse, SessionOutput, SessionState
from siprec_core.recording.lines import Resources
from siprec_core.recording.outbound import RecordSpec, invite_without_offer
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.ports import PortPool
from siprec_core.recording.request import RecordingResponse, read_answer_of_client
from siprec_core.recording.started import StartedSession
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Flow, SessionId, Transport
from tests.core.harness import CLIENT, SERVER, TIME_BASE, entropy
from tests.core.messages import OFFER, read_response, response_to

FLOW = Flow(Transport.UDP, SERVER, CLIENT)
REAL = Flow(Transport.UDP, Address("198.51.100.1", 5060), Address("192.0.2.9", 6000))


class Bench:
    def __init__(self) -> None:
        spec = RecordSpec(uri="sip:phone@192.0.2.2", hop=Hop(Transport.UDP, CLIENT), local=SERVER)
        self.invite = invite_without_offer(spec, ids=Ids(entropy(1)))
        self.invite.headers.add("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1")
        self.resources = Resources(PortPool(30_000, 30_019), Ids(entropy(5)))
        tag = self.invite.from_.tag or ""
        self.session = StartedSession(
            Invitation(session=SessionId("s1"), request=self.invite, read=None, flow=FLOW, raw=(), local_tag=tag),
            answer_seconds=20.0,
            config=ServerConfig(),
            resources=self.resources,
            time_base=TIME_BASE,
            sdp_session=77,
            now=1.0,
        )

    def answer(self, offer: str = OFFER, *, contact: str = "<sip:x@192.0.2.2>;+sip.src") -> RecordingResponse:
        data = response_to(self.invite.to_bytes(), 200, contact=contact, body=offer, to_tag="theirs")
        return read_answer_of_client(read_response(data), limits=Limits(), strict=False)

    def drain(self) -> list[SessionOutput]:
        outputs = []
        while (output := self.session.poll_output()) is not None:
            outputs.append(output)
        return outputs


def test_the_offer_is_answered_when_its_sockets_are_bound() -> None:
    bench = Bench()
    states = [bench.session.state]
    assert bench.session.next_timeout() == 21.0
    bench.session.offered(bench.answer(), flow=REAL, now=2.0)
    states.append(bench.session.state)
    binds = [output for output in bench.drain() if isinstance(output, BindMedia)]
    assert {bind.rtp.host for bind in binds} == {"198.51.100.1"}, "where the answer really came to"
    for bind in binds:
        bench.session.media_bound(bind.media, now=3.0)
    (answer,) = [output for output in bench.drain() if isinstance(output, Answer)]
    assert answer.body.count(b"a=recvonly") == 2
    states.append(bench.session.state)
    assert states == [SessionState.CALLING, SessionState.BINDING, SessionState.ACTIVE]
    report = bench.session.account.report("active")
    assert (report.initiator, report.remote_tag, report.peer) == ("server", "theirs", REAL.remote)
    assert report.local_tag == bench.invite.from_.tag
    assert [entry["event"] for entry in report.timeline] == ["invited", "answered", "stream-added", "stream-added"]
    assert (report.answered_ns or 0) - report.started_ns == 1_000_000_000, "answered by the 200, not by our ACK"


def test_a_client_that_says_nothing_is_given_up_once() -> None:
    bench = Bench()
    bench.session.handle_timeout(now=20.9)
    assert bench.drain() == []
    bench.session.handle_timeout(now=21.0)
    (refuse,) = bench.drain()
    assert isinstance(refuse, Refuse)
    assert refuse.refusal.status == 408
    assert bench.session.state is SessionState.ENDED
    bench.session.handle_timeout(now=30.0)
    assert bench.drain() == []
    assert bench.session.next_timeout() is None


def test_giving_up_lets_the_ports_go() -> None:
    bench = Bench()
    bench.session.offered(bench.answer(), flow=FLOW, now=2.0)
    bench.session.end("server-bye", now=2.0)
    outputs = bench.drain()
    assert [output.refusal.status for output in outputs if isinstance(output, Refuse)] == [487]
    for output in outputs:
        if isinstance(output, CloseMedia):
            bench.session.media_closed(output.media, now=2.0)
    assert len(bench.resources.ports) == 10


@pytest.mark.parametrize(
    ("offer", "contact", "expected"),
    [
        (OFFER, "<sip:x@192.0.2.2>", 502),
        ("", "<sip:x@192.0.2.2>;+sip.src", 502),
        (OFFER.replace("RTP/AVP", "RTP/SAVP"), "<sip:x@192.0.2.2>;+sip.src", 488),
    ],
)
def test_refusals_say_why(offer: str, contact: str, expected: int) -> None:
    bench = Bench()
    bench.session.offered(bench.answer(offer, contact=contact), flow=FLOW, now=2.0)
    (refuse,) = [output for output in bench.drain() if isinstance(output, Refuse)]
    assert refuse.refusal.status == expected
    assert refuse.refusal.reason is not None
    assert " - " in refuse.refusal.reason or "the answer" in refuse.refusal.reason
