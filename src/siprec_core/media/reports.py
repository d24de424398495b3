"""RTCP of our own for one media line (RFC 3550 sections 6.2 to 6.4): reports with CNAME at their intervals, and BYE.

A recorder reports what it receives, a recording client what it sends. Nothing is ever sent to an address that could hit
others, and the caller aims a recorder's reports only at who has been heard on the line: nobody can be made a target by
an offer that names his address.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from siprec_core.entropy import Ids
from siprec_core.machine import Outbox
from siprec_core.media.commands import SendMedia
from siprec_core.media.statistics import SourceStatistics
from siprec_core.rtp.compound import TypedPacket, write_compound
from siprec_core.rtp.interval import MINIMUM_SECONDS, rtcp_interval
from siprec_core.rtp.reports import BLOCKS_PER_REPORT, ReceiverReport, ReportBlock, SenderReport
from siprec_core.rtp.rtcp import Goodbye
from siprec_core.rtp.sdes import SourceDescription
from siprec_core.types import Address, Component, MediaId

_MEMBER_SECONDS = 5 * MINIMUM_SECONDS
"""RFC 3550 6.3.5: a member not heard for five intervals has left."""
_LOWER_LAYERS_SIZE = 28
"""Octets of IPv4 and UDP headers, which the average size counts (RFC 3550 section 6.2)."""
_FIRST_SIZE = 128
"""The average size before the first packet: about that of our reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderState:
    """What a sender report tells of our own stream at one instant."""

    ntp_timestamp: int
    rtp_timestamp: int
    packet_count: int
    octet_count: int


