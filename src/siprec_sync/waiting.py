"""Waiting for events in a thread."""

import threading
from collections.abc import Callable, Iterator
from typing import Generic

from siprec_sync.events import EventQueue, EventT


class Bell:
    """Wakes the threads that wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()

    def ring(self) -> None:
        """Have the threads that wait look again."""
        with self._changed:
            self._changed.notify_all()

    def wait_until(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until `ready` is true, checking at each ring; False when `timeout` seconds pass before that."""
        with self._changed:
            return self._changed.wait_for(ready, timeout)


class EventStream(Iterator[EventT], Generic[EventT]):
    """Events as they happen, for one thread; the iteration waits for the next and ends with their source."""

    def __init__(self, make_queue: Callable[[Callable[[], None]], EventQueue[EventT]]) -> None:
        self._bell = Bell()
        self.queue = make_queue(self._bell.ring)

    def __next__(self) -> EventT:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def next(self, timeout: float | None = None) -> EventT | None:
        """Wait for the next event, up to `timeout` seconds if given; None at the end, or when none came in time.

        Raises SlowReaderError when events that matter were lost because they were not read.
        """
        self._bell.wait_until(lambda: self.queue.ready, timeout)
        return self.queue.take()
