"""Programs that listen: what they get, and that nobody waits for them."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.media.listener import AudioFrame
from siprec_core.recording.events import SessionEnded, SessionEstablished, SessionRefused, SessionRequested
from siprec_core.types import Address, SessionId, TapId, Transport
from siprec_sync.audio import AudioQueue
from siprec_sync.processors import (
    AudioProcessor,
    CommandProcessor,
    ContinuousPcm,
    ProcessorHost,
    SocketProcessor,
    StreamStart,
    read_processor,
)

ONE = SessionId("one")
EPOCH = 1_700_000_000_000_000_000
REQUESTED = SessionRequested(
    session=ONE, call_id="c\0all", peer=Address("192.0.2.1", 5060), transport=Transport.UDP, user_agent=None
)
ESTABLISHED = SessionEstablished(session=ONE, labels=("1",))
START = StreamStart(session=ONE, call_id="c", label="1", participants=("p",), sample_rate=8_000, at_ns=EPOCH)


def frame(milliseconds: int, fill: bytes = b"\1\0", *, rate: int = 8_000, samples: int = 160) -> AudioFrame:
    return AudioFrame(fill * samples, rate, EPOCH + milliseconds * 1_000_000, "1", ("p",), 7)


class Control:
    """A server that only keeps the queues."""

    def __init__(self) -> None:
        self.queues: list[AudioQueue] = []
        self.refuses = False

    def tap_audio(self, session: SessionId, label: str | None, queue: AudioQueue) -> TapId:
        if self.refuses:
            raise LocalProtocolError("no")
        self.queues.append(queue)
        return TapId(f"{session}/{label}")


class Spy:
    """A processor that notes its calls; `stuck` lets it block in its frames until it is aborted."""

    def __init__(self, *, fails: bool = False, stuck: bool = False) -> None:
        self.fails = fails
        self.stuck = stuck
        self.started: StreamStart | None = None
        self.pcm = b""
        self.entered, self.aborted, self.finished = threading.Event(), threading.Event(), threading.Event()

    def start(self, stream: StreamStart) -> None:
        self.started = stream

    def frames(self, pcm: bytes, frame: AudioFrame) -> None:
        self.entered.set()
        if self.fails:
            raise BrokenPipeError("gone")
        if self.stuck:
            assert self.aborted.wait(20)
            raise OSError("aborted")
        assert pcm.endswith(frame.pcm)
        self.pcm += pcm

    def finish(self) -> None:
        self.finished.set()

    def abort(self) -> None:
        self.aborted.set()


def flood(processor: AudioProcessor, size: int) -> None:
    while True:
        processor.frames(bytes(size), frame(0))


def hosted(*processors: AudioProcessor) -> tuple[ProcessorHost, Control]:
    control = Control()
    left = list(processors)
    host = ProcessorHost([lambda: left.pop(0)], control)
    host.notice(REQUESTED)
    return host, control


def test_a_stream_is_played_without_gaps_to_its_processor() -> None:
    spy = Spy()
    host, control = hosted(spy)
    host.notice(ESTABLISHED)
    host.notice(ESTABLISHED)
    (queue,) = control.queues
    for at in (0, 20, 80):
        queue.put(frame(at))
    queue.close()
    assert spy.finished.wait(20)
    host.close()
    assert spy.pcm == b"\1\0" * 320 + bytes(640) + b"\1\0" * 160
    assert spy.started == StreamStart(
        session=ONE, call_id="c\0all", label="1", participants=("p",), sample_rate=8_000, at_ns=EPOCH
    )


def test_a_processor_that_fails_is_finished_and_gets_no_more() -> None:
    spy = Spy(fails=True)
    host, control = hosted(spy)
    host.notice(ESTABLISHED)
    (queue,) = control.queues
    queue.put(frame(0))
    assert spy.finished.wait(20)
    host.close()
    queue.put(frame(20))
    assert queue.closed


def test_a_stuck_processor_loses_frames_and_holds_up_nobody() -> None:
    spy = Spy(stuck=True)
    host, control = hosted(spy)
    host.notice(ESTABLISHED)
    (queue,) = control.queues
    queue.put(frame(0))
    assert spy.entered.wait(20)
    for number in range(1, 2_000):
        queue.put(frame(20 * number))
    assert queue.dropped == 1_999 - 500
    spy.aborted.set()
    host.close()
    assert spy.finished.wait(20)


def test_a_processor_with_a_fault_of_its_own_is_finished_too(monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", faults.append)
    spy = Spy()
    monkeypatch.setattr(spy, "frames", lambda pcm, frame: 1 // 0)
    host, control = hosted(spy)
    host.notice(ESTABLISHED)
    (queue,) = control.queues
    queue.put(frame(0))
    assert spy.finished.wait(20)
    host.close()
    assert queue.closed
    assert [fault.exc_type for fault in faults] == [ZeroDivisionError]


def test_a_processor_that_is_stuck_when_its_stream_has_ended_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    monkeypatch.setattr("siprec_sync.processors.time.monotonic", lambda: seconds[0])
    stuck, slow = Spy(stuck=True), Spy(stuck=True)
    host, control = hosted(stuck, slow)
    host.notice(ESTABLISHED)
    host.notice(SessionEstablished(session=ONE, labels=("1", "2")))
    for queue in control.queues:
        queue.put(frame(0))
    assert stuck.entered.wait(20)
    assert slow.entered.wait(20)
    control.queues[0].close()
    for seconds[0] in (100.0, 129.0):
        host.notice(ESTABLISHED)
        assert not stuck.aborted.is_set()
    seconds[0] = 130.5
    host.notice(ESTABLISHED)
    assert stuck.aborted.is_set()
    assert stuck.finished.wait(20)
    assert not slow.aborted.is_set(), "its stream goes on"
    slow.aborted.set()
    host.close()


def test_a_stream_without_audio_starts_nothing() -> None:
    spy = Spy()
    host, control = hosted(spy)
    host.notice(ESTABLISHED)
    control.queues[0].close()
    host.close()
    assert spy.started is None
    assert not spy.finished.is_set()


def test_sessions_that_end_are_forgotten() -> None:
    host, control = hosted(Spy(), Spy())
    host.notice(SessionEnded(session=ONE, reason="bye", status="completed", directory="d"))
    host.notice(ESTABLISHED)
    host.notice(REQUESTED)
    host.notice(SessionRefused(call_id="c\0all", peer=REQUESTED.peer, status=486, reason="Busy Here"))
    host.notice(ESTABLISHED)
    assert control.queues == []
    host.notice(REQUESTED)
    control.refuses = True
    host.notice(ESTABLISHED)
    host.close()


def test_a_command_reads_raw_audio(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = f'printf "%s|" "$SIPREC_LABEL" "$SIPREC_SAMPLE_RATE" "$SIPREC_PARTICIPANTS" > {out}; cat >> {out}'
    processor = CommandProcessor(["sh", "-c", script])
    processor.start(START)
    processor.frames(b"audio", frame(0))
    processor.frames(b"more", frame(20))
    processor.finish()
    assert out.read_bytes() == b"1|8000|p|audiomore"


def test_a_command_that_is_not_there_or_goes() -> None:
    missing = CommandProcessor(["/nonexistent/program"])
    with pytest.raises(FileNotFoundError):
        missing.start(START)
    missing.finish()
    missing.abort()
    early = CommandProcessor(["true"])
    early.start(START)
    with pytest.raises(OSError, match="Broken pipe"):
        flood(early, 65_536)
    early.finish()


def test_a_command_that_is_stuck_is_killed() -> None:
    processor = CommandProcessor(["sleep", "60"])
    processor.start(START)
    threading.Timer(0.2, processor.abort).start()
    with pytest.raises(OSError, match="Broken pipe"):
        flood(processor, 65_536)
    processor.finish()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_socket_gets_a_header_and_raw_audio(kind: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX) as listener:
        listener.bind(("127.0.0.1", 0) if kind == "tcp" else str(tmp_path / "s"))
        listener.listen()
        name = listener.getsockname()
        processor = read_processor(f"tcp://127.0.0.1:{name[1]}" if kind == "tcp" else f"unix:{name}")()
        assert isinstance(processor, SocketProcessor)
        processor.start(START)
        processor.frames(b"audio", frame(0))
        processor.finish()
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            header, audio = json.loads(stream.readline()), stream.read()
    assert audio == b"audio"
    assert header == {
        "version": 1,
        "session": "one",
        "call_id": "c",
        "label": "1",
        "participants": ["p"],
        "encoding": "s16le",
        "sample_rate": 8_000,
        "channels": 1,
        "started_at": "2023-11-14T22:13:20.000000Z",
    }


def test_a_socket_that_is_stuck_is_shut_down() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        processor = SocketProcessor(listener.getsockname())
        processor.abort()
        processor.start(START)
        threading.Timer(0.2, processor.abort).start()
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            flood(processor, 1 << 20)
        processor.abort()
        processor.finish()


@pytest.mark.parametrize(
    "text", ["", "exec:", "exec:'", "cat", "tcp:1.2.3.4:5", "tcp://:5", "tcp://h:0", "tcp://h:x", "unix:", "http://h:1"]
)
def test_wrong_targets(text: str) -> None:
    with pytest.raises(ConfigurationError):
        read_processor(text)


@pytest.mark.parametrize("text", ["exec:cat -", "tcp://[::1]:5", "tcp://host:65535"])
def test_targets(text: str) -> None:
    made: Callable[[], AudioProcessor] = read_processor(text)
    assert made() is not made()


def test_what_overlaps_is_cut_and_another_rate_is_resampled() -> None:
    continuous = ContinuousPcm(8_000)
    assert len(continuous.add(frame(0))) == 320
    assert continuous.add(frame(10, b"\2\0")) == b"\2\0" * 80
    assert continuous.add(frame(10, b"\3\0")) == b""
    assert len(continuous.add(frame(30, rate=16_000, samples=320))) == 320
    assert len(continuous.add(frame(1_000_000))) == 60 * 16_000 + 320


@given(st.lists(st.integers(0, 3_000), max_size=30))
def test_audio_is_never_longer_than_the_time(starts: list[int]) -> None:
    continuous = ContinuousPcm(8_000)
    written = sum(len(continuous.add(frame(at))) for at in starts) // 2
    first = starts[0] if starts else 0
    assert written <= (max(starts, default=0) - first + 20) * 8
