"""A function of the operator's that decides about calls, in threads of its own so that it never delays media.

What it does not answer in time, the core decides by its configuration; what it raises is logged and counts as no
answer. A hook that hangs holds up its thread alone.
"""

import inspect
import logging
import queue
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeAlias

from siprec_core.errors import LocalProtocolError
from siprec_core.recording.decision import Decision, PolicyRequest
from siprec_core.recording.events import Event, SessionRequested
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import SessionId

_LOGGER = logging.getLogger("siprec.policy")

Hook: TypeAlias = Callable[[PolicyRequest], Decision | Coroutine[Any, Any, Decision]]
"""Decides about one call; may be an `async` function where the server runs in an event loop."""

_THREADS = 8
_MOST_JOBS = 1_000
"""Calls that wait for a thread; the deadline decides about the rest."""
DECISION_SECONDS = 2.0
"""How long a hook may take where the configuration does not say."""


class DecidingCore(Protocol):
    """What is used of `RecordingServer`."""

    def policy_request(self, session: SessionId) -> PolicyRequest:
        """Tell about a call that waits for a decision."""

    def decide(self, session: SessionId, decision: Decision, *, now: float) -> None:
        """Carry out a decision."""


def with_hook(config: ServerConfig) -> ServerConfig:
    """Give the configuration of a server that has a hook: calls wait for a decision, but not for ever."""
    return replace(config, manual=True, decision_seconds=config.decision_seconds or DECISION_SECONDS)


class PolicyThreads:
    """Runs a hook; a reader of events."""

    def __init__(
        self,
        hook: Hook,
        core: DecidingCore,
        call: Callable[[Callable[[float], object]], None],
        *,
        undecided: str,
        run: Callable[[Coroutine[Any, Any, Decision]], Decision] | None = None,
    ) -> None:
        """`call` has the driver's thread call a function with `now`; `undecided` is that of the configuration.

        `run` runs an asynchronous hook to its end; None where there is no event loop for such.
        """
        self._hook = hook
        self._core = core
        self._call = call
        self._otherwise = Decision() if undecided == "accept" else Decision(status=503)
        self._run = run
        self._jobs: queue.Queue[PolicyRequest | None] = queue.Queue(_MOST_JOBS)
        self.closed = False
        for number in range(_THREADS):
            threading.Thread(target=self._work, name=f"siprec-policy-{number}", daemon=True).start()

    def put(self, event: Event) -> None:
        """Take an event of the server, in the driver's thread."""
        if not isinstance(event, SessionRequested) or event.initiator != "client":
            return
        try:
            self._jobs.put_nowait(self._core.policy_request(event.session))
        except LocalProtocolError:
            pass  # it was over at once
        except queue.Full:
            _LOGGER.warning("the policy hook is far behind: call %s is decided without it", event.call_id)

    def close(self) -> None:
        """Let the threads end once they are free."""
        self.closed = True
        while True:
            try:
                self._jobs.get_nowait()
            except queue.Empty:
                break
        for _ in range(_THREADS):
            self._jobs.put_nowait(None)

    def _work(self) -> None:
        while (request := self._jobs.get()) is not None:
            self._call(partial(self._apply, request.session, self._decide(request)))

    def _decide(self, request: PolicyRequest) -> Decision:
        try:
            decision = self._hook(request)
            if inspect.iscoroutine(decision) and self._run is None:
                decision.close()
            elif inspect.iscoroutine(decision) and self._run is not None:
                decision = self._run(decision)
            if isinstance(decision, Decision):
                return decision
            _LOGGER.error("the policy hook gave %r, which is no Decision, for call %s", decision, request.call_id)
        except BaseException:
            _LOGGER.exception("the policy hook failed for call %s", request.call_id)
        return self._otherwise

    def _apply(self, session: SessionId, decision: Decision, now: float) -> None:
        try:
            self._core.decide(session, decision, now=now)
        except LocalProtocolError as error:
            _LOGGER.warning("a decision of the policy hook was not carried out: %s", error)
