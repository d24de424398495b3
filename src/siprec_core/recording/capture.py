"""When a line is captured and when not: what comes during a pause goes nowhere.

A pause of ours begins with the wish for it, whatever the client answers; a hold of the client's with the answer to its
offer. Packets are told apart by their arrival, so that those which wait in a socket count where they belong. A line
that is inactive from its first offer on and has audio all the same was never paused: it is recorded, with a finding.
"""

from collections import deque
from collections.abc import Iterable

from siprec_core.recording.account import LineAccount
from siprec_core.rtp.demux import DatagramKind, classify
from siprec_core.types import Component, DatagramBatch

_OPEN = float("inf")
_PAUSES = 4
"""Pauses of one line that are remembered: more of them do not fit between two readings of a socket."""


class Pauses:
    """The pauses of one line."""

    __slots__ = ("_spans",)

    def __init__(self) -> None:
        self._spans: deque[tuple[float, float]] = deque(maxlen=_PAUSES)
        """Beginning and end; the end of the one that goes on is infinite."""

    def set(self, *, paused: bool, now: float) -> None:
        """Pause, or go on; harmless when that is so already."""
        spans = self._spans
        if not spans or spans[-1][1] != _OPEN:
            if paused:
                spans.append((now, _OPEN))
        elif not paused:
            spans[-1] = (spans[-1][0], now)

    def admit(self, batch: DatagramBatch, component: Component) -> DatagramBatch:
        """Give what of a batch is captured: all RTCP, and the audio that came outside of pauses."""
        spans = self._spans
        if not spans or component is Component.RTCP:
            return batch
        kept = [
            index
            for index, at in enumerate(batch.arrivals)
            if not any(begin <= at < end for begin, end in spans)
            or classify(batch.datagrams[index]) is DatagramKind.RTCP
        ]
        if len(kept) == len(batch):
            while spans and batch.arrivals and spans[0][1] <= batch.arrivals[0]:
                spans.popleft()  # later datagrams of this socket are later still
            return batch
        return DatagramBatch(
            [batch.datagrams[index] for index in kept],
            [batch.sources[index] for index in kept],
            [batch.arrivals[index] for index in kept],
        )


class CaptureGate:
    """Keeps the pauses of one session."""

    __slots__ = ("_held", "_lines", "_pauses", "paused")

    def __init__(self) -> None:
        self.paused = False
        """We want nothing of any line."""
        self._held: set[int] = set()
        self._lines: set[int] = set()
        self._pauses: dict[int, Pauses] = {}

    def pause(self, *, paused: bool, now: float) -> None:
        """Take the wish of the application."""
        self.paused = paused
        for line in self._lines:
            self._set(line, now)

    def follow(self, lines: Iterable[LineAccount], *, now: float) -> None:
        """Take what an offer and its answer made of the lines."""
        for line in lines:
            held = line.active and line.held_ns is not None and line.plan.direction == "inactive"
            (self._held.add if held else self._held.discard)(line.index)
            self._lines.add(line.index)
            self._set(line.index, now)

    def admit(self, line: int, batch: DatagramBatch, component: Component) -> DatagramBatch:
        """Give what of a batch is captured: all RTCP, and the audio that came outside of pauses."""
        pauses = self._pauses.get(line)
        return batch if pauses is None else pauses.admit(batch, component)

    def _set(self, line: int, now: float) -> None:
        paused = self.paused or line in self._held
        if paused or line in self._pauses:
            self._pauses.setdefault(line, Pauses()).set(paused=paused, now=now)
