"""SIP and SIPS URIs (RFC 3261 section 19.1)."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.grammar import read_host_port, unescape, write_host_port
from siprec_core.sip.parameters import NO_PARAMETERS, Parameters
from siprec_core.types import Transport

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+")
_USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#\x80-\U0010ffff]|%[0-9A-Fa-f]{2})*+")
_PASSWORD = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,:\x80-\U0010ffff]|%[0-9A-Fa-f]{2})*+")
_URI_PARAMETER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$\"@]|%[0-9A-Fa-f]{2}|[\x80-\U0010ffff])++")
_HEADERS = re.compile(r"[!$-;=?-_a-z~|\x80-\U0010ffff]*+")


@dataclass(frozen=True, slots=True)
class SipUri:
    """A `sip:` or `sips:` URI. User, password, parameters and headers are kept escaped, as they were written."""

    scheme: str
    """`sip` or `sips`."""
    user: str | None
    """Escaped; `unescape(user)` gives the characters."""
    password: str | None
    host: str
    """Lower case; an IPv6 address without brackets."""
    port: int | None
    parameters: Parameters = NO_PARAMETERS
    headers: str | None = None
    """What stands behind the question mark."""

    @classmethod
    def parse(cls, text: str, *, field: str = "URI") -> Self:
        """Read a URI.

        Raises RemoteProtocolError: status 416 for another scheme (RFC 3261 section 8.2.2.1), 400 for a malformed one.
        """
        scheme, colon, rest = text.partition(":")
        if not colon or _SCHEME.fullmatch(scheme) is None:
            raise RemoteProtocolError("no URI scheme", field=field)
        scheme = scheme.lower()
        if scheme not in ("sip", "sips"):
            raise RemoteProtocolError(f"URI scheme {scheme[:40]!r} is not supported", status_hint=416, field=field)
        user, password, rest = _split_user(rest, field)
        rest, question, headers = rest.partition("?")
        if _HEADERS.fullmatch(headers) is None:
            raise RemoteProtocolError("malformed headers of the URI", field=field)
        address, semicolon, parameters = rest.partition(";")
        host_port = read_host_port(address)
        if host_port is None:
            raise RemoteProtocolError("malformed host or port", field=field)
        return cls(
            scheme,
            user,
            password,
            host_port[0].lower(),
            host_port[1],
            _read_parameters(parameters, field) if semicolon else NO_PARAMETERS,
            headers if question else None,
        )

    @property
    def transport(self) -> Transport | None:
        """The transport that the URI asks for: TLS for `sips:`, else the `transport` parameter if we know it."""
        if self.scheme == "sips":
            return Transport.TLS
        try:
            return Transport((self.parameters.get("transport") or "").lower())
        except ValueError:
            return None

    def __str__(self) -> str:
        user = ""
        if self.user is not None:
            user = f"{self.user}@" if self.password is None else f"{self.user}:{self.password}@"
        headers = "" if self.headers is None else f"?{self.headers}"
        return f"{self.scheme}:{user}{write_host_port(self.host, self.port)}{self.parameters}{headers}"


def _split_user(rest: str, field: str) -> tuple[str | None, str | None, str]:
    # A raw `@` is allowed nowhere but behind userinfo, while the user part may hold `;` and `?` (RFC 4475 3.1.1.2).
    userinfo, at, host = rest.rpartition("@")
    if not at:
        return None, None, rest
    user, colon, password = userinfo.partition(":")
    if _USER.fullmatch(user) is None or _PASSWORD.fullmatch(password) is None:
        raise RemoteProtocolError("malformed user part", field=field)
    return user, password if colon else None, host


def _read_parameters(text: str, field: str) -> Parameters:
    items: list[tuple[str, str | None]] = []
    for item in text.split(";"):
        name, assigned, value = item.partition("=")
        if not item:
            continue  # `sip:host;;lr` is seen and means nothing else
        if _URI_PARAMETER.fullmatch(name) is None or (value and _URI_PARAMETER.fullmatch(value) is None):
            raise RemoteProtocolError("malformed parameter of the URI", field=field)
        items.append((name, value if assigned else None))
    return Parameters.from_raw(items)


_COMPARED_WHEN_ABSENT = ("transport", "user", "ttl", "method", "maddr")


def same_uri(a: SipUri, b: SipUri) -> bool:
    """Compare by RFC 3261 section 19.1.4.

    User and password are compared with regard to case, all else without. A port, or one of the parameters transport,
    user, ttl, method and maddr, that only one of the two has makes them different; other parameters of only one are
    ignored.
    """
    if a.scheme != b.scheme or a.port != b.port or _host(a) != _host(b):
        return False
    if _unescaped(a.user) != _unescaped(b.user) or _unescaped(a.password) != _unescaped(b.password):
        return False
    return _same_parameters(a.parameters, b.parameters) and _header_set(a) == _header_set(b)


def _host(uri: SipUri) -> str:
    if ":" in uri.host:
        try:
            return str(IPv6Address(uri.host))
        except ValueError:
            return uri.host.lower()
    return uri.host.lower()


def _unescaped(text: str | None) -> str | None:
    return None if text is None else unescape(text)


def _same_parameters(a: Parameters, b: Parameters) -> bool:
    ours = {unescape(name).lower(): unescape(value or "").lower() for name, value in a}
    theirs = {unescape(name).lower(): unescape(value or "").lower() for name, value in b}
    if any((name in ours) != (name in theirs) for name in _COMPARED_WHEN_ABSENT):
        return False
    return all(theirs[name] == value for name, value in ours.items() if name in theirs)


def _header_set(uri: SipUri) -> list[tuple[str, str]]:
    pairs = (item.partition("=") for item in (uri.headers or "").split("&") if item)
    return sorted((unescape(name).lower(), unescape(value)) for name, _, value in pairs)
