"""What both frontends share: the core's commands to sockets, files and the DNS, what happens there to its inputs.

A frontend only waits. Its loop is: wait until `fileno` is readable or `wait_seconds` have passed, then call `turn`.
`fileno` is the selector's own descriptor (epoll, kqueue), itself something to wait for, so that one waiting task serves
any number of sockets on every event loop.

The rules of the machine are kept here: one input, drain the outputs to None, in order; what fails while a command is
carried out comes back as a later input, never as an exception; one `now` per wake-up.
"""

import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeAlias, TypeVar, assert_never

from siprec_core.clock import TimeBase
from siprec_core.errors import LocalProtocolError, SiprecError
from siprec_core.limits import Limits
from siprec_core.machine import earliest
from siprec_core.recording.commands import (
    BindMedia,
    CloseFlow,
    CloseMedia,
    CloseSink,
    Command,
    DeliverAudio,
    EndAudio,
    OpenFlow,
    OpenSink,
    PauseLine,
    RecordLine,
    RenderRecording,
    Resolve,
    SecureLine,
    SendDatagram,
    SendMedia,
    SendStream,
    UpdateLine,
    WriteSink,
)
from siprec_core.sip.names import DnsAnswer, QueryId
from siprec_core.types import Component, DatagramBatch, Flow, MediaId, SessionId, SinkId, TapId
from siprec_sync.audio import AudioQueue, AudioTaps, CloseTap
from siprec_sync.clocks import ClockWatch
from siprec_sync.listeners import Listener, reason_of
from siprec_sync.media import MediaSockets
from siprec_sync.media_workers import MediaWorkers, PlaneInputs
from siprec_sync.resolver import Resolver
from siprec_sync.signalling import Ready, Signalling, StreamSettings
from siprec_sync.sinks import Rendered, RenderFailed, SinkFailed, SinkReport, Sinks, StorageChanged

_LOGGER = logging.getLogger("siprec.driver")

TICK_SECONDS = 0.2
"""Time between two drains of the media sockets while nobody listens live: they hold seconds of audio."""
LIVE_TICK_SECONDS = 0.02
"""The same while somebody listens."""

Input: TypeAlias = Callable[[], object]
"""One call of an input of the core, ready to be made."""

ResultT = TypeVar("ResultT")


class DriverFailedError(SiprecError):
    """The driver stopped because of a fault in this program; the cause is attached."""


EventT = TypeVar("EventT")
EventT_co = TypeVar("EventT_co", covariant=True)


class Core(Protocol[EventT_co]):
    """The doors of `RecordingServer` and `RecordingClient` that a driver uses."""

    def receive_datagram(self, data: bytes, *, flow: Flow, now: float) -> None:
        """Take one SIP datagram."""

    def flow_opened(self, flow: Flow, *, now: float) -> None:
        """Take a connection."""

    def receive_stream(self, flow: Flow, data: bytes, *, now: float) -> None:
        """Take octets of a connection."""

    def flow_failed(self, flow: Flow, error: str, *, now: float) -> None:
        """Take the failure of a flow."""

    def host_resolved(self, query: QueryId, answer: DnsAnswer, *, now: float) -> None:
        """Take the answer to a `Resolve`."""

    def media_bound(self, media: MediaId, *, now: float) -> None:
        """Take the success of `BindMedia`."""

    def media_failed(self, media: MediaId, error: str, *, now: float) -> None:
        """Take the failure of `BindMedia`."""

    def receive_media(self, media: MediaId, batch: DatagramBatch, *, component: Component, now: float) -> None:
        """Take datagrams of a media port."""

    def media_closed(self, media: MediaId, *, now: float) -> None:
        """Take the end of `CloseMedia`."""

    def handle_timeout(self, *, now: float) -> None:
        """Let deadlines pass."""

    def poll_output(self) -> Command | EventT_co | None:
        """Give the oldest output."""

    def next_timeout(self) -> float | None:
        """Give the earliest deadline."""

    def rebase_clock(self, time_base: TimeBase) -> None:
        """Take a wall clock that was set."""


