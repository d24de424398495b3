"""A recording session (RS, RFC 7866): from the INVITE to the finished files.

The session decides nothing about SIP: it tells its server what to answer (`Answer`, `Refuse`, `HangUp`) and is told
what came. It owns the account of facts, the journal that keeps them, and the media lines.

    requested -> binding -> active -> closing -> rendering -> ended
"""

from siprec_core.clock import TimeBase
from siprec_core.codecs.registry import Codecs
from siprec_core.errors import LocalProtocolError
from siprec_core.findings import finding
from siprec_core.machine import earliest
from siprec_core.media.outputs import KeyPressed, MediaOutput, SenderReported, SourceFinding, SourceLocked
from siprec_core.recording.account import RecordingAccount
from siprec_core.recording.apart import capture_gate
from siprec_core.recording.commands import CloseSink, RenderRecording, SinkKind, WriteSink
from siprec_core.recording.decision import Decision, PolicyRequest, policy_request
from siprec_core.recording.events import (
    DigitReceived,
    FindingRaised,
    SessionEnded,
    SessionEstablished,
    SourceFound,
)
from siprec_core.recording.exchanges import (
    KEPT_STATES,
    UNANSWERED_STATES,
    Answer,
    Ask,
    Exchange,
    HangUp,
    Invitation,
    Refuse,
    SessionExchanges,
    SessionOutput,
    SessionState,
    Signal,
    recording_directory,
)
from siprec_core.recording.journal import JsonValue, NoteFields
from siprec_core.recording.lines import Resources
from siprec_core.recording.listening import SessionListening
from siprec_core.recording.plane import LineReport
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.reporting import LineReports
from siprec_core.recording.request import RecordingRequest
from siprec_core.recording.securing import SecureLines
from siprec_core.recording.totals import MediaCounts, sum_media
from siprec_core.recording.watch import MediaWatch
from siprec_core.sdp.formats import Codec
from siprec_core.sdp.model import SessionDescription
from siprec_core.sip.info import InfoDigit
from siprec_core.types import Component, DatagramBatch, Flow, MediaId, SinkId, TapId

__all__ = [
    "Answer",
    "Ask",
    "HangUp",
    "Invitation",
    "RecordingSession",
    "Refuse",
    "SessionOutput",
    "SessionState",
    "Signal",
    "recording_directory",
]

_FULL = ("space", "quota", "too large")
"""Words of the systems' errors for a disk that is full: ENOSPC, EDQUOT, EFBIG."""


_MARK_SIZE = 500
"""Characters of a mark."""
_FAREWELL_SECONDS = 2.0
"""How long a journal stays open for the answer to our BYE."""


