"""After a thousand calls that end in every possible way everything is back where it was; on every worker."""

import gc
import logging
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from siprec_core.limits import Limits
from siprec_core.recording.decision import Decision, PolicyRequest
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.server_status import ServerStatus
from siprec_core.server import RecordingServer
from siprec_core.types import Address, SessionId, Transport
from tests.contract.conftest import Running, StartServer
from tests.contract.peer import PATIENCE, Peer

CALLERS = 8
ASKING_FOR_A_TIMER = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n"
TOO_LATE_SECONDS = 1_000.0
"""Behind every deadline of a call: the longest are those of transactions, session timers and resting ports."""
GROWTH = 4
"""Objects of a class more than before that are no leak: what is being worked on, and what is kept for the next call."""


class Calls:
    """Calls to one server, each with an end of its own. The Call-ID tells the policy hook which."""

    def __init__(self) -> None:
        self.server: Running | None = None
        self._numbers = count()
        self._waiting: dict[str, threading.Event] = {}
        """Calls about which nothing is decided until their caller has given up."""
        self._left: list[Peer] = []
        """Callers that have fallen silent."""

    def decide(self, request: PolicyRequest) -> Decision:
        """Decide as the Call-ID wants it."""
        match request.call_id.partition("-")[0]:
            case "forbidden":
                return Decision(status=403)
            case "unavailable":
                return Decision(status=503)
            case "fault":
                raise RuntimeError("the hook does not work")
            case "cancelled":
                self._waiting[request.call_id].wait(PATIENCE)
            case _:
                pass
        return Decision()

    def run(self, **wanted: int) -> None:
        """Make so many calls of each kind, several at a time."""
        kinds: list[Callable[[], None]] = []
        for kind, many in wanted.items():
            kinds += [getattr(self, kind)] * many
        kinds = [kinds[place * 7 % len(kinds)] for place in range(len(kinds))]  # mixed
        with ThreadPoolExecutor(CALLERS) as threads:
            runs = [(kind, threads.submit(kind)) for kind in kinds]
            failures = [(kind.__name__, error) for kind, run in runs if (error := run.exception()) is not None]
        assert failures == []

    # the ends

    def bye(self) -> None:
        with self._peer("bye") as peer:
            (port,) = peer.establish()
            peer.talk(port, 3)
            assert peer.request("BYE", 2).status == 200

    def server_bye(self) -> None:
        with self._peer("server") as peer:
            peer.establish()
            self._end(peer)
            peer.agree(peer.ask("BYE"))

    def cancel(self) -> None:
        with self._peer("cancelled") as peer:
            self._waiting[peer.call_id] = decided = threading.Event()
            peer.send(peer.invite())
            peer.send(peer.build("CANCEL", 1))
            assert {peer.final().status, peer.final().status} == {200, 487}
            decided.set()
            self._acknowledge(peer)

    def forbidden(self) -> None:
        self._refused("forbidden", 403)

    def unavailable(self) -> None:
        self._refused("unavailable", 503)

    def fault_of_the_hook(self) -> None:
        self._refused("fault", 503)

    def full_disk(self) -> None:
        """Nothing can be written: a call goes on that was taken before that was seen, others get 503."""
        with self._peer("full") as peer:
            peer.send(peer.invite())
            answer = peer.final()
            peer.to_tag = answer.to_tag
            if answer.status == 200:
                peer.send(peer.build("ACK", 1))
                assert peer.request("BYE", 2).status == 200
            else:
                assert answer.status == 503
                self._acknowledge(peer)

    def unusable(self) -> None:
        self._refused("unusable", 488, payload_type=99)

    def lost_connection(self) -> None:
        """The connection is lost, and nobody listens where our BYE goes."""
        with self._peer("lost", Transport.TCP) as peer:
            peer.establish()
        self._end(peer)

    def no_ack(self) -> None:
        peer = self._silent("silent")
        peer.send(peer.invite())
        assert peer.final().status == 200

    def no_refresh(self) -> None:
        """The session timer runs out (RFC 4028 section 10)."""
        self._silent("forgotten").establish(headers=ASKING_FOR_A_TIMER)

    def standing(self) -> None:
        """The call goes on until the server shuts down."""
        self._silent("standing").establish()

    # afterwards

    def let_time_pass(self) -> ServerStatus:
        """Let every deadline of the server come, and its files be written; gives how it is doing then."""
        until = time.monotonic() + 6 * PATIENCE  # each recording is rendered
        while True:
            self._core(lambda core, now: core.handle_timeout(now=now + TOO_LATE_SECONDS))
            status: ServerStatus = self._core(lambda core, now: core.status(now=now))
            if not any(status.sessions.values()) or time.monotonic() > until:
                break
            time.sleep(0.02)
        for peer in self._left:
            peer.close()
        self._left.clear()
        self._waiting.clear()
        # What the peers' closing and the last BYEs left.
        self._core(lambda core, now: core.handle_timeout(now=now + 2 * TOO_LATE_SECONDS))
        return status

    def next_timeout(self) -> float | None:
        return self._core(lambda core, now: core.next_timeout())  # type: ignore[no-any-return]

    def silent_peers(self) -> list[Peer]:
        return self._left

    # inside

    def _running(self) -> Running:
        if self.server is None:
            raise RuntimeError("there is no server")
        return self.server

    def _core(self, function: Callable[[RecordingServer, float], Any]) -> Any:  # noqa: ANN401 - as the function's
        return self._running().decisions.request(function)  # type: ignore[attr-defined]

    def _peer(self, ending: str, transport: Transport | None = None) -> Peer:
        number = next(self._numbers)
        peer = self._running().peer(transport or (Transport.TCP if number % 2 else Transport.UDP))
        peer.call_id = f"{ending}-{number}"
        return peer

    def _silent(self, ending: str) -> Peer:
        peer = self._peer(ending)
        self._left.append(peer)
        return peer

    def _refused(self, ending: str, status: int, payload_type: int = 0) -> None:
        with self._peer(ending) as peer:
            peer.send(peer.invite(payload_type=payload_type))
            assert peer.final().status == status
            self._acknowledge(peer)

    @staticmethod
    def _acknowledge(peer: Peer) -> None:
        """Send the ACK of a refusal, which belongs to the transaction of its INVITE."""
        peer.send(peer.build("ACK", 1).replace(b"-1-ack", b"-1"))

    def _end(self, peer: Peer) -> None:
        def end(core: RecordingServer, now: float) -> None:
            found: list[SessionId] = [
                each for each in core.session_ids() if (info := core.session(each)) and info.call_id == peer.call_id
            ]
            core.end(found[0], now=now)

        self._core(end)


