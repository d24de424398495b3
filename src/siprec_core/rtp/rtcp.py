"""RTCP compound packets: their outline and Goodbye (RFC 3550 sections 6.1, 6.6 and appendix A.2).

What the other packets say is read by `reports`, `sdes` and `extended`; `compound` puts them together.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Self

from siprec_core.errors import LocalProtocolError, RemoteProtocolError

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, GOODBYE, APPLICATION = 200, 201, 202, 203, 204
"""Packet types of RFC 3550 section 12.1."""
TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK, EXTENDED_REPORT = 205, 206, 207
"""Packet types of RFC 4585 section 6.1 and RFC 3611 section 2."""
PACKETS_PER_COMPOUND = 64
"""Packets believed in one datagram: more than any sender has reason for."""
_HEADER = Struct("!BBH")


@dataclass(slots=True)
class RtcpPacket:
    """One packet of a compound packet."""

    packet_type: int
    """192 to 223: 200 SR, 201 RR, 202 SDES, 203 BYE, 204 APP, 205 and 206 feedback, 207 XR."""
    count: int
    """The five bits beside version and padding: report or source count, or a subtype."""
    body: memoryview
    """What follows the four octets of the header, without padding."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Sources that leave the session (RFC 3550 section 6.6)."""

    ssrcs: tuple[int, ...]
    reason: str
    """Empty when none was given."""

    @classmethod
    def parse(cls, packet: RtcpPacket) -> Self:
        """Read a BYE packet; `RemoteProtocolError` when its sources do not fit. A broken reason is left out."""
        size = 4 * packet.count
        if packet.packet_type != GOODBYE or size > len(packet.body):
            raise RemoteProtocolError(f"a BYE of {packet.count} sources does not fit its packet")
        ssrcs = tuple(int.from_bytes(packet.body[at : at + 4], "big") for at in range(0, size, 4))
        text = packet.body[size:]
        if len(text) and text[0] < len(text):
            return cls(ssrcs, str(text[1 : 1 + text[0]], "utf-8", "replace"))
        return cls(ssrcs, "")

    def to_bytes(self) -> bytes:
        """Write the packet; the reason is cut to 255 octets."""
        text = self.reason.encode()[:255]
        if text:
            text = bytes((len(text),)) + text
            text += bytes(-len(text) % 4)
        return write_packet(GOODBYE, len(self.ssrcs), b"".join(each.to_bytes(4, "big") for each in self.ssrcs) + text)


def write_packet(packet_type: int, count: int, body: bytes) -> bytes:
    """Write one packet without padding; LocalProtocolError for more than its header can count, or broken words."""
    if not 0 <= count <= 31 or len(body) % 4 or len(body) > 4 * 0xFFFF:
        raise LocalProtocolError(f"{count} entries in {len(body)} octets do not fit an RTCP packet")
    return _HEADER.pack(0x80 | count, packet_type, len(body) // 4) + body


def parse_compound(data: bytes | memoryview) -> tuple[RtcpPacket, ...]:
    """Split one datagram into its packets; `RemoteProtocolError` with the offset when it is not RTCP.

    Checked are version, packet type, lengths that add up and padding, as RFC 3550 appendix A.2 does, but for the type
    of the first packet: reduced-size RTCP (RFC 5506) may begin with any.
    """
    view = memoryview(data)
    packets: list[RtcpPacket] = []
    at = 0
    while at < len(view) or not packets:
        if at + 4 > len(view):
            raise RemoteProtocolError("an RTCP header is cut off", offset=at)
        if len(packets) == PACKETS_PER_COMPOUND:
            raise RemoteProtocolError("too many RTCP packets in one datagram", offset=at)
        first, packet_type, words = _HEADER.unpack_from(view, at)
        stop = at + 4 + 4 * words
        if first >> 6 != 2:
            raise RemoteProtocolError(f"RTCP version is {first >> 6}, not 2", offset=at)
        if not 192 <= packet_type <= 223:
            raise RemoteProtocolError(f"{packet_type} is no RTCP packet type", offset=at + 1)
        if stop > len(view):
            raise RemoteProtocolError("an RTCP packet is longer than its datagram", offset=at)
        body = view[at + 4 : stop]
        if first & 0x20:
            body = _without_padding(body, at, last=stop == len(view))
        packets.append(RtcpPacket(packet_type, first & 0x1F, body))
        at = stop
    return tuple(packets)


def _without_padding(body: memoryview, at: int, *, last: bool) -> memoryview:
    # RFC 3550 6.4.1: "In a compound RTCP packet, padding is only required on one individual packet [...] padding MUST
    # only be added to the last individual packet".
    if not last:
        raise RemoteProtocolError("an RTCP packet before the last one has padding", offset=at)
    size = body[-1] if len(body) else 0
    if size == 0 or size % 4 or size > len(body):
        raise RemoteProtocolError(f"{size} octets of padding do not fit the RTCP packet", offset=at)
    return body[: len(body) - size]
