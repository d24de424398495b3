import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.sip.body import BodyPart, ParsedBody
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request
from siprec_core.sip.multipart import parse_body, write_multipart

LIMITS = Limits()
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
XML = b'<?xml version="1.0"?><recording/>'


def body_of(
    body: bytes, content_type: str | None = "multipart/mixed;boundary=b", limits: Limits = LIMITS
) -> ParsedBody:
    headers = Headers([] if content_type is None else [("Content-Type", content_type)])
    return parse_body(Request("INVITE", "sip:a", headers, body), limits=limits)


def read(body: bytes, content_type: str | None = "multipart/mixed;boundary=b") -> list[tuple[str, bytes]]:
    parsed = body_of(body, content_type)
    assert parsed.error is None
    return [(part.content_type.media_type, bytes(part.content)) for part in parsed.leaves()]


def codes(body: bytes, content_type: str | None = "multipart/mixed;boundary=b") -> list[str]:
    return [found.code for found in body_of(body, content_type).findings]


def two(boundary: bytes = b"b", newline: bytes = b"\r\n", close: bytes = b"--\r\n", padding: bytes = b"") -> bytes:
    lines = [
        b"--" + boundary + padding,
        b"Content-Type: application/sdp",
        b"",
        SDP,
        b"--" + boundary + padding,
        b"Content-Type:application/rs-metadata+xml",
        b"Content-Disposition: recording-session",
        b"",
        XML,
        b"--" + boundary + close,
    ]
    return newline.join(lines)


EXPECTED = [("application/sdp", SDP), ("application/rs-metadata+xml", XML)]


def test_two_parts() -> None:
    parsed = body_of(two())
    assert parsed.root is not None
    assert parsed.root.content_type.media_type == "multipart/mixed"
    assert bytes(parsed.root.content) == two()
    assert [part.disposition.type if part.disposition else None for part in parsed.leaves()] == [
        None,
        "recording-session",
    ]
    assert read(two()) == EXPECTED
    assert parsed.findings == ()


@pytest.mark.requirement("2045-5-a")
@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/mixed; boundary=b",
        'multipart/mixed;boundary="b"',
        "Multipart/Mixed ; Boundary=b ",
        "multipart/alternative;boundary=b",
        'multipart/mixed;boundary="b "',
        "multipart/mixed;charset=x;boundary=b;type=y",
    ],
)
def test_spellings_of_the_content_type(content_type: str) -> None:
    assert read(two(), content_type) == EXPECTED


@pytest.mark.requirement("2046-5.1-a")
@pytest.mark.parametrize("boundary", ["----=_Part_1253_1.2", "boundary-0a1b", "a b'()+_,-./:=?c"])
def test_boundaries_in_quotes(boundary: str) -> None:
    assert read(two(boundary.encode()), f'multipart/mixed;boundary="{boundary}"') == EXPECTED


@pytest.mark.requirement("2046-5.1-a")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (two(padding=b" "), []),
        (two(padding=b"\t "), []),
        (two(close=b"-- \r\n"), []),
        (two(close=b"--"), []),
        (b"\r\n" + two(), []),
        (b"preamble\r\n" + two() + b"epilogue --b\r\n", []),
        (two(close=b""), ["mime-unterminated"]),
    ],
)
def test_delimiter_lines(body: bytes, expected: list[str]) -> None:
    assert read(body) == EXPECTED
    assert codes(body) == expected


@pytest.mark.requirement("8068-ex-a")
def test_a_missing_closing_delimiter() -> None:
    body = two()[: -len(b"\r\n--b--\r\n")]
    assert read(body) == EXPECTED
    assert codes(body) == ["mime-unterminated"]


def test_lf_only() -> None:
    body = two(newline=b"\n").replace(b"\r\n", b"\n")
    assert read(body) == [("application/sdp", SDP.replace(b"\r\n", b"\n")), ("application/rs-metadata+xml", XML)]
    assert codes(body) == ["mime-bare-lf"]


def test_mixed_line_ends() -> None:
    assert read(two(newline=b"\n")) == EXPECTED


@pytest.mark.requirement("2046-5.1-a")
def test_content_keeps_its_octets() -> None:
    content = b"\r\n\x00\n\r--bb\r\n --b\r\nx--b\r\n--b x\r\n--b-\r\n\r\n"
    body = b"--b\r\nContent-Type: a/b\r\n\r\n" + content + b"\r\n--b--"
    assert read(body) == [("a/b", content)]


def test_a_boundary_that_begins_another() -> None:
    inner = b"--bc\r\n\r\nx\r\n--bc--\r\n"
    assert read(b"--b\r\nContent-Type: a/b\r\n\r\n" + inner + b"\r\n--b--\r\n") == [("a/b", inner)]


