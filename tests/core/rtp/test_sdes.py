import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.rtp.rtcp import SOURCE_DESCRIPTION, RtcpPacket, parse_compound
from siprec_core.rtp.sdes import SdesChunk, SdesItem, SourceDescription

_ITEMS = st.builds(SdesItem, st.integers(1, 255), st.binary(max_size=255))
_CHUNKS = st.builds(SdesChunk, st.integers(0, 0xFFFF_FFFF), st.lists(_ITEMS, max_size=4).map(tuple))


@pytest.mark.requirement("3550-6.5-a")
@given(st.lists(_CHUNKS, max_size=31).map(tuple))
def test_a_description_reads_as_it_was_written(chunks: tuple[SdesChunk, ...]) -> None:
    (packet,) = parse_compound(SourceDescription(chunks).to_bytes())
    assert SourceDescription.parse(packet) == SourceDescription(chunks)


@pytest.mark.requirement("3550-6.5-a")
def test_a_chunk_ends_with_null_octets_on_a_word() -> None:
    written = SourceDescription.of_cname(7, "ab").to_bytes()
    assert written == bytes.fromhex("81 ca 0003 00000007 0102") + b"ab" + bytes(4)
    (chunk,) = SourceDescription.parse(parse_compound(written)[0]).chunks
    assert chunk.cname == "ab"
    assert SdesChunk(7, (SdesItem(2, b"name"),)).cname is None


@pytest.mark.parametrize("body", [b"", bytes(4), b"\0\0\0\7\1", b"\0\0\0\7\1\5ab", b"\0\0\0\7\1\2ab"])
def test_a_chunk_that_does_not_end_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        SourceDescription.parse(RtcpPacket(SOURCE_DESCRIPTION, 1, memoryview(body)))


@given(st.integers(0, 31), st.binary(max_size=80))
def test_garbage_never_raises_anything_else(count: int, body: bytes) -> None:
    packet = RtcpPacket(SOURCE_DESCRIPTION, count, memoryview(body))
    try:
        description = SourceDescription.parse(packet)
    except RemoteProtocolError:
        return
    assert len(description.chunks) == count


def test_another_packet_is_no_description() -> None:
    with pytest.raises(RemoteProtocolError):
        SourceDescription.parse(RtcpPacket(200, 0, memoryview(b"")))
