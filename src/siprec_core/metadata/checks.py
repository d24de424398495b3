"""Consistency of one document: what the schema cannot tell and a recording server should (RFC 7865 section 6).

Nothing here stops a recording; what spans several documents is checked by `state`.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from siprec_core.metadata.associate import Note
from siprec_core.metadata.ids import id_key, is_unique_id
from siprec_core.metadata.model import (
    Group,
    MetadataDocument,
    ParticipantSessionAssociation,
    ParticipantStreamAssociation,
    SessionRecordingAssociation,
)
from siprec_core.metadata.times import Instant

_Timed: TypeAlias = Group | SessionRecordingAssociation | ParticipantSessionAssociation | ParticipantStreamAssociation


@dataclass(slots=True)
class Origins:
    """The elements that the objects of a document were read from, by element name, in order."""

    elements: dict[str, Sequence[ET.Element]] = field(default_factory=dict)

    def of(self, name: str, index: int) -> ET.Element | None:
        """Give the element of the object with that index, None for an object that no element stands for."""
        elements = self.elements.get(name, ())
        return elements[index] if index < len(elements) else None


def check_document(document: MetadataDocument, origins: Origins, note: Note) -> None:
    """Note what is inconsistent in one document."""
    known = _check_ids(document, origins, note)
    _check_times(document, origins, note)
    _check_modes(document, origins, note)
    if document.is_complete:
        _check_references(document, known, origins, note)


def shown(text: str) -> str:
    """Give an id fit for a message."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _check_ids(document: MetadataDocument, origins: Origins, note: Note) -> dict[str, set[str]]:
    kinds: tuple[tuple[str, Iterable[str]], ...] = (
        ("group", [each.group_id for each in document.groups]),
        ("session", [each.session_id for each in document.sessions]),
        ("participant", [each.participant_id for each in document.participants]),
        ("stream", [each.stream_id for each in document.streams]),
    )
    known: dict[str, set[str]] = {}
    owners: dict[str, str] = {}
    for kind, ids in kinds:
        keys = known[kind] = set()
        for index, text in enumerate(ids):
            if not text:
                continue
            if is_unique_id(text):
                key = text
            else:
                key = id_key(text)
                message = f"{shown(text)} is not the base64 of 16 octets"
                note("metadata-id-syntax", f"{kind}@{kind}_id", message, origins.of(kind, index))
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


def _check_times(document: MetadataDocument, origins: Origins, note: Note) -> None:
    def check(since: Instant | None, until: Instant | None, where: str, index: int) -> None:
        if since is None or until is None or since.unix_ns is None or until.unix_ns is None:
            return
        if until.unix_ns < since.unix_ns:
            message = f"it ends at {until.text} before it begins at {since.text}"
            note("metadata-time-order", where, message, origins.of(where, index))

    for index, session in enumerate(document.sessions):
        check(session.start_time, session.stop_time, "session", index)
    timed: tuple[tuple[str, Sequence[_Timed]], ...] = (
        ("group", document.groups),
        ("sessionrecordingassoc", document.session_recording_associations),
        ("participantsessionassoc", document.participant_session_associations),
        ("participantstreamassoc", document.participant_stream_associations),
    )
    for where, items in timed:
        for index, item in enumerate(items):
            check(item.associate_time, item.disassociate_time, where, index)


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
