"""Which messages show themselves as parts of a recording session."""

import pytest

from siprec_core.limits import Limits
from siprec_core.recording.policy import SiprecMarks, mark_findings, marks_of, refuse_unmarked, understood_tags
from siprec_core.sip.multipart import parse_body
from tests.core.messages import METADATA, OFFER, invite, multipart, read, request

PLAIN = "<sip:a@192.0.2.2>"


def marks(data: bytes) -> SiprecMarks:
    message = read(data)
    return marks_of(message, parse_body(message, limits=Limits()))


def seen(marks: str) -> SiprecMarks:
    """Make the marks that are named."""
    names = ("require", "feature_tag", "standard_tag", "metadata", "run_together")
    return SiprecMarks(**{name: name in marks.split() for name in names})


def contact_marks(contact: str | None) -> tuple[bool, bool]:
    """Give whether the tag was seen, and whether it stood where RFC 7866 wants it."""
    found = marks(request("INVITE", contact=contact))
    return found.feature_tag, found.standard_tag


@pytest.mark.requirement("3840-9-a")
@pytest.mark.parametrize(
    "contact",
    [
        "<sip:a@192.0.2.2>;+sip.src",
        "<sip:a@192.0.2.2> ; +SIP.SRC",
        '<sip:a@192.0.2.2>;+sip.src="TRUE"',
        "<sip:a@192.0.2.2>;q=0.5;+sip.src;expires=60",
        "sip:a@192.0.2.2;+sip.src",
        "<sip:b@192.0.2.2>, <sip:a@192.0.2.2>;+sip.src",
        "<sip:a@192.0.2.2>;+sip.srs;+sip.src",
        "<<sip:a@192.0.2.2>;+sip.src>",  # OpenSIPS: the parser mends it
    ],
)
def test_the_feature_tag_as_rfc_7866_wants_it(contact: str) -> None:
    assert contact_marks(contact) == (True, True)


@pytest.mark.parametrize(
    "contact",
    [
        "<sip:a@192.0.2.2>;src",  # BroadWorks, Webex, AudioCodes 7.20
        "<sip:a@192.0.2.2;transport=tcp;+sip.src>",  # Avaya SBCE
        "<sip:a@192.0.2.2;+sip.src;transport=tcp>",
        "<sip:a@192.0.2.2;+sip.src",  # Metaswitch scenario 01b: the bracket is never closed
        "<sip:a@192.0.2.2>;+sip-src",  # PhrSite NG9-1-1
        '<sip:a b@192.0.2.2>;+sip.src="TRUE"',  # an address that cannot be read
    ],
)
def test_the_feature_tag_in_the_spellings_of_the_field(contact: str) -> None:
    assert contact_marks(contact) == (True, False)


@pytest.mark.requirement("3840-9-a")
@pytest.mark.parametrize(
    "contact",
    [
        None,
        PLAIN,
        '<sip:a@192.0.2.2>;+sip.src="FALSE"',
        "<sip:a@192.0.2.2>;+sip.src=false",
        '<sip:a b@192.0.2.2>;+sip.src="FALSE"',
        "<sip:a@192.0.2.2>;srcaddr=10.0.0.1",
        "<sip:a@192.0.2.2;src-port=5060>",
        "<sip:a@192.0.2.2;+sip.srcx>",
        "<sip:src@192.0.2.2>",
        '"+sip.src" <sip:a@192.0.2.2>',
        "<sip:a@192.0.2.2>;+sip.instance=x",
        "<sip:a@192.0.2.2>;+sip.srs",  # a recording server: none for another one to record
    ],
)
def test_what_only_looks_like_the_feature_tag(contact: str | None) -> None:
    assert contact_marks(contact) == (False, False)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["siprec"], True),
        (["SIPREC"], True),
        (["100rel, siprec"], True),
        (["timer", "siprec"], True),
        (["100relsiprec"], True),  # seen: two lines run together
        (["100rel"], False),
        ([], False),
    ],
)
def test_the_option_tag(values: list[str], expected: bool) -> None:
    assert marks(request("INVITE", extra=[f"Require: {value}" for value in values])).require is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/rs-metadata+xml", True),
        ("application/rs-metadata", True),
        ("Application/RS-Metadata+XML; charset=utf-8", True),
        ("application/rs-metadata-request", False),
        ("application/xml", False),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_the_metadata_part(kind: str, expected: bool, alone: bool) -> None:
    if alone:
        data = request("INVITE", body=METADATA, content_type=kind)
    else:
        content_type, text = multipart((kind, "", METADATA), ("application/sdp", "", OFFER))
        data = request("INVITE", body=text, content_type=content_type)
    assert marks(data).metadata is expected


@pytest.mark.requirement("7866-6.2-a")
@pytest.mark.parametrize("require", [None, "siprec"])
@pytest.mark.parametrize("metadata", [None, METADATA])
@pytest.mark.parametrize("contact", [PLAIN, "<sip:a@192.0.2.2>;src", "<sip:a@192.0.2.2>;+sip.src"])
def test_tolerant_takes_any_mark_and_strict_both_of_rfc_7866(
    require: str | None, metadata: str | None, contact: str
) -> None:
    found = marks(invite(require=require, metadata=metadata, contact=contact))
    tolerant = require is not None or metadata is not None or contact != PLAIN
    strict = require is not None and "+sip.src" in contact
    assert (refuse_unmarked(found, strict=False) is None) is tolerant
    assert (refuse_unmarked(found, strict=True) is None) is strict


@pytest.mark.requirement("7866-6.2-a")
def test_what_a_recording_server_sends_is_no_session_for_another_one() -> None:
    found = marks(invite(contact="<sip:srs@192.0.2.2>;+sip.srs", metadata=None))
    assert (found.server_tag, found.feature_tag, found.strict) == (True, False, False)
    assert refuse_unmarked(found, strict=True) is not None
    assert refuse_unmarked(marks(invite(require=None, metadata=None, contact="<sip:a@b>;+sip.srs")), strict=False)
    assert not marks(invite(contact='<sip:a@b>;+sip.srs="FALSE"')).server_tag


@pytest.mark.requirement("3261-8.2.4-a", "7866-6.1.1-f")
def test_strict_mode_wants_the_option_tag_by_itself() -> None:
    assert seen("require feature_tag standard_tag").strict
    assert not seen("require run_together feature_tag standard_tag").strict
    assert "100relsiprec" in understood_tags(strict=False)
    assert understood_tags(strict=True) == {"siprec", "100rel", "timer"}


def test_the_refusal_tells_what_is_missing() -> None:
    refusal = refuse_unmarked(seen(""), strict=False)
    assert refusal is not None
    assert (refusal.status, refusal.headers) == (421, (("Require", "siprec"),))


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        (seen("require feature_tag standard_tag metadata"), []),
        (seen("feature_tag standard_tag metadata"), ["siprec-no-require"]),
        (seen("require run_together feature_tag standard_tag metadata"), ["siprec-no-require"]),
        (seen("require metadata"), ["siprec-no-feature-tag"]),
        (seen("require feature_tag metadata"), ["siprec-feature-tag-form"]),
        (seen("require feature_tag standard_tag"), ["siprec-no-metadata"]),
        (
            seen(""),
            ["siprec-no-require", "siprec-no-feature-tag", "siprec-no-metadata"],
        ),
    ],
)
def test_each_missing_mark_is_a_finding(found: SiprecMarks, codes: list[str]) -> None:
    assert [one.code for one in mark_findings(found)] == codes
