"""The four transaction machines of RFC 3261 section 17 with RFC 6026, each a table.

A table maps (state, input) to (actions, next state); a pair that is not in the table is ignored, which is what the
figures mean by drawing no arrow. Actions are names of methods, so that a table can be read beside the RFC's figure.
Timers are deadlines in the machine; the transaction layer arms one queue for all of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, TypeAlias

from siprec_core.machine import Outbox
from siprec_core.sip.message import Request, Response

T1 = 0.5
"""Round-trip estimate, seconds (RFC 3261 table 4)."""
T2 = 4.0
"""Longest interval between retransmissions, seconds."""
T4 = 5.0
"""Longest time that a message stays in the network, seconds."""
LIFETIME = 64 * T1
"""Timers B, F, H, J, L, M: how long a transaction waits for its peer, seconds."""
TRYING_DELAY = 0.2
"""After this many seconds without a response of the user an INVITE is answered 100 (RFC 3261 17.2.1)."""
LATE_TRYING_DELAY = 3.5
"""The same for other requests: when a client's Timer E has grown to T2, and no earlier (RFC 4320 4.1)."""
_TIMESTAMP = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,20})?")
"""A Timestamp without a delay (RFC 3261 section 25.1)."""


class State(Enum):
    """States of all four figures."""

    __hash__ = object.__hash__  # that of an Enum is a call of Python, and each step looks into a table

    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    ACCEPTED = auto()
    TERMINATED = auto()


class Input(Enum):
    """What can happen to a transaction: messages from the wire, from the user, timers."""

    __hash__ = object.__hash__  # that of an Enum is a call of Python, and each step looks into a table

    REQUEST = auto()
    """The request came again."""
    ACK = auto()
    PROVISIONAL = auto()
    """A 1xx, from the wire (client) or from the user (server)."""
    SUCCESS = auto()
    FAILURE = auto()
    """A final response from 300 to 699."""
    TRANSPORT_ERROR = auto()
    TIMER_A = auto()
    TIMER_B = auto()
    TIMER_D = auto()
    TIMER_E = auto()
    TIMER_F = auto()
    TIMER_G = auto()
    TIMER_H = auto()
    TIMER_I = auto()
    TIMER_J = auto()
    TIMER_K = auto()
    TIMER_L = auto()
    TIMER_M = auto()
    TIMER_TRYING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmit:
    """Send this message where the transaction's messages go."""

    message: Request | Response
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPassed:
    """A request is for the transaction user (an ACK to a 2xx that matched, RFC 6026 section 7.1)."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsePassed:
    """A response is for the transaction user."""

    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut:
    """The peer did not answer, or did not acknowledge, in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportFailed:
    """The transport could not send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """The transaction is over and can be forgotten."""


TransactionOutput: TypeAlias = Transmit | RequestPassed | ResponsePassed | TimedOut | TransportFailed | Terminated
Table: TypeAlias = Mapping[tuple[State, Input], tuple[tuple[str, ...], State]]


class Transaction:
    """What the four machines share: table look-up, timers, outputs."""

    TABLE: ClassVar[Table] = {}
    START: ClassVar[State] = State.TERMINATED

    __slots__ = ("_data", "_message", "_now", "_outbox", "_response", "_timers", "reliable", "request", "state")

    def __init__(self, request: Request, *, reliable: bool, now: float) -> None:
        self.request = request
        self.reliable = reliable
        self.state = self.START
        self._outbox: Outbox[TransactionOutput] = Outbox()
        self._timers: dict[Input, float] = {}
        self._now = now
        self._data = b""
        self._message: Request | Response | None = None
        self._response: Response | None = None

    def poll_output(self) -> TransactionOutput | None:
        """Give the oldest output not yet taken."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the deadline of the timer that is due first."""
        return min(self._timers.values(), default=None)

    def handle_timeout(self, *, now: float) -> None:
        """Fire every timer that is due, in order of deadline."""
        for _ in range(len(Input)):  # each timer fires once a call: a late wake-up cannot loop
            due = min(self._timers.items(), key=lambda entry: entry[1], default=None)
            if due is None or due[1] > now:
                return
            del self._timers[due[0]]
            self._advance(due[0], now)

    def transport_failed(self, *, now: float) -> None:
        """Say that a message of this transaction could not be sent."""
        self._advance(Input.TRANSPORT_ERROR, now)

    def _advance(self, what: Input, now: float) -> None:
        self._now = now
        step = self.TABLE.get((self.state, what))
        if step is None:
            return
        actions, following = step
        for action in actions:
            getattr(self, action)()
        if following is not self.state:
            self.state = following
            if following is State.TERMINATED:
                self._timers.clear()
                self._outbox.put(Terminated())

    def _keep(self, message: Request | Response) -> None:
        self._message, self._data = message, message.to_bytes()

    def _arm(self, timer: Input, seconds: float) -> None:
        self._timers[timer] = self._now + seconds

    # actions

    def _send(self) -> None:
        if self._message is not None:
            self._outbox.put(Transmit(message=self._message, data=self._data))

    def _pass_response(self) -> None:
        if self._response is not None:
            self._outbox.put(ResponsePassed(response=self._response))

    def _report_timeout(self) -> None:
        self._outbox.put(TimedOut())

    def _report_failure(self) -> None:
        self._outbox.put(TransportFailed())


