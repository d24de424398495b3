"""The session description as a value (RFC 8866 section 5).

Everything of the text is kept: attributes in their order, lines of unknown type at the end of their section. Typed
views are worked out when asked for. Writing is strict: lines in the order of the grammar, each ended by CRLF.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias, cast

from siprec_core.errors import LocalProtocolError
from siprec_core.sdp.attributes import (
    DIRECTIONS,
    Attribute,
    FingerprintAttribute,
    GroupAttribute,
    RtcpAttribute,
    SsrcAttribute,
    read_fingerprint,
    read_group,
    read_milliseconds,
    read_rtcp,
    read_ssrc,
    split_fmtp,
)
from siprec_core.sdp.crypto import CryptoAttribute, read_crypto_lines
from siprec_core.sdp.formats import STATIC_PAYLOAD_TYPES, MediaFormat, RtpMap, payload_type_of, read_rtpmap

Direction: TypeAlias = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
"""Direction of media as seen by the side that wrote the description (RFC 8866 section 6.7)."""


class RawLine(NamedTuple):
    """A line whose content is not looked into: repeated, of an unknown type or malformed."""

    type: str
    """The one letter in front of `=`."""
    value: str


class Connection(NamedTuple):
    """A `c=` line (RFC 8866 section 5.7)."""

    address: str
    """Numeric address without brackets, or a host name."""
    address_type: str = "IP4"
    network_type: str = "IN"
    suffix: str | None = None
    """What follows a `/`: time to live and number of addresses of multicast."""

    def __str__(self) -> str:
        suffix = "" if self.suffix is None else f"/{self.suffix}"
        return f"{self.network_type} {self.address_type} {self.address}{suffix}"


class Bandwidth(NamedTuple):
    """A `b=` line (RFC 8866 section 5.8)."""

    type: str
    """`CT` and `AS` in kbit/s; `TIAS`, `RR` and `RS` in bit/s."""
    value: int

    def __str__(self) -> str:
        return f"{self.type}:{self.value}"


class Origin(NamedTuple):
    """An `o=` line (RFC 8866 section 5.2)."""

    username: str
    """No blanks; `-` when there is none."""
    session_id: int
    version: int
    """Raised by one whenever the description changes (RFC 3264 section 8)."""
    address: str
    address_type: str = "IP4"
    network_type: str = "IN"

    def __str__(self) -> str:
        return (
            f"{self.username} {self.session_id} {self.version} {self.network_type} {self.address_type} {self.address}"
        )

    def same_session(self, other: "Origin") -> bool:
        """Tell whether both name one session: equal but for the version (RFC 3264 section 8)."""
        return self._replace(version=0) == other._replace(version=0)


def address_type(address: str) -> str:
    """Give the address type that goes with a numeric address: `IP6` when it has colons, else `IP4`."""
    return "IP6" if ":" in address else "IP4"


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """An `m=` line with the lines that belong to it (RFC 8866 section 5.14)."""

    media: str
    """`audio`, `video`, `text`, `application`, `message`, `image` or any other token."""
    port: int
    """0 to 65535; 0 when the stream is refused or removed, or when its port was out of range."""
    protocol: str
    """`RTP/AVP` and its like, as written."""
    formats: tuple[str, ...]
    """Format list in order of preference; payload types for RTP."""
    attributes: tuple[Attribute, ...] = ()
    connection: Connection | None = None
    """The line's own `c=`; see `SessionDescription.connection_of`."""
    port_count: int = 1
    information: str | None = None
    bandwidths: tuple[Bandwidth, ...] = ()
    key: str | None = None
    """The obsolete `k=` line (RFC 8866 section 5.12)."""
    other_lines: tuple[RawLine, ...] = ()
    """Lines that fit nowhere else, in order."""
    line: int | None = field(default=None, compare=False)
    """Line number from 1 of the `m=` line in the text that was parsed."""

    def attribute(self, name: str) -> Attribute | None:
        """Give the first attribute of that name, None when there is none."""
        return _first(self.attributes, name)

    @property
    def label(self) -> str | None:
        """The label (RFC 4574), None when there is none or it is empty."""
        return _value(self.attributes, "label")

    @property
    def mid(self) -> str | None:
        """The identification tag used by groups (RFC 5888 section 4)."""
        return _value(self.attributes, "mid")

    @property
    def content(self) -> str | None:
        """What the media shows, for example `speaker` or `slides,alt` (RFC 4796 section 5)."""
        return _value(self.attributes, "content")

    @property
    def contents(self) -> tuple[str, ...]:
        """The values of `a=content`, a list (RFC 4796 section 5)."""
        return tuple(part.strip() for part in (self.content or "").split(",") if part.strip())

    @property
    def direction(self) -> Direction | None:
        """The line's own direction, None when it has none; see `SessionDescription.direction_of`."""
        return _direction(self.attributes)

    @property
    def ptime(self) -> int | None:
        """Wished packet time in milliseconds (RFC 8866 section 6.4)."""
        return read_milliseconds(_value(self.attributes, "ptime"))

    @property
    def maxptime(self) -> int | None:
        """Longest packet time in milliseconds that the side which wrote it can take (RFC 8866 section 6.5)."""
        return read_milliseconds(_value(self.attributes, "maxptime"))

    def bandwidth(self, kind: str) -> int | None:
        """Give the amount of the first `b=` line of a type in that type's unit, None when there is none."""
        return next((each.value for each in self.bandwidths if each.type == kind), None)

    @property
    def rtcp(self) -> RtcpAttribute | None:
        """Where RTCP goes when not to the port after RTP's (RFC 3605)."""
        value = _value(self.attributes, "rtcp")
        return None if value is None else read_rtcp(value)

    @property
    def rtcp_mux(self) -> bool:
        """True when RTP and RTCP may share a port (RFC 5761 section 5.1.1)."""
        return _first(self.attributes, "rtcp-mux") is not None

    @property
    def rtcp_mux_only(self) -> bool:
        """True when RTP and RTCP must share a port (RFC 8858 section 3)."""
        return _first(self.attributes, "rtcp-mux-only") is not None

    @property
    def bundle_only(self) -> bool:
        """True for a line that wants to share the port of another one (RFC 9143 section 6)."""
        return _first(self.attributes, "bundle-only") is not None

    @property
    def ssrcs(self) -> tuple[SsrcAttribute, ...]:
        """What `a=ssrc` tells of the sources of the line, in order (RFC 5576 section 4.1)."""
        readings = (read_ssrc(value) for name, value in self.attributes if name == "ssrc" and value is not None)
        return tuple(reading for reading in readings if reading is not None)

    @property
    def crypto(self) -> tuple[str, ...]:
        """The raw values of `a=crypto` (RFC 4568), in order of preference. They hold keys: never log them."""
        return tuple(value for name, value in self.attributes if name == "crypto" and value is not None)

    @property
    def crypto_attributes(self) -> tuple[CryptoAttribute, ...]:
        """The valid ones of `a=crypto` in order of preference, each tag once (RFC 4568 section 5.1.1)."""
        return read_crypto_lines(self.crypto)

    @property
    def is_rtp(self) -> bool:
        """True when the formats are RTP payload types."""
        return "RTP/" in self.protocol.upper()

    @property
    def payload_types(self) -> tuple[int, ...]:
        """The formats of an RTP line that are payload types, each once, in order of preference."""
        if not self.is_rtp:
            return ()
        numbers = map(payload_type_of, self.formats)
        return tuple(dict.fromkeys(number for number in numbers if number is not None))

    @property
    def rtpmaps(self) -> dict[int, RtpMap]:
        """What `a=rtpmap` says by payload type; the first of several counts."""
        rtpmaps: dict[int, RtpMap] = {}
        for name, value in self.attributes:
            if name == "rtpmap" and value is not None:
                reading = read_rtpmap(value)
                if reading.payload_type is not None and reading.rtpmap is not None:
                    rtpmaps.setdefault(reading.payload_type, reading.rtpmap)
        return rtpmaps

    def fmtp(self, payload_type: int | str) -> str | None:
        """Give the format parameters of a payload type, None when there are none (RFC 8866 section 6.15)."""
        wanted = str(payload_type)
        for name, value in self.attributes:
            if name == "fmtp" and value is not None:
                format_, parameters = split_fmtp(value)
                if format_ == wanted:
                    return parameters
        return None

    def codecs(self) -> tuple[tuple[int, str | None], ...]:
        """Give payload types and codec names, for example `(0, "PCMU/8000")`, in order of preference.

        Static types need no rtpmap (RFC 3551); the name of a dynamic type without one is None.
        """
        rtpmaps = self.rtpmaps
        return tuple(
            (number, None if rtpmap is None else str(rtpmap))
            for number in self.payload_types
            for rtpmap in (rtpmaps.get(number) or STATIC_PAYLOAD_TYPES.get(number),)
        )

    def media_formats(self) -> tuple[MediaFormat, ...]:
        """Give the payload formats whose meaning is known, with their parameters, in order of preference."""
        rtpmaps = self.rtpmaps
        parameters: dict[str, str] = {}
        for name, value in self.attributes:
            if name == "fmtp" and value is not None:
                parameters.setdefault(*split_fmtp(value))
        formats = []
        for number in self.payload_types:
            rtpmap = rtpmaps.get(number) or STATIC_PAYLOAD_TYPES.get(number)
            if rtpmap is not None:
                formats.append(MediaFormat(number, *rtpmap, parameters.get(str(number))))
        return tuple(formats)

    def lines(self) -> Iterator[str]:
        """Give the lines of the section without line ends, in the order of the grammar (RFC 8866 section 9)."""
        count = "" if self.port_count == 1 else f"/{self.port_count}"
        yield f"m={self.media} {self.port}{count} {self.protocol} {' '.join(self.formats)}"
        if self.information is not None:
            yield f"i={self.information}"
        if self.connection is not None:
            yield f"c={self.connection}"
        yield from _common_lines(self.bandwidths, self.key, self.attributes, self.other_lines)


