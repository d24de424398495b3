"""Tones, and how they are found again."""

from hypothesis import given
from hypothesis import strategies as st

from siprec.tones import frequency_of, tone, tone_share


def test_streams_have_tones_of_their_own_within_the_band() -> None:
    frequencies = [frequency_of(index) for index in range(56)]
    assert frequencies[:3] == [440, 880, 1320]
    assert len(set(frequencies)) == 56
    assert all(300 <= each <= 3_600 for each in frequencies)


@given(st.integers(min_value=0, max_value=55), st.floats(min_value=0.05, max_value=2.5))
def test_a_tone_is_found_at_its_frequency_and_at_no_other(index: int, seconds: float) -> None:
    pcm = tone(frequency_of(index), seconds, 8_000)
    assert len(pcm) == 2 * round(seconds * 8_000)
    assert tone_share(pcm, frequency_of(index), 8_000) > 0.9
    assert tone_share(pcm, frequency_of((index + 1) % 7), 8_000) < 0.1


def test_silence_and_nothing_hold_no_tone() -> None:
    assert tone_share(bytes(1_600), 440, 8_000) == 0.0
    assert tone_share(b"", 440, 8_000) == 0.0
    assert tone(440, 0.0, 8_000) == b""
