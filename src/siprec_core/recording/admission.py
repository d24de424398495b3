"""Who is let in, and how many: what a new call would get now, for INVITE and OPTIONS alike (RFC 3261 section 11.2).

Nothing is allocated for a call that is refused.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from siprec_core.errors import ConfigurationError
from siprec_core.sip.uas import Refusal
from siprec_core.types import SessionId

WHEN_FULL = ("busy", "unavailable", "queue")
"""What a call beyond the limit may get."""

UNDECIDED = ("accept", "reject")
"""What may become of a call about which nothing is decided in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionPolicy:
    """Whose calls are recorded, how many of one peer, and how long a call waits for room."""

    networks: tuple[str, ...] = ()
    """Addresses or networks (`192.0.2.0/24`, `2001:db8::/32`) whose calls are taken, others get 403; empty takes all.
    """
    users: tuple[str, ...] = ()
    """Users, by Digest, whose calls are taken, others get 403; empty takes all that the listener lets in."""
    peer_names: tuple[str, ...] = ()
    """Names of certificates (RFC 5922 section 7.1): calls are taken over TLS connections whose client has shown one of
    them, others get 403. Empty takes all.
    """
    max_sessions_per_peer: int | None = None
    """Recordings of one address at a time; None is without limit."""
    queue_seconds: float = 3.0
    """How long a call waits for room when `when_full` is `queue`. Its media waits as long."""


class Admission:
    """Counts the recordings and tells what one more would get."""

    __slots__ = ("_counts", "_most", "_names", "_networks", "_peers", "_policy", "_retry", "_when_full")

    def __init__(
        self, policy: AdmissionPolicy, *, max_sessions: int | None, when_full: str, retry_seconds: int
    ) -> None:
        """Raises ConfigurationError for settings that cannot be."""
        self._peers: dict[SessionId, str] = {}
        self._counts: Counter[str] = Counter()
        self.configure(policy, max_sessions=max_sessions, when_full=when_full, retry_seconds=retry_seconds)

    def configure(
        self, policy: AdmissionPolicy, *, max_sessions: int | None, when_full: str, retry_seconds: int
    ) -> None:
        """Take other settings for the calls to come; raises ConfigurationError for such that cannot be."""
        self._networks = check_admission(policy, max_sessions=max_sessions, when_full=when_full)
        self._names = frozenset(map(_canonical, policy.peer_names))
        self._policy = policy
        self._most = max_sessions
        self._when_full = when_full
        self._retry = (("Retry-After", str(retry_seconds)),)

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def queues(self) -> bool:
        """True when a call may wait for room."""
        return self._when_full == "queue"

    @property
    def is_full(self) -> bool:
        """True when nobody may have one more recording."""
        return self._most is not None and len(self._peers) >= self._most

    @property
    def unavailable(self) -> Refusal:
        """503 with Retry-After: clients then fail over (RFC 3261 section 21.5.4)."""
        return Refusal(503, headers=self._retry)

    @property
    def full(self) -> Refusal:
        """What a call gets for which there is no room, or none came in time."""
        return self.unavailable if self._when_full == "unavailable" else Refusal(486)

    def refuse_stranger(self, host: str, user: str | None, peer_names: Sequence[str] = ()) -> Refusal | None:
        """Refuse with 403 a peer whose calls are not taken: each list that is not empty has to name it."""
        if self._networks and not self._is_near(host):
            return Refusal(403)
        if self._policy.users and user not in self._policy.users:
            return Refusal(403)
        if self._names and self._names.isdisjoint(map(_canonical, peer_names)):
            return Refusal(403)
        return None

    def has_room(self, host: str) -> bool:
        """Tell whether one more recording of a peer is within the limits."""
        of_one = self._policy.max_sessions_per_peer
        if self.is_full:
            return False
        return of_one is None or self._counts[host] < of_one

    def enter(self, session: SessionId, host: str) -> None:
        """Count a recording."""
        self._peers[session] = host
        self._counts[host] += 1

    def leave(self, session: SessionId) -> None:
        """Count it no more; harmless twice."""
        host = self._peers.pop(session, None)
        if host is None:
            return
        self._counts[host] -= 1
        if not self._counts[host]:
            del self._counts[host]

    def _is_near(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            # A socket for both families names IPv4 peers this way (RFC 4291 section 2.5.5.2).
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def check_admission(
    policy: AdmissionPolicy, *, max_sessions: int | None, when_full: str
) -> tuple[IPv4Network | IPv6Network, ...]:
    """Raise ConfigurationError for settings that cannot be; give the networks."""
    if when_full not in WHEN_FULL:
        raise ConfigurationError(f"when_full: {when_full!r} is none of {', '.join(WHEN_FULL)}")
    for name, most in (("max_sessions", max_sessions), ("max_sessions_per_peer", policy.max_sessions_per_peer)):
        if most is not None and most < 1:
            raise ConfigurationError(f"{name}: must be at least 1")
    if not policy.queue_seconds >= 0:
        raise ConfigurationError("queue_seconds: must not be negative")
    return tuple(_network(text) for text in policy.networks)


def _canonical(name: str) -> str:
    """Give a name as it is compared: whole and without regard to case (RFC 5922 section 7.2)."""
    return name.rstrip(".").lower()


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ConfigurationError(f"networks: {error}") from error
