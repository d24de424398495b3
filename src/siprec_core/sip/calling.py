"""The calling side of an endpoint: calls that we start, and the responses to them (RFC 3261 8.1, 9.1, 13.2)."""

from dataclasses import replace

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.sip.calls import Call, CallTable, Stack
from siprec_core.sip.dialog import Dialog
from siprec_core.sip.endpoint_events import CallProgressed
from siprec_core.sip.identity import add_capabilities, contact
from siprec_core.sip.invite import InviteUsage, UsageId, UsageInput, UsageState
from siprec_core.sip.message import Request, Response
from siprec_core.sip.session_timer import LEAST_MIN_SE
from siprec_core.sip.transaction_layer import ResponseArrived
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Flow


class CallingSide:
    """Sends INVITE and follows what comes back."""

    def __init__(self, stack: Stack, calls: CallTable) -> None:
        self._stack = stack
        self._calls = calls

    def call(
        self, invite: Request, hop: Hop, *, local: Address, description: bytes, offerless: bool = False, now: float
    ) -> UsageId:
        """Start a call with an INVITE that has To, From, Call-ID, CSeq and body; the rest is added."""
        config = self._stack.config
        usage = InviteUsage(self._calls.next_id(), invite, calling=True, dialog=None)
        call = Call(usage, description=description, offerless=offerless)
        self._calls.add(call)
        secure = invite.uri[:5].lower() == "sips:"
        invite.headers.add("Contact", contact(config, Flow(hop.transport, local, hop.remote), secure=secure))
        invite.headers.add("User-Agent", config.product)
        add_capabilities(config, invite.headers)
        for name, value in call.timer.request_headers(config.timers):
            invite.headers.add(name, value)
        call.outgoing = self._stack.sender.start(invite, hop, local=local, flow=None, owner=usage.id, now=now)
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
            call.usage.advance(UsageInput.BYE_FINISHED, now=now)
            self._calls.settle(call, now=now)
        elif call.outgoing is outgoing:
            self._progress(call, arrival, now)

    def _progress(self, call: Call, arrival: ResponseArrived, now: float) -> None:
        usage, response = call.usage, arrival.response
        if response is not None and arrival.status < 200:
            usage.advance(UsageInput.PROVISIONAL, now=now)
            self._stack.outbox.put(CallProgressed(usage=usage.id, response=response))
        elif response is not None and arrival.flow is not None and arrival.status < 300:
            self._succeed(call, arrival, response, arrival.flow, now)
            return
        elif arrival.status == 422 and response is not None and self._call_longer(call, arrival, response, now):
            return
        else:
            usage.advance(UsageInput.FAILURE, now=now)
        self._calls.settle(call, now=now, arrival=arrival)

    def _call_longer(self, call: Call, arrival: ResponseArrived, response: Response, now: float) -> bool:
        """Send the INVITE again with the Min-SE of a 422 (RFC 4028 7.3); False when that was done or is of no use."""
        usage, refused = call.usage, arrival.outgoing
        timer, config = call.timer, self._stack.config
        if usage.state not in (UsageState.CALLING, UsageState.PROCEEDING) or timer.min_se > LEAST_MIN_SE:
            return False
        if refused.request.headers.get("Session-Expires") is None or not timer.too_short(response):
            return False
        invite = refused.request
        headers = invite.headers.copy()
        headers.remove("Via")
        # RFC 4028 7.3: same Call-ID, To and From, and a CSeq number one higher.
        headers.set("CSeq", f"{invite.cseq.number + 1} INVITE")
        for name, value in timer.request_headers(config.timers):
            headers.set(name, value)
        usage.invite = again = Request("INVITE", invite.uri, headers, invite.body)
        call.outgoing = self._stack.sender.start(
            again, refused.hop, local=refused.local, flow=refused.flow, owner=usage.id, now=now
        )
        return True

    def _succeed(self, call: Call, arrival: ResponseArrived, response: Response, flow: Flow, now: float) -> None:
        usage = call.usage
        try:
            dialog = Dialog.for_uac(usage.invite, response, flow=flow)
        except RemoteProtocolError as error:
            unusable = replace(arrival, status=502, reason=f"unusable 200: {error}")
            usage.advance(UsageInput.FAILURE, now=now)
            self._calls.settle(call, now=now, arrival=unusable)
            return
        if usage.dialog is None:
            self._calls.form_dialog(usage, dialog)
        elif usage.dialog.id != dialog.id:
            # RFC 3261 13.2.2.4: one dialog is kept; another fork's is acknowledged and ended.
            sequence = usage.invite.cseq.number
            answer = self._calls.declining(response, dialog) if call.offerless else b""
            self._stack.sender.ack(dialog, sequence=sequence, again=None, owner=None, answer=answer, now=now)
            self._stack.sender.bye(dialog, owner=None, now=now)
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
