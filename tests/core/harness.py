"""A pretend clock and a pretend wire between a recording server and a recording client.

Nothing here waits: `Pair.step` jumps to the next deadline or delivery. The wire can delay, lose, duplicate and reorder
datagrams by a seed, and cut streams into pieces of any size.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TypeVar

from siprec_core.client import ClientOutput, RecordingClient
from siprec_core.clock import TimeBase
from siprec_core.recording.call import CallSpec, ClientConfig, ListenSpec, StreamSpec
from siprec_core.recording.commands import (
    BindMedia,
    CloseFlow,
    CloseMedia,
    CloseSink,
    OpenFlow,
    OpenSink,
    PauseLine,
    PlaneCommand,
    RecordLine,
    RenderRecording,
    SecureLine,
    SendDatagram,
    SendMedia,
    SendStream,
    UpdateLine,
    WriteSink,
)
from siprec_core.recording.line_recorder import LineRecorder
from siprec_core.recording.outbound import RecordSpec
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer, ServerOutput
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Component, DatagramBatch, Flow, FlowId, MediaId, SessionId, SinkId, Transport
from siprec_core.waiting_client import WaitingClient

SERVER = Address("192.0.2.1", 5060)
CLIENT = Address("192.0.2.2", 5070)
TIME_BASE = TimeBase(monotonic=0.0, unix_ns=1_700_000_000_000_000_000)

EventT = TypeVar("EventT")


def entropy(seed: int) -> Callable[[int], bytes]:
    """Give a source of repeatable octets."""
    return random.Random(seed).randbytes


@dataclass
class Wire:
    """What the network does to datagrams: seconds and probabilities."""

    latency: float = 0.01
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    media_loss: float = 0.0
    seed: int = 1
    drop: Callable[[bytes], bool] = field(default=lambda data: False)
    """Datagrams for which this is true are lost."""
    piece_size: int = 65_536
    """Largest piece in which a stream hands over its octets."""


class Node:
    """One machine with its address and all that its driver would hold."""

    def __init__(self, machine: RecordingServer | RecordingClient, address: Address) -> None:
        self.machine = machine
        self.address = address
        self.events: list[object] = []
        self.sent: list[bytes] = []
        """SIP datagrams and stream writes, in order."""
        self.media: dict[MediaId, BindMedia] = {}
        self.bind_failures = 0
        """So many `BindMedia` fail from now on."""
        self.flows: dict[FlowId, Flow] = {}
        self.files: dict[str, bytes] = {}
        self.sinks: dict[SinkId, str] = {}
        self.rendered: list[RenderRecording] = []
        self.sent_media: list[SendMedia] = []
        """RTP datagrams, in order."""
        self.sent_rtcp: list[SendMedia] = []

    def of(self, kind: type[EventT]) -> list[EventT]:
        """Give the events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def messages(self, start: bytes) -> list[bytes]:
        """Give the SIP messages sent whose first line begins with `start`."""
        return [data for data in self.sent if data.startswith(start)]


class Plane:
    """The media plane of a server with `media_apart`: what a worker process does, without the process."""

    def __init__(self, recorder: RecordingServer) -> None:
        self.recorder = recorder
        self.journals: dict[SinkId, dict[int, LineRecorder]] = {}
        self.lines: dict[MediaId, tuple[SinkId, LineRecorder]] = {}

    def perform(self, command: PlaneCommand) -> None:
        lines = self.journals.setdefault(command.sink, {})
        match command:
            case RecordLine():
                line = lines.setdefault(command.line, LineRecorder(command, self.recorder.config.crypto))
                line.move(command)
                self.lines[command.media] = (command.sink, line)
            case UpdateLine():
                lines[command.line].update(command.spec, now=command.now)
            case SecureLine():
                lines[command.line].secure(command.keys, now=command.now)
            case PauseLine():
                lines[command.line].pause(paused=command.paused, now=command.now)

    def receive(self, media: MediaId, batch: DatagramBatch, component: Component, now: float) -> tuple[SinkId, bytes]:
        """Take datagrams; give the journal that they belong to, and their blocks."""
        sink, line = self.lines[media]
        return sink, line.receive(batch, component=component, now=now)

    def report(self, media: MediaId, *, now: float, last: bool = False) -> None:
        report = self.lines[media][1].report(now=now, last=last)
        if report is not None:
            self.recorder.media_reported(report, now=now)


