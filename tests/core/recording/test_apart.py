"""Sessions whose media another process takes: the same recordings as of those that take it themselves."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.machine import Outbox
from siprec_core.recording.apart import LinesApart
from siprec_core.recording.call import DEFAULT_FORMATS, TELEPHONE_EVENT, CallSpec, ClientConfig, StreamSpec
from siprec_core.recording.events import (
    Diagnostic,
    DigitReceived,
    FindingRaised,
    SessionEnded,
    SessionEstablished,
    SourceFound,
)
from siprec_core.recording.plane import PauseLine, PlaneCommand
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.render import FileData, render
from siprec_core.recording.session import SessionState
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Component, DatagramBatch, MediaId, SinkId, Transport
from tests.core.ciphers import SUITES, PretendProvider
from tests.core.harness import CLIENT, SERVER, TIME_BASE, Pair, Wire

SECOND = 8_000
FORMATS = (*DEFAULT_FORMATS, TELEPHONE_EVENT)
APART = ServerConfig(media_apart=True)
STRANGER = Address("203.0.113.9", 9_999)


def rtp(sequence_number: int, *, ssrc: int = 9, payload_type: int = 0) -> bytes:
    header = struct.pack("!BBHII", 0x80, payload_type, sequence_number, sequence_number * 160, ssrc)
    return header + bytes([sequence_number % 256]) * 160


def talk(pair: Pair, *labels: str, seconds: float = 0.5) -> None:
    for label in labels:
        pair.caller.send_audio(label, bytes(range(256)) * int(SECOND * seconds / 128), now=pair.now)
    pair.run(seconds + 0.1)


def conversation(pair: Pair) -> None:
    talk(pair, "1", "2")


def lossy_conversation(pair: Pair) -> None:
    talk(pair, "1", "2", seconds=3.0)


def paused_conversation(pair: Pair) -> None:
    """We pause while audio is on its way, and go on."""
    session = next(iter(pair.recorder.sessions()))
    talk(pair, "1", "2")
    pair.caller.send_audio("1", bytes(2 * SECOND), now=pair.now)
    pair.run(0.3)
    pair.recorder.pause(session, now=pair.now)
    pair.run(0.3)
    pair.recorder.resume(session, now=pair.now)
    pair.run(1.0)


def held_conversation(pair: Pair) -> None:
    """The client holds one stream, and goes on."""
    talk(pair, "1", "2")
    pair.caller.pause("1", now=pair.now)
    talk(pair, "2")
    pair.caller.resume("1", now=pair.now)
    pair.run(0.5)
    talk(pair, "1")


def strange_packets(pair: Pair) -> None:
    """Strangers, unknown payload types, other protocols, and a source that has to prove itself."""
    talk(pair, "1")
    media = media_of(pair)
    known = next(iter(pair.client.media.values())).rtp
    for number in range(4):
        data = [rtp(number), rtp(number, payload_type=77), b"\x16\xfe\xff" + bytes(30), rtp(number, ssrc=4)]
        sources = [STRANGER, known, known, known]
        pair.deliver(pair.server, media, DatagramBatch(data, sources, [pair.now] * 4))
        pair.run(0.05)
    pair.deliver(pair.server, media, DatagramBatch([rtp(1)], [STRANGER], [pair.now]), Component.RTCP)
    pair.settle()


def digits(pair: Pair) -> None:
    pair.caller.send_digits("1", "19#", now=pair.now)
    talk(pair, "1", seconds=1.0)


def masked_digits(pair: Pair) -> None:
    """Nobody may read them later."""
    digits(pair)


def encrypted_conversation(pair: Pair) -> None:
    """Audio that is encrypted, and packets that are not."""
    talk(pair, "1", "2")
    known = next(iter(pair.client.media.values())).rtp
    for number in range(12):
        pair.deliver(pair.server, media_of(pair), DatagramBatch([rtp(number) + bytes(10)], [known], [pair.now]))
        pair.run(0.02)


def media_of(pair: Pair) -> MediaId:
    return next(iter(pair.server.media))


def recorded(scenario: Callable[[Pair], None], *, apart: bool, wire: Wire | None = None) -> Pair:
    secure = scenario is encrypted_conversation
    crypto = PretendProvider() if secure else None
    masked = scenario is masked_digits
    config = ServerConfig(media_apart=apart, crypto=crypto, mask_digits=masked)
    pair = Pair(config=config, client_config=ClientConfig(crypto=crypto), wire=wire)
    begin(pair, secure=secure)
    scenario(pair)
    pair.caller.stop(now=pair.now)
    pair.run(5.0)
    assert pair.server.of(SessionEnded)
    return pair


def begin(pair: Pair, *, secure: bool = False) -> None:
    streams = tuple(StreamSpec(label=label, aor=f"sip:{label}@example.com", formats=FORMATS) for label in ("1", "2"))
    spec = CallSpec(
        uri="sip:recorder@192.0.2.1",
        hop=Hop(Transport.UDP, SERVER),
        local=CLIENT,
        streams=streams,
        srtp=SUITES[:1] if secure else (),
    )
    pair.caller.start(spec, now=pair.now)
    pair.run(0.5)


@pytest.mark.parametrize(
    "scenario",
    [
        conversation,
        paused_conversation,
        held_conversation,
        strange_packets,
        lossy_conversation,
        encrypted_conversation,
        digits,
        masked_digits,
    ],
)
def test_the_files_are_the_same_octet_for_octet(scenario: Callable[[Pair], None]) -> None:
    lossy = Wire(jitter=0.1, media_loss=0.1) if scenario is lossy_conversation else None
    here, there = recorded(scenario, apart=False, wire=lossy), recorded(scenario, apart=True, wire=lossy)
    assert there.plane.lines
    assert not here.plane.lines
    assert there.server.files.keys() == here.server.files.keys()
    for name, content in here.server.files.items():
        assert there.server.files[name] == content
    if scenario is digits:
        assert [event.digit for event in there.server.of(DigitReceived)] == ["1", "9", "#"]
    if scenario is masked_digits:
        assert [event.digit for event in there.server.of(DigitReceived)] == ["*", "*", "*"]
    told = (SourceFound, DigitReceived, FindingRaised, SessionEstablished, SessionEnded)
    for kind in told:
        assert there.server.of(kind) == here.server.of(kind)


def report_of(pair: Pair) -> dict[str, object]:
    """Render the recording from its journal."""
    (journal,) = [content for name, content in pair.server.files.items() if name.endswith("journal.pcapng")]
    files: dict[str, bytes] = {}
    for item in render(lambda: [journal], limits=Limits()):
        if isinstance(item, FileData):
            files[item.name] = files.get(item.name, b"") + item.data
    report: dict[str, object] = json.loads(files["recording.json"])
    return report


def test_a_session_is_seen_as_the_plane_reported_it() -> None:
    pair = Pair(config=APART)
    begin(pair)
    talk(pair, "1", seconds=2.5)
    (info,) = pair.recorder.sessions().values()
    first, second = info.streams
    # The last report is a second old at most.
    assert 70 <= first.packets_received <= 125
    assert second.packets_received == 0
    assert pair.server.sent_rtcp


def test_a_lost_plane_ends_the_call_with_a_reason() -> None:
    pair = Pair(config=APART)
    begin(pair)
    talk(pair, "1")
    pair.recorder.media_lost(tuple(pair.plane.journals), "worker 7 was killed", now=pair.now)
    pair.plane.lines.clear()
    pair.settle()
    pair.run(5.0)
    assert pair.server.messages(b"BYE")
    (ended,) = pair.server.of(SessionEnded)
    assert (ended.reason, ended.status) == ("worker-lost", "recovered")
    (told,) = pair.server.of(Diagnostic)
    assert (told.code, told.detail) == ("worker-lost", "worker 7 was killed; 1 sessions end by it")
    report = report_of(pair)
    assert (report["status"], report["end_reason"]) == ("recovered", "worker-lost")
    assert "worker-lost" in json.dumps(report["findings"])


def test_a_recording_that_is_complete_is_not_touched_by_the_loss() -> None:
    pair = Pair(config=APART)
    pair.render_error = "no room"
    begin(pair)
    (session,) = pair.recorder._sessions.values()
    sinks = tuple(pair.plane.journals)
    session.state = SessionState.RENDERING
    pair.recorder.media_lost((*sinks, SinkId(99)), "worker 7 was killed", now=pair.now)
    pair.settle()
    assert not pair.server.messages(b"BYE")
    assert "worker-lost" not in [event.finding.code for event in pair.server.of(FindingRaised)]


def test_packets_count_for_the_bound_of_the_journal() -> None:
    limits = replace(Limits(), journal_size=60_000)
    pair = Pair(config=ServerConfig(media_apart=True, limits=limits))
    begin(pair)
    talk(pair, "1", "2", seconds=10.0)
    (ended,) = pair.server.of(SessionEnded)
    assert ended.reason == "max-size"


def test_silence_is_what_the_plane_does_not_report() -> None:
    limits = replace(Limits(), no_media_seconds=5.0)
    pair = Pair(config=ServerConfig(media_apart=True, limits=limits))
    begin(pair)
    talk(pair, "1", seconds=8.0)
    assert not pair.server.of(SessionEnded)
    pair.run(20.0)
    (ended,) = pair.server.of(SessionEnded)
    assert ended.reason == "media-timeout"


def test_live_audio_is_refused() -> None:
    pair = Pair(config=APART)
    begin(pair)
    with pytest.raises(LocalProtocolError, match="media workers"):
        pair.recorder.tap_audio(next(iter(pair.recorder.sessions())), now=pair.now)


def test_datagrams_that_come_here_all_the_same_are_nobodys() -> None:
    pair = Pair(config=APART)
    begin(pair)
    batch = DatagramBatch([rtp(1)], [STRANGER], [pair.now])
    pair.recorder.receive_media(media_of(pair), batch, component=Component.RTP, now=pair.now)
    (session,) = pair.recorder._sessions.values()
    with pytest.raises(LocalProtocolError, match="elsewhere"):
        session.account.receive_media(0, batch, component=Component.RTP, now=pair.now)
    assert session.account.lines[0].receiver.statistics().packets_received == 0


def test_reports_of_strange_lines_are_passed_over() -> None:
    pair = Pair(config=APART)
    begin(pair)
    talk(pair, "1")
    report = next(line for _, line in pair.plane.lines.values()).report(now=pair.now, last=True)
    assert report is not None
    before = pair.recorder.sessions()
    for strange in (replace(report, line=9), replace(report, sink=SinkId(99))):
        pair.recorder.media_reported(strange, now=pair.now)
    assert pair.recorder.sessions() == before
    outbox: Outbox[PlaneCommand] = Outbox()
    lines = LinesApart(outbox, time_base=TIME_BASE, limits=Limits())
    assert not lines.reported(report)
    assert (lines.journal_size, lines.report(0)) == (0, None)


def test_a_pause_that_the_client_refuses_is_over_at_once() -> None:
    pair = Pair(config=APART)
    begin(pair)
    (recording,) = pair.recorder._sessions.values()
    told: list[bool] = []

    def listen() -> None:
        while (output := recording.poll_output()) is not None:
            if isinstance(output, PauseLine):
                told.append(output.paused)

    recording.pause(paused=True, now=pair.now)
    listen()
    recording.change_refused(488, "Not Acceptable Here", offered=True, now=pair.now)
    listen()
    assert told == [True, True, False, False]
