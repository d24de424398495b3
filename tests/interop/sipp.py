"""SIPp: runs one scenario of `scenarios/` to its end."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socket import SOCK_DGRAM, SOCK_STREAM

from tests.interop.free_ports import free_port
from tests.interop.programs import end, path_of

SCENARIOS = Path(__file__).parent / "scenarios"
_MODES = {"udp": "u1", "tcp": "t1"}


class Sipp:
    """One SIPp process with one call."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self.process = process
        self._folder = folder

    def wait(self, *, seconds: float = 30.0) -> None:
        """Wait for its end; fails the test when its scenario did not go as written, with SIPp's own words."""
        code = end(self.process, seconds=seconds)
        assert code == 0, f"SIPp says {code}:\n{self.errors()}\n{self.messages()}"

    def messages(self) -> str:
        """Give all messages as SIPp saw them."""
        return _text(self._folder / "messages.log")

    def errors(self) -> str:
        """Give what SIPp complained of."""
        return _text(self._folder / "errors.log")


@contextmanager
def sipp(
    scenario: str,
    folder: Path,
    *,
    transport: str,
    call_id: str = "call",
    to: int | None = None,
    port: int | None = None,
    keys: Mapping[str, str | int] | None = None,
    user: tuple[str, str] | None = None,
) -> Iterator[Sipp]:
    """Run a scenario as a client of port `to`, or as a server on `port`, of 127.0.0.1; ended with the block.

    `user` is name and password for `[authentication]`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [path_of("sipp"), "-sf", str(SCENARIOS / f"{scenario}.xml"), "-t", _MODES[transport], "-m", "1"]
    command += ["-i", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin", "-cid_str", call_id]
    command += ["-trace_msg", "-message_file", "messages.log", "-trace_err", "-error_file", "errors.log"]
    command += ["-timeout", "25s", "-timeout_error", "-recv_timeout", "20000"]
    # Without -p several SIPps at a time would all try 5060.
    command += ["-p", str(port or free_port(SOCK_DGRAM if transport == "udp" else SOCK_STREAM))]
    for name, value in (keys or {}).items():
        command += ["-key", name, str(value)]
    if user is not None:
        command += ["-au", user[0], "-ap", user[1]]
    if to is not None:
        command.append(f"127.0.0.1:{to}")
    with (folder / "screen.log").open("wb") as screen:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=screen, stderr=subprocess.STDOUT
        )
    try:
        yield Sipp(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
