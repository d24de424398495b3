import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.media.control import ControlRecord
from siprec_core.media.outputs import GoodbyeReceived, SenderReported
from siprec_core.media.source import TrackedSource
from siprec_core.media.statistics import ControlStatistics, ReceivedBlock
from siprec_core.rtp.compound import TypedPacket
from siprec_core.rtp.extended import ApplicationPacket
from siprec_core.rtp.reports import ReceiverReport, ReportBlock, SenderReport
from siprec_core.rtp.rtcp import GOODBYE, Goodbye, RtcpPacket, parse_compound
from siprec_core.rtp.sdes import SdesChunk, SdesItem, SourceDescription


def source_of(ssrc: int) -> TrackedSource:
    return TrackedSource(ssrc, 1, arrival=0.0, max_dropout=3_000)


def compound(*written: TypedPacket) -> tuple[RtcpPacket, ...]:
    return parse_compound(b"".join(packet.to_bytes() for packet in written))


@pytest.mark.requirement("3550-6.4.1-b", "3550-6.6-a", "3550-6.7-a")
def test_reports_and_leavings_are_told_once_and_the_rest_is_passed_over() -> None:
    source = source_of(7)
    packets = compound(
        SenderReport(7, 1 << 40, 160, 1, 160),
        ReceiverReport(7),
        ApplicationPacket(0, 7, b"test"),
        Goodbye((7, 8), "over"),
        Goodbye((7,), "again"),
    )
    record = ControlRecord(Limits())
    assert list(record.receive(packets, {7: source}, 5.0)) == [
        SenderReported(ssrc=7, ntp_timestamp=1 << 40, rtp_timestamp=160, at=5.0),
        GoodbyeReceived(ssrc=7, reason="over", at=5.0),
    ]
    assert source.goodbye_at == 5.0
    assert record.statistics() == ControlStatistics(sender_reports=1, goodbye_reason="again")


def test_what_does_not_fit_is_told_in_its_place() -> None:
    packets = (RtcpPacket(GOODBYE, 1, memoryview(b"")), RtcpPacket(200, 0, memoryview(bytes(4))))
    record = ControlRecord(Limits())
    assert all(isinstance(told, RemoteProtocolError) for told in record.receive(packets, {}, 0.0))
    assert len(list(record.receive(packets, {}, 0.0))) == 2
    assert record.statistics() == ControlStatistics()


def test_a_goodbye_before_its_source_is_told_with_the_source() -> None:
    record = ControlRecord(Limits())
    assert list(record.receive(compound(Goodbye((7, 8), "early")), {}, 5.0)) == []
    assert list(record.receive(compound(Goodbye((7,), "later")), {}, 6.0)) == []
    source = source_of(7)
    assert record.add_source(source) == GoodbyeReceived(ssrc=7, reason="early", at=5.0)
    assert source.goodbye_at == 5.0
    assert record.add_source(source_of(7)) is None, "it is told once"
    assert record.add_source(source_of(9)) is None


@given(st.permutations(["bye 1", "bye 2", "add 1", "add 2"]))
def test_what_is_told_does_not_depend_on_what_came_first(order: list[str]) -> None:
    record = ControlRecord(Limits())
    sources: dict[int, TrackedSource] = {}
    told: set[GoodbyeReceived] = set()
    for step in order:
        kind, number = step.split()
        ssrc = int(number)
        if kind == "bye":
            outputs = record.receive(compound(Goodbye((ssrc,), "")), sources, float(ssrc))
            told |= {output for output in outputs if isinstance(output, GoodbyeReceived)}
        else:
            sources[ssrc] = source_of(ssrc)
            goodbye = record.add_source(sources[ssrc])
            told |= {goodbye} if goodbye is not None else set()
    assert told == {GoodbyeReceived(ssrc=ssrc, reason="", at=float(ssrc)) for ssrc in (1, 2)}
    assert [sources[ssrc].goodbye_at for ssrc in (1, 2)] == [1.0, 2.0]


def test_names_and_blocks_of_the_latest_report_count() -> None:
    record = ControlRecord(Limits())
    blocks = [ReportBlock(9, fraction, 1, 5, 80) for fraction in (10, 20)]
    for at, block in enumerate(blocks):
        description = SourceDescription.of_cname(7, f"name-{at}")
        assert list(record.receive(compound(ReceiverReport(7, (block,)), description), {}, float(at))) == []
    nameless = SourceDescription((SdesChunk(8, (SdesItem(2, b"Ada"),)), SdesChunk(9, (SdesItem(1, b""),))))
    assert list(record.receive(compound(nameless), {}, 2.0)) == []
    told = record.statistics()
    assert (told.cnames, told.blocks) == ({7: "name-1"}, (ReceivedBlock(blocks[1], 1.0),))


def test_a_flood_fills_nothing() -> None:
    limits = Limits(goodbyes_remembered=3, ssrcs_reported=2)
    record = ControlRecord(limits)
    for first in range(0, 300, 30):
        ssrcs = range(first, first + 30)
        packets = compound(
            ReceiverReport(1, tuple(ReportBlock(ssrc, 0, 0, 0, 0) for ssrc in ssrcs)),
            SourceDescription(tuple(SdesChunk(ssrc, (SdesItem(1, b"x"),)) for ssrc in ssrcs)),
            Goodbye(tuple(ssrcs), ""),
        )
        assert list(record.receive(packets, {}, 0.0)) == []
    told = record.statistics()
    assert (len(told.cnames), len(told.blocks)) == (2, 2)
    assert [ssrc for ssrc in range(300) if record.add_source(source_of(ssrc))] == [0, 1, 2]
