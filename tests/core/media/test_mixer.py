"""Joining placed audio to PCM."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.media.mixer import Track, downmix, interleave, resample, saturating_sum


def pcm(*samples: int) -> bytes:
    return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)


def samples(data: bytes) -> list[int]:
    return [int.from_bytes(data[n : n + 2], "little", signed=True) for n in range(0, len(data), 2)]


def test_gaps_become_silence() -> None:
    track = Track()
    track.add(1, 2, pcm(5, 6))
    track.add(1, 6, pcm(7))
    assert samples(track.take(9)) == [0, 0, 5, 6, 0, 0, 7, 0, 0]
    assert (track.audio_samples, track.gap_samples) == (5, 2)


def test_pieces_may_be_taken_in_windows() -> None:
    track = Track()
    track.add(1, 1, pcm(1, 2, 3, 4))
    assert [samples(track.take(end)) for end in (2, 3, 3, 6)] == [[0, 1], [2], [], [3, 4, 0]]
    assert (track.audio_samples, track.gap_samples) == (4, 0)


def test_the_first_of_two_pieces_of_a_source_counts() -> None:
    track = Track()
    track.add(1, 2, pcm(1, 1))
    track.add(1, 6, pcm(2, 2))
    track.add(1, 0, pcm(9, 9, 9, 9, 9, 9, 9, 9, 9, 9))
    assert samples(track.take(10)) == [9, 9, 1, 1, 9, 9, 2, 2, 9, 9]
    assert track.waiting_samples == 0


def test_what_was_taken_stays() -> None:
    track = Track()
    track.take(3)
    track.add(1, 0, pcm(1, 2))
    track.add(1, 1, pcm(3, 4, 5, 6))
    assert samples(track.take(6)) == [5, 6, 0]


def test_sources_are_summed_and_covered_once() -> None:
    track = Track()
    track.add(1, 0, pcm(30_000, 1, 1))
    track.add(2, 0, pcm(30_000, 1))
    track.add(2, 4, pcm(-5))
    assert samples(track.take(6)) == [32_767, 2, 1, 0, -5, 0]
    assert (track.audio_samples, track.gap_samples) == (5, 1)


def test_nothing_placed_is_silence() -> None:
    track = Track()
    assert track.take(3) == bytes(6)
    assert (track.audio_samples, track.gap_samples) == (0, 0)


pieces = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=12)


@given(pieces, st.lists(st.integers(0, 60), max_size=5).map(sorted))
def test_any_pieces_and_windows_equal_plain_writing(placed: list[tuple[int, int]], windows: list[int]) -> None:
    track = Track()
    plain: list[int | None] = [None] * 60
    for number, (start, size) in enumerate(placed, 1):
        track.add(1, start, pcm(*[number] * size))
        for at in range(start, start + size):
            plain[at] = number if plain[at] is None else plain[at]
    taken = b"".join(track.take(end) for end in [*windows, 60])
    assert samples(taken) == [value or 0 for value in plain]
    audio = [at for at, value in enumerate(plain) if value is not None]
    assert track.audio_samples == (audio[-1] - audio[0] + 1 if audio else 0)
    assert track.audio_samples - track.gap_samples == len(audio)


@given(st.lists(st.tuples(st.integers(-32768, 32767), st.integers(-32768, 32767)), max_size=50))
def test_sums_saturate(pairs: list[tuple[int, int]]) -> None:
    total = saturating_sum(pcm(*(a for a, _ in pairs)), pcm(*(b for _, b in pairs)))
    assert samples(total) == [min(max(a + b, -32768), 32767) for a, b in pairs]


def test_downmix_takes_the_mean() -> None:
    assert samples(downmix(pcm(10, 20, -32768, -32768, 5), 2)) == [15, -32768]
    assert downmix(pcm(1, 2), 1) == pcm(1, 2)


@pytest.mark.parametrize(("rate", "new_rate", "expected"), [(8, 8, [1, 2]), (8, 16, [1, 1, 2, 2]), (8, 12, [1, 1, 2])])
def test_resample(rate: int, new_rate: int, expected: list[int]) -> None:
    assert samples(resample(pcm(1, 2), rate, new_rate, len(expected))) == expected


@given(st.integers(1, 400), st.sampled_from([(8000, 44_100), (44_100, 8000), (8000, 48_000), (11_025, 8000)]))
def test_resample_gives_exactly_what_was_asked_for(size: int, rates: tuple[int, int]) -> None:
    wanted = size * rates[1] // rates[0]
    assert len(resample(array("h", range(size)).tobytes(), *rates, wanted)) == wanted * 2


def test_interleave() -> None:
    assert samples(interleave([pcm(1, 2), pcm(3, 4), pcm(5, 6)])) == [1, 3, 5, 2, 4, 6]
    assert interleave([pcm(1, 2)]) == pcm(1, 2)
