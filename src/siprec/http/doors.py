"""How the HTTP side asks the server: in its loop at once, from another thread without holding up either."""

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import anyio
from anyio import lowlevel, to_thread
from siprec_core.recording.events import Event
from siprec_core.recording.session_info import SessionInfo
from siprec_core.server import RecordingServer
from siprec_core.types import SessionId
from siprec_sync.facade import Facade
from siprec_sync.pump import DriverFailedError

_PATIENCE_SECONDS: Final = 5.0
"""How long an answer of the server's thread is waited for."""
SESSIONS_AT_A_TIME: Final = 50
"""Sessions looked at in one input of the core; media and signalling go on in between."""

AnswerT = TypeVar("AnswerT")


class UnavailableError(Exception):
    """The server does not answer: its driver has ended or stands still."""


class Doors:
    """The core of a running server, for tasks of the HTTP side."""

    def __init__(self, server: Facade[RecordingServer, Event], *, threaded: bool) -> None:
        """`threaded` tells that the server runs in another thread than the HTTP side."""
        self.server = server
        self._threaded = threaded

    async def ask(self, function: Callable[[RecordingServer, float], AnswerT]) -> AnswerT:
        """Call `function` with the core and `now`. Raises what it raises, and UnavailableError."""
        try:
            if not self._threaded:
                return self.server.request(function)
            with anyio.fail_after(_PATIENCE_SECONDS):
                return await to_thread.run_sync(self.server.request, function, abandon_on_cancel=True)
        except TimeoutError:
            raise UnavailableError("the server does not answer") from None
        except DriverFailedError as error:
            raise UnavailableError(str(error)) from error

    async def session(self, session: SessionId) -> SessionInfo | None:
        """Give one session as it stands, None when it is over or never was."""
        return await self.ask(lambda core, now: core.session(session))

    async def session_ids(self) -> tuple[SessionId, ...]:
        """Name the sessions that are not over, the oldest first."""
        return await self.ask(lambda core, now: core.session_ids())

    async def sessions(self, ids: tuple[SessionId, ...]) -> list[SessionInfo]:
        """Give those of some sessions that are not over, then let others have their turn."""
        found = await self.ask(partial(_look_at, ids))
        await lowlevel.checkpoint()
        return found

    async def change(
        self, session: SessionId, change: Callable[[RecordingServer, float], object]
    ) -> SessionInfo | None:
        """Change a session and give it as it stands then, None when it is over or never was.

        Raises LocalProtocolError when its state forbids the change.
        """

        def carry_out(core: RecordingServer, now: float) -> SessionInfo | None:
            if core.session(session) is None:
                return None
            change(core, now)
            return core.session(session)

        return await self.ask(carry_out)


def _look_at(ids: tuple[SessionId, ...], core: RecordingServer, now: float) -> list[SessionInfo]:
    del now
    return [found for each in ids if (found := core.session(each)) is not None]
