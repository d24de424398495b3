"""Makes the final files of every call of a capture: one reading tells the calls apart, then each is rendered."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from siprec_core.limits import Limits
from siprec_core.recording.mixing import Mix
from siprec_core.recording.splitting import CallSplitter
from siprec_sync.files import write_all
from siprec_sync.rendering import read_chunks, render_capture


def render_calls(
    capture: Path,
    folder: Path,
    *,
    limits: Limits | None = None,
    mix: Mix = Mix.CHANNELS,
    cut_gaps: bool = False,
) -> dict[Path, tuple[str, ...]]:
    """Make the files of each recording call of anyone's pcap or pcapng; give their names by folder, in order.

    The files of one call lie in `folder` itself; those of several, in the order of their answers, each in a folder
    therein whose name is the `id` of its `recording.json`, the same in every run. Where no recording call was answered,
    `recording.json` says so. `mix` and `cut_gaps` are those of `siprec_core.recording.render.render`. Raises OSError.
    """
    limits = limits or Limits()
    make = partial(render_capture, limits=limits, mix=mix, cut_gaps=cut_gaps)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".calls-", suffix=".tmp", dir=folder) as scratch:
        calls = _split(capture, Path(scratch), limits)
        if not calls.recordings:
            return {folder: make(capture, folder)}
        several = len(calls.recordings) > 1
        targets = {name: folder / name if several else folder for name in calls.recordings}
        return {target: make(Path(scratch, name), target, findings=calls.findings) for name, target in targets.items()}


def _split(capture: Path, scratch: Path, limits: Limits) -> CallSplitter:
    """Write the capture of each recording call into a file of its own, named by its identifier."""
    splitter = CallSplitter(limits=limits)

    def write_parts() -> None:
        while (part := splitter.poll()) is not None:
            with (scratch / part.recording).open("ab", buffering=0) as file:
                write_all(file.fileno(), part.data)

    for chunk in read_chunks(capture):
        splitter.receive(chunk)
        write_parts()
    splitter.end_of_file()
    write_parts()
    return splitter
