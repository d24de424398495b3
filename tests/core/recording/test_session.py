"""The recording session by itself: what it asks of its server in each state, and what it gives back."""

from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.entropy import Ids
from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.recording.commands import (
    BindMedia,
    CloseMedia,
    CloseSink,
    OpenSink,
    RenderRecording,
    SinkKind,
    WriteSink,
)
from siprec_core.recording.events import (
    FindingRaised,
    MetadataUpdated,
    SessionEnded,
    SessionEstablished,
    StreamsChanged,
)
from siprec_core.recording.lines import BIND_ATTEMPTS, Resources
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.ports import PortPool
from siprec_core.recording.request import RecordingRequest, read_request
from siprec_core.recording.session import (
    Answer,
    HangUp,
    Invitation,
    RecordingSession,
    Refuse,
    SessionOutput,
    SessionState,
    recording_directory,
)
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.parser import parse_sdp
from siprec_core.types import Address, Component, DatagramBatch, Flow, MediaId, SessionId, SinkId, Transport
from tests.core.harness import TIME_BASE, entropy
from tests.core.messages import METADATA, OFFER, invite, read, request

FLOW = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("192.0.2.2", 5070))
THIRD_LINE = "m=audio 41004 RTP/AVP 0\r\na=sendonly\r\na=label:3\r\n"

OutputT = TypeVar("OutputT")


def understood(data: bytes) -> RecordingRequest:
    return read_request(read(data), limits=Limits(), strict=False)


def reoffer(offer: str | None = OFFER, *, metadata: str | None = None, method: str = "INVITE") -> RecordingRequest:
    return understood(invite(offer=offer, metadata=metadata, method=method, cseq=2, to_tag="mine"))


class Bench:
    """A session with what it put out, and the driver's side of its media."""

    def __init__(
        self, data: bytes | None = None, *, limits: Limits | None = None, pairs: int = 50, advertise: str | None = None
    ) -> None:
        self.raw = data or invite()
        self.resources = Resources(PortPool(30_000, 30_000 + 2 * pairs - 1), Ids(entropy(5)))
        self.pairs = pairs
        self.now = 0.0
        self.session = RecordingSession(
            Invitation(
                session=SessionId("s1"),
                request=read(self.raw),
                read=understood(self.raw),
                flow=FLOW,
                raw=(self.raw,),
                local_tag="mine",
            ),
            config=ServerConfig(limits=limits or Limits(), advertise=advertise),
            resources=self.resources,
            time_base=TIME_BASE,
            sdp_session=77,
            now=0.0,
        )
        self.outputs: list[SessionOutput] = []
        self.bound: set[MediaId] = set()
        self.closing: list[MediaId] = []
        self.waiting: list[MediaId] = []

    def drain(self) -> list[SessionOutput]:
        before = len(self.outputs)
        while (output := self.session.poll_output()) is not None:
            self.outputs.append(output)
            if isinstance(output, BindMedia):
                self.waiting.append(output.media)
            elif isinstance(output, CloseMedia):
                self.closing.append(output.media)
        return self.outputs[before:]

    def of(self, kind: type[OutputT]) -> list[OutputT]:
        return [output for output in self.outputs if isinstance(output, kind)]

    def bind(self) -> list[SessionOutput]:
        """Let everything that waits be bound."""
        outputs = []
        while self.waiting:
            self.session.media_bound(self.waiting.pop(0), now=self.now)
            outputs += self.drain()
        return outputs

    def fail(self) -> list[SessionOutput]:
        """Let what waits longest fail to bind."""
        self.session.media_failed(self.waiting.pop(0), "in use", now=self.now)
        return self.drain()

    def close(self) -> list[SessionOutput]:
        """Let everything that closes be closed."""
        outputs = []
        while self.closing:
            self.session.media_closed(self.closing.pop(0), now=self.now)
            outputs += self.drain()
        return outputs

    def active(self) -> "Bench":
        self.session.begin(now=self.now)
        self.drain()
        self.bind()
        return self

    def offered(self, read: RecordingRequest) -> list[SessionOutput]:
        self.session.offer_received(read, now=self.now)
        return self.drain()

    def ended(self, reason: str = "bye", read: RecordingRequest | None = None) -> list[SessionOutput]:
        self.session.ended(reason, read=read, now=self.now)
        return self.drain()

    def answers(self) -> list[SessionDescription]:
        parsed = [parse_sdp(answer.body, limits=Limits()) for answer in self.of(Answer) if answer.body]
        return [one.description for one in parsed if one.description is not None]

    def written(self, sink: SinkId) -> bytes:
        return b"".join(output.data for output in self.of(WriteSink) if output.sink == sink)

    def sink(self, name: str) -> SinkId:
        (opened,) = [output for output in self.of(OpenSink) if output.name.endswith(f"/{name}")]
        return opened.sink


