"""What an INVITE hears while its answer takes long: 1xx each minute, reliable where the peer requires it (RFC 3262).

A proxy may give up an INVITE that has heard nothing for three minutes, so a response from 101 to 199 goes out every
minute (RFC 3261 section 13.3.1.1). It is sent plainly, as it tells nothing that must not be lost; for a caller who
requires 100rel it is numbered and repeated until its PRACK. The time that the caller allows in Expires runs here too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, TypeAlias

from siprec_core.errors import RemoteProtocolError
from siprec_core.machine import Outbox, earliest
from siprec_core.sip.grammar import TOKEN_CLASS, read_number
from siprec_core.sip.message import Request, Response
from siprec_core.sip.transaction import LIFETIME, T1

EXTENSION_SECONDS = 60.0
"""RFC 3261 13.3.1.1: "the UAS MUST send a non-100 provisional response at every minute"."""
_LARGEST_RSEQ = 2**31 - 1
"""RFC 3262 3: the first RSeq "MUST be between 1 and 2**31 - 1"."""
_LARGEST = 2**32 - 1
_RACK = re.compile(rf"([0-9]++)[ \t]++([0-9]++)[ \t]++({TOKEN_CLASS}++)")


@dataclass(frozen=True, slots=True)
class RAck:
    """The header field of that name in a PRACK: which 1xx of which request it acknowledges (RFC 3262 section 7.2)."""

    response: int
    """RSeq of the 1xx."""
    sequence: int
    """CSeq number of the request that the 1xx answered."""
    method: str

    @classmethod
    def parse(cls, text: str) -> "RAck":
        """Read a value; raises RemoteProtocolError."""
        match = _RACK.fullmatch(text.strip())
        response = None if match is None else read_number(match[1], _LARGEST)
        sequence = None if match is None else read_number(match[2], _LARGEST)
        if match is None or response is None or sequence is None:
            raise RemoteProtocolError("not two numbers and a method", field="RAck")
        return cls(response, sequence, match[3])

    def __str__(self) -> str:
        return f"{self.response} {self.sequence} {self.method}"


def rack_of(request: Request) -> RAck:
    """Read the RAck of a PRACK; raises RemoteProtocolError when it is missing or malformed."""
    value = request.headers.get("RAck")
    if value is None:
        raise RemoteProtocolError("the header field is missing or empty", field="RAck")
    return RAck.parse(value)


def rseq_of(response: Response) -> int | None:
    """Give the RSeq of a reliable 1xx; None for one that is not, or cannot be acknowledged (RFC 3262 section 4)."""
    try:
        if not 100 < response.status < 200 or "100rel" not in response.require:
            return None
    except RemoteProtocolError:
        return None
    number = read_number((response.headers.get("RSeq") or "").strip(), _LARGEST)
    return number or None


def requires_reliable(request: Request) -> bool:
    """Tell whether every 1xx but 100 to a request must be reliable: `100rel` in Require (RFC 3262 section 3).

    Raises RemoteProtocolError when Require cannot be read.
    """
    return "100rel" in request.require


def expires_of(request: Request) -> int | None:
    """Give the seconds that an INVITE may wait for its answer (RFC 3261 section 13.3.1); None without a limit.

    At least one: with 0 no answer could be in time.
    """
    seconds = (request.headers.get("Expires") or "").strip()
    if not seconds.isascii() or not seconds.isdigit():
        return None  # RFC 3261 8.2.2: a malformed field that is not needed is ignored
    number = read_number(seconds, _LARGEST)
    return None if number is None else max(1, number)


class ProvisionalState(Enum):
    """Where the 1xx of one INVITE stand."""

    QUIET = auto()
    """None waits for its PRACK."""
    UNACKNOWLEDGED = auto()
    """A reliable one is repeated until its PRACK."""
    ANSWERED = auto()
    """The final response was sent."""
    ANSWERED_UNACKNOWLEDGED = auto()
    """It was sent before the PRACK of the last 1xx, which may still come (RFC 3262 section 3)."""
    FAILED = auto()
    """No PRACK has come, or the caller's time is over: the INVITE is to be refused."""


class ProvisionalInput(Enum):
    """What can happen to them."""

    EXTEND = auto()
    """A minute is over."""
    EXTEND_RELIABLY = auto()
    """As EXTEND, for a caller who requires 100rel."""
    REPEAT = auto()
    GIVE_UP = auto()
    PRACK = auto()
    FINAL = auto()
    EXPIRE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class SendProvisional:
    """Send a 1xx with our To tag and Contact."""

    number: int | None
    """RSeq of a reliable one; the same number asks for the same response again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionalLost:
    """No PRACK has come for 64*T1: the INVITE is to be refused with 5xx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """The time that the caller allowed is over: the INVITE is to be refused with 487."""


ProvisionalOutput: TypeAlias = SendProvisional | ProvisionalLost | Expired

_S, _I = ProvisionalState, ProvisionalInput


