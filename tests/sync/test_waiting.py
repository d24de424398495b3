"""Threads that wait for something that another thread brings about."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from siprec_sync.waiting import Bell

PATIENCE = 10.0


def test_a_ring_wakes_every_thread_that_waits() -> None:
    bell, state, begun = Bell(), [0], Barrier(9)

    def wait(value: int) -> bool:
        begun.wait(PATIENCE)
        return bell.wait_until(lambda: state[0] >= value, PATIENCE)

    with ThreadPoolExecutor(8) as threads:
        waits = [threads.submit(wait, value) for value in (1, 1, 2, 2, 3, 3, 4, 4)]
        begun.wait(PATIENCE)
        for _ in range(4):
            state[0] += 1
            bell.ring()
        assert [each.result(PATIENCE) for each in waits] == [True] * 8


def test_waiting_has_an_end() -> None:
    assert not Bell().wait_until(lambda: False, 0.01)
    assert Bell().wait_until(lambda: True, 0.0)
