"""The operations interface beside a running server: in its task group, or for the `sync` worker in a thread."""

import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal, start_blocking_portal

import anyio
from siprec.cli import version
from siprec.http.application import make_application
from siprec.http.connections import bound_sending, open_connections
from siprec.http.doors import Doors
from siprec.http.exposition import Exposition
from siprec.http.feed import EventFeed
from siprec.http.interface import Interface
from siprec.http.openapi import openapi_document
from siprec.http.plan import HttpPlan
from siprec.http.tally import LagMeter, Tally
from siprec.options import Worker
from siprec_core.errors import ConfigurationError
from siprec_core.recording.events import Event
from siprec_core.server import RecordingServer
from siprec_core.types import Address, Transport
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.facade import Facade
from siprec_sync.listeners import Bind, open_listener

_LOGGER = logging.getLogger("siprec.http")
_LAG_PERIOD_SECONDS = 1.0
_LAST_EVENTS_SECONDS = 1.0
_CLOSING_SECONDS = 5.0
"""How long the end of the interface is waited for; it takes less."""


class HttpService:
    """One operations interface. The server does not depend on it: what fails here is logged."""

    def __init__(self, plan: HttpPlan, *, worker: Worker) -> None:
        """Opens the listening socket. Raises ConfigurationError."""
        try:
            listener = open_listener(Bind(Transport.TCP, plan.bind.host, plan.bind.port))
        except ConfigurationError as error:
            raise ConfigurationError(f"--http: {error}") from error
        bound_sending(listener.socket)
        self.address: Address = listener.address
        self._socket = listener.socket
        self._plan = plan
        self._worker = worker
        self._tally = Tally()
        self._lag = LagMeter()
        self._portal: BlockingPortal | None = None
        self._loop_thread = 0
        self._feed = EventFeed(secrets.token_hex(6), wake=self._wake)

    def notice(self, event: Event) -> None:
        """Take an event of the server; from one thread."""
        self._tally.notice(event)
        self._feed.put(event)

    @asynccontextmanager
    async def serving(
        self, server: Facade[RecordingServer, Event], sinks: DirectorySinks, tasks: TaskGroup
    ) -> AsyncIterator[None]:
        """Serve in a task of the group during the block, on the loop of the server."""
        ended = anyio.Event()

        async def run() -> None:
            try:
                await self._run(Doors(server, threaded=False), sinks)
            finally:
                ended.set()

        tasks.start_soon(run)
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSING_SECONDS):
                await self._close_feed()
                await ended.wait()

    @contextmanager
    def serving_in_thread(self, server: Facade[RecordingServer, Event], sinks: DirectorySinks) -> Iterator[None]:
        """Serve in a thread with a loop of its own during the block."""
        with start_blocking_portal("asyncio") as portal:
            self._portal = portal
            portal.start_task_soon(self._run, Doors(server, threaded=True), sinks)
            try:
                yield
            finally:
                portal.call(self._close_feed)

    def close(self) -> None:
        """Close the listening socket, where nothing has served on it. Harmless twice."""
        self._socket.close()

    async def _close_feed(self) -> None:
        """Let the readers of the events have the last ones, which may still be on their way."""
        with anyio.move_on_after(_LAST_EVENTS_SECONDS):
            await self._feed.wait_drained()
        self._feed.close()

    def _wake(self, ring: Callable[[], None]) -> None:
        if self._portal is None or threading.get_ident() == self._loop_thread:
            ring()
            return
        try:
            self._portal.start_task_soon(ring)
        except RuntimeError:
            pass  # the thread has ended

    async def _run(self, doors: Doors, sinks: DirectorySinks) -> None:
        plan = self._plan
        self._loop_thread = threading.get_ident()
        exposition = Exposition(doors, sinks, self._tally, self._lag, version=version(), worker=self._worker)
        document = openapi_document(version=version(), token=plan.token is not None)
        app = make_application(Interface(doors, self._feed, exposition, document), token=plan.token)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._measure_lag, doors)
                backend = "trio" if self._worker == "trio" else "asyncio"
                await open_connections(app, self._socket, backend=backend).serve(self._feed.wait_closed)
                tasks.cancel_scope.cancel()
        except Exception:
            _LOGGER.exception("the operations interface has failed; recording goes on without it")
        finally:
            self._socket.close()

    async def _measure_lag(self, doors: Doors) -> None:
        """Have the server's loop say every second how late it is."""
        while True:
            due = time.monotonic() + _LAG_PERIOD_SECONDS
            await anyio.sleep(_LAG_PERIOD_SECONDS)
            doors.server.call_soon(lambda core, now, due=due: self._lag.observe(max(0.0, time.monotonic() - due)))  # type: ignore[misc]
