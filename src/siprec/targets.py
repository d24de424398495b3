"""Where a call goes: TARGET of the command line to a Request-URI and a numeric address."""

import re
import socket

from siprec.outcome import CommandError, Exit
from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.transport import Hop
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address, Transport

_SCHEME = re.compile(r"sips?:", re.IGNORECASE)


def read_target(text: str) -> SipUri:
    """Read a SIP URI or HOST:PORT, parameters such as `;transport=tcp` included. Raises CommandError."""
    bare = text.strip()
    try:
        uri = SipUri.parse(bare if _SCHEME.match(bare) else f"sip:{bare}")
    except RemoteProtocolError as error:
        raise CommandError(f"target {text!r}: {error.message}; write sip:HOST:PORT or HOST:PORT") from error
    if "transport" in uri.parameters and uri.transport is None:
        raise CommandError(f"target {text!r}: the transport is udp, tcp or tls")
    if uri.scheme == "sips" and (uri.parameters.get("transport") or "").lower() == "udp":
        raise CommandError(f"target {text!r}: sips: is never sent over UDP (RFC 3261 26.2.2)")
    return uri


def resolve(uri: SipUri) -> Hop:
    """Look up the address of a target. Raises CommandError (69) when its name is not known."""
    transport = uri.transport or Transport.UDP
    kind = socket.SOCK_DGRAM if transport is Transport.UDP else socket.SOCK_STREAM
    port = uri.port or transport.default_port
    try:
        found = socket.getaddrinfo(uri.host, port, type=kind)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CommandError(f"{uri.host}: {reason}", Exit.UNREACHABLE) from error
    host = str(found[0][4][0])
    return Hop(transport, Address(host, port), uri.host if transport is Transport.TLS else None)
