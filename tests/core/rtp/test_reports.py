import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.rtp.reports import ReceiverReport, ReportBlock, SenderReport
from siprec_core.rtp.rtcp import RECEIVER_REPORT, SENDER_REPORT, RtcpPacket, parse_compound

_U32 = st.integers(0, 0xFFFF_FFFF)
_BLOCKS = st.lists(
    st.builds(ReportBlock, _U32, st.integers(0, 255), st.integers(-(1 << 23), (1 << 23) - 1), _U32, _U32, _U32, _U32),
    max_size=31,
).map(tuple)
_EXTENSIONS = st.integers(0, 5).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words))


@pytest.mark.requirement("3550-6.4.1-a")
@given(st.builds(SenderReport, _U32, st.integers(0, (1 << 64) - 1), _U32, _U32, _U32, _BLOCKS, _EXTENSIONS))
def test_a_sender_report_reads_as_it_was_written(report: SenderReport) -> None:
    (packet,) = parse_compound(report.to_bytes())
    assert SenderReport.parse(packet) == report


@pytest.mark.requirement("3550-6.4.1-a")
@given(st.builds(ReceiverReport, _U32, _BLOCKS, _EXTENSIONS))
def test_a_receiver_report_reads_as_it_was_written(report: ReceiverReport) -> None:
    (packet,) = parse_compound(report.to_bytes())
    assert ReceiverReport.parse(packet) == report


@pytest.mark.requirement("3550-A.3-a")
@pytest.mark.parametrize(
    ("lost", "told"), [(1 << 30, (1 << 23) - 1), (-(1 << 30), -(1 << 23)), (-1, -1), ((1 << 23) - 1, (1 << 23) - 1)]
)
def test_the_loss_is_clamped_to_its_24_bits(lost: int, told: int) -> None:
    written = ReceiverReport(1, (ReportBlock(2, 0, lost, 1 << 40, 0, 0, 1 << 40),)).to_bytes()
    (block,) = ReceiverReport.parse(parse_compound(written)[0]).blocks
    assert (block.cumulative_lost, block.delay_since_last_sender_report) == (told, 0xFFFF_FFFF)


@given(st.sampled_from((SENDER_REPORT, RECEIVER_REPORT, 202)), st.integers(0, 31), st.binary(max_size=120))
def test_what_does_not_fit_is_refused(packet_type: int, count: int, body: bytes) -> None:
    packet = RtcpPacket(packet_type, count, memoryview(body))
    for kind, head, number in ((SenderReport, 24, SENDER_REPORT), (ReceiverReport, 4, RECEIVER_REPORT)):
        if packet_type == number and head + 24 * count <= len(body):
            assert len(kind.parse(packet).blocks) == count
        else:
            with pytest.raises(RemoteProtocolError):
                kind.parse(packet)


@pytest.mark.requirement("3550-6.4.1-a")
def test_the_round_trip_of_the_example_of_the_rfc() -> None:
    # RFC 3550 6.4.1, figure 2: A is 0xb710:8000, LSR 0xb705:2000, DLSR 0x0005:4000, the round trip 6.125 s.
    block = ReportBlock(1, 0, 0, 0, 0, 0xB705_2000, 0x0005_4000)
    assert block.round_trip(0xB710_8000 << 16) == 6.125


@pytest.mark.parametrize(
    ("last", "delay", "arrival", "expected"),
    [
        (0, 0, 5 << 32, None),
        (0xFFFF_0000, 0x8000, 1 << 16, 0.5 + 2**-16),
        (0x0005_0000, 0x0001_0000, 0x0005_0000 << 16, None),
        (0x0005_0000, 1, 0x0005_0000 << 16, 0.0),
    ],
)
def test_round_trips_that_wrap_or_cannot_be(last: int, delay: int, arrival: int, expected: float | None) -> None:
    assert ReportBlock(1, 0, 0, 0, 0, last, delay).round_trip(arrival) == expected
