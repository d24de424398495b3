"""How many recordings one server carries at a time: `siprec load` on every worker, a thousand calls, idle sessions.

Server and generator are processes of their own, pinned to a processor each where there are two. A call counts as
`siprec load` counts it; what was lost is told by the server's own reports. `make capacity` runs it, with
`--write docs/reference/capacity.md`; it takes about five minutes, on a machine that does nothing else.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from siprec_core.limits import Limits
from siprec_core.recording.commands import BindMedia, SendDatagram
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer
from siprec_core.types import Address, Flow, Transport
from tests.benchmarks.messages import call, request
from tests.core.harness import CLIENT, SERVER, TIME_BASE, entropy

IDLE_SESSIONS = 10_000
IDLE_GOAL_KB = 60
_READY_SECONDS = 30.0
_SETTLED_SECONDS = 40.0
"""When the transactions of a call are forgotten (RFC 3261 section 17)."""
_CALLS_PER_SECOND = 100
"""How fast the sessions that wait are set up."""


@dataclass(frozen=True)
class Run:
    """One load test."""

    worker: str
    sessions: int
    rate: float
    seconds: float
    streams: int = 2


RUNS = (
    *(Run(worker, 100, 50.0, 10.0) for worker in ("asyncio", "uvloop", "trio", "sync")),
    Run("asyncio", 1_000, 50.0, 30.0),
)


@dataclass(frozen=True)
class Outcome:
    """What became of one."""

    run: Run
    report: dict[str, Any]
    """As `siprec load --json` prints it; empty when it did not run."""
    processor_seconds: float
    """Of the server, with the process that renders."""
    memory_size: int
    """Most octets that the server held."""


def carry_out(run: Run, folder: Path) -> Outcome:
    """Start a server and load it."""
    server, generator = _processors()
    recordings, ready = folder / "recordings", folder / "ready.json"
    words = ["serve", "-k", run.worker, "-b", "udp://127.0.0.1:0", "--ready-file", ready, "--recordings", recordings]
    program = _start(server, *words, "--log-level", "error", "--drain-seconds", "0", "--disk-reserve", "0")
    try:
        port = _wait_ready(ready, program)
        words = ["load", f"127.0.0.1:{port};transport=udp", "--sessions", run.sessions, "-r", run.rate]
        words += ["-d", run.seconds, "--streams", run.streams, "--recordings", recordings, "--report-seconds", 180]
        load = _start(generator, *words, "--json")
        printed, _ = load.communicate()
    finally:
        program.send_signal(signal.SIGTERM)
        _, _, usage = os.wait4(program.pid, 0)
        program.returncode = 0  # it was waited for
        if program.stdout is not None:
            program.stdout.close()
    report = json.loads(printed) if printed.startswith("{") else {}
    return Outcome(run, report, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def idle_session_size(sessions: int) -> float:
    """Give the octets of memory that each of so many sessions without media takes, the sockets of the kernel apart."""
    config = ServerConfig(rtp_ports=(1_024, 65_023), limits=Limits(requests_per_source=0))
    server = RecordingServer(config, time_base=TIME_BASE, entropy=entropy(1))
    _establish(server, 1, 0.0)  # what is made once
    before = _resident_size()
    now = 0.0
    for number in range(2, sessions + 2):
        now = number / _CALLS_PER_SECOND
        server.handle_timeout(now=now)
        _drain(server, now)
        _establish(server, number, now)
    for later in (1.0, 10.0, 20.0, _SETTLED_SECONDS):
        server.handle_timeout(now=now + later)
        _drain(server, now + later)
    if len(server.session_ids()) != sessions + 1:
        raise RuntimeError("not every session stands")
    return (_resident_size() - before) / sessions


def page(outcomes: Sequence[Outcome], idle_size: float) -> str:
    """Write the page."""
    kilobytes = idle_size / 1000
    lines = [
        "# Capacity",
        "",
        "How many recordings one server carries at a time. This page is written by",
        "",
        "```console",
        "$ make capacity",
        "```",
        "",
        f"here on {machine()}.",
        "",
        "## Calls with audio at a time",
        "",
        "Each call has two streams of G.711, 50 packets a second each, over loopback and UDP; server and generator",
        "have a processor of their own. A call is complete when it was answered, every packet was sent, and its BYE",
        "was answered. Lost is what the reports of the server lack. On one machine the generator pays for what the",
        "kernel does with a packet up to the server's socket.",
        "",
        "| worker | calls | complete | packets sent | lost | p50 | p95 | p99 | server, processor | memory |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *map(_row, outcomes),
        "",
        *_failures(outcomes),
        "The p columns are the time from the INVITE to the 200 in milliseconds: median, 95 and 99 of 100. Processor",
        "time is the server's with the making of the files.",
        "",
        "## Sessions that wait",
        "",
        "What a recording without media takes in memory, metadata and both lines included, without the kernel's part.",
        f"{_CALLS_PER_SECOND} are set up a second, as a server meets them:",
        "",
        "| sessions | kB each | goal | |",
        "|---:|---:|---:|---|",
        f"| {IDLE_SESSIONS:,} | {kilobytes:.1f} | {IDLE_GOAL_KB} | "
        f"{'met' if kilobytes <= IDLE_GOAL_KB else 'not met'} |",
    ]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Tell what the figures were measured on."""
    version = f"CPython {platform.python_version()} on {platform.system()}, {platform.machine()}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    buffer = Path("/proc/sys/net/core/rmem_max")
    receive = f", receive buffers up to {int(buffer.read_text()):,} octets" if buffer.exists() else ""
    pinned = "pinned to a processor each" if _processors()[0] is not None else "not pinned"
    return f"{version}, {os.cpu_count()} processors, {memory:.0f} GiB{receive}; the two processes {pinned}"


