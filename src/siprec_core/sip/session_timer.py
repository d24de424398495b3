"""The session timer of a call (RFC 4028): how long it lasts unless somebody refreshes it, and who that is.

Either side may refresh. What a request asks for is read here, what the 2xx grants is decided here, and the two
instants that follow are kept: that of our refresh, and that of giving the call up. Without Session-Expires in a 2xx a
call has no end (RFC 4028 section 7.2).
"""

from dataclasses import dataclass
from enum import Enum, auto

from siprec_core.errors import RemoteProtocolError
from siprec_core.machine import earliest
from siprec_core.sip.grammar import read_number
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response
from siprec_core.sip.parameters import Parameters
from siprec_core.sip.uas import Refusal

LEAST_MIN_SE = 90
"""The smallest interval that anybody may insist on or grant, in seconds (RFC 4028 section 4)."""
_LONGEST = 2**31 - 1
_SOONEST_RETRY = 1.0
"""A refresh that failed is not tried again sooner, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerPolicy:
    """What we want of session timers; all times are seconds."""

    session_expires: int = 1800
    """The longest interval that we grant, and the one that we ask for (RFC 4028 section 4 recommends 1800)."""
    min_se: int = LEAST_MIN_SE
    """The shortest interval that we take: refreshes cost both sides (RFC 4028 section 5)."""
    wanted: bool = False
    """Ask for a timer where the peer does not."""


DEFAULT_TIMERS = TimerPolicy()
"""Take a timer where the peer asks for one."""


class Refresher(Enum):
    """Who refreshes, seen from the request that negotiates (RFC 4028 section 4)."""

    UAC = "uac"
    UAS = "uas"


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """The header field of that name: seconds, and who refreshes when it says so."""

    seconds: int
    refresher: Refresher | None = None

    @classmethod
    def parse(cls, text: str) -> "SessionExpires":
        """Read a value; raises RemoteProtocolError."""
        number, _, rest = text.partition(";")
        digits = number.strip()
        if not digits.isascii() or not digits.isdigit():
            raise RemoteProtocolError("not a number of seconds", field="Session-Expires")
        seconds = read_number(digits, _LONGEST)
        parameters = Parameters.parse(f";{rest}" if rest else "")
        names = {refresher.value: refresher for refresher in Refresher}
        refresher = names.get((parameters.get("refresher") or "").lower())
        return cls(_LONGEST if seconds is None else seconds, refresher)

    def __str__(self) -> str:
        return f"{self.seconds}" if self.refresher is None else f"{self.seconds};refresher={self.refresher.value}"


def session_expires_of(headers: Headers) -> SessionExpires | None:
    """Read Session-Expires; None without the field, or with one that says nothing."""
    value = headers.get("Session-Expires")
    try:
        return None if value is None else SessionExpires.parse(value)
    except RemoteProtocolError:
        return None  # RFC 3261 8.2.2: a malformed field that is not needed is ignored


def min_se_of(headers: Headers) -> int:
    """Read Min-SE: the least that the peer, or a proxy, takes; 90 without it (RFC 4028 section 5)."""
    digits = (headers.get("Min-SE") or "").partition(";")[0].strip()
    if not digits.isascii() or not digits.isdigit():
        return LEAST_MIN_SE
    seconds = read_number(digits, _LONGEST)
    return _LONGEST if seconds is None else max(LEAST_MIN_SE, seconds)


def supports_timer(message: Request | Response) -> bool:
    """Tell whether the peer knows session timers: `timer` in Supported or Require."""
    try:
        return "timer" in message.supported or "timer" in message.require
    except RemoteProtocolError:
        return False


def refuse_interval(request: Request, policy: TimerPolicy) -> Refusal | None:
    """Give 422 with Min-SE for an interval below ours (RFC 4028 section 9).

    Who does not support timers has not asked for one (a proxy did) and could not answer a 422: nothing is refused.
    """
    asked = session_expires_of(request.headers)
    least = max(LEAST_MIN_SE, policy.min_se)
    if asked is None or asked.seconds >= least or not supports_timer(request):
        return None
    return Refusal(422, headers=(("Min-SE", str(least)),))


def grant(request: Request, policy: TimerPolicy, timer: "SessionTimer") -> SessionExpires | None:
    """Decide the Session-Expires of our 2xx to a session refresh request; None for a call without an end.

    RFC 4028 section 9: the interval may be lowered, never below Min-SE, never raised; a refresher that the request
    names stays; a peer that does not know timers is never made the refresher.
    """
    asked = session_expires_of(request.headers)
    able = supports_timer(request)
    if asked is None:
        if timer.interval is not None and timer.ours:
            # A request that says nothing of the timer, such as a hold, leaves us in charge of it.
            return SessionExpires(timer.interval, Refresher.UAS)
        if not policy.wanted:
            return None
        return SessionExpires(max(policy.session_expires, min_se_of(request.headers)), Refresher.UAS)
    least = max(LEAST_MIN_SE, policy.min_se, min_se_of(request.headers))
    seconds = min(asked.seconds, max(policy.session_expires, least))
    if not able:
        return SessionExpires(max(seconds, LEAST_MIN_SE), Refresher.UAS)
    return SessionExpires(max(seconds, LEAST_MIN_SE), asked.refresher or Refresher.UAC)


def grant_headers(granted: SessionExpires | None, request: Request) -> tuple[tuple[str, str], ...]:
    """Give the header fields of a 2xx that say what `grant` decided."""
    if granted is None:
        return ()
    fields = (("Session-Expires", str(granted)),)
    if granted.refresher is Refresher.UAC or supports_timer(request):
        # RFC 4028 9: with refresher "uac" the 2xx "MUST" carry Require: timer; with "uas" it may, if the peer knows it.
        return (*fields, ("Require", "timer"))
    return fields


class TimerDue(Enum):
    """What a session timer wants."""

    REFRESH = auto()
    EXPIRED = auto()


class SessionTimer:
    """The timer of one call, as the latest 2xx left it."""

    __slots__ = ("_gives_up_at", "_refresh_at", "interval", "min_se", "ours")

    def __init__(self) -> None:
        self.interval: int | None = None
        """Seconds from one refresh to the end; None for a call without an end."""
        self.ours = False
        """We refresh."""
        self.min_se = LEAST_MIN_SE
        """The most that a 422 or a Min-SE of the peer has asked for."""
        self._refresh_at: float | None = None
        self._gives_up_at: float | None = None

    def next_timeout(self) -> float | None:
        """Give the instant at which something is due."""
        return earliest(self._refresh_at, self._gives_up_at)

    def due(self, now: float) -> TimerDue | None:
        """Tell what is due; a refresh comes again, at ever shorter distance, until `start` or the end."""
        if self._gives_up_at is not None and now >= self._gives_up_at:
            self.stop()
            return TimerDue.EXPIRED
        if self._refresh_at is None or now < self._refresh_at:
            return None
        left = ((self._gives_up_at or now) - now) / 2
        self._refresh_at = now + left if left >= _SOONEST_RETRY else None
        return TimerDue.REFRESH

    def start(self, interval: int, *, ours: bool, now: float) -> None:
        """Begin anew with a 2xx sent or received at `now`."""
        self.interval = interval
        self.ours = ours
        # RFC 4028 10: refresh "once half the session interval has elapsed"; else BYE "at the minimum of 32 seconds and
        # one third of the session interval" before the end.
        self._refresh_at = now + interval / 2 if ours else None
        self._gives_up_at = now + interval - min(32.0, interval / 3)

    def stop(self) -> None:
        """Let the call be without an end."""
        self.interval = None
        self.ours = False
        self._refresh_at = self._gives_up_at = None

    def granted(self, granted: SessionExpires | None, *, now: float) -> None:
        """Take what our 2xx said."""
        if granted is None:
            self.stop()
        else:
            self.start(granted.seconds, ours=granted.refresher is Refresher.UAS, now=now)

    def answered(self, response: Response, *, now: float) -> None:
        """Take the peer's 2xx to a session refresh request of ours (RFC 4028 section 7.2)."""
        told = session_expires_of(response.headers)
        if told is None:
            self.stop()
            return
        # An interval below what anybody may grant is the peer's mistake; it must not make us refresh without end.
        self.start(max(told.seconds, LEAST_MIN_SE), ours=told.refresher is not Refresher.UAS, now=now)

    def too_short(self, response: Response) -> bool:
        """Take the Min-SE of a 422; False when it asks for nothing new, so that trying again would be of no use."""
        asked = min_se_of(response.headers)
        if asked <= self.min_se and (self.interval or 0) >= asked:
            return False
        self.min_se = max(self.min_se, asked)
        return True

    def request_headers(self, policy: TimerPolicy) -> tuple[tuple[str, str], ...]:
        """Give the header fields of a session refresh request of ours (RFC 4028 sections 7.1 and 7.4)."""
        if self.interval is None and not policy.wanted:
            return ()
        seconds = max(self.interval or policy.session_expires, self.min_se)
        # RFC 4028 7.4: a refresh names the refresher that was; the first request leaves the choice to the peer.
        role = None if self.interval is None else Refresher.UAC if self.ours else Refresher.UAS
        fields = [("Session-Expires", str(SessionExpires(seconds, role)))]
        least = max(self.min_se, policy.min_se)
        if least > LEAST_MIN_SE:
            fields.append(("Min-SE", str(least)))
        return tuple(fields)
