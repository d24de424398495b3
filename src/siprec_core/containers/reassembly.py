"""Puts together what the network took apart: IP fragments and TCP streams, both bounded.

A capture is not an end point: it cannot ask for what is missing. Fragments that never complete are given up when newer
ones need their place. A gap in a TCP stream is given up when later octets have waited for it for two seconds of capture
time, or when too many wait; what follows is then delivered with a mark, so that the reader of the stream begins anew.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from siprec_core.containers.capture import Datagram
from siprec_core.containers.network import Fragment
from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.types import Address

TCP_SYN: Final = 0x02

_PACKET_SIZE = 65_535
_PIECES = 256
"""Most fragments of one packet: twice what the smallest usual link makes of the largest packet."""
_FRAGMENT_NS = 60_000_000_000
"""How long a packet may be incomplete (RFC 8200 section 4.5); then its identification belongs to another."""
_GAP_NS = 2_000_000_000
_SEQUENCE_WINDOW = 1 << 24
"""A sequence number farther away than this belongs to another connection between the same ports."""
_SEGMENT_SIZE = 256
"""What a waiting segment costs besides its octets: without it a flood of one-octet segments would hardly count."""
_PLACE = itemgetter(0)


@dataclass(slots=True)
class _Partial:
    """A packet of which some fragments are there."""

    began_ns: int
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    """Octet and content, in order, never overlapping."""
    size: int = 0
    total: int | None = None
    """Octets of the whole, known once the last fragment came."""

    def add(self, start: int, payload: bytes, *, more: bool) -> None:
        """Place one fragment; RemoteProtocolError when it cannot be one of this packet."""
        pieces, end = self.pieces, start + len(payload)
        if not payload or end > _PACKET_SIZE or (more and len(payload) & 7):
            raise RemoteProtocolError("a fragment has a wrong length", offset=start)
        index = bisect_left(pieces, start, key=_PLACE)
        if index < len(pieces) and pieces[index] == (start, payload):
            return
        # Overlaps are there to be read in two ways: the packet is dropped (RFC 8200 section 4.5).
        if index and pieces[index - 1][0] + len(pieces[index - 1][1]) > start:
            raise RemoteProtocolError("fragments overlap", offset=start)
        if index < len(pieces) and pieces[index][0] < end:
            raise RemoteProtocolError("fragments overlap", offset=start)
        if len(pieces) >= _PIECES:
            raise RemoteProtocolError("too many fragments of one packet", offset=start)
        pieces.insert(index, (start, payload))
        self.size += len(payload)
        if not more:
            self.total = end
        if self.total is not None and pieces[-1][0] + len(pieces[-1][1]) > self.total:
            raise RemoteProtocolError("a fragment lies behind the last one", offset=start)


class FragmentReassembler:
    """Puts IP packets together from fragments in any order."""

    __slots__ = ("_limits", "_partials", "abandoned")

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._partials: dict[tuple[bytes, bytes, int, int], _Partial] = {}
        self.abandoned = 0
        """Packets given up."""

    def __len__(self) -> int:
        return len(self._partials)

    def add(self, fragment: Fragment, payload: bytes, *, at_ns: int) -> bytes | None:
        """Take one fragment; give the payload of the packet when it is complete.

        Raises RemoteProtocolError for a fragment that cannot be: the packet that it belongs to is then given up.
        """
        key = fragment.key
        partial = self._partials.get(key)
        if partial is not None and abs(at_ns - partial.began_ns) > _FRAGMENT_NS:
            self._abandon(key)
            partial = None
        if partial is None:
            if len(self._partials) >= self._limits.capture_fragments:
                self._abandon(next(iter(self._partials)))
            partial = self._partials[key] = _Partial(at_ns)
        try:
            partial.add(fragment.offset, payload, more=fragment.more)
        except RemoteProtocolError:
            self._abandon(key)
            raise
        if partial.size != partial.total:
            return None
        del self._partials[key]
        return b"".join(piece for _, piece in partial.pieces)

    def abandon_all(self) -> int:
        """Give up all packets that are not complete; give how many were given up in all."""
        self.abandoned += len(self._partials)
        self._partials.clear()
        return self.abandoned

    def _abandon(self, key: tuple[bytes, bytes, int, int]) -> None:
        del self._partials[key]
        self.abandoned += 1


class _Stream:
    """One direction of a connection. Positions count octets of the stream from the first one seen, without end."""

    __slots__ = ("first_sequence", "position", "restart", "waiting")

    def __init__(self, first_sequence: int) -> None:
        self.first_sequence = first_sequence
        self.position = 0
        """Where the next octet to deliver stands."""
        self.restart = True
        self.waiting: list[tuple[int, Datagram]] = []
        """Pieces behind a gap, by position."""

    def place(self, sequence: int) -> int | None:
        """Give the position of a sequence number (modulo 2**32), None when it is too far away to belong here."""
        distance = (sequence - self.first_sequence - self.position) & 0xFFFF_FFFF
        if distance >= 1 << 31:
            distance -= 1 << 32
        return self.position + distance if abs(distance) <= _SEQUENCE_WINDOW else None


class StreamReassembler:
    """Puts the octets of TCP connections in order, each direction for itself."""

    __slots__ = ("_limits", "_streams", "gaps", "waiting_size")

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._streams: dict[tuple[Address, Address], _Stream] = {}
        self.waiting_size = 0
        """Octets that wait behind gaps, with what keeping them costs."""
        self.gaps = 0
        """Gaps given up."""

    def add(self, piece: Datagram, *, sequence: int, flags: int) -> list[Datagram]:
        """Take one segment with its payload in `piece`; give the pieces that can be delivered now, in order."""
        key = (piece.source, piece.destination)
        stream = self._streams.pop(key, None)
        delivered: list[Datagram] = []
        if flags & TCP_SYN:
            # The SYN itself takes one sequence number (RFC 9293 section 3.4). A repeated one begins nothing.
            sequence = (sequence + 1) & 0xFFFF_FFFF
            if stream is None or stream.first_sequence != sequence:
                delivered = self._release(stream)
                stream = _Stream(sequence)
        elif piece.payload and (stream is None or stream.place(sequence) is None):
            # One octet of zero before anything else is a keep-alive probe; its octet is not part of the stream.
            if stream is None and piece.payload == b"\0":
                return []
            delivered = self._release(stream)
            stream = _Stream(sequence)
        if stream is not None:
            delivered += self._remember(key, stream)
            position = stream.place(sequence)
            if piece.payload and position is not None:
                self._insert(stream, position, piece)
                delivered += self._deliver(stream, piece.at_ns)
        return delivered

    def flush(self) -> list[Datagram]:
        """Give up all gaps: what waits is delivered. For the end of a capture."""
        delivered: list[Datagram] = []
        for stream in self._streams.values():
            delivered += self._release(stream)
        return delivered

    def _remember(self, key: tuple[Address, Address], stream: _Stream) -> list[Datagram]:
        """Make `stream` the youngest; with too many the oldest goes, and what waited in it is delivered."""
        released: list[Datagram] = []
        if len(self._streams) >= self._limits.capture_streams:
            released = self._release(self._streams.pop(next(iter(self._streams))))
        self._streams[key] = stream
        return released

    def _insert(self, stream: _Stream, position: int, piece: Datagram) -> None:
        if position + len(piece.payload) > stream.position:
            insort(stream.waiting, (position, piece), key=_PLACE)
            self.waiting_size += len(piece.payload) + _SEGMENT_SIZE

    def _deliver(self, stream: _Stream, at_ns: int) -> list[Datagram]:
        """Take from what waits all that can go now: what is next, and what has waited too long or is too much."""
        delivered = []
        waiting = stream.waiting
        while waiting:
            position, piece = waiting[0]
            if position > stream.position:
                if at_ns - piece.at_ns <= _GAP_NS and not self._overfull(stream):
                    break
                self._skip_gap(stream, position)
            else:
                # A piece that waited becomes readable when the missing one arrives.
                piece.at_ns = max(piece.at_ns, at_ns)
            if self._take(stream):
                delivered.append(piece)
        return delivered

    def _release(self, stream: _Stream | None) -> list[Datagram]:
        """Take all that waits, gaps or not."""
        released = []
        while stream is not None and stream.waiting:
            position, piece = stream.waiting[0]
            if position > stream.position:
                self._skip_gap(stream, position)
            if self._take(stream):
                released.append(piece)
        return released

    def _take(self, stream: _Stream) -> bool:
        """Take the first waiting piece, cut off what was delivered before; False when nothing of it is new."""
        position, piece = stream.waiting.pop(0)
        self.waiting_size -= len(piece.payload) + _SEGMENT_SIZE
        piece.payload = piece.payload[stream.position - position :]
        if not piece.payload:
            return False
        stream.position += len(piece.payload)
        piece.restart, stream.restart = stream.restart, False
        return True

    def _skip_gap(self, stream: _Stream, position: int) -> None:
        stream.position = position
        stream.restart = True
        self.gaps += 1

    def _overfull(self, stream: _Stream) -> bool:
        limits = self._limits
        return len(stream.waiting) > limits.capture_stream_segments or self.waiting_size > limits.capture_waiting_size
