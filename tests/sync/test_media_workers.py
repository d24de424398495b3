"""Media workers seen from their server: real processes, a pretended core."""

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from siprec_core.errors import ConfigurationError
from siprec_core.recording.commands import CloseSink, OpenSink, PauseLine, RenderRecording, SinkKind, WriteSink
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import MediaId, SessionId, SinkId
from siprec_sync import media_workers
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.media import MediaSockets
from siprec_sync.media_workers import MediaWorkers, with_media_workers
from siprec_sync.sinks import MemorySinks, Rendered, SinkFailed, SinkReport, StorageChanged
from tests.contract.double import CoreDouble
from tests.core.ciphers import PretendProvider
from tests.sync.test_journal_file import Blocks

PATIENCE = 30.0
JOURNAL = "journal.pcapng"


class Bench:
    """A driver as small as can be."""

    def __init__(self, root: Path, count: int) -> None:
        self.core = CoreDouble()
        self.sinks = DirectorySinks(root, render=None)
        self.workers = MediaWorkers(self.sinks, self.core, count=count, tick_seconds=0.05)
        self.selector = selectors.DefaultSelector()
        self.media = MediaSockets()
        self.reports: list[SinkReport] = []
        self.workers.start(lambda: None)
        self.workers.open(self.selector, self.media, lambda function: function())

    def turn(self) -> None:
        now = time.monotonic()
        for key, mask in self.selector.select(0.02):
            key.data(mask, now)
        self.workers.handle_timeout(now=now)
        self.workers.flush()
        self.reports += self.workers.take_reports()

    def until(self, ready: Callable[[], object]) -> None:
        give_up = time.monotonic() + PATIENCE
        while not ready():
            assert time.monotonic() < give_up, "it did not happen in time"
            self.turn()

    def open(self, number: int, *data: bytes) -> SinkId:
        """Open a journal."""
        sink = SinkId(number)
        self.workers.perform(OpenSink(sink=sink, kind=SinkKind.JOURNAL, name=f"{number}/{JOURNAL}"))
        for each in data:
            self.workers.perform(WriteSink(sink=sink, data=each))
        return sink

    def finish(self, number: int) -> None:
        self.workers.perform(CloseSink(sink=SinkId(number)))
        self.workers.perform(RenderRecording(session=SessionId(str(number)), directory=str(number)))

    def content(self, number: int) -> bytes:
        path = self.sinks.root / str(number) / JOURNAL
        return path.read_bytes() if path.exists() else b""

    def pids(self) -> list[int]:
        return [each.child.pid for each in self.workers._workers]

    def end(self) -> None:
        self.workers.stop()
        self.workers.close()
        self.media.close_all()
        self.selector.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path, 1)
    yield found
    pids = found.pids()
    found.end()
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, 0)


def test_journals_are_the_workers_and_all_else_is_ours(bench: Bench) -> None:
    bench.open(1, b"journal of one")
    bench.workers.perform(OpenSink(sink=SinkId(9), kind=SinkKind.DOCUMENT, name="1/recording.json"))
    bench.workers.perform(WriteSink(sink=SinkId(9), data=b"{}"))
    bench.workers.perform(CloseSink(sink=SinkId(9)))
    assert bench.sinks._is_running(bench.sinks.root / "1")
    bench.finish(1)
    bench.until(lambda: bench.reports)
    assert bench.reports == [Rendered(session=SessionId("1"))]
    assert bench.content(1) == b"journal of one"
    assert not bench.sinks._is_running(bench.sinks.root / "1")
    assert (bench.sinks.root / "1" / "recording.json").read_bytes() == b"{}"
    bench.workers.perform_plane(PauseLine(sink=SinkId(1), line=0, paused=True, now=0.0))
    assert not bench.workers.release(MediaId(4))


