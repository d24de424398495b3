"""The calls of an endpoint: INVITE usages with their dialogs and the transactions they stand on."""

from collections import deque
from dataclasses import dataclass, field

from siprec_core.entropy import Ids
from siprec_core.machine import Outbox, earliest
from siprec_core.sip import invite as usages
from siprec_core.sip.dialog import Dialog, DialogId
from siprec_core.sip.endpoint_events import (
    CallAnswered,
    CallEnded,
    CallGone,
    CallOffered,
    CallRefused,
    ChangeId,
    ChangeRefused,
    EndpointItem,
    MessageTraced,
)
from siprec_core.sip.identity import EndpointConfig, failure
from siprec_core.sip.invite import InviteUsage, UsageId, UsageInput, UsageState
from siprec_core.sip.message import Request, Response
from siprec_core.sip.outgoing import RequestSender
from siprec_core.sip.session_timer import SessionTimer
from siprec_core.sip.transaction_layer import IncomingRequest, OutgoingRequest, ResponseArrived, TransactionLayer
from siprec_core.sip.transport import TransportLayer
from siprec_core.sip.uas import Refusal
from siprec_core.timers import TimerQueue
from siprec_core.types import Flow


@dataclass(frozen=True, slots=True)
class Stack:
    """What both sides of an endpoint work with."""

    config: EndpointConfig
    ids: Ids
    transport: TransportLayer
    layer: TransactionLayer
    sender: RequestSender
    outbox: Outbox[EndpointItem]
    """One queue for what the layers below and the sides put out, so that traces and events keep their order."""


@dataclass(slots=True)
class OwnChange:
    """A re-INVITE or UPDATE of ours within a call."""

    id: ChangeId
    method: str | None
    """None: UPDATE when the peer allows it, else INVITE."""
    body: bytes
    content_type: str
    disposition: str | None
    description: bytes
    """The session description among the body, empty when it makes no offer (RFC 3311 section 5)."""
    refresh: bool = False
    """It only refreshes the session timer."""
    attempts: int = 0
    outgoing: OutgoingRequest | None = None
    """None while it waits for its time."""


@dataclass(slots=True)
class Call:
    """One call with the transactions it stands on."""

    usage: InviteUsage
    incoming: IncomingRequest | None = None
    """The INVITE that we answer."""
    outgoing: OutgoingRequest | None = None
    """The INVITE that we sent."""
    offerless: bool = False
    """It made no offer: the 2xx brings one."""
    offering: Response | None = None
    """The 2xx that did, until its ACK is made."""
    offer: IncomingRequest | None = field(default=None)
    """A re-INVITE or UPDATE that waits for the owner's answer."""
    own: OwnChange | None = None
    """A re-INVITE or UPDATE of ours that is under way or waits for its time."""
    waiting: deque[OwnChange] = field(default_factory=deque)
    """Those of ours that come after it."""
    acked: tuple[OutgoingRequest, Request] | None = None
    """Our last re-INVITE that was answered 2xx, and its ACK, which each repeated 2xx gets again (RFC 3261 13.2.2.4)."""
    timer: SessionTimer = field(default_factory=SessionTimer)
    description: bytes = b""
    """The session description that we sent last and that is in force: what a refresh repeats (RFC 4028 7.4)."""
    allowed: frozenset[str] = frozenset()
    """Methods that the peer's latest Allow lists."""
    end_reason: str = ""
    """Why we end the call, when it is not because the owner hung up."""


