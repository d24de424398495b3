"""The called side of an endpoint: requests that come, checked and routed (RFC 3261 sections 8.2, 9.2, 12.2.2 to 15)."""

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.findings import Finding
from siprec_core.sip.authentication import Denied, Gate
from siprec_core.sip.calls import Call, CallTable, Stack
from siprec_core.sip.dialog import Dialog
from siprec_core.sip.endpoint_events import (
    AckReceived,
    CredentialsChecked,
    InfoReceived,
    InviteReceived,
    OfferReceived,
    OfferWithdrawn,
    OptionsReceived,
    RequestId,
)
from siprec_core.sip.identity import add_capabilities, answer, contact, failure, success
from siprec_core.sip.info import refuse_info
from siprec_core.sip.invite import InviteUsage, UsageId, UsageInput, UsageState
from siprec_core.sip.matching import TransactionKey, merge_key
from siprec_core.sip.message import Request, Response
from siprec_core.sip.reliable import Provisionals, rack_of, requires_reliable
from siprec_core.sip.reply import respond, stateless_tag
from siprec_core.sip.session_timer import grant, grant_headers, refuse_interval
from siprec_core.sip.transaction_layer import AckArrived, IncomingRequest
from siprec_core.sip.uas import Refusal, carries_offer, check_request, refusal_of
from siprec_core.types import Flow

BUSY = Refusal(503, headers=(("Retry-After", "5"),))
"""What a request gets that is beyond a limit of ours."""


