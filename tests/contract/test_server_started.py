"""Recording sessions that the server begins, on every frontend: `Server.record` calls, `listen` waits."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import pytest
from anyio.from_thread import start_blocking_portal

import siprec_anyio
import siprec_sync
from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.recording.call import ClientConfig, ListenSpec, StreamSpec
from siprec_core.recording.events import SessionEstablished, SessionRequested
from siprec_core.recording.outbound import RecordSpec
from siprec_core.recording.policy import ServerConfig
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Transport
from siprec_sync.calls import CallRefusedError
from siprec_sync.tls import TlsFiles
from tests.contract.conftest import Running, StartServer, _FromThread
from tests.contract.peer import PATIENCE
from tests.contract.test_calls import tone
from tests.contract.test_scenarios import report_of
from tests.core.messages import response_to
from tests.ports import rtp_ports

STREAMS = (
    StreamSpec(label="1", aor="sip:alice@example.com", name="Alice"),
    StreamSpec(label="2", aor="sip:bob@example.com", name="Bob"),
)
SPEC = ListenSpec(streams=STREAMS)

Listen = Callable[..., Any]
both = pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP], ids=lambda each: each.value)


@pytest.fixture
def listen(worker: str) -> Iterator[Listen]:
    """Open waiting clients on the worker of the test; all are over when the test is."""
    with ExitStack() as stack:

        def wait(*binds: str, **named: object) -> Any:  # noqa: ANN401 - either frontend's call
            named.setdefault("config", ClientConfig(rtp_ports=rtp_ports()))
            if worker == "sync":
                return stack.enter_context(siprec_sync.listen(SPEC, *binds, **named))  # type: ignore[arg-type]
            backend = "trio" if worker == "trio" else "asyncio"
            options = {} if worker == "trio" else {"use_uvloop": worker == "uvloop"}
            portal = stack.enter_context(start_blocking_portal(backend, options))
            waiting = siprec_anyio.listen(SPEC, *binds, **named)  # type: ignore[arg-type]
            return _FromThread(stack.enter_context(portal.wrap_async_context_manager(waiting)), portal.call)

        yield wait


def address_of(call: Any) -> Address:  # noqa: ANN401 - either frontend's call
    server = getattr(call, "_server", call)
    address: Address = server.listeners[0].address
    return address


def target(remote: Address, transport: Transport, **named: Any) -> RecordSpec:  # noqa: ANN401 - other fields
    return RecordSpec(uri=f"sip:phone@{remote}", hop=Hop(transport, remote, "localhost"), **named)


@both
def test_a_conversation_that_the_server_asks_for(server: Running, listen: Listen, transport: Transport) -> None:
    call = listen(f"{transport.value}://127.0.0.1:0")
    session = server.decisions.record(target(address_of(call), transport))
    answer = call.wait_answered()
    assert (answer.labels, answer.findings, answer.response) == (("1", "2"), (), None)
    requested: SessionRequested = server.until(SessionRequested)
    assert (requested.session, requested.initiator) == (session.id, "server")
    assert server.until(SessionEstablished).labels == ("1", "2")
    for label, frequency in (("1", 440), ("2", 880)):
        call.send_audio(label, tone(frequency, 0.3, call.sample_rate(label)))
        call.finish_audio(label)
    call.wait_sent()
    assert call.stop().reason == "local-bye"
    report = report_of(server, server.ended().directory)
    assert (report["initiator"], report["end_reason"], report["findings"]) == ("server", "bye", [])
    assert [(each["label"], each["packets_received"]) for each in report["streams"]] == [("1", 15), ("2", 15)]
    assert [each["names"] for each in report["participants"]] == [["Alice"], ["Bob"]]


def test_over_tls(start_server: StartServer, listen: Listen, tls_files: TlsFiles) -> None:
    server = start_server("tls://127.0.0.1:0", tls=tls_files)
    call = listen("tls://127.0.0.1:0", tls=tls_files)
    session = server.decisions.record(target(address_of(call), Transport.TLS))
    assert call.wait_answered().labels == ("1", "2")
    server.decisions.end(session.id)
    assert server.ended().reason == "server-bye"
    assert call.wait_ended().reason == "bye"


def test_the_session_has_its_events(server: Running, listen: Listen, worker: str) -> None:
    call = listen("udp://127.0.0.1:0")
    session = server.decisions.record(target(address_of(call), Transport.UDP))
    call.wait_answered()
    call.stop()
    server.ended()
    if worker == "sync":
        names = [type(event).__name__ for event in session]
    else:
        names = [type(event).__name__ for event in iter(session.queue.take, None)]
    assert names == ["MetadataUpdated", "SessionEstablished", "SessionEnded"]
    assert session.queue.closed


@both
def test_a_client_that_is_not_there_or_not_willing(server: Running, listen: Listen, transport: Transport) -> None:
    call = listen(f"{transport.value}://127.0.0.1:0")
    first = server.decisions.record(target(address_of(call), transport))
    with pytest.raises(CallRefusedError) as caught:
        server.decisions.record(target(address_of(call), transport))
    assert caught.value.status == 486
    server.decisions.end(first.id)
    assert server.ended().reason == "server-bye"


class Phone:
    """A client that only rings, and obeys a CANCEL."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE)
        self.address = Address(*self._socket.getsockname())
        self._thread = threading.Thread(target=self._ring)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.join()
        self._socket.close()

    def _ring(self) -> None:
        while True:
            data, source = self._socket.recvfrom(65_536)
            if data.startswith(b"INVITE"):
                invite = data
                self._socket.sendto(response_to(data, 180), source)
            elif data.startswith(b"CANCEL"):
                self._socket.sendto(response_to(data, 200), source)
                self._socket.sendto(response_to(invite, 487), source)
            elif data.startswith(b"ACK"):
                return


