"""Media in other processes: a server that has them keeps signalling, and lends them its media sockets and journals.

A call's lines and journal are one worker's. The worker that is lost is started again; its calls end with BYE, and their
journals are gone on with here, so that what was recorded is kept and rendered.
"""

import logging
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from siprec_core.errors import ConfigurationError
from siprec_core.machine import earliest
from siprec_core.recording.commands import CloseSink, OpenSink, RenderRecording, SinkCommand, SinkKind, WriteSink
from siprec_core.recording.plane import LineReport, PlaneCommand, RecordLine
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import MediaId, SessionId, SinkId
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.media import MediaSockets
from siprec_sync.media_worker import MediaReleased, ReleaseMedia, WorkerStart
from siprec_sync.sinks import Rendered, SinkFailed, SinkReport, Sinks, StorageChanged
from siprec_sync.srtp import PylibsrtpProvider
from siprec_sync.worker_channel import MOST_DESCRIPTORS, ChannelClosedError, WorkerChannel

_LOGGER = logging.getLogger("siprec.workers")
_PROGRAM: Final = "from siprec_sync.media_worker import main; main()"
_HUNG_SECONDS: Final = 10.0
"""A worker that says nothing for so long is lost."""
_STARTING_SECONDS: Final = 30.0
"""How long it may take until it says the first word."""
_RESTART_SECONDS: Final = 1.0
"""Time between two starts in one place."""
_END_SECONDS: Final = 10.0
"""How long a worker may take to write what is queued when it is told to end."""
_UNSENT_SIZE: Final = 64 * 1024 * 1024
"""Octets that may wait for a worker; one with more is lost."""


class PlaneInputs(Protocol):
    """The doors of `RecordingServer` for what happens in its workers."""

    def media_reported(self, report: LineReport, *, now: float) -> None:
        """Take what came on a line."""

    def media_lost(self, sinks: Iterable[SinkId], error: str, *, now: float) -> None:
        """Take the loss of the worker that wrote these journals."""

    def media_closed(self, media: MediaId, *, now: float) -> None:
        """Take the end of `CloseMedia`."""


class _Worker:
    """One worker, seen from the server."""

    def __init__(self, start: WorkerStart, now: float) -> None:
        """Raises OSError when no process can be started."""
        ours, theirs = socket.socketpair()
        # The worker finds our packages where we found them.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
        with theirs:
            try:
                self.child = subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=environment,
                )
            except OSError:
                ours.close()
                raise
        self.channel = WorkerChannel(ours)
        self.started = now
        self.silent_until = now + _STARTING_SECONDS
        self.journals: dict[SinkId, str] = {}
        """Names of the journals that it writes."""
        self.closing: set[MediaId] = set()
        """Media that it is to release."""
        self.rendering: dict[SessionId, RenderRecording] = {}
        """Recordings that are rendered once it has closed their journals."""
        self.full = False
        self._orders: list[object] = [start]
        self._descriptors: list[int] = []

    def put(self, order: object, descriptors: Iterable[int] = ()) -> None:
        """Send an order with the next `flush`, together with those before it."""
        self._orders.append(order)
        self._descriptors += descriptors
        if len(self._descriptors) > MOST_DESCRIPTORS - 2:
            self.flush()

    def flush(self) -> None:
        """Send what was put."""
        orders, descriptors = self._orders, self._descriptors
        self._orders, self._descriptors = [], []
        self.channel.send(orders, descriptors)

    @property
    def waits(self) -> bool:
        """True when something was put."""
        return bool(self._orders)

    def end(self) -> int:
        """Make an end of it; give its exit status."""
        self.channel.close()
        self.child.kill()
        return self.child.wait()


