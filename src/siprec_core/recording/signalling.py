"""The SIP of a capture: messages out of datagrams and TCP streams, and the exchanges of one call out of messages.

Nothing is refused here and nothing answered: what was answered 2xx happened, the rest did not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from siprec_core.containers.capture import Datagram
from siprec_core.errors import NegotiationError, RemoteProtocolError
from siprec_core.findings import Finding
from siprec_core.limits import Limits
from siprec_core.recording.policy import is_from_server
from siprec_core.recording.request import (
    RecordingRequest,
    RecordingResponse,
    read_answer_of_client,
    read_request,
)
from siprec_core.sdp.crypto import SrtpPolicy, accepted_crypto
from siprec_core.sdp.formats import Codec
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import Answered as Negotiated
from siprec_core.sdp.negotiation import AnswerPlan, LinePlan, plan_answer
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sdp.rules import media_addresses
from siprec_core.sip.framing import MessageFramer
from siprec_core.sip.message import Request, Response
from siprec_core.sip.multipart import parse_body
from siprec_core.sip.parser import parse_datagram
from siprec_core.types import Address

_STREAMS = 256
"""Directions of TCP connections followed at a time."""
CALLS: Final = 64
"""Calls of a capture that are followed until one turns out to be a recording that was answered."""
_EXCHANGES = 64
"""Requests of one call that wait for their answer, or whose repetitions are known."""
_METHODS = frozenset(("INVITE", "UPDATE", "INFO", "BYE"))
"""Requests that say something about a recording."""
SDP_TYPE = "application/sdp"


@dataclass(frozen=True, slots=True)
class SeenMessage:
    """One SIP message as it went by."""

    at_ns: int
    transport: str
    """`udp` or `tcp`."""
    source: Address
    destination: Address
    message: Request | Response
    raw: bytes
    """Its octets."""


class SignallingReader:
    """Finds SIP messages in what a capture holds; anything else is passed over."""

    __slots__ = ("_framers", "_limits")

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._framers: dict[tuple[Address, Address], MessageFramer] = {}

    def receive(self, datagram: Datagram) -> Iterator[SeenMessage]:
        """Take a datagram or a piece of a stream, give the messages that it completes."""
        if datagram.transport == "udp":
            if looks_like_sip(datagram.payload):
                message = parse_datagram(datagram.payload, limits=self._limits)
                if isinstance(message, Request | Response):
                    yield _seen(datagram, message, datagram.payload)
            return
        framer = self._framer(datagram)
        framer.receive(datagram.payload)
        while (item := framer.poll()) is not None:
            if isinstance(item, Request | Response):
                yield _seen(datagram, item, framer.raw_head + item.body)

    def _framer(self, datagram: Datagram) -> MessageFramer:
        key = (datagram.source, datagram.destination)
        framer = self._framers.get(key)
        if framer is None or datagram.restart:
            if len(self._framers) >= _STREAMS:
                del self._framers[next(iter(self._framers))]
            framer = self._framers[key] = MessageFramer(self._limits)
        return framer


def looks_like_sip(payload: bytes) -> bool:
    """Tell a SIP message from other datagrams by its first octet and its version."""
    return len(payload) > 12 and payload[0] in _FIRST_OCTETS and b"SIP/2.0" in payload[:2_048].upper()


_FIRST_OCTETS = frozenset(b"\r\n") | frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def _seen(datagram: Datagram, message: Request | Response, raw: bytes) -> SeenMessage:
    return SeenMessage(datagram.at_ns, datagram.transport, datagram.source, datagram.destination, message, raw)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the call, when it was seen first."""

    request: Request
    read: RecordingRequest
    at_ns: int
    from_client: bool
    """The recording client sent it."""
    first: bool
    """It is the INVITE that began the call."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A request of the call was answered 2xx, or the ACK brought the answer to an offer in the 2xx."""

    at_ns: int
    first: bool
    """It was the INVITE that began the call."""
    offer: SessionDescription | None
    """What the recording client described, None without a complete exchange."""
    answer: SessionDescription | None
    """What the recording server described."""
    by_server: bool = True
    """The recording server sent the message that answers."""
    read: RecordingRequest | None = None
    """The request of the recording client that this answers for the first time."""
    brought: RecordingResponse | None = None
    """The 2xx of a recording client to the INVITE with which the server began the call: its findings and metadata."""


class _Pending:
    __slots__ = ("description", "done", "first", "from_client", "late", "read")

    def __init__(self, asked: Asked) -> None:
        self.description = asked.read.offer
        self.from_client = asked.from_client
        self.read = asked.read if asked.from_client else None
        self.first = asked.first
        self.done = False
        self.late: SessionDescription | None = None
        """Offer of the 2xx, which waits for the ACK."""


