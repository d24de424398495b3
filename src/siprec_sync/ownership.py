"""Who writes in a recordings directory, and in one recording: locks that end with the program that holds them.

A server holds its root, and each journal as long as it writes it; whoever makes the final files of a recording holds
its journal meanwhile. The locks are advisory (`flock`), so nothing of them is left after a crash. Systems without
`flock`, and file systems that know no locks, have none: there the operator sees to it that one server has a root.
"""

import os
import sys
from errno import EAGAIN, EWOULDBLOCK
from pathlib import Path

if sys.platform == "win32":

    def lock_file(descriptor: int, *, wait: bool) -> bool:
        """Take the lock of an open file: not to be had here."""
        del descriptor, wait
        return True

else:
    import fcntl

    def lock_file(descriptor: int, *, wait: bool) -> bool:
        """Take the lock of an open file, until it is closed; False when another one has it and we do not wait."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            return error.errno not in (EAGAIN, EWOULDBLOCK)
        return True


class RootLock:
    """The hold of a server on its recordings directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take hold; False when another server has it. Raises OSError when the directory cannot be opened."""
        if sys.platform == "win32":
            return True  # a directory cannot be opened there
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if not lock_file(descriptor, wait=False):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go; harmless twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def has_owner(root: Path) -> bool:
    """Tell whether a server runs on a recordings directory. Raises OSError when it cannot be opened."""
    lock = RootLock(root)
    taken = lock.take()
    lock.release()
    return not taken
