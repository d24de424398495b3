import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.findings import Severity
from siprec_core.limits import Limits
from siprec_core.metadata.model import (
    DataMode,
    Dialect,
    MetadataDocument,
    Name,
    NameId,
    Parameter,
    ParticipantSessionAssociation,
    Reason,
    RequestSnapshot,
)
from siprec_core.metadata.reader import ParsedMetadata, read_metadata
from siprec_core.metadata.times import Instant
from siprec_core.metadata.writer import write_metadata
from tests.core.metadata.documents import DOCUMENTS, LIMITS, RFC, codes, document, load, read, uid

ANNA, BEN = "ICEiIyQlRieoKSorLC0uLw==", "MDEyMzQ1Rje4OTo7PD0+Pw=="
CALL = "EBESExQVRheYGRobHB0eHw=="
FIRST, SECOND = "QEFCQ0RFRkeISUpLTE1OTw==", "UFFSU1RVRleYWVpbXF1eXw=="
ROOT_ONLY = ["metadata-namespace", "metadata-dialect"]


@pytest.mark.requirement("7865-5.1-a", "7865-5.1.2-a", "7865-6.3-b", "7865-6.3-d", "7865-6.6-b", "7865-6.8-b")
def test_rfc_document_is_read_whole_and_without_findings() -> None:
    parsed = read_metadata(load("complete"), limits=LIMITS)
    assert parsed.findings == ()
    assert parsed.error is None
    document = parsed.document
    assert isinstance(document, MetadataDocument)
    assert document.dialect is Dialect.RFC7865
    assert document.datamode is DataMode.COMPLETE
    (group,), (session,) = document.groups, document.sessions
    assert group.associate_time == Instant("2024-05-01T09:59:58Z", 1_714_557_598_000_000_000)
    assert group.extensions[0].text == "first "
    assert session.group_ref == group.group_id
    assert session.reasons == (Reason("call taken", 200),)
    assert session.start_time == Instant("2024-05-01T12:00:00.250+02:00", 1_714_557_600_250_000_000)
    anna, ben = document.participants
    assert anna.name_ids == (NameId("sip:anna@example.org", Name("Anna Groß", "de")), NameId("tel:+4930555001"))
    assert ben.name_ids == (NameId("sip:ben@example.net"),)
    assert [(each.stream_id, each.session_id, each.label) for each in document.streams] == [
        (FIRST, CALL, "11"),
        (SECOND, CALL, "12"),
    ]
    assert document.participant_session_associations[0].parameters == (Parameter("isfocus", "true"),)
    assert [(each.participant_id, each.send, each.recv) for each in document.participant_stream_associations] == [
        (ANNA, (FIRST,), (SECOND,)),
        (BEN, (SECOND,), (FIRST,)),
    ]
    assert [each.name for each in document.extensions] == ["note"]


@pytest.mark.requirement("7865-5.1.2-c")
@pytest.mark.parametrize("name", ["hold", "bye"])
def test_partial_rfc_document_has_no_findings(name: str) -> None:
    parsed = read_metadata(load(name), limits=LIMITS)
    assert parsed.findings == ()
    assert isinstance(parsed.document, MetadataDocument)
    assert parsed.document.datamode is DataMode.PARTIAL


@pytest.mark.requirement("7865-7-a", "7865-7-b", "7865-7-c")
def test_request_for_a_snapshot() -> None:
    text = f"<requestsnapshot {RFC}><requestreason xml:lang='en'> lost </requestreason></requestsnapshot>"
    parsed = read_metadata(text.encode(), limits=LIMITS)
    assert parsed.document == RequestSnapshot(reason=Name("lost", "en"))
    assert parsed.findings == ()


def test_early_dialect_is_translated_to_associations() -> None:
    document = read(load("seed"))
    start = document.sessions[0].start_time
    assert document.dialect is Dialect.SEED
    assert [each.session_id for each in document.sessions] == ["call-9"]
    assert [(each.stream_id, each.session_id, each.label, each.mode) for each in document.streams] == [
        ("only", "call-9", "1", "separate")
    ]
    assert [(each.participant_id, each.send) for each in document.participant_stream_associations] == [
        ("anna", ("only",)),
        ("ben", ("only",)),
    ]
    assert document.participant_session_associations == tuple(
        ParticipantSessionAssociation(each, "call-9", start) for each in ("anna", "ben")
    )
    assert [each.session_id for each in document.session_recording_associations] == ["call-9"]


