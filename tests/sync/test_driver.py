"""The driver's thread, with a core double."""

import threading
from collections.abc import Callable, Iterator

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.recording.events import Event, ServerDrained
from siprec_core.types import SessionId
from siprec_sync.assembly import assemble
from siprec_sync.events import ServerHub
from siprec_sync.pump import DriverFailedError, Storage
from siprec_sync.server import Server
from siprec_sync.sinks import MemorySinks
from tests.contract.double import CoreDouble
from tests.sync.test_events import ended, established, refused, requested

ONE = SessionId("one")


def make_server() -> Server[CoreDouble]:
    core, hub = CoreDouble(), ServerHub()
    storage = Storage(MemorySinks(), core)
    return Server(core, assemble(core, ["udp://127.0.0.1:0"], hub=hub, storage=storage, limits=Limits()), hub)


@pytest.fixture
def server() -> Iterator[Server[CoreDouble]]:
    with make_server() as made:
        yield made


def put(server: Server[CoreDouble], *events: Event) -> None:
    server.request(lambda core, now: core.put(*events))


def test_requests_run_in_the_driver_s_thread(server: Server[CoreDouble]) -> None:
    assert server.request(lambda core, now: threading.current_thread().name) == "siprec-driver"
    server.accept(ONE)
    server.reject(ONE, 486)
    server.end(ONE)
    assert [name for name, _ in server.core.inputs] == ["accept", "reject", "end"]


def test_decisions_of_a_session_reach_the_core(server: Server[CoreDouble]) -> None:
    put(server, requested(ONE))
    session = next(iter(server))
    session.pause()
    session.resume()
    session.request_snapshot(reason="lost")
    server.pause(ONE)
    server.resume(ONE)
    server.request_snapshot(ONE)
    names = [name for name, _ in server.core.inputs]
    assert names == ["pause", "resume", "request_snapshot"] * 2
    assert [each["reason"] for each in server.core.named("request_snapshot")] == ["lost", None]


def test_a_refused_request_raises_where_it_was_made(server: Server[CoreDouble]) -> None:
    def refuse(core: CoreDouble, now: float) -> None:
        raise LocalProtocolError("not now")

    with pytest.raises(LocalProtocolError, match="not now"):
        server.request(refuse)
    server.end(ONE)


def test_requests_from_many_threads(server: Server[CoreDouble]) -> None:
    def ask() -> None:
        for _ in range(20):
            server.end(ONE)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.core.named("end")) == 320


def test_events_and_sessions(server: Server[CoreDouble]) -> None:
    events = server.events()
    sessions = iter(server)
    put(server, requested(ONE), established(ONE))
    session = next(sessions)
    assert session.id == ONE
    put(server, ended(ONE))
    assert list(session) == [established(ONE), ended(ONE)]
    session.accept()
    session.reject(486)
    session.end()
    assert [name for name, _ in server.core.inputs] == ["accept", "reject", "end"]
    put(server, requested(SessionId("two"), "call"), refused("call"))
    assert list(next(sessions)) == [refused("call")]
    assert events.next() == requested(ONE)
    assert events.next(timeout=0) == established(ONE)


def test_waiting_for_an_event_that_does_not_come(server: Server[CoreDouble]) -> None:
    assert server.events().next(timeout=0.01) is None


def test_leaving_shuts_down_once_and_ends_all_waiting() -> None:
    with make_server() as server:
        events, sessions = server.events(), iter(server)
    assert server.core.named("shut_down")[0]["drain_seconds"] == 0
    assert list(events) == [ServerDrained()]
    assert list(sessions) == []
    assert list(server.events()) == []
    with pytest.raises(LocalProtocolError, match="stopped"):
        server.end(ONE)
    server.close()
    server.wait()


def test_a_drained_server_is_not_drained_again() -> None:
    with make_server() as server:
        server.shut_down(drain_seconds=5)
    assert [each["drain_seconds"] for each in server.core.named("shut_down")] == [5]


def test_a_server_that_was_never_entered_can_be_closed() -> None:
    server = make_server()
    server.close()
    server.close()
    assert server.listeners[0].socket.fileno() == -1


def test_a_fault_reaches_everybody_who_waits() -> None:
    def fault(core: CoreDouble, now: float) -> None:
        raise ZeroDivisionError("oops")

    server = make_server().__enter__()
    events = server.events()
    with pytest.raises(ZeroDivisionError):
        server.request(fault)
    assert list(events) == []
    asks: list[Callable[[], None]] = [lambda: server.end(ONE), server.wait, lambda: server.__exit__(None, None, None)]
    for ask in asks:
        with pytest.raises(DriverFailedError, match="oops") as caught:
            ask()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert isinstance(server.failed, ZeroDivisionError)


def test_a_fault_while_draining_ends_the_shut_down() -> None:
    server = make_server().__enter__()

    def fault(name: str, arguments: object) -> None:
        raise ZeroDivisionError

    server.core.react = fault
    with pytest.raises((DriverFailedError, ZeroDivisionError)):
        server.shut_down(drain_seconds=0)
    server.close()
