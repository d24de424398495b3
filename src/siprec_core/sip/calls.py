"""The calls of an endpoint: INVITE usages with their dialogs and the transactions they stand on."""

from dataclasses import dataclass, field

from siprec_core.entropy import Ids
from siprec_core.findings import Finding
from siprec_core.machine import Outbox, earliest
from siprec_core.sip import invite as usages
from siprec_core.sip.authorisation import responder_of
from siprec_core.sip.dialog import Dialog, DialogId
from siprec_core.sip.digest import Responder
from siprec_core.sip.early import EarlyDialogs
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
from siprec_core.sip.identity import EndpointConfig, failure, progress
from siprec_core.sip.invite import InviteUsage, UsageId, UsageInput, UsageState
from siprec_core.sip.locate import Located, LocationFailed
from siprec_core.sip.locations import Locations
from siprec_core.sip.message import Request, Response
from siprec_core.sip.names import RecordType
from siprec_core.sip.outgoing import RequestSender
from siprec_core.sip.reasons import reason_of_end
from siprec_core.sip.reliable import Expired, ProvisionalLost, Provisionals, SendProvisional
from siprec_core.sip.retry_after import read_retry_after
from siprec_core.sip.session_timer import SessionTimer
from siprec_core.sip.transaction_layer import IncomingRequest, OutgoingRequest, ResponseArrived, TransactionLayer
from siprec_core.sip.transport import Hop, TransportLayer
from siprec_core.sip.uas import Refusal
from siprec_core.timers import TimerQueue
from siprec_core.types import Address, Flow


