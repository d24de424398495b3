"""The wall clock of this machine, and its steps."""

import time

import pytest

from siprec_sync.clocks import LOOK_SECONDS, ClockWatch, read_clocks


class Clocks:
    """Clocks that go as told."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.monotonic = 100.0
        self.unix_ns = 1_700_000_000_000_000_000
        patch.setattr(time, "monotonic", lambda: self.monotonic)
        patch.setattr(time, "time_ns", lambda: self.unix_ns)

    def go(self, seconds: float, *, wall: float | None = None) -> float:
        self.monotonic += seconds
        self.unix_ns += round((seconds if wall is None else wall) * 1_000_000_000)
        return self.monotonic


def test_clocks_agree() -> None:
    first, second = read_clocks(), read_clocks()
    assert abs(first.unix_ns_at(second.monotonic) - second.unix_ns) < 1_000_000_000
    assert first.monotonic <= time.monotonic()


@pytest.mark.parametrize("step", [3_600.0, -3_600.0, 0.2, -0.2])
def test_a_step_is_told_once(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    told = Clocks(monkeypatch)
    watch = ClockWatch()
    assert watch.look(told.go(5.0)) is None
    found = watch.look(told.go(5.0, wall=5.0 + step))
    assert found is not None
    base, seen = found
    assert seen == pytest.approx(step)
    assert base.unix_ns_at(told.monotonic) == told.unix_ns
    assert watch.look(told.go(5.0)) is None


def test_a_clock_that_is_slewed_is_followed_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Clocks(monkeypatch)
    watch = ClockWatch()
    assert [watch.look(told.go(1.0, wall=1.0005)) for _ in range(1_000)] == [None] * 1_000


def test_the_clock_is_looked_at_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Clocks(monkeypatch)
    watch = ClockWatch()
    assert watch.look(told.go(LOOK_SECONDS / 2, wall=60.0)) is None
    assert watch.look(told.go(LOOK_SECONDS / 2)) is not None
