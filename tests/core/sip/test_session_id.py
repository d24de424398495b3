"""The Session-ID header field (RFC 7989)."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.sip.headers import Headers
from siprec_core.sip.session_id import NIL, SessionIdentifier, joined, session_identifier_of, uuid_of

ONE = "ab30317f1a784dc48ff824d0d3715d86"
TWO = "47755a9de7794ba387653f2099600ef2"


def parse(value: str) -> SessionIdentifier | None:
    return session_identifier_of(Headers([("Session-ID", value)]))


@pytest.mark.requirement("7989-a")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"{ONE};remote={NIL}", SessionIdentifier(ONE, NIL)),
        (f"{ONE};remote={TWO}", SessionIdentifier(ONE, TWO)),
        (f"{ONE.upper()} ; remote = {TWO.upper()} ;x=y", SessionIdentifier(ONE, TWO)),
        (ONE, SessionIdentifier(ONE, None)),
        (f"{ONE};logme", SessionIdentifier(ONE, None)),
        (f"{NIL};remote={ONE}", None),
        (f"{ONE}0;remote={TWO}", None),
        (ONE[1:], None),
        ("", None),
    ],
)
def test_both_halves_are_read(value: str, expected: SessionIdentifier | None) -> None:
    assert parse(value) == expected


def test_without_the_field_there_is_none() -> None:
    assert session_identifier_of(Headers()) is None


@pytest.mark.requirement("7989-a")
def test_we_answer_with_a_half_of_our_own_that_stays() -> None:
    ours = joined(SessionIdentifier(ONE, NIL), local_tag="tag")
    assert ours == SessionIdentifier(uuid_of("tag"), ONE)
    assert joined(SessionIdentifier(TWO, ONE), local_tag="tag").local == ours.local
    assert joined(SessionIdentifier(ONE, NIL), local_tag="other").local != ours.local


def test_a_peer_of_rfc_7329_gets_its_identifier_back() -> None:
    assert str(joined(SessionIdentifier(ONE, None), local_tag="tag")) == ONE


@given(st.text(max_size=20))
def test_our_half_is_a_uuid_of_version_5(tag: str) -> None:
    uuid = UUID(uuid_of(tag))
    assert (uuid.version, uuid.hex) == (5, uuid_of(tag))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=80))
def test_any_text_is_read_or_ignored(value: str) -> None:
    read = parse(value)
    if read is not None:
        assert parse(str(read)) == read
