"""Single questions to a server: does it answer OPTIONS, does it take connections, which certificate does it show."""

import os
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TypeGuard

from siprec_core.entropy import Ids
from siprec_core.limits import Limits
from siprec_core.recording.call import address_of_record
from siprec_core.sip.framing import MessageFramer
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response
from siprec_core.sip.parser import parse_datagram
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Transport
from siprec_sync.datagrams import address_of
from siprec_sync.listeners import reason_of

_T1 = 0.5
"""First interval between repetitions of a request (RFC 3261 section 17.1.2.1)."""
_T2 = 4.0
_READ_SIZE = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a TLS server showed."""

    version: str
    cipher: str
    subject: str
    issuer: str
    expires: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a question."""

    response: Response | None = None
    error: str | None = None
    """Why there is no response."""
    seconds: float = 0.0
    certificate: Certificate | None = None
    """Of a server whose certificate was checked."""
    certificate_error: str | None = None
    """Why its certificate was not trusted."""


def ask_options(hop: Hop, uri: str, *, timeout: float, context: ssl.SSLContext | None = None) -> Answer:
    """Send OPTIONS (RFC 3261 section 11) and wait for the final response; `context` is for TLS."""
    began = time.monotonic()
    try:
        if hop.transport is Transport.UDP:
            response = _ask_datagram(hop, uri, began + timeout)
            return Answer(response=response, seconds=time.monotonic() - began)
        with socket.create_connection(hop.remote, timeout) as plain:
            if context is None:
                response = _ask_stream(plain, hop, uri, began + timeout)
                return Answer(response=response, seconds=time.monotonic() - began)
            with context.wrap_socket(plain, server_hostname=hop.server_name) as secure:
                certificate = _certificate_of(secure)
                response = _ask_stream(secure, hop, uri, began + timeout)
                return Answer(response=response, seconds=time.monotonic() - began, certificate=certificate)
    except ssl.SSLCertVerificationError as error:
        return Answer(error="its certificate is not trusted", certificate_error=error.verify_message)
    except TimeoutError:
        return Answer(error="no answer", seconds=time.monotonic() - began)
    except OSError as error:
        return Answer(error=reason_of(error), seconds=time.monotonic() - began)


def takes_connections(remote: Address, *, timeout: float) -> bool:
    """Tell whether a TCP connection can be made."""
    try:
        socket.create_connection(remote, timeout).close()
    except OSError:
        return False
    return True


def _ask_datagram(hop: Hop, uri: str, until: float) -> Response:
    family = socket.AF_INET6 if ":" in hop.remote.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(hop.remote)
        request = _options(hop, uri, address_of(sock.getsockname()))
        data, interval = request.to_bytes(), _T1
        while (left := until - time.monotonic()) > 0:
            sock.send(data)
            sock.settimeout(min(interval, left))
            try:
                while True:
                    message = parse_datagram(sock.recv(_READ_SIZE), limits=Limits())
                    if _is_final(message, request):
                        return message
            except TimeoutError:
                interval = min(2 * interval, _T2)
    raise TimeoutError


def _ask_stream(sock: socket.socket, hop: Hop, uri: str, until: float) -> Response:
    request = _options(hop, uri, address_of(sock.getsockname()))
    sock.sendall(request.to_bytes())
    framer = MessageFramer(Limits())
    while (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        data = sock.recv(_READ_SIZE)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        framer.receive(data)
        while (message := framer.poll()) is not None:
            if _is_final(message, request):
                return message
    raise TimeoutError


def _is_final(message: object, request: Request) -> TypeGuard[Response]:
    if not isinstance(message, Response) or message.status < 200:
        return False
    return message.headers.get("Call-ID") == request.headers.get("Call-ID")


def _options(hop: Hop, uri: str, local: Address) -> Request:
    ids = Ids(os.urandom)
    headers = Headers()
    headers.add("Via", f"SIP/2.0/{hop.transport.via_name} {local};branch={ids.branch()};rport")
    headers.add("Max-Forwards", "70")
    headers.add("From", f"<sip:siprec@{local}>;tag={ids.tag()}")
    headers.add("To", f"<{address_of_record(uri)}>")
    headers.add("Call-ID", ids.call_id())
    headers.add("CSeq", "1 OPTIONS")
    headers.add("Contact", f"<sip:siprec@{local};transport={hop.transport.value}>;+sip.src")
    headers.add("Accept", "application/sdp")
    headers.add("User-Agent", "siprec")
    return Request("OPTIONS", uri, headers)


def _certificate_of(sock: ssl.SSLSocket) -> Certificate | None:
    shown = sock.getpeercert()
    if not shown:
        return None
    cipher = sock.cipher()
    names = shown.get("subjectAltName", ())
    return Certificate(
        version=sock.version() or "",
        cipher="" if cipher is None else cipher[0],
        subject=_common_name(shown.get("subject", ())),
        issuer=_common_name(shown.get("issuer", ())),
        expires=str(shown.get("notAfter", "")),
        names=tuple(str(each[1]) for each in names if len(each) == 2),
    )


def _common_name(parts: object) -> str:
    pairs = [pair for part in parts if isinstance(part, tuple) for pair in part] if isinstance(parts, tuple) else []
    return next((str(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == "commonName"), "")
