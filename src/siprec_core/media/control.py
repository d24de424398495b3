"""What the RTCP of a line's peer tells: sender reports, and sources that leave."""

from collections.abc import Iterable, Iterator, Mapping

from siprec_core.errors import RemoteProtocolError
from siprec_core.media.outputs import GoodbyeReceived, SenderReported
from siprec_core.media.source import TrackedSource
from siprec_core.rtp.reports import SenderReport
from siprec_core.rtp.rtcp import GOODBYE, SENDER_REPORT, Goodbye, RtcpPacket


def control_outputs(
    packets: Iterable[RtcpPacket], sources: Mapping[int, TrackedSource], arrival: float
) -> Iterator[GoodbyeReceived | SenderReported | RemoteProtocolError]:
    """Give what the packets of one datagram tell, and in its place the error of a packet that does not fit.

    Sources that leave are marked, once each; they stay: BYE can be forged, and stragglers come (RFC 3550 6.6). Other
    types, known or not, tell nothing here (RFC 3550 section 6.1).
    """
    for packet in packets:
        try:
            if packet.packet_type == GOODBYE:
                goodbye = Goodbye.parse(packet)
                leaving = _mark(goodbye.ssrcs, sources, arrival)
                if leaving:
                    yield GoodbyeReceived(ssrcs=leaving, reason=goodbye.reason, at=arrival)
            elif packet.packet_type == SENDER_REPORT:
                report = SenderReport.parse(packet)
                yield SenderReported(
                    ssrc=report.ssrc, ntp_timestamp=report.ntp_timestamp, rtp_timestamp=report.rtp_timestamp, at=arrival
                )
        except RemoteProtocolError as error:
            yield error


def _mark(ssrcs: Iterable[int], sources: Mapping[int, TrackedSource], arrival: float) -> tuple[int, ...]:
    leaving = []
    for ssrc in ssrcs:
        tracked = sources.get(ssrc)
        if tracked is not None and tracked.goodbye_at is None:
            tracked.goodbye_at = arrival
            leaving.append(ssrc)
    return tuple(leaving)
