"""What changes in a call that stands: holds, offers, metadata, timers, connections; on every frontend and transport."""

import json
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.recording.events import (
    MetadataUpdated,
    SessionEstablished,
    SessionRefused,
    SourceFound,
    StreamsChanged,
)
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import Address, Transport
from siprec_sync.assembly import DriverSettings
from siprec_sync.calls import CallRefusedError, ChangeRefusedError
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.policy_hook import Hook
from siprec_sync.tls import TlsFiles, server_context
from tests.contract.conftest import (
    WORKERS,
    Connect,
    Running,
    StartServer,
    _start_anyio,
    _start_sync,
    spec,
    start_everywhere,
)
from tests.contract.peer import PATIENCE, Peer
from tests.core.messages import METADATA
from tests.ports import rtp_ports

transports = pytest.mark.parametrize("transport", Transport, ids=lambda each: each.value)
streams = pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS], ids=lambda each: each.value)
METADATA_HEADERS = "Content-Disposition: recording-session\r\n"
PARTIAL = '<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>partial</datamode></recording>'
UPDATE_ALLOWED = "Allow: INVITE, ACK, CANCEL, BYE, UPDATE\r\n"


def timeline(server: Running, directory: str) -> list[tuple[str, str | None]]:
    report = json.loads((server.root / directory / "recording.json").read_text("utf-8"))
    return [(entry["event"], entry.get("label")) for entry in report["timeline"]]


@pytest.fixture
def call_of(connect: Connect, tls_files: TlsFiles) -> Connect:
    """Open a call to a server over a transport."""

    def open_call(server: Running, transport: Transport) -> Any:  # noqa: ANN401 - either frontend's call
        tls = TlsFiles(authorities=tls_files.authorities) if transport is Transport.TLS else None
        return connect(spec(server.address(transport), transport), tls=tls)

    return open_call


# our client


@transports
def test_the_client_holds_resumes_and_tells(everywhere: Running, call_of: Connect, transport: Transport) -> None:
    call = call_of(everywhere, transport)
    call.wait_answered()
    assert call.pause("1").status == 200
    assert call.pause("1") is None, "it is held already"
    assert everywhere.until(StreamsChanged).labels == ("1", "2")
    assert call.resume("1").findings == ()
    assert call.update_metadata(PARTIAL.encode()).taken
    assert not everywhere.until(MetadataUpdated).complete
    assert call.last_change.taken
    call.stop()
    events = timeline(everywhere, everywhere.ended().directory)
    assert ("stream-held", "1") in events
    assert ("stream-resumed", "1") in events
    assert ("stream-held", "2") not in events


@transports
def test_the_server_holds_resumes_and_asks(everywhere: Running, call_of: Connect, transport: Transport) -> None:
    call = call_of(everywhere, transport)
    call.wait_answered()
    session = everywhere.until(SessionEstablished).session
    everywhere.decisions.pause(session)
    everywhere.until(StreamsChanged)
    with pytest.raises(LocalProtocolError):
        everywhere.decisions.pause(session)
    everywhere.decisions.resume(session)
    everywhere.until(StreamsChanged)
    everywhere.decisions.request_snapshot(session)
    assert everywhere.until(MetadataUpdated).complete
    call.stop()
    events = timeline(everywhere, everywhere.ended().directory)
    assert events.count(("stream-held", "1")) == events.count(("stream-resumed", "2")) == 1


def test_a_change_that_the_server_refuses(start_server: StartServer, connect: Connect) -> None:
    server = start_server(config=ServerConfig(strict=True))
    call = connect(spec(server.address(Transport.UDP), Transport.UDP))
    call.wait_answered()
    with pytest.raises(ChangeRefusedError, match="400") as caught:
        call.update_metadata(b"<recording")
    assert (caught.value.outcome.status, caught.value.outcome.local) == (400, False)
    with pytest.raises(LocalProtocolError):
        call.pause("9")
    assert call.pause("1").taken, "the call goes on"


def test_a_call_is_closed_at_once(server: Running, connect: Connect) -> None:
    call = connect(spec(server.address(Transport.TCP), Transport.TCP))
    call.wait_answered()
    call.close()
    assert server.ended().reason == "bye"
    with pytest.raises(LocalProtocolError):
        call.pause("1")
    call.close()


