"""Captures of calls as other programs write them: any link, any format, and what networks do to packets."""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address

from siprec_core.containers.capture import Datagram
from siprec_core.limits import Limits
from siprec_core.recording.render import render
from siprec_core.recording.splitting import CallSplitter
from siprec_core.types import Address
from tests.core.containers.captures import interface, option, packet, pcap, section
from tests.core.recording.calls import (
    CLIENT,
    METADATA,
    SERVER,
    UNIX_NS,
    Line,
    chunked,
    collect,
    multipart,
    request,
    response,
    sdp,
    stream,
    tone,
)

SIP = (Address(CLIENT, 5_060), Address(SERVER, 5_060))


@dataclass(frozen=True)
class CapturedCall:
    """A recording call of one line on the wire."""

    name: str = "call-1@example.com"
    begin: float = 0.0
    port: int = 30_000
    transport: str = "udp"
    samples: int = 1_600
    step: int = 37
    tag: str = "client"
    bye: bool = True
    marked: bool = True
    answered: bool = True
    server_host: str = SERVER

    @property
    def pcm(self) -> bytes:
        return tone(self.samples, step=self.step)

    def datagrams(self) -> list[Datagram]:
        """Give what went by, in order."""
        found = list(self._signalling("INVITE", self.begin, *self._bodies(), cseq=1))
        lines = stream(self.pcm, line=Line("1", self.port + 10_000), ssrc=self.step, seconds=self.begin + 0.02)
        found += [
            self._sent(each.data, each.source, Address(SERVER, self.port), each.seconds, "udp")
            for each in (lines if self.answered else ())
        ]
        if self.bye and self.answered:
            found += self._signalling("BYE", self.begin + self.samples / 8_000 + 0.1, b"", "", b"", cseq=2)
        return found

    def _bodies(self) -> tuple[bytes, str, bytes]:
        body, content_type = multipart(sdp([Line("1", self.port + 10_000)]), METADATA)
        answer = sdp([Line("1", self.port, direction="recvonly")]).replace(CLIENT, self.server_host)
        return body, content_type, answer.encode()

    def _signalling(
        self, method: str, seconds: float, body: bytes, content_type: str, answer: bytes, *, cseq: int
    ) -> Iterator[Datagram]:
        asked = request(method, body, content_type, cseq=cseq, transport=self.transport.upper())
        asked = asked.replace(b"call-1@example.com", self.name.encode()).replace(
            b"tag=client", b"tag=" + self.tag.encode()
        )
        if not self.marked:
            for mark in (b"Require: siprec\r\n", b";+sip.src", b"rs-"):
                asked = asked.replace(mark, b"")
            asked = asked.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % (len(body) - 3))
        yield self._sent(asked, *SIP, seconds, self.transport)
        if self.answered:
            yield self._sent(response(asked, "200 OK", answer), SIP[1], SIP[0], seconds + 0.01, self.transport)

    def _sent(self, data: bytes, source: Address, destination: Address, seconds: float, transport: str) -> Datagram:
        at_ns = UNIX_NS + round(seconds * 1_000_000) * 1_000
        assert transport in ("udp", "tcp")
        return Datagram(at_ns, "tcp" if transport == "tcp" else "udp", source, destination, data, 0)


def together(*calls: CapturedCall) -> list[Datagram]:
    """Give all that went by in order of time."""
    return sorted((each for call in calls for each in call.datagrams()), key=lambda each: each.at_ns)


def with_pause(call: CapturedCall, seconds: float) -> list[Datagram]:
    """Let the client pause after half of its packets; its timestamps count the time."""
    found = call.datagrams()
    for number in range(len(found) // 2, len(found)):
        each = found[number]
        data = each.payload
        if data[0] == 0x80:
            timestamp = int.from_bytes(data[4:8], "big") + round(seconds * 8_000)
            data = data[:4] + timestamp.to_bytes(4, "big") + data[8:]
        found[number] = replace(each, payload=data, at_ns=each.at_ns + round(seconds * 1_000_000_000))
    return found


# IP


def ip_packet(hosts: tuple[str, str], protocol: int, payload: bytes, number: int = 0, fragment: int = 0) -> bytes:
    """`fragment` is the whole 16-bit field of IPv4."""
    fields = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), number & 0xFFFF, fragment, 64, protocol, 0)
    return fields + b"".join(ip_address(host).packed for host in hosts) + payload


def segment(source: Address, destination: Address, sequence: int, data: bytes, *, flags: int = 0x18) -> bytes:
    sequence &= 0xFFFF_FFFF
    return struct.pack(">HHIIBBHHH", source.port, destination.port, sequence, 0, 0x50, flags, 9_000, 0, 0) + data


Segments = Callable[[bytes], Iterable[tuple[int, bytes]]]
"""Cuts octets of a connection into segments: offset and octets, in the order in which they arrive."""


def whole(data: bytes) -> Iterable[tuple[int, bytes]]:
    return [(0, data)]


def in_pieces(data: bytes) -> Iterable[tuple[int, bytes]]:
    return [(at, data[at : at + 700]) for at in range(0, len(data), 700)]


