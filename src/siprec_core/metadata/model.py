"""The metadata of RFC 7865 as values: one model for every dialect.

Ids, addresses, labels and times are the text that the peer wrote, without white space around it; ids are compared with
`ids.id_key`. What the model has no field for is kept as `Element` trees in the `extensions` of the object it stood in.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from siprec_core.metadata.times import Instant

RFC7865_NAMESPACE = "urn:ietf:params:xml:ns:recording:1"
"""The namespace of version 1 (RFC 7865 section 6.11)."""
DRAFT_RECORDING_NAMESPACE = "urn:ietf:params:xml:ns:recording"
DRAFT_SIPREC_NAMESPACE = "urn:ietf:params:xml:ns:siprec"
RECORDING_NAMESPACES = frozenset({RFC7865_NAMESPACE, DRAFT_RECORDING_NAMESPACE, DRAFT_SIPREC_NAMESPACE})
"""The namespaces that metadata documents of any generation use."""


class Dialect(StrEnum):
    """Which generation of the format a document follows, told by its root element."""

    RFC7865 = "rfc7865"
    DRAFT_RECORDING = "draft-recording"
    DRAFT_SIPREC = "draft-siprec"
    SEED = "seed"
    LENIENT = "lenient"


class DataMode(StrEnum):
    """Whether a document tells everything or only what changed (RFC 7865 section 5.1.2)."""

    COMPLETE = "complete"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of an extension element."""

    namespace: str | None
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Element:
    """An element that the model has no field for, with everything in it; comments apart."""

    namespace: str | None
    name: str
    """The name without prefix."""
    attributes: tuple[Attribute, ...] = ()
    text: str = ""
    """Text before the first child."""
    children: tuple["Element", ...] = ()
    tail: str = ""
    """Text between this element and the next one of the same parent; empty for an outermost element."""


@dataclass(frozen=True, slots=True)
class Name:
    """A display name or other text for people."""

    text: str
    language: str | None = None
    """The `xml:lang` attribute (a language tag, RFC 5646)."""


