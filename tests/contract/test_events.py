"""What a server tells its application: the same events in the same order, whatever it runs on."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

from siprec_core.recording.events import (
    Diagnostic,
    Event,
    FindingRaised,
    ServerDrained,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SourceFound,
    StreamStalled,
)
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import Transport
from siprec_sync.directory_sinks import DirectorySinks
from tests.contract.conftest import WORKERS, Running, StartServer, _start_anyio, _start_sync
from tests.ports import rtp_ports

MANUAL = ServerConfig(manual=True)
REQUESTED = ["SessionRequested", "FindingRaised siprec-no-metadata"]
ESTABLISHED = [*REQUESTED, "SessionEstablished 1,2"]
_LOST_ACK_SECONDS = 32.0
"""64 times T1 (RFC 3261 section 13.3.1.4)."""
_DRAINED_SECONDS = 20.0

both = pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP], ids=lambda each: each.value)


def told(server: Running) -> list[str]:
    """Give the events so far as text, without what differs from call to call."""
    return [_text(event) for event in server.events]


def _text(event: Event) -> str:
    match event:
        case SessionEstablished():
            detail = ",".join(event.labels)
        case SessionEnded():
            detail = f"{event.reason} {event.status}"
        case SessionRefused():
            detail = str(event.status)
        case FindingRaised():
            detail = event.finding.code
        case Diagnostic():
            detail = event.code
        case SourceFound() | StreamStalled():
            detail = event.label
        case _:
            detail = ""
    return f"{type(event).__name__} {detail}".strip()


@both
def test_a_call(server: Running, transport: Transport) -> None:
    with server.peer(transport) as peer:
        ports = peer.establish(streams=2)
        for label, port in enumerate(ports, 1):
            peer.talk(port, 10, ssrc=label)
            assert server.until(SourceFound).label == str(label)
        assert peer.request("BYE", 2).status == 200
        server.ended()
    assert told(server) == [*ESTABLISHED, "SourceFound 1", "SourceFound 2", "SessionEnded bye completed"]


@both
def test_the_application_rejects(start_server: StartServer, transport: Transport) -> None:
    server = start_server(config=MANUAL)
    with server.peer(transport) as peer:
        peer.send(peer.invite())
        server.decisions.reject(server.requested(), 486)
        assert peer.final().status == 486
        server.until(SessionRefused)
    assert told(server) == [*REQUESTED, "SessionRefused 486"]


@both
def test_the_policy_refuses(server: Running, transport: Transport) -> None:
    with server.peer(transport) as peer:
        peer.send(peer.invite().replace(b"Require: siprec\r\n", b"").replace(b";+sip.src", b""))
        answer = peer.final()
        assert (answer.status, answer.header("Require")) == (421, "siprec")
        server.until(SessionRefused)
    assert told(server) == ["SessionRefused 421"]


@both
def test_the_client_cancels(start_server: StartServer, transport: Transport) -> None:
    server = start_server(config=MANUAL)
    with server.peer(transport) as peer:
        peer.send(peer.invite())
        server.requested()
        peer.send(peer.build("CANCEL", 1))
        answers = [peer.final(), peer.final()]
        assert {each.header("CSeq"): each.status for each in answers} == {"1 CANCEL": 200, "1 INVITE": 487}
        server.until(SessionRefused)
    assert told(server) == [*REQUESTED, "SessionRefused 487"]


def test_a_stream_in_pieces(server: Running) -> None:
    with server.peer(Transport.TCP) as peer:
        for octet in peer.invite(streams=2):
            peer.send(bytes([octet]))
        peer.to_tag = peer.final().to_tag
        # And three messages in one piece.
        peer.send(b"\r\n\r\n" + peer.build("ACK", 1) + peer.build("OPTIONS", 2) + peer.build("BYE", 3))
        answers = [peer.final(), peer.final()]
        assert {each.header("CSeq"): each.status for each in answers} == {"2 OPTIONS": 200, "3 BYE": 200}
        server.ended()
    assert told(server) == [*ESTABLISHED, "SessionEnded bye completed"]


@both
def test_draining(server: Running, transport: Transport) -> None:
    with server.peer(transport) as peer, server.peer() as other, ThreadPoolExecutor() as threads:
        peer.establish(streams=2)
        draining = threads.submit(server.decisions.shut_down, 0.5)
        # The order to drain takes a moment to arrive; OPTIONS tells what an INVITE would get.
        number = 1
        while other.request("OPTIONS", number).status != 503:
            number += 1
            time.sleep(0.01)
        other.send(other.invite())
        refused = other.final()
        assert refused.status == 503
        assert int(refused.header("Retry-After")) > 0
        while (bye := peer.receive()).method != "BYE":
            pass
        peer.agree(bye)
        draining.result(timeout=_DRAINED_SECONDS)
        server.until(ServerDrained)
    assert told(server) == [*ESTABLISHED, "SessionRefused 503", "SessionEnded shutdown completed", "ServerDrained"]


@pytest.mark.timeout(120)
def test_an_ack_that_never_comes(tmp_path: Path) -> None:
    """All workers wait at the same time, because it takes 64 times T1."""
    workers = [each for each in WORKERS if each not in ("uvloop", "trio") or find_spec(each)]
    with ExitStack() as stack, ThreadPoolExecutor(len(workers)) as threads:
        servers = [_start(stack, worker, tmp_path / worker) for worker in workers]
        answers = list(threads.map(_never_acknowledge, servers))
    # T1, doubled up to T2, until 64*T1: 11 times when nothing is late, fewer on a busy machine.
    assert all(5 < count <= 11 for count in answers), answers
    silent = [text for label in (1, 2) for text in ("FindingRaised media-never", f"StreamStalled {label}")]
    expected = [*ESTABLISHED, *silent, "SessionEnded timeout-ack completed"]
    assert [told(server) for server in servers] == [expected] * len(workers)


def _start(stack: ExitStack, worker: str, folder: Path) -> Running:
    sinks, config = DirectorySinks(folder), ServerConfig(rtp_ports=rtp_ports())
    if worker == "sync":
        return _start_sync(stack, ("udp://127.0.0.1:0",), config, None, sinks)
    return _start_anyio(stack, worker, ("udp://127.0.0.1:0",), config, None, sinks)


def _never_acknowledge(server: Running) -> int:
    """Send an INVITE and answer nothing but the BYE that follows; gives how often the 200 came."""
    with server.peer() as peer:
        peer.send(peer.invite(streams=2))
        peer.socket.settimeout(_LOST_ACK_SECONDS + 20)
        count = 0
        while (message := peer.receive()).method != "BYE":
            count += message.status == 200
        peer.agree(message)
        server.ended()
        return count
