import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.rtp.compound import TypedPacket, read_packet, write_compound
from siprec_core.rtp.extended import ApplicationPacket, ExtendedReport, Feedback
from siprec_core.rtp.reports import ReceiverReport, SenderReport
from siprec_core.rtp.rtcp import Goodbye, parse_compound
from siprec_core.rtp.sdes import SourceDescription

NAME = SourceDescription.of_cname(1, "name")


@pytest.mark.requirement("3550-6.1-a", "3550-A.2-a")
def test_a_compound_packet_of_every_type_reads_as_it_was_written() -> None:
    packets: tuple[TypedPacket, ...] = (
        SenderReport(1, 2, 3, 4, 5),
        ReceiverReport(1),
        NAME,
        ApplicationPacket(1, 1, b"test", b"data"),
        Feedback(206, 4, 1, 2),
        ExtendedReport(1, ()),
        Goodbye((1, 2), "later"),
    )
    assert tuple(map(read_packet, parse_compound(write_compound(packets)))) == packets


@pytest.mark.requirement("3550-6.1-a")
@pytest.mark.parametrize(
    "packets",
    [
        (),
        (NAME,),
        (ReceiverReport(1),),
        (NAME, ReceiverReport(1)),
        (ReceiverReport(2), NAME),
        (Goodbye((1,), ""), NAME),
    ],
)
def test_a_compound_packet_without_report_or_name_is_not_written(packets: tuple[TypedPacket, ...]) -> None:
    with pytest.raises(LocalProtocolError):
        write_compound(packets)


@pytest.mark.requirement("3550-A.2-a", "3550-6.7-a")
@given(st.lists(st.tuples(st.integers(192, 223), st.integers(0, 31), st.binary(max_size=40)), min_size=1, max_size=4))
def test_packets_that_are_not_understood_are_passed_over(parts: list[tuple[int, int, bytes]]) -> None:
    data = b"".join(
        bytes((0x80 | count, kind)) + (len(body) // 4).to_bytes(2, "big") + body[: len(body) // 4 * 4]
        for kind, count, body in parts
    )
    for packet, (kind, _, _) in zip(parse_compound(data), parts, strict=True):
        assert read_packet(packet) is None or 200 <= kind <= 207


@given(st.binary(max_size=100))
def test_garbage_never_raises_anything_else(data: bytes) -> None:
    try:
        packets = parse_compound(data)
    except RemoteProtocolError:
        return
    assert len([read_packet(packet) for packet in packets]) == len(packets)
