"""Places the audio of media lines on one clock, the session's.

Audio stands where its RTP timestamps say (RFC 3550 section 5.1), not where packets happened to arrive: lost packets,
silence suppression and pauses leave gaps of the right length, and jitter moves nothing. What timestamps do not say is
how two sources lie to each other in time (their offsets are random); that is taken from the arrival of each source's
first packet, and put right by sender reports once all of them are known (`recording.alignment`). The arrival clock has
the last word when a source's timestamps cannot be true:

- a timestamp leaps further ahead than time went by, or further than the largest silence that we fill;
- it falls back although the packet is newer;
- it stands still during a signalled hold;
- it lags more than `LAG_SECONDS` behind the arrival clock.

Then the source is anchored again by arrival, never over audio of its own that is already placed. So a file stays as
long as the call was, whatever a peer writes into its timestamps.

Positions are integers in ticks of 1/`TICKS_PER_SECOND` second, of which every audio sampling rate in use takes a whole
number per sample: contiguous audio stays contiguous to the sample at each rate.
"""

from typing import Final

from siprec_core.limits import Limits

TICKS_PER_SECOND: Final = 14_112_000
"""Least common multiple of the sampling rates of audio from 8,000 to 48,000 Hz, the 44,100 Hz family included."""
LAG_SECONDS: Final = 5.0
"""How far a source's timestamps may fall behind the arrival clock before it is anchored again."""
SKEW_SECONDS: Final = 30.0
"""How far apart the arrivals of two lines may lie in a journal: a recorder that stood still reads one socket after the
other."""
AHEAD_SECONDS: Final = 60.0
"""How far audio may lie ahead of its arrival (a sender in a burst): bounds what waits to be written."""
_MAX_MISORDER = 100
"""How far behind a sequence number is surely an old packet's (MAX_MISORDER, RFC 3550 appendix A.1)."""
_HOLD_TOLERANCE_SECONDS = 0.1
"""Disagreement between timestamps and arrival over a hold that jitter still explains."""
_HOLD_BEGINS_SECONDS = 1.0
"""How long a client may go on sending after its hold was answered."""


def ticks_of(seconds: float) -> int:
    """Give a duration in ticks, to the nearest."""
    return round(seconds * TICKS_PER_SECOND)


class SessionClock:
    """The arrival clock that all lines of one recording share; its zero is the first arrival."""

    __slots__ = ("_delay", "epoch_ns", "horizon", "longest", "newest")

    def __init__(self, *, limits: Limits) -> None:
        self.epoch_ns: int | None = None
        """Instant of tick 0, nanoseconds since 1970; None before the first arrival."""
        self.newest = 0
        """Latest arrival so far, in ticks."""
        self._delay = ticks_of(LAG_SECONDS + limits.reorder_seconds + SKEW_SECONDS)
        self.horizon = -self._delay
        """Nothing is placed before this tick any more: what lies before it is final and may be written."""
        self.longest = ticks_of(limits.recording_seconds + AHEAD_SECONDS)
        """Nothing is placed behind this tick: instants of a broken capture must not fill a disk with silence."""

    def arrive(self, at_ns: int) -> int:
        """Take an arrival, nanoseconds since 1970, and give its tick."""
        if self.epoch_ns is None:
            self.epoch_ns = at_ns
        tick = (at_ns - self.epoch_ns) * TICKS_PER_SECOND // 1_000_000_000
        if tick > self.newest:
            self.newest = tick
            self.horizon = tick - self._delay
        return tick

    def tick_at(self, unix_ns: int) -> int:
        """Give the tick of an instant, nanoseconds since 1970."""
        return (unix_ns - (self.epoch_ns or 0)) * TICKS_PER_SECOND // 1_000_000_000

    def unix_ns_at(self, tick: int) -> int:
        """Give the instant of a tick, nanoseconds since 1970."""
        return (self.epoch_ns or 0) + tick * 1_000_000_000 // TICKS_PER_SECOND