@dataclass(frozen=True, slots=True)
class NameId:
    """One address of record of a participant, with its name (RFC 7865 section 6.5.1)."""

    aor: str | None
    """A SIP, SIPS or tel URI, a host name or an address; raw text, None when absent."""
    name: Name | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a session was changed or ended: a Reason header field of the call (RFC 7865 section 6.3.1, RFC 3326)."""

    text: str = ""
    cause: int | None = None
    protocol: str = "SIP"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A capability of a participant's contact, such as `isfocus` (RFC 7865 section 6.6.1)."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """A communication session group (RFC 7865 section 6.2)."""

    group_id: str
    associate_time: Instant | None = None
    disassociate_time: Instant | None = None
    extensions: tuple[Element, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A communication session: the call that is recorded, not the recording session (RFC 7865 section 6.3)."""

    session_id: str
    sip_session_ids: tuple[str, ...] = ()
    """Session-ID values (RFC 7989) with runs of white space as one blank; some senders put a Call-ID here."""
    reasons: tuple[Reason, ...] = ()
    group_ref: str | None = None
    start_time: Instant | None = None
    stop_time: Instant | None = None
    extensions: tuple[Element, ...] = ()


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody who takes part in sessions (RFC 7865 section 6.5)."""

    participant_id: str
    name_ids: tuple[NameId, ...] = ()
    extensions: tuple[Element, ...] = ()

    @property
    def aors(self) -> tuple[str, ...]:
        """The addresses of record in order."""
        return tuple(name_id.aor for name_id in self.name_ids if name_id.aor)

    @property
    def names(self) -> tuple[str, ...]:
        """The names in order, blank ones left out."""
        return tuple(name_id.name.text for name_id in self.name_ids if name_id.name and name_id.name.text.strip())


@dataclass(frozen=True, slots=True)
class Stream:
    """A media stream (RFC 7865 section 6.7)."""

    stream_id: str
    session_id: str | None = None
    """None for a stream that belongs to no session yet (persistent recording)."""
    label: str | None = None
    """The `a=label` of the SDP line that carries the stream."""
    extensions: tuple[Element, ...] = ()

    @property
    def mode(self) -> str | None:
        """`separate` or `mixed` where a sender of an older generation says so; no element of RFC 7865."""
        for element in self.extensions:
            if element.name == "mode" and element.namespace in (None, *RECORDING_NAMESPACES):
                return element.text.strip() or None
        return None


@dataclass(frozen=True, slots=True)
class SessionRecordingAssociation:
    """When a session was recorded by this recording session (RFC 7865 section 6.4)."""

    session_id: str
    associate_time: Instant | None = None
    disassociate_time: Instant | None = None
    extensions: tuple[Element, ...] = ()


@dataclass(frozen=True, slots=True)
class ParticipantSessionAssociation:
    """When a participant took part in a session (RFC 7865 section 6.6)."""

    participant_id: str
    session_id: str
    associate_time: Instant | None = None
    disassociate_time: Instant | None = None
    parameters: tuple[Parameter, ...] = ()
    extensions: tuple[Element, ...] = ()


@dataclass(frozen=True, slots=True)
class ParticipantStreamAssociation:
    """Which streams a participant contributes to and receives: all of them, at that time (RFC 7865 section 6.8)."""

    participant_id: str
    send: tuple[str, ...] = ()
    """Ids of the streams that it contributes to."""
    recv: tuple[str, ...] = ()
    """Ids of the streams that it receives."""
    associate_time: Instant | None = None
    disassociate_time: Instant | None = None
    extensions: tuple[Element, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataDocument:
    """A `recording` document (RFC 7865 section 6.1), each kind of object in document order."""

    dialect: Dialect = Dialect.RFC7865
    namespace: str | None = RFC7865_NAMESPACE
    """Namespace of the root element."""
    datamode: DataMode | None = None
    """None when the document does not say; it is complete then."""
    groups: tuple[Group, ...] = ()
    sessions: tuple[Session, ...] = ()
    participants: tuple[Participant, ...] = ()
    streams: tuple[Stream, ...] = ()
    session_recording_associations: tuple[SessionRecordingAssociation, ...] = ()
    participant_session_associations: tuple[ParticipantSessionAssociation, ...] = ()
    participant_stream_associations: tuple[ParticipantStreamAssociation, ...] = ()
    extensions: tuple[Element, ...] = ()

    @property
    def is_complete(self) -> bool:
        """True unless the document says `partial` (RFC 7865 section 5.1.2: complete is the default)."""
        return self.datamode is not DataMode.PARTIAL

    @property
    def extension_count(self) -> int:
        """Number of outermost elements of foreign namespaces."""
        own = {self.namespace} if self.dialect is Dialect.RFC7865 else RECORDING_NAMESPACES | {self.namespace}
        owners: Iterable[tuple[Element, ...]] = (
            self.extensions,
            *(item.extensions for item in self.objects()),
        )
        return sum(_count_foreign(elements, own) for elements in owners)

    def objects(
        self,
    ) -> Iterator[
        Group
        | Session
        | Participant
        | Stream
        | SessionRecordingAssociation
        | ParticipantSessionAssociation
        | ParticipantStreamAssociation
    ]:
        """Give every object, kind by kind in the schema's order."""
        yield from self.groups
        yield from self.sessions
        yield from self.participants
        yield from self.streams
        yield from self.session_recording_associations
        yield from self.participant_session_associations
        yield from self.participant_stream_associations

    def as_json(self) -> dict[str, object]:
        """Give the fields as `inspect --json` shows them under `metadata`."""
        return {
            "dialect": self.dialect.value,
            "datamode": None if self.datamode is None else self.datamode.value,
            "groups": [group.group_id for group in self.groups],
            "sessions": [
                {
                    "id": session.session_id,
                    "start_time": _text(session.start_time),
                    "stop_time": _text(session.stop_time),
                    "sip_session_ids": list(session.sip_session_ids),
                }
                for session in self.sessions
            ],
            "participants": [
                {"id": each.participant_id, "aors": list(each.aors), "names": list(each.names)}
                for each in self.participants
            ],
            "streams": [
                {"id": stream.stream_id, "session_id": stream.session_id, "label": stream.label}
                for stream in self.streams
            ],
            "participant_streams": [
                {"participant_id": each.participant_id, "send": list(each.send), "recv": list(each.recv)}
                for each in self.participant_stream_associations
            ],
            "extensions": self.extension_count,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSnapshot:
    """A `requestsnapshot` document: the server asks for a complete document (RFC 7865 section 7)."""

    dialect: Dialect = Dialect.RFC7865
    reason: Name | None = None
    extensions: tuple[Element, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Give the fields as `inspect --json` shows them under `metadata`."""
        return {
            "dialect": self.dialect.value,
            "datamode": None,
            "request_snapshot": True,
            "reason": None if self.reason is None else self.reason.text,
        }


def _text(instant: Instant | None) -> str | None:
    return None if instant is None else instant.text


def _count_foreign(elements: tuple[Element, ...], own: frozenset[str | None] | set[str | None]) -> int:
    """Count elements of other namespaces than `own`, not looking into those counted."""
    return sum(1 if element.namespace not in own else _count_foreign(element.children, own) for element in elements)