def kinds(outputs: list[SessionOutput]) -> list[str]:
    return [type(output).__name__ for output in outputs if not isinstance(output, FindingRaised)]


def state(bench: Bench) -> SessionState:
    return bench.session.state


# set-up


def test_nothing_is_done_before_begin() -> None:
    bench = Bench()
    assert kinds(bench.drain()) == []
    assert state(bench) is SessionState.REQUESTED
    assert bench.session.next_timeout() is None


def test_the_answer_waits_for_the_last_socket() -> None:
    bench = Bench()
    bench.session.begin(now=0.0)
    assert kinds(bench.drain()) == ["BindMedia", "BindMedia"]
    assert state(bench) is SessionState.BINDING
    bench.session.media_bound(bench.waiting[1], now=0.0)
    assert kinds(bench.drain()) == []
    bench.session.media_bound(bench.waiting[0], now=0.0)
    outputs = bench.drain()
    assert kinds(outputs) == [
        "OpenSink",
        "Answer",
        "MetadataUpdated",
        "OpenSink",
        "WriteSink",
        "CloseSink",
        "SessionEstablished",
    ]
    assert state(bench) is SessionState.ACTIVE
    assert bench.of(SessionEstablished)[0].labels == ("1", "2")


def test_the_journal_is_open_before_the_answer_that_lets_packets_come() -> None:
    bench = Bench().active()
    order = kinds(bench.outputs)
    assert order.index("OpenSink") < order.index("Answer")
    assert bench.of(OpenSink)[0].kind is SinkKind.JOURNAL


def test_the_answer_names_our_ports_and_address() -> None:
    bench = Bench(advertise="203.0.113.7").active()
    (answer,) = bench.answers()
    assert [line.port for line in answer.media] == [30_000, 30_002]
    assert answer.connection is not None
    assert "203.0.113.7" in str(answer.connection)
    assert answer.origin.session_id in (77, "77")
    assert bench.of(BindMedia)[0].rtp == Address("192.0.2.1", 30_000), "bound where the INVITE came to"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (invite(offer=None), 400),
        (invite(offer=OFFER.replace("0 8", "18")), 488),
        (invite(offer=OFFER.replace("m=audio", "m=video")), 488),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused(data: bytes, status: int) -> None:
    bench = Bench(data)
    bench.session.begin(now=0.0)
    assert kinds(bench.drain()) == ["Refuse"]
    (refuse,) = bench.of(Refuse)
    assert refuse.refusal.status == status
    assert dict(refuse.refusal.headers)["Warning"].split(" ")[1] == "siprec"
    assert state(bench) is SessionState.ENDED


def test_a_dry_pool_refuses_with_503_and_takes_nothing() -> None:
    bench = Bench(pairs=1)
    bench.session.begin(now=0.0)
    bench.drain()
    (refuse,) = bench.of(Refuse)
    assert refuse.refusal.status == 503
    assert dict(refuse.refusal.headers)["Retry-After"] == "10"
    bench.close()
    assert len(bench.resources.ports) == 1


def test_a_failure_to_bind_tries_other_ports_and_then_gives_up() -> None:
    bench = Bench()
    bench.session.begin(now=0.0)
    bench.drain()
    first = bench.waiting[0]
    bench.waiting.remove(bench.waiting[1])
    for _ in range(BIND_ATTEMPTS - 1):
        assert kinds(bench.fail()) == ["BindMedia"]
        assert bench.session.holds(first)
    assert set(kinds(bench.fail())) == {"Refuse", "CloseMedia"}
    assert not bench.session.holds(first), "nothing is to be said about it any more"
    bench.close()
    assert len(bench.resources.ports) == bench.pairs
    assert state(bench) is SessionState.ENDED


def test_a_failure_after_the_first_try_still_answers() -> None:
    bench = Bench()
    bench.session.begin(now=0.0)
    bench.drain()
    bench.fail()
    assert "Answer" in kinds(bench.bind())
    (answer,) = bench.answers()
    assert [line.port for line in answer.media] == [30_004, 30_002]


