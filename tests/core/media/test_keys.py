"""Key presses laid out on packet slots."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError
from siprec_core.media.keys import KeySequence
from siprec_core.rtp.telephone_event import DIGITS, KeyPressReader


def sequence(ptime: int = 20) -> KeySequence:
    return KeySequence(frame_timestamps=8 * ptime, ptime_seconds=ptime / 1000)


@pytest.mark.requirement("4733-2.3-a")
def test_one_press() -> None:
    keys = sequence()
    keys.add("5")
    slots = []
    while keys.waiting:
        slots.append(keys.take())
    found = [slot and (slot.marker, slot.slots_before, slot.event.duration, slot.event.end) for slot in slots]
    assert found == [
        (True, 0, 160, False),
        (False, 1, 320, False),
        (False, 2, 480, False),
        (False, 3, 640, False),
        (False, 4, 800, True),
        (False, 5, 800, True),
        (False, 6, 800, True),
    ]
    assert {slot.event.event for slot in slots if slot} == {5}
    assert keys.take() is None


@pytest.mark.parametrize("digits", ["x", "12 3", "1\n", "", "1²"])
def test_what_is_no_key_is_refused_as_a_whole(digits: str) -> None:
    keys = sequence()
    if digits:
        with pytest.raises(LocalProtocolError):
            keys.add(digits)
    else:
        keys.add(digits)
    assert not keys.waiting


@given(st.text("0123456789*#ABCDabcd", max_size=12), st.sampled_from([5, 10, 20, 30, 40, 60, 100, 200]))
def test_a_reader_finds_what_is_sent(digits: str, ptime: int) -> None:
    keys = sequence(ptime)
    keys.add(digits)
    reader, told, slot_number = KeyPressReader(), [], 0
    while keys.waiting:
        slot = keys.take()
        if slot is not None:
            told += reader.receive(
                slot.event.to_bytes(),
                timestamp=(slot_number - slot.slots_before) * 8 * ptime,
                marker=slot.marker,
                clock_rate=8_000,
                arrival=(slot_number + 1) * ptime / 1000,
            )
        slot_number += 1
        assert slot_number < 1_000
    assert "".join(each.digit for each in told) == digits.upper()
    assert all(each.digit in DIGITS and each.duration >= 0.1 for each in told)
    for first, second in pairwise(told):
        assert second.at - (first.at + first.duration) >= 0.06 - 1e-9
