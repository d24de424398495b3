"""Audio with the rhythm and the spectrum of speech, made here so that nobody's voice is needed.

Pulses of a voice's pitch, and noise for consonants, go through three resonators at the formants of vowels. Syllables
follow one another with pauses between words. The same speaker says the same each time.
"""

import math
from array import array
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from siprec.tones import little_endian

_VOWELS = ((730, 1_090, 2_440), (530, 1_840, 2_480), (270, 2_290, 3_010), (570, 840, 2_410), (300, 870, 2_240))
"""The first three formants in hertz."""
_BANDWIDTHS = (80.0, 110.0, 160.0)
_GAINS = (1.0, 0.6, 0.3)
_PEAK = 12_000
_LONGEST_SECONDS = 10.0
"""Made once; what is longer repeats it."""


class _Resonator:
    """A filter of two poles."""

    __slots__ = ("_before", "_first", "_gain", "_last", "_second")

    def __init__(self, frequency: float, bandwidth: float, gain: float, sample_rate: int) -> None:
        radius = math.exp(-math.pi * bandwidth / sample_rate)
        self._first = 2 * radius * math.cos(2 * math.pi * frequency / sample_rate)
        self._second = -radius * radius
        self._gain = gain * (1 - radius)
        self._last = self._before = 0.0

    def filter(self, sample: float) -> float:
        """Give what follows a sample."""
        value = self._gain * sample + self._first * self._last + self._second * self._before
        self._before, self._last = self._last, value
        return value


class _Sound(NamedTuple):
    """A syllable, or a pause where `vowel` is None."""

    seconds: float
    vowel: tuple[int, int, int] | None
    pitch: float
    hiss: float
    """Share of the syllable that is a consonant."""


@dataclass(frozen=True, slots=True)
class Voice:
    """What a speaker says."""

    speaker: int
    """Which, from 0."""
    seconds: float

    def at(self, sample_rate: int) -> bytes:
        """Make it, as 16-bit little-endian PCM."""
        return _speech(self.speaker, self.seconds, sample_rate)


def _speech(speaker: int, seconds: float, sample_rate: int) -> bytes:
    count = round(seconds * sample_rate)
    made = min(count, round(_LONGEST_SECONDS * sample_rate))
    random = Random(speaker)
    samples: list[float] = []
    while len(samples) < made:
        for sound in _word(random, speaker):
            samples += _render(sound, random, sample_rate)
    peak = max(map(abs, samples[:made]), default=0.0) or 1.0
    once = array("h", (round(_PEAK * sample / peak) for sample in samples[:made]))
    pcm = little_endian(once).tobytes()
    return (pcm * (count // made + 1))[: 2 * count] if made else b""


def _word(random: Random, speaker: int) -> list[_Sound]:
    """Make one to four syllables and the pause behind them."""
    pitch = 100.0 + 37.0 * (speaker % 4) + random.uniform(-8.0, 8.0)
    sounds = []
    for _ in range(random.randint(1, 4)):
        sounds.append(_Sound(random.uniform(0.11, 0.22), random.choice(_VOWELS), pitch, random.uniform(0.1, 0.3)))
        pitch *= 0.96  # the voice falls towards the end
    pause = random.uniform(0.05, 0.12) if random.random() < 0.7 else random.uniform(0.3, 0.6)
    return [*sounds, _Sound(pause, None, 0.0, 0.0)]


def _render(sound: _Sound, random: Random, sample_rate: int) -> list[float]:
    count = round(sound.seconds * sample_rate)
    if sound.vowel is None:
        return [0.0] * count
    resonators = [
        _Resonator(frequency, bandwidth, gain, sample_rate)
        for frequency, bandwidth, gain in zip(sound.vowel, _BANDWIDTHS, _GAINS, strict=True)
    ]
    hissing = round(sound.hiss * count)
    phase = 0.0
    rendered = []
    for index in range(count):
        phase += sound.pitch / sample_rate
        pulse = phase >= 1.0
        phase -= pulse
        excitation = random.uniform(-0.3, 0.3) if index < hissing else (8.0 if pulse else random.uniform(-0.02, 0.02))
        envelope = math.sin(math.pi * (index + 0.5) / count)
        rendered.append(envelope * sum(resonator.filter(excitation) for resonator in resonators))
    return rendered