@pytest.mark.requirement("2046-5.1-a")
@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (b"\r\ntext", ("text/plain", b"text")),
        (b"\ntext", ("text/plain", b"text")),
        (b"c:application/sdp\r\n\r\nv=0", ("application/sdp", b"v=0")),
        (b"Content-type : application/SDP \r\n\r\nv=0", ("application/sdp", b"v=0")),
        (b"Content-Disposition: session\r\nContent-Type:\r\n application/sdp\r\n\r\nv=0", ("application/sdp", b"v=0")),
        (b"Content-Type: application/sdp\r\nContent-Length: 99\r\n\r\nv=0", ("application/sdp", b"v=0")),
        (b"Content-Type: application/sdp", ("application/sdp", b"")),
        (b"Content-Type: application/sdp\r\n", ("application/sdp", b"")),
        (b"Content-Type: application/sdp\r\n\r\n", ("application/sdp", b"")),
        (b"Content-Type: rubbish\r\n\r\nx", ("application/octet-stream", b"x")),
        (b"v=0\r\no=- 1 1 IN IP4 h", ("text/plain", b"v=0\r\no=- 1 1 IN IP4 h")),
        (b"Content-Type: a/b\r\nrubbish\r\n\r\nx", ("a/b", b"x")),
        (b"Content-Type: a/b\r\nContent-Disposition: ,\r\n\r\nx", ("a/b", b"x")),
        (b"", ("text/plain", b"")),
    ],
)
def test_part_headers(part: bytes, expected: tuple[str, bytes]) -> None:
    assert read(b"--b\r\n" + part + b"\r\n--b--\r\n") == [expected]


@pytest.mark.requirement("2046-5.1-c")
@pytest.mark.parametrize(
    ("part", "code"),
    [
        (b"Content-Type: a/b\r\nContent-Length: 9\r\n\r\nx", "mime-part-length"),
        (b"Content-Type: a/b\nContent-ID: <1>\n\nx", "mime-bare-lf"),
        (b"Content-Type : a/b\r\n\r\nx", "mime-part-header"),
        (b"Content-Type: a/b\r\nrubbish\r\n\r\nx", "mime-part-header"),
        (b"no header\r\n\r\nx", "mime-part-header"),
        (b"Content-Type: a b\r\n\r\nx", "mime-part-type"),
    ],
)
def test_deviations_of_parts_are_told(part: bytes, code: str) -> None:
    assert codes(b"--b\r\n" + part + b"\r\n--b\r\n" + part + b"\r\n--b--\r\n") == [code]


@pytest.mark.requirement("5621-4-a")
def test_nested() -> None:
    inner = b"--i\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--i\r\n\r\nalso\r\n--i--"
    body = b"--b\r\nContent-Type: multipart/alternative;boundary=i\r\n\r\n" + inner + b"\r\n--b\r\n\r\nlast\r\n--b--"
    assert read(body) == [("application/sdp", b"v=0"), ("text/plain", b"also"), ("text/plain", b"last")]
    parsed = body_of(body)
    assert parsed.root is not None
    assert [len(part.parts) for part in parsed.root.parts] == [2, 0]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (two(), "multipart/mixed"),
        (two(), "multipart/mixed;boundary="),
        (two(), 'multipart/mixed;boundary=""'),
        (two(), "multipart/mixed;boundary=other"),
        (two(b"x" * 71), "multipart/mixed;boundary=" + "x" * 71),
        (b"no delimiter", "multipart/mixed;boundary=b"),
        (b"x--b--", "multipart/mixed;boundary=b"),
        (two(), "multipart"),
        (b"--b\r\nContent-Type: multipart/mixed\r\n\r\nx\r\n--b--", "multipart/mixed;boundary=b"),
    ],
)
def test_errors(body: bytes, content_type: str) -> None:
    parsed = body_of(body, content_type)
    assert parsed.error is not None
    assert parsed.error.status_hint == 400
    assert parsed.root is None
    assert list(parsed.leaves()) == []


def test_a_body_that_closes_at_once_has_no_parts() -> None:
    parsed = body_of(b"--b--\r\n")
    assert parsed.error is not None


