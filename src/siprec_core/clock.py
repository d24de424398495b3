"""Wall-clock time as values: the core reads no clock.

A driver hands in `TimeBase` once (and again when the wall clock was stepped); every instant after that is the driver's
monotonic `now`, so a step of the wall clock moves no deadline and tears no recording.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NTP_TO_UNIX = 2_208_988_800
"""Seconds from 1900-01-01 (NTP, RFC 5905 section 6) to 1970-01-01 (Unix)."""
_NTP_ERA_NS = (1 << 32) * 1_000_000_000
"""After so many nanoseconds the seconds of an NTP timestamp begin anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBase:
    """Ties the monotonic clock to UTC at one instant."""

    monotonic: float
    """Seconds on the driver's monotonic clock."""
    unix_ns: int
    """The same instant in nanoseconds since 1970-01-01T00:00:00Z."""

    def unix_ns_at(self, now: float) -> int:
        """Give the UTC instant of monotonic `now`, nanoseconds since the epoch."""
        return self.unix_ns + round((now - self.monotonic) * 1_000_000_000)

    def monotonic_at(self, unix_ns: int) -> float:
        """Give the monotonic instant of a UTC instant."""
        return self.monotonic + (unix_ns - self.unix_ns) / 1_000_000_000


@lru_cache(maxsize=64)
def format_instant(unix_ns: int) -> str:
    """Write an instant as RFC 3339 UTC with microseconds, for example `2024-01-15T10:00:00.000000Z`."""
    instant = _EPOCH + timedelta(microseconds=unix_ns // 1000)
    # The year has four digits, which strftime does not give on every system.
    return instant.isoformat(timespec="microseconds")[:26] + "Z"


def ntp_of(unix_ns: int) -> int:
    """Give the 64-bit NTP timestamp (32 bits of seconds since 1900, 32 bits of fraction; RFC 3550 section 4)."""
    seconds, nanoseconds = divmod(unix_ns, 1_000_000_000)
    return ((seconds + _NTP_TO_UNIX) & 0xFFFF_FFFF) << 32 | (nanoseconds << 32) // 1_000_000_000


def unix_ns_of_ntp(ntp_timestamp: int, *, near_ns: int) -> int:
    """Give the instant of a 64-bit NTP timestamp, nanoseconds since 1970.

    Its seconds begin anew every 136 years, next in 2036 (RFC 5905 section 6): of the instants that it may mean, the one
    nearest to `near_ns` is given.
    """
    seconds, fraction = ntp_timestamp >> 32, ntp_timestamp & 0xFFFF_FFFF
    unix_ns = (seconds - _NTP_TO_UNIX) * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)
    return unix_ns + round((near_ns - unix_ns) / _NTP_ERA_NS) * _NTP_ERA_NS