class Standing:
    """What a process and a server hold."""

    def __init__(self, calls: Calls, server: Running) -> None:
        status = calls.let_time_pass()
        assert not any(status.sessions.values()), status
        assert calls.next_timeout() is None, "no timer runs"
        assert (status.ports.taken, status.streams, status.waiting_calls) == (0, 0, 0)
        _forget_events(server)
        _clear_caches()
        gc.collect()
        self.descriptors = len(os.listdir("/proc/self/fd"))
        self.threads = threading.active_count()
        self.tasks = _count_tasks(server)
        found = [each for each in gc.get_objects() if not _is_of_reader(each)]
        self.objects = Counter(type(each).__name__ for each in found if str(type(each).__module__).startswith("siprec"))
        self.total = len(found)
        """Objects of every kind: less than one more for each call."""
        del found

    def leaks_since(self, before: "Standing") -> dict[str, int]:
        """Tell what there is more than before."""
        grown = {name: many - before.objects[name] for name, many in self.objects.items()}
        leaks = {name: more for name, more in grown.items() if more > GROWTH}
        for name, slack in (("descriptors", 1), ("threads", 0), ("tasks", 0), ("total", sum(ENDINGS.values()))):
            more = getattr(self, name) - getattr(before, name)
            if more > slack:
                leaks[name] = more
        return leaks


def _is_of_reader(found: object) -> bool:
    """Tell whether an object may be the reader's of datagrams: its buffers, and the peers that it knows again, up to a
    bound."""
    return isinstance(found, memoryview | Address) or (
        type(found) is tuple and len(found) > 0 and isinstance(found[0], Address)
    )


def _clear_caches() -> None:
    """Empty the caches of functions, which are bounded, but wider than a test."""
    for each in gc.get_objects():
        if isinstance(each, type(lru_cache(len))) and str(each.__module__).startswith("siprec"):
            each.cache_clear()


def _forget_events(server: Running) -> None:
    """Read what the server has told."""
    server.events.clear()
    try:
        while True:
            server._queue.get_nowait()
    except queue.Empty:
        pass


def _count_tasks(server: Running) -> int:
    """Count the tasks of the server's event loop."""

    def count_trio() -> int:
        import trio

        return trio.lowlevel.current_statistics().tasks_living

    async def count_here() -> int:
        import asyncio

        import sniffio

        return count_trio() if sniffio.current_async_library() == "trio" else len(asyncio.all_tasks())

    call = getattr(server.decisions, "_call", None)
    return 0 if call is None else int(call(count_here))


ENDINGS = {
    "bye": 150,
    "server_bye": 60,
    "lost_connection": 30,
    "no_ack": 20,
    "no_refresh": 20,
    "cancel": 180,
    "forbidden": 150,
    "unavailable": 130,
    "fault_of_the_hook": 130,
    "unusable": 130,
}
"""How many calls end in which way: a thousand."""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_a_thousand_calls_leave_nothing_behind(start_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is logged of a thousand calls is kept by the test runner.
    monkeypatch.setattr(logging.getLogger("siprec"), "disabled", True)
    monkeypatch.setattr(logging.getLogger("siprec.policy"), "disabled", True)
    calls = Calls()
    # The rate is counted by a clock that never jumps; here it does.
    limits = Limits(requests_per_source=1_000_000, requests_burst=1_000_000)
    config = ServerConfig(undecided="reject", decision_seconds=PATIENCE, limits=limits)
    calls.server = server = start_server(config=config, policy_hook=calls.decide)
    calls.run(**dict.fromkeys(ENDINGS, 4))
    before = Standing(calls, server)
    calls.run(**ENDINGS)
    assert Standing(calls, server).leaks_since(before) == {}
    with monkeypatch.context() as patch:
        patch.setattr("siprec_sync.directory_sinks.write_all", _full)
        calls.run(full_disk=8)
        assert Standing(calls, server).leaks_since(before) == {}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_a_server_that_shuts_down_in_many_calls_leaves_nothing_behind(start_server: StartServer) -> None:
    calls = Calls()
    calls.server = server = start_server()
    calls.run(bye=4)
    before = Standing(calls, server)
    calls.run(standing=16)
    with ThreadPoolExecutor(CALLERS) as threads:
        done = threads.submit(server.decisions.shut_down, 0.0)
        for answered in [threads.submit(_agree_to_bye, peer) for peer in calls.silent_peers()]:
            answered.result()
        done.result()
    assert Standing(calls, server).leaks_since(before) == {}


def _agree_to_bye(peer: Peer) -> None:
    peer.agree(peer.ask("BYE"))


def _full(descriptor: int, data: bytes, offset: int | None = None) -> None:
    raise OSError(28, "No space left on device")
