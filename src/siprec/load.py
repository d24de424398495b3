"""A load test: many recording calls with audio from one thread, and what became of them.

Every call has a `RecordingClient` of its own, which keeps the rules of signalling; sockets, timers and the sending of
audio are shared. Only a call counts in which everything went right: 200 to the INVITE, every packet of every stream
taken, 2xx to the BYE.
"""

import os
import re
import selectors
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from ssl import SSLContext
from typing import Final, NamedTuple

from siprec.load_flows import SharedFlow, call_id_of
from siprec.load_media import PACKET_SECONDS, LoadStream, MediaPlane, MediaPorts, begin_stream, usable_format
from siprec_core.client import RecordingClient
from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.findings import Severity
from siprec_core.machine import earliest
from siprec_core.recording.call import CallSpec, ClientConfig
from siprec_core.recording.call_events import (
    AudioFinished,
    CallEvent,
    ChangeConcluded,
    RecordingAnswered,
    RecordingAttempted,
    RecordingEnded,
    RecordingProceeding,
    RecordingRefused,
    ServerFailed,
)
from siprec_core.recording.commands import (
    BindMedia,
    CloseFlow,
    CloseMedia,
    Command,
    OpenFlow,
    SendDatagram,
    SendMedia,
    SendStream,
)
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sdp.rules import media_addresses
from siprec_core.sip.authorisation import DigestUser
from siprec_core.sip.transport import Hop
from siprec_core.timers import TimerQueue
from siprec_core.types import Address, MediaId, Transport
from siprec_sync.clocks import read_clocks
from siprec_sync.listeners import Bind, local_host_towards, open_listeners, reason_of
from siprec_sync.signalling import Signalling, StreamSettings
from siprec_sync.srtp import with_client_ciphers
from siprec_sync.tls import TlsFiles, client_context

_BYE_TAKEN: Final = re.compile(rb"SIP/2\.0 2\d\d [^\r\n]*\r\n(?:[^\r\n]+\r\n)*?CSeq[ \t]*:[ \t]*\d+[ \t]+BYE", re.I)
_LONGEST_WAIT_SECONDS = 0.25
_PROGRESS_SECONDS = 0.5
_CANCEL_SECONDS = 0.5
"""How long a server that did not answer the INVITE in time has for the CANCEL."""
NO_FINAL_ANSWER: Final = "no final answer"
"""Why a call failed whose server said 1xx at most."""
_ENDING_SECONDS = 5.0
"""How long an interrupted test waits for the answers to its BYEs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What to do."""

    spec: CallSpec
    """Every call's; without `hop`."""
    hop: Hop
    """Where all of them go."""
    total: int
    """Calls in all."""
    limit: int
    """Calls at a time."""
    rate: float
    """New calls a second."""
    seconds: float
    """Audio in each call."""
    rtp_ports: tuple[int, int] = (40_000, 49_999)
    tls: TlsFiles | SSLContext | None = None
    verifies: bool = True
    """Look at the server's certificate."""
    credentials: DigestUser | None = None
    """Who calls where the server asks for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """What was seen of one stream that was sent."""

    label: str
    to: Address
    sent: int
    """Packets that the kernel took."""
    refused: int
    """Packets to a port where nobody received, as ICMP told."""
    rtcp_received: int
    """Datagrams that came to our RTCP port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """What was seen of one call that is over."""

    answer: RecordingAnswered | None
    failure: str | None
    """Why it does not count as complete."""
    heard: bool
    """True when anything came from the server."""
    set_up_seconds: float | None
    bye_taken: bool
    """True when the BYE got a 2xx."""
    end_reason: str | None
    """As `RecordingEnded` has it; None for a call that was let go of before its end."""
    invite_size: int
    """Octets of the INVITE."""
    streams: tuple[StreamFacts, ...]


