"""Worker processes that render."""

import json
import os
import signal
import threading
from io import BytesIO
from pathlib import Path

import pytest

from siprec_core.recording.commands import RenderRecording
from siprec_core.types import SessionId
from siprec_sync.ownership import lock_file
from siprec_sync.render_pool import RenderPool, RenderWorker, WorkerDiedError
from siprec_sync.render_worker import carry_out, serve_jobs
from siprec_sync.rendering import render_recording
from siprec_sync.sinks import Rendered, RenderFailed, SinkReport


class Told:
    """Waits for reports of a pool."""

    def __init__(self) -> None:
        self.reports: list[SinkReport] = []
        self._came = threading.Semaphore(0)

    def __call__(self, command: RenderRecording, report: SinkReport) -> None:
        self.reports.append(report)
        self._came.release()

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self._came.acquire(timeout=20)


def command(name: str) -> RenderRecording:
    return RenderRecording(session=SessionId(name), directory=name)


def folder_of(root: Path, name: str) -> Path:
    (root / name).mkdir()
    (root / name / "journal.pcapng").write_bytes(b"")
    return root / name


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_files_are_made_by_workers(tmp_path: Path, workers: int) -> None:
    told = Told()
    pool = RenderPool(tmp_path, render_recording, told, workers=workers)
    pool.start()
    for name in ("a", "b", "c"):
        folder_of(tmp_path, name)
        pool.add(command(name))
    pool.add(command("none"))
    told.wait(4)
    pool.close()
    pool.close()
    assert {report for report in told.reports if isinstance(report, Rendered)} == {
        Rendered(session=SessionId(name)) for name in ("a", "b", "c")
    }
    (failed,) = [report for report in told.reports if isinstance(report, RenderFailed)]
    assert failed.session == "none"
    assert "no such file" in failed.error.lower()
    assert all((tmp_path / name / "recording.json").exists() for name in ("a", "b", "c"))


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_left_is_recovered_unless_it_runs(
    tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    left, running = folder_of(tmp_path, "left"), folder_of(tmp_path, "running")
    (folder_of(tmp_path, "bad") / "recording.json").mkdir()
    told = Told()
    pool = RenderPool(tmp_path, render_recording, told, workers=workers)
    pool.start()
    pool.recover(lambda folder: folder == running)
    until = threading.Event()
    for _ in range(500):
        if (left / "recording.json").exists() and f"recovered {left}" in caplog.text:
            break
        until.wait(0.02)
    pool.close()
    assert f"recovered {left}: failed" in caplog.text
    assert f"recovering {tmp_path / 'bad'} failed: is a directory" in caplog.text
    assert not (running / "recording.json").exists()
    assert told.reports == []


def test_a_worker_that_dies_is_replaced_and_the_recording_rendered_once_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Its lock holds the worker up until it is killed.
    with (folder_of(tmp_path, "a") / "journal.pcapng").open("rb") as journal:
        assert lock_file(journal.fileno(), wait=True)
        told = Told()
        pool = RenderPool(tmp_path, render_recording, told, workers=1)
        pool.start()
        pool.add(command("a"))
        while not (found := children()):
            threading.Event().wait(0.01)
        os.kill(found[0], signal.SIGKILL)
    told.wait(1)
    pool.close()
    assert told.reports == [Rendered(session=SessionId("a"))]
    assert "the rendering worker ended with -9" in caplog.text


def children() -> list[int]:
    """Give the ids of workers of this process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"render_worker" in (path.parent / "cmdline").read_bytes():
                found.append(int(path.parent.name))
        except (OSError, IndexError):
            pass
    return found


def test_a_worker_leaves_signals_to_its_parent(tmp_path: Path) -> None:
    worker = RenderWorker()
    folder = folder_of(tmp_path, "a")
    assert worker.ask({"folder": str(folder)}) == {"error": None, "status": None}
    (child,) = children()
    os.kill(child, signal.SIGTERM)
    os.kill(child, signal.SIGINT)
    assert worker.ask({"folder": str(folder)}) == {"error": None, "status": None}
    assert worker.end() == 0
    assert worker.end() is None


def test_a_worker_that_cannot_answer_is_told(tmp_path: Path) -> None:
    worker = RenderWorker()
    with pytest.raises(WorkerDiedError):
        worker.ask({})  # a job without its folder is a fault of ours, which ends the worker
    assert worker.ask({"folder": str(folder_of(tmp_path, "a"))})["error"] is None
    worker.end()


def test_jobs_are_answered_line_by_line(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a")
    jobs = [{"folder": str(folder)}, {"folder": str(tmp_path / "none")}, {"folder": str(folder), "root": str(tmp_path)}]
    answers = BytesIO()
    serve_jobs(BytesIO(b"".join(json.dumps(job).encode() + b"\n" for job in jobs)), answers)
    assert [json.loads(line) for line in answers.getvalue().splitlines()] == [
        {"error": None, "status": None},
        {"error": "no such file or directory", "status": None},
        {"error": None, "status": "failed"},
    ]


def test_a_fault_of_the_program_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path) -> None:
        raise ValueError("not expected")

    monkeypatch.setattr("siprec_sync.render_worker.render_recording", broken)
    assert carry_out({"folder": str(tmp_path)}) == {"error": "ValueError: not expected", "status": None}


def test_what_waits_is_counted(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def render(folder: Path) -> None:
        del folder
        begun.set()
        assert go_on.wait(20)

    told = Told()
    pool = RenderPool(tmp_path, render, told, workers=1)
    pool.start()
    for name in ("a", "b", "c"):
        pool.add(command(name))
    assert begun.wait(20)
    assert len(pool) == 2
    go_on.set()
    told.wait(3)
    assert len(pool) == 0
    pool.close()
