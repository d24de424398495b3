import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.rtp.packet import HeaderExtension, RtpPacket

_PLAIN = bytes.fromhex("80 00 0001 00000002 00000003") + b"payload"

_extensions = st.builds(
    HeaderExtension,
    profile=st.integers(0, 0xFFFF),
    data=st.binary(max_size=40).map(lambda data: data[: len(data) // 4 * 4]),
)
packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 0x7F).filter(lambda number: number not in (72, 73)),
    sequence_number=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFF_FFFF),
    ssrc=st.integers(0, 0xFFFF_FFFF),
    payload=st.binary(max_size=200),
    marker=st.booleans(),
    csrcs=st.lists(st.integers(0, 0xFFFF_FFFF), max_size=15).map(tuple),
    extension=st.none() | _extensions,
    padding_size=st.integers(0, 255),
)


@given(packets)
def test_what_is_written_reads_the_same(packet: RtpPacket) -> None:
    assert RtpPacket.parse(packet.to_bytes()) == packet
    assert RtpPacket.parse(memoryview(packet.to_bytes())) == packet


@given(packets, st.data())
def test_a_truncated_packet_never_raises_anything_else(packet: RtpPacket, data: st.DataObject) -> None:
    octets = packet.to_bytes()
    cut = octets[: data.draw(st.integers(0, len(octets) - 1))]
    try:
        parsed = RtpPacket.parse(cut)
    except RemoteProtocolError:
        return
    assert len(parsed.payload) + parsed.padding_size < len(octets)


@given(st.binary(max_size=64))
def test_garbage_never_raises_anything_else(data: bytes) -> None:
    try:
        packet = RtpPacket.parse(data)
    except RemoteProtocolError:
        return
    assert len(packet.to_bytes()) == len(data)


def test_fields_of_a_plain_packet() -> None:
    packet = RtpPacket.parse(_PLAIN)
    assert packet == RtpPacket(0, 1, 2, 3, b"payload")
    assert isinstance(packet.payload, memoryview)


def test_everything_at_once() -> None:
    data = bytes.fromhex("b2 e5 fffe ffffffff 01020304 0000000a 0000000b bede 0001 01020304") + b"audio" + b"\0\0\3"
    packet = RtpPacket.parse(data)
    assert packet.marker
    assert packet.payload_type == 101
    assert packet.csrcs == (10, 11)
    assert packet.extension == HeaderExtension(0xBEDE, b"\1\2\3\4")
    assert (packet.payload, packet.padding_size) == (b"audio", 3)
    assert packet.to_bytes() == data


def test_padding_may_fill_the_whole_payload() -> None:
    packet = RtpPacket.parse(b"\xa0" + _PLAIN[1:12] + b"\0\0\3")
    assert (len(packet.payload), packet.padding_size) == (0, 3)


@pytest.mark.requirement("3550-5.1-a")
@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (_PLAIN[:11], 11),
        (b"\x00" + _PLAIN[1:], 0),  # version 0
        (b"\x40" + _PLAIN[1:], 0),
        (b"\xc0" + _PLAIN[1:], 0),
        (b"\x80\xc8" + _PLAIN[2:], 1),  # a sender report
        (b"\x80\xc9" + _PLAIN[2:], 1),
        (b"\x82" + _PLAIN[1:], 12),  # CSRCs past the end
        (b"\x90" + _PLAIN[1:12] + b"\xbe\xde\x00", 12),  # extension cut off in its header
        (b"\x90" + _PLAIN[1:12] + b"\xbe\xde\x00\x01abc", 12),  # and in its data
        (b"\xa0" + _PLAIN[1:12] + b"\0\0\0", 14),  # padding of 0
        (b"\xa0" + _PLAIN[1:12] + b"\0\0\4", 14),  # padding larger than the payload
        (b"\xa0" + _PLAIN[1:12], 11),  # padding without payload
    ],
)
def test_invalid_packets_name_the_octet(data: bytes, offset: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        RtpPacket.parse(data)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "packet",
    [
        RtpPacket(128, 0, 0, 0),
        RtpPacket(0, 65_536, 0, 0),
        RtpPacket(0, 0, -1, 0),
        RtpPacket(0, 0, 0, 1 << 32),
        RtpPacket(0, 0, 0, 0, padding_size=256),
        RtpPacket(0, 0, 0, 0, csrcs=(0,) * 16),
        RtpPacket(0, 0, 0, 0, csrcs=(-1,)),
        RtpPacket(72, 0, 0, 0, marker=True),
        RtpPacket(0, 0, 0, 0, extension=HeaderExtension(0, b"abc")),
        RtpPacket(0, 0, 0, 0, extension=HeaderExtension(1 << 16, b"")),
    ],
)
def test_what_does_not_fit_is_not_written(packet: RtpPacket) -> None:
    with pytest.raises(LocalProtocolError):
        packet.to_bytes()