def test_a_change_that_nobody_answers_ends_with_the_call(connect: Connect, worker: str) -> None:
    with Answering() as listening:
        call = connect(spec(listening.address, Transport.TCP))
        with listening.accept() as peer:
            peer.agree(peer.ask("INVITE"), body=peer.sdp(2, direction="recvonly"))
            call.wait_answered()
            with ThreadPoolExecutor() as threads:
                waiting = threads.submit(call.pause, "1")
                peer.ask("INVITE")
                call.close()
                with pytest.raises(ChangeRefusedError) as caught:
                    waiting.result(timeout=PATIENCE)
    assert (caught.value.outcome.status, caught.value.outcome.local) == (481, True)


@pytest.mark.parametrize("worker", ["sync"])
def test_waiting_has_an_end_for_who_wants_one(start_server: StartServer, connect: Connect) -> None:
    """Tasks have `anyio.fail_after` for that."""
    server = start_server(config=ServerConfig(manual=True))
    call = connect(spec(server.address(Transport.UDP), Transport.UDP))
    with pytest.raises(TimeoutError):
        call.wait_answered(0.01)
    server.decisions.accept(server.requested())
    assert call.wait_answered(PATIENCE).labels == ("1", "2")


def test_a_refusal_tells_the_wire_from_this_side(start_server: StartServer, connect: Connect) -> None:
    server = start_server(config=ServerConfig(manual=True))
    refused = connect(spec(server.address(Transport.UDP), Transport.UDP))
    server.decisions.reject(server.requested(), 503)
    unreachable = connect(spec(Address("127.0.0.1", 1), Transport.TCP))
    local = []
    for call in (refused, unreachable):
        with pytest.raises(CallRefusedError, match="503") as caught:
            call.wait_answered()
        local.append(caught.value.local)
    assert local == [False, True]


# peers of the tests' own


@transports
def test_an_offer_alone_holds_and_resumes(everywhere: Running, transport: Transport) -> None:
    with everywhere.peer(transport) as peer:
        (port,) = peer.establish()
        held = peer.reoffer(2, peer.sdp(direction="inactive", version_number=2))
        assert (held.status, held.ports, b"a=inactive" in held.body) == (200, [port], True)
        everywhere.until(StreamsChanged)
        resumed = peer.reoffer(3, peer.sdp(version_number=3))
        assert (resumed.status, resumed.ports, b"a=recvonly" in resumed.body) == (200, [port], True)
        peer.talk(port, 5)
        everywhere.until(SourceFound)
        assert peer.request("BYE", 4).status == 200
        events = timeline(everywhere, everywhere.ended().directory)
    changes = [name for name, label in events if label == "1" and name.startswith("stream-")]
    assert changes == ["stream-added", "stream-held", "stream-resumed"]


@transports
def test_metadata_alone_by_update(everywhere: Running, transport: Transport) -> None:
    with everywhere.peer(transport) as peer:
        peer.establish()
        kind = "application/rs-metadata+xml"
        peer.send(peer.build("UPDATE", 2, body=METADATA, headers=METADATA_HEADERS, content_type=kind))
        answer = peer.final()
        assert (answer.status, answer.body) == (200, b"")
        assert everywhere.until(MetadataUpdated).complete
        assert peer.request("BYE", 3).status == 200
        events = timeline(everywhere, everywhere.ended().directory)
    assert ("metadata", None) in events
    assert ("stream-changed", "1") not in events


@transports
def test_an_offerless_reinvite_gets_our_offer(everywhere: Running, transport: Transport) -> None:
    with everywhere.peer(transport) as peer:
        (port,) = peer.establish()
        peer.send(peer.build("INVITE", 2))
        offer = peer.final()
        assert (offer.status, offer.ports, b"a=recvonly" in offer.body) == (200, [port], True)
        peer.send(peer.build("ACK", 2, body=peer.sdp(direction="inactive", version_number=2)))
        assert everywhere.until(StreamsChanged).labels == ("1",)
        assert peer.request("BYE", 3).status == 200
        ended = everywhere.ended()
    assert ("stream-held", "1") in timeline(everywhere, ended.directory)


