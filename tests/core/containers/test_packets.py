import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.containers.capture import CaptureProblem, Datagram, Direction, Packet
from siprec_core.containers.datagrams import DatagramReader
from siprec_core.containers.packets import TCP_SEGMENT_SIZE, UDP_PAYLOAD_SIZE, DatagramEncoder, TcpFlowWriter
from siprec_core.containers.pcapng import PcapngEncoder
from siprec_core.containers.pcapng_reader import PcapngReader
from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.types import Address
from tests.core.containers.captures import AT_NS, read

LOCAL, REMOTE = Address("192.0.2.1", 30_000), Address("198.51.100.7", 4000)
LOCAL_6, REMOTE_6 = Address("2001:db8::1", 30_000), Address("2001:db8::ff:7", 4000)
PAIRS = [(LOCAL, REMOTE), (LOCAL_6, REMOTE_6)]
INBOUND, OUTBOUND = Direction.INBOUND, Direction.OUTBOUND


def head() -> bytes:
    encoder = PcapngEncoder()
    return encoder.start(application="siprec") + encoder.add_interface("sip") + encoder.add_interface("line-0")


def datagrams_of(blocks: bytes) -> list[Datagram]:
    items = read(DatagramReader(limits=Limits()), head() + blocks)
    assert not any(isinstance(item, CaptureProblem) for item in items)
    return [item for item in items if isinstance(item, Datagram)]


def packets_of(blocks: bytes) -> list[Packet]:
    return [item for item in read(PcapngReader(limits=Limits()), head() + blocks) if isinstance(item, Packet)]