@pytest.mark.requirement("7865-6.11-a")
def test_early_dialect_is_named_with_each_deviation_and_its_place() -> None:
    findings = read_metadata(load("seed"), limits=LIMITS).findings
    assert [(each.code, each.where, each.line) for each in findings] == [
        ("metadata-namespace", "recording", 2),
        ("seed-dialect", "recording", 2),
        ("metadata-id-attribute", "session@id", 4),
        ("metadata-id-attribute", "participant@id", 7),
        ("metadata-id-attribute", "stream@id", 15),
        ("metadata-id-attribute", "stream@session", 15),
        ("metadata-unknown-element", "stream/mode", 17),
        ("metadata-no-association", "participantstreamassoc", 7),
        ("send-by-session", "send", 7),
        ("metadata-no-association", "participantsessionassoc", 7),
        ("metadata-id-syntax", "session@session_id", 4),
        ("metadata-id-syntax", "participant@participant_id", 7),
        ("metadata-id-syntax", "stream@stream_id", 15),
        ("mode-separate-but-shared", "stream/mode", 15),
    ]
    assert all(each.severity is not Severity.INFO and each.rfc for each in findings)


def test_draft_of_vendors_is_read() -> None:
    document = read(load("draft-recording"))
    assert document.dialect is Dialect.DRAFT_RECORDING
    assert document.sessions[0].start_time == Instant("2024-05-01T10:00:00", 1_714_557_600_000_000_000)
    assert [each.aors for each in document.participants] == [("sip:anna@example.org",), ("+493055550123",)]
    assert [each.label for each in document.streams] == ["65804", "65805"]
    assert [each.send for each in document.participant_stream_associations] == [("s1",), ("s2",)]
    anna, ben = document.participant_session_associations
    assert anna.session_id == ben.session_id == "kYZ1pO"
    assert anna.associate_time is not None
    assert anna.associate_time.text == "2024-05-01T10:00:02"
    assert ben.associate_time == document.sessions[0].start_time
    assert document.extension_count == 2
    found = codes(load("draft-recording"))
    assert {"metadata-dialect", "metadata-element-order", "metadata-time-syntax"} <= set(found)
    assert "metadata-dangling-reference" not in found


def test_draft_with_another_root_is_read() -> None:
    document = read(load("draft-siprec"))
    assert document.dialect is Dialect.DRAFT_SIPREC
    assert document.datamode is DataMode.COMPLETE
    assert document.sessions[0].group_ref == "g-1"
    assert [each.name_ids for each in document.participants] == [
        (NameId("sip:anna@example.org"),),
        (NameId("sip:ben@example.net", Name("Ben", "en")),),
    ]
    assert [each.send for each in document.participant_stream_associations] == [("s-1",), ("s-1",)]
    assert [each.name for each in document.extensions] == ["recording", "extensiondata"]
    assert document.extension_count == 1


def test_document_without_namespace_is_read() -> None:
    document = read(load("lenient"))
    assert document.dialect is Dialect.LENIENT
    assert document.datamode is DataMode.COMPLETE
    (stream,) = document.streams
    assert (stream.stream_id, stream.label) == ("inbound-1", "1")
    assert [each.text for each in stream.extensions] == ["caller leg"]
    assert [each.send for each in document.participant_stream_associations] == [("inbound-1",)]
    assert len(document.participant_session_associations) == 1


@pytest.mark.parametrize("name", ["recording:1", "recording", "siprec"])
def test_elements_in_no_namespace_below_a_prefixed_root_are_read(name: str) -> None:
    namespace = f"urn:ietf:params:xml:ns:{name}"
    text = (
        f"<tns:recording xmlns:tns='{namespace}'><datamode>complete</datamode><session session_id='c'/>"
        "<participant participant_id='p'><nameID aor='sip:a@example.org'><name>Anna</name></nameID></participant>"
        "<Stream stream_id='s' session_id='c'><label>1</label></Stream><other/>"
        "<participantstreamassoc participant_id='p'><send>s</send></participantstreamassoc></tns:recording>"
    )
    parsed = read_metadata(text.encode(), limits=LIMITS)
    document = parsed.document
    assert isinstance(document, MetadataDocument)
    assert document.datamode is DataMode.COMPLETE
    assert [each.session_id for each in document.sessions] == ["c"]
    assert document.participants[0].name_ids == (NameId("sip:a@example.org", Name("Anna")),)
    assert [(each.stream_id, each.label) for each in document.streams] == [("s", "1")]
    assert [each.send for each in document.participant_stream_associations] == [("s",)]
    assert [each.name for each in document.extensions] == ["other"]
    noted = [each.where for each in parsed.findings if each.code == "metadata-namespace"]
    assert {"recording/datamode", "recording/Stream", "participant/nameID", "stream/label"} <= set(noted)
    assert "recording/other" not in noted


