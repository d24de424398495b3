"""The sending side of key presses (RFC 4733): which packet slot carries which telephone event."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Final

from siprec_core.errors import LocalProtocolError
from siprec_core.rtp.telephone_event import DIGITS, TelephoneEvent

PRESS_SECONDS: Final = 0.1
"""How long a key is held."""
PAUSE_SECONDS: Final = 0.06
"""Shortest time between two presses."""
_FINAL_PACKETS = 3


@dataclass(frozen=True, slots=True)
class EventSlot:
    """What one slot carries."""

    event: TelephoneEvent
    slots_before: int
    """Slots since the beginning of the event, whose timestamp all its packets have."""

    @property
    def marker(self) -> bool:
        """The first packet of an event has the marker (RFC 4733 section 2.5.1.1)."""
        return self.slots_before == 0


class KeySequence:
    """Key presses that wait, laid out on slots of one packet time each."""

    __slots__ = ("_codes", "_final", "_frame_timestamps", "_period", "_position")

    def __init__(self, *, frame_timestamps: int, ptime_seconds: float) -> None:
        """`frame_timestamps` is the length of a slot in timestamp units, `ptime_seconds` in seconds."""
        self._frame_timestamps = frame_timestamps
        # A microsecond less, because 0.06 / 0.02 is a little more than 3.
        self._final = ceil(PRESS_SECONDS / ptime_seconds - 1e-6) - 1
        pause = max(ceil(PAUSE_SECONDS / ptime_seconds - 1e-6), _FINAL_PACKETS - 1)
        self._period = self._final + 1 + pause
        self._codes: deque[int] = deque()
        self._position = 0

    def add(self, digits: Iterable[str]) -> None:
        """Queue presses of keys `0` to `9`, `*`, `#`, `A` to `D` in either letter case.

        Raises LocalProtocolError for any other key; nothing is queued then.
        """
        codes = [DIGITS.find(digit.upper()) if len(digit) == 1 else -1 for digit in digits]
        if -1 in codes:
            raise LocalProtocolError(f"{''.join(digits)!r} has a character that is no key: 0-9 * # A-D")
        self._codes.extend(codes)

    @property
    def waiting(self) -> bool:
        """True while a slot is needed."""
        return bool(self._codes)

    def take(self) -> EventSlot | None:
        """Give what the next slot carries; None in the pause between two presses."""
        if not self._codes:
            return None
        position = self._position
        self._position += 1
        last = self._final + _FINAL_PACKETS - 1
        slot = None
        if position <= last:
            slots = min(position, self._final) + 1
            event = TelephoneEvent(self._codes[0], slots * self._frame_timestamps, position >= self._final)
            slot = EventSlot(event, position)
        # RFC 4733 2.5.1.4: the final packet is sent three times at the interval of the updates. Behind the last key no
        # pause is needed.
        if self._position == self._period or (position == last and len(self._codes) == 1):
            self._codes.popleft()
            self._position = 0
        return slot
