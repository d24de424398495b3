"""Tasks that wait for something that another task brings about."""

import pytest

import anyio
from siprec_anyio.waiting import Bell

pytestmark = pytest.mark.anyio


async def test_a_ring_wakes_every_task_that_waits() -> None:
    bell, state, woken = Bell(), [0], []

    async def wait(value: int) -> None:
        await bell.wait_until(lambda: state[0] >= value)
        woken.append(value)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for value in (1, 1, 2, 2, 3, 3):
                tasks.start_soon(wait, value)
            await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                state[0] += 1
                bell.ring()
                await anyio.wait_all_tasks_blocked()
    assert woken == [1, 1, 2, 2, 3, 3]


async def test_what_is_there_already_is_not_waited_for() -> None:
    bell = Bell()
    bell.ring()
    await bell.wait_until(lambda: True)