class FileInputs(PlaneInputs, Protocol):
    """The doors of `RecordingServer` for what happens to files."""

    def sink_failed(self, sink: SinkId, error: str, *, now: float) -> None:
        """Take the failure of a file."""

    def storage_changed(self, *, full: bool, now: float) -> None:
        """Take whether there is room for new recordings."""

    def rendered(self, session: SessionId, *, now: float) -> None:
        """Take the success of `RenderRecording`."""

    def render_failed(self, session: SessionId, error: str, *, now: float) -> None:
        """Take the failure of `RenderRecording`."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Where files go, and the core that is told what becomes of them."""

    sinks: Sinks
    inputs: FileInputs


class Waker:
    """Makes a selector return from any thread, and from signal handlers."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.settimeout(0)
        self._sender.settimeout(0)

    @property
    def socket(self) -> socket.socket:
        """The end to wait at."""
        return self._receiver

    def wake(self) -> None:
        """Make the other end readable; harmless after `close`."""
        try:
            self._sender.send(b"\0")
        except OSError:
            pass  # full: it is readable already; closed: nobody waits

    def drain(self) -> None:
        """Take the wake-ups."""
        try:
            while self._receiver.recv(4_096):
                pass
        except OSError:
            pass  # empty

    def close(self) -> None:
        """Close both ends."""
        self._receiver.close()
        self._sender.close()


class Pump(Generic[EventT]):
    """One core with its sockets and files. All methods but `wake` and `call` belong to one thread."""

    def __init__(
        self,
        core: Core[EventT],
        *,
        storage: Storage | None,
        publish: Callable[[EventT], None],
        limits: Limits,
        streams: StreamSettings | None = None,
        media: MediaSockets | None = None,
        resolver: Resolver | None = None,
        tick_seconds: float = TICK_SECONDS,
        workers: MediaWorkers | None = None,
    ) -> None:
        self.core = core
        self._workers = workers
        self._storage = storage
        self._publish = publish
        self.selector = selectors.DefaultSelector()
        self.signalling = Signalling(self, selector=self.selector, limits=limits, settings=streams)
        self.media = media or MediaSockets()
        self._resolver = resolver or Resolver()
        self._tick_seconds = tick_seconds
        self._next_tick: float | None = None
        self._taps = AudioTaps()
        self._inputs: deque[Input] = deque()
        self._settling = False
        self._now = time.monotonic()
        self._clock = ClockWatch()
        self._calls: deque[Callable[[float], object]] = deque()
        self._waker = Waker()
        ready: Ready = self._woken
        self.selector.register(self._waker.socket, selectors.EVENT_READ, ready)
        self.failed: BaseException | None = None
        """What stopped the pump, None while all is well."""

    def start(self, listeners: Iterable[Listener]) -> None:
        """Take listeners into service. Raises ConfigurationError when the sinks cannot work."""
        if self._storage is not None:
            self._storage.sinks.start(self._waker.wake)
        if self._workers is not None:
            self._workers.open(self.selector, self.media, self.enter)
        self._resolver.start(self._waker.wake)
        for listener in listeners:
            self.signalling.listen(listener)

    def close(self) -> None:
        """Close all sockets. Closing the sinks, which waits for the disk, is the next step."""
        self._resolver.close()
        self._taps.close()
        if self._workers is not None:
            self._workers.stop()
        self.signalling.close()
        self.media.close_all()
        self.selector.close()
        self._waker.close()

    def close_sinks(self) -> None:
        """Wait until what is queued for files is written."""
        if self._storage is not None:
            self._storage.sinks.close()

    # waiting

    def fileno(self) -> int | None:
        """Give the descriptor to wait at, None on systems whose selector has none."""
        fileno = getattr(self.selector, "fileno", None)
        return fileno() if fileno is not None else None

    def wait_seconds(self, now: float) -> float | None:
        """Give how long to wait at most, None for ever."""
        workers = None if self._workers is None else self._workers.next_timeout()
        due = earliest(self.core.next_timeout(), self.signalling.next_timeout(), self._next_tick, workers)
        return None if due is None else max(0.0, due - now)

    def wake(self) -> None:
        """End the waiting, from any thread."""
        self._waker.wake()

    def call(self, function: Callable[[float], object]) -> None:
        """Have the next turn call `function` with `now` as an input, from any thread."""
        self._calls.append(function)
        self._waker.wake()

    # one turn

    def turn(self, ready: Iterable[tuple[selectors.SelectorKey, int]]) -> None:
        """Carry out everything that is due. `ready` comes from the selector.

        Raises whatever a fault in the core raises, after logging it: a core in an unknown state must not go on.
        """
        if self.failed is not None:
            raise self.failed
        now = self._now = time.monotonic()
        try:
            self._watch_clock(now)
            for key, mask in ready:
                key.data(mask, now)
            while self._calls:
                self.enter(partial(self._calls.popleft(), now))
            if self._storage is not None:
                for report in self._storage.sinks.take_reports():
                    self.enter(partial(_tell, self._storage.inputs, report, now))
            for resolved in self._resolver.take_answers():
                self.enter(partial(self.core.host_resolved, resolved.query, resolved.answer, now=now))
            if self._next_tick is not None and now >= self._next_tick:
                self._tick(now, self._next_tick)
            self.signalling.handle_timeout(now=now)
            if self._workers is not None:
                self._workers.handle_timeout(now=now)
            due = self.core.next_timeout()
            if due is not None and now >= due:
                self.enter(partial(self.core.handle_timeout, now=now))
        except BaseException as error:
            self._fail(error)
            raise

    def _watch_clock(self, now: float) -> None:
        stepped = self._clock.look(now)
        if stepped is not None:
            base, step = stepped
            _LOGGER.warning("the wall clock was set by %+.3f s; recordings that run keep the one they began with", step)
            self.core.rebase_clock(base)

    def _fail(self, error: BaseException) -> None:
        self.failed = error
        if isinstance(error, Exception):
            _LOGGER.critical("the driver stops: a fault in this program", exc_info=error)

    def enter(self, function: Input) -> None:
        """Give the core one input, then carry out its outputs; within a drain the input waits for the drain's end."""
        self._inputs.append(function)
        if self._settling:
            return
        self._settling = True
        try:
            while self._inputs:
                self._inputs.popleft()()
                self._drain()
        finally:
            self._settling = False
        if self._workers is not None:
            self._workers.flush()

    def request(self, function: Callable[[float], ResultT]) -> ResultT:
        """Give the core an input of the application's, called with `now`, and give its answer.

        Raises what it raises: LocalProtocolError when the state forbids it. Any other exception is a fault, which stops
        the pump at its next turn.
        """
        now = self._now = time.monotonic()
        answers: list[ResultT] = []
        try:
            self.enter(lambda: answers.append(function(now)))
        except SiprecError:
            self.enter(_nothing)  # carries out what the core said before it refused
            raise
        except Exception as error:
            self._fail(error)
            raise
        finally:
            # The deadline that is waited for may be another one now.
            self.wake()
        return answers[0]

    def _drain(self) -> None:
        poll = self.core.poll_output
        while (output := poll()) is not None:
            self._perform(output)

    def _perform(self, output: Command | EventT) -> None:
        match output:
            case SendMedia():
                self.media.send(output.media, output.component, output.to, output.data)
            case WriteSink() | OpenSink() | CloseSink() | RenderRecording():
                if self._storage is None:
                    raise LocalProtocolError("there is nowhere to keep files")
                self._storage.sinks.perform(output)
            case SendDatagram():
                self.signalling.send_datagram(output.flow, output.data, now=self._now)
            case SendStream():
                self.signalling.send_stream(output.flow, output.data, now=self._now)
            case OpenFlow():
                self.signalling.open_flow(output, now=self._now)
            case CloseFlow():
                self.signalling.close_flow(output.flow, now=self._now)
            case Resolve():
                self._resolver.resolve(output)
            case BindMedia():
                self._bind_media(output)
            case DeliverAudio() | EndAudio():
                close_tap = self._taps.perform(output)
                if close_tap is not None:
                    self.enter(partial(close_tap, self._now))
            case RecordLine() | UpdateLine() | SecureLine() | PauseLine():
                if self._workers is None:
                    raise LocalProtocolError("there is no media plane elsewhere")
                self._workers.perform_plane(output)
            case CloseMedia() if self._workers is not None and self._workers.release(output.media):
                pass  # its worker says when
            case CloseMedia():
                self.enter(partial(self._close_media, output.media, self.media.rest(output.media)))
            case _:
                # Only events are left: a new command without a case above fails type checking here.
                self._publish(output)

    def _woken(self, mask: int, now: float) -> None:
        del mask, now
        self._waker.drain()

    # media and files

    def _bind_media(self, command: BindMedia) -> None:
        try:
            self.media.bind(command.media, command.rtp, command.rtcp)
        except OSError as error:
            self.enter(partial(self.core.media_failed, command.media, reason_of(error), now=self._now))
            return
        if self._next_tick is None:
            self._next_tick = self._now + self._interval
        self.enter(partial(self.core.media_bound, command.media, now=self._now))

    def listen(self, tap: TapId, queue: AudioQueue, close: CloseTap) -> None:
        """Hand the audio of a tap to `queue`, and `close` the tap once that is closed; call it within `request`."""
        self._taps.add(tap, queue, close)
        if self._next_tick is not None:
            self._next_tick = min(self._next_tick, self._now + self._interval)

    def stop_listening(self, tap: TapId) -> None:
        """Close the queue of a tap; call it within `request`."""
        self._taps.remove(tap)

    @property
    def _interval(self) -> float:
        return min(self._tick_seconds, LIVE_TICK_SECONDS) if self._taps else self._tick_seconds

    def _close_media(self, media: MediaId, rest: Iterator[tuple[Component, DatagramBatch]]) -> None:
        """Hand over what still waits, one batch an input, then close."""
        component, batch = next(rest, (None, None))
        if component is None or batch is None:
            self.media.close(media)
            self.core.media_closed(media, now=self._now)
        else:
            self.core.receive_media(media, batch, component=component, now=self._now)
            self._inputs.appendleft(partial(self._close_media, media, rest))

    def _tick(self, now: float, planned: float) -> None:
        for media, component, batch in self.media.drain():
            self.enter(partial(self.core.receive_media, media, batch, component=component, now=now))
        # Late by more than a tick: go on from here, with a turn for signalling in between.
        self._next_tick = max(planned + self._interval, now) if len(self.media) else None

    # inputs of signalling (FlowInputs)

    def receive_datagram(self, data: bytes, *, flow: Flow, now: float) -> None:
        """Pass on one SIP datagram."""
        self.enter(partial(self.core.receive_datagram, data, flow=flow, now=now))

    def flow_opened(self, flow: Flow, *, now: float) -> None:
        """Pass on a connection."""
        self.enter(partial(self.core.flow_opened, flow, now=now))

    def receive_stream(self, flow: Flow, data: bytes, *, now: float) -> None:
        """Pass on octets of a connection."""
        self.enter(partial(self.core.receive_stream, flow, data, now=now))

    def flow_failed(self, flow: Flow, error: str, *, now: float) -> None:
        """Pass on the failure of a flow."""
        self.enter(partial(self.core.flow_failed, flow, error, now=now))


def _nothing() -> None:
    """Be an input without effect."""


def _tell(inputs: FileInputs, report: SinkReport, now: float) -> None:
    match report:
        case SinkFailed():
            inputs.sink_failed(report.sink, report.error, now=now)
        case StorageChanged():
            inputs.storage_changed(full=report.full, now=now)
        case Rendered():
            inputs.rendered(report.session, now=now)
        case RenderFailed():
            inputs.render_failed(report.session, report.error, now=now)
        case _:
            assert_never(report)
