"""HTTP connections on the loop that runs: Hypercorn speaks the protocol, we accept, count and at the end close.

Closing is ours because nobody who does not read or write may hold up the end of the server.
"""

import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, Protocol

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.typing import ConnectionState, Event
from starlette.types import ASGIApp

import anyio

_LOGGER = logging.getLogger("siprec.http")
MOST_CONNECTIONS: Final = 256
"""Connections at a time; more are closed at once, so that they never take the descriptors of calls."""
_IDLE_SECONDS: Final = 5.0
"""How long a connection may be without a request. Hypercorn takes as long to forget one that was closed without any."""
_SEND_BUFFER_SIZE: Final = 64 * 1024
"""What the system may keep of an answer that is not read, octets."""
_STUCK_MILLISECONDS: Final = 30_000
"""How long a client may take nothing of what is sent to it, where the system watches that."""
_PAUSED_SECONDS: Final = 60.0
"""How long requests may wait for the answer to one before them on the same connection."""
_FAREWELL_SECONDS: Final = 1.0
"""How long answers that are under way may take at the end."""


class Connections(Protocol):
    """The connections of one kind of loop."""

    async def serve(self, until: Callable[[], Awaitable[None]]) -> None:
        """Accept connections until `until` returns, then close all."""


def bound_sending(listener: socket.socket) -> None:
    """Bound what clients who do not read may make us keep, and for how long; accepted sockets inherit it.

    Call it before anybody can connect. Raises OSError.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_SIZE)
    if sys.platform == "linux":
        # RFC 5482: who takes nothing for so long is gone.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_MILLISECONDS)


def open_connections(app: ASGIApp, listener: socket.socket, *, backend: str) -> Connections:
    """Make what serves `app` on a listening socket; `backend` is `asyncio` or `trio`."""
    config = Config()
    config.errorlog = _LOGGER
    config.include_server_header = False
    config.keep_alive_timeout = _IDLE_SECONDS
    # One request a connection: who sends thousands ahead and goes away must leave no work behind.
    config.keep_alive_max_requests = 0
    kind: type[Any] = _TrioConnections if backend == "trio" else _AsyncioConnections
    made: Connections = kind(ASGIWrapper(app), listener, config)  # type: ignore[arg-type]
    return made


class PatientEvent:
    """An event of Hypercorn's that is not waited for without end.

    Who sends requests ahead and goes away in the middle of an answer would else leave a task behind for ever.
    """

    def __init__(self, made: Callable[[], Event], seconds: float = _PAUSED_SECONDS) -> None:
        self._event = made()
        self._seconds = seconds

    async def clear(self) -> None:
        """Have those who wait from now on wait."""
        await self._event.clear()

    async def set(self) -> None:
        """Let go on who waits."""
        await self._event.set()

    def is_set(self) -> bool:
        """Tell whether nobody has to wait."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait. Raises TimeoutError."""
        with anyio.fail_after(self._seconds):
            await self._event.wait()


def _patient(context: Any) -> Any:  # noqa: ANN401 - the context of one kind of loop
    context.event_class = partial(PatientEvent, context.event_class)
    return context


class _AsyncioConnections:
    def __init__(self, app: ASGIWrapper, listener: socket.socket, config: Config) -> None:
        import asyncio

        from hypercorn.asyncio.tcp_server import TCPServer
        from hypercorn.asyncio.worker_context import WorkerContext

        self._asyncio = asyncio
        self._listener = listener
        self._context = _patient(WorkerContext(None))
        self._speak = partial(TCPServer, app, asyncio.get_running_loop(), config, self._context)
        self._tasks: dict[Any, Any] = {}
        """The transport of each connection by its task."""

    async def serve(self, until: Callable[[], Awaitable[None]]) -> None:
        server = await self._asyncio.start_server(self._connected, sock=self._listener)
        try:
            await until()
        finally:
            with anyio.CancelScope(shield=True):
                server.close()
                await self._context.terminated.set()
                await self._wait()
                for transport in self._tasks.values():
                    transport.abort()
                while self._tasks:
                    # Hypercorn may swallow a cancellation while it waits for one of its own.
                    for task in self._tasks:
                        task.cancel()
                    await self._wait()

    async def _connected(self, reader: Any, writer: Any) -> None:  # noqa: ANN401 - asyncio's streams
        task = self._asyncio.current_task()
        if len(self._tasks) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._tasks[task] = writer.transport
        try:
            await self._speak(ConnectionState({}), reader, writer)
        except Exception as error:  # noqa: BLE001 - a client's doing, which is to cost no other client anything
            _tell(error)
        except self._asyncio.CancelledError:
            pass  # by us, at the end: nobody waits for this task
        finally:
            del self._tasks[task]

    async def _wait(self) -> None:
        if self._tasks:
            await self._asyncio.wait(tuple(self._tasks), timeout=_FAREWELL_SECONDS)


class _TrioConnections:
    def __init__(self, app: ASGIWrapper, listener: socket.socket, config: Config) -> None:
        import trio
        from hypercorn.trio.tcp_server import TCPServer
        from hypercorn.trio.worker_context import WorkerContext

        self._trio = trio
        self._listener = listener
        self._context = _patient(WorkerContext(None))
        self._speak = partial(TCPServer, app, config, self._context, ConnectionState({}))
        self._streams: set[Any] = set()

    async def serve(self, until: Callable[[], Awaitable[None]]) -> None:
        trio = self._trio
        listening = trio.SocketListener(trio.socket.from_stdlib_socket(self._listener))
        async with trio.open_nursery() as connections:
            try:
                async with trio.open_nursery() as accepting:
                    serve = partial(trio.serve_listeners, self._connected, [listening], handler_nursery=connections)
                    accepting.start_soon(serve)
                    await until()
                    accepting.cancel_scope.cancel()
            finally:
                with trio.CancelScope(shield=True):
                    await self._context.terminated.set()
                    with trio.move_on_after(_FAREWELL_SECONDS):
                        while self._streams:
                            await trio.sleep(0.01)
                    for stream in tuple(self._streams):
                        # Hypercorn shields what it sends from cancellation; this ends it.
                        await trio.aclose_forcefully(stream)
                connections.cancel_scope.cancel()

    async def _connected(self, stream: Any) -> None:  # noqa: ANN401 - trio's stream
        if len(self._streams) >= MOST_CONNECTIONS:
            await self._trio.aclose_forcefully(stream)
            return
        self._streams.add(stream)
        try:
            await self._speak(stream)
        except Exception as error:  # noqa: BLE001 - a client's doing, which is to cost no other client anything
            _tell(error)
        finally:
            self._streams.discard(stream)


def _tell(error: Exception) -> None:
    causes = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
    _LOGGER.info("a connection was given up: %s", ", ".join(repr(cause) for cause in causes))
