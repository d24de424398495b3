"""Where a call goes: TARGET of the command line to a Request-URI."""

import re

from siprec.outcome import CommandError, Exit
from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.names import numeric_host
from siprec_core.sip.transport import Hop
from siprec_core.sip.uri import SipUri
from siprec_core.types import Transport

_SCHEME = re.compile(r"sips?:", re.IGNORECASE)


def read_target(text: str) -> SipUri:
    """Read a SIP URI or HOST:PORT, parameters such as `;transport=tcp` included. Raises CommandError."""
    bare = text.strip()
    try:
        uri = SipUri.parse(bare if _SCHEME.match(bare) else f"sip:{bare}")
    except RemoteProtocolError as error:
        raise CommandError(f"target {text!r}: {error.message}; write sip:HOST:PORT or HOST:PORT") from error
    if not _SCHEME.match(bare) and ":" in bare.partition("@")[0] and "@" in bare:
        # `mailto:me@example.com` would read as a user with a password (RFC 3261 19.1.1 advises against those).
        raise CommandError(f"target {text!r}: it is no SIP URI; write sip:HOST:PORT or HOST:PORT")
    if "transport" in uri.parameters and uri.transport is None:
        raise CommandError(f"target {text!r}: the transport is udp, tcp or tls")
    if uri.scheme == "sips" and (uri.parameters.get("transport") or "").lower() == "udp":
        raise CommandError(f"target {text!r}: sips: is never sent over UDP (RFC 3261 26.2.2)")
    return uri


def may_need_tls(uri: SipUri) -> bool:
    """Tell whether a call to `uri` goes over TLS, or may do so because the DNS decides it (RFC 3263 section 4.1)."""
    if "transport" in uri.parameters or uri.scheme == "sips":
        return uri.transport is Transport.TLS
    return uri.port is None and numeric_host(uri.host) is None


def locate_hop(uri: SipUri) -> Hop:
    """Find the first place to send to by the rules of RFC 3263. Raises CommandError (69) when there is none."""
    from siprec_sync.resolver import LocationError, locate

    try:
        return locate(uri).hops[0]
    except LocationError as error:
        raise CommandError(f"{uri.host}: {error}", Exit.UNREACHABLE) from error
