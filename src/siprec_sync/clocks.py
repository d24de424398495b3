"""The clocks of this machine, and whether the wall clock was set meanwhile.

Slewing (NTP's small corrections) moves the monotonic clock as well; a step, or a machine that slept, does not.
"""

import time

from siprec_core.clock import TimeBase

LOOK_SECONDS = 1.0
"""Time between two looks at the wall clock."""
STEP_SECONDS = 0.1
"""A wall clock that is so far from where it was expected was set."""


def read_clocks() -> TimeBase:
    """Tie the monotonic clock to the wall clock now."""
    return TimeBase(monotonic=time.monotonic(), unix_ns=time.time_ns())


class ClockWatch:
    """Notices that the wall clock was set."""

    def __init__(self) -> None:
        self._base = read_clocks()

    def look(self, now: float) -> tuple[TimeBase, float] | None:
        """Give the new tie and by how many seconds the wall clock was set; None when it was not, or not looked at."""
        if now - self._base.monotonic < LOOK_SECONDS:
            return None
        base = read_clocks()
        step = (base.unix_ns - self._base.unix_ns_at(base.monotonic)) / 1_000_000_000
        self._base = base
        return (base, step) if abs(step) >= STEP_SECONDS else None
