import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.containers.capture import CaptureProblem, Direction, Interface, Packet, Section, Statistics
from siprec_core.containers.pcapng import PcapngEncoder
from siprec_core.containers.pcapng_reader import LAST_INSTANT_NS, PcapngReader
from siprec_core.limits import Limits
from tests.core.containers.captures import AT_NS, block, interface, option, packet, read, section

NANOSECONDS = option(9, b"\x09")


def items_of(data: bytes, *cuts: int, limits: Limits | None = None) -> list[object]:
    return list(read(PcapngReader(limits=limits or Limits()), data, cuts))


def packets_of(items: list[object]) -> list[Packet]:
    return [item for item in items if isinstance(item, Packet)]


def codes_of(items: list[object]) -> list[str]:
    return [item.finding.code for item in items if isinstance(item, CaptureProblem)]


def journal() -> tuple[bytes, list[int]]:
    """Give a small file and the places where its blocks end."""
    encoder = PcapngEncoder()
    blocks = [encoder.start(application="siprec", comments=["note"]), encoder.add_interface("sip", "signalling")]
    blocks += [
        encoder.add_packet(0, bytes([number]) * (20 + number), at_ns=AT_NS + number, direction=Direction.INBOUND)
        for number in range(4)
    ]
    blocks.append(encoder.add_statistics(0, at_ns=AT_NS, comments=['{"end":1}'], received=4))
    ends = [sum(map(len, blocks[: count + 1])) for count in range(len(blocks))]
    return b"".join(blocks), ends


JOURNAL, ENDS = journal()
WHOLE = items_of(JOURNAL)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders(order: str) -> None:
    options = option(9, b"\x09", order) + option(2, b"eth0", order) + option(0, b"", order)
    data = section(order, option(4, b"tool", order)) + interface(1, options, order, snap_size=96)
    flags = option(2, struct.pack(order + "I", 0x12), order) + option(1, b"why", order)
    data += packet(b"abcde", AT_NS, options=flags, order=order)
    counts = option(4, struct.pack(order + "Q", 3), order) + option(2, struct.pack(order + "II", 0, 9), order)
    data += block(5, struct.pack(order + "III", 0, AT_NS >> 32, AT_NS & 0xFFFFFFFF) + counts, order)
    assert items_of(data) == [
        Section(application="tool"),
        Interface(index=0, link_type=1, name="eth0", snap_size=96),
        Packet(0, AT_NS, b"abcde", 5, Direction.OUTBOUND, ("why",)),
        Statistics(interface=0, at_ns=AT_NS, received=3, started_ns=9),
    ]


@pytest.mark.parametrize(
    ("resolution", "ticks", "at_ns"),
    [
        (None, 1_500_000, 1_500_000_000),
        (0, 2, 2_000_000_000),
        (3, 1_500, 1_500_000_000),
        (9, 7, 7),
        (12, 7_999, 7),
        (0x80 | 10, 1 << 9, 500_000_000),
        (0x80 | 0, 3, 3_000_000_000),
        (127, (1 << 64) - 1, 0),
    ],
)
def test_time_resolutions(resolution: int | None, ticks: int, at_ns: int) -> None:
    options = b"" if resolution is None else option(9, bytes((resolution,)))
    data = section() + interface(options=options) + packet(b"", ticks)
    assert [item.at_ns for item in packets_of(items_of(data))] == [at_ns]


def test_a_time_offset_is_added() -> None:
    options = NANOSECONDS + option(14, struct.pack("<q", 100))
    data = section() + interface(options=options) + packet(b"", 5)
    assert packets_of(items_of(data))[0].at_ns == 100_000_000_005


def test_impossible_times_are_bounded_and_reported_once() -> None:
    options = option(9, b"\x00") + option(14, struct.pack("<q", -5))
    data = section() + interface(options=options) + packet(b"", 1) + packet(b"", (1 << 64) - 1) + packet(b"", 6)
    items = items_of(data)
    assert [item.at_ns for item in packets_of(items)] == [0, LAST_INSTANT_NS, 1_000_000_000]
    assert codes_of(items) == ["capture-time"]


def test_sections_count_interfaces_anew_and_items_count_on() -> None:
    one = section() + interface(1) + packet(b"a")
    other = section(">") + interface(101, order=">") + packet(b"b", order=">")
    items = items_of(one + other)
    assert [item.index for item in items if isinstance(item, Interface)] == [0, 1]
    assert [(item.interface, item.data) for item in packets_of(items)] == [(0, b"a"), (1, b"b")]


def test_the_same_option_octets_mean_another_thing_in_another_byte_order() -> None:
    little = option(2, struct.pack("<I", 1))
    data = section() + interface() + packet(b"", options=little)
    data += section(">") + interface(order=">") + packet(b"", options=little, order=">")
    assert [item.direction for item in packets_of(items_of(data))] == [Direction.INBOUND, None]


def test_unknown_blocks_and_name_resolution_are_skipped() -> None:
    data = section() + block(4, b"names") + interface() + block(0xBAD, b"x" * 50) + packet(b"a") + block(10, b"key")
    items = items_of(data)
    assert [item.data for item in packets_of(items)] == [b"a"]
    assert codes_of(items) == []


def test_simple_and_obsolete_packets() -> None:
    data = section() + interface(snap_size=3, options=NANOSECONDS)
    data += block(3, struct.pack("<I", 5) + b"abc")
    data += block(2, struct.pack("<HHIIII", 0, 0, 0, 77, 4, 9) + b"wxyz")
    assert packets_of(items_of(data)) == [Packet(0, 0, b"abc", 5), Packet(0, 77, b"wxyz", 9)]


