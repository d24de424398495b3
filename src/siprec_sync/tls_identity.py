"""Whose certificate it is: the rules of RFC 5922 for SIP, which are stricter than those of the web."""

import ssl
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.uri import SipUri


class DomainContext(ssl.SSLContext):
    """A context for connections of ours whose peer has to show a certificate of the very name that is called."""


def is_for(name: str, certificate: Mapping[str, Any]) -> bool:
    """Tell whether a certificate, as `getpeercert` gives it, is that of the SIP domain, host or address `name`.

    RFC 5922 7.2: names are compared whole and without regard to case; a wildcard MUST NOT match.
    """
    wanted = _canonical(name)
    return wanted != "" and wanted in (_canonical(identity) for identity in identities(certificate))


def identities(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Give the names of a certificate (RFC 5922 section 7.1).

    `sip` URIs without a user and DNS names of subjectAltName, and addresses for those who are called by address; the
    common name of the subject only where there is no subjectAltName.
    """
    alternatives = certificate.get("subjectAltName", ())
    for kind, value in sorted(alternatives, key=lambda entry: entry[0] != "URI"):
        if kind in ("DNS", "IP Address"):
            yield value
        elif kind == "URI" and (domain := _domain_of(value)) is not None:
            yield domain
    if alternatives:
        return
    for relative_name in certificate.get("subject", ()):
        for kind, value in relative_name:
            if kind == "commonName":
                yield value


def _domain_of(text: str) -> str | None:
    try:
        uri = SipUri.parse(text)
    except RemoteProtocolError:
        return None
    return uri.host if uri.scheme == "sip" and uri.user is None else None


def _canonical(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        return name.rstrip(".").lower()
