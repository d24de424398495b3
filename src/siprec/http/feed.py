"""The latest events of a server, numbered, for any number of readers who may be slow, leave, and come back.

There is one bounded backlog and no queue of any reader: who falls behind is told how many events it missed, and who
stops reading costs nothing but its place.
"""

import re
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final

import anyio
from siprec.http.event_json import event_json, event_name
from siprec_anyio.waiting import Bell
from siprec_core.recording.events import Event, ServerDrained
from siprec_core.types import SessionId
from siprec_sync.events import session_of

BACKLOG_SIZE: Final = 10_000
"""Events that are kept for readers who come back."""
KEEP_ALIVE_SECONDS: Final = 15.0
"""A line goes out at least so often, so that nobody in between takes a quiet stream for a dead one."""
_RETRY_MILLISECONDS: Final = 2_000
_AT_A_TIME: Final = 200
"""Events written in one piece."""
_ID: Final = re.compile(r"(?P<run>[0-9a-f]{1,32})-(?P<number>\d{1,18})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One event as it goes out."""

    number: int
    """From 1."""
    session: SessionId | None
    name: str
    data: str
    """JSON, one line."""


class EventFeed:
    """The backlog. `put` and `close` are for any thread, the rest belongs to the loop of the readers."""

    def __init__(
        self,
        run: str,
        *,
        wake: Callable[[Callable[[], None]], None] = lambda ring: ring(),
        capacity: int = BACKLOG_SIZE,
    ) -> None:
        """`run` tells one start of the program from another, in lower hexadecimal digits.

        `wake` has the readers' loop call a function soon; without it everything happens in that loop.
        """
        self._run = run
        self._wake = wake
        self._entries: list[FeedEntry | None] = [None] * capacity
        self._lock = threading.Lock()
        self._last = 0
        self._bell = Bell()
        self._rung = False
        self.closed = False
        """True when nothing more will come."""
        self._drained = False

    @property
    def last(self) -> int:
        """Number of the latest event, 0 before any."""
        return self._last

    def put(self, event: Event) -> None:
        """Add an event."""
        name, data = event_name(event), event_json(event)
        with self._lock:
            number = self._last + 1
            self._entries[number % len(self._entries)] = FeedEntry(number, session_of(event), name, data)
            self._last = number
        self._drained = self._drained or isinstance(event, ServerDrained)
        self._notify()

    def close(self) -> None:
        """Say that nothing more will come."""
        self.closed = True
        self._notify()

    def since(self, number: int) -> tuple[int, list[FeedEntry]]:
        """Give how many of the events behind `number` are gone, and the next ones."""
        with self._lock:
            first = max(number + 1, self._last - len(self._entries) + 1)
            following = range(first, min(self._last, first + _AT_A_TIME - 1) + 1)
            entries = [entry for each in following if (entry := self._entries[each % len(self._entries)]) is not None]
        return first - number - 1, entries

    def position_of(self, last_event_id: str | None) -> tuple[int, bool]:
        """Give the number behind which a reader goes on, and whether events before that are lost to it.

        A reader without an id begins now. One that knows another run of the program gets all there is of this one.
        """
        if last_event_id is None:
            return self._last, False
        match = _ID.match(last_event_id.strip())
        if match is None or match["run"] != self._run or int(match["number"]) > self._last:
            return 0, True
        return int(match["number"]), False

    async def wait_beyond(self, number: int) -> None:
        """Wait for an event behind `number`, or for the end."""
        await self._bell.wait_until(lambda: self._last > number or self.closed)

    async def wait_drained(self) -> None:
        """Wait for the last event of a server that is shut down."""
        await self._bell.wait_until(lambda: self._drained or self.closed)

    async def wait_closed(self) -> None:
        """Wait for the end."""
        await self._bell.wait_until(lambda: self.closed)

    async def stream(self, last_event_id: str | None, session: SessionId | None = None) -> AsyncGenerator[bytes]:
        """Give the server-sent events from an id on, those of one session or all, with a line at least now and then."""
        position, restarted = self.position_of(last_event_id)
        # The id is told at once, so that who comes back before the first event misses none.
        yield f"retry: {_RETRY_MILLISECONDS}\nid: {self._run}-{position}\n\n".encode()
        if restarted:
            yield self._gap(None, position)
        while True:
            missed, entries = self.since(position)
            position += missed + len(entries)
            if missed:
                yield self._gap(missed, position - len(entries))
            if entries:
                wanted = [entry for entry in entries if session is None or entry.session == session]
                if wanted:
                    yield b"".join(map(self._written, wanted))
                continue
            if self.closed:
                return
            with anyio.move_on_after(KEEP_ALIVE_SECONDS) as waiting:
                await self.wait_beyond(position)
            if waiting.cancelled_caught:
                yield b": keep-alive\n\n"

    def _written(self, entry: FeedEntry) -> bytes:
        return f"id: {self._run}-{entry.number}\nevent: {entry.name}\ndata: {entry.data}\n\n".encode()

    def _gap(self, missed: int | None, position: int) -> bytes:
        count = "null" if missed is None else str(missed)
        return f'id: {self._run}-{position}\nevent: gap\ndata: {{"event": "gap", "missed": {count}}}\n\n'.encode()

    def _notify(self) -> None:
        # One ring for many events, however far behind the readers' loop is.
        if not self._rung:
            self._rung = True
            self._wake(self._wake_readers)

    def _wake_readers(self) -> None:
        self._rung = False
        self._bell.ring()
