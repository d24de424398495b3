"""Sender reports as a straight line, and as none."""

from random import Random

import pytest

from siprec_core.media.timeline import TICKS_PER_SECOND
from siprec_core.media.wall_clock import WallClock

SECOND = TICKS_PER_SECOND
WALL = 10**9 * SECOND


def reports(seconds: int, *, drift: float = 0.0, begin: int = 0, noise: float = 0.0) -> WallClock:
    clock = WallClock()
    chance = Random(1)
    for second in range(0, seconds, 5):
        late = chance.uniform(0, noise)
        clock.add((begin + second) * SECOND, WALL + round((begin + second * (1 + drift) + late) * SECOND))
    return clock


def test_one_report_tells_the_level_and_no_drift() -> None:
    assert reports(1, begin=7).relation(7 * SECOND) == (WALL, None)
    assert reports(20, begin=7).relation(0) == (WALL, None)


@pytest.mark.parametrize("drift", [2e-4, -2e-4, 0.0])
def test_the_drift_of_a_minute_is_told(drift: float) -> None:
    relation = reports(65, drift=drift, begin=3).relation(3 * SECOND)
    assert relation is not None
    assert relation.drift == pytest.approx(drift * 1e9, abs=100)
    assert relation.level == pytest.approx(WALL, abs=SECOND // 100_000)


def test_clocks_that_are_read_some_time_apart_are_noise() -> None:
    relation = reports(300, noise=0.015).relation(0)
    assert relation is not None
    assert relation.drift is None
    assert relation.level == pytest.approx(WALL + 0.0075 * SECOND, abs=SECOND // 100)


def test_single_wrong_reports_do_not_count() -> None:
    clock = reports(100)
    clock.add(101 * SECOND, WALL - 10**6 * SECOND)
    relation = clock.relation(0)
    assert relation is not None
    assert relation.level == pytest.approx(WALL, abs=10)


def test_a_clock_that_was_set_is_not_believed() -> None:
    clock = reports(60)
    for second in range(60, 120, 5):
        clock.add(second * SECOND, WALL + (second + 2) * SECOND)
    assert clock.relation(0) is None


def test_a_clock_that_no_oscillator_has_is_not_believed() -> None:
    assert reports(120, drift=0.5).relation(0) is None


def test_no_report_tells_nothing() -> None:
    assert WallClock().relation(0) is None
