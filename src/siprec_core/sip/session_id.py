"""The Session-ID header field (RFC 7989): one identifier for a call across everything that it passes.

Each end has a UUID of its own; the header field tells both. We join where the peer begins, and then keep to it in every
response and request of the dialog. Our half follows from our tag of the dialog, so that nothing has to be remembered.
"""

import re
from dataclasses import dataclass
from hashlib import sha1

from siprec_core.sip.headers import Headers

NIL = "0" * 32
"""The UUID of an end that is not known yet (RFC 7989 section 5)."""
_VALUE = re.compile(
    r"([0-9a-f]{32})[ \t]*+(?:;[ \t]*+remote[ \t]*+=[ \t]*+([0-9a-f]{32}))?+[ \t]*+(?:;.*)?+", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class SessionIdentifier:
    """Both halves, seen from the sender; 32 lower-case hexadecimal digits each."""

    local: str
    remote: str | None
    """None in the form of before RFC 7989 (RFC 7329), where both ends send one identifier."""

    def __str__(self) -> str:
        return self.local if self.remote is None else f"{self.local};remote={self.remote}"


def session_identifier_of(headers: Headers) -> SessionIdentifier | None:
    """Read Session-ID; None without the field, or with one that names no session."""
    match = _VALUE.fullmatch((headers.get("Session-ID") or "").strip())
    if match is None or match[1] == NIL:
        return None
    return SessionIdentifier(match[1].lower(), None if match[2] is None else match[2].lower())


def joined(theirs: SessionIdentifier, *, local_tag: str) -> SessionIdentifier:
    """Give the field of our messages to a peer that has sent `theirs` (RFC 7989 section 6)."""
    if theirs.remote is None:
        return theirs  # RFC 7989 11: a peer of RFC 7329 gets its own identifier back
    return SessionIdentifier(uuid_of(local_tag), theirs.local)


def uuid_of(local_tag: str) -> str:
    """Give our UUID of a dialog: version 5, a hash of our tag, which is random (RFC 7989 section 4.1)."""
    octets = bytearray(sha1(local_tag.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x50
    octets[8] = octets[8] & 0x3F | 0x80
    return octets.hex()
