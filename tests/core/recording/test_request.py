"""Bodies of INVITE, UPDATE and BYE: any order, foreign parts, broken parts."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.findings import Severity
from siprec_core.limits import Limits
from siprec_core.recording.request import RecordingRequest, read_request
from tests.core.messages import METADATA, OFFER, invite, multipart, read, request

SDP = ("application/sdp", "", OFFER)
XML = ("application/rs-metadata+xml", "recording-session", METADATA)
GTD = ("application/gtd", "signal;handling=optional", "GCI,1")
JSON = ("application/vnd.example+json", "", "{}")


def understood(data: bytes, *, strict: bool = False) -> RecordingRequest:
    return read_request(read(data), limits=Limits(), strict=strict)


def with_parts(*parts: tuple[str, str, str], extra: tuple[str, ...] = ("Require: siprec",)) -> bytes:
    kind, text = multipart(*parts)
    return request("INVITE", body=text, content_type=kind, extra=extra)


def codes(found: RecordingRequest) -> set[str]:
    return {one.code for one in found.findings}


@pytest.mark.requirement("5621-4-c")
@pytest.mark.parametrize("parts", [(SDP, XML), (XML, SDP), (GTD, XML, JSON, SDP), (XML, GTD, SDP)])
def test_parts_may_come_in_any_order_with_others_between(parts: tuple[tuple[str, str, str], ...]) -> None:
    found = understood(with_parts(*parts))
    assert found.offer is not None
    assert len(found.offer.media) == 2
    assert found.metadata is not None
    assert bytes(found.metadata_raw).decode() == METADATA
    assert found.refusal is None


@pytest.mark.requirement("2045-5-a")
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/sdp", True),
        ("application/SDP", True),
        ("application/sdp ", True),  # CUBE
        ("application/sdp;charset=ISO-10646", True),  # Dialpad
        ("text/sdp", False),
    ],
)
def test_types_of_sdp(kind: str, expected: bool) -> None:
    found = understood(with_parts((kind, "session;handling=required", OFFER), XML))
    assert (found.offer is not None) is expected


@pytest.mark.requirement("7866-9-a")
@pytest.mark.parametrize(
    "disposition",
    ["", "recording-session", "recording-session; handling=required", "recording-session;handling=optional"],
)
@pytest.mark.requirement("9806-2-b")
def test_the_disposition_of_metadata_does_not_matter(disposition: str) -> None:
    found = understood(with_parts(SDP, ("application/rs-metadata", disposition, METADATA)))
    assert found.metadata is not None
    assert found.refusal is None


@pytest.mark.requirement("7866-9.1-f")
def test_single_part_bodies() -> None:
    update = request("UPDATE", body=METADATA, content_type="application/rs-metadata+xml", to_tag="x")
    found = understood(update)
    assert (found.offer, found.refusal) == (None, None)
    assert found.metadata is not None
    found = understood(request("INVITE", body=OFFER, content_type="application/sdp", to_tag="x"))
    assert found.offer is not None
    assert (found.metadata, found.metadata_raw) == (None, b"")


def test_no_body_says_nothing() -> None:
    found = understood(request("INVITE", to_tag="x"))
    assert (found.offer, found.metadata, found.metadata_raw, found.refusal) == (None, None, b"", None)


@pytest.mark.requirement("5621-3-a")
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "BASE64", "8bit"])
def test_transfer_encodings_are_undone(encoding: str) -> None:
    content = METADATA.replace("=", "=3D") if encoding == "quoted-printable" else METADATA
    if encoding.lower() == "base64":
        content = b64encode(METADATA.encode()).decode()
    kind, text = multipart(SDP, ("application/rs-metadata\r\nContent-Transfer-Encoding: " + encoding, "", content))
    found = understood(request("INVITE", body=text, content_type=kind))
    assert found.metadata is not None
    assert bytes(found.metadata_raw).decode() == METADATA


@pytest.mark.requirement("5621-3-a")
@pytest.mark.parametrize(("encoding", "content", "status"), [("rot13", METADATA, 415), ("base64", "a", 400)])
def test_metadata_whose_encoding_fails_refuses_only_in_strict_mode(encoding: str, content: str, status: int) -> None:
    part = (f"application/rs-metadata\r\nContent-Transfer-Encoding: {encoding}", "recording-session", content)
    kind, text = multipart(SDP, part)
    data = request("INVITE", body=text, content_type=kind)
    found = understood(data)
    assert found.refusal is None
    assert found.offer is not None
    assert found.metadata is None
    assert bytes(found.metadata_raw).decode() == content
    assert "metadata-malformed" in codes(found)
    strict = understood(data, strict=True)
    assert strict.refusal is not None
    assert strict.refusal.status == status


@pytest.mark.parametrize(("encoding", "status"), [("rot13", 415), ("base64", 400)])
def test_an_offer_whose_encoding_fails_is_refused(encoding: str, status: int) -> None:
    kind, text = multipart((f"application/sdp\r\nContent-Transfer-Encoding: {encoding}", "", "a"), XML)
    found = understood(request("INVITE", body=text, content_type=kind))
    assert found.refusal is not None
    assert found.refusal.status == status
    assert (status == 415) is bool(found.refusal.headers)


@pytest.mark.requirement("5621-8-b")
@pytest.mark.parametrize(
    ("disposition", "taken", "strict_status"),
    [
        ("", True, None),
        ("session", True, None),
        ("Session;handling=required", True, None),
        ("render", True, 415),
        ("attachment;handling=optional", True, None),
        ("early-session", False, 415),
        ("early-session;handling=optional", False, None),
    ],
)
def test_dispositions_of_sdp(disposition: str, taken: bool, strict_status: int | None) -> None:
    data = with_parts(("application/sdp", disposition, OFFER), XML)
    found = understood(data)
    assert (found.offer is not None) is taken
    assert ("body-disposition" in codes(found)) is (disposition.partition(";")[0].lower() not in {"", "session"})
    assert found.refusal is None
    strict = understood(data, strict=True)
    assert (None if strict.refusal is None else strict.refusal.status) == strict_status
    assert (strict.offer is not None) is (disposition.lower().startswith("session") or not disposition)


def test_an_early_description_beside_the_offer_is_not_a_second_offer() -> None:
    found = understood(with_parts(("application/sdp", "early-session;handling=optional", "v=0"), SDP, XML))
    assert found.offer is not None
    assert "body-second-offer" not in codes(found)
    assert found.refusal is None


@pytest.mark.requirement("5621-9-a")
@pytest.mark.parametrize("part", [GTD, JSON, SDP, XML], ids=lambda part: part[0])
def test_what_is_only_to_be_referred_to_is_passed_over(part: tuple[str, str, str]) -> None:
    referred = (part[0], "by-reference", part[2])
    for strict in (False, True):
        found = understood(with_parts(referred, SDP, XML), strict=strict)
        assert found.refusal is None
        assert found.offer is not None
        assert found.metadata is not None
        assert not {"body-second-offer", "body-second-metadata", "body-unknown-part"} & codes(found)
        assert understood(with_parts((SDP[0], "by-reference", SDP[2]), XML), strict=strict).offer is None


def nested(kind: str, disposition: str, *parts: tuple[str, str, str]) -> tuple[str, str, str]:
    _, text = multipart(*parts)
    return (f"multipart/{kind};boundary=inner", disposition, text.replace("--edge", "--inner"))


@pytest.mark.requirement("5621-4-a")
def test_of_alternatives_the_last_that_is_understood_counts() -> None:
    other = OFFER.replace("41000", "42000")
    plain, later = ("text/plain", "", "hello"), ("application/sdp", "", other)
    found = understood(with_parts(nested("alternative", "", plain, SDP, later, JSON), XML), strict=True)
    assert found.refusal is None
    assert found.offer is not None
    assert found.offer.media[0].port == 42000
    assert "body-second-offer" not in codes(found)
    mixed = understood(with_parts(nested("alternative", "", SDP, XML)))
    assert mixed.offer is not None
    assert mixed.metadata is not None
    unknown = understood(with_parts(nested("alternative", "", plain, JSON)))
    assert unknown.refusal is not None
    assert unknown.refusal.status == 415


@pytest.mark.requirement("5621-8-a")
def test_what_is_in_an_optional_part_is_optional() -> None:
    for disposition, status in (("session;handling=optional", None), ("", 415)):
        found = understood(with_parts(SDP, XML, nested("mixed", disposition, JSON)), strict=True)
        assert (None if found.refusal is None else found.refusal.status) == status


@pytest.mark.requirement("8866-lim-a")
def test_broken_sdp_is_400_with_its_place() -> None:
    found = understood(with_parts(("application/sdp", "", "v=0\r\nnonsense\r\n"), XML))
    assert found.refusal is not None
    assert found.refusal.status == 400
    assert (found.refusal.reason or "").startswith("Bad Request - SDP: ")


@pytest.mark.parametrize("xml", [METADATA.replace("</recording>", ""), "no xml", "", "<a>&b;</a>", "\x00" * 50])
def test_broken_metadata_refuses_only_in_strict_mode(xml: str) -> None:
    data = with_parts(SDP, ("application/rs-metadata", "", xml))
    tolerant = understood(data)
    assert tolerant.refusal is None
    assert tolerant.offer is not None
    assert tolerant.metadata is None
    assert bytes(tolerant.metadata_raw).decode() == xml, "what came is kept"
    strict = understood(data, strict=True)
    told = {
        one.code for one in tolerant.findings if one.code.startswith("metadata-") and one.severity is Severity.ERROR
    }
    assert told - {"metadata-repaired"} if xml else "metadata-empty" in codes(tolerant)
    assert strict.refusal is not None
    assert strict.refusal.status == 400


@pytest.mark.requirement("7865-5.1-c", "7865-5.1.1-a", "7865-6.11-a")
def test_first_error_of_a_readable_document_refuses_in_strict_mode() -> None:
    early = METADATA.replace("recording:1", "siprec").replace("session_id", "id")
    data = with_parts(SDP, ("application/rs-metadata+xml", "recording-session", early))
    assert understood(data).refusal is None
    refusal = understood(data, strict=True).refusal
    assert refusal is not None
    assert refusal.status == 400
    assert "line 2" in (refusal.reason or "")
    assert "'urn:ietf:params:xml:ns:siprec' instead of" in (refusal.reason or "")
    assert understood(with_parts(SDP, XML), strict=True).refusal is None


@pytest.mark.requirement("5621-4-c")
def test_a_second_part_of_a_kind_is_left_with_a_finding() -> None:
    other = OFFER.replace("41000", "42000")
    found = understood(with_parts(SDP, ("application/sdp", "", other), XML, XML))
    assert found.offer is not None
    assert found.offer.media[0].port == 41000
    assert {"body-second-offer", "body-second-metadata"} <= codes(found)


@pytest.mark.requirement("5621-8-a")
@pytest.mark.requirement("3261-8.2.3-a")
@pytest.mark.parametrize(
    ("parts", "tolerant", "strict"),
    [
        ((SDP, XML, GTD), None, None),
        ((SDP, XML, JSON), None, 415),
        ((JSON,), 415, 415),
        ((GTD,), None, None),
    ],
)
def test_parts_of_unknown_types(
    parts: tuple[tuple[str, str, str], ...], tolerant: int | None, strict: int | None
) -> None:
    for mode, expected in ((False, tolerant), (True, strict)):
        refusal = understood(with_parts(*parts), strict=mode).refusal
        assert (None if refusal is None else refusal.status) == expected
        if refusal is not None:
            assert dict(refusal.headers)["Accept"].startswith("application/sdp")


def test_an_unknown_required_part_is_a_finding() -> None:
    assert "body-unknown-part" in codes(understood(with_parts(SDP, JSON)))
    assert "body-unknown-part" not in codes(understood(with_parts(SDP, GTD)))


@pytest.mark.requirement("3261-8.2.3-a")
@pytest.mark.parametrize(("encoding", "expected"), [("gzip", 415), ("identity", None), ("Identity", None)])
def test_an_encoded_body_is_415(encoding: str, expected: int | None) -> None:
    data = request("INVITE", body=OFFER, content_type="application/sdp", extra=[f"Content-Encoding: {encoding}"])
    refusal = understood(data).refusal
    assert (None if refusal is None else refusal.status) == expected
    if refusal is not None:
        assert refusal.headers == (("Accept-Encoding", "identity"),)


@pytest.mark.parametrize(
    "kind", ["multipart/mixed", "multipart/mixed;boundary=", "multipart/mixed;boundary=other", "x"]
)
def test_a_body_that_cannot_be_taken_apart_is_refused(kind: str) -> None:
    refusal = understood(request("INVITE", body="text", content_type=kind)).refusal
    assert refusal is not None
    assert refusal.status in (400, 415)


def test_the_marks_are_asked_of_the_first_invite_alone() -> None:
    bare = {"metadata": None, "require": None, "contact": "<sip:a@192.0.2.2>"}
    expected = {"siprec-no-require", "siprec-no-feature-tag", "siprec-no-metadata"}
    assert expected <= codes(understood(invite(**bare)))  # type: ignore[arg-type]
    assert not expected & codes(understood(invite(to_tag="x", **bare)))  # type: ignore[arg-type]
    assert not expected & codes(understood(invite(method="UPDATE", **bare)))  # type: ignore[arg-type]
    first = invite(**bare).replace(b"To: <sip:recorder@", b"To: <sip:stage;tag=x@")  # type: ignore[arg-type]
    assert expected <= codes(understood(first)), "a tag within the URI is none of the header field"


@given(
    st.binary(max_size=300),
    st.sampled_from(["application/sdp", "application/rs-metadata", "multipart/mixed;boundary=edge", "text/plain", ""]),
    st.booleans(),
)
def test_any_body_is_read_without_raising(content: bytes, kind: str, strict: bool) -> None:
    message = read(request("INVITE", content_type=kind))
    message.body = content
    found = read_request(message, limits=Limits(), strict=strict)
    assert found.refusal is None or found.refusal.status in (400, 415)
    if found.refusal is not None and found.refusal.reason is not None:
        assert all(" " <= character <= "~" for character in found.refusal.reason)


@pytest.mark.parametrize("disposition", ["", "session"])
def test_metadata_without_its_disposition_is_taken_with_a_finding(disposition: str) -> None:
    kind, text = multipart(("application/sdp", "", OFFER), ("application/rs-metadata+xml", disposition, METADATA))
    message = request("INVITE", body=text, content_type=kind, extra=["Require: siprec"])
    taken = read_request(read(message), limits=Limits(), strict=False)
    assert taken.metadata is not None
    assert "metadata-disposition" in {found.code for found in taken.findings}
