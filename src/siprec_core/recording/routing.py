"""What a recording server does between its doors: routes calls to sessions, admits, answers, comes to its end."""

from functools import partial
from typing import TypeAlias

from siprec_core.clock import TimeBase
from siprec_core.entropy import Entropy, Ids
from siprec_core.errors import LocalProtocolError
from siprec_core.findings import Severity
from siprec_core.machine import Outbox
from siprec_core.recording.commands import BindMedia, Command, OpenSink
from siprec_core.recording.entrance import Entrance
from siprec_core.recording.events import Diagnostic, Event, ServerDrained, SessionRefused, SessionRequested
from siprec_core.recording.exchanges import UNANSWERED_STATES
from siprec_core.recording.lines import Resources
from siprec_core.recording.outbound import RecordSpec, decline, invite_without_offer
from siprec_core.recording.policy import ServerConfig, check_config, refuse_unmarked, understood_tags
from siprec_core.recording.ports import PortPool
from siprec_core.recording.report import Initiator
from siprec_core.recording.request import RecordingRequest, read_answer_of_client, read_request
from siprec_core.recording.session import Answer, Ask, HangUp, Invitation, RecordingSession, Refuse, SessionState
from siprec_core.recording.signalling import read_description
from siprec_core.recording.started import StartedSession
from siprec_core.recording.totals import MediaCounts
from siprec_core.sip.doors import WireDoors
from siprec_core.sip.endpoint import SipEndpoint
from siprec_core.sip.endpoint_events import (
    AckReceived,
    CallChanged,
    CallEnded,
    CallGone,
    CallOffered,
    CallRefused,
    ChangeRefused,
    CredentialsChecked,
    EndpointEvent,
    InfoReceived,
    InviteReceived,
    MessageRefused,
    MessageTraced,
    OfferReceived,
    OfferWithdrawn,
    OptionsReceived,
)
from siprec_core.sip.identity import EndpointConfig
from siprec_core.sip.info import read_digit
from siprec_core.sip.invite import UsageId
from siprec_core.sip.message import Request
from siprec_core.sip.session_timer import TimerPolicy
from siprec_core.sip.status import reason_phrase
from siprec_core.sip.uas import Refusal, carries_offer
from siprec_core.timers import TimerQueue
from siprec_core.types import Address, Flow, MediaId, SessionId, SinkId

_BYE_GRACE_SECONDS = 4.0
"""How long a drained server waits for the answers to its last BYEs."""
ServerOutput: TypeAlias = Command | Event


