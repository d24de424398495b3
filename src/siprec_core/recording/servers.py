"""Which of several recording servers a client asks next, and which ones it leaves alone for a while.

    asked --- refused, broken, silent, or no final answer in time ---> the next one that may be asked
      |
      +-- answered: the call stands

What a call learns of a server counts for the calls after it where they share a `ServerMemory`. A server that named a
Retry-After is not asked before that is over; one that failed otherwise is asked after the others for a while.
"""

from collections.abc import Iterable, Sequence

_DOUBT_SECONDS = 30.0
"""How long a server that failed without a Retry-After stands behind the others."""


class ServerMemory:
    """What calls have learnt of servers, by URI; shared by clients whose `now` comes from the same clock.

    Clients in several threads may share it: each operation is one look into a dictionary, or one change of it.
    """

    __slots__ = ("_doubts", "_rests")

    def __init__(self) -> None:
        self._rests: dict[str, float] = {}
        """Until when servers are left alone that asked for it."""
        self._doubts: dict[str, float] = {}
        """Until when servers are asked last that failed."""

    def order(self, uris: Iterable[str], *, now: float) -> list[str]:
        """Give the servers that may be asked now: first those that nothing speaks against, each in its order."""
        free = [uri for uri in dict.fromkeys(uris) if self._rests.get(uri, now) <= now]
        return sorted(free, key=lambda uri: self._doubts.get(uri, now) > now)

    def resting_until(self, uri: str) -> float | None:
        """Give the instant until which a server is left alone; None when it never asked for that."""
        return self._rests.get(uri)

    def failed(self, uri: str, *, retry_seconds: float | None, now: float) -> None:
        """Take note of a failure.

        RFC 3261 21.5.4: while its Retry-After runs, a server that said 503 SHOULD NOT get other requests.
        """
        if retry_seconds is None:
            self._doubts[uri] = now + _DOUBT_SECONDS
        else:
            self._rests[uri] = now + retry_seconds

    def answered(self, uri: str) -> None:
        """Take note that a server took a call."""
        self._doubts.pop(uri, None)
        self._rests.pop(uri, None)


class ServerChoice:
    """The servers of one call."""

    __slots__ = (
        "_answer",
        "_final",
        "_given_up_at",
        "_left",
        "_longest_rest",
        "_memory",
        "_silence",
        "deadline",
        "uri",
    )

    def __init__(
        self,
        memory: ServerMemory,
        *,
        final_statuses: frozenset[int],
        silence_seconds: float,
        answer_seconds: float,
        longest_rest_seconds: float,
    ) -> None:
        self._memory = memory
        self._final = final_statuses
        self._silence = silence_seconds
        self._answer = answer_seconds
        self._given_up_at: float | None = None
        """When a server that has said something is given up."""
        self._longest_rest = longest_rest_seconds
        self._left: list[str] = []
        self.uri = ""
        """The server that is asked."""
        self.deadline: float | None = None
        """When it is given up for another one; None when there is no other, or it has answered."""

    def begin(self, uris: Sequence[str], *, now: float) -> str | None:
        """Give the first server to ask; None when all of them want to be left alone."""
        self._left = self._memory.order(uris, now=now)
        return self._next()

    def attempted(self, *, now: float) -> None:
        """Take note that the INVITE has left."""
        self._given_up_at = None
        self.deadline = now + self._silence if self._left else None

    def heard(self, *, now: float) -> None:
        """Take note of a provisional response: the server works on it. Only the first one gives it time."""
        if self.deadline is not None:
            self.deadline = self._given_up_at = self._given_up_at or now + self._answer

    def answered(self) -> None:
        """Take note that the server took the call: no other one is asked."""
        self.deadline = None
        self._left = []
        self._memory.answered(self.uri)

    def gives_up(self, now: float) -> bool:
        """Tell whether the server has had its time and another one may be asked in its place."""
        if self.deadline is None or now < self.deadline:
            return False
        self._left = self._memory.order(self._left, now=now)
        self.deadline = None
        return bool(self._left)

    def failed(self, status: int, *, retry_seconds: int | None, now: float) -> str | None:
        """Take note that the server did not take the call; give the next to ask, None when there is none to be asked.

        6xx is the last word: no other place would take the request (RFC 3261 section 21.6).
        """
        self.deadline = None
        rest = None if retry_seconds is None else min(float(retry_seconds), self._longest_rest)
        self._memory.failed(self.uri, retry_seconds=rest, now=now)
        if status >= 600 or status in self._final:
            self._left = []
        # Other calls may have learnt meanwhile that a server wants to be left alone.
        self._left = self._memory.order(self._left, now=now)
        return self._next()

    def _next(self) -> str | None:
        if not self._left:
            return None
        self.uri = self._left.pop(0)
        return self.uri