def _row(outcome: Outcome) -> str:
    run, report = outcome.run, outcome.report
    if not report:
        return f"| {run.worker} | {run.sessions:,} | did not run | | | | | | | |"
    packets, times = report["packets"], report["setup_seconds"]
    told = " | ".join("-" if times[name] is None else f"{times[name] * 1000:.0f}" for name in ("p50", "p95", "p99"))
    lost = "-" if packets["lost"] is None else f"{packets['lost']:,}"
    complete = report["calls"]["complete"]
    return (
        f"| {run.worker} | {run.sessions:,} | {complete:,} | {packets['sent']:,} | {lost} | {told} | "
        f"{outcome.processor_seconds:.0f} s of {report['elapsed_seconds']:.0f} s | {outcome.memory_size / 1e6:.0f} MB |"
    )


def _failures(outcomes: Sequence[Outcome]) -> list[str]:
    """Tell why calls failed."""
    told = [
        f"- {outcome.run.worker}: {many} x {why}"
        for outcome in outcomes
        for why, many in outcome.report.get("failures", {}).items()
    ]
    return ["Calls that failed:", "", *told, ""] if told else []


def _processors() -> tuple[int | None, int | None]:
    """Give a processor for the server and one for the generator; None where there are not two."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


def _start(processor: int | None, *words: object) -> "subprocess.Popen[str]":
    # The affinity is that of this thread for a moment, and the new process inherits it.
    everywhere = os.sched_getaffinity(0) if processor is not None else set()
    if processor is not None:
        os.sched_setaffinity(0, {processor})
    try:
        return subprocess.Popen([sys.executable, "-m", "siprec", *map(str, words)], stdout=subprocess.PIPE, text=True)
    finally:
        if processor is not None:
            os.sched_setaffinity(0, everywhere)


def _wait_ready(path: Path, program: "subprocess.Popen[str]") -> int:
    until = time.monotonic() + _READY_SECONDS
    while not path.exists():
        if program.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the server did not start")
        time.sleep(0.02)
    (listener,) = json.loads(path.read_text(encoding="utf-8"))["listeners"]
    return int(listener["port"])


def _establish(server: RecordingServer, number: int, now: float) -> None:
    flow = Flow(Transport.UDP, SERVER, Address(CLIENT.host, 5060))
    server.receive_datagram(call(number).invite, flow=flow, now=now)
    answer = _drain(server, now)
    tag = answer.partition(b"srs@recorder.example.com>;tag=")[2].partition(b"\r\n")[0].decode()
    server.receive_datagram(request("ACK", number, tag), flow=flow, now=now)
    _drain(server, now)


def _drain(server: RecordingServer, now: float) -> bytes:
    """Carry out what a server asks for, without any input or output; gives what it sent last."""
    sent = b""
    while (output := server.poll_output()) is not None:
        if isinstance(output, BindMedia):
            server.media_bound(output.media, now=now)
        elif isinstance(output, SendDatagram):
            sent = output.data
    return sent


def _resident_size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str] | None = None) -> None:
    """Measure and print; with `--write` into a file too."""
    parser = argparse.ArgumentParser(description="Measure how many recordings a server carries.")
    parser.add_argument("--write", type=Path, help="the page to write")
    parser.add_argument("--idle", type=int, help="measure the memory of so many idle sessions alone, and print it")
    parser.add_argument("--worker", help="load this worker alone")
    parser.add_argument("--sessions", type=int, help="so many calls at a time in place of those of the page")
    chosen = parser.parse_args(arguments)
    if chosen.idle is not None:
        sys.stdout.write(f"{idle_session_size(chosen.idle)}\n")
        return
    runs = [run for run in RUNS if chosen.worker in (None, run.worker)]
    if chosen.sessions is not None:
        runs = [Run(run.worker, chosen.sessions, run.rate, 2.0) for run in runs[:4]]
    outcomes = []
    for run in runs:
        with TemporaryDirectory() as folder:
            outcomes.append(carry_out(run, Path(folder)))
        sys.stderr.write(f"{_row(outcomes[-1])}\n")
    # A process of its own, whose memory has held nothing else.
    command = [sys.executable, "-m", "tests.benchmarks.capacity", "--idle", str(IDLE_SESSIONS)]
    idle = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    text = page(outcomes, float(idle.stdout))
    sys.stdout.write(text)
    if chosen.write is not None:
        chosen.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
