"""RTCP beyond RFC 3550: extended reports (RFC 3611), feedback (RFC 4585, RFC 5104), and packets of applications."""

from dataclasses import dataclass
from typing import Self

from siprec_core.errors import RemoteProtocolError
from siprec_core.rtp.rtcp import (
    APPLICATION,
    EXTENDED_REPORT,
    PAYLOAD_FEEDBACK,
    TRANSPORT_FEEDBACK,
    RtcpPacket,
    write_packet,
)


@dataclass(frozen=True, slots=True)
class ExtendedBlock:
    """One block of an extended report, as it came."""

    block_type: int
    """1 to 3 run lengths, 4 receiver reference time, 5 DLRR, 6 statistics, 7 VoIP metrics; others are kept."""
    specific: int
    """The octet whose meaning depends on the type."""
    content: bytes
    """A multiple of four octets."""

    @property
    def reference_time(self) -> int | None:
        """The 64-bit NTP timestamp of a receiver reference time block (RFC 3611 section 4.4), else None."""
        if self.block_type != 4 or len(self.content) != 8:
            return None
        return int.from_bytes(self.content, "big")


@dataclass(frozen=True, slots=True)
class ExtendedReport:
    """XR: blocks of any type (RFC 3611 section 2)."""

    ssrc: int
    blocks: tuple[ExtendedBlock, ...]
    reserved: int = 0
    """The five bits beside the version."""

    @classmethod
    def parse(cls, packet: RtcpPacket) -> Self:
        """Read an XR packet; `RemoteProtocolError` when it is none or a block does not fit."""
        body = packet.body
        if packet.packet_type != EXTENDED_REPORT or len(body) < 4:
            raise RemoteProtocolError("an extended report does not fit its packet")
        at, blocks = 4, []
        while at < len(body):
            stop = at + 4 + 4 * int.from_bytes(body[at + 2 : at + 4], "big")
            if stop > len(body):
                raise RemoteProtocolError("a block of an extended report is cut off", offset=at)
            blocks.append(ExtendedBlock(body[at], body[at + 1], bytes(body[at + 4 : stop])))
            at = stop
        return cls(int.from_bytes(body[:4], "big"), tuple(blocks), packet.count)

    def to_bytes(self) -> bytes:
        """Write the packet."""
        blocks = b"".join(
            bytes((block.block_type, block.specific)) + (len(block.content) // 4).to_bytes(2, "big") + block.content
            for block in self.blocks
        )
        return write_packet(EXTENDED_REPORT, self.reserved, self.ssrc.to_bytes(4, "big") + blocks)


@dataclass(frozen=True, slots=True)
class Feedback:
    """Feedback about transport (205) or payload (206): the common part (RFC 4585 section 6.1)."""

    packet_type: int
    format: int
    """FMT: of 206, 1 is PLI and 4 is FIR (RFC 5104 section 4.3.1)."""
    sender_ssrc: int
    media_ssrc: int
    information: bytes = b""
    """Feedback control information, a multiple of four octets."""

    @classmethod
    def parse(cls, packet: RtcpPacket) -> Self:
        """Read a feedback packet; `RemoteProtocolError` when it is none or too short."""
        body = packet.body
        if packet.packet_type not in (TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK) or len(body) < 8:
            raise RemoteProtocolError("feedback does not fit its packet")
        sender, media = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
        return cls(packet.packet_type, packet.count, sender, media, bytes(body[8:]))

    def to_bytes(self) -> bytes:
        """Write the packet."""
        ssrcs = self.sender_ssrc.to_bytes(4, "big") + self.media_ssrc.to_bytes(4, "big")
        return write_packet(self.packet_type, self.format, ssrcs + self.information)


@dataclass(frozen=True, slots=True)
class ApplicationPacket:
    """APP (RFC 3550 section 6.7)."""

    subtype: int
    ssrc: int
    name: bytes
    """Four octets."""
    data: bytes = b""
    """A multiple of four octets."""

    @classmethod
    def parse(cls, packet: RtcpPacket) -> Self:
        """Read an APP packet; `RemoteProtocolError` when it is none or too short."""
        body = packet.body
        if packet.packet_type != APPLICATION or len(body) < 8:
            raise RemoteProtocolError("an APP packet is cut off")
        return cls(packet.count, int.from_bytes(body[:4], "big"), bytes(body[4:8]), bytes(body[8:]))

    def to_bytes(self) -> bytes:
        """Write the packet."""
        return write_packet(APPLICATION, self.subtype, self.ssrc.to_bytes(4, "big") + self.name + self.data)
