"""Writes pcapng (draft-ietf-opsawg-pcapng), little-endian, times in nanoseconds.

One file has one link type and one snap length in all its interfaces: libpcap, and so sngrep and tcpdump, read no other.
Blocks are appended and never changed, so a file that was cut anywhere is good up to the cut.
"""

import struct
from collections.abc import Iterable
from typing import Final

from siprec_core.containers.capture import LINKTYPE_RAW, Direction
from siprec_core.errors import LocalProtocolError

SECTION_HEADER_BLOCK: Final = 0x0A0D0D0A
INTERFACE_DESCRIPTION_BLOCK: Final = 1
INTERFACE_STATISTICS_BLOCK: Final = 5
ENHANCED_PACKET_BLOCK: Final = 6
BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D

OPT_ENDOFOPT: Final = 0
OPT_COMMENT: Final = 1
SHB_HARDWARE: Final = 2
SHB_OS: Final = 3
SHB_USERAPPL: Final = 4
IF_NAME: Final = 2
IF_DESCRIPTION: Final = 3
IF_TSRESOL: Final = 9
IF_TSOFFSET: Final = 14
EPB_FLAGS: Final = 2
ISB_STARTTIME: Final = 2
ISB_ENDTIME: Final = 3
ISB_IFRECV: Final = 4
ISB_IFDROP: Final = 5

SNAP_SIZE: Final = 262_144
"""Snap length of every interface that we write: more than any IP packet."""
OPTION_SIZE: Final = 65_535
"""Most octets of one option's value; a longer comment cannot be written."""

_END_OF_OPTIONS = b"\0\0\0\0"
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
_UNKNOWN_SECTION_SIZE = 0xFFFF_FFFF_FFFF_FFFF
_PACKET = struct.Struct("<IIIIIII")
_PACKET_FIXED_SIZE = 32
"""An enhanced packet block without packet and options."""


def padding(size: int) -> bytes:
    """Give the zero octets that bring `size` to a multiple of four."""
    return _PADDING[size & 3]


def option(code: int, value: bytes) -> bytes:
    """Write one option; LocalProtocolError when the value is longer than 65,535 octets."""
    size = len(value)
    if size > OPTION_SIZE:
        raise LocalProtocolError(f"a pcapng option holds at most {OPTION_SIZE} octets, not {size}")
    return struct.pack("<HH", code, size) + value + padding(size)


def packet_options(direction: Direction | None, comments: Iterable[str] = ()) -> bytes:
    """Write the options of an enhanced packet block, with their end; nothing when there is none."""
    options = _comments(comments)
    if direction is not None:
        options += option(EPB_FLAGS, struct.pack("<I", direction.value))
    return options + _END_OF_OPTIONS if options else b""


def packet_block(
    interface: int, data: bytes | memoryview, *, at_ns: int, original_size: int, options: bytes = b""
) -> bytes:
    """Write an enhanced packet block; `options` as `packet_options` gives them."""
    size = len(data)
    pad = padding(size)
    total = _PACKET_FIXED_SIZE + size + len(pad) + len(options)
    high, low = time_fields(at_ns)
    head = _PACKET.pack(ENHANCED_PACKET_BLOCK, total, interface, high, low, size, original_size)
    return b"".join((head, data, pad, options, struct.pack("<I", total)))


def time_fields(at_ns: int) -> tuple[int, int]:
    """Give the upper and the lower half of a timestamp; an instant outside of 64 bits becomes the nearest inside."""
    at_ns = min(max(at_ns, 0), 0xFFFF_FFFF_FFFF_FFFF)
    return at_ns >> 32, at_ns & 0xFFFF_FFFF


def _block(block_type: int, body: bytes) -> bytes:
    total = len(body) + 12
    return struct.pack("<II", block_type, total) + body + struct.pack("<I", total)


def _comments(comments: Iterable[str]) -> bytes:
    return b"".join(option(OPT_COMMENT, _text(comment)) for comment in comments)


def _text(text: str) -> bytes:
    # Option text is UTF-8; a lone surrogate (octets of a peer that were not UTF-8) is written visibly.
    return text.encode("utf-8", "backslashreplace")


def _text_options(*options: tuple[int, str]) -> bytes:
    return b"".join(option(code, _text(text)) for code, text in options if text)


class PcapngEncoder:
    """Encodes one pcapng section: `start`, then interfaces and packets in any order."""

    __slots__ = ("_link_type", "interfaces")

    def __init__(self, *, link_type: int = LINKTYPE_RAW) -> None:
        self._link_type = link_type
        self.interfaces = 0
        """Interfaces described so far; the next one gets this index."""

    def start(
        self, *, application: str, hardware: str = "", operating_system: str = "", comments: Iterable[str] = ()
    ) -> bytes:
        """Encode the section header: call it first, once for a file."""
        options = _comments(comments) + _text_options(
            (SHB_HARDWARE, hardware), (SHB_OS, operating_system), (SHB_USERAPPL, application)
        )
        fixed = struct.pack("<IHHQ", BYTE_ORDER_MAGIC, 1, 0, _UNKNOWN_SECTION_SIZE)
        return _block(SECTION_HEADER_BLOCK, fixed + options + _END_OF_OPTIONS)

    def add_interface(self, name: str, description: str = "", *, comments: Iterable[str] = ()) -> bytes:
        """Encode the description of the next interface, whose index is `interfaces` before the call."""
        self.interfaces += 1
        options = (
            _comments(comments)
            + _text_options((IF_NAME, name), (IF_DESCRIPTION, description))
            + option(IF_TSRESOL, b"\x09")
        )
        fixed = struct.pack("<HHI", self._link_type, 0, SNAP_SIZE)
        return _block(INTERFACE_DESCRIPTION_BLOCK, fixed + options + _END_OF_OPTIONS)

    def add_packet(
        self,
        interface: int,
        data: bytes | memoryview,
        *,
        at_ns: int,
        direction: Direction | None = None,
        comments: Iterable[str] = (),
    ) -> bytes:
        """Encode one packet that is whole; what is over the snap length is cut and the true size told."""
        self._check(interface)
        options = packet_options(direction, comments)
        return packet_block(interface, data[:SNAP_SIZE], at_ns=at_ns, original_size=len(data), options=options)

    def add_statistics(
        self,
        interface: int,
        *,
        at_ns: int,
        started_ns: int | None = None,
        ended_ns: int | None = None,
        received: int | None = None,
        dropped: int | None = None,
        comments: Iterable[str] = (),
    ) -> bytes:
        """Encode interface statistics; LocalProtocolError when a comment is longer than `OPTION_SIZE` octets."""
        self._check(interface)
        options = _comments(comments)
        for code, instant in ((ISB_STARTTIME, started_ns), (ISB_ENDTIME, ended_ns)):
            if instant is not None:
                options += option(code, struct.pack("<II", *time_fields(instant)))
        for code, count in ((ISB_IFRECV, received), (ISB_IFDROP, dropped)):
            if count is not None:
                options += option(code, struct.pack("<Q", count))
        fixed = struct.pack("<III", interface, *time_fields(at_ns))
        return _block(INTERFACE_STATISTICS_BLOCK, fixed + options + _END_OF_OPTIONS)

    def _check(self, interface: int) -> None:
        if not 0 <= interface < self.interfaces:
            raise LocalProtocolError(f"interface {interface} was not described")
