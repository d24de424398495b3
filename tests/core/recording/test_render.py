"""From journals to files, to the sample."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.codecs.registry import Codecs
from siprec_core.containers.wav import read_wav
from siprec_core.limits import Limits
from siprec_core.recording.render import file_names, render
from siprec_core.rtp.packet import RtpPacket
from siprec_core.types import Address, Component, Transport
from tests.core.recording.calls import (
    CLIENT,
    LINES,
    METADATA,
    Line,
    Recorded,
    Sent,
    chunked,
    coded,
    collect,
    rendered,
    stream,
    tone,
)


def pcm_of(files: dict[str, bytes], name: str) -> bytes:
    wav_format, pcm = read_wav(files[name])
    assert wav_format.channels == 1
    return pcm


def channels_of(files: dict[str, bytes], count: int) -> list[bytes]:
    wav_format, pcm = read_wav(files["mix.wav"])
    assert wav_format.channels == count
    samples = [pcm[n : n + 2] for n in range(0, len(pcm), 2)]
    return [b"".join(samples[channel::count]) for channel in range(count)]


def report_of(files: dict[str, bytes]) -> dict[str, Any]:
    report = json.loads(files["recording.json"])
    assert isinstance(report, dict)
    return report


def silence(samples: int) -> bytes:
    return bytes(2 * samples)


def codes(report: dict[str, Any]) -> set[str]:
    return {found["code"] for found in report["findings"]}


def test_two_streams() -> None:
    first, second = tone(1_600), tone(1_600, step=91)
    call = Recorded().invite().media(0, stream(first)).media(1, stream(second, line=LINES[1], ssrc=0x22)).bye(0.2)
    files = rendered(call.journal)
    assert pcm_of(files, "1.wav") == coded(first)
    assert pcm_of(files, "2.wav") == coded(second)
    assert channels_of(files, 2) == [coded(first), coded(second)]
    assert set(files) == {"1.wav", "2.wav", "mix.wav", "metadata/0001.xml", "metadata.xml", "recording.json"}
    assert files["metadata/0001.xml"] == METADATA.encode()


def test_the_report() -> None:
    call = Recorded().invite().media(0, stream(tone(1_600))).bye(0.25)
    files = rendered(call.journal)
    report = report_of(files)
    assert list(report) == [
        "version", "id", "status", "end_reason", "initiator", "call_id", "local_tag", "remote_tag", "transport", "peer",
        "user_agent", "authenticated_user", "peer_names", "started_at", "answered_at", "ended_at", "duration",
        "datamode", "dialect", "groups", "sessions", "participants", "contributions", "streams", "timeline",
        "findings", "files",
    ]  # fmt: skip
    assert report["id"] == "ab" * 16
    assert (report["status"], report["end_reason"], report["duration"]) == ("completed", "bye", 0.25)
    assert (report["call_id"], report["local_tag"], report["remote_tag"]) == ("call-1@example.com", "server", "client")
    assert report["peer"] == {"host": CLIENT, "port": 5_060}
    assert report["started_at"] == report["answered_at"] == "2026-01-01T00:00:00.000000Z"
    assert report["ended_at"] == "2026-01-01T00:00:00.250000Z"
    assert (report["datamode"], report["dialect"]) == ("complete", "rfc7865")
    ada, bob = report["participants"]
    assert (ada["names"], ada["sends"], ada["joined_at"]) == (
        ["Ada"],
        ["UAAMm5GRQKSCMVvLyl4rFw=="],
        "2026-01-01T00:00:00.000000Z",
    )
    assert bob["aors"] == ["sip:bob@example.com"]
    one, two = report["streams"]
    assert (one["label"], one["stream_id"], one["codec"], one["file"]) == (
        "1", "UAAMm5GRQKSCMVvLyl4rFw==", "PCMU/8000", "1.wav"
    )  # fmt: skip
    assert (one["packets_received"], one["packets_lost"], one["duration"], one["silence"]) == (10, 0, 0.2, 0.0)
    assert (one["local_port"], one["remote"], one["ssrcs"]) == (30_000, {"host": CLIENT, "port": 40_000}, [0x11])
    assert (two["file"], two["packets_received"], two["first_packet_at"]) == (None, 0, None)
    assert report["findings"] == []
    assert [entry["event"] for entry in report["timeline"]].count("stream-added") == 2
    listed = {entry["name"]: entry for entry in report["files"]}
    assert set(listed) == set(files) - {"recording.json"} | {"journal.pcapng"}
    for name, data in [*files.items(), ("journal.pcapng", call.journal)]:
        if name != "recording.json":
            assert listed[name] == {"name": name, "size": len(data), "sha256": sha256(data).hexdigest()}


def test_a_line_without_packets_is_a_silent_channel() -> None:
    files = rendered(Recorded().invite().media(0, stream(tone(800))).bye(1.0).journal)
    assert channels_of(files, 2) == [coded(tone(800)), silence(800)]
    assert "2.wav" not in files


def test_a_call_without_audio_has_no_audio_files() -> None:
    files = rendered(Recorded().invite().bye(1.0).journal)
    assert not any(name.endswith(".wav") for name in files)
    assert report_of(files)["status"] == "completed"


def test_a_late_start_is_silence_in_front() -> None:
    late = stream(tone(800, step=5), line=LINES[1], ssrc=0x22, seconds=0.5)
    files = rendered(Recorded().invite().media(0, stream(tone(1_600))).media(1, late).bye(1.0).journal)
    assert pcm_of(files, "2.wav") == silence(4_000) + coded(tone(800, step=5))
    assert pcm_of(files, "1.wav") == coded(tone(1_600)) + silence(3_200)
    report = report_of(files)
    assert [each["silence"] for each in report["streams"]] == [0.0, 0.0]


def test_loss_is_silence_of_the_right_length() -> None:
    sent = stream(tone(1_600))
    files = rendered(Recorded().invite().media(0, sent[:3] + sent[5:]).bye(1.0).journal)
    whole = coded(tone(1_600))
    assert pcm_of(files, "1.wav") == whole[: 2 * 480] + silence(320) + whole[2 * 800 :]
    stream_report = report_of(files)["streams"][0]
    assert (stream_report["packets_lost"], stream_report["silence"], stream_report["duration"]) == (2, 0.04, 0.2)


@pytest.mark.parametrize("order", [[0, 2, 1, 3, 4], [0, 1, 4, 3, 2], [0, 1, 1, 2, 2, 1, 3, 4, 4], [1, 0, 2, 3, 4]])
def test_reordered_and_repeated_packets(order: Sequence[int]) -> None:
    sent = stream(tone(800))
    shuffled = [Sent(sent[n].data, 0.02 * place) for place, n in enumerate(order)]
    files = rendered(Recorded().invite().media(0, shuffled).bye(1.0).journal)
    assert pcm_of(files, "1.wav") == coded(tone(800))
    stream_report = report_of(files)["streams"][0]
    assert stream_report["packets_received"] == 5
    assert stream_report["packets_duplicate"] == len(order) - 5


def test_a_new_ssrc_goes_on_in_the_same_file() -> None:
    before = stream(tone(800), ssrc=1)
    after = stream(tone(800, step=11), ssrc=2, sequence_number=60_000, timestamp=4_000_000_000, seconds=0.3)
    files = rendered(Recorded().invite().media(0, before + after).bye(1.0).journal)
    assert pcm_of(files, "1.wav") == coded(tone(800)) + silence(1_600) + coded(tone(800, step=11))
    assert report_of(files)["streams"][0]["ssrcs"] == [1, 2]
    assert report_of(files)["streams"][0]["silence"] == 0.2


def test_two_ssrcs_at_once_are_summed() -> None:
    one, two = stream(tone(800, level=4_000), ssrc=1), stream(tone(800, level=4_000), ssrc=2, timestamp=77)
    both = [each for pair in zip(one, two, strict=True) for each in pair]
    files = rendered(Recorded().invite().media(0, both).bye(1.0).journal)
    single = coded(tone(800, level=4_000))
    doubled = b"".join(
        (2 * int.from_bytes(single[n : n + 2], "little", signed=True)).to_bytes(2, "little", signed=True)
        for n in range(0, len(single), 2)
    )
    assert pcm_of(files, "1.wav") == doubled


def test_numbers_wrap() -> None:
    sent = stream(tone(3_200), sequence_number=65_530, timestamp=2**32 - 1_000)
    files = rendered(Recorded().invite().media(0, sent).bye(1.0).journal)
    assert pcm_of(files, "1.wav") == coded(tone(3_200))
    assert report_of(files)["findings"] == []


def test_a_timestamp_jump_does_not_lengthen_the_file() -> None:
    before = stream(tone(800))
    after = stream(tone(800), sequence_number=105, timestamp=8_000_000, seconds=0.1)
    files = rendered(Recorded().invite().media(0, before + after).bye(1.0).journal)
    assert pcm_of(files, "1.wav") == coded(tone(800)) * 2
    assert codes(report_of(files)) == {"timestamp-jump"}


def test_a_hold_is_silence() -> None:
    held = [Line("1", 40_000, direction="inactive"), LINES[1]]
    call = Recorded().invite().media(0, stream(tone(800))).offer(held, 0.2).offer(LINES, 1.0)
    # The client's clock stood still while it held the call.
    call.media(0, stream(tone(800, step=3), sequence_number=105, timestamp=1_800, seconds=1.1)).bye(2.0)
    files = rendered(call.journal)
    assert pcm_of(files, "1.wav") == coded(tone(800)) + silence(8_000) + coded(tone(800, step=3))
    report = report_of(files)
    assert [
        entry["event"] for entry in report["timeline"] if "held" in entry["event"] or "resumed" in entry["event"]
    ] == [
        "stream-held",
        "stream-resumed",
    ]
    assert report["streams"][0]["silence"] == 1.0


def test_a_hold_is_cut_on_request_and_the_lines_stay_together() -> None:
    held = [Line("1", 40_000, direction="inactive"), LINES[1]]
    first, second, third = tone(800), tone(1_600, step=91), tone(800, step=3)
    call = Recorded().invite().media(0, stream(first)).offer(held, 0.2)
    call.media(1, stream(second, line=LINES[1], ssrc=5, seconds=3.0)).offer(LINES, 3.5)
    call.media(0, stream(third, sequence_number=105, timestamp=1_800, seconds=5.0)).bye(6.0)
    files = collect(render(lambda: chunked(call.journal), cut_gaps=True))
    assert pcm_of(files, "1.wav") == coded(first) + silence(1_600) + coded(third)
    assert pcm_of(files, "2.wav") == silence(800) + coded(second) + silence(800)
    whole = rendered(call.journal)
    assert len(pcm_of(whole, "1.wav")) == 2 * round(5.1 * 8_000)


def test_a_line_that_is_added_later() -> None:
    call = Recorded().invite(LINES[:1]).media(0, stream(tone(800))).offer(LINES, 0.5)
    call.media(1, stream(tone(800, step=7), line=LINES[1], seconds=1.0)).bye(2.0)
    assert channels_of(rendered(call.journal), 2)[1] == silence(8_000) + coded(tone(800, step=7))


def test_rates_and_codecs_side_by_side() -> None:
    lines = [Line("1", 40_000, "PCMA/8000", 8), Line("2", 40_002, "L16/16000", 96)]
    narrow, wide = tone(800), tone(1_600)
    call = Recorded().invite(lines).media(0, stream(narrow, line=lines[0]))
    call.media(1, stream(wide, line=lines[1], frame=320)).bye(1.0)
    files = rendered(call.journal)
    assert read_wav(files["1.wav"])[0].sample_rate == 8_000
    assert read_wav(files["2.wav"])[0].sample_rate == 16_000
    assert pcm_of(files, "1.wav") == coded(narrow, "PCMA/8000")
    assert pcm_of(files, "2.wav") == wide
    samples = [coded(narrow, "PCMA/8000")[n : n + 2] for n in range(0, 1_600, 2)]
    assert channels_of(files, 2) == [b"".join(each * 2 for each in samples), wide]


def test_rates_that_do_not_divide_are_equally_long() -> None:
    lines = [Line("1", 40_000), Line("2", 40_002, "L16/44100", 11)]
    call = Recorded().invite(lines).media(0, stream(tone(80_000)))
    call.media(1, stream(tone(441_000), line=lines[1], ssrc=5, frame=441)).bye(11.0)
    files = rendered(call.journal)
    assert pcm_of(files, "2.wav") == tone(441_000)
    assert [len(channel) for channel in channels_of(files, 2)] == [882_000, 882_000]
    assert len(pcm_of(files, "1.wav")) == 160_000


def test_long_calls_are_written_in_windows() -> None:
    first, second = tone(8_000 * 60), tone(8_000 * 60, step=53)
    one, two = stream(first), stream(second, line=LINES[1], ssrc=2)
    call = Recorded().invite()
    for start in range(0, len(one), 50):
        call.media(0, one[start : start + 50]).media(1, two[start : start + 50])
    call.bye(60.0)
    files = rendered(call.journal)
    assert channels_of(files, 2) == [coded(first), coded(second)]
    sizes = [len(item.data) for item in render(lambda: chunked(call.journal)) if hasattr(item, "data")]
    assert max(sizes) <= 4 * 8_000 * 2 * 2


def test_a_line_that_was_read_long_after_the_other() -> None:
    first, second = tone(8_000 * 20), tone(8_000 * 20, step=53)
    call = Recorded().invite().media(0, stream(first), batch=1_000)
    call.media(1, stream(second, line=LINES[1], ssrc=2), batch=1_000).bye(20.0)
    assert channels_of(rendered(call.journal), 2) == [coded(first), coded(second)]


def test_a_codec_that_cannot_be_decoded_stays_in_the_journal() -> None:
    lines = [Line("1", 40_000), Line("2", 40_002)]
    call = Recorded().invite(lines).media(0, stream(tone(800))).bye(1.0)
    foreign = call.journal.replace(b"a=rtpmap:0 PCMU/8000", b"a=rtpmap:0 XXXX/8000")
    files = rendered(foreign)
    report = report_of(files)
    assert "codec-not-decoded" in codes(report)
    assert report["streams"][0]["file"] is None
    assert report["streams"][0]["packets_received"] == 5


class _Pairs:
    """A codec of pairs of octets, which takes single ones as well and tells of it."""

    names = ("PAIR/8000",)
    sample_rate, channels, by_size, stateful = 8_000, 1, False, True

    def __init__(self) -> None:
        self.deviation: str | None = None

    def decoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> "_Pairs | None":
        del clock_rate, channels, parameters
        return _Pairs() if encoding == "PAIR" else None

    def encoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> None:
        del encoding, clock_rate, channels, parameters

    def samples(self, payload: bytes | memoryview) -> int:
        if len(payload) == 1:
            self.deviation = "single octets where pairs are agreed"
        return 0 if len(payload) > 2 else 160

    def decode(self, payload: bytes | memoryview) -> bytes:
        return bytes(2 * self.samples(payload))


def test_payloads_that_are_none_or_differ_are_told() -> None:
    sent = [
        Sent(RtpPacket(0, n, 160 * n, 1, payload).to_bytes(), n / 50) for n, payload in enumerate((b"12", b"123", b"1"))
    ]
    call = Recorded().invite([Line("1", 40_000)]).media(0, sent).bye(1.0)
    journal = call.journal.replace(b"a=rtpmap:0 PCMU/8000", b"a=rtpmap:0 PAIR/8000")
    report = report_of(collect(render(lambda: chunked(journal), codecs=Codecs(_Pairs()))))
    assert report["streams"][0]["silence"] == pytest.approx(0.02)
    told = {found["code"]: found["message"] for found in report["findings"]}
    assert told["payload-unreadable"] == "1 payloads are no frames of PAIR/8000"
    assert told["payload-deviates"] == "PAIR/8000: single octets where pairs are agreed"


def test_a_torn_journal_is_recovered() -> None:
    call = Recorded().invite().media(0, stream(tone(8_000))).bye(1.0)
    report = report_of(rendered(call.journal[: call.journal.index(b"BYE sip:") - 100]))
    assert (report["status"], report["end_reason"]) == ("recovered", "crash")
    assert "capture-torn" in codes(report)
    assert report["streams"][0]["packets_received"] > 0


def test_every_truncation_renders() -> None:
    lines = [Line("1", 40_000)]
    call = Recorded().invite(lines, metadata="").media(0, stream(tone(480))).bye(0.1)
    statuses = {report_of(rendered(call.journal[:end]))["status"] for end in range(0, len(call.journal), 7)}
    assert statuses == {"failed", "recovered"}


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 700))
def test_any_cutting_of_the_journal_gives_the_same_files(size: int) -> None:
    journal = Recorded().invite().media(0, stream(tone(800))).bye(0.5).journal
    assert rendered(journal, size=size) == rendered(journal)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_damaged_journals_render(data: st.DataObject) -> None:
    journal = bytearray(Recorded().invite().media(0, stream(tone(480))).bye(0.5).journal)
    for _ in range(data.draw(st.integers(1, 20))):
        journal[data.draw(st.integers(0, len(journal) - 1))] = data.draw(st.integers(0, 255))
    assert "version" in report_of(rendered(bytes(journal)))


def test_garbage_on_the_media_port_changes_nothing() -> None:
    sent = stream(tone(800))
    garbage = [Sent(bytes([n]) * n, 0.05, Address(CLIENT, 40_000)) for n in range(1, 200)]
    call = Recorded().invite().media(0, sent[:2] + garbage + sent[2:]).bye(1.0)
    files = rendered(call.journal)
    assert pcm_of(files, "1.wav") == coded(tone(800))
    assert report_of(files)["streams"][0]["packets_rejected"] > 100


def test_rtcp_stays_out_of_the_audio() -> None:
    goodbye = Sent(bytes.fromhex("81cb000100000011"), 0.05, Address(CLIENT, 40_001))
    call = Recorded().invite().media(0, stream(tone(800))).media(0, [goodbye], component=Component.RTCP).bye(1.0)
    assert pcm_of(rendered(call.journal), "1.wav") == coded(tone(800))


@pytest.mark.parametrize("transport", list(Transport))
def test_transports(transport: Transport) -> None:
    call = Recorded(transport=transport).invite().media(0, stream(tone(800))).bye(1.0)
    report = report_of(rendered(call.journal))
    assert (report["transport"], report["status"]) == (transport.value, "completed")


def test_limits_bound_the_length() -> None:
    far = [Sent(each.data, 7_200.0) for each in stream(tone(320), sequence_number=110, timestamp=2_600)]
    call = Recorded().invite().media(0, stream(tone(1_600)) + far).bye(7_300.0)
    files = rendered(call.journal, limits=Limits(recording_seconds=10.0))
    assert pcm_of(files, "1.wav") == coded(tone(1_600))
    assert "packet-ahead" in codes(report_of(files))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["1", "2"], ["1", "2"]),
        (["../../etc/passwd", "a/b"], ["_.._etc_passwd", "a_b"]),
        (["mix", "MIX", "journal"], ["mix-2", "MIX-3", "journal-2"]),
        (["a", "A", "a"], ["a", "A-2", "a-3"]),
        (["", "...", "\x00"], ["line-0", "line-1", "_"]),
        (["x" * 500], ["x" * 64]),
    ],
)
def test_file_names(labels: list[str], expected: list[str]) -> None:
    assert list(file_names(list(enumerate(labels))).values()) == expected


@given(st.lists(st.text(max_size=80), max_size=12))
def test_file_names_are_safe_and_distinct(labels: list[str]) -> None:
    names = list(file_names(list(enumerate(labels))).values())
    assert len({name.lower() for name in names}) == len(labels)
    for name in names:
        assert 0 < len(name) <= 64
        assert name[0] != "."
        assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
