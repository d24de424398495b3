"""What a recording client tells its application."""

from dataclasses import dataclass
from typing import TypeAlias

from siprec_core.findings import Finding
from siprec_core.sip.message import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingAnswered:
    """The server took the call; audio goes to the accepted labels."""

    response: Response | None
    """The 200 as it came; None when the server called, and answered in its ACK."""
    labels: tuple[str, ...]
    """Labels of the streams that the server takes, in order."""
    findings: tuple[Finding, ...]
    """Each rule of RFC 3264 and RFC 7866 that the answer breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRefused:
    """The server refused, was silent (408) or could not be reached (503, RFC 3261 section 8.1.3.1)."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFinished:
    """All audio of one stream was sent."""

    label: str
    packets: int
    """RTP packets sent on the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingEnded:
    """The call is over and nothing of it is left."""

    reason: str
    """`local-bye`, `bye` when the server ended it, `cancelled`, `refused`, `session-timer` when no refresh came through
    (RFC 4028), `peer-gone` when the server does not know the call any more."""


CallEvent: TypeAlias = RecordingAnswered | RecordingRefused | AudioFinished | RecordingEnded
