"""The drift of clocks, found and taken out."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.media.drift import DriftMeter, corrected, fitted, sample_at, worth_correction
from siprec_core.media.timeline import TICKS_PER_SECOND, ticks_of

MILLISECOND = TICKS_PER_SECOND // 1_000


def measured(seconds: float, drift: float, *, jitter: float = 0.0, step: float = 0.0, every: float = 0.5) -> int:
    """Give what a meter finds in audio of some seconds; `step` seconds more delay from the middle on."""
    chance = random.Random(1)
    meter = DriftMeter()
    for index in range(int(seconds / every)):
        at = index * every
        delay = at * drift + chance.expovariate(1 / jitter) if jitter else at * drift
        meter.add(ticks_of(at), ticks_of(delay + (step if at > seconds / 2 else 0.0)))
    return meter.drift()


@pytest.mark.parametrize("drift", [2e-4, -2e-4, 5e-5, -5e-4])
@pytest.mark.parametrize("seconds", [60.0, 3_600.0])
def test_a_steady_drift_is_found(drift: float, seconds: float) -> None:
    # A thousandth of a second in a minute is 17 millionths.
    assert measured(seconds, drift) == pytest.approx(drift * 1e9, abs=17_000)
    assert measured(seconds, drift, jitter=0.001) == pytest.approx(drift * 1e9, abs=17_000)


@pytest.mark.parametrize(
    ("seconds", "drift", "jitter", "step"),
    [
        (20.0, 2e-4, 0.0, 0.0),  # too short to tell
        (60.0, 0.0, 0.0, 0.0),
        (60.0, 1e-5, 0.0, 0.0),  # less than a millisecond in all
        (60.0, 2e-3, 0.0, 0.0),  # no clock is that wrong
        (600.0, 0.0, 0.0, 0.02),  # the network changed its way
        (600.0, 0.0, 0.3, 0.0),
        (0.0, 0.0, 0.0, 0.0),
    ],
)
def test_what_is_no_drift_is_left_alone(seconds: float, drift: float, jitter: float, step: float) -> None:
    assert measured(seconds, drift, jitter=jitter, step=step) == 0


def test_long_audio_is_watched_in_bounded_memory() -> None:
    meter = DriftMeter()
    for index in range(50_000):
        meter.add(ticks_of(index * 2.0), ticks_of(index * 2e-4))
    assert len(meter._points) <= 257
    assert meter.drift() == pytest.approx(100_000, abs=1_000)


def test_places_are_corrected_from_the_anchor_on() -> None:
    assert corrected(5 * TICKS_PER_SECOND, 5 * TICKS_PER_SECOND, 200_000) == 5 * TICKS_PER_SECOND
    assert corrected(65 * TICKS_PER_SECOND, 5 * TICKS_PER_SECOND, 200_000) == 65 * TICKS_PER_SECOND + 12 * MILLISECOND
    assert sample_at(TICKS_PER_SECOND, 44_100) == 44_100


@given(st.integers(0, 400), st.integers(0, 400))
def test_pcm_is_fitted_to_any_size(count: int, size: int) -> None:
    pcm = b"".join(n.to_bytes(2, "little") for n in range(count))
    made = fitted(pcm, size)
    if count == 0:
        assert made == b""
        return
    assert len(made) == 2 * size
    samples = [int.from_bytes(made[n : n + 2], "little") for n in range(0, len(made), 2)]
    if abs(size - count) * 4 < count:
        assert all(0 <= later - earlier <= 2 for earlier, later in pairwise(samples))


def test_the_change_is_spread_evenly() -> None:
    pcm = b"".join(n.to_bytes(2, "little") for n in range(1_000))
    for size in (996, 1_004):
        made = fitted(pcm, size)
        for place in range(0, min(size, 1_000), 50):
            value = int.from_bytes(made[2 * place : 2 * place + 2], "little")
            assert abs(value - place * 1_000 / size) <= 1.5


def test_the_line_through_the_delays() -> None:
    meter = DriftMeter()
    assert (meter.slope(), meter.level(0, 0), meter.agreement(0, 0)) == (None, 0, 0.0)
    for second in range(0, 100, 5):
        meter.add(ticks_of(second), ticks_of(0.5 + second * 1e-4 + (1.0 if second == 50 else 0.0)))
    assert meter.slope() == 100_000
    assert meter.level(ticks_of(10), 100_000) == pytest.approx(ticks_of(0.501), abs=20)
    assert meter.agreement(100_000, ticks_of(0.001)) == 0.95


def test_a_level_line_is_certain_and_worth_nothing() -> None:
    meter = DriftMeter()
    for second in range(0, 100, 5):
        meter.add(ticks_of(second), ticks_of(0.5 + (second % 2) * 1e-4))
    assert meter.slope() is not None
    assert meter.drift() == 0
    assert worth_correction(10_000, ticks_of(60)) == 0
    assert worth_correction(-20_000, ticks_of(60)) == -20_000
