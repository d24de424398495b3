"""Live audio between the core and whoever listens."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.codecs.registry import BUILT_IN
from siprec_core.limits import Limits
from siprec_core.media.listener import AudioFrame, LineListener
from siprec_core.recording.commands import DeliverAudio, EndAudio
from siprec_core.types import TapId
from siprec_sync.audio import AudioQueue, AudioTaps
from siprec_sync.pump import LIVE_TICK_SECONDS
from tests.core.media.lines import FORMATS, rtp

TAP = TapId("one/1")


def frame(number: int) -> AudioFrame:
    return AudioFrame(b"", 8_000, number, "1")


def test_the_oldest_frames_are_lost_first() -> None:
    rings = []
    queue = AudioQueue(lambda: rings.append(1), capacity=3)
    for number in range(5):
        queue.put(frame(number))
    assert [each.at_ns for each in iter(queue.take, None)] == [2, 3, 4]
    assert (queue.dropped, len(rings), queue.broken) == (2, 5, False)
    queue.close()
    queue.put(frame(9))
    assert queue.take() is None


def test_taps_have_their_queue_until_they_end() -> None:
    taps, queue = AudioTaps(), AudioQueue(lambda: None)
    closed: list[float] = []
    assert not taps
    taps.perform(DeliverAudio(tap=TAP, frames=(frame(0),)))
    taps.add(TAP, queue, closed.append)
    assert taps
    taps.perform(DeliverAudio(tap=TAP, frames=(frame(1), frame(2))))
    taps.perform(EndAudio(tap=TAP))
    taps.perform(EndAudio(tap=TAP))
    assert [each.at_ns for each in iter(queue.take, None)] == [1, 2]
    assert queue.closed
    assert not taps
    other = AudioQueue(lambda: None)
    taps.add(TAP, other, closed.append)
    taps.close()
    assert other.closed
    assert closed == []


def test_a_listener_that_has_gone_listens_no_more() -> None:
    taps, queue, closed = AudioTaps(), AudioQueue(lambda: None), list[float]()
    taps.add(TAP, queue, closed.append)
    assert taps.perform(DeliverAudio(tap=TAP, frames=(frame(0),))) is None
    queue.close()
    assert not taps
    close = taps.perform(DeliverAudio(tap=TAP, frames=(frame(1),)))
    assert close is not None
    close(5.0)
    assert closed == [5.0]
    assert taps.perform(DeliverAudio(tap=TAP, frames=(frame(2),))) is None
    assert [each.at_ns for each in iter(queue.take, None)] == [0]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), jitter=st.sampled_from((0.0, 0.01, 0.04)), loss=st.sampled_from((0.0, 0.05, 0.2)))
def test_a_frame_is_there_within_150_ms_of_its_packet(seed: int, jitter: float, loss: float) -> None:
    """On a pretend clock: sockets are read every LIVE_TICK_SECONDS, deadlines of the listener are kept."""
    chance = random.Random(seed)
    arrivals = sorted(
        (number * 0.02 + chance.random() * jitter, number) for number in range(100) if chance.random() >= loss
    )
    listener = LineListener("1", codecs=BUILT_IN, limits=Limits())
    listener.agree({entry.payload_type: entry for entry in FORMATS})
    now, next_tick, heard = 0.0, LIVE_TICK_SECONDS, 0
    while arrivals or listener.next_timeout() is not None:
        now = min(next_tick, listener.next_timeout() or next_tick)
        if now == next_tick:
            next_tick += LIVE_TICK_SECONDS
            while arrivals and arrivals[0][0] <= now:
                at, number = arrivals.pop(0)
                listener.receive(rtp(number), at_ns=round(at * 1e9), arrival=at)
        for frame in listener.take(now=now):
            heard += not frame.concealed
            assert now - frame.at_ns / 1e9 < 0.15
    assert heard > 50
