"""What README.md and the manual show is what the program does.

Each document is one session in a folder of its own. Its console blocks are run in order and their output is compared
(`...` stands for what differs from run to run); a server that an example starts listens on any free port, the addresses
in the examples that follow are changed to that, and at the end of the document it is stopped. Blocks of Python that
follow the line `<!-- runnable -->` are executed, those that follow `<!-- runnable until interrupted -->` are
interrupted after their first line of output; the others have to compile.
"""

import ast
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.tree import ROOT, SRC

DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), ROOT / "fuzz" / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "_build" not in path.parts
)
RUN = ("siprec ", "openssl ", "printf ", "ls ", "make demo")
"""Commands that are run; others (make, pip, git) change more than a folder of their own."""
SECONDS = 50

_FENCE = re.compile(
    r"^(?:<!-- (?P<mark>runnable|runnable until interrupted) -->\n+)?"
    r"```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_INTERRUPTIBLE = (
    "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "runpy.run_path(sys.argv[1], run_name='__main__')"
)
"""Runs a script that SIGINT reaches even where the tests run in the background with it ignored."""
_BIND = re.compile(r"(?P<scheme>udp|tcp|tls)://(?P<host>[\d.]+):(?P<port>\d+)")
_HTTP = re.compile(r"(?P<option>--http )(?P<host>[\d.]+):(?P<port>\d+)")
_TARGET = re.compile(
    r"(?P<before>(?P<http>http://)?(?P<scheme>sips?:)?(?:\w+@)?)127\.0\.0\.1:(?P<port>\d+)(?:;transport=(?P<transport>\w+))?"
)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str
    line: int
    mark: str | None
    """`runnable`, `runnable until interrupted`, or nothing."""


@dataclass(frozen=True)
class Example:
    """One command and the output that the document shows for it."""

    command: str
    expected: str
    line: int


def blocks(markdown: str) -> Iterator[Block]:
    for match in _FENCE.finditer(markdown):
        line = markdown.count("\n", 0, match.start("text")) + 1
        yield Block(match["language"], match["text"], line, match["mark"])


def examples(block: Block) -> Iterator[Example]:
    """Split a console block into commands (continued after a backslash) and what they print."""
    command: list[str] = []
    output: list[str] = []
    start = block.line
    for number, line in enumerate([*block.text.splitlines(), "$ "], block.line):
        if line.startswith("$ "):
            if command:
                yield Example("\n".join(command), "\n".join(output), start)
            command, output, start = [line[2:]], [], number
        elif command and not output and command[-1].endswith("\\"):
            command.append(line)
        else:
            output.append(line)


def same_output(expected: str, printed: str) -> bool:
    """Whether an output is the expected one, blanks at line ends aside; `...` stands for any text."""
    pattern = ".*?".join(re.escape(part) for part in re.sub(r"[ \t]+$", "", expected, flags=re.MULTILINE).split("..."))
    return re.fullmatch(pattern, re.sub(r"[ \t]+$", "", printed, flags=re.MULTILINE).strip("\n"), re.DOTALL) is not None


