"""Takes captured packets apart: link headers, IPv4 and IPv6 with options and extension headers.

The functions raise RemoteProtocolError, with the octet of the packet, when a header is broken.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from siprec_core.containers.capture import (
    LINKTYPE_ETHERNET,
    LINKTYPE_IPV4,
    LINKTYPE_IPV6,
    LINKTYPE_LINUX_SLL,
    LINKTYPE_LINUX_SLL2,
    LINKTYPE_LOOP,
    LINKTYPE_NULL,
    LINKTYPE_RAW,
)
from siprec_core.errors import RemoteProtocolError

PROTOCOL_TCP: Final = 6
PROTOCOL_UDP: Final = 17
NOT_IP: Final = -1
"""What `ip_offset` gives for a packet that holds something else, ARP for example."""

_IPV4_IN_IP, _IPV6_IN_IP = 4, 41
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_EXTENSION_HEADERS = 16
"""Most extension headers of one packet: far over RFC 8200 section 4.1, and it stops endless chains of empty ones."""
_VLAN_TAGS = 4
_ETHERTYPES_IP = frozenset({0x0800, 0x86DD})
_ETHERTYPES_VLAN = frozenset({0x8100, 0x88A8, 0x9100})
_ETHERTYPE_PPPOE_SESSION = 0x8864


@dataclass(slots=True)
class Fragment:
    """Where a fragment belongs (RFC 791 section 3.1, RFC 8200 section 4.5)."""

    key: tuple[bytes, bytes, int, int]
    """Source, destination, protocol and identification: the same in all fragments of a packet."""
    offset: int
    """Octets from the beginning of the packet's payload."""
    more: bool
    """Fragments follow this one."""


@dataclass(slots=True)
class IpPacket:
    """An IP packet up to the header of its payload."""

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes
    missing_size: int
    """Octets at the end that the capture cut off."""
    fragment: Fragment | None = None


def _raw(data: bytes) -> int:
    return 0 if data else NOT_IP


def _loopback(data: bytes) -> int:
    # The address family is the capturing system's number (IPv6 has at least four) in its byte order: look behind it.
    return 4 if len(data) > 4 and data[4] >> 4 in (4, 6) else NOT_IP


def _ethernet(data: bytes) -> int:
    return _ethertype(data, 12)


def _linux_cooked(data: bytes) -> int:
    return _ethertype(data, 14)


def _linux_cooked_2(data: bytes) -> int:
    if len(data) < 20:
        return NOT_IP
    return _ethertype_at(data, int.from_bytes(data[:2], "big"), 20)


def _ethertype(data: bytes, offset: int) -> int:
    return _ethertype_at(data, int.from_bytes(data[offset : offset + 2], "big"), offset + 2)


def _ethertype_at(data: bytes, ethertype: int, offset: int) -> int:
    """Follow VLAN tags and PPPoE from the octet behind an EtherType."""
    for _ in range(_VLAN_TAGS):
        if ethertype not in _ETHERTYPES_VLAN:
            break
        ethertype = int.from_bytes(data[offset + 2 : offset + 4], "big")
        offset += 4
    if ethertype == _ETHERTYPE_PPPOE_SESSION and data[offset + 6 : offset + 8] in (b"\x00\x21", b"\x00\x57"):
        return offset + 8
    return offset if ethertype in _ETHERTYPES_IP and offset < len(data) else NOT_IP


_LINKS: dict[int, Callable[[bytes], int]] = {
    LINKTYPE_NULL: _loopback,
    LINKTYPE_LOOP: _loopback,
    LINKTYPE_ETHERNET: _ethernet,
    LINKTYPE_LINUX_SLL: _linux_cooked,
    LINKTYPE_LINUX_SLL2: _linux_cooked_2,
    LINKTYPE_RAW: _raw,
    LINKTYPE_IPV4: _raw,
    LINKTYPE_IPV6: _raw,
    # What BSD systems write for raw IP.
    12: _raw,
    14: _raw,
}


