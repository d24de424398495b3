import pytest

from siprec_core.rtp.jitter import InterarrivalJitter


def test_even_spacing_has_no_jitter() -> None:
    jitter = InterarrivalJitter()
    for number in range(100):
        jitter.update(number * 160, arrival=1000.0 + number / 50, clock_rate=8000)
    assert jitter.seconds == pytest.approx(0.0, abs=1e-9)


@pytest.mark.requirement("3550-A.8-a")
def test_the_estimate_moves_by_a_sixteenth() -> None:
    jitter = InterarrivalJitter()
    jitter.update(0, arrival=0.0, clock_rate=8000)
    jitter.update(160, arrival=0.030, clock_rate=8000)  # 10 ms late
    assert jitter.jitter == pytest.approx(80 / 16)
    jitter.update(320, arrival=0.040, clock_rate=8000)  # 10 ms caught up
    assert jitter.jitter == pytest.approx(5 + (80 - 5) / 16)
    assert jitter.seconds == pytest.approx(jitter.jitter / 8000)


def test_the_wrap_of_the_timestamp_is_no_jitter() -> None:
    jitter = InterarrivalJitter()
    jitter.update((1 << 32) - 80, arrival=5.0, clock_rate=8000)
    jitter.update(80, arrival=5.020, clock_rate=8000)
    assert jitter.seconds == pytest.approx(0.0, abs=1e-6)


@pytest.mark.requirement("3550-A.8-a")
def test_a_restart_is_no_jitter() -> None:
    jitter = InterarrivalJitter()
    jitter.update(0, arrival=0.0, clock_rate=8000)
    jitter.forget_transit()
    jitter.update(1_000_000, arrival=0.020, clock_rate=8000)
    assert jitter.jitter == 0.0


def test_a_change_of_clock_keeps_the_duration() -> None:
    jitter = InterarrivalJitter()
    jitter.update(0, arrival=0.0, clock_rate=8000)
    jitter.update(160, arrival=0.030, clock_rate=8000)
    before = jitter.seconds
    jitter.update(0, arrival=0.050, clock_rate=16_000)
    assert jitter.clock_rate == 16_000
    assert jitter.seconds == pytest.approx(before)


@pytest.mark.parametrize("clock_rate", [0, -8000])
def test_a_clock_that_is_none_tells_nothing(clock_rate: int) -> None:
    jitter = InterarrivalJitter()
    jitter.update(0, arrival=0.0, clock_rate=clock_rate)
    jitter.update(160, arrival=9.0, clock_rate=clock_rate)
    assert jitter.seconds == 0.0
