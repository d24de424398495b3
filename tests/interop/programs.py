"""Programs that are not ours: where they are, and running them within bounds."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

_PACKAGES = {
    "kamailio": "kamailio",
    "sipp": "sip-tester",
    "sox": "sox",
    "tshark": "tshark",
    **dict.fromkeys(("editcap", "mergecap", "text2pcap"), "wireshark-common"),
}


def path_of(program: str) -> str:
    """Give the path of a program; skips the test where it is not installed."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed: apt-get install {_PACKAGES[program]} (Debian, Ubuntu)")
    return path


def output_of(command: Sequence[str], *, seconds: float = 30.0, cwd: Path | None = None) -> str:
    """Run a program to its end and give its standard output; fails the test at any exit code but 0."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=cwd, check=False)
    assert done.returncode == 0, f"{command[0]}: exit code {done.returncode}: {done.stderr}"
    return done.stdout


def end(program: "subprocess.Popen[bytes]", *, seconds: float = 10.0) -> int:
    """Wait for a program and give its exit code; one that does not end is killed, which fails the test."""
    try:
        return program.wait(seconds)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()
        raise
