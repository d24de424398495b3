"""Replaying journals and captures of others."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.containers.capture import Packet
from siprec_core.containers.pcapng import PcapngEncoder
from siprec_core.containers.reader import CaptureReader
from siprec_core.limits import Limits
from siprec_core.recording.replay import LineMedia, MetadataBody, Replay, ReplayItem
from siprec_core.recording.report import RecordingReport
from siprec_core.types import Address, Component, Transport
from tests.core.recording.calls import (
    CLIENT,
    LINES,
    METADATA,
    SERVER,
    START,
    TIME_BASE,
    UNIX_NS,
    Line,
    Recorded,
    Sent,
    chunked,
    coded,
    rendered,
    request,
    response,
    sdp,
    stream,
    tone,
)
from tests.core.recording.test_render import codes, pcm_of, report_of

PARTIAL = METADATA.replace("complete", "partial").replace(">Ada<", ">Ada L.<")


def replayed(journal: bytes, *, size: int = 65_536, limits: Limits | None = None) -> tuple[Replay, list[ReplayItem]]:
    replay = Replay(limits=limits or Limits())
    items: list[ReplayItem] = []
    for chunk in chunked(journal, size):
        replay.receive(chunk)
        while (item := replay.poll()) is not None:
            items.append(item)
    replay.end_of_file()
    while (item := replay.poll()) is not None:
        items.append(item)
    return replay, items


def report_after(journal: bytes) -> RecordingReport:
    replay, _ = replayed(journal)
    assert replay.account is not None
    return replay.account.report(replay.status)


def packets_of(journal: bytes) -> list[Packet]:
    reader = CaptureReader(limits=Limits())
    reader.receive(journal)
    reader.end_of_file()
    packets = []
    while (item := reader.poll()) is not None:
        if isinstance(item, Packet):
            packets.append(item)
    return packets


def foreign(packets: Iterable[Packet]) -> bytes:
    """Write packets as any capturing program does: one interface, no notes."""
    encoder = PcapngEncoder()
    capture = encoder.start(application="capture") + encoder.add_interface("eth0")
    return capture + b"".join(encoder.add_packet(0, each.data, at_ns=each.at_ns) for each in packets)


def eventful_call(transport: Transport = Transport.UDP) -> Recorded:
    """A call with everything in it."""
    held = [Line("1", 40_000, direction="inactive"), LINES[1]]
    sent = stream(tone(1_600))
    stray = [Sent(b"\x80\x00garbage", 0.07), Sent(sent[0].data, 0.08, Address("203.0.113.9", 9))]
    call = Recorded(transport=transport).invite()
    call.media(0, [sent[1], sent[0], *sent[2:5], *stray, sent[6], sent[6]])
    call.media(1, stream(tone(800), line=LINES[1], ssrc=5, seconds=0.05))
    call.media(1, [Sent(bytes.fromhex("81cb000100000005"), 0.2)], component=Component.RTCP)
    call.offer(held, 0.5, metadata=PARTIAL).offer(LINES, 1.0)
    call.media(0, stream(tone(320), ssrc=9, sequence_number=4, seconds=1.5))
    return call.bye(2.0)


@pytest.mark.parametrize("transport", list(Transport))
def test_live_account_and_replay_agree(transport: Transport) -> None:
    call = eventful_call(transport)
    live, again = call.account.report("completed"), report_after(call.journal)
    assert again.as_json() == live.as_json()
    assert again == replace(live, streams=again.streams)


def test_the_eventful_call_is_told() -> None:
    report = report_after(eventful_call().journal)
    one = report.streams[0]
    assert (one.packets_received, one.packets_lost, one.packets_duplicate) == (8, 1, 1)
    assert (one.packets_reordered, one.packets_rejected) == (1, 2)
    assert one.ssrcs == (0x11, 9)
    assert {found.code for found in report.findings} == {"source-foreign", "rtp-invalid", "ssrc-changed"}
    assert [entry["event"] for entry in report.timeline][-1] == "ended"
    assert report.participants[0]["names"] == ["Ada L."]
    assert report.datamode == "partial"


def test_items_are_media_and_metadata_in_order() -> None:
    _, items = replayed(eventful_call().journal)
    bodies = [item for item in items if isinstance(item, MetadataBody)]
    assert [(body.number, body.raw) for body in bodies] == [(1, METADATA.encode()), (2, PARTIAL.encode())]
    media = [item for item in items if isinstance(item, LineMedia)]
    assert sum(len(item.datagrams) for item in media if item.line == 1) == 5
    assert media[0].datagrams[0][1] == UNIX_NS + 20_000_000


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 900))
def test_any_cutting_replays_alike(size: int) -> None:
    journal = eventful_call().journal
    whole, cut = replayed(journal), replayed(journal, size=size)
    assert cut[1] == whole[1]


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_foreign_capture_tells_the_same(transport: Transport) -> None:
    call = Recorded(transport=transport).invite().media(0, stream(tone(800)))
    call.media(1, stream(tone(800, step=9), line=LINES[1], ssrc=7)).bye(1.0)
    files, others = rendered(call.journal), rendered(foreign(packets_of(call.journal)))
    for name in ("1.wav", "2.wav", "mix.wav", "metadata.xml", "metadata/0001.xml"):
        assert others[name] == files[name]
    ours, theirs = report_of(files), report_of(others)
    for volatile in ("id", "files"):
        assert ours.pop(volatile) != theirs.pop(volatile)
    assert theirs == ours


def test_a_foreign_capture_has_packets_that_do_not_belong() -> None:
    call = Recorded().invite().media(0, stream(tone(800))).bye(1.0)
    packets = packets_of(call.journal)
    stranger = Recorded().invite().media(0, stream(tone(160), ssrc=99)).bye(1.0)
    foreign_media = packets_of(stranger.journal.replace(bytes([192, 0, 2, 10]), bytes([203, 0, 113, 5])))[2:-2]
    late = [replace(each, at_ns=UNIX_NS + 300_000_000) for each in foreign_media]
    capture = foreign([*packets[:-2], *late, *packets[-2:]])
    files = rendered(capture)
    assert pcm_of(files, "1.wav") == coded(tone(800))
    assert report_of(files)["streams"][0]["packets_rejected"] == len(late)


def test_other_calls_of_a_capture_are_passed_over() -> None:
    call = Recorded().invite().media(0, stream(tone(800))).bye(1.0)
    writer = Recorded().writer
    plain = request("INVITE", sdp(LINES).encode(), "application/sdp")
    for mark in (b"Require: siprec\r\n", b";+sip.src"):
        plain = plain.replace(mark, b"")
    plain = plain.replace(b"call-1@", b"other@")
    writer.start(flow=call.flow, now=START)
    other = writer.sip(plain, flow=call.flow, sent=False, now=START)
    other += writer.sip(response(plain, "200 OK", sdp(LINES).encode()), flow=call.flow, sent=True, now=START)
    head = PcapngEncoder().start(application="x") + PcapngEncoder().add_interface("a")
    capture = foreign([*packets_of(head + other), *packets_of(call.journal)])
    assert pcm_of(rendered(capture), "1.wav") == coded(tone(800))


def test_a_capture_without_an_answer_fails() -> None:
    call = Recorded().invite()
    report = report_of(rendered(foreign(packets_of(call.journal)[:1])))
    assert (report["status"], report["call_id"]) == ("failed", "call-1@example.com")
    assert "capture-no-recording" in codes(report)


def test_a_capture_without_a_call_fails() -> None:
    report = report_of(rendered(foreign([])))
    assert (report["status"], report["call_id"]) == ("failed", "")
    assert codes(report) == {"capture-no-recording"}


@pytest.mark.parametrize("data", [b"", b"\n", b"not a capture at all", bytes(1_000)])
def test_what_is_no_capture_fails(data: bytes) -> None:
    assert report_of(rendered(data))["status"] == "failed"


def test_a_foreign_capture_that_ends_early() -> None:
    call = Recorded().invite().media(0, stream(tone(800)))
    report = report_of(rendered(foreign(packets_of(call.journal))))
    assert (report["status"], report["end_reason"]) == ("recovered", "capture-end")


def test_a_clock_that_is_set_back_tears_nothing() -> None:
    call = Recorded().invite().media(0, stream(tone(1_600))).bye(1.0)
    packets = packets_of(call.journal)
    stepped = packets[:7] + [replace(each, at_ns=each.at_ns - 3_600_000_000_000) for each in packets[7:]]
    files = rendered(foreign(stepped))
    assert pcm_of(files, "1.wav") == coded(tone(1_600))
    assert "capture-clock-stepped" in codes(report_of(files))


def test_one_wrong_time_costs_nothing_behind_it() -> None:
    call = Recorded().invite().media(0, stream(tone(1_600))).bye(1.0)
    packets = packets_of(call.journal)
    packets[5] = replace(packets[5], at_ns=packets[5].at_ns + 10**9 * 10**9)
    files = rendered(foreign(packets))
    assert pcm_of(files, "1.wav") == coded(tone(1_600))
    assert "capture-time" in codes(report_of(files))


def test_an_offer_in_the_answer_has_its_answer_in_the_ack() -> None:
    call = Recorded()
    writer, flow = call.writer, call.flow
    invite = request("INVITE")
    ack = request("ACK", sdp(LINES).encode(), "application/sdp")
    ours = sdp([Line("1", 30_000, direction="recvonly"), Line("2", 30_002, direction="recvonly")]).replace(
        CLIENT, SERVER
    )
    blocks = writer.start(flow=flow, now=START)
    blocks += writer.sip(invite, flow=flow, sent=False, now=START)
    blocks += writer.sip(response(invite, "200 OK", ours.encode()), flow=flow, sent=True, now=START)
    blocks += writer.sip(ack, flow=flow, sent=False, now=START + 0.01)
    report = report_after(foreign(packets_of(blocks)))
    assert [(each.label, each.local_port, each.remote) for each in report.streams] == [
        ("1", 30_000, Address(CLIENT, 40_000)),
        ("2", 30_002, Address(CLIENT, 40_002)),
    ]


def test_a_journal_behind_another_one_is_told_of_and_left_out() -> None:
    call = Recorded().invite().media(0, stream(tone(800))).bye(1.0)
    other = Recorded().invite().media(0, stream(tone(320, step=9), ssrc=7)).bye(2.0)
    files = rendered(call.journal + other.journal)
    assert pcm_of(files, "1.wav") == coded(tone(800))
    assert "capture-limit" in codes(report_of(files))
    assert report_of(files)["streams"] == report_of(rendered(call.journal))["streams"]


def test_notes_of_later_versions_do_no_harm() -> None:
    call = Recorded().invite()
    call.keep(call.writer.note("moon-phase", {"phase": 3, "at": "never"}, now=START + 1.0, line=0))
    call.keep(call.writer.note("moon-phase", {"line": "odd"}, now=START + 1.0, line=77))
    entries = [entry for entry in report_after(call.journal).timeline if entry["event"] == "moon-phase"]
    assert entries[0] == {"at": "2026-01-01T00:00:01.000000Z", "event": "moon-phase", "label": "1", "phase": 3}


def test_times_survive_exactly() -> None:
    seconds = [0.1 + n / 3 for n in range(1, 40)]
    sent = [Sent(each.data, at) for each, at in zip(stream(tone(160 * 39)), seconds, strict=True)]
    call = Recorded().invite().media(0, sent)
    _, items = replayed(call.journal)
    arrivals = [at_ns for item in items if isinstance(item, LineMedia) for _, at_ns in item.datagrams]
    assert arrivals == [TIME_BASE.unix_ns_at(START + at) for at in seconds]


def test_many_problems_are_bounded() -> None:
    replay, _ = replayed(foreign([Packet(0, UNIX_NS, b"\x41" + bytes(40), 41) for _ in range(500)]))
    assert len(replay.findings) <= 101
    assert replay.problems_dropped > 0


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        (b'"ended_ns": ', [b"1e300, ", b"true, ", b"999999999999999999999999, ", b"-5, "]),
        (b'"started_ns": ', [b"null, ", b"99999999999999999999, ", b'"", ']),
        (b'"monotonic": ', [b"NaN, ", b"1e300, ", b"-1, ", b"[], "]),
        (b'"unix_ns": ', [b"99999999999999999999, ", b"-1, "]),
    ],
)
def test_impossible_numbers_in_notes_do_no_harm(fields: bytes, values: list[bytes]) -> None:
    journal = Recorded().invite().media(0, stream(tone(320))).bye(1.0).journal
    at = journal.index(fields) + len(fields)
    size = journal[at:].index(b"}") if b"}" in journal[at : at + 30] else journal[at:].index(b",")
    for value in values:
        # The note keeps its size, so that the block around it stays whole.
        number = value.removesuffix(b", ")[:size].ljust(size)
        report = report_of(rendered(journal[:at] + number + journal[at + size :]))
        assert report["streams"][0]["packets_received"] == 2
