"""Inputs of the application that other threads hand to the driver's, and the answers on their way back."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from siprec_core.errors import SiprecError

ResultT = TypeVar("ResultT")


class Wishes:
    """What other threads wait for. Any thread may ask; the driver closes it at its end: nobody waits for ever."""

    def __init__(self, call: Callable[[Callable[[float], object]], None]) -> None:
        """`call` has the driver's thread call a function with `now`, soon."""
        self._call = call
        self._lock = threading.Lock()
        self._pending: set[Future[Any]] = set()
        self._closed = False

    def ask(self, function: Callable[[float], ResultT], gone: Callable[[], SiprecError]) -> ResultT:
        """Have `function` called in the driver's thread and wait for its answer.

        Raises what it raises, and what `gone` makes when the driver has ended.
        """
        future: Future[ResultT] = Future()
        with self._lock:
            if self._closed:
                raise gone()
            self._pending.add(future)
        self._call(partial(_answer, future, function))
        try:
            return future.result()
        finally:
            with self._lock:
                self._pending.discard(future)

    def close(self, gone: Callable[[], SiprecError]) -> None:
        """Tell all who wait that the driver has ended."""
        with self._lock:
            self._closed = True
            pending = list(self._pending)
        for future in pending:
            if not future.done():
                future.set_exception(gone())


def _answer(future: Future[ResultT], function: Callable[[float], ResultT], now: float) -> None:
    try:
        result = function(now)
    except SiprecError as error:
        future.set_exception(error)
    except BaseException as error:
        future.set_exception(error)
        raise
    else:
        future.set_result(result)