def test_a_cancel_while_binding_gives_the_ports_back() -> None:
    bench = Bench()
    bench.session.begin(now=0.0)
    bench.drain()
    assert kinds(bench.ended("cancelled")) == ["CloseMedia", "CloseMedia"]
    assert state(bench) is SessionState.ENDED
    assert kinds(bench.bind()) == [], "a socket that is bound after all changes nothing"
    bench.close()
    assert len(bench.resources.ports) == bench.pairs
    assert not bench.of(SessionEnded), "what was never established does not end"


# offers within the call


@pytest.mark.requirement("3264-6.1-f")
def test_a_line_that_is_added_is_bound_before_the_answer() -> None:
    bench = Bench().active()
    assert kinds(bench.offered(reoffer(OFFER + THIRD_LINE))) == ["BindMedia"]
    assert kinds(bench.bind()) == ["Answer", "StreamsChanged"]
    first, second = bench.answers()
    assert [line.port for line in second.media] == [30_000, 30_002, 30_004]
    assert second.origin != first.origin


def test_a_line_that_goes_lets_its_port_go() -> None:
    bench = Bench().active()
    outputs = bench.offered(reoffer(OFFER.replace("m=audio 41002", "m=audio 0")))
    assert kinds(outputs) == ["CloseMedia", "Answer", "StreamsChanged"]
    assert [line.port for line in bench.answers()[-1].media] == [30_000, 0]
    bench.close()
    assert len(bench.resources.ports) == bench.pairs - 1
    assert state(bench) is SessionState.ACTIVE


def test_an_offer_that_cannot_be_answered_leaves_the_session() -> None:
    bench = Bench().active()
    outputs = bench.offered(reoffer("v=0\r\nnonsense\r\n"))
    assert kinds(outputs) == ["Refuse"]
    assert state(bench) is SessionState.ACTIVE
    assert kinds(bench.offered(reoffer())) == ["Answer", "StreamsChanged"]


def test_a_line_that_cannot_be_bound_refuses_the_offer_alone() -> None:
    bench = Bench().active()
    bench.offered(reoffer(OFFER + THIRD_LINE))
    for _ in range(BIND_ATTEMPTS):
        bench.fail()
    assert bench.of(Refuse)[-1].refusal.status == 503
    assert state(bench) is SessionState.ACTIVE
    assert len(bench.resources.ports) == bench.pairs - 2
    assert kinds(bench.offered(reoffer())) == ["Answer", "StreamsChanged"]


def test_an_offer_that_is_withdrawn_while_binding_lets_its_ports_go() -> None:
    bench = Bench().active()
    bench.offered(reoffer(OFFER + THIRD_LINE))
    bench.session.offer_withdrawn()
    assert kinds(bench.drain()) == ["CloseMedia"]
    assert kinds(bench.bind()) == []
    bench.close()
    assert len(bench.resources.ports) == bench.pairs - 2
    assert kinds(bench.offered(reoffer())) == ["Answer", "StreamsChanged"]


@pytest.mark.requirement("3264-4-a")
def test_an_offer_while_another_is_being_bound_is_491() -> None:
    bench = Bench().active()
    bench.offered(reoffer(OFFER + THIRD_LINE))
    assert kinds(bench.offered(reoffer())) == ["Refuse"]
    assert bench.of(Refuse)[-1].refusal.status == 491
    assert kinds(bench.bind()) == ["Answer", "StreamsChanged"]


@pytest.mark.requirement("7866-9.2-j")
def test_metadata_alone_is_answered_without_a_body() -> None:
    bench = Bench().active()
    assert kinds(bench.offered(reoffer(None, metadata=METADATA, method="UPDATE"))) == ["MetadataUpdated", "Answer"]
    assert bench.of(Answer)[-1].body == b""


@pytest.mark.requirement("7866-7.2-d")
@pytest.mark.requirement("7866-9.2-j")
def test_a_reinvite_without_offer_gets_our_description_as_it_stands() -> None:
    bench = Bench().active()
    assert kinds(bench.offered(reoffer(None))) == ["Answer"]
    one, two = bench.of(Answer)
    assert one.body == two.body


def test_an_ack_with_a_foreign_number_is_a_finding() -> None:
    bench = Bench().active()
    bench.session.acknowledged(matched=True, now=0.0)
    assert bench.drain() == []
    bench.session.acknowledged(matched=False, now=0.0)
    (raised,) = bench.drain()
    assert isinstance(raised, FindingRaised)
    assert raised.finding.code == "sip-ack-mismatch"


