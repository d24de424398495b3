"""The driver's task, with a core double."""

import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import anyio
from siprec_anyio.server import Server, run_server
from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.recording.events import ServerDrained
from siprec_core.types import SessionId
from siprec_sync.assembly import assemble
from siprec_sync.events import ServerHub
from siprec_sync.pump import DriverFailedError, Pump, Storage
from siprec_sync.sinks import MemorySinks
from tests.contract.double import CoreDouble
from tests.sync.test_events import ended, established, refused, requested

pytestmark = pytest.mark.anyio

ONE = SessionId("one")


@asynccontextmanager
async def running_server() -> AsyncIterator[Server[CoreDouble]]:
    core, hub = CoreDouble(), ServerHub()
    storage = Storage(MemorySinks(), core)
    assembly = assemble(core, ["udp://127.0.0.1:0"], hub=hub, storage=storage, limits=Limits())
    async with run_server(core, assembly, hub) as server:
        yield server


async def until_heard(server: Server[CoreDouble], name: str, count: int = 1) -> None:
    with anyio.fail_after(10):
        while len(server.core.named(name)) < count:
            await anyio.sleep(0.005)


async def test_datagrams_reach_the_core() -> None:
    async with running_server() as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for _ in range(100):
                peer.sendto(b"x" * 5_000, server.listeners[0].address)
            await until_heard(server, "receive_datagram", 100)


async def test_requests_are_made_at_once() -> None:
    async with running_server() as server:
        server.accept(ONE)
        server.reject(ONE, 486)
        server.end(ONE)
        assert [name for name, _ in server.core.inputs] == ["accept", "reject", "end"]


async def test_decisions_of_a_session_reach_the_core() -> None:
    async with running_server() as server:
        sessions = aiter(server)
        server.request(lambda core, now: core.put(requested(ONE)))
        session = await anext(sessions)
        session.pause()
        session.resume()
        session.request_snapshot(reason="lost")
        server.pause(ONE)
        server.resume(ONE)
        server.request_snapshot(ONE)
        names = [name for name, _ in server.core.inputs]
        assert names == ["pause", "resume", "request_snapshot"] * 2
        assert [each["reason"] for each in server.core.named("request_snapshot")] == ["lost", None]
        await sessions.aclose()  # type: ignore[attr-defined]


async def test_a_deadline_set_by_a_request_is_kept() -> None:
    async with running_server() as server:
        await anyio.sleep(0.01)

        def arm(core: CoreDouble, now: float) -> None:
            core.deadline = now + 0.01

        server.request(arm)
        await until_heard(server, "handle_timeout")


async def test_calls_of_threads_wake_the_task() -> None:
    async with running_server() as server:
        pump: Pump[object] = server._assembly.pump  # type: ignore[assignment]
        await anyio.sleep(0.01)
        threading.Thread(target=lambda: pump.call(lambda now: server.core.end(ONE, now=now))).start()
        await until_heard(server, "end")


async def test_events_and_sessions() -> None:
    async with running_server() as server:
        events = server.events()
        sessions = aiter(server)
        server.request(lambda core, now: core.put(requested(ONE), established(ONE)))
        session = await anext(sessions)
        server.request(lambda core, now: core.put(ended(ONE)))
        assert [event async for event in session] == [established(ONE), ended(ONE)]
        session.accept()
        session.reject(486)
        session.end()
        server.request(lambda core, now: core.put(requested(SessionId("two"), "call"), refused("call")))
        assert [event async for event in await anext(sessions)] == [refused("call")]
        assert await events.next() == requested(ONE)
        await sessions.aclose()  # type: ignore[attr-defined]


async def test_leaving_shuts_down_once_and_ends_all_waiting() -> None:
    async with running_server() as server:
        events, sessions = server.events(), aiter(server)
    assert server.core.named("shut_down")[0]["drain_seconds"] == 0
    assert [event async for event in events] == [ServerDrained()]
    assert [session async for session in sessions] == []
    with pytest.raises(LocalProtocolError, match="stopped"):
        server.end(ONE)
    await server.aclose()
    await server.wait()


async def test_a_drained_server_is_not_drained_again() -> None:
    async with running_server() as server:
        await server.shut_down(drain_seconds=5)
    assert [each["drain_seconds"] for each in server.core.named("shut_down")] == [5]


async def test_cancelling_still_shuts_down() -> None:
    with anyio.CancelScope() as scope:
        async with running_server() as server:
            scope.cancel()
            await anyio.sleep(10)
    assert scope.cancelled_caught
    assert len(server.core.named("shut_down")) == 1
    assert server.listeners[0].socket.fileno() == -1


async def test_an_exception_of_the_block_comes_out_as_itself() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with running_server():
            raise KeyError("mine")


async def test_a_fault_comes_out_of_the_block() -> None:
    def fault(name: str, arguments: object) -> None:
        raise ZeroDivisionError("oops")

    servers: list[Server[CoreDouble]] = []

    async def serve() -> None:
        async with running_server() as server:
            servers.append(server)
            server.core.react = fault
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"x", server.listeners[0].address)
            await anyio.sleep(10)

    with pytest.raises(DriverFailedError, match="oops") as caught:
        await serve()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert isinstance(servers[0].failed, ZeroDivisionError)


async def test_a_fault_within_a_request_stops_the_server() -> None:
    def fault(core: CoreDouble, now: float) -> None:
        raise ZeroDivisionError("oops")

    async def serve() -> None:
        async with running_server() as server:
            with pytest.raises(ZeroDivisionError):
                server.request(fault)
            await anyio.sleep(10)

    with pytest.raises(DriverFailedError, match="oops"):
        await serve()


async def test_without_a_selector_that_can_be_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pump, "fileno", lambda self: None)
    async with running_server() as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.sendto(b"x", server.listeners[0].address)
        await until_heard(server, "receive_datagram")
