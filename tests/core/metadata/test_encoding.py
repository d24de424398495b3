import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.metadata.encoding import decode_body

TEXT = "<recording>Größe</recording>"


@pytest.mark.requirement("7865-5.1-a")
@pytest.mark.parametrize(
    ("raw", "charset"),
    [
        (TEXT.encode(), None),
        (TEXT.encode(), "UTF-8"),
        (TEXT.encode(), '"utf-8"'),
        (TEXT.encode("utf-16"), None),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16"),
        (TEXT.encode("utf-16-le"), "utf-16"),
        (TEXT.encode("utf-16-be"), None),
        (TEXT.encode("latin-1"), "ISO-8859-1"),
    ],
)
def test_body_in_an_encoding_that_is_read(raw: bytes, charset: str | None) -> None:
    body = decode_body(raw, charset)
    assert body.data.decode() == TEXT
    assert body.error is None
    assert body.findings == []


def declared(encoding: str, text: str = TEXT) -> str:
    return f'<?xml version="1.0" encoding="{encoding}"?>\n{text}'


def test_declaration_names_the_encoding() -> None:
    text = declared("ISO-8859-1")
    assert decode_body(text.encode("latin-1"), None).data.decode() == text


@pytest.mark.requirement("7865-5.1-b", "9806-4-a")
def test_charset_parameter_outranks_the_declaration() -> None:
    text = declared("ISO-8859-1")
    body = decode_body(text.encode(), "utf-8")
    assert body.data.decode() == text
    assert [each.code for each in body.findings] == ["metadata-charset"]


@pytest.mark.requirement("9806-4-a")
def test_byte_order_mark_outranks_the_charset_parameter() -> None:
    body = decode_body(b"\xef\xbb\xbf" + TEXT.encode(), "iso-8859-1")
    assert body.data.decode() == TEXT
    assert [each.code for each in body.findings] == ["metadata-byte-order-mark"]


def test_utf_16_declared_over_utf_8_is_read_as_utf_8() -> None:
    text = declared("utf-16")
    body = decode_body(text.encode(), None)
    assert body.data.decode() == text
    assert [each.code for each in body.findings] == ["metadata-charset"]


def test_unknown_charset_is_ignored() -> None:
    body = decode_body(TEXT.encode(), "klingon")
    assert body.data.decode() == TEXT
    assert [each.code for each in body.findings] == ["metadata-charset"]


@pytest.mark.parametrize(
    "raw",
    [
        declared("windows-1252").encode(),
        declared("UTF-7").encode(),
        declared("EBCDIC-CP-US").encode(),
        TEXT.encode("utf-32"),
        b"\0\0\xfe\xff" + TEXT.encode("utf-32-be"),
        b"\xff\xfe" + TEXT.encode("utf-16-le")[:-1],
        b"\xff\xfe\x00\xd8\x00\x00",
    ],
)
def test_other_encodings_are_refused(raw: bytes) -> None:
    body = decode_body(raw, None)
    assert body.error is not None
    assert body.data == b""
    assert [each.code for each in body.findings] == ["metadata-encoding"]


@pytest.mark.requirement("7865-5.1-b")
def test_white_space_before_the_declaration_is_cut_off() -> None:
    body = decode_body(b" \r\n\n  " + declared("UTF-8").encode(), None)
    assert body.data.startswith(b"<?xml")
    assert (body.skipped_lines, body.skipped_columns) == (2, 2)
    assert [each.code for each in body.findings] == ["metadata-leading-space"]


def test_white_space_before_a_root_without_declaration_is_legal() -> None:
    assert decode_body(b"\n<recording/>", None).findings == []


def test_nul_octets_at_the_end_are_cut_off() -> None:
    body = decode_body(b"<recording/>\0\0", None)
    assert body.data == b"<recording/>"
    assert [each.code for each in body.findings] == ["metadata-trailing-octets"]


@given(st.binary(max_size=60), st.none() | st.sampled_from(["utf-8", "utf-16", "latin1", "x", ""]))
def test_any_octets_are_taken_without_raising(raw: bytes, charset: str | None) -> None:
    body = decode_body(raw, charset)
    assert (body.error is None) or body.data == b""
