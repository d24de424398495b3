"""Where recordings go: the interface of sinks, and sinks in memory.

The sinks that write files are in `directory_sinks`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, assert_never

from siprec_core.recording.commands import (
    CloseSink,
    OpenSink,
    RenderRecording,
    SinkCommand,
    SinkKind,
    WriteSink,
)
from siprec_core.types import SessionId, SinkId


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkFailed:
    """A file could not be opened or written. A journal goes on once the disk takes it, anything else is given up."""

    sink: SinkId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The final files of a recording are there."""

    session: SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderFailed:
    """The final files of a recording could not be made; its journal is kept."""

    session: SessionId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageChanged:
    """The room for recordings has reached its reserve, or is there again."""

    full: bool


SinkReport: TypeAlias = SinkFailed | Rendered | RenderFailed | StorageChanged


class Sinks(Protocol):
    """Takes the bytes of recordings. No method blocks or raises for what happens to a file, `close` apart.

    Reports are taken by the driver when `wake`, given to `start`, was called; `wake` may be called from any thread.
    """

    def start(self, wake: Callable[[], None]) -> None:
        """Make ready. Raises ConfigurationError when recordings cannot be kept at all."""

    def perform(self, command: SinkCommand) -> None:
        """Take one command; commands of one sink are carried out in order."""

    def take_reports(self) -> list[SinkReport]:
        """Give the reports that came since the last call."""

    def close(self) -> None:
        """Write what is still queued, then release everything. May block."""


class MemorySinks:
    """Keeps files in memory: for tests, and for programs that store recordings elsewhere.

    `render` is called with this object and the recording's folder for each `RenderRecording`; it may `keep` files. An
    OSError, ValueError or RuntimeError that it raises becomes `RenderFailed`.
    """

    def __init__(self, render: Callable[["MemorySinks", str], None] | None = None) -> None:
        self._files: dict[str, bytearray] = {}
        self._render = render
        self._wake: Callable[[], None] = _nothing
        self._open: dict[SinkId, tuple[str, bytearray]] = {}
        self._reports: list[SinkReport] = []

    @property
    def files(self) -> dict[str, bytes]:
        """Content by name, as it is now: journals as they grow, documents once they are closed."""
        return {name: bytes(content) for name, content in self._files.items()}

    def keep(self, name: str, data: bytes) -> None:
        """Add or replace a file."""
        self._files[name] = bytearray(data)

    def start(self, wake: Callable[[], None]) -> None:
        """Remember whom to wake."""
        self._wake = wake

    def perform(self, command: SinkCommand) -> None:
        """Carry out one command at once."""
        match command:
            case OpenSink():
                self._open_file(command)
            case WriteSink():
                self._write(command)
            case CloseSink():
                self._close_file(command.sink)
            case RenderRecording():
                self._report(self._rendered(command))
            case _:
                assert_never(command)

    def take_reports(self) -> list[SinkReport]:
        """Give the reports that came since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def close(self) -> None:
        """Forget open files; unfinished documents never appear."""
        self._open.clear()

    def _open_file(self, command: OpenSink) -> None:
        content = bytearray()
        if command.kind is SinkKind.JOURNAL:
            if command.name in self._files:
                self._report(SinkFailed(sink=command.sink, error="the journal exists already"))
                return
            self._files[command.name] = content
        elif command.kind is SinkKind.ORPHAN:
            content = self._files.setdefault(command.name, content)
        self._open[command.sink] = (command.name, content)

    def _write(self, command: WriteSink) -> None:
        entry = self._open.get(command.sink)
        if entry is None:
            return
        _, content = entry
        if command.offset is None:
            content += command.data
        else:
            content.extend(bytes(max(0, command.offset - len(content))))
            content[command.offset : command.offset + len(command.data)] = command.data

    def _close_file(self, sink: SinkId) -> None:
        entry = self._open.pop(sink, None)
        if entry is not None:
            name, content = entry
            self._files[name] = content

    def _rendered(self, command: RenderRecording) -> SinkReport:
        if self._render is None:
            return Rendered(session=command.session)
        try:
            self._render(self, command.directory)
        except (OSError, ValueError, RuntimeError) as error:
            return RenderFailed(session=command.session, error=str(error))
        return Rendered(session=command.session)

    def _report(self, report: SinkReport) -> None:
        self._reports.append(report)
        self._wake()


def _nothing() -> None:
    """Wake nobody: not started yet."""
