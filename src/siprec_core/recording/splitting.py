"""Sorts what a capture holds by call: each recording call gets a capture of its own.

One reading is enough, however many calls there are. A message belongs to the call of its Call-ID. A datagram belongs to
the call whose answer named its destination last: recorders use their ports again, for one call after the other.
"""

from collections import deque
from dataclasses import dataclass

from siprec_core.containers.capture import CaptureProblem, Datagram, Direction
from siprec_core.containers.datagrams import DatagramReader
from siprec_core.containers.packets import DatagramEncoder, TcpFlowWriter
from siprec_core.containers.pcapng import PcapngEncoder
from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.recording.media_ports import media_ports
from siprec_core.recording.signalling import Answered, Asked, CallReader, SeenMessage, SignallingReader
from siprec_core.sip.message import Request
from siprec_core.types import Address

_PROBLEMS = 100
_PART_SIZE = 64 * 1024
"""Octets of a call that are gathered before they are given."""
_GATHERED_SIZE = 16 * 1024 * 1024
"""Octets that are gathered of all calls: with many of them the parts get smaller."""
_LEAST_SIZE = 4 * 1024
_LAST_NS = (1 << 64) - 1
"""The last instant that pcapng can tell in nanoseconds."""
_ENCODERS = 64
"""Destinations of one call whose encoders are kept."""
_MESSAGES = 256
"""Messages of a call that are kept until it shows whether it is a recording."""
_OVER = 256
"""Calls that are followed beyond their BYE, for what is repeated."""


@dataclass(frozen=True, slots=True)
class CapturePart:
    """The next octets of the capture of one call."""

    recording: str
    """The `id` that the `recording.json` of the call will have."""
    data: bytes


class _Output:
    """The capture of one call while it is made."""

    def __init__(self, name: str) -> None:
        self.name = name
        encoder = PcapngEncoder()
        start = encoder.start(application="siprec") + encoder.add_interface("")
        self._parts = [start]
        self.size = len(start)
        self._datagrams: dict[Address, DatagramEncoder] = {}
        self._connections: dict[frozenset[Address], tuple[Address, TcpFlowWriter]] = {}

    def add_datagram(self, data: bytes, source: Address, destination: Address, at_ns: int) -> None:
        encoder = self._datagrams.get(destination)
        if encoder is None:
            if len(self._datagrams) >= _ENCODERS:
                self._datagrams.clear()
            encoder = self._datagrams[destination] = DatagramEncoder(0, destination, Direction.INBOUND)
        self._add(encoder.encode([(data, source, min(at_ns, _LAST_NS))]))

    def add_message(self, seen: SeenMessage) -> None:
        if seen.transport == "udp":
            self.add_datagram(seen.raw, seen.source, seen.destination, seen.at_ns)
            return
        ends = frozenset((seen.source, seen.destination))
        known = self._connections.get(ends)
        if known is None:
            if len(self._connections) >= _ENCODERS:
                self._connections.clear()
            known = self._connections[ends] = (
                seen.destination,
                TcpFlowWriter(0, seen.destination, seen.source),
            )
        direction = Direction.INBOUND if seen.destination == known[0] else Direction.OUTBOUND
        self._add(known[1].encode(seen.raw, at_ns=seen.at_ns, direction=direction))

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        self.size = 0
        return data

    def _add(self, data: bytes) -> None:
        self._parts.append(data)
        self.size += len(data)


class _Call:
    """What is known of the call of a Call-ID; of several, one after the other, the last one counts."""

    __slots__ = ("is_marked", "is_over", "output", "reader", "waiting", "waiting_size")

    def __init__(self, reader: CallReader) -> None:
        self.reader = reader
        self.is_marked = False
        """Its INVITE shows that it is a recording session."""
        self.is_over = False
        """A BYE was seen."""
        self.output: _Output | None = None
        """None before it was answered, and for a call that is no recording."""
        self.waiting: list[SeenMessage] | None = []
        """Messages before the answer, None afterwards."""
        self.waiting_size = 0


