"""From the octets of a metadata body to UTF-8.

A byte order mark outranks the charset parameter of the media type, which outranks the XML declaration (RFC 7303 section
3, RFC 7865 section 5.1). UTF-8, UTF-16, ISO-8859-1 and ASCII are read; every other encoding is refused.
"""

import re
from dataclasses import dataclass

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding

_DECLARED = re.compile(
    rb"[ \t\r\n]*<\?xml[^>]{0,100}?encoding[ \t\r\n]{0,8}=[ \t\r\n]{0,8}[\"']([A-Za-z0-9._:-]{1,40})[\"']"
)
_UTF_8, _UTF_16_LE, _UTF_16_BE, _LATIN_1 = "utf-8", "utf-16-le", "utf-16-be", "iso-8859-1"
_ENCODINGS = {
    "utf-8": _UTF_8,
    "utf8": _UTF_8,
    "us-ascii": _UTF_8,
    "ascii": _UTF_8,
    "utf-16": "utf-16",
    "utf16": "utf-16",
    "utf-16le": _UTF_16_LE,
    "utf-16be": _UTF_16_BE,
    "iso-8859-1": _LATIN_1,
    "iso_8859-1": _LATIN_1,
    "iso8859-1": _LATIN_1,
    "latin1": _LATIN_1,
    "latin-1": _LATIN_1,
}
_SPACE = b" \t\r\n"
_USUAL = (
    b'<?xml version="1.0" encoding="UTF-8"?>',
    b'<?xml version="1.0" encoding="utf-8"?>',
    b"<?xml version='1.0' encoding='UTF-8'?>",
    b"<recording ",
)
"""Beginnings that leave nothing to find out."""


@dataclass(slots=True)
class DecodedBody:
    """A body in UTF-8, or why it cannot be had."""

    data: bytes
    """UTF-8 octets from the first `<` or the first octet that is no white space; empty with an error."""
    findings: list[Finding]
    error: RemoteProtocolError | None = None
    skipped_lines: int = 0
    """Lines cut off in front, for places in findings."""
    skipped_columns: int = 0
    """Characters cut off in front on the first line that is left."""


def decode_body(raw: bytes, charset: str | None) -> DecodedBody:
    """Give the body in UTF-8 without byte order mark, white space in front and NUL octets behind."""
    body = DecodedBody(b"", [])
    if charset is None and raw.startswith(_USUAL) and not raw.endswith(b"\0"):
        body.data = raw
        return body
    encoding, mark_size = _by_mark(raw)
    if encoding == "utf-32":
        return _refuse(body, "UTF-32 is not read")
    if mark_size:
        if encoding == _UTF_8:
            body.findings.append(finding("metadata-byte-order-mark", "encoding"))
        raw = raw[mark_size:]
    else:
        encoding = _by_name(raw, charset, body)
    if encoding is None:
        return body
    if encoding != _UTF_8:
        try:
            raw = raw.decode(encoding).encode("utf-8")
        except UnicodeError as error:
            return _refuse(body, f"the octets are not {encoding.upper()}: {error}")
    body.data = _trim(raw, body)
    return body


def _by_mark(raw: bytes) -> tuple[str | None, int]:
    """Give encoding and size of a byte order mark."""
    if raw.startswith(b"\xef\xbb\xbf"):
        return _UTF_8, 3
    if raw.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32", 4
    if raw.startswith(b"\xff\xfe"):
        return _UTF_16_LE, 2
    if raw.startswith(b"\xfe\xff"):
        return _UTF_16_BE, 2
    return None, 0


def _by_name(raw: bytes, charset: str | None, body: DecodedBody) -> str | None:
    """Choose by charset parameter, look of the octets and declaration; None when the encoding is refused."""
    wide = _UTF_16_LE if raw[1:2] == b"\0" else _UTF_16_BE if raw[:1] == b"\0" else None
    match = None if wide else _DECLARED.match(raw)
    declared = match.group(1).decode("ascii") if match else None
    named = _ENCODINGS.get(charset.strip(" \t\"'").lower()) if charset else None
    if charset and named is None:
        body.findings.append(
            finding("metadata-charset", "charset", f"the charset {charset[:40]!r} is unknown; ignored")
        )
    elif charset and declared and _ENCODINGS.get(declared.lower()) != named:
        message = f"the charset parameter {charset[:40]!r} is taken, the declaration says {declared!r}"
        body.findings.append(finding("metadata-charset", "charset", message))
    if named is None and declared is not None:
        named = _ENCODINGS.get(declared.lower())
        if named is None:
            _refuse(body, f"the encoding {declared!r} is not read")
            return None
    if (named or "").startswith("utf-16") != (wide is not None):
        # .NET's string writers declare UTF-16 over octets that are UTF-8.
        if named is not None:
            message = f"{named.upper()} is announced, the octets are {'UTF-16' if wide else 'not'}"
            body.findings.append(finding("metadata-charset", "encoding", message))
        return wide or _UTF_8
    return (wide if named == "utf-16" else named) or _UTF_8


def _trim(data: bytes, body: DecodedBody) -> bytes:
    """Cut off what stands before the XML declaration and NUL octets at the end."""
    if data[:1] in (b" ", b"\t", b"\r", b"\n"):
        rest = data.lstrip(_SPACE)
        if rest.startswith(b"<?xml"):
            skipped = data[: len(data) - len(rest)]
            body.skipped_lines = skipped.count(b"\n")
            body.skipped_columns = len(skipped) - skipped.rfind(b"\n") - 1
            body.findings.append(finding("metadata-leading-space", "declaration", line=1, column=1))
            data = rest
    if data.endswith(b"\0"):
        body.findings.append(finding("metadata-trailing-octets", "document"))
        data = data.rstrip(b"\0")
    return data


def _refuse(body: DecodedBody, message: str) -> DecodedBody:
    body.error = RemoteProtocolError(message, field="encoding")
    body.findings.append(finding("metadata-encoding", "encoding", message))
    return body
