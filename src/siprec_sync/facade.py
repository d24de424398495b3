"""What the server objects of both frontends have in common: everything but the waiting."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from siprec_core.recording.events import Event, SessionRequested
from siprec_core.recording.outbound import RecordSpec
from siprec_core.types import SessionId
from siprec_sync.assembly import Assembly
from siprec_sync.listeners import Listener
from siprec_sync.pump import Core, EventT

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

    def record(self, target: RecordSpec, *, now: float) -> SessionId:
        """Ask a recording client for a session."""

    def shut_down(self, *, drain_seconds: float, now: float) -> None:
        """Take no new sessions, end the running ones; `ServerDrained` follows."""


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

    @abstractmethod
    def request(self, function: Callable[[CoreT, float], ResultT]) -> ResultT:
        """Call `function` with the core and `now` as an input of the core, and give its answer.

        Raises what it raises; DriverFailedError when the driver failed, LocalProtocolError when it was stopped.
        """


class ServerFacade(Facade[ServerCoreT, Event]):
    """The decisions about sessions."""

    def accept(self, session: SessionId) -> None:
        """Answer a call that waits for a decision. Raises LocalProtocolError when it does not wait."""
        self.request(lambda core, now: core.accept(session, now=now))

    def reject(self, session: SessionId, status: int) -> None:
        """Refuse a call that waits for a decision. Raises LocalProtocolError when it does not wait."""
        self.request(lambda core, now: core.reject(session, status, now=now))

    def end(self, session: SessionId) -> None:
        """End a recording by BYE. Raises LocalProtocolError when it is not running."""
        self.request(lambda core, now: core.end(session, now=now))


class SessionControl(Protocol):
    """Takes the decisions about sessions: a server."""

    def accept(self, session: SessionId) -> None:
        """Answer a call that waits for a decision."""

    def reject(self, session: SessionId, status: int) -> None:
        """Refuse a call that waits for a decision."""

    def end(self, session: SessionId) -> None:
        """End a recording by BYE."""


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
        """End the recording by BYE. Raises LocalProtocolError when it is not running."""
        self._server.end(self.id)
