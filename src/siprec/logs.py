"""Text logs on standard error: one line an event, with the recording and its call."""

import logging
import sys
import time
from typing import Final

from siprec_core.findings import Severity
from siprec_core.recording.events import (
    Diagnostic,
    Event,
    FindingRaised,
    MetadataUpdated,
    ServerDrained,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
    SourceFound,
    StreamsChanged,
)
from siprec_core.types import SessionId
from siprec_sync.events import printable

LEVELS: Final = ("debug", "info", "warning", "error")
_LOGGER = logging.getLogger("siprec.calls")
_FRONTEND_LOGGER: Final = "siprec"
"""Where the frontends write events; `EventLog` tells them with their calls."""


def set_up_logs(level: str) -> None:
    """Write logs from a level (`debug`, `info`, `warning`, `error`) on to standard error."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(_LineFormatter("%(asctime)s %(levelname)-7s %(message)s"))
    output.addFilter(lambda record: record.name != _FRONTEND_LOGGER)
    root = logging.getLogger()
    root.handlers = [output]
    root.setLevel(level.upper())


class _LineFormatter(logging.Formatter):
    """Instants in UTC as RFC 3339 writes them, and every record on one line."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{seconds}.{int(record.msecs):03}Z"

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        # A fault of this program keeps its traceback; whatever else could break a line is a peer's text.
        return text if record.exc_info else printable(text, longest=4_000)


class EventLog:
    """Writes the events of a server; it remembers the Call-ID of each recording."""

    def __init__(self) -> None:
        self._call_ids: dict[SessionId, str] = {}

    def write(self, event: Event) -> None:
        """Write one event."""
        if isinstance(event, SessionRequested):
            self._call_ids[event.session] = event.call_id
        level, text = _line(event)
        if _LOGGER.isEnabledFor(level):
            _LOGGER.log(level, "%s%s", self._prefix(event), text)
        if isinstance(event, SessionEnded):
            self._call_ids.pop(event.session, None)
        elif isinstance(event, SessionRefused):
            refused = [session for session, call_id in self._call_ids.items() if call_id == event.call_id]
            for session in refused:
                del self._call_ids[session]

    def _prefix(self, event: Event) -> str:
        if isinstance(event, SessionRefused):
            return f"call={event.call_id} "
        session = None if isinstance(event, ServerDrained) else event.session
        if session is None:
            return ""
        return f"recording={session} call={self._call_ids.get(session, '-')} "


def _line(event: Event) -> tuple[int, str]:
    """Give level and text of an event."""
    match event:
        case SessionRequested():
            agent = f", {event.user_agent}" if event.user_agent else ""
            user = f", user {event.authenticated_user}" if event.authenticated_user is not None else ""
            return logging.INFO, f"requested by {event.peer} over {event.transport.value}{user}{agent}"
        case SessionEstablished():
            return logging.INFO, f"established, streams {', '.join(event.labels)}"
        case StreamsChanged():
            return logging.INFO, f"streams are now {', '.join(event.labels)}"
        case MetadataUpdated():
            return logging.INFO, f"metadata received, {'complete' if event.complete else 'partial'}"
        case SourceFound():
            return logging.INFO, f"stream {event.label} comes from {event.source}, SSRC {event.ssrc:#010x}"
        case SessionEnded():
            level = logging.INFO if event.status == "completed" else logging.ERROR
            return level, f"ended ({event.reason}), {event.status}, {event.directory}"
        case SessionRefused():
            return logging.WARNING, f"refused {event.peer}: {event.status} {event.reason}"
        case FindingRaised(finding=found):
            level = logging.DEBUG if found.severity is Severity.INFO else logging.INFO
            return level, f"finding {found.code} at {found.where}: {found.message}"
        case Diagnostic():
            level = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING}.get(event.severity, logging.INFO)
            return level, f"{event.code}: {event.detail}"
        case ServerDrained():
            return logging.INFO, "all sessions have ended"
