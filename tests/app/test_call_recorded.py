"""`siprec call` against our own server: what it says that it sent is what was recorded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import siprec_sync
from siprec.options import WORKERS
from siprec_core.containers.wav import read_wav
from siprec_core.recording.events import SessionEnded
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.waiting import EventStream
from tests.app.programs import Program
from tests.ports import rtp_ports


class Recorder:
    """A server whose recordings a test looks at."""

    def __init__(self, server: siprec_sync.Server[RecordingServer], root: Path) -> None:
        self.root = root
        self.target = f"sip:{server.listeners[0].address};transport=tcp"
        self._events: EventStream[Any] = server.events(lambda event: isinstance(event, SessionEnded))

    def report(self) -> tuple[Path, dict[str, Any]]:
        """Give the folder and the report of the call that ended next."""
        event = self._events.next(timeout=30)
        assert isinstance(event, SessionEnded)
        folder = self.root / event.directory
        return folder, json.loads((folder / "recording.json").read_text())


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    config = ServerConfig(rtp_ports=rtp_ports())
    with siprec_sync.serve("tcp://127.0.0.1:0", config=config, sinks=DirectorySinks(tmp_path)) as server:
        yield Recorder(server, tmp_path)


@pytest.mark.parametrize("worker", WORKERS)
def test_a_transfer_is_told_in_the_middle_of_the_audio(siprec: Program, recorder: Recorder, worker: str) -> None:
    if worker in ("uvloop", "trio"):
        pytest.importorskip(worker)
    words = ("--seconds", 0.6, "--transfer", 0.3, "--hold", "0.1-0.4", "-k", worker, "--json")
    done = siprec("call", recorder.target, *words)
    assert (done.code, done.err) == (0, "")
    changes = [(each["change"], each["label"], each["status"]) for each in done.json["changes"]]
    held = [("hold", "1", 200), ("hold", "2", 200)]
    assert changes == [*held, ("transfer", "2", 200), ("resume", "1", 200), ("resume", "2", 200)]
    _, report = recorder.report()
    assert [each["names"] for each in report["participants"]] == [["Alice"], ["Bob"], ["Zoe"]]
    assert [each["left_at"] is None for each in report["participants"]] == [True, False, True]
    # What falls into the hold was not sent.
    sent = [each["packets_sent"] for each in done.json["streams"]]
    assert [each["packets_received"] for each in report["streams"]] == sent
    assert all(10 <= each <= 15 for each in sent)


def test_loss_and_disorder_are_told_as_they_were(siprec: Program, recorder: Recorder) -> None:
    words = ("--seconds", 2, "--speech", "--loss", 10, "--reorder", 10, "--seed", 3, "--json")
    done = siprec("call", recorder.target, *words)
    assert (done.code, done.err) == (0, "")
    _, report = recorder.report()
    for told, recorded in zip(done.json["streams"], report["streams"], strict=True):
        assert told["packets_lost"] > 0
        assert told["packets_reordered"] > 0
        assert told["packets_sent"] + told["packets_lost"] == 100
        assert recorded["packets_received"] == told["packets_sent"]
        assert recorded["packets_reordered"] == told["packets_reordered"]


def test_speech_is_recorded(siprec: Program, recorder: Recorder) -> None:
    done = siprec("call", recorder.target, "--seconds", 1, "--speech", "--streams", 3)
    assert done.code == 0
    folder, _ = recorder.report()
    pcm = [read_wav((folder / f"{label}.wav").read_bytes())[1] for label in ("1", "2", "3")]
    assert len({bytes(each) for each in pcm}) == 3
    assert all(max(each) > 0 for each in pcm)


def test_the_report_for_people_has_the_columns(siprec: Program, recorder: Recorder) -> None:
    done = siprec("call", recorder.target, "--seconds", 0.2, "--loss", 100)
    assert done.code == 0
    head, first = done.out.splitlines()[1:3]
    assert head.split()[-4:] == ["packets", "lost", "reordered", "seconds"]
    assert first.split()[-4:] == ["0", "10", "0", "0.20"]


@pytest.mark.parametrize(
    "words",
    [
        ("--transfer", "5"),
        ("--transfer", "0.1", "--metadata", "x.xml"),
        ("--loss", "101"),
        ("--loss", "60", "--reorder", "60"),
        ("--loss", "-1"),
        ("--seed", "x"),
    ],
)
def test_what_cannot_be_is_told(siprec: Program, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "x.xml").write_text("<recording/>")
    words = tuple(str(tmp_path / word) if word == "x.xml" else word for word in words)
    done = siprec("call", "127.0.0.1:5060", "--seconds", "1", *words)
    assert done.code == 2
    assert words[0] in done.err
