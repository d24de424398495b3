"""The calling side of an endpoint: calls that we start, and the responses to them (RFC 3261 8.1, 9.1, 13.2)."""

from dataclasses import replace

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.sip.authorisation import answer_challenge, authorise
from siprec_core.sip.calls import Call, CallTable, Stack
from siprec_core.sip.dialog import Dialog
from siprec_core.sip.endpoint_events import CallProgressed
from siprec_core.sip.identity import add_capabilities
from siprec_core.sip.invite import InviteUsage, UsageId, UsageInput, UsageState
from siprec_core.sip.message import Request, Response
from siprec_core.sip.reaching import Reaching
from siprec_core.sip.reasons import reason_of_end
from siprec_core.sip.session_timer import LEAST_MIN_SE
from siprec_core.sip.transaction_layer import ResponseArrived
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Flow


class CallingSide:
    """Sends INVITE and follows what comes back."""

    def __init__(self, stack: Stack, calls: CallTable, reaching: Reaching) -> None:
        self._stack = stack
        self._calls = calls
        self._reaching = reaching

    def call(
        self,
        invite: Request,
        hop: Hop | None,
        *,
        local: Address,
        description: bytes,
        offerless: bool = False,
        now: float,
    ) -> UsageId:
        """Start a call with an INVITE that has To, From, Call-ID, CSeq and body; the rest is added.

        Without `hop` the next hop is located (RFC 3263).
        """
        config = self._stack.config
        usage = InviteUsage(self._calls.next_id(), invite, calling=True, dialog=None)
        call = Call(usage, description=description, offerless=offerless)
        self._calls.add(call)
        invite.headers.add("User-Agent", config.product)
        add_capabilities(config, invite.headers)
        for name, value in call.timer.request_headers(config.timers):
            invite.headers.add(name, value)
        self._reaching.invite(call, hop, local=local, now=now)
        return usage.id

    def acknowledge(self, usage: UsageId, *, body: bytes, now: float) -> None:
        """Acknowledge a 2xx that brought an offer, with our answer; LocalProtocolError when none waits for it."""
        call = self._calls.get(usage)
        if call is None or call.usage.state is not UsageState.OFFERED:
            raise LocalProtocolError("no offer waits for the answer in an ACK")
        call.description = body
        call.usage.advance(UsageInput.ACKNOWLEDGE, now=now)
        self._calls.settle(call, now=now)

    def receive_response(self, arrival: ResponseArrived, *, now: float) -> None:
        """Take a response to a request of ours, or what stands for its absence (408, 503)."""
        outgoing = arrival.outgoing
        call = self._calls.of_owner(outgoing.owner)
        if call is None:
            return
        if outgoing.request.method == "BYE" and arrival.status >= 200:
            if self._end_again(call, arrival, now):
                return
            call.usage.advance(UsageInput.BYE_FINISHED, now=now)
            self._calls.settle(call, now=now)
        elif call.outgoing is outgoing:
            self._progress(call, arrival, now)

    def _progress(self, call: Call, arrival: ResponseArrived, now: float) -> None:
        usage, response = call.usage, arrival.response
        if response is not None and arrival.status < 200:
            usage.advance(UsageInput.PROVISIONAL, now=now)
            self._stack.outbox.put(CallProgressed(usage=usage.id, response=response))
            self._acknowledge_progress(call, arrival, response, now)
        elif response is not None and arrival.flow is not None and arrival.status < 300:
            self._succeed(call, arrival, response, arrival.flow, now)
            return
        elif response is not None and self._call_again(call, arrival, response, now):
            return
        else:
            usage.advance(UsageInput.FAILURE, now=now)
        self._calls.settle(call, now=now, arrival=arrival)

    def _call_again(self, call: Call, arrival: ResponseArrived, response: Response, now: float) -> bool:
        """Send the INVITE again with what a 401, 407 or 422 asks for; False when that was done or is of no use."""
        usage, refused = call.usage, arrival.outgoing
        if usage.state not in (UsageState.CALLING, UsageState.PROCEEDING):
            return False
        if arrival.status == 422:
            again = self._longer(call, refused.request, response)
        else:
            sequence = refused.request.cseq.number + 1
            again = answer_challenge(arrival, call.responder, sequence=sequence, findings=call.findings)
        if again is None:
            return False
        usage.advance(UsageInput.RESTART, now=now)
        usage.invite = again
        call.outgoing = self._stack.sender.replace(refused, again, now=now)
        return True

    def _longer(self, call: Call, invite: Request, response: Response) -> Request | None:
        """Make an INVITE with the Min-SE of a 422 (RFC 4028 7.3)."""
        timer, config = call.timer, self._stack.config
        if timer.min_se > LEAST_MIN_SE:
            return None
        if invite.headers.get("Session-Expires") is None or not timer.too_short(response):
            return None
        headers = invite.headers.copy()
        headers.remove("Via")
        # RFC 4028 7.3: same Call-ID, To and From, and a CSeq number one higher.
        headers.set("CSeq", f"{invite.cseq.number + 1} INVITE")
        for name, value in timer.request_headers(config.timers):
            headers.set(name, value)
        again = Request("INVITE", invite.uri, headers, invite.body)
        authorise(again, call.responder)
        return again

    def _end_again(self, call: Call, arrival: ResponseArrived, now: float) -> bool:
        """Send BYE again with the credentials that its 401 or 407 asks for; False when that is of no use."""
        dialog, refused = call.usage.dialog, arrival.outgoing
        if dialog is None:
            return False
        again = answer_challenge(arrival, call.responder, sequence=dialog.local_sequence + 1)
        if again is None:
            return False
        dialog.local_sequence += 1
        self._stack.sender.replace(refused, again, now=now)
        return True

    def _succeed(self, call: Call, arrival: ResponseArrived, response: Response, flow: Flow, now: float) -> None:
        usage = call.usage
        try:
            dialog = Dialog.for_uac(usage.invite, response, flow=flow, sent_by=arrival.outgoing.local)
        except RemoteProtocolError as error:
            self._end_unusable(call, arrival, response, flow, error, now)
            return
        call.early.continue_in(dialog)
        if usage.dialog is None:
            self._calls.form_dialog(usage, dialog)
        elif usage.dialog.id != dialog.id:
            # RFC 3261 13.2.2.4: one dialog is kept; another fork's is acknowledged and ended.
            answer = self._calls.declining(response, dialog) if call.offerless else b""
            self._stack.sender.ack(dialog, invite=usage.invite, again=None, owner=None, answer=answer, now=now)
            reason = reason_of_end("forked")
            self._stack.sender.bye(dialog, reason, owner=None, responder=call.responder, now=now)
            return
        what = UsageInput.SUCCESS
        if usage.state in (UsageState.CALLING, UsageState.PROCEEDING):
            self._calls.learn(call, response)
            call.timer.answered(response, now=now)
            what = UsageInput.OFFER if call.offerless else what
        if call.offerless and usage.ack is None:
            call.offering = response
        usage.advance(what, now=now)
        self._calls.settle(call, now=now, arrival=arrival)
        self._calls.arm_session_timer(call)

    def _acknowledge_progress(self, call: Call, arrival: ResponseArrived, response: Response, now: float) -> None:
        """Send the PRACK that a reliable 1xx asks for (RFC 3262 section 4)."""
        if arrival.flow is None:
            return
        local = arrival.outgoing.local
        reliable = call.early.acknowledge(call.usage.invite, response, flow=arrival.flow, sent_by=local)
        if reliable is not None:
            dialog, prack = reliable
            self._stack.sender.start_within(prack, dialog, owner=call.usage.id, now=now)

    def _end_unusable(
        self,
        call: Call,
        arrival: ResponseArrived,
        response: Response,
        flow: Flow,
        error: RemoteProtocolError,
        now: float,
    ) -> None:
        """Acknowledge and end what a 2xx without a usable Contact has begun; the owner hears of 502."""
        usage = call.usage
        try:
            dialog = Dialog.to_end(usage.invite, response, flow=flow, sent_by=arrival.outgoing.local)
        except RemoteProtocolError:
            what = UsageInput.FAILURE  # without To there is nobody to send an ACK to
        else:
            what = UsageInput.UNUSABLE
            call.early.continue_in(dialog)
            if usage.dialog is None:
                self._calls.form_dialog(usage, dialog)
            elif usage.dialog.id != dialog.id:
                self._stack.sender.ack(dialog, invite=usage.invite, again=None, owner=None, now=now)
                reason = reason_of_end("forked")
                self._stack.sender.bye(dialog, reason, owner=None, responder=call.responder, now=now)
                return
        usage.advance(what, now=now)
        unusable = replace(arrival, status=502, reason=f"unusable 200: {error}")
        self._calls.settle(call, now=now, arrival=unusable)