# the end


def test_a_bye_closes_the_lines_then_the_journal_then_renders() -> None:
    bench = Bench().active()
    journal = bench.sink("journal.pcapng")
    assert kinds(bench.ended()) == ["CloseMedia", "CloseMedia"]
    assert state(bench) is SessionState.CLOSING
    outputs = bench.close()
    assert kinds(outputs) == ["WriteSink", "CloseSink", "RenderRecording"]
    assert outputs[1] == CloseSink(sink=journal)
    assert state(bench) is SessionState.RENDERING
    bench.session.rendered(now=0.0)
    (ended,) = bench.drain()
    assert ended == SessionEnded(
        session=SessionId("s1"), reason="bye", status="completed", directory=bench.session.directory
    )
    assert state(bench) is SessionState.ENDED
    assert len(bench.resources.ports) == bench.pairs


def test_nothing_is_written_behind_the_end_of_the_journal() -> None:
    bench = Bench().active()
    journal = bench.sink("journal.pcapng")
    bench.ended()
    bench.close()
    before = bench.written(journal)
    bench.session.traced(b"SIP/2.0 200 OK\r\n\r\n", flow=FLOW, sent=False, now=1.0)
    bench.session.acknowledged(matched=False, now=1.0)
    bench.session.sink_failed(journal, "I/O error", now=1.0)
    bench.session.ended("bye", read=None, now=1.0)
    bench.session.handle_timeout(now=1e6)
    bench.drain()
    assert bench.written(journal) == before
    assert bench.session.next_timeout() is None
    assert len(bench.of(RenderRecording)) == 1


@pytest.mark.requirement("7866-9.1-d")
def test_a_bye_with_metadata_adds_it() -> None:
    bench = Bench().active()
    body = request("BYE", body=METADATA, content_type="application/rs-metadata+xml", cseq=2, to_tag="mine")
    bench.ended("bye", understood(body))
    assert len(bench.of(MetadataUpdated)) == 2


def test_a_bye_while_a_line_is_being_bound_lets_everything_go() -> None:
    bench = Bench().active()
    bench.offered(reoffer(OFFER + THIRD_LINE))
    assert kinds(bench.ended()) == ["CloseMedia"] * 3
    assert kinds(bench.bind()) == []
    bench.close()
    assert state(bench) is SessionState.RENDERING
    assert len(bench.resources.ports) == bench.pairs


def test_our_reason_goes_before_that_of_the_call() -> None:
    bench = Bench().active()
    bench.session.end("shutdown", now=0.0)
    assert kinds(bench.drain()) == ["HangUp"]
    bench.ended("server-bye")
    bench.session.call_gone(now=0.0)
    bench.close()
    bench.session.rendered(now=0.0)
    bench.drain()
    assert bench.of(SessionEnded)[0].reason == "shutdown"
    bench.session.end("server-bye", now=0.0)
    assert bench.drain() == []


def test_the_journal_waits_for_the_answer_to_our_bye_but_not_for_ever() -> None:
    bench = Bench().active()
    bench.session.end("server-bye", now=0.0)
    bench.ended("server-bye")
    bench.close()
    assert state(bench) is SessionState.CLOSING
    answer = b"SIP/2.0 200 OK\r\n\r\n"
    bench.session.traced(answer, flow=FLOW, sent=False, now=0.1)
    bench.session.call_gone(now=0.1)
    bench.drain()
    assert state(bench) is SessionState.RENDERING
    assert answer in bench.written(bench.sink("journal.pcapng"))
    silent = Bench().active()
    silent.ended("peer-gone")
    silent.close()
    silent.session.handle_timeout(now=1.9)
    assert state(silent) is SessionState.CLOSING
    assert silent.session.next_timeout() is not None
    silent.session.handle_timeout(now=2.0)
    assert state(silent) is SessionState.RENDERING


@pytest.mark.requirement("7866-9.2-k")
@pytest.mark.parametrize("offer", [OFFER.replace("0 8", "18"), OFFER.replace("m=audio", "m=video"), "v=0\r\n"])
def test_metadata_beside_an_offer_that_is_refused_changes_nothing(offer: str) -> None:
    bench = Bench().active()
    before = bench.session.account.report("active")
    updates = len(bench.of(MetadataUpdated))
    bench.offered(reoffer(offer, metadata=METADATA.replace("ann@", "eve@")))
    assert bench.of(Refuse)
    assert len(bench.of(MetadataUpdated)) == updates
    assert bench.session.account.report("active").participants == before.participants


