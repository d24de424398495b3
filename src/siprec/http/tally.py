"""What is counted of events and of the loop, for as long as the server runs."""

from bisect import bisect_left
from collections import Counter
from typing import Final

from siprec_core.recording.events import (
    Event,
    FindingRaised,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
)

LAG_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the buckets of the loop's lag, seconds."""


class Tally:
    """Counts of events. One thread counts, any may read."""

    def __init__(self) -> None:
        self.requested = 0
        """Sessions that were asked for."""
        self.established = 0
        self.ended: Counter[tuple[str, str]] = Counter()
        """Recordings that are over, by status and end reason."""
        self.refused: Counter[int] = Counter()
        """By status of the answer."""
        self.findings: Counter[tuple[str, str]] = Counter()
        """By code and severity."""

    def notice(self, event: Event) -> None:
        """Count an event."""
        match event:
            case SessionRequested():
                self.requested += 1
            case SessionEstablished():
                self.established += 1
            case SessionEnded():
                self.ended[event.status, event.reason] += 1
            case SessionRefused():
                self.refused[event.status] += 1
            case FindingRaised(finding=found):
                self.findings[found.code, found.severity.value] += 1
            case _:
                pass


class LagMeter:
    """How late the server's loop comes to what is due."""

    def __init__(self) -> None:
        self._counts = [0] * (len(LAG_BOUNDS) + 1)
        self.sum = 0.0
        """Seconds."""

    def observe(self, seconds: float) -> None:
        """Take one measurement."""
        self._counts[bisect_left(LAG_BOUNDS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Give, by upper bound, the number of measurements that are not above it; the last one is all."""
        found: list[tuple[str, float]] = []
        count = 0
        for bound, more in zip((*map(str, LAG_BOUNDS), "+Inf"), self._counts, strict=True):
            count += more
            found.append((bound, count))
        return found
