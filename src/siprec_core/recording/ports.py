"""RTP ports: even/odd pairs from a range, rested before they are used again.

A late packet of an old call must not enter a new one, so a port that comes back goes to the end of a first-in
first-out line: what is taken is always the pair that has rested longest, however busy the range is.
"""

from collections import deque

from siprec_core.errors import ConfigurationError


class PortPool:
    """Even RTP ports whose odd neighbour carries RTCP (RFC 3550 section 11)."""

    __slots__ = ("_free", "_taken", "high", "low")

    def __init__(self, low: int, high: int) -> None:
        """Take the pairs within `low` to `high`, both included; raises ConfigurationError when there is none."""
        self._free = deque(_pairs(low, high))
        self._taken: set[int] = set()
        self.low = low
        self.high = high

    def __len__(self) -> int:
        return len(self._free)

    def take(self) -> int | None:
        """Take the pair that has rested longest and give its even port; None when all are in use."""
        if not self._free:
            return None
        port = self._free.popleft()
        self._taken.add(port)
        return port

    def give_back(self, port: int) -> None:
        """Let a taken pair rest; anything else is ignored."""
        if port in self._taken:
            self._taken.remove(port)
            if self.low <= port < self.high:
                self._free.append(port)

    def resize(self, low: int, high: int) -> None:
        """Have another range; pairs outside of it that are in use go when they are given back.

        Raises ConfigurationError when there is no pair in it.
        """
        wanted = _pairs(low, high)
        known = self._taken.union(self._free)
        self._free = deque(port for port in self._free if port in wanted)
        self._free.extend(port for port in wanted if port not in known)
        self.low, self.high = low, high


def _pairs(low: int, high: int) -> range:
    """Give the even ports whose odd neighbours are in the range too."""
    if not 1 <= low <= high <= 65_535:
        raise ConfigurationError(f"rtp_ports: {low}-{high} is not a range within 1-65535")
    pairs = range(low + low % 2, high, 2)
    if not pairs:
        raise ConfigurationError(f"rtp_ports: {low}-{high} has no even port with its odd neighbour")
    return pairs