def test_elements_in_no_namespace_within_an_extension_stay_there() -> None:
    text = f"<recording {RFC}><v:data xmlns:v='urn:v'><session xmlns='' session_id='c'/></v:data></recording>"
    document = read(text.encode())
    assert document.sessions == ()
    assert [each.name for each in document.extensions[0].children] == ["session"]


@pytest.mark.requirement("7865-5.1.2-a")
@pytest.mark.parametrize("root", ["presence", "recordings", "a"])
def test_other_root_is_an_error_with_its_place(root: str) -> None:
    parsed = read_metadata(f"\n<{root} {RFC}/>".encode(), limits=LIMITS)
    assert parsed.document is None
    assert parsed.error is not None
    assert parsed.error.line == 2
    assert [(each.code, each.line) for each in parsed.findings] == [("metadata-root", 2)]


@pytest.mark.requirement("7865-6.3-c", "7865-6.5-a", "7865-6.5-b", "7865-6.9-a")
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("<datamode>Partial</datamode>", "metadata-datamode"),
        ("<datamode>some</datamode>", "metadata-datamode"),
        ("<dataMode>partial</dataMode>", "metadata-name-case"),
        ("<session/>", "metadata-missing-attribute"),
        ("<stream stream_id=''/>", "metadata-missing-attribute"),
        (f"<session session_id='{CALL}'><reason>gone</reason></session>", "metadata-missing-attribute"),
        (f"<session session_id='{CALL}'><reason cause='99999'/></session>", "metadata-missing-attribute"),
        (f"<participant participant_id='{ANNA}'/>", "metadata-missing-element"),
        (f"<participant participant_id='{ANNA}'><nameID/></participant>", "metadata-missing-attribute"),
        (
            f"<participant participant_id='{ANNA}'><nameID aor='sip:a@b'><x/></nameID></participant>",
            "metadata-misplaced-element",
        ),
        (f"<group group_id='{CALL}'><associate-time/></group>", "metadata-time-unknown"),
        (
            f"<group group_id='{CALL}'><associate-time>2024-05-01T10:00:00</associate-time></group>",
            "metadata-time-syntax",
        ),
        ("<session session_id='call-9'/>", "metadata-id-syntax"),
    ],
)
def test_deviation_of_an_rfc_document_is_named(body: str, code: str) -> None:
    assert code in codes(document(body))


@pytest.mark.requirement("7865-5.1.2-b", "7865-5.1.2-c")
def test_partial_in_another_letter_case_is_partial() -> None:
    assert read(document("<datamode>Partial</datamode>")).datamode is DataMode.PARTIAL
    assert read(document("", f'{RFC} dataMode="partial"')).datamode is DataMode.PARTIAL
    assert read(document("<datamode>some</datamode>")).datamode is None


def test_several_names_of_an_address_are_all_kept() -> None:
    names = "<name>Ben</name><name xml:lang='de'>Benjamin</name>"
    text = f"<participant participant_id='{BEN}'><nameID aor='sip:b@c'>{names}</nameID></participant>"
    assert read(document(text)).participants[0].name_ids == (
        NameId("sip:b@c", Name("Ben")),
        NameId("sip:b@c", Name("Benjamin", "de")),
    )
    assert codes(document(text)) == ["metadata-repeated-element"]


def test_name_without_address_is_kept() -> None:
    text = f"<participant participant_id='{BEN}'><name>Ben</name></participant>"
    assert read(document(text)).participants[0].name_ids == (NameId(None, Name("Ben")),)


def test_empty_send_names_no_stream() -> None:
    text = f"<participantstreamassoc participant_id='{BEN}'><send/><send> {FIRST}\n</send></participantstreamassoc>"
    assert read(document("<datamode>partial</datamode>" + text)).participant_stream_associations[0].send == (FIRST,)


