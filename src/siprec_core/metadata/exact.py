"""Documents written exactly as RFC 7865 section 9 has them, read from their text without an element tree.

Most clients write that form. One pattern for each kind of object takes it whole, the objects stand in the order of the
schema, and nothing needs a search for what deviates. A document with anything else in it, from a comment to a vendor's
extension, is left to `reader`: what both can read they read alike.

The patterns match a part of XML 1.0 that needs no parser: no entities, no characters that are forbidden or that a
parser would normalise, none but the namespace of the RFC.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from siprec_core.limits import Limits
from siprec_core.metadata.model import (
    RFC7865_NAMESPACE,
    DataMode,
    Group,
    MetadataDocument,
    Name,
    NameId,
    Participant,
    ParticipantSessionAssociation,
    ParticipantStreamAssociation,
    Session,
    SessionRecordingAssociation,
    Stream,
)
from siprec_core.metadata.origins import Origins
from siprec_core.metadata.times import Instant, parse_time
from siprec_core.quick import maker

_LONGEST: Final = 4_096
"""Longest value or text that is read here, in characters; white space around a text is half as long at most."""
PIECE_SIZE: Final = 256 * 1024
"""Octets of a document that are decoded at a time."""
_OBJECT_SIZE: Final = 64 * 1024
"""Characters of one object, the only thing that is carried from one piece to the next."""

_SPACE = r"[ \t\r\n]*+"
_GAP = r"[ \t\r\n]++"
_BLANK = rf"[ \t\r\n]{{0,{_LONGEST // 2}}}+"
_WORD = rf"[!#-%'-;=?-~]{{1,{_LONGEST}}}+"
"""Ids, addresses, labels and times: visible ASCII without what XML gives a meaning."""
_PHRASE = rf"[^<>&\x00-\x1f]{{0,{_LONGEST}}}+"
"""Names of people."""


def _element(name: str, text: str, attributes: str = "") -> str:
    """Give the pattern of an element with nothing but text."""
    return f"<{name}{attributes}>{_BLANK}{text}{_BLANK}</{name}>{_SPACE}"


def _child(name: str) -> str:
    """Give the pattern of a child that may be absent; one group."""
    return f"(?:{_element(name, f'({_WORD})')})?+"


def _children(name: str) -> str:
    """Give the pattern of any number of children; two groups, the text of the first one and all others."""
    return f"(?:{_element(name, f'({_WORD})')}((?:{_element(name, _WORD)})*+))?+"


def _object(name: str, attributes: tuple[str, ...], content: str) -> Callable[[str, int], re.Match[str] | None]:
    given = "".join(f'{_GAP}{attribute}="({_WORD})"' for attribute in attributes)
    return re.compile(f"<{name}{given}{_SPACE}>{_SPACE}{content}</{name}>{_SPACE}").match


_SPAN = _child("associate-time") + _child("disassociate-time")
_NAME = _element("name", f"({_PHRASE})", rf'(?:{_GAP}xml:lang="({_WORD})"{_SPACE})?+')
_NAME_ID = rf'<nameID{_GAP}aor="({_WORD})"{_SPACE}(?:/>|>{_SPACE}(?:{_NAME})?+</nameID>){_SPACE}'
_NAME_IDS: Final = re.compile(_NAME_ID)
_UNGROUPED_NAME_ID = re.sub(r"\((?!\?)", "(?:", _NAME_ID)
_TEXTS: Final = re.compile(rf"({_WORD}){_BLANK}</")
"""The texts of a run of elements."""
_HEAD: Final = re.compile(
    rb"(?:<\?xml version=(?:\"1\.0\"|'1\.0')(?: encoding=(?:\"[Uu][Tt][Ff]-8\"|'[Uu][Tt][Ff]-8'))?+ ?+\?>)?+[ \t\r\n]*+"
    rb"<recording[ \t\r\n]++xmlns=(?:\"%(uri)b\"|'%(uri)b')[ \t\r\n]*+>[ \t\r\n]*+"
    rb"(?:<datamode>(complete|partial)</datamode>[ \t\r\n]*+)?+" % {b"uri": re.escape(RFC7865_NAMESPACE.encode())}
)
_MODES: Final = {mode.value.encode(): mode for mode in DataMode}
_TAIL: Final = re.compile(rf"</recording>{_SPACE}")


_make_document = maker(MetadataDocument)
_make_group, _make_session, _make_participant = maker(Group), maker(Session), maker(Participant)
_make_stream, _make_recording = maker(Stream), maker(SessionRecordingAssociation)
_make_membership, _make_flow = maker(ParticipantSessionAssociation), maker(ParticipantStreamAssociation)


class _NotExactError(Exception):
    """The document is not in the exact form; never leaves this module."""


def read_exact(data: bytes, *, limits: Limits) -> tuple[MetadataDocument, Origins] | None:
    """Read a document in UTF-8; None when it is not in the exact form."""
    head = _HEAD.match(data)
    # XML 1.0 production 2 has all characters from the blank up but the two last ones of the basic plane.
    if head is None or (not data.isascii() and (b"\xef\xbf\xbe" in data or b"\xef\xbf\xbf" in data)):
        return None
    if 2 * _LONGEST > limits.xml_text_size < len(data):
        return None
    reading = _Reading()
    try:
        for piece in _pieces(data, head.end()):
            reading.take(piece)
    except (_NotExactError, UnicodeDecodeError):
        return None
    if _TAIL.fullmatch(reading.rest) is None:
        return None
    return reading.finish(_MODES.get(head[1]))


def _pieces(data: bytes, at: int) -> Iterator[str]:
    """Cut and decode a document: each piece but the last ends with a tag."""
    while at < len(data):
        end = at + PIECE_SIZE
        if end < len(data):
            end = data.rfind(b">", at, end) + 1
            if not end:
                raise _NotExactError
        yield data[at:end].decode()
        at = end


class _Reading:
    """The objects of one document as they come."""

    __slots__ = ("_found", "_instants", "_kind", "rest")

    def __init__(self) -> None:
        self._found: list[list[Any]] = [[] for _ in _KINDS]
        """By kind, in the order of the schema."""
        self._kind = 0
        """Index of the last kind that was met."""
        self._instants: dict[str | None, Instant | None] = {None: None}
        """A document tells the same few instants again and again."""
        self.rest = ""
        """What follows the last object."""

    def take(self, piece: str) -> None:
        """Read the objects in the next piece. Raises _NotExactError."""
        text = self.rest + piece if self.rest else piece.lstrip(" \t\r\n")
        at = 0
        for index in range(self._kind, len(_KINDS)):
            _, match, read = _KINDS[index]
            met = match(text, at)
            if met is None:
                continue
            found = self._found[index]
            while met is not None:
                found.append(read(self, *met.groups()))
                at = met.end()
                met = match(text, at)
            self._kind = index
        self.rest = text[at:]
        if len(self.rest) > _OBJECT_SIZE:
            raise _NotExactError

    def finish(self, mode: DataMode | None) -> tuple[MetadataDocument, Origins]:
        """Give the document and where its objects stand."""
        numbers = {}
        number = 0 if mode is None else 1
        for (name, _, _), objects in zip(_KINDS, self._found, strict=True):
            if objects:
                numbers[name] = range(number, number + len(objects))
                number += len(objects)
        groups, sessions, participants, streams, recordings, memberships, flows = map(tuple, self._found)
        document = _make_document(
            datamode=mode,
            groups=groups,
            sessions=sessions,
            participants=participants,
            streams=streams,
            session_recording_associations=recordings,
            participant_session_associations=memberships,
            participant_stream_associations=flows,
        )
        return document, Origins(numbers)

    # The objects, each from the groups of its pattern

    def group(self, group_id: str, since: str | None, until: str | None) -> Group:
        """Read a group without extensions."""
        return _make_group(group_id, self._instant(since), self._instant(until))

    def session(
        self,
        session_id: str,
        sip_session_id: str | None,
        more: str | None,
        group: str | None,
        start: str | None,
        stop: str | None,
    ) -> Session:
        """Read a session without reasons and extensions."""
        ids = _texts(sip_session_id, more)
        return _make_session(session_id, ids, (), group, self._instant(start), self._instant(stop))

    def participant(
        self, participant_id: str, aor: str, language: str | None, name: str | None, more: str
    ) -> Participant:
        """Read a participant with addresses and names and nothing else."""
        name_id = _name_id(aor, language, name)
        if not more:
            return _make_participant(participant_id, (name_id,))
        others = [_name_id(*each.groups()) for each in _NAME_IDS.finditer(more)]
        return _make_participant(participant_id, (name_id, *others))

    def stream(self, stream_id: str, session_id: str, label: str) -> Stream:
        """Read a stream with a session, a label and nothing else."""
        return _make_stream(stream_id, session_id, label)

    def session_recording(self, session_id: str, since: str | None, until: str | None) -> SessionRecordingAssociation:
        """Read an association of a session with the recording."""
        return _make_recording(session_id, self._instant(since), self._instant(until))

    def participant_session(
        self, participant_id: str, session_id: str, since: str | None, until: str | None
    ) -> ParticipantSessionAssociation:
        """Read an association of a participant with a session that has no parameters."""
        return _make_membership(participant_id, session_id, self._instant(since), self._instant(until))

    def participant_stream(
        self,
        participant_id: str,
        send: str | None,
        more_send: str | None,
        recv: str | None,
        more_recv: str | None,
        since: str | None,
        until: str | None,
    ) -> ParticipantStreamAssociation:
        """Read the streams of a participant."""
        sent, received = _texts(send, more_send), _texts(recv, more_recv)
        return _make_flow(participant_id, sent, received, self._instant(since), self._instant(until))

    def _instant(self, text: str | None) -> Instant | None:
        try:
            return self._instants[text]
        except KeyError:
            parsed = parse_time(text or "")
        if parsed.deviation is not None:
            raise _NotExactError
        self._instants[text] = parsed.instant
        return parsed.instant


_KINDS: Final[tuple[tuple[str, Callable[[str, int], re.Match[str] | None], Callable[..., Any]], ...]] = (
    ("group", _object("group", ("group_id",), _SPAN), _Reading.group),
    (
        "session",
        _object(
            "session",
            ("session_id",),
            _children("sipSessionID") + _child("group-ref") + _child("start-time") + _child("stop-time"),
        ),
        _Reading.session,
    ),
    (
        "participant",
        _object("participant", ("participant_id",), f"{_NAME_ID}((?:{_UNGROUPED_NAME_ID})*+)"),
        _Reading.participant,
    ),
    ("stream", _object("stream", ("stream_id", "session_id"), _element("label", f"({_WORD})")), _Reading.stream),
    ("sessionrecordingassoc", _object("sessionrecordingassoc", ("session_id",), _SPAN), _Reading.session_recording),
    (
        "participantsessionassoc",
        _object("participantsessionassoc", ("participant_id", "session_id"), _SPAN),
        _Reading.participant_session,
    ),
    (
        "participantstreamassoc",
        _object("participantstreamassoc", ("participant_id",), _children("send") + _children("recv") + _SPAN),
        _Reading.participant_stream,
    ),
)
"""The kinds of objects in the order of the schema: name, pattern, reader of its groups."""


def _texts(first: str | None, more: str | None) -> tuple[str, ...]:
    """Give the texts that `_children` found."""
    if first is None:
        return ()
    return (first, *_TEXTS.findall(more)) if more else (first,)


def _name_id(aor: str, language: str | None, name: str | None) -> NameId:
    return NameId(aor, None if name is None else Name(name.strip(), language))
