"""Addresses that peers are told in place of the local one, listener by listener (NAT)."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from siprec_core.types import Address, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertised:
    """What the peers of one listener are told."""

    transport: Transport
    host: str
    """Address that the listener is bound to; a wildcard is every address of its family."""
    port: int
    """Its port; 0 is any."""
    address: str
    """Address or host name for SDP, Via and Contact."""

    def fits(self, transport: Transport, local: Address) -> bool:
        """Tell whether what came over `transport` to `local` came to this listener."""
        if transport is not self.transport or self.port not in (0, local.port):
            return False
        try:
            bound, reached = ip_address(self.host), ip_address(local.host)
        except ValueError:
            return self.host == local.host
        return bound == reached or (bound.is_unspecified and bound.version == reached.version)


def advertised(listeners: Iterable[Advertised], transport: Transport, local: Address) -> str | None:
    """Give what the first listener that fits tells, None when none does."""
    return next((each.address for each in listeners if each.fits(transport, local)), None)
