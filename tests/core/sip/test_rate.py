"""Rates by source: bursts, steady load, refusals and silence, bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from siprec_core.sip.rate import SourceRates, Verdict


def test_a_burst_passes_then_refusals_then_silence() -> None:
    rates = SourceRates(rate=10, burst=4, sources=10)
    verdicts = [rates.take("192.0.2.2", now=0.0) for _ in range(12)]
    assert verdicts == [Verdict.PASS] * 4 + [Verdict.REFUSE] * 4 + [Verdict.DROP] * 4


def test_a_flood_leaves_what_the_rate_allows() -> None:
    rates = SourceRates(rate=10, burst=10, sources=10)
    verdicts = [rates.take("192.0.2.2", now=index / 100) for index in range(10_000)]
    passed = verdicts.count(Verdict.PASS)
    assert 1_000 <= passed <= 1_011, "100 seconds at 10 a second, whatever else comes"


def test_sources_do_not_share_and_zero_is_without_limit() -> None:
    rates = SourceRates(rate=1, burst=1, sources=10)
    assert rates.take("a", now=0.0) is Verdict.PASS
    assert rates.take("b", now=0.0) is Verdict.PASS
    assert rates.take("a", now=0.0) is Verdict.REFUSE
    free = SourceRates(rate=0, burst=1, sources=10)
    assert {free.take("a", now=0.0) for _ in range(1000)} == {Verdict.PASS}
    assert len(free) == 0


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-10, 10)), max_size=200))
def test_memory_is_bounded_and_a_clock_that_errs_does_no_harm(takes: list[tuple[int, float]]) -> None:
    rates = SourceRates(rate=5, burst=3, sources=8)
    for source, now in takes:
        assert rates.take(str(source), now=now) in Verdict
    assert len(rates) <= 8
