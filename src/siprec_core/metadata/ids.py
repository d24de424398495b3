"""Unique ids of the metadata: 16 octets in base64 by the rules, opaque text in practice (RFC 7865 section 6.10)."""

import hashlib
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from functools import lru_cache

_UNIQUE_ID = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
"""Base64 of 16 octets in its one canonical spelling."""
_UNIQUE_ID_SIZE = 24
"""Characters of that."""
_TEXTUAL_UUID = re.compile(
    r"(?:urn:uuid:)?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})", re.I
)
_OPAQUE_ID_SPACE = bytes.fromhex("3b0d7f5e6c1a4f0b9a4e2d8c71f05a96")
"""The name space of name-based UUIDs that stand for ids of another form (RFC 4122 section 4.3)."""


def is_unique_id(text: str) -> bool:
    """Tell whether `text` is the base64 of 16 octets.

    The variant and version bits are not looked at: RFC 7865 section 8.1 itself shows an id with neither.
    """
    return _UNIQUE_ID.fullmatch(text) is not None


def id_key(text: str) -> str:
    """Give what two spellings of one id share: the decoded octets when they are 16, else the text; case matters."""
    # Each id of a document is asked about some ten times; a text of another length is not kept, it may be long.
    return _usual_id_key(text) if len(text) == _UNIQUE_ID_SIZE else _id_key(text)


def _id_key(text: str) -> str:
    if _UNIQUE_ID.fullmatch(text):
        return text
    compact = "".join(text.split())
    octets = _sixteen_octets(compact) if len(compact) == _UNIQUE_ID_SIZE else None
    return compact if octets is None else b64encode(octets).decode("ascii")


_usual_id_key = lru_cache(maxsize=1024)(_id_key)


def unique_id_for(text: str) -> str:
    """Give the id in the form of RFC 7865 section 6.10.

    An id of that form is itself, a UUID in hexadecimal is encoded, any other text is the name of a name-based UUID, so
    that the same text always gives the same id.
    """
    key = id_key(text)
    if _UNIQUE_ID.fullmatch(key):
        return key
    textual = _TEXTUAL_UUID.fullmatch(key)
    if textual is not None:
        return b64encode(bytes.fromhex("".join(textual.groups()))).decode("ascii")
    octets = bytearray(
        hashlib.sha1(_OPAQUE_ID_SPACE + key.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()[:16]
    )
    octets[6] = octets[6] & 0x0F | 0x50
    octets[8] = octets[8] & 0x3F | 0x80
    return b64encode(octets).decode("ascii")


def _sixteen_octets(text: str) -> bytes | None:
    try:
        octets = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return None
    return octets if len(octets) == 16 else None
