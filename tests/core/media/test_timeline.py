"""Placement of packets on the session's clock."""

from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.media.timeline import (
    AHEAD_SECONDS,
    LAG_SECONDS,
    SKEW_SECONDS,
    TICKS_PER_SECOND,
    SessionClock,
    Timeline,
    ticks_of,
)

RATE = 8000
SAMPLE = TICKS_PER_SECOND // RATE
FRAME = 160


class Sent(NamedTuple):
    sequence_number: int
    timestamp: int
    seconds: float
    ssrc: int = 1


def frames(count: int, *, first: int = 0, timestamp: int = 0, seconds: float = 0.0, ssrc: int = 1) -> list[Sent]:
    return [
        Sent((first + n) & 0xFFFF, (timestamp + n * FRAME) & 0xFFFF_FFFF, seconds + n * 0.02, ssrc)
        for n in range(count)
    ]


def place(timeline: Timeline, clock: SessionClock, packets: Iterable[Sent], *, rate: int = RATE) -> list[int | None]:
    """Place packets of 20 ms; positions are told in samples."""
    placed = []
    for packet in packets:
        tick = timeline.place(
            packet.ssrc,
            packet.sequence_number,
            packet.timestamp,
            clock_rate=rate,
            duration=ticks_of(0.02),
            arrival=clock.arrive(round(packet.seconds * 1e9)),
        )
        placed.append(None if tick is None else tick * RATE // TICKS_PER_SECOND)
    return placed


def new(limits: Limits | None = None) -> tuple[Timeline, SessionClock]:
    limits = limits or Limits()
    clock = SessionClock(limits=limits)
    return Timeline(clock, limits=limits), clock


def test_every_audio_rate_has_whole_ticks() -> None:
    for rate in (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000):
        assert TICKS_PER_SECOND % rate == 0


def test_frames_in_order_are_contiguous() -> None:
    timeline, clock = new()
    assert place(timeline, clock, frames(5, timestamp=77)) == [0, 160, 320, 480, 640]


def test_jitter_moves_nothing() -> None:
    timeline, clock = new()
    sent = [packet._replace(seconds=packet.seconds + (0.05 if n % 3 else 0)) for n, packet in enumerate(frames(9))]
    assert place(timeline, clock, sent) == [n * FRAME for n in range(9)]


def test_lost_packets_leave_a_gap() -> None:
    timeline, clock = new()
    sent = frames(6)
    assert place(timeline, clock, sent[:2] + sent[4:]) == [0, 160, 640, 800]


def test_silence_suppression_leaves_a_gap() -> None:
    timeline, clock = new()
    talk = frames(2) + frames(2, first=2, timestamp=8000 * 30, seconds=30.0)
    assert place(timeline, clock, talk) == [0, 160, 240_000, 240_160]
    assert timeline.jumps == 0


def test_overtaken_packets_take_their_places() -> None:
    timeline, clock = new()
    a, b, c, d = frames(4)
    assert place(timeline, clock, [a, c, b, d]) == [0, 320, 160, 480]


def test_a_first_packet_that_was_overtaken_stands_before_the_second() -> None:
    timeline, clock = new()
    a, b, c = frames(3)
    assert place(timeline, clock, [b._replace(seconds=0.0), a._replace(seconds=0.001), c]) == [0, -160, 160]


def test_a_duplicate_gets_the_same_place() -> None:
    timeline, clock = new()
    a, b, c = frames(3)
    assert place(timeline, clock, [a, b, b, a, c]) == [0, 160, 160, 0, 320]


def test_a_packet_later_than_the_reorder_window_is_left_out() -> None:
    timeline, clock = new(Limits(reorder_seconds=0.1))
    sent = frames(50)
    assert place(timeline, clock, [*sent[1:20], sent[0]])[-1] is None
    assert timeline.late == 1


def test_sequence_number_and_timestamp_wrap() -> None:
    timeline, clock = new()
    sent = frames(20, first=65_530, timestamp=2**32 - 3 * FRAME)
    assert place(timeline, clock, sent) == [n * FRAME for n in range(20)]


def test_overtaken_packets_across_the_wrap() -> None:
    timeline, clock = new()
    a, b, c, d = frames(4, first=65_534, timestamp=2**32 - 2 * FRAME)
    assert place(timeline, clock, [a, c, b, d]) == [0, 320, 160, 480]


def test_a_second_source_is_anchored_by_its_arrival() -> None:
    timeline, clock = new()
    sent = frames(2, timestamp=5) + frames(2, timestamp=3_000_000_000, first=9_000, seconds=0.5, ssrc=2)
    assert place(timeline, clock, sent) == [0, 160, 4000, 4160]


def test_two_lines_share_the_clock() -> None:
    first, clock = new()
    second = Timeline(clock, limits=Limits())
    assert place(first, clock, frames(1)) == [0]
    assert place(second, clock, frames(1, timestamp=123_456, seconds=1.25)) == [10_000]


def test_a_timestamp_that_runs_ahead_of_time_is_anchored_by_arrival() -> None:
    timeline, clock = new()
    sent = frames(2) + frames(2, first=2, timestamp=8000 * 300, seconds=0.04)
    assert place(timeline, clock, sent) == [0, 160, 320, 480]
    assert timeline.jumps == 1
    assert timeline.first_jump is not None


def test_a_silence_longer_than_the_limit_is_anchored_by_arrival() -> None:
    timeline, clock = new(Limits(timestamp_jump_seconds=10.0))
    sent = frames(1) + frames(1, first=1, timestamp=8000 * 20, seconds=20.5)
    assert place(timeline, clock, sent) == [0, 164_000]
    assert timeline.jumps == 1


def test_a_timestamp_that_falls_back_is_anchored_by_arrival() -> None:
    timeline, clock = new()
    sent = frames(2, timestamp=1_000_000) + frames(2, first=2, timestamp=17, seconds=0.1)
    assert place(timeline, clock, sent) == [0, 160, 800, 960]
    assert timeline.jumps == 1


def test_an_anchor_never_lies_over_own_audio() -> None:
    timeline, clock = new()
    burst = [packet._replace(seconds=0.0) for packet in frames(50)]
    again = Sent(50, 4_000_000_000, 0.01)
    assert place(timeline, clock, [*burst, again])[-1] == 50 * FRAME


def test_a_hold_with_a_clock_that_stood_still_is_silence() -> None:
    timeline, clock = new()
    assert place(timeline, clock, frames(2)) == [0, 160]
    timeline.hold(40_000_000)
    assert place(timeline, clock, frames(2, first=2, timestamp=320, seconds=3.0)) == [24_000, 24_160]
    assert (timeline.jumps, timeline.stalls) == (0, 0)


def test_a_hold_with_a_clock_that_ran_on_trusts_the_timestamps() -> None:
    timeline, clock = new()
    place(timeline, clock, frames(2))
    timeline.hold(40_000_000)
    assert place(timeline, clock, frames(1, first=2, timestamp=24_000, seconds=3.03)) == [24_000]


@pytest.mark.parametrize("known", [0, 2])
def test_a_hold_that_is_told_of_before_packets_that_came_earlier(known: int) -> None:
    """A journal has messages at once, media by the tick; and a client goes on until it hears the answer."""
    timeline, clock = new()
    before = frames(10)
    assert place(timeline, clock, before[:known]) == [n * FRAME for n in range(known)]
    timeline.hold(120_000_000)
    assert place(timeline, clock, before[known:]) == [n * FRAME for n in range(known, 10)]
    after = frames(2, first=10, timestamp=1_600, seconds=1.2)
    assert place(timeline, clock, after) == [9_600, 9_760]
    assert (timeline.jumps, timeline.stalls) == (0, 0)


def test_a_client_that_takes_no_notice_of_its_hold_is_not_anchored_by_later_jitter() -> None:
    timeline, clock = new()
    place(timeline, clock, frames(2))
    timeline.hold(40_000_000)
    place(timeline, clock, frames(60, first=2, timestamp=320, seconds=0.04))
    late = frames(1, first=62, timestamp=62 * FRAME, seconds=1.7)
    assert place(timeline, clock, late) == [62 * FRAME]


def test_a_stalled_network_moves_nothing() -> None:
    timeline, clock = new()
    late = [packet._replace(seconds=packet.seconds + 3.0) for packet in frames(100, first=2, timestamp=320)]
    assert place(timeline, clock, frames(2) + late) == [n * FRAME for n in range(102)]


def test_a_clock_that_stands_still_is_anchored_again_within_the_lag() -> None:
    timeline, clock = new()
    sent = frames(2) + frames(2, first=2, timestamp=320, seconds=LAG_SECONDS + 1.0)
    assert place(timeline, clock, sent) == [0, 160, 48_000, 48_160]
    assert timeline.stalls == 1


def test_restarted_sequence_numbers_are_no_late_packets() -> None:
    timeline, clock = new()
    sent = frames(3, first=30_000) + frames(3, first=100, timestamp=480, seconds=0.06)
    assert place(timeline, clock, sent) == [n * FRAME for n in range(6)]
    assert timeline.late == 0


def test_another_clock_rate_is_anchored_by_arrival() -> None:
    timeline, clock = new()
    place(timeline, clock, frames(2))
    assert place(timeline, clock, [Sent(2, 99_999, 0.05)], rate=16_000) == [400]


def test_a_burst_is_contiguous_up_to_the_bound() -> None:
    timeline, clock = new()
    count = int(AHEAD_SECONDS / 0.02) + 1
    sent = [packet._replace(seconds=0.0) for packet in frames(count + 10)]
    placed = place(timeline, clock, sent)
    assert placed[:count] == [n * FRAME for n in range(count)]
    assert placed[count:] == [None] * 10
    assert timeline.ahead == 10


def test_nothing_is_placed_beyond_the_longest_recording() -> None:
    timeline, clock = new(Limits(recording_seconds=10.0))
    assert place(timeline, clock, [Sent(0, 0, 0.0), Sent(1, 160, 1e6)])[1] is None


def test_sources_are_bounded() -> None:
    timeline, clock = new(Limits(ssrcs_per_line=4))
    place(timeline, clock, [Sent(0, 0, 0.0, ssrc) for ssrc in range(100)])
    assert len(timeline._sources) == 4


packets = st.builds(
    Sent, st.integers(0, 65_535), st.integers(0, 2**32 - 1), st.floats(0, 100, allow_nan=False), st.integers(0, 2)
)


@given(st.lists(packets, max_size=60))
def test_whatever_comes_lies_between_horizon_and_bound(sent: list[Sent]) -> None:
    timeline, clock = new()
    for packet in sent:
        (sample,) = place(timeline, clock, [packet])
        if sample is not None:
            newest = clock.newest / TICKS_PER_SECOND
            assert sample / RATE >= newest - LAG_SECONDS - SKEW_SECONDS - Limits().reorder_seconds - 0.001
            assert sample / RATE <= newest + AHEAD_SECONDS + 0.001


@given(st.permutations(range(12)))
def test_any_order_within_the_window_gives_the_same_places(order: list[int]) -> None:
    sent = frames(12, first=65_530, timestamp=2**32 - 700)
    timeline, clock = new()
    placed = place(timeline, clock, [sent[n]._replace(seconds=0.0) for n in order])
    base = placed[order.index(0)]
    assert base is not None
    assert [None if at is None else at - base for at in placed] == [n * FRAME for n in order]


def test_timestamps_of_reports_are_located_beside_those_of_packets() -> None:
    clock = SessionClock(limits=Limits())
    timeline = Timeline(clock, limits=Limits())
    assert not timeline.is_placed(1)
    place(timeline, clock, frames(50, timestamp=0xFFFF_FF00, seconds=1.0))
    assert timeline.is_placed(1)
    arrival = clock.tick_at(3_000_000_000)
    for samples in (-1_000, 0, 8_000, 24_000):
        timestamp = (0xFFFF_FF00 + samples) & 0xFFFF_FFFF
        assert timeline.locate(1, timestamp, arrival=arrival) == samples * SAMPLE
    for samples in (8_000 * 60, -8_000 * 60, 1 << 31):
        timestamp = (0xFFFF_FF00 + samples) & 0xFFFF_FFFF
        assert timeline.locate(1, timestamp, arrival=arrival) is None
    timeline.hold(2_000_000_000)
    assert not timeline.is_placed(1)
