"""`siprec.testing`: what it gives to other people's tests, and what it complains of."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from siprec.testing import Recorder, assert_recording, record_call, recorder
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import Transport
from tests.app.programs import environment
from tests.ports import rtp_ports

SECONDS = 0.4


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Recorder]:
    with recorder(tmp_path, config=ServerConfig(rtp_ports=rtp_ports())) as running:
        yield running


def test_calls_are_recorded_in_their_order(running: Recorder) -> None:
    for transport, labels in ((Transport.UDP, ("1", "2")), (Transport.TCP, ("a", "b", "c"))):
        outcome = record_call(running.target(transport), seconds=SECONDS, labels=labels)
        assert outcome.good
        report = assert_recording(running.next_recording(), seconds=SECONDS)
        assert (report["transport"], report["call_id"]) == (transport.value, outcome.call_id)
        assert [stream["label"] for stream in report["streams"]] == list(labels)
    with pytest.raises(TimeoutError):
        running.next_recording(0.0)


def test_what_is_wrong_is_told(running: Recorder) -> None:
    record_call(running.target(), seconds=SECONDS)
    folder = running.next_recording()
    assert_recording(folder, tones={"1": 440, "2": 880})
    assert_recording(folder, tones={})
    with pytest.raises(AssertionError, match=r"stream 2 has .* at 440 Hz"):
        assert_recording(folder, tones={"2": 440})
    with pytest.raises(AssertionError, match=r"stream 1 is 0\.4\d s long, not 2.00 s"):
        assert_recording(folder, seconds=2.0)
    with pytest.raises(AssertionError, match="is completed, not recovered"):
        assert_recording(folder, status="recovered")
    report = json.loads((folder / "recording.json").read_bytes())
    for changes, told in (({"packets_lost": 3}, "lost 3 packets"), ({"file": None}, "no packet came")):
        report["streams"][0] = {**report["streams"][0], **changes}
        (folder / "recording.json").write_text(json.dumps(report), encoding="utf-8")
        with pytest.raises(AssertionError, match=told):
            assert_recording(folder)


def test_the_fixtures_work_in_a_project_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["siprec.testing"]\n', encoding="utf-8")
    (tmp_path / "test_mine.py").write_text(
        "from siprec.testing import assert_recording\n\n\n"
        "def test_a_call(siprec_recorder, siprec_caller):\n"
        "    assert siprec_caller(siprec_recorder.target(), seconds=0.3).good\n"
        "    assert_recording(siprec_recorder.next_recording(), seconds=0.3)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
