"""Our recording client against our recording server, on every frontend."""

import array
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

import siprec_anyio
import siprec_sync
from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.recording.call import CallSpec, ClientConfig, StreamSpec
from siprec_core.recording.events import Diagnostic, SessionRequested, StreamsChanged
from siprec_core.recording.policy import ServerConfig
from siprec_core.sip.authentication import DigestRule
from siprec_core.sip.authorisation import DigestUser
from siprec_core.sip.digest import Secret
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Transport
from siprec_sync.calls import CallRefusedError
from siprec_sync.tls import TlsFiles
from tests.contract.conftest import Running, StartServer, _FromThread
from tests.contract.test_scenarios import report_of

ANY = Address("", 0)


def spec(target: Address, transport: Transport, *, local: Address = ANY) -> CallSpec:
    return CallSpec(
        uri=f"sip:recorder@{target}",
        hop=Hop(transport, target, "localhost"),
        local=local,
        streams=(
            StreamSpec(label="1", aor="sip:alice@example.com", name="Alice"),
            StreamSpec(label="2", aor="sip:bob@example.com", name="Bob"),
        ),
    )


def tone(frequency: int, seconds: float, rate: int) -> bytes:
    count = int(seconds * rate)
    return array.array(
        "h", (int(8_000 * math.sin(2 * math.pi * frequency * index / rate)) for index in range(count))
    ).tobytes()


Connect = Callable[..., Any]


@pytest.fixture
def connect(worker: str) -> Iterator[Connect]:
    """Open calls on the worker of the test; all are over when the test is."""
    with ExitStack() as stack:

        def open_call(call: CallSpec, **named: object) -> Any:  # noqa: ANN401 - either frontend's call
            if worker == "sync":
                return stack.enter_context(siprec_sync.connect(call, **named))  # type: ignore[arg-type]
            backend = "trio" if worker == "trio" else "asyncio"
            options = {} if worker == "trio" else {"use_uvloop": worker == "uvloop"}
            portal = stack.enter_context(start_blocking_portal(backend, options))
            connecting = siprec_anyio.connect(call, **named)  # type: ignore[arg-type]
            recording = stack.enter_context(portal.wrap_async_context_manager(connecting))
            return _FromThread(recording, portal.call)

        yield open_call


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_recorded_conversation(server: Running, connect: Connect, transport: Transport) -> None:
    call = connect(spec(server.address(transport), transport))
    answer = call.wait_answered()
    assert answer.labels == ("1", "2")
    assert answer.findings == ()
    for label, frequency in (("1", 440), ("2", 880)):
        rate = call.sample_rate(label)
        call.send_audio(label, tone(frequency, 0.5, rate))
        call.finish_audio(label)
    call.wait_sent()
    assert call.stop().reason == "local-bye"
    report = report_of(server, server.ended().directory)
    assert report["findings"] == []
    assert [(each["label"], each["packets_received"]) for each in report["streams"]] == [("1", 25), ("2", 25)]
    assert [each["names"] for each in report["participants"]] == [["Alice"], ["Bob"]]


def test_over_tls(start_server: StartServer, connect: Connect, tls_files: TlsFiles) -> None:
    server = start_server("tls://127.0.0.1:0", tls=TlsFiles(certificate=tls_files.certificate, key=tls_files.key))
    target = server.address(Transport.TLS)
    call = connect(spec(target, Transport.TLS), tls=TlsFiles(authorities=tls_files.authorities))
    assert call.wait_answered().labels == ("1", "2")
    call.stop()
    assert server.ended().reason == "bye"


def test_a_server_that_is_not_trusted(start_server: StartServer, connect: Connect, tls_files: TlsFiles) -> None:
    server = start_server("tls://127.0.0.1:0", tls=TlsFiles(certificate=tls_files.certificate, key=tls_files.key))
    call = connect(spec(server.address(Transport.TLS), Transport.TLS))
    with pytest.raises(CallRefusedError) as caught:
        call.wait_answered()
    assert caught.value.status == 503


