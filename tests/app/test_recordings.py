"""The commands about recordings: demo, render, verify, and inspect of a journal."""

import json
from pathlib import Path
from typing import Any

import pytest

from siprec_core.containers.capture import Direction
from siprec_core.containers.packets import DatagramEncoder, TcpFlowWriter
from siprec_core.containers.pcapng import PcapngEncoder
from siprec_core.containers.wav import read_wav
from siprec_core.types import Address
from tests.app.programs import Program
from tests.core.messages import invite
from tests.core.recording.captured import CapturedCall, as_pcapng, ip_packets, together, with_pause


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recording, made by the demo in a process of its own."""
    from tests.app.programs import start

    folder = tmp_path_factory.mktemp("demo")
    program = start(["demo"], folder)
    out, err = program.communicate(timeout=40)
    assert (program.returncode, err) == (0, ""), out
    (folder / "out.txt").write_text(out, encoding="utf-8")
    (report,) = folder.rglob("recording.json")
    return report.parent


def copied(recording: Path, folder: Path, name: str = "journal.pcapng") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes((recording / "journal.pcapng").read_bytes())
    return folder / name


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_demo_shows_what_it_recorded(recording: Path) -> None:
    (out,) = [(parent / "out.txt").read_text("utf-8") for parent in recording.parents if (parent / "out.txt").exists()]
    assert f"demo-recordings/{recording.relative_to(recording.parents[3])}" in out
    assert "label  participant  codec      packets  duration" in out
    assert "1      Alice        PCMU/8000  150      3.00 s" in out
    assert "2      Bob          PCMU/8000  150      3.00 s" in out
    assert out.count("\n  yes ") == 7
    assert "\n  no " not in out


def test_a_journal_gives_the_same_bytes_again(siprec: Program, recording: Path, tmp_path: Path) -> None:
    made = contents(recording)
    done = siprec("render", recording / "journal.pcapng", "-o", tmp_path / "again")
    assert (done.code, done.err) == (0, "")
    again = contents(tmp_path / "again")
    assert again == made
    assert all(name in done.out for name in again if name != "journal.pcapng")
    assert siprec("verify", tmp_path / "again").code == 0
    beside = copied(recording, tmp_path / "beside")
    assert siprec("render", beside).code == 0
    assert contents(tmp_path / "beside") == made


def test_the_mix_and_the_gaps_are_a_choice(siprec: Program, recording: Path, tmp_path: Path) -> None:
    done = siprec("render", recording / "journal.pcapng", "-o", tmp_path / "mono", "--mix", "mono", "--gaps", "cut")
    assert (done.code, done.err) == (0, "")
    wav, mixed = read_wav((tmp_path / "mono" / "mix.wav").read_bytes())
    assert (wav.channels, len(mixed)) == (1, len(read_wav((recording / "1.wav").read_bytes())[1]))
    assert (tmp_path / "mono" / "1.wav").read_bytes() == (recording / "1.wav").read_bytes()


def test_a_torn_journal_is_rendered_as_far_as_it_goes(siprec: Program, recording: Path, tmp_path: Path) -> None:
    data = (recording / "journal.pcapng").read_bytes()
    (tmp_path / "journal.pcapng").write_bytes(data[: len(data) * 3 // 4 + 1])
    done = siprec("render", tmp_path / "journal.pcapng")
    assert done.code == 0
    assert "capture-torn" in done.out
    report = json.loads((tmp_path / "recording.json").read_bytes())
    assert (report["status"], report["end_reason"]) == ("recovered", "crash")
    assert siprec("verify", tmp_path).code == 0


def test_another_capture_gets_a_folder_of_its_own(siprec: Program, recording: Path, tmp_path: Path) -> None:
    capture = as_pcap(recording / "journal.pcapng", tmp_path / "trace.pcap")
    assert siprec("render", capture).code == 0
    names = contents(tmp_path / "trace").keys()
    assert {"1.wav", "2.wav", "mix.wav", "recording.json", "metadata.xml"} <= names
    assert (tmp_path / "trace" / "1.wav").read_bytes()[44:] == (recording / "1.wav").read_bytes()[44:]
    assert siprec("render", capture).code == 0  # our own folder may be written again
    (tmp_path / "other.pcap").write_bytes(capture.read_bytes())
    (tmp_path / "other").mkdir()
    assert siprec("render", tmp_path / "other.pcap").code == 2


def test_every_call_of_a_capture_is_rendered(siprec: Program, tmp_path: Path) -> None:
    calls = [CapturedCall(), CapturedCall("call-2@example.com", begin=0.05, port=30_010, step=53, transport="tcp")]
    (tmp_path / "day.pcapng").write_bytes(as_pcapng(ip_packets(together(*calls))))
    told = siprec("render", tmp_path / "day.pcapng", "-o", tmp_path / "out", "--json")
    assert (told.code, told.err) == (0, "")
    assert [entry["call_id"] for entry in told.json] == [call.name for call in calls]
    for entry in told.json:
        assert entry["directory"] == f"{tmp_path}/out/{entry['id']}"
        assert (entry["status"], entry["end_reason"]) == ("completed", "bye")
        assert set(entry["files"]) == contents(Path(entry["directory"])).keys()
    assert siprec("verify", tmp_path / "out").out.startswith("2 recordings, ")
    for _ in range(2):  # our own folders may be written again
        done = siprec("render", tmp_path / "day.pcapng")
        assert done.code == 0
    assert done.out.endswith(f"2 recordings in {tmp_path}/day\n")
    assert all(f"{tmp_path}/day/{entry['id']}: recording {entry['id']}, completed" in done.out for entry in told.json)
    assert contents(tmp_path / "day") == contents(tmp_path / "out")


def test_gaps_are_cut_on_demand(siprec: Program, tmp_path: Path) -> None:
    (tmp_path / "x.pcapng").write_bytes(as_pcapng(ip_packets(with_pause(CapturedCall(), 3.0))))
    for gaps in ("pad", "cut"):
        assert siprec("render", tmp_path / "x.pcapng", "-o", tmp_path / gaps, "--gaps", gaps).code == 0
    padded, cut = (len(read_wav((tmp_path / gaps / "1.wav").read_bytes())[1]) for gaps in ("pad", "cut"))
    assert padded - cut == 3 * 16_000


def as_pcap(journal: Path, path: Path) -> Path:
    """Write the packets of a journal as somebody else's capture: raw IP in a classic pcap."""
    from siprec_core.containers.capture import Packet
    from siprec_core.containers.reader import CaptureReader
    from siprec_core.limits import Limits

    reader = CaptureReader(limits=Limits())
    reader.receive(journal.read_bytes())
    reader.end_of_file()
    out = [
        b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(8) + (65_535).to_bytes(4, "little") + (101).to_bytes(4, "little")
    ]
    while (item := reader.poll()) is not None:
        if isinstance(item, Packet):
            seconds, nanoseconds = divmod(item.at_ns, 1_000_000_000)
            sizes = (seconds, nanoseconds // 1_000, len(item.data), len(item.data))
            out += [*(each.to_bytes(4, "little") for each in sizes), item.data]
    path.write_bytes(b"".join(out))
    return path


@pytest.mark.parametrize(("data", "code"), [(b"", 1), (b"no capture", 1), (b"\xd4\xc3\xb2\xa1", 1)])
def test_what_is_no_capture_is_told(siprec: Program, tmp_path: Path, data: bytes, code: int) -> None:
    (tmp_path / "x.pcap").write_bytes(data)
    done = siprec("render", tmp_path / "x.pcap", "-o", tmp_path / "out")
    assert done.code == code
    assert "Traceback" not in done.err
    assert siprec("render", tmp_path / "none.pcap").code == 2


def test_a_journal_is_inspected(siprec: Program, recording: Path) -> None:
    (entry,) = siprec("inspect", "--json", recording / "journal.pcapng").json
    report = json.loads((recording / "recording.json").read_bytes())
    assert entry["kind"] == "capture"
    methods = [message.get("method") or message["status"] for message in entry["messages"]]
    assert [each for each in methods if each != 100] == ["INVITE", 200, "ACK", "BYE", 200]
    first = entry["messages"][0]
    assert first["source"] == report["peer"]
    assert first["at"].endswith("Z")
    assert first["siprec"]["recording_session"] is True
    assert [stream["label"] for stream in first["metadata"]["streams"]] == ["1", "2"]
    seen: list[dict[str, Any]] = sorted(entry["rtp"], key=lambda flow: str(flow["label"]))
    for flow, stream in zip(seen, report["streams"], strict=True):
        assert flow["source"] == stream["remote"]
        assert [flow["ssrc"]] == stream["ssrcs"]
        assert (flow["label"], flow["codec"]) == (stream["label"], stream["codec"])
        assert (flow["packets_received"], flow["packets_lost"]) == (stream["packets_received"], stream["packets_lost"])
        assert flow["first_packet_at"] == stream["first_packet_at"]
    assert entry["findings"] == []


def test_a_journal_is_summed_up_and_validated(siprec: Program, recording: Path) -> None:
    done = siprec("inspect", recording / "journal.pcapng")
    assert done.code == 0
    assert done.out.count("  RTP 127.0.0.1:") == 2
    assert "label 2 PCMU/8000: 150 packets, 0 lost" in done.out
    assert (siprec("validate", "--strict", recording / "journal.pcapng").code) == 0


def test_a_torn_capture_is_inspected(siprec: Program, recording: Path, tmp_path: Path) -> None:
    data = (recording / "journal.pcapng").read_bytes()
    for size in (5, 200, 5_000, len(data) - 3):
        (tmp_path / "torn.pcapng").write_bytes(data[:size])
        done = siprec("inspect", "--json", tmp_path / "torn.pcapng")
        assert done.json[0]["findings"]
        assert done.code == (0 if size > 5 else 1)


def test_verify_finds_what_was_changed(siprec: Program, recording: Path, tmp_path: Path) -> None:
    for name, data in contents(recording).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert siprec("verify", tmp_path).out == "1 recordings, 7 files, 0 problems\n".replace(
        "7", str(len(contents(recording)) - 1)
    )
    changed = bytearray((tmp_path / "1.wav").read_bytes())
    changed[100] ^= 1
    (tmp_path / "1.wav").write_bytes(changed)
    (tmp_path / "2.wav").write_bytes(b"short")
    (tmp_path / "mix.wav").unlink()
    done = siprec("verify", tmp_path)
    assert done.code == 1
    assert f"{tmp_path}/1.wav: SHA-256 differs\n" in done.out
    assert f"{tmp_path}/2.wav: 5 octets instead of" in done.out
    assert f"{tmp_path}/mix.wav: missing\n" in done.out


@pytest.mark.parametrize(
    "report",
    [
        b"",
        b"[]",
        b'{"status": "completed", "files": []}',
        b'{"status": "completed", "files": [{"name": "../x", "size": 0, "sha256": ""}]}',
    ],
)
def test_verify_of_a_broken_report(siprec: Program, tmp_path: Path, report: bytes) -> None:
    (tmp_path / "recording.json").write_bytes(report)
    done = siprec("verify", tmp_path)
    assert (done.code, done.err) == (1, "")


def test_verify_of_what_is_no_recording(siprec: Program, tmp_path: Path) -> None:
    assert siprec("verify", tmp_path).code == 1
    assert siprec("verify", tmp_path / "none").code == 2
    (tmp_path / "recording.json").write_bytes(b'{"status": "active", "files": []}')
    assert siprec("verify", tmp_path).code == 0


def test_a_capture_shows_messages_that_a_server_refuses(siprec: Program, tmp_path: Path) -> None:
    sound, broken = invite(), invite(call_id="bad").replace(b"CSeq: 1 INVITE", b"CSeq: x")
    stream = TcpFlowWriter(0, Address("192.0.2.1", 5060), Address("192.0.2.2", 5070))
    datagrams = DatagramEncoder(0, Address("192.0.2.1", 5060), Direction.INBOUND)
    source = Address("192.0.2.2", 5070)
    encoder = PcapngEncoder()
    (tmp_path / "x.pcapng").write_bytes(
        encoder.start(application="test")
        + encoder.add_interface("sip")
        + datagrams.encode([(broken, source, 1_000), (sound, source, 2_000), (b"noise", source, 3_000)])
        + b"".join(stream.encode(each, at_ns=4_000, direction=Direction.INBOUND) for each in (broken, sound))
    )
    (entry,) = siprec("inspect", "--json", tmp_path / "x.pcapng").json
    told = [
        [found["code"] for found in message["findings"] if found["severity"] == "error"]
        for message in entry["messages"]
    ]
    assert told == [["sip-malformed"], [], ["sip-malformed"], []]
    assert [message["at"][-7:] for message in entry["messages"]] == ["000001Z", "000002Z", "000004Z", "000004Z"]
    assert [message["transport"] for message in entry["messages"]] == ["udp", "udp", "tcp", "tcp"]
    assert "message 1 of 1970-01-01" in siprec("validate", tmp_path / "x.pcapng").out
