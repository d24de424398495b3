"""A server on any worker, from its start to the end of its draining."""

import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import siprec_anyio
import siprec_sync
from siprec.callers import backend_of
from siprec.hooks import load_hook
from siprec.logs import EventLog
from siprec.outcome import Exit
from siprec.plan import ServerPlan
from siprec.ready import clear_ready_file, ready_file
from siprec.reloading import Reloader
from siprec.service import Heartbeat, Notifier
from siprec_core.errors import SiprecError
from siprec_core.recording.events import Event
from siprec_core.server import RecordingServer
from siprec_sync.assembly import DriverSettings
from siprec_sync.directory_sinks import DirectorySinks, Durability, SinkSettings
from siprec_sync.facade import Facade
from siprec_sync.listeners import Listener
from siprec_sync.processors import ProcessorHost
from siprec_sync.space import DiskReserve

if TYPE_CHECKING:
    from siprec.http.service import HttpService  # of an extra

_LOGGER = logging.getLogger("siprec.server")
_HANGUP: Final = getattr(signal, "SIGHUP", None)
"""The signal to reload; some systems have none."""
_CLOSING_SECONDS: Final = 60.0
"""What the service manager grants for the last BYEs and files, beyond the draining."""
_Watcher: TypeAlias = Callable[[Event], None]
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, *(() if _HANGUP is None else (_HANGUP,)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A server as its service manager knows it."""

    reloader: Reloader
    notifier: Notifier
    sockets: tuple[socket.socket, ...] = ()
    """Listening sockets that were passed on."""

    @property
    def plan(self) -> ServerPlan:
        """What is served now."""
        return self.reloader.plan

    def reload(self, server: Facade[RecordingServer, Event]) -> None:
        """Read the configuration again, and tell the service manager so."""
        self.notifier.reloading()
        self.reloader.reload(server)
        self.notifier.ready()


def run_server(service: Service) -> None:
    """Serve until TERM or INT, then drain. Raises ConfigurationError and CommandError.

    INT while draining ends the program at once; what was written of running recordings stays as it is.
    """
    clear_ready_file(service.plan.settings.ready_file)
    worker = service.plan.settings.worker
    if worker == "sync":
        _run_sync(service)
        return
    try:
        anyio.run(_run_async, service, **backend_of(worker))  # type: ignore[arg-type]
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        raise group.exceptions[0] from group.exceptions[0].__cause__


async def _run_async(service: Service) -> None:
    plan, sinks = service.plan, _sinks(service.plan)
    with anyio.open_signal_receiver(*_SIGNALS) as signals, _operations(plan) as http:
        async with (
            anyio.create_task_group() as tasks,
            siprec_anyio.serve(
                *plan.binds,
                config=plan.config,
                sinks=sinks,
                tls=plan.tls,
                settings=_driver_settings(service),
                policy_hook=load_hook(plan.settings.policy_hook),
            ) as server,
            AsyncExitStack() as beside,
        ):
            # It ends with the server's last event.
            host = ProcessorHost(plan.processors, server)
            tasks.start_soon(_follow_events, server.events(), host, _watchers(host, http))
            if http is not None:
                await beside.enter_async_context(http.serving(server, sinks, tasks))
            with _announced(service, server.listeners, http), Heartbeat(service.notifier, server):
                number = await anext(signals)
                while number == _HANGUP:
                    service.reload(server)
                    number = await anext(signals)
                with _draining(service, number):
                    await server.shut_down(service.plan.settings.drain_seconds)


async def _follow_events(
    events: siprec_anyio.EventStream[Event], host: ProcessorHost, watchers: tuple[_Watcher, ...]
) -> None:
    async for event in events:
        for watch in watchers:
            watch(event)
    await anyio.to_thread.run_sync(host.close)


def _run_sync(service: Service) -> None:
    plan, sinks = service.plan, _sinks(service.plan)
    wishes: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    before = {number: signal.signal(number, lambda number, _: wishes.put(number)) for number in _SIGNALS}
    logger: threading.Thread | None = None
    try:
        with (
            _operations(plan) as http,
            siprec_sync.serve(
                *plan.binds,
                config=plan.config,
                sinks=sinks,
                tls=plan.tls,
                settings=_driver_settings(service),
                policy_hook=load_hook(plan.settings.policy_hook),
            ) as server,
            ExitStack() as beside,
        ):
            host = ProcessorHost(plan.processors, server)
            following = (server.events(), host, _watchers(host, http))
            if http is not None:
                beside.enter_context(http.serving_in_thread(server, sinks))
            logger = threading.Thread(target=_follow_all, args=following, name="siprec-log", daemon=True)
            logger.start()
            threading.Thread(target=_watch, args=(server, wishes), name="siprec-watch", daemon=True).start()
            with _announced(service, server.listeners, http), Heartbeat(service.notifier, server):
                while (number := wishes.get()) is not None and number == _HANGUP:
                    service.reload(server)
                if number is not None:
                    with _draining(service, number):
                        server.shut_down(service.plan.settings.drain_seconds)
        if logger is not None:
            logger.join()
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _follow_all(events: siprec_sync.EventStream[Event], host: ProcessorHost, watchers: tuple[_Watcher, ...]) -> None:
    for event in events:
        for watch in watchers:
            watch(event)
    host.close()


def _watch(server: siprec_sync.Server[RecordingServer], wishes: "queue.SimpleQueue[int | None]") -> None:
    """End the waiting for a signal when the server ends without one."""
    try:
        server.wait()
    except SiprecError:
        pass  # leaving the block raises it
    wishes.put(None)


def _watchers(host: ProcessorHost, http: "HttpService | None") -> tuple[_Watcher, ...]:
    """Give what takes note of each event, in order."""
    return (host.notice, EventLog().write, *(() if http is None else (http.notice,)))


@contextmanager
def _operations(plan: ServerPlan) -> "Iterator[HttpService | None]":
    """Open the operations interface for the block, where one is wanted; it serves later. Raises ConfigurationError."""
    if plan.http is None:
        yield None
        return
    from siprec.http.service import HttpService  # of an extra, and slow to load

    http = HttpService(plan.http, worker=plan.settings.worker)
    try:
        yield http
    finally:
        http.close()


def _sinks(plan: ServerPlan) -> DirectorySinks:
    settings = plan.settings
    storage = SinkSettings(
        durability=Durability(settings.durability),
        reserve=settings.disk_reserve or DiskReserve(),
        render_workers=settings.render_workers,
    )
    return DirectorySinks(settings.recordings, settings=storage)


def _driver_settings(service: Service) -> DriverSettings:
    return DriverSettings(given=service.sockets, media_workers=service.plan.settings.media_workers)


@contextmanager
def _announced(service: Service, listeners: tuple[Listener, ...], http: "HttpService | None") -> Iterator[None]:
    """Tell where we listen: on standard error, then in the ready file, which is removed at the end."""
    for listener in listeners:
        print(f"siprec: listening on {listener.transport.value}://{listener.address}", file=sys.stderr, flush=True)
    address = None if http is None else http.address
    if address is not None:
        print(f"siprec: operations interface on http://{address}", file=sys.stderr, flush=True)
    settings = service.plan.settings
    with ready_file(settings.ready_file, listeners, service.plan.config.rtp_ports, http=address):
        service.notifier.ready()
        yield


@contextmanager
def _draining(service: Service, number: int) -> Iterator[None]:
    """Let a further INT end the program at once, and further TERM and HUP do nothing."""
    settings = service.plan.settings
    _LOGGER.info("%s: no new sessions, running ones have %g s", signal.Signals(number).name, settings.drain_seconds)
    service.notifier.stopping(settings.drain_seconds + _CLOSING_SECONDS)

    def end_at_once(number: int, frame: FrameType | None) -> None:
        del number, frame
        if settings.ready_file is not None:
            settings.ready_file.unlink(missing_ok=True)
        sys.stderr.flush()
        os._exit(Exit.INTERRUPTED)

    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    signal.signal(signal.SIGINT, end_at_once)
    try:
        yield
    finally:
        for each, previous in before.items():
            signal.signal(each, previous)
