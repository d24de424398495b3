"""Live audio on its way to whoever listens: bounded queues that lose the oldest frames and never wait."""

from collections.abc import Callable

from siprec_core.media.listener import AudioFrame
from siprec_core.recording.commands import DeliverAudio, EndAudio
from siprec_core.types import TapId
from siprec_sync.events import EventQueue

QUEUE_FRAMES = 500
"""Frames that wait for a listener at most: ten seconds of packets of 20 ms."""


class AudioQueue(EventQueue[AudioFrame]):
    """Frames for one listener, who may be in another thread. When it is full the oldest one is dropped and counted."""

    def __init__(self, notify: Callable[[], None], *, capacity: int = QUEUE_FRAMES) -> None:
        super().__init__(notify, capacity=capacity)

    def put(self, event: AudioFrame) -> None:
        """Offer a frame."""
        if self.closed:
            return
        if len(self._events) >= self._capacity:
            try:
                self._events.popleft()
                self.dropped += 1
            except IndexError:
                pass  # the listener was quicker
        self._events.append(event)
        self._notify()


class AudioTaps:
    """The queues of all taps of one driver."""

    def __init__(self) -> None:
        self._queues: dict[TapId, AudioQueue] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, tap: TapId, queue: AudioQueue) -> None:
        """Hand the audio of a tap to `queue` from now on."""
        self._queues[tap] = queue

    def remove(self, tap: TapId) -> None:
        """Close the queue of a tap; harmless when there is none."""
        queue = self._queues.pop(tap, None)
        if queue is not None:
            queue.close()

    def perform(self, command: DeliverAudio | EndAudio) -> None:
        """Carry out a command of the core."""
        if isinstance(command, EndAudio):
            self.remove(command.tap)
            return
        queue = self._queues.get(command.tap)
        if queue is not None:
            for frame in command.frames:
                queue.put(frame)

    def close(self) -> None:
        """Close all queues."""
        for tap in list(self._queues):
            self.remove(tap)
