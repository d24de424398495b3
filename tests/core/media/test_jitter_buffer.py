"""Packets in order, gaps waited for as long as it helps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.media.jitter_buffer import LONGEST_SECONDS, SHORTEST_SECONDS, JitterBuffer, Missing


def taken(buffer: JitterBuffer[int], now: float) -> list[int | Missing]:
    return list(buffer.take(now=now))


def test_what_comes_in_order_leaves_at_once() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    for number in range(65_530, 65_550):
        buffer.add(number & 0xFFFF, number, arrival=0.0)
        assert taken(buffer, 0.0) == [number]
    assert buffer.next_timeout() is None
    assert buffer.delay == SHORTEST_SECONDS


def test_a_gap_is_waited_for_and_then_given_up() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    for number in (0, 1, 4, 5):
        buffer.add(number, number, arrival=1.0)
    assert taken(buffer, 1.0) == [0, 1]
    due = buffer.next_timeout()
    assert due == pytest.approx(1.0 + SHORTEST_SECONDS)
    assert taken(buffer, 1.0 + SHORTEST_SECONDS + 1e-9) == [Missing(2), 4, 5]
    buffer.add(3, 3, arrival=1.1)
    assert taken(buffer, 2.0) == []
    assert buffer.late == 1


def test_the_delay_follows_the_network_within_its_bounds() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    buffer.add(0, 0, arrival=0.0)
    buffer.add(2, 2, arrival=0.02)
    assert taken(buffer, 0.02) == [0]
    buffer.add(1, 1, arrival=0.038)
    assert taken(buffer, 0.038) == [1, 2]
    assert buffer.delay == pytest.approx(0.027, abs=0.001)
    for number in range(3, 40, 2):
        buffer.add(number + 1, 0, arrival=float(number))
        taken(buffer, number + 1.0)
        buffer.add(number, 0, arrival=number + 1.0)
    assert buffer.delay == LONGEST_SECONDS
    for number in range(40, 2_000):
        buffer.add(number, 0, arrival=100.0)
        taken(buffer, 100.0)
    assert buffer.delay == SHORTEST_SECONDS


def test_a_sequence_that_begins_anew_is_followed_at_once() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    buffer.add(10, 10, arrival=0.0)
    buffer.add(12, 12, arrival=0.0)
    buffer.add(30_000, 1, arrival=0.0)
    assert taken(buffer, 0.0) == [10]
    assert taken(buffer, 1.0) == [Missing(1), 12, 1]
    buffer.add(20_000, 2, arrival=1.0)
    assert taken(buffer, 1.0) == [2]


def test_what_waits_is_bounded() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    buffer.add(0, 0, arrival=0.0)
    for number in range(2, 2_000):
        buffer.add(number, number, arrival=0.0)
    assert taken(buffer, 0.0)[:3] == [0, Missing(1), 2]


@given(st.permutations(range(12)), st.integers(0, 0xFFFF))
def test_no_packet_is_given_twice_or_out_of_order(order: list[int], first: int) -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    buffer.add(first, -1, arrival=0.0)
    given_: list[int | Missing] = []
    for number in order:
        buffer.add((first + 1 + number) & 0xFFFF, number, arrival=0.0)
        buffer.add((first + 1 + number) & 0xFFFF, number, arrival=0.0)
        given_ += taken(buffer, 0.0)
    assert given_ == list(range(-1, 12))


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.floats(0, 10)), max_size=200))
def test_anything_may_come(packets: list[tuple[int, float]]) -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    total = 0
    for number, arrival in packets:
        buffer.add(number, number, arrival)
        total += sum(not isinstance(each, Missing) for each in buffer.take(now=arrival))
    total += sum(not isinstance(each, Missing) for each in buffer.take(now=1e9))
    assert total + buffer.late == len(packets)
    assert buffer.next_timeout() is None
