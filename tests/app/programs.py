"""Runs the program: in this process, or as one of its own where signals matter."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from siprec.cli import main
from tests.ports import rtp_ports
from tests.tree import SRC

SECONDS = 30


@dataclass(frozen=True)
class Done:
    """What a run printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command prints
        return json.loads(self.out)


class Program:
    """Calls `main` and captures what it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Done:
        self._capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = self._capsys.readouterr()
        return Done(code, out, err)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, **more, "PYTHONPATH": str(SRC), "NO_COLOR": "1", "COLUMNS": "120", "PYTHONWARNINGS": "error"}


def start(words: Sequence[object], folder: Path, **more: str) -> "subprocess.Popen[str]":
    """Start the program in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "siprec", *map(str, words)],
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass
class RunningServer:
    """`siprec serve` in a process of its own."""

    program: "subprocess.Popen[str]"
    folder: Path
    ready: dict[str, Any]
    errors: str = ""

    def target(self, transport: str) -> str:
        (port,) = [each["port"] for each in self.ready["listeners"] if each["transport"] == transport]
        return f"sips:127.0.0.1:{port}" if transport == "tls" else f"sip:127.0.0.1:{port};transport={transport}"

    def end(self, number: int = signal.SIGTERM) -> int:
        self.program.send_signal(number)
        _, self.errors = self.program.communicate(timeout=SECONDS)
        return self.program.returncode

    def reports(self) -> list[dict[str, Any]]:
        paths = sorted((self.folder / "recordings").rglob("recording.json"))
        return sorted((json.loads(path.read_bytes()) for path in paths), key=lambda report: str(report["started_at"]))


@contextmanager
def serving(folder: Path, *words: object, **more: str) -> Iterator[RunningServer]:
    """Serve until the block ends; the SIP ports are the system's choice, the media ports this process's.

    `more` are variables of the environment.
    """
    ready = folder / "ready.json"
    low, high = rtp_ports()
    program = start(["serve", "--ready-file", ready, "--rtp-ports", f"{low}-{high}", *words], folder, **more)
    try:
        until = time.monotonic() + SECONDS
        while not ready.exists() and program.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        assert ready.exists(), program.communicate(timeout=SECONDS)
        yield RunningServer(program, folder, json.loads(ready.read_text(encoding="utf-8")))
    finally:
        with program:  # closes the pipes
            if program.poll() is None:
                program.kill()
