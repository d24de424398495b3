"""Formats of drafts, written on request and read back."""

import pytest
from hypothesis import given, settings

from siprec_core.errors import LocalProtocolError
from siprec_core.metadata.draft_writer import write_draft
from siprec_core.metadata.model import Dialect, Element, MetadataDocument
from tests.core.metadata.documents import DOCUMENTS, load, read

DRAFTS = (Dialect.DRAFT_RECORDING, Dialect.DRAFT_SIPREC)


@pytest.mark.parametrize("dialect", DRAFTS)
@pytest.mark.parametrize("name", ["complete", "hold", "draft-recording", "draft-siprec", "lenient"])
def test_written_draft_says_the_same(name: str, dialect: Dialect) -> None:
    before = read(load(name))
    after = read(write_draft(before, dialect))
    assert after.dialect is dialect
    assert after.datamode == before.datamode
    assert [(each.participant_id, each.aors, each.names) for each in after.participants] == [
        (each.participant_id, each.aors, each.names) for each in before.participants
    ]
    assert [(each.stream_id, each.session_id, each.label) for each in after.streams] == [
        (each.stream_id, each.session_id, each.label) for each in before.streams
    ]
    assert [(each.session_id, each.group_ref) for each in after.sessions] == [
        (each.session_id, each.group_ref) for each in before.sessions
    ]
    assert [each.start_time and each.start_time.unix_ns for each in after.sessions] == [
        each.start_time and each.start_time.unix_ns for each in before.sessions
    ]
    assert [each.extensions for each in after.groups] == [each.extensions for each in before.groups]


def test_streams_and_stays_of_participants_stand_in_them() -> None:
    before = read(load("complete"))
    for dialect in DRAFTS:
        after = read(write_draft(before, dialect))
        assert [(each.participant_id, each.send, each.recv) for each in after.participant_stream_associations] == [
            (each.participant_id, each.send, each.recv) for each in before.participant_stream_associations
        ]
        assert [(each.participant_id, each.session_id) for each in after.participant_session_associations] == [
            (each.participant_id, each.session_id) for each in before.participant_session_associations
        ]


@pytest.mark.parametrize("dialect", [Dialect.RFC7865, Dialect.SEED, Dialect.LENIENT])
def test_other_dialects_are_not_written(dialect: Dialect) -> None:
    with pytest.raises(LocalProtocolError):
        write_draft(MetadataDocument(), dialect)


def test_text_that_no_document_can_hold() -> None:
    with pytest.raises(LocalProtocolError):
        write_draft(MetadataDocument(extensions=(Element("urn:x", "x", text="\0"),)), DRAFTS[0])


@settings(max_examples=40)
@given(DOCUMENTS)
def test_what_a_draft_can_say_survives_any_number_of_writings(document: MetadataDocument) -> None:
    for dialect in DRAFTS:
        once = read(write_draft(document, dialect))
        twice = read(write_draft(once, dialect))
        assert (twice.sessions, twice.participants, twice.streams) == (once.sessions, once.participants, once.streams)
        assert {(each.participant_id, each.send, each.recv) for each in twice.participant_stream_associations} == {
            (each.participant_id, each.send, each.recv) for each in once.participant_stream_associations
        }
