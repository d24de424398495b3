"""What the receiver of our streams says of them in its RTCP (RFC 3550 sections 6.4.1 and 6.4.2)."""

from collections.abc import Iterator
from dataclasses import dataclass

from siprec_core.clock import ntp_of
from siprec_core.errors import RemoteProtocolError
from siprec_core.rtp.compound import read_packet
from siprec_core.rtp.demux import DatagramKind, classify
from siprec_core.rtp.reports import ReceiverReport, ReportBlock, SenderReport
from siprec_core.rtp.rtcp import parse_compound


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """The latest report on one stream."""

    reports: int
    """Reports so far."""
    at_ns: int
    """When the latest one came, nanoseconds since 1970-01-01T00:00:00Z."""
    fraction_lost: float
    """0 to 1, since the report before."""
    packets_lost: int
    """Since the beginning; duplicates can make it negative."""
    jitter: float
    """Interarrival jitter in seconds."""
    round_trip: float | None
    """Seconds there and back without the receiver's own delay; None as long as it has not heard a sender report."""


def received(before: Reception | None, block: ReportBlock, *, clock_rate: int, at_ns: int) -> Reception:
    """Give the reception that a report block tells of a stream with a clock of `clock_rate` Hz."""
    return Reception(
        reports=1 if before is None else before.reports + 1,
        at_ns=at_ns,
        fraction_lost=block.fraction_lost / 256,
        packets_lost=block.cumulative_lost,
        jitter=block.interarrival_jitter / clock_rate,
        round_trip=block.round_trip(ntp_of(at_ns)),
    )


def blocks_of(data: bytes | memoryview) -> Iterator[ReportBlock]:
    """Give the report blocks of one datagram; none of what is no RTCP."""
    if classify(data) is not DatagramKind.RTCP:
        return
    try:
        packets = parse_compound(data)
    except RemoteProtocolError:
        return
    for packet in packets:
        typed = read_packet(packet)
        if isinstance(typed, (SenderReport, ReceiverReport)):
            yield from typed.blocks
