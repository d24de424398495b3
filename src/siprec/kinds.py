"""Kinds of settings: how a value is read from text and from TOML, and how it is written.

Readers raise ValueError or `argparse.ArgumentTypeError` with a phrase that says what is wrong; whoever calls them knows
where the value stood.
"""

import argparse
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from siprec.options import disk_reserve, port_range, seconds
from siprec_core.types import Address

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+\Z")
_WHOLE: Final = re.compile(r"[+-]?\d{1,18}\Z", re.ASCII)
_NAMES: Final = {str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What the values of a setting are."""

    read: Callable[[str], Any]
    """Reads the text of an option or of an environment variable."""
    take: Callable[[object], Any]
    """Reads a value of a TOML file."""
    plain: Callable[[Any], object] = lambda value: value
    """Gives a value as TOML has it: text, number, truth, list or table."""
    within: Callable[[Any, Path], Any] = lambda value, folder: value
    """Gives a value whose file names are relative to a folder."""
    item: "Kind | None" = None
    """Kind of the entries, for a list."""


def textual(read: Callable[[str], Any], plain: Callable[[Any], object] = str) -> Kind:
    """Make the kind of what is text in TOML too."""
    return Kind(read, lambda value: read(_of_type(value, str)), plain)


def choice(*names: str) -> Kind:
    """Make the kind of one name among several."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text!r} is not {_alternatives(names)}")
        return text

    return textual(read)


def whole(low: int, high: int | None = None) -> Kind:
    """Make the kind of whole numbers from `low` to `high`."""

    def check(value: int) -> int:
        if value < low or (high is not None and value > high):
            raise ValueError(f"{value} is not a whole number from {low} {'on' if high is None else f'to {high}'}")
        return value

    def read(text: str) -> int:
        if not _WHOLE.match(text):
            raise ValueError(f"{text!r} is not a whole number from {low} {'on' if high is None else f'to {high}'}")
        return check(int(text))

    return Kind(read, lambda value: check(_of_type(value, int)))


def duration() -> Kind:
    """Make the kind of seconds from 0 on."""

    def take(value: object) -> float:
        number = value if isinstance(value, int) and not isinstance(value, bool) else _of_type(value, float)
        if not math.isfinite(number) or number < 0:
            raise ValueError(f"{number} is not a number of seconds")
        return float(number)

    return Kind(seconds, take)


def switch() -> Kind:
    """Make the kind of yes and no."""

    def read(text: str) -> bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() == "true"

    return Kind(read, lambda value: bool(_of_type(value, bool)))


def several(item: Kind) -> Kind:
    """Make the kind of lists; in text the entries stand between commas."""

    def read(text: str) -> tuple[Any, ...]:
        return _filled(item.read(part.strip()) for part in text.split(",") if part.strip())

    def take(value: object) -> tuple[Any, ...]:
        return _filled(item.take(each) for each in _of_type(value, list))

    return Kind(
        read,
        take,
        lambda value: [item.plain(each) for each in value],
        lambda value, folder: tuple(item.within(each, folder) for each in value),
        item,
    )


def path() -> Kind:
    """Make the kind of names of files and folders."""

    def read(text: str) -> Path:
        if not text or "\0" in text:
            raise ValueError("it has to name a file or a folder")
        return Path(text)

    kind = textual(read)
    return Kind(kind.read, kind.take, str, lambda value, folder: folder / value)


def ports() -> Kind:
    """Make the kind of a range of UDP ports."""
    return textual(port_range, lambda value: f"{value[0]}-{value[1]}")


def reserve() -> Kind:
    """Make the kind of what is kept free of a disk: a size or a share."""
    return textual(disk_reserve, lambda value: str(value.size) if value.fraction == 1 else f"{value.fraction * 100:g}%")


def word() -> Kind:
    """Make the kind of one line of text that is not empty."""

    def read(text: str) -> str:
        if not text.strip() or not text.isprintable():
            raise ValueError(f"{text!r} is not one line of text")
        return text

    return textual(read)


def address() -> Kind:
    """Make the kind of an IPv4 or IPv6 address, or of a host name that stands for one."""
    return textual(read_address)


def endpoint() -> Kind:
    """Make the kind of an address with a port."""

    def read(text: str) -> Address:
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65_535:
            raise ValueError(f"{text!r} is not of the form HOST:PORT")
        if ":" in host and not host.startswith("["):
            raise ValueError(f"{text!r}: an IPv6 address stands in brackets")
        return Address(read_address(host), int(port))

    return textual(read)


def read_address(text: str) -> str:
    """Read an IPv4 address, an IPv6 address (brackets are taken off) or a host name. Raises ValueError."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*", bare) and not re.fullmatch(r"[\d.]+", bare):
        return bare
    try:
        return str(ip_address(bare))
    except ValueError:
        raise ValueError(f"{text!r} is not an address such as 192.0.2.1 or 2001:db8::1") from None


def argument(kind: Kind) -> Callable[[str], Any]:
    """Give the reader of a kind as argparse wants it."""

    def read(text: str) -> Any:  # noqa: ANN401 - of the kind
        try:
            return kind.read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def toml(value: object) -> str:
    """Write a plain value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {toml(each)}' for key, each in value.items())} }}"
    if isinstance(value, int | float):
        return repr(value)
    return _quoted(str(value))


def _key(text: str) -> str:
    return text if _BARE_KEY.match(text) else _quoted(text)


def _quoted(text: str) -> str:
    # A JSON string is a basic string of TOML, but for DEL, which TOML wants escaped. What is not UTF-8 in the name of a
    # file cannot be said in TOML.
    valid = text.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(valid, ensure_ascii=False).replace("\x7f", "\\u007f")


def _of_type(value: object, wanted: type) -> Any:  # noqa: ANN401 - of that type
    # Truth is a number to Python, not to TOML.
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ValueError(f"it has to be {_NAMES[wanted]}")
    return value


def _filled(values: Iterable[Any]) -> tuple[Any, ...]:
    found = tuple(values)
    if not found:
        raise ValueError("the list is empty")
    return found


def _alternatives(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
