"""What a recording server does for a client, whatever it runs on."""

import hashlib
import json
import os
import socket
import ssl
import threading
import time
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.media.listener import AudioFrame
from siprec_core.recording.events import SessionEstablished, SessionRefused, SourceFound
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import Address, Transport
from siprec_sync.audio import AudioQueue
from siprec_sync.tls import TlsFiles
from tests.contract.conftest import Running, StartServer
from tests.contract.peer import PATIENCE, Peer

STREAMS = [Transport.TCP, Transport.UDP]


def report_of(running: Running, directory: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((running.root / directory / "recording.json").read_text("utf-8"))
    return report


@pytest.mark.parametrize("transport", STREAMS)
def test_a_call(server: Running, transport: Transport) -> None:
    with server.peer(transport) as peer:
        ports = peer.establish(streams=2)
        assert server.until(SessionEstablished).labels == ("1", "2")
        peer.talk(ports[0], 50, ssrc=10)
        peer.talk(ports[1], 40, ssrc=20)
        assert peer.request("BYE", 2).status == 200
        ended = server.ended()
    assert (ended.reason, ended.status) == ("bye", "completed")
    assert {event.ssrc for event in server.events if isinstance(event, SourceFound)} == {10, 20}
    report = report_of(server, ended.directory)
    assert report["status"] == "completed"
    assert report["transport"] == transport.value
    assert [(each["label"], each["packets_received"]) for each in report["streams"]] == [("1", 50), ("2", 40)]
    folder = server.root / ended.directory
    for file in report["files"]:
        data = (folder / file["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["size"], file["sha256"])
    lengths = set()
    for name in ("1.wav", "2.wav", "mix.wav"):
        with wave.open(str(folder / name), "rb") as audio:
            lengths.add(audio.getnframes() / audio.getframerate())
    assert len(lengths) == 1
    assert list(server.root.rglob("*.tmp")) == []


def test_a_call_over_tls(start_server: StartServer, tls_files: TlsFiles) -> None:
    server = start_server("tls://127.0.0.1:0", tls=TlsFiles(certificate=tls_files.certificate, key=tls_files.key))
    context = ssl.create_default_context(cafile=str(tls_files.authorities))
    with Peer(Transport.TLS, server.address(Transport.TLS), context=context) as peer:
        (port,) = peer.establish()
        peer.talk(port, 10)
        assert peer.request("BYE", 2).status == 200
        assert report_of(server, server.ended().directory)["streams"][0]["packets_received"] == 10


@pytest.mark.parametrize("transport", STREAMS)
def test_a_call_over_ipv6(start_server: StartServer, transport: Transport) -> None:
    server = start_server(f"{transport.value}://[::1]:0")
    with server.peer(transport) as peer:
        (port,) = peer.establish()
        peer.talk(port, 10)
        assert peer.request("BYE", 2).status == 200
        assert report_of(server, server.ended().directory)["streams"][0]["packets_received"] == 10


def test_options(server: Running) -> None:
    with server.peer() as peer:
        assert peer.request("OPTIONS", 1).status == 200


def test_an_application_rejects(start_server: StartServer) -> None:
    server = start_server(config=ServerConfig(manual=True))
    with server.peer() as peer:
        peer.send(peer.invite())
        server.decisions.reject(server.requested(), 486)
        assert peer.final().status == 486
        assert server.until(SessionRefused).status == 486
        peer.send(peer.build("ACK", 1))
        assert peer.request("OPTIONS", 2).status == 200


def test_an_application_accepts_and_ends(start_server: StartServer) -> None:
    server = start_server(config=ServerConfig(manual=True))
    with server.peer(Transport.TCP) as peer:
        peer.send(peer.invite())
        session = server.requested()
        server.decisions.accept(session)
        answer = peer.final()
        assert answer.status == 200
        peer.to_tag = answer.to_tag
        peer.send(peer.build("ACK", 1))
        server.decisions.end(session)
        bye = peer.receive()
        assert bye.method == "BYE"
        peer.agree(bye)
        assert server.ended().reason == "server-bye"


def test_a_caller_cancels(start_server: StartServer) -> None:
    server = start_server(config=ServerConfig(manual=True))
    with server.peer() as peer:
        peer.send(peer.invite())
        server.requested()
        cancel = peer.build("CANCEL", 1)
        peer.send(cancel)
        statuses = {peer.final().status, peer.final().status}
        assert statuses == {200, 487}
        assert server.until(SessionRefused).status == 487
    assert not [path for path in server.root.rglob("*") if path.is_file()]


def test_a_lost_ack_is_waited_for(server: Running) -> None:
    with server.peer() as peer:
        peer.send(peer.invite())
        first, again = peer.final(), peer.final()
        assert (first.status, first.body) == (again.status, again.body) == (200, again.body)
        peer.to_tag = first.to_tag
        peer.send(peer.build("ACK", 1))
        assert peer.request("BYE", 2).status == 200
        assert server.ended().reason == "bye"


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_stream_may_split_anywhere(server: Running, size: int) -> None:
    with server.peer(Transport.TCP) as peer:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        invite = peer.invite()
        for start in range(0, len(invite), size):
            peer.send(invite[start : start + size])
        answer = peer.final()
        assert answer.status == 200
        peer.to_tag = answer.to_tag
        peer.send(peer.build("ACK", 1) + peer.build("BYE", 2))
        assert peer.final().status == 200
        server.ended()


def test_keep_alives_are_answered(server: Running) -> None:
    with server.peer(Transport.TCP) as peer:
        peer.send(b"\r\n\r\n")
        assert peer.socket.recv(10) == b"\r\n"
        assert peer.request("OPTIONS", 1).status == 200


def test_a_call_outlives_its_connection(server: Running) -> None:
    with server.peer(Transport.TCP) as peer, server.peer(Transport.TCP) as other:
        (port,) = peer.establish()
        peer.socket.close()
        peer.talk(port, 10)
        other.call_id, other.to_tag = peer.call_id, peer.to_tag
        assert other.request("BYE", 2).status == 200
        assert report_of(server, server.ended().directory)["streams"][0]["packets_received"] == 10


def test_garbage_harms_nobody(server: Running) -> None:
    with server.peer() as good, server.peer(Transport.TCP) as bad, server.peer() as rude:
        (port,) = good.establish()
        bad.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(range(256)) * 20)
        rude.send(bytes(range(256)) * 20)
        rude.send(b"INVITE sip:x SIP/2.0\r\nVia: \xff\r\n\r\n")
        for size in (0, 1, 11, 12, 300, 9_000):
            rude.media.sendto(os.urandom(size), ("127.0.0.1", port))
        good.talk(port, 20)
        assert good.request("OPTIONS", 3).status == 200
        assert good.request("BYE", 4).status == 200
        stream = report_of(server, server.ended().directory)["streams"][0]
        assert stream["packets_received"] == 20


def test_a_flood_into_a_media_port(server: Running) -> None:
    with server.peer() as peer:
        (port,) = peer.establish()
        for index in range(1_000):
            peer.media.sendto(os.urandom(index % 400), ("127.0.0.1", port))
        assert peer.request("BYE", 2).status == 200
        assert server.ended().status == "completed"


def test_a_wildcard_answers_from_where_it_was_asked(start_server: StartServer) -> None:
    server = start_server("udp://0.0.0.0:0")
    port = server.address(Transport.UDP).port
    with Peer(Transport.UDP, Address("127.0.0.2", port)) as peer:
        peer.send(peer.invite())
        answer = peer.final()
        assert answer.status == 200
        assert b"c=IN IP4 127.0.0.2" in answer.body
        assert "127.0.0.2" in answer.header("Contact")
        peer.to_tag = answer.to_tag
        peer.send(peer.build("ACK", 1))
        peer.talk(answer.ports[0], 10)
        peer.request("BYE", 2)
        assert report_of(server, server.ended().directory)["streams"][0]["packets_received"] == 10


def test_one_source_cannot_take_all_connections(start_server: StartServer) -> None:
    server = start_server(config=ServerConfig(limits=Limits(connections_per_source=2)))
    with server.peer(Transport.TCP) as one, server.peer(Transport.TCP) as two:
        assert one.request("OPTIONS", 1).status == two.request("OPTIONS", 1).status == 200
        with server.peer(Transport.TCP) as three:
            assert three.socket.recv(1) == b""
        assert one.request("OPTIONS", 2).status == 200


def test_shutting_down_ends_the_calls(server: Running) -> None:
    with server.peer() as peer:
        (port,) = peer.establish()
        peer.talk(port, 5)
        done = threading.Thread(target=server.decisions.shut_down, args=(0.0,))
        done.start()
        bye = peer.receive()
        while bye.method != "BYE":
            bye = peer.receive()
        peer.agree(bye)
        ended = server.ended()
        done.join(10)
        assert not done.is_alive()
    assert (ended.reason, ended.status) == ("shutdown", "completed")
    assert report_of(server, ended.directory)["streams"][0]["packets_received"] == 5


def test_a_full_disk_ends_no_call(start_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_server()

    def full(descriptor: int, data: bytes, offset: int | None = None) -> None:
        raise OSError(28, "No space left on device")

    with server.peer() as peer:
        monkeypatch.setattr("siprec_sync.directory_sinks.write_all", full)
        (port,) = peer.establish()
        peer.talk(port, 5)
        assert peer.request("BYE", 2).status == 200
        assert server.ended().session
        peer.to_tag = ""
        assert peer.request("OPTIONS", 3).status == 503


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_nothing_is_left_behind(start_server: StartServer, worker: str) -> None:
    threads = threading.active_count()
    server = start_server()
    before = 0
    for number in range(10):
        with server.peer(Transport.TCP) as peer:
            (port,) = peer.establish()
            peer.talk(port, 3)
            peer.request("BYE", 2)
            server.ended()
        if not number:
            before = descriptors()  # with the process that renders, and its pipes
    with server.peer() as peer:
        assert peer.request("OPTIONS", 1).status == 200
    assert descriptors() <= before + 1
    assert threading.active_count() <= threads + 8


# live audio


def test_audio_is_heard_while_it_is_recorded(server: Running) -> None:
    with server.peer() as peer:
        ports = peer.establish(streams=2)
        session = server.until(SessionEstablished).session
        frames = AudioQueue(lambda: None)
        other = AudioQueue(lambda: None)
        server.decisions.tap_audio(session, None, frames)
        tap = server.decisions.tap_audio(session, "2", other)
        peer.talk(ports[0], 20, ssrc=10)
        heard = [_next_frame(frames) for _ in range(20)]
        assert {(frame.label, frame.sample_rate, len(frame.pcm), frame.concealed) for frame in heard} == {
            ("1", 8_000, 320, False)
        }
        assert all(later.at_ns - earlier.at_ns == 20_000_000 for earlier, later in pairwise(heard))
        assert not other.ready
        server.decisions.close_tap(session, tap)
        peer.talk(ports[1], 5, ssrc=20)
        assert [_next_frame(frames).label for _ in range(5)] == ["2"] * 5
        assert other.take() is None
        assert other.closed
        with pytest.raises(LocalProtocolError, match="no stream"):
            server.decisions.tap_audio(session, "x", other)
        assert peer.request("BYE", 2).status == 200
        report = report_of(server, server.ended().directory)
    assert frames.closed
    assert [each["packets_received"] for each in report["streams"]] == [20, 5]


def test_each_packet_is_heard_before_the_next_one_is_sent(server: Running) -> None:
    """No frame waits for a later packet but behind a gap, and a listener that has gone makes room for another."""
    with server.peer() as peer:
        (port,) = peer.establish()
        session = server.until(SessionEstablished).session
        frames, *others = (AudioQueue(lambda: None) for _ in range(Limits().taps))
        for queue in (frames, *others):
            server.decisions.tap_audio(session, "1", queue)
        with pytest.raises(LocalProtocolError, match="taps"):
            server.decisions.tap_audio(session, "1", AudioQueue(lambda: None))
        others[0].closed = True
        peer.talk(port, 2)  # two packets make a source believable
        heard = [_next_frame(frames) for _ in range(2)]
        for number in (2, 3, 5, 6):
            peer.talk(port, 1, first=number)
            heard.append(_next_frame(frames))
            while heard[-1].concealed:
                heard.append(_next_frame(frames))
        assert [(frame.at_ns - heard[0].at_ns) // 20_000_000 for frame in heard] == list(range(7))
        assert [frame.concealed for frame in heard] == [False] * 4 + [True] + [False] * 2
        server.decisions.tap_audio(session, "1", AudioQueue(lambda: None))
        assert peer.request("BYE", 2).status == 200


def test_a_listener_that_does_not_read_loses_frames_and_the_recording_none(server: Running) -> None:
    with server.peer() as peer:
        (port,) = peer.establish()
        session = server.until(SessionEstablished).session
        stuck = AudioQueue(lambda: None, capacity=10)
        server.decisions.tap_audio(session, "1", stuck)
        peer.talk(port, 60)
        assert peer.request("BYE", 2).status == 200
        report = report_of(server, server.ended().directory)
    assert report["streams"][0]["packets_received"] == 60
    assert (len(_all_frames(stuck)), stuck.dropped) == (10, 50)


def _next_frame(frames: AudioQueue) -> AudioFrame:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        frame = frames.take()
        if frame is not None:
            return frame
        time.sleep(0.005)
    raise TimeoutError("no frame came")


def _all_frames(frames: AudioQueue) -> list[AudioFrame]:
    taken = []
    while (frame := frames.take()) is not None:
        taken.append(frame)
    return taken
