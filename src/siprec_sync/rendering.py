"""Makes the final files of a recording on disk: the core renders, this writes.

Each file appears whole by rename, `recording.json` last: who sees its status change finds the other files there.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import EEXIST, EWOULDBLOCK
from filecmp import cmp
from pathlib import Path
from typing import Self

from siprec_core.findings import Finding
from siprec_core.limits import Limits
from siprec_core.recording.mixing import Mix
from siprec_core.recording.render import (
    JOURNAL_NAME,
    REPORT_NAME,
    FileData,
    FileEnd,
    FileStart,
    RenderItem,
    render,
)
from siprec_sync.codecs import installed_codecs
from siprec_sync.files import FileTree, write_all
from siprec_sync.ownership import lock_file

_CHUNK_SIZE = 1024 * 1024


def render_recording(folder: Path, *, limits: Limits | None = None) -> None:
    """Make the final files beside the journal of a recording, once nobody else does. Raises OSError."""
    with journal_held(folder / JOURNAL_NAME, wait=True):
        render_capture(folder / JOURNAL_NAME, folder, limits=limits, journal_name=JOURNAL_NAME)


@contextmanager
def journal_held(journal: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of a journal during the block.

    Raises OSError; BlockingIOError when it is not to be had and we do not `wait`: it is being written or rendered.
    """
    with journal.open("rb", buffering=0) as file:
        if not lock_file(file.fileno(), wait=wait):
            raise BlockingIOError(EWOULDBLOCK, "the recording is still running", str(journal))
        yield


def render_capture(
    capture: Path,
    folder: Path,
    *,
    limits: Limits | None = None,
    journal_name: str | None = None,
    mix: Mix = Mix.CHANNELS,
    cut_gaps: bool = False,
    findings: Sequence[Finding] = (),
) -> tuple[str, ...]:
    """Make the files of the recording that a journal, or anyone's pcap or pcapng, holds; give their names in order.

    `journal_name` is the name under which `recording.json` lists the capture, which is copied there when it lies
    elsewhere; None leaves it out. `mix`, `cut_gaps` and `findings` are those of `siprec_core.recording.render.render`.
    Of several calls of a capture the first is taken; `render_calls` makes the files of all. Raises OSError; then no
    file is left half written, and `recording.json` is as it was. FileExistsError: another recording's journal is in the
    folder.
    """
    if journal_name is not None:
        _keep_journal(capture, folder, journal_name, read_chunks(capture))
    with RenderedFiles(folder) as files:
        items = render(
            lambda: read_chunks(capture),
            limits=limits,
            journal_name=journal_name,
            codecs=installed_codecs(),
            mix=mix,
            cut_gaps=cut_gaps,
            findings=findings,
        )
        for item in items:
            files.receive(item)
        return files.names


def read_chunks(path: Path) -> Iterator[bytes]:
    """Give the octets of a file in pieces. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_SIZE):
            yield chunk


def _keep_journal(capture: Path, folder: Path, name: str, chunks: Iterable[bytes]) -> None:
    """Put a copy of the journal into the folder, so that what lies there is a whole recording."""
    kept = folder / name
    if kept.exists():
        if not capture.samefile(kept) and not cmp(capture, kept, shallow=False):
            raise FileExistsError(EEXIST, "the folder holds another journal", str(kept))
        return
    with RenderedFiles(folder) as files:
        files.receive(FileStart(name))
        for chunk in chunks:
            files.receive(FileData(name, chunk))
        files.receive(FileEnd(name, 0, ""))


class RenderedFiles:
    """Takes what the core renders and writes it below a folder. Leaving the block discards what is not complete."""

    def __init__(self, folder: Path) -> None:
        self._tree = FileTree(folder)
        self._open: dict[str, tuple[int, str]] = {}
        self._names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for name, (descriptor, temporary) in self._open.items():
            os.close(descriptor)
            self._tree.discard_document(name, temporary)
        self._open.clear()

    @property
    def names(self) -> tuple[str, ...]:
        """The files that are complete, in order."""
        return tuple(self._names)

    def receive(self, item: RenderItem) -> None:
        """Write the next item. Raises OSError."""
        match item:
            case FileStart(name=name):
                self._open[name] = self._tree.begin_document(name)
            case FileData(name=name, data=data):
                write_all(self._open[name][0], data)
            case FileEnd(name=name):
                self._finish(name)

    def _finish(self, name: str) -> None:
        descriptor, temporary = self._open[name]
        os.fsync(descriptor)
        if name == REPORT_NAME:
            self._tree.synchronise_names()
        del self._open[name]
        os.close(descriptor)
        self._tree.finish_document(name, temporary)
        self._names.append(name)
        if name == REPORT_NAME:
            self._tree.synchronise_names()
