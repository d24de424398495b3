"""Sinks that keep recordings as files below one directory.

One thread writes, fed by a queue that never blocks the driver: when the disk is slower than the calls for so long that
the queue is full, the sink fails with a reason instead. A second thread renders, so that a long rendering delays no
journal.

What a crash can cost: with durability `interval` what was written in the last second or so (a crash of this process
alone: the last quarter of a second), with `always` only what is still queued, with `none` what the system had not
written yet.
"""

import ctypes
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeAlias, assert_never

from siprec_core.errors import ConfigurationError
from siprec_core.recording.commands import (
    CloseSink,
    OpenSink,
    RenderRecording,
    SinkCommand,
    SinkKind,
    WriteSink,
)
from siprec_core.types import SinkId
from siprec_sync.files import FileTree, write_all
from siprec_sync.listeners import reason_of
from siprec_sync.rendering import render_recording
from siprec_sync.sinks import Rendered, RenderFailed, SinkFailed, SinkReport

_LOGGER = logging.getLogger("siprec.sinks")

Render: TypeAlias = Callable[[Path], None]
"""Makes the final files in the folder of a recording."""

_FEW_FILES = 8
"""Up to so many files are synchronised one by one, more by one call for the whole file system."""


class Durability(Enum):
    """When what was written is brought to the disk."""

    NONE = "none"
    """When the system likes."""
    INTERVAL = "interval"
    """Every second, and when a file is finished."""
    ALWAYS = "always"
    """After each write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """How files are written. Times in seconds, sizes in octets."""

    durability: Durability = Durability.INTERVAL
    synchronise_seconds: float = 1.0
    """Time between synchronisations of `Durability.INTERVAL`."""
    gather_seconds: float = 0.25
    """How long writes are gathered, so that a journal costs a few system calls a second and not one per tick."""
    queue_size: int = 256 * 1024 * 1024
    """Octets that may wait for the disk; a thousand calls fill it in some 15 seconds."""


class _File:
    """One open file."""

    __slots__ = ("descriptor", "kind", "name", "temporary")

    def __init__(self, kind: SinkKind, name: str, descriptor: int, temporary: str) -> None:
        self.kind = kind
        self.name = name
        self.descriptor = descriptor
        self.temporary = temporary


class DirectorySinks:
    """Files below `root`. `render` makes the final files of a recording; None leaves the journal alone there."""

    def __init__(
        self,
        root: Path | str,
        *,
        render: Render | None = render_recording,
        settings: SinkSettings | None = None,
    ) -> None:
        self.root = Path(root)
        self._settings = settings or SinkSettings()
        self._tree = FileTree(self.root)
        self._files: dict[SinkId, _File] = {}
        self._unsynchronised: set[SinkId] = set()
        self._synchronised_at = time.monotonic()
        self._failed: set[SinkId] = set()
        self._condition = threading.Condition()
        self._queue: list[SinkCommand] = []
        self._queued_size = 0
        self._urgent = False
        self._closing = False
        self._reports: deque[SinkReport] = deque()
        self._wake: Callable[[], None] | None = None
        self._renderer = _Renderer(self.root, render, self._report)
        self._writer = threading.Thread(target=self._run, name="siprec-sinks", daemon=True)

    @property
    def queued_size(self) -> int:
        """Octets that wait to be written."""
        return self._queued_size

    def start(self, wake: Callable[[], None]) -> None:
        """Start the threads. Raises ConfigurationError when the directory cannot be made or written."""
        self._wake = wake
        try:
            self._tree.write_document(".writable", b"", durable=False)
            (self.root / ".writable").unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(f"cannot keep recordings in {self.root}: {reason_of(error)}") from error
        self._writer.start()
        self._renderer.start()

    def perform(self, command: SinkCommand) -> None:
        """Queue one command; a write that finds the queue full makes its sink fail."""
        with self._condition:
            if not isinstance(command, WriteSink):
                self._urgent = True
            elif command.sink in self._failed:
                return
            elif self._queued_size + len(command.data) <= self._settings.queue_size:
                self._queued_size += len(command.data)
            else:
                self._failed.add(command.sink)
                self._report(SinkFailed(sink=command.sink, error="the disk does not keep up"))
                command = CloseSink(sink=command.sink)
            self._queue.append(command)
            if self._urgent or len(self._queue) == 1:
                self._condition.notify()

    def take_reports(self) -> list[SinkReport]:
        """Give the reports that came since the last call."""
        reports: list[SinkReport] = []
        while self._reports:
            reports.append(self._reports.popleft())
        return reports

    def close(self) -> None:
        """Write what is queued, finish a rendering that has begun, end the threads. Blocks; harmless twice."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        if self._writer.is_alive():
            self._writer.join()
        self._renderer.close()

    # the writer's thread

    def _run(self) -> None:
        while True:
            commands, closing = self._next_commands()
            self._perform_all(commands)
            if self._settings.durability is Durability.INTERVAL and time.monotonic() >= self._synchronise_due():
                self._synchronise()
            if closing and not commands:
                break
        for sink in list(self._files):
            self._finish(sink, complete=False)

    def _next_commands(self) -> tuple[list[SinkCommand], bool]:
        with self._condition:
            while not self._queue and not self._closing:
                rest = self._synchronise_due() - time.monotonic() if self._unsynchronised else None
                if rest is not None and rest <= 0:
                    break
                self._condition.wait(rest)
            if self._queue and not self._urgent and not self._closing:
                self._condition.wait_for(lambda: self._urgent or self._closing, self._settings.gather_seconds)
            commands, self._queue = self._queue, []
            self._urgent = False
            return commands, self._closing

    def _perform_all(self, commands: list[SinkCommand]) -> None:
        """Carry out commands in order, the writes of one journal together."""
        gathered: dict[SinkId, list[bytes]] = {}
        for command in commands:
            match command:
                case WriteSink(offset=None):
                    gathered.setdefault(command.sink, []).append(command.data)
                case WriteSink():
                    self._write(command.sink, gathered.pop(command.sink, []))
                    self._write(command.sink, [command.data], command.offset)
                case OpenSink():
                    self._open(command)
                case CloseSink():
                    self._write(command.sink, gathered.pop(command.sink, []))
                    self._finish(command.sink, complete=True)
                case RenderRecording():
                    self._renderer.add(command)
                case _:
                    assert_never(command)
        for sink, pieces in gathered.items():
            self._write(sink, pieces)

    def _open(self, command: OpenSink) -> None:
        try:
            match command.kind:
                case SinkKind.JOURNAL:
                    descriptor, temporary = self._tree.create_journal(command.name), ""
                case SinkKind.DOCUMENT:
                    descriptor, temporary = self._tree.begin_document(command.name)
                case _:
                    assert_never(command.kind)
        except OSError as error:
            self._fail(command.sink, error)
            return
        self._files[command.sink] = _File(command.kind, command.name, descriptor, temporary)
        self._unsynchronised.add(command.sink)

    def _write(self, sink: SinkId, pieces: list[bytes], offset: int | None = None) -> None:
        if not pieces:
            return
        with self._condition:
            self._queued_size -= sum(map(len, pieces))
        file = self._files.get(sink)
        if file is None:
            return
        try:
            if offset is not None and file.kind is SinkKind.JOURNAL:
                raise OSError("a journal is only appended to")
            write_all(file.descriptor, b"".join(pieces), offset)
            if self._settings.durability is Durability.ALWAYS:
                _synchronise_data(file.descriptor)
        except OSError as error:
            self._fail(sink, error)
        else:
            self._unsynchronised.add(sink)

    def _finish(self, sink: SinkId, *, complete: bool) -> None:
        """Close a file, a document into its place if it is complete."""
        file = self._files.get(sink)
        with self._condition:
            complete = complete and sink not in self._failed
            self._failed.discard(sink)
        if file is None:
            return
        durable = self._settings.durability is not Durability.NONE
        try:
            if durable:
                os.fsync(file.descriptor)
            del self._files[sink]
            self._unsynchronised.discard(sink)
            os.close(file.descriptor)
            if file.kind is SinkKind.DOCUMENT:
                place = self._tree.finish_document if complete else self._tree.discard_document
                place(file.name, file.temporary)
            if durable:
                self._tree.synchronise_names()
        except OSError as error:
            self._fail(sink, error)

    def _fail(self, sink: SinkId, error: OSError) -> None:
        with self._condition:
            self._failed.add(sink)
        self._unsynchronised.discard(sink)
        file = self._files.pop(sink, None)
        if file is not None:
            try:
                os.close(file.descriptor)
                if file.temporary:
                    self._tree.discard_document(file.name, file.temporary)
            except OSError:
                pass  # the first error is the one that tells
        self._report(SinkFailed(sink=sink, error=reason_of(error)))

    def _synchronise_due(self) -> float:
        return self._synchronised_at + self._settings.synchronise_seconds

    def _synchronise(self) -> None:
        sinks = [sink for sink in self._unsynchronised if sink in self._files]
        self._unsynchronised.clear()
        self._synchronised_at = time.monotonic()
        if len(sinks) > _FEW_FILES and _synchronise_file_system(self._files[sinks[0]].descriptor):
            self._tree.changed.clear()
            return
        for sink in sinks:
            try:
                _synchronise_data(self._files[sink].descriptor)
            except OSError as error:
                self._fail(sink, error)
        try:
            self._tree.synchronise_names()
        except OSError as error:
            _LOGGER.error("synchronising %s failed: %s", self.root, reason_of(error))

    def _report(self, report: SinkReport) -> None:
        self._reports.append(report)
        if self._wake is not None:
            self._wake()