class RecordingSession(SessionExchanges):
    """One recording. Inputs are keyed by the server; outputs are commands, events and signals for the server."""

    def __init__(
        self,
        invitation: Invitation,
        *,
        config: ServerConfig,
        resources: Resources,
        time_base: TimeBase,
        sdp_session: int,
        now: float,
    ) -> None:
        super().__init__(
            invitation, config=config, resources=resources, time_base=time_base, sdp_session=sdp_session, now=now
        )
        self._reports = LineReports(self._secure, ids=resources.ids, limits=config.limits)
        self._watch = MediaWatch(config.limits)
        self._ends_at: float | None = None
        self._last_heard = now
        self._ended = now
        self._end_reason = ""
        self.storage_failed = False
        """True once a file of the recording could not be written."""
        self._capture = capture_gate(self._apart)
        self._farewell_until: float | None = None
        self._listening = SessionListening(self.account, limits=config.limits)
        self._decision: Decision | None = None
        self._decide_by = now + config.decision_seconds if config.manual and config.decision_seconds else None

    # machine

    def poll_output(self) -> SessionOutput | None:
        """Give the oldest output not yet taken."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the instant of the next flush, report or limit."""
        decide_by = self._decide_by if self.state is SessionState.REQUESTED else None
        return earliest(
            self._journal.flush_at,
            self._ends_at,
            self._silent_at(),
            self._farewell_until,
            decide_by,
            self._listening.next_timeout(),
            self._reports.next_timeout(),
            self._watch.next_timeout(),
        )

    def handle_timeout(self, *, now: float) -> None:
        """Flush the journal, report, look for lines without media; end a session that reached a limit."""
        if self._journal.flush_at is not None and now >= self._journal.flush_at:
            self._journal.flush()
        if self._farewell_until is not None and now >= self._farewell_until:
            self.call_gone(now=now)
        if self.state is SessionState.REQUESTED and self._decide_by is not None and now >= self._decide_by:
            self._decide_late(now)
        if self._listening.active:
            self._listening.handle_timeout(now=now)
            self._drain_listening()
        if self.state is not SessionState.ACTIVE:
            return
        self._outbox.extend(self._reports.due(now=now))
        for stall in self._watch.due(now=now):
            self._note_finding(stall.finding, now)
            self._outbox.put(stall.event(self.id))
        silent_at = self._silent_at()
        if self._ends_at is not None and now >= self._ends_at:
            self._end_by_limit("max-duration", now)
        elif silent_at is not None and now >= silent_at:
            self._end_by_limit("media-timeout", now)

    # the decision

    def policy_request(self) -> PolicyRequest:
        """Tell what is known of the call; LocalProtocolError when its INVITE is not the client's or was answered."""
        if self._invitation is None:
            raise LocalProtocolError("the session does not wait for a decision")
        return policy_request(self.id, self._invitation, flow=self.flow, authenticated_user=self.authenticated_user)

    def take_decision(self, decision: Decision) -> None:
        """Take what was decided, before `begin`; LocalProtocolError for a codec that cannot be."""
        if decision.codecs is not None:
            self._codecs = tuple(Codec.parse(name) for name in decision.codecs)
        self._decision = decision

    def _decide_late(self, now: float) -> None:
        """Go on without a decision."""
        self._note_finding(finding("decision-late", "session"), now)
        if self._config.undecided == "accept":
            self.begin(now=now)
        else:
            self._refuse_exchange(self._unavailable("not decided in time"))

    def _note_decision(self, now: float) -> None:
        """Keep what was decided in timeline and journal."""
        fields = {} if self._decision is None else self._decision.fields()
        if fields:
            self._note("policy", fields, now=now)
        if self._mask.wanted:
            self._note("digits-masked", {}, now=now)

    def mark(self, text: str, *, now: float) -> None:
        """Keep a text of the application's; LocalProtocolError when the session is not active or the text no line."""
        if self.state is not SessionState.ACTIVE:
            raise LocalProtocolError("the session is not active")
        if not text.strip() or not text.isprintable() or len(text) > _MARK_SIZE:
            raise LocalProtocolError(f"a mark is one line of 1 to {_MARK_SIZE} printable characters")
        self._note("mark", {"text": text}, now=now)

    def _note(self, kind: str, fields: NoteFields, *, now: float, line: int | None = None) -> None:
        """Keep in timeline and journal what no packet tells."""
        self.account.noted(kind, fields, now=now, line=line)
        self._journal.note(kind, fields, now=now, line=line)

    # the call

    def traced(self, data: bytes, *, flow: Flow, sent: bool, now: float) -> None:
        """Keep a message of the call in the journal."""
        if not sent:
            self._last_heard = now
        if self.state in KEPT_STATES:
            self._journal.sip(data if sent else self._storable(data), flow=flow, sent=sent, now=now)

    def info_received(self, read: RecordingRequest, digit: InfoDigit | None, *, now: float) -> None:
        """Take the body of an INFO: metadata, or a DTMF digit for the timeline."""
        if self.state is not SessionState.ACTIVE:
            return
        self._found(read.findings)
        self._take_metadata(read, now)
        self._ask_for_repair()
        if digit is not None:
            digit = self._mask.digit(digit)
            self.account.digit_received(digit, now=now)
            self._digit_received(None, digit.digit, now)

    def ended(self, reason: str, *, read: RecordingRequest | None, now: float) -> None:
        """Take the end of the call; `read` is the peer's BYE, whose body may hold metadata (RFC 8068 section 3.2.4)."""
        if self.state in UNANSWERED_STATES:
            self.cancel()
            return
        if self.state is not SessionState.ACTIVE:
            return
        if read is not None:
            self._found(read.findings)
            self._take_metadata(read, now)
            self.account.bye_received(read.request, now=now)
        elif reason != "bye":
            self._farewell_until = now + _FAREWELL_SECONDS
        self._end_reason = self._end_reason or reason
        self._ended = now
        self._ends_at = None
        self.account.ended(self._end_reason, now=now)
        self.state = SessionState.CLOSING
        self._exchange = None
        self._watch.clear()
        self._release()
        self._finish_if_closed(now)

    def call_gone(self, *, now: float) -> None:
        """Take the word that no more messages of the call come: our BYE was answered, or nobody waits for that."""
        self._farewell_until = None
        self._finish_if_closed(now)

    def end(self, reason: str, *, now: float) -> None:
        """Hang up for a reason of ours: an `end_reason` of `recording.json`."""
        if self.state is SessionState.ACTIVE:
            self._end_reason = self._end_reason or reason
            self._outbox.put(HangUp(reason=self._end_reason))
        del now

    # media

    def receive_media(self, media: MediaId, batch: DatagramBatch, *, component: Component, now: float) -> None:
        """Take the datagrams that came to one port since the last tick."""
        line = self._lines.by_media(media)
        if line is None or self._journal.sink is None or self._apart is not None:
            return
        self._last_heard = now
        self._follow_pause(now)
        batch = self._secure.receive(line.index, batch, component=component)
        while (told := self._secure.poll(line.index)) is not None:
            self._tell(line.index, told, now)
        batch = self._capture.admit(line.index, batch, component)
        batch = self._mask.media(self.account.lines[line.index].formats, batch, component=component)
        accepted = self.account.receive_media(line.index, batch, component=component, now=now)
        for held in accepted.held:
            datagram = (held.data, held.source, held.arrival)
            self._journal.media(line.index, held.component, [datagram], now=now)
        if accepted.indexes:
            self._journal.media(line.index, component, accepted.of(batch), now=now)
        while (output := self.account.poll_media(line.index)) is not None:
            self._tell(line.index, output, now)
        if self._listening.active and component is Component.RTP:
            self._listening.receive(self.account.lines[line.index], accepted.heard(batch), now=now)
            self._drain_listening()
        self._bound_journal(self._journal.size, now)

    def media_reported(self, report: LineReport, *, now: float) -> None:
        """Take what the media plane tells of a line."""
        if self._apart is None or not self._apart.reported(report):
            return
        self._last_heard = now
        while (output := self.account.poll_media(report.line)) is not None:
            self._tell(report.line, output, now)
        self._bound_journal(self._journal.size + self._apart.journal_size, now)

    def media_lost(self, error: str, *, now: float) -> None:
        """Take the loss of the media plane: nothing of the call's audio is heard any more, so it is ended."""
        if self.state not in KEPT_STATES:
            return  # its journal is complete
        self._note_finding(finding("worker-lost", "session", error), now)
        self._watch.clear()
        self.end("worker-lost", now=now)

    def tap_audio(self, label: str | None, codecs: Codecs) -> TapId:
        """Begin to listen to one stream, or to all; raises LocalProtocolError when the session is not active."""
        if self.state is not SessionState.ACTIVE:
            raise LocalProtocolError("the session is not active")
        return self._listening.open(label, codecs)

    def close_tap(self, tap: TapId) -> None:
        """Listen no more."""
        self._listening.close(tap)

    def pause(self, *, paused: bool, now: float | None = None) -> None:
        """Hold every line, or go on; capture stops with the wish for it, `now`. As `SessionExchanges.pause`."""
        super().pause(paused=paused)
        if now is not None:
            self._follow_pause(now)

    def change_refused(self, status: int, reason: str, *, offered: bool, now: float) -> None:
        """Take a refusal as `SessionExchanges` does; the media plane is told at once that a refused pause has ended."""
        super().change_refused(status, reason, offered=offered, now=now)
        if self._apart is not None:
            self._follow_pause(now)

    def _follow_pause(self, now: float) -> None:
        """Stop capture while we want no media, and tell so in the timeline."""
        if self.paused is self._capture.paused:
            return
        self._capture.pause(paused=self.paused, now=now)
        self._watch_lines(now)
        self._note("paused" if self.paused else "resumed", {"by": "server"}, now=now)

    def _complete_exchange(self, exchange: Exchange, now: float) -> None:
        super()._complete_exchange(exchange, now)
        self._follow_lines(now)

    def _conclude_offer(self, ours: SessionDescription, theirs: SessionDescription, now: float) -> None:
        super()._conclude_offer(ours, theirs, now)
        self._follow_lines(now)

    def media_closed(self, media: MediaId, *, now: float) -> None:
        """Take the driver's word that the sockets are closed and drained."""
        self._lines.closed(media, now=now)
        self._finish_if_closed(now)

    # files

    def sink_failed(self, sink: SinkId, error: str, *, now: float) -> None:
        """Take a storage failure: the call goes on, what can be kept is kept."""
        if self.storage_failed:
            return
        self.storage_failed = True
        code = "storage-full" if any(word in error.lower() for word in _FULL) else "storage-failed"
        where = "journal.pcapng" if sink == self._journal.sink else "recording.json"
        self._note_finding(finding(code, where, error), now)

    def rendered(self, *, now: float) -> None:
        """Take the word that the final files are there."""
        self._conclude("recovered" if self._end_reason == "worker-lost" else "completed", now)

    def render_failed(self, error: str, *, now: float) -> None:
        """Take the failure to make the final files; the journal keeps everything."""
        self._outbox.put(FindingRaised(session=self.id, finding=finding("render-failed", self.directory, error)))
        self._conclude("failed", now)

    def _establish(self, labels: tuple[str, ...], now: float) -> None:
        self.state = SessionState.ACTIVE
        self._ends_at = now + self._config.limits.recording_seconds
        self._take_invitation(now)
        self._note_decision(now)
        self._write_active_report()
        self._outbox.put(SessionEstablished(session=self.id, labels=labels))

    def _take_invitation(self, now: float) -> None:
        """Account for what the INVITE said: it was answered 2xx now."""
        self.account.answered(now=now)
        if self._invitation is not None:
            # Nothing else is wanted of the INVITE: its body may be large, and the recording may last for hours.
            read, self._invitation = self._invitation, None
            self._take_metadata(read, now)

    # facts

    def media_counts(self) -> MediaCounts:
        """Sum the packets of all lines so far."""
        return sum_media(
            (line.receiver.statistics(), self._secure.packets_rejected(index))
            for index, line in self.account.lines.items()
        )

    def _tell(self, line: int, output: MediaOutput, now: float) -> None:
        if isinstance(output, SourceLocked):
            label = self.account.lines[line].label
            self._outbox.put(SourceFound(session=self.id, label=label, source=output.source, ssrc=output.ssrc))
            self._note("source-locked", _source_fields(output), now=output.at, line=line)
        elif isinstance(output, KeyPressed):
            self._digit_received(self.account.lines[line].label, output.press.digit, output.press.at)
        elif isinstance(output, SenderReported):
            self._reports.sender_reported(line, output)
        elif isinstance(output, SourceFinding):
            self._found((output.finding,))
            if not output.replayable:
                self._journal.finding(output.finding, now=now)

    def _drain_listening(self) -> None:
        while (output := self._listening.poll_output()) is not None:
            self._outbox.put(output)

    def _digit_received(self, label: str | None, digit: str, at: float) -> None:
        at_ns = self.account.unix_ns_at(at)
        self._outbox.put(DigitReceived(session=self.id, label=label, digit=digit, at_ns=at_ns))

    # lines

    def _follow_lines(self, now: float) -> None:
        self._capture.follow(self.account.lines.values(), now=now)
        if self.state is not SessionState.ACTIVE:
            return
        for index in self._lines.indexes():
            account, line = self.account.lines.get(index), self._lines.get(index)
            if account is not None and line is not None:
                self._reports.open(account, line, now=now)
        self._watch_lines(now)

    def _watch_lines(self, now: float) -> None:
        # Capture that we paused hears nothing, whatever the client sends until it has agreed.
        watched = () if self.paused else self.account.lines.values()
        self._watch.follow(watched, now=now)

    def _close_line(self, index: int) -> None:
        # RFC 3550 6.3.7: who leaves sends BYE, before the socket is closed.
        self._outbox.extend(self._reports.close(index))
        super()._close_line(index)

    # files

    def _write_active_report(self) -> None:
        sink = self._open_sink(SinkKind.DOCUMENT, "recording.json")
        self._outbox.put(WriteSink(sink=sink, data=self.account.report("active").to_bytes()))
        self._outbox.put(CloseSink(sink=sink))

    # the end

    def _end_by_limit(self, reason: str, now: float) -> None:
        self._ends_at = None
        self._end_reason = reason
        self._note_finding(finding("limit-reached", "recording", f"ended by {reason}"), now)
        self._outbox.put(HangUp(reason=reason))

    def _bound_journal(self, size: int, now: float) -> None:
        if size > self._config.limits.journal_size and self.state is SessionState.ACTIVE:
            self._end_by_limit("max-size", now)

    def _silent_at(self) -> float | None:
        seconds = self._config.limits.no_media_seconds
        if not seconds or self.state is not SessionState.ACTIVE or self._end_reason:
            return None
        return self._last_heard + seconds

    def _finish_if_closed(self, now: float) -> None:
        if self.state is not SessionState.CLOSING or self._lines.closing or self._farewell_until is not None:
            return
        self.state = SessionState.RENDERING
        self._listening.end()
        self._drain_listening()
        received, rejected = _packet_counts(self.account, self._secure)
        for index, counts in self._secure.counts().items():
            fields: NoteFields = {"failed": counts.failed, "replayed": counts.replayed}
            self._note("srtp-rejected", fields, now=self._ended, line=index)
        reports = self._reports.sent
        for index, sent in reports.items():
            self.account.reports_sent(index, sent)
        reason, ended = self._end_reason, self._ended
        self._journal.finish(reason, ended=ended, received=received, rejected=rejected, reports=reports, now=now)
        self._outbox.put(RenderRecording(session=self.id, directory=self.directory))

    def _conclude(self, status: str, now: float) -> None:
        del now
        if self.state is not SessionState.RENDERING:
            raise LocalProtocolError("the session is not being rendered")
        self.state = SessionState.ENDED
        self._outbox.put(
            SessionEnded(session=self.id, reason=self._end_reason, status=status, directory=self.directory)
        )


def _packet_counts(account: RecordingAccount, secure: SecureLines) -> tuple[dict[int, int], dict[int, int]]:
    """Give the packets received and rejected by line."""
    counts = {index: line.receiver.statistics() for index, line in account.lines.items()}
    received = {index: count.packets_received for index, count in counts.items()}
    return received, {index: count.packets_rejected + secure.packets_rejected(index) for index, count in counts.items()}


def _source_fields(locked: SourceLocked) -> NoteFields:
    fields: dict[str, JsonValue] = {
        "source": [*locked.source],
        "ssrc": locked.ssrc,
        "announced": locked.announced,
    }
    if locked.previous is not None:
        fields["previous"] = [*locked.previous]
    return fields