@dataclass(frozen=True, slots=True)
class Stack:
    """What both sides of an endpoint work with."""

    config: EndpointConfig
    ids: Ids
    transport: TransportLayer
    layer: TransactionLayer
    sender: RequestSender
    locations: Locations
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
    called: bool = False
    """The peer began it."""
    incoming: IncomingRequest | None = None
    """Its INVITE, until the transaction has ended."""
    authenticated_user: str | None = None
    """Who sent that, where its listener asks for it."""
    provisionals: Provisionals | None = None
    """The 1xx to it, while it waits for its answer."""
    outgoing: OutgoingRequest | None = None
    """The INVITE that we sent; None while its next hop is being located."""
    early: EarlyDialogs = field(default_factory=EarlyDialogs)
    """What reliable 1xx to it have begun."""
    offerless: bool = False
    """It made no offer: the 2xx brings one."""
    offering: Response | None = None
    """The 2xx that did, until its ACK is made."""
    local: Address | None = None
    """Our address in a call that we start."""
    waiting_bye: str | None = None
    """Why we hang up, while our BYE waits for its next hop to be located."""
    offer: IncomingRequest | None = field(default=None)
    """A re-INVITE or UPDATE that waits for the owner's answer."""
    own: OwnChange | None = None
    """A re-INVITE or UPDATE of ours that is under way or waits for its time."""
    waiting: list[OwnChange] = field(default_factory=list)
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
    responder: Responder | None = None
    """Answers the challenges of this call, when we have credentials."""
    findings: list[Finding] = field(default_factory=list)
    """What was wrong with the challenges to our INVITE; these are few."""


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
        """Repeat the 2xx that wait for their ACK; tell callers who wait for an answer that it is on its way."""
        while (due := self._timers.pop_due(now)) is not None:
            call = self._calls[due]
            call.usage.handle_timeout(now=now)
            for key, response in call.usage.take_due_reoffer_answers(now):
                self._stack.layer.repeat(key, response, now=now)
            if call.provisionals is not None and call.incoming is not None:
                call.provisionals.handle_timeout(now=now)
                self._extend(call, call.provisionals, call.incoming, now)
            self.settle(call, now=now)

    def _extend(self, call: Call, provisionals: Provisionals, incoming: IncomingRequest, now: float) -> None:
        """Carry out what the 1xx of a call that waits for its answer ask for."""
        config = self._stack.config
        while (output := provisionals.poll_output()) is not None:
            match output:
                case SendProvisional(number=number):
                    self._stack.layer.respond(incoming, progress(config, incoming, number), now=now)
                case ProvisionalLost():
                    call.usage.advance(UsageInput.GIVE_UP, now=now, final=failure(config, incoming, Refusal(504)))
                case Expired():
                    # RFC 3261 13.3.1: "If the invitation expires before the UAS has generated a final response, a 487
                    # (Request Terminated) response SHOULD be generated."
                    call.usage.advance(UsageInput.EXPIRE, now=now, final=failure(config, incoming, Refusal(487)))

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
        usage, config = call.usage, self._stack.config
        self._calls[usage.id] = call
        call.responder = responder_of(config.credentials, entropy=self._stack.ids.octets, limits=config.limits)
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
            dialog.follow(flow)

    def trace(self, call: Call, incoming: IncomingRequest) -> None:
        """Put out a trace of a request that came for a call, whose transaction did not know it yet."""
        raw = b"".join(incoming.take_raw())
        self._stack.outbox.put(MessageTraced(usage=call.usage.id, data=raw, flow=incoming.flow, sent=False))

    def hang_up(self, call: Call, *, now: float, refusal: Refusal, reason: str = "") -> None:
        """End a call in the way its state asks for; `refusal` answers one that is not answered yet.

        `reason` is what the owner is told in place of `local-bye`.
        """
        call.end_reason = call.end_reason or reason
        final = None
        if call.usage.state is UsageState.INVITED and call.incoming is not None:
            final = failure(self._stack.config, call.incoming, refusal)
        call.usage.advance(UsageInput.HANG_UP, now=now, final=final)
        if call.usage.state is UsageState.CALLING_ENDING and call.outgoing is None:
            call.usage.advance(UsageInput.FAILURE, now=now)  # no INVITE has left yet: there is nothing to cancel
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
                    if call.provisionals is not None:
                        call.provisionals.answered(now=now)
                    if call.incoming is not None:
                        self._stack.layer.respond(call.incoming, response, now=now)
                case usages.SendBye(reason=reason):
                    self._send_bye(call, call.end_reason or reason, now)
                case usages.SendAck():
                    self._send_ack(call, now)
                case usages.Offered():
                    if call.offering is not None and usage.dialog is not None:
                        flow = usage.dialog.flow
                        self._stack.outbox.put(CallOffered(usage=usage.id, response=call.offering, flow=flow))
                case usages.SendCancel():
                    if call.outgoing is not None:
                        self._stack.sender.cancel(call.outgoing, reason_of_end("cancelled"), now=now)
                case usages.Confirmed():
                    if arrival is not None and arrival.response is not None:
                        findings = (*call.findings, *call.early.findings)
                        answered = CallAnswered(usage=usage.id, response=arrival.response, findings=findings)
                        self._stack.outbox.put(answered)
                case usages.Refused():
                    if arrival is not None:
                        self._stack.outbox.put(_refusal(usage.id, arrival))
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
        call = self._calls.get(usage.id)
        deadline = None if call is None else usage.next_timeout()
        if call is not None and call.provisionals is not None:
            deadline = earliest(deadline, call.provisionals.next_timeout())
        if deadline is None:
            self._timers.cancel(usage.id)
        else:
            self._timers.set(usage.id, deadline)

    def learn(self, call: Call, message: Request | Response) -> None:
        """Take the methods that the peer allows; a message without Allow leaves what is known (RFC 3261 20.5)."""
        methods = message.allow
        if methods:
            call.allowed = frozenset(methods)

    def is_locating(self, call: Call, *, now: float) -> bool:
        """See to it that a request within a call has a next hop; True while that is being located (RFC 3263).

        It is when the next hop is a name and the connection that the peer's messages came along is gone.
        """
        dialog = call.usage.dialog
        uri = None if dialog is None else self._stack.sender.unlocated(dialog)
        if dialog is None or uri is None:
            return False
        if call.usage.id not in self._stack.locations:
            self._stack.locations.locate(
                call.usage.id,
                uri,
                # As with addresses: a URI that leaves the transport open means the one that the peer came along.
                transports=(uri.transport or dialog.flow.transport,),
                families=(RecordType.AAAA if ":" in dialog.sent_by.host else RecordType.A,),
                now=now,
            )
        return True

    def located(self, call: Call, outcome: Located | LocationFailed, *, now: float) -> None:
        """Take the next hop of a call, and send the BYE that waits for it; without one there is the way back."""
        dialog = call.usage.dialog
        if dialog is None:
            return
        if isinstance(outcome, LocationFailed):
            back = Hop(dialog.flow.transport, dialog.flow.remote)
            outcome = Located(hops=(back,), large=False, notes=outcome.notes)
        dialog.located = outcome
        if call.waiting_bye is not None:
            reason, call.waiting_bye = call.waiting_bye, None
            self._send_bye(call, reason, now)

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
                local=True,
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
        self._stack.locations.cancel(usage.id)
        if usage.dialog is not None:
            self._dialogs.pop(usage.dialog.id, None)
            self._stack.transport.release(usage.dialog.flow)
        self._stack.outbox.put(CallGone(usage=usage.id))

    def _send_bye(self, call: Call, reason: str, now: float) -> None:
        usage = call.usage
        if usage.dialog is None:
            usage.advance(UsageInput.BYE_FINISHED, now=now)
        elif self.is_locating(call, now=now):
            call.waiting_bye = reason
        else:
            said = reason_of_end(reason)
            self._stack.sender.bye(usage.dialog, said, owner=usage.id, responder=call.responder, now=now)

    def _send_ack(self, call: Call, now: float) -> None:
        usage = call.usage
        if usage.dialog is not None:
            answer = call.description or self.declining(call.offering, usage.dialog)
            usage.ack = self._stack.sender.ack(
                usage.dialog,
                invite=usage.invite,
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


def _refusal(usage: UsageId, arrival: ResponseArrived) -> CallRefused:
    """Tell of a failed INVITE; a 2xx that cannot be used has a status of ours."""
    response = arrival.response
    local = response is None or response.status != arrival.status
    retry = None if response is None else read_retry_after(response.headers.get("Retry-After"))
    return CallRefused(usage=usage, status=arrival.status, reason=arrival.reason, local=local, retry_seconds=retry)
