"""Receives the RTP of many calls with the whole server and, in the same run, in other ways; and opens SRTP.

Receiver and sender are processes of their own, pinned to a processor each where there are two. The sender and the
yardstick, a loop of epoll and recv, are in C (`media_load.c`). CPU time is what the system counted for the receiver
from the first packet until a little after the last, and until the server has written what waits; what it lost is told
by its journals.
On one machine the sender pays for what the kernel does with a packet up to the socket.

`make bench` runs it as part of `tests.benchmarks.peers`.
"""

import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeAlias

from siprec_core.containers.capture import Interface, Packet
from siprec_core.containers.reader import CaptureReader
from siprec_core.limits import Limits
from siprec_core.recording.journal import LINE_INTERFACE
from siprec_core.types import Address, Transport
from tests.benchmarks import media_srtp
from tests.contract.peer import Peer

LINES = 400
"""Ports that receive, two of a call."""
MANY_LINES = 2_000
SECONDS = 3.0
ROUNDS = 3
RATE = 50
"""Packets a second to each port."""
SETTLED_SECONDS = 1.2
"""Longer than what was received waits before it is written."""
COMPARED = ("anyio", "aiortc", "aiortp", "pylibsrtp")
"""Modules of others that are measured here, each of the package of that name."""
PATIENCE = 30.0
RTP_PORTS = (40_000, 49_999)
CALLS_PER_SECOND = 150
YARDSTICK = "C: epoll and recv"
GOALS = (("siprec serve, sync", 0.65), ("siprec serve, asyncio", 0.65))
"""Time of a packet divided by that of the yardstick, at most."""


@dataclass(frozen=True)
class Measured:
    """What one receiver did in one round."""

    sent: int
    received: int
    cpu_seconds: float

    @property
    def microseconds(self) -> float:
        """CPU time of one packet."""
        return self.cpu_seconds / max(self.received, 1) * 1e6

    @property
    def lost(self) -> int:
        return self.sent - self.received


Run: TypeAlias = Callable[["Bench", int], Measured]


class Bench:
    """The compiled sender, and where things are kept."""

    def __init__(self, folder: Path, load: Path, seconds: float) -> None:
        self.folder = folder
        self.load = load
        self.seconds = seconds

    def send(self, sock: socket.socket, ports: Sequence[int]) -> int:
        """Send to all ports; give how many packets left."""
        words = [str(self.load), "send", str(sock.fileno()), str(self.seconds), *map(str, ports)]
        done = subprocess.run(
            pinned(1, words), capture_output=True, check=True, text=True, pass_fds=[sock.fileno()], timeout=PATIENCE
        )
        return int(done.stdout)

    def measure(
        self,
        pid: int,
        sock: socket.socket,
        ports: Sequence[int],
        received: Callable[[], int],
        settle: Callable[[], None] = lambda: time.sleep(SETTLED_SECONDS),
    ) -> Measured:
        """Send to a receiver, wait until it has settled, and give what became of it."""
        before = cpu_seconds(pid)
        sent = self.send(sock, ports)
        settle()
        spent = cpu_seconds(pid) - before
        return Measured(sent, received(), spent)


def pinned(place: int, words: Sequence[str]) -> list[str]:
    """Bind a command to the first processor that we may use (0) or the second (1), where there are two."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2 or shutil.which("taskset") is None:
        return list(words)
    return ["taskset", "-c", str(processors[place]), *words]


def cpu_seconds(pid: int) -> float:
    """Give the CPU time of a process and of those that it has started so far, the system's included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    started = [task.read_text(encoding="ascii").split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    return own + sum(cpu_seconds(int(child)) for children in started for child in children)


# receivers that only receive


def receiver(words: Sequence[str]) -> Run:
    """Give the measurement of a program that prints its ports, and at TERM what it received."""

    def run(bench: Bench, lines: int) -> Measured:
        command = [word.replace("LOAD", str(bench.load)) for word in words]
        with (
            subprocess.Popen(pinned(0, [*command, str(lines)]), stdout=subprocess.PIPE, text=True) as program,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        ):
            try:
                if program.stdout is None:
                    raise RuntimeError("the receiver has no output")
                ports = [int(port) for port in program.stdout.readline().split()]

                def received() -> int:
                    program.send_signal(signal.SIGTERM)
                    out, _ = program.communicate(timeout=PATIENCE)
                    return int(out)

                return bench.measure(program.pid, sock, ports, received)
            finally:
                program.kill()

    return run


