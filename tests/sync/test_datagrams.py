"""The batched reader and its portable twin: the same tests for both."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from siprec_core.types import Address
from siprec_sync import datagrams
from siprec_sync.datagrams import (
    DatagramReader,
    MultiMessageReader,
    SingleMessageReader,
    address_of,
    destination_control,
    open_reader,
)

READERS = [
    pytest.param(
        MultiMessageReader,
        marks=pytest.mark.skipif(datagrams._recvmmsg is None, reason="recvmmsg is on 64-bit Linux only"),
    ),
    SingleMessageReader,
]
HOSTS = ["127.0.0.1", "::1"]


def udp(host: str, wildcard: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(("" if wildcard else host, 0))
    sock.settimeout(0)
    return sock


@pytest.fixture(params=HOSTS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A receiver and a sender on one host."""
    with closing(udp(request.param)) as receiver, closing(udp(request.param)) as sender:
        sender.connect(receiver.getsockname())
        yield receiver, sender


def read_all(reader: DatagramReader, sock: socket.socket) -> list[tuple[bytes, Address, float]]:
    found: list[tuple[bytes, Address, float]] = []
    while (batch := reader.read(sock)) is not None:
        found += [(bytes(data), source, at) for data, source, at in batch]
    return found


@pytest.mark.parametrize("kind", READERS)
def test_sizes_sources_and_content(
    kind: type[MultiMessageReader | SingleMessageReader], pair: tuple[socket.socket, socket.socket]
) -> None:
    receiver, sender = pair
    reader = kind()
    reader.prepare(receiver)
    sent = [bytes([index % 251]) * size for index, size in enumerate((172, 172, 0, 1, 2_048, 2_049, 60_000, 172))]
    for data in sent:
        sender.send(data)
    found = read_all(reader, receiver)
    assert [data for data, _, _ in found] == sent
    assert {source for _, source, _ in found} == {address_of(sender.getsockname())}


@pytest.mark.parametrize("kind", READERS)
def test_arrivals_lie_between_sending_and_reading(
    kind: type[MultiMessageReader | SingleMessageReader], pair: tuple[socket.socket, socket.socket]
) -> None:
    receiver, sender = pair
    reader = kind()
    reader.prepare(receiver)
    before = time.monotonic()
    sender.send(b"a")
    sender.send(b"b")
    reader.synchronise()
    arrivals = [at for _, _, at in read_all(reader, receiver)]
    assert arrivals == sorted(arrivals)
    assert before - 0.01 <= arrivals[0] <= arrivals[1] <= time.monotonic()


@pytest.mark.parametrize("kind", READERS)
def test_nothing_waits(
    kind: type[MultiMessageReader | SingleMessageReader], pair: tuple[socket.socket, socket.socket]
) -> None:
    assert kind().read(pair[0]) is None


@pytest.mark.parametrize("kind", READERS)
def test_a_full_batch_leaves_the_rest_for_the_next(
    kind: type[MultiMessageReader | SingleMessageReader], pair: tuple[socket.socket, socket.socket]
) -> None:
    receiver, sender = pair
    reader = kind(slots=4)
    reader.prepare(receiver)
    for index in range(6):
        sender.send(bytes([index]))
    first = reader.read(receiver)
    assert first is not None
    assert [bytes(data) for data in first.datagrams] == [b"\0", b"\1", b"\2", b"\3"]
    second = reader.read(receiver)
    assert second is not None
    assert [bytes(data) for data in second.datagrams] == [b"\4", b"\5"]


@pytest.mark.parametrize("kind", READERS)
def test_several_senders_in_one_batch(kind: type[MultiMessageReader | SingleMessageReader]) -> None:
    reader = kind()
    with closing(udp("127.0.0.1")) as receiver, closing(udp("127.0.0.1")) as one, closing(udp("127.0.0.1")) as two:
        reader.prepare(receiver)
        for sender in (one, two, one):
            sender.sendto(b"x", receiver.getsockname())
        sources = [source for _, source, _ in read_all(reader, receiver)]
        assert sources == [address_of(each.getsockname()) for each in (one, two, one)]