class CallReader:
    """Follows the requests of one Call-ID from its INVITE on."""

    __slots__ = (
        "_begun",
        "_caller_tag",
        "_limits",
        "_pending",
        "answer",
        "call_id",
        "client_tag",
        "invite",
        "local_tag",
        "seen",
        "server_started",
    )

    def __init__(
        self, seen: SeenMessage, invite: Request, *, limits: Limits, server_started: bool | None = None
    ) -> None:
        """`invite` is the message of `seen`, and its mandatory fields can be read.

        `server_started` tells that the recording server sent it, where that is known; else the feature tag of an INVITE
        without offer does (RFC 7866 sections 6.2, 7.2).
        """
        self._limits = limits
        self._begun = False
        self.seen = seen
        """The INVITE as it went by."""
        self.invite = invite
        self.call_id = invite.call_id
        self._caller_tag = invite.from_.tag or ""
        by_tag = is_from_server(invite) and not invite.body
        self.server_started = by_tag if server_started is None else server_started
        """The recording server sent the INVITE."""
        self.client_tag = "" if self.server_started else self._caller_tag
        """The client's tag; one that was called gives it in the 2xx, before that in any answer."""
        self.local_tag = self._caller_tag if self.server_started else ""
        """The server's tag; as `client_tag`."""
        self.answer: Response | None = None
        """The 2xx to the INVITE that began the call."""
        self._pending: dict[tuple[int, str, bool], _Pending] = {}

    @property
    def recording_id(self) -> str:
        """The `id` of a recording of this call that is not our own: the same for every capture of it."""
        name = f"{self.call_id}\n{self.client_tag}".encode("utf-8", "surrogatepass")
        return sha256(name).hexdigest()[:32]

    def receive(self, seen: SeenMessage) -> Asked | Answered | None:
        """Take a message of the call; tell what it means, None for repetitions and what means nothing here."""
        message = seen.message
        try:
            number, method = message.cseq.number, message.cseq.method
            from_client = ((message.from_.tag or "") == self._caller_tag) is not self.server_started
            tag = message.to.tag
        except RemoteProtocolError:
            return None
        if isinstance(message, Response):
            return self._receive_response(message, (number, method, from_client), tag, seen.at_ns)
        if method == "ACK":
            return self._receive_ack(message, (number, "INVITE", from_client), seen.at_ns)
        key = (number, method, from_client)
        if method not in _METHODS or key in self._pending:
            return None
        if len(self._pending) >= _EXCHANGES:
            del self._pending[next(iter(self._pending))]
        read = read_request(message, limits=self._limits, strict=False)
        # An INVITE that got 401, 407 or 422 comes again with a higher number: it begins the call as the first did.
        first = method == "INVITE" and not self._begun and from_client is not self.server_started
        asked = Asked(message, read, seen.at_ns, from_client, first)
        if first:
            self._begun, self.seen, self.invite = True, seen, message
        self._pending[key] = _Pending(asked)
        return asked

    def _receive_response(
        self, response: Response, key: tuple[int, str, bool], tag: str | None, at_ns: int
    ) -> Answered | None:
        pending = self._pending.get(key)
        if pending is None:
            return None
        success = 200 <= response.status < 300
        if pending.first and tag:
            self._answered_with(tag, final=success)
        if pending.first and response.status >= 300 and not pending.done:
            # 401, 407 or 422: the caller may call once more, with the same Call-ID (RFC 3261 22.2, RFC 4028 7.3).
            self._begun, pending.done = False, True
        if not success or pending.done:
            return None
        pending.done = True
        brought = None
        if pending.first:
            self.answer = response
            if self.server_started:
                brought = read_answer_of_client(response, limits=self._limits, strict=False)
        description = read_description(response, limits=self._limits)
        if key[1] == "INVITE" and pending.description is None and description is not None:
            # RFC 3261 13.2.1: an INVITE without offer gets it in the 2xx and has its answer in the ACK.
            pending.late = description
            return Answered(at_ns, pending.first, None, None, pending.from_client, pending.read, brought)
        answered = _answered(pending, at_ns, pending.description, description)
        return replace(answered, read=pending.read, brought=brought)

    def _answered_with(self, tag: str, *, final: bool) -> None:
        if self.server_started:
            self.client_tag = tag if final else self.client_tag or tag
        else:
            self.local_tag = tag if final else self.local_tag or tag

    def _receive_ack(self, ack: Request, key: tuple[int, str, bool], at_ns: int) -> Answered | None:
        pending = self._pending.get(key)
        if pending is None or pending.late is None:
            return None
        description, pending.late = pending.late, None
        event = _answered(pending, at_ns, read_description(ack, limits=self._limits), description)
        return replace(event, by_server=not pending.from_client)


def _answered(
    pending: _Pending,
    at_ns: int,
    asked: SessionDescription | None,
    answered: SessionDescription | None,
) -> Answered:
    offer, answer = (asked, answered) if pending.from_client else (answered, asked)
    if offer is None or answer is None:
        offer = answer = None
    return Answered(at_ns, pending.first, offer, answer, pending.from_client)


