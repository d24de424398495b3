"""Where the audio of a source lies on the wall clock of its sender, as sender reports tell (RFC 3550 section 6.4.1).

A report ties the source's RTP timestamps to the sender's wall clock at one instant. What is kept is the difference
between that wall clock and the place that the timeline gives the timestamp: for an honest sender a straight line, level
where its sampling clock is true. A clock that was set, or numbers without sense, are no line and are not believed.
"""

from typing import Final, NamedTuple

from siprec_core.media.drift import DriftMeter
from siprec_core.media.timeline import ticks_of

_AGREEMENT_SECONDS: Final = 0.05
"""How far a report may lie from the line of the others: senders take the two clocks of one report some time apart."""
_LEAST_AGREEMENT: Final = 0.75
"""Share of the reports that have to lie on the line."""


class Relation(NamedTuple):
    """How a source's places relate to its sender's wall clock."""

    level: int
    """Wall clock less place at the source's anchor, in ticks."""
    drift: int | None
    """How much faster the wall clock runs than the source's own, in parts per 1,000,000,000; None when it is not
    certain."""


class WallClock:
    """The sender reports of one source since it was anchored. All positions in ticks."""

    __slots__ = ("_meter",)

    def __init__(self) -> None:
        self._meter = DriftMeter()

    def add(self, tick: int, wall: int) -> None:
        """Take a report: the place of its RTP timestamp, and the sender's wall clock at that instant."""
        self._meter.add(tick, wall - tick)

    def relation(self, anchor: int) -> Relation | None:
        """Give how the two clocks relate from `anchor` on, None when the reports contradict one another."""
        drift = self._meter.slope()
        if self._meter.agreement(drift or 0, ticks_of(_AGREEMENT_SECONDS)) < _LEAST_AGREEMENT:
            return None
        return Relation(self._meter.level(anchor, drift or 0), drift)
