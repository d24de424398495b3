"""`siprec recover`, and a server that is killed in the middle of calls."""

import itertools
import json
import os
import random
import shutil
import signal
import struct
import threading
import time
from contextlib import ExitStack
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from siprec.tones import frequency_of, tone, tone_share
from siprec_core.codecs.registry import encoder_for
from siprec_core.containers.wav import read_wav
from siprec_core.types import Address, Transport
from siprec_sync.files import FileTree
from siprec_sync.journal_file import JournalFile
from tests.app.programs import Program, serving, start
from tests.app.test_serve import ask, options, wait_for
from tests.contract.peer import Peer
from tests.core.messages import invite, status

LOST_SECONDS = 1.2
"""What a kill may cost at the end of a recording."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a recording of one second."""
    folder = tmp_path_factory.mktemp("whole")
    with serving(folder, "-b", "udp://127.0.0.1:0") as server:
        call = start(["call", server.target("udp"), "--seconds", "1"], folder)
        call.communicate(timeout=20)
        assert server.end() == 0
    (report,) = folder.rglob("recording.json")
    return report.parent


def left_behind(whole: Path, root: Path, name: str = "id", *, octets: int | None = None) -> Path:
    """Make what a crash leaves: a journal that is cut, and a report that says that it runs."""
    folder = root / "2026" / "01" / "02" / name
    folder.mkdir(parents=True)
    journal = (whole / "journal.pcapng").read_bytes()
    (folder / "journal.pcapng").write_bytes(journal[: octets if octets is not None else len(journal) * 2 // 3])
    report = json.loads((whole / "recording.json").read_bytes())
    report.update(status="active", end_reason=None, files=[])
    (folder / "recording.json").write_text(json.dumps(report, indent=1))
    return folder


def report_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "recording.json").read_bytes())
    return content