class CallTable:
    """All calls by usage and by dialog; carries out what usages put out."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._calls: dict[UsageId, Call] = {}
        self._dialogs: dict[DialogId, UsageId] = {}
        self._early: set[UsageId] = set()
        self.changes: TimerQueue[UsageId] = TimerQueue()
        """When a request of ours within a call is to be tried (again)."""
        self.session_timers: TimerQueue[UsageId] = TimerQueue()
        """When the session timer of a call wants something (RFC 4028)."""
        self._timers: TimerQueue[UsageId] = TimerQueue()
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def early(self) -> int:
        """Calls that we have not answered yet."""
        return len(self._early)

    def next_timeout(self) -> float | None:
        """Give the deadline that is due first."""
        queues = (self._timers, self.changes, self.session_timers)
        return earliest(*(queue.next_deadline() for queue in queues))

    def handle_timeout(self, *, now: float) -> None:
        """Repeat the 2xx that wait for their ACK."""
        while (due := self._timers.pop_due(now)) is not None:
            call = self._calls[due]
            call.usage.handle_timeout(now=now)
            for key, response in call.usage.take_due_reoffer_answers(now):
                self._stack.layer.repeat(key, response, now=now)
            self.settle(call, now=now)

    def next_id(self) -> UsageId:
        """Give a fresh usage id."""
        self._last_id += 1
        return UsageId(self._last_id)

    def get(self, usage: UsageId | None) -> Call | None:
        """Give a call that is not over."""
        return None if usage is None else self._calls.get(usage)

    def of_owner(self, owner: int | None) -> Call | None:
        """Give the call that a transaction belongs to."""
        return None if owner is None else self._calls.get(UsageId(owner))

    def of(self, request: Request) -> Call | None:
        """Find the call of a request within a dialog; raises RemoteProtocolError when a tag cannot be read."""
        dialog = DialogId(request.call_id, request.to.tag or "", request.from_.tag or "")
        return self.get(self._dialogs.get(dialog))

    def add(self, call: Call) -> None:
        """Keep a new call."""
        usage = call.usage
        self._calls[usage.id] = call
        if usage.state is UsageState.INVITED:
            self._early.add(usage.id)
        if usage.dialog is not None:
            self._bind(usage, usage.dialog)

    def form_dialog(self, usage: InviteUsage, dialog: Dialog) -> None:
        """Give a call of ours the dialog that its 2xx formed."""
        usage.dialog = dialog
        self._bind(usage, dialog)

    def follow(self, dialog: Dialog, flow: Flow) -> None:
        """Take the path of the peer's latest message as that of the dialog."""
        if flow != dialog.flow:
            self._stack.transport.release(dialog.flow)
            self._stack.transport.retain(flow)
            dialog.flow = flow

    def trace(self, call: Call, incoming: IncomingRequest) -> None:
        """Put out a trace of a request that came for a call, whose transaction did not know it yet."""
        self._stack.outbox.put(MessageTraced(usage=call.usage.id, data=incoming.raw, flow=incoming.flow, sent=False))

    def hang_up(self, call: Call, *, now: float, refusal: Refusal, reason: str = "") -> None:
        """End a call in the way its state asks for; `refusal` answers one that is not answered yet.

        `reason` is what the owner is told in place of `local-bye`.
        """
        call.end_reason = call.end_reason or reason
        final = None
        if call.usage.state is UsageState.INVITED and call.incoming is not None:
            final = failure(self._stack.config, call.incoming, refusal)
        call.usage.advance(UsageInput.HANG_UP, now=now, final=final)
        self.settle(call, now=now)

    def drop_offer(self, call: Call, *, now: float) -> None:
        """Answer a re-INVITE or UPDATE that still waits with 487 (RFC 3261 9.2, 15.1.2)."""
        incoming, call.offer = call.offer, None
        if incoming is not None:
            self._stack.layer.respond(incoming, failure(self._stack.config, incoming, Refusal(487)), now=now)

    def settle(
        self, call: Call, *, now: float, bye: Request | None = None, arrival: ResponseArrived | None = None
    ) -> None:
        """Carry out a usage's outputs; `bye` is the peer's BYE, `arrival` the response that caused them."""
        usage = call.usage
        while (output := usage.poll_output()) is not None:
            match output:
                case usages.SendFinal(response=response):
                    if call.incoming is not None:
                        self._stack.layer.respond(call.incoming, response, now=now)
                case usages.SendBye():
                    self._send_bye(usage, now)
                case usages.SendAck():
                    self._send_ack(call, now)
                case usages.Offered():
                    if call.offering is not None and usage.dialog is not None:
                        flow = usage.dialog.flow
                        self._stack.outbox.put(CallOffered(usage=usage.id, response=call.offering, flow=flow))
                case usages.SendCancel():
                    if call.outgoing is not None:
                        self._stack.sender.cancel(call.outgoing, now=now)
                case usages.Confirmed():
                    if arrival is not None and arrival.response is not None:
                        self._stack.outbox.put(CallAnswered(usage=usage.id, response=arrival.response))
                case usages.Refused():
                    if arrival is not None:
                        refused = CallRefused(usage=usage.id, status=arrival.status, reason=arrival.reason)
                        self._stack.outbox.put(refused)
                case usages.Ended(reason=reason):
                    self.drop_offer(call, now=now)
                    reason = call.end_reason if call.end_reason and reason == "local-bye" else reason
                    self._stack.outbox.put(CallEnded(usage=usage.id, reason=reason, request=bye))
                case usages.Gone():
                    self._forget(usage)
        if usage.state is not UsageState.INVITED:
            self._early.discard(usage.id)
        if usage.is_over:
            self._stop_changes(call, now)
        self.arm(usage)

    def arm(self, usage: InviteUsage) -> None:
        """Set the timer of a call to its next deadline."""
        deadline = usage.next_timeout()
        if deadline is None or usage.id not in self._calls:
            self._timers.cancel(usage.id)
        else:
            self._timers.set(usage.id, deadline)

    def learn(self, call: Call, message: Request | Response) -> None:
        """Take the methods that the peer allows; a message without Allow leaves what is known (RFC 3261 20.5)."""
        methods = message.allow
        if methods:
            call.allowed = frozenset(methods)

    def fall_back(self, failed: OutgoingRequest, *, now: float) -> bool:
        """Send a large request by another path when its connection could not be made; tell whether that can be."""
        call = self.of_owner(failed.owner)
        again = None if call is None else self._stack.sender.fall_back(failed, now=now)
        if call is None or again is None:
            return False
        if call.outgoing is failed:
            call.outgoing = again
            call.usage.invite = again.request
        elif call.own is not None and call.own.outgoing is failed:
            call.own.outgoing = again
        return True

    def supersede(self, call: Call) -> None:
        """Give back the offers of ours that were not sent: what they were made from has changed (RFC 3264 8)."""
        stale = [change for change in call.waiting if change.description]
        if call.own is not None and call.own.outgoing is None and call.own.description and not call.own.refresh:
            stale.insert(0, call.own)
            call.own = None
        for change in stale:
            if change in call.waiting:
                call.waiting.remove(change)
            refused = ChangeRefused(
                usage=call.usage.id,
                change=change.id,
                refresh=False,
                request=None,
                status=491,
                reason="the peer's offer came first",
            )
            self._stack.outbox.put(refused)

    def arm_session_timer(self, call: Call) -> None:
        """Set the session timer of a call to its next deadline."""
        deadline = call.timer.next_timeout()
        if deadline is None or call.usage.is_over or call.usage.id not in self._calls:
            self.session_timers.cancel(call.usage.id)
        else:
            self.session_timers.set(call.usage.id, deadline)

    def _stop_changes(self, call: Call, now: float) -> None:
        """Let go of what we wanted of a call that is over; a re-INVITE that is under way gets a bounded time to end."""
        call.timer.stop()
        call.waiting.clear()
        if call.own is not None and call.own.outgoing is not None:
            self._stack.layer.cancelled(call.own.outgoing, now=now)
        else:
            call.own = None
        self.session_timers.cancel(call.usage.id)
        self.changes.cancel(call.usage.id)

    def _bind(self, usage: InviteUsage, dialog: Dialog) -> None:
        self._dialogs[dialog.id] = usage.id
        self._stack.transport.retain(dialog.flow)

    def _forget(self, usage: InviteUsage) -> None:
        if self._calls.pop(usage.id, None) is None:
            return
        if usage.dialog is not None:
            self._dialogs.pop(usage.dialog.id, None)
            self._stack.transport.release(usage.dialog.flow)
        self._stack.outbox.put(CallGone(usage=usage.id))

    def _send_bye(self, usage: InviteUsage, now: float) -> None:
        if usage.dialog is None:
            usage.advance(UsageInput.BYE_FINISHED, now=now)
        else:
            self._stack.sender.bye(usage.dialog, owner=usage.id, now=now)

    def _send_ack(self, call: Call, now: float) -> None:
        usage = call.usage
        if usage.dialog is not None:
            sequence = usage.invite.cseq.number
            answer = call.description or self.declining(call.offering, usage.dialog)
            usage.ack = self._stack.sender.ack(
                usage.dialog,
                sequence=sequence,
                again=usage.ack,
                owner=usage.id,
                answer=answer if call.offerless else b"",
                now=now,
            )
            call.offering = None

    def declining(self, response: Response | None, dialog: Dialog) -> bytes:
        """Write the answer that takes nothing of the offer in a 2xx, empty without one (RFC 3261 13.2.2.4)."""
        config = self._stack.config
        if response is None or config.decline is None:
            return b""
        return config.decline(response, config.advertise or dialog.flow.local.host)
