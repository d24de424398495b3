"""How a whole server is doing, as numbers: what an operator's monitoring asks for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from siprec_core.recording.ports import PortCounts
from siprec_core.recording.session import RecordingSession, SessionState
from siprec_core.recording.session_info import SessionStatus, status_of
from siprec_core.recording.totals import MediaCounts
from siprec_core.types import SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """A server as it stands; nothing of it depends on the number of packets."""

    unavailable: str | None
    """Why a new call would be refused, whoever made it; None when it would be taken. `draining`, `full`, `no-ports`,
    `storage-full` (the reserve of the disk is reached) or `storage-failed` (a file could not be written)."""
    sessions: Mapping[SessionStatus, int]
    """Sessions by status, each status named."""
    session_ids: tuple[SessionId, ...]
    """Sessions that are not over, the oldest first."""
    streams: int
    """Media lines that are open."""
    waiting_calls: int
    """Calls that wait for room."""
    ports: PortCounts
    past_media: MediaCounts
    """Packets of the sessions that are over."""


def count_sessions(sessions: Iterable[RecordingSession]) -> dict[SessionStatus, int]:
    """Count sessions by status, each status named."""
    counts = dict.fromkeys(SessionStatus, 0)
    for session in sessions:
        counts[status_of(session)] += 1
    return counts


def count_streams(sessions: Iterable[RecordingSession]) -> int:
    """Count the media lines that are open."""
    running = (session for session in sessions if session.state is SessionState.ACTIVE)
    return sum(line.active for session in running for line in session.account.lines.values())
