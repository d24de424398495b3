"""Our RTCP on one line: when, to whom, and what the blocks say."""

from dataclasses import replace
from itertools import pairwise

import pytest

from siprec_core.entropy import Ids
from siprec_core.media.commands import SendMedia
from siprec_core.media.reports import RtcpReporter, SenderState, reportable
from siprec_core.media.statistics import SourceStatistics
from siprec_core.rtp.compound import TypedPacket, read_packet
from siprec_core.rtp.reports import ReceiverReport, ReportBlock, SenderReport
from siprec_core.rtp.rtcp import Goodbye, parse_compound
from siprec_core.rtp.sdes import SourceDescription
from siprec_core.types import Address, Component, MediaId
from tests.core.harness import entropy

PEER = Address("192.0.2.2", 4_001)
HERE = "192.0.2.1"
SOURCE = SourceStatistics(
    ssrc=7,
    packets_received=90,
    packets_lost=10,
    packets_duplicate=0,
    packets_reordered=0,
    restarts=0,
    extended_highest=65_636,
    payload_size=0,
    jitter=0.01,
    first_arrival=0.0,
    last_arrival=1e6,
    clock_rate=8_000,
)


class Bench:
    def __init__(self, *, ssrc: int | None = None, seed: int = 1) -> None:
        self.reporter = RtcpReporter(
            MediaId(3), cname="name", ids=Ids(entropy(seed)), sources_limit=4, ssrc=ssrc, now=0.0
        )
        self.reporter.aim(PEER, mux=False, local_host=HERE)
        self.sent: list[tuple[float, SendMedia]] = []

    def next(self, *sources: SourceStatistics, sent: SenderState | None = None) -> list[TypedPacket | None]:
        """Wait for the next report."""
        before = len(self.sent)
        while len(self.sent) == before:
            now = self.reporter.next_timeout()
            self.reporter.report(sources, sent=sent, now=now)
            self.drain(now)
        return self.typed()

    def drain(self, now: float) -> None:
        while (command := self.reporter.poll_output()) is not None:
            self.sent.append((now, command))

    def typed(self) -> list[TypedPacket | None]:
        return [read_packet(packet) for packet in parse_compound(self.sent[-1][1].data)]


def block(packets: list[TypedPacket | None]) -> ReportBlock:
    assert isinstance(packets[0], ReceiverReport)
    (only,) = packets[0].blocks
    return only


@pytest.mark.requirement("3550-6.4.1-a", "3550-A.3-a", "3550-6.1-a", "3550-6.5-a", "7022-4-a")
def test_a_block_tells_loss_jitter_and_the_last_report() -> None:
    bench = Bench()
    first = bench.next(SOURCE)
    assert first[1:] == [SourceDescription.of_cname(bench.reporter.ssrc, "name")]
    assert block(first) == ReportBlock(7, 25, 10, 65_636, 80)
    at = bench.sent[-1][0]
    bench.reporter.sender_report(7, 0x11_2222_3333_4444, arrival=at + 0.5)
    later = block(bench.next(replace(SOURCE, packets_received=190)))
    assert (later.fraction_lost, later.cumulative_lost) == (0, 10)
    assert later.last_sender_report == 0x0011_2222_3333_4444 >> 16 & 0xFFFF_FFFF
    assert later.delay_since_last_sender_report == round((bench.sent[-1][0] - at - 0.5) * 65_536)
    duplicates = block(bench.next(replace(SOURCE, packets_received=290, packets_lost=-5)))
    assert (duplicates.fraction_lost, duplicates.cumulative_lost) == (0, -5)


@pytest.mark.requirement("3550-6.2-a", "6263-7-a")
def test_reports_come_at_random_intervals_of_five_seconds_on_the_average() -> None:
    bench = Bench()
    for _ in range(400):
        bench.next(SOURCE)
    times = [at for at, _ in bench.sent]
    gaps = [after - before for before, after in pairwise(times)]
    assert times[0] <= 2.5 * 1.5
    assert min(gaps) >= 2.0
    assert max(gaps) <= 7.6
    assert 4.0 <= sum(gaps) / len(gaps) <= 5.5
    assert len({round(gap, 3) for gap in gaps}) > 100


