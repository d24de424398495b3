from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.metadata.times import Instant, parse_time

NOON = 1_714_564_800 * 1_000_000_000
"""2024-05-01T12:00:00Z."""


@pytest.mark.requirement("7865-6.9-a")
@pytest.mark.parametrize(
    ("text", "offset_ns"),
    [
        ("2024-05-01T12:00:00Z", 0),
        ("2024-05-01T14:00:00+02:00", 0),
        ("2024-05-01T06:30:00-05:30", 0),
        ("2024-05-01T12:00:00-00:00", 0),
        ("2024-05-01T12:00:00.5Z", 500_000_000),
        ("2024-05-01T12:00:00.123456789999Z", 123_456_789),
        ("2024-05-01T11:59:60Z", 0),
        (" 2024-05-01T12:00:00Z\n", 0),
    ],
)
def test_date_time_of_rfc_3339(text: str, offset_ns: int) -> None:
    parsed = parse_time(text)
    assert parsed.instant == Instant(text.strip(), NOON + offset_ns)
    assert parsed.deviation is None


@pytest.mark.requirement("7865-6.9-a")
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("2024-05-01T12:00:00", "zone"),
        ("2024-05-01T12:00:00.0", "zone"),
        ("2024-05-01T15:00:00+0300", "offset"),
        ("2024-05-01T15:00:00+03", "offset"),
        ("2024-05-01t12:00:00Z", "upper-case T"),
        ("2024-05-01 12:00:00Z", "upper-case T"),
        ("2024-05-01T12:00:00z", "upper case"),
        ("2024-05-01T12:00:00,0Z", "decimal"),
        ("2024-04-30T24:00:00-12:00", "hour 24"),
    ],
)
def test_tolerated_date_time_is_the_instant_meant(text: str, word: str) -> None:
    parsed = parse_time(text)
    assert parsed.instant == Instant(text, NOON)
    assert parsed.deviation is not None
    assert word in parsed.deviation


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noon",
        "2024-02-30T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "2024-05-01T25:00:00Z",
        "2024-05-01T24:00:01Z",
        "2024-05-01T24:00:00.001Z",
        "2024-05-01T12:60:00Z",
        "2024-05-01T12:00:61Z",
        "2024-05-01T12:00:00+24:00",
        "2024-05-01T12:00:00+02:60",
        "2024-05-01",
        "2024-05-01T12:00:00ZZ",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "\u0662\u0660\u0662\u0664-05-01T12:00:00Z",
        "2024-05-01T12:00:00." + "9" * 1000 + "Z",
    ],
)
def test_text_without_meaning_is_kept(text: str) -> None:
    parsed = parse_time(text)
    assert parsed.instant == Instant(text, None)
    assert parsed.deviation
    assert parsed.instant.to_wire() is None


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_every_instant_is_read_as_written(moment: datetime, offset: int) -> None:
    sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
    parsed = parse_time(f"{moment.isoformat(timespec='microseconds')}{sign}{hours:02}:{minutes:02}")
    since = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    assert parsed.instant.unix_ns == (microseconds - offset * 60_000_000) * 1000
    assert parsed.deviation is None


@given(st.text(max_size=40))
def test_any_text_is_read_without_raising(text: str) -> None:
    parsed = parse_time(text)
    assert (parsed.instant.unix_ns is not None) or parsed.deviation


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_own_text_reads_back(unix_ns: int) -> None:
    instant = Instant.at(unix_ns)
    assert parse_time(instant.text).instant == instant
    assert parse_time(instant.text).deviation is None


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("2024-05-01T14:00:00.25+02:00", "2024-05-01T14:00:00.25+02:00"),
        ("2024-05-01T15:00:00+0300", "2024-05-01T12:00:00.000000Z"),
        ("2024-05-01T12:00:00", "2024-05-01T12:00:00.000000Z"),
        ("2024-05-01T11:59:60Z", "2024-05-01T12:00:00.000000Z"),
        ("2024-05-02T03:00:00+15:00", "2024-05-01T12:00:00.000000Z"),
    ],
)
def test_wire_form_is_of_rfc_3339_and_of_the_schema(text: str, wire: str) -> None:
    assert parse_time(text).instant.to_wire() == wire
