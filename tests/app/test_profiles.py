"""`siprec call --profile`: our own server records what other clients would send, and tells what they do differently."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import siprec_sync
from siprec.profiles import PROFILES
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer
from siprec_sync.directory_sinks import DirectorySinks
from tests.app.programs import Program
from tests.app.test_call import Double
from tests.core.messages import invite
from tests.ports import rtp_ports

DIALECTS = {
    "cube": "rfc7865",
    "oracle": "draft-recording",
    "audiocodes": "draft-recording",
    "avaya": "rfc7865",
    "broadworks": "draft-siprec",
    "metaswitch": "draft-recording",
    "ribbon": "draft-recording",
    "opensips": "rfc7865",
}
MARKS = {
    "cube": (b"--uniqueBoundary \r\n", b"Content-Type: application/sdp \r\n"),
    "oracle": (b"--unique-boundary-1 \r\n",),
    "audiocodes": (b";src\r\n", b"Content-Type: application/rs-metadata\r\n", b"--boundary_ac1b4a--"),
    "avaya": (b";+sip.src>\r\n", b"<dataMode>", b"User-to-User: "),
    "broadworks": (b"\r\nSupported:\r\n", b"Content-Type:application/sdp\r\n", b"X-BroadWorks-Correlation-Info: "),
    "metaswitch": (b'<recording id="1" ', b"application/rs-metadata\r\n"),
    "ribbon": (b"recording-session; handling=required\r\nContent-Type:", b"application/rs-metadata-request"),
    "opensips": (b"+0000</", b"User-Agent: OpenSIPS"),
}


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[siprec_sync.Server[RecordingServer]]:
    """A server that keeps recordings in `tmp_path`."""
    config = ServerConfig(rtp_ports=rtp_ports())
    sinks = DirectorySinks(tmp_path)
    with siprec_sync.serve("udp://127.0.0.1:0", "tcp://127.0.0.1:0", config=config, sinks=sinks) as server:
        yield server


@pytest.fixture
def double() -> Iterator[Double]:
    double = Double()
    yield double
    double.close()


def recorded(root: Path) -> dict[str, Any]:
    """Wait for the only recording to be finished, and give its report."""
    until = time.monotonic() + 20
    while True:
        for path in root.rglob("recording.json"):
            report: dict[str, Any] = json.loads(path.read_bytes())
            if report["status"] != "active":
                return report
        assert time.monotonic() < until, "the recording is not finished"
        time.sleep(0.02)


@pytest.mark.parametrize("profile", PROFILES)
def test_our_own_server_records_each(
    siprec: Program, recorder: siprec_sync.Server[RecordingServer], tmp_path: Path, profile: str
) -> None:
    target = f"sip:{recorder.listeners[0].address};transport=udp"
    done = siprec("call", target, "--profile", profile, "--seconds", "0.2", "--hold", "0.1-0.15", "--json")
    assert (done.code, done.err) == (0, "")
    assert [each["status"] for each in done.json["changes"]] == [200] * 4
    report = recorded(tmp_path)
    (journal,) = tmp_path.rglob("journal.pcapng")
    wire = journal.read_bytes()
    assert [mark for mark in MARKS[profile] if mark not in wire] == []
    assert report["dialect"] == DIALECTS[profile]
    assert [len(each["sends"]) for each in report["participants"]] == [1, 1]
    assert [each["packets_received"] for each in report["streams"]] == [
        each["packets_sent"] for each in done.json["streams"]
    ]


@pytest.mark.parametrize("profile", PROFILES)
@given(data=st.binary())
def test_what_is_no_invite_stays(profile: str, data: bytes) -> None:
    assert PROFILES[profile].rewrite(b"BYE " + data) == b"BYE " + data


@pytest.mark.parametrize("profile", PROFILES)
@given(at=st.integers(min_value=0))
def test_any_piece_of_an_invite_is_written(profile: str, at: int) -> None:
    whole = invite()
    assert PROFILES[profile].rewrite(whole[: at % len(whole)]) is not None
    assert PROFILES[profile].rewrite(whole).count(b"m=audio ") == whole.count(b"m=audio ")


@pytest.mark.parametrize("worker", ["asyncio", "sync"])
def test_a_hold_that_is_refused_is_told(siprec: Program, double: Double, worker: str) -> None:
    double.change_status = "488 Not Acceptable Here"
    done = siprec("call", double.target, "--seconds", "0.4", "--hold", "0.1-0.2", "--json", "-k", worker)
    assert done.code == 1
    assert {(each["change"], each["status"]) for each in done.json["changes"]} >= {("hold", 488)}
    text = siprec("call", double.target, "--seconds", "0.4", "--hold", "0.1-0.2", "-k", worker)
    assert "hold of stream 1: 488 Not Acceptable Here" in text.out


@pytest.mark.parametrize("hold", ["1", "2-1", "0-1", "x-y", "1-100"])
def test_a_hold_that_cannot_be_is_2(siprec: Program, hold: str) -> None:
    done = siprec("call", "127.0.0.1:9", "--hold", hold)
    assert (done.code, done.err.count("\n")) == (2, 1)
