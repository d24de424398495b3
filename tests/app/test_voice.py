"""Audio that is like speech."""

from array import array
from itertools import pairwise

import pytest

from siprec.tones import frequency_of, tone_share
from siprec.voice import Voice

RATE = 8_000


def levels(pcm: bytes) -> list[float]:
    """Give the mean level of each 20 ms."""
    samples = array("h", pcm)
    return [sum(map(abs, samples[at : at + 160])) / 160 for at in range(0, len(samples) - 159, 160)]


@pytest.mark.parametrize("speaker", range(4))
def test_it_is_loud_and_silent_by_turns_and_never_clipped(speaker: int) -> None:
    pcm = Voice(speaker, 4.0).at(RATE)
    assert len(pcm) == 2 * 4 * RATE
    assert max(map(abs, array("h", pcm))) == 12_000
    found = levels(pcm)
    silent = sum(level == 0 for level in found)
    loud = sum(level > 500 for level in found)
    assert silent > 10
    assert loud > 60
    changes = sum((before == 0) is not (after == 0) for before, after in pairwise(found))
    assert changes >= 6, "several words"
    assert tone_share(pcm, frequency_of(speaker), RATE) < 0.2, "it is no tone"


def test_each_speaker_says_something_else_and_the_same_each_time() -> None:
    assert Voice(0, 1.0).at(RATE) == Voice(0, 1.0).at(RATE)
    assert Voice(0, 1.0).at(RATE) != Voice(1, 1.0).at(RATE)


def test_what_is_long_is_said_again() -> None:
    pcm = Voice(2, 25.0).at(RATE)
    assert len(pcm) == 2 * 25 * RATE
    assert pcm[: 2 * 10 * RATE] == pcm[2 * 10 * RATE : 2 * 20 * RATE]
    assert Voice(0, 0.0).at(RATE) == b""
