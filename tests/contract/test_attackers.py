"""Who sends to the media ports of a call without being its client, over real sockets: nothing recorded changes."""

import random
import socket
import struct
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from siprec_core.codecs.registry import decoder_for
from siprec_core.containers.wav import read_wav
from siprec_core.media.encryption import MasterKey
from siprec_core.recording.policy import ServerConfig
from siprec_core.rtp.reports import SenderReport
from siprec_core.rtp.rtcp import Goodbye
from siprec_core.sdp.crypto import SrtpPolicy
from siprec_core.types import Transport
from siprec_sync import srtp
from tests.contract.conftest import Running, StartServer
from tests.contract.peer import Peer
from tests.contract.test_scenarios import report_of

ATTACKER = "127.0.0.66"
PACKETS = 40
"""What the client says on each line."""
SOURCES = 60
"""New synchronisation sources of one strike, from the attacker and as many under the client's address."""
SUITE = "AES_CM_128_HMAC_SHA1_80"


def packet(number: int, ssrc: int) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160, ssrc) + bytes([number % 256]) * 160


@contextmanager
def attacker() -> Iterator[Callable[[bytes, int], object]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.bind((ATTACKER, 0))
        yield lambda data, port: sending.sendto(data, ("127.0.0.1", port))


def assert_untouched(folder: Path, report: dict[str, Any]) -> None:
    """Fail unless each line holds what its client said and nothing else."""
    decoder = decoder_for("PCMU", 8_000, 1)
    assert decoder is not None
    expected = b"".join(decoder.decode(packet(number, 0)[12:]) for number in range(PACKETS))
    for index, stream in enumerate(report["streams"]):
        counts = {name: stream[f"packets_{name}"] for name in ("received", "lost", "reordered")}
        assert counts == {"received": PACKETS, "lost": 0, "reordered": 0}
        assert stream["ssrcs"] == [index + 1]
        assert stream["remote"]["host"] == "127.0.0.1"
        pcm = read_wav((folder / stream["file"]).read_bytes())[1]
        before, found, behind = pcm.partition(expected)
        assert found
        assert not any(before + behind)  # the lines did not begin at the same instant


def strike(peer: Peer, ports: list[int], chance: random.Random) -> int:
    """Attack each line in every way; give how many packets came to each that are not of its stream."""
    with attacker() as send:
        for index, port in enumerate(ports):
            gone = SenderReport(index + 1, 5, 5, 5, 5).to_bytes() + Goodbye((index + 1,), "gone").to_bytes()
            for number in range(10):
                send(packet(1_000 + number, index + 1), port)  # in the client's name
            for ssrc in range(SOURCES):
                send(packet(ssrc, 0xABC000 + ssrc), port)
                # A flood under the address of the client itself, of sources that never go on.
                peer.media.sendto(packet(7 * ssrc, chance.getrandbits(32)), ("127.0.0.1", port))
            for data in (b"", b"x", chance.randbytes(300), gone):
                send(data, port)
                send(data, port + 1)
            peer.media.sendto(gone, ("127.0.0.1", port + 1))
    # Sockets are read by the tick: what waits in one must not be more than its buffer holds.
    time.sleep(0.25)
    return 10 + 2 * SOURCES


@pytest.mark.requirement("3550-sec-a", "3550-6.6-a")
def test_no_recording_changes_and_all_is_counted(server: Running) -> None:
    chance = random.Random(1)
    with server.peer(Transport.UDP) as peer:
        ports = peer.establish(streams=2)
        thrown = 0
        for first in range(0, PACKETS, PACKETS // 2):
            for index, port in enumerate(ports):
                peer.talk(port, PACKETS // 2, ssrc=index + 1, first=first)
            thrown += strike(peer, ports, chance)
        assert peer.request("BYE", 2).status == 200
        ended = server.ended()
    report = report_of(server, ended.directory)
    assert_untouched(server.root / ended.directory, report)
    assert (ended.reason, report["status"]) == ("bye", "completed")
    for stream in report["streams"]:
        assert stream["packets_rejected"] >= thrown
    codes = {found["code"] for found in report["findings"]}
    assert {"source-foreign", "ssrc-limit"} <= codes


def secured(peer: Peer, key: MasterKey) -> str:
    inline = b64encode(key.key).decode()
    return peer.sdp().replace("RTP/AVP", "RTP/SAVP") + f"a=crypto:1 {SUITE} inline:{inline}\r\n"


@pytest.mark.skipif(not srtp.is_installed(), reason="the extra srtp is not installed")
@pytest.mark.requirement("3711-3.3.2-a")
def test_packets_that_are_replayed_are_counted_and_not_recorded(start_server: StartServer) -> None:
    server = start_server(config=ServerConfig(srtp=SrtpPolicy.REQUIRE))
    key = MasterKey(SUITE, random.Random(2).randbytes(30))
    ciphers = srtp.PylibsrtpProvider().context(key, sending=True)
    with server.peer(Transport.UDP) as peer, attacker() as send:
        peer.send(peer.build("INVITE", 1, body=secured(peer, key), headers="Require: siprec\r\n"))
        answer = peer.final()
        assert answer.status == 200
        peer.to_tag = answer.to_tag
        peer.send(peer.build("ACK", 1))
        (port,) = (int(part.split(b" ")[1]) for part in answer.body.split(b"\r\n") if part.startswith(b"m=audio"))
        sealed = []
        for number in range(PACKETS):
            data = ciphers.protect(packet(number, 1))
            assert isinstance(data, bytes)
            sealed.append(data)
            peer.media.sendto(data, ("127.0.0.1", port))
        for data in sealed:
            peer.media.sendto(data, ("127.0.0.1", port))  # under the address of the client
            send(data, port)
            peer.media.sendto(data[:-1] + bytes([data[-1] ^ 1]), ("127.0.0.1", port))
        assert peer.request("BYE", 2).status == 200
        ended = server.ended()
    report = report_of(server, ended.directory)
    assert_untouched(server.root / ended.directory, report)
    (stream,) = report["streams"]
    assert stream["packets_duplicate"] + stream["packets_rejected"] == 3 * PACKETS
    assert "srtp-replayed" in {found["code"] for found in report["findings"]}
