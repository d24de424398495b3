import uuid
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.metadata.ids import id_key, is_unique_id, unique_id_for

OCTETS = bytes(range(16))
UNIQUE = b64encode(OCTETS).decode()


@pytest.mark.requirement("7865-6.10-a")
def test_base64_of_sixteen_octets_is_a_unique_id() -> None:
    assert is_unique_id(UNIQUE)
    assert unique_id_for(UNIQUE) == id_key(UNIQUE) == UNIQUE


@pytest.mark.parametrize(
    "text", ["", "call-9", UNIQUE[:-1], UNIQUE + "=", "A" * 24, " " + UNIQUE, UNIQUE.replace("A", "-")]
)
def test_other_texts_are_not(text: str) -> None:
    assert not is_unique_id(text)


@pytest.mark.requirement("7865-6.10-c")
def test_spellings_of_the_same_octets_are_one_id() -> None:
    spelt = UNIQUE[:10] + "\n  " + UNIQUE[10:21] + "x=="
    assert b64decode(spelt) == OCTETS
    assert id_key(spelt) == UNIQUE


@pytest.mark.requirement("7865-6.10-c")
def test_opaque_ids_are_compared_by_case() -> None:
    assert id_key("Call-9") != id_key("call-9")
    assert id_key("A" * 22 + "!=") == "A" * 22 + "!="


@pytest.mark.requirement("7865-6.10-a")
@pytest.mark.parametrize("form", ["{}", "urn:uuid:{}", "URN:UUID:{}"])
def test_textual_uuid_keeps_its_octets(form: str) -> None:
    identity = uuid.UUID(bytes=OCTETS)
    assert b64decode(unique_id_for(form.format(identity))) == OCTETS
    assert b64decode(unique_id_for(identity.hex.upper())) == OCTETS


def test_opaque_id_becomes_a_name_based_uuid() -> None:
    identity = uuid.UUID(bytes=b64decode(unique_id_for("call-9")))
    assert identity.version == 5
    assert identity.variant == uuid.RFC_4122
    assert unique_id_for("call-9") == unique_id_for("call-9") != unique_id_for("call-8")


@given(st.text(max_size=40))
def test_every_text_gets_a_unique_id_that_stays(text: str) -> None:
    unique = unique_id_for(text)
    assert is_unique_id(unique)
    assert unique_id_for(unique) == unique
    assert unique_id_for(id_key(text)) == unique


@given(st.binary(min_size=16, max_size=16))
def test_every_uuid_is_a_unique_id(octets: bytes) -> None:
    assert is_unique_id(b64encode(octets).decode())