class ServerTransaction(Transaction):
    """A transaction that we answer; the user hands responses to `send`."""

    DELAY: ClassVar[float] = TRYING_DELAY

    __slots__ = ("_received_at", "_trying")

    def __init__(self, request: Request, trying: Response, *, reliable: bool, now: float) -> None:
        """`trying` is the 100 to send when the user says nothing for `DELAY` seconds."""
        super().__init__(request, reliable=reliable, now=now)
        self._received_at = now
        self._trying = trying
        self._arm(Input.TIMER_TRYING, self.DELAY)

    def receive_request(self, request: Request, *, now: float) -> None:
        """Take a retransmission of the request, or the ACK to a final response."""
        self._advance(Input.ACK if request.method == "ACK" else Input.REQUEST, now)

    def send(self, response: Response, *, now: float) -> None:
        """Send a response of the user; ignored when the state forbids it (a final response was sent already)."""
        what = _class_of(response)
        if (self.state, what) in self.TABLE:
            self._keep(response)
            self._response = response
            self._advance(what, now)

    @property
    def last_response(self) -> Response | None:
        """The response sent last, None before the first."""
        return self._response

    def _cancel_trying(self) -> None:
        self._timers.pop(Input.TIMER_TRYING, None)

    def _send_trying(self) -> None:
        stamp = self._trying.headers.get("Timestamp")
        if stamp is not None and _TIMESTAMP.fullmatch(stamp) is not None:
            # RFC 3261 8.2.6.1: the seconds from receipt to response are "added" to the Timestamp that is copied.
            self._trying.headers.set("Timestamp", f"{stamp} {self._now - self._received_at:.3f}")
        self._keep(self._trying)
        self._send()


