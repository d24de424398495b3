"""The INVITE usage of a dialog (RFC 3261 sections 13 to 15, RFC 5057): from INVITE to BYE, in either role.

A usage is a table over (state, input), like the transactions below it. Its outputs tell the endpoint which response or
request to send, and the owner what happened. It owns what outlives transactions: the retransmission of a 2xx until its
ACK comes (RFC 3261 13.3.1.4, over every transport), and the rule that the called side sends no BYE before that ACK.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, NewType, TypeAlias

from siprec_core.machine import Outbox, earliest
from siprec_core.sip.dialog import Dialog
from siprec_core.sip.headers import Headers
from siprec_core.sip.matching import TransactionKey
from siprec_core.sip.message import Request, Response
from siprec_core.sip.transaction import LIFETIME, T1, T2

UsageId = NewType("UsageId", int)
"""Names one INVITE usage within its endpoint."""


class UsageState(Enum):
    """Where the usage stands."""

    __hash__ = object.__hash__  # that of an Enum is a call of Python, and each step looks into a table

    INVITED = auto()
    """Called: no final response yet."""
    ANSWERED = auto()
    """Called: a 2xx was sent, its ACK has not come."""
    ANSWERED_ENDING = auto()
    """As ANSWERED, and we want to hang up as soon as the ACK is there (RFC 3261 15)."""
    CALLING = auto()
    """Caller: nothing has come back."""
    CALLING_ENDING = auto()
    """As CALLING, and we want to cancel as soon as a 1xx allows it (RFC 3261 9.1)."""
    PROCEEDING = auto()
    """Caller: a 1xx has come."""
    OFFERED = auto()
    """Caller: the 2xx to an INVITE without offer brought one, whose answer goes into the ACK (RFC 3261 13.2.2.4)."""
    CANCELLING = auto()
    """Caller: CANCEL was sent."""
    CONFIRMED = auto()
    """Established."""
    ENDING = auto()
    """Our BYE waits for its answer."""
    ENDED = auto()


class UsageInput(Enum):
    """What can happen to a usage."""

    __hash__ = object.__hash__  # that of an Enum is a call of Python, and each step looks into a table

    ACCEPT = auto()
    REJECT = auto()
    HANG_UP = auto()
    CANCEL = auto()
    ACK = auto()
    BYE = auto()
    RETRANSMIT = auto()
    GIVE_UP = auto()
    """Too long without ACK, or without PRACK."""
    EXPIRE = auto()
    """The time that the caller allowed for an answer is over."""
    PROVISIONAL = auto()
    RESTART = auto()
    """Caller: the INVITE is sent again, elsewhere or with what its refusal asked for, and nothing has come back yet."""
    SUCCESS = auto()
    UNUSABLE = auto()
    """A 2xx that forms no dialog to go on with."""
    OFFER = auto()
    ACKNOWLEDGE = auto()
    FAILURE = auto()
    BYE_FINISHED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFinal:
    """Send this final response to the usage's INVITE (again)."""

    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBye:
    """Send BYE within the dialog."""

    reason: str
    """As in `Ended`, or `unusable-answer`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendCancel:
    """Send CANCEL for the INVITE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAck:
    """Acknowledge the 2xx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """The 2xx waits for its ACK, which has to bring an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The call stands: ACK received or sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The INVITE we sent was answered with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The usage is over for its owner."""

    reason: str
    """`bye`, `local-bye`, `cancelled`, `rejected`, `expired`, `timeout-ack`, `timeout-prack`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Nothing of the usage is left to do."""


UsageOutput: TypeAlias = SendFinal | SendBye | SendCancel | SendAck | Offered | Confirmed | Refused | Ended | Gone

_S, _I = UsageState, UsageInput


class AnswerRepeater:
    """Retransmits a 2xx to an INVITE at T1, doubling to T2, until `stop`; at 64*T1 gives up (RFC 3261 13.3.1.4)."""

    __slots__ = ("_deadline", "_give_up", "_interval", "response")

    def __init__(self, response: Response, *, now: float) -> None:
        self.response = response
        self._interval = T1
        self._deadline = now + T1
        self._give_up = now + LIFETIME

    def next_timeout(self) -> float:
        """Give the instant of the next retransmission or of giving up."""
        return min(self._deadline, self._give_up)

    def expired(self, now: float) -> bool:
        """Tell whether 64*T1 have passed."""
        return now >= self._give_up

    def due(self, now: float) -> bool:
        """Tell whether a retransmission is due, and arm the next one."""
        if now < self._deadline:
            return False
        self._interval = min(2 * self._interval, T2)
        self._deadline = now + self._interval
        return True


class InviteUsage:
    """One INVITE usage; `role` follows from the first state."""

    TABLE: ClassVar[Mapping[tuple[UsageState, UsageInput], tuple[tuple[str, ...], UsageState]]] = {
        # called side
        (_S.INVITED, _I.ACCEPT): (("_send_final", "_start_repeating"), _S.ANSWERED),
        (_S.INVITED, _I.REJECT): (("_send_final", "_end_rejected"), _S.ENDED),
        (_S.INVITED, _I.HANG_UP): (("_send_final", "_end_locally"), _S.ENDED),
        (_S.INVITED, _I.CANCEL): (("_send_final", "_end_cancelled"), _S.ENDED),
        (_S.INVITED, _I.BYE): (("_send_final", "_end_by_peer"), _S.ENDED),
        (_S.INVITED, _I.EXPIRE): (("_send_final", "_end_expired"), _S.ENDED),
        (_S.INVITED, _I.GIVE_UP): (("_send_final", "_end_unheard"), _S.ENDED),
        (_S.ANSWERED, _I.RETRANSMIT): (("_send_final",), _S.ANSWERED),
        (_S.ANSWERED, _I.GIVE_UP): (("_stop_repeating", "_send_bye_unacknowledged", "_end_unacknowledged"), _S.ENDING),
        (_S.ANSWERED, _I.ACK): (("_stop_repeating", "_confirm"), _S.CONFIRMED),
        (_S.ANSWERED, _I.BYE): (("_stop_repeating", "_end_by_peer"), _S.ENDED),
        (_S.ANSWERED, _I.HANG_UP): (("_end_locally",), _S.ANSWERED_ENDING),
        (_S.ANSWERED_ENDING, _I.RETRANSMIT): (("_send_final",), _S.ANSWERED_ENDING),
        (_S.ANSWERED_ENDING, _I.GIVE_UP): (("_stop_repeating", "_send_bye"), _S.ENDING),
        (_S.ANSWERED_ENDING, _I.ACK): (("_stop_repeating", "_send_bye"), _S.ENDING),
        (_S.ANSWERED_ENDING, _I.BYE): (("_stop_repeating",), _S.ENDED),
        # calling side
        (_S.CALLING, _I.PROVISIONAL): ((), _S.PROCEEDING),
        (_S.CALLING, _I.SUCCESS): (("_send_ack", "_confirm"), _S.CONFIRMED),
        # Who answered waits for an ACK and holds the call up until a BYE (RFC 3261 13.2.2.4, 13.3.1.4).
        (_S.CALLING, _I.UNUSABLE): (("_send_ack", "_send_bye_unusable", "_refuse"), _S.ENDING),
        (_S.CALLING, _I.OFFER): (("_offer",), _S.OFFERED),
        (_S.CALLING, _I.FAILURE): (("_refuse",), _S.ENDED),
        (_S.CALLING, _I.HANG_UP): ((), _S.CALLING_ENDING),
        (_S.CALLING_ENDING, _I.PROVISIONAL): (("_send_cancel",), _S.CANCELLING),
        (_S.CALLING_ENDING, _I.SUCCESS): (("_send_ack", "_send_bye", "_end_locally"), _S.ENDING),
        (_S.CALLING_ENDING, _I.UNUSABLE): (("_send_ack", "_send_bye", "_end_locally"), _S.ENDING),
        (_S.CALLING_ENDING, _I.FAILURE): (("_end_cancelled",), _S.ENDED),
        # RFC 3261 9.1: no CANCEL before the new transaction has a 1xx of its own.
        (_S.PROCEEDING, _I.RESTART): ((), _S.CALLING),
        (_S.PROCEEDING, _I.SUCCESS): (("_send_ack", "_confirm"), _S.CONFIRMED),
        (_S.PROCEEDING, _I.UNUSABLE): (("_send_ack", "_send_bye_unusable", "_refuse"), _S.ENDING),
        (_S.PROCEEDING, _I.OFFER): (("_offer",), _S.OFFERED),
        (_S.PROCEEDING, _I.FAILURE): (("_refuse",), _S.ENDED),
        # RFC 3261 9.1: no CANCEL before a 1xx, and the 1xx of the refused INVITE does not count for the next one.
        (_S.PROCEEDING, _I.HANG_UP): (("_send_cancel",), _S.CANCELLING),
        # RFC 3261 9.1: a 2xx that crosses the CANCEL is acknowledged and ended by BYE.
        (_S.CANCELLING, _I.SUCCESS): (("_send_ack", "_send_bye", "_end_locally"), _S.ENDING),
        (_S.CANCELLING, _I.UNUSABLE): (("_send_ack", "_send_bye", "_end_locally"), _S.ENDING),
        (_S.CANCELLING, _I.FAILURE): (("_end_cancelled",), _S.ENDED),
        (_S.OFFERED, _I.ACKNOWLEDGE): (("_send_ack", "_confirm"), _S.CONFIRMED),
        # RFC 3261 13.2.2.4: an offer that is not acceptable gets "a valid answer in the ACK", then BYE "immediately".
        (_S.OFFERED, _I.HANG_UP): (("_send_ack", "_send_bye", "_end_locally"), _S.ENDING),
        (_S.OFFERED, _I.BYE): (("_end_by_peer",), _S.ENDED),
        (_S.CONFIRMED, _I.SUCCESS): (("_send_ack",), _S.CONFIRMED),
        (_S.ENDING, _I.SUCCESS): (("_send_ack",), _S.ENDING),
        # both sides
        (_S.CONFIRMED, _I.BYE): (("_end_by_peer",), _S.ENDED),
        (_S.CONFIRMED, _I.HANG_UP): (("_send_bye", "_end_locally"), _S.ENDING),
        (_S.CONFIRMED, _I.UNUSABLE): (("_send_ack",), _S.CONFIRMED),
        (_S.ENDING, _I.UNUSABLE): (("_send_ack",), _S.ENDING),
        (_S.ENDING, _I.BYE): ((), _S.ENDING),
        (_S.ENDING, _I.BYE_FINISHED): ((), _S.ENDED),
    }

    __slots__ = ("_final", "_now", "_outbox", "_reoffers", "_repeater", "ack", "dialog", "id", "invite", "state")

    def __init__(self, usage: UsageId, invite: Request, *, calling: bool, dialog: Dialog | None) -> None:
        self.id = usage
        self.invite = invite
        self.state = _S.CALLING if calling else _S.INVITED
        self.dialog = dialog
        """None on the calling side until a response forms it."""
        self._outbox: Outbox[UsageOutput] = Outbox()
        self.ack: Request | None = None
        """The ACK we sent, to repeat it for each repeated 2xx (RFC 3261 13.2.2.4)."""
        self._now = 0.0
        self._final: Response | None = None
        self._repeater: AnswerRepeater | None = None
        self._reoffers: dict[int, tuple[TransactionKey, AnswerRepeater]] = {}

    # machine

    def poll_output(self) -> UsageOutput | None:
        """Give the oldest output not yet taken."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the instant of the next retransmission of a 2xx."""
        first = None if self._repeater is None else self._repeater.next_timeout()
        return earliest(first, *(repeater.next_timeout() for _, repeater in self._reoffers.values()))

    def handle_timeout(self, *, now: float) -> None:
        """Retransmit the 2xx, or give up on its ACK."""
        if self._repeater is not None:
            if self._repeater.expired(now):
                self.advance(_I.GIVE_UP, now=now)
            elif self._repeater.due(now):
                self.advance(_I.RETRANSMIT, now=now)

    def take_due_reoffer_answers(self, now: float) -> list[tuple[TransactionKey, Response]]:
        """Give the 2xx to re-INVITEs that are to be sent again; those without ACK after 64*T1 are dropped in silence.

        A lost ACK to a re-INVITE never ends a recording: the next request shows whether the peer is alive.
        """
        for sequence in [number for number, (_, repeater) in self._reoffers.items() if repeater.expired(now)]:
            del self._reoffers[sequence]
        return [(key, repeater.response) for key, repeater in self._reoffers.values() if repeater.due(now)]

    # inputs

    def advance(self, what: UsageInput, *, now: float, final: Response | None = None) -> bool:
        """Let something happen; False when the state has no arrow for it. `final` is the response that goes with it."""
        step = self.TABLE.get((self.state, what))
        if step is None:
            return False
        if final is not None:
            self._final = final
        self._now = now
        actions, following = step
        for action in actions:
            getattr(self, action)()
        if following is _S.ENDED and self.state is not _S.ENDED:
            self._reoffers.clear()
            self._outbox.put(Gone())
        self.state = following
        return True

    def reoffer_answered(self, sequence: int, key: TransactionKey, response: Response, *, now: float) -> None:
        """Keep the 2xx to a re-INVITE, a transaction of its own, for retransmission until its ACK."""
        self._reoffers[sequence] = key, AnswerRepeater(response, now=now)

    def forget_invite(self) -> None:
        """Keep of the peer's INVITE what may still be asked for, once its transaction has ended: its number."""
        kept = Headers()
        kept.add("CSeq", str(self.invite.cseq))
        self.invite = Request(self.invite.method, self.invite.uri, kept)

    def acknowledged(self, sequence: int, *, now: float) -> bool:
        """Take an ACK; False when its number fits no answer of ours: it then counts for all, as some peers miscount."""
        known = sequence in self._reoffers or sequence == self.invite.cseq.number
        if sequence in self._reoffers:
            del self._reoffers[sequence]
        elif not known:
            self._reoffers.clear()
        self.advance(_I.ACK, now=now)
        return known

    @property
    def is_over(self) -> bool:
        """True once the owner was told the end."""
        return self.state in (_S.ENDED, _S.ENDING, _S.ANSWERED_ENDING)

    @property
    def offer_pending(self) -> bool:
        """True while a re-INVITE's 2xx waits for its ACK."""
        return bool(self._reoffers)

    # actions

    def _send_final(self) -> None:
        if self._final is not None:
            self._outbox.put(SendFinal(response=self._final))

    def _start_repeating(self) -> None:
        if self._final is not None:
            self._repeater = AnswerRepeater(self._final, now=self._now)

    def _stop_repeating(self) -> None:
        self._repeater = None

    def _send_bye(self) -> None:
        self._outbox.put(SendBye(reason="local-bye"))

    def _send_bye_unacknowledged(self) -> None:
        self._outbox.put(SendBye(reason="timeout-ack"))

    def _send_bye_unusable(self) -> None:
        self._outbox.put(SendBye(reason="unusable-answer"))

    def _send_cancel(self) -> None:
        self._outbox.put(SendCancel())

    def _send_ack(self) -> None:
        self._outbox.put(SendAck())

    def _offer(self) -> None:
        self._outbox.put(Offered())

    def _confirm(self) -> None:
        self._outbox.put(Confirmed())

    def _refuse(self) -> None:
        self._outbox.put(Refused())

    def _end_rejected(self) -> None:
        self._outbox.put(Ended(reason="rejected"))

    def _end_locally(self) -> None:
        self._outbox.put(Ended(reason="local-bye"))

    def _end_cancelled(self) -> None:
        self._outbox.put(Ended(reason="cancelled"))

    def _end_by_peer(self) -> None:
        self._outbox.put(Ended(reason="bye"))

    def _end_expired(self) -> None:
        self._outbox.put(Ended(reason="expired"))

    def _end_unheard(self) -> None:
        self._outbox.put(Ended(reason="timeout-prack"))

    def _end_unacknowledged(self) -> None:
        self._outbox.put(Ended(reason="timeout-ack"))
