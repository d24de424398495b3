"""Sequence numbers of one synchronisation source (RFC 3550 appendices A.1 and A.3).

Appendix A.1 does two things at once: it decides whether a source (or a jump within one) is to be believed, and it
counts. Here these are two values, because a recorder loses nothing: the owner holds the datagrams under `Probation`,
and once they are believed it places every one of them in a `SequenceTracker`. A packet that a tracker calls
`OUT_OF_RANGE` begins a probation of its own; when that is passed, the tracker restarts at its first packet.
"""

from enum import Enum

_MODULUS = 1 << 16
MAX_MISORDER = 100
"""How far behind the highest sequence number a packet is still believed to be a late one (RFC 3550 appendix A.1)."""
MAX_DROPOUT = 3_000
"""Default of the largest believed jump ahead (RFC 3550 appendix A.1)."""
_WINDOW = (1 << MAX_MISORDER) - 1


class Verdict(Enum):
    """What a packet of a tracked source is."""

    IN_ORDER = 1
    """Newer than all before it, next or behind a gap."""
    REORDERED = 2
    """Came after a later one."""
    DUPLICATE = 3
    """Came before."""
    OUT_OF_RANGE = 4
    """Neither believed ahead nor believed late; nothing was counted."""


class SequenceTracker:
    """Counts the packets of one source that is believed.

    Numbers are extended beyond 16 bits, so they never go back at a wrap. They start as the first packet's number; a
    packet from before it may have a negative one. Duplicates are known exactly within the `MAX_MISORDER` window.
    """

    __slots__ = (
        "_base",
        "_max_dropout",
        "_prior_expected",
        "_skips",
        "_window",
        "duplicates",
        "extended_highest",
        "received",
        "reordered",
        "restarts",
    )

    def __init__(self, first: int, *, max_dropout: int = MAX_DROPOUT) -> None:
        self.extended_highest = first
        self.received = 1
        """Packets, each counted once."""
        self.reordered = 0
        self.duplicates = 0
        self.restarts = 0
        self._base = first
        self._max_dropout = min(max_dropout, _MODULUS - MAX_MISORDER)
        self._prior_expected = 0
        self._skips = False
        self._window = 1  # bit n: the packet n before the highest came

    @property
    def expected(self) -> int:
        """Packets that the source has sent as far as the numbers tell (RFC 3550 appendix A.3), over all restarts."""
        return self._prior_expected + self.extended_highest - self._base + 1

    @property
    def lost(self) -> int:
        """Packets expected and not received; late ones are taken off again."""
        # A late packet of what was skipped was never expected.
        return max(0, self.expected - self.received)

    def extend(self, sequence_number: int) -> int:
        """Give the extended number nearest to the highest one."""
        ahead = (sequence_number - self.extended_highest) % _MODULUS
        return self.extended_highest + (ahead if ahead < _MODULUS // 2 else ahead - _MODULUS)

    def update(self, sequence_number: int) -> Verdict:
        """Count one packet."""
        ahead = (sequence_number - self.extended_highest) % _MODULUS
        if ahead == 0:
            self.duplicates += 1
            return Verdict.DUPLICATE
        if ahead < self._max_dropout:
            if self._skips:
                self._skips = False
                self._prior_expected -= ahead - 1
            self.extended_highest += ahead
            self._window = (self._window << ahead | 1) & _WINDOW if ahead < MAX_MISORDER else 1
            self.received += 1
            return Verdict.IN_ORDER
        behind = _MODULUS - ahead
        if behind >= MAX_MISORDER:
            return Verdict.OUT_OF_RANGE
        bit = 1 << behind
        if self._window & bit:
            self.duplicates += 1
            return Verdict.DUPLICATE
        self._window |= bit
        self._base = min(self._base, self.extended_highest - behind)
        self.received += 1
        self.reordered += 1
        return Verdict.REORDERED

    def advance(self, count: int) -> None:
        """Count a run of `count` (at least 1) packets, each of which had the next number: what `update` does, once for
        all."""
        self.extended_highest += count
        self.received += count
        self._window = (self._window << count | (1 << count) - 1) & _WINDOW if count < MAX_MISORDER else _WINDOW

    def skip(self) -> None:
        """Count what is missing before the next packet as never expected: it came while nobody wanted it."""
        self._skips = True

    def restart(self, sequence_number: int) -> None:
        """Begin again at a packet that is believed although it was out of range; it is counted, and no loss in between.

        The extended number goes on upward, to the next one with these 16 bits.
        """
        self._skips = False
        self._prior_expected = self.expected
        self.extended_highest += (sequence_number - self.extended_highest) % _MODULUS or _MODULUS
        self._base = self.extended_highest
        self._window = 1
        self.received += 1
        self.restarts += 1


class Trial(Enum):
    """What a packet says about a source under probation."""

    PASSED = 1
    """It follows the one before it: MIN_SEQUENTIAL of RFC 3550 appendix A.1 is reached, all packets held are
    believed."""
    PENDING = 2
    """It may belong to the ones held, but proves nothing."""
    UNRELATED = 3
    """It is too far from the ones held: they are not believed, and the probation begins again with this packet."""


class Probation:
    """Whether a source, or a jump within one, is to be believed: after two packets in sequence (RFC 3550 appendix
    A.1)."""

    __slots__ = ("_last", "_max_dropout")

    def __init__(self, first: int, *, max_dropout: int = MAX_DROPOUT) -> None:
        self._last = first
        self._max_dropout = min(max_dropout, _MODULUS - MAX_MISORDER)

    def update(self, sequence_number: int) -> Trial:
        """Judge the next packet."""
        ahead = (sequence_number - self._last) % _MODULUS
        self._last = sequence_number
        if ahead == 1:
            return Trial.PASSED
        if ahead < self._max_dropout or _MODULUS - ahead < MAX_MISORDER:
            return Trial.PENDING
        return Trial.UNRELATED
