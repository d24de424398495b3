"""Calls that wait for room: in order, bounded in number and time."""

from dataclasses import dataclass

from siprec_core.recording.admission import Admission
from siprec_core.recording.request import RecordingRequest
from siprec_core.sip.endpoint_events import InviteReceived
from siprec_core.sip.invite import UsageId


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """An INVITE that was answered 100 and has no recording yet."""

    invited: InviteReceived
    read: RecordingRequest
    until: float
    """When it has waited long enough."""

    @property
    def host(self) -> str:
        """Address of the peer."""
        return self.invited.flow.remote.host


class WaitingCalls:
    """The line of calls. All wait equally long, so the first is also the first whose time is over."""

    __slots__ = ("_calls", "_most")

    def __init__(self, most: int) -> None:
        """`most` calls wait at a time."""
        self._calls: dict[UsageId, WaitingCall] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def is_full(self) -> bool:
        """True when no further call may wait."""
        return len(self._calls) >= self._most

    def add(self, call: WaitingCall) -> None:
        """Put a call at the end."""
        self._calls[call.invited.usage] = call

    def remove(self, usage: UsageId) -> WaitingCall | None:
        """Take a call out that ended while it waited; None when it does not wait."""
        return self._calls.pop(usage, None)

    def next_deadline(self) -> float | None:
        """Give the instant at which the first call has waited long enough."""
        return next(iter(self._calls.values())).until if self._calls else None

    def pop_due(self, now: float) -> WaitingCall | None:
        """Take the first call whose time is over."""
        deadline = self.next_deadline()
        return self.pop() if deadline is not None and now >= deadline else None

    def pop(self) -> WaitingCall | None:
        """Take the first call."""
        return self._calls.pop(next(iter(self._calls))) if self._calls else None

    def pop_for(self, admission: Admission) -> WaitingCall | None:
        """Take the first call whose peer may have one more recording: a full peer holds up no other."""
        for usage, call in self._calls.items():
            if admission.has_room(call.host):
                return self._calls.pop(usage)
        return None
