import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.containers.capture import CaptureProblem, Datagram, Direction, Interface, Section, Statistics
from siprec_core.containers.datagrams import DatagramReader
from siprec_core.containers.packets import DatagramEncoder, TcpFlowWriter
from siprec_core.containers.pcapng import PcapngEncoder
from siprec_core.limits import Limits
from siprec_core.types import Address
from tests.core.containers.captures import AT_NS, interface, ipv4, ipv6, packet, pcap, read, section, tcp, udp

SOURCE, DESTINATION = Address("10.0.0.2", 4000), Address("10.0.0.1", 30_000)
SOURCE_6, DESTINATION_6 = Address("2001:db8::2", 4000), Address("2001:db8::1", 30_000)
AT = AT_NS // 1000 * 1000


def items_of(data: bytes, *cuts: int, limits: Limits | None = None) -> list[object]:
    return list(read(DatagramReader(limits=limits or Limits()), data, cuts))


def of_packets(*packets: bytes, link_type: int = 101) -> list[object]:
    return items_of(pcap([(AT, data) for data in packets], link_type=link_type))[2:]


def findings_of(items: list[object]) -> list[tuple[str, str]]:
    return [(item.finding.code, item.finding.where) for item in items if isinstance(item, CaptureProblem)]


def payloads_of(items: list[object]) -> list[bytes]:
    return [item.payload for item in items if isinstance(item, Datagram)]


def test_udp_over_ipv4() -> None:
    assert of_packets(ipv4(udp(b"hello"))) == [Datagram(AT, "udp", SOURCE, DESTINATION, b"hello", 0)]


def test_udp_over_ipv6() -> None:
    assert of_packets(ipv6(udp(b"hello"))) == [Datagram(AT, "udp", SOURCE_6, DESTINATION_6, b"hello", 0)]


@pytest.mark.parametrize(
    "data",
    [
        ipv4(udp(b"hello")) + bytes(13),
        ipv4(udp(b"hello"), options=bytes(4)),
        ipv4(udp(b"hello"), fragment=0x4000),
        ipv4(udp(b"hello") + b"behind"),
        ipv4(udp(b"hello")[:4] + b"\0\0\0\0hello"),
    ],
)
def test_the_plain_form_and_others_give_the_same(data: bytes) -> None:
    assert of_packets(data) == [Datagram(AT, "udp", SOURCE, DESTINATION, b"hello", 0)]
    assert of_packets(bytes(12) + b"\x08\x00" + data, link_type=1) == of_packets(data)


def test_what_is_neither_udp_nor_tcp_is_left_out() -> None:
    assert of_packets(ipv4(bytes(8), protocol=1), ipv6(bytes(8), protocol=58)) == []
    assert of_packets(bytes(12) + b"\x08\x06" + bytes(28), link_type=1) == []


@pytest.mark.parametrize(
    "data",
    [
        ipv4(b"1234567"),
        ipv4(udp(b"hello")[:-1]),
        ipv4(struct.pack(">HHHH", 1, 2, 7, 0)),
        ipv4(tcp(b"", 0)[:19], protocol=6),
        ipv4(tcp(b"", 0)[:12] + b"\x40" + bytes(7), protocol=6),
        ipv4(tcp(b"", 0)[:12] + b"\xf0" + bytes(7), protocol=6),
        ipv4(b"", total=3),
        b"\x00",
    ],
)
def test_a_broken_packet_costs_one_problem_with_its_number(data: bytes) -> None:
    items = of_packets(ipv4(udp(b"before")), data, ipv4(udp(b"behind")))
    assert findings_of(items) == [("capture-packet", "packet 2")]
    assert payloads_of(items) == [b"before", b"behind"]


def test_cut_packets_tell_what_is_missing_and_are_reported_once() -> None:
    data = ipv4(udp(bytes(100)))[:60]
    items = of_packets(data, data, ipv4(tcp(b"abcdef", 0), protocol=6)[:-2])
    assert [item.missing_size for item in items if isinstance(item, Datagram)] == [68, 68, 0]
    assert payloads_of(items) == [bytes(32), bytes(32), b"abcd"]
    assert findings_of(items) == [("capture-cut", "interface 0")]


def test_an_unknown_link_type_is_reported_once_and_others_are_read() -> None:
    data = section() + interface(127) + interface(101) + packet(b"radio", number=0) + packet(ipv4(udp(b"x")), number=1)
    items = items_of(data)
    assert findings_of(items) == [("capture-link-type", "interface 0")]
    assert payloads_of(items) == [b"x"]


def test_sections_interfaces_and_statistics_pass_in_order() -> None:
    encoder = PcapngEncoder()
    data = encoder.start(application="siprec") + encoder.add_interface("sip")
    data += encoder.add_statistics(0, at_ns=AT_NS, comments=["first"])
    data += DatagramEncoder(0, DESTINATION, Direction.INBOUND).encode([(b"x", SOURCE, AT_NS)])
    data += encoder.add_statistics(0, at_ns=AT_NS, comments=["last"])
    kinds = [type(item) for item in items_of(data)]
    assert kinds == [Section, Interface, Statistics, Datagram, Statistics]


