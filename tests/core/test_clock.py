"""The tie between the two clocks, and how instants are written."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from siprec_core.clock import TimeBase, format_instant, ntp_of, unix_ns_of_ntp

_SECONDS = st.floats(0, 1e8, allow_nan=False)


@given(_SECONDS, st.integers(0, 4 * 10**18), _SECONDS)
def test_there_and_back_is_within_a_microsecond(monotonic: float, unix_ns: int, now: float) -> None:
    base = TimeBase(monotonic=monotonic, unix_ns=unix_ns)
    assert abs(base.monotonic_at(base.unix_ns_at(now)) - now) < 1e-6


@given(_SECONDS, _SECONDS)
def test_the_order_of_instants_is_kept(first: float, second: float) -> None:
    base = TimeBase(monotonic=100.0, unix_ns=1_700_000_000_000_000_000)
    earlier, later = sorted((first, second))
    assert base.unix_ns_at(earlier) <= base.unix_ns_at(later)


def test_the_base_itself_is_exact() -> None:
    base = TimeBase(monotonic=12.25, unix_ns=1_700_000_000_123_456_789)
    assert base.unix_ns_at(12.25) == 1_700_000_000_123_456_789
    assert base.unix_ns_at(13.25) == 1_700_000_001_123_456_789


def test_an_instant_is_rfc_3339_with_microseconds() -> None:
    assert format_instant(0) == "1970-01-01T00:00:00.000000Z"
    assert format_instant(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456Z"
    assert format_instant(-36_879_642_000 * 10**9) == "0801-05-01T07:00:00.000000Z"


@given(st.integers(0, 253_402_300_799 * 10**9))
def test_what_is_written_reads_back(unix_ns: int) -> None:
    read = datetime.strptime(format_instant(unix_ns), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    whole, micro = divmod(unix_ns // 1000, 1_000_000)
    assert (int(read.replace(microsecond=0).timestamp()), read.microsecond) == (whole, micro)


def test_ntp_counts_from_1900_and_wraps_in_2036() -> None:
    assert ntp_of(0) == 2_208_988_800 << 32
    assert ntp_of(500_000_000) == (2_208_988_800 << 32) + (1 << 31)
    wrap = (2**32 - 2_208_988_800) * 10**9
    assert ntp_of(wrap - 10**9) >> 32 == 0xFFFF_FFFF
    assert ntp_of(wrap) == 0


@given(st.integers(0, 4 * 10**18))
def test_ntp_is_64_bits_and_within_a_nanosecond(unix_ns: int) -> None:
    stamp = ntp_of(unix_ns)
    assert 0 <= stamp < 1 << 64
    fraction_ns = (stamp & 0xFFFF_FFFF) * 10**9 / (1 << 32)
    assert abs(fraction_ns - unix_ns % 10**9) <= 1


@given(st.integers(0, 8 * 10**18), st.integers(-(10**18), 10**18))
def test_ntp_means_the_instant_nearest_to_now(unix_ns: int, apart_ns: int) -> None:
    assert abs(unix_ns_of_ntp(ntp_of(unix_ns), near_ns=unix_ns + apart_ns) - unix_ns) <= 1


@given(st.integers(0, 2**64 - 1), st.integers(0, 8 * 10**18))
def test_any_ntp_timestamp_means_something(ntp_timestamp: int, near_ns: int) -> None:
    meant = unix_ns_of_ntp(ntp_timestamp, near_ns=near_ns)
    assert abs(meant - near_ns) <= 2**31 * 10**9 + 1
    assert ntp_of(meant) >> 32 in (ntp_timestamp >> 32, (ntp_timestamp >> 32) - 1)
