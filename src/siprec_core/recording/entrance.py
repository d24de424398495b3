"""Where calls come in: who is refused, who waits for room, and who is next."""

from abc import ABC, abstractmethod

from siprec_core.recording.admission import Admission
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.request import RecordingRequest
from siprec_core.recording.waiting import WaitingCall, WaitingCalls
from siprec_core.sip.endpoint_events import InviteReceived
from siprec_core.sip.uas import Refusal
from siprec_core.types import Flow


class Entrance(ABC):
    """The admitting part of a server."""

    def __init__(self, config: ServerConfig) -> None:
        """Raises ConfigurationError for settings that cannot be."""
        self._admission = Admission(
            config.admission,
            max_sessions=config.max_sessions,
            when_full=config.when_full,
            retry_seconds=config.retry_seconds,
        )
        self._waiting = WaitingCalls(config.limits.waiting_calls)
        self._seating = False

    def _configure_admission(self, config: ServerConfig) -> None:
        """Let other limits and lists count for the calls to come."""
        self._admission.configure(
            config.admission,
            max_sessions=config.max_sessions,
            when_full=config.when_full,
            retry_seconds=config.retry_seconds,
        )

    @abstractmethod
    def _begin(self, invited: InviteReceived, read: RecordingRequest, now: float) -> None:
        """Make a session of a call."""

    @abstractmethod
    def _turn_away(self, invited: InviteReceived, refusal: Refusal, now: float) -> None:
        """Refuse a call that has no session."""

    @abstractmethod
    def _closed_by(self, now: float) -> str | None:
        """Tell in a word why no session can begin, whoever asks; None when one can."""

    @abstractmethod
    def _drain_endpoint(self, now: float) -> None:
        """Take what the endpoint has put out."""

    def _is_shut(self, now: float) -> bool:
        return self._closed_by(now) is not None

    def _unavailable_by(self, now: float) -> str | None:
        """Tell in a word why a new call would be refused whoever made it; `_admit` agrees with it."""
        full = self._admission.is_full and not self._may_wait
        return self._closed_by(now) or ("full" if full else None)

    @property
    def _may_wait(self) -> bool:
        return self._admission.queues and not self._waiting.is_full

    def _admit(self, flow: Flow, user: str | None, now: float) -> Refusal | None:
        """Tell what a new call of a peer would be refused with now; OPTIONS agrees with it (RFC 3261 11.2)."""
        host = flow.remote.host
        stranger = self._admission.refuse_stranger(host, user, flow.peer_names)
        if stranger is not None:
            return stranger
        if self._is_shut(now):
            return self._admission.unavailable
        if self._admission.has_room(host) or self._may_wait:
            return None
        return self._admission.full

    def _seat_waiting(self, now: float) -> None:
        """Begin the calls that wait and for which there is room now, in order."""
        if self._seating or not len(self._waiting):
            return
        self._seating = True
        try:
            while (call := self._waiting.pop_for(self._admission)) is not None:
                if self._is_shut(now):
                    self._turn_away(call.invited, self._admission.unavailable, now)
                else:
                    self._begin(call.invited, call.read, now)
        finally:
            self._seating = False
        self._drain_endpoint(now)

    def _wait(self, invited: InviteReceived, read: RecordingRequest, until: float) -> None:
        """Put a call at the end of the line."""
        self._waiting.add(WaitingCall(invited, read, until))

    def _turn_away_late(self, now: float) -> None:
        """Refuse the calls that waited long enough."""
        while (call := self._waiting.pop_due(now)) is not None:
            self._turn_away(call.invited, self._admission.full, now)
            self._drain_endpoint(now)

    def _turn_away_all(self, now: float) -> None:
        """Refuse every call that waits: no session begins any more."""
        while (call := self._waiting.pop()) is not None:
            self._turn_away(call.invited, self._admission.unavailable, now)
            self._drain_endpoint(now)
