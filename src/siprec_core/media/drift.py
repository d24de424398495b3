"""How fast a source's clock runs beside ours, and its audio put right accordingly.

Sampling clocks are off by up to some hundred millionths: an hour of a source that is off by 50 is 180 ms longer or
shorter than an hour. RFC 3550 section 6.4.1 leaves it to the receiver to find that out. Network delay has a floor but
no ceiling, so the least delay of a stretch of audio is what tells; the change of that floor over the call is the drift.
The estimate is taken only when a straight line explains the floor: a network that changed its ways is no clock.
"""

from typing import Final

from siprec_core.media.timeline import TICKS_PER_SECOND, ticks_of

WINDOW_SECONDS: Final = 4.0
"""Stretch of audio of which the least delay is taken."""
LEAST_SECONDS: Final = 30.0
"""In less audio than that no drift is looked for: it would be a few milliseconds."""
LARGEST_DRIFT: Final = 1_000_000
"""Largest drift believed, in parts per 1,000,000,000: ten times what oscillators are off by."""
_POINTS = 256
"""Windows kept; with more of them they become longer."""
_LEAST_CHANGE_SECONDS = 0.001
"""Change of the floor over all of the audio that is worth a correction."""
_ROUGHNESS_SECONDS = 0.002
"""How far from the line the floor may lie, in the median."""
_PARTS = 1_000_000_000
_SAMPLE_SIZE = 2


class DriftMeter:
    """Watches the delay of one source since it was anchored. All positions in ticks."""

    __slots__ = ("_points", "_window")

    def __init__(self) -> None:
        self._points: list[tuple[int, int]] = []
        self._window = ticks_of(WINDOW_SECONDS)

    def add(self, tick: int, delay: int) -> None:
        """Take the least delay (arrival less place) of some audio at `tick`."""
        points = self._points
        if points and tick - points[-1][0] < self._window:
            if delay < points[-1][1]:
                # It keeps the place of its window, so that windows keep their length.
                points[-1] = (points[-1][0], delay)
            return
        points.append((tick, delay))
        if len(points) > _POINTS:
            self._window *= 2
            # Of two neighbours the lower one stays; the newest has none and goes.
            pairs = zip(points[:-1:2], points[1::2], strict=True)
            self._points = [min(pair, key=_delay_of) for pair in pairs]

    def drift(self) -> int:
        """Give the drift in parts per 1,000,000,000, above 0 for a source that is slow; 0 when none is certain."""
        points, slope = self._points, self.slope()
        if slope is None:
            return 0
        change = abs(slope) * (points[-1][0] - points[0][0]) // _PARTS
        if change < 4 * self._roughness(slope):
            return 0
        return worth_correction(slope, points[-1][0] - points[0][0])

    def slope(self) -> int | None:
        """Give the slope of the straight line that explains the delays, in parts per 1,000,000,000; None when none
        does, or not for long enough to tell."""
        points = self._points
        half = len(points) // 2
        if half < 2 or points[-1][0] - points[0][0] < ticks_of(LEAST_SECONDS):
            return None
        slopes = sorted(
            (later[1] - earlier[1]) * _PARTS // (later[0] - earlier[0])
            for earlier, later in zip(points[:half], points[-half:], strict=True)
        )
        slope = slopes[half // 2]
        straight = self._roughness(slope) <= ticks_of(_ROUGHNESS_SECONDS)
        return slope if straight and abs(slope) <= LARGEST_DRIFT else None

    def level(self, tick: int, slope: int) -> int:
        """Give the delay at a tick, as a line with this slope has it; 0 without any audio."""
        floor = self._floor(tick, slope)
        return sorted(floor)[len(floor) // 2] if floor else 0

    def agreement(self, slope: int, tolerance: int) -> float:
        """Give the share (0 to 1) of delays that lie within `tolerance` ticks of a line with this slope."""
        floor = self._floor(0, slope)
        middle = self.level(0, slope)
        return sum(abs(each - middle) <= tolerance for each in floor) / len(floor) if floor else 0.0

    def _roughness(self, slope: int) -> int:
        """Give how far from the line the delays lie, in the median."""
        floor = self._floor(0, slope)
        middle = sorted(floor)[len(floor) // 2]
        return sorted(abs(each - middle) for each in floor)[len(floor) // 2]

    def _floor(self, tick: int, slope: int) -> list[int]:
        return [delay - (at - tick) * slope // _PARTS for at, delay in self._points]


def worth_correction(drift: int, length: int) -> int:
    """Give a drift, or 0 where it changes less than a millisecond over audio of `length` ticks."""
    return drift if abs(drift) * length // _PARTS >= ticks_of(_LEAST_CHANGE_SECONDS) else 0


def _delay_of(point: tuple[int, int]) -> int:
    return point[1]


def corrected(tick: int, anchor: int, drift: int) -> int:
    """Give the place on our clock of what a source with a drift, anchored at a tick, has at `tick`."""
    return tick + (tick - anchor) * drift // _PARTS


def sample_at(tick: int, rate: int) -> int:
    """Give the sample at or before a tick."""
    return tick * rate // TICKS_PER_SECOND


def fitted(pcm: bytes, size: int) -> bytes:
    """Give 16-bit PCM of `size` samples of PCM about as long: single samples are left out or come twice, evenly."""
    count = len(pcm) // _SAMPLE_SIZE
    change = size - count
    if not change or count == 0:
        return pcm
    steps = abs(change)
    if steps >= count:
        return pcm[: size * _SAMPLE_SIZE].ljust(size * _SAMPLE_SIZE, b"\0")
    parts = []
    position = 0
    for step in range(1, steps + 1):
        end = count * step // (steps + 1)
        # A sample again, or one less, at each seam.
        parts.append(pcm[position * _SAMPLE_SIZE : (end if change > 0 else end - 1) * _SAMPLE_SIZE])
        if change > 0:
            parts.append(pcm[max(end - 1, 0) * _SAMPLE_SIZE : max(end, 1) * _SAMPLE_SIZE])
        position = end
    parts.append(pcm[position * _SAMPLE_SIZE :])
    return b"".join(parts)
