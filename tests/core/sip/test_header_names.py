import pytest

from siprec_core.sip.header_names import CANONICAL_BY_LOWER, NOT_A_LIST, SINGLE, USUAL_SPELLINGS, canonical_name


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("v", "Via"),
        ("I", "Call-ID"),
        ("Call-Id", "Call-ID"),
        ("cseq", "CSeq"),
        ("www-AUTHENTICATE", "WWW-Authenticate"),
        ("mime-version", "MIME-Version"),
        ("x-Vendor-Thing", "x-Vendor-Thing"),
        ("q", "q"),
    ],
)
def test_canonical_names(written: str, canonical: str) -> None:
    assert canonical_name(written) == canonical


@pytest.mark.requirement("3261-7.3.3-a")
def test_all_compact_forms_are_known() -> None:
    compact = {short: name for short, name in CANONICAL_BY_LOWER.items() if len(short) == 1}
    assert compact == {
        "a": "Accept-Contact",
        "b": "Referred-By",
        "c": "Content-Type",
        "d": "Request-Disposition",
        "e": "Content-Encoding",
        "f": "From",
        "i": "Call-ID",
        "j": "Reject-Contact",
        "k": "Supported",
        "l": "Content-Length",
        "m": "Contact",
        "n": "Identity-Info",
        "o": "Event",
        "r": "Refer-To",
        "s": "Subject",
        "t": "To",
        "u": "Allow-Events",
        "v": "Via",
        "x": "Session-Expires",
        "y": "Identity",
    }


def test_canonical_names_are_their_own() -> None:
    for name in CANONICAL_BY_LOWER.values():
        assert USUAL_SPELLINGS[name] == CANONICAL_BY_LOWER[name.lower()] == name


def test_fields_with_rules_of_their_own_are_canonical() -> None:
    assert set(SINGLE) | NOT_A_LIST <= set(CANONICAL_BY_LOWER.values())