def test_metadata_beside_an_offer_counts_when_that_is_answered() -> None:
    bench = Bench().active()
    updates = len(bench.of(MetadataUpdated))
    bench.offered(reoffer(OFFER + THIRD_LINE, metadata=METADATA.replace("ann@", "eve@")))
    assert len(bench.of(MetadataUpdated)) == updates, "the third line is still being bound"
    bench.bind()
    assert len(bench.of(MetadataUpdated)) == updates + 1


@pytest.mark.requirement("3326-2-a")
def test_the_reasons_of_a_bye_stand_in_the_timeline() -> None:
    bench = Bench().active()
    reasons = 'Reason: SIP;cause=200;text="Transfer", Q.850;cause=16'
    bye = understood(request("BYE", cseq=3, to_tag="mine", extra=[reasons]))
    bench.ended(read=bye)
    entries = [entry for entry in bench.session.account.report("active").timeline if entry["event"] == "bye"]
    assert [entry["reasons"] for entry in entries] == [['SIP;cause=200;text="Transfer"', "Q.850;cause=16"]]


def test_a_failed_rendering_is_told_and_the_session_failed() -> None:
    bench = Bench().active()
    bench.ended()
    bench.close()
    bench.session.render_failed("disk gone", now=0.0)
    bench.drain()
    assert bench.of(SessionEnded)[0].status == "failed"
    assert bench.of(FindingRaised)[-1].finding.code == "render-failed"


def test_a_rendering_that_nobody_asked_for_is_an_error_of_the_driver() -> None:
    bench = Bench().active()
    with pytest.raises(LocalProtocolError):
        bench.session.rendered(now=0.0)


# limits and time


def test_the_longest_recording_ends_by_a_limit() -> None:
    bench = Bench(limits=Limits(recording_seconds=60.0)).active()
    bench.session.handle_timeout(now=59.9)
    bench.drain()
    bench.session.handle_timeout(now=60.0)
    outputs = bench.drain()
    assert kinds(outputs)[-1] == "HangUp"
    assert bench.of(FindingRaised)[-1].finding.code == "limit-reached"
    bench.session.handle_timeout(now=61.0)
    bench.drain()
    assert len(bench.of(HangUp)) == 1
    bench.ended("server-bye")
    bench.close()
    bench.session.call_gone(now=61.0)
    bench.session.rendered(now=62.0)
    bench.drain()
    assert bench.of(SessionEnded)[0].reason == "max-duration"


def test_a_limit_that_is_reached_while_rendering_leaves_no_deadline() -> None:
    bench = Bench(limits=Limits(recording_seconds=5.0)).active()
    bench.now = 4.9
    bench.ended()
    bench.close()
    for now in (5.0, 10.0):
        bench.session.handle_timeout(now=now)
        due = bench.session.next_timeout()
        assert due is None or due > now
    assert not bench.of(HangUp)


def test_silence_ends_a_recording_only_if_it_is_asked_to() -> None:
    bench = Bench().active()
    bench.session.handle_timeout(now=80_000.0)
    bench.drain()
    assert not bench.of(HangUp)
    bench = Bench(limits=Limits(no_media_seconds=10.0)).active()
    bench.session.handle_timeout(now=9.9)
    assert not bench.of(HangUp)
    bench.session.handle_timeout(now=10.0)
    bench.drain()
    assert len(bench.of(HangUp)) == 1
    assert bench.of(FindingRaised)[-1].finding.message.endswith("media-timeout")


@pytest.mark.parametrize("sign", ["rtp", "rtcp", "sip"])
def test_any_sign_of_life_puts_the_end_off(sign: str) -> None:
    bench = Bench(limits=Limits(no_media_seconds=10.0)).active()
    if sign == "sip":
        bench.session.traced(b"OPTIONS", flow=FLOW, sent=False, now=8.0)
        bench.session.traced(b"SIP/2.0 200 OK", flow=FLOW, sent=True, now=9.0)
    else:
        component = Component.RTP if sign == "rtp" else Component.RTCP
        batch = DatagramBatch([b"x"], [Address("192.0.2.2", 41_000)], [8.0])
        bench.session.receive_media(MediaId(1), batch, component=component, now=8.0)
    bench.session.handle_timeout(now=17.9)
    assert not bench.of(HangUp)
    bench.session.handle_timeout(now=18.0)
    bench.drain()
    assert len(bench.of(HangUp)) == 1