def python_receiver(way: str) -> Run:
    return receiver([sys.executable, "-m", "tests.benchmarks.media_receivers", way])


# the whole server


class Caller(Peer):
    """A client of one call of two lines whose audio comes from a socket that all calls share."""

    def __init__(self, target: Address, media: socket.socket) -> None:
        super().__init__(Transport.UDP, target)
        self.media.close()
        self.media = media

    def close(self) -> None:
        self.socket.close()


def server(worker: str, *options: str) -> Run:
    """Give the measurement of `siprec serve` on a worker: sockets, sources, statistics, journals on disk."""

    def run(bench: Bench, lines: int) -> Measured:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(dir=bench.folder, ignore_cleanup_errors=True)))
            program, target = stack.enter_context(serving(folder, "--worker", worker, *options))
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind(("127.0.0.1", 0))
            ports: list[int] = []
            begin = time.monotonic()
            for number in range(lines // 2):
                caller = stack.enter_context(Caller(target, sock))
                ports += caller.establish(streams=2)
                # No faster than the server takes calls of one address.
                time.sleep(max(0.0, begin + (number + 1) / CALLS_PER_SECOND - time.monotonic()))
            time.sleep(SETTLED_SECONDS)
            return bench.measure(program.pid, sock, ports, lambda: journalled(folder), settle=lambda: written(folder))

    return run


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple["subprocess.Popen[bytes]", Address]]:
    """Run a server; it is killed at the end, for nothing is to be rendered."""
    ready = folder / "ready.json"
    words = [sys.executable, "-m", "siprec", "serve", "--bind", "udp://127.0.0.1:0", *options]
    words += ["--recordings", str(folder / "recordings"), "--ready-file", str(ready)]
    words += ["--rtp-ports", "-".join(map(str, RTP_PORTS)), "--log-level", "error"]
    with subprocess.Popen(pinned(0, words), stderr=subprocess.DEVNULL) as program:
        try:
            until = time.monotonic() + PATIENCE
            while not ready.exists():
                if program.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("the server did not start")
                time.sleep(0.05)
            found = ready.read_text(encoding="utf-8")
            port = int(found.partition('"port": ')[2].partition("}")[0])
            yield program, Address("127.0.0.1", port)
        finally:
            program.kill()


def journals(folder: Path) -> list[Path]:
    return list((folder / "recordings").rglob("journal.pcapng"))


def written(folder: Path) -> None:
    """Wait until nothing more is written into the journals."""
    until, size = time.monotonic() + PATIENCE, -1
    while size != (size := sum(path.stat().st_size for path in journals(folder))) and time.monotonic() < until:
        time.sleep(SETTLED_SECONDS)


def journalled(folder: Path) -> int:
    """Count the packets of lines in all journals."""
    count = 0
    for path in journals(folder):
        reader, of_lines = CaptureReader(limits=Limits()), set()
        reader.receive(path.read_bytes())
        reader.end_of_file()
        while (item := reader.poll()) is not None:
            if isinstance(item, Interface) and item.name.startswith(LINE_INTERFACE):
                of_lines.add(item.index)
            elif isinstance(item, Packet):
                count += item.interface in of_lines
    return count


# the run


def contestants() -> dict[str, Run]:
    """Give everything that receives, by name; what is not installed is left out."""
    found = {YARDSTICK: receiver(["LOAD", "receive"])}
    found |= {f"siprec serve, {worker}": server(worker) for worker in ("sync", "asyncio")}
    found["siprec serve, sync, one media worker"] = server("sync", "--media-workers", "1")
    ways = {
        "asyncio": "asyncio, `DatagramProtocol`",
        "anyio": "anyio, `UDPSocket`",
        "aiortp": "aiortp, session",
        "aiortc": "aiortc, parser and jitter buffer behind asyncio",
    }
    return found | {name: python_receiver(way) for way, name in ways.items() if find_spec(way) is not None}


