"""The port pool: never twice, everything back, the longest rested first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from siprec_core.errors import ConfigurationError
from siprec_core.recording.ports import REST_SECONDS, PortCounts, PortPool

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
        port = self.pool.take(now=0.0)
        assert port == (self.free.pop(0) if self.free else None)
        if port is not None:
            assert port not in self.taken
            self.taken.add(port)

    @rule(port=st.sampled_from([*PAIRS, 30_003, 1, 70_000]))
    def give_back(self, port: int) -> None:
        self.pool.give_back(port, now=0.0)
        if port in self.taken:
            self.taken.remove(port)
            if port in self.pairs:
                self.free.append(port)

    @rule(low=st.integers(LOW - 20, LOW + 6), size=st.integers(2, 30))
    def resize(self, low: int, size: int) -> None:
        self.pool.resize(low, low + size)
        wanted = [port for port in range(low, low + size) if port % 2 == 0]
        known = {*self.free, *self.taken}
        self.free = [port for port in wanted if port not in known] + [port for port in self.free if port in wanted]
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
    assert [pool.take(now=0.0) for _ in expected] == expected
    assert pool.take(now=0.0) is None
    assert len(pool) == 0


@pytest.mark.parametrize("expansion", [(30_005, 30_020), (29_000, 30_000), (0, 5), (50_001, 50_002), (9, 8)])
def test_a_second_range_is_one_of_its_own(expansion: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError, match="rtp_ports_expansion"):
        PortPool(30_000, 30_010, expansion=expansion)


def test_a_range_cannot_grow_into_the_second_one() -> None:
    pool = PortPool(30_000, 30_010, expansion=(40_000, 40_010))
    with pytest.raises(ConfigurationError, match="overlaps"):
        pool.resize(39_000, 40_000)
    assert (pool.low, pool.high) == (30_000, 30_010)


@pytest.mark.parametrize(("low", "high"), [(0, 10), (10, 9), (65_000, 65_536), (30_001, 30_002), (30_000, 30_000)])
def test_ranges_without_a_pair_are_errors_of_the_settings(low: int, high: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{low}-{high}"):
        PortPool(low, high)


@given(st.data())
def test_no_port_is_used_within_its_rest_while_another_one_is_not_resting(data: st.DataObject) -> None:
    pool = PortPool(30_000, 30_011, expansion=(40_000, 40_007))
    given_back: dict[int, float] = {}
    taken: list[int] = []
    now = 0.0
    for _ in range(data.draw(st.integers(1, 60))):
        now += data.draw(st.sampled_from([0.0, 1.0, 7.0, 31.0]))
        if bool(taken) and data.draw(st.booleans()):
            port = taken.pop(data.draw(st.integers(0, len(taken) - 1)))
            pool.give_back(port, now=now)
            given_back[port] = now
            continue
        every = {*range(30_000, 30_011, 2), *range(40_000, 40_007, 2)}
        free = every - set(taken)
        port_or_none = pool.take(now=now)
        assert (port_or_none is None) == (not free)
        if port_or_none is None:
            continue
        fresh = free - set(given_back)
        rested = {port for port in free if now - given_back.get(port, -1e9) >= REST_SECONDS}
        assert port_or_none in (rested or free)
        if not rested:
            assert given_back[port_or_none] == min(given_back[port] for port in free)
        if {port for port in rested if port < 40_000}:
            assert not pool.expands(port_or_none), "the second range is for bursts"
        if {port for port in fresh if port < 40_000}:
            assert port_or_none in fresh
        taken.append(port_or_none)


@pytest.mark.requirement("3550-11-a")
def test_a_port_that_comes_back_is_the_last_to_be_taken_again() -> None:
    pool = PortPool(30_000, 30_007)
    first = pool.take(now=0.0)
    assert first == 30_000
    pool.give_back(first, now=0.0)
    assert [pool.take(now=0.0) for _ in range(4)] == [30_002, 30_004, 30_006, 30_000]


def test_pairs_are_counted_by_what_they_do() -> None:
    pool = PortPool(30_000, 30_007, expansion=(40_000, 40_003))
    assert pool.counts(now=0.0) == PortCounts(taken=0, free=6, resting=0)
    ports = [pool.take(now=0.0) for _ in range(5)]
    for port in ports[-2:]:
        pool.give_back(port or 0, now=1.0)
    assert pool.counts(now=1.0) == PortCounts(taken=3, free=1, resting=2)
    assert pool.counts(now=1.0 + REST_SECONDS) == PortCounts(taken=3, free=3, resting=0)
