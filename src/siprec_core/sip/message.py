"""Requests and responses (RFC 3261 section 7).

Header fields are kept as text; the properties read them on demand and keep what they read until the field is written. A
property of a malformed header field raises RemoteProtocolError.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeAlias, TypeVar

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.findings import Finding
from siprec_core.sip.body import BodyReading
from siprec_core.sip.fields import ContentDisposition, ContentType, CSeq, NameAddr, Via
from siprec_core.sip.grammar import is_token, read_number
from siprec_core.sip.headers import Headers
from siprec_core.sip.status import reason_phrase
from siprec_core.sip.uri import SipUri

ValueT = TypeVar("ValueT")


class MessageBase:
    """What requests and responses share."""

    __slots__ = ("body", "findings", "headers", "reading")

    def __init__(self, headers: Headers, body: bytes, findings: tuple[Finding, ...]) -> None:
        self.headers = headers
        self.body = body
        """The octets behind the header; empty without a body."""
        self.findings = findings
        """What the parser tolerated."""
        self.reading: BodyReading | None = None
        """What was read of the body while it came along a stream."""

    @property
    def vias(self) -> list[Via]:
        """All hops, the latest first."""
        return list(self.headers.view("Via", "all", _read_vias))

    @property
    def top_via(self) -> Via:
        """The latest hop; those below may be malformed."""
        return self.headers.view("Via", "top", _read_top_via)

    @property
    def from_(self) -> NameAddr:
        """Who started the dialog (RFC 3261 section 20.20)."""
        return self.headers.view("From", "", _read_from)

    @property
    def to(self) -> NameAddr:
        """Whom the dialog was started with (RFC 3261 section 20.39)."""
        return self.headers.view("To", "", _read_to)

    @property
    def call_id(self) -> str:
        """The Call-ID; compares with regard to case (RFC 3261 section 20.8)."""
        return _required(self.headers, "Call-ID")

    @property
    def cseq(self) -> CSeq:
        """Sequence number and method."""
        return self.headers.view("CSeq", "", _read_cseq)

    @property
    def contacts(self) -> list[NameAddr]:
        """All contacts; `*` has `uri` `*`."""
        return list(self.headers.view("Contact", "", _read_contacts))

    @property
    def routes(self) -> list[NameAddr]:
        """The Route set that is left to travel."""
        return list(self.headers.view("Route", "", _read_routes))

    @property
    def record_routes(self) -> list[NameAddr]:
        """The proxies that stay in the path, in order of the header."""
        return list(self.headers.view("Record-Route", "", _read_record_routes))

    @property
    def max_forwards(self) -> int | None:
        """Hops left, 0 to 255; None without the field, larger numbers are read as 255 (RFC 4475 section 3.1.2.4)."""
        return self.headers.view("Max-Forwards", "", _read_max_forwards)

    @property
    def content_type(self) -> ContentType | None:
        """The type of the body, None without the field."""
        return self.headers.view("Content-Type", "", _read_content_type)

    @property
    def content_disposition(self) -> ContentDisposition | None:
        """What the body is for, None without the field."""
        return self.headers.view("Content-Disposition", "", _read_content_disposition)

    @property
    def require(self) -> tuple[str, ...]:
        """Option tags that the peer insists on, lower case."""
        return self.headers.view("Require", "", _read_require)

    @property
    def proxy_require(self) -> tuple[str, ...]:
        """Option tags that proxies must know, lower case."""
        return self.headers.view("Proxy-Require", "", _read_proxy_require)

    @property
    def supported(self) -> tuple[str, ...]:
        """Option tags that the peer knows, lower case."""
        return self.headers.view("Supported", "", _read_supported)

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Option tags that the peer does not know, lower case."""
        return self.headers.view("Unsupported", "", _read_unsupported)

    @property
    def allow(self) -> tuple[str, ...]:
        """Methods that the peer takes, as written: methods compare with regard to case."""
        return self.headers.view("Allow", "", _read_allow)

    def _write(self, start_line: str) -> bytes:
        # RFC 3261 20.14: Content-Length counts the octets of the body; it is written once, whatever the headers say.
        lines = [start_line]
        lines += [f"{name}: {value}" for name, value in self.headers if name != "Content-Length"]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        try:
            head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise LocalProtocolError("the start line holds text that is no Unicode") from error
        return head + self.body


