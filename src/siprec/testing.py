"""For tests of your own software: a recorder, a caller and what a recording has to hold, as pytest fixtures.

Write `pytest_plugins = ["siprec.testing"]` in `conftest.py`. The fixture `siprec_recorder` is a recording server on a
free port, `siprec_caller` makes recording calls; `assert_recording` looks at the files. Without pytest's fixtures
`recorder` and `record_call` do the same.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import siprec_sync
from siprec.callers import CallOutcome, CallPlan, make_call
from siprec.command_call import offered_streams
from siprec.speech import Tone
from siprec.targets import read_target
from siprec.tones import frequency_of, tone_share
from siprec_core.containers.wav import read_wav
from siprec_core.recording.call import CallSpec
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import Address, Transport
from siprec_sync.directory_sinks import DirectorySinks

__all__ = ["Recorder", "assert_recording", "record_call", "recorder", "siprec_caller", "siprec_recorder"]

_LOOK_SECONDS = 0.02
_LEAST_SHARE = 0.9
"""Share of a file's energy that has to lie at the frequency of its tone."""


@dataclass(slots=True)
class Recorder:
    """A recording server under test conditions."""

    root: Path
    """Where the recordings go."""
    addresses: Mapping[Transport, Address]
    """Where it listens."""
    _given: set[Path] = field(default_factory=set)

    def target(self, transport: Transport = Transport.UDP) -> str:
        """Give the SIP URI to call."""
        return f"sip:{self.addresses[transport]};transport={transport.value}"

    def next_recording(self, timeout: float = 10.0) -> Path:
        """Wait for a recording to be finished and give its folder; each is given once, the oldest first.

        Raises TimeoutError after `timeout` seconds.
        """
        until = time.monotonic() + timeout
        while True:
            found = sorted(
                (str(report["started_at"]), path.parent)
                for path in self.root.rglob("recording.json")
                if path.parent not in self._given
                for report in (_report_of(path.parent),)
                if report["status"] != "active"
            )
            if found:
                self._given.add(found[0][1])
                return found[0][1]
            if time.monotonic() >= until:
                raise TimeoutError(f"no recording was finished within {timeout:g} s")
            time.sleep(_LOOK_SECONDS)


@contextmanager
def recorder(root: Path, *, config: ServerConfig | None = None) -> Iterator[Recorder]:
    """Run a recording server on free UDP and TCP ports of this machine until the block ends."""
    binds = ("udp://127.0.0.1:0", "tcp://127.0.0.1:0")
    with siprec_sync.serve(*binds, config=config, sinks=DirectorySinks(root)) as server:
        yield Recorder(root, {each.transport: each.address for each in server.listeners})


def record_call(
    target: str, *, seconds: float = 1.0, labels: Sequence[str] = ("1", "2"), timeout: float = 10.0
) -> CallOutcome:
    """Make one recording call with a tone on each stream, and give what it showed of the server.

    `outcome.good` tells whether it kept the rules. Raises `siprec.outcome.CommandError` for a target that is none.
    """
    return make_call(
        CallPlan(
            target=target,
            spec=CallSpec(uri=str(read_target(target)), local=Address("", 0), streams=offered_streams(labels)),
            audio=[Tone(frequency_of(index), seconds) for index in range(len(labels))],
            timeout_seconds=timeout,
        ),
        "sync",
    )


def assert_recording(
    folder: Path,
    *,
    seconds: float | None = None,
    tones: Mapping[str, int] | None = None,
    status: str = "completed",
    tolerance: float = 0.1,
) -> dict[str, Any]:
    """Look at the files of a recording, and give its `recording.json`.

    Each stream has to have a file, `seconds` long give or take `tolerance`, with nothing lost. `tones` says in hertz
    what is to be heard on which label; without it, what `record_call` sends; an empty one looks for no tone. Raises
    AssertionError that tells what is wrong.
    """
    report = _report_of(folder)
    _demand(report["status"] == status, f"the recording is {report['status']}, not {status}")
    for index, stream in enumerate(report["streams"]):
        label = str(stream["label"])
        _demand(stream["file"] is not None, f"stream {label} has no file: no packet came")
        _demand(stream["packets_lost"] == 0, f"stream {label} lost {stream['packets_lost']} packets")
        wav_format, pcm = read_wav((folder / stream["file"]).read_bytes())
        length = len(pcm) / (wav_format.bits // 8 * wav_format.channels * wav_format.sample_rate)
        if seconds is not None:
            near = abs(length - seconds) <= tolerance
            _demand(near, f"stream {label} is {length:.2f} s long, not {seconds:.2f} s")
        frequency = frequency_of(index) if tones is None else tones.get(label)
        if frequency is not None:
            share = tone_share(pcm, frequency, wav_format.sample_rate)
            _demand(share >= _LEAST_SHARE, f"stream {label} has {share:.0%} of its energy at {frequency} Hz")
    return report


@pytest.fixture
def siprec_recorder(tmp_path: Path) -> Iterator[Recorder]:
    """A recording server on free ports; its recordings are in a folder of this test."""
    root = tmp_path / "recordings"
    root.mkdir()
    with recorder(root) as running:
        yield running


@pytest.fixture
def siprec_caller() -> Callable[..., CallOutcome]:
    """`record_call`: makes recording calls to your recorder."""
    return record_call


def _demand(kept: object, message: str) -> None:
    __tracebackhide__ = True
    if not kept:
        raise AssertionError(message)


def _report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "recording.json").read_bytes())
    return report
