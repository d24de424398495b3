"""How much room recordings have: below a reserve no new ones are taken, so that running ones can be finished."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskReserve:
    """What is kept free on the disk of the recordings: the smaller of both. Zero switches it off."""

    size: int = 1024 * 1024 * 1024
    """Octets."""
    fraction: float = 0.02
    """Share of the file system, from 0 to 1."""

    def reached(self, root: Path) -> bool:
        """Tell whether less than the reserve is free. Raises OSError."""
        total, free = disk_space(root)
        return free < min(self.size, int(total * self.fraction))


def disk_space(root: Path) -> tuple[int, int]:
    """Give the octets of the file system of a folder, and how many of them we may still fill. Raises OSError."""
    if sys.platform == "win32":
        import shutil

        usage = shutil.disk_usage(root)
        return usage.total, usage.free
    status = os.statvfs(root)
    return status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
