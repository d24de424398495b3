"""Named telephone events (RFC 4733): the payload, and the key presses that a series of payloads tells.

A press is many packets: its first one, updates with growing durations, and a last one with the end bit three times. Any
of them may be lost, come twice or come late. What they have in common is the timestamp, the press's beginning, so that
`KeyPressReader` goes by timestamps and durations alone; neither a lost beginning nor a lost end makes a press of its
own or swallows one.
"""

from collections import deque
from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from siprec_core.errors import LocalProtocolError, RemoteProtocolError

DIGITS: Final = "0123456789*#ABCD"
"""The keys by their event code (RFC 4733 section 3.2, table 3)."""
LONGEST_DURATION: Final = 0xFFFF
"""Longest duration that a packet tells, timestamp units; a longer event is sent in segments."""

_BLOCK = Struct("!BBH")
_LONGEST_PACKET = 16
"""Events read from one packet."""
_REMEMBERED = 16
"""Presses of one source that late packets may still belong to."""
_SEGMENTS = 4_096
"""Segments of one press that may be lost in a row: nine hours at 8,000 Hz."""


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """One event block (RFC 4733 section 2.3)."""

    event: int
    """Code, 0 to 255; below 16 a key of `DIGITS`."""
    duration: int
    """Timestamp units since the timestamp of the packet, 0 to 0xFFFF."""
    end: bool = False
    """The event is over."""
    volume: int = 10
    """Power as dBm0 without its sign, 0 to 63."""

    @classmethod
    def parse(cls, payload: bytes | memoryview) -> Self:
        """Read the first block; RemoteProtocolError for less than four octets. The R bit is ignored (section 2.3.3)."""
        if len(payload) < _BLOCK.size:
            raise RemoteProtocolError(f"{len(payload)} octets are shorter than a telephone event", offset=len(payload))
        event, flags, duration = _BLOCK.unpack_from(payload)
        return cls(event, duration, bool(flags & 0x80), flags & 0x3F)

    def to_bytes(self) -> bytes:
        """Write the block; LocalProtocolError when a field does not fit its place."""
        if not (0 <= self.event <= 255 and 0 <= self.duration <= LONGEST_DURATION and 0 <= self.volume <= 63):
            raise LocalProtocolError(f"a field of {self!r} is out of its range")
        return _BLOCK.pack(self.event, self.volume | (0x80 if self.end else 0), self.duration)


def read_events(payload: bytes | memoryview) -> list[TelephoneEvent]:
    """Read the events of a packet, which follow one another in time (RFC 4733 section 2.5.1.5); a rest is left out."""
    stop = min(len(payload) // _BLOCK.size, _LONGEST_PACKET) * _BLOCK.size
    return [TelephoneEvent.parse(payload[at : at + _BLOCK.size]) for at in range(0, stop, _BLOCK.size)]


@dataclass(slots=True)
class KeyPress:
    """One press of one key. Its duration grows as packets tell more of it."""

    digit: str
    """A character of `DIGITS`."""
    at: float
    """When it began: the arrival of its first packet less the duration that this packet tells."""
    duration: float
    """Seconds, as far as packets have told."""


class _Event:
    """What is known of one press."""

    __slots__ = ("duration", "ended", "event", "press", "timestamp")

    def __init__(self, event: int, timestamp: int, press: KeyPress) -> None:
        self.event = event
        self.timestamp = timestamp
        self.duration = 0
        self.ended = False
        self.press = press

    def owns(self, timestamp: int, block: TelephoneEvent, *, marker: bool) -> bool:
        """Tell whether a block is of this press."""
        offset = (timestamp - self.timestamp) & 0xFFFF_FFFF
        if block.event != self.event:
            return False
        if offset == 0:
            return True
        # Some senders let the timestamp run on during an event. A press cannot begin before the one before it ended.
        if offset < self.duration:
            return True
        if self.ended or marker:
            return False
        if offset == self.duration < block.duration:
            return True
        # RFC 4733 2.5.1.3: an event of more than 0xFFFF is sent in segments, each with the timestamp of its own
        # beginning and without the marker; they follow one another without a gap.
        segments, rest = divmod(offset, LONGEST_DURATION)
        return not rest and segments < _SEGMENTS

    def take(self, timestamp: int, block: TelephoneEvent, clock_rate: int) -> None:
        """Take what a block of this press tells. Durations only grow: a late packet tells less."""
        offset = (timestamp - self.timestamp) & 0xFFFF_FFFF
        segment = 0 if offset % LONGEST_DURATION else offset
        self.duration = max(self.duration, segment + block.duration)
        self.ended = self.ended or block.end
        self.press.duration = self.duration / clock_rate


class KeyPressReader:
    """Gathers the packets of one synchronisation source to presses, each of which is told once."""

    __slots__ = ("_recent",)

    def __init__(self) -> None:
        self._recent: deque[_Event] = deque(maxlen=_REMEMBERED)

    def receive(
        self, payload: bytes | memoryview, *, timestamp: int, marker: bool, clock_rate: int, arrival: float
    ) -> list[KeyPress]:
        """Take a packet that arrived at `arrival` (seconds); give the presses that begin with it.

        Presses told before grow in place. Events that are no keys are passed over.
        """
        begun: list[KeyPress] = []
        blocks = read_events(payload)
        at = arrival - sum(block.duration for block in blocks) / clock_rate
        for block in blocks:
            # RFC 4733 2.5.2.2: reports of duration zero are ignored, since the events here are no states.
            if block.event < len(DIGITS) and block.duration:
                press = self._take(block, timestamp, marker=marker, clock_rate=clock_rate, at=at)
                if press is not None:
                    begun.append(press)
            timestamp = (timestamp + block.duration) & 0xFFFF_FFFF
            at += block.duration / clock_rate
        return begun

    def _take(
        self, block: TelephoneEvent, timestamp: int, *, marker: bool, clock_rate: int, at: float
    ) -> KeyPress | None:
        for known in reversed(self._recent):
            if known.owns(timestamp, block, marker=marker):
                known.take(timestamp, block, clock_rate)
                return None
        press = KeyPress(DIGITS[block.event], at, 0.0)
        event = _Event(block.event, timestamp, press)
        event.take(timestamp, block, clock_rate)
        self._recent.append(event)
        return press
