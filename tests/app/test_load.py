"""`siprec load` against our own server and against servers that refuse, are silent or are not there."""

import json
import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import siprec_sync
from siprec.command_call import offered_streams
from siprec.load import LoadPlan, LoadProgress, LoadRun
from siprec.load_flows import call_id_of
from siprec.load_media import MediaPlane, MediaPorts, begin_stream
from siprec.load_processes import merged, run_processes, run_share, shares_of
from siprec.load_report import read_received, set_up_quantiles
from siprec_core.errors import ConfigurationError
from siprec_core.recording.call import CallSpec
from siprec_core.recording.policy import ServerConfig
from siprec_core.sdp.crypto import SrtpPolicy
from siprec_core.sdp.formats import MediaFormat
from siprec_core.server import RecordingServer
from siprec_core.sip.authentication import DigestRule
from siprec_core.sip.digest import Secret
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Transport
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.srtp import PylibsrtpProvider
from siprec_sync.tls import TlsFiles
from tests.app.programs import Program
from tests.app.test_call import Double
from tests.contract.certificates import make_tls_files
from tests.ports import rtp_ports

PORTS = ("udp://127.0.0.1:0", "tcp://127.0.0.1:0")


@pytest.fixture
def double() -> Iterator[Double]:
    double = Double()
    yield double
    double.close()


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[siprec_sync.Server[RecordingServer]]:
    """A server that keeps recordings in `tmp_path`."""
    config = ServerConfig(rtp_ports=rtp_ports())
    with siprec_sync.serve(*PORTS, config=config, sinks=DirectorySinks(tmp_path)) as server:
        yield server


def target_of(server: siprec_sync.Server[RecordingServer], transport: Transport) -> str:
    (address,) = [each.address for each in server.listeners if each.transport is transport]
    return f"sip:{address};transport={transport.value}"


def plan_of(address: Address, **changes: Any) -> LoadPlan:  # noqa: ANN401 - whatever the plan takes
    spec = CallSpec(
        uri=f"sip:{address}",
        local=Address("", 0),
        streams=offered_streams(("1", "2")),
    )
    values: dict[str, Any] = {
        "total": 1,
        "limit": 1,
        "rate": 10.0,
        "seconds": 0.1,
        "spec": spec,
        "hop": Hop(Transport.UDP, address),
        **changes,
    }
    return LoadPlan(**values)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_complete_calls_without_loss(
    siprec: Program, recorder: siprec_sync.Server[RecordingServer], tmp_path: Path, transport: Transport
) -> None:
    words = ("-m", 5, "-l", 3, "-r", 50, "-d", 0.2, "--recordings", tmp_path, "--json")
    done = siprec("load", target_of(recorder, transport), *words)
    assert (done.code, done.err) == (0, "")
    assert done.json["calls"] == {"wanted": 5, "begun": 5, "complete": 5, "failed": 0, "peak": 3}
    assert done.json["packets"] == {"sent": 100, "received": 100, "lost": 0, "reports_missing": 0}
    quantiles = done.json["setup_seconds"]
    assert 0 < quantiles["p50"] <= quantiles["p95"] <= quantiles["p99"] <= quantiles["max"]
    assert done.json["ok"] is True


def test_text_tells_calls_quantiles_and_packets(siprec: Program, recorder: siprec_sync.Server[RecordingServer]) -> None:
    done = siprec("load", target_of(recorder, Transport.UDP), "--sessions", 2, "-r", 50, "-d", 0.1, "--streams", 3)
    assert done.code == 0
    assert "2 of 2 calls complete" in done.out
    assert "p95" in done.out
    assert "30 packets sent\n" in done.out


def test_processes_share_the_calls(recorder: siprec_sync.Server[RecordingServer]) -> None:
    address = recorder.listeners[0].address
    shares = shares_of(plan_of(address, total=5, limit=3, rate=40.0), 2)
    assert [(each.total, each.limit, each.rate) for each in shares] == [(3, 2, 20.0), (2, 1, 20.0)]
    assert shares[0].rtp_ports[1] < shares[1].rtp_ports[0]
    result = merged([run_share(each) for each in shares])
    assert (result.begun, result.complete, result.packets_sent) == (5, 5, 50)
    assert len(result.set_ups) == len(result.packets_by_call) == 5