@transports
def test_cancel_ends_what_waits_and_nothing_else(
    start_server: StartServer, tls_files: TlsFiles, transport: Transport
) -> None:
    server = start_everywhere(start_server, tls_files, ServerConfig(manual=True))
    with server.peer(transport) as peer, server.peer(transport) as other:
        other.send(other.invite())
        server.decisions.accept(server.requested())
        other.to_tag = other.final().to_tag
        other.send(other.build("ACK", 1))
        peer.send(peer.invite())
        server.requested()
        peer.send(peer.build("CANCEL", 1))
        answers = [peer.final(), peer.final()]
        assert {each.header("CSeq"): each.status for each in answers} == {"1 CANCEL": 200, "1 INVITE": 487}
        assert server.until(SessionRefused).status == 487
        other.send(other.build("CANCEL", 1))
        assert other.final().status == 200, "the INVITE has had its answer: the call goes on"
        assert other.request("BYE", 2).status == 200
        assert server.ended().status == "completed"


@streams
def test_a_hundred_dialogs_on_one_connection(everywhere: Running, transport: Transport) -> None:
    with everywhere.peer(transport) as peer:
        names = [f"many-{number}" for number in range(100)]
        tags: dict[str, str] = {}
        for name in names:
            peer.send(_renamed(peer, peer.invite(), name))
        while len(tags) < len(names):
            answer = peer.final()  # on a busy machine a 200 comes again before its ACK
            assert answer.status == 200
            name, peer.to_tag = answer.header("Call-ID"), answer.to_tag
            peer.send(_renamed(peer, peer.build("ACK", 1), name))
            tags[name] = answer.to_tag
        for name, peer.to_tag in tags.items():
            peer.send(_renamed(peer, peer.build("BYE", 2), name))
        over: set[str] = set()
        while len(over) < len(names):
            answer = peer.final()
            assert answer.status == 200
            if answer.header("CSeq") == "2 BYE":
                over.add(answer.header("Call-ID"))
        assert len(set(tags.values())) == len(names)
        assert {everywhere.ended().status for _ in names} == {"completed"}


def _renamed(peer: Peer, message: bytes, call_id: str) -> bytes:
    """Give a message another Call-ID, and with it another transaction."""
    return message.replace(peer.call_id.encode(), call_id.encode()).replace(b"z9hG4bK", b"z9hG4bK" + call_id.encode())


# connections that are lost


