import struct

from hypothesis import given
from hypothesis import strategies as st

from siprec_core.codecs.linear import decode_l16, encode_l16


def test_network_order_becomes_little_endian() -> None:
    assert decode_l16(struct.pack(">3h", 1, -2, 32_767)) == struct.pack("<3h", 1, -2, 32_767)


def test_an_odd_octet_at_the_end_is_left_out() -> None:
    assert decode_l16(memoryview(b"\x01\x02\x03")) == b"\x02\x01"
    assert encode_l16(b"\x01") == b""


@given(st.lists(st.integers(min_value=-32_768, max_value=32_767)))
def test_decoding_undoes_encoding(samples: list[int]) -> None:
    pcm = struct.pack(f"<{len(samples)}h", *samples)
    assert decode_l16(encode_l16(pcm)) == pcm
