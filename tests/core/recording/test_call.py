"""The metadata that a recording client tells of its call."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.entropy import Ids
from siprec_core.limits import Limits
from siprec_core.metadata.model import DataMode, Dialect, MetadataDocument
from siprec_core.metadata.reader import read_metadata
from siprec_core.metadata.writer import write_metadata
from siprec_core.recording.call import CallSpec, StreamSpec, address_of_record, first_metadata, metadata_of
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Transport
from tests.core.harness import entropy

LOCAL = Address("192.0.2.2", 5070)


def spec(*streams: StreamSpec) -> CallSpec:
    return CallSpec(uri="sip:r@192.0.2.1", hop=Hop(Transport.UDP, LOCAL), local=LOCAL, streams=streams)


def document(*streams: StreamSpec) -> MetadataDocument:
    return metadata_of(spec(*streams), ids=Ids(entropy(1)), unix_ns=1_700_000_000_000_000_000)


ANN = StreamSpec(label="1", aor="sip:ann@example.com", name="Ann")
BOB = StreamSpec(label="2", aor="sip:bob@example.com")


@pytest.mark.requirement("7866-9.1-c", "7866-9.1-g")
def test_each_stream_is_sent_by_one_participant_and_heard_by_the_others() -> None:
    told = document(ANN, BOB)
    assert told.datamode is DataMode.COMPLETE
    assert [stream.label for stream in told.streams] == ["1", "2"]
    first, second = (stream.stream_id for stream in told.streams)
    sends = [(list(assoc.send), list(assoc.recv)) for assoc in told.participant_stream_associations]
    assert sends == [([first], [second]), ([second], [first])]


@pytest.mark.requirement("7865-6.3-e")
def test_people_have_their_address_and_name() -> None:
    told = document(ANN, BOB)
    assert [list(person.aors) for person in told.participants] == [["sip:ann@example.com"], ["sip:bob@example.com"]]
    assert [list(person.names) for person in told.participants] == [["Ann"], []]


@pytest.mark.requirement("7865-6.5-d")
def test_all_ids_differ_and_all_references_lead_somewhere() -> None:
    told = document(ANN, BOB)
    (session,) = told.sessions
    ids = [session.session_id, *(p.participant_id for p in told.participants), *(s.stream_id for s in told.streams)]
    assert len(set(ids)) == 5
    assert {stream.session_id for stream in told.streams} == {session.session_id}
    assert {one.participant_id for one in told.participant_session_associations} <= set(ids)


_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(st.lists(st.builds(StreamSpec, label=_TEXT, aor=_TEXT, name=st.none() | _TEXT), min_size=1, max_size=5))
def test_what_is_written_is_read_back_without_complaint(streams: list[StreamSpec]) -> None:
    told = document(*streams)
    parsed = read_metadata(write_metadata(told), limits=Limits())
    assert parsed.error is None
    assert isinstance(parsed.document, MetadataDocument)
    assert [s.stream_id for s in parsed.document.streams] == [s.stream_id for s in told.streams]
    assert len(parsed.document.participants) == len(streams)


@pytest.mark.requirement("7866-6.1.1-e")
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:recorder@192.0.2.1:5060;transport=tcp", "sip:recorder@192.0.2.1"),
        ("sips:[2001:db8::1]:5061", "sips:[2001:db8::1]"),
        ("sip:recorder.example.com", "sip:recorder.example.com"),
        ("tel:+1555", "tel:+1555"),
    ],
)
def test_to_names_whom_and_not_the_way_there(uri: str, expected: str) -> None:
    assert address_of_record(uri) == expected


def test_first_document_is_that_of_the_application_or_built_in_the_dialect_asked_for() -> None:
    def first(call: CallSpec) -> bytes:
        return first_metadata(call, ids=Ids(entropy(1)), unix_ns=0)

    assert b'<recording xmlns="urn:ietf:params:xml:ns:recording:1">' in first(spec(ANN))
    assert b"<recording_metadata " in first(replace(spec(ANN), dialect=Dialect.DRAFT_SIPREC))
    assert first(replace(spec(ANN), metadata=b"as it is")) == b"as it is"
