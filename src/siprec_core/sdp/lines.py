"""Readers of single SDP lines: from the text behind `=` to a value, with the problems that had to be tolerated.

Attribute and connection lines repeat from call to call, and so do whole blocks of them. Their readings are kept, so
that reading them again costs a look-up; what is kept is bounded, and never a line that may hold a key or a password.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from siprec_core.sdp.attributes import (
    DIRECTIONS,
    TOKEN,
    Attribute,
    numeric_address,
    read_fingerprint,
    read_milliseconds,
    read_rtcp,
    read_ssrc,
    shown,
)
from siprec_core.sdp.crypto import read_crypto
from siprec_core.sdp.formats import STATIC_PAYLOAD_TYPES, read_rtpmap
from siprec_core.sdp.model import Bandwidth, Connection, Origin, address_type


class Problem(NamedTuple):
    """A finding without its place."""

    code: str
    where: str
    message: str | None = None


class AttributeLine(NamedTuple):
    """An `a=` line and what a section has to know of it."""

    attribute: Attribute
    mark: str | None = None
    """What a section may have once: `direction`, `label`, the payload type that an rtpmap maps, a tag of `a=crypto`."""
    problem: Problem | None = None


class MediaLine(NamedTuple):
    """The content of an `m=` line; parts that cannot be read have defaults that can be written again."""

    media: str = "audio"
    port: int = 0
    port_count: int = 1
    protocol: str = "RTP/AVP"
    formats: tuple[str, ...] = ("0",)
    problem: Problem | None = None
    complete: bool = True
    """False when fields are missing: the line counts as refused."""


_REPEATED: Final = DIRECTIONS | {"rtpmap", "fmtp", "ptime", "maxptime", "rtcp-mux", "label", "silenceSupp"}
"""Attributes that recur and hold no secret."""
_KEPT_LINES: Final = 1_024
_KEPT_SIZE: Final = 64
"""Longest line kept, in characters."""
_NUMBER_SIZE: Final = 20
"""Digits of the largest 64-bit number (RFC 8866 section 5.2)."""

_attribute_lines: dict[str, tuple[Attribute, str | None]] = {}
known_attribute_line: Final = _attribute_lines.get
"""Look up a whole line, `a=` included, without problems: attribute and mark; None when it has to be read."""


class AttributeBlock(NamedTuple):
    """The attribute lines of one media line, when they are all that belongs to it and nothing is wrong with them."""

    attributes: tuple[Attribute, ...]
    marks: dict[str, int]
    """Line numbers by mark, in some text that had the block; not to be changed."""


_KEPT_BLOCKS: Final = 256
_KEPT_BLOCK_SIZE: Final = 512
"""Longest block kept, in characters."""
_attribute_blocks: dict[str, AttributeBlock] = {}
known_attribute_block: Final = _attribute_blocks.get
"""Look up all lines of a block, joined by CRLF; None when they have to be read."""


def keep_attribute_block(text: str, block: AttributeBlock) -> None:
    """Keep a block, if each line of it is kept by itself."""
    if len(text) > _KEPT_BLOCK_SIZE or None in map(known_attribute_line, text.split("\r\n")):
        return
    if len(_attribute_blocks) >= _KEPT_BLOCKS:
        _attribute_blocks.clear()
    _attribute_blocks[text] = block


def read_attribute_line(value: str) -> AttributeLine:
    """Read what stands behind `a=`."""
    name, colon, content = value.partition(":")
    line = _read_attribute(Attribute(name, content if colon else None))
    if name in _REPEATED and line.problem is None and len(value) <= _KEPT_SIZE:
        if len(_attribute_lines) >= _KEPT_LINES:
            _attribute_lines.clear()
        _attribute_lines[f"a={value}"] = (line.attribute, line.mark)
    return line


def _read_attribute(attribute: Attribute) -> AttributeLine:
    name, value = attribute.name, attribute.value or ""
    if name in DIRECTIONS:
        return AttributeLine(attribute, "direction")
    if name == "rtpmap":
        return _read_rtpmap_line(attribute, value)
    if name == "label":
        message = None if TOKEN.fullmatch(value) else f"the label {shown(value)} is not a token"
        return AttributeLine(attribute, name, None if message is None else Problem("sdp-label", "a=label", message))
    if name == "crypto":
        return _read_crypto_line(attribute, value)
    well_formed = _WELL_FORMED.get(name)
    if well_formed is None or well_formed(value):
        return AttributeLine(attribute)
    return AttributeLine(attribute, None, Problem("sdp-attribute", f"a={name}", "malformed value"))


_SETUP_ROLES: Final = frozenset(("active", "passive", "actpass", "holdconn"))
_WELL_FORMED: Final[dict[str, Callable[[str], object]]] = {
    "rtcp": read_rtcp,
    "ptime": read_milliseconds,
    "maxptime": read_milliseconds,
    "mid": TOKEN.fullmatch,
    "ssrc": read_ssrc,
    "fingerprint": read_fingerprint,
    "setup": _SETUP_ROLES.__contains__,
}
"""By attribute what is true of a value that can be used."""


def _read_crypto_line(attribute: Attribute, value: str) -> AttributeLine:
    _, deviation, tag = read_crypto(value)
    problem = None if deviation is None else Problem("sdp-crypto", "a=crypto", deviation)
    return AttributeLine(attribute, None if tag is None else f"crypto {tag}", problem)


def _read_rtpmap_line(attribute: Attribute, value: str) -> AttributeLine:
    payload_type, rtpmap, deviation = read_rtpmap(value)
    problem = None if deviation is None else Problem("sdp-rtpmap", "a=rtpmap", deviation)
    if payload_type is None or rtpmap is None:
        return AttributeLine(attribute, problem=problem)
    static = STATIC_PAYLOAD_TYPES.get(payload_type)
    if static is not None and not static.same_as(rtpmap):
        message = f"payload type {payload_type} is {static}, not {shown(str(rtpmap))}"
        problem = Problem("sdp-static-redefined", "a=rtpmap", message)
    return AttributeLine(attribute, str(payload_type), problem)


class ConnectionLine(NamedTuple):
    """The content of a `c=` line."""

    connection: Connection | None
    """None when it cannot be read."""
    problem: Problem | None = None


def read_connection(value: str) -> ConnectionLine:
    """Read what stands behind `c=` (RFC 8866 section 5.7)."""
    return _read_connection_kept(value) if len(value) <= _KEPT_SIZE else _read_connection(value)


def _read_connection(value: str) -> ConnectionLine:
    fields = value.split()
    if len(fields) != 3:
        return ConnectionLine(None, Problem("sdp-connection", "c=", "c= does not have three fields"))
    network_type, kind, address = fields
    host, slash, suffix = address.partition("/")
    problem = None
    if host[:1] == "[" and numeric_address(host[1:-1]) is not None:
        host = host[1:-1]
        problem = Problem("sdp-connection", "c=", "brackets around the address")
    numeric = numeric_address(host)
    wanted = kind if numeric is None and kind in {"IP4", "IP6"} else address_type(host)
    if network_type != "IN" or kind != wanted:
        problem = Problem("sdp-connection", "c=", f"{shown(network_type)} {shown(kind)} read as IN {wanted}")
    elif slash and numeric is not None and not numeric.is_multicast:
        problem = Problem("sdp-connection", "c=", "a unicast address has no part behind /")
    return ConnectionLine(Connection(host, wanted, "IN", suffix if slash else None), problem)


_read_connection_kept = lru_cache(maxsize=256)(_read_connection)


def read_origin(value: str) -> tuple[Origin | None, Problem | None]:
    """Read what stands behind `o=` (RFC 8866 section 5.2); no origin when fields are missing."""
    fields = value.split()
    problem = None
    if len(fields) < 6:
        return None, Problem("sdp-malformed", "o=", "o= has fewer than six fields")
    if len(fields) > 6:
        fields[:-5] = ["_".join(fields[:-5])]
        problem = Problem("sdp-origin", "o=", "blanks in the user name")
    username, session_text, version_text, network_type, kind, address = fields
    session_id, version = read_number(session_text), read_number(version_text)
    if session_id is None or version is None:
        problem = Problem("sdp-origin", "o=", "session id or version is not a number of at most 64 bits")
    return Origin(username, session_id or 0, version or 0, address, kind, network_type), problem


def read_bandwidth(value: str) -> Bandwidth | None:
    """Read what stands behind `b=` (RFC 8866 section 5.8), None when it is malformed."""
    kind, _, amount = value.partition(":")
    number = read_number(amount.strip())
    return Bandwidth(kind, number) if kind and number is not None else None


def read_timing(value: str) -> bool:
    """Tell whether what stands behind `t=` are two numbers (RFC 8866 section 5.9)."""
    if value == "0 0":
        return True
    times = value.split(" ")
    return len(times) == 2 and None not in map(read_number, times)


def read_media_line(value: str) -> MediaLine:
    """Read what stands behind `m=` (RFC 8866 section 5.14)."""
    fields = value.split(None, 2)
    rest = fields.pop() if len(fields) == 3 else ""
    protocol, formats, problem = _read_formats_kept(rest) if len(rest) <= _KEPT_SIZE else _read_formats(rest)
    if not formats:
        media = fields[0] if fields else "audio"
        return MediaLine(media, 0, 1, protocol, ("0",), Problem("sdp-media-line", "m="), complete=False)
    media, port_text = fields
    port = read_number(port_text)
    if port is not None and port <= 65535:
        return MediaLine(media, port, 1, protocol, formats, problem)
    number, slash, count_text = port_text.partition("/")
    port, count = read_number(number), read_number(count_text)
    if not slash or port is None or port > 65535 or not count:
        problem = Problem("sdp-port", "m=", f"port {shown(port_text)} read as 0")
        return MediaLine(media, 0, 1, protocol, formats, problem)
    return MediaLine(media, port, count, protocol, formats, None if count == 1 else Problem("sdp-port-count", "m="))


def _read_formats(text: str) -> tuple[str, tuple[str, ...], Problem | None]:
    """Read protocol and formats of an `m=` line."""
    protocol, *formats = text.split() or ["RTP/AVP"]
    twice = len(set(formats)) < len(formats)
    return protocol, tuple(formats), Problem("sdp-formats", "m=", "a format stands twice") if twice else None


_read_formats_kept = lru_cache(maxsize=256)(_read_formats)


def read_number(text: str) -> int | None:
    """Read a decimal number of at most 20 digits, None for anything else."""
    return int(text) if len(text) <= _NUMBER_SIZE and text.isdigit() and text.isascii() else None
