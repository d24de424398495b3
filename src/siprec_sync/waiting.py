"""Waiting for events in a thread."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic

from siprec_sync.events import EventQueue, EventT


class Bell:
    """Wakes one waiting thread; a ring that nobody waits for is kept."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        """Wake the thread that waits, or the next that will."""
        self._event.set()

    def wait_until(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until `ready` is true, checking at each ring; False when `timeout` seconds pass before that."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._event.clear()
            if ready():
                return True
            rest = None if deadline is None else deadline - time.monotonic()
            if rest is not None and rest <= 0:
                return False
            self._event.wait(rest)


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
