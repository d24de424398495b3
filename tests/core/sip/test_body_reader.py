import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.sip.body import BodyPart, ParsedBody
from siprec_core.sip.body_reader import ArrivingPart, BodyReader
from siprec_core.sip.fields import ContentType
from siprec_core.sip.headers import Headers
from tests.core.sip.strategies import cuts

MIXED = ContentType.parse("multipart/mixed;boundary=b")
TIGHT = Limits(multipart_parts=6, multipart_depth=3, part_header_size=100, multipart_boundary=10)
NESTED = (
    b"preamble\r\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"
    b"--b\r\nContent-Type: multipart/mixed; boundary=inner\r\n\r\n"
    b"--inner\r\n\r\n--b x\r\n--inne\r\n--inner \t\r\nX: y\r\n\r\n\r\n--inner--\r\nbehind\r\n"
    b"--b\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n"
    b"<recording/>\r\n--b--\r\n--b\r\nepilogue"
)


def reader(size: int, limits: Limits = TIGHT, content_type: ContentType | None = MIXED) -> BodyReader:
    return BodyReader(Headers(), content_type, size, limits=limits)


def read(pieces: list[bytes], limits: Limits = TIGHT) -> tuple[ParsedBody, BodyReader]:
    body, buffer = b"".join(pieces), bytearray()
    reading = reader(len(body), limits)
    for piece in pieces:
        buffer += piece
        reading.receive(buffer)
    return reading.finish(body), reading


def describe(parsed: ParsedBody) -> object:
    error = None if parsed.error is None else (parsed.error.message, parsed.error.field)
    return parsed.root and describe_part(parsed.root), parsed.findings, error


def describe_part(part: BodyPart) -> object:
    inner = [describe_part(each) for each in part.parts]
    return list(part.headers), bytes(part.content), part.content_type, part.disposition, inner


def known(parts: list[ArrivingPart]) -> object:
    return [(part.content_type.media_type, part.start, part.end, known(part.parts)) for part in parts]


PIECES = st.sampled_from(
    [b"--b", b"--b--", b"--", b"-", b"\r\n", b"\n", b"\r", b" ", b"\t", b"--i", b"--i--", b"--bi", b"x:y", b"v=0"]
    + [b"\r\n\r\n", b"\r\n--b\r\n", b"\r\n--i\r\n", b"Content-Length: 3", b"y" * 105, b"z: " + b"q" * 97]
    + [b"Content-Type: multipart/mixed;boundary=" + boundary for boundary in (b"i", b"b", b"bi")]
    + [b"c:multipart/x;boundary=%b\r\n\r\n--%b\r\n" % (boundary, boundary) for boundary in (b"i", b"bi")]
)
BODIES = st.lists(PIECES | st.binary(max_size=4), max_size=25).map(lambda pieces: b"--b\r\n" + b"".join(pieces))


@pytest.mark.requirement("5621-4-a")
@given(st.data(), BODIES | st.just(NESTED))
def test_any_cut_gives_the_same_parts_and_findings(data: st.DataObject, body: bytes) -> None:
    whole = read([body])[0]
    assert describe(read(data.draw(cuts(body)))[0]) == describe(whole)
    assert describe(read([body[at : at + 1] for at in range(len(body))])[0]) == describe(whole)


@pytest.mark.parametrize("cut", [1_460, 10_000_000])
def test_nothing_is_searched_twice(cut: int) -> None:
    lines = b"some line of a large document\r\n-- \r\n" * 10_000
    body = NESTED.replace(b"<recording/>", lines).replace(b"\r\n\r\n--b x", b"\r\n\r\n" + lines + b"--b x")
    parsed, reading = read([body[at : at + cut] for at in range(0, len(body), cut)])
    assert [len(part.content) for part in parsed.leaves()] == [3, len(lines) + 13, 0, len(lines)]
    assert len(body) * 0.98 < reading.scanned_size < len(body) * 1.01


def test_the_nested_body() -> None:
    root = read([NESTED])[0].root
    assert root is not None
    assert [bytes(part.content) for part in root.leaves()] == [b"v=0", b"--b x\r\n--inne", b"", b"<recording/>"]
    assert bytes(root.parts[1].content).endswith(b"--inner--\r\nbehind")