def folded(data: bytes) -> int:
    """Sum 16-bit words one by one with end-around carry, as RFC 1071 section 4.1 does."""
    total = 0
    for (word,) in struct.iter_unpack(">H", data + bytes(len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


def check_headers(packet: bytes, protocol: int) -> None:
    """Check lengths and checksums of an IP packet and what it carries; a right checksum makes the sum all ones."""
    if packet[0] >> 4 == 4:
        assert folded(packet[:20]) == 0xFFFF
        assert struct.unpack_from(">H", packet, 2) == (len(packet),)
        addresses, payload = packet[12:20], packet[20:]
        assert packet[9] == protocol
    else:
        assert struct.unpack_from(">HB", packet, 4) == (len(packet) - 40, protocol)
        addresses, payload = packet[8:40], packet[40:]
    if protocol == 17:
        assert struct.unpack_from(">H", payload, 4) == (len(payload),)
        if packet[0] >> 4 == 4:
            assert payload[6:8] == b"\0\0"
            return
        assert payload[6:8] != b"\0\0"
    assert folded(addresses + struct.pack(">HH", protocol, len(payload)) + payload) == 0xFFFF


@pytest.mark.parametrize(("local", "remote"), PAIRS)
@pytest.mark.parametrize("direction", [INBOUND, OUTBOUND])
def test_datagrams_come_back(local: Address, remote: Address, direction: Direction) -> None:
    encoder = DatagramEncoder(1, local, direction)
    triples = [(bytes([number]) * (number * 3), remote, AT_NS + number) for number in range(20)]
    source, destination = (remote, local) if direction is INBOUND else (local, remote)
    assert datagrams_of(encoder.encode(triples)) == [
        Datagram(at_ns, "udp", source, destination, payload, 1, direction) for payload, _, at_ns in triples
    ]


@given(st.sampled_from(PAIRS), st.lists(st.binary(max_size=80), max_size=12))
def test_headers_are_right_for_any_payload(pair: tuple[Address, Address], payloads: list[bytes]) -> None:
    encoder = DatagramEncoder(0, pair[0], INBOUND)
    blocks = encoder.encode((memoryview(payload), pair[1], AT_NS) for payload in payloads)
    packets = packets_of(blocks)
    assert len(packets) == len(payloads)
    for packet in packets:
        check_headers(packet.data, 17)
        assert len(packet.data) == packet.original_size


def test_a_checksum_of_zero_is_written_as_all_ones() -> None:
    encoder = DatagramEncoder(0, LOCAL_6, INBOUND)
    plain = packets_of(encoder.encode([(b"\0\0", REMOTE_6, 0)]))[0].data
    checksum = struct.unpack_from(">H", plain, 46)[0]
    packet = packets_of(encoder.encode([(struct.pack(">H", checksum), REMOTE_6, 0)]))[0].data
    assert packet[46:48] == b"\xff\xff"
    check_headers(packet, 17)


def test_batches_are_cut_anywhere() -> None:
    triples = [(bytes([number]) * 10, REMOTE if number % 3 else Address("10.0.0.9", 9), number) for number in range(9)]
    whole = DatagramEncoder(1, LOCAL, INBOUND).encode(triples)
    encoder = DatagramEncoder(1, LOCAL, INBOUND)
    assert b"".join(encoder.encode([triple]) for triple in triples) == whole
    assert encoder.encode([]) == b""


def test_equal_addresses_that_are_different_objects_are_one_pair() -> None:
    encoder = DatagramEncoder(1, LOCAL, INBOUND)
    encoder.encode([(b"x", Address("198.51.100.7", 4000), 0) for _ in range(5)])
    assert len(encoder._pairs) == 1


def test_a_peer_that_varies_everything_does_not_grow_the_memory() -> None:
    encoder = DatagramEncoder(1, LOCAL, INBOUND)
    encoder.encode((bytes(size), Address("10.0.0.1", size % 1000), 0) for size in range(1500))
    encoder.encode((bytes(size), REMOTE, 0) for size in range(1500))
    assert len(encoder._pairs) <= 64
    assert all(len(frames) <= 256 for _, frames in encoder._pairs.values())


def test_what_no_datagram_can_hold_is_cut_and_its_size_told() -> None:
    for size in (UDP_PAYLOAD_SIZE, UDP_PAYLOAD_SIZE + 9):
        packet = packets_of(DatagramEncoder(1, LOCAL, INBOUND).encode([(bytes(size), REMOTE, 0)]))[0]
        assert len(packet.data) == 65_535
        assert packet.original_size == 28 + size
        check_headers(packet.data, 17)


def test_times_before_1970_become_1970() -> None:
    assert datagrams_of(DatagramEncoder(1, LOCAL, INBOUND).encode([(b"x", REMOTE, -5)]))[0].at_ns == 0


def test_mapped_addresses_are_written_as_ipv4() -> None:
    encoder = DatagramEncoder(0, Address("::ffff:192.0.2.1", 5), INBOUND)
    datagram = datagrams_of(encoder.encode([(b"x", Address("::ffff:10.0.0.1", 6), 0)]))[0]
    assert (datagram.source, datagram.destination) == (Address("10.0.0.1", 6), Address("192.0.2.1", 5))


def test_a_wildcard_beside_the_other_version_is_mapped() -> None:
    datagram = datagrams_of(DatagramEncoder(0, Address("::", 5), INBOUND).encode([(b"x", REMOTE, 0)]))[0]
    assert datagram.destination == Address("::", 5)
    assert datagram.source.host.startswith("::ffff:")


def test_a_scope_is_not_part_of_the_address_on_the_wire() -> None:
    encoder = DatagramEncoder(0, LOCAL_6, INBOUND)
    assert datagrams_of(encoder.encode([(b"x", Address("fe80::1%eth0", 1), 0)]))[0].source == Address("fe80::1", 1)


def test_a_name_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="'example'"):
        DatagramEncoder(0, LOCAL, INBOUND).encode([(b"x", Address("example", 1), 0)])
    with pytest.raises(LocalProtocolError, match="'example'"):
        TcpFlowWriter(0, LOCAL, Address("example", 1))


@pytest.mark.parametrize(("local", "remote"), PAIRS)
def test_both_directions_of_a_connection_come_back(local: Address, remote: Address) -> None:
    writer = TcpFlowWriter(0, local, remote)
    messages = [(b"INVITE", INBOUND), (b"200", OUTBOUND), (b"ACK!", INBOUND), (b"BYE", OUTBOUND)]
    blocks = b"".join(
        writer.encode(data, at_ns=AT_NS + number, direction=direction)
        for number, (data, direction) in enumerate(messages)
    )
    for packet in packets_of(blocks):
        check_headers(packet.data, 6)
    pieces = datagrams_of(blocks)
    assert [(piece.payload, piece.direction, piece.at_ns - AT_NS) for piece in pieces] == [
        (data, direction, number) for number, (data, direction) in enumerate(messages)
    ]
    assert [piece.restart for piece in pieces] == [True, True, False, False]
    assert (pieces[0].source, pieces[0].destination) == (remote, local)
    assert (pieces[1].source, pieces[1].destination) == (local, remote)


@pytest.mark.parametrize(("local", "remote"), PAIRS)
def test_a_long_message_becomes_segments(local: Address, remote: Address) -> None:
    message = bytes(range(256)) * 600
    blocks = TcpFlowWriter(0, local, remote).encode(memoryview(message), at_ns=AT_NS, direction=INBOUND)
    packets = packets_of(blocks)
    assert len(packets) == -(-len(message) // TCP_SEGMENT_SIZE)
    for packet in packets:
        assert len(packet.data) <= 65_555
        check_headers(packet.data, 6)
    pieces = datagrams_of(blocks)
    assert b"".join(piece.payload for piece in pieces) == message
    assert [piece.restart for piece in pieces] == [True, False, False]


def test_acknowledgements_follow_the_other_direction() -> None:
    writer = TcpFlowWriter(0, LOCAL, REMOTE)
    writer.encode(bytes(10), at_ns=0, direction=INBOUND)
    sent = packets_of(writer.encode(bytes(7), at_ns=0, direction=OUTBOUND))[0].data
    received = packets_of(writer.encode(bytes(1), at_ns=0, direction=INBOUND))[0].data
    assert struct.unpack_from(">II", sent, 24) == (1, 11)
    assert struct.unpack_from(">II", received, 24) == (11, 8)


def test_sequence_numbers_wrap() -> None:
    writer = TcpFlowWriter(0, LOCAL, REMOTE)
    writer._received_sequence = 0xFFFF_FFFE
    blocks = b"".join(writer.encode(data, at_ns=0, direction=INBOUND) for data in (b"abc", b"def"))
    assert b"".join(piece.payload for piece in datagrams_of(blocks)) == b"abcdef"
    assert writer._received_sequence == 4


def test_no_octets_are_no_segment() -> None:
    assert TcpFlowWriter(0, LOCAL, REMOTE).encode(b"", at_ns=0, direction=INBOUND) == b""
