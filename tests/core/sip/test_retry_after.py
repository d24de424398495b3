"""Retry-After, as it should be and as peers send it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.sip.retry_after import read_retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5),
        (" 18000;duration=3600", 18_000),
        ("120 (I'm in a meeting)", 120),
        ("120(busy);duration=1", 120),
        ("0", 0),
        ("999999999", 999_999_999),
        ("9999999999", None),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("Fri, 29 Sep 2000 16:00:00 GMT", None),
    ],
)
def test_seconds_are_read_and_nothing_else(value: str | None, seconds: int | None) -> None:
    assert read_retry_after(value) == seconds


@given(st.text())
def test_no_text_harms(value: str) -> None:
    seconds = read_retry_after(value)
    assert seconds is None or 0 <= seconds < 10**9
