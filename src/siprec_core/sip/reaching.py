"""How requests of ours reach a server: its location by name, and the next place when one fails (RFC 3263)."""

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.calls import Call, CallTable, Stack
from siprec_core.sip.endpoint_events import CallAttempted, CallRefused
from siprec_core.sip.fields import NameAddr
from siprec_core.sip.invite import UsageId, UsageInput, UsageState
from siprec_core.sip.locate import FailoverList, Located, LocationFailed
from siprec_core.sip.message import Request
from siprec_core.sip.names import RecordType
from siprec_core.sip.outgoing import failure_of, is_too_large
from siprec_core.sip.transaction_layer import ResponseArrived
from siprec_core.sip.transport import Hop
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address, Transport


class Reaching:
    """Sends the INVITEs of calls that we start, and follows requests from place to place."""

    def __init__(self, stack: Stack, calls: CallTable) -> None:
        self._stack = stack
        self._calls = calls

    def invite(self, call: Call, hop: Hop | None, *, local: Address, now: float) -> None:
        """Send the INVITE of a new call to `hop`, or to where its next hop is located."""
        call.local = local
        request = call.usage.invite
        if hop is not None:
            call.outgoing = self._stack.sender.start(request, hop, local=local, flow=None, owner=call.usage.id, now=now)
            self._tell(call)
            return
        try:
            uri = _next_hop_uri(request)
        except RemoteProtocolError as error:
            self._give_up(call, error.message, now)
            return
        listening = self._stack.sender.listening
        heard = [each.transport for each in listening]
        # Datagrams leave from a socket of ours; a connection can be opened without one.
        transports = [each for each in Transport if each.reliable or each in heard or not listening]
        hosts = dict.fromkeys(":" in host for host in [each.address.host for each in listening] or [local.host])
        self._stack.locations.locate(
            call.usage.id,
            uri,
            transports=transports,
            families=[RecordType.AAAA if six else RecordType.A for six in hosts],
            large=is_too_large(self._stack.config, request),
            secure=request.uri[:5].lower() == "sips:",
            now=now,
        )

    def located(self, owner: int, outcome: Located | LocationFailed, *, now: float) -> Call | None:
        """Take what became of locating; give the call when it stands and may go on with its requests."""
        call = self._calls.get(UsageId(owner))
        if call is None:
            return None
        if call.usage.dialog is not None:
            self._calls.located(call, outcome, now=now)
            return call
        if isinstance(outcome, LocationFailed):
            self._give_up(call, outcome.reason, now)
        elif call.outgoing is None and call.local is not None:
            places = outcome.failover()
            self._send(call, places, call.local, now)
        return None

    def fail_over(self, arrival: ResponseArrived, *, now: float) -> bool:
        """Try the next place of a request that failed; tell whether there is one.

        RFC 3263 4.3: after a 503, after no response at all, and after a failure of the transport.
        """
        failed = arrival.outgoing
        failure = failure_of(arrival)
        call = self._calls.of_owner(failed.owner)
        if failure is None or call is None:
            return False
        first = call.outgoing is failed
        changes = call.own is not None and call.own.outgoing is failed
        if first:
            if call.usage.state not in (UsageState.CALLING, UsageState.PROCEEDING):
                return False  # answered, or not wanted any more
        elif call.usage.is_over and failed.request.method != "BYE":
            return False
        again = self._stack.sender.fail_over(failed, failure, responder=call.responder, now=now)
        if again is None:
            return False
        if first:
            call.outgoing = again
            call.usage.invite = again.request
            call.usage.advance(UsageInput.RESTART, now=now)
            self._tell(call)
        elif changes and call.own is not None:
            call.own.outgoing = again
        return True

    def _send(self, call: Call, places: FailoverList, local: Address, now: float) -> None:
        call.outgoing = self._stack.sender.start_at(
            call.usage.invite, places, local=local, owner=call.usage.id, now=now
        )
        self._tell(call)

    def _tell(self, call: Call) -> None:
        if call.outgoing is not None:
            self._stack.outbox.put(CallAttempted(usage=call.usage.id, hop=call.outgoing.hop))

    def _give_up(self, call: Call, reason: str, now: float) -> None:
        """Refuse a call for which there is no place: as if its transport had failed (RFC 3261 8.1.3.1)."""
        self._stack.outbox.put(CallRefused(usage=call.usage.id, status=503, reason=reason, local=True))
        call.usage.advance(UsageInput.FAILURE, now=now)
        self._calls.settle(call, now=now)


def _next_hop_uri(request: Request) -> SipUri:
    """Give what a request is sent to: its top Route, else its Request-URI (RFC 3261 section 8.1.2).

    Raises RemoteProtocolError when that cannot be read.
    """
    routes = request.headers.values("Route")
    return SipUri.parse(NameAddr.parse(routes[0]).uri if routes else request.uri)