class RtcpReporter:
    """Sends the RTCP of one line. Drain `poll_output` after each input."""

    __slots__ = (
        "_average_size",
        "_cname",
        "_component",
        "_counts",
        "_due",
        "_ids",
        "_last_counts",
        "_media",
        "_outbox",
        "_previous",
        "_previous_report",
        "_sender_reports",
        "_sources_limit",
        "_to",
        "reports_sent",
        "ssrc",
    )

    def __init__(
        self, media: MediaId, *, cname: str, ids: Ids, sources_limit: int, ssrc: int | None = None, now: float
    ) -> None:
        """Begin to count time; `ssrc` is that of our stream, None for who sends none.

        `sources_limit` bounds the senders whose reports are remembered (`Limits.ssrcs_per_line`).
        """
        self.ssrc = ids.ssrc() if ssrc is None else ssrc
        self.reports_sent = 0
        """Compound packets sent."""
        self._media = media
        self._cname = cname
        self._ids = ids
        self._sources_limit = sources_limit
        self._to: Address | None = None
        self._component = Component.RTCP
        self._average_size = float(_FIRST_SIZE)
        self._counts: dict[int, tuple[int, int]] = {}  # expected and received at the last report
        self._last_counts = (0, 0)  # our packets at the last report and at the one before
        self._sender_reports: dict[int, tuple[int, float]] = {}
        self._previous = self._previous_report = now
        self._outbox: Outbox[SendMedia] = Outbox()
        self._due = now + self._interval(members=2, senders=1, we_sent=False)

    def aim(self, to: Address | None, *, mux: bool, local_host: str | None) -> None:
        """Send to `to` from now on, from the port that we announced for RTCP; None sends nothing.

        `local_host` is our address on the line, None where the peer is known to be the one that we called.
        """
        # RFC 7866 8.1.8: RTCP leaves from the address and port advertised for receiving it (symmetric RTCP).
        self._component = Component.RTP if mux else Component.RTCP
        self._to = to if to is not None and reportable(to, local_host=local_host) else None

    def sender_report(self, ssrc: int, ntp_timestamp: int, *, arrival: float) -> None:
        """Remember the last report of a sender, for LSR and DLSR."""
        self._sender_reports.pop(ssrc, None)
        if len(self._sender_reports) >= self._sources_limit:
            del self._sender_reports[next(iter(self._sender_reports))]
        self._sender_reports[ssrc] = (ntp_timestamp >> 16 & 0xFFFF_FFFF, arrival)

    def report(self, sources: Iterable[SourceStatistics], *, sent: SenderState | None = None, now: float) -> None:
        """Send a report if one is due. `sources` is what we received, `sent` what we sent."""
        if now < self._due:
            return
        known = tuple(sources)
        heard = sum(source.last_arrival > now - _MEMBER_SECONDS for source in known)
        we_sent = sent is not None and sent.packet_count > self._last_counts[1]
        interval = self._interval(members=1 + max(1, heard), senders=heard + we_sent, we_sent=we_sent)
        if self._previous + interval > now:
            # RFC 3550 6.3.3 and 6.3.6: timer reconsideration, the interval is drawn again when it has passed.
            self._due = self._previous + interval
            return
        self._previous = now
        self._due = now + interval
        if self._to is None:
            return
        if sent is None and any(source.ssrc == self.ssrc for source in known):
            # RFC 3550 8.2: with another source under our identifier, "it MUST send an RTCP BYE packet for the old
            # identifier and choose another random one".
            self.goodbye()
            self.ssrc = self._ids.ssrc()
        self._send_report(known, sent if we_sent else None, now)
        if sent is not None:
            self._last_counts = (sent.packet_count, self._last_counts[0])

    def goodbye(self) -> None:
        """Say that we leave, if anybody has heard of us (RFC 3550 section 6.3.7)."""
        if self.reports_sent:
            self._send(ReceiverReport(self.ssrc), SourceDescription.of_cname(self.ssrc, self._cname), _leave(self.ssrc))

    def poll_output(self) -> SendMedia | None:
        """Give the oldest packet not yet taken, None when there is none."""
        return self._outbox.poll()

    def next_timeout(self) -> float:
        """Give the instant at which `report` is due."""
        return self._due

    def _interval(self, *, members: int, senders: int, we_sent: bool) -> float:
        return rtcp_interval(
            members=members,
            senders=senders,
            we_sent=we_sent,
            average_size=self._average_size,
            initial=not self.reports_sent,
            fraction=self._ids.fraction(),
        )

    def _send_report(self, sources: tuple[SourceStatistics, ...], sent: SenderState | None, now: float) -> None:
        # RFC 3550 6.4: a block for each source "from which RTP data packets have been received since the last report".
        blocks = [self._block(source, now) for source in sources if source.last_arrival > self._previous_report]
        self._counts = {source.ssrc: _counts(source) for source in sources}
        self._previous_report = now
        first, rest = tuple(blocks[:BLOCKS_PER_REPORT]), blocks[BLOCKS_PER_REPORT:]
        packets: list[TypedPacket] = [ReceiverReport(self.ssrc, first)]
        if sent is not None:
            counts = (sent.packet_count, sent.octet_count)
            packets = [SenderReport(self.ssrc, sent.ntp_timestamp, sent.rtp_timestamp, *counts, first)]
        for at in range(0, len(rest), BLOCKS_PER_REPORT):
            packets.append(ReceiverReport(self.ssrc, tuple(rest[at : at + BLOCKS_PER_REPORT])))
        self._send(*packets, SourceDescription.of_cname(self.ssrc, self._cname))

    def _block(self, source: SourceStatistics, now: float) -> ReportBlock:
        expected, received = _counts(source)
        earlier_expected, earlier_received = self._counts.get(source.ssrc, (0, 0))
        of_interval = expected - earlier_expected
        lost = of_interval - (received - earlier_received)
        last, arrival = self._sender_reports.get(source.ssrc, (0, now))
        return ReportBlock(
            ssrc=source.ssrc,
            # RFC 3550 A.3: zero when duplicates or late packets make the loss of the interval negative.
            fraction_lost=min(255, (lost << 8) // of_interval) if of_interval > 0 and lost > 0 else 0,
            cumulative_lost=source.packets_lost,
            extended_highest=source.extended_highest,
            interarrival_jitter=round(source.jitter * source.clock_rate),
            last_sender_report=last,
            delay_since_last_sender_report=max(0, round((now - arrival) * 65_536)),
        )

    def _send(self, *packets: TypedPacket) -> None:
        if self._to is None:
            return
        data = write_compound(packets)
        self._average_size += (len(data) + _LOWER_LAYERS_SIZE - self._average_size) / 16
        self.reports_sent += 1
        self._outbox.put(SendMedia(media=self._media, component=self._component, to=self._to, data=data))


def reportable(address: Address, *, local_host: str | None) -> bool:
    """Tell whether reports may go to an address: one host's, and a loopback one only from a loopback one."""
    try:
        host, local = ip_address(address.host), ip_address(local_host or address.host)
    except ValueError:
        return False
    if not address.port or host.version != local.version:
        return False
    if host.is_multicast or host.is_unspecified or host.is_reserved or str(host) == "255.255.255.255":
        return False
    return not host.is_loopback or local.is_loopback or local.is_unspecified


def _counts(source: SourceStatistics) -> tuple[int, int]:
    """Give the packets expected and received so far."""
    return source.packets_received + source.packets_lost, source.packets_received


def _leave(ssrc: int) -> Goodbye:
    return Goodbye((ssrc,), "")
