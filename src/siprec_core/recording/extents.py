"""Where the audio of one line lies: what a first reading of the journal tells a second one."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from siprec_core.media.drift import DriftMeter, corrected
from siprec_core.media.timeline import TICKS_PER_SECOND, ticks_of
from siprec_core.recording.placing import Run

GAP_SECONDS: Final = 1.0
"""Silence of all lines that is cut out on request; shorter silence belongs to speech."""
_GAP = ticks_of(GAP_SECONDS)
_STEP = TICKS_PER_SECOND // 100
"""What is cut out is a multiple of this, whole samples at every rate."""
_SPANS = 100_000
"""Spans of one stretch, more than a day has: timestamps that go to and fro must not fill memory."""
_STRETCHES = 1_000
"""Stretches of one line whose drift is looked for: a source that is anchored again and again has none."""


class _Stretch:
    """The audio of one source from one anchor on."""

    __slots__ = ("end", "meter", "spans", "start")

    def __init__(self, run: Run) -> None:
        self.start, self.end = run.start, run.end
        self.meter = DriftMeter()
        self.spans: list[tuple[int, int]] = []
        """Where there is audio, in order of arrival, short gaps left out."""

    def add(self, run: Run) -> None:
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


class LineExtent:
    """Where the audio of one line lies, and the drift of its sources."""

    __slots__ = ("_drifts", "_rest", "_stretches", "end", "rate", "start")

    def __init__(self) -> None:
        self._stretches: dict[tuple[int, int], _Stretch] = {}
        self._rest: _Stretch | None = None
        self._drifts: dict[tuple[int, int], int] = {}
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
            stretch = self._stretches[run.ssrc, run.anchor] = _Stretch(run)
            stretch.add(run)
        else:
            if self._rest is None:
                self._rest = _Stretch(run)
            self._rest.add(run)

    def close(self) -> None:
        """Tell that no run follows."""
        starts, ends = [], []
        for key, stretch in self._stretches.items():
            drift = stretch.meter.drift()
            if drift:
                self._drifts[key] = drift
            starts.append(corrected(stretch.start, key[1], drift))
            ends.append(corrected(stretch.end, key[1], drift))
        if self._rest is not None:
            starts.append(self._rest.start)
            ends.append(self._rest.end)
        self.start, self.end = min(starts, default=0), max(ends, default=0)

    def spans(self) -> list[tuple[int, int]]:
        """Give where there is audio on the session's clock; gaps below `GAP_SECONDS` count as audio."""
        spans = [] if self._rest is None else list(self._rest.spans)
        for key, stretch in self._stretches.items():
            drift = self._drifts.get(key, 0)
            spans += [(corrected(start, key[1], drift), corrected(end, key[1], drift)) for start, end in stretch.spans]
        return spans

    def place(self, run: Run) -> tuple[int, int]:
        """Give start and end of a run on the session's clock, the drift of its source taken out."""
        drift = self._drifts.get((run.ssrc, run.anchor), 0)
        if not drift:
            return run.start, run.end
        return corrected(run.start, run.anchor, drift), corrected(run.end, run.anchor, drift)


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
