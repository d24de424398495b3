"""Media sockets: bound in pairs, drained by ticks, closed with what still waits."""

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from siprec_core.types import Address, Component, MediaId
from siprec_sync import media as media_module
from siprec_sync.datagrams import SingleMessageReader
from siprec_sync.media import MediaSockets

LINE, OTHER = MediaId(1), MediaId(2)


def free_pair() -> tuple[Address, Address]:
    """Give an even port with its odd neighbour that are free now."""
    for port in range(42_000, 48_000, 2):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.bind(("127.0.0.1", port))
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
                    two.bind(("127.0.0.1", port + 1))
        except OSError:
            continue
        return Address("127.0.0.1", port), Address("127.0.0.1", port + 1)
    raise AssertionError("no free ports")


@pytest.fixture(params=["batched", "portable"])
def sockets(request: pytest.FixtureRequest) -> Iterator[MediaSockets]:
    found = MediaSockets(reader=SingleMessageReader() if request.param == "portable" else None)
    yield found
    found.close_all()


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        yield sock


def drained(sockets: MediaSockets) -> list[tuple[MediaId, Component, list[bytes]]]:
    return [(media, part, [bytes(data) for data in batch.datagrams]) for media, part, batch in sockets.drain()]


def test_rtp_and_rtcp_are_told_apart(sockets: MediaSockets, sender: socket.socket) -> None:
    rtp, rtcp = free_pair()
    sockets.bind(LINE, rtp, rtcp)
    assert drained(sockets) == []
    sender.sendto(b"one", rtp)
    sender.sendto(b"two", rtp)
    sender.sendto(b"report", rtcp)
    found = drained(sockets)
    assert sorted(found, key=lambda each: each[1].value) == [
        (LINE, Component.RTP, [b"one", b"two"]),
        (LINE, Component.RTCP, [b"report"]),
    ]
    assert drained(sockets) == []


def test_one_port_with_rtcp_mux(sockets: MediaSockets) -> None:
    sockets.bind(LINE, free_pair()[0], None)
    assert len(sockets) == 1


@pytest.mark.requirement("7866-8.1.8-a")
def test_sending_comes_from_the_bound_port(sockets: MediaSockets, sender: socket.socket) -> None:
    rtp, rtcp = free_pair()
    sockets.bind(LINE, rtp, rtcp)
    sender.bind(("127.0.0.1", 0))
    sockets.send(LINE, Component.RTCP, Address(*sender.getsockname()), b"report")
    assert sender.recvfrom(100) == (b"report", tuple(rtcp))


def test_what_cannot_be_sent_is_counted(sockets: MediaSockets) -> None:
    sockets.send(LINE, Component.RTP, Address("127.0.0.1", 9), b"x")
    sockets.bind(LINE, free_pair()[0], None)
    sockets.send(LINE, Component.RTP, Address("127.0.0.1", 9), bytes(70_000))
    assert sockets.unsent == 2


def test_a_port_in_use_binds_neither(sockets: MediaSockets) -> None:
    rtp, rtcp = free_pair()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(tuple(rtcp))
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked
            sockets.bind(LINE, rtp, rtcp)
    assert caught.value.errno == errno.EADDRINUSE
    assert len(sockets) == 0
    sockets.bind(LINE, rtp, rtcp)


def test_no_descriptor_left_is_an_error_of_this_line(sockets: MediaSockets, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(media_module, "open_datagram_socket", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        sockets.bind(LINE, *free_pair())
    assert len(sockets) == 0


def test_closing_gives_what_still_waits(sockets: MediaSockets, sender: socket.socket) -> None:
    rtp, rtcp = free_pair()
    sockets.bind(LINE, rtp, rtcp)
    sender.sendto(b"last", rtp)
    sender.sendto(b"goodbye", rtcp)
    rest = [(part, [bytes(data) for data in batch.datagrams]) for part, batch in sockets.rest(LINE)]
    assert rest == [(Component.RTP, [b"last"]), (Component.RTCP, [b"goodbye"])]
    sockets.close(LINE)
    sockets.close(LINE)
    assert len(sockets) == 0
    assert list(sockets.rest(LINE)) == []


def test_sockets_may_be_closed_between_two_batches(sockets: MediaSockets, sender: socket.socket) -> None:
    addresses = {}
    for media in (LINE, OTHER):
        addresses[media] = free_pair()[0]
        sockets.bind(media, addresses[media], None)
        sender.sendto(b"x", addresses[media])
    seen = []
    for media, _, _ in sockets.drain():
        seen.append(media)
        sockets.close(OTHER if media == LINE else LINE)
    assert len(seen) == 1


def test_a_flood_on_one_port_leaves_time_for_the_others(
    sockets: MediaSockets, sender: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_module, "_BATCHES_PER_TICK", 1)
    rtp, _ = free_pair()
    sockets.bind(LINE, rtp, None)
    for index in range(100):
        sender.sendto(bytes([index]), rtp)
    first, second = drained(sockets), drained(sockets)
    assert len(first) == len(second) == 1
    assert first[0][2] + second[0][2] == [bytes([index]) for index in range(len(first[0][2]) + len(second[0][2]))]


def test_ipv6(sockets: MediaSockets) -> None:
    port = free_pair()[0].port
    sockets.bind(LINE, Address("::1", port), None)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"six", ("::1", port))
    assert drained(sockets) == [(LINE, Component.RTP, [b"six"])]


def test_lent_sockets_are_read_elsewhere_and_sent_from_here(sockets: MediaSockets, sender: socket.socket) -> None:
    rtp, rtcp = free_pair()
    sockets.bind(LINE, rtp, rtcp)
    assert len(sockets) == 2
    descriptors = sockets.lend(LINE)
    assert len(descriptors) == 2
    assert len(sockets) == 0
    assert sockets.lend(OTHER) == ()
    borrower = MediaSockets()
    for component, descriptor in zip(Component, descriptors, strict=True):
        borrower.adopt(LINE, component, socket.socket(fileno=os.dup(descriptor)))
    sender.sendto(b"one", rtp)
    assert drained(sockets) == []
    assert drained(borrower) == [(LINE, Component.RTP, [b"one"])]
    sockets.send(LINE, Component.RTCP, Address("127.0.0.1", sender.getsockname()[1]), b"report")
    assert sender.recvfrom(100) == (b"report", rtcp)
    borrower.close_all()
    sockets.close(LINE)
    sockets.bind(LINE, rtp, rtcp)
    assert len(sockets) == 2
