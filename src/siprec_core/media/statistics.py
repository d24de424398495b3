"""What a media line received, as values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from siprec_core.rtp.reports import ReportBlock
from siprec_core.types import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatistics:
    """The packets of one synchronisation source."""

    ssrc: int
    packets_received: int
    """Valid packets, each once."""
    packets_lost: int
    """Missing by the sequence numbers (RFC 3550 appendix A.3)."""
    packets_duplicate: int
    packets_reordered: int
    """Came after a later one."""
    restarts: int
    """Jumps of the sequence number after which counting began anew."""
    extended_highest: int
    """Highest sequence number with its cycles."""
    payload_size: int
    """Octets of payload without headers and padding, duplicates left out."""
    jitter: float
    """Interarrival jitter in seconds (RFC 3550 appendix A.8)."""
    first_arrival: float
    """Seconds on the driver's clock."""
    last_arrival: float
    goodbye_at: float | None = None
    """Arrival of its RTCP BYE."""
    clock_rate: int = 0
    """Hz of its timestamps; 0 as long as no packet told."""


@dataclass(frozen=True, slots=True)
class ReceivedBlock:
    """A report block of the peer, about something that we sent."""

    block: ReportBlock
    at: float
    """Arrival of its report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlStatistics:
    """What the RTCP of the line's peer told (RFC 3550 section 6)."""

    sender_reports: int = 0
    cnames: Mapping[int, str] = field(default_factory=dict)
    """Canonical names by synchronisation source, at most `Limits.ssrcs_reported`."""
    blocks: tuple[ReceivedBlock, ...] = ()
    """The latest one about each source, at most `Limits.ssrcs_reported`."""
    goodbye_reason: str | None = None
    """Reason of the latest BYE, empty when it gave none; None before one came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStatistics:
    """The packets of one media line, all sources together."""

    packets_received: int
    packets_lost: int
    packets_duplicate: int
    packets_reordered: int
    packets_rejected: int
    """Datagrams to the RTP port that were not accepted, those still held under probation included."""
    rtcp_received: int
    """RTCP datagrams accepted on either port."""
    rtcp_rejected: int
    """Datagrams to the RTCP port that were not accepted."""
    payload_size: int
    jitter: float
    """Seconds; that of the source with the most packets."""
    first_arrival: float | None
    """Seconds on the driver's clock; None before the first packet."""
    last_arrival: float | None
    source: Address | None
    """Where the packets come from."""
    source_changes: int = 0
    """Times that they came from elsewhere than before."""
    ssrcs: tuple[int, ...]
    """In order of appearance, at most `Limits.ssrcs_reported`."""
    csrcs: tuple[int, ...]
    """Contributing sources seen, in order of appearance, as bounded."""
    payload_types: tuple[int, ...]
    """Payload types received, in order of appearance."""
    sources: tuple[SourceStatistics, ...]
    """One entry per source, in order of appearance."""
    control: ControlStatistics = field(default_factory=ControlStatistics)
    """What RTCP told."""


def merged(first: SourceStatistics, second: SourceStatistics) -> SourceStatistics:
    """Sum two entries under the name of the first: what keeps a long list bounded."""
    return SourceStatistics(
        ssrc=first.ssrc,
        packets_received=first.packets_received + second.packets_received,
        packets_lost=first.packets_lost + second.packets_lost,
        packets_duplicate=first.packets_duplicate + second.packets_duplicate,
        packets_reordered=first.packets_reordered + second.packets_reordered,
        restarts=first.restarts + second.restarts,
        extended_highest=first.extended_highest,
        payload_size=first.payload_size + second.payload_size,
        jitter=first.jitter,
        first_arrival=min(first.first_arrival, second.first_arrival),
        last_arrival=max(first.last_arrival, second.last_arrival),
        goodbye_at=first.goodbye_at,
        clock_rate=first.clock_rate,
    )


def total(entries: Iterable[SourceStatistics]) -> SourceStatistics | None:
    """Sum all entries: jitter and name are those of the one with the most packets; None when there are none."""
    ranked = sorted(entries, key=lambda entry: -entry.packets_received)
    if not ranked:
        return None
    sum_ = ranked[0]
    for entry in ranked[1:]:
        sum_ = merged(sum_, entry)
    return sum_