ASKING = ServerConfig(authentication=(DigestRule(users={"alice": Secret("open sesame")}, realm="recorder"),))


@pytest.mark.requirement("3261-22-a", "3261-22-b")
def test_a_server_that_asks_who_calls(start_server: StartServer, connect: Connect) -> None:
    """Over both transports: INVITE, re-INVITE and BYE have the credentials, and the recording tells the user."""
    server = start_server(config=ASKING)
    config = ClientConfig(credentials=DigestUser(name="alice", secret=Secret("open sesame")))
    for transport in (Transport.UDP, Transport.TCP):
        call = connect(spec(server.address(transport), transport), config=config)
        assert call.wait_answered().findings == ()
        requested: SessionRequested = server.until(SessionRequested)
        assert requested.authenticated_user == "alice"
        call.request(lambda core, now: core.pause("1", now=now))
        server.until(StreamsChanged)
        assert call.stop().reason == "local-bye"
        assert report_of(server, server.ended().directory)["authenticated_user"] == "alice"


def test_a_server_that_asks_somebody_else(start_server: StartServer, connect: Connect) -> None:
    server = start_server(config=ASKING)
    for credentials in (None, DigestUser(name="alice", secret=Secret("wrong"))):
        call = connect(spec(server.address(Transport.UDP), Transport.UDP), config=ClientConfig(credentials=credentials))
        with pytest.raises(CallRefusedError, match="401"):
            call.wait_answered()
    refused: Diagnostic = server.until(Diagnostic)
    assert refused.code == "digest-refused"


def test_leaving_ends_the_call(server: Running, worker: str) -> None:
    call = spec(server.address(Transport.UDP), Transport.UDP)
    if worker == "sync":
        with siprec_sync.connect(call) as recording:
            recording.wait_answered()
        assert recording.progress.over
    else:
        backend = "trio" if worker == "trio" else "asyncio"
        with start_blocking_portal(backend) as portal:
            with portal.wrap_async_context_manager(siprec_anyio.connect(call)) as other:
                portal.call(other.wait_answered)
            assert other.progress.over
    assert server.ended().reason == "bye"


def test_a_refused_call(start_server: StartServer, connect: Connect) -> None:
    server = start_server(config=ServerConfig(manual=True))
    call = connect(spec(server.address(Transport.UDP), Transport.UDP))
    server.decisions.reject(server.requested(), 603)
    with pytest.raises(CallRefusedError, match="603") as caught:
        call.wait_answered()
    assert caught.value.status == 603
    with pytest.raises(LocalProtocolError):
        call.send_audio("1", b"")


def test_a_call_given_up_before_the_answer(start_server: StartServer, connect: Connect) -> None:
    server = start_server(config=ServerConfig(manual=True))
    call = connect(spec(server.address(Transport.UDP), Transport.UDP))
    server.requested()
    assert call.stop() is not None
    with pytest.raises(CallRefusedError, match="487"):
        call.wait_answered()


def test_the_server_ends_the_call(server: Running, connect: Connect) -> None:
    call = connect(spec(server.address(Transport.TCP), Transport.TCP))
    session = server.requested()
    call.wait_answered()
    server.decisions.end(session)
    assert call.wait_ended().reason == "bye"
    assert server.ended().reason == "server-bye"


def test_nobody_listens(connect: Connect, server: Running) -> None:
    call = connect(spec(Address("127.0.0.1", 1), Transport.TCP))
    with pytest.raises(CallRefusedError) as caught:
        call.wait_answered()
    assert caught.value.status == 503
    assert call.wait_ended() is not None


def test_an_address_that_is_not_ours(connect: Connect) -> None:
    with pytest.raises(ConfigurationError, match="cannot listen"):
        connect(spec(Address("127.0.0.1", 1), Transport.UDP, local=Address("203.0.113.1", 0)))