def _free_port() -> int:
    """Give a port that is free for UDP and TCP."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            try:
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@dataclass
class Session:
    """One document's commands in one folder."""

    folder: Path
    servers: list[subprocess.Popen[str]] = field(default_factory=list)
    programs: list[subprocess.Popen[str]] = field(default_factory=list)
    ports: dict[tuple[str, int], int] = field(default_factory=dict)
    """The real port by transport (or `http`) and the port that the document shows."""

    def environment(self) -> dict[str, str]:
        bin_folder = self.folder / ".bin"
        if not bin_folder.exists():
            bin_folder.mkdir()
            for name, arguments in (("siprec", "-m siprec"), ("python", "")):
                script = bin_folder / name
                script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', encoding="utf-8")
                script.chmod(0o755)
        path = f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(SRC), "NO_COLOR": "1", "COLUMNS": "120"}

    def run(self, example: Example) -> None:
        # `make demo` installs first, then runs this.
        command = "siprec demo" if example.command == "make demo" else example.command
        if command.startswith("siprec serve") and not {"--help", "--check-config"} & set(command.split()):
            self.serve(command)
            return
        done = subprocess.run(
            ["sh", "-c", _TARGET.sub(self.real_target, command)],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        printed = self.with_shown_ports(done.stdout)
        assert done.returncode == 0, f"{example.command}\n{printed}"
        if example.expected:
            shown = f"{example.command}\n--- prints\n{printed}--- not\n{example.expected}"
            assert same_output(example.expected, printed), shown
        if command.startswith("siprec call"):
            self.wait_for_files()

    def wait_for_files(self) -> None:
        """Wait until the server has finished its recordings, as a reader has by the time of the next command."""
        deadline = time.monotonic() + SECONDS
        while True:
            recordings = [
                json.loads(path.read_bytes()) for path in self.folder.glob("recordings/*/*/*/*/recording.json")
            ]
            if recordings and all(recording["status"] != "active" for recording in recordings):
                return
            assert time.monotonic() < deadline, "the recording is not finished"
            time.sleep(0.02)

    def with_shown_ports(self, printed: str) -> str:
        for (_, shown), real in self.ports.items():
            printed = printed.replace(f"127.0.0.1:{real}", f"127.0.0.1:{shown}")
        return printed

    def real_target(self, match: re.Match[str]) -> str:
        transport = "tls" if match["scheme"] == "sips:" else (match["transport"] or "udp")
        if match["http"]:
            transport = "http"
        port = self.ports.get((transport, int(match["port"])), int(match["port"]))
        suffix = f";transport={match['transport']}" if match["transport"] else ""
        return f"{match['before']}127.0.0.1:{port}{suffix}"

    def serve(self, command: str) -> None:
        """Start a server on free ports and wait until it listens."""
        shown = [(match["scheme"], int(match["port"])) for match in _BIND.finditer(command)]
        # What is one port for several transports in the document is one in truth: clients go from one to the other.
        free = {port: _free_port() for _, port in shown}
        command = _BIND.sub(lambda bind: f"{bind['scheme']}://127.0.0.1:{free[int(bind['port'])]}", command)
        http = _HTTP.search(command)
        command = _HTTP.sub(r"\g<option>\g<host>:0", command)
        if not shown:
            shown = [("udp", 5060), ("tcp", 5060)]
            port = _free_port()
            command += f" -b udp://127.0.0.1:{port} -b tcp://127.0.0.1:{port}"
        ready = self.folder / f"ready-{len(self.servers)}.json"
        command = f"exec {command} --ready-file {ready.name}"
        server = subprocess.Popen(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.servers.append(server)
        deadline = time.monotonic() + SECONDS
        while not ready.exists() and server.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert ready.exists(), f"{command}\n{server.communicate()[1] if server.poll() is not None else 'not ready'}"
        told = json.loads(ready.read_text(encoding="utf-8"))
        listeners = told["listeners"]
        if http is not None:
            self.ports["http", int(http["port"])] = told["http"]["port"]
        assert [listener["transport"] for listener in listeners] == [transport for transport, _ in shown]
        self.ports.update(zip(shown, (listener["port"] for listener in listeners), strict=True))

    def python(self, block: Block) -> None:
        """Execute a block; one that serves listens on any free port and is interrupted when it has said so."""
        script = self.folder / f"example_{block.line}.py"
        script.write_text(_BIND.sub(r"\g<scheme>://127.0.0.1:0", block.text), encoding="utf-8")
        serves = block.mark != "runnable"
        program = subprocess.Popen(
            [sys.executable, "-u", "-W", "error", "-c", _INTERRUPTIBLE, script.name],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.programs.append(program)
        if serves and program.stdout is not None and program.stdout.readline():
            program.send_signal(signal.SIGINT)
        stdout, stderr = program.communicate(timeout=SECONDS)
        # Python ends by the signal itself when nothing catches KeyboardInterrupt.
        assert program.returncode in ((0, -signal.SIGINT) if serves else (0,)), stdout + stderr

    def stop(self) -> None:
        """Stop the servers as a service manager would; each ends with exit code 0."""
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
        ended = [(server.communicate(timeout=SECONDS)[1], server.returncode) for server in self.servers]
        assert [stderr for stderr, code in ended if code != 0] == []

    def kill(self) -> None:
        for program in (*self.servers, *self.programs):
            if program.poll() is None:
                program.kill()
                program.communicate()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path)
    yield session
    session.kill()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_examples_do_what_is_shown(document: str, session: Session) -> None:
    markdown = (ROOT / document).read_text(encoding="utf-8")
    if "$ openssl " in markdown and shutil.which("openssl") is None:
        pytest.skip("openssl, which an example calls, is not installed")
    for block in blocks(markdown):
        if block.language == "console":
            for example in examples(block):
                if example.command.startswith(RUN):
                    session.run(example)
        elif block.language == "python" and block.mark:
            session.python(block)
        elif block.language == "python":
            compile(block.text, document, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        elif block.language == "json":
            json.loads(block.text)
    session.stop()


def test_readme_has_the_two_commands_and_examples() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [e.command for b in blocks(readme) if b.language == "console" for e in examples(b)]
    assert "make demo" in commands
    assert "make test" in commands
    assert any(command.startswith("siprec serve") for command in commands)
    assert any(block.mark for block in blocks(readme))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    text = re.sub(_FENCE, "", (ROOT / document).read_text(encoding="utf-8"))
    folder = (ROOT / document).parent
    targets = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target}
    assert [target for target in sorted(targets - {""}) if not (folder / target).exists()] == []


def test_manual_lists_its_pages() -> None:
    docs = ROOT / "docs"
    listed = set(re.findall(r"^[\w/-]+$", (docs / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    pages = {str(path.relative_to(docs).with_suffix("")) for path in docs.rglob("*.md") if "_build" not in path.parts}
    assert pages - {"index"} == listed


def test_make_help_names_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    internal = {"help", "python", "renew", "install", "dev", "interop"}
    assert set(re.findall(r"'make (\w+) ", makefile)) == set(phony.split()) - internal


# ---- the command line reference


def options_of(command: list[str]) -> set[str]:
    """Give the long options that `--help` shows for a sub-command."""
    done = subprocess.run(
        [sys.executable, "-m", "siprec", *command, "--help"],
        env={**os.environ, "PYTHONPATH": str(SRC), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return set(re.findall(r"^\s+(?:-\w(?: [\w/.:-]+)?, )*(--[a-z][a-z-]*)", done.stdout, re.MULTILINE)) - {"--help"}


def reference() -> dict[str, set[str]]:
    """Give the long options by command that the reference page lists."""
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    sections = re.split(r"^## `siprec (\w+)`$", text, flags=re.MULTILINE)[1:]
    pairs = zip(sections[::2], sections[1::2], strict=True)
    return {name: set(re.findall(r"^\| `[^|]*?(--[a-z][a-z-]*)", section, re.MULTILINE)) for name, section in pairs}


def test_reference_lists_the_commands() -> None:
    from siprec.cli import COMMANDS

    assert list(reference()) == list(COMMANDS)


@pytest.mark.parametrize("command", sorted(reference()))
def test_reference_lists_the_options_of_each_command(command: str) -> None:
    assert reference()[command] == options_of([command]) - options_of([])


# ---- the reader of documents itself


def test_console_block_is_split_into_commands_and_outputs() -> None:
    (block,) = blocks("text\n\n```console\n$ a \\\n  b\nprints\nmore\n$ c\n```\n")
    assert list(examples(block)) == [Example("a \\\n  b", "prints\nmore", 4), Example("c", "", 8)]


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a", "a\n", True),
        ("a ... c", "a b\nb c\n", True),
        ("a\n...", "a\nb", True),
        ("a", "b", False),
        ("a", "a b", False),
    ],
)
def test_output_is_compared_with_wildcards(expected: str, printed: str, same: bool) -> None:
    assert same_output(expected, printed) is same


def test_targets_are_changed_to_the_real_ports(tmp_path: Path) -> None:
    session = Session(tmp_path, ports={("udp", 5060): 1, ("tcp", 5060): 2, ("tls", 5061): 3})
    shown = "siprec call sip:127.0.0.1:5060 sip:127.0.0.1:5060;transport=tcp sips:127.0.0.1:5061 127.0.0.1:9"
    real = "siprec call sip:127.0.0.1:1 sip:127.0.0.1:2;transport=tcp sips:127.0.0.1:3 127.0.0.1:9"
    assert _TARGET.sub(session.real_target, shown) == real


# ---- the page of faults and attacks


def all_tests() -> set[str]:
    """Give the names of all tests."""
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for source in sources for name in re.findall(r"^ *(?:async )?def (test_\w+)\(", source, re.MULTILINE)}


def test_each_fault_and_attack_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "reference" / "reliability.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.endswith("| shown by |")]
    named = [set(re.findall(r"`(test_\w+)`", row.rsplit(" | ", 1)[1])) for row in rows]
    assert rows
    assert [row for row, tests in zip(rows, named, strict=True) if not tests] == []
    assert sorted(set.union(*named) - all_tests()) == []