class CallFinder:
    """Picks the recording call of a capture: the first one that shows itself as such and is answered."""

    __slots__ = ("_calls", "_limits", "at_once", "call", "server_started")

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._calls: dict[str, tuple[CallReader, list[Asked]]] = {}
        """Calls that were not answered yet, with the requests seen of them."""
        self.at_once = False
        """Take the first call, whatever becomes of it: the capture is a journal of ours."""
        self.server_started: bool | None = None
        """Who began the call, where the capture tells."""
        self.call: CallReader | None = None
        """The call that was picked."""

    def receive(self, seen: SeenMessage) -> Sequence[Asked | Answered]:
        """Take a message; give what it means for the recording call, with all that came before when that is picked."""
        call_id = seen.message.headers.get("Call-ID") or ""
        if self.call is not None:
            event = self.call.receive(seen) if call_id == self.call.call_id else None
            return () if event is None else (event,)
        known = self._calls.get(call_id) or self._begin(call_id, seen)
        if known is None:
            return ()
        call, asked = known
        event = call.receive(seen)
        if isinstance(event, Answered) and event.first and asked and asked[0].read.marks.any:
            self._pick(call)
            return (*asked, event)
        if isinstance(event, Asked) and self.at_once:
            self._pick(call)
            return (event,)
        if isinstance(event, Asked) and event.first:
            asked.clear()
        if isinstance(event, Asked) and len(asked) < _EXCHANGES:
            asked.append(event)
        return ()

    def settle(self) -> Sequence[Asked]:
        """Pick the first call when none was answered: what it asked for is all there is."""
        if self.call is not None or not self._calls:
            return ()
        call, asked = next(iter(self._calls.values()))
        self._pick(call)
        return asked

    def _begin(self, call_id: str, seen: SeenMessage) -> tuple[CallReader, list[Asked]] | None:
        message = seen.message
        if not isinstance(message, Request) or message.method != "INVITE":
            return None
        try:
            call = CallReader(seen, message, limits=self._limits, server_started=self.server_started)
        except RemoteProtocolError:
            return None
        if len(self._calls) >= CALLS:
            del self._calls[next(iter(self._calls))]
        self._calls[call_id] = (call, [])
        return self._calls[call_id]

    def _pick(self, call: CallReader) -> None:
        self.call = call
        self._calls.clear()


def read_description(message: Request | Response, *, limits: Limits) -> SessionDescription | None:
    """Read the first session description of a body, None when there is none that can be read."""
    for part in parse_body(message, limits=limits).leaves():
        if part.content_type.media_type == SDP_TYPE:
            try:
                return parse_sdp(part.decoded(), limits=limits).description
            except RemoteProtocolError:
                return None
    return None


def offer_findings(
    offer: SessionDescription, plan: AnswerPlan, previous: Negotiated | None, *, keys_protected: bool = True
) -> tuple[Finding, ...]:
    """Give what was found when the offer was answered: what planning with codecs and suites of the answer finds.

    `keys_protected` false tells that the offer came over signalling that others can read (RFC 4568 section 8.3).
    """
    suites = tuple(line.crypto.suite for line in plan.accepted if line.crypto is not None)
    policy = SrtpPolicy.OFF if not suites else SrtpPolicy.ALLOW
    if plan.accepted and len(suites) == len(plan.accepted):
        policy = SrtpPolicy.REQUIRE
    codecs = [Codec(each.encoding, each.clock_rate, each.channels) for line in plan.lines for each in line.formats]
    try:
        return plan_answer(
            offer, codecs=codecs, previous=previous, srtp=policy, suites=suites, keys_protected=keys_protected
        ).findings
    except NegotiationError:
        return ()


def plan_of(offer: SessionDescription, answer: SessionDescription) -> AnswerPlan:
    """Give the plan that an answer carried out: the client's description is the offer, the server's the answer."""
    lines = [_line_plan(offer, answer, index) for index in range(min(len(offer.media), len(answer.media)))]
    return AnswerPlan(lines=tuple(lines), findings=())


def _line_plan(offer: SessionDescription, answer: SessionDescription, index: int) -> LinePlan:
    offered, answered = offer.media[index], answer.media[index]
    accepted = bool(offered.port and answered.port and answered.is_rtp and answered.media == "audio")
    rtcp_mux = accepted and answered.rtcp_mux
    known = {format_.payload_type: format_ for format_ in (*answered.media_formats(), *offered.media_formats())}
    # What was offered tells the parameters: they are the sender's.
    formats = tuple(known[number] for number in answered.payload_types if number in known) if accepted else ()
    rtp, rtcp = media_addresses(offer, offered, rtcp_mux=rtcp_mux, allow_loopback=True) if accepted else (None, None)
    # Media comes only where both say so: a client that answers an offer of ours may hold what we want.
    sends = offer.direction_of(offered) in {"sendonly", "sendrecv"}
    receives = sends and answer.direction_of(answered) in {"recvonly", "sendrecv"}
    return LinePlan(
        index=index,
        accepted=accepted,
        refusal=None if accepted else "refused",
        media=offered.media,
        protocol=offered.protocol,
        formats=formats,
        direction="recvonly" if accepted and receives else "inactive",
        # A client that answers our offer need not repeat the labels.
        label=offered.label or answered.label,
        ptime=offered.ptime if accepted else None,
        rtcp_mux=rtcp_mux,
        remote_rtp=rtp,
        remote_rtcp=rtcp,
        crypto=accepted_crypto(offered.crypto_attributes, answered.crypto_attributes) if accepted else None,
    )
