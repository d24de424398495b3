"""Builds capture files and packets by hand, apart from the encoders under test."""

import struct
from collections.abc import Iterable
from itertools import pairwise
from typing import Protocol, TypeVar

ItemT_co = TypeVar("ItemT_co", covariant=True)

AT_NS = 1_700_000_000_123_456_789


class Reader(Protocol[ItemT_co]):
    """The doors of all capture readers."""

    def receive(self, data: bytes) -> None: ...

    def end_of_file(self) -> None: ...

    def poll(self) -> ItemT_co | None: ...


def read(reader: Reader[ItemT_co], data: bytes, cuts: Iterable[int] = ()) -> list[ItemT_co]:
    """Feed `data` cut at `cuts`, and give all items."""
    items: list[ItemT_co] = []
    places = sorted({0, len(data), *(cut for cut in cuts if 0 < cut < len(data))})
    for start, end in pairwise(places):
        reader.receive(data[start:end])
        while (item := reader.poll()) is not None:
            items.append(item)
    reader.end_of_file()
    while (item := reader.poll()) is not None:
        items.append(item)
    return items


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(block_type: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", block_type) + size + body + size


def section(order: str = "<", options: bytes = b"") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options, order)


def interface(link_type: int = 101, options: bytes = b"", order: str = "<", snap_size: int = 0) -> bytes:
    return block(1, struct.pack(order + "HHI", link_type, 0, snap_size) + options, order)


def packet(data: bytes, ticks: int = 0, number: int = 0, options: bytes = b"", order: str = "<") -> bytes:
    fixed = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(6, fixed + data + bytes(-len(data) % 4) + options, order)


def pcap(packets: Iterable[tuple[int, bytes]], *, order: str = "<", ns: bool = False, link_type: int = 101) -> bytes:
    head = struct.pack(order + "IHHiIII", 0xA1B23C4D if ns else 0xA1B2C3D4, 2, 4, 0, 0, 65_535, link_type)
    unit = 1 if ns else 1000
    records = [
        struct.pack(order + "IIII", at_ns // 10**9, at_ns % 10**9 // unit, len(data), len(data)) + data
        for at_ns, data in packets
    ]
    return head + b"".join(records)


SOURCE, DESTINATION = bytes((10, 0, 0, 2)), bytes((10, 0, 0, 1))
SOURCE_6, DESTINATION_6 = bytes.fromhex("20010db8" + "00" * 11 + "02"), bytes.fromhex("20010db8" + "00" * 11 + "01")


def udp(payload: bytes, source_port: int = 4000, destination_port: int = 30_000) -> bytes:
    return struct.pack(">HHHH", source_port, destination_port, 8 + len(payload), 0) + payload


def tcp(payload: bytes, sequence: int, flags: int = 0x18, source_port: int = 4000, options: bytes = b"") -> bytes:
    offset = (20 + len(options)) << 2
    return struct.pack(">HHIIBBHHH", source_port, 5060, sequence, 0, offset, flags, 1000, 0, 0) + options + payload


def ipv4(
    payload: bytes,
    protocol: int = 17,
    *,
    identification: int = 0,
    fragment: int = 0,
    options: bytes = b"",
    total: int | None = None,
) -> bytes:
    """`fragment` is the whole 16-bit field: flags and offset in units of 8 octets."""
    size = 20 + len(options) + len(payload) if total is None else total
    first = 0x45 + len(options) // 4
    head = struct.pack(">BBHHHBBH", first, 0, size, identification, fragment, 64, protocol, 0)
    return head + SOURCE + DESTINATION + options + payload


def ipv6(payload: bytes, protocol: int = 17, size: int | None = None) -> bytes:
    head = struct.pack(">IHBB", 6 << 28, len(payload) if size is None else size, protocol, 64)
    return head + SOURCE_6 + DESTINATION_6 + payload
