"""Sinks in memory and in directories."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from siprec_core.errors import ConfigurationError
from siprec_core.recording.commands import CloseSink, OpenSink, RenderRecording, SinkKind, WriteSink
from siprec_core.types import SessionId, SinkId
from siprec_sync import directory_sinks, files, journal_file
from siprec_sync.directory_sinks import DirectorySinks, Durability, SinkSettings
from siprec_sync.sinks import MemorySinks, Rendered, RenderFailed, SinkFailed, SinkReport, Sinks, StorageChanged
from siprec_sync.space import DiskReserve

FIRST, SECOND = SinkId(1), SinkId(2)
SESSION = SessionId("id")


class Reports:
    """Waits for the reports of sinks."""

    def __init__(self, sinks: Sinks) -> None:
        self._sinks = sinks
        self._woken = threading.Semaphore(0)

    def wake(self) -> None:
        self._woken.release()

    def next(self) -> list[SinkReport]:
        assert self._woken.acquire(timeout=10)
        return self._sinks.take_reports()


@pytest.fixture
def open_sinks(tmp_path: Path) -> Iterator[Callable[..., tuple[DirectorySinks, Reports]]]:
    opened: list[DirectorySinks] = []

    def make(render: directory_sinks.Render | None = None, **settings: object) -> tuple[DirectorySinks, Reports]:
        sinks = DirectorySinks(tmp_path / "root", render=render, settings=SinkSettings(**settings))  # type: ignore[arg-type]
        reports = Reports(sinks)
        sinks.start(reports.wake)
        opened.append(sinks)
        return sinks, reports

    yield make
    for sinks in opened:
        sinks.close()


OpenSinks = Callable[..., tuple[DirectorySinks, Reports]]


def journal(sinks: Sinks, sink: SinkId, name: str, *pieces: bytes) -> None:
    sinks.perform(OpenSink(sink=sink, kind=SinkKind.JOURNAL, name=name))
    for piece in pieces:
        sinks.perform(WriteSink(sink=sink, data=piece))


def document(sinks: Sinks, sink: SinkId, name: str, *pieces: bytes) -> None:
    sinks.perform(OpenSink(sink=sink, kind=SinkKind.DOCUMENT, name=name))
    for piece in pieces:
        sinks.perform(WriteSink(sink=sink, data=piece))
    sinks.perform(CloseSink(sink=sink))


@pytest.mark.parametrize("durability", Durability)
def test_files_hold_what_was_written(open_sinks: OpenSinks, durability: Durability) -> None:
    sinks, _ = open_sinks(durability=durability, synchronise_seconds=0.0)
    journal(sinks, FIRST, "d/journal.pcapng", b"one", b"two")
    document(sinks, SECOND, "d/recording.json", b"{", b"}")
    sinks.perform(CloseSink(sink=FIRST))
    sinks.close()
    assert (sinks.root / "d/journal.pcapng").read_bytes() == b"onetwo"
    assert (sinks.root / "d/recording.json").read_bytes() == b"{}"
    assert sorted(os.listdir(sinks.root)) == ["d"]
    assert sinks.take_reports() == []
    assert sinks.queued_size == 0


def test_a_document_is_replaced_whole(open_sinks: OpenSinks) -> None:
    sinks, _ = open_sinks()
    document(sinks, FIRST, "a.json", b"old")
    sinks.perform(OpenSink(sink=SECOND, kind=SinkKind.DOCUMENT, name="a.json"))
    sinks.perform(WriteSink(sink=SECOND, data=b"half"))
    sinks.close()
    assert (sinks.root / "a.json").read_bytes() == b"old"
    assert os.listdir(sinks.root) == ["a.json"]


def test_offsets_are_for_documents(open_sinks: OpenSinks) -> None:
    sinks, reports = open_sinks()
    sinks.perform(OpenSink(sink=FIRST, kind=SinkKind.DOCUMENT, name="a.wav"))
    sinks.perform(WriteSink(sink=FIRST, data=b"head----"))
    sinks.perform(WriteSink(sink=FIRST, data=b"HEAD", offset=0))
    sinks.perform(CloseSink(sink=FIRST))
    journal(sinks, SECOND, "journal", b"x")
    sinks.perform(WriteSink(sink=SECOND, data=b"y", offset=0))
    sinks.perform(CloseSink(sink=SECOND))
    assert reports.next() == [SinkFailed(sink=SECOND, error="a journal is only appended to")]
    sinks.close()
    assert (sinks.root / "a.wav").read_bytes() == b"HEAD----"
    assert (sinks.root / "journal").read_bytes() == b"x"


def test_a_journal_is_never_overwritten(open_sinks: OpenSinks) -> None:
    sinks, reports = open_sinks()
    journal(sinks, FIRST, "journal", b"first")
    journal(sinks, SECOND, "journal", b"second")
    assert reports.next() == [SinkFailed(sink=SECOND, error="file exists")]
    sinks.close()
    assert (sinks.root / "journal").read_bytes() == b"first"


def test_a_full_disk_is_reported_once(open_sinks: OpenSinks, monkeypatch: pytest.MonkeyPatch) -> None:
    sinks, reports = open_sinks()

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("siprec_sync.files.os.write", full)
    journal(sinks, FIRST, "journal", b"one")
    sinks.perform(CloseSink(sink=FIRST))
    assert reports.next() == [SinkFailed(sink=FIRST, error="no space left on device")]
    sinks.perform(WriteSink(sink=FIRST, data=b"two"))
    sinks.close()
    assert sinks.take_reports() == []
    assert sinks.queued_size == 0


def test_a_slow_disk_fails_the_sink_and_never_blocks(open_sinks: OpenSinks, monkeypatch: pytest.MonkeyPatch) -> None:
    sinks, reports = open_sinks(queue_size=10, gather_seconds=0.0)
    entered, go_on = threading.Event(), threading.Event()
    real = files.write_all

    def slow(descriptor: int, data: bytes, offset: int | None = None) -> None:
        entered.set()
        assert go_on.wait(10)
        real(descriptor, data, offset)

    monkeypatch.setattr(journal_file, "write_all", slow)
    journal(sinks, FIRST, "journal", b"12345678")
    sinks.perform(CloseSink(sink=FIRST))
    assert entered.wait(10)
    sinks.perform(OpenSink(sink=SECOND, kind=SinkKind.JOURNAL, name="other"))
    sinks.perform(WriteSink(sink=SECOND, data=b"1234567890"))
    sinks.perform(WriteSink(sink=SECOND, data=b"1"))
    assert reports.next() == [SinkFailed(sink=SECOND, error="the disk does not keep up")]
    sinks.perform(WriteSink(sink=SECOND, data=b"2"))
    go_on.set()
    sinks.close()
    assert (sinks.root / "journal").read_bytes() == b"12345678"
    assert (sinks.root / "other").read_bytes() in (b"1234567890", b"")
    assert sinks.take_reports() == []


def test_writes_are_gathered(open_sinks: OpenSinks, monkeypatch: pytest.MonkeyPatch) -> None:
    sinks, _ = open_sinks(gather_seconds=30.0)
    written: list[bytes] = []
    real = files.write_all

    def note(descriptor: int, data: bytes, offset: int | None = None) -> None:
        written.append(data)
        real(descriptor, data, offset)

    monkeypatch.setattr(journal_file, "write_all", note)
    journal(sinks, FIRST, "journal", *[bytes([index]) for index in range(100)])
    sinks.perform(CloseSink(sink=FIRST))
    sinks.close()
    assert b"".join(written) == bytes(range(100))
    assert len(written) < 10


@pytest.mark.parametrize("count", [1, 20])
def test_journals_come_to_the_disk_at_the_interval(
    open_sinks: OpenSinks, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    synchronised = threading.Event()
    single, whole = directory_sinks._synchronise_data, directory_sinks._synchronise_file_system

    def one(descriptor: int) -> None:
        single(descriptor)
        if count == 1:
            synchronised.set()

    def every(descriptor: int) -> bool:
        synchronised.set()
        return whole(descriptor)

    monkeypatch.setattr(directory_sinks, "_synchronise_data", one)
    monkeypatch.setattr(directory_sinks, "_synchronise_file_system", every)
    sinks, _ = open_sinks(synchronise_seconds=0.01, gather_seconds=0.01)
    for index in range(count):
        journal(sinks, SinkId(index), f"journal-{index}", b"x")
    assert synchronised.wait(10)


def test_rendering_follows_the_journal(open_sinks: OpenSinks) -> None:
    seen: list[tuple[str, bytes]] = []

    def render(folder: Path) -> None:
        seen.append((folder.name, (folder / "journal").read_bytes()))

    sinks, reports = open_sinks(render)
    journal(sinks, FIRST, "day/id/journal", b"x" * 1_000)
    sinks.perform(CloseSink(sink=FIRST))
    sinks.perform(RenderRecording(session=SESSION, directory="day/id"))
    assert reports.next() == [Rendered(session=SESSION)]
    assert seen == [("id", b"x" * 1_000)]


def test_a_long_rendering_delays_no_journal(open_sinks: OpenSinks, tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def render(folder: Path) -> None:
        entered.set()
        assert go_on.wait(10)

    sinks, reports = open_sinks(render)
    sinks.perform(RenderRecording(session=SESSION, directory="id"))
    assert entered.wait(10)
    journal(sinks, FIRST, "journal", b"x")
    document(sinks, SECOND, "done", b"")
    sinks.perform(OpenSink(sink=SECOND, kind=SinkKind.JOURNAL, name="journal"))
    assert reports.next() == [SinkFailed(sink=SECOND, error="file exists")]
    go_on.set()
    assert reports.next() == [Rendered(session=SESSION)]


def test_a_fault_of_the_renderer_is_reported(open_sinks: OpenSinks, caplog: pytest.LogCaptureFixture) -> None:
    def render(folder: Path) -> None:
        raise RuntimeError("cannot")

    sinks, reports = open_sinks(render)
    for _ in range(2):
        sinks.perform(RenderRecording(session=SESSION, directory="id"))
        assert reports.next() == [RenderFailed(session=SESSION, error="cannot")]
    assert "rendering id failed" in caplog.text


def test_a_journal_goes_on_when_the_disk_takes_it_again(open_sinks: OpenSinks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_sinks, "_SPACE_SECONDS", 0.01)
    monkeypatch.setattr(journal_file, "RETRY_SECONDS", 0.01)
    sinks, reports = open_sinks(gather_seconds=0.0)
    real = files.write_all
    full = True

    def sometimes(descriptor: int, data: bytes, offset: int | None = None) -> None:
        if full:
            raise OSError(28, "No space left on device")
        real(descriptor, data, offset)

    monkeypatch.setattr(journal_file, "write_all", sometimes)
    journal(sinks, FIRST, "journal", b"one ")
    told = reports.next() + reports.next()
    assert told == [SinkFailed(sink=FIRST, error="no space left on device"), StorageChanged(full=True)]
    full = False
    until = time.monotonic() + 10
    while StorageChanged(full=False) not in told and time.monotonic() < until:
        sinks.perform(WriteSink(sink=FIRST, data=b"two "))
        time.sleep(0.02)
        told += sinks.take_reports()
    sinks.perform(CloseSink(sink=FIRST))
    sinks.close()
    assert [report for report in told if isinstance(report, SinkFailed)] == told[:1]
    content = (sinks.root / "journal").read_bytes()
    assert content.startswith(b"one two ")
    assert set(content.split()) == {b"one", b"two"}


def test_the_reserve_is_told_and_told_again_when_there_is_room(
    open_sinks: OpenSinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_sinks, "_SPACE_SECONDS", 0.01)
    free = iter([True, True])

    def reached(reserve: DiskReserve, root: Path) -> bool:
        return next(free, False)

    monkeypatch.setattr(DiskReserve, "reached", reached)
    sinks, reports = open_sinks()
    assert reports.next() + reports.next() == [StorageChanged(full=True), StorageChanged(full=False)]

    def gone(reserve: DiskReserve, root: Path) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(DiskReserve, "reached", gone)
    assert reports.next() == [StorageChanged(full=True)]
    del sinks


def test_a_journal_that_is_removed_comes_again(open_sinks: OpenSinks, caplog: pytest.LogCaptureFixture) -> None:
    sinks, _ = open_sinks(gather_seconds=0.0, synchronise_seconds=0.05)
    journal(sinks, FIRST, "day/journal", b"one ")
    path = sinks.root / "day" / "journal"
    wait_for_file(path)
    path.unlink()
    sinks.perform(WriteSink(sink=FIRST, data=b"two "))
    wait_for_file(path)
    assert "day/journal was removed while it was written" in caplog.text
    sinks.perform(WriteSink(sink=FIRST, data=b"three"))
    sinks.perform(CloseSink(sink=FIRST))
    sinks.close()
    assert path.read_bytes() == b"one two three"


def wait_for_file(path: Path) -> None:
    until = time.monotonic() + 10
    while not path.exists() or not path.stat().st_size:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_root_has_one_server(open_sinks: OpenSinks) -> None:
    sinks, _ = open_sinks()
    with pytest.raises(ConfigurationError, match="another server keeps its recordings in"):
        DirectorySinks(sinks.root).start(lambda: None)
    sinks.close()
    second = DirectorySinks(sinks.root)
    second.start(lambda: None)
    second.close()


def test_what_an_earlier_run_left_is_finished(tmp_path: Path) -> None:
    folder = tmp_path / "2026" / "id"
    folder.mkdir(parents=True)
    (folder / "journal.pcapng").write_bytes(b"")
    (tmp_path / "..writable.17-1.tmp").touch()
    sinks = DirectorySinks(tmp_path, settings=SinkSettings(render_workers=0))
    sinks.start(lambda: None)
    sinks.perform(OpenSink(sink=FIRST, kind=SinkKind.JOURNAL, name="2026/now/journal.pcapng"))
    wait_for_file(folder / "recording.json")
    sinks.close()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "2026/id/journal.pcapng",
        "2026/id/recording.json",
        "2026/now/journal.pcapng",
    ]


def test_a_root_that_cannot_be_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sinks = DirectorySinks(tmp_path / "file" / "root")
    with pytest.raises(ConfigurationError, match="cannot keep recordings in"):
        sinks.start(lambda: None)
    sinks.close()


def test_memory_keeps_files() -> None:
    sinks = MemorySinks()
    sinks.start(lambda: None)
    journal(sinks, FIRST, "journal", b"one", b"two")
    assert sinks.files == {"journal": b"onetwo"}
    sinks.perform(OpenSink(sink=SECOND, kind=SinkKind.DOCUMENT, name="a"))
    sinks.perform(WriteSink(sink=SECOND, data=b"xy", offset=2))
    sinks.perform(WriteSink(sink=SECOND, data=b"ab", offset=0))
    assert "a" not in sinks.files
    sinks.perform(CloseSink(sink=SECOND))
    assert sinks.files["a"] == b"abxy"
    journal(sinks, SECOND, "journal", b"lost")
    assert sinks.take_reports() == [SinkFailed(sink=SECOND, error="the journal exists already")]
    assert sinks.files["journal"] == b"onetwo"
    sinks.close()


def test_memory_renders_at_once() -> None:
    woken: list[None] = []

    def render(sinks: MemorySinks, folder: str) -> None:
        if folder == "bad":
            raise ValueError("no journal")
        sinks.keep(f"{folder}/mix.wav", b"wav")

    sinks = MemorySinks(render)
    sinks.start(lambda: woken.append(None))
    sinks.perform(RenderRecording(session=SESSION, directory="good"))
    sinks.perform(RenderRecording(session=SESSION, directory="bad"))
    assert sinks.take_reports() == [Rendered(session=SESSION), RenderFailed(session=SESSION, error="no journal")]
    assert sinks.files == {"good/mix.wav": b"wav"}
    assert len(woken) == 2
    assert sinks.take_reports() == []