class SessionRouter(WireDoors, Entrance):
    """The inner half of `RecordingServer`: one SIP endpoint and the sessions whose calls it carries."""

    def __init__(self, config: ServerConfig, *, time_base: TimeBase, entropy: Entropy) -> None:
        """Raises ConfigurationError for settings that cannot be."""
        check_config(config)
        Entrance.__init__(self, config)
        self.config = config
        self._ids = Ids(entropy)
        self._time_base = time_base
        self._endpoint = SipEndpoint(_endpoint_config(config, self._ids), ids=self._ids)
        self._resources = Resources(PortPool(*config.rtp_ports, expansion=config.rtp_ports_expansion), self._ids)
        self._outbox: Outbox[ServerOutput] = Outbox()
        self._sessions: dict[SessionId, RecordingSession] = {}
        self._usages: dict[SessionId, UsageId] = {}
        self._by_usage: dict[UsageId, SessionId] = {}
        self._media: dict[MediaId, RecordingSession] = {}
        self._sinks: dict[SinkId, RecordingSession] = {}
        self._timers: TimerQueue[SessionId] = TimerQueue()
        self._expanded = False
        self._drain_at: float | None = None
        self._give_up_at: float | None = None
        self._drained = False
        self._draining = False
        self._storage_rests_until = float("-inf")
        self._storage_full = False
        self._past_media = MediaCounts()

    # endpoint

    def _drain_endpoint(self, now: float) -> None:
        """Take what the endpoint has put out; what acts on an output leaves the next one to the loop that runs."""
        if self._draining:
            return
        self._draining = True
        try:
            while (output := self._endpoint.poll_output()) is not None:
                if isinstance(output, EndpointEvent):
                    self._tell(output, now)
                else:
                    self._outbox.put(output)
        finally:
            self._draining = False
        self._drain_deadline(now)

    def _tell(self, event: EndpointEvent, now: float) -> None:
        match event:
            case InviteReceived():
                self._invited(event, now)
            case OptionsReceived(request_id=request_id, request=request, flow=flow, authenticated_user=user):
                # RFC 3261 11.2: as an INVITE would be answered; within a dialog that is a re-INVITE.
                refusal = None if request.to.tag is not None else self._admit(flow, user, now)
                self._endpoint.answer_options(request_id, refusal, now=now)
            case MessageRefused(malformed=malformed, flow=flow):
                detail = f"from {flow.remote}: {malformed.error}"
                self._diagnose("sip-malformed", Severity.WARNING, None, detail)
            case CredentialsChecked():
                self._tell_credentials(event)
            case CallGone(usage=usage):
                session = self._sessions.get(self._by_usage.pop(usage, SessionId("")))
                if session is not None:
                    session.call_gone(now=now)
                    self._drain_session(session, now)
            case (
                OfferReceived(usage=usage)
                | OfferWithdrawn(usage=usage)
                | AckReceived(usage=usage)
                | InfoReceived(usage=usage)
                | CallChanged(usage=usage)
                | ChangeRefused(usage=usage)
                | CallOffered(usage=usage)
                | CallRefused(usage=usage)
                | MessageTraced(usage=usage)
                | CallEnded(usage=usage)
            ):
                session = self._sessions.get(self._by_usage.get(usage, SessionId("")))
                if session is not None:
                    self._tell_session(session, event, now)
                elif isinstance(event, OfferReceived):
                    self._endpoint.refuse_offer(usage, Refusal(481), now=now)
                elif isinstance(event, CallEnded) and (waiting := self._waiting.remove(usage)) is not None:
                    self._put_refused(waiting.invited.request.call_id, waiting.invited.flow.remote, Refusal(487))
            case _:
                pass  # CallProgressed: a 1xx changes nothing; CallAnswered tells of INVITEs with an offer

    def _tell_session(self, session: RecordingSession, event: EndpointEvent, now: float) -> None:
        match event:
            case MessageTraced(data=data, flow=flow, sent=sent):
                session.traced(data, flow=flow, sent=sent, now=now)
            case OfferReceived(request=request):
                session.offer_received(self._read(request), now=now)
            case OfferWithdrawn():
                session.offer_withdrawn()
            case AckReceived(request=request, matched=matched):
                session.acknowledged(matched=matched, read=self._read(request) if request.body else None, now=now)
            case InfoReceived(request=request):
                session.info_received(self._read(request), read_digit(request), now=now)
            case CallChanged(refresh=refresh, request=request, response=response):
                if carries_offer(request):
                    answer = read_description(response, limits=self.config.limits)
                    session.offer_taken(answer, refresh=refresh, now=now)
            case ChangeRefused(refresh=refresh, request=asked, status=status, reason=reason):
                offered = not refresh and (asked is None or carries_offer(asked))
                session.change_refused(status, reason, offered=offered, now=now)
            case CallEnded(reason=reason, request=request):
                self._call_ended(session, reason, request, now)
            case CallOffered(response=response, flow=flow):
                if isinstance(session, StartedSession):
                    config = self.config
                    read = read_answer_of_client(
                        response, limits=config.limits, strict=config.strict, policy=config.metadata_filter
                    )
                    session.offered(read, flow=flow, now=now)
            case CallRefused(status=status, reason=reason):
                self._put_refused(session.call_id, session.flow.remote, Refusal(status, reason), session.id)
                session.cancel()
            case _:
                pass
        self._drain_session(session, now)

    def _call_ended(self, session: RecordingSession, reason: str, request: Request | None, now: float) -> None:
        if session.state in UNANSWERED_STATES:
            refusal = Refusal({"local-bye": 503, "timeout-prack": 504}.get(reason, 487))
            self._put_refused(session.call_id, session.flow.remote, refusal, session.id)
        read = None if request is None else self._read(request)
        session.ended("server-bye" if reason == "local-bye" else reason, read=read, now=now)

    # calls

    def _invited(self, invited: InviteReceived, now: float) -> None:
        flow, user = invited.flow, invited.authenticated_user
        host = flow.remote.host
        refusal = self._admission.refuse_stranger(host, user, flow.peer_names)
        if refusal is not None:
            self._turn_away(invited, refusal, now)
            return
        read = self._read(invited.request)
        refusal = read.refusal or refuse_unmarked(read.marks, strict=self.config.strict) or self._admit(flow, user, now)
        if refusal is not None:
            self._turn_away(invited, refusal, now)
        elif self._admission.has_room(host):
            self._begin(invited, read, now)
        else:
            self._wait(invited, read, now + self.config.admission.queue_seconds)
            # RFC 3261 8.2.6.1: a 100 tells the caller at once that nothing is lost, so that it does not repeat.
            self._endpoint.trying(invited.usage, now=now)

    def _turn_away(self, invited: InviteReceived, refusal: Refusal, now: float) -> None:
        self._put_refused(invited.request.call_id, invited.flow.remote, refusal)
        self._endpoint.reject(invited.usage, refusal, now=now)

    def _begin(self, invited: InviteReceived, read: RecordingRequest, now: float) -> None:
        session = RecordingSession(
            Invitation(
                session=SessionId(self._ids.session()),
                request=invited.request,
                read=read,
                flow=invited.flow,
                raw=invited.raw,
                local_tag=invited.local_tag,
                authenticated_user=invited.authenticated_user,
            ),
            config=self.config,
            resources=self._resources,
            time_base=self._time_base,
            sdp_session=self._ids.sdp_session(),
            now=now,
        )
        agent = invited.request.headers.get("User-Agent")
        self._add(session, invited.usage, user_agent=agent)
        if not self.config.manual:
            session.begin(now=now)
        self._drain_session(session, now)

    def _start(self, spec: RecordSpec, now: float) -> SessionId:
        """Ask a client for a recording session (RFC 7866 section 6.2)."""
        has_room = self._admission.has_room(spec.hop.remote.host)
        if self._is_shut(now) or not has_room or self._endpoint.calls >= self.config.limits.dialogs:
            raise LocalProtocolError("no session can begin now: the server is full, closing, or without storage")
        if spec.local is None:
            raise LocalProtocolError("the call needs our signalling address")
        invite = invite_without_offer(spec, ids=self._ids)
        session = StartedSession(
            Invitation(
                session=SessionId(self._ids.session()),
                request=invite,
                read=None,
                flow=Flow(spec.hop.transport, spec.local, spec.hop.remote),
                raw=(),
                local_tag=invite.from_.tag or "",
            ),
            answer_seconds=spec.answer_seconds,
            config=self.config,
            resources=self._resources,
            time_base=self._time_base,
            sdp_session=self._ids.sdp_session(),
            now=now,
        )
        usage = self._endpoint.call(invite, spec.hop, local=spec.local, offerless=True, now=now)
        self._add(session, usage, user_agent=None, initiator="server")
        self._drain_endpoint(now)
        self._drain_session(session, now)
        return session.id

    def _add(
        self, session: RecordingSession, usage: UsageId, *, user_agent: str | None, initiator: Initiator = "client"
    ) -> None:
        self._admission.enter(session.id, session.flow.remote.host)
        self._sessions[session.id] = session
        self._usages[session.id] = usage
        self._by_usage[usage] = session.id
        self._outbox.put(
            SessionRequested(
                session=session.id,
                call_id=session.call_id,
                peer=session.flow.remote,
                transport=session.flow.transport,
                user_agent=user_agent,
                authenticated_user=session.authenticated_user,
                initiator=initiator,
                peer_names=session.flow.peer_names,
            )
        )

    def _closed_by(self, now: float) -> str | None:
        if self._drain_at is not None:
            return "draining"
        if self._storage_full:
            return "storage-full"
        if now < self._storage_rests_until:
            return "storage-failed"
        return None if self._resources.ports else "no-ports"

    def _read(self, request: Request) -> RecordingRequest:
        return read_request(
            request,
            limits=self.config.limits,
            strict=self.config.strict,
            policy=self.config.metadata_filter,
        )

    def _requested(self, session: SessionId) -> RecordingSession:
        recording = self._sessions.get(session)
        if recording is None or recording.state is not SessionState.REQUESTED:
            raise LocalProtocolError("the session does not wait for a decision")
        return recording

    # sessions

    def _drain_session(self, session: RecordingSession, now: float) -> None:
        while (output := session.poll_output()) is not None:
            match output:
                case Answer(body=body):
                    self._answer(session, body, now)
                case Refuse(refusal=refusal):
                    self._refuse(session, refusal, now)
                case Ask():
                    self._ask(session, output, now)
                case HangUp(reason=reason):
                    self._endpoint.hang_up(self._usages[session.id], reason=reason, now=now)
                    self._drain_endpoint(now)
                case _:
                    self._pass_up(session, output)
        if session.state in (SessionState.RENDERING, SessionState.ENDED):
            self._admission.leave(session.id)
        if session.state is SessionState.ENDED:
            self._forget(session)
        elif (deadline := session.next_timeout()) is not None:
            self._timers.set(session.id, deadline)
        else:
            self._timers.cancel(session.id)
        self._seat_waiting(now)
        self._drain_deadline(now)

    def _ask(self, session: RecordingSession, ask: Ask, now: float) -> None:
        usage = self._usages[session.id]
        if ask.description is None and not self._endpoint.allows(usage, "UPDATE"):
            # RFC 7866 9.2: a snapshot is asked for by UPDATE alone, never in another transaction.
            session.snapshot_impossible(now=now)
            return
        offer = b"" if ask.description is None else ask.body
        self._endpoint.change(
            usage,
            body=ask.body,
            content_type=ask.content_type,
            disposition=ask.disposition,
            description=offer,
            # RFC 3311 5.1: within a confirmed dialog "it is RECOMMENDED that a re-INVITE be used" for an offer.
            method="INVITE" if offer else "UPDATE",
            now=now,
        )
        self._drain_endpoint(now)

    def _pass_up(self, session: RecordingSession, output: ServerOutput) -> None:
        if isinstance(output, BindMedia):
            self._media[output.media] = session
            self._tell_expansion(output)
        elif isinstance(output, OpenSink):
            self._sinks[output.sink] = session
        self._outbox.put(output)

    def _answer(self, session: RecordingSession, body: bytes, now: float) -> None:
        usage = self._usages[session.id]
        if session.established:
            self._endpoint.answer_offer(usage, body=body, content_type="application/sdp", now=now)
        elif isinstance(session, StartedSession):
            self._endpoint.acknowledge(usage, body=body, now=now)
            session.established = True
        else:
            self._endpoint.accept(usage, body=body, content_type="application/sdp", now=now)
            session.established = True
        self._drain_endpoint(now)

    def _refuse(self, session: RecordingSession, refusal: Refusal, now: float) -> None:
        if session.established:
            self._endpoint.refuse_offer(self._usages[session.id], refusal, now=now)
            self._drain_endpoint(now)
        else:
            self._refuse_call(session, refusal, now)

    def _refuse_call(self, session: RecordingSession, refusal: Refusal, now: float) -> None:
        self._put_refused(session.call_id, session.flow.remote, refusal, session.id)
        if isinstance(session, StartedSession):
            self._endpoint.hang_up(self._usages[session.id], now=now)
        else:
            self._endpoint.reject(self._usages[session.id], refusal, now=now)
        session.cancel()
        self._drain_endpoint(now)

    def _forget(self, session: RecordingSession) -> None:
        if self._sessions.pop(session.id, None) is None:
            return
        self._past_media += session.media_counts()
        self._timers.cancel(session.id)
        usage = self._usages.pop(session.id)
        self._by_usage.pop(usage, None)
        for sink in session.sinks:
            self._sinks.pop(sink, None)

    # the end

    def _drain_timeout(self) -> float | None:
        if self._drained or (self._give_up_at is not None and self._sessions):
            return None  # recordings that are still being rendered have no deadline
        return self._drain_at if self._give_up_at is None else self._give_up_at

    def _drain_deadline(self, now: float) -> None:
        if self._drain_at is None or self._drained or self._draining:
            return
        if now >= self._drain_at and self._give_up_at is None:
            self._give_up_at = now + _BYE_GRACE_SECONDS
            for session in list(self._sessions.values()):
                self._stop(session, now)
        self._conclude_drain(now)

    def _conclude_drain(self, now: float) -> None:
        if self._drained or self._sessions:
            return
        if not self._endpoint.calls or (self._give_up_at is not None and self._give_up_at <= now):
            self._drained = True
            self._outbox.put(ServerDrained())

    def _stop(self, session: RecordingSession, now: float) -> None:
        if session.state in UNANSWERED_STATES and not isinstance(session, StartedSession):
            self._endpoint.hang_up(self._usages[session.id], now=now)
            self._drain_endpoint(now)
        else:
            session.end("shutdown", now=now)
        self._drain_session(session, now)

    # reports

    def _tell_expansion(self, bind: BindMedia) -> None:
        """Tell when the second range of ports comes into use; again only after the first one sufficed."""
        expanded = self._resources.ports.expands(bind.rtp.port)
        if expanded and not self._expanded:
            low, high = self.config.rtp_ports
            detail = f"no port of {low}-{high} is free and has rested; ports of the expansion range are used"
            self._diagnose("rtp-ports-expanded", Severity.WARNING, None, detail)
        self._expanded = expanded

    def _put_refused(self, call_id: str, peer: Address, refusal: Refusal, session: SessionId | None = None) -> None:
        status, reason = refusal.status, refusal.reason or reason_phrase(refusal.status)
        self._outbox.put(SessionRefused(call_id=call_id, peer=peer, status=status, reason=reason, session=session))

    def _tell_credentials(self, checked: CredentialsChecked) -> None:
        request = f"{checked.method} from {checked.flow.remote}"
        for found in checked.findings:
            self._diagnose(found.code, found.severity, None, f"{request}: {found.message}")
        if checked.reason is not None:
            self._diagnose("digest-refused", Severity.WARNING, None, f"{request}: {checked.reason}")

    def _diagnose(self, code: str, severity: Severity, session: RecordingSession | None, detail: str) -> None:
        name = None if session is None else session.id
        self._outbox.put(Diagnostic(code=code, severity=severity, session=name, detail=detail))


def _endpoint_config(config: ServerConfig, ids: Ids) -> EndpointConfig:
    return EndpointConfig(
        product=config.product,
        feature_tag="+sip.srs",
        understood=understood_tags(strict=config.strict),
        supported=("timer",),
        # RFC 3262 3: our 1xx are reliable where a client requires it; to our own requests we know none.
        supported_when_called=("100rel",),
        advertise=config.advertise,
        advertise_by_listener=config.advertise_by_listener,
        timers=TimerPolicy(session_expires=config.session_expires, min_se=config.min_se, wanted=config.session_timer),
        decline=partial(decline, ids=ids, limits=config.limits),
        strict=config.strict,
        authentication=config.authentication,
        credentials=config.credentials,
        limits=config.limits,
    )
