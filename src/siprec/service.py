"""What systemd and its like want of a service: readiness, status and watchdog (sd_notify), sockets passed on.

Nothing here happens unless the environment asks for it, so it costs nothing elsewhere.
"""

import os
import socket
import threading
import time
from collections.abc import MutableMapping
from types import TracebackType
from typing import Final, Self

from siprec_core.errors import ConfigurationError
from siprec_core.recording.events import Event
from siprec_core.server import RecordingServer
from siprec_sync.facade import Facade
from siprec_sync.listeners import reason_of

_FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START."""
_STATUS_SECONDS: Final = 10.0
"""Time between two lines of status, when the watchdog wants no signs more often."""
_MICROSECONDS: Final = 1_000_000


class Notifier:
    """Tells the service manager how we are, where NOTIFY_SOCKET names one."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Takes the variables, so that no program that we start takes them for its own. Raises ConfigurationError."""
        self._socket: socket.socket | None = None
        path = environment.pop("NOTIFY_SOCKET", "")
        self.watchdog_seconds = _watchdog_seconds(environment)
        """Signs of life are wanted at least so often; 0 = none are."""
        if path:
            self._socket = _connect(path)

    @property
    def wanted(self) -> bool:
        """True when somebody listens."""
        return self._socket is not None

    def send(self, *lines: str) -> None:
        """Send assignments such as `READY=1`; a manager that does not take them is no reason to stop."""
        if self._socket is not None:
            try:
                self._socket.send("\n".join(lines).encode("utf-8", "replace"))
            except OSError:
                pass

    def reloading(self) -> None:
        """Say that the configuration is read again; `ready` follows."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    def ready(self) -> None:
        """Say that we serve."""
        self.send("READY=1")

    def stopping(self, seconds: float) -> None:
        """Say that we end, which takes up to `seconds`."""
        self.send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Heartbeat:
    """Sends status and signs of life during its block, as long as the server's driver really turns.

    A thread only asks; what sends is a call that the driver makes. A driver that stands still sends nothing.
    """

    def __init__(self, notifier: Notifier, server: Facade[RecordingServer, Event]) -> None:
        self._notifier = notifier
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="siprec-heartbeat", daemon=True)
        self._status = ""
        # systemd wants a sign within the time, and advises to send one at half of it.
        half = notifier.watchdog_seconds / 2
        self._period = min(half, _STATUS_SECONDS) if half else _STATUS_SECONDS

    def __enter__(self) -> Self:
        if self._notifier.wanted:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._server.call_soon(self._beat)
            if self._ended.wait(self._period):
                return

    def _beat(self, core: RecordingServer, now: float) -> None:
        del now
        lines = ["WATCHDOG=1"] if self._notifier.watchdog_seconds else []
        count = len(core.sessions())
        status = f"STATUS={'recording ' if count else ''}{count or 'no'} call{'' if count == 1 else 's'}"
        if status != self._status:
            self._status = status
            lines.append(status)
        if lines:
            self._notifier.send(*lines)


def passed_sockets(environment: MutableMapping[str, str]) -> tuple[socket.socket, ...]:
    """Take the sockets that a service manager opened for us (LISTEN_FDS), and their variables.

    Raises ConfigurationError when they are not what the variables say.
    """
    process, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count:
        return ()
    if not count.isascii() or not count.isdecimal() or int(count) > 1_000:
        raise ConfigurationError(f"LISTEN_FDS: {count!r} is not a number of sockets")
    found: list[socket.socket] = []
    for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count)):
        try:
            passed = socket.socket(fileno=descriptor)
            passed.set_inheritable(False)
            found.append(passed)
        except OSError as error:
            for each in found:
                each.close()
            raise ConfigurationError(f"LISTEN_FDS: descriptor {descriptor}: {reason_of(error)}") from error
    return tuple(found)


def _watchdog_seconds(environment: MutableMapping[str, str]) -> float:
    process, text = environment.pop("WATCHDOG_PID", ""), environment.pop("WATCHDOG_USEC", "")
    if process not in ("", str(os.getpid())) or not text.isascii() or not text.isdecimal():
        return 0.0
    return int(text) / _MICROSECONDS


def _connect(path: str) -> socket.socket:
    # A leading @ stands for the NUL of Linux's abstract names.
    name = f"\0{path[1:]}" if path.startswith("@") else path
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.connect(name)
        sock.settimeout(0)
    except (OSError, ValueError) as error:
        sock.close()
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"NOTIFY_SOCKET {path}: {reason}") from error
    return sock