def test_what_was_left_active_is_recovered(siprec: Program, whole: Path, tmp_path: Path) -> None:
    folder = left_behind(whole, tmp_path)
    (folder / ".1.wav.17-3.tmp").write_bytes(b"half")
    (folder / "metadata").mkdir()
    (folder / "metadata" / ".0001.xml.17-4.tmp").write_bytes(b"half")
    done = siprec("recover", tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "1 recordings recovered, 0 problems" in done.out
    report = report_of(folder)
    assert (report["status"], report["end_reason"]) == ("recovered", "crash")
    assert {"1.wav", "2.wav", "mix.wav", "journal.pcapng"} <= {entry["name"] for entry in report["files"]}
    assert list(tmp_path.rglob("*.tmp")) == []
    assert siprec("verify", tmp_path).code == 0
    assert siprec("recover", tmp_path).out == "0 recordings recovered, 0 problems\n"


def test_json_tells_of_each_recording(siprec: Program, whole: Path, tmp_path: Path) -> None:
    first, second = left_behind(whole, tmp_path, "a"), left_behind(whole, tmp_path, "b")
    (second / "recording.json").unlink()
    done = siprec("recover", tmp_path, "--json")
    assert done.code == 0
    assert [(entry["directory"], entry["status"], entry["error"]) for entry in done.json] == [
        (str(first), "recovered", None),
        (str(second), "recovered", None),
    ]
    assert all(entry["end_reason"] == "crash" and entry["id"] for entry in done.json)


def test_a_rendering_that_was_interrupted_is_made_again(siprec: Program, whole: Path, tmp_path: Path) -> None:
    folder = left_behind(whole, tmp_path, octets=10**9)
    (folder / "1.wav").write_bytes(b"RIFF of another day")
    assert siprec("recover", tmp_path).code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == {
        path.name: path.read_bytes() for path in whole.iterdir() if path.is_file()
    }


def test_a_running_recording_is_left_alone(siprec: Program, whole: Path, tmp_path: Path) -> None:
    folder = left_behind(whole, tmp_path)
    journal = (folder / "journal.pcapng").read_bytes()
    (folder / "journal.pcapng").unlink()
    running = JournalFile(FileTree(folder), "journal.pcapng")
    running.append(journal, now=0.0)
    assert [entry["status"] for entry in siprec("recover", tmp_path, "--json").json] == ["active"]
    assert report_of(folder)["status"] == "active"
    running.close()
    assert [entry["status"] for entry in siprec("recover", tmp_path, "--json").json] == ["recovered"]


@pytest.mark.parametrize("octets", [0, 20])
def test_a_journal_without_a_call_keeps_what_was_known(
    siprec: Program, whole: Path, tmp_path: Path, octets: int
) -> None:
    folder = left_behind(whole, tmp_path, octets=octets)
    known = report_of(folder)
    done = siprec("recover", tmp_path)
    assert done.code == 1
    report = report_of(folder)
    assert (report["status"], report["end_reason"]) == ("failed", "crash")
    assert (report["id"], report["call_id"]) == (known["id"], known["call_id"])
    assert siprec("recover", tmp_path).code == 0


def test_a_recording_whose_journal_is_gone(siprec: Program, whole: Path, tmp_path: Path) -> None:
    folder = left_behind(whole, tmp_path)
    (folder / "journal.pcapng").unlink()
    assert siprec("recover", folder).code == 1
    assert (report_of(folder)["status"], report_of(folder)["end_reason"]) == ("failed", "crash")


def test_what_cannot_be_recovered_is_told_and_the_rest_goes_on(siprec: Program, whole: Path, tmp_path: Path) -> None:
    bad, good = left_behind(whole, tmp_path, "a"), left_behind(whole, tmp_path, "b")
    (bad / "1.wav").mkdir()
    done = siprec("recover", tmp_path)
    assert done.code == 1
    assert "is a directory" in done.out
    assert (report_of(bad)["status"], report_of(good)["status"]) == ("active", "recovered")


def test_no_folder_is_wrong_usage(siprec: Program, tmp_path: Path) -> None:
    assert siprec("recover", tmp_path / "none").code == 2


def test_a_second_server_refuses_the_same_root(tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    with serving(tmp_path, "-b", "udp://127.0.0.1:0") as server:
        second = start(["serve", "-b", "udp://127.0.0.1:0", "--recordings", root], tmp_path)
        _, err = second.communicate(timeout=20)
        assert (second.returncode, err) == (2, f"siprec: another server keeps its recordings in {root}\n")
        server.program.kill()
        server.program.communicate()
    (tmp_path / "ready.json").unlink()
    with serving(tmp_path, "-b", "udp://127.0.0.1:0") as server:
        assert status(ask(server, options())) == 200


def test_many_recordings_are_recovered_beside_service(whole: Path, tmp_path: Path) -> None:
    folders = [left_behind(whole, tmp_path / "recordings", f"{index:03}") for index in range(60)]
    with serving(tmp_path, "-b", "udp://127.0.0.1:0") as server:
        assert status(ask(server, options())) == 200
        assert any(report_of(folder)["status"] == "active" for folder in folders)  # service did not wait for them
        wait_for(lambda: all(report_of(folder)["status"] == "recovered" for folder in folders))
        assert server.end() == 0


def test_below_the_reserve_new_calls_are_refused(tmp_path: Path) -> None:
    with serving(tmp_path, "-b", "udp://127.0.0.1:0", "--disk-reserve", "100%", "--durability", "always") as server:
        wait_for(lambda: status(ask(server, options())) == 503)
        refused = ask(server, invite(call_id="1"))
        assert status(refused) == 503
        assert b"\r\nRetry-After:" in refused
        assert server.end() == 0
    assert "storage-full" in server.errors


SERVERS = {
    "asyncio": ("--worker", "asyncio"),
    "uvloop": ("--worker", "uvloop"),
    "trio": ("--worker", "trio"),
    "sync": ("--worker", "sync"),
    "media": ("--media-workers", "2"),
}
"""Options of the servers that are killed; the last one has its audio received by other processes."""
CALLS = 6
"""Calls of two lines that each server is killed in."""
LINE_TONES = tuple(
    [encoder.encode(pcm[320 * number : 320 * (number + 1)]) for number in range(50)]
    for encoder, pcm in ((encoder_for("PCMU", 8_000, 1), tone(frequency_of(index), 1.0, 8_000)) for index in range(2))
    if encoder is not None
)
"""A second of audio of each line in packets: tones of whole hertz go on without a break."""


def talk_until(dead: threading.Event, calls: list[tuple[Peer, list[int]]]) -> None:
    """Send audio on all lines of all calls, packet by packet in step, until the server is dead."""
    begin = time.monotonic()
    for number in itertools.count():
        if dead.wait(max(0.0, begin + 0.02 * number - time.monotonic())):
            return
        head = struct.pack("!BBHI", 0x80, 0, (65_500 + number) & 0xFFFF, 160 * number)
        for peer, ports in calls:
            for index, port in enumerate(ports):
                payload = LINE_TONES[index][number % 50]
                peer.media.sendto(head + struct.pack("!I", index + 1) + payload, (peer.target.host, port))


def killed_in_calls(folder: Path, name: str, chance: random.Random) -> float:
    """Kill a server at some moment of its calls; give the moment, seconds since 1970."""
    (folder / "ready.json").unlink(missing_ok=True)
    binds = ("-b", "udp://127.0.0.1:0", "-b", "tcp://127.0.0.1:0", *SERVERS[name])
    with ExitStack() as stack:
        server = stack.enter_context(serving(folder, *binds))
        calls = []
        for number in range(CALLS):
            transport = (Transport.UDP, Transport.TCP)[number % 2]
            (port,) = [each["port"] for each in server.ready["listeners"] if each["transport"] == transport.value]
            peer = stack.enter_context(Peer(transport, Address("127.0.0.1", port)))
            peer.call_id = f"{name}-{number}"
            calls.append((peer, peer.establish(streams=2)))
        dead = threading.Event()
        talking = threading.Thread(target=talk_until, args=(dead, calls))
        talking.start()
        time.sleep(chance.uniform(1.5, 3.0))
        moment = time.time()
        os.kill(server.program.pid, signal.SIGKILL)
        dead.set()
        talking.join()
        server.program.communicate()
    return moment


def assert_kept(folder: Path, moment: float) -> None:
    """Fail unless a recording is there and playable up to shortly before a moment."""
    report = report_of(folder)
    assert (report["status"], report["end_reason"], len(report["streams"])) == ("recovered", "crash", 2)
    for index, stream in enumerate(report["streams"]):
        wav, pcm = read_wav((folder / stream["file"]).read_bytes())
        assert tone_share(pcm, frequency_of(index), wav.sample_rate) > 0.9
        assert (stream["packets_lost"], stream["packets_rejected"]) == (0, 0)
        assert abs(stream["duration"] - 0.02 * stream["packets_received"]) < 0.001
        last = datetime.fromisoformat(stream["last_packet_at"]).timestamp()
        assert last <= moment + 0.1
        assert moment - last <= LOST_SECONDS


@pytest.mark.timeout(180)  # six servers, one after the other
def test_a_kill_costs_the_last_second_at_most(siprec: Program, tmp_path: Path) -> None:
    """Servers on every worker are killed in their calls, one after the other; the last one recovers all calls."""
    chance = random.Random(7)
    names = [each for each in SERVERS if each not in ("uvloop", "trio") or find_spec(each) is not None]
    moments = {name: killed_in_calls(tmp_path, name, chance) for name in names}
    root = tmp_path / "recordings"
    (tmp_path / "ready.json").unlink(missing_ok=True)
    with serving(tmp_path, "-b", "udp://127.0.0.1:0") as server:
        wait_for(lambda: all(report["status"] == "recovered" for report in server.reports()))
        assert server.end() == 0
    folders = {report_of(path.parent)["call_id"]: path.parent for path in root.rglob("recording.json")}
    assert sorted(folders) == sorted(f"{name}-{number}" for name in names for number in range(CALLS))
    for call_id, folder in folders.items():
        assert_kept(folder, moments[call_id.partition("-")[0]])
    assert siprec("verify", root).code == 0
    for name in names:
        folder, again = folders[f"{name}-0"], tmp_path / f"again-{name}"
        assert siprec("render", folder / "journal.pcapng", "-o", again).code == 0
        assert files_below(again) == files_below(folder)
    for folder in folders.values():
        damaged = folder / chance.choice(report_of(folder)["files"])["name"]
        whole = damaged.read_bytes()
        octets = bytearray(whole)
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
        damaged.write_bytes(octets)
        assert siprec("verify", folder).code == 1
        damaged.write_bytes(whole)
    assert siprec("verify", root).code == 0


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_recording_made_again_by_hand_is_the_same(siprec: Program, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "copy")
    (tmp_path / "copy" / "recording.json").unlink()
    assert siprec("recover", tmp_path).code == 0
    assert (tmp_path / "copy" / "recording.json").read_bytes() == (whole / "recording.json").read_bytes()
