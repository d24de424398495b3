"""What the server objects of both frontends have in common: everything but the waiting."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from siprec_core.codecs.registry import Codecs
from siprec_core.recording.events import Event, SessionRequested
from siprec_core.recording.outbound import RecordSpec
from siprec_core.recording.session_info import SessionInfo
from siprec_core.types import SessionId, TapId
from siprec_sync.assembly import Assembly
from siprec_sync.audio import AudioQueue
from siprec_sync.codecs import installed_codecs
from siprec_sync.listeners import Bind, Listener
from siprec_sync.pump import Core, EventT
from siprec_sync.tls import TlsFiles

_SESSIONS_AT_A_TIME = 50
"""Sessions looked at in one input of the core."""
DEFAULT_BINDS = ("udp://127.0.0.1:5060", "tcp://127.0.0.1:5060")
"""Where a server listens that was told nothing: on this machine only."""


class ServerCore(Core[Event], Protocol):
    """What the server frontends use of `RecordingServer` besides the doors of every core."""

    def accept(self, session: SessionId, *, now: float) -> None:
        """Answer a session that waits for a decision."""

    def reject(self, session: SessionId, status: int, *, now: float) -> None:
        """Refuse a session that waits for a decision."""

    def end(self, session: SessionId, *, now: float) -> None:
        """End a session by BYE."""

    def pause(self, session: SessionId, *, now: float) -> None:
        """Hold all media of a session."""

    def resume(self, session: SessionId, *, now: float) -> None:
        """Go on with a session that was paused."""

    def request_snapshot(self, session: SessionId, *, reason: str | None = None, now: float) -> None:
        """Ask the client for all its metadata."""

    def mark(self, session: SessionId, text: str, *, now: float) -> None:
        """Keep a text in the recording of a session."""

    def record(self, target: RecordSpec, *, now: float) -> SessionId:
        """Ask a recording client for a session."""

    def tap_audio(self, session: SessionId, label: str | None, *, codecs: Codecs, now: float) -> TapId:
        """Listen to a stream, or to all."""

    def close_tap(self, session: SessionId, tap: TapId, *, now: float) -> None:
        """Listen no more."""

    def shut_down(self, *, drain_seconds: float, now: float) -> None:
        """Take no new sessions, end the running ones; `ServerDrained` follows."""

    def session_ids(self) -> tuple[SessionId, ...]:
        """Name the sessions that are not over."""

    def session(self, session: SessionId) -> SessionInfo | None:
        """Give one session as it stands."""


CoreT = TypeVar("CoreT")
ServerCoreT = TypeVar("ServerCoreT", bound=ServerCore)
ResultT = TypeVar("ResultT")


class Facade(ABC, Generic[CoreT, EventT]):
    """A core behind a running driver."""

    def __init__(self, core: CoreT, assembly: Assembly[EventT]) -> None:
        self.core = core
        """The machine itself; touch it only within `request`."""
        self._assembly = assembly

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Where we listen, with the ports really bound."""
        return self._assembly.listeners

    @property
    def failed(self) -> BaseException | None:
        """The fault that stopped the driver, None while all is well."""
        return self._assembly.pump.failed

    def call_soon(self, function: Callable[[CoreT, float], object]) -> None:
        """Have the driver's next turn call `function` with the core and `now`; from any thread, without an answer."""
        self._assembly.pump.call(partial(function, self.core))

    def renew_tls(self, tls: TlsFiles | None, binds: Sequence[Bind] = ()) -> None:
        """Read certificates again: connections to come get them, those that stand keep theirs. From any thread.

        `binds` are those of the listeners, in their order, where one has a certificate of its own. Raises
        ConfigurationError; then everything stays as it was.
        """
        self._assembly.renew_tls(tls, binds)

    @abstractmethod
    def request(self, function: Callable[[CoreT, float], ResultT]) -> ResultT:
        """Call `function` with the core and `now` as an input of the core, and give its answer.

        Raises what it raises; DriverFailedError when the driver failed, LocalProtocolError when it was stopped.
        """