def link_layer(link_type: int) -> Callable[[bytes], int] | None:
    """Give the function that finds the IP header in packets of a link type: its octet or `NOT_IP`; None: unknown."""
    return _LINKS.get(link_type)


def parse_ip(data: bytes, offset: int = 0) -> IpPacket:
    """Read the IP header at `offset`, and IP within IP once."""
    packet = _parse_ip(data, offset)
    if packet.protocol in (_IPV4_IN_IP, _IPV6_IN_IP) and packet.fragment is None:
        inner = _parse_ip(packet.payload, 0)
        inner.missing_size = max(inner.missing_size, packet.missing_size)
        return inner
    return packet


def _parse_ip(data: bytes, offset: int) -> IpPacket:
    version = data[offset] >> 4 if offset < len(data) else 0
    if version == 4:
        return _parse_ipv4(data, offset)
    if version == 6:
        return _parse_ipv6(data, offset)
    raise RemoteProtocolError("neither IPv4 nor IPv6", offset=offset)


def _parse_ipv4(data: bytes, offset: int) -> IpPacket:
    if len(data) - offset < 20:
        raise RemoteProtocolError("an IPv4 header is too short", offset=offset)
    first, total, identification, flags, protocol = struct.unpack_from(">BxHHHxB", data, offset)
    header_size = (first & 0x0F) * 4
    # A length of zero is what segmentation offload leaves in packets captured on the sender.
    end = offset + total if total else len(data)
    if header_size < 20 or end < offset + header_size or len(data) < offset + header_size:
        raise RemoteProtocolError("an IPv4 header has a wrong length", offset=offset)
    source, destination = data[offset + 12 : offset + 16], data[offset + 16 : offset + 20]
    fragment = None
    if flags & 0x3FFF:
        key = (source, destination, protocol, identification)
        fragment = Fragment(key, (flags & 0x1FFF) * 8, more=bool(flags & 0x2000))
    payload = data[offset + header_size : end]
    return IpPacket(source, destination, protocol, payload, max(0, end - len(data)), fragment)


def _parse_ipv6(data: bytes, offset: int) -> IpPacket:
    if len(data) - offset < 40:
        raise RemoteProtocolError("an IPv6 header is too short", offset=offset)
    size, protocol = struct.unpack_from(">HB", data, offset + 4)
    source, destination = data[offset + 8 : offset + 24], data[offset + 24 : offset + 40]
    end = offset + 40 + size if size else len(data)
    packet = IpPacket(source, destination, protocol, data[offset + 40 : end], max(0, end - len(data)))
    skip_extension_headers(packet)
    return packet


def skip_extension_headers(packet: IpPacket) -> None:
    """Move `packet` behind its IPv6 extension headers, or behind the fragment header (RFC 8200 section 4)."""
    payload, position, protocol = packet.payload, 0, packet.protocol
    for _ in range(_EXTENSION_HEADERS):
        if protocol not in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION):
            break
        if len(payload) - position < 8:
            raise RemoteProtocolError("an IPv6 extension header is too short", offset=position)
        next_protocol, size = payload[position], payload[position + 1]
        if protocol == _FRAGMENT:
            offset, identification = struct.unpack_from(">HI", payload, position + 2)
            protocol, position = next_protocol, position + 8
            if offset & 0xFFF9:
                key = (packet.source, packet.destination, next_protocol, identification)
                packet.fragment = Fragment(key, offset & 0xFFF8, more=bool(offset & 1))
                break
            # A fragment that is the whole packet (RFC 6946) is none.
            continue
        # The authentication header counts in words of 4 octets, less two (RFC 4302 section 2.2).
        position += (size + 2) * 4 if protocol == _AUTHENTICATION else (size + 1) * 8
        protocol = next_protocol
    else:
        raise RemoteProtocolError("too many IPv6 extension headers", offset=position)
    packet.protocol, packet.payload = protocol, payload[position:]
