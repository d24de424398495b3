"""A process that makes the final files of recordings, started by `render_pool`.

It reads one JSON object a line from standard input, `{"folder": str}` and for a recovery also `"root"`, answers each
with one line, `{"error": str | null, "status": str | null}`, and ends with its input. It runs at low priority, so that
a long rendering takes no time from the calls, and leaves signals to its parent: what ends the server group-wide lets a
rendering that has begun come to its end.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from siprec_sync.listeners import reason_of
from siprec_sync.recovery import recover_recording
from siprec_sync.rendering import render_recording

_NICENESS = 10


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform != "win32":
        os.nice(_NICENESS)
    try:
        serve_jobs(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(0)  # the server is gone: the files are there, and nobody is left to tell


def serve_jobs(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Carry out each job of a stream."""
    for line in jobs:
        answer = carry_out(json.loads(line))
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def carry_out(job: dict[str, str]) -> dict[str, str | None]:
    """Render or recover one recording; give the answer."""
    folder = Path(job["folder"])
    try:
        if "root" not in job:
            render_recording(folder)
            return {"error": None, "status": None}
        return {"error": None, "status": recover_recording(folder, root=Path(job["root"]), ours=True).status}
    except OSError as error:
        return {"error": reason_of(error), "status": None}
    except Exception as error:  # noqa: BLE001 - told to the parent, which logs it; the next job is another recording
        return {"error": f"{type(error).__name__}: {error}", "status": None}
