"""Requests of ours within a call that change or refresh it: re-INVITE and UPDATE, in either role.

One is under way at a time (RFC 3261 14.1, RFC 3311 5.2); others wait behind it. What crosses a request of the peer's is
tried once more (491). A peer that no longer knows the call, or is silent, has left it (RFC 5057 section 5.1).
"""

from siprec_core.errors import LocalProtocolError
from siprec_core.sip.authorisation import answer_challenge, authorise
from siprec_core.sip.called import BUSY
from siprec_core.sip.calls import Call, CallTable, OwnChange, Stack
from siprec_core.sip.dialog import Dialog
from siprec_core.sip.endpoint_events import CallChanged, ChangeId, ChangeRefused
from siprec_core.sip.identity import add_capabilities
from siprec_core.sip.invite import UsageId, UsageState
from siprec_core.sip.message import Request
from siprec_core.sip.reasons import reason_of_end
from siprec_core.sip.retry_after import read_retry_after
from siprec_core.sip.session_timer import TimerDue
from siprec_core.sip.transaction import LIFETIME
from siprec_core.sip.transaction_layer import ResponseArrived

_MOST_ATTEMPTS = 3
"""How often one change is sent: once, again after 491 or 500, again in another form (422, no UPDATE)."""
_MOST_WAITING = 16
"""Changes that wait behind the one under way."""
_LONGEST_WAIT = 2 * LIFETIME
"""Seconds that a re-INVITE may wait for its final response behind a 1xx: timer B ends one that gets nothing at all."""
_LONGEST_RETRY_AFTER = 32
"""Seconds of Retry-After that a change waits; what the peer puts off for longer has failed."""


