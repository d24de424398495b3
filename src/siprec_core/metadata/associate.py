"""Associations that older generations write into other objects, brought to their RFC 7865 form.

In the dialects of drafts and vendors a participant says itself what it sends and receives, when it came and in which
session it is. RFC 7865 has associations for that (sections 6.6 and 6.8), and the model has only those.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from siprec_core.metadata.ids import id_key
from siprec_core.metadata.model import (
    Dialect,
    MetadataDocument,
    ParticipantSessionAssociation,
    ParticipantStreamAssociation,
    SessionRecordingAssociation,
)
from siprec_core.metadata.origins import Note, Place
from siprec_core.metadata.times import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseParticipant:
    """What a participant element said beside its addresses."""

    participant_id: str
    session_id: str | None
    send: tuple[str, ...]
    recv: tuple[str, ...]
    associate_time: Instant | None
    disassociate_time: Instant | None
    place: Place


def associate(document: MetadataDocument, loose: Sequence[LooseParticipant], note: Note) -> MetadataDocument:
    """Give the document with the associations that its participants only imply."""
    stream_associations = _with_streams(document, loose, note)
    stream_associations = _streams_for_sessions(document, stream_associations, loose, note)
    session_associations = document.participant_session_associations
    recordings = document.session_recording_associations
    if loose or document.dialect is Dialect.SEED:
        session_associations = _with_sessions(document, loose, note)
    if document.dialect is Dialect.SEED and document.is_complete and not recordings:
        # Its time is that of the INVITE, which the document does not know.
        recordings = tuple(SessionRecordingAssociation(session.session_id) for session in document.sessions)
    if (
        stream_associations is document.participant_stream_associations
        and session_associations is document.participant_session_associations
        and recordings is document.session_recording_associations
    ):
        return document
    return replace(
        document,
        participant_stream_associations=stream_associations,
        participant_session_associations=session_associations,
        session_recording_associations=recordings,
    )


def _with_streams(
    document: MetadataDocument, loose: Iterable[LooseParticipant], note: Note
) -> tuple[ParticipantStreamAssociation, ...]:
    made = []
    for participant in loose:
        if participant.send or participant.recv:
            message = "send and recv stand in participant instead of participantstreamassoc"
            note("metadata-no-association", "participantstreamassoc", message, participant.place)
            made.append(ParticipantStreamAssociation(participant.participant_id, participant.send, participant.recv))
    present = document.participant_stream_associations
    return (*present, *made) if made else present


def _streams_for_sessions(
    document: MetadataDocument,
    associations: tuple[ParticipantStreamAssociation, ...],
    loose: Iterable[LooseParticipant],
    note: Note,
) -> tuple[ParticipantStreamAssociation, ...]:
    """Put the streams of a session where a send or recv names the session."""
    sessions = {session.session_id for session in document.sessions if session.session_id}
    sessions.difference_update([stream.stream_id for stream in document.streams])
    if all(sessions.isdisjoint(each.send) and sessions.isdisjoint(each.recv) for each in associations):
        return associations
    of_session: dict[str | None, list[str]] = {}
    for stream in document.streams:
        of_session.setdefault(stream.session_id, []).append(stream.stream_id)

    origins = {each.participant_id: each.place for each in loose}

    def resolve(ids: tuple[str, ...], participant_id: str) -> tuple[str, ...]:
        if sessions.isdisjoint(ids):
            return ids
        note("send-by-session", "send", None, origins.get(participant_id))
        resolved: dict[str, None] = {}
        for each in ids:
            named = of_session.get(each, [each]) if each in sessions else [each]
            resolved.update(dict.fromkeys(named))
        return tuple(resolved)

    return tuple(
        replace(
            association,
            send=resolve(association.send, association.participant_id),
            recv=resolve(association.recv, association.participant_id),
        )
        for association in associations
    )


def _with_sessions(
    document: MetadataDocument, loose: Sequence[LooseParticipant], note: Note
) -> tuple[ParticipantSessionAssociation, ...]:
    """Add an association for each participant that has none and whose session can be told."""
    present = document.participant_session_associations
    associated = {id_key(each.participant_id) for each in present}
    by_id = {id_key(each.participant_id): each for each in loose}
    starts = {id_key(session.session_id): session.start_time for session in document.sessions}
    sessions_of_streams = {id_key(each.stream_id): each.session_id for each in document.streams}
    only = document.sessions[0].session_id if len(document.sessions) == 1 else None
    made = []
    for participant in document.participants:
        key = id_key(participant.participant_id)
        hint = by_id.get(key)
        if key in associated or (hint is None and document.dialect is not Dialect.SEED):
            continue
        session_id = only
        if hint is not None:
            session_id = hint.session_id or only or _session_sent(hint.send, starts, sessions_of_streams)
        if session_id is None:
            continue
        message = "a participant's session is guessed; there is no participantsessionassoc"
        note("metadata-no-association", "participantsessionassoc", message, None if hint is None else hint.place)
        since = starts.get(id_key(session_id)) if hint is None or hint.associate_time is None else hint.associate_time
        until = None if hint is None else hint.disassociate_time
        made.append(ParticipantSessionAssociation(participant.participant_id, session_id, since, until))
    return (*present, *made) if made else present


def _session_sent(
    send: Iterable[str], sessions: dict[str, Instant | None], sessions_of_streams: dict[str, str | None]
) -> str | None:
    """Give the session that the first resolvable send names, itself or by its stream."""
    for each in send:
        key = id_key(each)
        if key in sessions:
            return each
        if sessions_of_streams.get(key) is not None:
            return sessions_of_streams[key]
    return None
