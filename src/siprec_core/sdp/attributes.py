"""SDP attributes: the pair itself and readers for the values that siprec understands (RFC 8866 section 6).

The readers are lenient; what they had to tolerate the parser reports with the line it stands in.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple


class Attribute(NamedTuple):
    """An `a=` line as written."""

    name: str
    """Attribute name; names are case-sensitive (RFC 8866 section 5.13)."""
    value: str | None = None
    """What stands behind the colon; None for a property attribute such as `a=sendonly`."""

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value}"


DIRECTIONS: Final = frozenset(("sendrecv", "sendonly", "recvonly", "inactive"))
"""The direction attributes (RFC 8866 section 6.7)."""

TOKEN: Final = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+")
"""A token (RFC 8866 section 9): label values and media types among others."""


class RtcpAttribute(NamedTuple):
    """The content of `a=rtcp` (RFC 3605 section 2.1)."""

    port: int
    """RTCP port, 1 to 65535."""
    host: str | None = None
    """Address when it differs from the media's."""


_RTCP = re.compile(r"\s*([0-9]{1,5})(?:\s+IN\s+IP[46]\s+(\S+))?\s*", re.IGNORECASE)


def read_rtcp(value: str) -> RtcpAttribute | None:
    """Read an `a=rtcp` value, None when it is malformed or its port out of range."""
    match = _RTCP.fullmatch(value)
    if match is None or not 0 < int(match[1]) < 65536:
        return None
    return RtcpAttribute(int(match[1]), match[2])


_MILLISECONDS = re.compile(r"\s*([0-9]{1,6})(?:\.[0-9]{0,9})?\s*")


def read_milliseconds(value: str | None) -> int | None:
    """Read a packet time in whole milliseconds (RFC 8866 sections 6.4 and 6.5), None when malformed or 0."""
    match = None if value is None else _MILLISECONDS.fullmatch(value)
    return None if match is None else int(match[1]) or None


class SsrcAttribute(NamedTuple):
    """The content of `a=ssrc` (RFC 5576 section 4.1)."""

    ssrc: int
    """Synchronisation source, 0 to 2^32 - 1."""
    name: str
    """Name of the source's attribute, for example `cname`."""
    value: str | None = None


_SSRC = re.compile(r"([0-9]{1,10})\s+([^\s:]+)(?::(.*))?", re.DOTALL)


def read_ssrc(value: str) -> SsrcAttribute | None:
    """Read an `a=ssrc` value, None when it is malformed."""
    match = _SSRC.fullmatch(value)
    if match is None or int(match[1]) >= 1 << 32:
        return None
    return SsrcAttribute(int(match[1]), match[2], match[3])


class FingerprintAttribute(NamedTuple):
    """The content of `a=fingerprint` (RFC 8122 section 5)."""

    hash_function: str
    """In lower case, for example `sha-256`."""
    digest: bytes


_FINGERPRINT = re.compile(r"([A-Za-z0-9-]{1,32})\s+([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){0,127})")


def read_fingerprint(value: str) -> FingerprintAttribute | None:
    """Read an `a=fingerprint` value, None when it is malformed."""
    match = _FINGERPRINT.fullmatch(value)
    return None if match is None else FingerprintAttribute(match[1].lower(), bytes.fromhex(match[2].replace(":", "")))


class GroupAttribute(NamedTuple):
    """The content of a session's `a=group` (RFC 5888 section 5)."""

    semantics: str
    """`BUNDLE`, `LS` and the like, as written."""
    mids: tuple[str, ...]
    """Identification tags of the media lines in the group."""


def read_group(value: str | None) -> GroupAttribute | None:
    """Read an `a=group` value, None when it is empty."""
    semantics, *mids = (value or "").split() or [""]
    return GroupAttribute(semantics, tuple(mids)) if semantics else None


def split_fmtp(value: str) -> tuple[str, str]:
    """Split an `a=fmtp` value at its first blank into format and parameters (RFC 8866 section 6.15)."""
    parts = value.split(None, 1)
    return (parts[0], parts[1].strip()) if len(parts) == 2 else (value.strip(), "")


_EVENT_RANGE = re.compile(r"([0-9]{1,3})(?:\s*-\s*([0-9]{1,3}))?")
_EVENT_LIST_SIZE = 1_024
"""Longest event list read: 256 events, each with its comma."""


_DTMF = frozenset(range(16))


def read_events(value: str | None) -> frozenset[int]:
    """Read the event list of telephone-event (RFC 4733 section 2.4.1); without one it is 0 to 15, which are DTMF's.

    Parts that cannot be read are left out, an `events=` in front is ignored; an unreadable list gives the empty set.
    """
    if value is None or value == "0-15" or not value.strip():
        return _DTMF
    events: set[int] = set()
    for part in value[:_EVENT_LIST_SIZE].removeprefix("events=").split(","):
        match = _EVENT_RANGE.fullmatch(part.strip())
        if match is not None:
            events.update(range(int(match[1]), min(int(match[2] or match[1]), 255) + 1))
    return frozenset(event for event in events if event <= 255)


@lru_cache(maxsize=64)
def write_events(events: frozenset[int]) -> str:
    """Write an event list, for example `0-15,66` (RFC 4733 section 2.4.1)."""
    runs: list[list[int]] = []
    for event in sorted(events):
        if runs and runs[-1][1] == event - 1:
            runs[-1][1] = event
        else:
            runs.append([event, event])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


_HOST_SIZE = 255
"""Longest host name (RFC 1035 section 2.3.4); also what keeps the cache below small."""


def numeric_address(host: str) -> IPv4Address | IPv6Address | None:
    """Read a numeric address, None for a host name or anything else. An IPv4-mapped IPv6 address is IPv4."""
    return _numeric_address(host) if len(host) <= _HOST_SIZE else None


@lru_cache(maxsize=1024)
def _numeric_address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def shown(text: str) -> str:
    """Give a peer's text fit for a message: short, and without characters that are not printable."""
    short = text if len(text) <= 40 else f"{text[:40]}..."
    return short if short.isprintable() else ascii(short)
