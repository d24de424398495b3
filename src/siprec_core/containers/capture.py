"""The values that capture files hold: what readers give and writers take.

Interfaces are numbered through the whole file, from 0, sections notwithstanding. Instants are nanoseconds since
1970-01-01T00:00:00Z.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from siprec_core.findings import Finding, finding
from siprec_core.types import Address

LINKTYPE_NULL: Final = 0
"""BSD loopback: address family in the byte order of the machine that captured."""
LINKTYPE_ETHERNET: Final = 1
LINKTYPE_RAW: Final = 101
"""An IPv4 or IPv6 packet without a link header: what we write."""
LINKTYPE_LOOP: Final = 108
"""OpenBSD loopback: address family in network order."""
LINKTYPE_LINUX_SLL: Final = 113
"""Linux "any" device, first form."""
LINKTYPE_IPV4: Final = 228
LINKTYPE_IPV6: Final = 229
LINKTYPE_LINUX_SLL2: Final = 276
"""Linux "any" device, second form."""


class Direction(Enum):
    """Which way a packet went, seen from the machine that captured (`epb_flags` bits 0 and 1)."""

    INBOUND = 1
    OUTBOUND = 2

    __hash__ = object.__hash__  # that of an Enum is a call of Python, and each message looks for its direction


@dataclass(slots=True, kw_only=True)
class Section:
    """A pcapng section began: who wrote it. A classic pcap file gives one with nothing known."""

    hardware: str = ""
    operating_system: str = ""
    application: str = ""
    comments: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Interface:
    """An interface was described; packets of it may follow."""

    index: int
    link_type: int
    name: str = ""
    description: str = ""
    snap_size: int = 0
    """Most octets of a packet that were captured; 0 = no bound."""
    comments: tuple[str, ...] = ()


@dataclass(slots=True)
class Packet:
    """One captured packet with its link header."""

    interface: int
    at_ns: int
    """0 when the file tells no time (simple packet blocks)."""
    data: bytes
    original_size: int
    """Octets on the wire; more than `data` has when the capture cut the packet."""
    direction: Direction | None = None
    comments: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Statistics:
    """Interface statistics; our journals carry their notes in the comments."""

    interface: int
    at_ns: int
    started_ns: int | None = None
    ended_ns: int | None = None
    received: int | None = None
    dropped: int | None = None
    comments: tuple[str, ...] = ()


@dataclass(slots=True)
class CaptureProblem:
    """A capture is broken at one place; the reader went on as far as it could."""

    finding: Finding
    offset: int | None = None
    """Octet of the file, from 0, where the broken piece starts, when it is known."""


@dataclass(slots=True)
class Datagram:
    """One UDP datagram, or the next piece of one direction of a TCP connection, in order."""

    at_ns: int
    transport: Literal["udp", "tcp"]
    source: Address
    destination: Address
    payload: bytes
    interface: int
    direction: Direction | None = None
    restart: bool = False
    """TCP: begin a new framer here, for a connection began or octets before this piece are not in the capture."""
    missing_size: int = 0
    """UDP: octets at the end that the capture cut off."""


def capture_problem(code: str, message: str, *, offset: int) -> CaptureProblem:
    """Make a problem of a registered finding code at an octet of the file."""
    return CaptureProblem(finding(code, f"octet {offset}", message), offset)
