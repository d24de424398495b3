"""Reads pcapng (draft-ietf-opsawg-pcapng) from octets as they come: both byte orders, several sections, any block.

A block that cannot be framed costs one problem and a search for the next block that can: behind a write that failed
half-way the rest of a journal is still worth having.
"""

import re
import struct
from collections import deque
from dataclasses import dataclass
from typing import Final

from siprec_core.containers.buffer import ChunkBuffer
from siprec_core.containers.capture import (
    CaptureProblem,
    Direction,
    Interface,
    Packet,
    Section,
    Statistics,
    capture_problem,
)
from siprec_core.containers.pcapng import (
    BYTE_ORDER_MAGIC,
    ENHANCED_PACKET_BLOCK,
    EPB_FLAGS,
    IF_DESCRIPTION,
    IF_NAME,
    IF_TSOFFSET,
    IF_TSRESOL,
    INTERFACE_DESCRIPTION_BLOCK,
    INTERFACE_STATISTICS_BLOCK,
    ISB_ENDTIME,
    ISB_IFDROP,
    ISB_IFRECV,
    ISB_STARTTIME,
    OPT_COMMENT,
    OPT_ENDOFOPT,
    SECTION_HEADER_BLOCK,
    SHB_HARDWARE,
    SHB_OS,
    SHB_USERAPPL,
)
from siprec_core.limits import Limits

LAST_INSTANT_NS: Final = 253_402_300_799_999_999_999
"""The last nanosecond of the year 9999, the last that RFC 3339 can write."""

_OBSOLETE_PACKET_BLOCK = 2
_SIMPLE_PACKET_BLOCK = 3
_DIRECTIONS = {direction.value: direction for direction in Direction}
_UNKNOWN_SIZE = 0xFFFF_FFFF_FFFF_FFFF

_Item = Section | Interface | Packet | Statistics | CaptureProblem
_Options = list[tuple[int, bytes]]


class _ByteOrder:
    """The structures of one byte order."""

    __slots__ = ("block", "block_start", "interface", "name", "obsolete_packet", "option", "packet", "pair", "word")

    def __init__(self, name: str) -> None:
        self.name = name
        self.block = struct.Struct(name + "II")
        self.word = struct.Struct(name + "I")
        self.pair = struct.Struct(name + "II")
        self.packet = struct.Struct(name + "IIIII")
        self.obsolete_packet = struct.Struct(name + "HHIIII")
        self.interface = struct.Struct(name + "HHI")
        self.option = struct.Struct(name + "HH")
        # The blocks that are worth going on at after a broken piece.
        types = (INTERFACE_DESCRIPTION_BLOCK, INTERFACE_STATISTICS_BLOCK, ENHANCED_PACKET_BLOCK, SECTION_HEADER_BLOCK)
        self.block_start = re.compile(b"|".join(re.escape(self.word.pack(block_type)) for block_type in types))


_LITTLE, _BIG = _ByteOrder("<"), _ByteOrder(">")


@dataclass(slots=True)
class _Clock:
    """How one interface counts time: nanoseconds are `ticks * multiplier // divisor + offset_ns`."""

    multiplier: int
    divisor: int
    offset_ns: int
    snap_size: int