@dataclass(slots=True, kw_only=True)
class LoadResult:
    """What became of it. Times in seconds."""

    begun: int = 0
    complete: int = 0
    peak: int = 0
    """Most calls at a time."""
    unreachable: int = 0
    """Calls that nothing of the server's was heard of."""
    failures: Counter[str] = field(default_factory=Counter)
    """Why calls failed."""
    findings: Counter[str] = field(default_factory=Counter)
    """Rules that answers broke."""
    set_ups: list[float] = field(default_factory=list)
    """From the INVITE to the 200, of each call that was answered."""
    packets_sent: int = 0
    packets_by_call: dict[str, int] = field(default_factory=dict)
    """Packets sent in the complete calls, by Call-ID."""
    elapsed: float = 0.0

    @property
    def failed(self) -> int:
        """Calls that were not complete."""
        return self.begun - self.complete


class LoadProgress(NamedTuple):
    """How far a load test is."""

    begun: int
    active: int
    complete: int
    failed: int
    packets: int


class _LoadCall:
    """One call."""

    def __init__(self, run: "LoadRun", slot: int, client: RecordingClient) -> None:
        self.client = client
        self.slot = slot
        self.call_id = b""
        self.began = 0.0
        self.ports: dict[MediaId, MediaPorts] = {}
        self.streams: list[LoadStream] = []
        self.answer: RecordingAnswered | None = None
        self.set_up_seconds: float | None = None
        self.invite_size = 0
        self.failure: str | None = None
        self.heard = False
        self.stopped_at: float | None = None
        """When BYE or CANCEL was sent."""
        self.end_reason: str | None = None
        self.bye_taken = False
        self._run = run
        self._inputs: deque[Callable[[], None]] = deque()
        self._settling = False

    def enter(self, function: Callable[[], None], message: bytes = b"") -> None:
        """Give the client an input, then carry out what it says."""
        if message:
            self.heard = True
            if self.stopped_at is not None and _BYE_TAKEN.match(message):
                self.bye_taken = True
        self._inputs.append(function)
        if self._settling:
            return
        self._settling = True
        try:
            while self._inputs:
                self._inputs.popleft()()
                while (output := self.client.poll_output()) is not None:
                    self._run.perform(self, output)
        finally:
            self._settling = False
        self._run.arm(self)

    def fail(self, reason: str) -> None:
        """Keep the first reason why the call does not count."""
        self.failure = self.failure or reason


