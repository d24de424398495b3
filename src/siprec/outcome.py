"""How a command ends: exit codes, and the error that ends one."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; those from 64 on are those of BSD's `sysexits.h`."""

    DONE = 0
    PROBLEMS = 1
    """It ran and found problems."""
    USAGE = 2
    """Wrong usage or configuration."""
    UNREACHABLE = 69
    """The peer cannot be reached."""
    INTERNAL = 70
    """A fault of this program."""
    INTERRUPTED = 130
    """Ended by a second INT."""
    BROKEN_PIPE = 141
    """Nobody reads what we print."""


class CommandError(Exception):
    """Ends a command with one line on standard error; the message is a phrase without a full stop."""

    def __init__(self, message: str, exit_code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def unreadable(path: object, error: OSError, exit_code: Exit = Exit.USAGE) -> CommandError:
    """Give the error that says why a file cannot be read or written."""
    text = error.strerror or str(error)
    return CommandError(f"{path}: {text[:1].lower()}{text[1:]}", exit_code)