class _Source:
    """Where one synchronisation source stands."""

    __slots__ = ("anchor", "arrival", "clock_rate", "end", "held", "sequence_number", "tick", "timestamp")

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self.sequence_number = 0
        self.timestamp = 0
        """Timestamp that the next packet has when nothing is missing."""
        self.tick = 0
        """Position of `timestamp`."""
        self.end = 0
        """End of the audio placed furthest on."""
        self.arrival = 0
        """Arrival of the newest packet, in ticks."""
        self.anchor = 0
        """Position at which it was last put in relation to the arrival clock."""
        self.held = False
        """The line was held, and nothing came behind the hold yet."""


class Timeline:
    """Places the packets of one media line; all its answers follow from the packets and the shared clock alone."""

    __slots__ = (
        "_ahead",
        "_clock",
        "_held_ns",
        "_jump",
        "_lag",
        "_reorder",
        "_source_limit",
        "_sources",
        "ahead",
        "first_jump",
        "jumps",
        "late",
        "stalls",
    )

    def __init__(self, clock: SessionClock, *, limits: Limits) -> None:
        self._clock = clock
        self._sources: dict[int, _Source] = {}
        self._source_limit = limits.ssrcs_per_line
        self._jump = ticks_of(limits.timestamp_jump_seconds)
        self._reorder = ticks_of(limits.reorder_seconds)
        self._lag = ticks_of(LAG_SECONDS)
        self._ahead = ticks_of(AHEAD_SECONDS)
        self._held_ns: int | None = None
        self.jumps = 0
        """Times a source was anchored again because its timestamp jumped."""
        self.first_jump: int | None = None
        """Tick of the first of them."""
        self.stalls = 0
        """Times a source was anchored again because its timestamps fell behind the arrival clock."""
        self.late = 0
        """Packets that came too late to be placed."""
        self.ahead = 0
        """Packets too far ahead of their arrival to be placed."""

    def hold(self, at_ns: int) -> None:
        """Note that the line was held at an instant, nanoseconds since 1970.

        What comes behind it may continue with timestamps that stood still. Packets that are told of later may well have
        come before: journals have messages at once and media by the tick.
        """
        self._held_ns = at_ns
        for source in self._sources.values():
            source.held = True

    def place(
        self, ssrc: int, sequence_number: int, timestamp: int, *, clock_rate: int, duration: int, arrival: int
    ) -> int | None:
        """Give the tick at which a packet's audio starts, None when it cannot be placed.

        `duration` is the packet's length and `arrival` its arrival (`SessionClock.arrive`), both in ticks.
        """
        source = self._sources.get(ssrc)
        if source is not None and timestamp == source.timestamp and clock_rate == source.clock_rate and not source.held:
            tick = source.tick
            if tick + self._lag < arrival:
                self.stalls += 1
                tick = _anchored(source, arrival)
        elif source is None:
            source = self._add(ssrc, clock_rate)
            tick = source.anchor = arrival
        else:
            if self._is_old(source, sequence_number, timestamp):
                return self._place_old(source, timestamp, duration)
            tick = self._place_new(source, timestamp, clock_rate, arrival)
        if tick - arrival > self._ahead or tick > self._clock.longest:
            self.ahead += 1
            return None
        if tick < self._clock.horizon:
            # Its socket was read so late that the time before it is written already.
            self.late += 1
            return None
        source.sequence_number = sequence_number
        source.clock_rate = clock_rate
        source.timestamp = (timestamp + duration * clock_rate // TICKS_PER_SECOND) & 0xFFFF_FFFF
        source.tick = end = tick + duration
        if source.held:
            source.held = self._stays_held(source, arrival)
        source.arrival = arrival
        if end > source.end:
            source.end = end
        return tick

    def anchor_of(self, ssrc: int) -> int:
        """Give the tick at which a source was last anchored by arrival, 0 for one that is not known."""
        source = self._sources.get(ssrc)
        return 0 if source is None else source.anchor

    def is_placed(self, ssrc: int) -> bool:
        """Tell whether a packet of a source was placed, and one since the last hold: else its timestamps mean nothing
        yet."""
        source = self._sources.get(ssrc)
        return source is not None and not source.held

    def locate(self, ssrc: int, timestamp: int, *, arrival: int) -> int | None:
        """Give the tick at which a timestamp of a source lies that a report of this arrival names; None for one that
        has nothing to do with those of its packets."""
        source = self._sources[ssrc]
        advance = _signed(timestamp - source.timestamp) * TICKS_PER_SECOND // source.clock_rate
        return source.tick + advance if abs(advance - (arrival - source.arrival)) <= self._lag else None

    def _is_old(self, source: _Source, sequence_number: int, timestamp: int) -> bool:
        """Tell a packet that was overtaken from the first one of a source that began its numbers anew."""
        behind = (source.sequence_number - sequence_number) & 0xFFFF
        if behind >= 0x8000:
            return False
        if behind <= _MAX_MISORDER:
            return True
        return -self._ahead < _signed(timestamp - source.timestamp) * TICKS_PER_SECOND // source.clock_rate < 0

    def _place_old(self, source: _Source, timestamp: int, duration: int) -> int | None:
        """Place a packet whose sequence number was passed already: beside its neighbours, or nowhere."""
        tick = source.tick + _signed(timestamp - source.timestamp) * TICKS_PER_SECOND // source.clock_rate
        if source.tick - tick > self._reorder + duration or tick > source.tick or tick < self._clock.horizon:
            self.late += 1
            return None
        return tick

    def _place_new(self, source: _Source, timestamp: int, clock_rate: int, arrival: int) -> int:
        """Place a packet that is newer but does not continue where the last one ended."""
        if clock_rate != source.clock_rate:
            # The timestamps of two clock rates do not continue one another (RFC 7160 section 3.2).
            return _anchored(source, arrival)
        advance = _signed(timestamp - source.timestamp) * TICKS_PER_SECOND // clock_rate
        elapsed = arrival - source.arrival
        if (
            source.held
            and abs(advance - elapsed) > ticks_of(_HOLD_TOLERANCE_SECONDS)
            and arrival >= self._clock.tick_at(self._held_ns or 0)
        ):
            return _anchored(source, arrival)
        if advance > self._jump or advance - elapsed > self._reorder or advance < -self._reorder:
            return self._anchor(source, arrival)
        tick = source.tick + advance
        if tick + self._lag < arrival:
            self.stalls += 1
            return _anchored(source, arrival)
        return tick

    def _stays_held(self, source: _Source, arrival: int) -> bool:
        """Tell whether a packet that was placed came before the hold, or was still on its way."""
        since = arrival - self._clock.tick_at(self._held_ns or 0)
        if since < 0:
            return True
        pause = arrival - source.arrival
        return since < ticks_of(_HOLD_BEGINS_SECONDS) and pause <= ticks_of(_HOLD_TOLERANCE_SECONDS)

    def _anchor(self, source: _Source, arrival: int) -> int:
        self.jumps += 1
        tick = _anchored(source, arrival)
        if self.first_jump is None:
            self.first_jump = tick
        return tick

    def _add(self, ssrc: int, clock_rate: int) -> _Source:
        # RFC 3550 section 8.2: a new SSRC on a line is the same recording; only arrival relates it to what was before.
        if len(self._sources) >= self._source_limit:
            del self._sources[next(iter(self._sources))]
        source = self._sources[ssrc] = _Source(clock_rate)
        source.held = self._held_ns is not None
        return source


def _anchored(source: _Source, arrival: int) -> int:
    """Put a source in relation to the arrival clock again, never over its own audio."""
    source.anchor = max(arrival, source.end)
    return source.anchor


def _signed(difference: int) -> int:
    """Give the difference of two 32-bit timestamps as the nearer of ahead and behind."""
    difference &= 0xFFFF_FFFF
    return difference - 0x1_0000_0000 if difference >= 0x8000_0000 else difference
