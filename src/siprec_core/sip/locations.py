"""The next hops that an endpoint is locating, each for one of its calls: locators that share their questions' ids."""

from collections.abc import Callable, Sequence
from itertools import count

from siprec_core.limits import Limits
from siprec_core.machine import Puts
from siprec_core.sip.locate import Located, LocationFailed, Locator
from siprec_core.sip.names import DnsAnswer, QueryId, RecordType, Resolve
from siprec_core.sip.uri import SipUri
from siprec_core.timers import TimerQueue
from siprec_core.types import Transport


class Locations:
    """Locates at most one URI for each owner (RFC 3263). No input raises."""

    def __init__(self, outbox: Puts[Resolve], *, fraction: Callable[[], float], limits: Limits) -> None:
        """Questions go to `outbox`, which the user shares; `fraction` gives numbers from 0 up to 1."""
        self._outbox = outbox
        self._fraction = fraction
        self._limits = limits
        self._queries = count(1)
        self._locators: dict[int, Locator] = {}
        self._owners: dict[QueryId, int] = {}
        self._questions: dict[int, list[QueryId]] = {}
        self._finished: dict[int, Located | LocationFailed] = {}
        self._timers: TimerQueue[int] = TimerQueue()

    def __contains__(self, owner: int) -> bool:
        """Tell whether something is being located for this owner, or is found and not taken yet."""
        return owner in self._locators or owner in self._finished

    def __len__(self) -> int:
        return len(self._locators) + len(self._finished) + len(self._owners)

    def next_timeout(self) -> float | None:
        """Give the deadline that is due first."""
        return self._timers.next_deadline()

    def handle_timeout(self, *, now: float) -> None:
        """Go on without the answers that have not come in time."""
        while (owner := self._timers.pop_due(now)) is not None:
            self._locators[owner].handle_timeout(now=now)
            self._drain(owner)

    def locate(
        self,
        owner: int,
        uri: SipUri,
        *,
        transports: Sequence[Transport],
        families: Sequence[RecordType],
        large: bool = False,
        secure: bool = False,
        now: float,
    ) -> None:
        """Begin to locate `uri` for `owner`, in place of what was being located for it; arguments as `Locator`'s."""
        self.cancel(owner)
        self._questions[owner] = []
        self._locators[owner] = Locator(
            uri,
            fraction=self._fraction,
            limits=self._limits,
            now=now,
            large=large,
            secure=secure,
            transports=transports,
            families=families,
            queries=self._queries,
        )
        self._drain(owner)

    def cancel(self, owner: int) -> None:
        """Locate nothing more for this owner; harmless when nothing is."""
        self._finished.pop(owner, None)
        self._forget(owner)

    def resolved(self, query: QueryId, answer: DnsAnswer, *, now: float) -> None:
        """Take an answer; one that comes late or was not asked for does nothing."""
        owner = self._owners.pop(query, None)
        if owner is not None:
            self._locators[owner].resolved(query, answer, now=now)
            self._drain(owner)

    def take(self) -> tuple[int, Located | LocationFailed] | None:
        """Give an owner whose locating has ended, with its outcome; None when there is none."""
        for owner in self._finished:
            return owner, self._finished.pop(owner)
        return None

    def _drain(self, owner: int) -> None:
        locator = self._locators[owner]
        while (output := locator.poll_output()) is not None:
            if isinstance(output, Resolve):
                self._owners[output.query] = owner
                self._questions[owner].append(output.query)
                self._outbox.put(output)
            else:
                self._finished[owner] = output
                self._forget(owner)
                return
        deadline = locator.next_timeout()
        if deadline is not None:
            self._timers.set(owner, deadline)

    def _forget(self, owner: int) -> None:
        self._locators.pop(owner, None)
        for query in self._questions.pop(owner, ()):
            self._owners.pop(query, None)
        self._timers.cancel(owner)
