"""A recording client that waits to be called: whom it takes, what it answers, what leaves it waiting."""

from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.metadata.reader import read_metadata
from siprec_core.recording.call import CallSpec, ClientConfig, ListenSpec, StreamSpec
from siprec_core.recording.call_events import RecordingAnswered, RecordingEnded, RecordingRefused
from siprec_core.recording.commands import BindMedia, CloseMedia, SendDatagram
from siprec_core.recording.lines import BIND_ATTEMPTS
from siprec_core.sip.multipart import parse_body
from siprec_core.sip.transport import Hop
from siprec_core.types import Flow, Transport
from siprec_core.waiting_client import WaitingClient
from tests.core.harness import CLIENT, SERVER, TIME_BASE, entropy
from tests.core.messages import OFFER, field, read_response, request, status

STREAMS = (StreamSpec(label="1", aor="sip:ann@example.com"), StreamSpec(label="2", aor="sip:bob@example.com"))
SPEC = ListenSpec(streams=STREAMS)
CALL = CallSpec(uri="sip:recorder@192.0.2.1", hop=Hop(Transport.UDP, SERVER), local=CLIENT, streams=STREAMS)
SRS = "<sip:srs@192.0.2.1:5060>;+sip.srs"
ANSWER = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 30000 RTP/AVP 0\r\na=recvonly\r\na=label:1\r\n"
    "m=audio 30002 RTP/AVP 0\r\na=recvonly\r\na=label:2\r\n"
)
EventT = TypeVar("EventT")


def asking(
    *, contact: str | None = SRS, require: str = "siprec", offer: str = "", call_id: str = "call-1", cseq: int = 1
) -> bytes:
    """Write the INVITE of a recording server."""
    return request(
        "INVITE",
        uri="sip:phone@192.0.2.2:5070",
        contact=contact,
        extra=[f"Require: {require}"] if require else [],
        body=offer,
        content_type="application/sdp" if offer else "",
        call_id=call_id,
        cseq=cseq,
    )


class Bench:
    """A waiting client alone, whose server is written by hand."""

    def __init__(
        self, spec: ListenSpec | None = SPEC, *, config: ClientConfig | None = None, bind: bool = True
    ) -> None:
        self.client = WaitingClient(config or ClientConfig(), time_base=TIME_BASE, entropy=entropy(2))
        self.now = 0.0
        self.outputs: list[object] = []
        self.sent: list[bytes] = []
        self._bind = bind
        if spec is not None:
            self.client.listen(spec, now=0.0)

    def drain(self) -> None:
        while (output := self.client.poll_output()) is not None:
            self.outputs.append(output)
            if isinstance(output, SendDatagram):
                self.sent.append(output.data)
            elif isinstance(output, BindMedia) and self._bind:
                self.client.media_bound(output.media, now=self.now)
            elif isinstance(output, CloseMedia):
                self.client.media_closed(output.media, now=self.now)

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [output for output in self.outputs if isinstance(output, kind)]

    def receive(self, data: bytes) -> list[bytes]:
        before = len(self.sent)
        self.client.receive_datagram(data, flow=Flow(Transport.UDP, CLIENT, SERVER), now=self.now)
        self.drain()
        return self.sent[before:]

    def final(self, data: bytes) -> bytes:
        """Hand over a request; give its final answer."""
        (answer,) = [each for each in self.receive(data) if status(each) >= 200]
        return answer

    def acknowledge(self, ok: bytes, answer: str = ANSWER) -> list[bytes]:
        return self.receive(self.within("ACK", ok, answer))

    def within(self, method: str, ok: bytes, body: str = "", *, cseq: int = 1) -> bytes:
        tag = field(ok, "To").partition("tag=")[2]
        kind = "application/sdp" if body else ""
        return request(
            method, body=body, content_type=kind, to_tag=tag, branch=f"z9-{method}-{cseq}", contact=SRS, cseq=cseq
        )

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(10_000):
            due = self.client.next_timeout()
            if due is None or due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            self.client.handle_timeout(now=self.now)
            self.drain()
        raise RuntimeError("the client does not come to rest")

    @property
    def free_ports(self) -> int:
        return len(self.client._resources.ports)


