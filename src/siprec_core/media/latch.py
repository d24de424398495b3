"""Where the packets of one media line may come from.

The peer's description announces one address. Packets from there are taken at once. Clients behind NAT and media servers
with a port of their own for sending come from elsewhere: such a source is learnt after its probation, as long as
nothing came from the announced address, and then locked. The announced address takes the line over from a learnt one,
never the reverse. A re-offer that announces another address lets the line be learnt anew; until somebody passes, the
old source stays. A line whose source has been silent for long, RTP and RTCP both, without a hold, is learnt anew too:
media servers fail over without a word. As long as a source lives nobody else can become it.
"""

from enum import Enum
from functools import lru_cache
from ipaddress import ip_address

from siprec_core.types import Address


class Standing(Enum):
    """What an address is to the line."""

    LOCKED = 1
    """The source."""
    ANNOUNCED = 2
    """Announced by the peer, and not the source yet: may take over."""
    LEARNABLE = 3
    """Unknown, while a source is still looked for."""
    FOREIGN = 4
    """Unknown, and the source is known."""


class SourceLatch:
    """The addresses of one line: announced, locked, allowed for RTCP."""

    __slots__ = (
        "_alive_at",
        "_held",
        "_learning",
        "_silent_seconds",
        "announced",
        "announced_rtcp",
        "changes",
        "locked",
    )

    def __init__(self, silent_seconds: float = 0.0) -> None:
        """Begin without any address; `silent_seconds` is `Limits.source_silent_seconds`."""
        self._silent_seconds = silent_seconds
        self._held = False
        self.changes = 0
        """Times that another source was locked after the first one."""
        self._alive_at = float("-inf")
        self.announced: Address | None = None
        """RTP address of the peer's description, in the form that sources have; None when it has no usable one."""
        self.announced_rtcp: Address | None = None
        self.locked: Address | None = None
        """The source, None until one is found."""
        self._learning = True

    def announce(self, rtp: Address | None, rtcp: Address | None) -> None:
        """Take over the addresses of an offer or answer."""
        announced = usable_address(rtp)
        if announced is not None and announced not in (self.announced, self.locked):
            self._learning = True
        self.announced = announced
        self.announced_rtcp = usable_address(rtcp)
        if self.locked is not None and self.locked == announced:
            self._learning = False

    def standing(self, source: Address) -> Standing:
        """Tell what an RTP sender is to the line."""
        if source == self.locked:
            return Standing.LOCKED
        if source == self.announced:
            return Standing.ANNOUNCED
        return Standing.LEARNABLE if self._learning else Standing.FOREIGN

    def heard(self, at: float) -> None:
        """Take a sign of life of the source besides its packets."""
        self._alive_at = max(self._alive_at, at)

    def hold(self, *, held: bool, now: float) -> None:
        """Take whether the line is held: its source may be silent then, and begins to be missed at the end."""
        if self._held and not held:
            self.heard(now)
        self._held = held

    def abandoned_at(self, last_packet: float | None) -> float:
        """Give the instant from which on the source counts as gone, by the arrival of its last packet; infinite for
        never."""
        if self._held or not self._silent_seconds or last_packet is None:
            return float("inf")
        return max(self._alive_at, last_packet) + self._silent_seconds

    def admits_rtcp(self, source: Address) -> bool:
        """Tell whether RTCP of this sender belongs to the line: any port of a host that is announced or locked."""
        return any(
            address is not None and address.host == source.host
            for address in (self.locked, self.announced, self.announced_rtcp)
        )

    def report_address(self, rtcp_source: Address | None, *, mux: bool) -> Address | None:
        """Give where reports go; `rtcp_source` is where RTCP of the line came from, None before any."""
        if mux:
            return self.locked or rtcp_source
        heard = {address.host for address in (self.locked, rtcp_source) if address is not None}
        announced = self.announced_rtcp
        return announced if announced is not None and announced.host in heard else rtcp_source

    @property
    def learning(self) -> bool:
        """True while an address that nobody announced can still become the source."""
        return self._learning

    def lock(self, source: Address) -> None:
        """Make this address the source."""
        self.changes += self.locked is not None and self.locked != source
        self.locked = source
        self._learning = False


def usable_address(address: Address | None) -> Address | None:
    """Give an address in canonical text, None when no packet can come from it (a name, port 0, `0.0.0.0`,
    multicast)."""
    if address is None or address.port == 0:
        return None
    host = _usable_host(address.host)
    return None if host is None else Address(host, address.port)


@lru_cache(maxsize=1024)
def _usable_host(host: str) -> str | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return None if address.is_unspecified or address.is_multicast else str(address)
