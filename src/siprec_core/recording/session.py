"""A recording session (RS, RFC 7866): from the INVITE of a client to the finished files.

The session decides nothing about SIP: it tells its server what to answer (`Answer`, `Refuse`, `HangUp`) and is told
what came. It owns the account of facts, the journal that keeps them, and the media lines.

    requested -> binding -> active -> closing -> rendering -> ended
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from siprec_core.clock import TimeBase, format_instant
from siprec_core.errors import LocalProtocolError, NegotiationError
from siprec_core.findings import Finding, finding
from siprec_core.machine import Outbox, earliest
from siprec_core.media.outputs import MediaOutput, SourceFinding, SourceLocked
from siprec_core.recording.account import RecordingAccount
from siprec_core.recording.commands import CloseSink, Command, OpenSink, RenderRecording, SinkKind, WriteSink
from siprec_core.recording.events import (
    Event,
    FindingRaised,
    MetadataUpdated,
    SessionEnded,
    SessionEstablished,
    SourceFound,
    StreamsChanged,
)
from siprec_core.recording.journal import JournalWriter
from siprec_core.recording.keeper import JournalKeeper
from siprec_core.recording.lines import MediaLines, Resources
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.request import RecordingRequest
from siprec_core.sdp.formats import Codec
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import Answered, AnswerPlan, build_answer, plan_answer
from siprec_core.sip.message import Request
from siprec_core.sip.uas import Refusal
from siprec_core.types import Component, DatagramBatch, Flow, MediaId, SessionId, SinkId


class SessionState(Enum):
    """Where a recording session stands."""

    REQUESTED = auto()
    """Waits for `accept` or `reject` of the application."""
    BINDING = auto()
    """Waits for the sockets of its first answer."""
    ACTIVE = auto()
    CLOSING = auto()
    """The call is over; the last packets are handed over."""
    RENDERING = auto()
    """The journal is complete; the final files are being made."""
    ENDED = auto()


_KEPT_STATES = (SessionState.REQUESTED, SessionState.BINDING, SessionState.ACTIVE, SessionState.CLOSING)
"""States in which messages still go to the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer the offer that waits with 2xx and this body, empty for a request without offer."""

    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Answer the request that waits with an error."""

    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUp:
    """End the call with BYE: a limit of ours was reached."""


