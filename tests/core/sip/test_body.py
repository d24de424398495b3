import pytest

from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.sip.body import BodyPart, BodyReading, ParsedBody
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request
from siprec_core.sip.multipart import parse_body

LIMITS = Limits()


def test_a_part_is_made_with_its_header() -> None:
    part = BodyPart.create("Application/SDP", b"v=0", disposition="session;handling=optional", content_id="a@b")
    assert list(part.headers) == [
        ("Content-Type", "Application/SDP"),
        ("Content-Disposition", "session;handling=optional"),
        ("Content-ID", "<a@b>"),
    ]
    assert part.content_type.media_type == "application/sdp"
    assert part.disposition is not None
    assert part.disposition.handling == "optional"


@pytest.mark.parametrize(("content_type", "disposition"), [("rubbish", None), ("a/b", ",")])
def test_a_part_of_values_that_are_none_is_not_made(content_type: str, disposition: str | None) -> None:
    with pytest.raises(RemoteProtocolError):
        BodyPart.create(content_type, b"", disposition=disposition)


def test_leaves_are_the_parts_without_parts_in_order() -> None:
    first, second, third = (BodyPart.create("a/b", octets) for octets in (b"1", b"2", b"3"))
    inner = BodyPart(Headers(), b"", BodyPart.create("multipart/mixed", b"").content_type, parts=(first, second))
    outer = BodyPart(Headers(), b"", inner.content_type, parts=(inner, third))
    assert list(outer.leaves()) == [first, second, third]
    assert list(first.leaves()) == [first]
    assert list(ParsedBody(outer).leaves()) == [first, second, third]
    assert list(ParsedBody(None).leaves()) == []


def test_a_reading_counts_only_for_its_octets_and_its_limits() -> None:
    message = Request("INVITE", "sip:a", Headers([("Content-Type", "a/b")]), b"body")
    kept = ParsedBody(None, (), RemoteProtocolError("kept"))
    message.reading = BodyReading(message.body, LIMITS, kept)
    assert parse_body(message, limits=LIMITS) is kept
    assert parse_body(message, limits=Limits()).error is None
    message.body = b"changed"
    assert parse_body(message, limits=LIMITS).error is None


@pytest.mark.requirement("5621-3-a")
@pytest.mark.parametrize(
    ("encoding", "content", "decoded"),
    [
        (None, b"a=b", b"a=b"),
        ("8bit", b"\xff", b"\xff"),
        ("BINARY ", b"\x00", b"\x00"),
        ("base64", b"dj0w\r\n", b"v=0"),
        ("Base64", b"dj0wCg", b"v=0\n"),
        ("base64", b"dj 0!w", b"v=0"),
        ("base64", b"", b""),
        ("quoted-printable", b"v=3D0=\r\n!", b"v=0!"),
    ],
)
def test_transfer_encodings(encoding: str | None, content: bytes, decoded: bytes) -> None:
    part = BodyPart.create("application/sdp", content)
    if encoding is not None:
        part.headers.add("Content-Transfer-Encoding", encoding)
    assert part.decoded() == decoded


@pytest.mark.parametrize(("encoding", "content", "status"), [("base64", b"a", 400), ("x-uuencode", b"a", 415)])
def test_transfer_encodings_that_fail(encoding: str, content: bytes, status: int) -> None:
    part = BodyPart.create("application/sdp", content)
    part.headers.add("Content-Transfer-Encoding", encoding)
    with pytest.raises(RemoteProtocolError) as caught:
        part.decoded()
    assert caught.value.status_hint == status