def test_limits() -> None:
    limits = Limits(multipart_parts=3, multipart_depth=2, part_header_size=60)
    three = b"--b\r\n\r\nx\r\n" * 3 + b"--b--"
    assert body_of(three, limits=limits).error is None
    assert body_of(b"--b\r\n\r\nx\r\n" + three, limits=limits).error is not None
    long = b"--b\r\nContent-Type: a/b\r\nX: " + b"y" * 60 + b"\r\n\r\nx\r\n--b--"
    assert body_of(long, limits=limits).error is not None
    level = b"x"
    for boundary in (b"d", b"c", b"b"):
        level = (
            b"--" + boundary + b"\r\nContent-Type: multipart/mixed;boundary=" + b"bcd"[b"bcd".index(boundary) + 1 :][:1]
        )
        level += (
            b"\r\n\r\n--c\r\nContent-Type: multipart/mixed;boundary=d\r\n\r\n--d\r\n\r\nx\r\n--d--\r\n--c--\r\n--b--"
        )
    assert body_of(level, limits=limits).error is not None
    assert body_of(level, limits=Limits(multipart_depth=3)).error is None


def test_parts_of_all_levels_count_together() -> None:
    inner = b"--i\r\n\r\nx\r\n" * 2 + b"--i--"
    body = b"--b\r\nContent-Type: multipart/mixed;boundary=i\r\n\r\n" + inner + b"\r\n--b--"
    assert body_of(body, limits=Limits(multipart_parts=3)).error is None
    assert body_of(body, limits=Limits(multipart_parts=2)).error is not None


def test_thousands_of_empty_parts_stop_early() -> None:
    parsed = body_of(b"--b\r\n" * 100_000)
    assert parsed.error is not None


@pytest.mark.parametrize("content_type", ["application/sdp", "application/sdp ", "application/sdp;charset=ISO-10646"])
def test_a_single_body_is_one_part(content_type: str) -> None:
    assert read(SDP, content_type) == [("application/sdp", SDP)]


def test_no_body() -> None:
    assert body_of(b"") == ParsedBody(None)


@pytest.mark.parametrize(("body", "guessed"), [(SDP, "application/sdp"), (XML, "application/octet-stream")])
def test_a_body_without_type_is_told(body: bytes, guessed: str) -> None:
    assert read(body, None) == [(guessed, body)]
    assert codes(body, None) == ["mime-no-content-type"]


def test_parts_are_views_of_the_body() -> None:
    message = Request("INVITE", "sip:a", Headers([("Content-Type", "multipart/mixed;boundary=b")]), two())
    for part in parse_body(message, limits=LIMITS).leaves():
        assert isinstance(part.content, memoryview)
        assert part.content.obj is message.body


def test_writing() -> None:
    parts = [
        BodyPart.create("application/sdp", SDP),
        BodyPart.create("application/rs-metadata+xml", XML, disposition="recording-session", content_id="m@x"),
    ]
    assert write_multipart(parts, boundary="b") == (
        b"--b\r\nContent-Type: application/sdp\r\n\r\n"
        + SDP
        + b"\r\n--b\r\nContent-Type: application/rs-metadata+xml\r\n"
        b"Content-Disposition: recording-session\r\nContent-ID: <m@x>\r\n\r\n" + XML + b"\r\n--b--\r\n"
    )


@pytest.mark.requirement("2046-5.1-a", "2046-5.1-b")
@pytest.mark.parametrize("boundary", ["", "x" * 71, "a ", "a\r\nb", "a;b", "ä", "v=0"])
def test_boundaries_that_cannot_be_used(boundary: str) -> None:
    with pytest.raises(LocalProtocolError):
        write_multipart([BodyPart.create("a/b", b"--v=0")], boundary=boundary)


def test_nothing_to_write() -> None:
    with pytest.raises(LocalProtocolError):
        write_multipart([], boundary="b")


@given(st.lists(st.tuples(st.sampled_from(["a/b", "application/sdp"]), st.binary(max_size=60)), min_size=1, max_size=5))
def test_what_is_written_is_read(contents: list[tuple[str, bytes]]) -> None:
    body = write_multipart([BodyPart.create(kind, content) for kind, content in contents], boundary="unlikely=boundary")
    assert read(body, 'multipart/mixed;boundary="unlikely=boundary"') == contents


PIECES = st.sampled_from(
    [b"--b", b"--b--", b"--", b"\r\n", b"\n", b"\r", b" ", b"Content-Type: multipart/mixed;boundary=b", b"x:y"]
)


@given(st.lists(PIECES | st.binary(max_size=5), max_size=30).map(b"".join))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    parsed = body_of(body)
    assert (parsed.error is None) == (parsed.root is not None or not body)
    total = sum(len(part.content) for part in parsed.leaves())
    assert total <= len(body)


@pytest.mark.parametrize("size", range(len(two())))
def test_any_beginning_is_read_or_refused(size: int) -> None:
    parsed = body_of(two()[:size])
    for part in parsed.leaves():
        assert bytes(part.content) in two()
