"""Wraps what sockets gave us into IP packets again, so that a journal reads like a capture.

A recorder sees payloads, addresses and times, never IP headers. The headers made here are what a capture beside us
would show: fixed TTL, no fragmentation, checksums right. For a pair of addresses and a payload size everything but the
time and the payload is the same, so it is built once and a packet costs one `struct` call and its share of one join.

SIP over TCP or TLS is written as TCP segments with running sequence numbers, as if deciphered; SIP dissectors put the
messages together again.
"""

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from siprec_core.containers.capture import Direction
from siprec_core.containers.pcapng import ENHANCED_PACKET_BLOCK, packet_block, packet_options, padding
from siprec_core.errors import LocalProtocolError
from siprec_core.types import Address

UDP_PAYLOAD_SIZE: Final = 65_507
"""Largest payload of a UDP datagram over IPv4. A larger one is written cut, its true size told."""
TCP_SEGMENT_SIZE: Final = 65_495
"""Largest payload of a TCP segment over IPv4 without options; it fits IPv6 as well."""

_HOP_LIMIT = 64
_UDP, _TCP = 17, 6
_DONT_FRAGMENT = 0x4000
_PUSH_ACKNOWLEDGE = 0x18
_ACKNOWLEDGE = 0x10
_WINDOW = 65_535
_CACHED_PAIRS = 64
_CACHED_SIZES = 256
_TIME = struct.Struct("<II")
_CHECKSUM = struct.Struct(">H")


class _Frame(NamedTuple):
    """Everything of a packet block but time, checksum of the payload and payload."""

    head: bytes
    middle: bytes
    """Captured and original length, IP header, UDP header; over IPv6 without the checksum at its end."""
    tail: bytes
    sum: int
    """IPv6: sum of the pseudo-header and the UDP header, to which the payload's is added; IPv4: 0."""


class _Pair(NamedTuple):
    """Source and destination in octets, of one IP version."""

    source: bytes
    destination: bytes
    ports: bytes
    is_ipv4: bool


def _pair(source: Address, destination: Address) -> _Pair:
    packed_source, packed_destination = _packed(source.host), _packed(destination.host)
    if len(packed_source) != len(packed_destination):
        # A wildcard address of one version beside a peer of the other: IPv4-mapped addresses hold both
        # (RFC 4291 section 2.5.5.2).
        packed_source, packed_destination = _mapped(packed_source), _mapped(packed_destination)
    ports = struct.pack(">HH", source.port & 0xFFFF, destination.port & 0xFFFF)
    return _Pair(packed_source, packed_destination, ports, len(packed_source) == 4)


