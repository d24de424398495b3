"""The option tag `record-aware`: a user agent that shows its user what `a=record` tells (RFC 7866 section 6.3)."""

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response

RECORD_AWARE = "record-aware"


def is_record_aware(message: Request | Response) -> bool:
    """Tell whether the sender of a message of the communication session lists `record-aware` in Supported."""
    try:
        return RECORD_AWARE in message.supported
    except RemoteProtocolError:
        return False


def add_record_aware(headers: Headers) -> None:
    """List `record-aware` in Supported, once.

    RFC 7866 6.3: a recording-aware UA "MUST" do so in its initial INVITE or in the response to one.
    """
    tags = headers.values("Supported")
    if RECORD_AWARE not in (tag.lower() for tag in tags):
        headers.set("Supported", ", ".join((*tags, RECORD_AWARE)))