class InviteServerTransaction(ServerTransaction):
    """RFC 3261 figure 7 with the Accepted state of RFC 6026 figure 5."""

    START = State.PROCEEDING
    TABLE: ClassVar[Table] = {
        (State.PROCEEDING, Input.REQUEST): (("_send",), State.PROCEEDING),
        (State.PROCEEDING, Input.TIMER_TRYING): (("_send_trying",), State.PROCEEDING),
        (State.PROCEEDING, Input.PROVISIONAL): (("_cancel_trying", "_send"), State.PROCEEDING),
        (State.PROCEEDING, Input.SUCCESS): (("_cancel_trying", "_send", "_start_l"), State.ACCEPTED),
        (State.PROCEEDING, Input.FAILURE): (("_cancel_trying", "_send", "_start_g", "_start_h"), State.COMPLETED),
        # RFC 6026 7.1: a transport error on sending a response does not end the transaction.
        (State.PROCEEDING, Input.TRANSPORT_ERROR): (("_report_failure",), State.PROCEEDING),
        (State.COMPLETED, Input.REQUEST): (("_send",), State.COMPLETED),
        (State.COMPLETED, Input.TIMER_G): (("_send", "_double_g"), State.COMPLETED),
        (State.COMPLETED, Input.TIMER_H): (("_report_timeout",), State.TERMINATED),
        (State.COMPLETED, Input.ACK): (("_stop_g_h", "_start_i"), State.CONFIRMED),
        (State.COMPLETED, Input.TRANSPORT_ERROR): (("_report_failure",), State.COMPLETED),
        (State.CONFIRMED, Input.TIMER_I): ((), State.TERMINATED),
        (State.ACCEPTED, Input.SUCCESS): (("_send",), State.ACCEPTED),
        (State.ACCEPTED, Input.ACK): (("_pass_ack",), State.ACCEPTED),
        (State.ACCEPTED, Input.TRANSPORT_ERROR): (("_report_failure",), State.ACCEPTED),
        (State.ACCEPTED, Input.TIMER_L): ((), State.TERMINATED),
    }
    __slots__ = ("_ack", "_interval_g")

    def __init__(self, request: Request, trying: Response, *, reliable: bool, now: float) -> None:
        super().__init__(request, trying, reliable=reliable, now=now)
        self._interval_g = T1
        self._ack: Request | None = None

    def receive_request(self, request: Request, *, now: float) -> None:
        """Take a retransmitted INVITE or an ACK."""
        if request.method == "ACK":
            self._ack = request
        super().receive_request(request, now=now)

    def _start_g(self) -> None:
        if not self.reliable:
            self._arm(Input.TIMER_G, self._interval_g)

    def _double_g(self) -> None:
        # RFC 3261 17.2.1: "MIN(2*T1, T2)", doubling at each firing.
        self._interval_g = min(2 * self._interval_g, T2)
        self._arm(Input.TIMER_G, self._interval_g)

    def _start_h(self) -> None:
        self._arm(Input.TIMER_H, LIFETIME)

    def _stop_g_h(self) -> None:
        self._timers.pop(Input.TIMER_G, None)
        self._timers.pop(Input.TIMER_H, None)

    def _start_i(self) -> None:
        self._arm(Input.TIMER_I, 0.0 if self.reliable else T4)

    def _start_l(self) -> None:
        self._arm(Input.TIMER_L, LIFETIME)

    def _pass_ack(self) -> None:
        if self._ack is not None:
            self._outbox.put(RequestPassed(request=self._ack))


class NonInviteServerTransaction(ServerTransaction):
    """RFC 3261 figure 8 with the late 100 of RFC 4320."""

    START = State.TRYING
    DELAY = LATE_TRYING_DELAY
    TABLE: ClassVar[Table] = {
        # RFC 4320 4.1: an element "MUST respond ... with a Status-Code of 100" if it has not done so otherwise.
        (State.TRYING, Input.TIMER_TRYING): (("_send_trying",), State.PROCEEDING),
        (State.TRYING, Input.PROVISIONAL): (("_cancel_trying", "_send"), State.PROCEEDING),
        (State.TRYING, Input.SUCCESS): (("_cancel_trying", "_send", "_start_j"), State.COMPLETED),
        (State.TRYING, Input.FAILURE): (("_cancel_trying", "_send", "_start_j"), State.COMPLETED),
        (State.PROCEEDING, Input.REQUEST): (("_send",), State.PROCEEDING),
        (State.PROCEEDING, Input.PROVISIONAL): (("_send",), State.PROCEEDING),
        (State.PROCEEDING, Input.SUCCESS): (("_send", "_start_j"), State.COMPLETED),
        (State.PROCEEDING, Input.FAILURE): (("_send", "_start_j"), State.COMPLETED),
        (State.PROCEEDING, Input.TRANSPORT_ERROR): (("_report_failure",), State.TERMINATED),
        (State.COMPLETED, Input.REQUEST): (("_send",), State.COMPLETED),
        (State.COMPLETED, Input.TRANSPORT_ERROR): (("_report_failure",), State.TERMINATED),
        (State.COMPLETED, Input.TIMER_J): ((), State.TERMINATED),
    }
    __slots__ = ()

    def _start_j(self) -> None:
        self._arm(Input.TIMER_J, 0.0 if self.reliable else LIFETIME)