class Provisionals:
    """The 1xx responses to one INVITE that waits for its answer."""

    TABLE: ClassVar[Mapping[tuple[ProvisionalState, ProvisionalInput], tuple[tuple[str, ...], ProvisionalState]]] = {
        (_S.QUIET, _I.EXTEND): (("_send", "_arm_extension"), _S.QUIET),
        (_S.QUIET, _I.EXTEND_RELIABLY): (("_number", "_send", "_start_repeating"), _S.UNACKNOWLEDGED),
        (_S.QUIET, _I.FINAL): (("_stop",), _S.ANSWERED),
        (_S.QUIET, _I.EXPIRE): (("_stop", "_report_expiry"), _S.FAILED),
        (_S.UNACKNOWLEDGED, _I.REPEAT): (("_send", "_double"), _S.UNACKNOWLEDGED),
        (_S.UNACKNOWLEDGED, _I.PRACK): (("_stop_repeating", "_arm_extension"), _S.QUIET),
        # RFC 3262 3: "If a reliable provisional response is retransmitted for 64*T1 seconds without reception of a
        # corresponding PRACK, the UAS SHOULD reject the original request with a 5xx response."
        (_S.UNACKNOWLEDGED, _I.GIVE_UP): (("_stop", "_report_loss"), _S.FAILED),
        # RFC 3262 3: after a final response it "SHOULD NOT continue to retransmit", but "MUST be prepared to process
        # PRACK requests for those outstanding responses".
        (_S.UNACKNOWLEDGED, _I.FINAL): (("_stop",), _S.ANSWERED_UNACKNOWLEDGED),
        (_S.UNACKNOWLEDGED, _I.EXPIRE): (("_stop", "_report_expiry"), _S.FAILED),
        (_S.ANSWERED_UNACKNOWLEDGED, _I.PRACK): ((), _S.ANSWERED),
    }
    __slots__ = (
        "_expire_at",
        "_extend_at",
        "_give_up_at",
        "_interval",
        "_last",
        "_now",
        "_outbox",
        "_reliable",
        "_repeat_at",
        "_sequence",
        "state",
    )

    def __init__(self, invite: Request, *, first_number: int, now: float) -> None:
        """`first_number` is the RSeq of the first reliable one, best random (RFC 3262 section 3).

        Raises RemoteProtocolError when Require or CSeq of the INVITE cannot be read.
        """
        self.state = ProvisionalState.QUIET
        self._reliable = requires_reliable(invite)
        self._sequence = invite.cseq.number
        self._last = min(max(first_number, 1), _LARGEST_RSEQ) - 1
        self._interval = T1
        self._now = now
        self._outbox: Outbox[ProvisionalOutput] = Outbox()
        self._extend_at: float | None = now + EXTENSION_SECONDS
        self._repeat_at: float | None = None
        self._give_up_at: float | None = None
        expires = expires_of(invite)
        self._expire_at = None if expires is None else now + expires

    # machine

    def poll_output(self) -> ProvisionalOutput | None:
        """Give the oldest output not yet taken."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the instant at which something is due."""
        return earliest(self._extend_at, self._repeat_at, self._give_up_at, self._expire_at)

    def handle_timeout(self, *, now: float) -> None:
        """Let happen what is due."""
        extend = _I.EXTEND_RELIABLY if self._reliable else _I.EXTEND
        deadlines = (
            (self._expire_at, _I.EXPIRE),
            (self._give_up_at, _I.GIVE_UP),
            (self._repeat_at, _I.REPEAT),
            (self._extend_at, extend),
        )
        for deadline, what in deadlines:
            if deadline is not None and now >= deadline:
                self.advance(what, now=now)

    # inputs

    def acknowledge(self, rack: RAck, *, now: float) -> bool:
        """Take a PRACK; False when it matches no 1xx that waits for one, which is answered 481 (RFC 3262 section 3)."""
        if rack != RAck(self._last, self._sequence, "INVITE"):
            return False
        return self.advance(_I.PRACK, now=now)

    def answered(self, *, now: float) -> None:
        """Say that the final response goes out."""
        self.advance(_I.FINAL, now=now)

    def advance(self, what: ProvisionalInput, *, now: float) -> bool:
        """Let something happen; False when the state has no arrow for it."""
        step = self.TABLE.get((self.state, what))
        if step is None:
            return False
        self._now = now
        actions, self.state = step
        for action in actions:
            getattr(self, action)()
        return True

    # actions

    def _number(self) -> None:
        self._last += 1

    def _send(self) -> None:
        self._outbox.put(SendProvisional(number=self._last if self._reliable else None))

    def _arm_extension(self) -> None:
        self._extend_at = self._now + EXTENSION_SECONDS

    def _start_repeating(self) -> None:
        self._extend_at = None
        self._interval = T1
        self._repeat_at = self._now + T1
        self._give_up_at = self._now + LIFETIME

    def _double(self) -> None:
        # RFC 3262 3: "an interval that starts at T1 seconds and doubles for each retransmission"; T2 does not bound it.
        self._interval *= 2
        self._repeat_at = self._now + self._interval

    def _stop_repeating(self) -> None:
        self._repeat_at = self._give_up_at = None

    def _stop(self) -> None:
        self._stop_repeating()
        self._extend_at = self._expire_at = None

    def _report_loss(self) -> None:
        self._outbox.put(ProvisionalLost())

    def _report_expiry(self) -> None:
        self._outbox.put(Expired())
