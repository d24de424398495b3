"""What the RTCP of one line came to: the `rtcp` of a stream in `recording.json`."""

from dataclasses import dataclass
from typing import Self

from siprec_core.clock import TimeBase, ntp_of
from siprec_core.media.statistics import LineStatistics


@dataclass(frozen=True, slots=True)
class SentReports:
    """Our own reports on one line."""

    count: int
    """Compound packets sent, BYE included."""
    ssrc: int
    """The source that they came from, which sends no RTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlReport:
    """The reports of both sides on one media line (RFC 3550 section 6)."""

    reports_sent: int | None = None
    """Ours; None as long as the line goes on, and when the journal does not tell."""
    reports_received: int = 0
    """RTCP datagrams accepted."""
    sender_reports: int = 0
    """SR among them."""
    cname: str | None = None
    """Canonical name of the first source that gave one."""
    fraction_lost: float | None = None
    """What the peer said last of packets of ours, 0 to 1; None when it said nothing."""
    jitter: float | None = None
    """Seconds, as the peer said last of packets of ours."""
    round_trip: float | None = None
    """Seconds to the peer and back, from its last report (LSR and DLSR); None when that tells none."""
    goodbye: str | None = None
    """Reason of the latest BYE, empty when it gave none; None without a BYE."""

    @classmethod
    def of(cls, statistics: LineStatistics, sent: SentReports | None, time_base: TimeBase) -> Self:
        """Sum up a line."""
        control = statistics.control
        known = [control.cnames[ssrc] for ssrc in statistics.ssrcs if ssrc in control.cnames]
        rate = next((source.clock_rate for source in statistics.sources if source.clock_rate), 0)
        about = None if sent is None else next((each for each in control.blocks if each.block.ssrc == sent.ssrc), None)
        return cls(
            reports_sent=None if sent is None else sent.count,
            reports_received=statistics.rtcp_received,
            sender_reports=control.sender_reports,
            cname=known[0] if known else None,
            fraction_lost=None if about is None else about.block.fraction_lost / 256,
            jitter=None if about is None or not rate else about.block.interarrival_jitter / rate,
            round_trip=None if about is None else about.block.round_trip(ntp_of(time_base.unix_ns_at(about.at))),
            goodbye=control.goodbye_reason,
        )

    def as_json(self) -> dict[str, object]:
        """Give the fields of `rtcp`."""
        return {
            "reports_sent": self.reports_sent,
            "reports_received": self.reports_received,
            "sender_reports": self.sender_reports,
            "cname": self.cname,
            "fraction_lost": _rounded(self.fraction_lost),
            "jitter": _rounded(self.jitter),
            "round_trip": _rounded(self.round_trip),
            "goodbye": self.goodbye,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
