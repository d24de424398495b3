"""Values of header fields that have structure (RFC 3261 section 20).

Each class reads with `parse`, which raises RemoteProtocolError, and writes its wire form with `str`. Where a tolerance
was needed to read, the list handed in as `findings` tells it. The usual spelling takes one pattern match; anything odd
goes a slower way.
"""

import re
from dataclasses import dataclass
from typing import Self

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.quick import maker
from siprec_core.sip.grammar import (
    BLANKS,
    QUOTED_STRING,
    TOKEN_CLASS,
    is_token,
    quote,
    quoted_end,
    read_host_port,
    read_number,
    unquote,
    write_host_port,
)
from siprec_core.sip.parameters import NO_PARAMETERS, PLAIN_PARAMETERS, Parameters
from siprec_core.sip.uri import SipUri

__all__ = ["CSeq", "ContentDisposition", "ContentType", "NameAddr", "Parameters", "SipUri", "Via"]

MAX_CSEQ = 2**31 - 1
"""RFC 3261 8.1.1.5: the number "MUST be expressible as a 32-bit unsigned integer and MUST be less than 2**31"."""

_USUAL_VIA = re.compile(
    rf"SIP/2\.0/({TOKEN_CLASS}++)[ \t]++([A-Za-z0-9.\-]{{1,255}})(?::([0-9]{{1,4}}))?({PLAIN_PARAMETERS})"
)
_VIA = re.compile(
    rf"({TOKEN_CLASS}++)[ \t]*+/[ \t]*+({TOKEN_CLASS}++)[ \t]*+/[ \t]*+({TOKEN_CLASS}++)[ \t]++([^;]*+)(.*)", re.DOTALL
)
_DISPLAY_CLASS = r"[A-Za-z0-9\-.!%*_+`'~ \t]"
_URI_CLASS = r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z|~\xa0-\u2027\u202a-\U0010ffff]"
_ADDR_SPEC_CLASS = r"[!#$%&'()*+\-./0-9:=@A-Z\[\]_a-z|~\xa0-\u2027\u202a-\U0010ffff]"
_USUAL_NAME_ADDR = re.compile(
    rf"(?:({QUOTED_STRING})[ \t]*+|({_DISPLAY_CLASS}*+))"
    rf"<([A-Za-z][A-Za-z0-9+.\-]*+:{_URI_CLASS}*+)>({PLAIN_PARAMETERS})",
    re.DOTALL,
)
_USUAL_ADDR_SPEC = re.compile(rf"([A-Za-z][A-Za-z0-9+.\-]*+:{_ADDR_SPEC_CLASS}*+)({PLAIN_PARAMETERS})")
_NEVER_IN_URI = re.compile(r"[\x00-\x20\"<>\x7f-\x9f\u2028\u2029]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+:")
_CSEQ = re.compile(rf"([0-9]++)[ \t]++({TOKEN_CLASS}++)")
_USUAL_MEDIA_TYPE = re.compile(rf"({TOKEN_CLASS}++)/({TOKEN_CLASS}++)({PLAIN_PARAMETERS})")
_MEDIA_TYPE = re.compile(rf"({TOKEN_CLASS}++)[ \t]*+/[ \t]*+({TOKEN_CLASS}++)[ \t]*+(;.*)?", re.DOTALL)
_COMMENT_OR_QUOTED = re.compile(rf"{QUOTED_STRING}|\([^()]*+\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Via:
    """One hop (RFC 3261 section 20.42)."""

    transport: str
    """Upper case, for example `UDP`."""
    host: str
    """As written; an IPv6 address without brackets."""
    port: int | None
    parameters: Parameters = NO_PARAMETERS
    protocol: str = "SIP/2.0"
    """Name and version."""

    @classmethod
    def parse(cls, text: str, *, field: str = "Via", findings: list[Finding] | None = None) -> "Via":
        """Read one entry of a Via field.

        Raises RemoteProtocolError, also for an empty parameter (RFC 4475 section 3.1.2.1).
        """
        match = _USUAL_VIA.fullmatch(text)
        if match is not None:
            transport, host, digits, plain = match.groups()
            known = Parameters.split_plain(plain, field=field, findings=findings)
            return _make_via(transport.upper(), host, int(digits) if digits else None, known)
        odd = _VIA.fullmatch(text)
        if odd is None:
            raise RemoteProtocolError("not a Via", field=field)
        name, version, transport, sent_by, parameters = odd.groups()
        host_port = read_host_port(sent_by.strip(BLANKS))
        if host_port is None:
            raise RemoteProtocolError("malformed sent-by", field=field)
        read = Parameters.parse(parameters, field=field, findings=findings, forgive_empty=False)
        return _make_via(transport.upper(), host_port[0], host_port[1], read, f"{name}/{version}")

    @property
    def branch(self) -> str | None:
        """The transaction's id (RFC 3261 section 8.1.1.7); None before that RFC."""
        return self.parameters.get("branch")

    @property
    def received(self) -> str | None:
        """The address the request really came from; brackets around IPv6 are taken off (RFC 5118 section 4.5)."""
        value = self.parameters.get("received")
        return value[1:-1] if value and value[0] == "[" and value[-1] == "]" else value

    @property
    def has_rport(self) -> bool:
        """True when the answer has to go back to the source port (RFC 3581 section 4)."""
        return "rport" in self.parameters

    @property
    def rport(self) -> int | None:
        """The source port, filled in by the receiver; None while the parameter is a flag, absent or no port."""
        return read_number(self.parameters.get("rport") or "", 65_535)

    def with_parameter(self, name: str, value: str | None) -> "Via":
        """Give a copy with one parameter set."""
        return _make_via(self.transport, self.host, self.port, self.parameters.with_(name, value), self.protocol)

    def __str__(self) -> str:
        return f"{self.protocol}/{self.transport} {write_host_port(self.host, self.port)}{self.parameters}"


@dataclass(frozen=True, slots=True)
class NameAddr:
    """An address with an optional display name and header parameters: From, To, Contact, Route and their like."""

    display_name: str | None
    """Without quotes."""
    uri: str
    """The URI as written; `*` for the Contact of that form."""
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str, *, field: str = "address", findings: list[Finding] | None = None) -> "NameAddr":
        """Read a name-addr or an addr-spec with header parameters.

        Raises RemoteProtocolError when no address can be made out.
        """
        match = _USUAL_NAME_ADDR.fullmatch(text)
        if match is not None:
            quoted, plain, uri, parameters = match.groups()
            name = unquote(quoted) if quoted is not None else plain.strip(BLANKS) or None
            return _make_name_addr(name, uri, Parameters.split_plain(parameters, field=field, findings=findings))
        # RFC 3261 20: without brackets, "any semicolon-delimited parameters are header-parameters, not URI parameters".
        bare = _USUAL_ADDR_SPEC.fullmatch(text)
        if bare is not None:
            return _make_name_addr(None, bare[1], Parameters.split_plain(bare[2], field=field, findings=findings))
        return _make_name_addr(*_read_odd_address(text.strip(BLANKS), field, [] if findings is None else findings))

    @property
    def tag(self) -> str | None:
        """The dialog tag (RFC 3261 section 19.3)."""
        return self.parameters.get("tag")

    def with_tag(self, tag: str) -> "NameAddr":
        """Give a copy with the tag set."""
        return _make_name_addr(self.display_name, self.uri, self.parameters.with_("tag", tag))

    def sip_uri(self) -> SipUri:
        """Read the URI. Raises RemoteProtocolError when it is no well-formed SIP URI."""
        return SipUri.parse(self.uri)

    def __str__(self) -> str:
        if self.uri == "*":
            return "*"
        name = "" if self.display_name is None else quote(self.display_name) + " "
        return f"{name}<{self.uri}>{self.parameters}"


