from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from lxml import etree

from siprec_core.errors import LocalProtocolError
from siprec_core.metadata.ids import is_unique_id
from siprec_core.metadata.model import (
    RFC7865_NAMESPACE,
    DataMode,
    Element,
    Group,
    MetadataDocument,
    Name,
    NameId,
    Parameter,
    Participant,
    ParticipantSessionAssociation,
    ParticipantStreamAssociation,
    Reason,
    RequestSnapshot,
    Session,
    SessionRecordingAssociation,
    Stream,
)
from siprec_core.metadata.reader import read_metadata
from siprec_core.metadata.times import Instant, parse_time
from siprec_core.metadata.writer import UNKNOWN_AOR, write_metadata, write_request_snapshot
from tests.core.metadata.documents import DOCUMENTS, LIMITS, load, read, uid

SCHEMA = Path(__file__).parents[4] / "shared" / "rfc" / "schema-offline.xsd"
FILES = ["complete", "hold", "bye", "seed", "draft-recording", "draft-siprec", "lenient"]


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    if not SCHEMA.is_file():
        pytest.skip(f"the schema of RFC 7865 section 9 is not at {SCHEMA}")
    return etree.XMLSchema(etree.parse(str(SCHEMA)))


@pytest.mark.requirement("7865-9-e")
@given(DOCUMENTS)
def test_document_reads_back_as_written(document: MetadataDocument) -> None:
    assert read(write_metadata(document)) == document


@pytest.mark.requirement("7865-9-a")
@settings(max_examples=50)
@given(DOCUMENTS)
def test_document_is_valid_by_the_schema(schema: etree.XMLSchema, document: MetadataDocument) -> None:
    schema.assertValid(etree.fromstring(write_metadata(document)))


@pytest.mark.requirement("7865-5.1.1-a", "7865-6.10-b")
@pytest.mark.parametrize("name", FILES)
def test_document_of_any_dialect_is_written_in_the_rfc_form(schema: etree.XMLSchema, name: str) -> None:
    written = write_metadata(read(load(name)))
    schema.assertValid(etree.fromstring(written))
    again = read(written)
    assert again.namespace == RFC7865_NAMESPACE
    assert write_metadata(again) == written


@pytest.mark.parametrize("name", ["complete", "hold", "bye"])
def test_rfc_document_survives_reading_and_writing(name: str) -> None:
    document = read(load(name))
    assert read(write_metadata(document)) == document


@pytest.mark.requirement("7865-6.10-a", "7865-6.10-b")
def test_ids_of_other_forms_become_uuids_that_still_agree() -> None:
    document = read(write_metadata(read(load("seed"))))
    (session,), (stream,) = document.sessions, document.streams
    assert is_unique_id(session.session_id)
    assert stream.session_id == session.session_id
    assert {each.send for each in document.participant_stream_associations} == {(stream.stream_id,)}
    assert [each.participant_id for each in document.participants] == [uid("anna"), uid("ben")]


def test_what_the_schema_allows_nowhere_is_carried(schema: etree.XMLSchema) -> None:
    strangers = (
        Element(None, "bare", text="x"),
        Element("urn:example", "own"),
        Element(RFC7865_NAMESPACE, "label", text="second"),
    )
    document = MetadataDocument(streams=(Stream(uid("s"), label="first", extensions=strangers),))
    written = write_metadata(document)
    schema.assertValid(etree.fromstring(written))
    (stream,) = read(written).streams
    assert stream.label == "first"
    assert stream.extensions == (strangers[1], strangers[0], strangers[2])


def test_reason_without_cause_is_not_lost(schema: etree.XMLSchema) -> None:
    document = MetadataDocument(sessions=(Session(uid("c"), reasons=(Reason("gone"), Reason("busy", 486))),))
    written = write_metadata(document)
    schema.assertValid(etree.fromstring(written))
    (session,) = read(written).sessions
    assert session.reasons == (Reason("busy", 486),)
    assert [each.text for each in session.extensions] == ["gone"]


