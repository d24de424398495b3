"""Where the audio of one line lies: what a first reading of the journal tells a second one."""

from siprec_core.media.drift import DriftMeter, corrected
from siprec_core.recording.placing import Run

_STRETCHES = 1_000
"""Stretches of one line whose drift is looked for: a source that is anchored again and again has none."""


class _Stretch:
    """The audio of one source from one anchor on."""

    __slots__ = ("end", "meter", "start")

    def __init__(self, run: Run) -> None:
        self.start, self.end = run.start, run.end
        self.meter = DriftMeter()

    def add(self, run: Run) -> None:
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
        elif self._rest is None:
            self._rest = _Stretch(run)
        else:
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

    def place(self, run: Run) -> tuple[int, int]:
        """Give start and end of a run on the session's clock, the drift of its source taken out."""
        drift = self._drifts.get((run.ssrc, run.anchor), 0)
        if not drift:
            return run.start, run.end
        return corrected(run.start, run.anchor, drift), corrected(run.end, run.anchor, drift)
