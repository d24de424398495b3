"""The command line: finds the sub-command, loads only that, and turns whatever goes wrong into one line.

Each command is a module with `describe(parser)`, which adds its options, and `run(arguments)`, which gives the exit
code.
"""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NoReturn, Protocol, cast

from siprec.outcome import CommandError, Exit, unreadable

COMMANDS: Final = {
    "serve": "record calls until interrupted: the recording server (SRS)",
    "sessions": "list, look at and change the calls that a server records now",
    "call": "make one recording call with real audio (SRC) and check the answer",
    "load": "make many recording calls with audio at a time and count the complete ones",
    "doctor": "look at a recording server and tell what would keep clients from working",
    "demo": "record a call between our own client and server on this machine",
    "inspect": "decode a SIP message, multipart body, SDP, metadata, pcap or pcapng",
    "validate": "print what is wrong with such files, with line and column",
    "render": "make WAV files and recording.json from a journal or any capture",
    "recover": "finish recordings that a crash left behind",
    "verify": "check the SHA-256 of every file of recordings",
}
"""Sub-commands in the order of `--help`, with one line each."""

_EXAMPLES = """examples:
  siprec demo
  siprec serve -b udp://0.0.0.0:5060 -b tcp://0.0.0.0:5060 --recordings /var/lib/siprec
  siprec call 'sip:recorder.example.com;transport=tcp'
  siprec doctor recorder.example.com
  siprec inspect --json invite.sip
  siprec render capture.pcapng -o files

'siprec COMMAND --help' shows the options and examples of a command.
"""


class Command(Protocol):
    """What the module of a sub-command has."""

    def describe(self, parser: argparse.ArgumentParser) -> None:
        """Add the options, description and examples."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Carry the command out and give the exit code. Raises CommandError."""


class Parser(argparse.ArgumentParser):
    """Tells wrong usage as every other error is told."""

    def error(self, message: str) -> NoReturn:
        """End with one line and a hint."""
        raise CommandError(f"{message} (see '{self.prog} --help')")


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Why a disk, standard output included, takes no more."""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Fills paragraphs, and keeps the lines of examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)  # noqa: SLF001 - of a base class


class _ShowVersion(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> None:  # noqa: ANN401 - argparse's own
        print(f"siprec {version()}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with `argv` (default: the process's own arguments) and give its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    try:
        return _run(words)
    except SystemExit as ended:  # argparse, after --help or --version
        return int(ended.code or 0)
    except BrokenPipeError:
        # Python's own flush at exit would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.BROKEN_PIPE)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a user gets one line, never a traceback
        return _complain(error, debug=debug)


def build_parser(command: str | None = None) -> Parser:
    """Make the parser of the whole program with the options of one command, or of none."""
    common = Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show where errors come from")
    parser = Parser(
        prog="siprec",
        description="Records calls with SIPREC (RFC 7866, RFC 7865), and looks into what was recorded.",
        epilog=_EXAMPLES,
        formatter_class=_HelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        added = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[:1].upper()}{summary[1:]}.",
            formatter_class=_HelpFormatter,
            parents=[common],
            allow_abbrev=False,
        )
        if name == command:
            load(name).describe(added)
    return parser


def load(command: str) -> Command:
    """Import the module of a sub-command."""
    return cast("Command", import_module(f"siprec.command_{command}"))


def version() -> str:
    """Give the version that is installed; `unknown` for a source tree that is not."""
    from importlib import metadata  # slow to load

    try:
        return metadata.version("siprec")
    except metadata.PackageNotFoundError:
        return "unknown"


def _run(words: list[str]) -> int:
    command = next((word for word in words if not word.startswith("-")), None)
    arguments = build_parser(command if command in COMMANDS else None).parse_args(words)
    code = load(arguments.command).run(arguments)
    sys.stdout.flush()
    return int(code)


def _complain(error: Exception, *, debug: bool) -> int:
    """Print one line and give the exit code for an error."""
    # Only now, because these make every start slower.
    from siprec_core.errors import ConfigurationError
    from siprec_sync.events import printable

    if isinstance(error, CommandError):
        code, text = error.exit_code, str(error)
    elif isinstance(error, ConfigurationError):
        code, text = Exit.USAGE, str(error)
    elif isinstance(error, OSError) and error.filename is not None:
        code, text = Exit.PROBLEMS, str(unreadable(error.filename, error))
    elif isinstance(error, OSError) and error.errno in _NO_ROOM:
        code, text = Exit.PROBLEMS, str(unreadable("cannot write", error))
    else:
        hint = "" if debug else " (--debug shows where)"
        code, text = Exit.INTERNAL, f"internal error: {type(error).__name__}: {error}{hint}"
    if debug:
        import traceback

        traceback.print_exception(error)
    print(f"siprec: {printable(text)}", file=sys.stderr)
    return int(code)
