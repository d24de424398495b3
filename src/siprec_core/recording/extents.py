"""Where the audio of one line lies: what a first reading of the journal tells a second one."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from siprec_core.media.drift import DriftMeter, corrected
from siprec_core.media.timeline import TICKS_PER_SECOND, ticks_of
from siprec_core.media.wall_clock import WallClock
from siprec_core.recording.placing import ClockPoint, Run

GAP_SECONDS: Final = 1.0
"""Silence of all lines that is cut out on request; shorter silence belongs to speech."""
_GAP = ticks_of(GAP_SECONDS)
_STEP = TICKS_PER_SECOND // 100
"""What is cut out is a multiple of this, whole samples at every rate."""
_SPANS = 100_000
"""Spans of one stretch, more than a day has: timestamps that go to and fro must not fill memory."""
_STRETCHES = 1_000
"""Stretches of one line whose drift is looked for: a source that is anchored again and again has none."""


class Stretch:
    """The audio of one source from one anchor on."""

    __slots__ = ("anchor", "clock", "drift", "end", "meter", "shift", "spans", "ssrc", "start")

    def __init__(self, run: Run) -> None:
        self.ssrc, self.anchor = run.ssrc, run.anchor
        self.start, self.end = run.start, run.end
        self.meter = DriftMeter()
        self.clock: WallClock | None = None
        """What sender reports told; None when none came."""
        self.spans: list[tuple[int, int]] = []
        """Where there is audio, in order of arrival, short gaps left out."""
        self.drift = 0
        """In parts per 1,000,000,000, above 0 for a source that is slow."""
        self.shift = 0
        """Ticks by which everything is moved."""

    def add(self, run: Run) -> None:
        """Take a run."""
        if self.spans and self.spans[-1][0] <= run.start <= self.spans[-1][1] + _GAP:
            self.spans[-1] = (self.spans[-1][0], max(self.spans[-1][1], run.end))
        elif len(self.spans) >= _SPANS:
            first, last = self.spans[-1]
            self.spans[-1] = (min(first, run.start), max(last, run.end))
        else:
            self.spans.append((run.start, run.end))
        self.start = min(self.start, run.start)
        self.end = max(self.end, run.end)
        self.meter.add(run.start, run.delay)

    def place(self, tick: int) -> int:
        """Give where a tick of the timeline comes to lie."""
        return corrected(tick, self.anchor, self.drift) + self.shift


class LineExtent:
    """Where the audio of one line lies. Runs come first; `alignment` then sets drift and shift of the stretches."""

    __slots__ = ("_clocks", "_rest", "_stretches", "end", "rate", "start")

    def __init__(self) -> None:
        self._stretches: dict[tuple[int, int], Stretch] = {}
        self._clocks: dict[tuple[int, int], WallClock] = {}
        self._rest: Stretch | None = None
        self.start = 0
        """Tick of the first sample, as `end` the tick behind the last one known once `close` was called."""
        self.end = 0
        self.rate = 0
        """Highest sampling rate."""

    def add(self, run: Run) -> None:
        """Take a run."""
        self.rate = max(self.rate, run.decoder.sample_rate)
        stretch = self._stretches.get((run.ssrc, run.anchor))
        if stretch is not None:
            stretch.add(run)
        elif len(self._stretches) < _STRETCHES:
            stretch = self._stretches[run.ssrc, run.anchor] = Stretch(run)
            stretch.add(run)
        else:
            if self._rest is None:
                self._rest = Stretch(run)
            self._rest.add(run)

    def report(self, point: ClockPoint) -> None:
        """Take what a sender report tells; it may come before the run of its audio."""
        key = (point.ssrc, point.anchor)
        clock = self._clocks.get(key)
        if clock is None and len(self._clocks) < _STRETCHES:
            clock = self._clocks[key] = WallClock()
        if clock is not None:
            clock.add(point.tick, point.wall)

    def stretches(self) -> list[Stretch]:
        """Give the stretches, once all runs and reports were taken; those of too many have neither drift nor shift."""
        for key, stretch in self._stretches.items():
            stretch.clock = self._clocks.get(key)
        return list(self._stretches.values())

    def close(self) -> None:
        """Tell that drift and shift of the stretches are set."""
        stretches = [*self._stretches.values(), *([] if self._rest is None else [self._rest])]
        self.start = min((stretch.place(stretch.start) for stretch in stretches), default=0)
        self.end = max((stretch.place(stretch.end) for stretch in stretches), default=0)

    def spans(self) -> list[tuple[int, int]]:
        """Give where there is audio on the session's clock; gaps below `GAP_SECONDS` count as audio."""
        spans = [] if self._rest is None else list(self._rest.spans)
        for stretch in self._stretches.values():
            spans += [(stretch.place(start), stretch.place(end)) for start, end in stretch.spans]
        return spans

    def place(self, run: Run) -> tuple[int, int]:
        """Give start and end of a run on the session's clock."""
        stretch = self._stretches.get((run.ssrc, run.anchor))
        return (run.start, run.end) if stretch is None else (stretch.place(run.start), stretch.place(run.end))


class Cuts:
    """Takes gaps that all lines share out of the session's clock."""

    __slots__ = ("_ends", "_removed")

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        """Cut out what none of `spans` (start and end in ticks) covers; nothing without any."""
        self._ends: list[int] = []
        self._removed = [0]
        end: int | None = None
        for start, stop in sorted(spans):
            if end is not None and start - end >= _GAP:
                self._ends.append(start)
                self._removed.append(self._removed[-1] + (start - end) // _STEP * _STEP)
            end = stop if end is None else max(end, stop)

    def place(self, tick: int) -> int:
        """Give where a tick comes to lie."""
        return tick - self._removed[bisect_right(self._ends, tick)]