class PcapngReader:
    """Turns the octets of a pcapng file into items. Never raises for what they hold."""

    __slots__ = (
        "_buffer",
        "_clocks",
        "_ended",
        "_first_clock",
        "_last_options",
        "_limits",
        "_order",
        "_pending",
        "_search_needs",
        "_searching",
        "_time_reported",
    )

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._buffer = ChunkBuffer()
        self._order = _LITTLE
        self._clocks: list[_Clock] = []
        self._first_clock = 0
        self._pending: deque[_Item] = deque()
        self._searching = False
        self._search_needs = 0
        self._ended = False
        self._time_reported = False
        self._last_options: tuple[bytes, Direction | None, tuple[str, ...]] = (b"", None, ())

    def receive(self, data: bytes | memoryview) -> None:
        """Take the next octets of the file, any number of them."""
        self._buffer.receive(data)

    def end_of_file(self) -> None:
        """Tell that no octet follows; `poll` then reports a torn end."""
        self._ended = True

    def poll(self) -> _Item | None:
        """Give the next item, None when more octets are needed (or the file is at its end)."""
        while True:
            if self._pending:
                return self._pending.popleft()
            if self._searching and not self._search():
                return None
            item_or_wait = self._next_block()
            if item_or_wait is False:
                return None
            if item_or_wait is not True:
                return item_or_wait

    def _next_block(self) -> _Item | bool:
        """Read one block. True: it gave nothing (or what it gave is pending); False: octets are missing."""
        buffer = self._buffer
        if not buffer.has(12):
            return self._short()
        data, offset = buffer.data, buffer.offset
        block_type, total = self._order.block.unpack_from(data, offset)
        if block_type == SECTION_HEADER_BLOCK:
            magic = data[offset + 8 : offset + 12]
            if magic == _LITTLE.word.pack(BYTE_ORDER_MAGIC):
                self._order = _LITTLE
            elif magic == _BIG.word.pack(BYTE_ORDER_MAGIC):
                self._order = _BIG
            else:
                return self._broken("a section without byte order")
            total = self._order.word.unpack_from(data, offset + 4)[0]
        if total < 12 or total & 3 or total > self._limits.capture_block_size:
            return self._broken(f"a block of {total} octets")
        if not buffer.has(total):
            return self._short()
        data, offset = buffer.data, buffer.offset
        if self._order.word.unpack_from(data, offset + total - 4)[0] != total:
            return self._broken("the two lengths of a block differ")
        place = buffer.position
        item = self._block(block_type, data, offset + 8, offset + total - 4, place)
        buffer.skip(total)
        return True if item is None else item

    def _block(self, block_type: int, data: bytes, start: int, end: int, place: int) -> _Item | None:
        """Read the body of one block that is whole."""
        if block_type == ENHANCED_PACKET_BLOCK:
            return self._packet(data, start, end, place)
        if block_type == INTERFACE_STATISTICS_BLOCK:
            return self._statistics(data, start, end, place)
        if block_type == INTERFACE_DESCRIPTION_BLOCK:
            return self._interface(data, start, end, place)
        if block_type == SECTION_HEADER_BLOCK:
            return self._section(data, start, end, place)
        if block_type == _SIMPLE_PACKET_BLOCK:
            return self._simple_packet(data, start, end, place)
        if block_type == _OBSOLETE_PACKET_BLOCK:
            return self._obsolete_packet(data, start, end, place)
        return None

    def _short(self) -> bool:
        """Wait for octets; at the end of the file report that it is torn, or that a length reached too far."""
        place, left = self._buffer.position, self._buffer.size
        if not self._ended or not left:
            return False
        self._buffer.skip(1)
        if self._search():
            problem = capture_problem("capture-corrupt", "a block reaches beyond the end of the file", offset=place)
        else:
            message = f"the file ends in the middle of a block; {left} octets were left out"
            problem = capture_problem("capture-torn", message, offset=place)
        self._pending.append(problem)
        return True

    def _broken(self, message: str) -> CaptureProblem:
        """Report that framing is lost and search for a block from the next octet on."""
        problem = capture_problem("capture-corrupt", message, offset=self._buffer.position)
        self._buffer.skip(1)
        self._searching = True
        return problem

    def _search(self) -> bool:
        """Move to the next octet where a whole block of a known type stands; False when octets are missing."""
        buffer = self._buffer
        while self._ended or buffer.size >= self._search_needs:
            buffer.join()
            match = self._order.block_start.search(buffer.data, buffer.offset)
            if match is None:
                buffer.skip(buffer.size if self._ended else max(0, buffer.size - 3))
                self._search_needs = 4
                return False
            buffer.skip(match.start() - buffer.offset)
            if (needed := self._candidate_size()) > buffer.size:
                if not self._ended:
                    self._search_needs = needed
                    return False
            elif needed and self._order.word.unpack_from(buffer.data, buffer.offset + needed - 4)[0] == needed:
                self._searching = False
                return True
            buffer.skip(1)
            self._search_needs = 0
        return False

    def _candidate_size(self) -> int:
        """Give the octets needed to judge what looks like a block: 12 for its length, then all; 0 when it is none."""
        buffer = self._buffer
        if buffer.size < 12:
            return 12
        total: int = self._order.word.unpack_from(buffer.data, buffer.offset + 4)[0]
        return 0 if total & 3 or not 12 <= total <= self._limits.capture_block_size else total

    def _section(self, data: bytes, start: int, end: int, place: int) -> _Item:
        if end - start < 16:
            return capture_problem("capture-corrupt", "a section header is too short", offset=place)
        self._first_clock = len(self._clocks)
        self._last_options = (b"", None, ())
        texts = {SHB_HARDWARE: "", SHB_OS: "", SHB_USERAPPL: ""}
        options = self._options(data, start + 16, end, place)
        texts.update((code, _text(value)) for code, value in options if code in texts)
        return Section(
            hardware=texts[SHB_HARDWARE],
            operating_system=texts[SHB_OS],
            application=texts[SHB_USERAPPL],
            comments=_comments(options),
        )

    def _interface(self, data: bytes, start: int, end: int, place: int) -> _Item:
        if end - start < 8:
            return capture_problem("capture-corrupt", "an interface description is too short", offset=place)
        if len(self._clocks) >= self._limits.capture_interfaces:
            return capture_problem("capture-limit", f"more than {len(self._clocks)} interfaces", offset=place)
        link_type, _, snap_size = self._order.interface.unpack_from(data, start)
        options = self._options(data, start + 8, end, place)
        by_code = dict(options)
        resolution = by_code.get(IF_TSRESOL, b"")[:1] or b"\x06"
        seconds = by_code.get(IF_TSOFFSET, b"")
        offset_ns = 0
        if len(seconds) == 8:
            offset_ns = struct.unpack(self._order.name + "q", seconds)[0] * 1_000_000_000
        self._clocks.append(_clock(resolution[0], offset_ns, snap_size))
        return Interface(
            index=len(self._clocks) - 1,
            link_type=link_type,
            name=_text(by_code.get(IF_NAME, b"")),
            description=_text(by_code.get(IF_DESCRIPTION, b"")),
            snap_size=snap_size,
            comments=_comments(options),
        )

    def _packet(self, data: bytes, start: int, end: int, place: int) -> _Item:
        if end - start < 20:
            return capture_problem("capture-corrupt", "a packet block is too short", offset=place)
        number, high, low, captured, original = self._order.packet.unpack_from(data, start)
        return self._packet_of(data, start + 20, end, place, (number, high << 32 | low, captured, original))

    def _obsolete_packet(self, data: bytes, start: int, end: int, place: int) -> _Item:
        if end - start < 20:
            return capture_problem("capture-corrupt", "a packet block is too short", offset=place)
        number, _, high, low, captured, original = self._order.obsolete_packet.unpack_from(data, start)
        return self._packet_of(data, start + 20, end, place, (number, high << 32 | low, captured, original))

    def _packet_of(self, data: bytes, start: int, end: int, place: int, fields: tuple[int, int, int, int]) -> _Item:
        number, ticks, captured, original = fields
        index = self._first_clock + number
        if index >= len(self._clocks):
            return capture_problem("capture-corrupt", f"a packet of interface {number}, not described", offset=place)
        stop = start + captured
        if stop > end:
            return capture_problem("capture-corrupt", "a packet is longer than its block", offset=place)
        options = data[stop + (-captured & 3) : end]
        if options != self._last_options[0]:
            self._read_packet_options(options, place)
        _, direction, comments = self._last_options
        at_ns = self._instant(self._clocks[index], ticks, place)
        return Packet(index, at_ns, data[start:stop], original, direction, comments)

    def _read_packet_options(self, options: bytes, place: int) -> None:
        """Read the options of a packet; those of the packet before are kept, for mostly they are the same."""
        read = self._options(options, 0, len(options), place)
        flags = dict(read).get(EPB_FLAGS, b"")
        direction = _DIRECTIONS.get(self._order.word.unpack(flags)[0] & 3) if len(flags) == 4 else None
        self._last_options = (options, direction, _comments(read))

    def _simple_packet(self, data: bytes, start: int, end: int, place: int) -> _Item:
        if end - start < 4 or self._first_clock >= len(self._clocks):
            return capture_problem("capture-corrupt", "a simple packet block without its interface", offset=place)
        original = self._order.word.unpack_from(data, start)[0]
        snap_size = self._clocks[self._first_clock].snap_size or original
        stop = min(start + 4 + min(original, snap_size), end)
        return Packet(self._first_clock, 0, data[start + 4 : stop], original)

    def _statistics(self, data: bytes, start: int, end: int, place: int) -> _Item:
        if end - start < 12:
            return capture_problem("capture-corrupt", "interface statistics are too short", offset=place)
        number, high, low = struct.unpack_from(self._order.name + "III", data, start)
        index = self._first_clock + number
        if index >= len(self._clocks):
            return capture_problem("capture-corrupt", f"statistics of interface {number}, not described", offset=place)
        clock = self._clocks[index]
        options = self._options(data, start + 12, end, place)
        by_code = {code: value for code, value in options if len(value) == 8}
        instants: dict[int, int] = {}
        for code in (ISB_STARTTIME, ISB_ENDTIME):
            if code in by_code:
                upper, lower = self._order.pair.unpack(by_code[code])
                instants[code] = self._instant(clock, upper << 32 | lower, place)
        counts = {
            code: struct.unpack(self._order.name + "Q", by_code[code])[0]
            for code in (ISB_IFRECV, ISB_IFDROP)
            if code in by_code
        }
        return Statistics(
            interface=index,
            at_ns=self._instant(clock, high << 32 | low, place),
            started_ns=instants.get(ISB_STARTTIME),
            ended_ns=instants.get(ISB_ENDTIME),
            received=counts.get(ISB_IFRECV),
            dropped=counts.get(ISB_IFDROP),
            comments=_comments(options),
        )

    def _instant(self, clock: _Clock, ticks: int, place: int) -> int:
        at_ns = ticks * clock.multiplier // clock.divisor + clock.offset_ns
        if 0 <= at_ns <= LAST_INSTANT_NS:
            return at_ns
        if not self._time_reported:
            self._time_reported = True
            self._pending.append(capture_problem("capture-time", "a time outside of 1970 to 9999", offset=place))
        return min(max(at_ns, 0), LAST_INSTANT_NS)

    def _options(self, data: bytes, start: int, end: int, place: int) -> _Options:
        """Read options up to their end; one that is longer than the block ends them with a problem."""
        options: _Options = []
        while start + 4 <= end:
            code, size = self._order.option.unpack_from(data, start)
            if code == OPT_ENDOFOPT:
                break
            start += 4
            if start + size > end:
                self._pending.append(
                    capture_problem("capture-corrupt", "an option is longer than its block", offset=place)
                )
                break
            options.append((code, data[start : start + size]))
            start += size + (-size & 3)
        return options


def _clock(resolution: int, offset_ns: int, snap_size: int) -> _Clock:
    """Read `if_tsresol`: a negative power of 10, or with the highest bit of 2."""
    exponent = resolution & 0x7F
    if resolution & 0x80:
        return _Clock(1_000_000_000, 1 << exponent, offset_ns, snap_size)
    if exponent <= 9:
        return _Clock(10 ** (9 - exponent), 1, offset_ns, snap_size)
    return _Clock(1, 10 ** (exponent - 9), offset_ns, snap_size)


def _comments(options: _Options) -> tuple[str, ...]:
    return tuple(_text(value) for code, value in options if code == OPT_COMMENT)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