class MediaWorkers:
    """The workers of one server, and the sinks of that server: journals are theirs, all else goes to `sinks`.

    All methods but `take_reports` and `close` belong to the driver's thread.
    """

    def __init__(self, sinks: DirectorySinks, inputs: PlaneInputs, *, count: int, tick_seconds: float) -> None:
        self._sinks = sinks
        self._inputs = inputs
        self._count = count
        self._start = WorkerStart(root=sinks.root.absolute(), settings=sinks.settings, tick_seconds=tick_seconds)
        self._workers: list[_Worker] = []
        self._absent: list[float] = []
        """When workers that were lost are started again."""
        self._by_sink: dict[SinkId, _Worker] = {}
        self._by_media: dict[MediaId, _Worker] = {}
        self._journals: dict[str, SinkId] = {}
        """Journals of workers by the folder of their recording."""
        self._reports: list[SinkReport] = []
        self._full = False
        self._wake: Callable[[], None] = _nothing

    # the driver

    def open(
        self,
        selector: selectors.BaseSelector,
        media: MediaSockets,
        enter: Callable[[Callable[[], object]], object],
    ) -> None:
        """Start the workers and wait until they are ready.

        Raises ConfigurationError when that cannot be done, and has then ended everything.
        """
        self._selector = selector
        self._media = media
        self._enter = enter
        try:
            self._open_all(time.monotonic())
        except ConfigurationError:
            for worker in self._workers:
                self._selector.unregister(worker.channel.socket)
                worker.end()
            self._workers.clear()
            self._sinks.close()
            raise

    def next_timeout(self) -> float | None:
        """Give when a worker is found to be silent, or started again."""
        return earliest(*self._absent, *(worker.silent_until for worker in self._workers))

    def handle_timeout(self, *, now: float) -> None:
        """Look for workers that hang, and start those that are absent."""
        for worker in list(self._workers):
            if now >= worker.silent_until:
                self._lose(worker, "said nothing for long", now)
            elif worker.channel.unsent_size > _UNSENT_SIZE:
                self._lose(worker, "does not keep up", now)
        due = [at for at in self._absent if now >= at]
        for at in due:
            self._absent.remove(at)
            self._add_again(now)

    def perform_plane(self, command: PlaneCommand) -> None:
        """Take a command about the lines of a journal."""
        worker = self._by_sink.get(command.sink)
        if worker is None:
            return  # lost: the session was told
        if isinstance(command, RecordLine):
            self._by_media[command.media] = worker
            worker.put(command, self._media.lend(command.media))
        else:
            worker.put(command)

    def release(self, media: MediaId) -> bool:
        """Have the worker of `media` hand over what still waits; then comes `media_closed`. False without a worker."""
        worker = self._by_media.get(media)
        if worker is None:
            return False
        worker.closing.add(media)
        worker.put(ReleaseMedia(media))
        return True

    def flush(self) -> None:
        """Send what was said since the last time: together, so that no packet comes in between."""
        for worker in self._workers:
            if worker.waits:
                worker.flush()
                self._watch(worker)

    def stop(self) -> None:
        """Have the workers end once they have written what is queued."""
        for worker in self._workers:
            worker.flush()
            worker.channel.finish(_END_SECONDS)

    # sinks

    def start(self, wake: Callable[[], None]) -> None:
        """Make ready. Raises ConfigurationError when recordings cannot be kept at all."""
        self._wake = wake
        self._sinks.start(wake)

    def perform(self, command: SinkCommand) -> None:
        """Take one command: one about a journal goes to its worker."""
        match command:
            case OpenSink(kind=SinkKind.JOURNAL):
                self._open_journal(command)
            case WriteSink() | CloseSink() if command.sink in self._by_sink:
                self._by_sink[command.sink].put(command)
            case RenderRecording() if self._journals.get(command.directory) in self._by_sink:
                worker = self._by_sink[self._journals[command.directory]]
                worker.rendering[command.session] = command
                worker.put(command)
            case _:
                self._sinks.perform(command)

    def take_reports(self) -> list[SinkReport]:
        """Give the reports that came since the last call."""
        reports, self._reports = self._reports, []
        for report in self._sinks.take_reports():
            self._pass_on(report, reports)
        return reports

    def close(self) -> None:
        """Wait for the workers to end, then for the sinks. Blocks."""
        deadline = time.monotonic() + _END_SECONDS
        for worker in self._workers:
            try:
                worker.child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _LOGGER.error("a media worker does not end; it is killed")
            worker.end()
        self._workers.clear()
        self._sinks.close()

    # workers

    def _open_all(self, now: float) -> None:
        try:
            for _ in range(self._count):
                self._add(now)
            for worker in self._workers:
                if not worker.channel.wait(max(0.0, worker.silent_until - time.monotonic())):
                    raise ConfigurationError("a media worker does not start")
                worker.channel.receive()
        except OSError as error:
            raise ConfigurationError(f"no media worker can be started: {error}") from error
        except ChannelClosedError:
            raise ConfigurationError("a media worker ended as soon as it had started") from None

    def _open_journal(self, command: OpenSink) -> None:
        if not self._workers:
            self._absent.pop()
            self._add_again(time.monotonic())
        if not self._workers:
            self._reports.append(SinkFailed(sink=command.sink, error="there is no media worker"))
            self._wake()
            return
        worker = min(self._workers, key=lambda each: len(each.journals))
        folder = command.name.rpartition("/")[0]
        self._sinks.expect(folder)
        self._journals[folder] = command.sink
        self._by_sink[command.sink] = worker
        worker.journals[command.sink] = command.name
        worker.put(command)

    def _add(self, now: float) -> None:
        worker = _Worker(self._start, now)
        self._workers.append(worker)
        self._selector.register(worker.channel.socket, selectors.EVENT_READ, partial(self._ready, worker))
        worker.flush()

    def _add_again(self, now: float) -> None:
        try:
            self._add(now)
        except OSError as error:
            _LOGGER.error("no media worker can be started: %s", error)
            self._absent.append(now + _RESTART_SECONDS)

    def _watch(self, worker: _Worker) -> None:
        """Wait for room as long as something waits to be sent."""
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.channel.unsent_size else 0)
        key = self._selector.get_key(worker.channel.socket)
        if key.events != wanted:
            self._selector.modify(worker.channel.socket, wanted, key.data)

    def _ready(self, worker: _Worker, mask: int, now: float) -> None:
        if worker not in self._workers:
            return  # lost within this turn
        if mask & selectors.EVENT_WRITE:
            worker.channel.flush()
            self._watch(worker)
        if not mask & selectors.EVENT_READ:
            return
        try:
            answers = worker.channel.receive()
        except ChannelClosedError:
            self._lose(worker, "ended", now)
            return
        worker.silent_until = now + _HUNG_SECONDS
        for answer in answers:
            self._take(worker, answer, now)

    def _take(self, worker: _Worker, answer: object, now: float) -> None:
        match answer:
            case LineReport():
                self._enter(partial(self._inputs.media_reported, answer, now=now))
            case MediaReleased():
                worker.closing.discard(answer.media)
                del self._by_media[answer.media]
                self._close_media(answer.media, now)
            case Rendered():
                # The worker renders nothing: the journal is closed, so now it is our turn.
                command = worker.rendering.pop(answer.session)
                self._forget_journal(worker, self._journals[command.directory])
                self._sinks.perform(command)
            case StorageChanged():
                worker.full = answer.full
                self._tell_storage(self._reports)
            case SinkFailed():
                self._reports.append(answer)
                self._wake()
            case _:
                raise TypeError(f"no answer of a media worker: {answer!r}")

    def _lose(self, worker: _Worker, why: str, now: float) -> None:
        """Let a worker go: its journals become ours, its calls end, another one takes its place."""
        self._selector.unregister(worker.channel.socket)
        self._workers.remove(worker)
        error = f"media worker {worker.child.pid} {why} (exit status {worker.end()})"
        _LOGGER.error("%s; %d calls end by it", error, len(worker.journals))
        self._absent.append(max(now, worker.started + _RESTART_SECONDS))
        sinks = tuple(worker.journals)
        for sink, name in worker.journals.items():
            self._sinks.perform(OpenSink(sink=sink, kind=SinkKind.ORPHAN, name=name))
        for command in worker.rendering.values():
            self._sinks.perform(CloseSink(sink=self._journals[command.directory]))
            self._sinks.perform(command)
        for sink in sinks:
            self._forget_journal(worker, sink)
        for media in [media for media, known in self._by_media.items() if known is worker]:
            del self._by_media[media]
        if worker.full:
            self._tell_storage(self._reports)
        self._enter(partial(self._inputs.media_lost, sinks, error, now=now))
        for media in worker.closing:
            self._close_media(media, now)

    def _forget_journal(self, worker: _Worker, sink: SinkId) -> None:
        name = worker.journals.pop(sink)
        del self._by_sink[sink]
        del self._journals[name.rpartition("/")[0]]

    def _close_media(self, media: MediaId, now: float) -> None:
        self._media.close(media)
        self._enter(partial(self._inputs.media_closed, media, now=now))

    def _pass_on(self, report: SinkReport, reports: list[SinkReport]) -> None:
        if isinstance(report, StorageChanged):
            self._full = report.full
            self._tell_storage(reports)
        else:
            reports.append(report)

    def _tell_storage(self, reports: list[SinkReport]) -> None:
        """Tell whether there is room: for nobody, as long as one of us finds none."""
        reports.append(StorageChanged(full=self._full or any(worker.full for worker in self._workers)))
        self._wake()


def with_media_workers(config: ServerConfig, sinks: Sinks, count: int) -> ServerConfig:
    """Give the configuration of a server with so many media workers; 0 changes nothing.

    Raises ConfigurationError where there can be none.
    """
    if not count:
        return config
    if not hasattr(socket, "send_fds") or not sys.executable:
        raise ConfigurationError("media workers: this system cannot lend sockets to other processes")
    if not isinstance(sinks, DirectorySinks):
        raise ConfigurationError("media workers write journals themselves: they need DirectorySinks")
    if config.crypto is not None and not isinstance(config.crypto, PylibsrtpProvider):
        raise ConfigurationError("media workers know no ciphers but those of pylibsrtp")
    return replace(config, media_apart=True)


def _nothing() -> None:
    """Wake nobody: nothing is driven yet."""
