"""Waiting for events in a task."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Generic

import anyio
from siprec_sync.events import EventQueue, EventT


class Bell:
    """Wakes the tasks that wait."""

    def __init__(self) -> None:
        self._rung: anyio.Event | None = None
        """What the tasks wait for, None when none does."""

    def ring(self) -> None:
        """Have the tasks that wait look again."""
        rung, self._rung = self._rung, None
        if rung is not None:
            rung.set()

    async def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait until `ready` is true, checking at each ring."""
        while not ready():
            self._rung = rung = self._rung or anyio.Event()
            await rung.wait()


async def each_frame(frames: bytes | Iterable[bytes] | AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Give audio piece by piece, whether all of it is there or it comes."""
    if isinstance(frames, bytes):
        yield frames
    elif isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
    else:
        for frame in frames:
            yield frame


class EventStream(AsyncIterator[EventT], Generic[EventT]):
    """Events as they happen, for one task; the iteration waits for the next and ends with their source."""

    def __init__(self, make_queue: Callable[[Callable[[], None]], EventQueue[EventT]]) -> None:
        self._bell = Bell()
        self.queue = make_queue(self._bell.ring)

    async def __anext__(self) -> EventT:
        event = await self.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def next(self) -> EventT | None:
        """Wait for the next event; None at the end.

        Raises SlowReaderError when events that matter were lost because they were not read.
        """
        await self._bell.wait_until(lambda: self.queue.ready)
        return self.queue.take()