class ClientTransaction(Transaction):
    """A transaction that we started; `start` sends the request."""

    __slots__ = ()

    def start(self, *, now: float) -> None:
        """Send the request and start the timers of the first state."""
        self._now = now
        self._keep(self.request)
        self._send()
        self._start_timers()

    def receive_response(self, response: Response, *, now: float) -> None:
        """Take a response that matched by branch and method (RFC 3261 17.1.3)."""
        self._response = response
        self._advance(_class_of(response), now)

    def _start_timers(self) -> None:
        """Arm the timers of the first state."""


class InviteClientTransaction(ClientTransaction):
    """RFC 3261 figure 5 with the Accepted state of RFC 6026 figure 4."""

    START = State.CALLING
    TABLE: ClassVar[Table] = {
        (State.CALLING, Input.TIMER_A): (("_send", "_double_a"), State.CALLING),
        (State.CALLING, Input.TIMER_B): (("_report_timeout",), State.TERMINATED),
        (State.CALLING, Input.TRANSPORT_ERROR): (("_report_failure",), State.TERMINATED),
        (State.CALLING, Input.PROVISIONAL): (("_stop_a_b", "_pass_response"), State.PROCEEDING),
        (State.CALLING, Input.SUCCESS): (("_stop_a_b", "_pass_response", "_start_m"), State.ACCEPTED),
        (State.CALLING, Input.FAILURE): (("_stop_a_b", "_send_ack", "_pass_response", "_start_d"), State.COMPLETED),
        (State.PROCEEDING, Input.PROVISIONAL): (("_pass_response",), State.PROCEEDING),
        (State.PROCEEDING, Input.SUCCESS): (("_stop_a_b", "_pass_response", "_start_m"), State.ACCEPTED),
        (State.PROCEEDING, Input.FAILURE): (("_stop_a_b", "_send_ack", "_pass_response", "_start_d"), State.COMPLETED),
        # Armed by `cancelled` alone: RFC 3261 9.1 ends a cancelled transaction without final response after 64*T1.
        (State.PROCEEDING, Input.TIMER_B): (("_report_timeout",), State.TERMINATED),
        (State.COMPLETED, Input.FAILURE): (("_send_ack",), State.COMPLETED),
        (State.COMPLETED, Input.TRANSPORT_ERROR): (("_report_failure",), State.TERMINATED),
        (State.COMPLETED, Input.TIMER_D): ((), State.TERMINATED),
        (State.ACCEPTED, Input.SUCCESS): (("_pass_response",), State.ACCEPTED),
        (State.ACCEPTED, Input.TIMER_M): ((), State.TERMINATED),
    }
    __slots__ = ("_interval_a",)

    def __init__(self, request: Request, *, reliable: bool, now: float) -> None:
        super().__init__(request, reliable=reliable, now=now)
        self._interval_a = T1

    def cancelled(self, *, now: float) -> None:
        """Say that CANCEL was sent: the final response that answers it is waited for no longer than 64*T1."""
        if self.state is State.PROCEEDING:
            self._timers[Input.TIMER_B] = now + LIFETIME

    def _start_timers(self) -> None:
        if not self.reliable:
            self._arm(Input.TIMER_A, self._interval_a)
        self._arm(Input.TIMER_B, LIFETIME)

    def _double_a(self) -> None:
        self._interval_a *= 2
        self._arm(Input.TIMER_A, self._interval_a)

    def _stop_a_b(self) -> None:
        self._timers.pop(Input.TIMER_A, None)
        self._timers.pop(Input.TIMER_B, None)

    def _start_d(self) -> None:
        # RFC 3261 17.1.1.2: at least 32 s over unreliable transports, zero over reliable ones.
        self._arm(Input.TIMER_D, 0.0 if self.reliable else LIFETIME)

    def _start_m(self) -> None:
        self._arm(Input.TIMER_M, LIFETIME)

    def _send_ack(self) -> None:
        if self._response is not None:
            ack = ack_to_failure(self.request, self._response)
            self._outbox.put(Transmit(message=ack, data=ack.to_bytes()))