@pytest.mark.requirement("7865-6.9-a")
def test_time_is_written_as_the_rfc_has_it(schema: etree.XMLSchema) -> None:
    loose = parse_time("2024-05-01T15:00:00+0300").instant
    written = write_metadata(MetadataDocument(groups=(Group(uid("g"), loose, Instant("soon", None)),)))
    schema.assertValid(etree.fromstring(written))
    (group,) = read(written).groups
    assert group.associate_time == Instant("2024-05-01T12:00:00.000000Z", loose.unix_ns)
    assert group.disassociate_time is None


@pytest.mark.parametrize(
    ("aor", "written"),
    [
        ("sip:anna@example.org;user=phone", "sip:anna@example.org;user=phone"),
        ("+4930555", "+4930555"),
        ("ben@example.net", "ben@example.net"),
        ("ben@example.net:5070", "sip:ben@example.net:5070"),
        ("sip:ben smith@example.net", "sip:ben%20smith@example.net"),
        ("sip:a%zz@example.net", "sip:a%25zz@example.net"),
        ("sip:jörg@example.net", "sip:j%C3%B6rg@example.net"),
        ('"Ben" <sip:ben@example.net>', "sip:%22Ben%22%20%3Csip:ben@example.net%3E"),
        ("", UNKNOWN_AOR),
        (None, UNKNOWN_AOR),
    ],
)
def test_address_is_written_as_a_uri(schema: etree.XMLSchema, aor: str | None, written: str) -> None:
    octets = write_metadata(MetadataDocument(participants=(Participant(uid("p"), (NameId(aor),)),)))
    schema.assertValid(etree.fromstring(octets))
    assert read(octets).participants[0].aors == (written,)


def test_address_with_an_ipv6_host_stays_a_sip_uri() -> None:
    # RFC 3261 25.1 wants the brackets as they are; libxml2 takes them in hierarchical URIs only.
    participants = (Participant(uid("p"), (NameId("sip:ben@[2001:db8::1]:5070"),)),)
    document = MetadataDocument(participants=participants)
    assert read(write_metadata(document)) == document


def test_participant_without_address_gets_the_unknown_one(schema: etree.XMLSchema) -> None:
    written = write_metadata(MetadataDocument(participants=(Participant(uid("p")),)))
    schema.assertValid(etree.fromstring(written))
    assert read(written).participants[0].aors == (UNKNOWN_AOR,)


@pytest.mark.parametrize(("language", "written"), [("en_US", "en-US"), ("", ""), ("not a language", None)])
def test_language_is_written_if_the_schema_takes_it(
    schema: etree.XMLSchema, language: str, written: str | None
) -> None:
    names = (NameId("sip:a@b", Name("Anna", language)),)
    octets = write_metadata(MetadataDocument(participants=(Participant(uid("p"), names),)))
    schema.assertValid(etree.fromstring(octets))
    name = read(octets).participants[0].name_ids[0].name
    assert name == Name("Anna", written)


def test_element_of_the_xml_namespace_keeps_its_prefix() -> None:
    strange = Element("http://www.w3.org/XML/1998/namespace", "odd", children=(Element("urn:a", "b"),))
    document = MetadataDocument(extensions=(strange,))
    assert read(write_metadata(document)) == document


