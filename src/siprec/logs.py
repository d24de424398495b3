"""Logs on standard error, as text or JSON: one line an event, with the recording, its call and its peer."""

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from siprec.log_writer import LogWriter
from siprec_core.findings import Severity
from siprec_core.recording.events import (
    Diagnostic,
    DigitReceived,
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
    StreamStalled,
)
from siprec_core.types import Address, SessionId
from siprec_sync.events import printable

_LOGGER = logging.getLogger("siprec.calls")
_FRONTEND_LOGGER: Final = "siprec"
"""Where the frontends write events; `EventLog` tells them with their calls."""
_CALL: Final = "siprec_call"
"""Attribute of a log record that names the call it is about."""
_SECRET: Final = re.compile(
    r"(\binline:\s*)[A-Za-z0-9+/=]+"
    r"|(\b(?:Proxy-)?Authorization\s*:\s*)[^\r\n]+"
    r"|(\b(?:response|cnonce|password)\s*=\s*)(?:\"[^\"]*\"?|[^\s,;]+)"
    r"|(\bsips?:[^\s:@;>]+:)[^\s@]+(?=@)",
    re.IGNORECASE,
)
"""SRTP keys, credentials, passwords in URIs; what stands before each is a group."""


def set_up_logs(level: str, form: str = "text", *, debug: bool = False, beside: bool = False) -> None:
    """Write logs from a level (`debug`, `info`, `warning`, `error`) on to standard error; again changes both.

    `form` is `text` or `json`. With `debug` a fault has its traceback. With `beside` a thread writes, so that a
    log that nobody reads holds up nothing.
    """
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(_JsonFormatter(debug=debug) if form == "json" else _TextFormatter(debug=debug))
    output.addFilter(lambda record: record.name != _FRONTEND_LOGGER)
    root = logging.getLogger()
    before, root.handlers = root.handlers, [LogWriter(output) if beside else output]
    for handler in before:
        if isinstance(handler, LogWriter):
            handler.close()
    root.setLevel(level.upper())


def redacted(text: str) -> str:
    """Blot out what nobody may read in a log: SRTP keys, credentials, passwords in URIs."""
    return _SECRET.sub(lambda match: f"{match[match.lastindex or 0]}***", text)


class _Formatter(logging.Formatter):
    def __init__(self, *, debug: bool) -> None:
        super().__init__()
        self._debug = debug

    @staticmethod
    def _instant(record: logging.LogRecord) -> str:
        """Give an instant in UTC as RFC 3339 writes it."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{seconds}.{int(record.msecs):03}Z"

    @staticmethod
    def _message(record: logging.LogRecord) -> str:
        """Give the message, with what was raised as a phrase; what could break a line is escaped."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text = f"{text}: {record.exc_info[0].__name__}: {record.exc_info[1]}"
        return printable(redacted(text), longest=4_000)

    @staticmethod
    def _call(record: logging.LogRecord) -> Mapping[str, str]:
        """Give what names the call that a record is about."""
        found: Mapping[str, str] = getattr(record, _CALL, {})
        return found

    def _traceback(self, record: logging.LogRecord) -> str:
        """Give the lines that show where a fault is, nothing unless they are wanted."""
        return self.formatException(record.exc_info) if self._debug and record.exc_info else ""


class _TextFormatter(_Formatter):
    """One line a record."""

    def format(self, record: logging.LogRecord) -> str:
        named = "".join(f"{name}={printable(redacted(text))} " for name, text in self._call(record).items())
        line = f"{self._instant(record)} {record.levelname:<7} {named}{self._message(record)}"
        traceback = self._traceback(record)
        return f"{line}\n{traceback}" if traceback else line


class _JsonFormatter(_Formatter):
    """One JSON object a record, on a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "at": self._instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            **{name: printable(redacted(text)) for name, text in self._call(record).items()},
            "message": self._message(record),
        }
        if traceback := self._traceback(record):
            fields["traceback"] = traceback
        return json.dumps(fields, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class _Call:
    """What names a call in a log."""

    call_id: str
    peer: Address


class EventLog:
    """Writes the events of a server; it remembers Call-ID and peer of each recording."""

    def __init__(self) -> None:
        self._calls: dict[SessionId, _Call] = {}

    def write(self, event: Event) -> None:
        """Write one event."""
        if isinstance(event, SessionRequested):
            self._calls[event.session] = _Call(event.call_id, event.peer)
        level, text = _line(event)
        if _LOGGER.isEnabledFor(level):
            _LOGGER.log(level, "%s", text, extra={_CALL: self._names(event)})
        if isinstance(event, SessionEnded):
            self._calls.pop(event.session, None)
        elif isinstance(event, SessionRefused):
            refused = [session for session, call in self._calls.items() if call.call_id == event.call_id]
            for session in refused:
                del self._calls[session]

    def _names(self, event: Event) -> dict[str, str]:
        if isinstance(event, SessionRefused):
            return {"call": event.call_id, "peer": str(event.peer)}
        session = None if isinstance(event, ServerDrained) else event.session
        if session is None:
            return {}
        call = self._calls.get(session)
        if call is None:
            return {"recording": session, "call": "-", "peer": "-"}
        return {"recording": session, "call": call.call_id, "peer": str(call.peer)}


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
        case DigitReceived():
            # Digits may be a card's number, so logs tell only that there was one.
            return logging.DEBUG, "a key was pressed"
        case StreamStalled():
            since = "no packet since its answer" if event.never else "no packet any more"
            return logging.WARNING, "; ".join((f"stream {event.label}: {since}, {event.seconds:.0f} s", *event.reasons))
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
