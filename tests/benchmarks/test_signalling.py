"""The signalling of whole calls, INVITE, 200, ACK, BYE, 200: processor time of the core alone, and of a whole server.

Of the core a round is one call, with transactions, dialog, SDP, metadata, journal and report; the calls follow each
other by a millisecond, so that the transactions of the last 32 seconds are still in the tables. Of the server, which
has sockets and writes journals, it is the mean of many calls one after another; its process that renders is apart.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from siprec_core.limits import Limits
from siprec_core.recording.commands import BindMedia, CloseMedia, RenderRecording, SendDatagram
from siprec_core.recording.events import SessionEnded
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer
from siprec_core.types import Address, Flow, Transport
from tests.benchmarks.messages import call, request
from tests.core.harness import CLIENT, SERVER, TIME_BASE, entropy

ROUNDS = 2_000
_SERVER_ROUNDS = 5
_SERVER_CALLS = 100
"""Calls of a round of the whole server: processor time of others is told in hundredths of a second."""
_READY_SECONDS = 30.0
_STAT = Path("/proc/self/stat")


class _Driver:
    """Performs what a server asks for, without any input or output."""

    def __init__(self) -> None:
        # All calls come from one address, faster than any client sends.
        config = ServerConfig(limits=Limits(requests_per_source=0))
        self.server = RecordingServer(config, time_base=TIME_BASE, entropy=entropy(1))
        self.now = 0.0
        self.answers: list[bytes] = []
        self.ended = 0

    def receive(self, data: bytes, flow: Flow) -> None:
        self.server.receive_datagram(data, flow=flow, now=self.now)
        self._drain()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        while (due := self.server.next_timeout()) is not None and due <= self.now:
            self.server.handle_timeout(now=self.now)
            self._drain()

    def _drain(self) -> None:
        while (output := self.server.poll_output()) is not None:
            match output:
                case SendDatagram(data=data):
                    self.answers.append(data)
                case BindMedia(media=media):
                    self.server.media_bound(media, now=self.now)
                case CloseMedia(media=media):
                    self.server.media_closed(media, now=self.now)
                case RenderRecording(session=session):
                    self.server.rendered(session, now=self.now)
                case SessionEnded():
                    self.ended += 1
                case _:
                    pass


@pytest.mark.benchmark(timer=time.process_time)
def test_call(benchmark: BenchmarkFixture) -> None:
    driver = _Driver()
    numbers = count(1)
    flow = Flow(Transport.UDP, SERVER, Address(CLIENT.host, 5060))

    def made() -> tuple[tuple[int, bytes], dict[str, object]]:
        number = next(numbers)
        return (number, call(number).invite), {}

    def whole(number: int, invite: bytes) -> None:
        driver.pass_time(0.001)
        driver.answers.clear()
        driver.receive(invite, flow)
        tag = driver.answers[-1].partition(b"srs@recorder.example.com>;tag=")[2].partition(b"\r\n")[0].decode()
        driver.receive(request("ACK", number, tag), flow)
        driver.receive(request("BYE", number, tag), flow)

    benchmark.pedantic(whole, setup=made, rounds=ROUNDS if benchmark.enabled else 2)  # type: ignore[no-untyped-call]
    assert driver.answers[-1].startswith(b"SIP/2.0 200 ")
    assert driver.ended == next(numbers) - 1


_measured: list[int] = []
"""The processes whose time `_server_time` tells."""


def _server_time() -> float:
    """Give the processor seconds of the measured processes so far."""
    ticks = 0
    for process in _measured:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not _STAT.exists(), reason="the processor time of other processes is read from /proc")
@pytest.mark.benchmark(timer=_server_time)
def test_call_of_a_whole_server(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    if not benchmark.enabled:
        pytest.skip("it starts a server to measure it")
    numbers = count(1)
    with _server(tmp_path) as (process, client):
        _measured[:] = [process]
        calls = {"rounds": _SERVER_ROUNDS, "iterations": _SERVER_CALLS, "warmup_rounds": 1}
        benchmark.pedantic(lambda: _call(client, next(numbers)), **calls)  # type: ignore[no-untyped-call]
    made = next(numbers) - 1
    assert made >= (_SERVER_ROUNDS + 1) * _SERVER_CALLS
    assert len(list(tmp_path.glob("recordings/*/*/*/*/journal.pcapng"))) == made


@contextmanager
def _server(folder: Path) -> Iterator[tuple[int, socket.socket]]:
    """Start a server; gives its process and a socket that is connected to it."""
    ready = folder / "ready.json"
    words = ["serve", "-b", "udp://127.0.0.1:0", "--ready-file", ready, "--recordings", folder / "recordings"]
    words += ["--log-level", "error", "--drain-seconds", "0", "--disk-reserve", "0"]
    with (
        subprocess.Popen([sys.executable, "-m", "siprec", *map(str, words)], stderr=subprocess.DEVNULL) as program,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        try:
            deadline = time.monotonic() + _READY_SECONDS
            while not ready.exists():
                if program.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the server did not start")
                time.sleep(0.02)
            (listener,) = json.loads(ready.read_text(encoding="utf-8"))["listeners"]
            client.settimeout(_READY_SECONDS)
            client.connect(("127.0.0.1", listener["port"]))
            yield program.pid, client
        finally:
            program.send_signal(signal.SIGTERM)


def _call(client: socket.socket, number: int) -> None:
    """Make one call, without media."""
    client.send(call(number).invite)
    answer = _answer(client, b"INVITE")
    tag = answer.partition(b"srs@recorder.example.com>;tag=")[2].partition(b"\r\n")[0].decode()
    client.send(request("ACK", number, tag))
    client.send(request("BYE", number, tag))
    _answer(client, b"BYE")


def _answer(client: socket.socket, method: bytes) -> bytes:
    """Give the 2xx of a method; another final response is a failure."""
    while True:
        answer = client.recv(65_535)
        if answer.startswith(b"SIP/2.0 1") or method not in answer.partition(b"CSeq: ")[2].partition(b"\r\n")[0]:
            continue
        assert answer.startswith(b"SIP/2.0 200 "), answer
        return answer
