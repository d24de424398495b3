"""The journal of a session: what is kept before it opens, how it is gathered, how it ends."""

from dataclasses import replace

import pytest

from siprec_core.findings import finding
from siprec_core.machine import Outbox
from siprec_core.recording.commands import CloseSink, SinkCommand, WriteSink
from siprec_core.recording.journal import JournalWriter
from siprec_core.recording.keeper import FLUSH_SECONDS, JournalKeeper
from siprec_core.types import Address, Component, Flow, SessionId, SinkId, Transport
from tests.core.harness import TIME_BASE

FLOW = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("192.0.2.2", 5070))
SINK = SinkId(7)
RTP = Address("192.0.2.1", 30_000)


class Bench:
    """A keeper with what it wrote."""

    def __init__(self) -> None:
        self.outbox: Outbox[SinkCommand] = Outbox()
        writer = JournalWriter(SessionId("s1"), time_base=TIME_BASE, application="siprec")
        self.keeper = JournalKeeper(writer, self.outbox)

    def sip(self, data: bytes, now: float = 0.0) -> None:
        self.keeper.sip(data, flow=FLOW, sent=False, now=now)

    def open(self, now: float = 0.0) -> None:
        self.keeper.open(SINK, flow=FLOW, started=0.0, now=now)

    def flush_at(self) -> float | None:
        return self.keeper.flush_at

    def drain(self) -> list[SinkCommand]:
        commands = []
        while (command := self.outbox.poll()) is not None:
            commands.append(command)
        return commands

    def written(self) -> bytes:
        commands = self.drain()
        assert all(isinstance(command, WriteSink) and command.sink == SINK for command in commands)
        return b"".join(command.data for command in commands if isinstance(command, WriteSink))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_messages_before_the_opening_come_first_and_in_order(bench: Bench) -> None:
    bench.sip(b"INVITE one")
    bench.sip(b"INVITE two")
    assert bench.flush_at() is None
    bench.open()
    bench.sip(b"ACK three")
    bench.keeper.flush()
    data = bench.written()
    assert 0 < data.index(b"INVITE one") < data.index(b"INVITE two") < data.index(b"ACK three")
    assert len(data) == bench.keeper.size


def test_messages_before_the_opening_are_bounded(bench: Bench) -> None:
    for number in range(1_000):
        bench.sip(b"INVITE %d " % number)
    bench.open()
    bench.keeper.flush()
    data = bench.written()
    assert b"INVITE 63 " in data
    assert b"INVITE 64 " not in data


def test_octets_wait_for_the_flush_and_no_longer(bench: Bench) -> None:
    bench.open(now=5.0)
    assert bench.flush_at() == 5.0 + FLUSH_SECONDS
    bench.sip(b"ACK", now=5.1)
    assert bench.flush_at() == 5.0 + FLUSH_SECONDS, "the oldest octet counts"
    assert bench.drain() == []
    bench.keeper.flush()
    assert len(bench.drain()) == 1
    assert bench.flush_at() is None
    bench.keeper.flush()
    assert bench.drain() == []


def test_a_lot_goes_to_the_sink_at_once(bench: Bench) -> None:
    bench.open()
    bench.keeper.add_line(0, label="1", rtp=RTP, rtcp=None, now=0.0)
    datagrams = [(bytes(1_000), Address("192.0.2.2", 41_000), 0.0)] * 300
    bench.keeper.media(0, Component.RTP, datagrams, now=0.0)
    assert len(bench.written()) > 300_000
    assert bench.flush_at() is None


def test_a_finding_before_the_opening_waits_for_it(bench: Bench) -> None:
    bench.keeper.finding(finding("sip-ack-mismatch", "CSeq"), now=0.0)
    bench.open()
    bench.keeper.finding(finding("storage-full", "journal.pcapng"), now=0.0)
    bench.keeper.flush()
    data = bench.written()
    assert b"sip-ack-mismatch" in data
    assert b"storage-full" in data


def test_the_end_is_written_before_the_sink_is_closed(bench: Bench) -> None:
    bench.open()
    bench.keeper.finish("bye", ended=1.0, received={0: 5}, rejected={0: 1}, reports={}, now=2.0)
    *writes, closed = bench.drain()
    assert closed == CloseSink(sink=SINK)
    data = b"".join(write.data for write in writes if isinstance(write, WriteSink))
    assert b"bye" in data
    assert len(data) == bench.keeper.size
    assert bench.flush_at() is None


def test_a_large_message_leaves_block_by_block_with_its_secrets_blotted(bench: Bench) -> None:
    bench.open()
    line = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"k" * 40 + b"\r\n"
    body = line * 20_000
    stream = replace(FLOW, transport=Transport.TCP)
    for piece in (b"INVITE sip:a SIP/2.0\r\n\r\n", body):
        bench.keeper.sip(piece, flow=stream, sent=False, now=1.0)
    bench.keeper.flush()
    commands = [command for command in bench.drain() if isinstance(command, WriteSink)]
    assert len(commands) > 4
    assert max(len(command.data) for command in commands) < len(body) / 4
    written = b"".join(command.data for command in commands)
    assert b"INVITE sip:a" in written
    assert b"kk" not in written
    assert bench.keeper.size == len(written)
