"""Datagrams that wait for their source to be believed, bounded in number, octets and rate.

RFC 3550 appendix A.1 believes a source after two packets in sequence and throws the first one away. A recorder keeps
it: the datagrams of a candidate are copied here, and handed over once the candidate passes. A candidate is a source
address together with a synchronisation source; a jump within a known source is a candidate of its own.
"""

from enum import Enum
from typing import NamedTuple

from siprec_core.limits import Limits
from siprec_core.rtp.sequence import Probation, Trial
from siprec_core.types import Address, Component

DATAGRAMS_PER_CANDIDATE = 8
"""Datagrams held of one candidate: reordering at the start of a stream reaches no further."""
RTCP_DATAGRAMS = 4
"""RTCP datagrams held while no source is known."""


class HeldDatagram(NamedTuple):
    """A copy of one datagram."""

    component: Component
    data: bytes
    source: Address
    arrival: float
    """Seconds on the driver's clock."""


class Waiting(NamedTuple):
    """A held datagram and where in the input it stood."""

    datagram: HeldDatagram
    batch: int
    """Serial number of the batch that brought it."""
    position: int
    """Its place in that batch."""


class Outcome(Enum):
    """What became of a datagram that was offered."""

    HELD = 1
    REFUSED = 2
    """Too many new synchronisation sources."""
    PASSED = 3
    """Its candidate is believed: `take` the held ones, then place this one."""


class _Candidate:
    __slots__ = ("probation", "waiting")

    def __init__(self, probation: Probation) -> None:
        self.probation = probation
        self.waiting: list[Waiting] = []


class ProbationTable:
    """The candidates of one media line, and RTCP that came before any source was known."""

    __slots__ = ("_candidates", "_creations", "_limits", "_rtcp", "held_size")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._candidates: dict[tuple[Address, int], _Candidate] = {}  # oldest first
        self._creations: list[float] = []
        self._rtcp: list[Waiting] = []
        self.held_size = 0
        """Octets held, never more than `Limits.probation_size`."""

    def __len__(self) -> int:
        return len(self._candidates)

    def offer(self, item: Waiting, *, ssrc: int, sequence_number: int, known: bool, vouched: bool = False) -> Outcome:
        """Judge an RTP datagram.

        `known` marks a jump within a believed source, which the rate of new ones does not bound; `vouched` a source
        that is believed at its first packet.
        """
        key = (item.datagram.source, ssrc)
        candidate = self._candidates.get(key)
        if candidate is None:
            if vouched:
                return Outcome.PASSED
            if not known and not self._may_create(item.datagram.arrival):
                return Outcome.REFUSED
            if len(self._candidates) >= self._limits.ssrcs_per_line:
                self._drop(next(iter(self._candidates)))
            candidate = _Candidate(Probation(sequence_number, max_dropout=self._limits.sequence_jump))
            self._candidates[key] = candidate
        else:
            trial = candidate.probation.update(sequence_number)
            if trial is Trial.UNRELATED:
                self._release(candidate.waiting)
            if vouched or trial is Trial.PASSED:
                return Outcome.PASSED
        self._hold(candidate.waiting, item, DATAGRAMS_PER_CANDIDATE)
        return Outcome.HELD

    def take(self, source: Address, ssrc: int) -> list[Waiting]:
        """Hand over the datagrams of a candidate that passed, in order of arrival, and forget it."""
        candidate = self._candidates.pop((source, ssrc), None)
        if candidate is None:
            return []
        waiting = list(candidate.waiting)
        self._release(candidate.waiting)
        return waiting

    def hold_rtcp(self, item: Waiting) -> None:
        """Keep an RTCP datagram until a source is known; the oldest goes when there are too many."""
        self._hold(self._rtcp, item, RTCP_DATAGRAMS)

    def take_rtcp(self) -> list[Waiting]:
        """Hand over all held RTCP datagrams, in order of arrival."""
        waiting = list(self._rtcp)
        self._release(self._rtcp)
        return waiting

    def forget_before(self, source: Address, ssrc: int, instant: float) -> None:
        """Forget a candidate of which something that arrived before an instant is held."""
        candidate = self._candidates.get((source, ssrc))
        if candidate is not None and candidate.waiting and candidate.waiting[0].datagram.arrival < instant:
            self._drop((source, ssrc))

    def keep_only(self, sources: tuple[Address | None, ...]) -> None:
        """Forget the candidates of all other source addresses."""
        for key in [key for key in self._candidates if key[0] not in sources]:
            self._drop(key)

    def _may_create(self, arrival: float) -> bool:
        # Counted within the second before this arrival, whatever the order of the calls: the datagrams of a journal,
        # fewer than those that came and some of them later in order, then never meet a tighter bound than live ones
        # did.
        recent = sum(arrival - 1.0 < created <= arrival for created in self._creations)
        if recent >= self._limits.new_ssrcs_per_second:
            return False
        self._creations.append(arrival)
        del self._creations[: -4 * self._limits.new_ssrcs_per_second]
        return True

    def _hold(self, waiting: list[Waiting], item: Waiting, bound: int) -> None:
        waiting.append(item)
        self.held_size += len(item.datagram.data)
        if len(waiting) > bound:
            self._release_oldest(waiting)
        self._shrink()

    def _shrink(self) -> None:
        while self.held_size > self._limits.probation_size:
            key = next(iter(self._candidates), None)
            if key is None:
                self._release_oldest(self._rtcp)
                continue
            self._release_oldest(self._candidates[key].waiting)
            if not self._candidates[key].waiting:
                del self._candidates[key]

    def _drop(self, key: tuple[Address, int]) -> None:
        self._release(self._candidates.pop(key).waiting)

    def _release(self, waiting: list[Waiting]) -> None:
        while waiting:
            self._release_oldest(waiting)

    def _release_oldest(self, waiting: list[Waiting]) -> None:
        self.held_size -= len(waiting.pop(0).datagram.data)