Signal: TypeAlias = Answer | Refuse | HangUp
SessionOutput: TypeAlias = Command | Event | Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What the session is made from."""

    session: SessionId
    read: RecordingRequest
    flow: Flow
    raw: bytes
    """The INVITE as it came."""
    local_tag: str


@dataclass(slots=True)
class _Exchange:
    """An offer/answer exchange whose sockets are being bound."""

    offer: SessionDescription
    plan: AnswerPlan


class RecordingSession:
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
        request = invitation.read.request
        self.id = invitation.session
        self.state = SessionState.REQUESTED
        self.directory = recording_directory(self.id, time_base.unix_ns_at(now))
        self.call_id = request.call_id
        self.flow = invitation.flow
        self.established = False
        """True once the first offer was answered; set by the server."""
        self.sinks: list[SinkId] = []
        """Every sink that was opened."""
        self.account = RecordingAccount(self.id, limits=config.limits, time_base=time_base, started=now)
        self._invitation = invitation
        self._config = config
        self._codecs = tuple(Codec.parse(name) for name in config.codecs)
        self._sdp_session = sdp_session
        self._resources = resources
        self._outbox: Outbox[SessionOutput] = Outbox()
        self._lines = MediaLines(resources, host=config.media_host or invitation.flow.local.host)
        self._exchange: _Exchange | None = None
        self._answered: Answered | None = None
        writer = JournalWriter(self.id, time_base=time_base, application=config.product)
        self._journal = JournalKeeper(writer, self._outbox)
        self._journal.sip(invitation.raw, flow=invitation.flow, sent=False, now=now)
        self._ends_at: float | None = None
        self._last_heard = now
        self._started = now
        self._ended = now
        self._end_reason = ""
        self._storage_failed = False
        self.account.invited(
            call_id=request.call_id,
            local_tag=invitation.local_tag,
            remote_tag=request.from_.tag or "",
            transport=invitation.flow.transport,
            peer=invitation.flow.remote,
            user_agent=request.headers.get("User-Agent"),
            now=now,
        )
        self._found(invitation.read.findings)

    # machine

    def poll_output(self) -> SessionOutput | None:
        """Give the oldest output not yet taken."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the instant of the next flush or limit."""
        return earliest(self._journal.flush_at, self._ends_at, self._silent_at())

    def handle_timeout(self, *, now: float) -> None:
        """Flush the journal; end a session that reached a limit."""
        if self._journal.flush_at is not None and now >= self._journal.flush_at:
            self._journal.flush()
        if self.state is not SessionState.ACTIVE:
            return
        silent_at = self._silent_at()
        if self._ends_at is not None and now >= self._ends_at:
            self._end_by_limit("max-duration", now)
        elif silent_at is not None and now >= silent_at:
            self._end_by_limit("media-timeout", now)

    # set-up

    def begin(self, *, now: float) -> None:
        """Answer the invitation's offer: choose formats, take ports, ask for sockets."""
        self.state = SessionState.BINDING
        offer = self._invitation.read.offer
        if offer is None:
            self._refuse_exchange(Refusal(400, "Bad Request - no SDP offer", _warning(399, "an SDP offer is needed")))
        else:
            self._negotiate(offer, now)

    def cancel(self) -> None:
        """Forget a session that was never answered: the client cancelled it, or the application refused it."""
        self._exchange = None
        self._release()
        self.state = SessionState.ENDED

    def media_bound(self, media: MediaId, *, now: float) -> None:
        """Take the driver's word that the sockets of a line are there."""
        line = self._lines.by_media(media)
        if line is not None:
            line.bound = True
        if self._exchange is not None and self._lines.all_bound:
            self._complete_exchange(self._exchange, now)

    def holds(self, media: MediaId) -> bool:
        """Tell whether something is still to be said about the sockets of `media`."""
        return self._lines.by_media(media) is not None

    def media_failed(self, media: MediaId, error: str, *, now: float) -> None:
        """Take the failure to bind; another port is tried before the offer is refused with 503."""
        del now
        line = self._lines.by_media(media)
        if line is None or media in self._lines.closing:
            return
        command = self._lines.retry(line)
        if command is not None:
            self._outbox.put(command)
            return
        self._refuse_exchange(self._unavailable(f"no media port: {error}"))

    # the call

    def offer_received(self, read: RecordingRequest, *, now: float) -> None:
        """Take a re-INVITE or UPDATE: offer, metadata, both or neither (RFC 7866 sections 7 and 9)."""
        self._found(read.findings)
        if read.refusal is not None:
            self._outbox.put(Refuse(refusal=read.refusal))
            return
        if read.offer is not None:
            if self._exchange is not None:
                self._outbox.put(Refuse(refusal=Refusal(491)))
                return
            self._take_metadata(read, now)
            self._negotiate(read.offer, now)
            return
        self._take_metadata(read, now)
        self._outbox.put(Answer(body=self._offer_again(read.request)))

    def offer_withdrawn(self) -> None:
        """Take the cancellation of a re-INVITE whose sockets are still being bound: the session goes on as it was."""
        if self._answered is not None:
            self._drop_exchange(self._answered)

    def traced(self, data: bytes, *, flow: Flow, sent: bool, now: float) -> None:
        """Keep a message of the call in the journal."""
        if not sent:
            self._last_heard = now
        if self.state in _KEPT_STATES:
            self._journal.sip(data, flow=flow, sent=sent, now=now)

    def acknowledged(self, *, matched: bool, now: float) -> None:
        """Take the ACK to an answer."""
        if not matched:
            self._note_finding(finding("sip-ack-mismatch", "CSeq"), now)

    def ended(self, reason: str, *, read: RecordingRequest | None, now: float) -> None:
        """Take the end of the call; `read` is the body of the peer's BYE (RFC 8068 section 3.2.4)."""
        if self.state in (SessionState.REQUESTED, SessionState.BINDING):
            self.cancel()
            return
        if self.state is not SessionState.ACTIVE:
            return
        if read is not None:
            self._found(read.findings)
            self._take_metadata(read, now)
        self._end_reason = self._end_reason or reason
        self._ended = now
        self._ends_at = None
        self.account.ended(self._end_reason, now=now)
        self.state = SessionState.CLOSING
        self._exchange = None
        self._release()
        self._finish_if_closed(now)

    def end(self, reason: str, *, now: float) -> None:
        """Hang up for a reason of ours: an `end_reason` of `recording.json`."""
        if self.state is SessionState.ACTIVE:
            self._end_reason = self._end_reason or reason
            self._outbox.put(HangUp())
        del now

    # media

    def receive_media(self, media: MediaId, batch: DatagramBatch, *, component: Component, now: float) -> None:
        """Take the datagrams that came to one port since the last tick."""
        line = self._lines.by_media(media)
        if line is None or self._journal.sink is None:
            return
        self._last_heard = now
        accepted = self.account.receive_media(line.index, batch, component=component, now=now)
        for held in accepted.held:
            datagram = (held.data, held.source, held.arrival)
            self._journal.media(line.index, held.component, [datagram], now=now)
        if accepted.indexes:
            datagrams, sources, arrivals = batch.datagrams, batch.sources, batch.arrivals
            kept = [(datagrams[index], sources[index], arrivals[index]) for index in accepted.indexes]
            self._journal.media(line.index, component, kept, now=now)
        while (output := self.account.poll_media(line.index)) is not None:
            self._tell(line.index, output, now)
        if self._journal.size > self._config.limits.journal_size and self.state is SessionState.ACTIVE:
            self._end_by_limit("max-size", now)

    def media_closed(self, media: MediaId, *, now: float) -> None:
        """Take the driver's word that the sockets are closed and drained."""
        self._lines.closed(media)
        self._finish_if_closed(now)

    # files

    def sink_failed(self, sink: SinkId, error: str, *, now: float) -> None:
        """Take a storage failure: the call goes on, what can be kept is kept."""
        if self._storage_failed:
            return
        self._storage_failed = True
        code = "storage-full" if "space" in error.lower() else "storage-failed"
        where = "journal.pcapng" if sink == self._journal.sink else "recording.json"
        self._note_finding(finding(code, where, error), now)

    def rendered(self, *, now: float) -> None:
        """Take the word that the final files are there."""
        self._conclude("completed", now)

    def render_failed(self, error: str, *, now: float) -> None:
        """Take the failure to make the final files; the journal keeps everything."""
        self._outbox.put(FindingRaised(session=self.id, finding=finding("render-failed", self.directory, error)))
        self._conclude("failed", now)

    # negotiation

    def _negotiate(self, offer: SessionDescription, now: float) -> None:
        try:
            plan = plan_answer(
                offer,
                codecs=self._codecs,
                offer_order=not self._config.prefer_own_codecs,
                previous=self._answered,
            )
        except NegotiationError as error:
            warning = _warning(error.warning_code, error.message)
            self._refuse_exchange(Refusal(error.status, headers=warning))
            return
        self._found(plan.findings)
        self._exchange = _Exchange(offer, plan)
        for line in plan.accepted:
            if line.index in self._lines:
                continue
            command = self._lines.open(line.index, mux=line.rtcp_mux)
            if command is None:
                self._refuse_exchange(self._unavailable("no free media port"))
                return
            self._outbox.put(command)
        if self._lines.all_bound:
            self._complete_exchange(self._exchange, now)

    def _complete_exchange(self, exchange: _Exchange, now: float) -> None:
        first = self._answered is None
        accepted = [line.index for line in exchange.plan.accepted]
        ports = {line.index: line.port for line in map(self._lines.get, accepted) if line is not None}
        answer = build_answer(
            exchange.offer,
            exchange.plan,
            ports=ports,
            address=self._config.advertise or self._config.media_host or self.flow.local.host,
            session_id=self._sdp_session,
            previous=None if self._answered is None else self._answered.answer,
        )
        if first:
            sink = self._open_sink(SinkKind.JOURNAL, "journal.pcapng")
            self._journal.open(sink, flow=self._invitation.flow, started=self._started, now=now)
        # The line stands in the journal before the answer that lets its packets come.
        self._describe_lines(exchange.plan, now)
        self.account.offer_answered(exchange.offer, exchange.plan, answer, now=now)
        self._answered = Answered(offer=exchange.offer, plan=exchange.plan, answer=answer)
        self._exchange = None
        for index in self._lines.indexes():
            if index not in accepted:
                self._close_line(index)
        labels = tuple(line.label or str(line.index) for line in exchange.plan.accepted)
        self._outbox.put(Answer(body=answer.to_bytes()))
        if first:
            self._establish(labels, now)
        else:
            self._outbox.put(StreamsChanged(session=self.id, labels=labels))

    def _establish(self, labels: tuple[str, ...], now: float) -> None:
        self.state = SessionState.ACTIVE
        self.account.answered(now=now)
        self._ends_at = now + self._config.limits.recording_seconds
        self._take_metadata(self._invitation.read, now)
        self._write_active_report()
        self._outbox.put(SessionEstablished(session=self.id, labels=labels))

    def _describe_lines(self, plan: AnswerPlan, now: float) -> None:
        known = {} if self._answered is None else {line.index: line for line in self._answered.plan.lines}
        for planned in plan.accepted:
            line = self._lines.get(planned.index)
            before = known.get(planned.index)
            if line is not None and (before is None or not before.accepted):
                self._journal.add_line(planned.index, label=planned.label, rtp=line.rtp, rtcp=line.rtcp, now=now)

    def _offer_again(self, request: Request) -> bytes:
        """Give what a re-INVITE without offer is answered with: our description as it stands (RFC 7866 section 7.2)."""
        return b"" if request.method != "INVITE" or self._answered is None else self._answered.answer.to_bytes()

    def _refuse_exchange(self, refusal: Refusal) -> None:
        self._outbox.put(Refuse(refusal=refusal))
        if self._answered is None:
            self.cancel()
        else:
            self._drop_exchange(self._answered)

    def _drop_exchange(self, answered: Answered) -> None:
        keep = {line.index for line in answered.plan.accepted}
        for index in self._lines.indexes():
            if index not in keep:
                self._close_line(index)
        self._exchange = None

    def _unavailable(self, reason: str) -> Refusal:
        retry = ("Retry-After", str(self._config.retry_seconds))
        return Refusal(503, f"Service Unavailable - {reason}", (retry,))

    # facts

    def _take_metadata(self, read: RecordingRequest, now: float) -> None:
        if not read.metadata_raw:
            return
        self.account.metadata_received(read.metadata, read.metadata_raw, now=now)
        if read.metadata is not None:
            self._outbox.put(MetadataUpdated(session=self.id, complete=read.metadata.is_complete))

    def _found(self, findings: tuple[Finding, ...]) -> None:
        self.account.found(*findings)
        for one in findings:
            self._outbox.put(FindingRaised(session=self.id, finding=one))

    def _note_finding(self, found: Finding, now: float) -> None:
        """Report a finding that no packet of the journal shows."""
        self._found((found,))
        if self.state in _KEPT_STATES:
            self._journal.finding(found, now=now)

    def _tell(self, line: int, output: MediaOutput, now: float) -> None:
        if isinstance(output, SourceLocked):
            label = self.account.lines[line].label
            self._outbox.put(SourceFound(session=self.id, label=label, source=output.source, ssrc=output.ssrc))
        elif isinstance(output, SourceFinding):
            self._found((output.finding,))
            if not output.replayable:
                self._journal.finding(output.finding, now=now)

    # files

    def _write_active_report(self) -> None:
        sink = self._open_sink(SinkKind.DOCUMENT, "recording.json")
        self._outbox.put(WriteSink(sink=sink, data=self.account.report("active").to_bytes()))
        self._outbox.put(CloseSink(sink=sink))

    def _open_sink(self, kind: SinkKind, name: str) -> SinkId:
        sink = self._resources.next_sink()
        self.sinks.append(sink)
        self._outbox.put(OpenSink(sink=sink, kind=kind, name=f"{self.directory}/{name}"))
        return sink

    # the end

    def _end_by_limit(self, reason: str, now: float) -> None:
        self._ends_at = None
        self._end_reason = reason
        self._note_finding(finding("limit-reached", "recording", f"ended by {reason}"), now)
        self._outbox.put(HangUp())

    def _silent_at(self) -> float | None:
        seconds = self._config.limits.no_media_seconds
        if not seconds or self.state is not SessionState.ACTIVE or self._end_reason:
            return None
        return self._last_heard + seconds

    def _release(self) -> None:
        for index in self._lines.indexes():
            self._close_line(index)

    def _close_line(self, index: int) -> None:
        command = self._lines.close(index)
        if command is not None:
            self._outbox.put(command)

    def _finish_if_closed(self, now: float) -> None:
        if self.state is not SessionState.CLOSING or self._lines.closing:
            return
        self.state = SessionState.RENDERING
        received, rejected = _packet_counts(self.account)
        self._journal.finish(self._end_reason, ended=self._ended, received=received, rejected=rejected, now=now)
        self._outbox.put(RenderRecording(session=self.id, directory=self.directory))

    def _conclude(self, status: str, now: float) -> None:
        del now
        if self.state is not SessionState.RENDERING:
            raise LocalProtocolError("the session is not being rendered")
        self.state = SessionState.ENDED
        self._outbox.put(
            SessionEnded(session=self.id, reason=self._end_reason, status=status, directory=self.directory)
        )


def _packet_counts(account: RecordingAccount) -> tuple[dict[int, int], dict[int, int]]:
    """Give the packets received and rejected by line."""
    counts = {index: line.receiver.statistics() for index, line in account.lines.items()}
    received = {index: count.packets_received for index, count in counts.items()}
    return received, {index: count.packets_rejected for index, count in counts.items()}


def recording_directory(session: SessionId, unix_ns: int) -> str:
    """Give the folder of a recording: `YYYY/MM/DD/<recording-id>` of its start in UTC."""
    year, month, day = format_instant(unix_ns)[:10].split("-")
    return f"{year}/{month}/{day}/{session}"


def _warning(code: int, text: str) -> tuple[tuple[str, str], ...]:
    printable = "".join(character if " " <= character <= "~" and character not in '"\\' else " " for character in text)
    # RFC 3261 20.43: warn-code, warn-agent (a pseudonym will do) and quoted warn-text.
    return (("Warning", f'{code} siprec "{printable[:200]}"'),)
