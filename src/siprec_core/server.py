"""The recording server (SRS, RFC 7866) without I/O: composes the SIP endpoint and the recording sessions.

A driver hands in what arrived with the time it has, then drains `poll_output` and performs the commands in order. Every
session is recorded by its own `RecordingSession`; this class routes, admits and answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from siprec_core.clock import TimeBase
from siprec_core.entropy import Entropy, Ids
from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.findings import Severity
from siprec_core.machine import Outbox, earliest
from siprec_core.recording.commands import BindMedia, Command, OpenSink
from siprec_core.recording.events import Diagnostic, Event, ServerDrained, SessionRefused, SessionRequested
from siprec_core.recording.lines import Resources
from siprec_core.recording.policy import UNDERSTOOD, ServerConfig, refuse_unmarked
from siprec_core.recording.ports import PortPool
from siprec_core.recording.request import RecordingRequest, read_request
from siprec_core.recording.session import Answer, HangUp, Invitation, RecordingSession, Refuse, SessionState
from siprec_core.sip.endpoint import SipEndpoint
from siprec_core.sip.endpoint_events import (
    AckReceived,
    CallEnded,
    CallGone,
    EndpointEvent,
    InviteReceived,
    MessageRefused,
    MessageTraced,
    OfferReceived,
    OfferWithdrawn,
    OptionsReceived,
)
from siprec_core.sip.identity import EndpointConfig
from siprec_core.sip.invite import UsageId
from siprec_core.sip.message import Request
from siprec_core.sip.status import reason_phrase
from siprec_core.sip.uas import Refusal
from siprec_core.timers import TimerQueue
from siprec_core.types import Address, Component, DatagramBatch, Flow, MediaId, SessionId, SinkId, Transport

_BYE_GRACE_SECONDS = 4.0
"""How long a drained server waits for the answers to its last BYEs."""
_STORAGE_REST_SECONDS = 10.0
"""How long no session is admitted after storage failed."""

ServerOutput: TypeAlias = Command | Event


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """One session as it stands."""

    id: SessionId
    state: str
    """`requested`, `binding`, `active`, `closing` or `rendering`."""
    call_id: str
    peer: Address
    transport: Transport
    labels: tuple[str, ...]
    directory: str
    """Folder of the recording relative to the recordings root."""


class RecordingServer:
    """A session recording server. Inputs take `now`, monotonic seconds; what a peer sends never raises."""

    def __init__(self, config: ServerConfig, *, time_base: TimeBase, entropy: Entropy) -> None:
        """Raises ConfigurationError for settings that cannot be."""
        if config.when_full not in ("busy", "unavailable"):
            raise ConfigurationError(f"when_full: {config.when_full!r} is neither busy nor unavailable")
        if config.max_sessions is not None and config.max_sessions < 1:
            raise ConfigurationError("max_sessions: must be at least 1")
        self.config = config
        self._ids = Ids(entropy)
        self._time_base = time_base
        self._endpoint = SipEndpoint(
            EndpointConfig(
                product=config.product,
                feature_tag="+sip.srs",
                understood=UNDERSTOOD,
                advertise=config.advertise,
                strict=config.strict,
                limits=config.limits,
            ),
            ids=self._ids,
        )
        self._resources = Resources(PortPool(*config.rtp_ports))
        self._outbox: Outbox[ServerOutput] = Outbox()
        self._sessions: dict[SessionId, RecordingSession] = {}
        self._usages: dict[SessionId, UsageId] = {}
        self._by_usage: dict[UsageId, SessionId] = {}
        self._media: dict[MediaId, RecordingSession] = {}
        self._sinks: dict[SinkId, RecordingSession] = {}
        self._timers: TimerQueue[SessionId] = TimerQueue()
        self._drain_at: float | None = None
        self._give_up_at: float | None = None
        self._drained = False
        self._draining = False
        self._storage_rests_until = float("-inf")

    # machine

    def poll_output(self) -> ServerOutput | None:
        """Give the oldest command or event not yet taken; drain until None after every input."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the instant at which `handle_timeout` is due, None when nothing waits."""
        return earliest(self._endpoint.next_timeout(), self._timers.next_deadline(), self._drain_timeout())

    def handle_timeout(self, *, now: float) -> None:
        """Let everything happen whose time has come; early and repeated calls do nothing."""
        self._endpoint.handle_timeout(now=now)
        self._drain_endpoint(now)
        while (due := self._timers.pop_due(now)) is not None:
            session = self._sessions[due]
            session.handle_timeout(now=now)
            self._drain_session(session, now)
        self._drain_deadline(now)

    def rebase_clock(self, time_base: TimeBase) -> None:
        """Take a stepped wall clock; running recordings keep the one they began with."""
        self._time_base = time_base

    # SIP

    def receive_datagram(self, data: bytes, *, flow: Flow, now: float) -> None:
        """Take one UDP datagram of a SIP socket."""
        self._endpoint.receive_datagram(data, flow=flow, now=now)
        self._drain_endpoint(now)

    def flow_opened(self, flow: Flow, *, now: float) -> None:
        """Take a new connection."""
        self._endpoint.flow_opened(flow, now=now)
        self._drain_endpoint(now)

    def receive_stream(self, flow: Flow, data: bytes, *, now: float) -> None:
        """Take octets of a connection; empty means that the peer has finished sending."""
        self._endpoint.receive_stream(flow, data, now=now)
        self._drain_endpoint(now)

    def flow_failed(self, flow: Flow, error: str, *, now: float) -> None:
        """Take the failure of a connection, or of opening one. Dialogs outlive it."""
        self._endpoint.flow_failed(flow, error, now=now)
        self._drain_endpoint(now)

    # media

    def media_bound(self, media: MediaId, *, now: float) -> None:
        """Take the success of a `BindMedia`."""
        session = self._media.get(media)
        if session is not None:
            session.media_bound(media, now=now)
            self._drain_session(session, now)

    def media_failed(self, media: MediaId, error: str, *, now: float) -> None:
        """Take the failure of a `BindMedia`."""
        session = self._media.get(media)
        if session is not None:
            session.media_failed(media, error, now=now)
            if not session.holds(media):
                del self._media[media]
            self._drain_session(session, now)

    def receive_media(self, media: MediaId, batch: DatagramBatch, *, component: Component, now: float) -> None:
        """Take the datagrams that came to one media socket."""
        session = self._media.get(media)
        if session is not None:
            session.receive_media(media, batch, component=component, now=now)
            self._drain_session(session, now)

    def media_closed(self, media: MediaId, *, now: float) -> None:
        """Take the success of a `CloseMedia`, after the last `receive_media` of it."""
        session = self._media.pop(media, None)
        if session is not None:
            session.media_closed(media, now=now)
            self._drain_session(session, now)

    # files

    def sink_failed(self, sink: SinkId, error: str, *, now: float) -> None:
        """Take a storage failure: calls go on, new ones are refused for a while."""
        self._storage_rests_until = now + _STORAGE_REST_SECONDS
        self._diagnose("storage-failed", Severity.ERROR, self._sinks.get(sink), error)
        session = self._sinks.get(sink)
        if session is not None:
            session.sink_failed(sink, error, now=now)
            self._drain_session(session, now)

    def rendered(self, session: SessionId, *, now: float) -> None:
        """Take the success of a `RenderRecording`."""
        recording = self._sessions.get(session)
        if recording is not None:
            recording.rendered(now=now)
            self._drain_session(recording, now)

    def render_failed(self, session: SessionId, error: str, *, now: float) -> None:
        """Take the failure of a `RenderRecording`; the journal keeps everything."""
        recording = self._sessions.get(session)
        if recording is not None:
            recording.render_failed(error, now=now)
            self._drain_session(recording, now)

    # application

    def accept(self, session: SessionId, *, now: float) -> None:
        """Record a session that was requested; LocalProtocolError when it does not wait for a decision."""
        recording = self._requested(session)
        recording.begin(now=now)
        self._drain_session(recording, now)

    def reject(self, session: SessionId, status: int, *, now: float) -> None:
        """Refuse a session that was requested with a status from 300 to 699; LocalProtocolError when none waits."""
        if not 300 <= status <= 699:
            raise LocalProtocolError(f"{status} does not refuse a call")
        recording = self._requested(session)
        self._refuse_call(recording, Refusal(status), now)
        self._drain_session(recording, now)

    def end(self, session: SessionId, *, now: float) -> None:
        """End a running session with BYE; nothing when it has ended."""
        recording = self._sessions.get(session)
        if recording is not None:
            recording.end("server-bye", now=now)
            self._drain_session(recording, now)

    def shut_down(self, *, drain_seconds: float, now: float) -> None:
        """Refuse new sessions, let running ones go on for `drain_seconds`, end the rest; then comes `ServerDrained`."""
        if self._drain_at is None or now + drain_seconds < self._drain_at:
            self._drain_at = now + max(0.0, drain_seconds)
        self._drain_deadline(now)

    def sessions(self) -> Mapping[SessionId, SessionInfo]:
        """Give a snapshot of all sessions that are not over."""
        return {key: _info(session) for key, session in self._sessions.items()}

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
            case OptionsReceived(request_id=request_id, request=request):
                # RFC 3261 11.2: as an INVITE would be answered; within a dialog that is a re-INVITE.
                refusal = None if request.to.tag is not None else self._admit(now)
                self._endpoint.answer_options(request_id, refusal, now=now)
            case MessageRefused(malformed=malformed, flow=flow):
                detail = f"from {flow.remote}: {malformed.error}"
                self._diagnose("sip-malformed", Severity.WARNING, None, detail)
            case CallGone(usage=usage):
                self._by_usage.pop(usage, None)
            case (
                OfferReceived(usage=usage)
                | OfferWithdrawn(usage=usage)
                | AckReceived(usage=usage)
                | MessageTraced(usage=usage)
                | CallEnded(usage=usage)
            ):
                session = self._sessions.get(self._by_usage.get(usage, SessionId("")))
                if session is not None:
                    self._tell_session(session, event, now)
                elif isinstance(event, OfferReceived):
                    self._endpoint.refuse_offer(usage, Refusal(481), now=now)
            case _:
                pass  # CallProgressed, CallAnswered and CallRefused belong to calls that we start

    def _tell_session(self, session: RecordingSession, event: EndpointEvent, now: float) -> None:
        match event:
            case MessageTraced(data=data, flow=flow, sent=sent):
                session.traced(data, flow=flow, sent=sent, now=now)
            case OfferReceived(request=request):
                session.offer_received(self._read(request), now=now)
            case OfferWithdrawn():
                session.offer_withdrawn()
            case AckReceived(matched=matched):
                session.acknowledged(matched=matched, now=now)
            case CallEnded(reason=reason, request=request):
                self._call_ended(session, reason, request, now)
            case _:
                pass
        self._drain_session(session, now)

    def _call_ended(self, session: RecordingSession, reason: str, request: Request | None, now: float) -> None:
        if session.state in (SessionState.REQUESTED, SessionState.BINDING):
            refusal = Refusal(503 if reason == "local-bye" else 487)
            self._put_refused(session.call_id, session.flow.remote, refusal)
        read = None if request is None or not request.body else self._read(request)
        session.ended("server-bye" if reason == "local-bye" else reason, read=read, now=now)

    # calls

    def _invited(self, invited: InviteReceived, now: float) -> None:
        read = self._read(invited.request)
        refusal = read.refusal or refuse_unmarked(read.marks, strict=self.config.strict) or self._admit(now)
        if refusal is not None:
            self._put_refused(invited.request.call_id, invited.flow.remote, refusal)
            self._endpoint.reject(invited.usage, refusal, now=now)
            return
        session = RecordingSession(
            Invitation(
                session=SessionId(self._ids.session()),
                read=read,
                flow=invited.flow,
                raw=invited.raw,
                local_tag=invited.local_tag,
            ),
            config=self.config,
            resources=self._resources,
            time_base=self._time_base,
            sdp_session=self._ids.sdp_session(),
            now=now,
        )
        self._sessions[session.id] = session
        self._usages[session.id] = invited.usage
        self._by_usage[invited.usage] = session.id
        self._outbox.put(
            SessionRequested(
                session=session.id,
                call_id=session.call_id,
                peer=invited.flow.remote,
                transport=invited.flow.transport,
                user_agent=invited.request.headers.get("User-Agent"),
            )
        )
        if not self.config.manual:
            session.begin(now=now)
        self._drain_session(session, now)

    def _admit(self, now: float) -> Refusal | None:
        """Tell what a new call would get now; OPTIONS agrees with it (RFC 3261 11.2)."""
        retry = (("Retry-After", str(self.config.retry_seconds)),)
        if self._drain_at is not None or now < self._storage_rests_until or not self._resources.ports:
            return Refusal(503, headers=retry)
        most = self.config.max_sessions
        occupied = sum(session.state is not SessionState.RENDERING for session in self._sessions.values())
        if most is not None and occupied >= most:
            return Refusal(486) if self.config.when_full == "busy" else Refusal(503, headers=retry)
        return None

    def _read(self, request: Request) -> RecordingRequest:
        return read_request(request, limits=self.config.limits, strict=self.config.strict)

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
                case HangUp():
                    self._endpoint.hang_up(self._usages[session.id], now=now)
                    self._drain_endpoint(now)
                case _:
                    self._pass_up(session, output)
        if session.state is SessionState.ENDED:
            self._forget(session)
        elif (deadline := session.next_timeout()) is not None:
            self._timers.set(session.id, deadline)
        else:
            self._timers.cancel(session.id)
        self._drain_deadline(now)

    def _pass_up(self, session: RecordingSession, output: ServerOutput) -> None:
        if isinstance(output, BindMedia):
            self._media[output.media] = session
        elif isinstance(output, OpenSink):
            self._sinks[output.sink] = session
        self._outbox.put(output)

    def _answer(self, session: RecordingSession, body: bytes, now: float) -> None:
        usage = self._usages[session.id]
        if session.established:
            self._endpoint.answer_offer(usage, body=body, content_type="application/sdp", now=now)
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
        self._put_refused(session.call_id, session.flow.remote, refusal)
        self._endpoint.reject(self._usages[session.id], refusal, now=now)
        session.cancel()
        self._drain_endpoint(now)

    def _forget(self, session: RecordingSession) -> None:
        if self._sessions.pop(session.id, None) is None:
            return
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
        if session.state in (SessionState.REQUESTED, SessionState.BINDING):
            self._endpoint.hang_up(self._usages[session.id], now=now)
            self._drain_endpoint(now)
        else:
            session.end("shutdown", now=now)
        self._drain_session(session, now)

    # reports

    def _put_refused(self, call_id: str, peer: Address, refusal: Refusal) -> None:
        reason = refusal.reason or reason_phrase(refusal.status)
        self._outbox.put(SessionRefused(call_id=call_id, peer=peer, status=refusal.status, reason=reason))

    def _diagnose(self, code: str, severity: Severity, session: RecordingSession | None, detail: str) -> None:
        name = None if session is None else session.id
        self._outbox.put(Diagnostic(code=code, severity=severity, session=name, detail=detail))


def _info(session: RecordingSession) -> SessionInfo:
    return SessionInfo(
        id=session.id,
        state=session.state.name.lower(),
        call_id=session.call_id,
        peer=session.flow.remote,
        transport=session.flow.transport,
        labels=tuple(line.label for line in session.account.lines.values()),
        directory=session.directory,
    )
