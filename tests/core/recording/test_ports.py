"""The port pool: never twice, everything back, the longest rested first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from siprec_core.errors import ConfigurationError
from siprec_core.recording.ports import PortPool

LOW, HIGH = 30_001, 30_016
PAIRS = list(range(30_002, 30_016, 2))


class AgainstAList(RuleBasedStateMachine):
    """The model: a list of what is free, the longest rested first."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PortPool(LOW, HIGH)
        self.free = list(PAIRS)
        self.pairs = set(PAIRS)
        self.taken: set[int] = set()

    @rule()
    def take(self) -> None:
        port = self.pool.take()
        assert port == (self.free.pop(0) if self.free else None)
        if port is not None:
            assert port not in self.taken
            self.taken.add(port)

    @rule(port=st.sampled_from([*PAIRS, 30_003, 1, 70_000]))
    def give_back(self, port: int) -> None:
        self.pool.give_back(port)
        if port in self.taken:
            self.taken.remove(port)
            if port in self.pairs:
                self.free.append(port)

    @rule(low=st.integers(LOW - 20, LOW + 6), size=st.integers(2, 30))
    def resize(self, low: int, size: int) -> None:
        self.pool.resize(low, low + size)
        wanted = [port for port in range(low, low + size) if port % 2 == 0]
        known = {*self.free, *self.taken}
        self.free = [port for port in self.free if port in wanted] + [port for port in wanted if port not in known]
        self.pairs = set(wanted)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.pool) == len(self.free)
        assert self.pairs <= {*self.free, *self.taken}
        assert len({*self.free, *self.taken}) == len(self.free) + len(self.taken)


TestAgainstAList = AgainstAList.TestCase


def test_a_range_that_cannot_be_leaves_the_old_one() -> None:
    pool = PortPool(30_000, 30_003)
    with pytest.raises(ConfigurationError, match="30001-30002"):
        pool.resize(30_001, 30_002)
    assert (pool.low, pool.high, len(pool)) == (30_000, 30_003, 2)


@given(st.integers(1, 65_535), st.integers(0, 40))
def test_all_pairs_lie_within_the_range(low: int, size: int) -> None:
    high = min(65_535, low + size)
    expected = [port for port in range(low, high) if port % 2 == 0]
    if not expected:
        with pytest.raises(ConfigurationError, match="rtp_ports"):
            PortPool(low, high)
        return
    pool = PortPool(low, high)
    assert [pool.take() for _ in expected] == expected
    assert pool.take() is None
    assert len(pool) == 0


@pytest.mark.parametrize(("low", "high"), [(0, 10), (10, 9), (65_000, 65_536), (30_001, 30_002), (30_000, 30_000)])
def test_ranges_without_a_pair_are_errors_of_the_settings(low: int, high: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{low}-{high}"):
        PortPool(low, high)


def test_a_port_that_comes_back_is_the_last_to_be_taken_again() -> None:
    pool = PortPool(30_000, 30_007)
    first = pool.take()
    assert first == 30_000
    pool.give_back(first)
    assert [pool.take() for _ in range(4)] == [30_002, 30_004, 30_006, 30_000]
