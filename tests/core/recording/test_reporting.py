"""The recorder's RTCP: only to who was heard on the line, and nothing of it in the journal."""

from dataclasses import replace

import pytest

from siprec_core.entropy import Ids
from siprec_core.limits import Limits
from siprec_core.media.commands import SendMedia
from siprec_core.media.outputs import SenderReported
from siprec_core.recording.lines import MediaLine
from siprec_core.recording.reporting import LineReports
from siprec_core.recording.securing import SecureLines
from siprec_core.rtp.compound import read_packet
from siprec_core.rtp.reports import ReceiverReport, SenderReport
from siprec_core.rtp.rtcp import Goodbye, parse_compound
from siprec_core.sdp.crypto import SrtpPolicy
from siprec_core.types import Address, Component, MediaId
from tests.core.ciphers import PretendProvider
from tests.core.harness import entropy
from tests.core.recording.calls import CLIENT, LINES, SERVER, START, Recorded, Sent, stream, tone

REPORT = SenderReport(0x11, 1 << 40, 160, 1, 160).to_bytes()


class Bench:
    def __init__(self, *, mux: bool = False) -> None:
        self.recorded = Recorded().invite(LINES[:1], metadata="")
        self.account = self.recorded.account.lines[0]
        self.secure = SecureLines(PretendProvider(), SrtpPolicy.ALLOW, limits=Limits())
        self.reports = LineReports(self.secure, ids=Ids(entropy(1)), limits=Limits())
        line = MediaLine(0, MediaId(5), SERVER, 30_000, mux)
        self.reports.open(self.account, line, now=START)
        self.reports.open(self.account, line, now=START)

    def run(self, seconds: float = 20.0) -> list[SendMedia]:
        sent: list[SendMedia] = []
        while (due := self.reports.next_timeout()) is not None and due < START + seconds:
            sent += self.reports.due(now=due)
        return sent


@pytest.mark.requirement("7866-8.1.1-a", "7866-8.1.8-b")
def test_reports_go_to_the_announced_port_of_who_sends() -> None:
    bench = Bench()
    assert bench.run(10.0) == [], "an address that was only announced may be anybody's"
    bench.recorded.media(0, stream(tone(1_600), seconds=10.0))
    sent = bench.run(30.0)
    assert {(command.media, command.component, command.to) for command in sent} == {
        (MediaId(5), Component.RTCP, Address(CLIENT, 40_001))
    }
    (bye,) = bench.reports.close(0)
    assert isinstance(read_packet(parse_compound(bye.data)[-1]), Goodbye)
    assert list(bench.reports.close(0)) == []
    assert bench.reports.next_timeout() is None


@pytest.mark.requirement("4961-a")
def test_behind_a_nat_reports_go_where_rtcp_came_from() -> None:
    bench = Bench()
    outside = Address("203.0.113.7", 50_000)
    packets = [replace(sent, source=outside) for sent in stream(tone(1_600))]
    bench.recorded.media(0, packets)
    assert bench.run(10.0) == [], "where its RTCP is nobody knows yet"
    bench.recorded.media(0, [Sent(REPORT, 11.0, Address("203.0.113.7", 50_321))], component=Component.RTCP)
    bench.reports.sender_reported(0, SenderReported(ssrc=0x11, ntp_timestamp=1 << 40, rtp_timestamp=0, at=START + 11))
    sent = bench.run(30.0)
    assert {command.to for command in sent} == {Address("203.0.113.7", 50_321)}


def test_with_one_port_for_both_reports_follow_the_audio() -> None:
    bench = Bench(mux=True)
    bench.account.plan = replace(bench.account.plan, rtcp_mux=True)
    bench.account.receiver.update(replace(bench.account.receiver.spec, rtcp_mux=True), now=START)
    bench.recorded.media(0, stream(tone(1_600)))
    assert {(command.component, command.to.port) for command in bench.run()} == {(Component.RTP, 40_000)}


def test_no_report_goes_to_a_client_that_wants_none() -> None:
    bench = Bench()
    bench.account.plan = replace(bench.account.plan, remote_rtcp=None)
    bench.recorded.media(0, stream(tone(1_600)))
    assert bench.run() == []
    assert list(bench.reports.close(0)) == []


def test_a_report_has_the_counters_of_the_line() -> None:
    bench = Bench()
    lossy = stream(tone(16_000))
    del lossy[10:20]
    bench.recorded.media(0, lossy)
    report = read_packet(parse_compound(bench.run()[0].data)[0])
    assert isinstance(report, ReceiverReport)
    assert [(one.ssrc, one.cumulative_lost, one.fraction_lost) for one in report.blocks] == [(0x11, 10, 25)]
