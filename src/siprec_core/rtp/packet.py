"""RTP packets (RFC 3550 section 5.1), read strictly and written exactly.

`RtpPacket.parse` checks all that RFC 3550 appendix A.1 checks of one packet alone; what needs the packets before it
(probation, sequence jumps) is in `sequence`, and what needs the session (payload types, source addresses) is the media
plane's.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Self

from siprec_core.errors import LocalProtocolError, RemoteProtocolError

FIXED_HEADER_SIZE = 12
"""Octets of the fixed header."""
_FIXED = Struct("!BBHII")
_EXTENSION = Struct("!HH")
_SENDER_REPORT, _RECEIVER_REPORT = 200, 201


@dataclass(slots=True)
class HeaderExtension:
    """The one header extension of a packet (RFC 3550 section 5.3.1)."""

    profile: int
    """The 16 bits defined by profile: 0xBEDE for the one-byte form of RFC 8285."""
    data: bytes | memoryview
    """A multiple of 4 octets."""


@dataclass(slots=True)
class RtpPacket:
    """One RTP packet of version 2."""

    payload_type: int
    """0 to 127."""
    sequence_number: int
    """16 bits."""
    timestamp: int
    """32 bits, in units of the payload's clock."""
    ssrc: int
    """Synchronisation source, 32 bits."""
    payload: bytes | memoryview = b""
    """Without padding. After `parse` a view on the datagram: copy what must outlive it."""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    """Contributing sources, at most 15."""
    extension: HeaderExtension | None = None
    padding_size: int = 0
    """Octets of padding, its count octet included; 0 = the padding bit is clear."""

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Self:
        """Read a datagram; `RemoteProtocolError` with the offset for anything that RFC 3550 appendix A.1 calls
        invalid."""
        size = len(data)
        if size < FIXED_HEADER_SIZE:
            raise RemoteProtocolError(f"{size} octets are shorter than the RTP header", offset=size)
        first, second, sequence_number, timestamp, ssrc = _FIXED.unpack_from(data)
        if first >> 6 != 2:
            raise RemoteProtocolError(f"RTP version is {first >> 6}, not 2", offset=0)
        # RFC 3550 A.1: "The payload type must be known, and in particular it must not be equal to SR or RR."
        if second in (_SENDER_REPORT, _RECEIVER_REPORT):
            raise RemoteProtocolError("the payload type octet is that of an RTCP report", offset=1)
        view = memoryview(data)
        start, stop = FIXED_HEADER_SIZE, size
        csrcs: tuple[int, ...] = ()
        extension: HeaderExtension | None = None
        padding_size = 0
        if first != 0x80:
            csrcs, start = _read_csrcs(view, first & 0x0F)
            if first & 0x10:
                extension, start = _read_extension(view, start)
            if first & 0x20:
                padding_size = _read_padding(view, start)
                stop -= padding_size
        return cls(
            second & 0x7F,
            sequence_number,
            timestamp,
            ssrc,
            view[start:stop],
            second >= 0x80,
            csrcs,
            extension,
            padding_size,
        )

    def to_bytes(self) -> bytes:
        """Write the packet; `LocalProtocolError` when a field does not fit its place."""
        self._check()
        first = 0x80 | len(self.csrcs) | (0x10 if self.extension else 0) | (0x20 if self.padding_size else 0)
        second = self.payload_type | (0x80 if self.marker else 0)
        parts: list[bytes | memoryview] = [_FIXED.pack(first, second, self.sequence_number, self.timestamp, self.ssrc)]
        parts += [csrc.to_bytes(4, "big") for csrc in self.csrcs]
        if self.extension:
            parts += [_EXTENSION.pack(self.extension.profile, len(self.extension.data) // 4), self.extension.data]
        parts.append(self.payload)
        if self.padding_size:
            parts += [bytes(self.padding_size - 1), bytes((self.padding_size,))]
        return b"".join(parts)

    def _check(self) -> None:
        extension = self.extension
        fits = (
            0 <= self.payload_type <= 0x7F
            and 0 <= self.sequence_number <= 0xFFFF
            and 0 <= self.timestamp <= 0xFFFF_FFFF
            and 0 <= self.ssrc <= 0xFFFF_FFFF
            and 0 <= self.padding_size <= 0xFF
            and len(self.csrcs) <= 15
            and all(0 <= csrc <= 0xFFFF_FFFF for csrc in self.csrcs)
        )
        if not fits:
            raise LocalProtocolError(f"a field of {self!r} is out of its range")
        if self.marker and self.payload_type | 0x80 in (_SENDER_REPORT, _RECEIVER_REPORT):
            raise LocalProtocolError(f"payload type {self.payload_type} with the marker reads as RTCP")
        if extension and not (0 <= extension.profile <= 0xFFFF and len(extension.data) in range(0, 4 * 0x1_0000, 4)):
            raise LocalProtocolError("a header extension is a multiple of 4 octets, at most 65,535 words")


def _read_csrcs(view: memoryview, count: int) -> tuple[tuple[int, ...], int]:
    stop = FIXED_HEADER_SIZE + 4 * count
    if stop > len(view):
        raise RemoteProtocolError(f"{count} contributing sources do not fit the packet", offset=FIXED_HEADER_SIZE)
    return tuple(int.from_bytes(view[at : at + 4], "big") for at in range(FIXED_HEADER_SIZE, stop, 4)), stop


def _read_extension(view: memoryview, start: int) -> tuple[HeaderExtension, int]:
    if start + 4 > len(view):
        raise RemoteProtocolError("the header extension is cut off", offset=start)
    profile, words = _EXTENSION.unpack_from(view, start)
    stop = start + 4 + 4 * words
    if stop > len(view):
        raise RemoteProtocolError(f"a header extension of {words} words does not fit the packet", offset=start)
    return HeaderExtension(profile, view[start + 4 : stop]), stop


def _read_padding(view: memoryview, start: int) -> int:
    # RFC 3550 5.1: "The last octet of the padding contains a count of how many padding octets should be ignored,
    # including itself." A count of 0 or one that reaches into the header is therefore no padding at all.
    padding_size = view[-1]
    if not 1 <= padding_size <= len(view) - start:
        raise RemoteProtocolError(f"{padding_size} octets of padding do not fit the payload", offset=len(view) - 1)
    return padding_size
