"""Metadata documents for tests: own files, and strategies that make any."""

from pathlib import Path

from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.metadata.ids import unique_id_for
from siprec_core.metadata.model import (
    Attribute,
    DataMode,
    Element,
    Group,
    MetadataDocument,
    Name,
    NameId,
    Parameter,
    Participant,
    ParticipantSessionAssociation,
    ParticipantStreamAssociation,
    Reason,
    Session,
    SessionRecordingAssociation,
    Stream,
)
from siprec_core.metadata.reader import read_metadata
from siprec_core.metadata.times import Instant

DATA = Path(__file__).parents[2] / "data" / "metadata"
LIMITS = Limits()
RFC = 'xmlns="urn:ietf:params:xml:ns:recording:1"'


def load(name: str) -> bytes:
    """Give the octets of a file of tests/data/metadata."""
    return (DATA / f"{name}.xml").read_bytes()


def read(data: bytes | str, limits: Limits = LIMITS) -> MetadataDocument:
    """Read a document that must be readable."""
    parsed = read_metadata(data.encode() if isinstance(data, str) else data, limits=limits)
    assert isinstance(parsed.document, MetadataDocument), parsed.error
    return parsed.document


def codes(data: bytes | str) -> list[str]:
    """Give the codes of the findings about a document."""
    parsed = read_metadata(data.encode() if isinstance(data, str) else data, limits=LIMITS)
    return [each.code for each in parsed.findings]


def document(body: str, attributes: str = RFC) -> str:
    """Give a document with a root element around `body`."""
    return f"<recording {attributes}>{body}</recording>"


def uid(text: str) -> str:
    """Give an id in the form of RFC 7865 section 6.10."""
    return unique_id_for(text)


_CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
_ANY_TEXT = st.text(st.one_of(_CHARACTERS, st.sampled_from("\t\n\r&<>\"']")), max_size=12)
"""Every character that XML can hold."""
_LINE = st.text(_CHARACTERS, max_size=12).map(lambda text: " ".join(text.split()))
_NAMES = st.sampled_from(["note", "mode", "a", "é", "x-y.z", "_1", "session", "label"])
_NAMESPACES = st.sampled_from(["urn:example:one", "urn:example:two", "http://example.com/a?b=c&d=e"])
_INSTANTS = st.integers(0, 4_000_000_000_000_000).map(lambda microseconds: Instant.at(microseconds * 1000))
_TIMES = st.none() | _INSTANTS


def ids(kind: str) -> st.SearchStrategy[str]:
    """Ids of one kind; no two kinds share one."""
    return st.integers(0, 3).map(lambda number: uid(f"{kind}-{number}"))


_ATTRIBUTES = st.lists(
    st.builds(Attribute, st.none() | _NAMESPACES, _NAMES, _ANY_TEXT),
    max_size=2,
    unique_by=lambda attribute: (attribute.namespace, attribute.name),
).map(tuple)
_LEAVES = st.builds(Element, st.none() | _NAMESPACES, _NAMES, _ATTRIBUTES, _ANY_TEXT)


def _with_tail(elements: st.SearchStrategy[Element]) -> st.SearchStrategy[Element]:
    return st.builds(
        lambda element, tail: Element(
            element.namespace, element.name, element.attributes, element.text, element.children, tail
        ),
        elements,
        _ANY_TEXT,
    )


ELEMENTS = st.builds(
    Element, _NAMESPACES, _NAMES, _ATTRIBUTES, _ANY_TEXT, st.lists(_with_tail(_LEAVES), max_size=2).map(tuple)
)
_EXTENSIONS = st.lists(ELEMENTS, max_size=2).map(tuple)
_NAME = st.builds(Name, _LINE, st.none() | st.sampled_from(["en", "de-AT"]))
_NAME_IDS = st.builds(
    NameId, st.sampled_from(["sip:a@example.org", "tel:+4930", "sip:b@192.0.2.1:5070"]), st.none() | _NAME
)
_REASONS = st.builds(Reason, _LINE, st.integers(-32_768, 32_767), st.sampled_from(["SIP", "Q.850"]))
GROUPS = st.builds(Group, ids("group"), _TIMES, _TIMES, _EXTENSIONS)
SESSIONS = st.builds(
    Session,
    ids("session"),
    st.lists(_LINE, max_size=2).map(tuple),
    st.lists(_REASONS, max_size=2).map(tuple),
    st.none() | ids("group"),
    _TIMES,
    _TIMES,
    _EXTENSIONS,
)
PARTICIPANTS = st.builds(
    Participant, ids("participant"), st.lists(_NAME_IDS, min_size=1, max_size=2).map(tuple), _EXTENSIONS
)
STREAMS = st.builds(Stream, ids("stream"), st.none() | ids("session"), st.none() | _LINE, _EXTENSIONS)
RECORDINGS = st.builds(SessionRecordingAssociation, ids("session"), _TIMES, _TIMES, _EXTENSIONS)
MEMBERSHIPS = st.builds(
    ParticipantSessionAssociation,
    ids("participant"),
    ids("session"),
    _TIMES,
    _TIMES,
    st.lists(st.builds(Parameter, _LINE, _LINE), max_size=2).map(tuple),
    _EXTENSIONS,
)
FLOWS = st.builds(
    ParticipantStreamAssociation,
    ids("participant"),
    st.lists(ids("stream"), max_size=2, unique=True).map(tuple),
    st.lists(ids("stream"), max_size=2, unique=True).map(tuple),
    _TIMES,
    _TIMES,
    _EXTENSIONS,
)
DOCUMENTS = st.builds(
    MetadataDocument,
    datamode=st.none() | st.sampled_from(DataMode),
    groups=st.lists(GROUPS, max_size=3, unique_by=lambda each: each.group_id).map(tuple),
    sessions=st.lists(SESSIONS, max_size=3, unique_by=lambda each: each.session_id).map(tuple),
    participants=st.lists(PARTICIPANTS, max_size=3, unique_by=lambda each: each.participant_id).map(tuple),
    streams=st.lists(STREAMS, max_size=3, unique_by=lambda each: each.stream_id).map(tuple),
    session_recording_associations=st.lists(RECORDINGS, max_size=3, unique_by=lambda each: each.session_id).map(tuple),
    participant_session_associations=st.lists(
        MEMBERSHIPS, max_size=3, unique_by=lambda each: (each.participant_id, each.session_id)
    ).map(tuple),
    participant_stream_associations=st.lists(FLOWS, max_size=3, unique_by=lambda each: each.participant_id).map(tuple),
    extensions=_EXTENSIONS,
)
"""Documents that the RFC 7865 form can say."""
