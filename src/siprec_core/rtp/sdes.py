"""Source descriptions of RTCP: CNAME and the other items (RFC 3550 section 6.5)."""

from dataclasses import dataclass
from typing import Self

from siprec_core.errors import RemoteProtocolError
from siprec_core.rtp.rtcp import SOURCE_DESCRIPTION, RtcpPacket, write_packet

CNAME = 1
"""Item type of the canonical name, the only one that every packet has to bring."""


@dataclass(frozen=True, slots=True)
class SdesItem:
    """One item of a chunk."""

    kind: int
    """1 CNAME, 2 NAME, 3 EMAIL, 4 PHONE, 5 LOC, 6 TOOL, 7 NOTE, 8 PRIV; others are kept."""
    value: bytes
    """At most 255 octets, UTF-8 but for PRIV."""


@dataclass(frozen=True, slots=True)
class SdesChunk:
    """The items of one source."""

    ssrc: int
    items: tuple[SdesItem, ...]

    @property
    def cname(self) -> str | None:
        """The canonical name, None when the chunk has none."""
        return next((item.value.decode("utf-8", "replace") for item in self.items if item.kind == CNAME), None)

    def to_bytes(self) -> bytes:
        """Write the chunk: items, null octet, filled up to 32 bits."""
        items = b"".join(bytes((item.kind, len(item.value))) + item.value for item in self.items)
        # RFC 3550 6.5: "The list of items in each chunk MUST be terminated by one or more null octets".
        return self.ssrc.to_bytes(4, "big") + items + bytes(4 - len(items) % 4)


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """SDES: one chunk for each source that is described."""

    chunks: tuple[SdesChunk, ...]
    rest: bytes = b""
    """Octets behind the last chunk that belong to none."""

    @classmethod
    def parse(cls, packet: RtcpPacket) -> Self:
        """Read an SDES packet; `RemoteProtocolError` when it is none or its chunks do not fit."""
        if packet.packet_type != SOURCE_DESCRIPTION:
            raise RemoteProtocolError("the packet is no source description")
        at, chunks = 0, []
        for _ in range(packet.count):
            chunk, at = _chunk(packet.body, at)
            chunks.append(chunk)
        return cls(tuple(chunks), bytes(packet.body[at:]))

    @classmethod
    def of_cname(cls, ssrc: int, cname: str) -> Self:
        """Describe one source by its canonical name, cut to 255 octets."""
        return cls((SdesChunk(ssrc, (SdesItem(CNAME, cname.encode()[:255]),)),))

    def to_bytes(self) -> bytes:
        """Write the packet."""
        chunks = b"".join(chunk.to_bytes() for chunk in self.chunks)
        return write_packet(SOURCE_DESCRIPTION, len(self.chunks), chunks + self.rest)


def _chunk(body: memoryview, start: int) -> tuple[SdesChunk, int]:
    """Read the chunk that begins at `start`; give where the next one begins."""
    at = start + 4
    items = []
    while at < len(body) and body[at]:
        stop = at + 2 + (body[at + 1] if at + 1 < len(body) else 0)
        if at + 2 > len(body) or stop > len(body):
            raise RemoteProtocolError("an item of a source description is cut off", offset=at)
        items.append(SdesItem(body[at], bytes(body[at + 2 : stop])))
        at = stop
    # The null octets go on to the next multiple of four; bodies begin on one.
    at += 4 - at % 4
    if at > len(body):
        raise RemoteProtocolError("a chunk of a source description does not end", offset=start)
    return SdesChunk(int.from_bytes(body[start : start + 4], "big"), tuple(items)), at
