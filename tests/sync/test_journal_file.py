"""A journal on a disk that fails: whole blocks or nothing, and on it goes."""

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from siprec_core.clock import TimeBase
from siprec_core.containers.capture import CaptureProblem, Datagram
from siprec_core.containers.datagrams import DatagramReader
from siprec_core.limits import Limits
from siprec_core.recording.journal import JournalWriter
from siprec_core.types import Address, Component, Flow, SessionId, Transport
from siprec_sync import journal_file
from siprec_sync.files import FileTree
from siprec_sync.journal_file import JournalFile

HERE, THERE = Address("127.0.0.1", 30_000), Address("127.0.0.1", 40_000)


class Blocks:
    """Gives the blocks of a journal of one line."""

    def __init__(self) -> None:
        self._writer = JournalWriter(
            SessionId("id"), time_base=TimeBase(monotonic=0.0, unix_ns=10**18), application="test"
        )
        self.head = self._writer.start(flow=Flow(Transport.UDP, HERE, THERE), now=0.0)
        self.line = self._writer.add_line(0, label="1", rtp=HERE, rtcp=None, now=0.0)

    def audio(self, mark: int, count: int = 10) -> bytes:
        packets = [(bytes([mark]) * 200, THERE, index / 50) for index in range(count)]
        return self._writer.media(0, Component.RTP, packets)


def read(path: Path) -> tuple[list[bytes], list[str]]:
    """Give the payloads of a journal, and what is wrong with it."""
    reader = DatagramReader(limits=Limits())
    reader.receive(path.read_bytes())
    reader.end_of_file()
    payloads, problems = [], []
    while (item := reader.poll()) is not None:
        if isinstance(item, Datagram):
            payloads.append(item.payload)
        elif isinstance(item, CaptureProblem):
            problems.append(item.finding.code)
    return payloads, problems


@pytest.fixture
def file(tmp_path: Path) -> Iterator[JournalFile]:
    made = JournalFile(FileTree(tmp_path), "journal")
    yield made
    made.close()


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow beyond 8 KiB: the disk is full in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signalled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, signalled)


def test_a_write_that_fails_half_way_leaves_whole_blocks(file: JournalFile, tmp_path: Path, small_files: None) -> None:
    blocks = Blocks()
    file.append(blocks.head + blocks.line, now=0.0)
    file.append(blocks.audio(1, 20), now=0.0)
    with pytest.raises(OSError, match="File too large"):
        file.append(blocks.audio(2, 40), now=0.0)
    states = [file.failing]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    file.append(blocks.audio(3, 5), now=0.5)  # it waits: the disk is tried once a second
    states.append(file.failing)
    file.append(blocks.audio(4, 5), now=1.0)
    assert [*states, file.failing] == [True, True, False]
    payloads, problems = read(tmp_path / "journal")
    assert [payload[0] for payload in payloads] == [1] * 20 + [2] * 40 + [3] * 5 + [4] * 5
    assert problems == []


def test_audio_that_waits_too_long_is_given_up_and_lines_are_not(
    file: JournalFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "WAITING_SIZE", 20_000)
    blocks = Blocks()
    with monkeypatch.context() as broken:
        broken.setattr(journal_file, "write_all", full)
        with pytest.raises(OSError, match="No space"):
            file.append(blocks.head + blocks.line, now=0.0)
        for index in range(1, 12):
            file.append(blocks.audio(index), now=0.1)
    file.append(blocks.audio(12), now=2.0)
    payloads, problems = read(tmp_path / "journal")
    assert problems == []
    marks = [payload[0] for payload in payloads]
    assert marks[-10:] == [12] * 10
    assert 1 not in marks


def full(descriptor: int, data: bytes, offset: int | None = None) -> None:
    raise OSError(28, "No space left on device")


def test_what_waits_at_the_end_is_written(file: JournalFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.flush(now=0.0)
    with monkeypatch.context() as broken:
        broken.setattr(journal_file, "write_all", full)
        with pytest.raises(OSError, match="No space"):
            file.append(b"blocks", now=0.0)
        with pytest.raises(OSError, match="No space"):
            file.flush(now=0.1)
    file.flush(now=0.2)
    assert (tmp_path / "journal").read_bytes() == b"blocks"


def test_a_file_that_was_removed_is_made_anew(file: JournalFile, tmp_path: Path) -> None:
    tree = FileTree(tmp_path)
    file.append(b"one ", now=0.0)
    assert not file.restore(tree)
    os.unlink(tmp_path / "journal")
    file.append(b"two ", now=0.0)
    assert file.restore(tree)
    file.append(b"three", now=0.0)
    assert (tmp_path / "journal").read_bytes() == b"one two three"
    assert not file.restore(tree)


def test_a_removed_file_whose_place_is_taken(file: JournalFile, tmp_path: Path) -> None:
    os.unlink(tmp_path / "journal")
    (tmp_path / "journal").write_bytes(b"somebody's")
    with pytest.raises(FileExistsError):
        file.restore(FileTree(tmp_path))
    assert (tmp_path / "journal").read_bytes() == b"somebody's"


def test_an_orphan_is_cut_after_its_last_whole_block_and_goes_on(tmp_path: Path) -> None:
    blocks, tree = Blocks(), FileTree(tmp_path)
    whole = blocks.head + blocks.line + blocks.audio(1)
    for number, torn in enumerate((b"", b"\x06", blocks.audio(2, 1)[:-1], b"\x06\0\0\0\0\0\0\0\0")):
        (tmp_path / f"journal-{number}").write_bytes(whole + torn)
        file = JournalFile(tree, f"journal-{number}", orphan=True)
        file.append(blocks.audio(3), now=0.0)
        file.close()
        assert (tmp_path / f"journal-{number}").read_bytes() == whole + blocks.audio(3)
    (tmp_path / "empty").write_bytes(b"")
    file = JournalFile(tree, "empty", orphan=True)
    file.append(whole, now=0.0)
    file.close()
    assert read(tmp_path / "empty") == ([bytes([1]) * 200] * 10, [])
    with pytest.raises(FileNotFoundError):
        JournalFile(tree, "never", orphan=True)
