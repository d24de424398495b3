"""Messages out of a stream (RFC 3261 section 18.3).

The search for the empty line goes on where it ended, and a body is gathered apart from the buffer, so that the cost is
linear in what was received, however it was cut up. A multipart body is read while it comes. Any cutting gives the same
outcome.
"""

from enum import Enum

from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.sip.body import BodyReading
from siprec_core.sip.body_reader import ArrivingPart, BodyReader
from siprec_core.sip.message import Malformed, Request, Response
from siprec_core.sip.parser import Head, find_header_end, parse_head

_REFUSED_EARLY = frozenset(("INVITE", "UPDATE"))
"""Requests that a body over a limit refuses before it is all there; what ends or confirms a call is never refused."""


class KeepAlive(Enum):
    """What keeps a connection open (RFC 5626 section 3.5.1)."""

    PING = "ping"
    """A double CRLF between messages; the answer is one CRLF."""


class MessageFramer:
    """Cuts one direction of a connection into messages.

    Feed it with `receive`, then `poll` until it gives None. After a fatal `Malformed` it gives None for ever.
    """

    __slots__ = (
        "_body",
        "_body_missing",
        "_buffer",
        "_closed",
        "_discard",
        "_discarded",
        "_ended",
        "_head",
        "_limits",
        "_reader",
        "_searched",
        "_strict",
        "raw_head",
        "scanned_size",
    )

    def __init__(self, limits: Limits, *, strict: bool = False) -> None:
        self._limits = limits
        self._strict = strict
        self._buffer = bytearray()
        self._searched = 0
        self._head: Request | Response | None = None
        self._body = bytearray()
        self._body_missing = 0
        self._reader: BodyReader | None = None
        self._discard = 0
        self._discarded = 0
        self._ended = False
        self._closed = False
        self.scanned_size = 0
        """Octets searched for the end of a header so far: grows no faster than what was received."""
        self.raw_head = b""
        """Octets of the header, empty line included, of the message that `poll` gave last."""

    @property
    def mid_message(self) -> bool:
        """True while part of a message has come and the rest has not."""
        if self._closed:
            return False
        return self._head is not None or self._discard > 0 or bool(self._buffer.strip(b"\r\n"))

    @property
    def buffered_size(self) -> int:
        """Octets held."""
        return len(self._buffer) + len(self._body)

    @property
    def arrived_size(self) -> int:
        """Octets of the message that is arriving: those held, and those of a refused body that were read past."""
        return self.buffered_size + self._discarded

    @property
    def arriving_parts(self) -> list[ArrivingPart]:
        """The parts, as far as known, of a multipart body that is arriving; empty when none is."""
        return [] if self._reader is None else self._reader.parts.copy()

    def receive(self, data: bytes | memoryview) -> None:
        """Take what came, any number of octets."""
        if self._closed or self._ended:
            return
        if self._head is not None and not self._buffer:
            taken = min(self._body_missing, len(data))
            self._body += data if taken == len(data) else data[:taken]
            self._body_missing -= taken
            if taken == len(data):
                return
            data = data[taken:]
        self._buffer += data

    def end_of_stream(self) -> None:
        """Tell that nothing more comes; a message that is not complete becomes a fatal `Malformed`."""
        self._ended = True

    def poll(self) -> Request | Response | Malformed | KeepAlive | None:
        """Give the next message or keep-alive, None when more octets are needed."""
        if self._closed:
            return None
        out = self._next()
        if out is None and self._ended and self.mid_message:
            out = self._truncated()
        if isinstance(out, Malformed) and out.fatal:
            self._close()
        return out

    def _next(self) -> Request | Response | Malformed | KeepAlive | None:
        if self._head is not None:
            return self._finish_body()
        if self._discard:
            taken = min(self._discard, len(self._buffer))
            del self._buffer[:taken]
            self._discard -= taken
            self._discarded += taken
            if self._discard:
                return None
            self._discarded = 0
        if not self._searched and self._skip_line_ends():
            return KeepAlive.PING
        return self._read_head() if self._buffer else None

    def _skip_line_ends(self) -> bool:
        """Drop line ends before a start line (RFC 3261 section 7.5); True for a double CRLF."""
        buffer = self._buffer
        while buffer and buffer[0] in b"\r\n":
            if buffer.startswith(b"\r\n\r\n"):
                del buffer[:4]
                return True
            if len(buffer) < 4 and b"\r\n\r\n".startswith(buffer):
                return False
            del buffer[: 2 if buffer.startswith(b"\r\n") else 1]
        return False

    def _read_head(self) -> Request | Response | Malformed | None:
        buffer = self._buffer
        if buffer[0] in b"\r\n":
            return None
        if buffer[0] < 0x20 or buffer[0] >= 0x7F:
            # TLS on a port without it, or another protocol: no line end may ever come.
            return _lost("no SIP message begins with this octet")
        end = min(len(buffer), self._limits.header_block_size)
        if end == self._searched:
            return None
        start = max(0, self._searched - 3)
        self.scanned_size += end - start
        found = find_header_end(buffer, start, end)
        if found is None:
            self._searched = end
            if end < self._limits.header_block_size:
                return None
            return _lost("the header is too large", self._parse(end).message, 513)
        self._searched = 0
        head = self._parse(found[0])
        self.raw_head = bytes(memoryview(buffer)[: found[1]])
        del buffer[: found[1]]
        return self._begin_body(head)

    def _parse(self, end: int) -> Head:
        return parse_head(bytes(memoryview(self._buffer)[:end]), limits=self._limits, strict=self._strict)

    def _begin_body(self, head: Head) -> Request | Response | Malformed | None:
        message, length = head.message, head.content_length
        if length is None:
            # RFC 3261 18.3: "The Content-Length header field MUST be used with stream oriented transports."
            if isinstance(message, Malformed):
                return Malformed.from_message(message.error, message, fatal=True)
            error = RemoteProtocolError("the header field is missing on a stream", field="Content-Length")
            return Malformed.from_message(error, message, fatal=True)
        if length > self._limits.body_size:
            # A body that is bounded all the same is read past, so that the peer can read the answer and go on.
            drained = length <= self._limits.drained_size and not head.over_limit
            self._discard = length if drained else 0
            error = RemoteProtocolError("the body is too large", status_hint=413, field="Content-Length")
            return Malformed.from_message(error, message, fatal=not drained)
        if isinstance(message, Malformed):
            self._discard = length
            return message
        self._head = message
        self._body_missing = length
        self._reader = _reader_for(message, length, self._limits)
        return self._finish_body()

    def _finish_body(self) -> Request | Response | Malformed | None:
        message, buffer, reader = self._head, self._buffer, self._reader
        if message is None:
            return None
        taken = min(self._body_missing, len(buffer))
        if not self._body and taken == self._body_missing:
            message.body = bytes(memoryview(buffer)[:taken])
        else:
            self._body += memoryview(buffer)[:taken]
        self._body_missing -= taken
        del buffer[:taken]
        if self._body_missing:
            if reader is not None:
                reader.receive(self._body)
            return self._refuse_body(message)
        if self._body:
            message.body = bytes(self._body)
            self._body = bytearray()
        if reader is not None:
            message.reading = BodyReading(message.body, self._limits, reader.finish(message.body))
        refused = self._refuse_body(message)
        self._head = self._reader = None
        return message if refused is None else refused

    def _refuse_body(self, message: Request | Response) -> Malformed | None:
        """Refuse a request as soon as its body passes a limit; the rest of the body is read past."""
        reader = self._reader
        if reader is None or reader.error is None or not reader.over_limit:
            return None
        if not isinstance(message, Request) or message.method not in _REFUSED_EARLY:
            return None
        self._head = self._reader = None
        self._body = bytearray()
        self._discard, self._body_missing = self._body_missing, 0
        return Malformed.from_message(reader.error, message)

    def _truncated(self) -> Malformed:
        if self._head is not None or not self._buffer:
            return _lost("the stream ended within a body", self._head)
        end = min(len(self._buffer), self._limits.header_block_size)
        return _lost("the stream ended within a header", self._parse(end).message)

    def _close(self) -> None:
        self._closed = True
        self._head = self._reader = None
        self._buffer = bytearray()
        self._body = bytearray()


def _reader_for(message: Request | Response, size: int, limits: Limits) -> BodyReader | None:
    """Give what reads the body of a message while it comes, None for one that is not multipart."""
    if not size:
        return None
    try:
        content_type = message.content_type
    except RemoteProtocolError:
        return None
    if content_type is None or content_type.type != "multipart":
        return None
    return BodyReader(message.headers, content_type, size, limits=limits)


def _lost(message: str, source: Request | Response | Malformed | None = None, status: int = 400) -> Malformed:
    return Malformed.from_message(RemoteProtocolError(message, status_hint=status), source, fatal=True)