def test_journal_octets_are_gathered_for_a_while() -> None:
    bench = Bench().active()
    journal = bench.sink("journal.pcapng")
    assert bench.written(journal) == b""
    due = bench.session.next_timeout()
    assert due is not None
    assert 0.0 < due < 1.0
    bench.session.handle_timeout(now=due)
    bench.drain()
    assert bench.raw in bench.written(journal), "the INVITE as it came"


def test_storage_trouble_is_told_once() -> None:
    bench = Bench().active()
    journal = bench.sink("journal.pcapng")
    bench.session.sink_failed(journal, "No space left on device", now=0.0)
    bench.session.sink_failed(journal, "No space left on device", now=0.1)
    found = [raised.finding for raised in bench.drain() if isinstance(raised, FindingRaised)]
    assert [(one.code, one.where) for one in found] == [("storage-full", "journal.pcapng")]
    bench = Bench().active()
    bench.session.sink_failed(bench.sink("recording.json"), "I/O error", now=0.0)
    found = [raised.finding for raised in bench.drain() if isinstance(raised, FindingRaised)]
    assert [(one.code, one.where) for one in found] == [("storage-failed", "recording.json")]


def test_the_folder_is_named_by_the_day_and_us_alone() -> None:
    assert recording_directory(SessionId("abc"), 1_700_000_000_000_000_000) == "2023/11/14/abc"
    assert Bench(invite(call_id="../../etc")).session.directory == "2023/11/14/s1"


_OFFERS = ("offer", "more", "less", "bad", "metadata")
_STEPS = st.lists(
    st.sampled_from(["bind", "bind", "fail", "close", *_OFFERS, "withdraw", "media", "time", "bye", "end"]), max_size=40
)


@given(_STEPS)
@settings(max_examples=150)
def test_any_run_gives_every_port_back_and_ends_once(steps: list[str]) -> None:
    bench = Bench(pairs=5)
    bench.session.begin(now=0.0)
    bench.drain()
    for step in steps:
        bench.now += 0.1
        _take(bench, step)
        bench.drain()
        assert len(bench.of(SessionEstablished)) <= 1
    bench.ended()
    bench.bind()
    bench.close()
    assert len(bench.resources.ports) == 5
    established = bool(bench.of(SessionEstablished))
    assert state(bench) is (SessionState.RENDERING if established else SessionState.ENDED)
    assert len(bench.of(RenderRecording)) == established
    answered = len(bench.of(Answer)) + len(bench.of(Refuse))
    assert answered <= 1 + sum(step in _OFFERS for step in steps)


def _take(bench: Bench, step: str) -> None:
    offers = {
        "offer": reoffer(),
        "more": reoffer(OFFER + THIRD_LINE),
        "less": reoffer(OFFER.replace("m=audio 41002", "m=audio 0")),
        "bad": reoffer("nonsense"),
        "metadata": reoffer(None, metadata=METADATA, method="UPDATE"),
    }
    active = state(bench) is SessionState.ACTIVE
    if step == "bind" and bench.waiting:
        bench.session.media_bound(bench.waiting.pop(0), now=bench.now)
    elif step == "fail" and bench.waiting:
        bench.fail()
    elif step == "close" and bench.closing:
        bench.session.media_closed(bench.closing.pop(0), now=bench.now)
    elif step in offers and active:
        bench.offered(offers[step])
    elif step == "withdraw" and active:
        bench.session.offer_withdrawn()
    elif step == "media":
        batch = DatagramBatch([b"\x80\x00" + bytes(170)], [Address("192.0.2.2", 41_000)], [bench.now])
        bench.session.receive_media(MediaId(1), batch, component=Component.RTP, now=bench.now)
    elif step == "time":
        bench.session.handle_timeout(now=bench.now)
    elif step == "bye":
        bench.ended()
    elif step == "end":
        bench.session.end("server-bye", now=bench.now)


def test_streams_changed_names_the_labels_that_are_there() -> None:
    bench = Bench().active()
    bench.offered(reoffer(OFFER.replace("m=audio 41000", "m=audio 0")))
    assert bench.of(StreamsChanged)[-1].labels == ("2",)
