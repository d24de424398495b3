import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.sip.grammar import (
    is_token,
    quote,
    quoted_end,
    read_host_port,
    read_number,
    split_list,
    unescape,
    unquote,
    write_host_port,
)
from tests.core.sip.strategies import hosts, ports, quotable


@pytest.mark.parametrize("text", ["INVITE", "a", "x-y.z", "!%*_+`'~"])
def test_tokens(text: str) -> None:
    assert is_token(text)


@pytest.mark.parametrize("text", ["", "a b", "a:b", "a\n", "\xe4", "(a)", '"a"', "a,b"])
def test_no_tokens(text: str) -> None:
    assert not is_token(text)


@pytest.mark.requirement("3261-25-a")
@given(quotable)
def test_unquote_undoes_quote(text: str) -> None:
    quoted = quote(text)
    assert unquote(quoted) == text
    assert quoted_end(quoted + " tail", 0) == len(quoted)


def test_unquote_leaves_other_text() -> None:
    assert unquote('"') == '"'
    assert unquote('a"b"') == 'a"b"'


def test_quote_never_leaves_a_bare_nul() -> None:
    assert quote("a\x00b") == '"a\\\x00b"'


@pytest.mark.requirement("3261-7.3.1-b")
@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", []),
        (" , ,", []),
        ("a", ["a"]),
        (" a , b,c ", ["a", "b", "c"]),
        ('"x, y" <sip:a@b>, <sip:c,d@e>;p', ['"x, y" <sip:a@b>', "<sip:c,d@e>;p"]),
        (r'"x\", y" <sip:a@b>,c', [r'"x\", y" <sip:a@b>', "c"]),
        ('"open, a', ['"open', "a"]),
        ("<open, a", ["<open", "a"]),
        ("<a,b>,<c,d", ["<a,b>", "<c", "d"]),
        (">,a", [">", "a"]),
    ],
)
def test_split_list(text: str, entries: list[str]) -> None:
    assert split_list(text) == entries


@given(st.text('a,<>"\\ ', max_size=60))
def test_split_list_loses_only_commas_and_blanks(text: str) -> None:
    joined = "".join(split_list(text))
    assert sorted(joined.replace(",", "").replace(" ", "")) == sorted(text.replace(",", "").replace(" ", ""))


@pytest.mark.requirement("3261-25-a")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", ("example.com", None)),
        ("example.com:5060", ("example.com", 5060)),
        ("example.com : 05060", ("example.com", 5060)),
        ("under_score", ("under_score", None)),
        ("[2001:db8::1]", ("2001:db8::1", None)),
        ("[2001:db8::1]:5070", ("2001:db8::1", 5070)),
        ("[::ffff:192.0.2.1]", ("::ffff:192.0.2.1", None)),
        ("", None),
        ("a:", None),
        ("a:65536", None),
        ("a:-1", None),
        ("2001:db8::1", None),
        ("[2001:db8:::1]", None),
        ("[]", None),
        ("[1.2.3.4]", None),
        ("a b", None),
        ("ex\u00e4mple", None),
    ],
)
def test_read_host_port(text: str, expected: tuple[str, int | None] | None) -> None:
    assert read_host_port(text) == expected


@given(hosts, ports)
def test_host_and_port_round_trip(host: str, port: int | None) -> None:
    assert read_host_port(write_host_port(host, port)) == (host, port)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("0068", 68),
        ("000", 0),
        ("100", 100),
        ("101", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1 ", None),
    ],
)
def test_read_number(text: str, expected: int | None) -> None:
    assert read_number(text, 100) == expected


def test_numbers_without_end_are_refused_cheaply() -> None:
    assert read_number("9" * 100_000, 2**63) is None
    assert read_number("0" * 100_000 + "7", 2**63) == 7


def test_digits_of_other_scripts_are_no_numbers() -> None:
    assert read_number("\u0663", 100) is None
    assert read_number("1_0", 100) is None


@pytest.mark.requirement("3261-19.1-a")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("%61b", "ab"),
        ("%2541", "%41"),
        ("null-%00-null", "null-\x00-null"),
        ("%C3%a4", "\xe4"),
        ("%zz%", "%zz%"),
    ],
)
def test_unescape_resolves_once(text: str, expected: str) -> None:
    assert unescape(text) == expected
