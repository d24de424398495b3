import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.sip.header_block import HeaderBlock, read_header_block
from siprec_core.sip.headers import Headers
from tests.core.sip.strategies import printable, tokens


def read(data: bytes, limits: Limits | None = None) -> HeaderBlock:
    return read_header_block(data, limits=limits or Limits(), start_line=False)


def codes(block: HeaderBlock) -> list[str]:
    return [found.code for found in block.findings]


def test_a_clean_block() -> None:
    block = read_header_block(b"START\r\nv:1\r\nX-A:  2 \r\nSubject:\r\nx-a: 3", limits=Limits(), start_line=True)
    assert block.start_line == "START"
    assert list(block.headers) == [("Via", "1"), ("X-A", "2"), ("Subject", ""), ("x-a", "3")]
    assert block.headers.get_all("X-a") == ["2", "3"]
    assert block.repeats
    assert block.error is None
    assert codes(block) == []
    assert not read(b"Via: 1\r\nTo: 2").repeats


@pytest.mark.requirement("3261-7.3.1-a")
def test_folding_equals_one_blank() -> None:
    block = read(b"TO :\r\n sip:a@b ;\r\n\ttag  = 1\r\nSubject: x")
    assert list(block.headers) == [("To", "sip:a@b ; tag  = 1"), ("Subject", "x")]
    assert codes(block) == ["sip-blank-before-colon"]
    assert block.findings[0].line == 1


def test_bare_lf_is_told_once() -> None:
    block = read(b"Via: 1\nTo: 2\r\nFrom: 3\n x")
    assert list(block.headers) == [("Via", "1"), ("To", "2"), ("From", "3 x")]
    assert codes(block) == ["sip-bare-lf"]


def test_octets_survive() -> None:
    raw = b"X: \xff\xfe \xe4\xb8\x96\xed\xa0\x80"
    block = read(raw)
    assert (block.headers.get("X") or "").encode("utf-8", "surrogateescape") == raw[3:]
    Headers(block.headers)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"Via: 1\r\nno colon\r\nTo: 2", 2),
        (b"Via: 1\r\nVia\r\nTo: 2", 2),
        (b"Via: 1\r\nTo: 2\r\n a\r\nbad name: x", 4),
        (b" folded: x\r\nVia: 1\r\nTo: 2", 1),
        (b"Via: 1\r\n: x\r\nTo: 2", 2),
        (b"Via: 1\r\nX: a\rb\r\nTo: 2", 2),
        (b"Via: 1\r\nTo: 2\r\nX: \x00", 3),
    ],
)
def test_errors_name_the_line_and_keep_the_rest(data: bytes, line: int) -> None:
    block = read(data)
    assert block.error is not None
    assert block.error.line == line
    assert (block.headers.get("Via"), (block.headers.get("To") or "")[:1]) == ("1", "2")
    assert not block.over_limit


def test_an_escaped_nul_is_legal() -> None:
    block = read(b'To: "NUL:\\\x00" <sip:a@b>')
    assert block.error is None
    assert block.headers.get("To") == '"NUL:\\\x00" <sip:a@b>'


def test_limits() -> None:
    limits = Limits(header_field_size=20, header_fields=3)
    long = read(b"X: " + b"a" * 30 + b"\r\nVia: 1", limits)
    assert long.over_limit
    assert long.error is not None
    assert long.headers.get("Via") == "1"
    assert len(long.headers.get("X") or "") < 20
    many = read(b"a: 1\r\nb: 2\r\nc: 3\r\nd: 4", limits)
    assert many.over_limit
    assert len(many.headers) == 3
    assert read(b"a: 1\r\nb: 2\r\nc: 3", limits).error is None


@given(st.lists(st.tuples(tokens, printable), max_size=8), st.sampled_from(["", " ", "\r\n "]))
def test_round_trip(fields: list[tuple[str, str]], fold: str) -> None:
    expected = list(Headers(fields))
    block = read("\r\n".join(f"{name}:{fold}{value}" for name, value in expected).encode())
    assert block.error is None
    assert list(block.headers) == expected


@given(st.lists(st.tuples(tokens, printable), min_size=1, max_size=8))
def test_clean_and_careful_reading_agree(fields: list[tuple[str, str]]) -> None:
    data = "\r\n".join(f"{name}: {value}" for name, value in fields).encode()
    clean = read(data)
    careful = read(data + b"\r\n ")
    assert clean.repeats == careful.repeats
    assert list(clean.headers) == list(careful.headers)
    for name, _ in fields:
        assert clean.headers.get_all(name) == careful.headers.get_all(name)


@given(st.binary(max_size=120) | st.text(": \t\r\nVvia\x00\\", max_size=80).map(str.encode))
def test_whatever_comes_can_be_copied(data: bytes) -> None:
    block = read(data)
    assert list(Headers(block.headers)) == list(block.headers)
