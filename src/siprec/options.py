"""Options that several commands have, and readers of option values."""

import argparse
import math
import re
from typing import Final, Literal, TypeAlias, get_args

from siprec_sync.space import DiskReserve

Worker: TypeAlias = Literal["asyncio", "uvloop", "trio", "sync"]
"""What runs a server or a client: an event loop, or a thread."""
WORKERS: Final[tuple[Worker, ...]] = get_args(Worker)
_SIZE = re.compile(r"(\d{1,15})([KMGT]?)\Z")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_PORTS = re.compile(r"(\d{1,5})-(\d{1,5})\Z")


def add_worker(parser: argparse.ArgumentParser) -> None:
    """Add `-k/--worker`."""
    parser.add_argument(
        "-k",
        "--worker",
        metavar="NAME",
        choices=WORKERS,
        default="asyncio",
        help="what runs it: asyncio (default), uvloop, trio or sync (a thread)",
    )


def positive_number(text: str) -> int:
    """Read a whole number from 1 on."""
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def seconds(text: str) -> float:
    """Read a duration from 0 on."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def positive_seconds(text: str) -> float:
    """Read a duration above 0."""
    value = seconds(text)
    if value == 0:
        raise argparse.ArgumentTypeError("it has to be above 0")
    return value


def percent(text: str) -> float:
    """Read a share from 0 to 100."""
    value = seconds(text)
    if value > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is above 100 percent")
    return value


def port_range(text: str) -> tuple[int, int]:
    """Read `LOW-HIGH`: at least one even port and the one behind it, because RTCP takes that."""
    match = _PORTS.match(text)
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= low < high <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of ports such as 30000-39999")
    if low + low % 2 + 1 > high:
        raise argparse.ArgumentTypeError(f"{text!r} has no even port with the one behind it")
    return low, high


def disk_reserve(text: str) -> DiskReserve:
    """Read a size such as `500M` or a share such as `2%`; 0 switches the reserve off."""
    if text.endswith("%"):
        try:
            share = float(text[:-1]) / 100
        except ValueError:
            share = math.nan
        if 0 <= share <= 1:
            return DiskReserve(size=2**63, fraction=share)
    elif match := _SIZE.match(text):
        return DiskReserve(size=int(match[1]) * _UNITS[match[2]], fraction=1.0)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a size such as 500M nor a share such as 2%")