_DEFAULT_TIMING = (RawLine("t", "0 0"),)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description (RFC 8866 section 5)."""

    origin: Origin
    name: str = "-"
    """Session name; never empty (RFC 8866 section 5.3)."""
    connection: Connection | None = None
    """The default for media lines without their own."""
    media: tuple[MediaDescription, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    timing: tuple[RawLine, ...] = _DEFAULT_TIMING
    """`t=`, `r=` and `z=` lines in order; offers and answers have `t=0 0` (RFC 3264 section 5)."""
    information: str | None = None
    uri: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    bandwidths: tuple[Bandwidth, ...] = ()
    key: str | None = None
    other_lines: tuple[RawLine, ...] = ()
    """Lines that fit nowhere else, in order."""

    def attribute(self, name: str) -> Attribute | None:
        """Give the first session-level attribute of that name, None when there is none."""
        return _first(self.attributes, name)

    @property
    def direction(self) -> Direction | None:
        """The session's direction, None when it has none."""
        return _direction(self.attributes)

    @property
    def groups(self) -> tuple[GroupAttribute, ...]:
        """The groups of media lines (RFC 5888 section 5), in order."""
        readings = (read_group(value) for name, value in self.attributes if name == "group")
        return tuple(reading for reading in readings if reading is not None)

    def fingerprint_of(self, media: MediaDescription) -> FingerprintAttribute | None:
        """Give the certificate fingerprint of a line: its own, else the session's (RFC 8122 section 5)."""
        value = _value(media.attributes, "fingerprint") or _value(self.attributes, "fingerprint")
        return None if value is None else read_fingerprint(value)

    def setup_of(self, media: MediaDescription) -> str | None:
        """Give who opens the DTLS association of a line, for example `actpass` (RFC 5763 section 5)."""
        return _value(media.attributes, "setup") or _value(self.attributes, "setup")

    def direction_of(self, media: MediaDescription) -> Direction:
        """Give the direction of a line: its own, else the session's, else sendrecv (RFC 8866 section 6.7)."""
        return media.direction or self.direction or "sendrecv"

    def connection_of(self, media: MediaDescription) -> Connection | None:
        """Give the connection of a line: its own, else the session's (RFC 8866 section 5.7)."""
        return media.connection or self.connection

    def continuing(self, previous: "SessionDescription") -> "SessionDescription":
        """Give this description as the successor of `previous`, one's own last one in the same session.

        The origin becomes that of `previous`, its version raised by one exactly when anything else differs
        (RFC 3264 section 8).
        """
        same = replace(self, origin=previous.origin)
        if same == previous:
            return same
        return replace(same, origin=previous.origin._replace(version=previous.origin.version + 1))

    def lines(self) -> Iterator[str]:
        """Give all lines without line ends, in the order of the grammar (RFC 8866 section 9)."""
        yield "v=0"
        yield f"o={self.origin}"
        # RFC 8866 5.3: "The 's=' line MUST NOT be empty".
        yield f"s={self.name or '-'}"
        if self.information is not None:
            yield f"i={self.information}"
        if self.uri is not None:
            yield f"u={self.uri}"
        for email in self.emails:
            yield f"e={email}"
        for phone in self.phones:
            yield f"p={phone}"
        if self.connection is not None:
            yield f"c={self.connection}"
        for bandwidth in self.bandwidths:
            yield f"b={bandwidth}"
        for line in self.timing:
            yield f"{line.type}={line.value}"
        yield from _common_lines((), self.key, self.attributes, self.other_lines)
        for media in self.media:
            yield from media.lines()

    def to_bytes(self) -> bytes:
        """Write the description. Raises LocalProtocolError when a value holds CR, LF or NUL."""
        lines = list(self.lines())
        text = "\r\n".join(lines)
        if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or "\0" in text:
            raise LocalProtocolError("a value of the session description holds CR, LF or NUL")
        return f"{text}\r\n".encode("utf-8", "surrogateescape")


