"""Frames of values and descriptors between two processes."""

import os
import socket
from collections.abc import Iterator

import pytest

from siprec_sync.worker_channel import ChannelClosedError, WorkerChannel


@pytest.fixture
def ends() -> Iterator[tuple[WorkerChannel, WorkerChannel]]:
    one, other = map(WorkerChannel, socket.socketpair())
    yield one, other
    one.close()
    other.close()


def test_values_come_in_order_and_in_their_frames(ends: tuple[WorkerChannel, WorkerChannel]) -> None:
    one, other = ends
    assert not other.wait()
    assert other.receive() == []
    one.send(["a", 1])
    one.send([(2.5, None)])
    one.send([])
    assert other.wait(1.0)
    assert other.receive() == ["a", 1, (2.5, None)]
    assert not other.wait()


def test_what_finds_no_room_is_sent_later(ends: tuple[WorkerChannel, WorkerChannel]) -> None:
    one, other = ends
    octets = [bytes([number]) * 500_000 for number in range(5)]
    for each in octets:
        one.send([each])
    assert one.unsent_size > 1_000_000
    received: list[object] = []
    while len(received) < len(octets):
        received += other.receive()
        one.flush()
    assert received == octets
    assert one.unsent_size == 0


def test_a_frame_may_come_octet_by_octet() -> None:
    one, other = map(WorkerChannel, socket.socketpair())
    relay, end = socket.socketpair()
    slow = WorkerChannel(end)
    one.send(["whole", {"of": 7}])
    data = other.socket.recv(4_096)
    for octet in data:
        assert slow.receive() == []
        relay.send(bytes([octet]))
    assert slow.receive() == ["whole", {"of": 7}]
    relay.close()
    for each in (one, other, slow):
        each.close()


def test_descriptors_come_with_their_frame(ends: tuple[WorkerChannel, WorkerChannel]) -> None:
    one, other = ends
    reading, writing = os.pipe()
    one.send(["none"])
    one.send(["two"], [reading, writing])
    os.close(reading)
    os.close(writing)
    assert other.receive() == ["none", "two"]
    reading, writing = other.take_descriptor(), other.take_descriptor()
    os.write(writing, b"through")
    assert os.read(reading, 10) == b"through"
    os.close(reading)
    os.close(writing)


def test_descriptors_that_nobody_takes_are_closed() -> None:
    one, other = map(WorkerChannel, socket.socketpair())
    reading, writing = os.pipe()
    one.send(["two"], [writing])
    os.close(writing)
    other.receive()
    one.close()
    other.close()
    assert os.read(reading, 10) == b""
    os.close(reading)


def test_the_end_comes_after_the_last_value(ends: tuple[WorkerChannel, WorkerChannel]) -> None:
    one, other = ends
    one.send(["last"])
    one.finish(1.0)
    one.finish(1.0)
    assert other.receive() == ["last"]
    with pytest.raises(ChannelClosedError):
        other.receive()


def test_a_lost_end_shows_when_receiving_alone(ends: tuple[WorkerChannel, WorkerChannel]) -> None:
    one, other = ends
    other.send(["never read"])
    one.close()
    other.send([bytes(1_000_000)])
    other.send(["nobody"])
    assert other.unsent_size == 0
    other.finish(1.0)
    with pytest.raises(ChannelClosedError):
        other.receive()
