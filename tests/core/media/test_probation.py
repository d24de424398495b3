import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.media.probation import (
    DATAGRAMS_PER_CANDIDATE,
    RTCP_DATAGRAMS,
    HeldDatagram,
    Outcome,
    ProbationTable,
    Waiting,
)
from siprec_core.types import Address, Component
from tests.core.media.lines import ELSEWHERE, FOREIGN


def _waiting(number: int = 0, *, source: Address = ELSEWHERE, at: float = 0.0, size: int = 10) -> Waiting:
    return Waiting(HeldDatagram(Component.RTP, bytes(size), source, at), 1, number)


def _offer(table: ProbationTable, number: int, *, ssrc: int = 1, at: float = 0.0, known: bool = False) -> Outcome:
    return table.offer(_waiting(number, at=at), ssrc=ssrc, sequence_number=number, known=known)


def _positions(waiting: list[Waiting]) -> list[int]:
    return [item.position for item in waiting]


def test_two_in_sequence_pass_and_all_that_is_held_is_handed_over() -> None:
    table = ProbationTable(Limits())
    assert [_offer(table, number) for number in (10, 12, 11, 13, 14)] == [Outcome.HELD] * 4 + [Outcome.PASSED]
    assert table.held_size == 40
    assert _positions(table.take(ELSEWHERE, 1)) == [10, 12, 11, 13]
    assert table.held_size == len(table) == 0
    assert table.take(ELSEWHERE, 1) == []


def test_what_does_not_belong_together_is_forgotten() -> None:
    table = ProbationTable(Limits())
    assert [_offer(table, number) for number in (10, 30_000, 30_001)] == [Outcome.HELD, Outcome.HELD, Outcome.PASSED]
    assert _positions(table.take(ELSEWHERE, 1)) == [30_000]


@pytest.mark.parametrize("held", [True, False])
def test_a_vouched_source_passes_with_its_first_packet(held: bool) -> None:
    table = ProbationTable(Limits())
    if held:
        _offer(table, 10)
    assert table.offer(_waiting(15), ssrc=1, sequence_number=15, known=False, vouched=True) is Outcome.PASSED
    assert _positions(table.take(ELSEWHERE, 1)) == ([10] if held else [])


def test_candidates_are_told_apart_by_address_and_ssrc() -> None:
    table = ProbationTable(Limits())
    assert _offer(table, 10) is Outcome.HELD
    assert _offer(table, 11, ssrc=2) is Outcome.HELD
    other = table.offer(_waiting(11, source=FOREIGN), ssrc=1, sequence_number=11, known=False)
    assert other is Outcome.HELD
    assert len(table) == 3
    table.keep_only((FOREIGN, None))
    assert len(table) == 1
    assert table.held_size == 10


def test_the_rate_of_new_sources_is_bounded_but_not_that_of_jumps() -> None:
    table = ProbationTable(Limits(new_ssrcs_per_second=2))
    outcomes = [_offer(table, 0, ssrc=ssrc, at=at) for ssrc, at in enumerate((0.0, 0.5, 0.9, 1.0, 1.4, 1.5))]
    assert outcomes == [
        Outcome.HELD,
        Outcome.HELD,
        Outcome.REFUSED,
        Outcome.HELD,
        Outcome.REFUSED,
        Outcome.HELD,
    ]
    assert _offer(table, 0, ssrc=77, at=1.5, known=True) is Outcome.HELD


def test_the_oldest_datagrams_of_a_candidate_give_way() -> None:
    table = ProbationTable(Limits())
    for number in range(0, 40, 2):
        _offer(table, number)
    assert _positions(table.take(ELSEWHERE, 1)) == list(range(40 - 2 * DATAGRAMS_PER_CANDIDATE, 40, 2))


def test_the_oldest_candidate_gives_way() -> None:
    table = ProbationTable(Limits(ssrcs_per_line=2))
    for ssrc in range(3):
        _offer(table, 5, ssrc=ssrc)
    assert [_positions(table.take(ELSEWHERE, ssrc)) for ssrc in range(3)] == [[], [5], [5]]


def test_rtcp_is_held_up_to_its_bound() -> None:
    table = ProbationTable(Limits())
    for number in range(RTCP_DATAGRAMS + 2):
        table.hold_rtcp(_waiting(number))
    assert _positions(table.take_rtcp()) == list(range(2, RTCP_DATAGRAMS + 2))
    assert table.held_size == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 60), st.booleans()), max_size=60))
def test_octets_held_stay_within_the_bound(offers: list[tuple[int, int, int, bool]]) -> None:
    limits = Limits(probation_size=100, ssrcs_per_line=3, new_ssrcs_per_second=100)
    table = ProbationTable(limits)
    for ssrc, number, size, is_rtcp in offers:
        item = _waiting(number, size=size)
        if is_rtcp:
            table.hold_rtcp(item)
        else:
            table.offer(item, ssrc=ssrc, sequence_number=number, known=False)
        assert table.held_size <= limits.probation_size
        assert len(table) <= limits.ssrcs_per_line
    rest = [*table.take_rtcp(), *(item for ssrc in range(6) for item in table.take(ELSEWHERE, ssrc))]
    assert table.held_size == 0
    assert sum(len(item.datagram.data) for item in rest) <= limits.probation_size
