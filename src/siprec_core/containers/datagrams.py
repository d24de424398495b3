"""Reads the UDP datagrams and TCP octets out of a capture file: what the sockets of the captured machines saw."""

import struct
from collections import deque
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeAlias

from siprec_core.containers.capture import (
    LINKTYPE_IPV4,
    LINKTYPE_RAW,
    CaptureProblem,
    Datagram,
    Interface,
    Packet,
    Section,
    Statistics,
)
from siprec_core.containers.network import (
    NOT_IP,
    PROTOCOL_TCP,
    PROTOCOL_UDP,
    IpPacket,
    link_layer,
    parse_ip,
    skip_extension_headers,
)
from siprec_core.containers.reader import CaptureReader
from siprec_core.containers.reassembly import FragmentReassembler, StreamReassembler
from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import finding
from siprec_core.limits import Limits
from siprec_core.types import Address

DatagramItem: TypeAlias = Section | Interface | Statistics | Datagram | CaptureProblem

_CACHED_ADDRESSES = 4_096


class DatagramReader:
    """Turns the octets of a pcap or pcapng file into datagrams, between sections, interfaces and statistics.

    The doors are those of `CaptureReader`. Whatever is not UDP or TCP over IP is left out; a broken packet costs one
    problem. Never raises for what the file holds.
    """

    __slots__ = (
        "_addresses",
        "_cut_reported",
        "_ended",
        "_finished",
        "_fragments",
        "_links",
        "_packets",
        "_pending",
        "_plain",
        "_reader",
        "_streams",
    )

    def __init__(self, *, limits: Limits) -> None:
        self._reader = CaptureReader(limits=limits)
        self._fragments = FragmentReassembler(limits=limits)
        self._streams = StreamReassembler(limits=limits)
        self._links: list[Callable[[bytes], int] | None] = []
        self._plain: list[bool] = []
        self._addresses: dict[bytes, tuple[Address, Address]] = {}
        self._pending: deque[DatagramItem] = deque()
        self._cut_reported: set[int] = set()
        self._packets = 0
        self._ended = False
        self._finished = False

    def receive(self, data: bytes | memoryview) -> None:
        """Take the next octets of the file, any number of them."""
        self._reader.receive(data)

    def end_of_file(self) -> None:
        """Tell that no octet follows."""
        self._reader.end_of_file()
        self._ended = True

    def poll(self) -> DatagramItem | None:
        """Give the next item, None when more octets are needed (or the file is at its end)."""
        while True:
            if self._pending:
                return self._pending.popleft()
            item = self._reader.poll()
            if item is None:
                if not self._ended or self._finished:
                    return None
                self._finish()
                return self._pending.popleft() if self._pending else None
            if isinstance(item, Packet):
                datagram = self._datagram(item)
                if datagram is not None:
                    return datagram
            else:
                if isinstance(item, Interface):
                    self._add_interface(item)
                return item

    def _add_interface(self, interface: Interface) -> None:
        link = link_layer(interface.link_type)
        self._links.append(link)
        self._plain.append(interface.link_type in (LINKTYPE_RAW, LINKTYPE_IPV4))
        if link is None:
            message = f"link type {interface.link_type} cannot be read"
            self._report("capture-link-type", message, where=f"interface {interface.index}")

    def _datagram(self, packet: Packet) -> Datagram | None:
        """Give the datagram of a packet; what else comes of it is pending."""
        self._packets += 1
        data = packet.data
        size = len(data)
        # A whole, unfragmented UDP datagram behind a plain IPv4 header: nearly every packet of a journal.
        if (
            self._plain[packet.interface]
            and size >= 28
            and data[0] == 0x45
            and data[9] == PROTOCOL_UDP
            and not (data[6] & 0x3F or data[7])
            and data[2] << 8 | data[3] == size
            and data[24] << 8 | data[25] == size - 20
        ):
            source, destination = self._addresses.get(data[12:24]) or self._resolve(data[12:24], 4)
            return Datagram(packet.at_ns, "udp", source, destination, data[28:], packet.interface, packet.direction)
        try:
            return self._any_datagram(packet)
        except RemoteProtocolError as error:
            self._report("capture-packet", str(error), where=f"packet {self._packets}")
            return None

    def _any_datagram(self, packet: Packet) -> Datagram | None:
        link = self._links[packet.interface]
        offset = NOT_IP if link is None else link(packet.data)
        if offset == NOT_IP:
            return None
        ip = parse_ip(packet.data, offset)
        if ip.fragment is not None and not self._reassemble(ip, packet.at_ns):
            return None
        if ip.protocol == PROTOCOL_UDP:
            return self._udp(ip, packet)
        if ip.protocol == PROTOCOL_TCP:
            self._tcp(ip, packet)
        return None

    def _reassemble(self, ip: IpPacket, at_ns: int) -> bool:
        """Make `ip` the whole packet when its last missing fragment came; False when it is not whole yet."""
        fragment = ip.fragment
        whole = None if fragment is None else self._fragments.add(fragment, ip.payload, at_ns=at_ns)
        if whole is None:
            return False
        ip.payload, ip.fragment = whole, None
        if len(ip.source) == 16:
            skip_extension_headers(ip)
        return ip.fragment is None

    def _udp(self, ip: IpPacket, packet: Packet) -> Datagram:
        payload = ip.payload
        if len(payload) < 8:
            raise RemoteProtocolError("a UDP header is too short", offset=len(payload))
        size = int.from_bytes(payload[4:6], "big") or len(payload) + ip.missing_size
        if size < 8 or size > len(payload) + ip.missing_size:
            raise RemoteProtocolError("a UDP header has a wrong length", offset=4)
        source, destination = self._pair(ip)
        missing_size = max(0, size - len(payload))
        if missing_size:
            self._report_cut(packet)
        return Datagram(
            packet.at_ns,
            "udp",
            source,
            destination,
            payload[8:size],
            packet.interface,
            packet.direction,
            missing_size=missing_size,
        )

    def _tcp(self, ip: IpPacket, packet: Packet) -> None:
        payload = ip.payload
        if len(payload) < 20:
            raise RemoteProtocolError("a TCP header is too short", offset=len(payload))
        sequence, offset, flags = struct.unpack_from(">4xI4xBB", payload)
        header_size = (offset >> 4) * 4
        if header_size < 20 or header_size > len(payload):
            raise RemoteProtocolError("a TCP header has a wrong length", offset=12)
        if ip.missing_size:
            self._report_cut(packet)
        source, destination = self._pair(ip)
        data = payload[header_size:]
        piece = Datagram(packet.at_ns, "tcp", source, destination, data, packet.interface, packet.direction)
        gaps = self._streams.gaps
        self._pending.extend(self._streams.add(piece, sequence=sequence, flags=flags))
        if self._streams.gaps > gaps:
            self._report("capture-gap", None, where=f"{source} to {destination}")

    def _finish(self) -> None:
        """Deliver and report what is left at the end of the file."""
        self._finished = True
        gaps = self._streams.gaps
        self._pending.extend(self._streams.flush())
        if self._streams.gaps > gaps:
            self._report("capture-gap", None, where="end of file")
        incomplete = self._fragments.abandon_all()
        if incomplete:
            self._report("capture-fragment", f"{incomplete} fragmented packets are incomplete", where="IP")

    def _pair(self, ip: IpPacket) -> tuple[Address, Address]:
        key = ip.source + ip.destination + ip.payload[:4]
        return self._addresses.get(key) or self._resolve(key, len(ip.source))

    def _resolve(self, key: bytes, size: int) -> tuple[Address, Address]:
        """Make addresses of the octets of both and their ports; they are remembered, for making them is slow."""
        if len(self._addresses) >= _CACHED_ADDRESSES:
            self._addresses.clear()
        source_port, destination_port = struct.unpack_from(">HH", key, 2 * size)
        pair = (
            Address(str(ip_address(key[:size])), source_port),
            Address(str(ip_address(key[size : 2 * size])), destination_port),
        )
        self._addresses[key] = pair
        return pair

    def _report_cut(self, packet: Packet) -> None:
        """Report cut packets once for an interface: mostly all are cut."""
        if packet.interface not in self._cut_reported:
            self._cut_reported.add(packet.interface)
            message = f"{len(packet.data)} of {packet.original_size} octets were captured"
            self._report("capture-cut", message, where=f"interface {packet.interface}")

    def _report(self, code: str, message: str | None, *, where: str) -> None:
        self._pending.append(CaptureProblem(finding(code, where, message)))
