"""What a service manager is told, and the sockets that it passes on."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from siprec.service import Heartbeat, Notifier, passed_sockets
from siprec_core.errors import ConfigurationError
from siprec_core.recording.events import Event
from siprec_core.server import RecordingServer
from siprec_sync.facade import Facade
from tests.app.programs import SECONDS, RunningServer, environment
from tests.app.test_serve import ask, options
from tests.core.messages import status
from tests.ports import rtp_ports

WORKERS = ("asyncio", "uvloop", "trio", "sync")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(SECONDS)
        yield sock


def until(manager: socket.socket, line: str) -> list[str]:
    """Give the lines up to one."""
    seen: list[str] = []
    while line not in seen:
        seen += manager.recv(4_096).decode().splitlines()
    return seen


def test_nothing_is_sent_where_nobody_listens() -> None:
    notifier = Notifier({"WATCHDOG_USEC": "1000000"})
    assert not notifier.wanted
    notifier.ready()
    notifier.close()


def test_lines_and_variables(manager: socket.socket, tmp_path: Path) -> None:
    variables = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    notifier = Notifier(variables)
    assert (variables, notifier.watchdog_seconds) == ({}, 3.0)
    notifier.ready()
    notifier.reloading()
    notifier.stopping(1.5)
    assert manager.recv(100) == b"READY=1"
    reloading = manager.recv(100).decode().splitlines()
    assert reloading[0] == "RELOADING=1"
    assert abs(int(reloading[1].removeprefix("MONOTONIC_USEC=")) / 1e6 - time.monotonic()) < SECONDS
    assert manager.recv(100) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=1500000"
    notifier.close()
    notifier.ready()


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's")
def test_an_abstract_name() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"siprec-test-{os.getpid()}"
        sock.bind(f"\0{name}")
        notifier = Notifier({"NOTIFY_SOCKET": f"@{name}"})
        notifier.ready()
        assert sock.recv(100) == b"READY=1"
        notifier.close()


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "x"}, 0.0),
        ({"WATCHDOG_USEC": "500000"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, 0.0),
    ],
)
def test_the_watchdogs_time(variables: dict[str, str], seconds: float) -> None:
    assert Notifier(variables).watchdog_seconds == seconds
    assert variables == {}


def test_a_manager_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"NOTIFY_SOCKET .*none: no such file"):
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")})


class StandingServer:
    """A server whose driver turns when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Callable[[Any, float], object]] = []
        self.asked = threading.Semaphore(0)
        self.count = 0

    def call_soon(self, function: Callable[[Any, float], object]) -> None:
        self.calls.append(function)
        self.asked.release()

    def sessions(self) -> dict[str, None]:
        return dict.fromkeys(map(str, range(self.count)))

    def turn(self) -> None:
        assert self.asked.acquire(timeout=SECONDS)
        self.calls.pop(0)(self, 0.0)


def test_signs_of_life_come_from_the_driver_alone(manager: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"})
    server = StandingServer()
    with Heartbeat(notifier, cast("Facade[RecordingServer, Event]", server)):
        assert server.asked.acquire(timeout=SECONDS)
        assert server.asked.acquire(timeout=SECONDS)
        # It was asked twice and did nothing: nothing was sent.
        manager.settimeout(0)
        with pytest.raises(BlockingIOError):
            manager.recv(100)
        manager.settimeout(SECONDS)
        server.asked.release(2)
        server.turn()
        assert manager.recv(100) == b"WATCHDOG=1\nSTATUS=no calls"
        server.count = 1
        server.turn()
        assert manager.recv(100) == b"WATCHDOG=1\nSTATUS=recording 1 call"
        server.turn()
        assert manager.recv(100) == b"WATCHDOG=1"
    notifier.close()


def test_sockets_of_another_process_are_not_ours() -> None:
    variables = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}
    assert passed_sockets(variables) == ()
    assert variables == {}
    with pytest.raises(ConfigurationError, match="LISTEN_FDS: 'many'"):
        passed_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"})


_PASS_ON = (
    "import os, sys; first, count = int(sys.argv[1]), int(sys.argv[2])\n"
    "[os.dup2(first + i, 100 + i) for i in range(count)]\n"
    "[os.dup2(100 + i, 3 + i) for i in range(count)]\n"
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'siprec', *sys.argv[3:]])"
)
"""Does what a service manager does: puts the sockets from descriptor 3 on, and names the process."""


def activated(sockets: list[socket.socket], folder: Path, *words: object) -> "subprocess.Popen[str]":
    """Start the program with sockets passed on."""
    high = 200
    for index, sock in enumerate(sockets):
        os.dup2(sock.fileno(), high + index)
    low, top = rtp_ports()
    words = ("serve", "--ready-file", folder / "ready.json", "--rtp-ports", f"{low}-{top}", *words)
    try:
        return subprocess.Popen(
            [sys.executable, "-c", _PASS_ON, str(high), str(len(sockets)), *map(str, words)],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[high + index for index in range(len(sockets))],
        )
    finally:
        for index in range(len(sockets)):
            os.close(high + index)


def ready(program: "subprocess.Popen[str]", folder: Path) -> RunningServer:
    path = folder / "ready.json"
    end = time.monotonic() + SECONDS
    while not path.exists() and program.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert path.exists(), program.communicate(timeout=SECONDS)
    return RunningServer(program, folder, json.loads(path.read_bytes()))


@pytest.mark.parametrize("named", [False, True])
def test_sockets_that_were_passed_on_are_served(tmp_path: Path, named: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("127.0.0.1", 0))
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        ports = [udp.getsockname()[1], tcp.getsockname()[1]]
        binds = (f"udp://127.0.0.1:{ports[0]}", f"tcp://127.0.0.1:{ports[1]}", "udp://127.0.0.1:0") if named else ()
        with activated([udp, tcp], tmp_path, *(word for bind in binds for word in ("-b", bind))) as program:
            try:
                server = ready(program, tmp_path)
                shown = [listener["port"] for listener in server.ready["listeners"]]
                assert shown[:2] == ports
                assert len(shown) == (3 if named else 2)
                server.ready["listeners"] = server.ready["listeners"][:2]
                assert status(ask(server, options())) == 200
                assert server.end() == 0
            finally:
                if program.poll() is None:
                    program.kill()


def test_a_socket_that_fits_no_listener_is_an_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
        with activated([udp], tmp_path, "-b", "udp://127.0.0.1:0") as program:
            _, errors = program.communicate(timeout=SECONDS)
    assert program.returncode == 2
    assert errors == f"siprec: the socket that was passed on for 127.0.0.1:{port} fits no listener\n"
