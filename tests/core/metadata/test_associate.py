from siprec_core.metadata.model import ParticipantSessionAssociation, ParticipantStreamAssociation
from tests.core.metadata.documents import RFC, codes, document, read, uid

SEED = 'xmlns="urn:ietf:params:xml:ns:siprec"'
NAME = "<nameID aor='sip:a@b'/>"


def test_send_of_a_session_is_all_its_streams() -> None:
    text = document(
        f"<session id='c'/><session id='d'/><participant id='p'>{NAME}<send>c</send><recv>d</recv></participant>"
        "<stream id='1' session='c'/><stream id='2' session='d'/><stream id='3' session='c'/>",
        SEED,
    )
    assert read(text).participant_stream_associations == (ParticipantStreamAssociation("p", ("1", "3"), ("2",)),)
    assert "send-by-session" in codes(text)


def test_send_that_names_stream_and_session_means_the_stream() -> None:
    text = document(
        f"<session id='x'/><participant id='p'>{NAME}<send>x</send></participant>"
        "<stream id='x' session='x'/><stream id='y' session='x'/>",
        SEED,
    )
    assert read(text).participant_stream_associations == (ParticipantStreamAssociation("p", ("x",)),)
    assert "send-by-session" not in codes(text)


def test_send_of_a_session_without_streams_is_kept() -> None:
    text = document(f"<session id='c'/><participant id='p'>{NAME}<send>c</send></participant>", SEED)
    assert read(text).participant_stream_associations == (ParticipantStreamAssociation("p", ("c",)),)


def test_session_is_told_by_attribute_then_by_what_is_sent() -> None:
    text = document(
        "<session id='c'/><session id='d'><start-time>2024-05-01T10:00:00Z</start-time></session>"
        f"<participant id='p' session='c'>{NAME}<send>2</send></participant>"
        f"<participant id='q'>{NAME}<send>2</send></participant>"
        f"<participant id='r'>{NAME}<send>d</send></participant>"
        f"<participant id='s'>{NAME}</participant>"
        "<stream id='1' session='c'/><stream id='2' session='d'/>",
        SEED,
    )
    parsed = read(text)
    start = parsed.sessions[1].start_time
    assert start is not None
    assert parsed.participant_session_associations == (
        ParticipantSessionAssociation("p", "c"),
        ParticipantSessionAssociation("q", "d", start),
        ParticipantSessionAssociation("r", "d", start),
    )


def test_association_that_stands_there_is_not_made_again() -> None:
    text = document(
        f"<session id='c'/><participant id='p' session='c'>{NAME}</participant>"
        "<participantsessionassoc participant_id='p' session_id='c'/>",
        SEED,
    )
    assert len(read(text).participant_session_associations) == 1


def test_times_of_a_participant_are_those_of_its_stay() -> None:
    text = document(
        f"<session id='c'/><participant id='p'>{NAME}<associate-time>2024-05-01T10:00:00Z</associate-time>"
        "<disassociate-time>2024-05-01T10:01:00Z</disassociate-time></participant>",
        'xmlns="urn:ietf:params:xml:ns:recording"',
    )
    (stay,) = read(text).participant_session_associations
    assert stay.associate_time is not None
    assert stay.disassociate_time is not None
    assert stay.disassociate_time.text == "2024-05-01T10:01:00Z"


def test_rfc_document_gets_nothing_that_it_does_not_say() -> None:
    body = f"<session session_id='{uid('c')}'/><participant participant_id='{uid('p')}'>{NAME}</participant>"
    parsed = read(document(body))
    assert parsed.participant_session_associations == ()
    assert parsed.session_recording_associations == ()
    assert codes(document(body)) == []


def test_rfc_document_with_send_in_a_participant_is_understood() -> None:
    body = (
        f"<participant participant_id='{uid('p')}'>{NAME}<send>{uid('s')}</send></participant>"
        f"<stream stream_id='{uid('s')}'/>"
    )
    assert read(document(body, RFC)).participant_stream_associations == (
        ParticipantStreamAssociation(uid("p"), (uid("s"),)),
    )
    assert codes(document(body)) == ["metadata-no-association", "metadata-no-session"]


def test_partial_document_of_the_early_dialect_starts_no_recording_anew() -> None:
    text = document("<datamode>partial</datamode><session id='c'/>", SEED)
    assert read(text).session_recording_associations == ()