def format_attributes(formats: tuple[MediaFormat, ...]) -> list[Attribute]:
    """Give the `a=rtpmap` and `a=fmtp` lines of formats, static payload types included (RFC 3264 section 5.1)."""
    attributes = []
    for format_ in formats:
        attributes.append(Attribute("rtpmap", f"{format_.payload_type} {format_.name}"))
        if format_.fmtp:
            attributes.append(Attribute("fmtp", f"{format_.payload_type} {format_.fmtp}"))
    return attributes


def _common_lines(
    bandwidths: tuple[Bandwidth, ...],
    key: str | None,
    attributes: tuple[Attribute, ...],
    other_lines: tuple[RawLine, ...],
) -> Iterator[str]:
    """Give what ends a section."""
    for bandwidth in bandwidths:
        yield f"b={bandwidth}"
    if key is not None:
        yield f"k={key}"
    for attribute in attributes:
        yield f"a={attribute}"
    for line in other_lines:
        yield f"{line.type}={line.value}"


def _first(attributes: tuple[Attribute, ...], name: str) -> Attribute | None:
    for attribute in attributes:
        if attribute[0] == name:
            return attribute
    return None


def _value(attributes: tuple[Attribute, ...], name: str) -> str | None:
    """Give the first value of an attribute without blanks around it, None when there is none or it is empty."""
    attribute = _first(attributes, name)
    return None if attribute is None or attribute.value is None else attribute.value.strip() or None


def _direction(attributes: tuple[Attribute, ...]) -> Direction | None:
    for name, _ in attributes:
        if name in DIRECTIONS:
            return cast("Direction", name)
    return None