def test_processes_tell_how_far_they_are(recorder: siprec_sync.Server[RecordingServer]) -> None:
    seen: list[LoadProgress] = []
    plan = plan_of(recorder.listeners[0].address, total=4, limit=4, rate=40.0, seconds=0.6)
    result = run_processes(plan, 2, progress=seen.append)
    assert (result.begun, result.complete, result.packets_sent) == (4, 4, 240)
    assert seen
    for earlier, later in pairwise(seen):
        assert earlier.begun <= later.begun <= 4
        assert earlier.packets <= later.packets <= 240
    assert all(each.complete + each.failed + each.active <= 4 for each in seen)


def test_who_is_asked_who_it_is_says_so(siprec: Program, tmp_path: Path) -> None:
    users = {"load": Secret("secret")}
    config = ServerConfig(rtp_ports=rtp_ports(), authentication=(DigestRule(realm="here", users=users),))
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "wrong").write_text("another\n")
    with siprec_sync.serve(*PORTS, config=config, sinks=DirectorySinks(tmp_path / "recordings")) as server:
        words = ("-m", 3, "-r", 50, "-d", 0.1, "--user", "load", "--json")
        target = target_of(server, Transport.UDP)
        done = siprec("load", target, *words, "--password-file", tmp_path / "password", "--processes", 2)
        assert (done.code, done.json["calls"]["complete"]) == (0, 3)
        done = siprec("load", target, *words, "--password-file", tmp_path / "wrong")
        assert done.code == 1
        assert sum(done.json["failures"].values()) == 3


@pytest.mark.parametrize("trust", ["authorities", "insecure"])
def test_encrypted_calls_are_recorded_whole(siprec: Program, tmp_path: Path, trust: str) -> None:
    files = make_tls_files(tmp_path)
    own = TlsFiles(certificate=files.certificate, key=files.key)
    recordings = tmp_path / "recordings"
    config = ServerConfig(rtp_ports=rtp_ports(), srtp=SrtpPolicy.REQUIRE, crypto=PylibsrtpProvider())
    with siprec_sync.serve("tls://127.0.0.1:0", config=config, sinks=DirectorySinks(recordings), tls=own) as server:
        target = f"sips:{server.listeners[0].address}"
        words = ["-m", 4, "-r", 50, "-d", 0.2, "--srtp", "--recordings", recordings, "--json"]
        words += ["--tls-ca", files.authorities] if trust == "authorities" else ["--tls-insecure", "--processes", 2]
        done = siprec("load", target, *words)
    assert (done.code, done.err) == (0, "")
    assert done.json["packets"] == {"sent": 80, "received": 80, "lost": 0, "reports_missing": 0}


def test_an_interruption_ends_the_calls_under_way(recorder: siprec_sync.Server[RecordingServer]) -> None:
    interrupted: list[int] = []

    def interrupt(run: LoadRun) -> None:
        if not interrupted:
            interrupted.append(run.active)
            raise KeyboardInterrupt

    plan = plan_of(recorder.listeners[0].address, total=9, limit=1, seconds=600.0)
    result = LoadRun(plan, progress=interrupt).run()
    assert interrupted == [1]
    assert (result.begun, result.complete, result.failures) == (1, 0, {"interrupted": 1})


def test_a_call_without_200_to_its_bye_does_not_count(siprec: Program, double: Double) -> None:
    double.bye_status = "481 Call Does Not Exist"
    done = siprec("load", double.target, "-m", 1, "-d", 0.1, "--json")
    assert done.code == 1
    assert done.json["calls"]["complete"] == 0
    assert done.json["failures"] == {"no 200 to the BYE": 1}


def test_a_call_whose_audio_nobody_receives_does_not_count(siprec: Program, double: Double) -> None:
    # The double answers with the client's own ports, where somebody receives; port 1 is nobody's.
    double.media_port = 1
    done = siprec("load", double.target, "-m", 1, "-d", 0.3, "--json")
    assert done.code == 1
    assert done.json["failures"] == {"nobody received on a media port (ICMP)": 1}


def test_refused_calls_and_streams_are_counted(siprec: Program, double: Double) -> None:
    double.refuses_last = True
    done = siprec("load", double.target, "-m", 2, "-r", 50, "-d", 0.1, "--json")
    assert (done.code, done.json["failures"]) == (1, {"a stream was refused": 2})
    double.status = "486 Busy Here"
    done = siprec("load", double.target, "-m", 2, "-r", 50, "-d", 0.1)
    assert done.code == 1
    assert "2 x 486 Busy Here" in done.out


