"""Programs that listen: live audio to a command's standard input or to a socket, each stream in a thread of its own.

A processor may be slow, stuck or gone. It has a queue that loses its oldest frames, so that the recorder never waits
for it.
"""

import json
import logging
import os
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from siprec_core.clock import format_instant
from siprec_core.errors import ConfigurationError, SiprecError
from siprec_core.media.listener import AudioFrame
from siprec_core.media.mixer import resample
from siprec_core.recording.events import (
    Event,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
    StreamsChanged,
)
from siprec_core.types import SessionId, TapId
from siprec_sync.audio import AudioQueue
from siprec_sync.waiting import Bell

_LOGGER = logging.getLogger("siprec.processors")
_CONNECT_SECONDS: Final = 5.0
_CLOSING_SECONDS: Final = 5.0
"""How long a command may go on after its input has ended, and how long the end of a server waits for its processors."""
_LINGERING_SECONDS: Final = 30.0
"""How long a processor may take what it still has in its queue when its stream has ended."""
_LONGEST_SILENCE: Final = 60
"""Seconds of silence written for a gap at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStart:
    """What a processor is told before the first frame."""

    session: SessionId
    call_id: str
    label: str
    participants: tuple[str, ...]
    """Participant ids of who is heard, as far as the metadata tell by now."""
    sample_rate: int
    """Of all that follows, also when the codec changes."""
    at_ns: int
    """When the audio begins, nanoseconds since 1970-01-01T00:00:00Z."""

    def as_json(self) -> dict[str, object]:
        """Give the header that goes before raw audio over a socket."""
        return {
            "version": 1,
            "session": self.session,
            "call_id": self.call_id,
            "label": self.label,
            "participants": list(self.participants),
            "encoding": "s16le",
            "sample_rate": self.sample_rate,
            "channels": 1,
            "started_at": format_instant(self.at_ns),
        }


class AudioProcessor(Protocol):
    """Takes the live audio of one stream, in a thread of its own: it may block. OSError ends it."""

    def start(self, stream: StreamStart) -> None:
        """Begin."""

    def frames(self, pcm: bytes, frame: AudioFrame) -> None:
        """Take audio: `frame`, and in `pcm` what a stream without gaps has at this place, silence in front included."""

    def finish(self) -> None:
        """End: no audio follows. Called once after `start`, also when that or a frame failed."""

    def abort(self) -> None:
        """Let a call that blocks end soon. Called from another thread."""


ProcessorFactory: TypeAlias = Callable[[], AudioProcessor]


class CommandProcessor:
    """Runs a command and writes raw audio (16-bit little-endian, one channel) to its standard input.

    What the stream is stands in its environment: `SIPREC_SESSION`, `SIPREC_CALL_ID`, `SIPREC_LABEL`,
    `SIPREC_PARTICIPANTS` (with commas), `SIPREC_SAMPLE_RATE`, `SIPREC_STARTED_AT`.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, stream: StreamStart) -> None:
        """Run the command."""
        told = {
            "SIPREC_SESSION": stream.session,
            "SIPREC_CALL_ID": stream.call_id,
            "SIPREC_LABEL": stream.label,
            "SIPREC_PARTICIPANTS": ",".join(stream.participants),
            "SIPREC_SAMPLE_RATE": str(stream.sample_rate),
            "SIPREC_STARTED_AT": format_instant(stream.at_ns),
        }
        # A peer's text may hold what an environment cannot.
        clean = {
            name: value.replace("\0", "").encode("utf-8", "replace").decode("utf-8") for name, value in told.items()
        }
        self._child = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, env={**os.environ, **clean}, start_new_session=True
        )

    def frames(self, pcm: bytes, frame: AudioFrame) -> None:
        """Write audio."""
        del frame
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.write(pcm)
            self._child.stdin.flush()

    def finish(self) -> None:
        """Close its input and wait for its end."""
        child = self._child
        if child is None:
            return
        if child.stdin is not None:
            try:
                child.stdin.close()
            except OSError:
                pass  # it has gone already
        try:
            child.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def abort(self) -> None:
        """Kill it."""
        if self._child is not None:
            self._child.kill()


