"""How an endpoint shows itself: Via, Contact, capabilities, and the responses that carry them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.sip.advertised import Advertised, advertised
from siprec_core.sip.authentication import DigestRule
from siprec_core.sip.authorisation import DigestUser
from siprec_core.sip.dialog import Dialog, joined_session_id
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response
from siprec_core.sip.reply import respond
from siprec_core.sip.session_timer import DEFAULT_TIMERS, TimerPolicy
from siprec_core.sip.transaction_layer import IncomingRequest
from siprec_core.sip.transport import Hop
from siprec_core.sip.uas import ACCEPTED_TYPES, ALLOWED, Refusal
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address, Flow, Listening, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """What an endpoint is."""

    product: str
    """Text of Server and User-Agent header fields."""
    feature_tag: str
    """`+sip.srs` or `+sip.src` (RFC 7866 sections 6.1.1, 6.2), put on every Contact."""
    understood: frozenset[str]
    """Option tags, lower case, that peers may require."""
    supported: tuple[str, ...] = ()
    """Option tags of the Supported header field."""
    supported_when_called: tuple[str, ...] = ()
    """Option tags that responses list besides: what we apply as the called side only."""
    advertise: str | None = None
    """Host for Via and Contact in place of the local address (NAT)."""
    advertise_by_listener: tuple[Advertised, ...] = ()
    """The same for single listeners, before `advertise`; the first that fits counts."""
    timers: TimerPolicy = DEFAULT_TIMERS
    """What we want of session timers (RFC 4028)."""
    large_over_tcp: bool = False
    """Send requests of more than 1,300 octets over TCP where UDP was chosen (RFC 3261 section 18.1.1)."""
    decline: Callable[[Response, str], bytes] | None = None
    """Writes, for our host, the answer that refuses every line of the offer in a 2xx: it goes into the ACK before a BYE
    (RFC 3261 13.2.2.4). Needed by who calls without an offer; it never raises, and gives nothing without an offer."""
    strict: bool = False
    """Refuse what is against the grammar instead of tolerating it."""
    authentication: tuple[DigestRule, ...] = ()
    """Whose requests are challenged; the first rule that fits a request counts."""
    credentials: DigestUser | None = None
    """Who we are when a request of ours is challenged."""
    limits: Limits = Limits()


def bracketed(host: str) -> str:
    """Write a host for a URI or Via: IPv6 in brackets (RFC 3261 section 25.1)."""
    return f"[{host}]" if ":" in host else host


def advertised_host(config: EndpointConfig, transport: Transport, local: Address) -> str:
    """Give the host that Via and Contact name for what we hear at `local`."""
    return advertised(config.advertise_by_listener, transport, local) or config.advertise or local.host


def contact(config: EndpointConfig, flow: Flow, *, secure: bool = False) -> str:
    """Give our Contact for a dialog along `flow`, with the feature tag outside the brackets (RFC 7866 6.1.1)."""
    host = bracketed(advertised_host(config, flow.transport, flow.local))
    scheme = "sips" if secure else "sip"
    suffix = "" if flow.transport is Transport.UDP or secure else f";transport={flow.transport.value}"
    return f"<{scheme}:{host}:{flow.local.port}{suffix}>;{config.feature_tag}"


def via(config: EndpointConfig, transport: Transport, local: Address, branch: str) -> str:
    """Give our Via with a fresh branch; rport asks for answers to where we send from (RFC 3581 section 3)."""
    host = bracketed(advertised_host(config, transport, local))
    return f"SIP/2.0/{transport.via_name} {host}:{local.port};branch={branch};rport"


def sent_by(listening: Sequence[Listening], hop: Hop, default: Address) -> Address:
    """Tell what Via and Contact of a request to `hop` name: where we listen over its transport, in its family.

    Over a transport without listener that is one of our addresses with the usual port: requests of the peer then come
    along the connection, which stays open as long as the dialog. `default` counts when nothing fits.
    """
    family = [each for each in listening if (":" in each.address.host) is (":" in hop.remote.host)]
    for each in family:
        if each.transport is hop.transport:
            return each.address
    return Address(family[0].address.host, hop.transport.default_port) if family else default


def asks_for_sips(request: Request) -> bool:
    """Tell whether the Contact of our answer "MUST be a SIPS URI" (RFC 3261 12.1.1).

    So it is for a SIPS Request-URI, top Record-Route or, without a Record-Route, Contact.
    """
    try:
        further = request.record_routes[:1] or request.contacts[:1]
    except RemoteProtocolError:
        further = []
    return any(uri[:5].lower() == "sips:" for uri in (request.uri, *(address.uri for address in further)))


def leads_to_sips(request: Request) -> bool:
    """Tell whether our Contact in a request of ours "MUST contain a SIPS URI" (RFC 3261 8.1.1.8).

    So it is for a SIPS Request-URI or top Route.
    """
    return any(uri[:5].lower() == "sips:" for uri in (request.uri, *(route.uri for route in request.routes[:1])))


def next_hop(dialog: Dialog) -> Hop:
    """Tell where a request within the dialog goes: top route or remote target, when its host is an address.

    A host name, or a URI that cannot be read, leads back to where the peer's last message came from.
    """
    flow = dialog.flow
    try:
        uri = SipUri.parse(dialog.next_hop_uri())
        host = str(ip_address(uri.host))
    except (RemoteProtocolError, ValueError):
        return Hop(flow.transport, flow.remote)
    transport = uri.transport or flow.transport
    if uri.scheme == "sips":
        transport = Transport.TLS
    return Hop(transport, Address(host, uri.port or transport.default_port), uri.host)


def add_capabilities(config: EndpointConfig, headers: Headers, *, called: bool = False) -> None:
    """Add Allow, Accept and Supported to a request or, as the `called` side, a response (RFC 3261 11.2, 13.2.1)."""
    headers.add("Allow", ", ".join(ALLOWED))
    headers.add("Accept", ", ".join(ACCEPTED_TYPES))
    supported = (*config.supported, *(config.supported_when_called if called else ()))
    if supported:
        headers.add("Supported", ", ".join(supported))


def success(config: EndpointConfig, incoming: IncomingRequest, *, body: bytes, content_type: str) -> Response:
    """Build a 200 that forms or refreshes a dialog: Record-Route copied in order, our Contact (RFC 3261 12.1.1)."""
    response = _within_dialog(config, incoming, 200)
    if body:
        response.headers.add("Content-Type", content_type)
        response.body = body
    return response


def progress(config: EndpointConfig, incoming: IncomingRequest, number: int | None) -> Response:
    """Build a 183 that forms an early dialog; a reliable one has the RSeq `number` (RFC 3262 section 3)."""
    # RFC 7866 6.2: the feature tag stands on the Contact of a 1xx that forms a dialog, too.
    response = _within_dialog(config, incoming, 183)
    if number is not None:
        response.headers.add("Require", "100rel")
        response.headers.add("RSeq", str(number))
    return response


def _within_dialog(config: EndpointConfig, incoming: IncomingRequest, status: int) -> Response:
    request = incoming.request
    response = answer(config, incoming, status)
    for value in request.headers.get_all("Record-Route"):
        response.headers.add("Record-Route", value)
    response.headers.add("Contact", contact(config, incoming.flow, secure=asks_for_sips(request)))
    add_capabilities(config, response.headers, called=True)
    return response


def failure(config: EndpointConfig, incoming: IncomingRequest, refusal: Refusal) -> Response:
    """Build the error response of a refusal."""
    response = answer(config, incoming, refusal.status, refusal.reason)
    for name, value in refusal.headers:
        response.headers.add(name, value)
    return response


def answer(config: EndpointConfig, incoming: IncomingRequest, status: int, reason: str | None = None) -> Response:
    """Build a response with our To tag and our name."""
    response = respond(incoming.request, status, reason=reason, to_tag=incoming.local_tag)
    response.headers.add("Server", config.product)
    session_id = joined_session_id(incoming.request, incoming.local_tag)
    if session_id is not None:
        response.headers.add("Session-ID", session_id)
    return response
