import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.containers.capture import CaptureProblem, Interface, Packet, Section
from siprec_core.containers.pcap import PcapReader
from siprec_core.limits import Limits
from tests.core.containers.captures import AT_NS, pcap, read

PACKETS = [(AT_NS + number * 20_000_000, bytes([number]) * number) for number in range(5)]
FILE = pcap(PACKETS)


def items_of(data: bytes, *cuts: int) -> list[object]:
    return list(read(PcapReader(limits=Limits()), data, cuts))


def codes_of(items: list[object]) -> list[str]:
    return [item.finding.code for item in items if isinstance(item, CaptureProblem)]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("ns", [False, True])
def test_all_four_kinds(order: str, ns: bool) -> None:
    unit = 1 if ns else 1000
    assert items_of(pcap(PACKETS, order=order, ns=ns, link_type=1)) == [
        Section(),
        Interface(index=0, link_type=1, snap_size=65_535),
        *(Packet(0, at_ns // unit * unit, data, len(data)) for at_ns, data in PACKETS),
    ]


def test_the_bits_above_the_link_type_are_not_part_of_it() -> None:
    items = items_of(pcap([], link_type=0x2400_0001))
    assert items[1] == Interface(index=0, link_type=1, snap_size=65_535)


def test_a_cut_packet_tells_its_size() -> None:
    record = struct.pack("<IIII", 1, 2, 3, 100) + b"abc"
    assert items_of(pcap([]) + record)[2] == Packet(0, 1_000_002_000, b"abc", 100)


@given(st.lists(st.integers(min_value=0, max_value=len(FILE)), max_size=10))
def test_any_split_gives_the_same_items(cuts: list[int]) -> None:
    assert items_of(FILE, *cuts) == items_of(FILE)


def test_every_truncation_gives_the_packets_before_it_and_one_problem() -> None:
    ends = [24]
    for _, data in PACKETS:
        ends.append(ends[-1] + 16 + len(data))
    whole = items_of(FILE)
    for end in range(1, len(FILE)):
        items = items_of(FILE[:end])
        count = 2 + sum(place <= end for place in ends[1:]) if end >= 24 else 0
        assert items[:count] == whole[:count]
        assert codes_of(items[count:]) == ([] if end in ends else ["capture-torn"])
        assert len(items) == count + (end not in ends)


def test_a_record_that_is_too_long_ends_the_file_with_a_problem() -> None:
    data = FILE + struct.pack("<IIII", 0, 0, 0x7FFF_FFFF, 0) + FILE[24:]
    items = items_of(data, *range(0, len(data), 5))
    assert len(items) == 2 + len(PACKETS) + 1
    assert codes_of(items) == ["capture-corrupt"]


def test_another_magic_is_reported() -> None:
    assert codes_of(items_of(b"\xa1\xb2\xcd\x34" + bytes(40))) == ["capture-unknown"]


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0, max_value=300), max_size=4))
def test_garbage_never_raises_and_splits_alike(garbage: bytes, cuts: list[int]) -> None:
    assert items_of(FILE[:24] + garbage, *cuts) == items_of(FILE[:24] + garbage)
    assert items_of(garbage, *cuts) == items_of(garbage)
