import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.containers.capture import Direction, Interface, Packet, Section, Statistics
from siprec_core.containers.pcapng import OPTION_SIZE, SNAP_SIZE, PcapngEncoder, packet_options, padding, time_fields
from siprec_core.containers.pcapng_reader import PcapngReader
from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from tests.core.containers.captures import AT_NS, read

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
INSTANT = st.integers(min_value=0, max_value=0xFFFF_FFFF_FFFF_FFFF)


def started() -> tuple[PcapngEncoder, bytes]:
    encoder = PcapngEncoder()
    return encoder, encoder.start(application="siprec") + encoder.add_interface("sip")


def test_a_file_begins_with_the_section_header() -> None:
    head = PcapngEncoder().start(application="a")
    assert head[:4] == b"\x0a\x0d\x0d\x0a"
    assert struct.unpack("<I", head[8:12]) == (0x1A2B3C4D,)
    assert struct.unpack("<I", head[4:8]) == struct.unpack("<I", head[-4:]) == (len(head),)


def test_every_interface_has_nanoseconds_and_the_same_link_type_and_snap_length() -> None:
    encoder = PcapngEncoder()
    blocks = [encoder.add_interface(name) for name in ("sip", "line-0")]
    assert encoder.interfaces == 2
    for block in blocks:
        assert block[8:16] == struct.pack("<HHI", 101, 0, SNAP_SIZE)
        assert b"\x09\x00\x01\x00\x09\x00\x00\x00" in block


def test_a_packet_block_octet_by_octet() -> None:
    encoder, _ = started()
    block = encoder.add_packet(0, b"abcde", at_ns=5 << 32 | 7, direction=Direction.OUTBOUND)
    total = struct.pack("<I", 32 + 8 + 12)
    fixed = struct.pack("<IIIII", 0, 5, 7, 5, 5)
    options = struct.pack("<HHI", 2, 4, 2) + bytes(4)
    assert block == struct.pack("<I", 6) + total + fixed + b"abcde\0\0\0" + options + total


def test_a_packet_without_options_has_none() -> None:
    encoder, _ = started()
    assert len(encoder.add_packet(0, b"abcd", at_ns=0)) == 36
    assert packet_options(None) == b""


def test_a_packet_over_the_snap_length_is_cut_and_tells_its_size() -> None:
    encoder, head = started()
    items = read(PcapngReader(limits=Limits()), head + encoder.add_packet(0, bytes(SNAP_SIZE + 9), at_ns=1))
    packet = items[-1]
    assert isinstance(packet, Packet)
    assert (len(packet.data), packet.original_size) == (SNAP_SIZE, SNAP_SIZE + 9)


def test_an_interface_that_was_not_described_is_refused() -> None:
    encoder, _ = started()
    with pytest.raises(LocalProtocolError, match="interface 1"):
        encoder.add_packet(1, b"", at_ns=0)
    with pytest.raises(LocalProtocolError, match="interface -1"):
        encoder.add_statistics(-1, at_ns=0)


def test_a_comment_that_does_not_fit_is_refused_and_the_longest_one_fits() -> None:
    encoder, head = started()
    longest = "x" * OPTION_SIZE
    items = read(PcapngReader(limits=Limits()), head + encoder.add_statistics(0, at_ns=1, comments=[longest]))
    assert isinstance(items[-1], Statistics)
    assert items[-1].comments == (longest,)
    with pytest.raises(LocalProtocolError, match="65536"):
        encoder.add_statistics(0, at_ns=1, comments=[longest + "x"])


def test_octets_that_are_no_utf8_are_written_visibly() -> None:
    encoder, head = started()
    items = read(PcapngReader(limits=Limits()), head + encoder.add_statistics(0, at_ns=1, comments=["a\udcffb"]))
    assert isinstance(items[-1], Statistics)
    assert items[-1].comments == ("a\\udcffb",)


@pytest.mark.parametrize(("at_ns", "nearest"), [(-1, 0), (0, 0), (1 << 64, (1 << 64) - 1)])
def test_an_instant_out_of_range_becomes_the_nearest_one(at_ns: int, nearest: int) -> None:
    assert time_fields(at_ns) == (nearest >> 32, nearest & 0xFFFF_FFFF)


@given(st.integers(min_value=0, max_value=100_000))
def test_padding_reaches_a_multiple_of_four(size: int) -> None:
    assert (size + len(padding(size))) % 4 == 0
    assert padding(size) in (b"", b"\0", b"\0\0", b"\0\0\0")


@given(
    application=TEXT,
    hardware=TEXT,
    system=TEXT,
    names=st.lists(st.tuples(TEXT, TEXT, st.lists(TEXT, max_size=2)), min_size=1, max_size=4),
    comments=st.lists(TEXT, max_size=3),
)
def test_what_was_written_of_sections_and_interfaces_is_read(
    application: str, hardware: str, system: str, names: list[tuple[str, str, list[str]]], comments: list[str]
) -> None:
    encoder = PcapngEncoder()
    data = encoder.start(application=application, hardware=hardware, operating_system=system, comments=comments)
    for name, description, notes in names:
        data += encoder.add_interface(name, description, comments=notes)
    items = read(PcapngReader(limits=Limits()), data)
    assert items[0] == Section(
        hardware=hardware, operating_system=system, application=application, comments=tuple(comments)
    )
    assert items[1:] == [
        Interface(
            index=index,
            link_type=101,
            name=name,
            description=description,
            snap_size=SNAP_SIZE,
            comments=tuple(notes),
        )
        for index, (name, description, notes) in enumerate(names)
    ]


@given(
    st.lists(
        st.tuples(
            st.binary(max_size=50),
            INSTANT,
            st.sampled_from([None, Direction.INBOUND, Direction.OUTBOUND]),
            st.lists(TEXT, max_size=2),
        ),
        max_size=8,
    )
)
def test_what_was_written_of_packets_is_read(packets: list[tuple[bytes, int, Direction | None, list[str]]]) -> None:
    encoder, data = started()
    for content, at_ns, direction, comments in packets:
        data += encoder.add_packet(0, content, at_ns=at_ns, direction=direction, comments=comments)
    assert read(PcapngReader(limits=Limits()), data)[2:] == [
        Packet(0, at_ns, content, len(content), direction, tuple(comments))
        for content, at_ns, direction, comments in packets
    ]


@given(
    at_ns=INSTANT,
    instants=st.tuples(st.none() | INSTANT, st.none() | INSTANT),
    counts=st.tuples(st.none() | INSTANT, st.none() | INSTANT),
    comments=st.lists(TEXT, max_size=3),
)
def test_what_was_written_of_statistics_is_read(
    at_ns: int, instants: tuple[int | None, int | None], counts: tuple[int | None, int | None], comments: list[str]
) -> None:
    encoder, data = started()
    data += encoder.add_statistics(
        0,
        at_ns=at_ns,
        started_ns=instants[0],
        ended_ns=instants[1],
        received=counts[0],
        dropped=counts[1],
        comments=comments,
    )
    assert read(PcapngReader(limits=Limits()), data)[-1] == Statistics(
        interface=0,
        at_ns=at_ns,
        started_ns=instants[0],
        ended_ns=instants[1],
        received=counts[0],
        dropped=counts[1],
        comments=tuple(comments),
    )


def test_an_encoder_with_another_link_type_writes_it() -> None:
    encoder = PcapngEncoder(link_type=1)
    items = read(PcapngReader(limits=Limits()), encoder.start(application="") + encoder.add_interface("eth0"))
    assert isinstance(items[1], Interface)
    assert items[1].link_type == 1
    assert encoder.add_packet(0, b"", at_ns=AT_NS)
