"""What the RTCP of a line's peer tells: sender reports, descriptions of sources, and sources that leave.

A record depends on the accepted RTCP and the sources alone, not on which of the two came first: a BYE may come, or be
held, before the first packet of its source is believed.
"""

from collections.abc import Iterable, Iterator, Mapping

from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.media.outputs import GoodbyeReceived, SenderReported
from siprec_core.media.source import TrackedSource
from siprec_core.media.statistics import ControlStatistics, ReceivedBlock
from siprec_core.quick import maker
from siprec_core.rtp.reports import ReceiverReport, ReportBlock, SenderReport
from siprec_core.rtp.rtcp import GOODBYE, RECEIVER_REPORT, SENDER_REPORT, SOURCE_DESCRIPTION, Goodbye, RtcpPacket
from siprec_core.rtp.sdes import SourceDescription

_make_statistics = maker(ControlStatistics)


class ControlRecord:
    """The RTCP that one line accepted."""

    __slots__ = ("_blocks", "_cnames", "_goodbye_reason", "_goodbyes", "_limits", "_sender_reports")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._cnames: dict[int, str] = {}
        self._goodbyes: dict[int, tuple[float, str]] = {}
        """Sources that said they leave before they were believed, with instant and reason."""
        self._blocks: dict[int, ReceivedBlock] = {}
        self._sender_reports = 0
        self._goodbye_reason: str | None = None

    def receive(
        self, packets: Iterable[RtcpPacket], sources: Mapping[int, TrackedSource], arrival: float
    ) -> Iterator[GoodbyeReceived | SenderReported | RemoteProtocolError]:
        """Give what the packets of one datagram tell, and in its place the error of a packet that does not fit.

        Sources that leave are marked, once each; they stay: BYE can be forged, and stragglers come (RFC 3550 6.6).
        Other types, known or not, tell nothing here (RFC 3550 section 6.1).
        """
        for packet in packets:
            try:
                if packet.packet_type == GOODBYE:
                    yield from self._take_goodbye(Goodbye.parse(packet), sources, arrival)
                elif packet.packet_type == SENDER_REPORT:
                    report = SenderReport.parse(packet)
                    self._sender_reports += 1
                    self._take_blocks(report.blocks, arrival)
                    yield SenderReported(
                        ssrc=report.ssrc,
                        ntp_timestamp=report.ntp_timestamp,
                        rtp_timestamp=report.rtp_timestamp,
                        at=arrival,
                    )
                elif packet.packet_type == RECEIVER_REPORT:
                    self._take_blocks(ReceiverReport.parse(packet).blocks, arrival)
                elif packet.packet_type == SOURCE_DESCRIPTION:
                    self._take_descriptions(SourceDescription.parse(packet))
            except RemoteProtocolError as error:
                yield error

    def add_source(self, source: TrackedSource) -> GoodbyeReceived | None:
        """Take a source that is believed from now on; give the BYE that came before, if one did."""
        goodbye = self._goodbyes.pop(source.ssrc, None)
        return None if goodbye is None else _leave(source, *goodbye)

    def statistics(self) -> ControlStatistics:
        """Give what was told so far."""
        return _make_statistics(
            sender_reports=self._sender_reports,
            cnames=dict(self._cnames),
            blocks=tuple(self._blocks.values()),
            goodbye_reason=self._goodbye_reason,
        )

    def _take_goodbye(
        self, goodbye: Goodbye, sources: Mapping[int, TrackedSource], arrival: float
    ) -> Iterator[GoodbyeReceived]:
        self._goodbye_reason = goodbye.reason
        for ssrc in goodbye.ssrcs:
            tracked = sources.get(ssrc)
            if tracked is None:
                if len(self._goodbyes) < self._limits.goodbyes_remembered:
                    self._goodbyes.setdefault(ssrc, (arrival, goodbye.reason))
            elif tracked.goodbye_at is None:
                yield _leave(tracked, arrival, goodbye.reason)

    def _take_blocks(self, blocks: Iterable[ReportBlock], arrival: float) -> None:
        for block in blocks:
            if block.ssrc in self._blocks or len(self._blocks) < self._limits.ssrcs_reported:
                self._blocks[block.ssrc] = ReceivedBlock(block, arrival)

    def _take_descriptions(self, description: SourceDescription) -> None:
        for chunk in description.chunks:
            cname = chunk.cname
            if cname and (chunk.ssrc in self._cnames or len(self._cnames) < self._limits.ssrcs_reported):
                self._cnames[chunk.ssrc] = cname


def _leave(source: TrackedSource, arrival: float, reason: str) -> GoodbyeReceived:
    source.goodbye_at = arrival
    return GoodbyeReceived(ssrc=source.ssrc, reason=reason, at=arrival)
