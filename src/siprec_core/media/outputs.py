"""What a `MediaReceiver` tells the recording about its line, besides which datagrams it accepts."""

from dataclasses import dataclass
from typing import TypeAlias

from siprec_core.findings import Finding
from siprec_core.rtp.telephone_event import KeyPress
from siprec_core.types import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLocked:
    """The address that packets come from is known, for the first time or anew."""

    source: Address
    ssrc: int
    """The synchronisation source that was believed."""
    announced: bool
    """True when it is the address of the peer's description, False when it was learnt."""
    previous: Address | None = None
    """Where they came from before, None for the first source."""
    at: float
    """Arrival of the packet that decided, seconds on the driver's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SsrcAdded:
    """A synchronisation source is believed; the first one of the line too."""

    ssrc: int
    at: float
    """Arrival of its first packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodbyeReceived:
    """A source said that it leaves (RTCP BYE, RFC 3550 section 6.6), told once, when both the source and the BYE are
    known. It ends nothing: BYE can be forged, and SIP ends the session."""

    ssrc: int
    reason: str
    """Empty when none was given."""
    at: float
    """Arrival of the BYE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPressed:
    """A key was pressed (RFC 4733). It follows from accepted datagrams alone."""

    press: KeyPress
    """Its duration grows while the key is held."""
    at: float
    """Arrival of the packet that told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderReported:
    """A sender report of the line's peer (RFC 3550 section 6.4.1)."""

    ssrc: int
    ntp_timestamp: int
    """64 bits, 0 from a sender without a wall clock."""
    rtp_timestamp: int
    at: float
    """Its arrival."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFinding:
    """A finding, raised once per line and subject."""

    finding: Finding
    at: float
    """Arrival of the datagram that raised it."""
    replayable: bool
    """True when it follows from accepted datagrams alone: whoever feeds them to a receiver again gets it again. False
    when a rejected datagram raised it, so that only this output tells of it."""


MediaOutput: TypeAlias = SourceLocked | SsrcAdded | GoodbyeReceived | KeyPressed | SenderReported | SourceFinding