def test_a_client_that_does_not_answer_is_given_up(server: Running) -> None:
    with Phone() as phone, pytest.raises(CallRefusedError) as caught:
        server.decisions.record(target(phone.address, Transport.UDP, answer_seconds=0.3))
    assert caught.value.status == 408
    assert "no answer" in caught.value.reason


def test_what_a_server_cannot_ask(start_server: StartServer) -> None:
    server = start_server("udp://127.0.0.1:0", config=ServerConfig(max_sessions=1))
    somebody = Address("127.0.0.1", 9)
    with pytest.raises(ConfigurationError):
        server.decisions.record(target(somebody, Transport.TCP))
    with pytest.raises(LocalProtocolError):
        server.decisions.record(RecordSpec(uri="tel:1", hop=Hop(Transport.UDP, somebody)))


def test_a_server_that_closes_gives_up_what_it_asks(server: Running) -> None:
    caught: list[CallRefusedError] = []

    def ask(address: Address) -> None:
        try:
            server.decisions.record(target(address, Transport.UDP))
        except CallRefusedError as error:
            caught.append(error)

    with Phone() as phone:
        asking = threading.Thread(target=ask, args=(phone.address,))
        asking.start()
        server.until(SessionRequested)
        server.decisions.shut_down(0.0)
        asking.join()
    assert [error.status for error in caught] == [487]


def test_leaving_ends_the_waiting(worker: str) -> None:
    if worker == "sync":
        with siprec_sync.listen(SPEC, "udp://127.0.0.1:0") as waiting:
            assert not waiting.progress.decided
        ended = waiting.progress.ended
    else:
        backend = "trio" if worker == "trio" else "asyncio"
        with start_blocking_portal(backend) as portal:
            with portal.wrap_async_context_manager(siprec_anyio.listen(SPEC, "udp://127.0.0.1:0")) as other:
                assert not other.progress.decided
            ended = other.progress.ended
    assert ended is not None
    assert ended.reason == "cancelled"


def test_an_address_that_cannot_be_used(listen: Listen) -> None:
    with pytest.raises(ConfigurationError):
        listen("udp://192.0.2.1:5060")


def test_the_iteration_gives_the_session_too(server: Running, listen: Listen, worker: str) -> None:
    decisions: Any = server.decisions
    if worker == "sync":
        iteration = iter(decisions)
        take, close = iteration.__next__, iteration.close
    else:
        iteration = decisions._server.__aiter__()
        take, close = (partial(decisions._call, each) for each in (iteration.__anext__, iteration.aclose))
    call = listen("udp://127.0.0.1:0")
    session = decisions.record(target(address_of(call), Transport.UDP))
    assert take().id == session.id
    close()
    call.stop()
    assert server.ended().session == session.id