class CallSplitter:
    """Turns the octets of a capture into those of one capture for each recording call that was answered.

    Feed octets with `receive`, then `poll` until it gives None; after the last octet call `end_of_file` and poll again.
    Never raises for what the file holds.
    """

    __slots__ = (
        "_ended",
        "_is_full",
        "_limits",
        "_others",
        "_outputs",
        "_over",
        "_parts",
        "_ports",
        "_reader",
        "_recorded",
        "_signalling",
        "findings",
        "waiting_size",
    )

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._reader = DatagramReader(limits=limits)
        self._signalling = SignallingReader(limits=limits)
        self._recorded: dict[str, _Call] = {}
        """Recording calls that were answered, by Call-ID."""
        self._others: dict[str, _Call] = {}
        """Calls that were not, or not yet."""
        self._over: deque[_Call] = deque()
        self._outputs: dict[str, _Output] = {}
        self._ports: dict[Address, _Output] = {}
        self._parts: deque[CapturePart] = deque()
        self.waiting_size = 0
        """Octets of messages that are kept until their call shows whether it is a recording."""
        self._ended = self._is_full = False
        self.findings: list[Finding] = []
        """What is wrong with the capture itself."""

    @property
    def recordings(self) -> tuple[str, ...]:
        """The identifiers of the recording calls that were answered, in the order of their answers."""
        return tuple(self._outputs)

    def receive(self, data: bytes | memoryview) -> None:
        """Take the next octets of the file, any number of them."""
        self._reader.receive(data)

    def end_of_file(self) -> None:
        """Tell that no octet follows."""
        self._reader.end_of_file()
        self._ended = True

    def poll(self) -> CapturePart | None:
        """Give the next octets of some call, None when more octets are needed (or the file is at its end)."""
        while not self._parts:
            item = self._reader.poll()
            if item is None:
                if self._ended:
                    self._parts.extend(self._part(output) for output in self._outputs.values() if output.size)
                break
            if isinstance(item, Datagram):
                self._receive_datagram(item)
            elif isinstance(item, CaptureProblem):
                self._report(item.finding)
        return self._parts.popleft() if self._parts else None

    # input

    def _receive_datagram(self, datagram: Datagram) -> None:
        if datagram.transport == "udp":
            output = self._ports.get(datagram.destination)
            if output is not None:
                output.add_datagram(datagram.payload, datagram.source, datagram.destination, datagram.at_ns)
                self._give(output)
                return
        for seen in self._signalling.receive(datagram):
            self._receive_message(seen)

    def _receive_message(self, seen: SeenMessage) -> None:
        call_id = seen.message.headers.get("Call-ID") or ""
        call = self._recorded.get(call_id) or self._others.get(call_id)
        if call is None or (call.is_over and _begins_another(call.reader, seen)):
            call = self._begin(call_id, seen)
        if call is None:
            return
        event = call.reader.receive(seen)
        if call.output is not None:
            call.output.add_message(seen)
        elif call.waiting is not None:
            self._keep(call, call.waiting, seen)
        if isinstance(event, Asked):
            self._asked(call, event)
        elif isinstance(event, Answered):
            self._answered(call_id, call, seen, event)
        if call.output is not None:
            self._give(call.output)

    def _asked(self, call: _Call, asked: Asked) -> None:
        if asked.first:
            call.is_marked = asked.read.marks.any
        elif asked.request.method == "BYE" and not call.is_over:
            call.is_over = True
            self._over.append(call)
            if len(self._over) > _OVER:
                self._forget(self._over.popleft())

    def _answered(self, call_id: str, call: _Call, seen: SeenMessage, answered: Answered) -> None:
        if answered.first and call.waiting is not None:
            self._decide(call_id, call)
        if call.output is not None and answered.answer is not None:
            server = seen.source if answered.by_server else seen.destination
            self._ports.update(dict.fromkeys(media_ports(answered.answer, server), call.output))

    # calls

    def _begin(self, call_id: str, seen: SeenMessage) -> _Call | None:
        message = seen.message
        if not isinstance(message, Request) or message.method != "INVITE":
            return None
        try:
            call = _Call(CallReader(seen, message, limits=self._limits))
        except RemoteProtocolError:
            return None
        self._recorded.pop(call_id, None)
        known = self._others.pop(call_id, None)
        if known is None and len(self._others) >= self._limits.capture_calls:
            known = self._others.pop(next(iter(self._others)))
        if known is not None:
            self._stop_waiting(known)
        self._others[call_id] = call
        return call

    def _keep(self, call: _Call, waiting: list[SeenMessage], seen: SeenMessage) -> None:
        """Keep a message until its call shows whether it is a recording."""
        if len(waiting) < _MESSAGES:
            waiting.append(seen)
            call.waiting_size += len(seen.raw)
            self.waiting_size += len(seen.raw)
        while self.waiting_size > self._limits.capture_waiting_size:
            self._stop_waiting(self._others.pop(next(iter(self._others))))

    def _stop_waiting(self, call: _Call) -> list[SeenMessage]:
        waiting, call.waiting = call.waiting or [], None
        self.waiting_size -= call.waiting_size
        call.waiting_size = 0
        return waiting

    def _decide(self, call_id: str, call: _Call) -> None:
        """Begin the capture of a call that was answered, if it is a recording; else keep nothing of it."""
        waiting = self._stop_waiting(call)
        if not call.is_marked:
            return
        name = call.reader.recording_id
        output = self._outputs.get(name)
        if output is None:
            if len(self._outputs) >= self._limits.capture_calls:
                self._refuse()
                return
            output = self._outputs[name] = _Output(name)
        call.output = output
        self._recorded[call_id] = call
        self._others.pop(call_id, None)
        for seen in waiting:
            output.add_message(seen)

    def _refuse(self) -> None:
        if not self._is_full:
            self._is_full = True
            self._report(finding("capture-limit", "capture", f"more than {len(self._outputs)} recording calls"))

    def _forget(self, call: _Call) -> None:
        call_id = call.reader.call_id
        for calls in (self._recorded, self._others):
            if calls.get(call_id) is call:
                self._stop_waiting(calls.pop(call_id))

    # output

    def _give(self, output: _Output) -> None:
        """Give what was gathered of a call when it is enough."""
        if output.size >= min(_PART_SIZE, max(_LEAST_SIZE, _GATHERED_SIZE // len(self._outputs))):
            self._parts.append(self._part(output))

    def _part(self, output: _Output) -> CapturePart:
        return CapturePart(output.name, output.take())

    def _report(self, found: Finding) -> None:
        if len(self.findings) < _PROBLEMS:
            self.findings.append(found)


def _begins_another(known: CallReader, seen: SeenMessage) -> bool:
    """Tell the INVITE of a new call from messages of an old one: some clients use a Call-ID again."""
    message = seen.message
    try:
        return (
            isinstance(message, Request)
            and message.method == "INVITE"
            and message.to.tag is None
            and message.from_.tag != known.invite.from_.tag
        )
    except RemoteProtocolError:
        return False
