"""Interarrival jitter (RFC 3550 section 6.4.1 and appendix A.8)."""

_WRAP = float(1 << 32)
_HALF_WRAP = float(1 << 31)


class InterarrivalJitter:
    """The smoothed difference of the spacing of packets at the receiver from their spacing at the sender.

    Arrivals are seconds on any steady clock; the estimate is in units of the RTP clock, as receiver reports carry it.
    The in-order run of `media.source` updates the public fields in place, by the same rule.
    """

    __slots__ = ("clock_rate", "jitter", "transit")

    def __init__(self) -> None:
        self.clock_rate = 0
        """Hz; 0 before the first packet."""
        self.transit: float | None = None
        """Arrival minus timestamp of the last packet, in units of the clock; None when the next packet has none to
        compare."""
        self.jitter = 0.0
        """The estimate in units of the clock."""

    @property
    def seconds(self) -> float:
        """The estimate in seconds."""
        return self.jitter / self.clock_rate if self.clock_rate else 0.0

    def update(self, timestamp: int, *, arrival: float, clock_rate: int) -> None:
        """Take one packet into account; a `clock_rate` of 0 or less tells nothing and is passed over."""
        if clock_rate <= 0:
            return
        if clock_rate != self.clock_rate:
            # The two clocks cannot be compared across the change; the estimate itself is a duration and stays.
            self.jitter = self.seconds * clock_rate
            self.clock_rate = clock_rate
            self.transit = None
        transit = arrival * clock_rate - timestamp
        if self.transit is not None:
            difference = abs(transit - self.transit)
            if difference > _HALF_WRAP:
                difference = abs(difference - _WRAP)
            self.jitter += (difference - self.jitter) / 16.0
        self.transit = transit

    def forget_transit(self) -> None:
        """Compare the next packet with none: the source has restarted, its timestamps begin anew."""
        self.transit = None