class Pair:
    """A server and a client on one wire."""

    def __init__(
        self,
        *,
        config: ServerConfig | None = None,
        client_config: ClientConfig | None = None,
        wire: Wire | None = None,
        transport: Transport = Transport.UDP,
        waiting: bool = False,
    ) -> None:
        """With `waiting` the client waits to be called."""
        self.wire = wire or Wire()
        self.transport = transport
        self.now = 0.0
        self.render_error: str | None = None
        """Set: `RenderRecording` fails with this text."""
        self._random = random.Random(self.wire.seed)
        self._deliveries: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.recorder = RecordingServer(config or ServerConfig(), time_base=TIME_BASE, entropy=entropy(1))
        kind = WaitingClient if waiting else RecordingClient
        self.caller = kind(client_config or ClientConfig(), time_base=TIME_BASE, entropy=entropy(2))
        self.server = Node(self.recorder, SERVER)
        self.client = Node(self.caller, CLIENT)
        self._last_stream: dict[FlowId, float] = {}
        self.plane = Plane(self.recorder)

    # scenario

    def call(self, *labels: str, metadata: bytes | None = None) -> None:
        """Start a call with one G.711 stream per label."""
        streams = tuple(StreamSpec(label=label, aor=f"sip:{label}@example.com") for label in labels or ("1", "2"))
        spec = CallSpec(
            uri=f"sip:recorder@{SERVER.host}:{SERVER.port}",
            hop=Hop(self.transport, SERVER),
            local=CLIENT,
            streams=streams,
            metadata=metadata,
        )
        self.caller.start(spec, now=self.now)
        self.settle()

    def listen(self, *labels: str, metadata: bytes | None = None) -> None:
        """Let the client wait to be called, with one G.711 stream per label."""
        streams = tuple(StreamSpec(label=label, aor=f"sip:{label}@example.com") for label in labels or ("1", "2"))
        if not isinstance(self.caller, WaitingClient):
            raise TypeError("the client does not wait")
        self.caller.listen(ListenSpec(streams=streams, metadata=metadata), now=self.now)
        self.settle()

    def record(self, *, uri: str = f"sip:phone@{CLIENT.host}:{CLIENT.port}", answer_seconds: float = 60.0) -> SessionId:
        """Let the server ask for a recording session."""
        target = RecordSpec(uri=uri, hop=Hop(self.transport, CLIENT), local=SERVER, answer_seconds=answer_seconds)
        session = self.recorder.record(target, now=self.now)
        self.settle()
        return session

    def run(self, seconds: float, *, limit: int = 100_000) -> None:
        """Let `seconds` pass."""
        self.settle()
        until = self.now + seconds
        for _ in range(limit):
            due = self._next()
            if due is None or due > until:
                break
            self.step()
        else:
            raise RuntimeError("the machines do not come to rest")
        self.now = until
        self._wake()

    def step(self) -> bool:
        """Jump to the next delivery or deadline; False when nothing waits."""
        due = self._next()
        if due is None:
            return False
        self.now = max(self.now, due)
        self._wake()
        return True

    def settle(self) -> None:
        """Perform everything that is put out now."""
        while self._perform_one(self.client, self.server) or self._perform_one(self.server, self.client):
            pass

    def inject(self, data: bytes, *, source: Address = CLIENT, to: Node | None = None) -> None:
        """Hand a datagram to the server (or another node) as if it came from `source`."""
        node = to or self.server
        node.machine.receive_datagram(data, flow=Flow(Transport.UDP, node.address, source), now=self.now)
        self.settle()

    # wire

    def _next(self) -> float | None:
        due = [self._deliveries[0][0]] if self._deliveries else []
        due += [at for node in (self.server, self.client) if (at := node.machine.next_timeout()) is not None]
        return min(due, default=None)

    def _wake(self) -> None:
        while self._deliveries and self._deliveries[0][0] <= self.now:
            heappop(self._deliveries)[2]()
            self.settle()
        for node in (self.server, self.client):
            due = node.machine.next_timeout()
            if due is not None and due <= self.now:
                node.machine.handle_timeout(now=self.now)
        self.settle()

    def _at(self, when: float, deliver: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._deliveries, (when, self._count, deliver))

    def _delay(self) -> float:
        return self.wire.latency + self._random.random() * self.wire.jitter

    def _perform_one(self, node: Node, peer: Node) -> bool:
        output: ServerOutput | ClientOutput | None = node.machine.poll_output()
        match output:
            case None:
                return False
            case SendDatagram():
                self._send_datagram(node, peer, output)
            case OpenFlow():
                self._open_flow(node, peer, output)
            case SendStream(flow=flow, data=data):
                node.sent.append(data)
                self._send_stream(peer, flow, data)
            case CloseFlow(flow=flow):
                self._send_stream(peer, flow, b"")
            case BindMedia():
                self._bind(node, output)
            case SendMedia():
                (node.sent_rtcp if output.component is Component.RTCP else node.sent_media).append(output)
                self._send_media(node, peer, output)
            case RecordLine() | UpdateLine() | SecureLine() | PauseLine():
                self.plane.perform(output)
            case CloseMedia(media=media):
                node.media.pop(media, None)
                if node is self.server and media in self.plane.lines:
                    self.plane.report(media, now=self.now, last=True)
                node.machine.media_closed(media, now=self.now)
            case OpenSink(sink=sink, name=name):
                node.sinks[sink] = name
                node.files[name] = b""
            case WriteSink(sink=sink, data=data):
                node.files[node.sinks[sink]] += data
            case CloseSink():
                pass
            case RenderRecording(session=session):
                node.rendered.append(output)
                self._render(session)
            case _:
                node.events.append(output)
        return True

    def _send_datagram(self, node: Node, peer: Node, command: SendDatagram) -> None:
        node.sent.append(command.data)
        if self.wire.drop(command.data) or self._random.random() < self.wire.loss:
            return
        flow = Flow(Transport.UDP, command.flow.remote, command.flow.local)
        if flow.local != peer.address:
            return
        copies = 2 if self._random.random() < self.wire.duplicate else 1
        for _ in range(copies):
            self._at(
                self.now + self._delay(),
                lambda: peer.machine.receive_datagram(command.data, flow=flow, now=self.now),
            )

    def _open_flow(self, node: Node, peer: Node, command: OpenFlow) -> None:
        mine = Flow(command.transport, Address(node.address.host, 40_000 - command.id), command.remote, command.id)
        theirs = Flow(command.transport, command.remote, mine.local, FlowId(-command.id))
        node.flows[command.id] = mine
        peer.flows[FlowId(-command.id)] = theirs
        peer.machine.flow_opened(theirs, now=self.now)
        node.machine.flow_opened(mine, now=self.now)

    def _send_stream(self, peer: Node, flow: Flow, data: bytes) -> None:
        if flow.id is None or (there := peer.flows.get(FlowId(-flow.id))) is None:
            return
        when = max(self._last_stream.get(flow.id, 0.0), self.now + self._delay())
        self._last_stream[flow.id] = when
        size = self.wire.piece_size
        for start in range(0, max(1, len(data)), size):
            piece = data[start : start + size]
            self._at(when, lambda piece=piece: peer.machine.receive_stream(there, piece, now=self.now))  # type: ignore[misc]

    def _bind(self, node: Node, command: BindMedia) -> None:
        if node.bind_failures:
            node.bind_failures -= 1
            node.machine.media_failed(command.media, "address in use", now=self.now)
            return
        node.media[command.media] = command
        node.machine.media_bound(command.media, now=self.now)

    def _send_media(self, node: Node, peer: Node, command: SendMedia) -> None:
        half = "rtp" if command.component is Component.RTP else "rtcp"
        source = getattr(node.media[command.media], half)
        if self._random.random() < self.wire.media_loss:
            return
        sent_at = self.now + self._delay()

        def deliver() -> None:
            for media, bound in peer.media.items():
                if getattr(bound, half) == command.to:
                    self.deliver(peer, media, DatagramBatch([command.data], [source], [sent_at]), command.component)
                    return

        self._at(sent_at, deliver)

    def deliver(self, node: Node, media: MediaId, batch: DatagramBatch, component: Component = Component.RTP) -> None:
        """Hand over datagrams that came to a media port."""
        if node is self.server and media in self.plane.lines:
            sink, blocks = self.plane.receive(media, batch, component, self.now)
            node.files[node.sinks[sink]] += blocks
            self.plane.report(media, now=self.now)
        else:
            node.machine.receive_media(media, batch, component=component, now=self.now)

    def _render(self, session: SessionId) -> None:
        if self.render_error is None:
            self.recorder.rendered(session, now=self.now)
        else:
            self.recorder.render_failed(session, self.render_error, now=self.now)
