"""`siprec serve` as users start it: a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.certificates import make_tls_files
from tests.interop.programs import end
from tests.tree import ROOT, SRC

_START_SECONDS = 20.0
_RECORDING_SECONDS = 20.0


class Serving:
    """A server that runs."""

    def __init__(self, ready: dict[str, Any], recordings: Path, authority: Path) -> None:
        self.ready = ready
        self.recordings = recordings
        self.authority = authority
        """Certificate of who signed the server's."""
        self.ports = {each["transport"]: int(each["port"]) for each in ready["listeners"]}

    def wait_for_recording(self, call_id: str) -> Path:
        """Wait for the finished recording of a call and give its folder."""
        deadline = time.monotonic() + _RECORDING_SECONDS
        while time.monotonic() < deadline:
            for path in self.recordings.rglob("recording.json"):
                report = json.loads(path.read_text(encoding="utf-8"))
                if report["call_id"] == call_id and report["status"] != "active":
                    return path.parent
            time.sleep(0.05)
        raise TimeoutError(f"no finished recording of {call_id} in {list(self.recordings.rglob('*'))}")


def siprec(command: str, *arguments: str, exit_code: int = 0, seconds: float = 30.0) -> str:
    """Run `siprec COMMAND` to its end and give its standard output; fails the test at another exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "siprec", command, *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        env=_environment(),
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == exit_code, f"exit code {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SRC), "NO_COLOR": "1"}


def start_command(command: str, *arguments: str, log: Path) -> "subprocess.Popen[bytes]":
    """Start `siprec COMMAND`, its standard error into `log`."""
    with log.open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "siprec", command, *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=_environment(),
        )


@contextmanager
def serving(folder: Path, worker: str, *arguments: str) -> Iterator[Serving]:
    """Serve on UDP, TCP and TLS of 127.0.0.1. At the end TERM; then exit code 0, no ready file and a clean log."""
    ready_file, log, recordings = folder / "ready.json", folder / "server.log", folder / "recordings"
    files = make_tls_files(folder)
    authority = folder / "localhost.pem"
    binds = [text for transport in ("udp", "tcp", "tls") for text in ("-b", f"{transport}://127.0.0.1:0")]
    process = start_command(
        "serve", *binds, "--tls-cert", str(files.certificate), "--tls-key", str(files.key), "-k", worker,
        "--recordings", str(recordings), "--ready-file", str(ready_file), "--drain-seconds", "2", *arguments, log=log,
    )  # fmt: skip
    with process:
        try:
            yield Serving(_ready(process, ready_file, log), recordings, authority)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            code = end(process)
    text = log.read_text(encoding="utf-8")
    assert code == 0, text
    assert "Traceback" not in text, text
    assert not ready_file.exists()


def _ready(process: "subprocess.Popen[bytes]", ready_file: Path, log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if ready_file.exists():
            ready: dict[str, Any] = json.loads(ready_file.read_text(encoding="utf-8"))
            return ready
        time.sleep(0.02)
    raise RuntimeError(f"the server did not get ready: {log.read_text(encoding='utf-8')}")
