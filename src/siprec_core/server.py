"""The recording server (SRS, RFC 7866) without I/O: composes the SIP endpoint and the recording sessions.

A driver hands in what arrived with the time it has, then drains `poll_output` and performs the commands in order. Every
session is recorded by its own `RecordingSession`; this class routes, admits and answers.
"""

from collections.abc import Iterable, Mapping

from siprec_core.clock import TimeBase
from siprec_core.codecs.registry import BUILT_IN, Codecs
from siprec_core.errors import LocalProtocolError
from siprec_core.findings import Severity
from siprec_core.machine import earliest
from siprec_core.recording.decision import Decision, PolicyRequest
from siprec_core.recording.live import merge_live
from siprec_core.recording.outbound import RecordSpec
from siprec_core.recording.plane import LineReport
from siprec_core.recording.policy import ServerConfig, check_config
from siprec_core.recording.routing import ServerOutput, SessionRouter
from siprec_core.recording.server_status import ServerStatus, count_sessions, count_streams
from siprec_core.recording.session import RecordingSession
from siprec_core.recording.session_info import SessionInfo, session_info
from siprec_core.recording.totals import MediaCounts
from siprec_core.sip.uas import Refusal
from siprec_core.types import Component, DatagramBatch, MediaId, SessionId, SinkId, TapId

__all__ = ["RecordingServer", "ServerOutput", "SessionInfo"]

_STORAGE_REST_SECONDS = 10.0
"""How long no session is admitted after storage failed."""