@lru_cache(maxsize=1024)
def _packed(host: str) -> bytes:
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        raise LocalProtocolError(f"{host!r} is not a numeric IP address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.packed
    return address.packed


def _mapped(packed: bytes) -> bytes:
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def _sum(data: bytes | memoryview) -> int:
    """Give a number that is congruent to the sum of the 16-bit words of `data` (RFC 1071): 2**16 is 1 modulo 65,535."""
    number = int.from_bytes(data, "big")
    return (number << 8 if len(data) & 1 else number) % 0xFFFF


def _checksum(total: int) -> int:
    """Give the one's complement checksum of a sum; never 0, which in UDP says that there is none (RFC 768)."""
    return 0xFFFF - total % 0xFFFF


def _ip_header(pair: _Pair, protocol: int, payload_size: int) -> bytes:
    if not pair.is_ipv4:
        return struct.pack(">IHBB", 6 << 28, payload_size, protocol, _HOP_LIMIT) + pair.source + pair.destination
    # The identification of a packet that is never fragmented may be anything (RFC 6864 section 4.1).
    fields = struct.pack(">BBHHHBB", 0x45, 0, 20 + payload_size, 0, _DONT_FRAGMENT, _HOP_LIMIT, protocol)
    addresses = pair.source + pair.destination
    return fields + _CHECKSUM.pack(_checksum(_sum(fields) + _sum(addresses))) + addresses


def _pseudo_header_sum(pair: _Pair, protocol: int, size: int) -> int:
    """Sum what TCP and UDP checksums cover besides their own octets (RFC 9293 section 3.1, RFC 8200 section 8.1)."""
    return _sum(pair.source) + _sum(pair.destination) + protocol + size


class DatagramEncoder:
    """Encodes the datagrams of one of our ports, one direction of it, as packet blocks of one interface."""

    __slots__ = ("_frames", "_inbound", "_interface", "_local", "_options", "_pairs")

    def __init__(self, interface: int, local: Address, direction: Direction) -> None:
        self._interface = interface
        self._local = local
        self._inbound = direction is Direction.INBOUND
        self._options = packet_options(direction)
        self._pairs: dict[Address, tuple[_Pair, dict[int, _Frame]]] = {}

    def encode(self, datagrams: Iterable[tuple[bytes | memoryview, Address, int]]) -> bytes:
        """Encode (payload, remote address, instant in nanoseconds) triples with one join.

        Raises LocalProtocolError when an address is not numeric. A payload over `UDP_PAYLOAD_SIZE` is cut.
        """
        pieces: list[bytes | memoryview] = []
        append = pieces.append
        pack_time = _TIME.pack
        known: Address | None = None
        pair: _Pair | None = None
        frames: dict[int, _Frame] = {}
        for payload, remote, at_ns in datagrams:
            if pair is None or remote is not known:
                pair, frames = self._pairs.get(remote) or self._add_pair(remote)
                known = remote
            size = len(payload)
            frame = frames.get(size)
            if frame is None:
                frame = self._add_frame(pair, frames, size)
            if size > UDP_PAYLOAD_SIZE:
                payload = payload[:UDP_PAYLOAD_SIZE]
            append(frame.head)
            append(pack_time(at_ns >> 32, at_ns & 0xFFFF_FFFF) if at_ns > 0 else pack_time(0, 0))
            append(frame.middle)
            if not pair.is_ipv4:
                append(_CHECKSUM.pack(_checksum(frame.sum + _sum(payload))))
            append(payload)
            append(frame.tail)
        return b"".join(pieces)

    def _add_pair(self, remote: Address) -> tuple[_Pair, dict[int, _Frame]]:
        if len(self._pairs) >= _CACHED_PAIRS:
            self._pairs.clear()
        pair = _pair(remote, self._local) if self._inbound else _pair(self._local, remote)
        entry: tuple[_Pair, dict[int, _Frame]] = (pair, {})
        self._pairs[remote] = entry
        return entry

    def _add_frame(self, pair: _Pair, frames: dict[int, _Frame], true_size: int) -> _Frame:
        if len(frames) >= _CACHED_SIZES:
            frames.clear()
        size = min(true_size, UDP_PAYLOAD_SIZE)
        udp = pair.ports + struct.pack(">H", 8 + size)
        ip = _ip_header(pair, _UDP, 8 + size)
        captured = len(ip) + 8 + size
        pad = padding(captured)
        total = 32 + captured + len(pad) + len(self._options)
        frame = _Frame(
            struct.pack("<III", ENHANCED_PACKET_BLOCK, total, self._interface),
            # Over IPv4 a checksum of zero says that the sender made none (RFC 768); over IPv6 there must be one
            # (RFC 8200 section 8.1), and it follows with each packet.
            struct.pack("<II", captured, captured + true_size - size) + ip + udp + (b"\0\0" if pair.is_ipv4 else b""),
            pad + self._options + struct.pack("<I", total),
            0 if pair.is_ipv4 else _pseudo_header_sum(pair, _UDP, 8 + size) + _sum(udp),
        )
        frames[true_size] = frame
        return frame


class TcpFlowWriter:
    """Encodes the octets of one connection, both directions, as TCP segments in packet blocks of one interface."""

    __slots__ = ("_inbound", "_interface", "_outbound", "_received_sequence", "_sent_sequence")

    def __init__(self, interface: int, local: Address, remote: Address) -> None:
        """Raise LocalProtocolError when an address is not numeric."""
        self._interface = interface
        self._inbound = _pair(remote, local)
        self._outbound = _pair(local, remote)
        self._received_sequence = 1
        self._sent_sequence = 1

    def encode(self, data: bytes | memoryview, *, at_ns: int, direction: Direction) -> bytes:
        """Encode one message as one or more segments; nothing for no octets."""
        return b"".join(self.blocks(data, at_ns=at_ns, direction=direction))

    def blocks(self, data: bytes | memoryview, *, at_ns: int, direction: Direction) -> Iterator[bytes]:
        """Encode one message segment by segment."""
        options = packet_options(direction)
        for start in range(0, len(data), TCP_SEGMENT_SIZE):
            end = min(start + TCP_SEGMENT_SIZE, len(data))
            segment = self._segment(data[start:end], direction, last=end == len(data))
            yield packet_block(self._interface, segment, at_ns=at_ns, original_size=len(segment), options=options)

    def _segment(self, data: bytes | memoryview, direction: Direction, *, last: bool) -> bytes:
        if direction is Direction.INBOUND:
            pair, sequence, acknowledged = self._inbound, self._received_sequence, self._sent_sequence
            self._received_sequence = (sequence + len(data)) & 0xFFFF_FFFF
        else:
            pair, sequence, acknowledged = self._outbound, self._sent_sequence, self._received_sequence
            self._sent_sequence = (sequence + len(data)) & 0xFFFF_FFFF
        flags = _PUSH_ACKNOWLEDGE if last else _ACKNOWLEDGE
        head = pair.ports + struct.pack(">IIBBH", sequence, acknowledged, 5 << 4, flags, _WINDOW)
        size = 20 + len(data)
        checksum = _checksum(_pseudo_header_sum(pair, _TCP, size) + _sum(head) + _sum(data))
        return b"".join((_ip_header(pair, _TCP, size), head, _CHECKSUM.pack(checksum), b"\0\0", data))
