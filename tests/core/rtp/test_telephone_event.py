"""Telephone events: every press is told once, whatever is lost, repeated or late."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.rtp.telephone_event import DIGITS, KeyPress, KeyPressReader, TelephoneEvent, read_events

RATE = 8_000


@dataclass(frozen=True)
class Packet:
    timestamp: int
    payload: bytes
    arrival: float
    marker: bool = False


def press(digit: str, start: int, duration: int, *, at: float = 0.0, step: int = 160) -> list[Packet]:
    """The packets of one press as RFC 4733 wants them; `at` is when it begins."""
    packets: list[Packet] = []
    segment, told = start, 0
    while told < duration:
        told = min(told + step, duration)
        length = told - (segment - start)
        if length > 0xFFFF:
            packets.append(_packet(digit, segment, 0xFFFF, at + (segment - start + 0xFFFF) / RATE, marker=not packets))
            segment += 0xFFFF
            length = told - (segment - start)
        packets.append(_packet(digit, segment, length, at + told / RATE, marker=not packets, end=told == duration))
    return [*packets, packets[-1], packets[-1]]


def _packet(digit: str, timestamp: int, duration: int, arrival: float, *, marker: bool, end: bool = False) -> Packet:
    payload = TelephoneEvent(DIGITS.index(digit), duration, end).to_bytes()
    return Packet(timestamp & 0xFFFF_FFFF, payload, arrival, marker)


def read(packets: list[Packet]) -> list[KeyPress]:
    reader = KeyPressReader()
    told = []
    for packet in packets:
        told += reader.receive(
            packet.payload,
            timestamp=packet.timestamp,
            marker=packet.marker,
            clock_rate=RATE,
            arrival=packet.arrival,
        )
    return told


def seen(packets: list[Packet]) -> list[tuple[str, float, float]]:
    return [(each.digit, round(each.at, 6), round(each.duration, 6)) for each in read(packets)]


@pytest.mark.requirement("4733-2.3-a")
@given(st.integers(0, 255), st.integers(0, 0xFFFF), st.booleans(), st.integers(0, 63))
def test_what_is_written_is_read(event: int, duration: int, end: bool, volume: int) -> None:
    written = TelephoneEvent(event, duration, end, volume)
    assert TelephoneEvent.parse(written.to_bytes()) == written
    assert len(written.to_bytes()) == 4


def test_the_reserved_bit_is_ignored() -> None:
    assert TelephoneEvent.parse(bytes([5, 0xCA, 1, 0])) == TelephoneEvent(5, 256, end=True, volume=10)


@pytest.mark.parametrize("event", [TelephoneEvent(256, 0), TelephoneEvent(1, 65_536), TelephoneEvent(1, 0, volume=64)])
def test_what_does_not_fit_is_not_written(event: TelephoneEvent) -> None:
    with pytest.raises(LocalProtocolError):
        event.to_bytes()


@pytest.mark.parametrize("size", range(4))
def test_a_block_is_four_octets(size: int) -> None:
    with pytest.raises(RemoteProtocolError):
        TelephoneEvent.parse(bytes(size))
    assert read_events(bytes(size)) == []


@pytest.mark.requirement("4733-2.5.2-a")
def test_a_press_is_told_once_with_its_beginning_and_length() -> None:
    assert seen(press("5", 1_000, 800, at=2.0)) == [("5", 2.0, 0.1)]


@pytest.mark.requirement("4733-2.5.2-a")
@given(st.data())
def test_any_packet_may_be_lost_late_or_double(data: st.DataObject) -> None:
    digits = data.draw(st.text("0123456789*#ABCD", min_size=1, max_size=6))
    packets: list[Packet] = []
    for index, digit in enumerate(digits):
        whole = press(digit, index * 1_600 + 0xFFFF_F000, 800, at=index * 0.2)
        some = data.draw(st.lists(st.sampled_from(whole), min_size=1, max_size=12))
        packets += some
    told = read(packets)
    assert [each.digit for each in told] == list(digits)
    for index, each in enumerate(told):
        assert each.at == pytest.approx(index * 0.2)
        assert 0 < each.duration <= 0.1


@given(st.permutations([*press("1", 0, 800), *press("1", 1_600, 800), *press("2", 3_200, 800)]))
def test_order_does_not_matter(packets: list[Packet]) -> None:
    assert sorted((each.digit, each.duration) for each in read(packets)) == [("1", 0.1), ("1", 0.1), ("2", 0.1)]


def test_the_same_key_twice_without_any_end() -> None:
    packets = [*press("7", 0, 800)[:3], *press("7", 1_200, 800, at=0.15)[2:3]]
    assert seen(packets) == [("7", 0.0, 0.06), ("7", 0.15, 0.06)]


@pytest.mark.requirement("4733-2.3-a")
@pytest.mark.parametrize("kept", [slice(None), slice(None, None, 7), slice(-1, None)])
def test_a_long_press_comes_in_segments(kept: slice) -> None:
    long = press("9", 0xFFFF_0000, 3 * 0xFFFF + 800)
    told = read(long[kept])
    assert [each.digit for each in told] == ["9"]
    if len(long[kept]) > 1:
        assert told[0].duration == pytest.approx((3 * 0xFFFF + 800) / RATE, abs=0.15)


def test_a_timestamp_that_runs_on_during_the_press_makes_no_second_one() -> None:
    packets = [
        _packet("3", 1_000 + 160 * step, 160 * (step + 1), 0.02 * (step + 1), marker=step == 0, end=step > 6)
        for step in range(8)
    ]
    assert seen(packets) == [("3", 0.0, 0.16)]


@pytest.mark.requirement("4733-2.5.2-a")
def test_no_duration_is_no_press() -> None:
    silent = _packet("1", 1_000, 0, 0.0, marker=True)
    assert read([silent, silent]) == []
    assert seen([silent, *press("1", 1_000, 800)[1:]]) == [("1", 0.0, 0.1)]


def test_events_of_one_packet_follow_one_another() -> None:
    payload = TelephoneEvent(1, 400, end=True).to_bytes() + TelephoneEvent(2, 800, end=True).to_bytes() + b"\1\2"
    packet = Packet(0, payload, 1.0, marker=True)
    assert seen([packet, packet]) == [("1", 0.85, 0.05), ("2", 0.9, 0.1)]


@pytest.mark.parametrize("event", [16, 32, 66, 255])
def test_what_is_no_key_is_passed_over(event: int) -> None:
    assert read([Packet(0, TelephoneEvent(event, 800, end=True).to_bytes(), 0.0)]) == []


@given(
    st.lists(
        st.tuples(st.binary(max_size=80), st.integers(0, 0xFFFF_FFFF), st.booleans(), st.floats(0, 100)), max_size=60
    )
)
def test_anything_may_come(packets: list[tuple[bytes, int, bool, float]]) -> None:
    reader = KeyPressReader()
    for payload, timestamp, marker, arrival in packets:
        told = reader.receive(payload, timestamp=timestamp, marker=marker, clock_rate=RATE, arrival=arrival)
        assert len(told) <= 16
        assert all(each.digit in DIGITS and each.duration > 0 for each in told)
