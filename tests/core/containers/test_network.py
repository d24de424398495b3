import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.containers.network import NOT_IP, Fragment, link_layer, parse_ip
from siprec_core.errors import RemoteProtocolError
from tests.core.containers.captures import DESTINATION, DESTINATION_6, SOURCE, SOURCE_6, ipv4, ipv6, udp

MACS = bytes(12)
IP4, IP6 = b"\x08\x00", b"\x86\xdd"


def offset(link_type: int, data: bytes) -> int:
    link = link_layer(link_type)
    assert link is not None
    return link(data)


def extension(next_header: int, size: int = 0) -> bytes:
    return bytes((next_header, size)) + bytes(6 + 8 * size)


def fragment_header(next_header: int, units: int, *, more: bool, identification: int = 7) -> bytes:
    return struct.pack(">BBHI", next_header, 0, units << 3 | more, identification)


@pytest.mark.parametrize(
    ("link_type", "link_header"),
    [
        (0, struct.pack("<I", 2)),
        (0, struct.pack(">I", 2)),
        (108, struct.pack(">I", 2)),
        (1, MACS + IP4),
        (1, MACS + b"\x81\x00\x00\x07" + IP4),
        (1, MACS + b"\x88\xa8\x00\x01\x81\x00\x00\x02" + IP4),
        (1, MACS + b"\x88\x64\x11\x00\x00\x01\x00\x20\x00\x21"),
        (101, b""),
        (12, b""),
        (14, b""),
        (228, b""),
        (113, bytes(14) + IP4),
        (113, bytes(14) + b"\x81\x00\x00\x05" + IP4),
        (276, IP4 + bytes(18)),
    ],
)
def test_finds_the_ip_header_of_every_link_type(link_type: int, link_header: bytes) -> None:
    data = link_header + ipv4(udp(b"hello"))
    assert offset(link_type, data) == len(link_header)
    assert parse_ip(data, offset(link_type, data)).payload[8:] == b"hello"


@pytest.mark.parametrize(
    ("link_type", "link_header"),
    [
        (0, struct.pack("<I", 30)),
        (1, MACS + IP6),
        (1, MACS + b"\x88\x64\x11\x00\x00\x01\x00\x20\x00\x57"),
        (229, b""),
        (276, IP6 + bytes(18)),
    ],
)
def test_finds_ipv6_as_well(link_type: int, link_header: bytes) -> None:
    assert offset(link_type, link_header + ipv6(udp(b"hello"))) == len(link_header)


@pytest.mark.parametrize(
    ("link_type", "data"),
    [
        (1, MACS + b"\x08\x06" + bytes(28)),
        (1, MACS + b"\x81\x00"),
        (1, MACS + b"\x81\x00\x00\x01" * 8 + IP4 + bytes(20)),
        (1, b""),
        (1, MACS + IP4),
        (0, b"\x02\0\0\0"),
        (0, b"\x02\0\0\0\x15" + bytes(30)),
        (113, bytes(13)),
        (276, bytes(19)),
        (276, bytes(40)),
        (101, b""),
    ],
)
def test_what_holds_no_ip_is_told(link_type: int, data: bytes) -> None:
    assert offset(link_type, data) == NOT_IP


def test_an_unknown_link_type_has_no_reader() -> None:
    assert link_layer(127) is None


def test_ipv4() -> None:
    packet = parse_ip(b"xx" + ipv4(b"payload", options=bytes(8)) + b"trailer", 2)
    assert (packet.source, packet.destination, packet.protocol) == (SOURCE, DESTINATION, 17)
    assert (packet.payload, packet.missing_size, packet.fragment) == (b"payload", 0, None)


def test_ipv4_without_a_length_reaches_to_the_end() -> None:
    assert parse_ip(ipv4(b"payload", total=0)).payload == b"payload"


def test_ipv4_cut_by_the_capture() -> None:
    packet = parse_ip(ipv4(b"payload")[:-3])
    assert (packet.payload, packet.missing_size) == (b"payl", 3)


def test_ipv4_fragments() -> None:
    packet = parse_ip(ipv4(b"payload!", identification=9, fragment=0x2003))
    assert packet.fragment == Fragment((SOURCE, DESTINATION, 17, 9), 24, more=True)
    assert parse_ip(ipv4(b"x", fragment=0x4000)).fragment is None


def test_ipv6() -> None:
    packet = parse_ip(ipv6(b"payload") + b"trailer")
    assert (packet.source, packet.destination, packet.protocol) == (SOURCE_6, DESTINATION_6, 17)
    assert (packet.payload, packet.missing_size, packet.fragment) == (b"payload", 0, None)
    assert parse_ip(ipv6(b"payload", size=0)).payload == b"payload"
    assert parse_ip(ipv6(b"payload")[:-2]).missing_size == 2


def test_ipv6_extension_headers_are_skipped() -> None:
    chain = extension(43) + extension(60, 2) + extension(51) + bytes((17, 1)) + bytes(10)
    packet = parse_ip(ipv6(chain + b"payload", protocol=0))
    assert (packet.protocol, packet.payload) == (17, b"payload")


def test_ipv6_fragments() -> None:
    packet = parse_ip(ipv6(extension(44) + fragment_header(17, 3, more=True) + b"payload!", protocol=0))
    assert packet.fragment == Fragment((SOURCE_6, DESTINATION_6, 17, 7), 24, more=True)
    assert packet.payload == b"payload!"


def test_an_ipv6_fragment_that_is_the_whole_packet_is_none() -> None:
    packet = parse_ip(ipv6(fragment_header(17, 0, more=False) + b"payload", protocol=44))
    assert (packet.fragment, packet.protocol, packet.payload) == (None, 17, b"payload")


@pytest.mark.parametrize("inner", [ipv4(udp(b"x")), ipv6(udp(b"x"))])
def test_ip_within_ip(inner: bytes) -> None:
    protocol = 4 if inner[0] >> 4 == 4 else 41
    assert parse_ip(ipv4(inner, protocol)).payload == udp(b"x")
    assert parse_ip(ipv6(inner, protocol)).payload == udp(b"x")
    assert parse_ip(ipv4(inner, protocol)[:-1]).missing_size == 1
    assert parse_ip(ipv4(ipv4(inner, protocol), 4)).protocol == protocol


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x15" + bytes(40),
        ipv4(b"")[:19],
        b"\x44" + ipv4(b"")[1:],
        ipv4(b"", total=19),
        b"\x4f" + ipv4(b"", total=60)[1:],
        ipv6(b"")[:39],
        ipv6(b"\x11\0\0", protocol=0),
        ipv6(b"".join(extension(0) for _ in range(20)), protocol=0),
        ipv6(extension(17, 200)[:10], protocol=0)[:47],
        ipv4(b"", 4),
    ],
)
def test_broken_headers_are_refused_with_their_place(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_ip(data)
    assert caught.value.offset is not None


@given(st.sampled_from([0, 1, 12, 101, 108, 113, 228, 229, 276]), st.binary(max_size=120))
def test_garbage_raises_nothing_else(link_type: int, data: bytes) -> None:
    place = offset(link_type, data)
    assert place == NOT_IP or 0 <= place < len(data)
    for start in (0, max(place, 0)):
        try:
            packet = parse_ip(data, start)
        except RemoteProtocolError:
            continue
        assert len(packet.payload) <= len(data)
