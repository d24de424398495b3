"""The RTCP that a recorder sends for the lines of one session (RFC 7866 section 8.1.1): reports, and BYE at the end.

It is not kept in the journal, which holds what was received.
"""

from collections.abc import Iterator

from siprec_core.entropy import Ids
from siprec_core.limits import Limits
from siprec_core.machine import earliest
from siprec_core.media.commands import SendMedia
from siprec_core.media.outputs import SenderReported
from siprec_core.media.reports import RtcpReporter
from siprec_core.recording.account import LineAccount
from siprec_core.recording.control_report import SentReports
from siprec_core.recording.lines import MediaLine
from siprec_core.recording.securing import SecureLines


class LineReports:
    """The reporters of one session by media line. Its lines share one CNAME, made for this session (RFC 7022 4.2)."""

    __slots__ = ("_cname", "_ids", "_limits", "_lines", "_reporters", "_secure", "sent")

    def __init__(self, secure: SecureLines, *, ids: Ids, limits: Limits) -> None:
        self._secure = secure
        self._ids = ids
        self._limits = limits
        self._cname = ids.cname()
        self._lines: dict[int, tuple[LineAccount, MediaLine]] = {}
        self._reporters: dict[int, RtcpReporter] = {}
        self.sent: dict[int, SentReports] = {}
        """What was sent on lines that are closed."""

    def open(self, account: LineAccount, line: MediaLine, *, now: float) -> None:
        """Report on a line from now on; one that is reported on already goes on."""
        if line.index not in self._reporters:
            self._lines[line.index] = (account, line)
            self._reporters[line.index] = RtcpReporter(
                line.media, cname=self._cname, ids=self._ids, sources_limit=self._limits.ssrcs_per_line, now=now
            )

    def sender_reported(self, index: int, reported: SenderReported) -> None:
        """Take a sender report of a line's peer."""
        if index in self._reporters:
            self._reporters[index].sender_report(reported.ssrc, reported.ntp_timestamp, arrival=reported.at)

    def close(self, index: int) -> Iterator[SendMedia]:
        """Leave a line: give the BYE, if anything was sent before."""
        reporter = self._reporters.pop(index, None)
        if reporter is not None:
            self._aim(index, reporter)
            del self._lines[index]
            reporter.goodbye()
            yield from self._drained(index, reporter)
            before = self.sent.get(index, SentReports(0, reporter.ssrc)).count
            self.sent[index] = SentReports(before + reporter.reports_sent, reporter.ssrc)

    def next_timeout(self) -> float | None:
        """Give the instant at which the next report is due."""
        return earliest(*[reporter.next_timeout() for reporter in self._reporters.values()])

    def due(self, *, now: float) -> Iterator[SendMedia]:
        """Give the reports whose time has come."""
        for index, reporter in self._reporters.items():
            if now >= reporter.next_timeout():
                self._aim(index, reporter)
                reporter.report(self._lines[index][0].receiver.statistics().sources, now=now)
                yield from self._drained(index, reporter)

    def _aim(self, index: int, reporter: RtcpReporter) -> None:
        account, line = self._lines[index]
        plan = account.plan
        # A client that has an address for RTP and none for RTCP wants no reports (RFC 3556 section 2).
        unwanted = plan.remote_rtp is not None and plan.remote_rtcp is None
        to = None if unwanted else account.receiver.report_address
        reporter.aim(to, mux=line.mux, local_host=line.host)

    def _drained(self, index: int, reporter: RtcpReporter) -> Iterator[SendMedia]:
        while (command := reporter.poll_output()) is not None:
            sealed = self._secure.seal(index, command)
            if sealed is not None:
                yield sealed
