"""The ready file: tells whoever started the server where it listens."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from siprec_core.errors import ConfigurationError
from siprec_core.types import Address
from siprec_sync.listeners import Listener, reason_of


def clear_ready_file(path: Path | None) -> None:
    """Remove the ready file of a server that was killed: nobody is to take it for that of the one that starts.

    Raises ConfigurationError when there is no folder for it, before anything listens.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise ConfigurationError(f"--ready-file {path}: no such file or directory")
    try:
        if path.is_file() and not _is_running(path.read_bytes()):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--ready-file {path}: {reason_of(error)}") from error


@contextmanager
def ready_file(
    path: Path | None, listeners: Iterable[Listener], rtp_ports: tuple[int, int], *, http: Address | None = None
) -> Iterator[None]:
    """Keep the ready file during the block: written whole, removed at its end. Raises ConfigurationError."""
    if path is None:
        yield
        return
    content: dict[str, object] = {
        "pid": os.getpid(),
        "listeners": [listener.as_json() for listener in listeners],
        "rtp_ports": list(rtp_ports),
    }
    if http is not None:
        content["http"] = {"host": http.host, "port": http.port}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigurationError(f"--ready-file {path}: {reason_of(error)}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _is_running(content: bytes) -> bool:
    """Tell whether the process that a ready file names is there, and another than this one."""
    try:
        pid = json.loads(content)["pid"]
        if not isinstance(pid, int) or pid <= 0 or pid == os.getpid():
            return False
        os.kill(pid, 0)  # signal 0 only asks
    except PermissionError:
        return True  # somebody else's
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, ProcessLookupError):
        return False
    return True
