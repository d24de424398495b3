"""Events on their way to the application: bounded queues, and lines in the log. Readers may be in other threads.

The queues do not wait: a frontend gives each a `notify` to wake its reader.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar, assert_never

from siprec_core.errors import SiprecError
from siprec_core.findings import Severity
from siprec_core.recording.call_events import (
    AudioFinished,
    CallEvent,
    ChangeConcluded,
    RecordingAnswered,
    RecordingAttempted,
    RecordingEnded,
    RecordingProceeding,
    RecordingRefused,
    ServerFailed,
)
from siprec_core.recording.events import (
    Diagnostic,
    DigitReceived,
    Event,
    FindingRaised,
    MetadataUpdated,
    ServerDrained,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
    SourceFound,
    StreamsChanged,
    StreamStalled,
)
from siprec_core.types import SessionId

LOGGER = logging.getLogger("siprec")

EventT = TypeVar("EventT")
EventT_contra = TypeVar("EventT_contra", contravariant=True)
SessionT = TypeVar("SessionT")

_LEVELS = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING, Severity.INFO: logging.INFO}


class SlowReaderError(SiprecError):
    """The reader of an event queue fell so far behind that events it may rely on had to be dropped."""


class EventQueue(Generic[EventT]):
    """Events for one reader.

    From `capacity` events on, those that only inform (findings, diagnostics, metadata, sources, digits) are dropped and
    counted. Those that an application acts on are kept up to twice as many; beyond that the queue breaks and says so,
    rather than lie by omission. After an event of which `until` is true the queue closes itself.
    """

    def __init__(
        self,
        notify: Callable[[], None],
        *,
        accepts: Callable[[EventT], bool] | None = None,
        until: Callable[[EventT], bool] | None = None,
        capacity: int = 10_000,
    ) -> None:
        self._notify = notify
        self._accepts = accepts
        self._until = until
        self._capacity = capacity
        self._events: deque[EventT] = deque()
        self.dropped = 0
        """Events dropped because the reader is slow."""
        self.broken = False
        self.closed = False

    def put(self, event: EventT) -> None:
        """Offer an event."""
        if self.closed or self.broken or (self._accepts is not None and not self._accepts(event)):
            return
        if len(self._events) >= self._capacity:
            if _only_informs(event):
                self.dropped += 1
                return
            if len(self._events) >= 2 * self._capacity:
                self.broken = True
                self._notify()
                return
        self._events.append(event)
        if self._until is not None and self._until(event):
            self.closed = True
        self._notify()

    @property
    def ready(self) -> bool:
        """True when `take` gives an event or the end."""
        return bool(self._events) or self.closed or self.broken

    def take(self) -> EventT | None:
        """Take the oldest event, None when there is none now.

        Raises SlowReaderError where a broken queue ends.
        """
        if self._events:
            return self._events.popleft()
        if self.broken:
            raise SlowReaderError("the reader of the events fell behind and lost some: read faster or filter")
        return None

    def close(self) -> None:
        """Say that no event will follow."""
        self.closed = True
        self._notify()


class Reader(Protocol[EventT_contra]):
    """What a hub hands events to."""

    closed: bool
    """True when nothing more is wanted."""

    def put(self, event: EventT_contra) -> None:
        """Offer an event."""

    def close(self) -> None:
        """Say that no event will follow."""


class SessionFeed(Generic[SessionT]):
    """Sessions for one reader, made by `make` when they are requested.

    `make` gives the frontend's object for a session and the queue that takes its events from then on.
    """

    def __init__(
        self,
        hub: "EventHub[Event]",
        notify: Callable[[], None],
        make: Callable[[SessionRequested], tuple[SessionT, EventQueue[Event]]],
        *,
        capacity: int = 10_000,
    ) -> None:
        self._hub = hub
        self._notify = notify
        self._make = make
        self._capacity = capacity
        self._sessions: deque[SessionT] = deque()
        self.closed = False
        self.broken = False

    def put(self, event: Event) -> None:
        """Take note of a session that begins."""
        if not isinstance(event, SessionRequested) or self.closed or self.broken:
            return
        if len(self._sessions) >= self._capacity:
            self.broken = True
        else:
            session, queue = self._make(event)
            self._hub.add(queue)
            self._sessions.append(session)
        self._notify()

    def preload(self, sessions: Iterable[SessionT]) -> None:
        """Begin with sessions that are running already."""
        self._sessions.extend(sessions)

    @property
    def ready(self) -> bool:
        """True when `take` gives a session or the end."""
        return bool(self._sessions) or self.closed or self.broken

    def take(self) -> SessionT | None:
        """Take the oldest session not yet taken. Raises SlowReaderError where a broken feed ends."""
        if self._sessions:
            return self._sessions.popleft()
        if self.broken:
            raise SlowReaderError("the reader of the sessions fell behind and lost some")
        return None

    def close(self) -> None:
        """Say that no session will follow."""
        self.closed = True
        self._notify()


class EventHub(Generic[EventT]):
    """Hands each event to the log and to every reader."""

    def __init__(self, log: Callable[[EventT], None]) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._readers: list[Reader[EventT]] = []
        self._closed = False

    def add(self, *readers: Reader[EventT]) -> None:
        """Add readers; after the end they are closed at once."""
        with self._lock:
            if not self._closed:
                self._readers += readers
                return
        for reader in readers:
            reader.close()

    def remove(self, reader: Reader[EventT]) -> None:
        """Forget a reader; harmless when it is not there."""
        with self._lock:
            if reader in self._readers:
                self._readers.remove(reader)

    def publish(self, event: EventT) -> None:
        """Log an event and hand it to each reader."""
        self._log(event)
        for reader in self._readers_of(event):
            reader.put(event)
            if reader.closed:
                self.remove(reader)

    def close(self) -> None:
        """Close all readers, and those that come later."""
        with self._lock:
            self._closed = True
            readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()

    def _readers_of(self, event: EventT) -> list[Reader[EventT]]:
        del event
        with self._lock:
            return list(self._readers)


class ServerHub(EventHub[Event]):
    """The hub of a server, which remembers the sessions that run."""

    def __init__(self) -> None:
        super().__init__(log_event)
        self._live: dict[SessionId, SessionRequested] = {}

    def follow_sessions(
        self, notify: Callable[[], None], make: Callable[[SessionRequested], tuple[SessionT, EventQueue[Event]]]
    ) -> SessionFeed[SessionT]:
        """Open a feed of the sessions that run now and of all that follow."""
        feed = SessionFeed(self, notify, make)
        with self._lock:
            if not self._closed:
                # Under the lock no event comes between the running sessions and those that follow.
                entries = [make(requested) for requested in self._live.values()]
                feed.preload(session for session, _ in entries)
                self._readers += [feed, *(queue for _, queue in entries)]
                return feed
        feed.close()
        return feed

    def _readers_of(self, event: Event) -> list[Reader[Event]]:
        with self._lock:
            self._note(event)
            return list(self._readers)

    def _note(self, event: Event) -> None:
        match event:
            case SessionRequested():
                self._live[event.session] = event
            case SessionEnded():
                self._live.pop(event.session, None)
            case SessionRefused():
                refused = [requested for requested in self._live.values() if requested.call_id == event.call_id]
                for requested in refused:
                    del self._live[requested.session]
            case _:
                pass


def session_queue(requested: SessionRequested, notify: Callable[[], None]) -> EventQueue[Event]:
    """Make the queue of one session's events; it closes behind the last of them."""

    def belongs(event: Event) -> bool:
        return session_of(event) == requested.session or refuses(event)

    def refuses(event: Event) -> bool:
        return isinstance(event, SessionRefused) and event.call_id == requested.call_id

    return EventQueue(notify, accepts=belongs, until=lambda event: isinstance(event, SessionEnded) or refuses(event))


