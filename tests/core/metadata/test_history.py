import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.metadata.history import History, Stay, Told


def tell(
    history: History, joined: int | None = None, left: int | None = None, *, over: bool | None = None, now: int = 100
) -> tuple[bool, bool]:
    return history.tell(
        Told(
            participant_id="p",
            session_id="s",
            joined_ns=joined,
            left_ns=left,
            over=left is not None if over is None else over,
            guess_ns=now,
            now_ns=now,
        )
    )


def test_stay_is_opened_and_closed() -> None:
    history = History(10)
    assert tell(history, 5) == (True, False)
    assert history.lasting() == (("p", "s"),)
    assert tell(history, None, 9) == (False, True)
    assert history.stays("p") == (Stay("s", 5, 9),)
    assert history.lasting() == ()
    assert history.span("p") == (5, 9)


def test_repeated_association_changes_nothing() -> None:
    history = History(10)
    for _ in range(3):
        tell(history, 5)
    assert history.stays("p") == (Stay("s", 5),)
    tell(history, 5, 9)
    assert tell(history, 5, 9) == (False, False)
    assert history.stays("p") == (Stay("s", 5, 9),)


@pytest.mark.requirement("7865-6.6-c")
def test_who_comes_back_has_two_stays() -> None:
    history = History(10)
    tell(history, 5)
    tell(history, None, 9)
    assert tell(history, 20) == (True, False)
    assert history.stays("p") == (Stay("s", 5, 9), Stay("s", 20))
    assert history.span("p") == (5, None)


def test_complete_document_repeats_all_stays() -> None:
    history = History(10)
    for _ in range(2):
        tell(history, 5, 9)
        tell(history, 20)
    assert history.stays("p") == (Stay("s", 5, 9), Stay("s", 20))
    assert history.lasting() == (("p", "s"),)


def test_guessed_beginning_is_corrected() -> None:
    history = History(10)
    tell(history, None, now=50)
    assert tell(history, 40) == (False, False)
    assert history.stays("p") == (Stay("s", 40),)


def test_stay_known_only_by_its_end() -> None:
    history = History(10)
    assert tell(history, None, 30, now=50) == (True, True)
    assert history.stays("p") == (Stay("s", 30, 30),)


def test_unreadable_end_is_the_arrival() -> None:
    history = History(10)
    tell(history, 5)
    assert tell(history, over=True, now=70) == (False, True)
    assert history.stays("p") == (Stay("s", 5, 70),)


def test_stay_that_is_told_again_as_lasting_goes_on() -> None:
    history = History(10)
    tell(history, 5, 9)
    assert tell(history, 5) == (True, False)
    assert history.stays("p") == (Stay("s", 5),)


def test_stay_ended_from_outside() -> None:
    history = History(10)
    tell(history, 5)
    assert history.leave("p", "s", 12) == ("p", "s")
    assert history.stays("p") == (Stay("s", 5, 12),)


def test_beginning_of_an_old_stay_does_not_open_it_beside_the_lasting_one() -> None:
    history = History(10)
    tell(history, 5, 9)
    tell(history, None, now=20)
    assert tell(history, 5, now=30) == (False, False)
    assert history.stays("p") == (Stay("s", 5, 9), Stay("s", 20))


def test_participant_without_session_is_there_from_first_to_last_mention() -> None:
    history = History(10)
    history.mention("p", 5)
    history.mention("p", 7)
    assert history.span("p") == (5, None)
    history.vanish("p", 9)
    history.vanish("p", 11)
    assert history.span("p") == (5, 9)
    history.mention("p", 12)
    assert history.span("p") == (5, None)
    assert history.span("q") == (None, None)


def test_streams_are_remembered_once_in_order() -> None:
    history = History(10)
    history.carry("p", ["b", "a"], ["c"], 1)
    history.carry("p", ["a", "d"], [], 2)
    assert history.sends("p") == ("b", "a", "d")
    assert history.receives("p") == ("c",)
    assert history.sends("q") == history.receives("q") == ()
    assert history.stays("q") == ()


def test_history_is_bounded() -> None:
    history = History(3)
    for number in range(10):
        history.carry("p", [f"s{number}"], [f"r{number}"], 1)
        tell(history, number * 10, number * 10 + 5)
        history.mention(f"q{number}", 1)
    assert len(history.sends("p")) + len(history.receives("p")) + len(history.stays("p")) == 3
    assert history.span("q9") == (None, None)


@given(st.lists(st.tuples(st.none() | st.integers(0, 9), st.none() | st.integers(0, 9), st.booleans()), max_size=20))
def test_begun_less_ended_is_what_lasts(told: list[tuple[int | None, int | None, bool]]) -> None:
    history = History(100)
    balance = 0
    for now, (joined, left, over) in enumerate(told):
        began, ended = tell(history, joined, left, over=over or left is not None, now=now)
        balance += began - ended
    assert balance == sum(stay.left_ns is None for stay in history.stays("p"))
    assert bool(history.lasting()) == (balance > 0)
