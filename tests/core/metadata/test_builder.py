"""The builder's documents, read back by the state that a recording server keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.metadata.builder import MetadataBuilder
from siprec_core.metadata.model import DataMode, MetadataDocument
from siprec_core.metadata.reader import read_metadata
from siprec_core.metadata.state import MetadataState
from siprec_core.metadata.writer import write_metadata
from tests.core.harness import entropy

NOW = 1_714_560_000_000_000_000
SECOND = 1_000_000_000
SIP_SESSION = "ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2"


def begin() -> tuple[MetadataBuilder, str, str]:
    builder = MetadataBuilder(entropy=entropy(1), unix_ns=NOW, sip_session_id=SIP_SESSION)
    ann = builder.join("1", "sip:ann@example.com", "Ann", unix_ns=NOW)
    ben = builder.join("2", "sip:ben@example.com", unix_ns=NOW)
    return builder, ann, ben


def read_back(document: MetadataDocument) -> MetadataDocument:
    read = read_metadata(write_metadata(document), limits=Limits())
    assert isinstance(read.document, MetadataDocument)
    assert read.findings == ()
    return read.document


def said(document: MetadataDocument) -> dict[str, tuple[int, int]]:
    """Give how many streams each participant sends and hears."""
    return {each.participant_id: (len(each.send), len(each.recv)) for each in document.participant_stream_associations}


def test_a_complete_document_tells_all() -> None:
    builder, ann, ben = begin()
    document = read_back(builder.complete())
    assert document.datamode is DataMode.COMPLETE
    assert [each.participant_id for each in document.participants] == [ann, ben]
    assert document.participants[0].name_ids[0].aor == "sip:ann@example.com"
    assert [each.label for each in document.streams] == ["1", "2"]
    assert document.sessions[0].sip_session_ids == (SIP_SESSION,)
    assert said(document) == {ann: (1, 1), ben: (1, 1)}
    assert len(document.participant_session_associations) == 2


def test_a_partial_document_tells_what_is_new() -> None:
    builder, ann, ben = begin()
    builder.complete()
    assert said(builder.partial()) == {}
    carl = builder.join("3", "sip:carl@example.com", unix_ns=NOW + SECOND)
    document = read_back(builder.partial())
    assert document.datamode is DataMode.PARTIAL
    assert [each.participant_id for each in document.participants] == [carl]
    assert [each.label for each in document.streams] == ["3"]
    assert document.sessions == ()
    assert said(document) == {ann: (1, 2), ben: (1, 2), carl: (1, 2)}


def test_a_hold_tells_that_one_says_nothing() -> None:
    builder, ann, ben = begin()
    builder.complete()
    builder.hold(ann, unix_ns=NOW + SECOND)
    document = read_back(builder.partial())
    assert said(document) == {ann: (0, 1), ben: (1, 0)}
    assert (document.participants, document.streams) == ((), ())
    builder.hold(ann, unix_ns=NOW + 2 * SECOND)
    assert said(builder.partial()) == {}
    builder.resume(ann, unix_ns=NOW + 3 * SECOND)
    assert said(builder.partial()) == {ann: (1, 1), ben: (1, 1)}


def test_a_transfer_keeps_the_stream() -> None:
    builder, ann, ben = begin()
    streams = builder.complete().streams
    carl = builder.transfer(ben, "sip:carl@example.com", "Carl", unix_ns=NOW + SECOND)
    document = read_back(builder.partial())
    assert [each.participant_id for each in document.participants] == [carl]
    gone = [each for each in document.participant_session_associations if each.disassociate_time is not None]
    assert [each.participant_id for each in gone] == [ben]
    assert document.streams == ()
    associations = {each.participant_id: each for each in document.participant_stream_associations}
    assert associations[carl].send == (streams[1].stream_id,)
    assert {each.participant_id for each in builder.complete().participants} == {ann, carl}


def test_the_end_tells_when() -> None:
    builder, _, _ = begin()
    builder.complete()
    builder.end(unix_ns=NOW + SECOND)
    document = read_back(builder.partial())
    assert document.sessions[0].stop_time is not None
    assert document.sessions[0].stop_time.unix_ns == NOW + SECOND
    assert all(each.disassociate_time is not None for each in document.participant_session_associations)
    assert all(each.disassociate_time is not None for each in document.participant_stream_associations)
    assert set(said(document).values()) == {(1, 1)}


def test_who_does_not_take_part_cannot_change() -> None:
    builder, ann, _ = begin()
    builder.leave(ann, unix_ns=NOW)
    for act in (builder.leave, builder.hold, builder.resume):
        with pytest.raises(LocalProtocolError):
            act(ann, unix_ns=NOW)
    with pytest.raises(LocalProtocolError):
        builder.transfer("nobody", "sip:x@example.com", unix_ns=NOW)


STEPS = st.lists(st.tuples(st.sampled_from(("join", "leave", "hold", "resume", "transfer")), st.integers(0, 5)))


@given(STEPS)
def test_partial_documents_add_up_to_the_complete_one(steps: list[tuple[str, int]]) -> None:
    builder, *present = begin()
    state = MetadataState(limits=Limits())
    state.apply(builder.complete(), NOW)
    for index, (act, which) in enumerate(steps, 1):
        now = NOW + index * SECOND
        if act == "join":
            present.append(builder.join(str(which + 1), f"sip:p{index}@example.com", unix_ns=now))
        elif present:
            chosen = present[which % len(present)]
            if act == "leave":
                builder.leave(chosen, unix_ns=now)
                present.remove(chosen)
            elif act == "transfer":
                present.append(builder.transfer(chosen, f"sip:p{index}@example.com", unix_ns=now))
                present.remove(chosen)
            else:
                (builder.hold if act == "hold" else builder.resume)(chosen, unix_ns=now)
        state.apply(read_back(builder.partial()), now)
    whole = builder.complete()
    assert {each.participant.participant_id for each in state.participants if each.left_ns is None} == set(present)
    assert {each.participant_id for each in whole.participants} == set(present)
    assert {each.stream_id for each in whole.streams} == {each.stream_id for each in state.streams}
    for stream in whole.streams:
        senders = {each.participant_id for each in state.current_senders_of(stream.stream_id)}
        associations = whole.participant_stream_associations
        assert senders == {each.participant_id for each in associations if stream.stream_id in each.send}
