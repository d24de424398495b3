"""Live audio on its way to whoever listens: bounded queues that lose the oldest frames and never wait."""

from collections.abc import Callable
from typing import TypeAlias

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


CloseTap: TypeAlias = Callable[[float], None]
"""Closes one tap at the core; takes `now`."""


class AudioTaps:
    """The queues of all taps of one driver."""

    def __init__(self) -> None:
        self._queues: dict[TapId, tuple[AudioQueue, CloseTap]] = {}

    def __bool__(self) -> bool:
        """Tell whether anybody listens."""
        return any(not queue.closed for queue, _ in self._queues.values())

    def add(self, tap: TapId, queue: AudioQueue, close: CloseTap) -> None:
        """Hand the audio of a tap to `queue` from now on; `close` ends the tap when its listener has gone."""
        self._queues[tap] = queue, close

    def remove(self, tap: TapId) -> None:
        """Close the queue of a tap; harmless when there is none."""
        queue, _ = self._queues.pop(tap, (None, None))
        if queue is not None:
            queue.close()

    def perform(self, command: DeliverAudio | EndAudio) -> CloseTap | None:
        """Carry out a command of the core; gives what is to be called when nobody takes the audio of its tap any more.

        A listener goes by closing its queue, from whatever thread: nothing is decoded for it from then on.
        """
        queue, close = self._queues.get(command.tap, (None, None))
        if isinstance(command, EndAudio):
            self.remove(command.tap)
        elif queue is not None:
            for frame in command.frames:
                queue.put(frame)
            if queue.closed:
                self.remove(command.tap)
                return close
        return None

    def close(self) -> None:
        """Close all queues."""
        for tap in list(self._queues):
            self.remove(tap)
