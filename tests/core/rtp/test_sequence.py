import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.rtp.sequence import MAX_MISORDER, Probation, SequenceTracker, Trial, Verdict


def _facts(tracker: SequenceTracker) -> tuple[int, int, int, int, int]:
    return tracker.received, tracker.lost, tracker.duplicates, tracker.reordered, tracker.extended_highest


def test_numbers_extend_over_the_wrap() -> None:
    tracker = SequenceTracker(65_534)
    assert [tracker.update(number) for number in (65_535, 0, 1)] == [Verdict.IN_ORDER] * 3
    assert _facts(tracker) == (4, 0, 0, 0, 65_537)
    assert tracker.extend(2) == 65_538
    assert tracker.extend(65_535) == 65_535


def test_a_gap_is_a_loss_until_the_packet_comes() -> None:
    tracker = SequenceTracker(10)
    assert tracker.update(13) is Verdict.IN_ORDER
    assert tracker.lost == 2
    assert tracker.update(12) is Verdict.REORDERED
    assert _facts(tracker) == (3, 1, 0, 1, 13)


def test_duplicates_are_known_within_the_window() -> None:
    tracker = SequenceTracker(0)
    for number in range(1, MAX_MISORDER):
        tracker.update(number)
    assert {tracker.update(number) for number in range(MAX_MISORDER)} == {Verdict.DUPLICATE}
    assert tracker.duplicates == MAX_MISORDER
    assert tracker.received == MAX_MISORDER
    assert tracker.update(MAX_MISORDER) is Verdict.IN_ORDER
    assert tracker.update(0) is Verdict.OUT_OF_RANGE


def test_a_duplicate_of_a_late_packet_is_a_duplicate() -> None:
    tracker = SequenceTracker(0)
    tracker.update(5)
    assert [tracker.update(3), tracker.update(3)] == [Verdict.REORDERED, Verdict.DUPLICATE]


def test_packets_from_before_the_first_one_count() -> None:
    tracker = SequenceTracker(0)
    assert tracker.update(65_535) is Verdict.REORDERED
    assert _facts(tracker) == (2, 0, 0, 1, 0)
    assert tracker.expected == 2


@pytest.mark.parametrize("number", [3_000, 30_000, 65_536 - MAX_MISORDER])
def test_a_jump_counts_nothing(number: int) -> None:
    tracker = SequenceTracker(0)
    before = _facts(tracker)
    assert tracker.update(number) is Verdict.OUT_OF_RANGE
    assert _facts(tracker) == before


def test_the_believed_jump_is_configurable_within_reason() -> None:
    assert SequenceTracker(0, max_dropout=10).update(9) is Verdict.IN_ORDER
    assert SequenceTracker(0, max_dropout=10).update(10) is Verdict.OUT_OF_RANGE
    # However wide the setting, late packets stay late.
    assert SequenceTracker(0, max_dropout=1 << 20).update(65_535) is Verdict.REORDERED


@pytest.mark.requirement("3550-A.1-a")
def test_a_restart_counts_no_loss_in_between() -> None:
    tracker = SequenceTracker(100)
    tracker.update(102)
    tracker.restart(40_000)
    tracker.update(40_002)
    assert (tracker.received, tracker.lost, tracker.restarts) == (4, 2, 1)
    assert tracker.extended_highest == 40_002
    tracker.restart(40_002)
    assert tracker.extended_highest == 40_002 + 65_536


@given(st.integers(0, 65_535), st.integers(1, 250), st.integers(1, 250))
def test_a_run_counts_as_its_packets_do(first: int, gap: int, count: int) -> None:
    one_by_one, at_once = SequenceTracker(first), SequenceTracker(first)
    for tracker in (one_by_one, at_once):
        tracker.update((first + gap) % 65_536)
    for step in range(1, count + 1):
        one_by_one.update((first + gap + step) % 65_536)
    at_once.advance(count)
    late = [(first + back) % 65_536 for back in range(gap + count + 1)]
    assert [one_by_one.update(number) for number in late] == [at_once.update(number) for number in late]
    assert _facts(one_by_one) == _facts(at_once)


@given(st.integers(0, 65_535), st.permutations(range(60)), st.lists(st.integers(0, 59), max_size=20))
def test_any_order_of_a_short_run_is_received_whole(first: int, order: list[int], again: list[int]) -> None:
    numbers = [(first + step) % 65_536 for step in [*order, *again]]
    tracker = SequenceTracker(numbers[0])
    for number in numbers[1:]:
        tracker.update(number)
    assert (tracker.received, tracker.lost, tracker.duplicates) == (60, 0, len(again))


@given(st.lists(st.integers(0, 65_535), min_size=1, max_size=300))
def test_counters_add_up_whatever_comes(numbers: list[int]) -> None:
    tracker = SequenceTracker(numbers[0])
    verdicts = [tracker.update(number) for number in numbers[1:]]
    believed = len(numbers) - verdicts.count(Verdict.OUT_OF_RANGE)
    assert tracker.received + tracker.duplicates == believed
    assert tracker.reordered == verdicts.count(Verdict.REORDERED)
    assert tracker.lost >= 0


def test_what_is_skipped_is_not_lost() -> None:
    tracker = SequenceTracker(65_530)
    tracker.update(65_531)
    tracker.skip()
    assert tracker.update(400) is Verdict.IN_ORDER
    assert (tracker.expected, tracker.received, tracker.lost) == (3, 3, 0)
    assert tracker.update(402) is Verdict.IN_ORDER
    assert tracker.lost == 1
    for late in (401, 399):
        assert tracker.update(late) is Verdict.REORDERED
    assert tracker.lost == 0
    tracker.skip()
    tracker.update(403)
    tracker.update(410)
    assert tracker.lost == 5


@given(st.lists(st.one_of(st.none(), st.integers(0, 65_535)), max_size=300))
def test_skipping_keeps_the_counters_sound(numbers: list[int | None]) -> None:
    tracker = SequenceTracker(0)
    for number in numbers:
        if number is None:
            tracker.skip()
        else:
            tracker.update(number)
    assert tracker.lost >= 0


def test_probation_needs_two_in_sequence() -> None:
    probation = Probation(65_535)
    assert probation.update(0) is Trial.PASSED


@pytest.mark.requirement("3550-A.1-a")
@pytest.mark.parametrize(
    ("numbers", "trials"),
    [
        ((11, 10, 12), (Trial.PENDING, Trial.PENDING)),
        ((10, 10, 11), (Trial.PENDING, Trial.PASSED)),
        ((10, 12, 13), (Trial.PENDING, Trial.PASSED)),
        ((10, 30_000, 50_000), (Trial.UNRELATED, Trial.UNRELATED)),
        ((10, 30_000, 30_001), (Trial.UNRELATED, Trial.PASSED)),
    ],
)
def test_probation_judges_each_packet_by_the_one_before(numbers: tuple[int, ...], trials: tuple[Trial, ...]) -> None:
    probation = Probation(numbers[0])
    assert tuple(probation.update(number) for number in numbers[1:]) == trials
