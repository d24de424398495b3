"""Whole RTCP datagrams: each packet as the class of its type, and the rules of compound packets (RFC 3550 6.1)."""

from collections.abc import Sequence
from typing import TypeAlias

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.rtp.extended import ApplicationPacket, ExtendedReport, Feedback
from siprec_core.rtp.reports import ReceiverReport, SenderReport
from siprec_core.rtp.rtcp import (
    APPLICATION,
    EXTENDED_REPORT,
    GOODBYE,
    PAYLOAD_FEEDBACK,
    RECEIVER_REPORT,
    SENDER_REPORT,
    SOURCE_DESCRIPTION,
    TRANSPORT_FEEDBACK,
    Goodbye,
    RtcpPacket,
)
from siprec_core.rtp.sdes import SourceDescription

TypedPacket: TypeAlias = (
    SenderReport | ReceiverReport | SourceDescription | Goodbye | ApplicationPacket | ExtendedReport | Feedback
)

_TYPES: dict[int, type[TypedPacket]] = {
    SENDER_REPORT: SenderReport,
    RECEIVER_REPORT: ReceiverReport,
    SOURCE_DESCRIPTION: SourceDescription,
    GOODBYE: Goodbye,
    APPLICATION: ApplicationPacket,
    TRANSPORT_FEEDBACK: Feedback,
    PAYLOAD_FEEDBACK: Feedback,
    EXTENDED_REPORT: ExtendedReport,
}


def read_packet(packet: RtcpPacket) -> TypedPacket | None:
    """Give a packet as the class of its type; None for a type that is not known here or a body that does not fit.

    RFC 3550 section 6.1: a receiver "MAY ignore" packets with types unknown to it.
    """
    kind = _TYPES.get(packet.packet_type)
    if kind is None:
        return None
    try:
        return kind.parse(packet)
    except RemoteProtocolError:
        return None


def write_compound(packets: Sequence[TypedPacket]) -> bytes:
    """Write one datagram; `LocalProtocolError` when it breaks the rules of compound packets."""
    # RFC 3550 6.1: "The first RTCP packet in the compound packet MUST always be a report packet", and an SDES packet
    # with a CNAME "MUST be included in each compound RTCP packet".
    if not packets or not isinstance(packets[0], (SenderReport, ReceiverReport)):
        raise LocalProtocolError("a compound packet begins with a report")
    chunks = [chunk for each in packets if isinstance(each, SourceDescription) for chunk in each.chunks]
    if not any(chunk.cname is not None and chunk.ssrc == packets[0].ssrc for chunk in chunks):
        raise LocalProtocolError("a compound packet names the CNAME of its sender")
    return b"".join(packet.to_bytes() for packet in packets)