class NonInviteClientTransaction(ClientTransaction):
    """RFC 3261 figure 6."""

    START = State.TRYING
    TABLE: ClassVar[Table] = {
        (State.TRYING, Input.TIMER_E): (("_send", "_double_e"), State.TRYING),
        (State.TRYING, Input.TIMER_F): (("_report_timeout",), State.TERMINATED),
        (State.TRYING, Input.TRANSPORT_ERROR): (("_report_failure",), State.TERMINATED),
        (State.TRYING, Input.PROVISIONAL): (("_pass_response",), State.PROCEEDING),
        (State.TRYING, Input.SUCCESS): (("_stop_e_f", "_pass_response", "_start_k"), State.COMPLETED),
        (State.TRYING, Input.FAILURE): (("_stop_e_f", "_pass_response", "_start_k"), State.COMPLETED),
        (State.PROCEEDING, Input.TIMER_E): (("_send", "_slow_e"), State.PROCEEDING),
        (State.PROCEEDING, Input.TIMER_F): (("_report_timeout",), State.TERMINATED),
        (State.PROCEEDING, Input.TRANSPORT_ERROR): (("_report_failure",), State.TERMINATED),
        (State.PROCEEDING, Input.PROVISIONAL): (("_pass_response",), State.PROCEEDING),
        (State.PROCEEDING, Input.SUCCESS): (("_stop_e_f", "_pass_response", "_start_k"), State.COMPLETED),
        (State.PROCEEDING, Input.FAILURE): (("_stop_e_f", "_pass_response", "_start_k"), State.COMPLETED),
        (State.COMPLETED, Input.TIMER_K): ((), State.TERMINATED),
    }
    __slots__ = ("_interval_e",)

    def __init__(self, request: Request, *, reliable: bool, now: float) -> None:
        super().__init__(request, reliable=reliable, now=now)
        self._interval_e = T1

    def _start_timers(self) -> None:
        if not self.reliable:
            self._arm(Input.TIMER_E, self._interval_e)
        self._arm(Input.TIMER_F, LIFETIME)

    def _double_e(self) -> None:
        self._interval_e = min(2 * self._interval_e, T2)
        self._arm(Input.TIMER_E, self._interval_e)

    def _slow_e(self) -> None:
        # RFC 3261 17.1.2.2: in Proceeding the interval is T2.
        self._arm(Input.TIMER_E, T2)

    def _stop_e_f(self) -> None:
        self._timers.pop(Input.TIMER_E, None)
        self._timers.pop(Input.TIMER_F, None)

    def _start_k(self) -> None:
        self._arm(Input.TIMER_K, 0.0 if self.reliable else T4)


def ack_to_failure(invite: Request, response: Response) -> Request:
    """Build the ACK to a non-2xx final response (RFC 3261 17.1.1.3).

    URI, Call-ID, From, top Via and Route are the INVITE's, To is the response's.
    """
    headers = type(invite.headers)()
    headers.add("Via", str(invite.top_via))
    headers.add("Max-Forwards", "70")
    for value in invite.headers.get_all("Route"):
        headers.add("Route", value)
    headers.add("From", invite.headers.get("From") or "")
    headers.add("To", response.headers.get("To") or invite.headers.get("To") or "")
    headers.add("Call-ID", invite.call_id)
    headers.add("CSeq", f"{invite.cseq.number} ACK")
    return Request("ACK", invite.uri, headers)


def _class_of(response: Response) -> Input:
    if response.status < 200:
        return Input.PROVISIONAL
    return Input.SUCCESS if response.status < 300 else Input.FAILURE