class CalledSide:
    """Takes requests and answers them, some at once, some when the owner says what."""

    def __init__(self, stack: Stack, calls: CallTable) -> None:
        self._stack = stack
        self._calls = calls
        self._merged: dict[TransactionKey, IncomingRequest] = {}
        self._waiting: dict[RequestId, IncomingRequest] = {}
        self._last_request = 0
        config = stack.config
        self._gate = Gate(config.authentication, entropy=stack.ids.octets, limits=config.limits)

    # owner

    def accept(
        self, usage: UsageId, *, body: bytes, content_type: str, description: bytes | None = None, now: float
    ) -> None:
        """Answer a call with 200 and a body; raises LocalProtocolError when it no longer waits."""
        call, incoming = self._unanswered(usage)
        response = success(self._stack.config, incoming, body=body, content_type=content_type)
        self._grant(call, incoming, response, now)
        call.description = body if description is None else description
        call.usage.advance(UsageInput.ACCEPT, now=now, final=response)
        self._calls.settle(call, now=now)

    def reject(self, usage: UsageId, refusal: Refusal, *, now: float) -> None:
        """Answer a call with an error; raises LocalProtocolError when it no longer waits."""
        call, incoming = self._unanswered(usage)
        call.usage.advance(UsageInput.REJECT, now=now, final=failure(self._stack.config, incoming, refusal))
        self._calls.settle(call, now=now)

    def trying(self, usage: UsageId, *, now: float) -> None:
        """Answer a call with 100 at once; raises LocalProtocolError when it no longer waits."""
        _, incoming = self._unanswered(usage)
        self._stack.layer.respond(incoming, answer(self._stack.config, incoming, 100), now=now)

    def answer_offer(self, usage: UsageId, *, body: bytes, content_type: str, now: float) -> None:
        """Answer the re-INVITE or UPDATE that waits; an empty body answers one without an offer."""
        call, incoming = self._take_offer(usage)
        if call.usage.dialog is not None:
            call.usage.dialog.refresh_target(incoming.request)
        response = success(self._stack.config, incoming, body=body, content_type=content_type)
        self._calls.learn(call, incoming.request)
        self._grant(call, incoming, response, now)
        if body:
            call.description = body
            self._calls.supersede(call)
        if incoming.request.method == "INVITE":
            call.usage.reoffer_answered(incoming.request.cseq.number, incoming.key, response, now=now)
        self._stack.layer.respond(incoming, response, now=now)
        self._calls.arm(call.usage)

    def refuse_offer(self, usage: UsageId, refusal: Refusal, *, now: float) -> None:
        """Refuse the re-INVITE or UPDATE that waits; the call goes on as it was (RFC 3261 14.2)."""
        _, incoming = self._take_offer(usage)
        self._refuse(incoming, refusal, now)

    def answer_options(self, request_id: RequestId, refusal: Refusal | None, *, now: float) -> None:
        """Answer OPTIONS with 200 and our capabilities, or with what an INVITE would get now (RFC 3261 11.2)."""
        incoming = self._waiting.pop(request_id, None)
        if incoming is None:
            return
        if refusal is not None:
            self._refuse(incoming, refusal, now)
            return
        response = answer(self._stack.config, incoming, 200)
        add_capabilities(self._stack.config, response.headers, called=True)
        # RFC 3261 11.2: Accept-Encoding and Accept-Language "SHOULD be present"; we read no text for people.
        response.headers.add("Accept-Encoding", "identity")
        response.headers.add("Accept-Language", "*")
        # RFC 3840 8: the capabilities of a UA stand in the Contact of its OPTIONS response.
        response.headers.add("Contact", contact(self._stack.config, incoming.flow))
        self._stack.layer.respond(incoming, response, now=now)

    def _grant(self, call: Call, incoming: IncomingRequest, response: Response, now: float) -> None:
        """Say in a 2xx how long the session lasts, and start its timer (RFC 4028 section 9)."""
        granted = grant(incoming.request, self._stack.config.timers, call.timer)
        for name, value in grant_headers(granted, incoming.request):
            response.headers.add(name, value)
        call.timer.granted(granted, now=now)
        self._calls.arm_session_timer(call)

    # wire

    def receive_request(self, incoming: IncomingRequest, *, now: float) -> None:
        """Take a new request other than ACK."""
        request = incoming.request
        try:
            if not self._let_in(incoming, now):
                return
            refusal = check_request(request, understood=self._stack.config.understood)
            if refusal is not None:
                self._refuse(incoming, refusal, now)
            elif request.method == "CANCEL":
                self._receive_cancel(incoming, now)
            elif request.to.tag is not None:
                self._receive_in_dialog(incoming, now)
            else:
                self._receive_initial(incoming, now)
        except RemoteProtocolError as error:
            # A header field that the treatment needed cannot be read.
            self._refuse(incoming, refusal_of(error), now)

    def receive_ack(self, arrival: AckArrived, *, now: float) -> None:
        """Take an ACK. A bad one is never answered (RFC 3261 17)."""
        try:
            call = self._calls.of(arrival.request)
        except RemoteProtocolError:
            return
        if call is None or call.usage.dialog is None:
            return
        self._stack.layer.trace(call.usage.id, arrival.received)
        if call.usage.state is UsageState.INVITED:
            return
        self._calls.follow(call.usage.dialog, arrival.received.flow)
        matched = call.usage.acknowledged(arrival.request.cseq.number, now=now)
        self._stack.outbox.put(AckReceived(usage=call.usage.id, request=arrival.request, matched=matched))
        self._calls.settle(call, now=now)

    def answer_stateless(self, request: Request, flow: Flow, refusal: Refusal, *, now: float) -> None:
        """Refuse a request that gets no transaction."""
        if request.method == "ACK":
            return
        tag = stateless_tag(request.headers)
        response = respond(request, refusal.status, reason=refusal.reason, to_tag=tag)
        for name, value in refusal.headers:
            response.headers.add(name, value)
        self._stack.layer.answer_stateless(request, response, flow, now=now)

    def transaction_ended(self, incoming: IncomingRequest) -> None:
        """Forget what was kept to recognise a merged request, and the INVITE of a call that was answered."""
        call = self._calls.of_owner(incoming.owner)
        if call is not None and call.incoming is incoming and call.usage.state is not UsageState.INVITED:
            call.incoming = None
            call.usage.forget_invite()
        try:
            merge = merge_key(incoming.request)
        except RemoteProtocolError:
            return
        if self._merged.get(merge) is incoming:
            del self._merged[merge]

    # credentials

    def _let_in(self, incoming: IncomingRequest, now: float) -> bool:
        """Find out who sent a new request; False when it was refused for not telling.

        RFC 3261 8.2: authentication comes before every other check.
        """
        request, flow = incoming.request, incoming.flow
        checked = self._gate.check(request, flow, now=now)
        if checked is None:
            return True
        if not isinstance(checked, Denied):
            incoming.authenticated_user = checked.user
            self._tell_credentials(incoming, None, checked.findings)
            return self._is_same_user(incoming, now)
        if checked.told:
            self._tell_credentials(incoming, checked.reason, checked.findings)
        call = None if request.to.tag is None else self._calls.of(request)
        if call is not None and call.usage.dialog is not None:
            incoming.owner, incoming.local_tag = call.usage.id, call.usage.dialog.local_tag
            self._calls.trace(call, incoming)
            self._refuse(incoming, checked.refusal, now)
            return False
        # RFC 3261 26.3.2.4: "challenge questionable requests with only a single 401 [...], forgoing the normal response
        # retransmission algorithm, and thus behaving statelessly towards unauthenticated requests".
        self._stack.layer.forget(incoming)
        self.answer_stateless(request, flow, checked.refusal, now=now)
        return False

    def _is_same_user(self, incoming: IncomingRequest, now: float) -> bool:
        """Let only the user who began a call change or end it."""
        call = None if incoming.request.to.tag is None else self._calls.of(incoming.request)
        began = None if call is None else call.authenticated_user
        if began is None or began == incoming.authenticated_user:
            return True
        self._tell_credentials(incoming, "not the user who began the call", ())
        self._refuse(incoming, Refusal(403), now)
        return False

    def _tell_credentials(self, incoming: IncomingRequest, reason: str | None, findings: tuple[Finding, ...]) -> None:
        if reason is not None or findings:
            method = incoming.request.method
            told = CredentialsChecked(flow=incoming.flow, method=method, reason=reason, findings=findings)
            self._stack.outbox.put(told)

    # outside dialogs

    def _receive_initial(self, incoming: IncomingRequest, now: float) -> None:
        request = incoming.request
        merge = merge_key(request)
        if merge in self._merged:
            # RFC 3261 8.2.2.2: the same request by another path is answered 482 (Loop Detected).
            self._refuse(incoming, Refusal(482), now)
            return
        self._merged[merge] = incoming
        if request.method == "INVITE":
            self._receive_invite(incoming, now)
        elif request.method == "OPTIONS":
            self._receive_options(incoming)
        else:
            # BYE, UPDATE, INFO and PRACK exist only within a dialog (RFC 3261 15.1.2, RFC 3311 5.2, RFC 6086 4.2.2).
            self._refuse(incoming, Refusal(481), now)

    def _receive_invite(self, incoming: IncomingRequest, now: float) -> None:
        limits = self._stack.config.limits
        if len(self._calls) >= limits.dialogs or self._calls.early >= limits.early_dialogs:
            self._refuse(incoming, BUSY, now)
            return
        refusal = refuse_interval(incoming.request, self._stack.config.timers)
        if refusal is not None:
            self._refuse(incoming, refusal, now)
            return
        dialog = Dialog.for_uas(incoming.request, local_tag=incoming.local_tag, flow=incoming.flow)
        usage = InviteUsage(self._calls.next_id(), incoming.request, calling=False, dialog=dialog)
        incoming.owner = usage.id
        call = Call(
            usage,
            called=True,
            incoming=incoming,
            authenticated_user=incoming.authenticated_user,
            provisionals=self._provisionals(incoming.request, now),
        )
        self._calls.add(call)
        self._calls.learn(call, incoming.request)
        self._calls.arm(usage)
        self._stack.outbox.put(
            InviteReceived(
                usage=usage.id,
                request=incoming.request,
                flow=incoming.flow,
                local_tag=incoming.local_tag,
                raw=incoming.take_raw(),
                authenticated_user=incoming.authenticated_user,
            )
        )

    def _provisionals(self, invite: Request, now: float) -> Provisionals:
        # RFC 3262 3: it is RECOMMENDED to choose the first RSeq uniformly from 1 to 2**31 - 1.
        first = 1 + int(self._stack.ids.fraction() * (2**31 - 1)) if requires_reliable(invite) else 1
        return Provisionals(invite, first_number=first, now=now)

    def _receive_options(self, incoming: IncomingRequest) -> None:
        self._last_request += 1
        request_id = RequestId(self._last_request)
        self._waiting[request_id] = incoming
        self._stack.outbox.put(
            OptionsReceived(
                request_id=request_id,
                request=incoming.request,
                flow=incoming.flow,
                authenticated_user=incoming.authenticated_user,
            )
        )

    def _receive_cancel(self, incoming: IncomingRequest, now: float) -> None:
        invite = self._stack.layer.find(incoming.request, method="INVITE")
        if invite is None:
            self._refuse(incoming, Refusal(481), now)
            return
        # RFC 3261 9.2: the To tag of the answers to the CANCEL and to its INVITE is the same.
        incoming.local_tag, incoming.owner = invite.local_tag, invite.owner
        call = self._calls.of_owner(invite.owner)
        if call is not None:
            self._calls.trace(call, incoming)
        self._stack.layer.respond(incoming, answer(self._stack.config, incoming, 200), now=now)
        if call is None:
            return
        if call.incoming is invite:
            final = failure(self._stack.config, invite, Refusal(487))
            call.usage.advance(UsageInput.CANCEL, now=now, final=final)
            self._calls.settle(call, now=now)
        elif call.offer is invite:
            self._calls.drop_offer(call, now=now)
            self._stack.outbox.put(OfferWithdrawn(usage=call.usage.id))

    # within dialogs

    def _receive_in_dialog(self, incoming: IncomingRequest, now: float) -> None:
        request = incoming.request
        call = self._calls.of(request)
        if call is None or call.usage.dialog is None:
            self._refuse(incoming, Refusal(481), now)
            return
        dialog = call.usage.dialog
        incoming.owner, incoming.local_tag = call.usage.id, dialog.local_tag
        self._calls.trace(call, incoming)
        if not dialog.accept_sequence(request):
            # RFC 3261 12.2.2: a CSeq lower than one seen before is answered 500.
            self._refuse(incoming, Refusal(500, "Server Internal Error - CSeq lower than before"), now)
            return
        self._calls.follow(dialog, incoming.flow)
        if request.method == "BYE":
            self._receive_bye(incoming, call, now)
        elif request.method == "OPTIONS":
            self._receive_options(incoming)
        elif request.method == "INFO":
            self._receive_info(incoming, call, now)
        elif request.method == "PRACK":
            self._receive_prack(incoming, call, now)
        else:
            self._receive_offer(incoming, call, now)

    def _receive_prack(self, incoming: IncomingRequest, call: Call, now: float) -> None:
        rack, provisionals = rack_of(incoming.request), call.provisionals
        if provisionals is None or not provisionals.acknowledge(rack, now=now):
            # RFC 3262 3: a PRACK that matches no unacknowledged 1xx "MUST" be answered 481.
            self._refuse(incoming, Refusal(481), now)
            return
        self._stack.layer.respond(incoming, answer(self._stack.config, incoming, 200), now=now)
        self._calls.arm(call.usage)

    def _receive_info(self, incoming: IncomingRequest, call: Call, now: float) -> None:
        refusal = Refusal(481) if call.usage.is_over else refuse_info(incoming.request)
        if refusal is not None:
            self._refuse(incoming, refusal, now)
            return
        # RFC 6086 4.2.2: 200 tells that the INFO came, whatever the application makes of it.
        self._stack.layer.respond(incoming, answer(self._stack.config, incoming, 200), now=now)
        self._stack.outbox.put(InfoReceived(usage=call.usage.id, request=incoming.request))

    def _receive_offer(self, incoming: IncomingRequest, call: Call, now: float) -> None:
        request, usage = incoming.request, call.usage
        refusal = Refusal(481) if usage.is_over else refuse_interval(request, self._stack.config.timers)
        if refusal is not None:
            self._refuse(incoming, refusal, now)
        elif call.offer is not None or usage.state in (UsageState.INVITED, UsageState.OFFERED):
            # RFC 3261 14.2, RFC 3311 5.2: one offer at a time, else 500 with Retry-After "between 0 and 10 seconds".
            seconds = str(int(self._stack.ids.fraction() * 11))
            self._refuse(incoming, Refusal(500, headers=(("Retry-After", seconds),)), now)
        elif _collides(request, call):
            self._refuse(incoming, Refusal(491), now)
        else:
            call.offer = incoming
            self._stack.outbox.put(OfferReceived(usage=usage.id, request=request))

    def _receive_bye(self, incoming: IncomingRequest, call: Call, now: float) -> None:
        # RFC 3261 15.1.2: 200 always; requests still pending are answered 487.
        self._stack.layer.respond(incoming, answer(self._stack.config, incoming, 200), now=now)
        final = None
        if call.usage.state is UsageState.INVITED and call.incoming is not None:
            final = failure(self._stack.config, call.incoming, Refusal(487))
        call.usage.advance(UsageInput.BYE, now=now, final=final)
        self._calls.settle(call, now=now, bye=incoming.request)

    # answers

    def _unanswered(self, usage: UsageId) -> tuple[Call, IncomingRequest]:
        call = self._calls.get(usage)
        if call is None or call.incoming is None or call.usage.state is not UsageState.INVITED:
            raise LocalProtocolError("the call does not wait for an answer")
        return call, call.incoming

    def _take_offer(self, usage: UsageId) -> tuple[Call, IncomingRequest]:
        call = self._calls.get(usage)
        if call is None or call.offer is None:
            raise LocalProtocolError("no offer waits for an answer")
        incoming, call.offer = call.offer, None
        return call, incoming

    def _refuse(self, incoming: IncomingRequest, refusal: Refusal, now: float) -> None:
        self._stack.layer.respond(incoming, failure(self._stack.config, incoming, refusal), now=now)


def _collides(request: Request, call: Call) -> bool:
    """Tell whether a request meets one of ours half-way: both sides then get 491 (RFC 3261 14.2, RFC 3311 5.2)."""
    if call.own is None or call.own.outgoing is None:
        return False
    ours = call.own.outgoing.request
    if request.method == "INVITE" and ours.method == "INVITE":
        return True
    return bool(call.own.description) and (request.method == "INVITE" or carries_offer(request))