@pytest.mark.requirement("7866-6.1.1-a", "7866-7.2-e", "3261-13.2.1-a")
def test_the_200_brings_offer_and_metadata_and_the_ack_the_answer() -> None:
    bench = Bench()
    ok = bench.final(asking())
    assert status(ok) == 200
    assert field(ok, "Contact") == "<sip:192.0.2.2:5070>;+sip.src"
    offer, metadata = parse_body(read_response(ok), limits=Limits()).leaves()
    assert offer.content_type.media_type == "application/sdp"
    assert bytes(offer.content).count(b"a=sendonly") == 2
    assert metadata.disposition is not None
    assert metadata.disposition.type == "recording-session"
    assert read_metadata(bytes(metadata.content), limits=Limits()).document is not None
    assert not bench.of(RecordingAnswered)
    assert bench.acknowledge(ok) == []
    (answered,) = bench.of(RecordingAnswered)
    assert (answered.response, answered.labels, answered.findings) == (None, ("1", "2"), ())
    bench.acknowledge(ok)
    assert len(bench.of(RecordingAnswered)) == 1, "an ACK that comes twice answers once"


@pytest.mark.requirement("7866-6.1.1-c", "7866-6.1.1-f")
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (asking(require=""), 421),
        (asking(require="100rel, siprec"), 420),
        (asking(contact="<sip:x@192.0.2.1:5060>"), 403),
        (asking(contact="<sip:x@192.0.2.1:5060>;+sip.src"), 403),
        (asking(contact='<sip:x@192.0.2.1:5060>;+sip.srs="FALSE"'), 403),
        (asking(contact="<sip:x@192.0.2.1:5060>", require=""), 403),
        (asking(offer=OFFER), 488),
    ],
)
def test_what_is_no_recording_session_is_refused_and_we_go_on_waiting(data: bytes, expected: int) -> None:
    bench = Bench()
    refused = bench.final(data)
    assert status(refused) == expected
    if expected == 421:
        assert field(refused, "Require") == "siprec"
    if expected == 488:
        assert "without SDP" in field(refused, "Warning")
    assert not bench.of(BindMedia)
    assert status(bench.final(asking(call_id="another"))) == 200


def test_who_is_not_willing_takes_nobody() -> None:
    assert status(Bench(None).final(asking())) == 403


def test_a_second_session_is_486_and_one_after_the_end_403() -> None:
    bench = Bench()
    ok = bench.final(asking())
    assert status(bench.final(asking(call_id="second"))) == 486
    bench.acknowledge(ok)
    assert status(bench.final(bench.within("BYE", ok, cseq=2))) == 200
    assert [event.reason for event in bench.of(RecordingEnded)] == ["bye"]
    assert status(bench.final(asking(call_id="third"))) == 403


def test_a_cancelled_invite_leaves_us_waiting_and_gives_its_ports_back() -> None:
    bench = Bench(bind=False)
    free = bench.free_ports
    invite = asking()
    bench.receive(invite)
    cancel = invite.replace(b"INVITE sip", b"CANCEL sip").replace(b"1 INVITE", b"1 CANCEL")
    assert [status(each) for each in bench.receive(cancel)] == [200, 487]
    for bind in bench.of(BindMedia):
        bench.client.media_bound(bind.media, now=0.0)
    bench.drain()
    assert bench.free_ports == free
    assert not bench.of(RecordingEnded)
    bench._bind = True
    assert status(bench.final(asking(call_id="next"))) == 200


def test_ports_that_cannot_be_bound_are_503_and_leave_us_waiting() -> None:
    bench = Bench(bind=False)
    free = bench.free_ports
    bench.receive(asking())
    for _ in range(BIND_ATTEMPTS):
        bench.client.media_failed(bench.of(BindMedia)[0].media, "in use", now=0.0)
        bench.drain()
    assert status(bench.sent[-1]) == 503
    assert bench.free_ports == free
    bench._bind = True
    assert status(bench.final(asking(call_id="next"))) == 200


