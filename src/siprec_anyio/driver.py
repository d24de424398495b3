"""The asynchronous driver: one task that waits at one selector's descriptor, on asyncio, uvloop and trio alike."""

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from anyio.abc import TaskGroup

import anyio
from anyio import to_thread
from siprec_core.errors import LocalProtocolError, SiprecError
from siprec_sync.assembly import Assembly
from siprec_sync.pump import DriverFailedError
from siprec_sync.wishes import Wishes

ResultT = TypeVar("ResultT")

_THREAD_SECONDS = 0.25
"""Longest wait in a thread."""


class Driver:
    """Runs a pump in a task. `request` may be called from any thread, the rest belongs to the event loop's."""

    def __init__(self, assembly: Assembly[Any]) -> None:
        self._pump = assembly.pump
        self._hub = assembly.hub
        self._stopping = False
        self._ended = anyio.Event()
        self._wishes = Wishes(assembly.pump.call)
        self._thread = threading.get_ident()

    @property
    def failed(self) -> BaseException | None:
        """What stopped the driver, None while all is well."""
        return self._pump.failed

    @property
    def running(self) -> bool:
        """True until `stop` or a fault."""
        return not self._stopping and self._pump.failed is None

    def request(self, function: Callable[[float], ResultT]) -> ResultT:
        """Call `function` with `now` as an input of the core, and give its answer.

        Another thread waits until the event loop comes to it, so the loop must not wait for that thread meanwhile.
        Raises what it raises; DriverFailedError when the driver failed, LocalProtocolError when it was stopped.
        """
        if not self.running:
            raise self.gone()
        if threading.get_ident() != self._thread:
            return self._wishes.ask(function, self.gone)
        return self._pump.request(function)

    async def wait(self) -> None:
        """Wait for the end of `run`. Raises DriverFailedError when a fault ended it."""
        await self._ended.wait()
        if self._pump.failed is not None:
            raise self.gone()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopping = True
        self._pump.wake()

    async def run(self) -> None:
        """Serve until `stop`; then close the sockets and wait for the sinks. Raises DriverFailedError at a fault."""
        pump = self._pump
        descriptor = pump.fileno()
        try:
            while not self._stopping:
                timeout = pump.wait_seconds(time.monotonic())
                if descriptor is None:
                    # This system's selector cannot be waited for itself, so a thread waits at it; in short steps,
                    # because a cancellation has to wait for the thread.
                    rest = _THREAD_SECONDS if timeout is None else min(timeout, _THREAD_SECONDS)
                    ready = await to_thread.run_sync(pump.selector.select, rest)
                else:
                    with anyio.move_on_after(timeout):
                        await anyio.wait_readable(descriptor)
                    ready = pump.selector.select(0)
                pump.turn(ready)
        except Exception as error:
            raise self.gone() from error
        finally:
            self._stopping = True
            pump.close()
            self._wishes.close(self.gone)
            self._hub.close()
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(pump.close_sinks)
            self._ended.set()

    def gone(self) -> SiprecError:
        """Make the error that says why the driver runs no more."""
        if self._pump.failed is None:
            return LocalProtocolError("the driver was stopped")
        error = DriverFailedError(f"the driver stopped: {self._pump.failed!r}")
        error.__cause__ = self._pump.failed
        return error


@asynccontextmanager
async def running(driver: Driver) -> AsyncIterator[None]:
    """Run a driver beside the block, which has to end with `driver.stop()`; exceptions as `task_group` has them.

    A cancellation ends the block alone: its end may still have to say BYE and hear the answer.
    """
    async with task_group() as tasks:
        tasks.start_soon(_run_to_its_stop, driver)
        yield


async def _run_to_its_stop(driver: Driver) -> None:
    with anyio.CancelScope(shield=True):
        await driver.run()


@asynccontextmanager
async def task_group() -> AsyncIterator[TaskGroup]:
    """Run tasks beside the block.

    One exception comes out as itself, not in a group of one; several come out as a group.
    """
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group.exceptions[0].__cause__
        raise