@pytest.mark.requirement("3550-6.1-a")
def test_only_sources_heard_since_the_last_report_have_a_block_and_many_make_many_reports() -> None:
    bench = Bench()
    assert bench.next(replace(SOURCE, last_arrival=-1.0))[0] == ReceiverReport(bench.reporter.ssrc)
    many = [replace(SOURCE, ssrc=number) for number in range(70)]
    reports = [packet for packet in bench.next(*many) if isinstance(packet, ReceiverReport)]
    assert [len(report.blocks) for report in reports] == [31, 31, 8]


def test_an_early_call_sends_nothing() -> None:
    bench = Bench()
    bench.reporter.report([SOURCE], now=bench.reporter.next_timeout() - 0.01)
    bench.drain(0.0)
    assert bench.sent == []


@pytest.mark.requirement("7866-8.1.8-b", "4961-a")
def test_reports_leave_from_the_port_that_was_announced() -> None:
    bench = Bench()
    bench.next(SOURCE)
    bench.reporter.aim(PEER, mux=True, local_host=HERE)
    bench.next(SOURCE)
    assert [command.component for _, command in bench.sent] == [Component.RTCP, Component.RTP]
    assert {(command.media, command.to) for _, command in bench.sent} == {(MediaId(3), PEER)}


def test_without_an_address_time_goes_on_and_nothing_is_sent() -> None:
    bench = Bench()
    bench.reporter.aim(None, mux=False, local_host=HERE)
    for _ in range(20):
        now = bench.reporter.next_timeout()
        bench.reporter.report([SOURCE], now=now)
        assert bench.reporter.next_timeout() > now
    bench.reporter.goodbye()
    bench.drain(0.0)
    assert bench.sent == []


@pytest.mark.requirement("3550-6.3.7-a")
def test_only_who_was_heard_of_says_goodbye() -> None:
    bench = Bench()
    bench.reporter.goodbye()
    bench.drain(0.0)
    assert bench.sent == []
    bench.next(SOURCE)
    bench.reporter.goodbye()
    bench.drain(9.0)
    assert bench.typed()[-1] == Goodbye((bench.reporter.ssrc,), "")


@pytest.mark.requirement("3550-8.2-a")
def test_our_identifier_on_another_source_is_given_up_with_bye() -> None:
    bench = Bench()
    old = bench.reporter.ssrc
    bench.next(replace(SOURCE, ssrc=old))
    assert bench.reporter.ssrc != old
    assert bench.typed()[0] == ReceiverReport(bench.reporter.ssrc, (block(bench.typed()),))
    bench.next(replace(SOURCE, ssrc=old))
    assert not any(isinstance(packet, Goodbye) for packet in bench.typed())


@pytest.mark.requirement("7866-8.1.1-a", "3550-6.3.5-a")
def test_a_sender_reports_until_it_has_been_silent_for_two_intervals() -> None:
    bench = Bench(ssrc=99)
    state = SenderState(ntp_timestamp=1 << 60, rtp_timestamp=160, packet_count=5, octet_count=800)
    kinds = [type(bench.next(sent=state)[0]) for _ in range(4)]
    assert kinds == [SenderReport, SenderReport, ReceiverReport, ReceiverReport]
    assert bench.next(sent=replace(state, packet_count=6))[0] == SenderReport(99, 1 << 60, 160, 6, 800)


def test_reports_of_many_senders_are_not_remembered_without_end() -> None:
    bench = Bench()
    for ssrc in range(8):
        bench.reporter.sender_report(ssrc, 1 << 20, arrival=0.0)
    reports = bench.next(*(replace(SOURCE, ssrc=number) for number in range(8)))
    assert isinstance(reports[0], ReceiverReport)
    assert [bool(one.last_sender_report) for one in reports[0].blocks] == [False] * 4 + [True] * 4


@pytest.mark.parametrize(
    ("host", "local", "allowed"),
    [
        ("192.0.2.2", HERE, True),
        ("2001:db8::2", "2001:db8::1", True),
        ("2001:db8::2", HERE, False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", HERE, False),
        ("0.0.0.0", HERE, False),
        ("224.0.0.1", HERE, False),
        ("255.255.255.255", HERE, False),
        ("240.0.0.1", HERE, False),
        ("ff02::1", "2001:db8::1", False),
        ("example.com", HERE, False),
    ],
)
def test_nobody_but_one_host_is_reported_to(host: str, local: str, allowed: bool) -> None:
    assert reportable(Address(host, 5), local_host=local) is allowed
    assert not reportable(Address(host, 0), local_host=local)
