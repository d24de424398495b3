"""Reads the classic pcap file format (draft-ietf-opsawg-pcap) from octets as they come: both byte orders, us and ns."""

import struct
from collections import deque

from siprec_core.containers.buffer import ChunkBuffer
from siprec_core.containers.capture import CaptureProblem, Interface, Packet, Section, capture_problem
from siprec_core.limits import Limits

MAGICS: dict[bytes, tuple[str, int]] = {
    b"\xd4\xc3\xb2\xa1": ("<", 1_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""First four octets: byte order and nanoseconds of the fraction's unit."""

_HEADER_SIZE = 24
_LINK_TYPE_MASK = 0xFFFF
"""The bits above the link type tell of a frame check sequence."""

_Item = Section | Interface | Packet | CaptureProblem


class PcapReader:
    """Turns the octets of a pcap file into one section, one interface and packets. Never raises for what they hold."""

    __slots__ = ("_buffer", "_ended", "_limits", "_pending", "_record", "_stopped", "_unit")

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._buffer = ChunkBuffer()
        self._record: struct.Struct | None = None
        self._unit = 1
        self._pending: deque[_Item] = deque()
        self._stopped = False
        self._ended = False

    def receive(self, data: bytes | memoryview) -> None:
        """Take the next octets of the file, any number of them."""
        if not self._stopped:
            self._buffer.receive(data)

    def end_of_file(self) -> None:
        """Tell that no octet follows; `poll` then reports a torn end."""
        self._ended = True

    def poll(self) -> _Item | None:
        """Give the next item, None when more octets are needed (or the file is at its end)."""
        if self._pending:
            return self._pending.popleft()
        if self._stopped:
            return None
        if self._record is None:
            return self._header()
        buffer = self._buffer
        if not buffer.has(16):
            return self._short()
        seconds, fraction, captured, original = self._record.unpack_from(buffer.data, buffer.offset)
        if captured > self._limits.capture_block_size:
            # Records have no mark to find the next one by.
            self._stopped = True
            message = f"a packet of {captured} octets; the rest of the file was left out"
            return capture_problem("capture-corrupt", message, offset=buffer.position)
        if not buffer.has(16 + captured):
            return self._short()
        start = buffer.offset + 16
        packet = buffer.data[start : start + captured]
        buffer.skip(16 + captured)
        return Packet(0, seconds * 1_000_000_000 + fraction * self._unit, packet, original)

    def _header(self) -> _Item | None:
        buffer = self._buffer
        if not buffer.has(_HEADER_SIZE):
            return self._short()
        known = MAGICS.get(buffer.data[buffer.offset : buffer.offset + 4])
        if known is None:
            self._stopped = True
            return capture_problem("capture-unknown", "not a pcap file", offset=0)
        order, self._unit = known
        self._record = struct.Struct(order + "IIII")
        snap_size, link_type = struct.unpack_from(order + "II", buffer.data, buffer.offset + 16)
        buffer.skip(_HEADER_SIZE)
        self._pending.append(Interface(index=0, link_type=link_type & _LINK_TYPE_MASK, snap_size=snap_size))
        return Section()

    def _short(self) -> CaptureProblem | None:
        left = self._buffer.size
        if not self._ended or not left:
            return None
        self._stopped = True
        message = f"the file ends in the middle of a packet; {left} octets were left out"
        return capture_problem("capture-torn", message, offset=self._buffer.position)
