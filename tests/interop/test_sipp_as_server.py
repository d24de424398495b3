"""SIPp as recording server: `siprec call` sends it a good call and tells a good answer from a bad one."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.interop.free_ports import free_port, free_udp_ports, in_use
from tests.interop.programs import path_of
from tests.interop.recordings import tone_share
from tests.interop.rtp_receiver import RtpReceiver
from tests.interop.serving import siprec
from tests.interop.sipp import Sipp, sipp

TRANSPORTS = ("udp", "tcp")
SECONDS = 0.4
PACKETS = round(SECONDS * 50)
GOOD: dict[str, str | int] = {
    "direction": "recvonly",
    "label_one": "1",
    "label_two": "2",
    "contact_tag": ";+sip.srs",
}
_KINDS = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
_START_SECONDS = 10.0


@contextmanager
def listening(scenario: str, folder: Path, transport: str, **keys: str | int) -> Iterator[tuple[Sipp, int]]:
    """Run SIPp as a server; gives its port once it listens."""
    path_of("sipp")
    port = free_port(_KINDS[transport])
    one, two = free_udp_ports(2)
    keys = {**GOOD, "port_one": one, "port_two": two, **keys}
    with sipp(scenario, folder, transport=transport, port=port, keys=keys) as server:
        deadline = time.monotonic() + _START_SECONDS
        while not in_use(port, _KINDS[transport]):
            assert server.process.poll() is None, server.errors()
            assert time.monotonic() < deadline, "SIPp does not listen"
            time.sleep(0.02)
        yield server, port


def call(transport: str, port: int, *options: str, exit_code: int) -> dict[str, Any]:
    """Make a call with `siprec call`; gives its report."""
    target = f"sip:127.0.0.1:{port};transport={transport}"
    seconds = ("--seconds", str(SECONDS))
    report: dict[str, Any] = json.loads(siprec("call", target, *seconds, "--json", *options, exit_code=exit_code))
    return report


def broken(report: dict[str, Any]) -> set[str]:
    """Give the codes of what the server did wrong."""
    return {each["code"] for each in report["findings"]}


@pytest.mark.parametrize("worker", ["asyncio", "trio", "sync"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_right_answer_is_0_and_gets_audio(transport: str, worker: str, tmp_path: Path) -> None:
    with RtpReceiver() as one, RtpReceiver() as two:
        ports = {"port_one": one.port, "port_two": two.port}
        with listening("server", tmp_path, transport, **ports) as (server, port):
            report = call(transport, port, "-k", worker, exit_code=0)
            server.wait()
    assert report["status"] == 200
    assert report["ok"] is True
    assert report["findings"] == []
    assert [(each["label"], each["codec"], each["packets_sent"]) for each in report["streams"]] == [
        ("1", "PCMU/8000", PACKETS),
        ("2", "PCMU/8000", PACKETS),
    ]
    assert [each["remote"] for each in report["streams"]] == [
        {"host": "127.0.0.1", "port": each.port} for each in (one, two)
    ]
    for receiver in (one, two):
        assert receiver.sequence_numbers() == list(range(PACKETS))
        assert receiver.timestamps() == list(range(0, PACKETS * 160, 160))
        assert len(receiver.ssrcs()) == 1
    assert one.ssrcs() != two.ssrcs()
    assert tone_share(one.samples(), 440, 8000) > 0.97
    assert tone_share(two.samples(), 880, 8000) > 0.97


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"direction": "sendrecv"}, "sdp-answer-direction"),
        ({"direction": "sendonly"}, "sdp-answer-direction"),
        ({"label_one": "2", "label_two": "1"}, "sdp-answer-label"),
        ({"label_two": "x"}, "sdp-answer-label"),
        ({"contact_tag": ""}, "answer-no-feature-tag"),
    ],
    ids=["sendrecv", "sendonly", "labels swapped", "another label", "no feature tag"],
)
def test_a_wrong_answer_is_1(transport: str, keys: dict[str, str | int], code: str, tmp_path: Path) -> None:
    with listening("server", tmp_path, transport, **keys) as (server, port):
        report = call(transport, port, "--timeout", "5", exit_code=1)
        server.wait()
    assert code in broken(report)
    assert report["ok"] is False


def test_a_refused_stream_is_1(tmp_path: Path) -> None:
    with RtpReceiver() as one, listening("server", tmp_path, "udp", port_one=one.port, port_two=0) as (server, port):
        report = call("udp", port, exit_code=1)
        server.wait()
    assert [each["codec"] for each in report["streams"]] == ["PCMU/8000", None]
    assert len(one.packets) == PACKETS


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_refusal_is_1(transport: str, tmp_path: Path) -> None:
    with listening("server_refuses", tmp_path, transport) as (server, port):
        report = call(transport, port, exit_code=1)
        server.wait()
    assert (report["status"], report["reason"]) == (488, "Not Acceptable Here")


def test_nobody_there_is_69() -> None:
    call("tcp", free_port(socket.SOCK_STREAM), exit_code=69)
    call("udp", free_port(socket.SOCK_DGRAM), "--timeout", "1", exit_code=69)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_load_of_one_call_is_complete(transport: str, tmp_path: Path) -> None:
    with RtpReceiver() as one, RtpReceiver() as two:
        ports = {"port_one": one.port, "port_two": two.port}
        with listening("server", tmp_path, transport, **ports) as (server, port):
            target = f"sip:127.0.0.1:{port};transport={transport}"
            words = ("-m", "1", "-d", str(SECONDS), "--json")
            result = json.loads(siprec("load", target, *words, exit_code=0))
            server.wait()
    assert (result["ok"], result["calls"]["complete"], result["packets"]["sent"]) == (True, 1, 2 * PACKETS)
    for receiver in (one, two):
        assert len(receiver.sequence_numbers()) == PACKETS
        assert len(set(receiver.timestamps())) == PACKETS
    assert tone_share(one.samples(), 440, 8000) > 0.97
    assert tone_share(two.samples(), 880, 8000) > 0.97


def test_a_load_tells_a_refusal(tmp_path: Path) -> None:
    with listening("server_refuses", tmp_path, "udp") as (server, port):
        result = json.loads(siprec("load", f"127.0.0.1:{port}", "-m", "1", "--json", exit_code=1))
        server.wait()
    assert result["failures"] == {"488 Not Acceptable Here": 1}
