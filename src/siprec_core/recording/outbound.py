"""Recording sessions that the server begins (RFC 7866 section 6.2): the INVITE, and what the answer to it has to be."""

from dataclasses import dataclass

from siprec_core.entropy import Ids
from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.recording.call import address_of_record
from siprec_core.recording.policy import is_from_server
from siprec_core.recording.request import RecordingResponse
from siprec_core.recording.signalling import read_description
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import AnswerPlan, LinePlan, build_answer
from siprec_core.sip.fields import NameAddr
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response
from siprec_core.sip.transport import Hop
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSpec:
    """A recording client to be asked for a recording session."""

    uri: str
    """Request-URI: the recording client's."""
    hop: Hop
    """Where to send: transport, numeric address, TLS name."""
    local: Address | None = None
    """Our signalling address: what Via and Contact name and datagrams leave from. For None frontends put in that of
    their listener; the core needs it."""
    from_uri: str = "sip:siprec@localhost"
    """Address of the recording server."""
    answer_seconds: float = 60.0
    """How long the client may take to answer, ringing included; then the call is cancelled."""


def invite_without_offer(spec: RecordSpec, *, ids: Ids) -> Request:
    """Write the INVITE of a recording session that we begin, but for Via and Contact.

    Raises LocalProtocolError for a URI that cannot be written.
    """
    headers = Headers()
    headers.add("Max-Forwards", "70")
    # RFC 7866 6.2: From identifies the recording server, To the client, when the server sends the INVITE.
    headers.add("From", f"<{spec.from_uri}>;tag={ids.tag()}")
    headers.add("To", f"<{address_of_record(spec.uri)}>")
    headers.add("Call-ID", ids.call_id())
    headers.add("CSeq", "1 INVITE")
    # RFC 7866 6.2: the SRS "MUST" list siprec in Require when it starts a recording session.
    headers.add("Require", "siprec")
    # RFC 7866 7.2: it "MUST" send the INVITE without an SDP offer: which streams there are is the client's to say.
    invite = Request("INVITE", spec.uri, headers)
    try:
        SipUri.parse(spec.uri)
        NameAddr.parse(f"<{spec.from_uri}>")
    except RemoteProtocolError as error:
        raise LocalProtocolError(f"the call cannot be made: {error}") from error
    invite.to_bytes()
    return invite


def refuse_answer(read: RecordingResponse, *, strict: bool) -> str | None:
    """Tell why a 2xx to our INVITE begins no recording session; None when it does.

    A client shows itself by `+sip.src` on its Contact (RFC 7866 section 6.1.1). Outside strict mode another form of the
    tag, or metadata, will do.
    """
    marks, server = read.marks, is_from_server(read.response)
    if server or not (marks.standard_tag if strict else marks.feature_tag or marks.metadata):
        return "the answer is not that of a recording client"
    if read.offer is None and read.refusal is not None:
        return f"the answer cannot be read: {read.refusal.reason or read.refusal.status}"
    if read.offer is None:
        return "the answer brings no SDP offer"
    return None


def decline(response: Response, host: str, *, ids: Ids, limits: Limits) -> bytes:
    """Write the answer that refuses every line of the offer in a 2xx, empty when there is none that can be read.

    RFC 3261 13.2.2.4: an offer that is not acceptable gets "a valid answer in the ACK" before the BYE.
    """
    offer = read_description(response, limits=limits)
    if offer is None:
        return b""
    lines = tuple(_declined(offer, index) for index in range(len(offer.media)))
    plan = AnswerPlan(lines=lines, findings=())
    return build_answer(offer, plan, ports={}, address=host, session_id=ids.sdp_session()).to_bytes()


def _declined(offer: SessionDescription, index: int) -> LinePlan:
    media = offer.media[index]
    return LinePlan(
        index=index,
        accepted=False,
        refusal="declined",
        media=media.media,
        protocol=media.protocol,
        formats=(),
        direction="inactive",
        label=media.label,
        ptime=None,
        rtcp_mux=False,
        remote_rtp=None,
        remote_rtcp=None,
    )


def agent_of(message: Request | Response) -> str | None:
    """Give the product that a message names: User-Agent of a request, Server of a response (RFC 3261 20.35, 20.41)."""
    agent = message.headers.get("User-Agent")
    return message.headers.get("Server") or agent if isinstance(message, Response) else agent
