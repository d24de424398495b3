"""The reports of both sides, summed up."""

import pytest

from siprec_core.clock import ntp_of
from siprec_core.recording.control_report import ControlReport, SentReports
from siprec_core.rtp.compound import TypedPacket, write_compound
from siprec_core.rtp.reports import ReportBlock, SenderReport
from siprec_core.rtp.rtcp import Goodbye
from siprec_core.rtp.sdes import SourceDescription
from siprec_core.types import Address, Component
from tests.core.recording.calls import CLIENT, LINES, START, TIME_BASE, Recorded, Sent, stream, tone
from tests.core.recording.test_replay import report_after

OURS = 0x77


def control(seconds: float, *, blocks: tuple[ReportBlock, ...] = (), goodbye: str | None = None) -> Sent:
    ntp = ntp_of(TIME_BASE.unix_ns_at(START + seconds))
    packets: list[TypedPacket] = [
        SenderReport(0x11, ntp, 1_000, 10, 1_600, blocks),
        SourceDescription.of_cname(0x11, "ada@host"),
    ]
    leave = [] if goodbye is None else [Goodbye((0x11,), goodbye)]
    return Sent(write_compound([*packets, *leave]), seconds, Address(CLIENT, LINES[0].port + 1))


def test_a_call_without_reports() -> None:
    report = Recorded().invite(LINES[:1]).media(0, stream(tone(1_600))).bye(1.0)
    (line,) = report.account.report("completed").streams
    assert line.rtcp == ControlReport()
    assert set(line.rtcp.as_json().values()) == {None, 0}


def test_what_both_sides_reported() -> None:
    heard = ntp_of(TIME_BASE.unix_ns_at(START + 4.0)) >> 16 & 0xFFFF_FFFF
    about_us = ReportBlock(OURS, 64, 3, 10, 80, heard, 0x0000_8000)
    call = Recorded().invite(LINES[:1]).media(0, stream(tone(1_600)))
    about_others = ReportBlock(5, 1, 1, 1, 1)
    told = [control(5.0, blocks=(about_others, about_us)), control(6.0, goodbye="done")]
    call.media(0, told, component=Component.RTCP)
    call.account.reports_sent(0, SentReports(4, OURS))
    call.account.reports_sent(9, SentReports(4, OURS))
    (line,) = call.account.streams()
    assert line.rtcp == ControlReport(
        reports_sent=4,
        reports_received=2,
        sender_reports=2,
        cname="ada@host",
        fraction_lost=0.25,
        jitter=0.01,
        round_trip=line.rtcp.round_trip,
        goodbye="done",
    )
    assert line.rtcp.as_json()["round_trip"] == pytest.approx(0.5, abs=0.001)


def test_the_journal_tells_the_same() -> None:
    call = Recorded().invite(LINES[:1]).media(0, stream(tone(1_600)))
    call.media(0, [control(5.0, blocks=(ReportBlock(OURS, 64, 3, 10, 80),))], component=Component.RTCP)
    ended = call.writer.finish(
        "bye", now=START + 9, received={0: 10}, rejected={0: 0}, reports={0: SentReports(3, OURS)}
    )
    (line,) = report_after(call.journal + ended).streams
    assert (line.rtcp.reports_sent, line.rtcp.reports_received, line.rtcp.fraction_lost) == (3, 1, 0.25)
    assert report_after(call.journal).streams[0].rtcp.reports_sent is None, "torn in the middle"
