"""Makes final files off the loop: worker processes, each served by a thread that waits for it.

A worker is started when there is something to render and kept. One that dies is replaced and its recording rendered
once more. What ended just now goes before what a crash left behind. Another `render` than our own runs in the thread.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from siprec_core.recording.commands import RenderRecording
from siprec_sync.recovery import RUNNING, unfinished
from siprec_sync.render_worker import carry_out
from siprec_sync.rendering import render_recording
from siprec_sync.sinks import Rendered, RenderFailed, SinkReport

_LOGGER = logging.getLogger("siprec.sinks")

Render: TypeAlias = Callable[[Path], None]
"""Makes the final files in the folder of a recording."""

_PROGRAM = "from siprec_sync.render_worker import main; main()"
_ATTEMPTS = 2
"""How often a recording is rendered whose worker dies over it."""
_END_SECONDS = 10.0
"""How long an idle worker may take to end."""


class WorkerDiedError(Exception):
    """A worker ended without an answer."""


class RenderWorker:
    """One worker, seen from its parent; it runs from the first job on."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def ask(self, job: dict[str, str]) -> dict[str, str | None]:
        """Have a job done and give the answer. Raises WorkerDiedError, and OSError when no worker can be started."""
        child = self._child
        if child is None:
            child = self._child = _start()
        if child.stdin is None or child.stdout is None:
            raise WorkerDiedError("a worker without pipes")
        try:
            child.stdin.write(json.dumps(job).encode() + b"\n")
            child.stdin.flush()
            answer = child.stdout.readline()
        except OSError:
            answer = b""
        if not answer.endswith(b"\n"):
            raise WorkerDiedError(f"the rendering worker ended with {self.end()}")
        given: dict[str, str | None] = json.loads(answer)
        return given

    def end(self) -> int | None:
        """End the worker once it is idle; give its exit status, None without one."""
        child, self._child = self._child, None
        if child is None:
            return None
        with child:
            if child.stdin is not None:
                try:
                    child.stdin.close()
                except OSError:
                    pass  # it is dead already
            try:
                return child.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                return child.wait()


class RenderPool:
    """Renders recordings below `root` with `workers` at a time, and reports what became of them."""

    def __init__(
        self,
        root: Path,
        render: Render | None,
        report: Callable[[RenderRecording, SinkReport], None],
        *,
        workers: int,
    ) -> None:
        self._root = root
        self._render = render
        self._report = report
        self._condition = threading.Condition()
        self._queue: deque[RenderRecording] = deque()
        self._left: deque[Path] = deque()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"siprec-rendering-{number}", daemon=True)
            for number in range(max(1, workers) if render is render_recording else 1)
        ]
        self._in_thread = render is not render_recording or workers < 1 or not sys.executable

    def __len__(self) -> int:
        """Give the number of recordings that wait."""
        return len(self._queue) + len(self._left)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def add(self, command: RenderRecording) -> None:
        """Queue a recording that has ended."""
        with self._condition:
            self._queue.append(command)
            self._condition.notify()

    def recover(self, running: Callable[[Path], bool]) -> None:
        """Queue everything that is unfinished below the root, beside service; `running` tells what is recorded now."""
        scan = threading.Thread(target=self._scan, args=(running,), name="siprec-recovery", daemon=True)
        self._threads.append(scan)
        scan.start()

    def close(self) -> None:
        """Let what has begun end; what waits is left to a later recovery. Harmless twice."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _scan(self, running: Callable[[Path], bool]) -> None:
        found = 0
        for folder in unfinished(self._root):
            if self._closing:
                return
            if not running(folder):
                found += 1
                with self._condition:
                    self._left.append(folder)
                    self._condition.notify()
        if found:
            _LOGGER.info("%d recordings were left unfinished; they are finished now, beside service", found)

    def _run(self) -> None:
        worker = RenderWorker()
        try:
            while (job := self._next_job()) is not None:
                if isinstance(job, RenderRecording):
                    self._report(job, self._rendered(job, worker))
                else:
                    self._recover(job, worker)
        finally:
            worker.end()

    def _next_job(self) -> RenderRecording | Path | None:
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._left or self._closing)
            if self._closing:
                return None
            return self._queue.popleft() if self._queue else self._left.popleft()

    def _rendered(self, command: RenderRecording, worker: RenderWorker) -> SinkReport:
        if self._render is None:
            return Rendered(session=command.session)
        folder = self._root.joinpath(*command.directory.split("/"))
        if self._in_thread:
            error = _render_here(self._render, folder)
        else:
            error = _ask(worker, {"folder": os.fspath(folder.absolute())})["error"]
        if error is None:
            return Rendered(session=command.session)
        _LOGGER.error("rendering %s failed: %s", command.directory, error)
        return RenderFailed(session=command.session, error=error)

    def _recover(self, folder: Path, worker: RenderWorker) -> None:
        job = {"folder": os.fspath(folder.absolute()), "root": os.fspath(self._root.absolute())}
        answer = carry_out(job) if self._in_thread else _ask(worker, job)
        if answer["error"] is not None:
            _LOGGER.error("recovering %s failed: %s", folder, answer["error"])
        elif answer["status"] != RUNNING:
            _LOGGER.info("recovered %s: %s", folder, answer["status"])


def _render_here(render: Render, folder: Path) -> str | None:
    try:
        render(folder)
    except Exception as error:
        _LOGGER.exception("rendering %s failed", folder)
        return str(error) or type(error).__name__
    return None


def _ask(worker: RenderWorker, job: dict[str, str]) -> dict[str, str | None]:
    error = ""
    for _ in range(_ATTEMPTS):
        try:
            return worker.ask(job)
        except (WorkerDiedError, OSError) as problem:
            error = str(problem)
            _LOGGER.warning("%s, over %s", error, job["folder"])
    return {"error": error, "status": None}


def _start() -> "subprocess.Popen[bytes]":
    """Start a worker that finds our packages where we found them."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