def test_broken_rules_are_counted(siprec: Program, double: Double) -> None:
    double.changes = (("a=label:2", "a=label:7"),)
    done = siprec("load", double.target, "-m", 1, "-d", 0.1, "--json")
    assert done.json["findings"] == {"sdp-answer-label": 1}


def test_no_listener_is_69(siprec: Program) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        done = siprec("load", f"127.0.0.1:{sock.getsockname()[1]};transport=tcp", "-m", 2, "-d", 0.1)
    assert done.code == 69
    assert "cannot be reached" in done.err


def test_patience_ends_a_call_that_nobody_answers() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        result = LoadRun(plan_of(Address(*sock.getsockname())), patience_seconds=0.2).run()
    assert (result.unreachable, result.failures) == (1, {"408 no answer": 1})


@pytest.mark.parametrize(
    "words",
    [
        ["--sessions", "2", "-m", "2"],
        ["-m", "0"],
        ["-r", "0"],
        ["--rtp-ports", "40000-40003", "-m", "2"],
        ["--recordings", "/nowhere/at/all"],
        ["--tls-insecure"],
    ],
)
def test_wrong_usage_is_2(siprec: Program, words: list[str]) -> None:
    done = siprec("load", "127.0.0.1:9", *words)
    assert (done.code, done.err.count("\n"), done.err[:8]) == (2, 1, "siprec: ")


def test_too_few_ports_for_the_processes() -> None:
    with pytest.raises(ConfigurationError):
        shares_of(plan_of(Address("127.0.0.1", 9), total=4, limit=4, rtp_ports=(40_000, 40_009)), 2)


def test_quantiles_are_those_of_the_nearest_rank() -> None:
    assert set_up_quantiles([]) == {"p50": None, "p95": None, "p99": None, "max": None}
    assert set_up_quantiles([1.0]) == {"p50": 1.0, "p95": 1.0, "p99": 1.0, "max": 1.0}
    hundred = [float(each) for each in range(1, 101)]
    assert set_up_quantiles(hundred) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


def test_reports_tell_what_was_lost(tmp_path: Path) -> None:
    def report(name: str, **values: object) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "recording.json").write_text(json.dumps(values), encoding="utf-8")

    report("a", status="completed", call_id="a", streams=[{"packets_received": 3}, {"packets_received": 4}])
    report("b", status="active", call_id="b", streams=[])
    report("c", status="completed", call_id="another", streams=[{"packets_received": 9}])
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "recording.json").write_bytes(b"{")
    received = read_received(tmp_path, {"a": 10, "b": 10}, patience_seconds=0.0)
    assert (received.packets, received.lost, received.missing) == (7, 3, 1)


@pytest.mark.parametrize(
    ("message", "call_id"),
    [
        (b"SIP/2.0 200 OK\r\nCall-ID: a@b\r\n\r\n", b"a@b"),
        (b"SIP/2.0 200 OK\r\nCALL-id :\ta \r\n\r\n", b"a"),
        (b"BYE sip:x SIP/2.0\r\ni:c\r\n\r\n", b"c"),
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b"X-Call-ID: a", b""),
    ],
)
def test_call_ids_are_found(message: bytes, call_id: bytes) -> None:
    assert call_id_of(message) == call_id


def test_the_plane_catches_up_and_ends() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        low, high = rtp_ports()
        ports = next(_bound(low, high))
        pcmu = MediaFormat(0, "PCMU", 8000)
        identity = bytes((0, 0, 0, 7, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF))
        to = Address(*receiver.getsockname())
        stream = begin_stream(ports, to, pcmu, label="1", index=0, total=3, identity=identity, now=10.0)
        plane = MediaPlane()
        assert plane.next_timeout() is None
        plane.add(stream, now=10.0)
        assert list(plane.handle_timeout(now=9.9)) == []
        assert plane.sent == 0
        assert list(plane.handle_timeout(now=11.0)) == [stream]
        assert plane.next_timeout() is None
        packets = [receiver.recv(2_000) for _ in range(3)]
        ports.close()
    assert [packet[:12].hex() for packet in packets] == [
        "8080ffffffffffff00000007",
        "800000000000009f00000007",
        "800000010000013f00000007",
    ]
    assert {len(packet) for packet in packets} == {172}
    assert (stream.sent, stream.turn, stream.refused) == (3, 3, 0)


def _bound(low: int, high: int) -> Iterator[MediaPorts]:
    for port in range(low + low % 2, high, 2):
        try:
            yield MediaPorts(Address("127.0.0.1", port), Address("127.0.0.1", port + 1))
        except OSError:
            continue
