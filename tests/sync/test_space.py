"""The reserve of the disk."""

import os
from pathlib import Path

import pytest

from siprec_sync.space import DiskReserve, disk_space


@pytest.mark.parametrize(
    ("size", "fraction", "reached"),
    [
        (0, 1.0, False),
        (2**63, 0.0, False),
        (2**63, 1.0, True),  # nothing but an empty disk is all free
        (1, 1.0, False),
    ],
)
def test_the_smaller_of_size_and_share_counts(tmp_path: Path, size: int, fraction: float, reached: bool) -> None:
    assert DiskReserve(size=size, fraction=fraction).reached(tmp_path) is reached


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - which one is the system's choice
        DiskReserve().reached(tmp_path / os.urandom(4).hex())


def test_the_room_of_a_disk(tmp_path: Path) -> None:
    total, free = disk_space(tmp_path)
    assert 0 <= free <= total
    assert total > 0
