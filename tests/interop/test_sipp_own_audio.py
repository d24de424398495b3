"""SIPp sends SIP and RTP by itself, audio that sox made: nothing of ours on the client's side."""

from pathlib import Path

import pytest

from tests.interop.programs import output_of, path_of
from tests.interop.recordings import Recording, read_journal, tone_share
from tests.interop.serving import serving, siprec
from tests.interop.sipp import sipp

SECONDS = 2.0
FREQUENCY = 660


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Record a call that is held at its end."""
    path_of("sipp")
    sox = path_of("sox")
    folder = tmp_path_factory.mktemp("own")
    make = [sox, "-n", "-r", "8000", "-c", "1", "-t", "al", "tone.al", "synth", str(SECONDS), "sine", str(FREQUENCY)]
    output_of(make, cwd=folder)
    with serving(folder, "asyncio") as server:
        with sipp("client_own_audio", folder, transport="udp", call_id="own", to=server.ports["udp"]) as call:
            call.wait()
        return Recording.read(server.wait_for_recording("own"))


def test_it_is_recorded(recording: Recording) -> None:
    report = recording.report
    assert (report["status"], report["end_reason"], report["datamode"]) == ("completed", "bye", None)
    assert "siprec-no-metadata" in recording.codes()
    stream = recording.stream("caller")
    assert stream["codec"] == "PCMA/8000"
    assert stream["packets_received"] == SECONDS * 50
    assert (stream["packets_lost"], stream["packets_rejected"]) == (0, 0)


def test_the_audio_is_sox_s(recording: Recording) -> None:
    wav = recording.wav("caller.wav")
    assert wav.seconds == pytest.approx(SECONDS, abs=0.1)
    assert tone_share(wav.channels[0], FREQUENCY, wav.rate) > 0.97


def test_the_hold_is_in_the_timeline(recording: Recording) -> None:
    events = [entry["event"] for entry in recording.report["timeline"]]
    assert "stream-held" in events
    assert recording.stream("caller")["direction"] == "inactive"


def test_wireshark_reads_the_journal(recording: Recording) -> None:
    journal = read_journal(recording.folder)
    assert journal.problems == []
    assert [message for message in journal.sip if not message.startswith("100")] == [
        "INVITE", "200 INVITE", "ACK", "OPTIONS", "200 OPTIONS", "BYE", "200 BYE",
    ]  # fmt: skip
    assert list(journal.rtp.values()) == [SECONDS * 50]


def test_the_journal_renders_to_the_same_files(recording: Recording, tmp_path: Path) -> None:
    siprec("render", str(recording.folder / "journal.pcapng"), "-o", str(tmp_path))
    names = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert Path("caller.wav") in names
    for name in names:
        assert (tmp_path / name).read_bytes() == (recording.folder / name).read_bytes(), name
    siprec("verify", str(recording.folder))
