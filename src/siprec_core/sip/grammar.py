"""Lexical rules of RFC 3261 section 25.1 that several header fields share.

No pattern here repeats ambiguously (the quantifiers are possessive), so that no text makes one slower than linear.
Blanks are SP and HTAB only: line folding is undone before a value reaches these functions.
"""

import re
from ipaddress import IPv6Address

TOKEN_CLASS = r"[A-Za-z0-9\-.!%*_+`'~]"
"""One character of `token`."""
QUOTED_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
"""A `quoted-string`; use with `re.DOTALL`, because a quoted pair may hold any character but CR and LF."""
BLANKS = " \t"

_TOKEN = re.compile(TOKEN_CLASS + "+")
_QUOTED = re.compile(QUOTED_STRING, re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_NEEDS_ESCAPE = re.compile(r'(["\\\x00-\x08\x0b\x0c\x0e-\x1f\x7f])')
_LIST_SPECIAL = re.compile(r'[",<]')
_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._\-]{1,255}))[ \t]*+(?::[ \t]*+([0-9]{1,10}))?")
_DIGITS = re.compile("[0-9]+")
_ESCAPED = re.compile("%([0-9A-Fa-f]{2})")


def is_token(text: str) -> bool:
    """Tell whether `text` is a `token`: not empty, nothing but token characters."""
    return _TOKEN.fullmatch(text) is not None


def quote(text: str) -> str:
    """Write `text` as a quoted string; control characters but CR, LF and HTAB become quoted pairs."""
    escaped = _NEEDS_ESCAPE.sub(r"\\\1", text)
    return f'"{escaped}"'


def unquote(text: str) -> str:
    """Give the content of a quoted string with quoted pairs resolved; any other text comes back as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    return _QUOTED_PAIR.sub(r"\1", inner) if "\\" in inner else inner


def quoted_end(text: str, start: int) -> int:
    """Give the index behind the quoted string that opens at `start`, -1 when it is never closed."""
    match = _QUOTED.match(text, start)
    return -1 if match is None else match.end()


def split_list(text: str) -> list[str]:
    """Split a field value at the commas that are neither in quotes nor in angle brackets (RFC 3261 section 7.3.1).

    Entries lose the blanks around them; empty entries are left out. A quote or bracket that is never closed protects
    nothing.
    """
    if "," not in text:
        entry = text.strip(BLANKS)
        return [entry] if entry else []
    if '"' not in text and "<" not in text:
        entries = text.split(",")
    else:
        entries = _split_protected(text)
    return [stripped for entry in entries if (stripped := entry.strip(BLANKS))]


def _split_protected(text: str) -> list[str]:
    entries: list[str] = []
    start = position = 0
    quotes = brackets = True
    while (match := _LIST_SPECIAL.search(text, position)) is not None:
        position = match.end()
        special = match[0]
        if special == ",":
            entries.append(text[start : position - 1])
            start = position
        elif special == '"' and quotes:
            end = quoted_end(text, position - 1)
            quotes = end != -1
            position = end if quotes else position
        elif special == "<" and brackets:
            end = text.find(">", position)
            brackets = end != -1
            position = end + 1 if brackets else position
    entries.append(text[start:])
    return entries


def read_host_port(text: str) -> tuple[str, int | None] | None:
    """Read `host [":" port]`; an IPv6 reference comes back without its brackets. None when it is neither.

    Underscores in host names are taken although RFC 1034 has none: they are common in private networks.
    """
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        return None
    reference, host, digits = match.groups()
    if reference is not None:
        if not _is_ipv6(reference):
            return None
        host = reference
    if digits is None:
        return host, None
    port = int(digits)
    return (host, port) if port <= 65_535 else None


def write_host_port(host: str, port: int | None) -> str:
    """Write `host [":" port]` with brackets around an IPv6 address."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def read_number(text: str, maximum: int) -> int | None:
    """Read an unsigned decimal number with any number of leading zeros; None when it is none or above `maximum`."""
    if _DIGITS.fullmatch(text) is None:
        return None
    digits = text.lstrip("0")
    # int() of a very long string is refused by the interpreter and slow before that.
    if len(digits) > 20:
        return None
    number = int(digits or "0")
    return number if number <= maximum else None


def unescape(text: str) -> str:
    """Resolve `%HH` once, never recursively (RFC 4475 section 3.1.1.3); octets beyond ASCII are read as UTF-8."""
    if "%" not in text:
        return text
    octets = bytearray()
    position = 0
    for match in _ESCAPED.finditer(text):
        octets += text[position : match.start()].encode("utf-8", "surrogateescape")
        octets.append(int(match[1], 16))
        position = match.end()
    octets += text[position:].encode("utf-8", "surrogateescape")
    return octets.decode("utf-8", "surrogateescape")
