"""G.711 mu-law and A-law (ITU-T G.711; payload types 0 and 8 of RFC 3551 section 4.5.14).

A code is a sign, a segment of three bits and an interval of four. The decision and output values of tables 1 and 2 of
G.711 are the closed forms below, scaled to 16 bits (by 8 for A-law, by 4 for mu-law). Codes go over the line with all
bits inverted (mu-law) or every other bit inverted (A-law).

Decoding is two `bytes.translate` and two slice assignments over as many octets as the caller has: give it whole runs.
"""

import sys
from array import array
from collections.abc import Callable
from functools import cache

MU_LAW_SILENCE = b"\xff"
"""The mu-law code of zero."""
A_LAW_SILENCE = b"\xd5"
"""The A-law code nearest to zero; A-law has no code for zero itself."""

_MAGNITUDES = 128
_MU_LAW_MASK = 0xFF
_A_LAW_MASK = 0x55 ^ 0x80


def _mu_law_level(code: int) -> int:
    """Give the 16-bit output value of magnitude code 0-127: the middle of its interval."""
    segment, interval = divmod(code, 16)
    return (((2 * interval + 33) << segment) - 33) * 4


def _mu_law_decision(code: int) -> int:
    """Give the smallest 16-bit magnitude that magnitude code 0-127 stands for."""
    segment, interval = divmod(code, 16)
    return max(0, (((2 * interval + 32) << segment) - 33) * 4)


def _a_law_level(code: int) -> int:
    """Give the 16-bit output value of magnitude code 0-127: the middle of its interval."""
    segment, interval = divmod(code, 16)
    if segment == 0:
        return 16 * interval + 8
    return (2 * interval + 33) << (segment + 2)


def _a_law_decision(code: int) -> int:
    """Give the smallest 16-bit magnitude that magnitude code 0-127 stands for."""
    segment, interval = divmod(code, 16)
    if segment == 0:
        return 16 * interval
    return (interval + 16) << (segment + 3)


def _decode_tables(level: Callable[[int], int], mask: int) -> tuple[bytes, bytes]:
    """Give the low and the high octet of the 16-bit sample of every code as it is on the line."""
    samples = []
    for line_code in range(256):
        code = line_code ^ mask
        magnitude = level(code & 0x7F)
        samples.append((-magnitude if code & 0x80 else magnitude) & 0xFFFF)
    return bytes(sample & 0xFF for sample in samples), bytes(sample >> 8 for sample in samples)


def _encode_table(decision: Callable[[int], int], mask: int) -> bytes:
    """Give the code on the line of every 16-bit sample, indexed by the sample modulo 65,536."""
    bounds = [*(decision(code) for code in range(_MAGNITUDES)), 32_769]
    runs = [bytes((code,)) * (bounds[code + 1] - bounds[code]) for code in range(_MAGNITUDES)]
    magnitudes = b"".join(runs)
    positive = bytes(code ^ mask for code in range(256))
    negative = bytes(code ^ mask ^ 0x80 for code in range(256))
    return magnitudes[:32_768].translate(positive) + magnitudes[:0:-1].translate(negative)


_MU_LAW_LOW, _MU_LAW_HIGH = _decode_tables(_mu_law_level, _MU_LAW_MASK)
_A_LAW_LOW, _A_LAW_HIGH = _decode_tables(_a_law_level, _A_LAW_MASK)


@cache
def _mu_law_codes() -> bytes:
    return _encode_table(_mu_law_decision, _MU_LAW_MASK)


@cache
def _a_law_codes() -> bytes:
    return _encode_table(_a_law_decision, _A_LAW_MASK)


def _decode(payload: bytes | memoryview, low: bytes, high: bytes) -> bytes:
    codes = bytes(payload)
    pcm = bytearray(2 * len(codes))
    pcm[0::2] = codes.translate(low)
    pcm[1::2] = codes.translate(high)
    return bytes(pcm)


def _encode(pcm: bytes | memoryview, codes: bytes) -> bytes:
    samples = array("H", bytes(pcm[: len(pcm) & ~1]))
    if sys.byteorder == "big":
        samples.byteswap()
    return bytes([codes[sample] for sample in samples])


def decode_mu_law(payload: bytes | memoryview) -> bytes:
    """Decode mu-law octets to 16-bit little-endian PCM, one sample an octet."""
    return _decode(payload, _MU_LAW_LOW, _MU_LAW_HIGH)


def decode_a_law(payload: bytes | memoryview) -> bytes:
    """Decode A-law octets to 16-bit little-endian PCM, one sample an octet."""
    return _decode(payload, _A_LAW_LOW, _A_LAW_HIGH)


def encode_mu_law(pcm: bytes | memoryview) -> bytes:
    """Encode 16-bit little-endian PCM to mu-law; an odd last octet is left out."""
    return _encode(pcm, _mu_law_codes())


def encode_a_law(pcm: bytes | memoryview) -> bytes:
    """Encode 16-bit little-endian PCM to A-law; an odd last octet is left out."""
    return _encode(pcm, _a_law_codes())
