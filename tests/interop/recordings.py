"""What is in the folder of a recording, read without our own code."""

import hashlib
import json
import math
import wave
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.programs import output_of, path_of


@dataclass(frozen=True)
class Wav:
    """A WAV file."""

    rate: int
    channels: tuple[list[int], ...]
    """Samples of each channel."""

    @property
    def seconds(self) -> float:
        return len(self.channels[0]) / self.rate


def read_wav(path: Path) -> Wav:
    """Read a WAV file of 16-bit PCM."""
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2
        samples = array("h", file.readframes(file.getnframes())).tolist()
        count = file.getnchannels()
        return Wav(file.getframerate(), tuple(samples[channel::count] for channel in range(count)))


def tone_share(samples: list[int], frequency: int, rate: int) -> float:
    """Tell which share of the energy lies at a frequency, 0 to 1 (Goertzel's algorithm)."""
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    last = before = 0.0
    for sample in samples:
        last, before = sample + coefficient * last - before, last
    power = last * last + before * before - coefficient * last * before
    energy = sum(sample * sample for sample in samples)
    return 2 * power / (energy * len(samples)) if energy else 0.0


@dataclass(frozen=True)
class Recording:
    """A finished recording."""

    folder: Path
    report: dict[str, Any]
    """`recording.json`."""

    @classmethod
    def read(cls, folder: Path) -> "Recording":
        return cls(folder, json.loads((folder / "recording.json").read_text(encoding="utf-8")))

    def stream(self, label: str) -> dict[str, Any]:
        """Give the stream of a label."""
        return next(stream for stream in self.report["streams"] if stream["label"] == label)

    def codes(self) -> set[str]:
        """Give the codes of the findings."""
        return {found["code"] for found in self.report["findings"]}

    def wav(self, name: str) -> Wav:
        """Read a WAV file."""
        return read_wav(self.folder / name)

    def check_files(self) -> None:
        """Fail when `files` is not exactly what lies in the folder, size and SHA-256 included."""
        found = {
            path.relative_to(self.folder).as_posix(): (path.stat().st_size, _digest(path))
            for path in self.folder.rglob("*")
            if path.is_file() and path.name != "recording.json"
        }
        assert {each["name"]: (each["size"], each["sha256"]) for each in self.report["files"]} == found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Journal:
    """What tshark sees in a journal."""

    sip: list[str]
    """Methods and statuses in order, retransmissions apart: `INVITE`, `200 INVITE`, ..."""
    rtp: dict[int, int]
    """Number of RTP packets by SSRC."""
    problems: list[str]
    """Frames that tshark finds malformed."""


def read_journal(folder: Path) -> Journal:
    """Let tshark read the journal of a recording."""
    return read_capture(folder / "journal.pcapng")


def read_capture(capture: Path) -> Journal:
    """Let tshark read any capture."""
    fields = ["sip.Method", "sip.Status-Code", "sip.CSeq.method", "rtp.ssrc", "_ws.malformed"]
    command = [path_of("tshark"), "-n", "-r", str(capture), "-T", "fields", "-E", "separator=/t"]
    for field in fields:
        command += ["-e", field]
    journal = Journal([], {}, [])
    for line in output_of(command).splitlines():
        method, status, cseq, ssrc, malformed = line.split("\t")
        if method or status:
            message = method or f"{status} {cseq}"
            if message not in journal.sip:
                journal.sip.append(message)
        if ssrc:
            journal.rtp[int(ssrc, 0)] = journal.rtp.get(int(ssrc, 0), 0) + 1
        if malformed:
            journal.problems.append(line)
    return journal
