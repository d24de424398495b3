"""Sender and receiver reports of RTCP (RFC 3550 sections 6.4.1 and 6.4.2)."""

from dataclasses import dataclass
from struct import Struct
from typing import Self

from siprec_core.errors import RemoteProtocolError
from siprec_core.rtp.rtcp import RECEIVER_REPORT, SENDER_REPORT, RtcpPacket, write_packet

BLOCKS_PER_REPORT = 31
"""Report blocks of one packet: what five bits count (RFC 3550 section 6.4.1)."""
_BLOCK = Struct("!IB3sIIII")
_SENDER = Struct("!IQIII")
_LOST_MODULUS = 1 << 24


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says about one source."""

    ssrc: int
    """The source that is reported on."""
    fraction_lost: int
    """Of 256, since the last report."""
    cumulative_lost: int
    """24 bits with sign; duplicates can make it negative."""
    extended_highest: int
    """Highest sequence number with its cycles, 32 bits."""
    interarrival_jitter: int
    """In timestamp units."""
    last_sender_report: int = 0
    """LSR: the middle 32 bits of the NTP timestamp of the last SR; 0 before one came."""
    delay_since_last_sender_report: int = 0
    """DLSR in 1/65536 s."""

    def round_trip(self, ntp_timestamp: int) -> float | None:
        """Give the seconds to the reporter and back, for a report that comes at an instant of our wall clock; None when
        it has heard no sender report, or tells what cannot be."""
        if not self.last_sender_report:
            return None
        # RFC 3550 6.4.1: A - LSR - DLSR, all of them the middle 32 bits of NTP timestamps.
        arrival = ntp_timestamp >> 16
        elapsed = (arrival - self.last_sender_report - self.delay_since_last_sender_report) & 0xFFFF_FFFF
        # The clocks of LSR and DLSR tick at 65,536 Hz: a way of no time at all may come out below zero.
        return elapsed / 65_536 if elapsed < 1 << 31 else 0.0 if elapsed > (1 << 32) - 64 else None

    def to_bytes(self) -> bytes:
        """Write the 24 octets; the count of lost packets is clamped to its 24 bits (RFC 3550 appendix A.3)."""
        lost = max(-(_LOST_MODULUS >> 1), min(self.cumulative_lost, (_LOST_MODULUS >> 1) - 1)) % _LOST_MODULUS
        return _BLOCK.pack(
            self.ssrc,
            self.fraction_lost,
            lost.to_bytes(3, "big"),
            self.extended_highest & 0xFFFF_FFFF,
            self.interarrival_jitter & 0xFFFF_FFFF,
            self.last_sender_report,
            min(self.delay_since_last_sender_report, 0xFFFF_FFFF),
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR: what a sender has sent and, in blocks, received."""

    ssrc: int
    ntp_timestamp: int
    """64 bits: seconds since 1900 and their fraction; 0 from senders without a wall clock."""
    rtp_timestamp: int
    """The same instant on the clock of the RTP timestamps."""
    packet_count: int
    octet_count: int
    """Octets of payload."""
    blocks: tuple[ReportBlock, ...] = ()
    extension: bytes = b""
    """What a profile puts behind the blocks, a multiple of four octets."""

    @classmethod
    def parse(cls, packet: RtcpPacket) -> Self:
        """Read an SR packet; `RemoteProtocolError` when it is none or its blocks do not fit."""
        if packet.packet_type != SENDER_REPORT or len(packet.body) < _SENDER.size:
            raise RemoteProtocolError("a sender report does not fit its packet")
        blocks, extension = _blocks(packet, _SENDER.size)
        ssrc, ntp_timestamp, rtp_timestamp, packets, octets = _SENDER.unpack_from(packet.body)
        return cls(ssrc, ntp_timestamp, rtp_timestamp, packets, octets, blocks, extension)

    def to_bytes(self) -> bytes:
        """Write the packet."""
        head = _SENDER.pack(
            self.ssrc,
            self.ntp_timestamp,
            self.rtp_timestamp,
            self.packet_count & 0xFFFF_FFFF,
            self.octet_count & 0xFFFF_FFFF,
        )
        return write_packet(SENDER_REPORT, len(self.blocks), head + _written(self.blocks) + self.extension)


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR: what somebody has received who sends nothing."""

    ssrc: int
    """Who reports."""
    blocks: tuple[ReportBlock, ...] = ()
    extension: bytes = b""
    """What a profile puts behind the blocks, a multiple of four octets."""

    @classmethod
    def parse(cls, packet: RtcpPacket) -> Self:
        """Read an RR packet; `RemoteProtocolError` when it is none or its blocks do not fit."""
        if packet.packet_type != RECEIVER_REPORT or len(packet.body) < 4:
            raise RemoteProtocolError("a receiver report does not fit its packet")
        blocks, extension = _blocks(packet, 4)
        return cls(int.from_bytes(packet.body[:4], "big"), blocks, extension)

    def to_bytes(self) -> bytes:
        """Write the packet."""
        body = self.ssrc.to_bytes(4, "big") + _written(self.blocks) + self.extension
        return write_packet(RECEIVER_REPORT, len(self.blocks), body)


def _blocks(packet: RtcpPacket, at: int) -> tuple[tuple[ReportBlock, ...], bytes]:
    stop = at + _BLOCK.size * packet.count
    if stop > len(packet.body):
        raise RemoteProtocolError(f"{packet.count} report blocks do not fit their packet")
    blocks = []
    for start in range(at, stop, _BLOCK.size):
        ssrc, fraction, lost, *rest = _BLOCK.unpack_from(packet.body, start)
        blocks.append(ReportBlock(ssrc, fraction, int.from_bytes(lost, "big", signed=True), *rest))
    return tuple(blocks), bytes(packet.body[stop:])


def _written(blocks: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(block.to_bytes() for block in blocks)