@given(st.lists(st.integers(min_value=0, max_value=len(JOURNAL)), max_size=12))
def test_any_split_gives_the_same_items(cuts: list[int]) -> None:
    assert items_of(JOURNAL, *cuts) == WHOLE


def test_octet_by_octet_gives_the_same_items() -> None:
    assert items_of(JOURNAL, *range(len(JOURNAL))) == WHOLE


def test_every_truncation_gives_the_items_before_it_and_one_problem() -> None:
    for end in range(4, len(JOURNAL)):
        items = items_of(JOURNAL[:end])
        whole = sum(place <= end for place in ENDS)
        assert items[:whole] == WHOLE[:whole]
        if end in ENDS:
            assert len(items) == whole
        else:
            assert codes_of(items[whole:]) == ["capture-torn"]
            assert len(items) == whole + 1
            problem = items[-1]
            assert isinstance(problem, CaptureProblem)
            assert problem.offset == ([0, *ENDS])[whole]


def test_nothing_follows_a_torn_end() -> None:
    reader = PcapngReader(limits=Limits())
    read(reader, JOURNAL[:-1])
    assert reader.poll() is None
    assert reader.poll() is None


@pytest.mark.parametrize("rubbish", [bytes(64), b"\xff" * 61, b"\x06\x00\x00\x00\x10\x00\x00\x00rubbish", b"x"])
def test_goes_on_behind_rubbish(rubbish: bytes) -> None:
    for place in ENDS[1:-1]:
        items = items_of(JOURNAL[:place] + rubbish + JOURNAL[place:])
        assert codes_of(items) == ["capture-corrupt"]
        assert [item for item in items if not isinstance(item, CaptureProblem)] == WHOLE


def test_goes_on_behind_a_write_that_failed_half_way() -> None:
    half = ENDS[3] + (ENDS[4] - ENDS[3]) // 2
    items = items_of(JOURNAL[:half] + JOURNAL[ENDS[4] :])
    assert codes_of(items) == ["capture-corrupt"]
    assert packets_of(items) == [item for item in packets_of(WHOLE) if item.at_ns != AT_NS + 2]


def test_zeros_at_the_end_cost_one_problem() -> None:
    items = items_of(JOURNAL + bytes(5_000))
    assert items[: len(WHOLE)] == WHOLE
    assert codes_of(items) == ["capture-corrupt"]


def test_a_search_over_nothing_but_block_types_is_linear() -> None:
    class Counting(PcapngReader):
        __slots__ = ()
        looks = 0

        def _candidate_size(self) -> int:
            Counting.looks += 1
            return super()._candidate_size()

    for claimed in (16, 0x00FF_FFFC):
        Counting.looks = 0
        rubbish = struct.pack("<II", 6, claimed) * 2_000
        read(Counting(limits=Limits()), JOURNAL[: ENDS[1]] + bytes(12) + rubbish, range(0, 17_000, 7))
        assert Counting.looks <= 2_000 + 17_000 // 7 + 4


@pytest.mark.parametrize(
    "body",
    [
        block(6, bytes(8)),
        block(6, struct.pack("<IIIII", 0, 0, 0, 100, 100) + bytes(20)),
        block(6, struct.pack("<IIIII", 7, 0, 0, 4, 4) + bytes(4)),
        block(5, bytes(4)),
        block(5, struct.pack("<III", 3, 0, 0)),
        block(3, b""),
        block(2, bytes(12)),
        block(1, b""),
        block(0x0A0D0D0A, struct.pack("<I", 0x1A2B3C4D)),
        packet(b"abc", options=struct.pack("<HH", 1, 500) + bytes(8)),
    ],
)
def test_a_broken_body_costs_one_problem_and_its_block(body: bytes) -> None:
    items = items_of(section() + interface() + body + section() + interface() + packet(b"last"))
    assert codes_of(items) == ["capture-corrupt"]
    assert packets_of(items)[-1].data == b"last"


def test_packets_before_any_interface_are_reported() -> None:
    items = items_of(section() + packet(b"a") + block(3, struct.pack("<I", 1) + b"a"))
    assert codes_of(items) == ["capture-corrupt", "capture-corrupt"]


def test_interfaces_over_the_limit_are_left_out() -> None:
    items = items_of(section() + interface() * 5 + packet(b"a", number=1), limits=Limits(capture_interfaces=2))
    assert sum(isinstance(item, Interface) for item in items) == 2
    assert codes_of(items) == ["capture-limit"] * 3
    assert len(packets_of(items)) == 1


def test_a_block_over_the_limit_is_not_waited_for() -> None:
    limits = Limits(capture_block_size=1024)
    items = items_of(section() + interface() + packet(bytes(2000)) + packet(b"a"), limits=limits)
    assert codes_of(items) == ["capture-corrupt"]
    assert [item.data for item in packets_of(items)] == [b"a"]


@given(st.binary(max_size=300), st.lists(st.integers(min_value=0, max_value=400), max_size=5))
def test_garbage_never_raises_and_splits_alike(garbage: bytes, cuts: list[int]) -> None:
    data = JOURNAL[: ENDS[2]] + garbage
    assert items_of(data, *cuts) == items_of(data)


@given(st.integers(min_value=8, max_value=len(JOURNAL) - 1), st.integers(min_value=1, max_value=255))
def test_one_wrong_octet_never_raises(place: int, change: int) -> None:
    broken = bytearray(JOURNAL)
    broken[place] ^= change
    items = items_of(bytes(broken))
    assert len(packets_of(items)) <= 5
    assert all(replace(item.finding, message="x").message == "x" for item in items if isinstance(item, CaptureProblem))
