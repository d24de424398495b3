"""SIPp as recording client: `siprec serve` records what it sends, on every worker and over every transport.

The audio comes from `rtp_sender.py`, which SIPp starts with the ports of the answer. Debian's SIPp speaks no TLS, so a
relay speaks it for SIPp. What was recorded is read without our own code.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.interop.free_ports import free_udp_ports
from tests.interop.programs import path_of
from tests.interop.recordings import Recording, read_journal, tone_share
from tests.interop.senders import read_sent, sender_command
from tests.interop.serving import Serving, serving
from tests.interop.sipp import Sipp, sipp
from tests.interop.tls_relay import tls_relay

TRANSPORTS = ("udp", "tcp", "tls")
WORKERS = ("asyncio", "uvloop", "trio", "sync")
SECONDS = 3.0
TONES = {"2": 880, "1": 440}
"""Frequency by label, in the order of the media lines."""
SSRCS = {"2": 2001, "1": 1001}


@dataclass(frozen=True)
class Recorded:
    """One call that was recorded."""

    transport: str
    recording: Recording
    sent: dict[int, dict[str, Any]]
    """What the sender says that it sent, by SSRC."""
    ports: tuple[int, int]
    """Where the audio came from."""
    messages: str
    """SIPp's own trace."""


@pytest.fixture(scope="module", params=WORKERS)
def calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recorded]:
    """Make a call over each transport at the same time, and end the server."""
    path_of("sipp")
    worker: str = request.param
    if worker in ("uvloop", "trio"):
        pytest.importorskip(worker)
    folder = tmp_path_factory.mktemp(worker)
    with serving(folder, worker) as server:
        return record_calls(server, folder)


def record_calls(server: Serving, folder: Path) -> dict[str, Recorded]:
    ports = iter(free_udp_ports(2 * len(TRANSPORTS)))
    pairs = {transport: (next(ports), next(ports)) for transport in TRANSPORTS}
    with ExitStack() as stack:
        running = {
            transport: start_call(stack, server, folder / transport, transport, pairs[transport])
            for transport in TRANSPORTS
        }
        for call in running.values():
            call.wait()
        messages = {transport: call.messages() for transport, call in running.items()}
    recorded = {}
    for transport in TRANSPORTS:
        recording = Recording.read(server.wait_for_recording(f"{transport}-call"))
        sent = read_sent(folder / transport)
        recorded[transport] = Recorded(transport, recording, sent, pairs[transport], messages[transport])
    return recorded


def start_call(stack: ExitStack, server: Serving, folder: Path, transport: str, ports: tuple[int, int]) -> Sipp:
    port = server.ports[transport]
    if transport == "tls":
        port = stack.enter_context(tls_relay(port, server.authority))
    keys: dict[str, str | int] = {
        "protocol": transport.upper(),
        "uri_parameters": "" if transport == "udp" else f";transport={transport}",
        "port_one": ports[0],
        "port_two": ports[1],
        "sender": sender_command(folder, SECONDS),
    }
    mode = "udp" if transport == "udp" else "tcp"
    return stack.enter_context(
        sipp("client_two_streams", folder, transport=mode, call_id=f"{transport}-call", to=port, keys=keys)
    )


@pytest.fixture(params=TRANSPORTS)
def call(calls: dict[str, Recorded], request: pytest.FixtureRequest) -> Recorded:
    return calls[request.param]


def test_the_call_is_recorded_whole(call: Recorded) -> None:
    report = call.recording.report
    assert (report["version"], report["status"], report["end_reason"]) == (1, "completed", "bye")
    assert (report["call_id"], report["transport"]) == (f"{call.transport}-call", call.transport)
    assert (report["user_agent"], report["remote_tag"], report["peer"]["host"]) == ("SIPp", "src-1", "127.0.0.1")
    assert report["local_tag"] in call.messages
    assert (report["datamode"], report["dialect"]) == ("complete", "rfc7865")
    assert [found for found in report["findings"] if found["severity"] != "info"] == []


