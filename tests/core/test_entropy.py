"""The form of each identifier, for any octets that the seam gives."""

import re
from base64 import b64decode
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.entropy import Entropy, Ids
from tests.core.harness import entropy

_SOURCES = st.integers(0, 255).map(lambda octet: lambda size: bytes([octet]) * size) | st.integers(0, 2**32).map(
    entropy
)


@pytest.mark.requirement("3261-8.1.1-b", "3261-8.1.1-e", "7866-8.1.5-b")
@pytest.mark.parametrize(
    ("draw", "pattern"),
    [
        (Ids.tag, r"[0-9a-f]{16}"),
        (Ids.branch, r"z9hG4bK[0-9a-f]{24}"),
        (Ids.call_id, r"[0-9a-f]{32}"),
        (Ids.session, r"[0-9a-f]{32}"),
        (Ids.unique_id, r"[A-Za-z0-9+/]{22}=="),
        (Ids.cname, r"[A-Za-z0-9+/]{16}"),
        (Ids.boundary, r"[A-Za-z0-9]{22}"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
@given(source=_SOURCES)
def test_texts_have_their_form(draw: Callable[[Ids], str], pattern: str, source: Entropy) -> None:
    assert re.fullmatch(pattern, draw(Ids(source)))


@pytest.mark.requirement("3550-5.1-c")
@pytest.mark.parametrize(
    ("draw", "bits"),
    [
        (Ids.sdp_session, 62),
        (Ids.ssrc, 32),
        (Ids.sequence_number, 15),
        (Ids.rtp_timestamp, 32),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_numbers_fill_their_range_and_no_more(draw: Callable[[Ids], int], bits: int) -> None:
    assert draw(Ids(lambda size: b"\0" * size)) == 0
    assert draw(Ids(lambda size: b"\xff" * size)) == (1 << bits) - 1


@pytest.mark.requirement("4568-6.4-a")
@given(_SOURCES)
def test_the_first_sequence_number_is_far_from_a_wrap(source: Entropy) -> None:
    assert 0 <= Ids(source).sequence_number() < 2**15


@given(_SOURCES)
def test_a_metadata_id_is_a_random_uuid(source: Entropy) -> None:
    octets = b64decode(Ids(source).unique_id(), validate=True)
    uuid = UUID(bytes=octets)
    assert (uuid.version, uuid.variant) == (4, "specified in RFC 4122")


@given(_SOURCES)
def test_a_fraction_is_below_one(source: Entropy) -> None:
    assert 0.0 <= Ids(source).fraction() < 1.0


@pytest.mark.requirement("3261-8.1.1-b")
def test_identifiers_of_one_source_differ() -> None:
    ids = Ids(entropy(5))
    assert len({ids.tag() for _ in range(1000)}) == 1000
    assert len({ids.branch() for _ in range(1000)}) == 1000
