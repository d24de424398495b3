import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.rtp.rtcp import GOODBYE, PACKETS_PER_COMPOUND, Goodbye, RtcpPacket, parse_compound, write_packet

_RECEIVER_REPORT = bytes.fromhex("80 c9 0001 00000001")
_BYE = bytes.fromhex("82 cb 0004 00000001 00000002") + b"\x05later\0\0"


def test_a_compound_packet_is_split() -> None:
    packets = parse_compound(_RECEIVER_REPORT + _BYE)
    assert [(packet.packet_type, packet.count, len(packet.body)) for packet in packets] == [(201, 0, 4), (203, 2, 16)]
    assert Goodbye.parse(packets[1]) == Goodbye((1, 2), "later")


def test_padding_of_the_last_packet_is_left_out() -> None:
    (packet,) = parse_compound(bytes.fromhex("a0 c9 0002 00000001 00000004"))
    assert bytes(packet.body) == b"\0\0\0\1"


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (b"\x80\xc9\0", 0),
        (b"\x40" + _RECEIVER_REPORT[1:], 0),
        (b"\x80\x00" + _RECEIVER_REPORT[2:], 1),
        (_RECEIVER_REPORT[:7], 0),
        (_RECEIVER_REPORT + b"\0", 8),
        (_RECEIVER_REPORT + _BYE[:-1], 8),
        (bytes.fromhex("a0 c9 0002 00000001 00000004") + _RECEIVER_REPORT, 0),  # padding before the last
        (bytes.fromhex("a0 c9 0001 00000003"), 0),  # not a multiple of 4
        (bytes.fromhex("a0 c9 0001 00000008"), 0),  # larger than the packet
        (bytes.fromhex("a0 c9 0001 00000000"), 0),
        (bytes.fromhex("a0 c9 0000"), 0),
        (b"\x80\xcc\0\0" * (PACKETS_PER_COMPOUND + 1), 4 * PACKETS_PER_COMPOUND),
    ],
)
def test_what_is_not_rtcp_names_the_octet(data: bytes, offset: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_compound(data)
    assert caught.value.offset == offset


@given(st.binary(max_size=200))
def test_garbage_never_raises_anything_else(data: bytes) -> None:
    try:
        packets = parse_compound(data)
    except RemoteProtocolError:
        return
    assert sum(4 + len(packet.body) for packet in packets) <= len(data)


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", ""), (b"\x05late", ""), (b"\0\0\0\0", ""), (b"\x02hi\0", "hi"), (b"\x01\xff\0\0", "\ufffd")],
)
def test_a_broken_reason_is_left_out(body: bytes, reason: str) -> None:
    packet = RtcpPacket(GOODBYE, 1, memoryview(b"\0\0\0\7" + body))
    assert Goodbye.parse(packet) == Goodbye((7,), reason)


@pytest.mark.parametrize("packet", [RtcpPacket(GOODBYE, 2, memoryview(bytes(7))), RtcpPacket(201, 0, memoryview(b""))])
def test_sources_that_do_not_fit_are_refused(packet: RtcpPacket) -> None:
    with pytest.raises(RemoteProtocolError):
        Goodbye.parse(packet)


@pytest.mark.requirement("3550-6.6-a")
@given(st.lists(st.integers(0, 0xFFFF_FFFF), max_size=31).map(tuple), st.text(max_size=60))
def test_a_goodbye_reads_as_it_was_written(ssrcs: tuple[int, ...], reason: str) -> None:
    (packet,) = parse_compound(Goodbye(ssrcs, reason).to_bytes())
    assert Goodbye.parse(packet) == Goodbye(ssrcs, reason)


@pytest.mark.parametrize(("count", "body"), [(32, b""), (-1, b""), (0, b"abc"), (0, bytes(4 * 0x1_0000))])
def test_what_no_packet_holds_is_not_written(count: int, body: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        write_packet(200, count, body)
