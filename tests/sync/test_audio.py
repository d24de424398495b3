from siprec_core.media.listener import AudioFrame
from siprec_core.recording.commands import DeliverAudio, EndAudio
from siprec_core.types import TapId
from siprec_sync.audio import AudioQueue, AudioTaps

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
    assert not taps
    taps.perform(DeliverAudio(tap=TAP, frames=(frame(0),)))
    taps.add(TAP, queue)
    assert taps
    taps.perform(DeliverAudio(tap=TAP, frames=(frame(1), frame(2))))
    taps.perform(EndAudio(tap=TAP))
    taps.perform(EndAudio(tap=TAP))
    assert [each.at_ns for each in iter(queue.take, None)] == [1, 2]
    assert queue.closed
    assert not taps
    other = AudioQueue(lambda: None)
    taps.add(TAP, other)
    taps.close()
    assert other.closed
