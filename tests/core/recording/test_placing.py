"""Runs of audio out of packets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.clock import ntp_of
from siprec_core.codecs.registry import Codecs, decode_run
from siprec_core.limits import Limits
from siprec_core.media.timeline import TICKS_PER_SECOND, SessionClock
from siprec_core.recording.placing import ClockPoint, LinePlacer
from siprec_core.recording.replay import LineMedia, LineReport
from siprec_core.rtp.packet import HeaderExtension, RtpPacket
from siprec_core.sdp.formats import MediaFormat
from tests.core.recording.calls import Line, Sent, stream, tone

FORMATS = {
    0: MediaFormat(0, "PCMU", 8_000),
    96: MediaFormat(96, "L16", 8_000),
    101: MediaFormat(101, "telephone-event", 8_000),
}
FRAME = TICKS_PER_SECOND // 50


def placer() -> LinePlacer:
    made = LinePlacer(SessionClock(limits=Limits()), limits=Limits())
    made.agree(FORMATS, None)
    return made


def media(sent: list[Sent]) -> LineMedia:
    return LineMedia(0, [(each.data, round(each.seconds * 1e9)) for each in sent])


def test_packets_in_a_row_are_one_run() -> None:
    made = placer()
    sent = stream(tone(1_600))
    assert made.place(media(sent[:4])) == []
    assert made.place(media(sent[4:])) == []
    (run,) = made.finish()
    assert (run.ssrc, run.start, run.end, len(run.payloads)) == (0x11, 0, 10 * FRAME, 10)
    assert made.finish() == []


def test_a_gap_ends_a_run() -> None:
    made = placer()
    sent = stream(tone(1_600))
    (first,) = made.place(media(sent[:4] + sent[6:]))
    (second,) = made.finish()
    assert (first.end, second.start) == (4 * FRAME, 6 * FRAME)


@pytest.mark.requirement("8866-6.4-a", "3551-4.2-a")
def test_packets_of_any_length_follow_one_another() -> None:
    made = placer()
    sizes, timestamp, sent = (80, 160, 480, 1_600, 8, 240), 1_000, []
    for number, size in enumerate(sizes):
        packet = RtpPacket(0, number, timestamp, 0x11, payload=bytes(size))
        sent.append((packet.to_bytes(), round((timestamp - 1_000) / 8_000 * 1e9)))
        timestamp += size
    assert made.place(LineMedia(0, sent)) == []
    (run,) = made.finish()
    assert (run.start, run.end) == (0, sum(sizes) * TICKS_PER_SECOND // 8_000)


def test_runs_are_bounded() -> None:
    runs = placer().place(media(stream(tone(160 * 2_000))))
    assert [len(run.payloads) for run in runs] == [512] * 3


def test_headers_of_every_shape_hold_the_same_audio() -> None:
    made = placer()
    extension = HeaderExtension(0xBEDE, b"\0" * 4)
    packets = [
        RtpPacket(0, 0, 0, 1, b"\xff" * 160),
        RtpPacket(0, 1, 160, 1, b"\xff" * 160, csrcs=(5, 6)),
        RtpPacket(0, 2, 320, 1, b"\xff" * 160, extension=extension),
        RtpPacket(0, 3, 480, 1, b"\xff" * 160, padding_size=4, marker=True),
    ]
    made.place(LineMedia(0, [(packet.to_bytes(), 20_000_000 * n) for n, packet in enumerate(packets)]))
    (run,) = made.finish()
    assert run.payloads == [b"\xff" * 160] * 4


def test_events_and_unknown_types_are_no_audio() -> None:
    made = placer()
    packets = [RtpPacket(101, 0, 0, 1, bytes(4)), RtpPacket(77, 1, 0, 1, bytes(160)), RtpPacket(0, 2, 0, 1, b"")]
    assert made.place(LineMedia(0, [(packet.to_bytes(), 0) for packet in packets])) == []
    assert made.finish() == []
    assert not made.undecodable


def test_undecodable_codecs_are_named_once() -> None:
    made = placer()
    made.agree({0: MediaFormat(0, "G729", 8_000), 5: MediaFormat(5, "XXXX", 8_000)}, None)
    assert made.place(media(stream(tone(800)))) == []
    assert made.place(LineMedia(0, [(RtpPacket(5, 9, 0, 1, bytes(10)).to_bytes(), 0)])) == []
    assert made.undecodable == {"G729/8000": "codecs", "XXXX/8000": None}


class _Counting:
    """A codec with a state: it counts its packets, which have two samples each."""

    names = ("COUNT/8000",)
    sample_rate, channels, by_size, stateful = 8_000, 1, False, True

    def __init__(self) -> None:
        self.count = 0
        self.deviation: str | None = None

    def decoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> "_Counting | None":
        del clock_rate, channels, parameters
        return _Counting() if encoding == "COUNT" else None

    def encoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> None:
        del encoding, clock_rate, channels, parameters

    def samples(self, payload: bytes | memoryview) -> int:
        if payload == b"y":
            self.deviation = "told otherwise"
        return 0 if payload == b"z" else 2

    def decode(self, payload: bytes | memoryview) -> bytes:
        self.count += 1
        return bytes((self.count, 0)) * self.samples(payload)


def test_each_source_has_a_decoder_of_its_own_where_that_matters() -> None:
    made = LinePlacer(SessionClock(limits=Limits()), limits=Limits(), known=Codecs(_Counting()))
    made.agree({96: MediaFormat(96, "count", 8_000)}, None)
    packets = [RtpPacket(96, n, 2 * n, ssrc, b"x") for n in range(3) for ssrc in (1, 2)]
    runs = made.place(LineMedia(0, [(packet.to_bytes(), 0) for packet in packets])) + made.finish()
    pcm = {ssrc: b"".join(decode_run(run.decoder, run.payloads) for run in runs if run.ssrc == ssrc) for ssrc in (1, 2)}
    assert pcm == {1: b"\1\0\1\0\2\0\2\0\3\0\3\0", 2: b"\1\0\1\0\2\0\2\0\3\0\3\0"}


def test_no_extra_is_named_for_a_form_that_an_installed_codec_has_not() -> None:
    class Plain(_Counting):
        names = ("AMR/8000",)

    made = LinePlacer(SessionClock(limits=Limits()), limits=Limits(), known=Codecs(Plain()))
    made.agree({0: MediaFormat(0, "AMR", 8_000, 1, "interleaving=4"), 5: MediaFormat(5, "G729", 8_000)}, 0)
    for payload_type in (0, 5):
        made.place(LineMedia(0, [(RtpPacket(payload_type, 9, 0, 1, bytes(10)).to_bytes(), 0)]))
    assert made.undecodable == {"AMR/8000": None, "G729/8000": "codecs"}


def test_payloads_that_are_none_and_that_differ_are_told() -> None:
    made = LinePlacer(SessionClock(limits=Limits()), limits=Limits(), known=Codecs(_Counting()))
    made.agree({96: MediaFormat(96, "count", 8_000)}, None)

    def place(*payloads: bytes) -> None:
        packets = [RtpPacket(96, n, 2 * n, 1, payload) for n, payload in enumerate(payloads)]
        made.place(LineMedia(0, [(packet.to_bytes(), 0) for packet in packets]))

    place(b"x", b"z", b"z", b"")
    assert (made.unreadable, made.deviations) == ({"count/8000": 2}, {})
    place(b"z", b"y")
    made.agree({96: MediaFormat(96, "Count", 8_000)}, None)
    place(b"z")
    assert made.unreadable == {"count/8000": 3, "Count/8000": 1}
    assert made.deviations == {"count/8000": "told otherwise"}


@pytest.mark.requirement("3389-4-a")
def test_comfort_noise_is_a_gap_of_its_length() -> None:
    made = placer()
    made.agree({**FORMATS, 13: MediaFormat(13, "CN", 8_000)}, None)
    talk = stream(tone(1_600))
    noise = [Sent(RtpPacket(13, 104 + n, 1_640, 0x11, b"\x40").to_bytes(), 0.08 + n / 50) for n in range(3)]
    late = stream(tone(800), sequence_number=107, timestamp=1_000 + 16_000, seconds=2.0)
    runs = made.place(media([*talk[:4], *noise, *late])) + made.finish()
    assert [(run.start, run.end) for run in runs] == [(0, 4 * FRAME), (100 * FRAME, 105 * FRAME)]


def test_half_a_sample_ends_a_run() -> None:
    made = placer()
    packets = [RtpPacket(96, n, n * 2, 1, b"\1\2\3\4\5") for n in range(3)]
    runs = made.place(LineMedia(0, [(packet.to_bytes(), 0) for packet in packets]))
    assert [run.payloads for run in runs] == [[b"\1\2\3\4\5"]] * 3
    assert [run.end for run in runs] == [2 * n * TICKS_PER_SECOND // 8_000 for n in (1, 2, 3)]


def test_new_formats_take_the_place_of_old_ones() -> None:
    made = placer()
    line = Line("1", 40_000, "PCMA/8000", 0)
    made.place(media(stream(tone(160))))
    made.agree({0: MediaFormat(0, "PCMA", 8_000)}, None)
    (before,) = made.place(media(stream(tone(160), line=line, sequence_number=101, timestamp=1_160, seconds=0.02)))
    (after,) = made.finish()
    assert before.decoder is not after.decoder


@settings(max_examples=50)
@given(st.lists(st.tuples(st.binary(max_size=60), st.integers(0, 10**12)), max_size=20))
def test_garbage_is_passed_over(datagrams: list[tuple[bytes, int]]) -> None:
    made = placer()
    runs = made.place(LineMedia(0, datagrams)) + made.finish()
    assert all(run.start < run.end for run in runs)


def reported(timestamp: int, seconds: float, *, ssrc: int = 0x11, ntp: int | None = None) -> LineReport:
    wall = ntp_of(round((seconds + 5) * 1e9)) if ntp is None else ntp
    return LineReport(0, ssrc, wall, timestamp, round(seconds * 1e9))


def test_a_report_tells_the_wall_clock_at_a_place() -> None:
    made = placer()
    sent = stream(tone(1_600))
    made.report(reported(1_000, 0.0))
    assert made.points() == [], "nothing is placed yet"
    made.place(media(sent))
    made.report(reported(1_000 + 1_600, 0.2))
    (point,) = made.points()
    assert point[:3] == (0x11, 0, 10 * FRAME)
    assert point.wall == pytest.approx(TICKS_PER_SECOND * 5.2, abs=1)
    assert made.points() == []
    assert made.unrelated == 0


def test_a_report_that_comes_first_waits_for_its_source() -> None:
    made = placer()
    made.report(reported(1_000, 0.0))
    made.place(media(stream(tone(160))))
    assert made.points() == [ClockPoint(0x11, 0, 0, 5 * TICKS_PER_SECOND)]


def test_reports_without_sense_tell_nothing() -> None:
    made = placer()
    made.place(media(stream(tone(1_600))))
    made.report(reported(1_000, 0.2, ntp=0))
    assert (made.points(), made.unrelated) == ([], 0)
    made.report(reported(1_000 + 8_000 * 60, 0.2))
    assert (made.points(), made.unrelated) == ([], 1)


def test_reports_during_a_hold_wait_for_its_end() -> None:
    made = placer()
    made.place(media(stream(tone(1_600))))
    made.agree(FORMATS, 1)
    made.report(reported(1_000 + 1_600, 9.0))
    assert made.points() == []
    made.place(media(stream(tone(1_600), sequence_number=110, timestamp=2_600, seconds=10.0)))
    (point,) = made.points()
    assert point.anchor == 500 * FRAME
    assert point.tick <= 510 * FRAME


def test_reports_of_strangers_are_bounded() -> None:
    made = placer()
    for ssrc in range(1_000):
        made.report(reported(0, 0.0, ssrc=ssrc))
    assert len(made._reports) == Limits().ssrcs_per_line