class Request(MessageBase):
    """A request: `method` as written (methods compare with regard to case), `uri` the Request-URI as text."""

    __slots__ = ("method", "uri")

    def __init__(
        self, method: str, uri: str, headers: Headers, body: bytes = b"", findings: tuple[Finding, ...] = ()
    ) -> None:
        super().__init__(headers, body, findings)
        self.method = method
        self.uri = uri

    def sip_uri(self) -> SipUri:
        """Read the Request-URI. Raises RemoteProtocolError: status 416 for another scheme, 400 for a malformed one."""
        return SipUri.parse(self.uri, field="Request-URI")

    def to_bytes(self) -> bytes:
        """Write the request. Raises LocalProtocolError for a method or URI that would break the start line."""
        if not is_token(self.method) or not self.uri or any(character in self.uri for character in " \t\r\n\0<>"):
            raise LocalProtocolError("the method or Request-URI cannot be written")
        return self._write(f"{self.method} {self.uri} SIP/2.0")

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri}>"


class Response(MessageBase):
    """A response: `status` 100 to 699 and its reason phrase."""

    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str | None,
        headers: Headers,
        body: bytes = b"",
        findings: tuple[Finding, ...] = (),
    ) -> None:
        super().__init__(headers, body, findings)
        self.status = status
        self.reason = reason_phrase(status) if reason is None else reason

    def to_bytes(self) -> bytes:
        """Write the response. Raises LocalProtocolError for a status or phrase that would break the start line."""
        if not 100 <= self.status <= 699 or any(character in self.reason for character in "\r\n\0"):
            raise LocalProtocolError("the status or reason phrase cannot be written")
        return self._write(f"SIP/2.0 {self.status} {self.reason}")

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


Message: TypeAlias = Request | Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """What came instead of a message."""

    error: RemoteProtocolError
    """What is wrong; `status_hint` is the status to answer a request with."""
    request_method: str | None
    """The method if it could be read: an ACK is never answered."""
    headers: Headers
    """The fields that could be read, fit to be copied into an answer."""
    is_response: bool
    """True for what began as a response: it is dropped (RFC 3261 section 18.1.2)."""
    fatal: bool
    """True when the framing of a stream is lost or a limit passed: the connection has to be closed."""

    @classmethod
    def from_message(
        cls, error: RemoteProtocolError, source: "Request | Response | Malformed | None", *, fatal: bool = False
    ) -> Self:
        """Make one with what could be read of `source`."""
        if isinstance(source, Malformed):
            method, is_response = source.request_method, source.is_response
        else:
            method = source.method if isinstance(source, Request) else None
            is_response = isinstance(source, Response)
        headers = Headers() if source is None else source.headers
        return cls(error=error, request_method=method, headers=headers, is_response=is_response, fatal=fatal)


def _required(headers: Headers, name: str) -> str:
    value = headers.get(name)
    if not value:
        raise RemoteProtocolError("the header field is missing or empty", field=name)
    return value


def _read_top_via(headers: Headers) -> Via:
    entries = headers.values("Via")
    if not entries:
        raise RemoteProtocolError("the header field is missing or empty", field="Via")
    return Via.parse(entries[0])


def _read_vias(headers: Headers) -> tuple[Via, ...]:
    return tuple(Via.parse(entry) for entry in headers.values("Via"))


def _read_from(headers: Headers) -> NameAddr:
    return NameAddr.parse(_required(headers, "From"), field="From")


def _read_to(headers: Headers) -> NameAddr:
    return NameAddr.parse(_required(headers, "To"), field="To")


def _read_cseq(headers: Headers) -> CSeq:
    return CSeq.parse(_required(headers, "CSeq"))


def _addresses(name: str) -> Callable[[Headers], tuple[NameAddr, ...]]:
    def read(headers: Headers) -> tuple[NameAddr, ...]:
        return tuple(NameAddr.parse(entry, field=name) for entry in headers.values(name))

    return read


_read_contacts = _addresses("Contact")
_read_routes = _addresses("Route")
_read_record_routes = _addresses("Record-Route")


def _option_tags(name: str) -> Callable[[Headers], tuple[str, ...]]:
    def read(headers: Headers) -> tuple[str, ...]:
        return tuple(entry.lower() for entry in headers.values(name))

    return read


_read_require = _option_tags("Require")
_read_proxy_require = _option_tags("Proxy-Require")
_read_supported = _option_tags("Supported")
_read_unsupported = _option_tags("Unsupported")


def _read_allow(headers: Headers) -> tuple[str, ...]:
    return tuple(headers.values("Allow"))


def _read_max_forwards(headers: Headers) -> int | None:
    value = headers.get("Max-Forwards")
    if value is None:
        return None
    if not value.isascii() or not value.isdigit():
        raise RemoteProtocolError("not a number", field="Max-Forwards")
    number = read_number(value, 255)
    return 255 if number is None else number


def _read_content_type(headers: Headers) -> ContentType | None:
    value = headers.get("Content-Type")
    return ContentType.parse(value) if value else None


def _read_content_disposition(headers: Headers) -> ContentDisposition | None:
    value = headers.get("Content-Disposition")
    return ContentDisposition.parse(value) if value else None
