"""Media in worker processes: the same recordings, and a worker that dies takes nothing else with it."""

import os
import signal
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

import siprec_sync
from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.recording.events import SourceFound
from siprec_core.types import Transport
from siprec_sync.assembly import DriverSettings
from siprec_sync.audio import AudioQueue
from siprec_sync.media_workers import MediaWorkers
from siprec_sync.sinks import MemorySinks
from siprec_sync.tls import TlsFiles
from tests.contract.conftest import Connect, Running, StartServer, spec
from tests.contract.peer import Peer
from tests.contract.test_scenarios import report_of

CHANGING = {"id", "call_id", "local_tag", "started_at", "answered_at", "ended_at", "duration", "peer", "files"}
"""What differs between two recordings of the same call."""


ONE_LOOP = pytest.mark.parametrize("worker", ["sync"], indirect=True)
"""For what does not depend on who waits."""


@pytest.fixture
def working(start_server: StartServer) -> Running:
    return start_server(media_workers=2)


def workers_of(server: Running) -> MediaWorkers:
    found = server.table._assembly.pump._workers
    assert isinstance(found, MediaWorkers)
    return found


def children_of(server: Running) -> list[int]:
    return [each.child.pid for each in workers_of(server)._workers]


def hang_up(server: Running, peer: Peer) -> dict[str, Any]:
    """End a call; give the report of its recording, which is complete."""
    peer.request("BYE", 9)
    ended = server.ended()
    assert (ended.reason, ended.status) == ("bye", "completed")
    return report_of(server, ended.directory)


def test_calls_are_spread_and_change_while_they_run(working: Running) -> None:
    """Each call adds a stream and is paused; nothing that comes after `pause` is kept. Then the server is drained."""
    peers = [working.peer(), working.peer()]
    for peer in peers:
        (port,) = peer.establish(1)
        session = working.requested()
        peer.talk(port, 10)
        answer = peer.reoffer(2, peer.sdp(2, version_number=2))
        peer.talk(answer.ports[1], 10, ssrc=2)
        assert [working.until(SourceFound).label for _ in range(2)] == ["1", "2"]
        working.decisions.pause(session)
        peer.talk(port, 10, first=10)
    assert [len(each.journals) for each in workers_of(working)._workers] == [1, 1]
    draining = threading.Thread(target=working.decisions.shut_down, args=(0.0,))
    draining.start()
    for peer in peers:
        peer.agree(peer.ask("BYE"))
        peer.close()
    draining.join()
    for _ in peers:
        ended = working.ended()
        assert (ended.reason, ended.status) == ("shutdown", "completed")
        streams = report_of(working, ended.directory)["streams"]
        assert [each["packets_received"] for each in streams] == [10, 10]


def test_a_worker_that_is_killed_ends_its_calls_alone(working: Running) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with working.peer() as lost, working.peer() as kept, working.peer() as later:
        for peer in (lost, kept):
            (port,) = peer.establish()
            peer.talk(port, 20)
        doomed = next(each for each in workers_of(working)._workers if min(each.journals) == 1)
        wait_for_audio(working, 2)
        os.kill(doomed.child.pid, signal.SIGKILL)
        lost.agree(lost.ask("BYE"))
        ended = working.ended()
        assert (ended.reason, ended.status) == ("worker-lost", "recovered")
        report = report_of(working, ended.directory)
        assert (report["status"], report["end_reason"]) == ("recovered", "worker-lost")
        assert [each["packets_received"] for each in report["streams"]] == [20]
        assert report["findings"][-1]["code"] == "worker-lost"
        assert (working.root / ended.directory / "1.wav").stat().st_size == 44 + 20 * 320
        (port,) = later.establish()
        later.talk(port, 20)
        for peer in (kept, later):
            assert hang_up(working, peer)["streams"][0]["packets_received"] == 20
    assert doomed.child.pid not in children_of(working)
    # A worker that came again, and the process that renders, with its pipes.
    assert len(os.listdir("/proc/self/fd")) <= before + 4


def wait_for_audio(server: Running, journals: int) -> None:
    """Wait until the audio of so many calls is in their journals."""
    give_up = time.monotonic() + 30.0
    while sum(each.stat().st_size > 20 * 172 for each in server.root.rglob("journal.pcapng")) < journals:
        assert time.monotonic() < give_up, "no audio reached the journals"
        time.sleep(0.02)


def lasting(report: dict[str, Any]) -> dict[str, Any]:
    """Give what is the same in every recording of one call."""
    kept = {name: value for name, value in report.items() if name not in CHANGING}
    kept["timeline"] = [entry["event"] for entry in report["timeline"]]
    timed = ("local_port", "remote", "first_packet_at", "last_packet_at", "duration", "jitter", "silence")
    kept["streams"] = [{key: value for key, value in each.items() if key not in timed} for each in report["streams"]]
    return kept


@ONE_LOOP
def test_the_recording_is_the_same_as_without(start_server: StartServer) -> None:
    reports, waves = [], []
    for server in (start_server(), start_server(media_workers=1)):
        with server.peer() as peer:
            (port,) = peer.establish()
            peer.talk(port, 50)
            report = hang_up(server, peer)
        (folder,) = (each.parent for each in server.root.rglob("recording.json"))
        waves.append((folder / "1.wav").read_bytes())
        assert sorted(each["name"] for each in report["files"]) == ["1.wav", "journal.pcapng", "mix.wav"]
        reports.append(report)
    assert [each["streams"][0]["packets_received"] for each in reports] == [50, 50]
    assert lasting(reports[0]) == lasting(reports[1])
    assert waves[0] == waves[1]


@ONE_LOOP
def test_audio_that_is_encrypted(start_server: StartServer, connect: Connect, tls_files: TlsFiles) -> None:
    pytest.importorskip("pylibsrtp")
    tls = TlsFiles(certificate=tls_files.certificate, key=tls_files.key)
    server = start_server("tls://127.0.0.1:0", tls=tls, media_workers=1)
    asked = replace(spec(server.address(Transport.TLS), Transport.TLS), srtp=("AES_CM_128_HMAC_SHA1_80",))
    call = connect(asked, tls=TlsFiles(authorities=tls_files.authorities))
    call.wait_answered()
    with pytest.raises(LocalProtocolError, match="media workers"):
        server.decisions.tap_audio(server.requested(), None, AudioQueue(lambda: None))
    for label in ("1", "2"):
        call.send_audio(label, bytes(2 * call.sample_rate(label) // 5))
        call.finish_audio(label)
    call.wait_sent()
    call.stop()
    report = report_of(server, server.ended().directory)
    assert [each["packets_received"] for each in report["streams"]] == [10, 10]
    assert [each["packets_rejected"] for each in report["streams"]] == [0, 0]


def test_journals_have_to_be_files() -> None:
    with pytest.raises(ConfigurationError, match="DirectorySinks"):
        siprec_sync.serve(sinks=MemorySinks(), settings=DriverSettings(media_workers=1))
