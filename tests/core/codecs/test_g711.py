import struct
from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.codecs.g711 import (
    A_LAW_SILENCE,
    MU_LAW_SILENCE,
    decode_a_law,
    decode_mu_law,
    encode_a_law,
    encode_mu_law,
)

ALL_CODES = bytes(range(256))
ALL_SAMPLES = range(-32_768, 32_768)
ALL_PCM = struct.pack("<65536h", *ALL_SAMPLES)

# Decision and output values as G.711 draws them up: segment by segment, each step twice as wide as in the one before.
MU_LAW_DECISIONS: list[int] = []
MU_LAW_OUTPUTS: list[int] = []
_edge = -1
for _segment in range(8):
    for _ in range(16):
        _step = 2 << _segment
        MU_LAW_DECISIONS.append(4 * max(0, _edge))
        MU_LAW_OUTPUTS.append(4 * (_edge + _step // 2))
        _edge += _step
A_LAW_DECISIONS: list[int] = []
A_LAW_OUTPUTS: list[int] = []
_edge = 0
for _segment in range(8):
    for _ in range(16):
        _step = 16 << max(0, _segment - 1)
        A_LAW_DECISIONS.append(_edge)
        A_LAW_OUTPUTS.append(_edge + _step // 2)
        _edge += _step


def mu_law_code(sample: int) -> int:
    magnitude = bisect_right(MU_LAW_DECISIONS, abs(sample)) - 1
    return (magnitude | (0x80 if sample < 0 else 0)) ^ 0xFF


def a_law_code(sample: int) -> int:
    magnitude = bisect_right(A_LAW_DECISIONS, abs(sample)) - 1
    return (magnitude | (0 if sample < 0 else 0x80)) ^ 0x55


def test_the_tables_end_where_g711_ends() -> None:
    assert MU_LAW_DECISIONS[1:4] == [4, 12, 20]
    assert MU_LAW_OUTPUTS[-1] == 8031 * 4
    assert A_LAW_OUTPUTS[-1] == 4032 * 8
    assert MU_LAW_DECISIONS[112] == 4063 * 4
    assert A_LAW_DECISIONS[112] == 2048 * 8


def test_encodes_every_sample_by_the_decision_values_mu_law() -> None:
    assert encode_mu_law(ALL_PCM) == bytes(mu_law_code(sample) for sample in ALL_SAMPLES)


def test_encodes_every_sample_by_the_decision_values_a_law() -> None:
    assert encode_a_law(ALL_PCM) == bytes(a_law_code(sample) for sample in ALL_SAMPLES)


def test_decodes_every_code_to_the_output_value_mu_law() -> None:
    samples = struct.unpack("<256h", decode_mu_law(ALL_CODES))
    positive = [samples[magnitude ^ 0xFF] for magnitude in range(128)]
    negative = [samples[(magnitude | 0x80) ^ 0xFF] for magnitude in range(128)]
    assert positive == MU_LAW_OUTPUTS
    assert negative == [-output for output in MU_LAW_OUTPUTS]


def test_decodes_every_code_to_the_output_value_a_law() -> None:
    samples = struct.unpack("<256h", decode_a_law(ALL_CODES))
    assert [samples[(magnitude | 0x80) ^ 0x55] for magnitude in range(128)] == A_LAW_OUTPUTS
    assert [samples[magnitude ^ 0x55] for magnitude in range(128)] == [-output for output in A_LAW_OUTPUTS]


def test_a_second_coding_changes_nothing_more() -> None:
    assert encode_a_law(decode_a_law(ALL_CODES)) == ALL_CODES
    # Mu-law has two codes of zero; the negative one comes back as the positive one.
    assert encode_mu_law(decode_mu_law(ALL_CODES)) == ALL_CODES.replace(b"\x7f", b"\xff")


def test_silence() -> None:
    assert encode_mu_law(b"\0\0") == MU_LAW_SILENCE
    assert encode_a_law(b"\0\0") == A_LAW_SILENCE
    assert decode_mu_law(MU_LAW_SILENCE) == b"\0\0"
    assert decode_a_law(A_LAW_SILENCE) == b"\x08\0"


@pytest.mark.parametrize("decode", [decode_mu_law, decode_a_law])
def test_a_view_decodes_like_its_octets(decode: object) -> None:
    assert callable(decode)
    assert decode(memoryview(ALL_CODES)[3:9]) == decode(ALL_CODES[3:9])
    assert decode(b"") == b""


@pytest.mark.parametrize("encode", [encode_mu_law, encode_a_law])
def test_an_odd_octet_at_the_end_is_left_out(encode: object) -> None:
    assert callable(encode)
    assert encode(memoryview(ALL_PCM)[:7]) == encode(ALL_PCM[:6])
    assert encode(b"\x01") == b""


@given(st.binary(max_size=400), st.integers(min_value=0, max_value=400))
def test_runs_decode_like_their_packets(payload: bytes, cut: int) -> None:
    assert decode_mu_law(payload) == decode_mu_law(payload[:cut]) + decode_mu_law(payload[cut:])
    assert decode_a_law(payload) == decode_a_law(payload[:cut]) + decode_a_law(payload[cut:])
