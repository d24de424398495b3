"""Admission and the table of sessions on every worker."""

import threading
from contextlib import suppress
from dataclasses import replace

from siprec_core.errors import LocalProtocolError
from siprec_core.recording.admission import AdmissionPolicy
from siprec_core.recording.events import SessionRefused
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.session_info import SessionStatus
from siprec_core.types import Transport
from tests.contract.conftest import Running, StartServer


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