class ServerFacade(Facade[ServerCoreT, Event]):
    """The decisions about sessions, and what is to be seen of them, for any thread or task."""

    def sessions(self) -> dict[SessionId, SessionInfo]:
        """Give the sessions that are not over, each as it stands; the oldest first.

        Many are looked at in several inputs, so that media and signalling go on in between.
        """
        ids = self.request(lambda core, now: core.session_ids())
        found: dict[SessionId, SessionInfo] = {}
        for start in range(0, len(ids), _SESSIONS_AT_A_TIME):
            found.update(self.request(partial(_look_at, ids[start : start + _SESSIONS_AT_A_TIME])))
        return found

    def session(self, session: SessionId) -> SessionInfo | None:
        """Give one session as it stands, None when it is over or never was."""
        return self.request(lambda core, now: core.session(session))

    def accept(self, session: SessionId) -> None:
        """Answer a call that waits for a decision. Raises LocalProtocolError when it does not wait."""
        self.request(lambda core, now: core.accept(session, now=now))

    def reject(self, session: SessionId, status: int) -> None:
        """Refuse a call that waits for a decision. Raises LocalProtocolError when it does not wait."""
        self.request(lambda core, now: core.reject(session, status, now=now))

    def end(self, session: SessionId) -> None:
        """End a recording by BYE; nothing when it has ended."""
        self.request(lambda core, now: core.end(session, now=now))

    def pause(self, session: SessionId) -> None:
        """Have the client hold all media by re-INVITE with `a=inactive` (RFC 7866 section 7.2).

        `StreamsChanged` tells that it does, the finding `change-refused` that it does not. Raises LocalProtocolError
        for a session that is not active, is paused, or has a change under way.
        """
        self.request(lambda core, now: core.pause(session, now=now))

    def resume(self, session: SessionId) -> None:
        """Go on with a session that was paused; as `pause`."""
        self.request(lambda core, now: core.resume(session, now=now))

    def request_snapshot(self, session: SessionId, *, reason: str | None = None) -> None:
        """Ask the client for all its metadata by UPDATE, with a `reason` for people (RFC 7866 section 9.2).

        `MetadataUpdated` tells that it came. Raises LocalProtocolError for a session that is not active, or whose
        client does not allow UPDATE.
        """
        self.request(lambda core, now: core.request_snapshot(session, reason=reason, now=now))

    def mark(self, session: SessionId, text: str) -> None:
        """Keep a text in the timeline and the journal of a session, with this instant.

        Raises LocalProtocolError for a session that is not active, and for what is not one line of printable text.
        """
        self.request(lambda core, now: core.mark(session, text, now=now))

    def tap_audio(self, session: SessionId, label: str | None, queue: AudioQueue) -> TapId:
        """Have the live audio of a stream, or of all, put into `queue` until the session ends or the queue is
        closed.

        Raises LocalProtocolError when the session is not active, has no such stream, or too many listen.
        """
        pump = self._assembly.pump

        def tap(core: ServerCoreT, now: float) -> TapId:
            found = core.tap_audio(session, label, codecs=installed_codecs(), now=now)
            pump.listen(found, queue, lambda now: core.close_tap(session, found, now=now))
            return found

        return self.request(tap)

    def close_tap(self, session: SessionId, tap: TapId) -> None:
        """End that; the queue closes. Harmless when it has ended."""
        pump = self._assembly.pump

        def close(core: ServerCoreT, now: float) -> None:
            core.close_tap(session, tap, now=now)
            pump.stop_listening(tap)

        self.request(close)


def _look_at(ids: tuple[SessionId, ...], core: ServerCore, now: float) -> dict[SessionId, SessionInfo]:
    del now
    return {each: found for each in ids if (found := core.session(each)) is not None}


class SessionControl(Protocol):
    """Takes the decisions about sessions: a server."""

    def accept(self, session: SessionId) -> None:
        """Answer a call that waits for a decision."""

    def reject(self, session: SessionId, status: int) -> None:
        """Refuse a call that waits for a decision."""

    def end(self, session: SessionId) -> None:
        """End a recording by BYE."""

    def pause(self, session: SessionId) -> None:
        """Have the client hold all media."""

    def resume(self, session: SessionId) -> None:
        """Go on with a session that was paused."""

    def request_snapshot(self, session: SessionId, *, reason: str | None = None) -> None:
        """Ask the client for all its metadata."""

    def mark(self, session: SessionId, text: str) -> None:
        """Keep a text in the recording."""

    def tap_audio(self, session: SessionId, label: str | None, queue: AudioQueue) -> TapId:
        """Have live audio put into `queue`."""

    def close_tap(self, session: SessionId, tap: TapId) -> None:
        """End that."""


class SessionActions:
    """One recording session as the application sees it."""

    def __init__(self, requested: SessionRequested, server: SessionControl) -> None:
        self.requested = requested
        """Who asked, how, with which Call-ID."""
        self._server = server

    @property
    def id(self) -> SessionId:
        """Id of the recording."""
        return self.requested.session

    def accept(self) -> None:
        """Answer a call that waits for a decision. Raises LocalProtocolError when it does not wait."""
        self._server.accept(self.id)

    def reject(self, status: int) -> None:
        """Refuse a call that waits for a decision. Raises LocalProtocolError when it does not wait."""
        self._server.reject(self.id, status)

    def end(self) -> None:
        """End the recording by BYE; nothing when it has ended."""
        self._server.end(self.id)

    def pause(self) -> None:
        """Have the client hold all media, as `Server.pause` does."""
        self._server.pause(self.id)

    def resume(self) -> None:
        """Go on after `pause`, as `Server.resume` does."""
        self._server.resume(self.id)

    def request_snapshot(self, *, reason: str | None = None) -> None:
        """Ask the client for all its metadata, as `Server.request_snapshot` does."""
        self._server.request_snapshot(self.id, reason=reason)

    def mark(self, text: str) -> None:
        """Keep a text in timeline and journal, as `Server.mark` does."""
        self._server.mark(self.id, text)
