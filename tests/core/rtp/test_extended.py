import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.rtp.extended import ApplicationPacket, ExtendedBlock, ExtendedReport, Feedback
from siprec_core.rtp.rtcp import RtcpPacket, parse_compound

_U32, _U5, _U8 = st.integers(0, 0xFFFF_FFFF), st.integers(0, 31), st.integers(0, 255)
_WORDS = st.integers(0, 6).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words))
_XR = st.builds(ExtendedReport, _U32, st.lists(st.builds(ExtendedBlock, _U8, _U8, _WORDS), max_size=5).map(tuple), _U5)
_FEEDBACK = st.builds(Feedback, st.sampled_from((205, 206)), _U5, _U32, _U32, _WORDS)
_APP = st.builds(ApplicationPacket, _U5, _U32, st.binary(min_size=4, max_size=4), _WORDS)


@pytest.mark.requirement("3550-6.7-a")
@given(_XR | _FEEDBACK | _APP)
def test_what_is_written_reads_the_same(written: ExtendedReport | Feedback | ApplicationPacket) -> None:
    (packet,) = parse_compound(written.to_bytes())
    assert type(written).parse(packet) == written


def test_a_reference_time_is_read() -> None:
    assert ExtendedBlock(4, 0, (1 << 40).to_bytes(8, "big")).reference_time == 1 << 40
    assert ExtendedBlock(4, 0, bytes(4)).reference_time is None
    assert ExtendedBlock(5, 0, bytes(8)).reference_time is None


@given(st.integers(200, 210), _U5, st.binary(max_size=60))
def test_garbage_never_raises_anything_else(packet_type: int, count: int, body: bytes) -> None:
    packet = RtcpPacket(packet_type, count, memoryview(body))
    fits = 0
    for kind in (ExtendedReport, Feedback, ApplicationPacket):
        try:
            kind.parse(packet)
            fits += 1
        except RemoteProtocolError:
            pass
    assert fits <= (packet_type in (204, 205, 206, 207) and len(body) >= 4)