class LoadRun:
    """Drives the calls of one thread."""

    def __init__(
        self,
        plan: LoadPlan,
        *,
        progress: Callable[["LoadRun"], None] | None = None,
        watch: Callable[[CallFacts], None] | None = None,
        patience_seconds: float | None = None,
    ) -> None:
        """Open the sockets that all calls share; `watch` is told of each call that is over.

        A server has `patience_seconds` for its answer to the INVITE, and as long for that to the BYE; without them,
        SIP's own timers decide.
        Raises ConfigurationError.
        """
        self.plan = plan
        self.result = LoadResult()
        self.media = MediaPlane()
        self._progress = progress
        self._watch = watch
        self._patience_seconds = patience_seconds
        self._packets = max(1, round(plan.seconds / PACKET_SECONDS))
        self._selector = selectors.DefaultSelector()
        self._flows = SharedFlow()
        self._timers: TimerQueue[_LoadCall] = TimerQueue()
        self._calls: set[_LoadCall] = set()
        self._of_stream: dict[LoadStream, _LoadCall] = {}
        self._slot_pairs = pairs_of_slot(plan)
        self._crypto = with_client_ciphers(ClientConfig(), plan.spec).crypto
        low, high = plan.rtp_ports
        self._slots = deque(range((high + 1 - low - low % 2) // 2 // self._slot_pairs))
        # Several generators on one machine should not begin with the same ports.
        self._slots.rotate(int.from_bytes(os.urandom(2), "big"))
        self._now = time.monotonic()
        self._interrupted: float | None = None
        self._open()

    @property
    def active(self) -> int:
        """Calls under way."""
        return len(self._calls)

    @property
    def standing(self) -> LoadProgress:
        """How far the test is."""
        result = self.result
        failed = sum(result.failures.values())
        return LoadProgress(result.begun, self.active, result.complete, failed, self.media.sent)

    def run(self) -> LoadResult:
        """Make all calls. INT lets those under way end, and no more begin."""
        began = self._now = time.monotonic()
        shown = began
        try:
            while not self._done():
                try:
                    self._turn(began)
                    if self._progress is not None and self._now >= shown + _PROGRESS_SECONDS:
                        shown = self._now
                        self._progress(self)
                except KeyboardInterrupt:
                    self._interrupt()
        finally:
            for call in list(self._calls):
                call.fail("interrupted")
                self._finish(call)
            if self._flows.signalling is not None:
                self._flows.signalling.close()
            self._selector.close()
        self.result.elapsed = time.monotonic() - began
        self.result.packets_sent = self.media.sent
        return self.result

    def perform(self, call: _LoadCall, output: Command | CallEvent) -> None:
        """Carry out what a client says."""
        match output:
            case SendDatagram() | SendStream() | OpenFlow() | CloseFlow():
                self._learn(call, output)
                self._flows.perform(call, output, now=self._now)
            case BindMedia():
                self._bind(call, output)
            case CloseMedia():
                self._close_media(call, output.media)
            case RecordingAnswered():
                self._answered(call, output)
            case RecordingRefused():
                if output.local and not call.heard:
                    self.result.unreachable += 1
                call.fail(f"{output.status} {output.reason}")
            case RecordingEnded():
                call.end_reason = output.reason
                if call.answer is not None and output.reason != "local-bye":
                    call.fail(f"ended: {output.reason}")
                self._finish(call)
            case SendMedia() | AudioFinished() | ChangeConcluded():
                pass  # the audio is ours to send, and nothing is changed
            case RecordingAttempted() | RecordingProceeding() | ServerFailed():
                pass
            case _:
                raise LocalProtocolError("a client has no files")

    def arm(self, call: _LoadCall) -> None:
        """Set the timer of a call."""
        due = call.client.next_timeout() if call in self._calls else None
        if due is None:
            self._timers.cancel(call)
        else:
            self._timers.set(call, due)

    # one turn

    def _done(self) -> bool:
        if self._interrupted is not None and self._now > self._interrupted + _ENDING_SECONDS:
            return True
        return not self._calls and (self._interrupted is not None or self.result.begun >= self.plan.total)

    def _turn(self, began: float) -> None:
        signalling = self._flows.signalling
        if signalling is None:
            return
        begin = None if self._full() else began + self.result.begun / self.plan.rate
        deadlines = (begin, self.media.next_timeout(), self._timers.next_deadline(), signalling.next_timeout())
        due = earliest(*deadlines)
        wait = _LONGEST_WAIT_SECONDS if due is None else min(max(0.0, due - time.monotonic()), _LONGEST_WAIT_SECONDS)
        ready = self._selector.select(wait)
        now = self._now = time.monotonic()
        for key, mask in ready:
            key.data(mask, now)
        for stream in self.media.handle_timeout(now=now):
            self._stream_ended(stream)
        signalling.handle_timeout(now=now)
        while (call := self._timers.pop_due(now)) is not None:
            call.enter(partial(call.client.handle_timeout, now=now))
        if begin is not None and now >= begin:
            self._begin()
        if self._patience_seconds is not None:
            self._give_up(self._patience_seconds, now)

    def _give_up(self, patience_seconds: float, now: float) -> None:
        """Let go of calls whose server had its time: to say anything, to answer the INVITE, or the BYE or CANCEL."""
        for call in list(self._calls):
            if call.stopped_at is not None:
                patience = patience_seconds if call.answer is not None else min(patience_seconds, _CANCEL_SECONDS)
                if now > call.stopped_at + patience:
                    self._finish(call)
            elif call.answer is None and now > call.began + patience_seconds:
                if call.heard:
                    call.fail(NO_FINAL_ANSWER)
                    self._stop(call)
                else:
                    self.result.unreachable += 1
                    call.fail("408 no answer")
                    self._finish(call)

    def _full(self) -> bool:
        over = self.result.begun >= self.plan.total or self._interrupted is not None
        return over or len(self._calls) >= self.plan.limit

    def _interrupt(self) -> None:
        if self._interrupted is not None:
            raise KeyboardInterrupt
        self._interrupted = self._now
        for call in list(self._calls):
            call.fail("interrupted")
            self._stop(call)

    # calls

    def _begin(self) -> None:
        slot = self._slots.popleft()
        low = self.plan.rtp_ports[0] + self.plan.rtp_ports[0] % 2 + 2 * self._slot_pairs * slot
        config = ClientConfig(
            rtp_ports=(low, low + 2 * self._slot_pairs - 1),
            credentials=self.plan.credentials,
            crypto=self._crypto,
        )
        call = _LoadCall(self, slot, RecordingClient(config, time_base=read_clocks(), entropy=os.urandom))
        call.began = time.monotonic()
        self.result.begun += 1
        self._calls.add(call)
        self.result.peak = max(self.result.peak, len(self._calls))
        call.enter(lambda: call.client.start(self._spec, now=self._now))

    def _learn(self, call: _LoadCall, command: SendDatagram | SendStream | OpenFlow | CloseFlow) -> None:
        if not call.call_id and isinstance(command, SendDatagram | SendStream):
            call.call_id = call_id_of(command.data)
            call.invite_size = len(command.data)
        if call.call_id:
            self._flows.add(call.call_id, call)

    def _answered(self, call: _LoadCall, answer: RecordingAnswered) -> None:
        call.set_up_seconds = time.monotonic() - call.began
        self.result.set_ups.append(call.set_up_seconds)
        call.answer = answer
        self.result.findings.update(each.code for each in answer.findings if each.severity is not Severity.INFO)
        body = b"" if answer.response is None else answer.response.body
        description = parse_sdp(body, limits=call.client.config.limits).description
        media = () if description is None else description.media
        for index, (stream, (media_id, ports)) in enumerate(zip(self._spec.streams, call.ports.items(), strict=True)):
            wanted = usable_format(media[index].media_formats()) if index < len(media) else None
            to = None
            if description is not None and index < len(media):
                to, _ = media_addresses(description, media[index], rtcp_mux=False, allow_loopback=True)
            if stream.label not in answer.labels or wanted is None or to is None:
                call.fail("a stream was refused")
                continue
            seal = partial(call.client.seal_media, media_id) if self._spec.srtp else None
            begin = partial(begin_stream, wanted=wanted, index=index, label=stream.label, seal=seal)
            self._send(call, ports, to, begin)
        if not call.streams:
            self._stop(call)

    def _send(self, call: _LoadCall, ports: MediaPorts, to: Address, begin: Callable[..., LoadStream]) -> None:
        try:
            stream = begin(ports, to, total=self._packets, identity=os.urandom(10), now=self._now)
        except OSError as error:
            call.fail(f"no way to the media address: {reason_of(error)}")
            return
        call.streams.append(stream)
        self._of_stream[stream] = call
        self.media.add(stream, now=self._now)

    def _stream_ended(self, stream: LoadStream) -> None:
        call = self._of_stream.pop(stream, None)
        if call is not None and all(each.finished for each in call.streams):
            self._stop(call)

    def _stop(self, call: _LoadCall) -> None:
        call.stopped_at = self._now
        for stream in call.streams:
            self.media.remove(stream)
        call.enter(lambda: call.client.stop(now=self._now))

    def _finish(self, call: _LoadCall) -> None:
        """Count a call that is over, and give back what it held."""
        if call not in self._calls:
            return
        self._calls.discard(call)
        self._timers.cancel(call)
        for media in list(call.ports):
            self._close_media(call, media)
        for stream in call.streams:
            self.media.remove(stream)
            self._of_stream.pop(stream, None)
        self._flows.remove(call.call_id, call)
        self._slots.append(call.slot)
        self._count(call)

    def _count(self, call: _LoadCall) -> None:
        if any(stream.refused for stream in call.streams):
            call.fail("nobody received on a media port (ICMP)")
        elif call.answer is not None and any(stream.sent < self._packets for stream in call.streams):
            call.fail("audio was not sent whole")
        elif call.answer is not None and not call.bye_taken:
            call.fail("no 200 to the BYE")
        elif call.answer is None:
            call.fail("no answer")
        if self._watch is not None:
            self._watch(_facts_of(call))
        if call.failure is not None:
            self.result.failures[call.failure] += 1
            return
        self.result.complete += 1
        call_id = call.call_id.decode("utf-8", "replace")
        self.result.packets_by_call[call_id] = sum(stream.sent for stream in call.streams)

    # sockets

    def _open(self) -> None:
        hop = self.plan.hop
        try:
            host = self.plan.spec.local.host or local_host_towards(hop.remote)
        except OSError as error:
            raise ConfigurationError(f"no way to {hop.remote}: {reason_of(error)}") from error
        tls = self.plan.tls
        if hop.transport is Transport.TLS and not isinstance(tls, SSLContext):
            tls = client_context(tls, verify=self.plan.verifies)
        settings = StreamSettings(client_tls=tls if isinstance(tls, SSLContext) else None)
        config = ClientConfig()
        signalling = Signalling(self._flows, selector=self._selector, limits=config.limits, settings=settings)
        self._flows.signalling = signalling
        port = hop.transport.default_port
        if hop.transport is Transport.UDP:
            (listener,) = open_listeners(Bind(Transport.UDP, host, self.plan.spec.local.port))
            signalling.listen(listener)
            port = listener.address.port
        self._spec = replace(self.plan.spec, hop=hop, local=Address(host, port))

    def _bind(self, call: _LoadCall, command: BindMedia) -> None:
        client, media = call.client, command.media
        try:
            call.ports[media] = MediaPorts(command.rtp, command.rtcp)
        except OSError as error:
            reason = reason_of(error)
            call.enter(lambda: client.media_failed(media, reason, now=self._now))
        else:
            call.enter(lambda: client.media_bound(media, now=self._now))

    def _close_media(self, call: _LoadCall, media: MediaId) -> None:
        ports = call.ports.pop(media, None)
        if ports is not None:
            ports.close()


def _facts_of(call: _LoadCall) -> CallFacts:
    streams = tuple(
        StreamFacts(
            label=stream.label,
            to=stream.to,
            sent=stream.sent,
            refused=stream.refused,
            rtcp_received=stream.ports.rtcp_received,
        )
        for stream in call.streams
    )
    return CallFacts(
        answer=call.answer,
        failure=call.failure,
        heard=call.heard,
        set_up_seconds=call.set_up_seconds,
        bye_taken=call.bye_taken,
        end_reason=call.end_reason,
        invite_size=call.invite_size,
        streams=streams,
    )


def raise_descriptor_limit(plan: LoadPlan) -> None:
    """Let this process open as many sockets as the plan needs. Raises ConfigurationError when it may not."""
    import resource  # not on every system

    needed = plan.limit * 2 * len(plan.spec.streams) + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise ConfigurationError(f"{plan.limit} calls at a time need {needed} descriptors, and {hard} are allowed")
    if needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def pairs_of_slot(plan: LoadPlan) -> int:
    """Give how many pairs of ports each of the calls at a time may take. Raises ConfigurationError when too few."""
    low, high = plan.rtp_ports
    pairs = (high + 1 - low - low % 2) // 2 // plan.limit
    streams = len(plan.spec.streams)
    if pairs < streams:
        raise ConfigurationError(
            f"--rtp-ports {low}-{high} has too few ports for {plan.limit} calls of {streams} streams"
        )
    return min(pairs, 2 * streams + 2)
