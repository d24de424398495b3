"""Where the media of a captured call goes to, as its answers tell."""

from ipaddress import ip_address

from siprec_core.sdp.model import SessionDescription
from siprec_core.types import Address, Component


def media_ports(answer: SessionDescription, server: Address) -> dict[Address, tuple[int, Component | None]]:
    """Give line and component (None where both share a port) by the addresses that a recording server receives at.

    A line is received at the address of its description and, where a NAT stands between, at that of the server itself.
    """
    ports: dict[Address, tuple[int, Component | None]] = {}
    reports: dict[Address, tuple[int, Component | None]] = {}
    for index, media in enumerate(answer.media):
        connection = answer.connection_of(media)
        if not media.port or connection is None:
            continue
        for host in (_written(connection.address), server.host):
            ports[Address(host, media.port)] = (index, None if media.rtcp_mux else Component.RTP)
            if not media.rtcp_mux:
                # RFC 3550 11: "For UDP and similar protocols, RTP SHOULD use an even destination port number and the
                # corresponding RTCP stream SHOULD use the next higher (odd) destination port number"; RFC 3605
                # section 2.1 tells another.
                number = media.port + 1 if media.rtcp is None else media.rtcp.port
                reports[Address(host, number)] = (index, Component.RTCP)
    return {**reports, **ports}


def _written(host: str) -> str:
    """Write an address as captures have it: IPv6 has many spellings."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host
