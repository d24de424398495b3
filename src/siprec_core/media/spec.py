"""What signalling tells the media plane about one media line: a value, and all that the two share."""

from dataclasses import dataclass
from typing import Literal

from siprec_core.rtp.payload import PayloadFormat
from siprec_core.types import Address, MediaId


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSpec:
    """One accepted media line as offer and answer left it."""

    media: MediaId
    formats: tuple[PayloadFormat, ...]
    """The payload types that may come."""
    remote_rtp: Address | None = None
    """Where the peer's description places its RTP; None when it has no usable address."""
    remote_rtcp: Address | None = None
    direction: Literal["recvonly", "inactive"] = "recvonly"
    """Ours, as in the answer."""
    rtcp_mux: bool = False
    """RTP and RTCP share the RTP port (RFC 5761)."""
    ptime: int | None = None
    """Milliseconds of audio in a packet, when the peer said so."""
