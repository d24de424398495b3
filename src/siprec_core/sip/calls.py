"""The calls of an endpoint: INVITE usages with their dialogs and the transactions they stand on."""

from dataclasses import dataclass, field

from siprec_core.entropy import Ids
from siprec_core.machine import Outbox
from siprec_core.sip import invite as usages
from siprec_core.sip.dialog import Dialog, DialogId
from siprec_core.sip.endpoint_events import (
    CallAnswered,
    CallEnded,
    CallGone,
    CallRefused,
    EndpointItem,
    MessageTraced,
)
from siprec_core.sip.identity import EndpointConfig, failure
from siprec_core.sip.invite import InviteUsage, UsageId, UsageInput, UsageState
from siprec_core.sip.message import Request
from siprec_core.sip.outgoing import RequestSender
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
class Call:
    """One call with the transactions it stands on."""

    usage: InviteUsage
    incoming: IncomingRequest | None = None
    """The INVITE that we answer."""
    outgoing: OutgoingRequest | None = None
    """The INVITE that we sent."""
    offer: IncomingRequest | None = field(default=None)
    """A re-INVITE or UPDATE that waits for the owner's answer."""


class CallTable:
    """All calls by usage and by dialog; carries out what usages put out."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._calls: dict[UsageId, Call] = {}
        self._dialogs: dict[DialogId, UsageId] = {}
        self._early: set[UsageId] = set()
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
        return self._timers.next_deadline()

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

    def hang_up(self, call: Call, *, now: float, refusal: Refusal) -> None:
        """End a call in the way its state asks for; `refusal` answers one that is not answered yet."""
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
                    self._send_ack(usage, now)
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
                    self._stack.outbox.put(CallEnded(usage=usage.id, reason=reason, request=bye))
                case usages.Gone():
                    self._forget(usage)
        if usage.state is not UsageState.INVITED:
            self._early.discard(usage.id)
        self.arm(usage)

    def arm(self, usage: InviteUsage) -> None:
        """Set the timer of a call to its next deadline."""
        deadline = usage.next_timeout()
        if deadline is None or usage.id not in self._calls:
            self._timers.cancel(usage.id)
        else:
            self._timers.set(usage.id, deadline)

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

    def _send_ack(self, usage: InviteUsage, now: float) -> None:
        if usage.dialog is not None:
            sequence = usage.invite.cseq.number
            usage.ack = self._stack.sender.ack(
                usage.dialog, sequence=sequence, again=usage.ack, owner=usage.id, now=now
            )
