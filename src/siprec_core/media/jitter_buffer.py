"""Puts the packets of one source in order for those who listen while it happens.

What comes in order leaves at once: a listener that is a program has no ear to be kept in step. Only a gap holds up what
follows, for as long as packets of this source were late before and never longer than a bound. So the delay adapts to
the network, and a stream that loses nothing has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

PacketT = TypeVar("PacketT")

SHORTEST_SECONDS: Final = 0.02
"""How long a gap is waited for when no packet was late yet."""
LONGEST_SECONDS: Final = 0.06
"""How long a gap is waited for at most."""
_CAPACITY: Final = 64
"""Packets that wait behind a gap at most."""
_RESTART: Final = 3_000
"""A jump of sequence numbers that begins anew (MAX_DROPOUT, RFC 3550 appendix A.1)."""
_MARGIN: Final = 1.5
_DECAY: Final = 0.998
"""What is left of the delay after each packet in order: half of it after seven seconds at 50 packets a second."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Packets that were given up."""

    packets: int


class JitterBuffer(Generic[PacketT]):
    """Orders packets by sequence number. Instants are the driver's seconds."""

    __slots__ = ("_delay", "_next", "_waiting", "late")

    def __init__(self) -> None:
        self._delay = SHORTEST_SECONDS
        self._next: int | None = None
        """Extended number of the packet whose turn it is."""
        self._waiting: dict[int, tuple[PacketT, float]] = {}
        self.late = 0
        """Packets that came after they had been given up, or twice."""

    @property
    def delay(self) -> float:
        """Seconds for which a gap is waited for now."""
        return self._delay

    @property
    def waits(self) -> bool:
        """True while a packet waits behind a gap."""
        return bool(self._waiting)

    def passes(self, sequence_number: int) -> bool:
        """Tell whether a packet is the next one and nothing waits: then it is counted as given, without `add`."""
        if self._waiting or self._next is None or (sequence_number ^ self._next) & 0xFFFF:
            return False
        self._next += 1
        if self._delay > SHORTEST_SECONDS:
            self._delay = max(SHORTEST_SECONDS, self._delay * _DECAY)
        return True

    def add(self, sequence_number: int, packet: PacketT, arrival: float) -> None:
        """Take a packet; sequence numbers have 16 bits."""
        if self._next is None:
            self._next = sequence_number
        ahead = (sequence_number - self._next) & 0xFFFF
        if ahead >= 0x8000:
            ahead -= 0x1_0000
        if not -_RESTART < ahead < _RESTART:
            # Another sequence begins: what waits of the old one is moved to directly before it.
            behind = max(self._waiting, default=self._next - 1) + 1
            shift = (sequence_number - behind) & 0xFFFF
            self._waiting = {number + shift: entry for number, entry in self._waiting.items()}
            self._next = min(self._waiting, default=behind + shift)
            ahead = behind + shift - self._next
        number = self._next + ahead
        if ahead < 0 or number in self._waiting:
            self.late += 1
            if ahead < 0:
                self._delay = min(LONGEST_SECONDS, self._delay * _MARGIN)
            return
        if self._waiting and number < min(self._waiting):
            # It fills a gap: remember how long that took.
            waited = arrival - self._waiting[min(self._waiting)][1]
            self._delay = min(LONGEST_SECONDS, max(self._delay, waited * _MARGIN))
        self._waiting[number] = (packet, arrival)

    def take(self, *, now: float) -> Iterator[PacketT | Missing]:
        """Give what can be given, in order."""
        waiting = self._waiting
        while waiting and self._next is not None:
            entry = waiting.pop(self._next, None)
            if entry is not None:
                self._next += 1
                if self._delay > SHORTEST_SECONDS:
                    self._delay = max(SHORTEST_SECONDS, self._delay * _DECAY)
                yield entry[0]
                continue
            first = min(waiting)
            if now < waiting[first][1] + self._delay and len(waiting) <= _CAPACITY:
                return
            missing = Missing(first - self._next)
            self._next = first
            yield missing

    def next_timeout(self) -> float | None:
        """Give the instant at which a gap is given up, None when there is none."""
        if not self._waiting:
            return None
        return self._waiting[min(self._waiting)][1] + self._delay
