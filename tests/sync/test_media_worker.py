"""A media worker in this process: what it does with its orders."""

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from siprec_core.clock import TimeBase
from siprec_core.limits import Limits
from siprec_core.media.spec import MediaSpec
from siprec_core.recording.commands import (
    CloseSink,
    OpenSink,
    PauseLine,
    RecordLine,
    RenderRecording,
    SinkKind,
    UpdateLine,
    WriteSink,
)
from siprec_core.recording.journal import without_media
from siprec_core.recording.plane import LineReport
from siprec_core.rtp.payload import PayloadFormat
from siprec_core.types import Address, MediaId, SessionId, SinkId
from siprec_sync.directory_sinks import SinkSettings
from siprec_sync.media_worker import MediaReleased, MediaWorker, ReleaseMedia, WorkerStart
from siprec_sync.sinks import Rendered, SinkFailed
from siprec_sync.worker_channel import WorkerChannel
from tests.sync.test_journal_file import Blocks

SINK, MEDIA = SinkId(3), MediaId(5)
FOLDER = "2026/01/01/abc"
PATIENCE = 20.0


class Bench:
    """The server's side of a worker that runs in a thread."""

    def __init__(self, root: Path, tick_seconds: float) -> None:
        ours, theirs = socket.socketpair()
        self.channel = WorkerChannel(ours)
        start = WorkerStart(root=root, settings=SinkSettings(gather_seconds=0.01), tick_seconds=tick_seconds)
        self.worker = MediaWorker(WorkerChannel(theirs), start)
        self.thread = threading.Thread(target=self.worker.run)
        self.answers: deque[object] = deque()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = Address(*self.socket.getsockname())
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind(("127.0.0.1", 0))

    def record(self) -> None:
        """Open a journal with one line."""
        blocks = Blocks()
        self.channel.send(
            [
                OpenSink(sink=SINK, kind=SinkKind.JOURNAL, name=f"{FOLDER}/journal.pcapng"),
                WriteSink(sink=SINK, data=blocks.head + blocks.line),
            ]
        )
        line = RecordLine(
            sink=SINK,
            line=0,
            media=MEDIA,
            interface=1,
            rtp=self.address,
            rtcp=None,
            where="stream 1",
            time_base=TimeBase(monotonic=0.0, unix_ns=10**18),
            mask_digits=False,
            limits=Limits(),
        )
        spec = MediaSpec(
            media=MediaId(0),
            formats=(PayloadFormat(0, "PCMU", 8_000),),
            remote_rtp=Address(*self.peer.getsockname()),
        )
        self.channel.send([line, UpdateLine(sink=SINK, line=0, spec=spec, now=0.0)], [self.socket.fileno()])

    def talk(self, *numbers: int) -> None:
        for number in numbers:
            header = struct.pack("!BBHII", 0x80, 0, number, number * 160, 9)
            self.peer.sendto(header + bytes([number]) * 160, self.address)

    def until(self, kind: type) -> object:
        """Wait for an answer of a kind."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            while self.answers:
                answer = self.answers.popleft()
                if isinstance(answer, kind):
                    return answer
            self.channel.wait(PATIENCE)
            self.answers += self.channel.receive()
        raise AssertionError(f"no {kind.__name__} came")

    def end(self) -> None:
        self.channel.finish(PATIENCE)
        self.thread.join(PATIENCE)
        self.channel.close()
        self.socket.close()
        self.peer.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path, 0.02)
    found.thread.start()
    yield found
    found.end()
    assert not found.thread.is_alive()


def test_a_call_from_its_begin_to_its_end(bench: Bench, tmp_path: Path) -> None:
    bench.record()
    bench.talk(1, 2, 3)
    first = bench.until(LineReport)
    assert isinstance(first, LineReport)
    assert (first.sink, first.line) == (SINK, 0)
    bench.talk(4)
    bench.channel.send([ReleaseMedia(MEDIA)])
    last = bench.until(LineReport)
    assert isinstance(last, LineReport)
    assert last.statistics.packets_received == 4
    assert bench.until(MediaReleased) == MediaReleased(MEDIA)
    bench.channel.send([CloseSink(sink=SINK), RenderRecording(session=SessionId("s"), directory=FOLDER)])
    assert bench.until(Rendered) == Rendered(session=SessionId("s"))
    journal = (tmp_path / FOLDER / "journal.pcapng").read_bytes()
    assert journal.count(bytes([4]) * 160) == 1
    assert len(journal) == last.journal_size + len(without_media(journal))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["2026"]


def test_packets_that_came_after_a_pause_was_sent_are_not_taken(tmp_path: Path) -> None:
    """The order to pause comes while packets are being read."""
    bench = Bench(tmp_path, 60.0)
    worker = bench.worker
    bench.record()
    worker._take_orders()
    bench.talk(1, 2)
    bench.channel.send([PauseLine(sink=SINK, line=0, paused=True, now=0.0), ReleaseMedia(MEDIA)])
    worker._drain(1.0)
    report = next(each for each in worker._answers if isinstance(each, LineReport))
    assert (report.statistics.packets_received, report.journal_size) == (0, 0)
    assert worker._answers[-1] == MediaReleased(MEDIA)
    bench.thread.start()
    bench.end()


def test_orders_about_what_is_gone_are_passed_over(bench: Bench) -> None:
    bench.channel.send([PauseLine(sink=SINK, line=0, paused=True, now=0.0), ReleaseMedia(MEDIA)])
    assert bench.until(MediaReleased) == MediaReleased(MEDIA)


def test_a_journal_that_cannot_be_written_is_told(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "2026").write_text("in the way")
    bench.record()
    told = bench.until(SinkFailed)
    assert isinstance(told, SinkFailed)
    assert told.sink == SINK


def test_what_is_no_order_is_a_fault() -> None:
    ours, theirs = map(WorkerChannel, socket.socketpair())
    worker = MediaWorker(theirs, WorkerStart(root=Path("/nowhere"), settings=SinkSettings(), tick_seconds=1.0))
    with pytest.raises(TypeError, match="no order"):
        worker._perform("sing")
    worker._sockets.close_all()
    ours.close()
    theirs.close()
