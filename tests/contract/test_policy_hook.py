"""A hook that decides about calls, on every worker."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import anyio
from siprec_core.recording.decision import Decision, PolicyRequest
from siprec_core.recording.policy import ServerConfig
from tests.contract.conftest import StartServer


def refuse(request: PolicyRequest) -> Decision:
    assert request.marks.any
    return Decision(status=603, reason="Go Away")


async def refuse_later(request: PolicyRequest) -> Decision:
    await anyio.sleep(0.01)
    return refuse(request)


def fail(request: PolicyRequest) -> Decision:
    raise RuntimeError("a fault in the hook")


def answer_nonsense(request: PolicyRequest) -> Any:  # noqa: ANN401 - that is the point
    return 7


@pytest.mark.parametrize(
    ("hook", "undecided", "expected"),
    [
        (lambda request: Decision(), "reject", 200),
        (refuse, "accept", 603),
        (fail, "accept", 200),
        (fail, "reject", 503),
        (answer_nonsense, "reject", 503),
    ],
)
def test_what_the_hook_says_counts(
    start_server: StartServer, hook: Callable[..., Any], undecided: str, expected: int
) -> None:
    config = ServerConfig(undecided=undecided, decision_seconds=8.0)
    server = start_server(config=config, policy_hook=hook)
    with server.peer() as peer:
        peer.send(peer.invite())
        answer = peer.final()
        assert answer.status == expected
        if expected == 200:
            peer.to_tag = answer.to_tag
            peer.send(peer.build("ACK", 1))
            assert peer.request("BYE", 2).status == 200


def test_a_hook_that_hangs_holds_up_nothing(start_server: StartServer) -> None:
    release = threading.Event()

    def hang(request: PolicyRequest) -> Decision:
        release.wait(30)
        return Decision()

    server = start_server(config=ServerConfig(decision_seconds=0.2), policy_hook=hang)
    try:
        for _ in range(12):
            with server.peer() as peer:
                peer.establish()
                assert peer.request("BYE", 2).status == 200
    finally:
        release.set()


def test_an_asynchronous_hook_runs_in_a_loop_of_its_own(start_server: StartServer, worker: str) -> None:
    server = start_server(config=ServerConfig(undecided="reject", decision_seconds=8.0), policy_hook=refuse_later)
    with server.peer() as peer:
        peer.send(peer.invite())
        # Threads have no event loop: there such a hook counts as one that fails.
        assert peer.final().status == (503 if worker == "sync" else 603)
