"""One journal on the disk, which takes whole blocks or nothing.

A write that fails, or comes to its end half way, leaves no half block: what was not written waits in memory, the file
is cut back to its last whole block, and the next write goes on from there. While the disk takes nothing for long, the
audio that waits is given up, but never what the later part of the journal needs to be read.
"""

import os
from mmap import ACCESS_READ, mmap
from typing import Final

from siprec_core.recording.journal import whole_size, without_media
from siprec_sync.files import FileTree, write_all
from siprec_sync.ownership import lock_file

WAITING_SIZE: Final = 16 * 1024 * 1024
"""Octets of one journal that wait for a failing disk; with more the audio among them is given up."""
RETRY_SECONDS: Final = 1.0
"""Time between attempts to write to a disk that failed."""
_COPY_SIZE = 1024 * 1024


class JournalFile:
    """A journal that is being written; its lock is held until it is closed."""

    def __init__(self, tree: FileTree, name: str, *, orphan: bool = False) -> None:
        """Create the file, or go on with an `orphan` whose writer was lost. Raises OSError."""
        self.name = name
        self.descriptor = tree.open_journal(name) if orphan else tree.create_journal(name)
        lock_file(self.descriptor, wait=True)
        self._size = _cut_torn(self.descriptor) if orphan else 0
        self._cut = False
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._retry_at = 0.0
        self.failing = False
        """The last write failed."""

    def append(self, data: bytes, *, now: float) -> None:
        """Write blocks, first those that wait. Raises OSError; then they wait for the next attempt."""
        self._waiting.append(data)
        self._waiting_size += len(data)
        if self.failing and now < self._retry_at:
            self._bound()
            return
        self._write(now)

    def flush(self, *, now: float) -> None:
        """Write what waits. Raises OSError."""
        if self._waiting:
            self._write(now)

    def restore(self, tree: FileTree) -> bool:
        """Create the file anew when somebody removed it, with all that it held; True when that was so.

        Raises OSError.
        """
        if os.fstat(self.descriptor).st_nlink:
            return False
        descriptor = tree.create_journal(self.name)
        lock_file(descriptor, wait=True)
        try:
            os.lseek(self.descriptor, 0, os.SEEK_SET)
            while data := os.read(self.descriptor, _COPY_SIZE):
                write_all(descriptor, data)
        except OSError:
            os.close(descriptor)
            raise
        os.close(self.descriptor)
        self.descriptor = descriptor
        return True

    def close(self) -> None:
        """Close the file. Raises OSError."""
        os.close(self.descriptor)

    def _write(self, now: float) -> None:
        data = b"".join(self._waiting)
        try:
            if self._cut:
                os.ftruncate(self.descriptor, self._size)
                self._cut = False
            write_all(self.descriptor, data, self._size)
        except OSError:
            self._retry_at = now + RETRY_SECONDS
            self.failing = self._cut = True
            self._waiting = [data]
            self._bound()
            raise
        self.failing = False
        self._size += len(data)
        self._waiting.clear()
        self._waiting_size = 0

    def _bound(self) -> None:
        if self._waiting_size > WAITING_SIZE:
            data = without_media(b"".join(self._waiting))
            # A flood of signalling must not fill memory either.
            self._waiting = [data] if len(data) <= WAITING_SIZE else []
            self._waiting_size = sum(map(len, self._waiting))


def _cut_torn(descriptor: int) -> int:
    """Cut a journal after its last whole block; give its size. Raises OSError."""
    size = os.fstat(descriptor).st_size
    if size:
        with mmap(descriptor, size, access=ACCESS_READ) as content, memoryview(content) as blocks:
            size = whole_size(blocks)
        os.ftruncate(descriptor, size)
    return size
