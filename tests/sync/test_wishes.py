"""Wishes of other threads."""

import threading
from collections.abc import Callable

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_sync.wishes import Wishes


def gone() -> LocalProtocolError:
    return LocalProtocolError("gone")


def test_the_answer_comes_back_and_so_does_a_refusal() -> None:
    def at_once(function: Callable[[float], object]) -> None:
        function(7.0)

    wishes = Wishes(at_once)
    assert wishes.ask(lambda now: now + 1, gone) == 8.0

    def refuse(now: float) -> None:
        raise LocalProtocolError(f"not at {now}")

    with pytest.raises(LocalProtocolError, match="not at 7"):
        wishes.ask(refuse, gone)


def test_a_fault_reaches_both_threads() -> None:
    faults: list[BaseException] = []

    def call(function: Callable[[float], object]) -> None:
        try:
            function(1.0)
        except ZeroDivisionError as error:
            faults.append(error)

    with pytest.raises(ZeroDivisionError):
        Wishes(call).ask(lambda now: now / 0, gone)
    assert len(faults) == 1


def test_nobody_waits_for_a_driver_that_has_ended() -> None:
    taken = threading.Event()

    def call(function: Callable[[float], object]) -> None:
        del function
        taken.set()

    wishes = Wishes(call)
    answers: list[BaseException] = []

    def wait() -> None:
        try:
            wishes.ask(lambda now: None, gone)
        except LocalProtocolError as error:
            answers.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert taken.wait(10)
    wishes.close(gone)
    thread.join(10)
    assert [str(error) for error in answers] == ["gone"]
    with pytest.raises(LocalProtocolError, match="gone"):
        wishes.ask(lambda now: None, gone)