class ChangingSide:
    """Sends re-INVITE and UPDATE, and follows their responses."""

    def __init__(self, stack: Stack, calls: CallTable) -> None:
        self._stack = stack
        self._calls = calls
        self._last_change = 0

    # owner

    def change(
        self,
        usage: UsageId,
        *,
        body: bytes,
        content_type: str,
        disposition: str | None,
        description: bytes,
        method: str | None,
        now: float,
    ) -> ChangeId:
        """Send a request within a call, or queue it; raises LocalProtocolError when the call does not stand."""
        call = self._calls.get(usage)
        if call is None or not self.stands(usage):
            raise LocalProtocolError("there is no such call to change")
        if len(call.waiting) >= _MOST_WAITING:
            raise LocalProtocolError("too many changes of this call wait for their answers")
        self._last_change += 1
        change = OwnChange(ChangeId(self._last_change), method, body, content_type, disposition, description)
        call.waiting.append(change)
        self._advance(call, now)
        return change.id

    def stands(self, usage: UsageId) -> bool:
        """Tell whether a call has a dialog and is not over."""
        call = self._calls.get(usage)
        return call is not None and not call.usage.is_over and call.usage.dialog is not None

    def allows(self, usage: UsageId, method: str) -> bool:
        """Tell whether the peer's latest Allow lists a method (RFC 3311 section 5.1)."""
        call = self._calls.get(usage)
        return call is not None and method in call.allowed

    # time

    def handle_timeout(self, *, now: float) -> None:
        """Try again what waited; refresh or end calls whose session timer says so."""
        while (due := self._calls.changes.pop_due(now)) is not None:
            call = self._calls.get(due)
            if call is None:
                continue
            if call.own is not None and call.own.outgoing is not None:
                # A re-INVITE that only ever gets a 1xx: the CANCEL bounds the wait for its end (RFC 3261 9.1).
                self._stack.sender.cancel(call.own.outgoing, reason_of_end("timeout"), now=now)
            else:
                self._advance(call, now)
        while (due := self._calls.session_timers.pop_due(now)) is not None:
            call = self._calls.get(due)
            if call is not None:
                self._session_timer_due(call, now)

    def _session_timer_due(self, call: Call, now: float) -> None:
        due = call.timer.due(now)
        self._calls.arm_session_timer(call)
        if due is TimerDue.EXPIRED:
            # RFC 4028 10: no refresh has come in time, neither from the peer nor from us: the call is ended by BYE.
            self._calls.hang_up(call, now=now, refusal=BUSY, reason="session-timer")
        elif due is TimerDue.REFRESH and call.own is None and not call.waiting:
            self._last_change += 1
            call.waiting.append(OwnChange(ChangeId(self._last_change), None, b"", "", None, b"", refresh=True))
            self._advance(call, now)

    # sending

    def located(self, call: Call, *, now: float) -> None:
        """Go on with a call whose next hop was located."""
        self._advance(call, now)

    def _advance(self, call: Call, now: float) -> None:
        """Send the change whose turn it is, when nothing is in its way; else look again later."""
        if call.own is None and call.waiting:
            call.own = call.waiting.pop(0)
        own, dialog = call.own, call.usage.dialog
        if own is None or own.outgoing is not None or dialog is None or call.usage.is_over:
            return
        method = own.method or ("UPDATE" if "UPDATE" in call.allowed else "INVITE")
        offers = method == "INVITE" or own.description != b""
        if call.usage.state is not UsageState.CONFIRMED or (offers and _peer_is_busy_with(call)):
            # RFC 3261 14.1: no new INVITE while one "is in progress in either direction"; RFC 3311 5.1: no offer while
            # another waits for its answer.
            self._calls.changes.set(call.usage.id, now + self._pause(call))
            return
        if self._calls.is_locating(call, now=now):
            return
        self._send(call, own, dialog, method, now)

    def _send(self, call: Call, own: OwnChange, dialog: Dialog, method: str, now: float) -> None:
        config = self._stack.config
        request = dialog.request(method)
        request.headers.add("User-Agent", config.product)
        add_capabilities(config, request.headers)
        for name, value in call.timer.request_headers(config.timers):
            request.headers.add(name, value)
        body, content_type = own.body, own.content_type
        if own.refresh and method == "INVITE":
            # RFC 4028 7.4: a re-INVITE that only refreshes repeats the description, its version unchanged.
            own.description = body = call.description
            content_type = "application/sdp"
        if body:
            request.headers.add("Content-Type", content_type)
            if own.disposition is not None:
                request.headers.add("Content-Disposition", own.disposition)
            request.body = body
        authorise(request, call.responder)
        own.attempts += 1
        self._start(call, own, request, dialog, now)

    def _start(self, call: Call, own: OwnChange, request: Request, dialog: Dialog, now: float) -> None:
        own.outgoing = self._stack.sender.start_within(request, dialog, owner=call.usage.id, now=now)
        if request.method == "INVITE":
            self._calls.changes.set(call.usage.id, now + _LONGEST_WAIT)

    def _pause(self, call: Call) -> float:
        """Give the wait after a collision: 2.1 to 4 s for the owner of the Call-ID, else 0 to 2 s (RFC 3261 14.1)."""
        fraction = self._stack.ids.fraction()
        ours = not call.called
        # "in units of 10 ms"
        return 2.1 + int(fraction * 191) / 100 if ours else max(int(fraction * 201), 1) / 100

    # responses

    def receive_response(self, arrival: ResponseArrived, *, now: float) -> bool:
        """Take a response; False when it answers nothing of ours."""
        outgoing = arrival.outgoing
        call = self._calls.of_owner(outgoing.owner)
        if arrival.status < 200 and (call is None or call.usage.is_over) and arrival.outgoing.request.to.tag:
            self._stack.layer.cancelled(outgoing, now=now)  # nobody waits for more: the transaction ends in any case
        if call is None:
            return False
        if call.acked is not None and call.acked[0] is outgoing:
            self._repeat_ack(call, outgoing.request, call.acked[1], now)
            return True
        own = call.own
        if own is None or own.outgoing is not outgoing:
            return False
        if arrival.status >= 200:
            self._finish(call, own, arrival, now)
        return True

    def _repeat_ack(self, call: Call, request: Request, ack: Request, now: float) -> None:
        if call.usage.dialog is not None:
            self._stack.sender.ack(call.usage.dialog, invite=request, again=ack, owner=call.usage.id, now=now)

    def _finish(self, call: Call, own: OwnChange, arrival: ResponseArrived, now: float) -> None:
        own.outgoing = None
        self._calls.changes.cancel(call.usage.id)
        if arrival.response is not None and arrival.status < 300:
            self._succeed(call, own, arrival, now)
        elif call.usage.is_over:
            call.own = None
        elif self._try_again(call, own, arrival, now):
            return
        else:
            self._fail(call, own, arrival, now)
        self._advance(call, now)

    def _succeed(self, call: Call, own: OwnChange, arrival: ResponseArrived, now: float) -> None:
        request, response, usage = arrival.outgoing.request, arrival.response, call.usage
        if response is None or usage.dialog is None:
            return
        usage.dialog.refresh_target(response)
        if arrival.flow is not None:
            self._calls.follow(usage.dialog, arrival.flow)
        if request.method == "INVITE":
            ack = self._stack.sender.ack(usage.dialog, invite=request, again=None, owner=usage.id, now=now)
            call.acked = arrival.outgoing, ack
        call.own = None
        if usage.is_over:
            return  # RFC 3261 14.1: a 2xx that crossed our BYE is acknowledged all the same
        if own.description:
            call.description = own.description
        self._calls.learn(call, response)
        call.timer.answered(response, now=now)
        self._calls.arm_session_timer(call)
        changed = CallChanged(usage=usage.id, change=own.id, refresh=own.refresh, request=request, response=response)
        self._stack.outbox.put(changed)

    def _try_again(self, call: Call, own: OwnChange, arrival: ResponseArrived, now: float) -> bool:
        """Arrange another attempt where the response leaves one; tell whether it does."""
        response, method = arrival.response, arrival.outgoing.request.method
        if self._authorise_again(call, own, arrival, now):
            return True
        if response is None or own.attempts >= _MOST_ATTEMPTS:
            return False
        if arrival.status == 491 and own.attempts < 2:
            self._calls.changes.set(call.usage.id, now + self._pause(call))
            return True
        if arrival.status in (500, 503) and own.attempts < 2:
            seconds = read_retry_after(response.headers.get("Retry-After"))
            if seconds is None or seconds > _LONGEST_RETRY_AFTER:
                return False
            self._calls.changes.set(call.usage.id, now + seconds)
            return True
        if arrival.status == 422 and call.timer.too_short(response):
            # RFC 4028 7.3: the request is tried again with the Min-SE of the 422.
            self._advance(call, now)
            return True
        if arrival.status in (405, 501) and method == "UPDATE" and own.method is None:
            call.allowed -= {"UPDATE"}
            self._advance(call, now)
            return True
        return False

    def _authorise_again(self, call: Call, own: OwnChange, arrival: ResponseArrived, now: float) -> bool:
        """Send a change again with the credentials that its 401 or 407 asks for; False when that is of no use.

        It is no further attempt: how often a challenge is answered is bounded by itself.
        """
        dialog = call.usage.dialog
        if dialog is None:
            return False
        again = answer_challenge(arrival, call.responder, sequence=dialog.local_sequence + 1)
        if again is None:
            return False
        dialog.local_sequence += 1
        self._start(call, own, again, dialog, now)
        return True

    def _fail(self, call: Call, own: OwnChange, arrival: ResponseArrived, now: float) -> None:
        call.own = None
        refused = ChangeRefused(
            usage=call.usage.id,
            change=own.id,
            refresh=own.refresh,
            request=arrival.outgoing.request,
            status=arrival.status,
            reason=arrival.reason,
            local=arrival.response is None,
        )
        self._stack.outbox.put(refused)
        if arrival.status in (408, 481):
            # RFC 3261 12.2.1.2: 481, 408 or no answer at all: the peer has left the dialog. RFC 4028 10 says the same
            # of a refresh.
            reason = "session-timer" if own.refresh else "peer-gone"
            self._calls.hang_up(call, now=now, refusal=BUSY, reason=reason)


def _peer_is_busy_with(call: Call) -> bool:
    """Tell whether an offer of the peer's waits for our answer, or our answer for its ACK."""
    return call.offer is not None or call.usage.offer_pending
