"""Which protocol a datagram on a media port belongs to (RFC 7983 section 7 and RFC 5761 section 4)."""

from enum import Enum


class DatagramKind(Enum):
    """The protocols that share a media port."""

    EMPTY = "empty"
    """No octets: a keep-alive (RFC 6263 section 4.1)."""
    STUN = "stun"
    ZRTP = "zrtp"
    DTLS = "dtls"
    TURN = "turn"
    """TURN channel data."""
    RTP = "rtp"
    RTCP = "rtcp"
    UNKNOWN = "unknown"


def _kind_of_first_octet(octet: int) -> DatagramKind:
    for first, last, kind in (
        (0, 3, DatagramKind.STUN),
        (16, 19, DatagramKind.ZRTP),
        (20, 63, DatagramKind.DTLS),
        (64, 79, DatagramKind.TURN),
        (128, 191, DatagramKind.RTP),
    ):
        if first <= octet <= last:
            return kind
    return DatagramKind.UNKNOWN


_BY_FIRST_OCTET = tuple(_kind_of_first_octet(octet) for octet in range(256))


def classify(data: bytes | memoryview) -> DatagramKind:
    """Tell the protocol by the first octet, and RTP from RTCP by the second one."""
    if not data:
        return DatagramKind.EMPTY
    kind = _BY_FIRST_OCTET[data[0]]
    # RFC 5761 4: with the RTP payload types 64 to 95 unused, RTCP is what has a packet type from 192 to 223.
    if kind is DatagramKind.RTP and len(data) > 1 and 192 <= data[1] <= 223:
        return DatagramKind.RTCP
    return kind
