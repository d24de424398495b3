"""A server on any worker, from its start to the end of its draining."""

import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import anyio
import siprec_anyio
import siprec_sync
from siprec.callers import backend_of
from siprec.logs import EventLog
from siprec.outcome import Exit
from siprec.plan import ServerPlan
from siprec.ready import ready_file
from siprec_core.errors import SiprecError
from siprec_core.recording.events import Event
from siprec_core.server import RecordingServer
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.listeners import Listener

_LOGGER = logging.getLogger("siprec.server")
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def run_server(plan: ServerPlan) -> None:
    """Serve until TERM or INT, then drain. Raises ConfigurationError and CommandError.

    INT while draining ends the program at once; what was written of running recordings stays as it is.
    """
    worker = plan.settings.worker
    if worker == "sync":
        _run_sync(plan)
        return
    try:
        anyio.run(_run_async, plan, **backend_of(worker))  # type: ignore[arg-type]
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        raise group.exceptions[0] from group.exceptions[0].__cause__


async def _run_async(plan: ServerPlan) -> None:
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        async with (
            anyio.create_task_group() as tasks,
            siprec_anyio.serve(*plan.binds, config=plan.config, sinks=_sinks(plan), tls=plan.tls) as server,
        ):
            # It ends with the server's last event.
            tasks.start_soon(_log_events, server.events())
            with _announced(plan, server.listeners):
                number = await anext(signals)
                with _draining(plan, number):
                    await server.shut_down(plan.settings.drain_seconds)


async def _log_events(events: siprec_anyio.EventStream[Event]) -> None:
    log = EventLog()
    async for event in events:
        log.write(event)


def _run_sync(plan: ServerPlan) -> None:
    wishes: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    before = {number: signal.signal(number, lambda number, _: wishes.put(number)) for number in _SIGNALS}
    logger: threading.Thread | None = None
    try:
        with siprec_sync.serve(*plan.binds, config=plan.config, sinks=_sinks(plan), tls=plan.tls) as server:
            logger = threading.Thread(target=_log_all, args=(server.events(),), name="siprec-log", daemon=True)
            logger.start()
            threading.Thread(target=_watch, args=(server, wishes), name="siprec-watch", daemon=True).start()
            with _announced(plan, server.listeners):
                number = wishes.get()
                if number is not None:
                    with _draining(plan, number):
                        server.shut_down(plan.settings.drain_seconds)
        if logger is not None:
            logger.join()
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _log_all(events: siprec_sync.EventStream[Event]) -> None:
    log = EventLog()
    for event in events:
        log.write(event)


def _watch(server: siprec_sync.Server[RecordingServer], wishes: "queue.SimpleQueue[int | None]") -> None:
    """End the waiting for a signal when the server ends without one."""
    try:
        server.wait()
    except SiprecError:
        pass  # leaving the block raises it
    wishes.put(None)


def _sinks(plan: ServerPlan) -> DirectorySinks:
    return DirectorySinks(plan.settings.recordings)


@contextmanager
def _announced(plan: ServerPlan, listeners: tuple[Listener, ...]) -> Iterator[None]:
    """Tell where we listen: on standard error, then in the ready file, which is removed at the end."""
    for listener in listeners:
        print(f"siprec: listening on {listener.transport.value}://{listener.address}", file=sys.stderr, flush=True)
    with ready_file(plan.settings.ready_file, listeners, plan.config.rtp_ports):
        yield


@contextmanager
def _draining(plan: ServerPlan, number: int) -> Iterator[None]:
    """Let a further INT end the program at once, and a further TERM do nothing."""
    name = signal.Signals(number).name
    _LOGGER.info("%s: no new sessions, running ones have %g s", name, plan.settings.drain_seconds)

    def end_at_once(number: int, frame: FrameType | None) -> None:
        del number, frame
        if plan.settings.ready_file is not None:
            plan.settings.ready_file.unlink(missing_ok=True)
        sys.stderr.flush()
        os._exit(Exit.INTERRUPTED)

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, end_at_once),
        signal.SIGTERM: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    }
    try:
        yield
    finally:
        for each, previous in before.items():
            signal.signal(each, previous)
