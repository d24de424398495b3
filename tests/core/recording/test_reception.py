"""What reports say of a stream."""

from hypothesis import given
from hypothesis import strategies as st

from siprec_core.clock import ntp_of
from siprec_core.recording.reception import Reception, blocks_of, received
from siprec_core.rtp.compound import write_compound
from siprec_core.rtp.reports import ReceiverReport, ReportBlock, SenderReport
from siprec_core.rtp.sdes import SourceDescription

AT_NS = 1_700_000_000_000_000_000
BLOCK = ReportBlock(7, 64, 3, 100, 80)


def test_a_block_in_seconds_and_parts_of_one() -> None:
    first = received(None, BLOCK, clock_rate=8_000, at_ns=AT_NS)
    assert first == Reception(reports=1, at_ns=AT_NS, fraction_lost=0.25, packets_lost=3, jitter=0.01, round_trip=None)
    middle = ntp_of(AT_NS - 300_000_000) >> 16 & 0xFFFF_FFFF
    heard = ReportBlock(7, 0, -1, 100, 0, middle, 16_384)
    second = received(first, heard, clock_rate=8_000, at_ns=AT_NS)
    assert second.reports == 2
    assert second.round_trip is not None
    assert abs(second.round_trip - 0.05) < 0.0001


def test_blocks_of_either_report() -> None:
    name = SourceDescription.of_cname(1, "x")
    for report in (ReceiverReport(1, (BLOCK,)), SenderReport(1, 1, 1, 1, 1, (BLOCK,))):
        assert list(blocks_of(write_compound([report, name]))) == [BLOCK]
    assert list(blocks_of(bytes.fromhex("80c80006"))) == []


@given(st.binary(max_size=60))
def test_garbage_tells_nothing_and_never_raises(data: bytes) -> None:
    assert all(isinstance(block, ReportBlock) for block in blocks_of(b"\x81\xc9" + data))
    assert list(blocks_of(data[:3])) == []
