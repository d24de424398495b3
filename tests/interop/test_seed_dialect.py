"""A client with metadata from before RFC 7865 is recorded, and the findings name how it deviates."""

from contextlib import ExitStack
from xml.etree import ElementTree as ET

import pytest

from tests.interop.free_ports import free_udp_ports
from tests.interop.programs import path_of
from tests.interop.recordings import Recording, tone_share
from tests.interop.senders import sender_command
from tests.interop.serving import serving, siprec
from tests.interop.sipp import sipp

SECONDS = 2.0
FREQUENCY, SSRC = 550, 3001
TRANSPORTS = ("udp", "tcp")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recording]:
    """Make a call over each transport."""
    path_of("sipp")
    folder = tmp_path_factory.mktemp("early")
    with serving(folder, "trio") as server:
        with ExitStack() as stack:
            calls = [
                stack.enter_context(
                    sipp(
                        "client_seed_dialect",
                        folder / transport,
                        transport=transport,
                        call_id=f"{transport}-call",
                        to=server.ports[transport],
                        keys={"port_one": port, "sender": sender_command(folder / transport, SECONDS)},
                    )
                )
                for transport, port in zip(TRANSPORTS, free_udp_ports(len(TRANSPORTS)), strict=True)
            ]
            for call in calls:
                call.wait()
        return {each: Recording.read(server.wait_for_recording(f"{each}-call")) for each in TRANSPORTS}


@pytest.fixture(params=TRANSPORTS)
def recording(recordings: dict[str, Recording], request: pytest.FixtureRequest) -> Recording:
    return recordings[request.param]


def test_it_is_recorded(recording: Recording) -> None:
    assert (recording.report["status"], recording.report["end_reason"]) == ("completed", "bye")
    stream = recording.stream("1")
    # One of the packets that were sent is a duplicate, one place is empty.
    assert (stream["packets_received"], stream["packets_lost"], stream["packets_duplicate"]) == (99, 1, 1)
    wav = recording.wav("1.wav")
    assert wav.seconds == pytest.approx(SECONDS, abs=0.1)
    assert tone_share(wav.channels[0], FREQUENCY, wav.rate) > 0.97
    recording.check_files()


def test_it_is_understood(recording: Recording) -> None:
    report = recording.report
    assert (report["dialect"], report["datamode"]) == ("seed", "complete")
    assert [(each["id"], each["start_time"]) for each in report["sessions"]] == [("session-7", "2025-03-02T08:15:00Z")]
    assert [(each["id"], each["aors"], each["sends"]) for each in report["participants"]] == [
        ("participant-a", ["sip:carol@example.com"], ["stream-a"]),
        ("participant-b", ["sip:dave@example.com"], ["stream-a"]),
    ]
    stream = recording.stream("1")
    assert (stream["stream_id"], stream["session_id"]) == ("stream-a", "session-7")


def test_the_findings_name_how_it_deviates(recording: Recording) -> None:
    found = {(each["code"], each["where"]) for each in recording.report["findings"]}
    assert {
        ("metadata-namespace", "recording"),
        ("seed-dialect", "recording"),
        ("metadata-id-attribute", "session@id"),
        ("metadata-id-attribute", "participant@id"),
        ("metadata-id-attribute", "stream@id"),
        ("metadata-id-attribute", "stream@session"),
        ("metadata-unknown-element", "stream/mode"),
        ("metadata-no-association", "participantstreamassoc"),
        ("metadata-no-association", "participantsessionassoc"),
        ("send-by-session", "send"),
        ("mode-separate-but-shared", "stream/mode"),
    } <= found
    assert all(each["rfc"] for each in recording.report["findings"])


def test_audio_from_another_address_than_announced_is_taken(recording: Recording) -> None:
    assert "source-learnt" in recording.codes()
    assert recording.stream("1")["remote"]["host"] == "127.0.0.1"


def test_the_snapshot_is_written_as_rfc_7865_says(recording: Recording) -> None:
    snapshot = recording.folder / "metadata.xml"
    root = ET.parse(snapshot).getroot()
    assert root.tag == "{urn:ietf:params:xml:ns:recording:1}recording"
    siprec("validate", str(snapshot), exit_code=0)