def test_fragments_over_ipv4_and_ipv6() -> None:
    whole = udp(bytes(range(200)))
    first = ipv4(whole[:104], identification=5, fragment=0x2000)
    last = ipv4(whole[104:], identification=5, fragment=13)
    assert payloads_of(of_packets(last, first)) == [bytes(range(200))]
    header = struct.pack(">BBHI", 60, 0, 1, 9), struct.pack(">BBHI", 60, 0, 14 << 3, 9)
    whole = bytes((17, 0)) + bytes(6) + whole
    first, last = ipv6(header[0] + whole[:112], 44), ipv6(header[1] + whole[112:], 44)
    assert payloads_of(of_packets(first, last)) == [bytes(range(200))]


def test_incomplete_fragments_are_reported_once_at_the_end() -> None:
    items = of_packets(*(ipv4(bytes(8), identification=number, fragment=0x2000) for number in range(3)))
    assert findings_of(items) == [("capture-fragment", "IP")]


def test_tcp_in_order_and_out_of_order() -> None:
    segments = [tcp(b"abc", 1), tcp(b"ghi", 7), tcp(b"def", 4, options=bytes(12))]
    items = of_packets(*(ipv4(segment, protocol=6) for segment in segments))
    sip = DESTINATION._replace(port=5060)
    assert items == [
        Datagram(AT, "tcp", SOURCE, sip, b"abc", 0, restart=True),
        Datagram(AT, "tcp", SOURCE, sip, b"def", 0),
        Datagram(AT, "tcp", SOURCE, sip, b"ghi", 0),
    ]


def test_a_gap_is_reported_when_it_is_given_up() -> None:
    segments = [(AT, tcp(b"abc", 1)), (AT + 10, tcp(b"ghi", 7)), (AT + 3 * 10**9, tcp(b"jkl", 10))]
    items = items_of(pcap([(at_ns, ipv4(segment, protocol=6)) for at_ns, segment in segments]))
    assert payloads_of(items) == [b"abc", b"ghi", b"jkl"]
    assert findings_of(items) == [("capture-gap", "10.0.0.2:4000 to 10.0.0.1:5060")]


def test_what_waits_at_the_end_is_delivered() -> None:
    segments = [tcp(b"abc", 1), tcp(b"ghi", 7)]
    items = of_packets(*(ipv4(segment, protocol=6) for segment in segments))
    assert payloads_of(items) == [b"abc", b"ghi"]
    assert findings_of(items) == [("capture-gap", "end of file")]


def test_addresses_are_remembered_within_bounds() -> None:
    reader = DatagramReader(limits=Limits())
    packets = [(AT, ipv4(udp(b"", number & 0xFFFF))) for number in range(9_000)]
    assert len(read(reader, pcap(packets))) == 9_002
    assert len(reader._addresses) <= 4_096


def test_nothing_follows_the_end() -> None:
    reader = DatagramReader(limits=Limits())
    assert len(read(reader, pcap([(AT, ipv4(bytes(8), fragment=0x2000))]))) == 3
    assert reader.poll() is None


def journal() -> bytes:
    encoder = PcapngEncoder()
    data = encoder.start(application="siprec") + encoder.add_interface("sip") + encoder.add_interface("line-0")
    writer = TcpFlowWriter(0, Address("10.0.0.1", 5060), Address("10.0.0.2", 40_000))
    for number in range(3):
        data += writer.encode(b"INVITE" * 5, at_ns=AT_NS + number, direction=Direction.INBOUND)
        data += writer.encode(b"200", at_ns=AT_NS + number, direction=Direction.OUTBOUND)
    for address in (DESTINATION, DESTINATION_6):
        remote = SOURCE if address is DESTINATION else SOURCE_6
        triples = [(bytes([number]) * 20, remote, AT_NS + number) for number in range(4)]
        data += DatagramEncoder(1, address, Direction.INBOUND).encode(triples)
    return data + encoder.add_statistics(1, at_ns=AT_NS, comments=["end"])


JOURNAL = journal()
WHOLE = items_of(JOURNAL)


@given(st.lists(st.integers(min_value=0, max_value=len(JOURNAL)), max_size=10))
def test_any_split_gives_the_same_items(cuts: list[int]) -> None:
    assert items_of(JOURNAL, *cuts) == WHOLE


def test_every_truncation_gives_a_prefix_and_at_most_one_problem() -> None:
    for end in range(4, len(JOURNAL)):
        items = items_of(JOURNAL[:end])
        good = [item for item in items if not isinstance(item, CaptureProblem)]
        assert good == WHOLE[: len(good)]
        assert len(items) - len(good) <= 1


@given(st.integers(min_value=0, max_value=len(JOURNAL) - 1), st.integers(min_value=1, max_value=255))
def test_one_wrong_octet_never_raises_and_loses_little(place: int, change: int) -> None:
    broken = bytearray(JOURNAL)
    broken[place] ^= change
    items = items_of(bytes(broken))
    assert len(items) <= len(WHOLE) + 3
    if place >= 300:
        assert sum(isinstance(item, Interface) for item in items) >= 2


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 101, 113, 276]), st.binary(max_size=100)), max_size=6))
def test_garbage_packets_never_raise(packets: list[tuple[int, bytes]]) -> None:
    data = section() + b"".join(interface(link_type) for link_type, _ in packets)
    data += b"".join(packet(content, number=number) for number, (_, content) in enumerate(packets))
    assert sum(isinstance(item, Interface) for item in items_of(data)) == len(packets)