@pytest.mark.parametrize("kind", READERS)
def test_one_reader_serves_both_families(kind: type[MultiMessageReader | SingleMessageReader]) -> None:
    reader = kind()
    with closing(udp("127.0.0.1")) as four, closing(udp("::1")) as six:
        for sock in (four, six):
            reader.prepare(sock)
        for sock in (four, six, four, six):
            sock.sendto(b"x", sock.getsockname())
            assert [source for _, source, _ in read_all(reader, sock)] == [address_of(sock.getsockname())]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("host", [*HOSTS, "127.0.0.2"])
def test_destinations_of_a_wildcard_socket(kind: type[MultiMessageReader | SingleMessageReader], host: str) -> None:
    reader = kind(destinations=True)
    with closing(udp(host, wildcard=True)) as receiver, closing(udp(host)) as sender:
        reader.prepare(receiver)
        sender.sendto(b"x", (host, receiver.getsockname()[1]))
        assert reader.read(receiver) is not None
        assert list(reader.destinations) == [host]


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_a_datagram_leaves_from_the_address_that_is_named(host: str) -> None:
    with closing(udp(host, wildcard=True)) as sender, closing(udp(host)) as receiver:
        sender.sendmsg([b"x"], destination_control(host), 0, receiver.getsockname())
        assert receiver.recvfrom(10)[1][:2] == (host, sender.getsockname()[1])


@pytest.mark.parametrize("kind", READERS)
def test_a_closed_socket_is_an_error(kind: type[MultiMessageReader | SingleMessageReader]) -> None:
    sock = udp("127.0.0.1")
    sock.close()
    with pytest.raises(OSError, match=r"[Bb]ad file descriptor"):
        kind().read(sock)


def test_spoofed_sources_do_not_grow_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "_CACHED_SOURCES", 2)
    reader = open_reader()
    assert isinstance(reader, MultiMessageReader | SingleMessageReader)
    with closing(udp("127.0.0.1")) as receiver:
        reader.prepare(receiver)
        for _ in range(5):
            with closing(udp("127.0.0.1")) as sender:
                sender.sendto(b"x", receiver.getsockname())
        assert len(read_all(reader, receiver)) == 5
        assert len(reader._sources) <= 2
        assert len(getattr(reader, "_batches", ())) <= 2


def test_views_of_many_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "_CACHED_SIZES", 3)
    reader = MultiMessageReader()
    for size in range(10):
        assert all(len(view) == size for view in reader._views_of(size))
        assert len(reader._views) <= 3


@pytest.mark.skipif(datagrams._recvmmsg is None, reason="recvmmsg is on 64-bit Linux only")
def test_a_stepped_wall_clock_does_not_move_arrivals(monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (-3_600_000_000_000, 3_600_000_000_000):
        reader = MultiMessageReader()
        with closing(udp("127.0.0.1")) as sock:
            reader.prepare(sock)
            sock.sendto(b"x", sock.getsockname())
            wall = time.time_ns() + step
            with monkeypatch.context() as patch:
                patch.setattr(time, "time_ns", lambda wall=wall: wall)
                reader.synchronise()
            ((_, _, arrival),) = read_all(reader, sock)
            assert abs(time.monotonic() - arrival) < 60


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (("10.0.0.1", 5), Address("10.0.0.1", 5)),
        (("::1", 5, 0, 0), Address("::1", 5)),
        (("fe80::1%eth0", 5, 0, 4), Address("fe80::1%eth0", 5)),
        (("fe80::1", 5, 0, 4), Address("fe80::1%4", 5)),
        (None, Address("", 0)),
    ],
)
def test_addresses(name: object, address: Address) -> None:
    assert address_of(name) == address
