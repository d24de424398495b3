"""RTP ports: even/odd pairs from a range, rested before they are used again.

A late packet of an old call must not enter a new one. So a pair that comes back rests; taken is a fresh one as long as
there is any, then the one that has rested longest. A second range, when there is one, is used once no pair of the first
has rested long enough: a burst of short calls costs neither a call nor the rest.
"""

from collections import deque
from dataclasses import dataclass

from siprec_core.errors import ConfigurationError

REST_SECONDS = 30.0
"""How long a pair rests, unless only resting ones are left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortCounts:
    """Pairs of ports by what they are doing."""

    taken: int
    free: int
    """Never used, or rested."""
    resting: int
    """Taken only when no other is left."""


class PortPool:
    """Even RTP ports whose odd neighbour carries RTCP (RFC 3550 section 11)."""

    __slots__ = ("_expansion", "_free", "_taken", "high", "low")

    def __init__(self, low: int, high: int, *, expansion: tuple[int, int] | None = None) -> None:
        """Take the pairs within `low` to `high`, both included, and for bursts those of `expansion`.

        Raises ConfigurationError when a range has no pair, or the two overlap.
        """
        ranges = [_pairs("rtp_ports", low, high)]
        if expansion is not None:
            ranges.append(_pairs("rtp_ports_expansion", *expansion))
            _check_apart((low, high), expansion)
        self.low = low
        self.high = high
        self._expansion = expansion
        # By range what is free, with the instant from which it has rested enough; the longest rested first.
        self._free = [deque((port, float("-inf")) for port in pairs) for pairs in ranges]
        self._taken: set[int] = set()

    def __len__(self) -> int:
        return sum(map(len, self._free))

    def counts(self, *, now: float) -> PortCounts:
        """Count the pairs of both ranges."""
        resting = 0
        for free in self._free:
            for _, rested_at in reversed(free):
                if rested_at <= now:
                    break
                resting += 1
        return PortCounts(taken=len(self._taken), free=len(self) - resting, resting=resting)

    def expands(self, port: int) -> bool:
        """Tell whether a port is one of the second range."""
        expansion = self._expansion
        return expansion is not None and expansion[0] <= port <= expansion[1]

    def take(self, *, now: float) -> int | None:
        """Take a fresh pair, else the one that has rested longest, and give its even port; None when all are in use."""
        waiting = [free for free in self._free if free]
        if not waiting:
            return None
        rested = next((free for free in waiting if free[0][1] <= now), None)
        port, _ = (rested or min(waiting, key=lambda free: free[0][1])).popleft()
        self._taken.add(port)
        return port

    def give_back(self, port: int, *, now: float) -> None:
        """Let a taken pair rest; anything else is ignored."""
        if port in self._taken:
            self._taken.remove(port)
            expands = self.expands(port)
            if expands or self.low <= port < self.high:
                self._free[expands].append((port, now + REST_SECONDS))

    def resize(self, low: int, high: int) -> None:
        """Have another first range; pairs outside of it that are in use go when they are given back.

        Raises ConfigurationError when there is no pair in it, or it overlaps the second one.
        """
        wanted = _pairs("rtp_ports", low, high)
        if self._expansion is not None:
            _check_apart((low, high), self._expansion)
        kept = [entry for entry in self._free[0] if entry[0] in wanted]
        known = self._taken.union(port for port, _ in kept)
        self._free[0] = deque((port, float("-inf")) for port in wanted if port not in known)
        self._free[0].extend(kept)
        self.low, self.high = low, high


def _check_apart(base: tuple[int, int], expansion: tuple[int, int]) -> None:
    if expansion[0] <= base[1] and base[0] <= expansion[1]:
        texts = f"{expansion[0]}-{expansion[1]} overlaps rtp_ports {base[0]}-{base[1]}"
        raise ConfigurationError(f"rtp_ports_expansion: {texts}")


def _pairs(name: str, low: int, high: int) -> range:
    if not 1 <= low <= high <= 65_535:
        raise ConfigurationError(f"{name}: {low}-{high} is not a range within 1-65535")
    pairs = range(low + low % 2, high, 2)
    if not pairs:
        raise ConfigurationError(f"{name}: {low}-{high} has no even port with its odd neighbour")
    return pairs
