"""The offers and answers of a recording session, and the metadata beside them (RFC 7866 sections 7 and 9).

This is the half of a session that talks with the client: what it offers is planned, given ports and answered; what we
want of it (hold, resume, a snapshot) is offered and its answer taken.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from siprec_core.clock import TimeBase, format_instant
from siprec_core.errors import LocalProtocolError, NegotiationError
from siprec_core.findings import Finding, finding
from siprec_core.machine import Outbox
from siprec_core.recording.account import RecordingAccount
from siprec_core.recording.apart import lines_apart, secure_lines
from siprec_core.recording.commands import Command, OpenSink, SinkKind
from siprec_core.recording.events import Event, FindingRaised, MetadataUpdated, StreamsChanged
from siprec_core.recording.hold import held, offer_of_recorder, plan_of_counterpart
from siprec_core.recording.journal import JournalWriter
from siprec_core.recording.keeper import JournalKeeper
from siprec_core.recording.lines import MediaLines, Resources
from siprec_core.recording.masking import DigitMask
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.redaction import filter_message
from siprec_core.recording.report import Initiator
from siprec_core.recording.request import RecordingBody, RecordingRequest
from siprec_core.recording.securing import answer_keys
from siprec_core.recording.snapshots import SnapshotRequests, needs_snapshot
from siprec_core.sdp.formats import Codec
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import Answered, AnswerPlan, build_answer, plan_answer
from siprec_core.sip.message import Request
from siprec_core.sip.uas import Refusal, warning
from siprec_core.types import Flow, MediaId, SessionId, SinkId, Transport


class SessionState(Enum):
    """Where a recording session stands."""

    CALLING = auto()
    """Our INVITE waits for its answer."""
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


UNANSWERED_STATES = (SessionState.CALLING, SessionState.REQUESTED, SessionState.BINDING)
"""States before the first answer."""
KEPT_STATES = (*UNANSWERED_STATES, SessionState.ACTIVE, SessionState.CLOSING)
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

    reason: str
    """An `end_reason` of `recording.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Send a re-INVITE or UPDATE; `offer_taken` or `change_refused` tells the outcome."""

    body: bytes
    content_type: str
    disposition: str | None = None
    description: SessionDescription | None = None
    """The offer that `body` is; None for a snapshot request."""


Signal: TypeAlias = Answer | Refuse | HangUp | Ask
SessionOutput: TypeAlias = Command | Event | Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What the session is made from."""

    session: SessionId
    request: Request
    """The INVITE: the client's, or ours."""
    read: RecordingRequest | None
    """The client's INVITE, understood; None for one of ours, which offers nothing."""
    flow: Flow
    """The path of the INVITE; that of one of ours is what it was meant to be."""
    raw: tuple[bytes, ...]
    """The client's INVITE as it came, in pieces; one of ours is kept when it leaves."""
    local_tag: str
    authenticated_user: str | None = None
    """Who sent it, where the listener asks for that."""


@dataclass(slots=True)
class Exchange:
    """An offer/answer exchange whose sockets are being bound."""

    offer: SessionDescription
    plan: AnswerPlan
    read: RecordingBody
    """The request that brought the offer."""


class SessionExchanges(ABC):
    """The negotiating half of a recording session; `RecordingSession` adds its life, media and files."""

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
        self.id = invitation.session
        self.state = SessionState.REQUESTED
        self.directory = recording_directory(self.id, time_base.unix_ns_at(now))
        self.call_id = invitation.request.call_id
        self.flow = invitation.flow
        self.authenticated_user = invitation.authenticated_user
        self.established = False
        """True once the first offer was answered; set by the server."""
        self.sinks: list[SinkId] = []
        """Every sink that was opened."""
        self.files: list[str] = []
        """Their names in the folder of the recording, each once."""
        self._invitation: RecordingRequest | None = invitation.read
        self._initiator: Initiator = "server" if invitation.read is None else "client"
        self._local_tag = invitation.local_tag
        self._config = config
        self._mask = DigitMask(wanted=config.mask_digits, limits=config.limits)
        self._codecs = tuple(Codec.parse(name) for name in config.codecs)
        self._sdp_session = sdp_session
        self._resources = resources
        self._outbox: Outbox[SessionOutput] = Outbox()
        self._apart = lines_apart(config, self._outbox, time_base=time_base)
        open_receiver = None if self._apart is None else self._apart.open_receiver
        self.account = RecordingAccount(
            self.id, limits=config.limits, time_base=time_base, started=now, open_receiver=open_receiver
        )
        self._lines = MediaLines(resources, host=config.media_host or invitation.flow.local.host)
        self._secure = secure_lines(config, self._apart)
        self._exchange: Exchange | None = None
        self._answered: Answered | None = None
        self._paused = False
        self._repair_needed = False
        self._offered: SessionDescription | None = None
        self._asked: SessionDescription | None = None
        self._snapshots = SnapshotRequests()
        writer = JournalWriter(self.id, time_base=time_base, application=config.product)
        self._journal = JournalKeeper(writer, self._outbox, prompt=config.media_apart)
        self._started = now
        if invitation.read is not None:
            self._invited(invitation, now)
            self._found(invitation.read.findings)

    def _invited(self, invitation: Invitation, now: float) -> None:
        request = invitation.request
        # Only a filter needs it in one piece: an INVITE holds no digit that could be masked.
        whole = self._config.metadata_filter is not None
        for piece in (self._storable(b"".join(invitation.raw)),) if whole else invitation.raw:
            self._journal.sip(piece, flow=invitation.flow, sent=False, now=now)
        self.account.invited(
            call_id=request.call_id,
            local_tag=invitation.local_tag,
            remote_tag=request.from_.tag or "",
            transport=invitation.flow.transport,
            peer=invitation.flow.remote,
            user_agent=request.headers.get("User-Agent"),
            authenticated_user=invitation.authenticated_user,
            peer_names=invitation.flow.peer_names,
            now=now,
        )

    @abstractmethod
    def _establish(self, labels: tuple[str, ...], now: float) -> None:
        """Begin to record: the first offer was answered."""

    # set-up

    def begin(self, *, now: float) -> None:
        """Answer the invitation's offer: choose formats, take ports, ask for sockets."""
        self.state = SessionState.BINDING
        read = self._invitation
        if read is None or read.offer is None:
            self._refuse_exchange(Refusal(400, "Bad Request - no SDP offer", (warning(399, "an SDP offer is needed"),)))
        else:
            self._negotiate(read.offer, read, now)

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
        line = self._lines.by_media(media)
        if line is None or media in self._lines.closing:
            return
        command = self._lines.retry(line, now=now)
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
            self._negotiate(read.offer, read, now)
            return
        self._take_metadata(read, now)
        self._outbox.put(Answer(body=self._offer_again(read.request)))
        self._ask_for_repair()

    def offer_withdrawn(self) -> None:
        """Take the cancellation of a re-INVITE whose sockets are still being bound: the session goes on as it was."""
        if self._answered is not None:
            self._drop_exchange(self._answered)

    def acknowledged(self, *, matched: bool, read: RecordingRequest | None = None, now: float) -> None:
        """Take the ACK to an answer; `read` is its body, which answers the offer of a 200 (RFC 3261 13.2.2.4)."""
        if not matched:
            self._note_finding(finding("sip-ack-mismatch", "CSeq"), now)
        offered, self._offered = self._offered, None
        if offered is None:
            return
        if read is None or read.offer is None:
            self._note_finding(finding("ack-no-answer", "ACK"), now)
        else:
            self._found(read.findings)
            self._conclude_offer(offered, read.offer, now)

    # requests of ours

    @property
    def paused(self) -> bool:
        """True while we want no media, from `pause` to `resume`."""
        return self._paused

    def pause(self, *, paused: bool) -> None:
        """Hold every line, or go on (RFC 7866 section 7.2); LocalProtocolError when there is nothing to change."""
        if self.state is not SessionState.ACTIVE or self._answered is None:
            raise LocalProtocolError("the session is not active")
        if self._asked is not None:
            raise LocalProtocolError("a change of the session waits for its answer")
        if paused is self._paused:
            raise LocalProtocolError("the session is paused" if paused else "the session is not paused")
        self._paused = paused
        self._ask_for_direction(self._answered)

    def request_snapshot(self, reason: str | None) -> None:
        """Ask for a full snapshot of the metadata; LocalProtocolError for a session that is not active."""
        if self.state is not SessionState.ACTIVE:
            raise LocalProtocolError("the session is not active")
        body = self._snapshots.write(reason)
        # RFC 7866 9.2: the UPDATE has a body of disposition "recording-session" and "MUST NOT" have SDP.
        self._outbox.put(Ask(body=body, content_type=self._snapshots.media_type, disposition="recording-session"))

    def offer_taken(self, answer: SessionDescription | None, *, refresh: bool, now: float) -> None:
        """Take the 2xx to an offer of ours; `answer` is its description.

        A `refresh` of the session timer repeats the description that is in force.
        """
        if self._answered is None:
            return
        ours: SessionDescription | None = self._answered.answer
        if not refresh:
            ours, self._asked = self._asked, None
        if ours is not None and answer is not None:
            self._conclude_offer(ours, answer, now)

    def change_refused(self, status: int, reason: str, *, offered: bool, now: float) -> None:
        """Take the refusal of a change: the session is as before (RFC 3261 14.1).

        `offered` tells an offer from a snapshot request or refresh. What the peer's own offer overtook (491) is asked
        again, if it is still wanted.
        """
        if not offered:
            self._snapshots.failed()
        elif self._asked is not None:
            self._asked = None
            if self._answered is None or self._paused is _is_held(self._answered.answer):
                return
            if status == 491:
                self._ask_for_direction(self._answered)
                return
            self._paused = not self._paused
        self._note_finding(finding("change-refused", "session", f"{status} {reason}"), now)

    def snapshot_impossible(self, *, now: float) -> None:
        """Take the server's word that the peer does not allow UPDATE: what is known is kept (RFC 7866 9.2)."""
        self._snapshots.failed()
        self._note_finding(finding("snapshot-not-possible", "Allow"), now)

    # negotiation

    def _negotiate(self, offer: SessionDescription, read: RecordingBody, now: float) -> None:
        for one in self._secure.unavailable(offer):
            self._note_finding(one, now)
        try:
            plan = plan_answer(
                offer,
                codecs=self._codecs,
                srtp=self._secure.policy,
                suites=self._secure.suites,
                keys_protected=self.flow.transport is Transport.TLS,
                offer_order=not self._config.prefer_own_codecs,
                previous=self._answered,
            )
        except NegotiationError as error:
            why = warning(error.warning_code, error.message)
            self._refuse_exchange(Refusal(error.status, headers=(why,)))
            return
        self._found(plan.findings)
        if self._paused:
            plan = held(plan)
        self._exchange = Exchange(offer, plan, read)
        for line in plan.accepted:
            if line.index in self._lines:
                continue
            command = self._lines.open(line.index, mux=line.rtcp_mux, now=now)
            if command is None:
                self._refuse_exchange(self._unavailable("no free media port"))
                return
            self._outbox.put(command)
        if self._lines.all_bound:
            self._complete_exchange(self._exchange, now)

    def _complete_exchange(self, exchange: Exchange, now: float) -> None:
        first = self._answered is None
        accepted = [line.index for line in exchange.plan.accepted]
        ports = {line.index: line.port for line in map(self._lines.get, accepted) if line is not None}
        answer = build_answer(
            exchange.offer,
            exchange.plan,
            ports=ports,
            address=self._config.media_address(self.flow),
            session_id=self._sdp_session,
            keys=answer_keys(exchange.plan, self._answered, self._resources.ids),
            previous=None if self._answered is None else self._answered.answer,
        )
        if first:
            sink = self._open_sink(SinkKind.JOURNAL, "journal.pcapng")
            initiator, user = self._initiator, self.authenticated_user
            self._journal.open(
                sink, flow=self.flow, started=self._started, initiator=initiator, authenticated_user=user, now=now
            )
        # The line stands in the journal before the answer that lets its packets come.
        self._describe_lines(exchange.plan, now)
        self._secure.agree(exchange.plan, answer, now=now)
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
            # RFC 3261 14.1: a refused offer leaves everything as it was, so its metadata counts only now.
            self._take_metadata(exchange.read, now)
            self._outbox.put(StreamsChanged(session=self.id, labels=labels))
        self._ask_for_repair()

    def _conclude_offer(self, ours: SessionDescription, theirs: SessionDescription, now: float) -> None:
        """Take the client's answer to an offer of ours: addresses and directions may have changed."""
        plan = plan_of_counterpart(ours, theirs)
        if plan is None or self._answered is None:
            message = f"{len(ours.media)} media lines offered, {len(theirs.media)} answered"
            self._note_finding(finding("sdp-answer-line-count", "answer", message), now)
            return
        changed = plan.accepted != self._answered.plan.accepted
        self._secure.agree(plan, ours, now=now)
        self.account.offer_answered(theirs, plan, ours, now=now)
        answered = self._answered = Answered(offer=theirs, plan=plan, answer=ours)
        self._drop_exchange(answered)
        if changed:
            labels = tuple(line.label or str(line.index) for line in plan.accepted)
            self._outbox.put(StreamsChanged(session=self.id, labels=labels))

    def _ask_for_direction(self, answered: Answered) -> None:
        self._asked = offer = offer_of_recorder(answered.answer, paused=self._paused)
        self._outbox.put(Ask(body=offer.to_bytes(), content_type="application/sdp", description=offer))

    def _ask_for_repair(self) -> None:
        """Ask for a snapshot when the metadata has become incomplete, after the answer to what made it so."""
        if self._repair_needed and self.state is SessionState.ACTIVE:
            self._repair_needed = False
            if self._snapshots.due():
                self.request_snapshot("the metadata cannot be followed")

    def _describe_lines(self, plan: AnswerPlan, now: float) -> None:
        known = {} if self._answered is None else {line.index: line for line in self._answered.plan.lines}
        for planned in plan.accepted:
            line = self._lines.get(planned.index)
            before = known.get(planned.index)
            if line is not None and (before is None or not before.accepted):
                self._journal.add_line(planned.index, label=planned.label, rtp=line.rtp, rtcp=line.rtcp, now=now)
                if self._apart is not None:
                    self._apart.record(line, self._journal, label=planned.label)

    def _offer_again(self, request: Request) -> bytes:
        """Give what a re-INVITE without offer is answered with: our description as it stands (RFC 7866 section 7.2)."""
        if request.method != "INVITE" or self._answered is None:
            return b""
        self._offered = offer_of_recorder(self._answered.answer, paused=self._paused)
        return self._offered.to_bytes()

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

    def _take_metadata(self, read: RecordingBody, now: float) -> None:
        if not read.metadata_raw:
            return
        known = len(self.account.findings.findings)
        self.account.metadata_received(read.metadata, read.metadata_raw, now=now)
        if read.metadata is None:
            return
        codes = tuple(one.code for one in self.account.findings.findings[known:])
        self._repair_needed = needs_snapshot(read.metadata, self.account.metadata, codes)
        self._snapshots.received(read.metadata, read.metadata_type, repaired=not self._repair_needed)
        self._outbox.put(MetadataUpdated(session=self.id, complete=read.metadata.is_complete))

    def _storable(self, data: bytes) -> bytes:
        """Give a message of the client as it may be stored."""
        policy = self._config.metadata_filter
        kept = data if policy is None else filter_message(data, policy, limits=self._config.limits)
        return self._mask.message(kept)

    def _found(self, findings: tuple[Finding, ...]) -> None:
        self.account.found(*findings)
        for one in findings:
            self._outbox.put(FindingRaised(session=self.id, finding=one))

    def _note_finding(self, found: Finding, now: float) -> None:
        """Report a finding that no packet of the journal shows."""
        self._found((found,))
        if self.state in KEPT_STATES:
            self._journal.finding(found, now=now)

    # lines

    def _release(self) -> None:
        for index in self._lines.indexes():
            self._close_line(index)

    def _close_line(self, index: int) -> None:
        command = self._lines.close(index)
        if command is not None:
            self._outbox.put(command)

    def _open_sink(self, kind: SinkKind, name: str) -> SinkId:
        sink = self._resources.next_sink()
        self.sinks.append(sink)
        if name not in self.files:
            self.files.append(name)
        self._outbox.put(OpenSink(sink=sink, kind=kind, name=f"{self.directory}/{name}"))
        return sink


def _is_held(description: SessionDescription) -> bool:
    """Tell whether every line of a description of ours is held."""
    return all(description.direction_of(line) == "inactive" for line in description.media if line.port)


def recording_directory(session: SessionId, unix_ns: int) -> str:
    """Give the folder of a recording: `YYYY/MM/DD/<recording-id>` of its start in UTC."""
    year, month, day = format_instant(unix_ns)[:10].split("-")
    return f"{year}/{month}/{day}/{session}"
