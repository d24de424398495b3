"""The Reason header field (RFC 3326)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.headers import Headers
from siprec_core.sip.reasons import Reason, reason_of_end, reasons_of


def texts(*values: str) -> list[str]:
    return [str(reason) for reason in reasons_of(Headers([("Reason", value) for value in values]))]


@pytest.mark.requirement("3326-2-a")
def test_several_reasons_stand_in_one_field_or_many() -> None:
    assert texts('SIP ;cause=200 ;text="Call completed, elsewhere", Q.850;cause=16', "SIP;cause=600") == [
        'SIP;cause=200;text="Call completed, elsewhere"',
        "Q.850;cause=16",
        "SIP;cause=600",
    ]


def test_unreadable_reasons_are_left_out_and_a_flood_is_cut() -> None:
    assert texts("", ";cause=1", "S P;cause=1", "SIP;=", "Q.850;cause=31") == ["Q.850;cause=31"]
    assert len(texts(", ".join(["SIP;cause=1"] * 100))) == 8


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("SIP;cause=503", 503),
        ('Q.850;cause=16;text="x"', 16),
        ("SIP", None),
        ("SIP;cause=x", None),
        ("A;cause=1000", None),
    ],
)
def test_the_cause_is_a_number(text: str, cause: int | None) -> None:
    assert Reason.parse(text).cause == cause


@pytest.mark.requirement("3326-2-a")
@pytest.mark.parametrize(
    ("end", "cause"),
    [("server-bye", 200), ("session-timer", 408), ("peer-gone", 481), ("shutdown", 503), ("unusable-answer", 502)],
)
def test_an_end_is_told_as_status_and_text(end: str, cause: int) -> None:
    reason = reason_of_end(end)
    assert (reason.protocol, reason.cause) == ("SIP", cause)
    assert str(reason).startswith(f'SIP;cause={cause};text="')


def test_an_end_of_another_name_is_told_by_that() -> None:
    assert str(reason_of_end("lunch")) == 'SIP;cause=200;text="lunch"'


@given(
    st.integers(100, 699), st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=30)
)
def test_what_is_written_is_read_again(cause: int, text: str) -> None:
    reason = Reason.sip(cause, text)
    again = Reason.parse(str(reason))
    assert (again, again.cause, again.parameters.get("text")) == (reason, cause, text)


@given(st.text(max_size=60))
def test_any_text_is_a_reason_or_refused(text: str) -> None:
    try:
        reason = Reason.parse(text)
    except RemoteProtocolError:
        return
    assert Reason.parse(str(reason)) == reason