class RecordingServer(SessionRouter):
    """A session recording server. Inputs take `now`, monotonic seconds; what a peer sends never raises."""

    # machine

    def poll_output(self) -> ServerOutput | None:
        """Give the oldest command or event not yet taken; drain until None after every input."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the instant at which `handle_timeout` is due, None when nothing waits."""
        waiting = self._waiting.next_deadline()
        return earliest(self._endpoint.next_timeout(), self._timers.next_deadline(), self._drain_timeout(), waiting)

    def handle_timeout(self, *, now: float) -> None:
        """Let everything happen whose time has come; early and repeated calls do nothing."""
        self._endpoint.handle_timeout(now=now)
        self._drain_endpoint(now)
        self._turn_away_late(now)
        while (due := self._timers.pop_due(now)) is not None:
            session = self._sessions[due]
            session.handle_timeout(now=now)
            self._drain_session(session, now)
        self._drain_deadline(now)

    def rebase_clock(self, time_base: TimeBase) -> None:
        """Take a stepped wall clock; running recordings keep the one they began with."""
        self._time_base = time_base

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

    def media_reported(self, report: LineReport, *, now: float) -> None:
        """Take what a media plane elsewhere (`ServerConfig.media_apart`) tells of a line."""
        session = self._sinks.get(report.sink)
        if session is not None:
            session.media_reported(report, now=now)
            self._drain_session(session, now)

    def media_lost(self, sinks: Iterable[SinkId], error: str, *, now: float) -> None:
        """Take the loss of the process that wrote these journals: their sessions end with `worker-lost`.

        Everything for the same sinks that follows goes where the driver has them now.
        """
        lost = [session for sink in sinks if (session := self._sinks.get(sink)) is not None]
        self._diagnose("worker-lost", Severity.ERROR, None, f"{error}; {len(lost)} sessions end by it")
        for session in lost:
            session.media_lost(error, now=now)
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

    def storage_changed(self, *, full: bool, now: float) -> None:
        """Take whether there is room for new recordings: without it they get 503, and running ones go on."""
        del now
        if full != self._storage_full:
            self._storage_full = full
            severity = Severity.ERROR if full else Severity.INFO
            detail = "no new recordings: the reserve of the disk is reached" if full else "there is room again"
            self._diagnose("storage-full" if full else "storage-free", severity, None, detail)

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

    def record(self, target: RecordSpec, *, now: float) -> SessionId:
        """Ask a recording client for a recording session (RFC 7866 section 6.2); give its id.

        `SessionRequested` follows, then `SessionEstablished` or `SessionRefused`; it is then a session as every other.
        Raises LocalProtocolError when no session can begin now, for a URI that cannot be written, and without
        `target.local`.
        """
        return self._start(target, now)

    def accept(self, session: SessionId, *, now: float) -> None:
        """Record a session that was requested; LocalProtocolError when it does not wait for a decision."""
        recording = self._requested(session)
        recording.begin(now=now)
        self._drain_session(recording, now)

    def reject(self, session: SessionId, status: int, *, reason: str | None = None, now: float) -> None:
        """Refuse a session that was requested with a status from 300 to 699; LocalProtocolError when none waits."""
        if not 300 <= status <= 699:
            raise LocalProtocolError(f"{status} does not refuse a call")
        if reason is not None and not (reason.isascii() and reason.isprintable()):
            raise LocalProtocolError("a reason phrase is one line of printable ASCII")
        recording = self._requested(session)
        self._refuse_call(recording, Refusal(status, reason), now)
        self._drain_session(recording, now)

    def policy_request(self, session: SessionId) -> PolicyRequest:
        """Tell what is known of a call that waits for a decision; LocalProtocolError when it does not wait."""
        return self._requested(session).policy_request()

    def decide(self, session: SessionId, decision: Decision, *, now: float) -> None:
        """Record or refuse a session that was requested.

        Raises LocalProtocolError when it does not wait for a decision, or for a status or codec that cannot be.
        """
        if decision.status is not None:
            self.reject(session, decision.status, reason=decision.reason, now=now)
            return
        recording = self._requested(session)
        recording.take_decision(decision)
        recording.begin(now=now)
        self._drain_session(recording, now)

    def end(self, session: SessionId, *, now: float) -> None:
        """End a running session with BYE, or give up one that we asked for; nothing when it has ended."""
        recording = self._sessions.get(session)
        if recording is not None:
            recording.end("server-bye", now=now)
            self._drain_session(recording, now)

    def pause(self, session: SessionId, *, now: float) -> None:
        """Hold all media of a session by re-INVITE with `a=inactive` (RFC 7866 section 7.2).

        `StreamsChanged` follows, or a finding when the client refuses. Raises LocalProtocolError for a session that is
        not active, is paused, or has a change under way.
        """
        self._set_paused(session, now, paused=True)

    def resume(self, session: SessionId, *, now: float) -> None:
        """Go on with a session that was paused; as `pause`."""
        self._set_paused(session, now, paused=False)

    def request_snapshot(self, session: SessionId, *, reason: str | None = None, now: float) -> None:
        """Ask the client for a full snapshot of its metadata by UPDATE (RFC 7866 section 9.2).

        Raises LocalProtocolError for a session that is not active, or whose client does not allow UPDATE.
        """
        recording = self._active(session)
        if not self._endpoint.allows(self._usages[session], "UPDATE"):
            raise LocalProtocolError("the client does not allow UPDATE")
        recording.request_snapshot(reason)
        self._drain_session(recording, now)

    def mark(self, session: SessionId, text: str, *, now: float) -> None:
        """Keep a text of the application's in the timeline and the journal of a session, with this instant.

        Raises LocalProtocolError for a session that is not active, and for what is not one line of printable text.
        """
        self._active(session).mark(text, now=now)

    def _set_paused(self, session: SessionId, now: float, *, paused: bool) -> None:
        recording = self._active(session)
        recording.pause(paused=paused, now=now)
        self._drain_session(recording, now)

    def _active(self, session: SessionId) -> RecordingSession:
        recording = self._sessions.get(session)
        if recording is None:
            raise LocalProtocolError("there is no such session")
        return recording

    def reconfigure(self, config: ServerConfig, *, now: float) -> tuple[str, ...]:
        """Let calls to come have another configuration, as far as it may change (`LIVE_FIELDS`); running ones go on.

        Gives the names of the fields that differ and need a new server. Raises ConfigurationError for settings that
        cannot be, and changes nothing then.
        """
        merged, refused = merge_live(self.config, config)
        check_config(merged)
        self._resources.ports.resize(*merged.rtp_ports)
        self.config = merged
        self._configure_admission(merged)
        self._seat_waiting(now)
        self._drain_deadline(now)
        return refused

    def tap_audio(
        self, session: SessionId, label: str | None = None, *, codecs: Codecs = BUILT_IN, now: float
    ) -> TapId:
        """Listen to a stream, or to all: `DeliverAudio` follows as audio comes, `EndAudio` at last.

        Raises LocalProtocolError when the session is not active, has no such stream, or too many listen.
        """
        del now
        if self.config.media_apart:
            raise LocalProtocolError("live audio is not to be had with media workers")
        return self._active(session).tap_audio(label, codecs)

    def close_tap(self, session: SessionId, tap: TapId, *, now: float) -> None:
        """Listen no more; harmless when there is nothing to close."""
        del now
        recording = self._sessions.get(session)
        if recording is not None:
            recording.close_tap(tap)

    def shut_down(self, *, drain_seconds: float, now: float) -> None:
        """Refuse new sessions, let running ones go on for `drain_seconds`, end the rest; then comes `ServerDrained`."""
        if self._drain_at is None or now + drain_seconds < self._drain_at:
            self._drain_at = now + max(0.0, drain_seconds)
        self._turn_away_all(now)
        self._drain_deadline(now)

    def sessions(self) -> Mapping[SessionId, SessionInfo]:
        """Give a snapshot of all sessions that are not over."""
        return {key: session_info(session) for key, session in self._sessions.items()}

    def session(self, session: SessionId) -> SessionInfo | None:
        """Give a snapshot of one session, None when it is over or never was."""
        recording = self._sessions.get(session)
        return None if recording is None else session_info(recording)

    def unavailable(self, *, now: float) -> str | None:
        """Tell in a word why a new call would be refused, whoever made it, None when it would be taken.

        It agrees with what INVITE and OPTIONS are answered; the words are those of `ServerStatus.unavailable`.
        """
        return self._unavailable_by(now)

    def status(self, *, now: float) -> ServerStatus:
        """Tell how the server is doing."""
        sessions = self._sessions.values()
        return ServerStatus(
            unavailable=self._unavailable_by(now),
            sessions=count_sessions(sessions),
            session_ids=self.session_ids(),
            streams=count_streams(sessions),
            waiting_calls=len(self._waiting),
            ports=self._resources.ports.counts(now=now),
            past_media=self._past_media,
        )

    def media_counts(self, sessions: Iterable[SessionId]) -> MediaCounts:
        """Sum the packets of sessions so far; those that are over are passed over."""
        running = (self._sessions[each] for each in sessions if each in self._sessions)
        return sum((session.media_counts() for session in running), MediaCounts())

    def session_ids(self) -> tuple[SessionId, ...]:
        """Name the sessions that are not over, the oldest first."""
        return tuple(self._sessions)
