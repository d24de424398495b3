"""Admission and the table of sessions on every worker."""

import threading
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.recording.admission import AdmissionPolicy
from siprec_core.recording.events import Diagnostic, SessionRefused
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.session_info import SessionStatus
from siprec_core.types import Transport
from tests.contract.conftest import Running, StartServer
from tests.ports import free_ports


def test_a_call_waits_in_line_until_another_ends(start_server: StartServer) -> None:
    policy = AdmissionPolicy(queue_seconds=30.0)
    server = start_server(config=ServerConfig(max_sessions=1, when_full="queue", admission=policy))
    with server.peer() as first, server.peer(Transport.TCP) as second:
        first.establish()
        second.send(second.invite())
        assert second.receive().status == 100
        assert first.request("BYE", 2).status == 200
        assert second.final().status == 200


def test_a_call_that_waited_too_long_is_busy(start_server: StartServer) -> None:
    policy = AdmissionPolicy(queue_seconds=0.2)
    server = start_server(config=ServerConfig(max_sessions=1, when_full="queue", admission=policy))
    with server.peer() as first, server.peer() as second:
        first.establish()
        second.send(second.invite())
        assert second.final().status == 486
        refused: SessionRefused = server.until(SessionRefused)
        assert refused.status == 486


@pytest.mark.parametrize(("when_full", "status"), [("busy", 486), ("unavailable", 503)])
def test_a_call_without_room_is_refused_as_options_say(start_server: StartServer, when_full: str, status: int) -> None:
    server = start_server(config=ServerConfig(max_sessions=1, when_full=when_full))
    with server.peer() as first, server.peer(Transport.TCP) as second:
        first.establish()
        options = second.request("OPTIONS", 1)
        second.send(second.invite())
        answer = second.final()
        assert options.status == answer.status == status
        assert answer.header("Retry-After") == ("10" if status == 503 else "")
        assert first.request("BYE", 2).status == 200
        assert second.request("OPTIONS", 2).status == 200


def test_one_address_does_not_take_all_the_room(start_server: StartServer) -> None:
    policy = AdmissionPolicy(max_sessions_per_peer=1)
    server = start_server(config=ServerConfig(max_sessions=10, admission=policy))
    with server.peer() as first, server.peer(Transport.TCP) as second:
        first.establish()
        second.send(second.invite())
        assert second.final().status == 486


def test_ports_run_dry_and_come_back(start_server: StartServer) -> None:
    """Those of the expansion serve before a call is refused; what a call gives back serves the next one."""
    low = free_ports(8)
    config = ServerConfig(rtp_ports=(low, low + 3), rtp_ports_expansion=(low + 4, low + 7))
    server = start_server(config=config)
    with ExitStack() as stack:
        peers = [stack.enter_context(server.peer()) for _ in range(6)]
        taken = [peer.establish()[0] for peer in peers[:2]]
        assert all(low <= port <= low + 3 for port in taken)
        assert peers[2].request("OPTIONS", 1).status == 200
        expanded = [peer.establish()[0] for peer in peers[2:4]]
        assert all(low + 4 <= port <= low + 7 for port in expanded)
        assert server.until(Diagnostic).code == "rtp-ports-expanded"
        peers[4].send(peers[4].invite())
        answer = peers[4].final()
        assert (answer.status, answer.header("Retry-After")) == (503, "10")
        assert peers[3].request("BYE", 2).status == 200
        server.ended()
        assert peers[5].establish() == [expanded[1]], "only a resting one is left"
    with server.peer() as last:
        last.send(last.invite())
        assert last.final().status == 503


def test_a_stranger_is_forbidden(start_server: StartServer) -> None:
    server = start_server(config=ServerConfig(admission=AdmissionPolicy(networks=("192.0.2.0/24",))))
    with server.peer() as stranger:
        stranger.send(stranger.invite())
        assert stranger.final().status == 403


def test_sessions_are_looked_up_and_changed_from_16_threads_while_calls_come_and_go(server: Running) -> None:
    """A race: no look fails, none sees half a session, and what is started and stopped meanwhile is all there."""
    faults: list[BaseException] = []
    over = threading.Event()
    looks = [0] * 12

    def look(number: int) -> None:
        try:
            while not over.is_set():
                for key, info in server.table.sessions().items():
                    assert key == info.id
                    again = server.table.session(key)
                    assert again is None or again.call_id == info.call_id
                    assert info.status in SessionStatus
                    assert replace(info) == info
                looks[number] += 1
        except BaseException as error:  # noqa: BLE001 - told below, in the test's own thread
            faults.append(error)

    def call(number: int) -> None:
        try:
            for _ in range(4):
                with server.peer(Transport.TCP if number % 2 else Transport.UDP) as peer:
                    peer.establish()
                    peer.request("BYE", 2)
        except BaseException as error:  # noqa: BLE001 - as above
            faults.append(error)

    watchers = [threading.Thread(target=look, args=(number,)) for number in range(12)]
    callers = [threading.Thread(target=call, args=(number,)) for number in range(2)]
    callers += [threading.Thread(target=look_and_end, args=(server, over, faults)) for _ in range(2)]
    for thread in (*watchers, *callers):
        thread.start()
    for thread in callers[:2]:
        thread.join()
    over.set()
    for thread in (*watchers, *callers):
        thread.join()
    assert not faults
    assert all(looks)


def look_and_end(server: Running, over: threading.Event, faults: list[BaseException]) -> None:
    """Change the sessions that are there, and look for and end such that are not."""
    try:
        while not over.is_set():
            for key in list(server.table.sessions()):
                server.table.session(type(key)(key + "x"))
                server.table.end(type(key)(key + "x"))
                with suppress(LocalProtocolError):  # it is over meanwhile
                    server.table.mark(key, f"seen by {threading.current_thread().name}")
    except BaseException as error:  # noqa: BLE001 - told in the test's own thread
        faults.append(error)
