"""A process that records the media of a server's calls, started by `media_workers`.

It drains the sockets that it is given once per tick, as a server without workers does, and appends what they bring to
the journals, among the blocks that the server writes. It leaves signals to its parent, and ends with its channel: what
was received is on its way to the disk then.
"""

import logging
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siprec_core.recording.commands import CloseSink, OpenSink, RenderRecording, WriteSink
from siprec_core.recording.line_recorder import LineRecorder
from siprec_core.recording.plane import PauseLine, RecordLine, SecureLine, UpdateLine
from siprec_core.types import Component, DatagramBatch, MediaId, SinkId
from siprec_sync.directory_sinks import DirectorySinks, SinkSettings
from siprec_sync.media import MediaSockets
from siprec_sync.srtp import PylibsrtpProvider, is_installed
from siprec_sync.worker_channel import ChannelClosedError, WorkerChannel

ALIVE_SECONDS: Final = 1.0
"""A worker says something at least so often."""
_UNSENT_SIZE: Final = 4 * 1024 * 1024
"""Octets that may wait for the server before reports are put off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStart:
    """The first value that a worker is sent."""

    root: Path
    """The recordings directory, absolute."""
    settings: SinkSettings
    tick_seconds: float


@dataclass(frozen=True, slots=True)
class ReleaseMedia:
    """Hand over what still waits in the sockets of `media`, close them, then say `MediaReleased`."""

    media: MediaId


@dataclass(frozen=True, slots=True)
class MediaReleased:
    """The worker has the sockets of `media` no more; the last report of its line went before."""

    media: MediaId


class MediaWorker:
    """The work of one process, for one thread."""

    def __init__(self, channel: WorkerChannel, start: WorkerStart) -> None:
        self._channel = channel
        self._tick_seconds = start.tick_seconds
        self._sockets = MediaSockets()
        self._provider = PylibsrtpProvider() if is_installed() else None
        self._journals: dict[SinkId, dict[int, LineRecorder]] = {}
        self._lines: dict[MediaId, tuple[SinkId, LineRecorder]] = {}
        # No rendering here: the answer to `RenderRecording` only tells that the journal is closed.
        self._sinks = DirectorySinks(start.root, render=None, settings=start.settings, lodger=True)
        self._answers: list[object] = []
        self._next_tick = time.monotonic() + self._tick_seconds
        self._say_at = time.monotonic()

    def run(self, orders: Iterable[object] = ()) -> None:
        """Serve until the channel ends, beginning with `orders`; then write what is queued."""
        self._sinks.start(_nothing)
        try:
            for order in orders:
                self._perform(order)
            self._answer(time.monotonic())
            while True:
                self._wait()
                self._take_orders()
                now = time.monotonic()
                if now >= self._next_tick:
                    self._drain(now)
                    self._report(now)
                    self._next_tick = max(self._next_tick + self._tick_seconds, now)
                self._answer(now)
        except ChannelClosedError:
            pass  # the server ended, or wants us to
        finally:
            self._sockets.close_all()
            self._sinks.close()
            self._channel.close()

    def _wait(self) -> None:
        seconds = max(0.0, self._next_tick - time.monotonic())
        unsent = [self._channel.socket] if self._channel.unsent_size else []
        select.select([self._channel.socket], unsent, [], seconds)

    # orders

    def _take_orders(self) -> None:
        for order in self._channel.receive():
            self._perform(order)

    def _perform(self, order: object) -> None:
        match order:
            case OpenSink():
                self._journals[order.sink] = {}
                self._sinks.perform(order)
            case CloseSink():
                self._journals.pop(order.sink, None)
                self._sinks.perform(order)
            case WriteSink() | RenderRecording():
                self._sinks.perform(order)
            case RecordLine():
                self._record(order)
            case UpdateLine(sink=sink, line=line) | SecureLine(sink=sink, line=line) | PauseLine(sink=sink, line=line):
                recorder = self._journals.get(sink, {}).get(line)
                if recorder is not None:
                    _change(recorder, order)
            case ReleaseMedia():
                self._release(order.media)
            case _:
                raise TypeError(f"no order of a media worker: {order!r}")

    def _record(self, order: RecordLine) -> None:
        recorders = self._journals.setdefault(order.sink, {})
        recorder = recorders.get(order.line)
        if recorder is None:
            recorder = recorders[order.line] = LineRecorder(order, self._provider)
        else:
            recorder.move(order)
        self._lines[order.media] = (order.sink, recorder)
        for component in (Component.RTP,) if order.rtcp is None else (Component.RTP, Component.RTCP):
            self._sockets.adopt(order.media, component, socket.socket(fileno=self._channel.take_descriptor()))

    def _release(self, media: MediaId) -> None:
        entry = self._lines.get(media)
        now = time.monotonic()
        for component, batch in self._sockets.rest(media):
            self._receive(media, component, batch, now)
        self._sockets.close(media)
        if entry is not None:
            del self._lines[media]
            report = entry[1].report(now=now, last=True)
            if report is not None:
                self._answers.append(report)
        self._answers.append(MediaReleased(media))

    # media

    def _drain(self, now: float) -> None:
        for media, component, batch in self._sockets.drain():
            orders = self._channel.receive() if self._channel.wait() else []
            # Whoever asked for a pause before these packets came may rely on it: they were read after it was sent.
            for order in orders:
                if isinstance(order, PauseLine):
                    self._perform(order)
            self._receive(media, component, batch, now)
            for order in orders:
                self._perform(order)

    def _receive(self, media: MediaId, component: Component, batch: DatagramBatch, now: float) -> None:
        entry = self._lines.get(media)
        if entry is not None:
            sink, recorder = entry
            blocks = recorder.receive(batch, component=component, now=now)
            if blocks:
                self._sinks.perform(WriteSink(sink=sink, data=blocks))

    def _report(self, now: float) -> None:
        """Tell what came, if the server listens."""
        if self._channel.unsent_size < _UNSENT_SIZE:
            for _, recorder in self._lines.values():
                report = recorder.report(now=now)
                if report is not None:
                    self._answers.append(report)
        self._answers += self._sinks.take_reports()

    def _answer(self, now: float) -> None:
        """Say what there is to say."""
        self._channel.flush()
        if self._answers or now >= self._say_at:
            self._channel.send(self._answers)
            self._answers = []
            self._say_at = now + ALIVE_SECONDS


def _change(recorder: LineRecorder, order: UpdateLine | SecureLine | PauseLine) -> None:
    match order:
        case UpdateLine():
            recorder.update(order.spec, now=order.now)
        case SecureLine():
            recorder.secure(order.keys, now=order.now)
        case PauseLine():
            recorder.pause(paused=order.paused, now=order.now)


def _nothing() -> None:
    """Wake nobody: reports are taken every tick."""


def main() -> None:
    """Serve at the channel whose descriptor is the last argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="siprec media worker: %(message)s")
    channel = WorkerChannel(socket.socket(fileno=int(sys.argv[-1])))
    select.select([channel.socket], [], [])
    try:
        start, *orders = channel.receive()
    except ChannelClosedError:
        return
    if not isinstance(start, WorkerStart):
        raise TypeError(f"no start of a media worker: {start!r}")
    MediaWorker(channel, start).run(orders)