@pytest.mark.requirement("7865-9-e")
def test_bounds_of_text_depth_and_attributes() -> None:
    limits = Limits(xml_text_size=200, xml_depth=6, xml_attributes=5)
    label = f"<stream stream_id='{FIRST}'><label>{'1' * 300}</label></stream>"
    deep = "<x xmlns='urn:x'>" * 8 + "</x>" * 8
    crowded = "<x xmlns='urn:x' " + " ".join(f"a{n}=''" for n in range(9)) + "/>"
    address = f"<participant participant_id='{ANNA}'><nameID aor='sip:{'a' * 300}'/></participant>"
    reason = f"<session session_id='{CALL}'><reason cause='1'>{'1' * 300}</reason></session>"
    for body in (label, deep, crowded, address, reason):
        parsed = read_metadata(document(body).encode(), limits=limits)
        assert parsed.document is None
        assert parsed.error is not None
        assert [each.code for each in parsed.findings] == ["metadata-too-large"]


def test_findings_are_bounded() -> None:
    streams = "".join(f"<stream stream_id='{FIRST}' a{n}=''/>" for n in range(50))
    assert len(read_metadata(document(streams).encode(), limits=Limits(findings=7)).findings) == 7


def test_unknown_namespace_is_quoted_shortened() -> None:
    parsed = read_metadata(f"<recording xmlns='urn:{'x' * 5_000}'/>".encode(), limits=LIMITS)
    assert [each.code for each in parsed.findings] == ROOT_ONLY
    assert all(len(each.message) < 300 for each in parsed.findings)


@settings(max_examples=30)
@given(DOCUMENTS, st.integers(0, 400))
def test_a_cut_document_never_raises(document: MetadataDocument, at: int) -> None:
    data = write_metadata(document)
    parsed = read_metadata(data[: -1 - at], limits=LIMITS)
    assert (parsed.document is None) == (parsed.error is not None)


@pytest.mark.requirement("7865-9-e")
@pytest.mark.parametrize("name", ["complete", "seed", "draft-recording", "draft-siprec", "lenient"])
def test_every_single_damaged_octet_is_survived(name: str) -> None:
    data = load(name)
    for at in range(0, len(data), 3):
        for octet in (b"\0", b"<", b"&", b"\xff", b'"'):
            parsed = read_metadata(data[:at] + octet + data[at + 1 :], limits=LIMITS)
            assert (parsed.document is None) == (parsed.error is not None)


def test_view_reads_like_octets() -> None:
    data = load("draft-siprec")
    assert read_metadata(memoryview(data), limits=LIMITS) == read_metadata(data, limits=LIMITS)


@pytest.mark.parametrize("namespace", ["recording:1", "recording"])
def test_large_document_is_read_like_a_small_one(namespace: str) -> None:
    def body(count: int) -> str:
        people = "".join(
            f"\n<participant participant_id='{uid(f'p{n}')}'><nameID aor='sip:{n}@example.org'/></participant>"
            for n in range(count)
        )
        stray = f"\n<stream stream_id='{FIRST}' session_id='{CALL}'><label>1</label><odd/></stream>"
        return f"<datamode>partial</datamode>{people}{stray}<x xmlns='urn:x'>1</x>{people.replace('sip:', 'tel:')}"

    def parsed(count: int) -> ParsedMetadata:
        text = document(body(count), f"xmlns='urn:ietf:params:xml:ns:{namespace}'")
        return read_metadata(text.encode(), limits=LIMITS)

    small, large = parsed(20), parsed(4_000)
    assert isinstance(small.document, MetadataDocument)
    assert isinstance(large.document, MetadataDocument)
    assert large.document.datamode is DataMode.PARTIAL
    around = [each.aors[0] for each in large.document.participants[3_999:4_001]]
    assert around == ["sip:3999@example.org", "tel:0@example.org"]
    assert len(large.document.participants) == 8_000
    assert large.document.streams == small.document.streams
    assert large.document.extensions == small.document.extensions
    known = {each.code for each in small.findings}
    assert {each.code for each in large.findings} == known
    (odd,) = (each for each in large.findings if each.where == "stream/odd")
    assert (odd.line, odd.column) == (4_002, 100)


def test_large_request_for_a_snapshot() -> None:
    extensions = "<x xmlns='urn:x'/>" * 20_000
    text = f"<requestsnapshot {RFC}><requestreason>lost</requestreason>{extensions}</requestsnapshot>"
    parsed = read_metadata(text.encode(), limits=LIMITS)
    assert isinstance(parsed.document, RequestSnapshot)
    assert parsed.document.reason == Name("lost")
    assert len(parsed.document.extensions) == 20_000