def test_parts_are_known_as_their_octets_come() -> None:
    seen: list[object] = []
    reading = reader(len(NESTED))
    for end in range(len(NESTED) + 1):
        reading.receive(NESTED[:end])
        if not seen or seen[-1] != known(reading.parts):
            seen.append(known(reading.parts))
    sdp: object = ("application/sdp", 48, 51, [])
    text: object = ("text/plain", 118, 131, [])
    empty: object = ("text/plain", 152, 152, [])
    metadata = "application/rs-metadata+xml"
    assert seen == [
        [],
        [("application/sdp", 48, None, [])],
        [sdp],
        [sdp, ("multipart/mixed", 107, None, [])],
        [sdp, ("multipart/mixed", 107, None, [("text/plain", 118, None, [])])],
        [sdp, ("multipart/mixed", 107, None, [text])],
        [sdp, ("multipart/mixed", 107, None, [text, ("text/plain", 152, None, [])])],
        [sdp, ("multipart/mixed", 107, None, [text, empty])],
        [sdp, ("multipart/mixed", 107, 171, [text, empty])],
        [sdp, ("multipart/mixed", 107, 171, [text, empty]), (metadata, 263, None, [])],
        [sdp, ("multipart/mixed", 107, 171, [text, empty]), (metadata, 263, 275, [])],
    ]
    assert [NESTED[part.start : part.end] for part in reading.parts][::2] == [b"v=0", b"<recording/>"]


def early(body: bytes, limits: Limits = TIGHT) -> tuple[int, str, bool]:
    """Give how many octets had come when the body was refused, of many more, the reason and whether it was a limit."""
    reading = reader(10_000_000, limits)
    for end in range(len(body) + 1):
        reading.receive(body[:end])
        if reading.error is not None:
            return end, reading.error.message, reading.over_limit
    raise LookupError("not refused")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"--b\r\n\r\n" * 7, (49, "more than 6 parts", True)),
        (b"--b\r\nX: " + b"y" * 300, (110, "a part header of more than 100 octets", True)),
        (b"--b\r\nX: " + b"y" * 98 + b"\r\n\r\n", (110, "a part header of more than 100 octets", True)),
        (
            b"".join(b"--%b\r\nc:multipart/x;boundary=%bx\r\n\r\n" % (b, b) for b in (b"b", b"bx", b"bxx")),
            (108, "multipart bodies nested deeper than 3", True),
        ),
        (
            b"--b\r\nc:multipart/x;boundary=12345678901\r\n\r\n",
            (43, "a boundary of more than 10 octets", True),
        ),
        (b"--b\r\nc:multipart/x\r\n\r\n", (22, "multipart without a boundary", False)),
        (b"--b--\r\n", (7, "a multipart body without parts", False)),
    ],
)
def test_a_refusal_comes_as_soon_as_the_octets_show_it(body: bytes, expected: tuple[int, str, bool]) -> None:
    assert early(body) == expected


@pytest.mark.parametrize("content_type", ["multipart/mixed", "multipart/mixed;boundary=12345678901"])
def test_a_body_whose_type_refuses_it(content_type: str) -> None:
    reading = reader(100, content_type=ContentType.parse(content_type))
    assert reading.error is not None
    assert reading.finish(b"--b--").root is None


def test_a_refused_body_holds_no_octets() -> None:
    buffer = bytearray(b"--b\r\n\r\n" * 7)
    reading = reader(10_000)
    reading.receive(buffer)
    assert reading.error is not None
    assert reading.error.__traceback__ is None
    # A view of the buffer that is held somewhere would forbid this.
    buffer += b"more"
    reading.receive(buffer)


def test_blanks_behind_a_delimiter_are_looked_at_once() -> None:
    # Each octet would cost all those before it.
    blanks = 200_000
    pieces = [b"--b", *[b" "] * blanks, b"\r\n\r\nx"]
    buffer, reading = bytearray(), reader(sum(map(len, pieces)))
    for piece in pieces:
        buffer += piece
        reading.receive(buffer)
    root = reading.finish(bytes(buffer)).root
    assert root is not None
    assert [bytes(part.content) for part in root.parts] == [b"x"]


def test_a_body_without_a_type_is_guessed() -> None:
    parsed = reader(3, content_type=None).finish(b"v=0")
    assert parsed.root is not None
    assert parsed.root.content_type.media_type == "application/sdp"
    assert [found.code for found in parsed.findings] == ["mime-no-content-type"]


def test_the_content_is_a_view() -> None:
    body = bytes(NESTED)
    root = reader(len(body)).finish(body).root
    assert root is not None
    for part in (root, *root.parts, *root.leaves()):
        assert isinstance(part.content, memoryview)
        assert part.content.obj is body