def session_of(event: Event) -> SessionId | None:
    """Give the session that an event is about, None when it is about the server."""
    return None if isinstance(event, (SessionRefused, ServerDrained)) else event.session


def log_event(event: Event) -> None:
    """Write an event to the logger `siprec`, one line, whatever a peer put into its texts."""
    match event:
        case Diagnostic():
            level, text = _LEVELS[event.severity], f"{event.code}: {event.detail}"
        case FindingRaised():
            # A peer's fault is no error of this server.
            level = logging.DEBUG if event.finding.severity is Severity.INFO else logging.INFO
            text = f"finding {event.finding.code} at {event.finding.where}: {event.finding.message}"
        case SessionRequested():
            level, text = (
                logging.INFO,
                f"{_begun(event)} {event.peer} over {event.transport.value}, Call-ID {event.call_id}",
            )
        case SessionEstablished():
            level, text = logging.INFO, f"established, streams {', '.join(event.labels)}"
        case StreamsChanged():
            level, text = logging.INFO, f"streams are now {', '.join(event.labels)}"
        case MetadataUpdated():
            level, text = logging.DEBUG, "metadata, complete" if event.complete else "metadata, partial"
        case SourceFound():
            level, text = logging.INFO, f"stream {event.label} comes from {event.source}, SSRC {event.ssrc:#010x}"
        case DigitReceived():
            # Digits may be a card's number, so logs tell only that there was one.
            level, text = logging.DEBUG, "a key was pressed"
        case StreamStalled():
            level, text = logging.WARNING, f"stream {event.label}: no packet for {event.seconds:.0f} s"
            text = "; ".join((text, *event.reasons))
        case SessionEnded():
            level = logging.INFO if event.status == "completed" else logging.ERROR
            text = f"ended ({event.reason}), {event.status}, {event.directory}"
        case SessionRefused():
            level, text = logging.INFO, f"refused {event.peer}: {event.status} {event.reason}, Call-ID {event.call_id}"
        case ServerDrained():
            level, text = logging.INFO, "all sessions have ended"
        case _:
            assert_never(event)
    if LOGGER.isEnabledFor(level):
        session = session_of(event)
        LOGGER.log(level, "%s%s", f"{session} " if session else "", printable(text))


