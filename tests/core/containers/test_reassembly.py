from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.containers.capture import Datagram
from siprec_core.containers.network import Fragment
from siprec_core.containers.reassembly import TCP_SYN, FragmentReassembler, StreamReassembler
from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.types import Address

SECOND = 1_000_000_000
KEY = (b"src1", b"dst1", 17, 5)
A, B = Address("10.0.0.1", 4000), Address("10.0.0.2", 5060)


def fragments_of(payload: bytes, size: int = 8) -> list[tuple[Fragment, bytes]]:
    places = range(0, len(payload), size)
    return [(Fragment(KEY, place, more=place + size < len(payload)), payload[place : place + size]) for place in places]


@given(st.binary(min_size=9, max_size=200), st.randoms(use_true_random=False), st.integers(min_value=1, max_value=4))
def test_fragments_in_any_order_make_the_packet(payload: bytes, random: Random, units: int) -> None:
    pieces = fragments_of(payload, 8 * units)
    random.shuffle(pieces)
    reassembler = FragmentReassembler(limits=Limits())
    results = [reassembler.add(fragment, data, at_ns=0) for fragment, data in pieces]
    assert results == [None] * (len(pieces) - 1) + [payload]
    assert len(reassembler) == 0


def test_a_fragment_that_comes_twice_counts_once() -> None:
    reassembler = FragmentReassembler(limits=Limits())
    first, last = fragments_of(b"0123456789")
    assert reassembler.add(*first, at_ns=0) is None
    assert reassembler.add(*first, at_ns=0) is None
    assert reassembler.add(*last, at_ns=0) == b"0123456789"


@pytest.mark.parametrize(
    ("offset", "more", "payload", "message"),
    [
        (0, True, b"01234567", None),
        (0, True, b"x1234567", "overlap"),
        (8, True, bytes(16), "overlap"),
        (0, True, bytes(24), "overlap"),
        (24, True, b"abc", "wrong length"),
        (24, True, b"", "wrong length"),
        (65_528, False, bytes(8), "wrong length"),
        (40, False, b"x", None),
    ],
)
def test_a_fragment_that_cannot_be_ends_its_packet(
    offset: int, more: bool, payload: bytes, message: str | None
) -> None:
    reassembler = FragmentReassembler(limits=Limits())
    reassembler.add(Fragment(KEY, 0, more=True), b"01234567", at_ns=0)
    reassembler.add(Fragment(KEY, 16, more=True), b"01234567", at_ns=0)
    if message is None:
        assert reassembler.add(Fragment(KEY, offset, more=more), payload, at_ns=0) is None
        assert len(reassembler) == 1
        return
    with pytest.raises(RemoteProtocolError, match=message):
        reassembler.add(Fragment(KEY, offset, more=more), payload, at_ns=0)
    assert (len(reassembler), reassembler.abandoned) == (0, 1)


def test_a_fragment_that_begins_within_another_ends_its_packet() -> None:
    reassembler = FragmentReassembler(limits=Limits())
    reassembler.add(Fragment(KEY, 0, more=True), bytes(16), at_ns=0)
    with pytest.raises(RemoteProtocolError, match="overlap"):
        reassembler.add(Fragment(KEY, 8, more=True), bytes(16), at_ns=0)
    assert len(reassembler) == 0


def test_nothing_lies_behind_the_last_fragment() -> None:
    reassembler = FragmentReassembler(limits=Limits())
    reassembler.add(Fragment(KEY, 16, more=True), bytes(8), at_ns=0)
    with pytest.raises(RemoteProtocolError, match="behind the last"):
        reassembler.add(Fragment(KEY, 8, more=False), bytes(8), at_ns=0)


def test_tiny_fragments_are_bounded() -> None:
    reassembler = FragmentReassembler(limits=Limits())
    for place in range(256):
        reassembler.add(Fragment(KEY, 8 + 8 * place, more=True), bytes(8), at_ns=0)
    with pytest.raises(RemoteProtocolError, match="too many"):
        reassembler.add(Fragment(KEY, 8 + 8 * 256, more=True), bytes(8), at_ns=0)
    assert len(reassembler) == 0