def test_too_few_ports_are_503() -> None:
    bench = Bench(config=ClientConfig(rtp_ports=(40_000, 40_001)))
    assert status(bench.final(asking())) == 503
    assert bench.free_ports == 1


@pytest.mark.parametrize(
    ("answer", "expected"), [("", 502), ("garbage", 502), (ANSWER.replace("30000", "0").replace("30002", "0"), 488)]
)
def test_an_ack_that_takes_no_stream_ends_the_call(answer: str, expected: int) -> None:
    bench = Bench()
    ok = bench.final(asking())
    (bye,) = bench.acknowledge(ok, answer)
    assert bye.startswith(b"BYE ")
    assert [event.status for event in bench.of(RecordingRefused)] == [expected]
    assert not bench.of(RecordingAnswered)
    bench.run(40.0)
    assert [event.reason for event in bench.of(RecordingEnded)] == ["refused"]


def test_an_answer_that_breaks_rules_is_told() -> None:
    bench = Bench()
    bench.acknowledge(bench.final(asking()), ANSWER.replace("a=recvonly", "a=sendrecv", 1))
    (answered,) = bench.of(RecordingAnswered)
    assert [found.code for found in answered.findings] == ["sdp-answer-direction"]


def test_a_200_that_is_never_acknowledged_ends_the_call() -> None:
    bench = Bench()
    bench.final(asking())
    bench.run(70.0)
    assert [event.reason for event in bench.of(RecordingEnded)] == ["timeout-ack"]
    assert bench.sent[-1].startswith(b"BYE ")


def test_waiting_can_be_stopped_before_and_while_an_invite_is_there() -> None:
    idle, invited = Bench(), Bench(bind=False)
    idle.client.stop(now=0.0)
    idle.drain()
    assert [event.reason for event in idle.of(RecordingEnded)] == ["cancelled"]
    assert status(idle.final(asking())) == 403
    invited.receive(asking())
    invited.client.stop(now=0.0)
    invited.drain()
    assert status(invited.sent[-1]) == 503
    assert len(invited.of(RecordingEnded)) == 1


def test_a_client_waits_or_calls_and_only_once() -> None:
    bench = Bench()
    with pytest.raises(LocalProtocolError):
        bench.client.listen(SPEC, now=0.0)
    with pytest.raises(LocalProtocolError):
        bench.client.start(CALL, now=0.0)
    with pytest.raises(LocalProtocolError):
        Bench(ListenSpec(streams=()))
    with pytest.raises(LocalProtocolError):
        Bench(ListenSpec(streams=(STREAMS[0], STREAMS[0])))
    caller = Bench(None)
    caller.client.start(CALL, now=0.0)
    caller.drain()
    assert caller.sent[0].startswith(b"INVITE ")
    with pytest.raises(LocalProtocolError):
        caller.client.listen(SPEC, now=0.0)


def test_metadata_of_the_owner_is_sent_as_it_is() -> None:
    bench = Bench(ListenSpec(streams=STREAMS, metadata=b"<recording/>"))
    assert b"\r\n\r\n<recording/>\r\n" in bench.final(asking())


@settings(max_examples=100, deadline=None)
@given(st.booleans(), st.data())
def test_a_damaged_invite_or_ack_never_raises(established: bool, data: st.DataObject) -> None:
    bench = Bench()
    good = asking()
    if established:
        good = bench.within("ACK", bench.final(good), ANSWER)
    at = data.draw(st.integers(0, len(good)))
    damage = data.draw(st.binary(max_size=30))
    bench.receive(good[:at] + damage + good[at + data.draw(st.integers(0, 40)) :])
    bench.run(100.0)
    bench.client.stop(now=bench.now)
    bench.drain()
    bench.run(100.0)
    assert len(bench.of(RecordingEnded)) == 1
