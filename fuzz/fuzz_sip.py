"""Any datagram is a message, malformed or a keep-alive; what is a message can be answered, written and read again."""

import sys

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Malformed, Request, Response
from siprec_core.sip.parser import parse_datagram

LIMITS = Limits()
VIEWS = (
    "allow",
    "call_id",
    "contacts",
    "content_disposition",
    "content_type",
    "cseq",
    "from_",
    "max_forwards",
    "proxy_require",
    "record_routes",
    "require",
    "routes",
    "supported",
    "to",
    "top_via",
    "unsupported",
    "vias",
)


def check(data: bytes) -> None:
    for strict in (False, True):
        message = parse_datagram(data, limits=LIMITS, strict=strict)
        if message is None:
            continue
        copied = Headers(message.headers)
        if list(copied) != list(message.headers):
            raise AssertionError("a copied field is not what it was")
        if not isinstance(message, Malformed):
            check_views(message)
            check_again(message)


def check_views(message: Request | Response) -> None:
    for name in VIEWS:
        try:
            getattr(message, name)
        except RemoteProtocolError:
            continue
    headers = Headers()
    for name, value in (("Via", message.top_via), ("From", message.from_), ("To", message.to), ("CSeq", message.cseq)):
        headers.add(name, str(value))
    headers.add("Call-ID", message.call_id)
    answer = parse_datagram(Response(400, None, headers).to_bytes(), limits=LIMITS)
    if not isinstance(answer, Response) or answer.cseq != message.cseq or answer.from_ != message.from_:
        raise AssertionError("an answer made of the typed fields cannot be read")


def check_again(message: Request | Response) -> None:
    try:
        written = message.to_bytes()
    except LocalProtocolError as error:
        raise AssertionError("a message that was read cannot be written") from error
    if len(written) > LIMITS.datagram_size:
        return
    again = parse_datagram(written, limits=LIMITS)
    if not isinstance(again, type(message)) or again.body != message.body or again.to_bytes() != written:
        raise AssertionError("a written message is not what it was")


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
