"""Readers of option values, and the ready file."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from siprec.options import disk_reserve, port_range, positive_number, positive_seconds, seconds
from siprec.ready import clear_ready_file, ready_file
from siprec_core.errors import ConfigurationError
from siprec_sync.space import DiskReserve


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (positive_number, "1", 1),
        (seconds, "0", 0.0),
        (positive_seconds, "0.5", 0.5),
        (port_range, "30000-39999", (30000, 39999)),
        (port_range, "1-65535", (1, 65535)),
        (port_range, "40000-40001", (40000, 40001)),
        (disk_reserve, "0", DiskReserve(size=0, fraction=1.0)),
        (disk_reserve, "12", DiskReserve(size=12, fraction=1.0)),
        (disk_reserve, "500M", DiskReserve(size=500 * 2**20, fraction=1.0)),
        (disk_reserve, "2.5%", DiskReserve(size=2**63, fraction=0.025)),
    ],
)
def test_values(read: Callable[[str], object], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((positive_number, text) for text in ("0", "-1", "1.5", "", "x", "\u0663", "9" * 30)),
        *((seconds, text) for text in ("-1", "nan", "inf", "x", "")),
        *((positive_seconds, text) for text in ("0", "-1")),
        *((disk_reserve, text) for text in ("", "x", "-1", "1.5G", "1g", "%", "-1%", "101%", "nan%")),
        *((port_range, text) for text in ("", "5", "0-5", "9-5", "1-70000", "40001-40002", "a-b", "1-2-3")),
    ],
)
def test_wrong_values(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "1"}', b'{"pid": 0}', b'{"pid": 4194304999}', b"\xff"])
def test_the_ready_file_of_a_dead_server_is_removed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ready.json"
    path.write_bytes(content)
    clear_ready_file(path)
    assert not path.exists()


def test_the_ready_file_of_another_server_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    path.write_text(json.dumps({"pid": os.getppid()}))
    clear_ready_file(path)
    assert path.exists()
    # In a container each server has the same number: what names this process was left by one before it.
    path.write_text(json.dumps({"pid": os.getpid()}))
    clear_ready_file(path)
    assert not path.exists()
    clear_ready_file(path)
    clear_ready_file(None)


def test_a_ready_file_without_a_folder_is_refused_before_anything_listens(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        clear_ready_file(tmp_path / "no" / "x")


def test_ready_file_is_there_during_the_block_only(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    with ready_file(path, (), (1, 2)):
        assert json.loads(path.read_bytes()) == {"pid": os.getpid(), "listeners": [], "rtp_ports": [1, 2]}
        assert [each.name for each in tmp_path.iterdir()] == ["ready.json"]
    assert list(tmp_path.iterdir()) == []
    with ready_file(None, (), (1, 2)):
        pass
    with pytest.raises(ConfigurationError, match="no such file"), ready_file(tmp_path / "no" / "x", (), (1, 2)):
        pass