_make_via, _make_name_addr = maker(Via), maker(NameAddr)


def _read_odd_address(text: str, field: str, findings: list[Finding]) -> tuple[str | None, str, Parameters]:
    if text == "*":
        return None, "*", NO_PARAMETERS
    name, rest = _read_display_name(text, field, findings)
    if rest.startswith("<"):
        uri, parameters = _read_bracketed(rest, field, findings)
    else:
        uri, semicolon, parameters = rest.partition(";")
        uri, parameters = uri.strip(BLANKS), semicolon + parameters
        if name is not None:
            findings.append(finding("sip-bracket-missing", field))
        if "," in uri or "?" in uri:
            # RFC 3261 20: "If the URI contains a comma, question mark or semicolon, the URI MUST be enclosed in angle
            # brackets (< and >)."
            raise RemoteProtocolError("an address with a comma or question mark needs angle brackets", field=field)
    if not uri or _NEVER_IN_URI.search(uri) is not None:
        # RFC 3261 7.1: no URI has "unescaped spaces or control characters", and this one may become a Request-URI.
        raise RemoteProtocolError("malformed address", field=field)
    if _SCHEME.match(uri) is None:
        if "@" not in uri:
            raise RemoteProtocolError("an address without a URI scheme", field=field)
        findings.append(finding("sip-uri-no-scheme", field))
    return name, uri, Parameters.parse(parameters, field=field, findings=findings)


