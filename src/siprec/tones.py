"""Tones: what our client says when nobody gives it audio, and how they are found again in a recording."""

import math
from array import array
from sys import byteorder

_AMPLITUDE = 10_000
"""Of 32,767: well above the noise of G.711 and far from its limit."""


def frequency_of(index: int) -> int:
    """Give the frequency in hertz for a stream by its place from 0: distinct ones, all within the telephone band."""
    return 440 * (1 + index % 7) + 55 * (index // 7 % 8)


def tone(frequency: int, seconds: float, sample_rate: int) -> bytes:
    """Make a sine tone as 16-bit little-endian PCM."""
    step = 2 * math.pi * frequency / sample_rate
    # A period of whole hertz repeats after one second.
    count = round(seconds * sample_rate)
    second = [round(_AMPLITUDE * math.sin(step * sample)) for sample in range(min(sample_rate, count))]
    pcm = little_endian(array("h", second)).tobytes()
    repeated = pcm * (count // len(second) + 1) if second else b""
    return repeated[: 2 * count]


def tone_share(pcm: bytes, frequency: int, sample_rate: int) -> float:
    """Tell which share of the energy of 16-bit little-endian PCM lies at a frequency, 0 to 1 (Goertzel's algorithm)."""
    samples = little_endian(array("h", pcm[: len(pcm) // 2 * 2]))
    energy = sum(sample * sample for sample in samples)
    if not energy:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency / sample_rate)
    last = before = 0.0
    for sample in samples:
        last, before = sample + coefficient * last - before, last
    power = last * last + before * before - coefficient * last * before
    return min(1.0, 2 * power / (energy * len(samples)))


def little_endian(samples: "array[int]") -> "array[int]":
    """Turn samples into the order of octets of WAV files, in place."""
    if byteorder == "big":
        samples.byteswap()
    return samples
