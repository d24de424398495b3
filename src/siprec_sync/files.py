"""Files of recordings: made new, never through somebody's link, whole or not at all.

Directories are walked one part at a time relative to an open directory (`dir_fd`) and without following links, so that
a link planted below the root leads nowhere. Files are 0640, directories 0750 (less what the umask takes away).
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TypeVar

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_OPEN_DIRECTORY: int = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
_BY_DESCRIPTOR = {os.open, os.mkdir, os.rename, os.unlink} <= os.supports_dir_fd
_numbers = count(1)
_T = TypeVar("_T")


class FileTree:
    """The files below one directory, named by relative paths with `/`. All methods raise OSError."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.changed: set[Path] = set()
        """Directories with new names that may not be on the disk yet."""

    def create_journal(self, name: str) -> int:
        """Create a file that must not exist yet; give its descriptor, for writing and reading."""
        return self._in_folder(name, lambda folder: folder.open(folder.name, os.O_CREAT | os.O_EXCL | os.O_RDWR))

    def open_journal(self, name: str) -> int:
        """Open a file that exists; give its descriptor, for writing and reading."""
        return self._in_folder(name, lambda folder: folder.open(folder.name, os.O_RDWR))

    def begin_document(self, name: str) -> tuple[int, str]:
        """Create a file beside `name`; give its descriptor and its temporary name."""

        def create(folder: _Folder) -> tuple[int, str]:
            temporary = f".{folder.name}.{os.getpid()}-{next(_numbers)}.tmp"
            return folder.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY), temporary

        return self._in_folder(name, create)

    def finish_document(self, name: str, temporary: str) -> None:
        """Put a finished document in its place: readers see the old content or the new, whole."""
        self._in_folder(name, lambda folder: folder.replace(temporary, folder.name))

    def discard_document(self, name: str, temporary: str) -> None:
        """Remove an unfinished document."""
        self._in_folder(name, lambda folder: folder.remove(temporary))

    def write_document(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Write a whole document, on the disk when this returns if `durable`."""
        descriptor, temporary = self.begin_document(name)
        try:
            try:
                write_all(descriptor, data)
                if durable:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self.finish_document(name, temporary)
        except OSError:
            self.discard_document(name, temporary)
            raise
        if durable:
            self.synchronise_names()

    def synchronise_names(self) -> None:
        """Bring the names of new files and directories to the disk."""
        while self.changed:
            path = self.changed.pop()
            if not _BY_DESCRIPTOR:
                continue  # this system has no way to say it
            try:
                descriptor = os.open(path, _OPEN_DIRECTORY)
            except FileNotFoundError:
                continue  # removed since: nothing of it is left to keep
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _in_folder(self, name: str, action: "Callable[[_Folder], _T]") -> _T:
        parts = _parts_of(name)
        with ExitStack() as opened:
            folder = _Folder(self.root, parts[-1], _open_root(self.root))
            opened.callback(folder.close)
            for part in parts[:-1]:
                inner, made = folder.enter(part)
                if made:
                    self.changed.add(folder.path)
                opened.callback(inner.close)
                folder = inner
            self.changed.add(folder.path)
            return action(folder)


class _Folder:
    """One open directory, and the name of the file in it that we are about."""

    def __init__(self, path: Path, name: str, descriptor: int | None) -> None:
        self.path = path
        self.name = name
        self._descriptor = descriptor

    def enter(self, part: str) -> "tuple[_Folder, bool]":
        """Open a directory in this one; True with it when it had to be made."""
        made = True
        try:
            if self._descriptor is None:
                (self.path / part).mkdir(DIRECTORY_MODE)
            else:
                os.mkdir(part, DIRECTORY_MODE, dir_fd=self._descriptor)
        except FileExistsError:
            made = False
        descriptor = None
        if self._descriptor is not None:
            descriptor = os.open(part, _OPEN_DIRECTORY, dir_fd=self._descriptor)
        return _Folder(self.path / part, self.name, descriptor), made

    def open(self, name: str, flags: int) -> int:
        if self._descriptor is None:
            return os.open(self.path / name, flags | _NO_LINK, FILE_MODE)
        return os.open(name, flags | _NO_LINK, FILE_MODE, dir_fd=self._descriptor)

    def replace(self, old: str, new: str) -> None:
        if self._descriptor is None:
            os.replace(self.path / old, self.path / new)
        else:
            os.replace(old, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove(self, name: str) -> None:
        try:
            if self._descriptor is None:
                (self.path / name).unlink()
            else:
                os.unlink(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            pass

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def write_all(descriptor: int, data: bytes, offset: int | None = None) -> None:
    """Write every octet, at the end or at `offset`. Raises OSError."""
    rest = memoryview(data)
    while rest:
        if offset is None:
            written = os.write(descriptor, rest)
        else:
            os.lseek(descriptor, offset, os.SEEK_SET)
            written = os.write(descriptor, rest)
            offset += written
        rest = rest[written:]


def _open_root(root: Path) -> int | None:
    # The root itself may be a link: that is the operator's choice.
    root.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
    if not _BY_DESCRIPTOR:
        return None
    return os.open(root, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))


def _parts_of(name: str) -> tuple[str, ...]:
    """Split a relative path; OSError for one that could lead outside the root."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or any("\\" in part or "\0" in part for part in parts):
        raise OSError(f"not a name of a recording's file: {name!r}")
    return parts