def _begun(event: SessionRequested) -> str:
    return "requested by" if event.initiator == "client" else "asked of"


def log_call_event(event: CallEvent) -> None:
    """Write an event of a recording client to the logger `siprec`, one line."""
    match event:
        case RecordingAttempted():
            level, text = logging.INFO, f"calling {event.hop.remote} over {event.hop.transport.value}"
        case RecordingProceeding():
            level, text = logging.DEBUG, f"not yet: {event.status} {event.reason}"
        case RecordingAnswered():
            level, text = logging.INFO, f"answered, streams {', '.join(event.labels)}"
        case ServerFailed():
            level, text = logging.WARNING, f"{event.uri} does not record: {event.status} {event.reason}"
        case RecordingRefused():
            # Whoever waits for the answer is told by an exception.
            level, text = logging.INFO, f"refused: {event.status} {event.reason}"
        case ChangeConcluded(outcome=outcome):
            level = logging.INFO if outcome.taken else logging.WARNING
            text = f"change {'taken' if outcome.taken else 'refused'}: {outcome.status} {outcome.reason}"
        case AudioFinished():
            level, text = logging.DEBUG, f"stream {event.label}: {event.packets} packets sent"
        case RecordingEnded():
            level, text = logging.INFO, f"ended ({event.reason})"
        case _:
            assert_never(event)
    LOGGER.log(level, "%s", printable(text))


def printable(text: str, *, longest: int = 1_000) -> str:
    """Make a text of a peer's fit for one line of a log: control characters escaped, length bounded."""
    if len(text) > longest:
        text = f"{text[:longest]}..."
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "backslashreplace").decode("ascii")
        for character in text
    )


def _only_informs(event: object) -> bool:
    return isinstance(event, (FindingRaised, Diagnostic, MetadataUpdated, SourceFound, DigitReceived, StreamStalled))