def test_incomplete_packets_are_bounded() -> None:
    reassembler = FragmentReassembler(limits=Limits(capture_fragments=3))
    for identification in range(10):
        reassembler.add(Fragment((*KEY[:3], identification), 0, more=True), bytes(8), at_ns=0)
    assert (len(reassembler), reassembler.abandoned) == (3, 7)
    assert reassembler.abandon_all() == 10
    assert len(reassembler) == 0


def test_an_identification_is_used_again_after_a_minute() -> None:
    reassembler = FragmentReassembler(limits=Limits())
    first, last = fragments_of(b"0123456789")
    reassembler.add(*first, at_ns=0)
    assert reassembler.add(*last, at_ns=61 * SECOND) is None
    assert reassembler.abandoned == 1


class Network:
    """One direction of a connection, and what came out of it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.reassembler = StreamReassembler(limits=limits or Limits())
        self.pieces: list[Datagram] = []

    def segment(
        self, sequence: int, payload: bytes, *, flags: int = 0x10, at: float = 0.0, port: int = 4000
    ) -> list[bytes]:
        source = A._replace(port=port)
        piece = Datagram(round(at * SECOND), "tcp", source, B, payload, 0)
        pieces = self.reassembler.add(piece, sequence=sequence & 0xFFFF_FFFF, flags=flags)
        self.pieces += [replace(piece) for piece in pieces]
        return [piece.payload for piece in pieces]

    @property
    def text(self) -> str:
        return "".join(("|" if piece.restart else "") + piece.payload.decode() for piece in self.pieces)


def test_segments_in_order_are_delivered_at_once() -> None:
    network = Network()
    assert network.segment(99, b"", flags=TCP_SYN) == []
    assert network.segment(100, b"abc") == [b"abc"]
    assert network.segment(103, b"") == []
    assert network.segment(103, b"def") == [b"def"]
    assert network.text == "|abcdef"


def test_a_capture_may_begin_in_the_middle() -> None:
    network = Network()
    network.segment(5000, b"abc")
    network.segment(5003, b"def")
    assert network.text == "|abcdef"


def test_retransmissions_and_overlaps_are_delivered_once() -> None:
    network = Network()
    network.segment(0, b"abc")
    assert network.segment(0, b"abc") == []
    assert network.segment(1, b"bcde") == [b"de"]
    assert network.segment(4, b"") == []
    network.segment(-1, b"\0")
    assert network.text == "|abcde"


def test_segments_out_of_order_wait() -> None:
    network = Network()
    network.segment(0, b"a")
    assert network.segment(3, b"d", at=0.1) == []
    assert network.segment(2, b"cd", at=0.2) == []
    assert network.reassembler.waiting_size > 3
    assert network.segment(1, b"b", at=0.3) == [b"b", b"cd"]
    assert network.reassembler.waiting_size == 0
    assert [piece.at_ns for piece in network.pieces] == [0, 300_000_000, 300_000_000]
    assert network.reassembler.gaps == 0


def test_a_gap_is_given_up_after_two_seconds() -> None:
    network = Network()
    network.segment(0, b"a")
    assert network.segment(5, b"f", at=1.0) == []
    assert network.segment(6, b"g", at=2.9) == []
    assert network.segment(7, b"h", at=3.1) == [b"f", b"g", b"h"]
    assert network.text == "|a|fgh"
    assert network.reassembler.gaps == 1
    assert network.segment(1, b"bcde", at=4.0) == []


def test_the_end_of_the_capture_gives_up_all_gaps() -> None:
    network = Network()
    network.segment(0, b"a")
    network.segment(5, b"f")
    network.segment(9, b"j")
    assert [(piece.payload, piece.restart) for piece in network.reassembler.flush()] == [(b"f", True), (b"j", True)]
    assert (network.reassembler.gaps, network.reassembler.waiting_size) == (2, 0)
    assert network.reassembler.flush() == []


def test_waiting_segments_of_a_stream_are_bounded() -> None:
    network = Network(Limits(capture_stream_segments=4))
    network.segment(0, b"a")
    for number in range(4):
        assert network.segment(10 + number, b"x") == []
    assert network.segment(14, b"x") == [b"x"] * 5
    assert network.reassembler.gaps == 1


@pytest.mark.parametrize("size", [1, 300])
def test_waiting_octets_of_all_streams_are_bounded(size: int) -> None:
    network = Network(Limits(capture_waiting_size=3000))
    for port in range(40):
        network.segment(0, b"a", port=port)
        network.segment(500, bytes(size), port=port)
        assert len(network.reassembler._streams) == port + 1
        assert network.reassembler.waiting_size <= 3000
    assert 0 < sum(len(stream.waiting) for stream in network.reassembler._streams.values()) <= 3000 // 256


def test_streams_are_bounded_and_nothing_of_the_oldest_is_lost() -> None:
    network = Network(Limits(capture_streams=3))
    network.segment(0, b"a", port=1)
    network.segment(5, b"late", port=1)
    for port in range(2, 9):
        network.segment(0, b"b", port=port)
    assert len(network.reassembler._streams) == 3
    assert network.reassembler.waiting_size == 0
    assert network.text == "|a|b|b|late|b|b|b|b|b"


def test_a_new_connection_between_the_same_ports_begins_anew() -> None:
    network = Network()
    network.segment(99, b"", flags=TCP_SYN)
    network.segment(100, b"abc")
    network.segment(110, b"lost")
    network.segment(7_000_000, b"", flags=TCP_SYN)
    network.segment(7_000_001, b"def")
    assert network.text == "|abc|lost|def"


def test_a_new_connection_whose_start_was_not_captured_begins_anew() -> None:
    network = Network()
    network.segment(100, b"abc")
    network.segment(2_000_000_000, b"def")
    assert network.text == "|abc|def"


def test_a_repeated_start_begins_nothing() -> None:
    network = Network()
    network.segment(99, b"", flags=TCP_SYN)
    network.segment(100, b"abc")
    network.segment(99, b"", flags=TCP_SYN)
    network.segment(103, b"def")
    assert network.text == "|abcdef"


def test_a_far_segment_without_payload_changes_nothing() -> None:
    network = Network()
    network.segment(100, b"abc")
    network.segment(2_000_000_000, b"", flags=0x04)
    network.segment(103, b"def")
    assert network.text == "|abcdef"


def test_a_probe_before_anything_else_is_no_content() -> None:
    network = Network()
    assert network.segment(99, b"\0") == []
    network.segment(100, b"abc")
    assert network.text == "|abc"


def test_data_in_the_first_segment_counts_from_behind_the_start() -> None:
    network = Network()
    network.segment(99, b"abc", flags=TCP_SYN)
    network.segment(103, b"def")
    assert network.text == "|abcdef"


@given(
    st.binary(min_size=1, max_size=120),
    st.integers(min_value=0, max_value=0xFFFF_FFFF),
    st.lists(st.tuples(st.integers(0, 119), st.integers(1, 30)), max_size=30),
    st.randoms(use_true_random=False),
)
def test_any_order_and_overlap_gives_the_stream(
    content: bytes, first: int, extra: list[tuple[int, int]], random: Random
) -> None:
    segments = [(place, content[place : place + 7]) for place in range(0, len(content), 7)]
    segments += [(place, content[place : place + size]) for place, size in extra]
    random.shuffle(segments)
    network = Network()
    network.segment(first - 1, b"", flags=TCP_SYN)
    delivered = [octets for place, data in segments for octets in network.segment(first + place, data)]
    assert b"".join(delivered) == content
    assert network.reassembler.waiting_size == 0
    assert network.reassembler.gaps == 0
