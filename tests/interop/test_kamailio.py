"""Two servers behind Kamailio with the configuration of `docs/deploy`: calls are spread, servers drain, one is dead."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.core.recording.calls import METADATA
from tests.interop.free_ports import free_port
from tests.interop.programs import end, path_of
from tests.interop.serving import Serving, serving, siprec, start_command
from tests.tree import ROOT

CONFIGURATION = ROOT / "docs" / "deploy" / "kamailio.cfg"
PATIENCE = 30.0
CALLING = ("--rtp-ports", "29000-29999")
"""Where our calls send from: not where the servers listen."""


@contextmanager
def dispatcher(folder: Path, *servers: int) -> Iterator[int]:
    """Run Kamailio in front of servers on these TCP ports; give its port, of UDP and TCP."""
    program = path_of("kamailio")
    port = free_port(socket.SOCK_STREAM)
    listed = folder / "dispatcher.list"
    listed.write_text("".join(f"1 sip:127.0.0.1:{server};transport=tcp\n" for server in servers))
    command = [program, "-DD", "-E", "-f", str(CONFIGURATION), "-A", f'DISPATCHER_LIST="{listed}"']
    command += ["-l", f"udp:127.0.0.1:{port}", "-l", f"tcp:127.0.0.1:{port}"]
    command += ["-m", "64", "-M", "8", "-w", str(folder), "-Y", str(folder), "-P", str(folder / "kamailio.pid")]
    log = folder / "kamailio.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
    with process:
        try:
            until(lambda: process.poll() is not None or is_open(port))
            assert process.poll() is None, log.read_text()
            yield port
        finally:
            process.terminate()
            end(process, seconds=PATIENCE)


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def until(ready: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def two_servers(folder: Path) -> Iterator[tuple[Serving, Serving]]:
    """Serve twice, each with media ports of its own."""
    with ExitStack() as stack:
        servers = []
        for number in (1, 2):
            (folder / str(number)).mkdir()
            ports = f"{26_000 + number * 1_000}-{26_999 + number * 1_000}"
            arguments = ("--rtp-ports", ports, "--drain-seconds", "30")
            servers.append(stack.enter_context(serving(folder / str(number), "asyncio", *arguments)))
        yield servers[0], servers[1]


def ends(server: Serving) -> list[str]:
    """Give why each recording of a server ended; those that run say nothing."""
    reports = [json.loads(path.read_text("utf-8")) for path in server.recordings.rglob("recording.json")]
    return [report["end_reason"] for report in reports if report["status"] == "completed"]


def test_calls_are_spread_evenly_and_large_ones_go_over_tcp(tmp_path: Path) -> None:
    large = tmp_path / "large.xml"
    notes = "".join(f'<extension xmlns="urn:example:x">{"x" * 100}</extension>\n' for _ in range(3_000))
    large.write_text(METADATA.replace("</recording>", f"{notes}</recording>"), "utf-8")
    with two_servers(tmp_path) as servers, dispatcher(tmp_path, *(each.ports["tcp"] for each in servers)) as proxy:
        siprec("load", f"127.0.0.1:{proxy}", "-m", "8", "-r", "10", "-d", "0.5", *CALLING)
        until(lambda: sum(len(ends(each)) for each in servers) == 8)
        assert [ends(each) for each in servers] == [["bye"] * 4] * 2
        for _ in servers:
            target = f"sip:127.0.0.1:{proxy};transport=tcp"
            siprec("call", target, "--seconds", "0.2", "--metadata", str(large))
        until(lambda: [len(ends(each)) for each in servers] == [5, 5])
        kept = [path.stat().st_size for each in servers for path in each.recordings.rglob("0001.xml")]
        assert sorted(kept)[-2:] == [large.stat().st_size] * 2


def test_a_server_that_drains_and_one_that_is_dead_lose_no_call(tmp_path: Path) -> None:
    dead = free_port(socket.SOCK_STREAM)
    with (
        two_servers(tmp_path) as (leaving, staying),
        dispatcher(tmp_path, leaving.ports["tcp"], dead, staying.ports["tcp"]) as proxy,
    ):
        arguments = (f"127.0.0.1:{proxy}", "-m", "20", "-r", "5", "-d", "1.5", "--json", *CALLING)
        with start_command("load", *arguments, log=tmp_path / "load.log") as load:
            until(lambda: list(leaving.recordings.rglob("recording.json")))
            os.kill(leaving.ready["pid"], signal.SIGTERM)
            assert end(load, seconds=60.0) == 0, load.stdout.read() if load.stdout else ""
        until(lambda: len(ends(leaving)) + len(ends(staying)) == 20)
        # No call was ended by the server that left, and it took none any more.
        assert set(ends(leaving)) == set(ends(staying)) == {"bye"}
        assert len(ends(leaving)) < len(ends(staying))
        siprec("load", f"127.0.0.1:{proxy}", "-m", "4", "-r", "10", "-d", "0.2", *CALLING)
        until(lambda: len(ends(leaving)) + len(ends(staying)) == 24)


def test_without_a_server_callers_are_told_when_to_come_again(tmp_path: Path) -> None:
    with dispatcher(tmp_path, free_port(socket.SOCK_STREAM)) as proxy:
        until(lambda: b"SIP/2.0 503" in answer(proxy, "OPTIONS"))
        refused = answer(proxy, "INVITE")
        assert b"SIP/2.0 503" in refused
        assert b"Retry-After: 5\r\n" in refused


def answer(port: int, method: str) -> bytes:
    request = (
        f"{method} sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: {method}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(request.encode())
        return sock.recv(4_096)
