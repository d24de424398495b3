"""The blocking driver: one thread that waits at one selector."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from siprec_core.errors import LocalProtocolError, SiprecError
from siprec_sync.assembly import Assembly
from siprec_sync.pump import DriverFailedError
from siprec_sync.wishes import Wishes

ResultT = TypeVar("ResultT")


class Driver:
    """Runs a pump in a thread of its own until `stop`. Its methods may be called from any other thread."""

    def __init__(self, assembly: Assembly[Any]) -> None:
        self._pump = assembly.pump
        self._hub = assembly.hub
        self._stopping = False
        self._lock = threading.Lock()
        self._wishes = Wishes(assembly.pump.call)
        self._started = False
        self._thread = threading.Thread(target=self._run, name="siprec-driver", daemon=True)

    @property
    def failed(self) -> BaseException | None:
        """What stopped the driver, None while all is well."""
        return self._pump.failed

    @property
    def running(self) -> bool:
        """True until the thread has ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._started = True
        self._thread.start()

    def request(self, function: Callable[[float], ResultT]) -> ResultT:
        """Call `function` with `now` in the driver's thread, as an input of the core, and give its answer.

        Raises what it raises; DriverFailedError when the driver failed, LocalProtocolError when it was stopped.
        """
        return self._wishes.ask(function, self.gone)

    def stop(self) -> None:
        """End the thread, close the sockets, wait for the sinks. Harmless twice."""
        with self._lock:
            unused = not self._started and not self._stopping
            self._stopping = True
        if unused:
            self._finish()
        elif self._thread.is_alive():
            self._pump.wake()
            self._thread.join()

    def wait(self) -> None:
        """Wait for the end of the thread. Raises DriverFailedError when a fault ended it."""
        self._thread.join()
        if self._pump.failed is not None:
            raise self.gone()

    def _run(self) -> None:
        pump = self._pump
        try:
            while not self._stopping:
                pump.turn(pump.selector.select(pump.wait_seconds(time.monotonic())))
        except BaseException:  # noqa: BLE001 - the pump has logged and kept it; callers get it as DriverFailedError
            pass
        finally:
            self._finish()

    def _finish(self) -> None:
        with self._lock:
            self._stopping = True
        self._pump.close()
        self._pump.close_sinks()
        self._hub.close()
        self._wishes.close(self.gone)

    def gone(self) -> SiprecError:
        """Make the error that says why the driver runs no more."""
        if self._pump.failed is None:
            return LocalProtocolError("the driver was stopped")
        error = DriverFailedError(f"the driver stopped: {self._pump.failed!r}")
        error.__cause__ = self._pump.failed
        return error
