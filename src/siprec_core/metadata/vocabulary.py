"""What the dialects call things: tables that the reader is driven by.

Each object has its RFC 7865 names and, beside them, the names that older generations and vendors use for the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from siprec_core.metadata.model import (
    DRAFT_RECORDING_NAMESPACE,
    DRAFT_SIPREC_NAMESPACE,
    RECORDING_NAMESPACES,
    RFC7865_NAMESPACE,
    Dialect,
)

CARRIED_NAMESPACE = "urn:uuid:0f2c9c2e-5f0b-4d0e-9d53-7d6f5b1c8a41"
"""Namespace of the element that our writer wraps around what the schema allows nowhere."""
CARRIED_NAME = "carried"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
SCHEMA_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectForm:
    """How one object is written in the dialects."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    """RFC attribute by the name as sent; the RFC's own names map to themselves."""
    guests: Mapping[str, str] = field(default_factory=dict)
    """Attributes that say in this object what the RFC says elsewhere."""
    children: Mapping[str, int] = field(default_factory=dict)
    """Place in the schema's sequence by child name (RFC 7865 section 9)."""
    single: frozenset[str] = frozenset()
    """Children that may stand once."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """RFC child by another name for the same thing."""
    strays: frozenset[str] = frozenset()
    """Children that older generations have here and the RFC has elsewhere."""


_TIMES = frozenset({"associate-time", "disassociate-time"})


def _own(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _sequence(*names: str) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


RECORDING = ObjectForm(
    name="recording",
    guests={"datamode": "datamode", "dataMode": "datamode"},
    children=_sequence(
        "datamode",
        "group",
        "session",
        "participant",
        "stream",
        "sessionrecordingassoc",
        "participantsessionassoc",
        "participantstreamassoc",
    ),
    single=frozenset({"datamode"}),
)
GROUP = ObjectForm(
    name="group",
    attributes={**_own("group_id"), "id": "group_id"},
    children=_sequence("associate-time", "disassociate-time"),
    single=_TIMES,
)
SESSION = ObjectForm(
    name="session",
    attributes={**_own("session_id"), "id": "session_id"},
    guests={"group": "group-ref"},
    children=_sequence("sipSessionID", "reason", "group-ref", "start-time", "stop-time"),
    single=frozenset({"group-ref", "start-time", "stop-time"}),
    aliases={"end-time": "stop-time", "associate-time": "start-time", "disassociate-time": "stop-time"},
)
PARTICIPANT = ObjectForm(
    name="participant",
    attributes={**_own("participant_id"), "id": "participant_id"},
    guests={"session": "session_id", "session_id": "session_id"},
    children=_sequence("nameID"),
    strays=_TIMES | {"send", "recv", "name", "aor"},
)
NAME_ID = ObjectForm(
    name="nameID",
    attributes=_own("aor"),
    children=_sequence("name"),
    strays=frozenset({"aor"}),
)
STREAM = ObjectForm(
    name="stream",
    attributes={
        **_own("stream_id", "session_id"),
        "id": "stream_id",
        "streamid": "stream_id",
        "session": "session_id",
    },
    guests={"label": "label", "media_label": "label"},
    children=_sequence("label"),
    single=frozenset({"label"}),
)
SESSION_RECORDING = ObjectForm(
    name="sessionrecordingassoc",
    attributes={**_own("session_id"), "session": "session_id", "id": "session_id"},
    children=_sequence("associate-time", "disassociate-time"),
    single=_TIMES,
)
PARTICIPANT_SESSION = ObjectForm(
    name="participantsessionassoc",
    attributes={**_own("participant_id", "session_id"), "participant": "participant_id", "session": "session_id"},
    children=_sequence("associate-time", "disassociate-time", "param"),
    single=_TIMES,
)
PARTICIPANT_STREAM = ObjectForm(
    name="participantstreamassoc",
    attributes={**_own("participant_id"), "participant": "participant_id", "id": "participant_id"},
    children=_sequence("send", "recv", "associate-time", "disassociate-time"),
    single=_TIMES,
)
REQUEST_SNAPSHOT = ObjectForm(
    name="requestsnapshot",
    children=_sequence("requestreason"),
    single=frozenset({"requestreason"}),
)

_NAMES = {"name", "aor", "param", "requestreason", "send", "recv", "end-time"} | {
    name
    for form in (RECORDING, GROUP, SESSION, PARTICIPANT, STREAM, PARTICIPANT_SESSION, PARTICIPANT_STREAM)
    for name in form.children
}
_FOLDED = {name.lower(): name for name in _NAMES}


def folded_name(name: str) -> str | None:
    """Give the RFC name of an element whose letters differ in case only, None when the RFC has no such element."""
    return _FOLDED.get(name.lower())


def dialect_of(namespace: str | None, name: str) -> Dialect | None:
    """Tell the dialect by the root element, None when the root is of no metadata document."""
    folded = name.lower()
    if folded == "requestsnapshot":
        return Dialect.RFC7865 if namespace == RFC7865_NAMESPACE else Dialect.LENIENT
    if folded == "recording_metadata":
        return Dialect.DRAFT_SIPREC if namespace == DRAFT_SIPREC_NAMESPACE else Dialect.LENIENT
    if folded != "recording":
        return None
    return _BY_NAMESPACE.get(namespace, Dialect.LENIENT) if name == "recording" else Dialect.LENIENT


_BY_NAMESPACE: dict[str | None, Dialect] = {
    RFC7865_NAMESPACE: Dialect.RFC7865,
    DRAFT_RECORDING_NAMESPACE: Dialect.DRAFT_RECORDING,
    DRAFT_SIPREC_NAMESPACE: Dialect.SEED,
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The element names of one document."""

    names: Mapping[str, str]
    """RFC name by the tag as ElementTree writes it, `{namespace}name`."""
    own: frozenset[str | None]
    """Namespaces whose elements may be the RFC's."""

    def folded(self, namespace: str | None, name: str) -> str | None:
        """Give the RFC name of an own element whose letters differ in case only, None for other elements."""
        return _FOLDED.get(name.lower()) if namespace in self.own else None


def vocabulary_for(dialect: Dialect, namespace: str | None) -> Vocabulary:
    """Give the names of a document with this root.

    An RFC 7865 document has one namespace (section 6.11); in the others all recording namespaces mean the same.
    """
    # A namespace that nobody knows is a peer's text: it is not kept beyond its document.
    known = namespace is None or namespace in RECORDING_NAMESPACES
    return _known_vocabulary(dialect, namespace) if known else _make_vocabulary(dialect, namespace)


def _make_vocabulary(dialect: Dialect, namespace: str | None) -> Vocabulary:
    own = frozenset({namespace}) if dialect is Dialect.RFC7865 else RECORDING_NAMESPACES | {namespace}
    names = {(name if space is None else f"{{{space}}}{name}"): name for space in own for name in _NAMES}
    return Vocabulary(MappingProxyType(names), own)


_known_vocabulary = lru_cache(maxsize=32)(_make_vocabulary)


def split_tag(tag: str) -> tuple[str | None, str]:
    """Split ElementTree's `{namespace}name`."""
    namespace, brace, name = tag.rpartition("}")
    return (namespace[1:], name) if brace else (None, name)
