"""A header value is refused with RemoteProtocolError, or read, written, and read again as the same value."""

import sys
from collections.abc import Callable

from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.sip.fields import ContentDisposition, ContentType, CSeq, NameAddr, Via
from siprec_core.sip.info import read_digit
from siprec_core.sip.message import Request
from siprec_core.sip.parameters import Parameters
from siprec_core.sip.parser import parse_datagram
from siprec_core.sip.session_timer import SessionExpires, min_se_of, session_expires_of
from siprec_core.sip.uas import refusal_of
from siprec_core.sip.uri import SipUri, same_uri

LIMITS = Limits()
READERS: tuple[Callable[[str], object], ...] = (
    Via.parse,
    NameAddr.parse,
    CSeq.parse,
    ContentType.parse,
    ContentDisposition.parse,
    Parameters.parse,
    SipUri.parse,
    SessionExpires.parse,
)
NAMES = ("Contact", "Record-Route", "Route", "Via", "Supported", "Require", "Allow", "Session-Expires", "Min-SE")


def check(data: bytes) -> None:
    for text in data.decode("utf-8", "surrogateescape").split("\n"):
        for reader in READERS:
            check_reader(reader, text)
    check_message(data)


def check_reader(reader: Callable[[str], object], text: str) -> None:
    try:
        value = reader(text)
    except RemoteProtocolError as error:
        if not 400 <= refusal_of(error).status <= 699:
            raise AssertionError("a refusal without a status") from error
        return
    written = str(value)
    if reader(written) != value or str(reader(written)) != written:
        raise AssertionError(f"{written!r} is read as something else than {text!r}")
    if isinstance(value, SipUri) and not same_uri(value, value):
        raise AssertionError("a URI is not equal to itself")


def check_message(data: bytes) -> None:
    """Read every line as each of the fields that a request may have several times."""
    lines = [line for line in data.replace(b"\r", b"").split(b"\n") if line]
    fields = b"".join(name.encode() + b": " + line + b"\r\n" for name in NAMES for line in lines[:8])
    head = b"INFO sip:a@b SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INFO\r\n"
    message = parse_datagram(head + fields + b"Content-Type: application/dtmf-relay\r\n\r\n" + data, limits=LIMITS)
    if not isinstance(message, Request):
        return
    session_expires_of(message.headers)
    if min_se_of(message.headers) < 90:
        raise AssertionError("Min-SE below 90 seconds (RFC 4028 section 4)")
    for digit in (read_digit(message),):
        if digit is not None and digit.digit not in "0123456789*#ABCD":
            raise AssertionError("a digit that no telephone has")


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
