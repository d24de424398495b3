"""The command line as a whole: help, errors and exit codes."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from siprec import cli
from siprec.outcome import CommandError, Exit
from siprec_core.errors import ConfigurationError
from tests.app.programs import Program, environment
from tests.core.messages import invite


def test_help_names_every_command_and_shows_examples(siprec: Program) -> None:
    done = siprec("--help")
    assert done.code == 0
    assert all(f"    {name} " in done.out for name in cli.COMMANDS)
    assert "examples:" in done.out


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_each_command_has_help_with_examples(siprec: Program, command: str) -> None:
    done = siprec(command, "--help")
    assert done.code == 0
    assert "examples:" in done.out
    assert f"siprec {command}" in done.out
    assert "--debug" in done.out


def test_version(siprec: Program) -> None:
    assert siprec("--version").out.startswith("siprec ")


@pytest.mark.parametrize(
    "words", [[], ["record"], ["serve", "--no-such-option"], ["call"], ["serve", "--rtp-ports", "5-1"], ["serv"]]
)
def test_wrong_usage_is_one_line_and_2(siprec: Program, words: list[str]) -> None:
    done = siprec(*words)
    assert done.code == 2
    assert done.err.startswith("siprec: ")
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (CommandError("no", Exit.UNREACHABLE), 69, "siprec: no\n"),
        (ConfigurationError("max: too few"), 2, "siprec: max: too few\n"),
        (FileNotFoundError(2, "No such file", "x"), 1, "siprec: x: no such file\n"),
        (OSError(28, "No space left on device"), 1, "siprec: cannot write: no space left on device\n"),
        (ValueError("a\nb\x1b[31m"), 70, "siprec: internal error: ValueError: a\\nb\\x1b[31m (--debug shows where)\n"),
    ],
)
def test_errors_are_one_line(
    siprec: Program, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, text: str
) -> None:
    def fail(arguments: object) -> int:
        raise error

    monkeypatch.setattr(import_module("siprec.command_verify"), "run", fail)
    done = siprec("verify", ".")
    assert (done.code, done.err) == (code, text)


def test_debug_shows_where(siprec: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: object) -> int:
        raise ValueError("broken")

    monkeypatch.setattr(import_module("siprec.command_verify"), "run", fail)
    done = siprec("verify", ".", "--debug")
    assert done.code == 70
    assert "Traceback" in done.err


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import json, sys, siprec.cli\n"
        "siprec.cli.main(['--help'])\n"
        "print(json.dumps([n for n in sys.modules if n.startswith(('siprec', 'anyio', 'asyncio', 'ssl'))]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=30, check=True
    )
    assert set(json.loads(done.stdout.splitlines()[-1])) == {"siprec", "siprec.cli", "siprec.outcome"}


def test_module_runs_and_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "invite").write_bytes(invite())
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "siprec", "inspect", str(tmp_path / "invite")],
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
