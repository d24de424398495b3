"""`recording.json` as bytes."""

import json
from dataclasses import replace

from siprec_core.findings import finding
from siprec_core.recording.report import FileEntry, RecordingReport, StreamReport
from siprec_core.types import Address, SessionId, Transport

STREAM = StreamReport(
    index=0,
    label="1",
    stream_id=None,
    session_id=None,
    media="audio",
    codec="PCMU/8000",
    direction="recvonly",
    local_port=30_000,
    remote=None,
    ssrcs=(4_294_967_295,),
    packets_received=2,
    packets_lost=0,
    packets_duplicate=0,
    packets_reordered=0,
    packets_rejected=0,
    jitter=1 / 3,
    first_packet_ns=1_000,
    last_packet_ns=None,
    duration=1 / 3,
)
REPORT = RecordingReport(
    id=SessionId("ab"),
    status="active",
    end_reason=None,
    initiator="client",
    call_id="ü\udc80\n",
    local_tag="",
    remote_tag="",
    transport=Transport.TLS,
    peer=Address("2001:db8::1", 5_061),
    user_agent=None,
    peer_names=("client.example",),
    authenticated_user=None,
    started_ns=1_767_225_600_123_456_789,
    answered_ns=None,
    ended_ns=None,
    datamode=None,
    dialect="",
    groups=(),
    sessions=(),
    participants=(),
    contributions=({"participant_id": "p", "stream_id": "s", "kind": "send", "since": None, "until": None},),
    streams=(STREAM,),
    timeline=(),
    findings=(finding("limit-reached", "recording", line=4),),
    files=(FileEntry("a.wav", 3, "00"),),
)


def test_the_bytes_are_json_in_utf_8() -> None:
    data = REPORT.to_bytes()
    assert data == replace(REPORT).to_bytes()
    assert "ü".encode() in data
    assert json.loads(data.decode("utf-8")) == REPORT.as_json()


def test_each_field_and_each_entry_of_a_list_has_a_line() -> None:
    lines = REPORT.to_bytes().decode().splitlines()
    assert (lines[0], lines[1], lines[-1]) == ("{", ' "version": 1,', "}")
    assert '  {"name": "a.wav", "size": 3, "sha256": "00"}' in lines
    assert ' "timeline": [],' in lines
    one_more = replace(REPORT, files=(*REPORT.files, FileEntry("b.wav", 4, "11"))).to_bytes()
    assert len(one_more.decode().splitlines()) == len(lines) + 1
    assert json.loads(one_more)["files"][1]["name"] == "b.wav"


def test_instants_have_microseconds_and_numbers_six_digits() -> None:
    report = REPORT.as_json()
    assert report["started_at"] == "2026-01-01T00:00:00.123456Z"
    assert report["peer"] == {"host": "2001:db8::1", "port": 5_061}
    stream = STREAM.as_json()
    assert (stream["jitter"], stream["duration"], stream["first_packet_at"]) == (
        0.333333,
        0.333333,
        "1970-01-01T00:00:00.000001Z",
    )


def test_the_duration_runs_from_answer_to_end() -> None:
    assert REPORT.duration == 0.0
    assert replace(REPORT, answered_ns=1_000_000_000, ended_ns=3_500_000_000).duration == 2.5
    assert replace(REPORT, answered_ns=9, ended_ns=3).duration == 0.0
