"""The operations themselves: what each request is answered."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Send

import anyio
from siprec.http.doors import SESSIONS_AT_A_TIME, Doors, UnavailableError
from siprec.http.exposition import CONTENT_TYPE, Exposition
from siprec.http.feed import EventFeed
from siprec.http.openapi import DETAILS
from siprec.http.operations import JSON, Operation
from siprec.http.problems import ProblemError, problem
from siprec_core.errors import LocalProtocolError
from siprec_core.recording.session_info import SessionStatus
from siprec_core.server import RecordingServer
from siprec_core.types import SessionId

_BODY_SIZE: Final = 16 * 1024
"""Octets of a request's body."""
_BODY_SECONDS: Final = 10.0
"""How long a body may take to come."""
MOST_READERS: Final = 64
"""Streams of events at a time."""

Endpoint = Callable[[Request], Awaitable[Response]]


class PiecewiseResponse(StreamingResponse):
    """A response whose pieces come one by one, and whose source is closed whatever ends it."""

    def __init__(self, pieces: AsyncGenerator[bytes], *, media_type: str) -> None:
        # X-Accel-Buffering: a proxy in front is to pass on each piece at once.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._pieces = pieces

    async def stream_response(self, send: Send) -> None:
        """Send the pieces."""
        async with aclosing(self._pieces):
            await super().stream_response(send)


class Interface:
    """Answers requests about one server."""

    def __init__(self, doors: Doors, feed: EventFeed, exposition: Exposition, document: dict[str, object]) -> None:
        self._doors = doors
        self._feed = feed
        self._exposition = exposition
        self._document = document
        self._readers = 0

    async def livez(self, request: Request) -> Response:
        """Answer at all, and have the server's own loop answer."""
        del request
        await self._doors.ask(lambda core, now: None)
        return PlainTextResponse("ok\n")

    async def readyz(self, request: Request) -> Response:
        """Tell whether a new call would be taken."""
        del request
        reason = await self._doors.ask(lambda core, now: core.unavailable(now=now))
        return JSONResponse({"ready": reason is None, "reason": reason}, 200 if reason is None else 503)

    async def metrics(self, request: Request) -> Response:
        """Give the metrics."""
        del request
        return Response(await self._exposition.scrape(), headers={"Content-Type": CONTENT_TYPE})

    async def sessions(self, request: Request) -> Response:
        """List the sessions, a few at a time: there may be many."""
        text = request.query_params.get("status")
        try:
            status = None if text is None else SessionStatus(text)
        except ValueError:
            raise ProblemError(400, f"status: {text!r} is none of a session") from None
        ids = await self._doors.session_ids()
        return PiecewiseResponse(self._listed(ids, status), media_type=JSON)

    async def session(self, request: Request) -> Response:
        """Give one session."""
        found = await self._doors.session(_named(request))
        if found is None:
            raise _no_session(_named(request))
        return JSONResponse(found.as_json())

    async def pause(self, request: Request) -> Response:
        """Hold a session."""
        return await self._change(request, lambda core, session, now: core.pause(session, now=now))

    async def resume(self, request: Request) -> Response:
        """Go on with a session."""
        return await self._change(request, lambda core, session, now: core.resume(session, now=now))

    async def stop(self, request: Request) -> Response:
        """End a session."""
        return await self._change(request, lambda core, session, now: core.end(session, now=now))

    async def snapshot(self, request: Request) -> Response:
        """Ask a client for its metadata."""
        reason = (await read_members(request, ("reason",))).get("reason")
        return await self._change(
            request, lambda core, session, now: core.request_snapshot(session, reason=reason, now=now)
        )

    async def mark(self, request: Request) -> Response:
        """Mark this instant of a session."""
        members = await read_members(request, ("text",))
        if "text" not in members:
            raise ProblemError(400, "text is missing")
        text = members["text"]
        return await self._change(request, lambda core, session, now: core.mark(session, text, now=now), status=200)

    async def events(self, request: Request) -> Response:
        """Follow the events."""
        if self._readers >= MOST_READERS:
            raise ProblemError(503, f"{MOST_READERS} read the events already", headers={"Retry-After": "30"})
        session = request.query_params.get("session")
        events = self._feed.stream(
            request.headers.get("last-event-id"), None if session is None else SessionId(session)
        )
        return PiecewiseResponse(self._counted(events), media_type="text/event-stream")

    async def openapi(self, request: Request) -> Response:
        """Give the OpenAPI document."""
        del request
        return JSONResponse(self._document)

    def endpoint(self, operation: Operation) -> Endpoint:
        """Give what answers an operation."""
        endpoint: Endpoint = getattr(self, operation.name)
        return endpoint

    async def _change(
        self,
        request: Request,
        change: Callable[[RecordingServer, SessionId, float], object],
        *,
        status: int = 202,
    ) -> Response:
        session = _named(request)
        found = await self._doors.change(session, lambda core, now: change(core, session, now))
        if found is None:
            raise _no_session(session)
        return JSONResponse(found.as_json(), status)

    async def _listed(self, ids: tuple[SessionId, ...], status: SessionStatus | None) -> AsyncGenerator[bytes]:
        separator = '{"sessions": ['
        for start in range(0, len(ids), SESSIONS_AT_A_TIME):
            for found in await self._doors.sessions(ids[start : start + SESSIONS_AT_A_TIME]):
                if status in (None, found.status):
                    fields = {name: value for name, value in found.as_json().items() if name not in DETAILS}
                    yield f"{separator}{json.dumps(fields)}".encode()
                    separator = ",\n"
        yield b"]}\n" if separator == ",\n" else f"{separator}]}}\n".encode()

    async def _counted(self, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        self._readers += 1
        try:
            async with aclosing(events):
                async for piece in events:
                    yield piece
        finally:
            self._readers -= 1


async def read_members(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    """Read the JSON object of a request: texts with these names. Raises ProblemError."""
    try:
        with anyio.fail_after(_BODY_SECONDS):
            body = await _read_body(request)
    except TimeoutError:
        raise ProblemError(408, "the body does not come") from None
    if not body:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise ProblemError(415, f"the body has to be {JSON}")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise ProblemError(400, "the body is not JSON") from None
    if not isinstance(content, dict):
        raise ProblemError(400, "the body has to be an object")
    for name, value in content.items():
        if name not in names:
            raise ProblemError(400, f"{name[:50]!r} is unknown; known are {', '.join(names)}")
        if not isinstance(value, str):
            raise ProblemError(400, f"{name} has to be text")
    return content


async def _read_body(request: Request) -> bytes:
    body = b""
    async with aclosing(request.stream()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > _BODY_SIZE:
                raise ProblemError(413, f"a body has at most {_BODY_SIZE} octets")
    return body


def _named(request: Request) -> SessionId:
    return SessionId(request.path_params["session"])


def _no_session(session: SessionId) -> ProblemError:
    return ProblemError(404, f"there is no session {session[:100]!r}")


# what goes wrong


async def tell_problem(request: Request, error: Exception) -> Response:
    """Answer what an operation raised."""
    del request
    match error:
        case ProblemError():
            return problem(error.status, str(error), headers=error.headers)
        case LocalProtocolError():
            return problem(409, str(error))
        case UnavailableError():
            return problem(503, str(error))
        case HTTPException():
            return problem(error.status_code, error.detail, headers=error.headers)
        case ClientDisconnect():
            return problem(400, "the client is gone")
        case _:
            return problem(500, "a fault of this program; its log tells more")


PROBLEMS: Final = (ProblemError, LocalProtocolError, UnavailableError, HTTPException, ClientDisconnect, Exception)
"""What `tell_problem` answers."""