def out_of_order(data: bytes) -> Iterable[tuple[int, bytes]]:
    pieces = list(in_pieces(data))
    return [*pieces[1::2], *pieces[::2]]


def repeated_and_overlapping(data: bytes) -> Iterable[tuple[int, bytes]]:
    pieces = [(max(0, at - 300), data[max(0, at - 300) : at + 700]) for at in range(0, len(data), 700)]
    return [each for piece in pieces for each in (piece, piece)] + pieces[:2]


def ip_packets(
    datagrams: Iterable[Datagram], *, segments: Segments = whole, fragment_size: int = 0
) -> list[tuple[int, bytes]]:
    """Put datagrams and pieces of connections into IPv4 packets, fragmented above `fragment_size` octets."""
    sequences: dict[tuple[Address, Address], int] = {}
    packets: list[tuple[int, bytes]] = []
    for number, each in enumerate(datagrams):
        hosts = each.source.host, each.destination.host
        ports = struct.pack(">HH", each.source.port, each.destination.port)
        if each.transport == "udp":
            payload = ports + struct.pack(">HH", 8 + len(each.payload), 0) + each.payload
            if fragment_size and len(payload) > fragment_size:
                cuts = range(0, len(payload), fragment_size)
                parts = [(at, payload[at : at + fragment_size]) for at in cuts]
                parts.reverse()  # any order will do
                packets += [
                    (
                        each.at_ns,
                        ip_packet(hosts, 17, part, number, at // 8 | (0x2000 if at + len(part) < len(payload) else 0)),
                    )
                    for at, part in parts
                ]
                continue
            packets.append((each.at_ns, ip_packet(hosts, 17, payload, number)))
            continue
        start = sequences.get((each.source, each.destination))
        if start is None:
            start = 0xFFFF_FA00  # near the end of the numbers, so that they wrap
            syn = segment(each.source, each.destination, start - 1, b"", flags=2)
            packets.append((each.at_ns, ip_packet(hosts, 6, syn, number)))
        packets += [
            (each.at_ns, ip_packet(hosts, 6, segment(each.source, each.destination, start + at, data), number))
            for at, data in segments(each.payload)
        ]
        sequences[each.source, each.destination] = start + len(each.payload)
    return packets


# links and files

LINKS: dict[str, tuple[int, bytes]] = {
    "ethernet": (1, bytes(12) + b"\x08\x00"),
    "vlan": (1, bytes(12) + b"\x81\x00\x00\x05\x08\x00"),
    "two vlans": (1, bytes(12) + b"\x88\xa8\x00\x07\x81\x00\x00\x05\x08\x00"),
    "cooked": (113, bytes(14) + b"\x08\x00"),
    "cooked 2": (276, b"\x08\x00" + bytes(18)),
    "cooked vlan": (113, bytes(14) + b"\x81\x00\x00\x05\x08\x00"),
    "null": (0, b"\x02\x00\x00\x00"),
    "null of the other byte order": (0, b"\x00\x00\x00\x02"),
    "loop": (108, b"\x00\x00\x00\x02"),
    "raw": (101, b""),
    "raw of BSD": (12, b""),
    "ipv4": (228, b""),
}
"""Link type, and what stands before the IP header."""


def as_pcapng(packets: Sequence[tuple[int, bytes]], link: str = "raw", *, order: str = "<") -> bytes:
    """Write two sections of two interfaces each, packets on all in turn; the second interface is raw IP."""
    link_type, head = LINKS[link]
    nanoseconds = option(9, b"\x09", order)
    data = b""
    half = len(packets) // 2
    for part in (packets[:half], packets[half:]):
        data += section(order) + interface(link_type, nanoseconds, order) + interface(101, nanoseconds, order)
        data += b"".join(
            packet((b"" if number % 2 else head) + each, at_ns, number % 2, order=order)
            for number, (at_ns, each) in enumerate(part)
        )
    return data


def as_pcap(packets: Iterable[tuple[int, bytes]], link: str = "raw", *, order: str = "<", ns: bool = False) -> bytes:
    link_type, head = LINKS[link]
    return pcap([(at_ns, head + each) for at_ns, each in packets], order=order, ns=ns, link_type=link_type)


# the code under test


def split(capture: bytes, *, size: int = 65_536, limits: Limits | None = None) -> tuple[CallSplitter, dict[str, bytes]]:
    """Give the capture of each call."""
    splitter = CallSplitter(limits=limits or Limits())
    parts: dict[str, bytes] = {}

    def take() -> None:
        while (part := splitter.poll()) is not None:
            parts[part.recording] = parts.get(part.recording, b"") + part.data

    for chunk in chunked(capture, size):
        splitter.receive(chunk)
        take()
    splitter.end_of_file()
    take()
    return splitter, parts


def files_of_calls(capture: bytes, *, limits: Limits | None = None) -> list[dict[str, bytes]]:
    """Render each call of a capture."""
    splitter, parts = split(capture, limits=limits)
    return [
        collect(render(partial(chunked, parts[name]), limits=limits, journal_name=None, findings=splitter.findings))
        for name in splitter.recordings
    ]