def _read_display_name(text: str, field: str, findings: list[Finding]) -> tuple[str | None, str]:
    """Give the display name and what follows it without blanks in front."""
    if text.startswith('"'):
        end = quoted_end(text, 0)
        if end != -1:
            return unquote(text[:end]), text[end:].lstrip(BLANKS)
        bracket = text.find("<")
        if bracket == -1:
            raise RemoteProtocolError("a quote that is never closed", field=field)
        # RFC 4475 3.1.2.6 lets an element infer the missing quote.
        findings.append(finding("sip-quote-unbalanced", field))
        return text[1:bracket].rstrip(BLANKS), text[bracket:]
    bracket = text.find("<")
    if bracket <= 0 or ";" in text[:bracket]:
        return None, text
    name = text[:bracket].rstrip(BLANKS)
    if not all(is_token(word) for word in name.split()):
        findings.append(finding("sip-display-name", field))
    return name or None, text[bracket:]


def _read_bracketed(text: str, field: str, findings: list[Finding]) -> tuple[str, str]:
    """Read what starts with `<`; gives the URI and the parameters behind it."""
    inner = text.lstrip("<")
    doubled = len(inner) < len(text) - 1
    uri, closing, parameters = inner.partition(">")
    if not closing:
        findings.append(finding("sip-bracket-unclosed", field))
    elif doubled:
        # OpenSIPS 3.6 writes `<<sip:host>;+sip.src>`.
        findings.append(finding("sip-bracket-doubled", field))
        parameters = parameters.strip("> \t")
    stripped = uri.strip(BLANKS)
    if stripped != uri:
        findings.append(finding("sip-bracket-blanks", field))
    return stripped, parameters


@dataclass(frozen=True, slots=True)
class CSeq:
    """The sequence number of a request within its dialog (RFC 3261 section 20.16)."""

    number: int
    """0 to 2**31 - 1."""
    method: str

    @classmethod
    def parse(cls, text: str, *, field: str = "CSeq") -> Self:
        """Read a CSeq; zeros in front of the number are taken. Raises RemoteProtocolError."""
        match = _CSEQ.fullmatch(text)
        number = None if match is None else read_number(match[1], MAX_CSEQ)
        if match is None or number is None:
            raise RemoteProtocolError("not a sequence number below 2**31 and a method", field=field)
        return cls(number, match[2])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type (RFC 3261 section 20.15, RFC 2045 section 5.1)."""

    type: str
    """Lower case."""
    subtype: str
    """Lower case."""
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str, *, field: str = "Content-Type", findings: list[Finding] | None = None) -> Self:
        """Read a media type; comments (RFC 2045 section 5.1) are left out. Raises RemoteProtocolError."""
        match = _USUAL_MEDIA_TYPE.fullmatch(text)
        if match is not None:
            return cls(match[1].lower(), match[2].lower(), Parameters.split_plain(match[3]))
        if "(" in text:
            text = _COMMENT_OR_QUOTED.sub(lambda found: found[0] if found[0][0] == '"' else "", text)
        match = _MEDIA_TYPE.fullmatch(text.strip(BLANKS))
        if match is None:
            raise RemoteProtocolError("not a media type", field=field)
        parameters = Parameters.parse(match[3] or "", field=field, findings=findings)
        return cls(match[1].lower(), match[2].lower(), parameters)

    @property
    def media_type(self) -> str:
        """Type and subtype, for example `application/sdp`."""
        return f"{self.type}/{self.subtype}"

    @property
    def boundary(self) -> str | None:
        """The boundary of a multipart body; blanks at its end do not count (RFC 2046 section 5.1.1)."""
        value = self.parameters.get("boundary")
        return None if value is None else value.rstrip(BLANKS)

    def __str__(self) -> str:
        return f"{self.media_type}{self.parameters}"


@dataclass(frozen=True, slots=True)
class ContentDisposition:
    """What a body is for (RFC 3261 section 20.11)."""

    type: str
    """Lower case, for example `session` or `recording-session`."""
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str, *, field: str = "Content-Disposition", findings: list[Finding] | None = None) -> Self:
        """Read a disposition. Raises RemoteProtocolError."""
        name, semicolon, parameters = text.partition(";")
        name = name.strip(BLANKS)
        if not is_token(name):
            raise RemoteProtocolError("not a disposition", field=field)
        return cls(name.lower(), Parameters.parse(semicolon + parameters, field=field, findings=findings))

    @property
    def handling(self) -> str:
        """`optional`, or `required`, which "SHOULD be assumed" without the parameter (RFC 3261 section 20.11)."""
        return "optional" if (self.parameters.get("handling") or "").lower() == "optional" else "required"

    def __str__(self) -> str:
        return f"{self.type}{self.parameters}"