def section(folder: Path) -> list[str]:
    """Measure, and write the sections of the page."""
    lines = ["", "## Receiving RTP", ""]
    if sys.platform != "linux" or shutil.which("cc") is None:
        lines.append("Not measured: this needs Linux and a C compiler.")
    else:
        bench = Bench(folder, compiled(folder), SECONDS)
        lines += introduction()
        results = run_all(bench, LINES, ROUNDS)
        lines += [*table(results), *goal_lines(results), *many(bench)]
    return [*lines, *media_srtp.section()]


def compiled(folder: Path) -> Path:
    """Compile the sender and the yardstick."""
    program, source = folder / "media_load", Path(__file__).with_name("media_load.c")
    subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True)
    return program


def introduction() -> list[str]:
    """Tell what was measured, and on what."""
    where = "on a processor of their own each" if pinned(0, ()) else "on any processor"
    return f"""\
{LINES} ports on loopback, each of which gets {RATE} packets of PCMU a second for {SECONDS:g} seconds, {ROUNDS} times.
Sender and receiver are processes {where}. CPU time is the receiver's and its processes', the median of the
rounds; a ratio is the time of a packet divided by that of a loop of epoll and recv in C, the median over the rounds.
`siprec serve` does all that it does for {LINES // 2} recorded calls: it knows sources, counts loss and jitter, sends
reports, and has journals on the disk, from which its losses are told. The others read the header and keep nothing
(asyncio, anyio), keep statistics and a jitter buffer (aiortc), or decode too (aiortp). On loopback the sender pays for
the way of a packet up to the socket.

Measured on {processor()}, {os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f} at the
beginning, largest receive buffer {receive_buffer()} octets.""".splitlines()


def processor() -> str:
    """Give the name of the processor."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return str(platform.machine())


def receive_buffer() -> str:
    """Give the largest receive buffer that the kernel grants."""
    try:
        return f"{int(Path('/proc/sys/net/core/rmem_max').read_text(encoding='ascii')):,}"
    except OSError:
        return "?"


def run_all(bench: Bench, lines: int, rounds: int) -> dict[str, list[Measured]]:
    """Measure every contestant in each round, in an order that moves on by one."""
    runs = contestants()
    results: dict[str, list[Measured]] = {name: [] for name in runs}
    for number in range(rounds):
        names = list(runs)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            results[name].append(runs[name](bench, lines))
    return results


def table(results: dict[str, list[Measured]]) -> list[str]:
    """Write the table of received media: medians of the rounds, ratios within each."""
    lines = [
        "",
        "| | CPU per packet, microseconds | ratio to C | packets a second and core | two-stream calls a core | lost |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, measured in results.items():
        spent = median(each.microseconds for each in measured)
        ratio = ratio_of(results, name)
        lost, sent = sum(each.lost for each in measured), sum(each.sent for each in measured)
        lines.append(
            f"| {name} | {spent:.1f} | {ratio:.2f} | {1e6 / spent:,.0f} | {1e6 / spent / (2 * RATE):,.0f} "
            f"| {lost / sent:.2%} |"
        )
    return lines


def ratio_of(results: dict[str, list[Measured]], name: str) -> float:
    """Give the time of a packet divided by that of the yardstick: the median over the rounds."""
    pairs = zip(results[name], results[YARDSTICK], strict=True)
    return median(each.microseconds / other.microseconds for each, other in pairs)


def goal_lines(results: dict[str, list[Measured]]) -> list[str]:
    """Write the goals beside what was reached."""
    lines = ["", "| | goal | reached | |", "|---|---:|---:|---|"]
    for name, goal in GOALS:
        ratio = ratio_of(results, name)
        lines.append(
            f"| {name}, compared with C | {goal:.2f} | {ratio:.2f} | {'met' if ratio <= goal else 'not met'} |"
        )
    return lines


def many(bench: Bench) -> list[str]:
    """Measure the server with a thousand calls at once, where so many sockets are allowed."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 3 * MANY_LINES:
        return ["", "A thousand calls were not measured: `ulimit -n` is too low."]
    measured = server("sync")(bench, MANY_LINES)
    spent = (
        f"{measured.microseconds:.1f} microseconds on a packet, {measured.cpu_seconds:.1f} seconds of one core in all"
    )
    return [
        "",
        f"With {MANY_LINES // 2:,} calls at once, {measured.sent:,} packets in {bench.seconds:g} seconds, "
        f"`siprec serve, sync` spent {spent}, and lost {measured.lost:,}.",
    ]