def test_a_lost_worker_leaves_its_journals_to_us(bench: Bench) -> None:
    """One recording runs, another is to be rendered; then comes another worker."""
    blocks = Blocks()
    torn = blocks.head + blocks.line
    first, second = bench.open(1, torn), bench.open(2, torn)
    bench.until(lambda: bench.content(1) == bench.content(2) == torn)
    (pid,) = bench.pids()
    os.kill(pid, signal.SIGSTOP)
    bench.finish(2)
    bench.workers.flush()
    with (bench.sinks.root / "1" / JOURNAL).open("ab") as file:
        file.write(b"half a bl")
    os.kill(pid, signal.SIGKILL)
    bench.until(lambda: bench.core.named("media_lost"))
    (lost,) = bench.core.named("media_lost")
    assert lost["sinks"] == (first, second)
    assert lost["error"] == f"media worker {pid} ended (exit status -9)"
    bench.workers.perform(WriteSink(sink=first, data=blocks.audio(1)))
    bench.finish(1)
    bench.until(lambda: len(bench.reports) == 2)
    assert set(bench.reports) == {Rendered(session=SessionId("1")), Rendered(session=SessionId("2"))}
    assert bench.content(1) == torn + blocks.audio(1)
    assert bench.content(2) == torn
    bench.until(lambda: bench.pids() not in ([], [pid]))
    bench.open(3, b"later")
    bench.finish(3)
    bench.until(lambda: len(bench.reports) == 3)
    assert bench.content(3) == b"later"


def test_a_worker_that_says_nothing_is_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_workers, "_HUNG_SECONDS", 2.5)
    (pid,) = bench.pids()
    bench.turn()
    os.kill(pid, signal.SIGSTOP)
    for worker in bench.workers._workers:
        worker.silent_until = time.monotonic()
    bench.until(lambda: bench.core.named("media_lost"))
    (lost,) = bench.core.named("media_lost")
    assert lost["error"] == f"media worker {pid} said nothing for long (exit status -9)"
    # A call that comes while there is no worker waits for none: one is started at once.
    bench.open(1, b"at once")
    bench.until(lambda: bench.content(1) == b"at once")


def test_a_worker_that_does_not_keep_up_is_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_workers, "_UNSENT_SIZE", 1_000_000)
    (pid,) = bench.pids()
    os.kill(pid, signal.SIGSTOP)
    bench.open(1, bytes(4_000_000))
    bench.workers.flush()
    bench.until(lambda: bench.core.named("media_lost"))
    assert "does not keep up" in bench.core.named("media_lost")[0]["error"]


def test_without_a_process_there_is_no_journal_and_later_there_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(media_workers, "_RESTART_SECONDS", 0.2)
    with monkeypatch.context() as broken:
        broken.setattr(subprocess, "Popen", refuse)
        os.kill(bench.pids()[0], signal.SIGKILL)
        bench.until(lambda: bench.core.named("media_lost"))
        sink = bench.open(1)
        assert bench.workers.take_reports() == [SinkFailed(sink=sink, error="there is no media worker")]
        assert bench.pids() == []
        with pytest.raises(ConfigurationError, match="no media worker can be started"):
            bench.workers.open(bench.selector, bench.media, lambda function: function())
    bench.until(bench.pids)


def test_a_worker_that_finds_no_room_closes_the_door_for_all(bench: Bench) -> None:
    (worker,) = bench.workers._workers
    for full in (True, False):
        bench.workers._take(worker, StorageChanged(full=full), 0.0)
        assert bench.workers.take_reports()[-1:] == [StorageChanged(full=full)]
    bench.workers._take(worker, SinkFailed(sink=SinkId(1), error="torn"), 0.0)
    assert bench.workers.take_reports() == [SinkFailed(sink=SinkId(1), error="torn")]
    with pytest.raises(TypeError, match="no answer"):
        bench.workers._take(worker, "song", 0.0)


def test_workers_have_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_workers, "_PROGRAM", "")
    with pytest.raises(ConfigurationError, match="ended as soon"):
        Bench(tmp_path / "one", 1)
    monkeypatch.setattr(media_workers, "_PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr(media_workers, "_STARTING_SECONDS", 0.1)
    with pytest.raises(ConfigurationError, match="does not start"):
        Bench(tmp_path / "two", 1)


def test_who_can_have_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, sinks = ServerConfig(), DirectorySinks(tmp_path)
    assert with_media_workers(config, MemorySinks(), 0) is config
    assert with_media_workers(config, sinks, 2).media_apart
    with pytest.raises(ConfigurationError, match="DirectorySinks"):
        with_media_workers(config, MemorySinks(), 1)
    with pytest.raises(ConfigurationError, match="pylibsrtp"):
        with_media_workers(ServerConfig(crypto=PretendProvider()), sinks, 1)
    monkeypatch.delattr(socket, "send_fds")
    with pytest.raises(ConfigurationError, match="this system"):
        with_media_workers(config, sinks, 1)
