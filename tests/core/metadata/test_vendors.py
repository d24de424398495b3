"""Typed views of what known vendors add to the metadata."""

from pathlib import Path

import pytest
from hypothesis import given, settings

from siprec_core.limits import Limits
from siprec_core.metadata import vendors
from siprec_core.metadata.model import MetadataDocument
from siprec_core.metadata.vendors import Vendor, VendorData, vendor_data, vendor_of
from tests.core.metadata.documents import DOCUMENTS, document, read

DATA = Path(__file__).parents[2] / "data" / "dialects"


def data_of(name: str) -> tuple[VendorData, ...]:
    return vendor_data(read((DATA / f"metadata-{name}.xml").read_bytes(), Limits()))


@pytest.mark.parametrize(
    ("name", "vendor"),
    [
        ("oracle", Vendor.ORACLE),
        ("audiocodes", Vendor.AUDIOCODES),
        ("ribbon", Vendor.RIBBON),
        ("broadworks", Vendor.BROADWORKS),
        ("metaswitch", Vendor.METASWITCH),
        ("jambonz", Vendor.JAMBONZ),
        ("netsapiens", Vendor.NETSAPIENS),
        ("twilio", Vendor.TWILIO),
        ("google", Vendor.GOOGLE),
        ("opensips", None),
        ("avaya", None),
    ],
)
def test_vendor_is_told_by_its_extension_data(name: str, vendor: Vendor | None) -> None:
    assert vendor_of(read((DATA / f"metadata-{name}.xml").read_bytes())) is vendor


def test_oracle_with_one_slash_and_with_two() -> None:
    session, participant = data_of("oracle")
    assert (session.owner, participant.owner) == ("session", "participant")
    call, party = vendors.oracle_call(session), vendors.oracle_call(participant)
    assert (call.ucid, call.caller, call.realm) == ("00FA08000100AB", "true", None)
    assert (party.calling_party, party.request_uri, party.realm) == ("true", "sip:4930555002@10.0.0.2", "inside")
    assert party.headers == (("X-Desk", "seven"),)


def test_audiocodes() -> None:
    (data,) = data_of("audiocodes")
    assert vendors.audiocodes_call(data) == vendors.AudioCodesCall(avaya_ucid="FA080001", genesys_uuid="4BOLGQD4")


def test_ribbon_unescapes_its_header_fields() -> None:
    (data,) = data_of("ribbon")
    assert vendors.ribbon_call(data) == vendors.RibbonCall(
        from_header="<sip:anna@example.org>;tag=7",
        to_header="<sip:ben@example.net>",
        call_id="77@10.1.1.1",
        global_call_id="1048",
    )


def test_broadworks() -> None:
    (data,) = data_of("broadworks")
    assert vendors.broadworks_call(data) == vendors.BroadWorksCall(
        version="3.0", originating=True, terminating=False, redirected=True, recording_type="on"
    )


def test_metaswitch_and_netsapiens_have_plain_values() -> None:
    (metaswitch,), (netsapiens,) = data_of("metaswitch"), data_of("netsapiens")
    assert metaswitch.get("direction") == "in"
    assert netsapiens.get("groupSeq") == "2"
    assert netsapiens.get_all("nameID@aor") == ("leak@example.org",)
    assert netsapiens.get("NAME") == "Leak"
    assert netsapiens.get("me") is None


def test_jambonz_has_its_numbers_put_right() -> None:
    (data,) = data_of("jambonz")
    assert vendors.jambonz_call(data) == vendors.JambonzCall(called_number="4930555002", calling_number="4930555001")


def test_twilio_and_google() -> None:
    (twilio,), (google,) = data_of("twilio"), data_of("google")
    assert twilio.owner == "session"
    assert vendors.twilio_call(twilio).parameters == (("tenant", "blue"), ("desk", "7"))
    assert vendors.google_call(google) == vendors.GoogleCall(call_id="conv-9", project="desk-1")


def test_data_of_a_vendor_that_lacks_everything() -> None:
    text = document("<callData xmlns='urn:ietf:params:xml:ns:callData'/>")
    (data,) = vendor_data(read(text))
    assert data.values == (("callData", ""),)
    for view in (
        vendors.oracle_call,
        vendors.audiocodes_call,
        vendors.ribbon_call,
        vendors.broadworks_call,
        vendors.jambonz_call,
        vendors.twilio_call,
        vendors.google_call,
    ):
        assert view(data) is not None


def test_unknown_extensions_are_of_no_vendor() -> None:
    assert vendor_data(read(document("<x xmlns='urn:x'><callData/></x>"))) == ()


@settings(max_examples=40)
@given(DOCUMENTS)
def test_any_document_is_looked_through(document: MetadataDocument) -> None:
    assert vendor_data(document) == ()