@pytest.mark.parametrize("text", ["\0", "\x1b[0m", "\ud800", "\ufffe"])
def test_character_that_xml_cannot_hold_is_the_callers_mistake(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        write_metadata(MetadataDocument(streams=(Stream(uid("s"), label=text),)))


@pytest.mark.parametrize("name", ["", "a b", "1a", "a:b", "<", "a/"])
def test_name_that_xml_cannot_hold_is_the_callers_mistake(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        write_metadata(MetadataDocument(extensions=(Element("urn:a", name),)))


def test_empty_document_is_valid(schema: etree.XMLSchema) -> None:
    for document in (MetadataDocument(), MetadataDocument(datamode=DataMode.PARTIAL)):
        schema.assertValid(etree.fromstring(write_metadata(document)))


@pytest.mark.requirement("7865-7-a", "7865-7-b", "7866-9.2-f")
@pytest.mark.parametrize("reason", [None, "state <lost> & gone"])
def test_snapshot_request(schema: etree.XMLSchema, reason: str | None) -> None:
    written = write_request_snapshot(reason)
    schema.assertValid(etree.fromstring(written))
    parsed = read_metadata(written, limits=LIMITS)
    assert parsed.findings == ()
    assert parsed.document == RequestSnapshot(reason=None if reason is None else Name(reason, "en"))


FULL = MetadataDocument(
    datamode=DataMode.COMPLETE,
    groups=(Group(uid("g"), Instant.at(0), Instant.at(1_000_000)),),
    sessions=(
        Session(uid("s"), ("ab" * 16,), (Reason("gone", 16, "Q.850"),), uid("g"), Instant.at(0), Instant.at(1_000_000)),
    ),
    participants=(Participant(uid("p"), (NameId("sip:a@example.org", Name("A", "en")), NameId("tel:+49"))),),
    streams=(Stream(uid("t"), uid("s"), "1"), Stream(uid("u"))),
    session_recording_associations=(SessionRecordingAssociation(uid("s"), Instant.at(0), Instant.at(1_000_000)),),
    participant_session_associations=(
        ParticipantSessionAssociation(
            uid("p"), uid("s"), Instant.at(0), Instant.at(1_000_000), (Parameter("isfocus", "true"),)
        ),
    ),
    participant_stream_associations=(
        ParticipantStreamAssociation(uid("p"), (uid("t"),), (uid("u"), uid("t")), Instant.at(0), Instant.at(1_000_000)),
    ),
)
_KINDS = (
    "groups",
    "sessions",
    "participants",
    "streams",
    "session_recording_associations",
    "participant_session_associations",
    "participant_stream_associations",
)
_WITH_EXTENSIONS: dict[str, Any] = {
    kind: tuple(replace(each, extensions=(Element("urn:x", "x"),)) for each in getattr(FULL, kind)) for kind in _KINDS
}
EXTENDED = replace(FULL, **_WITH_EXTENSIONS, extensions=(Element("urn:x", "x"),))


@pytest.mark.requirement(
    "7865-5.1-b",
    "7865-5.1.1-a",
    "7865-5.1.2-a",
    "7865-6.2-a",
    "7865-6.3-a",
    "7865-6.3-c",
    "7865-6.4-a",
    "7865-6.5-a",
    "7865-6.5-b",
    "7865-6.6-a",
    "7865-6.6-b",
    "7865-6.7-a",
    "7865-6.8-a",
    "7865-6.9-b",
    "7865-9-a",
    "7865-9-b",
    "7865-9-c",
    "7865-9-d",
    "7865-11-a",
)
def test_every_element_stands_in_its_place() -> None:
    data = write_metadata(EXTENDED)
    assert data.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<recording ')
    root = etree.fromstring(data)
    space = f"{{{RFC7865_NAMESPACE}}}"

    def shape(element: etree._Element) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        return (
            str(element.tag).removeprefix(space),
            tuple(str(name) for name in element.attrib),
            tuple(str(child.tag).removeprefix(space) for child in element),
        )

    x = "{urn:x}x"
    times = ("associate-time", "disassociate-time")
    assert [shape(each) for each in root if len(each)] == [
        ("group", ("group_id",), (*times, x)),
        ("session", ("session_id",), ("sipSessionID", "reason", "group-ref", "start-time", "stop-time", x)),
        ("participant", ("participant_id",), ("nameID", "nameID", x)),
        ("stream", ("stream_id", "session_id"), ("label", x)),
        ("stream", ("stream_id",), (x,)),
        ("sessionrecordingassoc", ("session_id",), (*times, x)),
        ("participantsessionassoc", ("participant_id", "session_id"), (*times, "param", x)),
        ("participantstreamassoc", ("participant_id",), ("send", "recv", "recv", *times, x)),
    ]
    assert shape(root)[2][0] == "datamode"
    assert shape(root)[2][-1] == x
    assert [shape(each)[1] for each in root.iter(f"{space}reason", f"{space}param", f"{space}nameID")] == [
        ("cause", "protocol"),
        ("aor",),
        ("aor",),
        ("pname", "pval"),
    ]
    assert len({each.tag for each in root.iter(f"{space}timestamp")}) == 0
    assert read(data) == EXTENDED


def test_full_document_is_valid_by_the_schema(schema: etree.XMLSchema) -> None:
    schema.assertValid(etree.fromstring(write_metadata(EXTENDED)))
