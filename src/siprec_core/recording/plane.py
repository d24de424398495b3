"""What a recording session and a media plane in another process say to each other: values only.

The session says which sockets belong to which journal, what was agreed for them, and when not to listen; the plane says
what came. Both speak in order, so what stands in the journal before a change was received before it.
"""

from dataclasses import dataclass
from typing import TypeAlias

from siprec_core.clock import TimeBase
from siprec_core.limits import Limits
from siprec_core.media.encryption import CryptoCounts, ReceivingKey
from siprec_core.media.outputs import MediaOutput
from siprec_core.media.spec import MediaSpec
from siprec_core.media.statistics import LineStatistics
from siprec_core.types import Address, MediaId, SinkId


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLine:
    """Write what comes to the sockets of `media` into the journal `sink`, as the packets of a line."""

    sink: SinkId
    line: int
    """Index of the line; one that is known goes on with other sockets."""
    media: MediaId
    interface: int
    """The line's interface in the journal, which describes it already."""
    rtp: Address
    rtcp: Address | None
    where: str
    """The line's name in findings."""
    time_base: TimeBase
    """That of the journal."""
    mask_digits: bool
    """Digits become `*` before they are written or told."""
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateLine:
    """Take what offer and answer made of a line. Before the first one nothing of it is taken."""

    sink: SinkId
    line: int
    spec: MediaSpec
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureLine:
    """Take the keys that the peer encrypts a line with, none for a line without encryption."""

    sink: SinkId
    line: int
    keys: tuple[ReceivingKey, ...]
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseLine:
    """Capture nothing of a line that comes at `now` or later, or go on. The same twice is harmless."""

    sink: SinkId
    line: int
    paused: bool
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LineReport:
    """What came on a line since the last report; answer: `media_reported`.

    One is due once a second while packets come, at once for what the session has to tell, and after the last packet.
    """

    sink: SinkId
    line: int
    outputs: tuple[MediaOutput, ...]
    statistics: LineStatistics
    report_address: Address | None
    """Where RTCP goes."""
    unopened: CryptoCounts
    """Datagrams that were not authentic."""
    packets_unopened: int
    """Those of them that came to the RTP port."""
    journal_size: int
    """Octets that the line's packets take in the journal so far."""


PlaneCommand: TypeAlias = RecordLine | UpdateLine | SecureLine | PauseLine