class Answering:
    """A place to be called at over TCP or TLS."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE)
        self._context = context
        self.address = Address(*self._socket.getsockname()[:2])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def accept(self) -> Peer:
        connection, source = self._socket.accept()
        connection.settimeout(PATIENCE)
        transport = Transport.TCP if self._context is None else Transport.TLS
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        peer = Peer(transport, Address(*source[:2]), connection=connection)
        peer.where = str(self.address)
        return peer


@streams
def test_a_reinvite_over_a_new_connection_goes_on_with_the_recording(everywhere: Running, transport: Transport) -> None:
    with everywhere.peer(transport) as peer, everywhere.peer(transport) as other:
        (port,) = peer.establish()
        peer.talk(port, 5)
        everywhere.until(SourceFound)
        peer.socket.close()
        other.call_id, other.to_tag = peer.call_id, peer.to_tag
        assert other.reoffer(2, peer.sdp(direction="inactive", version_number=2)).ports == [port]
        everywhere.until(StreamsChanged)
        assert other.reoffer(3, peer.sdp(version_number=3)).status == 200
        peer.talk(port, 5, first=5)
        assert other.request("BYE", 4).status == 200
        ended = everywhere.ended()
    report = json.loads((everywhere.root / ended.directory / "recording.json").read_text("utf-8"))
    assert report["streams"][0]["packets_received"] == 10
    assert len(list(everywhere.root.rglob("recording.json"))) == 1


def test_the_server_opens_a_connection_when_the_client_s_is_lost(server: Running) -> None:
    with Answering() as listening, server.peer(Transport.TCP) as peer:
        peer.where = str(listening.address)
        peer.establish()
        session = server.until(SessionEstablished).session
        peer.disconnect()
        server.decisions.pause(session)
        with listening.accept() as again:
            offer = again.ask("INVITE")
            assert b"a=inactive" in offer.body
            assert offer.header("Call-ID") == peer.call_id
            again.agree(offer, body=peer.sdp(direction="inactive", version_number=2))
            server.until(StreamsChanged)
            server.decisions.end(session)
            again.agree(again.ask("BYE"))
            assert server.ended().reason == "server-bye"


@streams
def test_the_client_opens_a_connection_when_its_own_is_lost(
    connect: Connect, tls_files: TlsFiles, transport: Transport
) -> None:
    secure = transport is Transport.TLS
    tls = TlsFiles(authorities=tls_files.authorities) if secure else None
    own = TlsFiles(certificate=tls_files.certificate, key=tls_files.key)
    with Answering(server_context(own) if secure else None) as listening, ThreadPoolExecutor() as threads:
        call = threads.submit(connect, spec(listening.address, transport), tls=tls)
        with listening.accept() as first:
            invite = first.ask("INVITE")
            first.agree(invite, body=first.sdp(2, direction="recvonly"))
            first.ask("ACK")
            call.result(timeout=PATIENCE).wait_answered()
            first.disconnect()
        stopping = threads.submit(call.result().stop)
        with listening.accept() as second:
            bye = second.ask("BYE")
            assert bye.header("Call-ID") == invite.header("Call-ID")
            second.agree(bye)
            ended = stopping.result(timeout=PATIENCE)
    assert ended.reason == "local-bye"


# session timers


@pytest.fixture
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a session interval be three seconds; RFC 4028 section 4 forbids less than ninety."""
    for module in ("siprec_core.sip.session_timer", "siprec_core.recording.policy"):
        monkeypatch.setattr(f"{module}.LEAST_MIN_SE", 1)


@pytest.mark.usefixtures("short_intervals")
def test_who_does_not_refresh_is_let_go_and_who_answers_ours_stays(tmp_path: Path, tls_files: TlsFiles) -> None:
    """All workers wait at the same time."""
    workers = [each for each in WORKERS if each not in ("uvloop", "trio") or find_spec(each)]
    with ExitStack() as stack, ThreadPoolExecutor(len(workers)) as threads:
        servers = [_start(stack, worker, tmp_path / worker, tls_files) for worker in workers]
        reasons = list(threads.map(_fall_silent, servers))
    assert reasons == [["bye", "session-timer", "session-timer", "session-timer"]] * len(workers)


def _start(stack: ExitStack, worker: str, folder: Path, tls_files: TlsFiles) -> Running:
    def start(
        *binds: str,
        config: ServerConfig | None = None,
        tls: TlsFiles | None = None,
        policy_hook: Hook | None = None,
        media_workers: int = 0,
    ) -> Running:
        sinks = DirectorySinks(folder)
        settings = DriverSettings(media_workers=media_workers)
        config = replace(config or ServerConfig(), rtp_ports=rtp_ports())
        if worker == "sync":
            return _start_sync(stack, binds, config, tls, sinks, policy_hook, settings)
        return _start_anyio(stack, worker, binds, config, tls, sinks, policy_hook, settings)

    return start_everywhere(start, tls_files, ServerConfig(session_expires=3, min_se=1))


def _fall_silent(server: Running) -> list[str]:
    """Have three peers that promise to refresh and do not, and one whom the server refreshes."""
    asked = f"Supported: timer\r\n{UPDATE_ALLOWED}Session-Expires: 3;refresher="
    with ExitStack() as stack:
        silent = [stack.enter_context(server.peer(transport)) for transport in Transport]
        for peer in silent:
            peer.establish(headers=f"{asked}uac\r\n")
        good = stack.enter_context(server.peer())
        good.establish(headers=f"{asked}uas\r\n")
        refresh = good.ask("UPDATE")
        assert refresh.header("Session-Expires") == "3;refresher=uac"
        good.agree(refresh, headers="Require: timer\r\nSession-Expires: 3;refresher=uac")
        assert good.request("BYE", 2).status == 200
        reasons = [server.ended().reason]
        for peer in silent:
            peer.agree(peer.ask("BYE"))
        return reasons + [server.ended().reason for _ in silent]
