"""What the schema allows and RFC 7865 does not mean: ids, addresses, labels and references that lead to arguments."""

import re
from base64 import b64decode
from collections.abc import Iterable
from typing import Final

from siprec_core.metadata.ids import id_key, is_unique_id
from siprec_core.metadata.model import Dialect, MetadataDocument
from siprec_core.metadata.origins import Note, Origins, shown

_SESSION_ID: Final = re.compile(r"[0-9a-f]{32}(?:;remote=[0-9a-f]{32})?")
"""sess-id and its remote parameter (RFC 7989 section 5)."""
_AOR: Final = re.compile(
    r"sips?:[^@\s]+(?:@[^@\s]+)?|(?:tel|urn|im|pres|xmpp|https?|mailto|h323):\S+|(?=[^.:]*[.:])[0-9A-Za-z.:\[\]-]+",
    re.IGNORECASE,
)
"""A URI with a scheme of telephony, a domain name or an address (RFC 7865 section 6.5.1)."""
_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_UUID: Final = re.compile(r"[A-Za-z0-9+/]{8}[M-Za-j][A-Za-z0-9+/][CGKOSWaeimquy26+][A-Za-z0-9+/]{10}[AQgw]==")
"""Base64 of a UUID of versions 3 to 8 and of the variant that RFC 4122 section 4.1.1 defines."""


def remark(document: MetadataDocument, origins: Origins, note: Note) -> None:
    """Note what is suspicious in a document, its ids apart."""
    _remark_names(document, origins, note)
    _remark_labels(document, origins, note)
    _remark_directions(document, origins, note)
    if document.is_complete and document.dialect is Dialect.RFC7865:
        _remark_gaps(document, origins, note)


def are_plain(ids: Iterable[str]) -> bool:
    """Tell whether `remark_id` has nothing to say of any of the ids, and each is its own key."""
    return all(map(_UUID.fullmatch, ids))


def remark_id(text: str, kind: str, index: int, origins: Origins, note: Note) -> str:
    """Note what is wrong with the form of an id; gives its key (`ids.id_key`)."""
    if _UUID.fullmatch(text):
        return text
    if is_unique_id(text):
        _remark_octets(b64decode(text), text, kind, origins, index, note)
        return text
    message = f"{shown(text)} is not the base64 of 16 octets"
    note("metadata-id-syntax", f"{kind}@{kind}_id", message, origins.of(kind, index))
    return id_key(text)


def _remark_octets(octets: bytes, text: str, kind: str, origins: Origins, index: int, note: Note) -> None:
    where, element = f"{kind}@{kind}_id", origins.of(kind, index)
    version = octets[6] >> 4
    if octets[8] >> 6 != 2 or not 1 <= version <= 8:
        note("metadata-id-no-uuid", where, f"the 16 octets of {shown(text)} are no UUID of RFC 4122", element)
    elif version in (1, 2, 6) and not octets[10] & 1:
        # RFC 7865 6.10 points to RFC 4122 4.3, 4.4 and 4.5; the last sets the multicast bit of what is no address.
        message = f"{shown(text)} is a version {version} UUID, which tells a hardware address and a time"
        note("metadata-id-host", where, message, element)


def _remark_names(document: MetadataDocument, origins: Origins, note: Note) -> None:
    for index, session in enumerate(document.sessions):
        for text in session.sip_session_ids:
            if _SESSION_ID.fullmatch(text) is None:
                message = f"{shown(text)} is not 32 hexadecimal digits, with ;remote= and 32 more or without"
                note("metadata-sip-session-id", "session/sipSessionID", message, origins.of("session", index))
    for index, participant in enumerate(document.participants):
        for name_id in participant.name_ids:
            if name_id.aor and _AOR.fullmatch(name_id.aor) is None:
                message = f"{shown(name_id.aor)} is neither a URI nor a domain name or address"
                note("metadata-aor-form", "nameID@aor", message, origins.of("participant", index))
            language = None if name_id.name is None else name_id.name.language
            if language and language != "en" and _LANGUAGE.fullmatch(language) is None:
                message = f"{shown(language)} is not a language tag"
                note("metadata-language", "nameID/name", message, origins.of("participant", index))


def _remark_labels(document: MetadataDocument, origins: Origins, note: Note) -> None:
    labels: dict[str, str] = {}
    for index, stream in enumerate(document.streams):
        if stream.label is not None and labels.setdefault(stream.label, stream.stream_id) != stream.stream_id:
            message = f"two streams have the label {shown(stream.label)}"
            note("metadata-label-repeated", f"stream/label {shown(stream.label)}", message, origins.of("stream", index))


def _remark_directions(document: MetadataDocument, origins: Origins, note: Note) -> None:
    """Tell of two parties of whom each is said to send what the other should.

    That is legal, but clients are known that write `send` for what a participant hears.
    """
    flows, people, streams = document.participant_stream_associations, document.participants, document.streams
    if not len(flows) == len(streams) == len(people) == 2 or len(flows[0].send) != 1 or len(flows[1].send) != 1:
        return
    sent = {flow.participant_id: flow.send[0] for flow in flows}
    first, second = (sent.get(each.participant_id) for each in people)
    if first == streams[1].stream_id != second == streams[0].stream_id:
        note("metadata-send-crossed", "participantstreamassoc/send", None, origins.of("participantstreamassoc", 0))


def _remark_gaps(document: MetadataDocument, origins: Origins, note: Note) -> None:
    """Tell what a complete RFC 7865 document leaves to be guessed."""
    if document.participant_session_associations:
        recorded = {each.session_id for each in document.session_recording_associations}
        for index, session in enumerate(document.sessions):
            if session.session_id not in recorded and id_key(session.session_id) not in map(id_key, recorded):
                message = f"the session {shown(session.session_id)} has no sessionrecordingassoc"
                note("metadata-no-recording-time", "sessionrecordingassoc", message, origins.of("session", index))
    if len(document.sessions) > 1 and document.streams:
        served = {id_key(each.session_id) for each in document.streams if each.session_id is not None}
        for index, session in enumerate(document.sessions):
            if id_key(session.session_id) not in served and session.stop_time is None:
                message = f"no stream names the session {shown(session.session_id)}"
                note("metadata-session-without-stream", "session", message, origins.of("session", index))
    if document.participants and document.streams and not document.sessions:
        note("metadata-no-session", "recording", None, origins.of("participant", 0))
