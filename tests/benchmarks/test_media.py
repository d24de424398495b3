"""The receive path and the live path of one media line per packet, beside the floor: one `struct` call on each header.

`extra_info` tells microseconds a packet; the ratio of two rows of one run is what counts.
"""

from collections.abc import Callable
from dataclasses import replace
from struct import Struct

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from siprec_core.codecs.registry import BUILT_IN
from siprec_core.limits import Limits
from siprec_core.media.listener import LineListener
from siprec_core.rtp.packet import HeaderExtension, RtpPacket
from siprec_core.types import Component, DatagramBatch
from tests.core.media.lines import FOREIGN, FORMATS, Datagram, batch, line, run

PACKETS = 5_000
PER_BATCH = 5
"""What a line with packets of 20 ms gathers in a tick of 100 ms."""


def _in_order() -> list[Datagram]:
    return run(0, PACKETS)


def _extended() -> list[Datagram]:
    extension = HeaderExtension(0xBEDE, bytes(4))
    return [
        replace(sent, data=replace(RtpPacket.parse(sent.data), extension=extension).to_bytes()) for sent in _in_order()
    ]


def _lossy() -> list[Datagram]:
    return [sent for index, sent in enumerate(_in_order()) if index % 10]


def _swapped() -> list[Datagram]:
    """Each tenth packet comes after the next one."""
    sent = _in_order()
    for index in range(0, PACKETS - 1, 10):
        early, late = sent[index], sent[index + 1]
        sent[index : index + 2] = [replace(late, arrival=early.arrival), replace(early, arrival=late.arrival)]
    return sent


def _two_talking() -> list[Datagram]:
    half = PACKETS // 2
    return [sent for pair in zip(run(0, half), run(0, half, ssrc=2), strict=True) for sent in pair]


def _foreign() -> list[Datagram]:
    return run(0, 2) + run(2, PACKETS - 2, source=FOREIGN)


def _batches(datagrams: list[Datagram]) -> list[DatagramBatch]:
    return [batch(datagrams[at : at + PER_BATCH]) for at in range(0, len(datagrams), PER_BATCH)]


@pytest.mark.parametrize("made", [_in_order, _extended, _lossy, _two_talking, _foreign])
def test_receive(benchmark: BenchmarkFixture, made: Callable[[], list[Datagram]]) -> None:
    datagrams = made()
    batches = _batches(datagrams)

    def receive() -> int:
        receiver = line().receiver
        for some in batches:
            receiver.receive(some, component=Component.RTP, now=0.0)
        statistics = receiver.statistics()
        return statistics.packets_received + statistics.packets_rejected

    assert benchmark(receive) == len(datagrams)
    _tell(benchmark, len(datagrams))


@pytest.mark.parametrize("made", [_in_order, _swapped, _lossy])
def test_live(benchmark: BenchmarkFixture, made: Callable[[], list[Datagram]]) -> None:
    """What a listener adds: jitter buffer, decoder and frame of each packet, and what is made up for lost ones."""
    datagrams = made()
    batches = [datagrams[at : at + PER_BATCH] for at in range(0, len(datagrams), PER_BATCH)]

    def hear() -> int:
        listener = LineListener("1", codecs=BUILT_IN, limits=Limits())
        listener.agree({entry.payload_type: entry for entry in FORMATS})
        frames = 0
        for some in batches:
            for sent in some:
                listener.receive(sent.data, at_ns=int(sent.arrival * 1e9), arrival=sent.arrival)
            frames += len(listener.take(now=some[-1].arrival))
        return frames

    assert benchmark(hear) > PACKETS * 0.99
    _tell(benchmark, len(datagrams))


def test_floor(benchmark: BenchmarkFixture) -> None:
    batches = _batches(_in_order())
    unpack = Struct("!BBHII").unpack_from

    def read() -> int:
        count = 0
        for some in batches:
            for data, _, _ in some:
                unpack(data)
                count += 1
        return count

    assert benchmark(read) == PACKETS
    _tell(benchmark, PACKETS)


def _tell(benchmark: BenchmarkFixture, packets: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["us_per_packet"] = round(benchmark.stats.stats.median / packets * 1e6, 3)
