"""What a recording client tells its application."""

from dataclasses import dataclass
from typing import TypeAlias

from siprec_core.findings import Finding
from siprec_core.recording.call import ChangeOutcome
from siprec_core.sip.message import Response
from siprec_core.sip.transport import Hop


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingAttempted:
    """The INVITE was sent to a server: the first, or the next after one that failed (RFC 3263 section 4.3)."""

    hop: Hop
    """Where it went."""
    uri: str = ""
    """The server that was meant: `CallSpec.uri`, or one of its `alternatives`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingProceeding:
    """The server has the INVITE and has not decided: each provisional response (1xx, RFC 3261 section 13.2.2.1)."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFailed:
    """A server did not take the call, which goes on to the next one."""

    uri: str
    """The server: `CallSpec.uri`, or one of its `alternatives`."""
    status: int
    """What it said; 408 for silence, 503 when it could not be reached."""
    reason: str
    local: bool = False
    """True when no response of the server's says so."""
    retry_seconds: int | None = None
    """Its Retry-After: it is left alone so long."""


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
    """The server refused, was silent (408) or could not be reached (503, RFC 3261 section 8.1.3.1).

    Of several servers this is what the last one said. Without a `RecordingAttempted` before it no server was found.
    """

    status: int
    reason: str
    local: bool = False
    """True when no response of the server's says so: silence, no way to it, no media port of ours (500), or a 200 that
    cannot be used (502)."""
    retry_seconds: int | None = None
    """The server's Retry-After."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeConcluded:
    """The server took or refused a change, or the call ended before that."""

    change: int
    """What `pause`, `resume` or `update_metadata` gave; 0 for a snapshot that the server asked for."""
    outcome: ChangeOutcome


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


CallEvent: TypeAlias = (
    RecordingAttempted
    | RecordingProceeding
    | ServerFailed
    | RecordingAnswered
    | RecordingRefused
    | ChangeConcluded
    | AudioFinished
    | RecordingEnded
)
