"""Sinks that keep recordings as files below one directory.

One thread writes, fed by a queue that never blocks the driver: when the disk is slower than the calls for so long that
the queue is full, audio is given up and said to be. Other processes render, so that a long rendering delays no journal
and no call.

One program has a root at a time. What its last run left unfinished, by a crash or because it was told to stop at once,
is finished beside service. A journal that cannot be written waits and goes on when the disk has room; below a reserve
new recordings are refused.

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
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import assert_never

from siprec_core.errors import ConfigurationError
from siprec_core.recording.commands import (
    CloseSink,
    OpenSink,
    RenderRecording,
    SinkCommand,
    SinkKind,
    WriteSink,
)
from siprec_core.recording.journal import without_media
from siprec_core.types import SinkId
from siprec_sync.files import FileTree, write_all
from siprec_sync.journal_file import JournalFile
from siprec_sync.listeners import reason_of
from siprec_sync.ownership import RootLock
from siprec_sync.recovery import remove_leftovers
from siprec_sync.render_pool import Render, RenderPool
from siprec_sync.rendering import render_recording
from siprec_sync.sinks import SinkFailed, SinkReport, StorageChanged
from siprec_sync.space import DiskReserve

__all__ = ["DirectorySinks", "Durability", "Render", "SinkSettings"]

_LOGGER = logging.getLogger("siprec.sinks")

_SPACE_SECONDS = 1.0
"""Time between looks at the room that is left."""
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
    reserve: DiskReserve = field(default_factory=DiskReserve)
    """Room below which no new recordings are taken."""
    render_workers: int = 1
    """Processes that make final files at a time; 0 makes them in a thread of this one."""
    recover: bool = True
    """Finish what an earlier run left behind."""


class _Document:
    """One open document."""

    __slots__ = ("descriptor", "name", "temporary")

    def __init__(self, tree: FileTree, name: str) -> None:
        self.name = name
        self.descriptor, self.temporary = tree.begin_document(name)

    def close(self) -> None:
        os.close(self.descriptor)


class DirectorySinks:
    """Files below `root`. `render` makes the final files of a recording; None leaves the journal alone there."""

    def __init__(
        self,
        root: Path | str,
        *,
        render: Render | None = render_recording,
        settings: SinkSettings | None = None,
        lodger: bool = False,
    ) -> None:
        """A `lodger` writes below the root of a server that owns it, in a process of that server's."""
        self.root = Path(root)
        self.settings = settings or SinkSettings()
        self._tree = FileTree(self.root)
        self._lock = None if lodger else RootLock(self.root)
        self._full = False
        self._space_at = float("-inf")
        self._files: dict[SinkId, JournalFile | _Document] = {}
        self._running: set[str] = set()
        self._unsynchronised: set[SinkId] = set()
        self._synchronised_at = time.monotonic()
        self._slow: set[SinkId] = set()
        self._condition = threading.Condition()
        self._queue: list[SinkCommand] = []
        self._queued_size = 0
        self._urgent = False
        self._closing = False
        self._reports: deque[SinkReport] = deque()
        self._wake: Callable[[], None] | None = None
        self._recover = self.settings.recover and render is render_recording
        self._pool = RenderPool(self.root, render, self._rendered, workers=self.settings.render_workers)
        self._writer = threading.Thread(target=self._run, name="siprec-sinks", daemon=True)

    @property
    def queued_size(self) -> int:
        """Octets that wait to be written."""
        return self._queued_size

    @property
    def waiting_renderings(self) -> int:
        """Recordings whose final files are not begun."""
        return len(self._pool)

    def start(self, wake: Callable[[], None]) -> None:
        """Start the threads.

        Raises ConfigurationError when the directory cannot be made or written, or another server has it.
        """
        self._wake = wake
        if self._lock is not None:
            self._own(self._lock)
        self._writer.start()
        self._pool.start()
        if self._recover:
            self._pool.recover(self._is_running)

    def _own(self, lock: RootLock) -> None:
        try:
            self._tree.write_document(".writable", b"", durable=False)
            (self.root / ".writable").unlink(missing_ok=True)
            if not lock.take():
                raise ConfigurationError(f"another server keeps its recordings in {self.root}")
            remove_leftovers(self.root)
        except OSError as error:
            raise ConfigurationError(f"cannot keep recordings in {self.root}: {reason_of(error)}") from error

    def expect(self, directory: str) -> None:
        """Leave the folder of a recording alone until it is rendered: a process of ours writes its journal."""
        with self._condition:
            self._running.add(directory)

    def perform(self, command: SinkCommand) -> None:
        """Queue one command; a journal whose write finds the queue full goes on without audio."""
        with self._condition:
            if isinstance(command, OpenSink) and command.kind is SinkKind.JOURNAL:
                self._running.add(command.name.rpartition("/")[0])
            if not isinstance(command, WriteSink):
                self._urgent = True
            elif self._queued_size + len(command.data) <= self.settings.queue_size:
                self._queued_size += len(command.data)
            else:
                if command.sink not in self._slow:
                    self._slow.add(command.sink)
                    self._report(SinkFailed(sink=command.sink, error="the disk does not keep up"))
                data = without_media(command.data)
                if not data or self._queued_size + len(data) > 2 * self.settings.queue_size:
                    return
                self._queued_size += len(data)
                command = WriteSink(sink=command.sink, data=data)
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
        self._pool.close()
        if self._lock is not None:
            self._lock.release()

    # the writer's thread

    def _run(self) -> None:
        while True:
            commands, closing = self._next_commands()
            self._perform_all(commands)
            self._watch_space()
            if time.monotonic() >= self._synchronise_due():
                self._synchronise()
            if closing and not commands:
                break
            commands = []  # what was written is let go before the wait for more
        for sink in list(self._files):
            self._finish(sink, complete=False)

    def _next_commands(self) -> tuple[list[SinkCommand], bool]:
        with self._condition:
            while not self._queue and not self._closing:
                rest = self._next_due() - time.monotonic()
                if rest <= 0:
                    break
                self._condition.wait(rest)
            if self._queue and not self._urgent and not self._closing:
                self._condition.wait_for(lambda: self._urgent or self._closing, self.settings.gather_seconds)
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
                    self._pool.add(command)
                case _:
                    assert_never(command)
        for sink, pieces in gathered.items():
            self._write(sink, pieces)

    def _open(self, command: OpenSink) -> None:
        file: JournalFile | _Document
        try:
            match command.kind:
                case SinkKind.JOURNAL | SinkKind.ORPHAN:
                    file = JournalFile(self._tree, command.name, orphan=command.kind is SinkKind.ORPHAN)
                case SinkKind.DOCUMENT:
                    file = _Document(self._tree, command.name)
                case _:
                    assert_never(command.kind)
        except OSError as error:
            self._fail(command.sink, error)
            return
        self._files[command.sink] = file
        self._unsynchronised.add(command.sink)

    def _write(self, sink: SinkId, pieces: list[bytes], offset: int | None = None) -> None:
        if not pieces:
            return
        with self._condition:
            self._queued_size -= sum(map(len, pieces))
        file = self._files.get(sink)
        if isinstance(file, JournalFile):
            self._append(sink, file, b"".join(pieces), offset)
        elif file is not None and sink not in self._slow:
            try:
                write_all(file.descriptor, b"".join(pieces), offset)
            except OSError as error:
                self._fail(sink, error)
            else:
                self._written(sink, file)

    def _append(self, sink: SinkId, file: JournalFile, data: bytes, offset: int | None) -> None:
        failed_before = file.failing
        try:
            if offset is not None:
                raise OSError("a journal is only appended to")
            file.append(data, now=time.monotonic())
        except OSError as error:
            if not failed_before:
                self._report(SinkFailed(sink=sink, error=reason_of(error)))
        else:
            if not file.failing:
                self._written(sink, file)

    def _written(self, sink: SinkId, file: JournalFile | _Document) -> None:
        self._unsynchronised.add(sink)
        if self.settings.durability is Durability.ALWAYS:
            try:
                _synchronise_data(file.descriptor)
            except OSError as error:
                self._report(SinkFailed(sink=sink, error=reason_of(error)))

    def _finish(self, sink: SinkId, *, complete: bool) -> None:
        """Close a file, a document into its place if it is complete."""
        file = self._files.get(sink)
        with self._condition:
            complete = complete and sink not in self._slow
            self._slow.discard(sink)
        if file is None:
            return
        durable = self.settings.durability is not Durability.NONE
        try:
            if isinstance(file, JournalFile):
                file.restore(self._tree)
                file.flush(now=time.monotonic())
            if durable:
                os.fsync(file.descriptor)
            del self._files[sink]
            self._unsynchronised.discard(sink)
            file.close()
            if isinstance(file, _Document):
                place = self._tree.finish_document if complete else self._tree.discard_document
                place(file.name, file.temporary)
            if durable:
                self._tree.synchronise_names()
        except OSError as error:
            self._fail(sink, error, silent=isinstance(file, JournalFile) and file.failing)

    def _fail(self, sink: SinkId, error: OSError, *, silent: bool = False) -> None:
        """Give a file up; `silent` when its failure was told already."""
        self._unsynchronised.discard(sink)
        file = self._files.pop(sink, None)
        if file is not None:
            try:
                file.close()
                if isinstance(file, _Document):
                    self._tree.discard_document(file.name, file.temporary)
            except OSError:
                pass  # the first error is the one that tells
        if not silent:
            self._report(SinkFailed(sink=sink, error=reason_of(error)))

    def _watch_space(self) -> None:
        """Tell when the room for recordings reaches its reserve, and when it is there again."""
        now = time.monotonic()
        if now < self._space_at:
            return
        self._space_at = now + _SPACE_SECONDS
        try:
            full = self.settings.reserve.reached(self.root)
        except OSError:
            full = True
        full = full or any(isinstance(file, JournalFile) and file.failing for file in self._files.values())
        if full != self._full:
            self._full = full
            self._report(StorageChanged(full=full))

    def _next_due(self) -> float:
        return min(self._synchronise_due(), self._space_at)

    def _synchronise_due(self) -> float:
        if self.settings.durability is not Durability.INTERVAL or not self._unsynchronised:
            return float("inf")
        return self._synchronised_at + self.settings.synchronise_seconds

    def _synchronise(self) -> None:
        sinks = [sink for sink in self._unsynchronised if sink in self._files]
        self._restore(sinks)
        self._unsynchronised.clear()
        self._synchronised_at = time.monotonic()
        if len(sinks) > _FEW_FILES and _synchronise_file_system(self._files[sinks[0]].descriptor):
            self._tree.changed.clear()
            return
        for sink in sinks:
            try:
                _synchronise_data(self._files[sink].descriptor)
            except OSError as error:
                self._report(SinkFailed(sink=sink, error=reason_of(error)))
        try:
            self._tree.synchronise_names()
        except OSError as error:
            _LOGGER.error("synchronising %s failed: %s", self.root, reason_of(error))

    def _restore(self, sinks: list[SinkId]) -> None:
        """Create journals anew that somebody removed."""
        for sink in sinks:
            file = self._files[sink]
            try:
                if isinstance(file, JournalFile) and file.restore(self._tree):
                    _LOGGER.warning("%s was removed while it was written; it is there again", file.name)
            except OSError as error:
                _LOGGER.error("%s was removed and cannot be made anew: %s", file.name, reason_of(error))

    def _is_running(self, folder: Path) -> bool:
        """Tell whether a recording is ours, and not yet finished."""
        return folder.relative_to(self.root).as_posix() in self._running

    def _rendered(self, command: RenderRecording, report: SinkReport) -> None:
        self._running.discard(command.directory)
        self._report(report)

    def _report(self, report: SinkReport) -> None:
        self._reports.append(report)
        if self._wake is not None:
            self._wake()


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
