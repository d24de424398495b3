"""Concealment of lost audio: the last pitch period goes on for a moment and fades.

The idea is that of ITU-T G.711 Appendix I, made for listeners that are programs: the ends are not overlapped, since no
delay is spent on audio that came well.
"""

import sys
from array import array
from collections import deque
from operator import mul
from typing import Final

_HISTORY_SECONDS: Final = 0.04
_SHORTEST_PITCH_SECONDS: Final = 0.005
_LONGEST_PITCH_SECONDS: Final = 0.015
_TEMPLATE_SECONDS: Final = 0.01
_FULL_SECONDS: Final = 0.01
"""So much is repeated at full strength."""
_FADED_SECONDS: Final = 0.06
"""After so much there is silence."""
_FRAMES: Final = 8


class Concealment:
    """Makes up for lost audio of one source: 16-bit little-endian PCM of one channel."""

    __slots__ = ("_concealed", "_heard", "_period", "_sample_rate")

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._heard: deque[bytes] = deque(maxlen=_FRAMES)
        self._concealed = 0
        self._period: array[int] = array("h")

    def hear(self, pcm: bytes) -> None:
        """Take audio that came."""
        self._heard.append(pcm)
        self._concealed = 0

    def conceal(self, samples: int) -> bytes:
        """Give so many samples in place of lost ones."""
        if not self._concealed:
            self._period = self._last_period()
        first, period = self._concealed, self._period
        self._concealed += samples
        full, faded = self._sample_rate * _FULL_SECONDS, self._sample_rate * _FADED_SECONDS
        audible = max(0, min(samples, int(faded) - first)) if period else 0
        repeated = [period[place % len(period)] for place in range(first, first + audible)]
        for index in range(max(0, int(full) - first), audible):
            repeated[index] = int(repeated[index] * (faded - first - index) / (faded - full))
        made = array("h", repeated + [0] * (samples - audible))
        return _octets(made)

    def _last_period(self) -> "array[int]":
        size = int(self._sample_rate * _HISTORY_SECONDS)
        heard = array("h", b"".join(self._heard)[-2 * size :])
        if sys.byteorder == "big":
            heard.byteswap()
        shortest, longest, template = (
            int(self._sample_rate * seconds)
            for seconds in (_SHORTEST_PITCH_SECONDS, _LONGEST_PITCH_SECONDS, _TEMPLATE_SECONDS)
        )
        if len(heard) < longest + template:
            return heard[-shortest:]
        # Few samples tell the pitch nearly, all of them around it tell it exactly.
        step = max(1, self._sample_rate // 4_000)
        near = _best_lag(heard[(len(heard) - 1) % step :: step], template // step, shortest // step, longest // step)
        best = _best_lag(heard, template, max(shortest, (near - 1) * step), min(longest, (near + 1) * step))
        return heard[-best:]


def _best_lag(heard: "array[int]", size: int, shortest: int, longest: int) -> int:
    """Tell by how many samples the last `size` are most like earlier ones: the best normalised correlation."""
    last, end = heard[-size:], len(heard)
    start = end - size - shortest
    energy = sum(map(mul, heard[start : start + size], heard[start : start + size]))
    best, best_score = longest, 0.0
    for lag in range(shortest, longest + 1):
        start = end - size - lag
        product = sum(map(mul, last, heard[start : start + size]))
        if product > 0 and product * product / (energy or 1) > best_score:
            best, best_score = lag, product * product / (energy or 1)
        # The piece of the next lag begins a sample earlier, and ends a sample earlier.
        if start > 0:
            energy += heard[start - 1] * heard[start - 1] - heard[start + size - 1] * heard[start + size - 1]
    return best


def _octets(samples: "array[int]") -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