class _Renderer:
    """The thread that makes final files, one recording after the other."""

    def __init__(self, root: Path, render: Render | None, report: Callable[[SinkReport], None]) -> None:
        self._root = root
        self._render = render
        self._report = report
        self._condition = threading.Condition()
        self._queue: deque[RenderRecording] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="siprec-rendering", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, command: RenderRecording) -> None:
        with self._condition:
            self._queue.append(command)
            self._condition.notify()

    def close(self) -> None:
        """Let what has begun end; what waits is left to a later recovery."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._queue or self._closing)
                if self._closing:
                    return
                command = self._queue.popleft()
            self._report(self._rendered(command))

    def _rendered(self, command: RenderRecording) -> SinkReport:
        if self._render is None:
            return Rendered(session=command.session)
        try:
            self._render(self._root.joinpath(*command.directory.split("/")))
        except Exception as error:
            _LOGGER.exception("rendering %s failed", command.directory)
            return RenderFailed(session=command.session, error=str(error) or type(error).__name__)
        return Rendered(session=command.session)


def _synchronise_data(descriptor: int) -> None:
    """Bring a file's content to the disk (fdatasync where there is one). Raises OSError."""
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def _synchronise_file_system(descriptor: int) -> bool:
    """Bring everything of one file system to the disk; False when that is not to be had or failed."""
    if sys.platform != "linux":
        return False
    function = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return function is not None and function(descriptor) == 0
