"""Concealment of lost audio: the last pitch period goes on for a moment and fades.

The idea is that of ITU-T G.711 Appendix I, made for listeners that are programs: the ends are not overlapped, since no
delay is spent on audio that came well.
"""

import sys
from array import array
from collections import deque
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
        made = array("h", bytes(2 * samples))
        for index in range(audible):
            place = first + index
            strength = 1.0 if place < full else (faded - place) / (faded - full)
            made[index] = int(period[place % len(period)] * strength)
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
        step = max(1, self._sample_rate // 4_000)  # enough to find a pitch by
        last = heard[-template::step]
        best, best_score = longest, 0.0
        for lag in range(shortest, longest + 1):
            earlier = heard[len(heard) - template - lag : len(heard) - lag : step]
            energy = sum(sample * sample for sample in earlier)
            product = sum(map(int.__mul__, last, earlier))
            if product > 0 and product * product / (energy or 1) > best_score:
                best, best_score = lag, product * product / (energy or 1)
        return heard[-best:]


def _octets(samples: "array[int]") -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