class SocketProcessor:
    """Connects to a TCP address or a Unix socket, writes one line of JSON (`StreamStart.as_json`), then raw audio."""

    def __init__(self, target: tuple[str, int] | str) -> None:
        self._target = target
        self._socket: socket.socket | None = None

    def start(self, stream: StreamStart) -> None:
        """Connect and write the header."""
        if isinstance(self._target, str):
            sock = self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(_CONNECT_SECONDS)
            sock.connect(self._target)
        else:
            sock = self._socket = socket.create_connection(self._target, _CONNECT_SECONDS)
            # Frames are small and wanted now.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(None)
        sock.sendall(json.dumps(stream.as_json()).encode("ascii") + b"\n")

    def frames(self, pcm: bytes, frame: AudioFrame) -> None:
        """Write audio."""
        del frame
        if self._socket is not None:
            self._socket.sendall(pcm)

    def finish(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()

    def abort(self) -> None:
        """Shut the connection down."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was not connected, or is not any more


def read_processor(text: str) -> ProcessorFactory:
    """Read `exec:COMMAND`, `tcp://HOST:PORT` or `unix:PATH`. Raises ConfigurationError."""
    kind, _, rest = text.partition(":")
    if kind == "exec":
        try:
            words = shlex.split(rest)
        except ValueError as error:
            raise ConfigurationError(f"processor {text!r}: {error}") from error
        if words:
            return lambda: CommandProcessor(words)
    elif kind == "unix" and rest and hasattr(socket, "AF_UNIX"):
        return lambda: SocketProcessor(rest)
    elif kind == "tcp" and rest.startswith("//"):
        host, _, port = rest[2:].rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if host and port.isascii() and port.isdecimal() and 0 < int(port) < 65_536:
            return lambda: SocketProcessor((host, int(port)))
    raise ConfigurationError(f"processor {text!r} is not of the form exec:COMMAND, tcp://HOST:PORT or unix:PATH")


class ContinuousPcm:
    """Lays frames one behind the other at one rate: gaps become silence, what overlaps is cut."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._end_ns: int | None = None

    def add(self, frame: AudioFrame) -> bytes:
        """Give what follows with this frame."""
        rate, pcm = self._sample_rate, frame.pcm
        if frame.sample_rate != rate:
            pcm = resample(pcm, frame.sample_rate, rate, len(pcm) // 2 * rate // frame.sample_rate)
        ahead = 0 if self._end_ns is None else round((frame.at_ns - self._end_ns) * rate / 1_000_000_000)
        samples = len(pcm) // 2
        if ahead < 0:
            # Two sources at a time, or a clock that was corrected.
            return pcm[-2 * ahead :] if self._advance(frame, samples, -ahead) else b""
        self._end_ns = frame.at_ns + samples * 1_000_000_000 // rate
        return bytes(2 * min(ahead, _LONGEST_SILENCE * rate)) + pcm

    def _advance(self, frame: AudioFrame, samples: int, cut: int) -> bool:
        if cut >= samples:
            return False
        self._end_ns = frame.at_ns + samples * 1_000_000_000 // self._sample_rate
        return True


class TapControl(Protocol):
    """Opens and closes taps: a server."""

    def tap_audio(self, session: SessionId, label: str | None, queue: AudioQueue) -> TapId:
        """Have live audio put into `queue`."""


class _Run:
    """One processor with its thread."""

    def __init__(self, session: SessionRequested, label: str, processor: AudioProcessor) -> None:
        self._session = session
        self._label = label
        self._processor = processor
        self._bell = Bell()
        self._ended: float | None = None
        """When the end of the audio was noticed."""
        self.queue = AudioQueue(self._bell.ring)
        self.thread = threading.Thread(target=self._run, name="siprec-processor", daemon=True)

    def abort(self) -> None:
        self.queue.close()
        self._processor.abort()

    def abort_if_stuck(self, now: float) -> None:
        """Let it go when it has had its time for what it still had to take after the end of the audio."""
        if self.queue.closed:
            self._ended = now if self._ended is None else self._ended
            if now - self._ended > _LINGERING_SECONDS:
                self.abort()

    def _run(self) -> None:
        first = self._next()
        if first is None:
            return
        try:
            try:
                self._play(first)
            finally:
                # Nothing is decoded for it any more, whatever stopped it.
                self.queue.closed = True
                self._processor.finish()
        except (OSError, ValueError) as error:  # ValueError: written to what was closed
            _LOGGER.warning("a processor of %s has ended: %s", self._session.session, error)
        if self.queue.dropped:
            _LOGGER.warning("a processor of %s was slow: %d frames lost", self._session.session, self.queue.dropped)

    def _play(self, first: AudioFrame) -> None:
        start = StreamStart(
            session=self._session.session,
            call_id=self._session.call_id,
            label=self._label,
            participants=first.participants,
            sample_rate=first.sample_rate,
            at_ns=first.at_ns,
        )
        self._processor.start(start)
        continuous = ContinuousPcm(first.sample_rate)
        frame: AudioFrame | None = first
        while frame is not None:
            self._processor.frames(continuous.add(frame), frame)
            frame = self._next()

    def _next(self) -> AudioFrame | None:
        self._bell.wait_until(lambda: self.queue.ready)
        return self.queue.take()


class ProcessorHost:
    """Starts the processors of every stream of every session, as the events of a server tell of them.

    `notice` is called where `tap_audio` of the server may be called.
    """

    def __init__(self, factories: Sequence[ProcessorFactory], control: TapControl) -> None:
        self._factories = tuple(factories)
        self._control = control
        self._sessions: dict[SessionId, tuple[SessionRequested, set[str]]] = {}
        self._runs: list[_Run] = []

    def notice(self, event: Event) -> None:
        """Take an event."""
        self._let_go()
        match event:
            case SessionRequested() if self._factories:
                self._sessions[event.session] = (event, set())
            case SessionEstablished() | StreamsChanged():
                self._attach(event.session, event.labels)
            case SessionEnded():
                self._sessions.pop(event.session, None)
            case SessionRefused():
                refused = [key for key, (asked, _) in self._sessions.items() if asked.call_id == event.call_id]
                for session in refused:
                    del self._sessions[session]
            case _:
                pass

    def close(self) -> None:
        """Wait a moment for the processors, then let the rest go. It blocks: call it where nothing else waits."""
        self._runs = [run for run in self._runs if run.thread.is_alive()]
        for run in self._runs:
            run.queue.close()
        for run in self._runs:
            run.thread.join(_CLOSING_SECONDS / len(self._runs))
        for run in self._runs:
            if run.thread.is_alive():
                run.abort()

    def _let_go(self) -> None:
        """Forget processors that have ended, and end those that are stuck."""
        self._runs = [run for run in self._runs if run.thread.is_alive()]
        now = time.monotonic()
        for run in self._runs:
            run.abort_if_stuck(now)

    def _attach(self, session: SessionId, labels: Sequence[str]) -> None:
        known = self._sessions.get(session)
        if known is None:
            return
        requested, attached = known
        for label in labels:
            if label in attached:
                continue
            attached.add(label)
            for factory in self._factories:
                run = _Run(requested, label, factory())
                try:
                    self._control.tap_audio(session, label, run.queue)
                except SiprecError as error:
                    _LOGGER.warning("no processor for stream %r of %s: %s", label, session, error)
                    continue
                self._runs.append(run)
                run.thread.start()
