"""Consistency of one document: what the schema cannot tell and a recording server should (RFC 7865 section 6).

Nothing here stops a recording; what spans several documents is checked by `state`.
"""

import itertools
from collections.abc import Sequence
from typing import TypeAlias

from siprec_core.metadata.ids import id_key
from siprec_core.metadata.model import (
    Group,
    MetadataDocument,
    ParticipantSessionAssociation,
    ParticipantStreamAssociation,
    SessionRecordingAssociation,
)
from siprec_core.metadata.origins import Note, Origins, Place, shown
from siprec_core.metadata.remarks import are_plain, remark, remark_id
from siprec_core.metadata.times import Instant

_Timed: TypeAlias = Group | SessionRecordingAssociation | ParticipantSessionAssociation | ParticipantStreamAssociation


_ROUNDING_NS = 1_000_000_000
"""Some clients write the same instant with and without fractions."""


def check_document(document: MetadataDocument, origins: Origins, note: Note) -> None:
    """Note what is inconsistent in one document."""
    known = _check_ids(document, origins, note)
    _check_times(document, origins, note)
    _check_modes(document, origins, note)
    remark(document, origins, note)
    if document.is_complete:
        _check_references(document, known, origins, note)


def _check_ids(document: MetadataDocument, origins: Origins, note: Note) -> dict[str, set[str]]:
    kinds = {
        "group": [each.group_id for each in document.groups],
        "session": [each.session_id for each in document.sessions],
        "participant": [each.participant_id for each in document.participants],
        "stream": [each.stream_id for each in document.streams],
    }
    known = {kind: set(ids) for kind, ids in kinds.items()}
    if are_plain(itertools.chain.from_iterable(kinds.values())) and len(set().union(*known.values())) == sum(
        map(len, kinds.values())
    ):
        return known
    owners: dict[str, str] = {}
    for kind, ids in kinds.items():
        keys = known[kind] = set()
        for index, text in enumerate(ids):
            if not text:
                continue
            key = remark_id(text, kind, index, origins, note)
            if key in keys:
                message = f"two {kind} elements have the id {shown(text)}"
                note("metadata-duplicate-id", f"{kind} {shown(text)}", message, origins.of(kind, index))
            elif owners.setdefault(key, kind) != kind:
                # RFC 7865 6.10: one UUID mapped to more than one element is an error.
                message = f"{shown(text)} is the id of a {owners[key]} and of a {kind}"
                note("metadata-id-reused", f"{kind} {shown(text)}", message, origins.of(kind, index))
            keys.add(key)
    return known


def _check_references(document: MetadataDocument, known: dict[str, set[str]], origins: Origins, note: Note) -> None:
    """Note ids that nothing in a complete document has; another client may have told them (RFC 7866 section 9.2)."""
    if _refers_to_known(document, known):
        return

    def check(kind: str, reference: str | None, where: str, index: int) -> None:
        if reference and reference not in known[kind] and id_key(reference) not in known[kind]:
            message = f"no {kind} has the id {shown(reference)}"
            name = where.partition("/")[0].partition("@")[0]
            note("metadata-dangling-reference", f"{where} {shown(reference)}", message, origins.of(name, index))

    for index, session in enumerate(document.sessions):
        check("group", session.group_ref, "session/group-ref", index)
    for index, stream in enumerate(document.streams):
        check("session", stream.session_id, "stream@session_id", index)
    for index, recording in enumerate(document.session_recording_associations):
        check("session", recording.session_id, "sessionrecordingassoc@session_id", index)
    for index, membership in enumerate(document.participant_session_associations):
        check("participant", membership.participant_id, "participantsessionassoc@participant_id", index)
        check("session", membership.session_id, "participantsessionassoc@session_id", index)
    for index, flow in enumerate(document.participant_stream_associations):
        check("participant", flow.participant_id, "participantstreamassoc@participant_id", index)
        for stream_id in flow.send:
            check("stream", stream_id, "participantstreamassoc/send", index)
        for stream_id in flow.recv:
            check("stream", stream_id, "participantstreamassoc/recv", index)


def _refers_to_known(document: MetadataDocument, known: dict[str, set[str]]) -> bool:
    """Tell whether each reference is spelt as the id that it means, which needs no closer look."""
    participants, streams = known["participant"], known["stream"]
    sessions = [stream.session_id for stream in document.streams]
    sessions += [recording.session_id for recording in document.session_recording_associations]
    for membership in document.participant_session_associations:
        sessions.append(membership.session_id)
        if membership.participant_id not in participants:
            return False
    for flow in document.participant_stream_associations:
        if flow.participant_id not in participants or not (streams.issuperset(flow.send + flow.recv)):
            return False
    return known["session"].issuperset(sessions) and known["group"].issuperset(
        [session.group_ref for session in document.sessions if session.group_ref is not None]
    )


def _check_times(document: MetadataDocument, origins: Origins, note: Note) -> None:
    starts: dict[str, Instant] = {}
    for index, session in enumerate(document.sessions):
        if session.start_time is not None:
            starts[session.session_id] = session.start_time
            if session.stop_time is not None:
                _check_span(session.start_time, session.stop_time, "session", origins.of("session", index), note)
    timed: tuple[tuple[str, Sequence[_Timed]], ...] = (
        ("group", document.groups),
        ("sessionrecordingassoc", document.session_recording_associations),
        ("participantsessionassoc", document.participant_session_associations),
        ("participantstreamassoc", document.participant_stream_associations),
    )
    for where, items in timed:
        for index, item in enumerate(items):
            if item.disassociate_time is not None and item.associate_time is not None:
                _check_span(item.associate_time, item.disassociate_time, where, origins.of(where, index), note)
    for index, membership in enumerate(document.participant_session_associations):
        start, since = starts.get(membership.session_id), membership.associate_time
        if start is not None and since is not None and is_before(since, start, by_ns=_ROUNDING_NS):
            message = f"a participant joins at {since.text}, the session begins at {start.text}"
            element = origins.of("participantsessionassoc", index)
            note("metadata-time-before-session", "participantsessionassoc/associate-time", message, element)


def _check_span(since: Instant, until: Instant, where: str, place: Place | None, note: Note) -> None:
    if is_before(until, since):
        note("metadata-time-order", where, f"it ends at {until.text} before it begins at {since.text}", place)


def is_before(one: Instant, other: Instant, *, by_ns: int = 0) -> bool:
    """Tell whether both instants are known and the first lies before the second, by more than so much."""
    return one.unix_ns is not None and other.unix_ns is not None and one.unix_ns + by_ns < other.unix_ns


def _check_modes(document: MetadataDocument, origins: Origins, note: Note) -> None:
    """Compare the `mode` of older generations with the number of contributors, which is how RFC 7865 tells a mix."""
    separate = {
        id_key(stream.stream_id): index
        for index, stream in enumerate(document.streams)
        if stream.extensions and stream.mode == "separate"
    }
    if not separate:
        return
    senders: dict[str, set[str]] = {}
    for flow in document.participant_stream_associations:
        for stream_id in flow.send:
            senders.setdefault(id_key(stream_id), set()).add(id_key(flow.participant_id))
    for key, index in separate.items():
        if len(senders.get(key, ())) > 1:
            message = f"the stream says separate and has {len(senders[key])} senders"
            note("mode-separate-but-shared", "stream/mode", message, origins.of("stream", index))