def test_instants_and_durations_fit_together(call: Recorded) -> None:
    report = call.recording.report
    instants = [datetime.fromisoformat(report[name]) for name in ("started_at", "answered_at", "ended_at")]
    assert instants == sorted(instants)
    assert report["duration"] == pytest.approx((instants[2] - instants[1]).total_seconds(), abs=1e-5)
    for stream in report["streams"]:
        first, last = (datetime.fromisoformat(stream[name]) for name in ("first_packet_at", "last_packet_at"))
        assert instants[1] <= first < last <= instants[2]
    events = [entry["event"] for entry in report["timeline"]]
    assert events[0] == "invited"
    assert events[-1] == "ended"
    assert [entry["at"] for entry in report["timeline"]] == sorted(entry["at"] for entry in report["timeline"])


def test_who_said_what(call: Recorded) -> None:
    report = call.recording.report
    people = {name: each for each in report["participants"] for name in each["names"]}
    assert {name: each["aors"] for name, each in people.items()} == {
        "Alice": ["sip:alice@example.com"],
        "Bob": ["sip:bob@example.com"],
    }
    streams = {stream["stream_id"]: stream for stream in report["streams"]}
    assert [streams[each]["label"] for each in people["Alice"]["sends"]] == ["1"]
    assert [streams[each]["label"] for each in people["Bob"]["sends"]] == ["2"]
    assert {stream["session_id"] for stream in report["streams"]} == {each["id"] for each in report["sessions"]}


def test_each_packet_is_accounted_for(call: Recorded) -> None:
    streams = call.recording.report["streams"]
    assert [stream["label"] for stream in streams] == list(TONES)
    for stream, port in zip(streams, call.ports, strict=True):
        sent = call.sent[SSRCS[stream["label"]]]
        faults = 1 if sent["impaired"] else 0
        assert stream["ssrcs"] == [sent["ssrc"]]
        assert stream["packets_received"] == sent["sent"] - faults  # the duplicate is no packet of its own
        names = ("packets_lost", "packets_duplicate", "packets_reordered", "packets_rejected")
        assert [stream[name] for name in names] == [faults, faults, faults, 0]
        assert stream["silence"] == 0.02 * faults
        assert (stream["codec"], stream["direction"], stream["media"]) == ("PCMU/8000", "recvonly", "audio")
        assert stream["remote"] == {"host": "127.0.0.1", "port": port}
        assert f"m=audio {stream['local_port']} RTP/AVP 0" in call.messages


def test_each_label_has_its_audio(call: Recorded) -> None:
    for label, frequency in TONES.items():
        stream = call.recording.stream(label)
        assert stream["file"] == f"{label}.wav"
        wav = call.recording.wav(stream["file"])
        assert (wav.rate, len(wav.channels)) == (8000, 1)
        shares = {other: tone_share(wav.channels[0], each, wav.rate) for other, each in TONES.items()}
        assert shares.pop(label) > 0.97, frequency
        assert max(shares.values()) < 0.01


def test_all_files_are_equally_long_and_as_long_as_what_was_sent(call: Recorded) -> None:
    lengths = {len(call.recording.wav(f"{name}.wav").channels[0]) for name in (*TONES, "mix")}
    assert len(lengths) == 1
    assert lengths.pop() / 8000 == pytest.approx(SECONDS, abs=0.1)
    assert [stream["duration"] for stream in call.recording.report["streams"]] == pytest.approx([SECONDS] * 2, abs=0.1)


def test_the_mix_has_a_channel_for_each_line(call: Recorded) -> None:
    mix = call.recording.wav("mix.wav")
    assert len(mix.channels) == 2
    for samples, label in zip(mix.channels, TONES, strict=True):
        assert samples == call.recording.wav(f"{label}.wav").channels[0]


def test_the_files_are_those_that_are_listed(call: Recorded) -> None:
    call.recording.check_files()
    names = {each["name"] for each in call.recording.report["files"]}
    assert names == {"1.wav", "2.wav", "mix.wav", "journal.pcapng", "metadata.xml", "metadata/0001.xml"}
    # As received, octet for octet: SIPp's trace shows what it sent.
    received = (call.recording.folder / "metadata/0001.xml").read_bytes().decode()
    assert received.replace("\r\n", "\n") in call.messages.replace("\r\n", "\n")


def test_wireshark_reads_the_journal(call: Recorded) -> None:
    journal = read_journal(call.recording.folder)
    assert journal.problems == []
    assert [message for message in journal.sip if message != "100 INVITE"] == [
        "INVITE",
        "200 INVITE",
        "ACK",
        "BYE",
        "200 BYE",
    ]
    assert journal.rtp == {ssrc: sent["sent"] for ssrc, sent in call.sent.items()}
