import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError
from siprec_core.sip.headers import Headers
from tests.core.sip.strategies import printable, tokens


@pytest.mark.requirement("3261-7.3.1-a", "3261-7.3.1-b", "3261-7.3.3-a")
def test_order_case_and_compact_forms() -> None:
    headers = Headers([("v", "a"), ("X-One", "1"), ("VIA", "b, c"), ("x-one", "2")])
    assert list(headers) == [("Via", "a"), ("X-One", "1"), ("Via", "b, c"), ("x-one", "2")]
    assert headers.get("via") == "a"
    assert headers.get_all("v") == ["a", "b, c"]
    assert headers.values("Via") == ["a", "b", "c"]
    assert headers.get_all("X-ONE") == ["1", "2"]
    assert "x-ONE" in headers
    assert "Subject" not in headers
    assert 1 not in headers
    assert headers.get("Subject") is None
    assert headers.get_all("Subject") == headers.values("Subject") == []
    assert headers.count("Via") == 3
    assert headers.count("Subject") == 0
    assert len(headers) == 4
    assert "X-One" in repr(headers)


def test_what_is_given_out_is_a_copy() -> None:
    headers = Headers([("Via", "a")])
    headers.get_all("Via").append("b")
    assert headers.get_all("Via") == ["a"]
    other = headers.copy()
    other.add("Via", "b")
    assert headers.get_all("Via") == ["a"]
    assert headers != other
    assert headers == Headers([("v", "a")])
    assert headers != [("Via", "a")]


@pytest.mark.requirement("3261-7.3.1-b")
@pytest.mark.parametrize("name", ["WWW-Authenticate", "Authorization", "Proxy-Authenticate", "Proxy-Authorization"])
def test_credentials_are_not_split(name: str) -> None:
    headers = Headers([(name, 'Digest realm="a", nonce="b"'), (name, "Digest c")])
    assert headers.values(name) == ['Digest realm="a", nonce="b"', "Digest c"]


def test_writing_keeps_places() -> None:
    headers = Headers([("Via", "1"), ("To", "t"), ("Via", "2"), ("Z", "z")])
    headers.set("Via", "3")
    assert list(headers) == [("Via", "3"), ("To", "t"), ("Z", "z")]
    headers.set_all("To", ["a", "b"])
    assert list(headers) == [("Via", "3"), ("To", "a"), ("To", "b"), ("Z", "z")]
    headers.insert_first("To", "0")
    headers.insert_first("Route", "r")
    assert list(headers)[:3] == [("Route", "r"), ("Via", "3"), ("To", "0")]
    headers.remove("to")
    headers.remove("absent")
    headers.set("New", "n")
    assert list(headers) == [("Route", "r"), ("Via", "3"), ("Z", "z"), ("New", "n")]
    headers.set_all("Z", [])
    assert "Z" not in headers


def test_replace_first_leaves_the_other_entries() -> None:
    headers = Headers([("Via", "a, malformed;;, c"), ("To", "t"), ("Via", "d")])
    headers.replace_first("v", "b")
    assert headers.get_all("Via") == ["b", "malformed;;", "c", "d"]
    headers.replace_first("Z", "y")
    assert headers.get("Z") == "y"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\rb"),
        ("X", "a\nb"),
        ("X", "a\x00"),
        ("X", "\ud800"),
        ("X", chr(0xDC0A)),
        ("X Y", "a"),
        ("", "a"),
        ("X:", "a"),
    ],
)
def test_what_would_break_a_line_is_refused(name: str, value: str) -> None:
    headers = Headers()
    with pytest.raises(LocalProtocolError):
        headers.add(name, value)
    with pytest.raises(LocalProtocolError):
        headers.set(name, value)
    with pytest.raises(LocalProtocolError):
        headers.insert_first(name, value)
    assert len(headers) == 0


def test_an_escaped_nul_may_be_copied() -> None:
    assert Headers([("To", '"\\\x00" <sip:a@b>')]).get("To") == '"\\\x00" <sip:a@b>'


def test_views_are_kept_until_their_field_is_written() -> None:
    headers = Headers([("Via", "a"), ("To", "t")])
    calls: list[str] = []

    def read(source: Headers) -> str:
        calls.append("read")
        return source.get("Via") or ""

    assert headers.view("Via", "", read) == headers.view("Via", "", read) == "a"
    headers.set("To", "u")
    headers.view("Via", "", read)
    assert len(calls) == 1
    headers.set("v", "b")
    assert headers.view("Via", "", read) == "b"
    assert len(calls) == 2
    headers.keep_view("Via", "", "kept")
    assert headers.view("Via", "", read) == "kept"


@given(st.lists(st.tuples(tokens, printable), max_size=8))
def test_every_field_is_found_under_any_spelling(fields: list[tuple[str, str]]) -> None:
    headers = Headers(fields)
    assert len(headers) == len(fields)
    for name, value in fields:
        for spelling in (name, name.upper(), name.lower()):
            assert value.strip(" \t") in headers.get_all(spelling)
