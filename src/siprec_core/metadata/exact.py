"""Objects written exactly as RFC 7865 section 9 has them, read at once.

Most objects of most documents are in that form and need no search for what deviates. Each function gives the object,
or None for an element that `reader` has to look at piece by piece: what both can read they read alike.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Final

from siprec_core.metadata.model import (
    RFC7865_NAMESPACE,
    Group,
    Name,
    NameId,
    Participant,
    ParticipantSessionAssociation,
    ParticipantStreamAssociation,
    Session,
    SessionRecordingAssociation,
    Stream,
)
from siprec_core.metadata.times import Instant
from siprec_core.metadata.vocabulary import LANGUAGE

Times = Callable[[str], Instant | None]
"""Gives the instant of a date-time as RFC 3339 has it, None for any other text."""


def _tag(name: str) -> str:
    return f"{{{RFC7865_NAMESPACE}}}{name}"


_LABEL: Final = _tag("label")
_NAME_ID: Final = _tag("nameID")
_NAME: Final = _tag("name")
_SIP_SESSION_ID: Final = _tag("sipSessionID")
_GROUP_REF: Final = _tag("group-ref")
_START, _STOP = _tag("start-time"), _tag("stop-time")
_SEND, _RECV = _tag("send"), _tag("recv")
_SINCE, _UNTIL = _tag("associate-time"), _tag("disassociate-time")


def exact_group(element: ET.Element, times: Times, limit: int) -> Group | None:
    """Read a group without extensions."""
    group_id = element.get("group_id", "").strip()
    if not group_id or len(element.keys()) != 1:
        return None
    span = _span(element, times, limit)
    return None if span is None else Group(group_id, *span)


def exact_session(element: ET.Element, times: Times, limit: int) -> Session | None:
    """Read a session without reasons and extensions."""
    session_id = element.get("session_id", "").strip()
    if not session_id or len(element.keys()) != 1 or not _is_blank(element.text):
        return None
    ids: list[str] = []
    group = since = until = None
    place = 0
    for child in element:
        text, tag = _text(child, limit), child.tag
        if text is None:
            return None
        if tag == _SIP_SESSION_ID and place == 0:
            ids.append(" ".join(text.split()))
        elif tag == _GROUP_REF and place == 0:
            group, place = text, 1
        elif tag == _START and place <= 1:
            since, place = times(text), 2
            if since is None:
                return None
        elif tag == _STOP and place <= 2:
            until, place = times(text), 3
            if until is None:
                return None
        else:
            return None
    return Session(session_id, tuple(ids), (), group, since, until)


def exact_participant(element: ET.Element, _times: Times, limit: int) -> Participant | None:
    """Read a participant with addresses and names and nothing else."""
    participant_id = element.get("participant_id", "").strip()
    if not participant_id or len(element.keys()) != 1 or not len(element) or not _is_blank(element.text):
        return None
    name_ids = []
    for child in element:
        aor = child.get("aor")
        if aor is None or child.tag != _NAME_ID or len(child.keys()) != 1 or len(aor) > limit:
            return None
        if not (_is_blank(child.text) and _is_blank(child.tail)):
            return None
        name = None
        if len(child):
            name = _name(child[0], limit) if len(child) == 1 else None
            if name is None:
                return None
        name_ids.append(NameId(aor.strip(), name))
    return Participant(participant_id, tuple(name_ids))


def _name(element: ET.Element, limit: int) -> Name | None:
    text, language = element.text or "", element.get(LANGUAGE)
    if element.tag != _NAME or len(element) or not _is_blank(element.tail) or len(text) > limit:
        return None
    if len(element.keys()) != (language is not None) or (language is not None and len(language) > limit):
        return None
    return Name(text.strip(), language)


def exact_stream(element: ET.Element, _times: Times, limit: int) -> Stream | None:
    """Read a stream with a session, a label and nothing else."""
    stream_id, session_id = element.get("stream_id", "").strip(), element.get("session_id", "").strip()
    if not stream_id or not session_id or len(element.keys()) != 2 or len(element) != 1 or not _is_blank(element.text):
        return None
    child = element[0]
    label = _text(child, limit) if child.tag == _LABEL else None
    return None if label is None else Stream(stream_id, session_id, label)


def exact_session_recording(element: ET.Element, times: Times, limit: int) -> SessionRecordingAssociation | None:
    """Read an association of a session with the recording."""
    session_id = element.get("session_id", "").strip()
    if not session_id or len(element.keys()) != 1:
        return None
    span = _span(element, times, limit)
    return None if span is None else SessionRecordingAssociation(session_id, *span)


def exact_participant_session(element: ET.Element, times: Times, limit: int) -> ParticipantSessionAssociation | None:
    """Read an association of a participant with a session that has no parameters."""
    participant_id, session_id = element.get("participant_id", "").strip(), element.get("session_id", "").strip()
    if not participant_id or not session_id or len(element.keys()) != 2:
        return None
    span = _span(element, times, limit)
    return None if span is None else ParticipantSessionAssociation(participant_id, session_id, *span)


def _span(element: ET.Element, times: Times, limit: int) -> tuple[Instant | None, Instant | None] | None:
    if not _is_blank(element.text):
        return None
    since = until = None
    for child in element:
        text, tag = _text(child, limit), child.tag
        instant = None if text is None else times(text)
        if instant is None:
            return None
        if tag == _SINCE and since is None and until is None:
            since = instant
        elif tag == _UNTIL and until is None:
            until = instant
        else:
            return None
    return since, until


def exact_participant_stream(element: ET.Element, times: Times, limit: int) -> ParticipantStreamAssociation | None:
    """Read the streams of a participant."""
    participant_id = element.get("participant_id", "").strip()
    if not participant_id or len(element.keys()) != 1 or not _is_blank(element.text):
        return None
    send: list[str] = []
    recv: list[str] = []
    since = until = None
    for child in element:
        text, tag = _text(child, limit), child.tag
        if not text:
            return None
        if tag == _SEND and not recv and since is None and until is None:
            send.append(text)
        elif tag == _RECV and since is None and until is None:
            recv.append(text)
        elif tag == _SINCE and since is None and until is None:
            since = times(text)
            if since is None:
                return None
        elif tag == _UNTIL and until is None:
            until = times(text)
            if until is None:
                return None
        else:
            return None
    return ParticipantStreamAssociation(participant_id, tuple(send), tuple(recv), since, until)


def _text(element: ET.Element, limit: int) -> str | None:
    """Give the text of an element that has nothing else, with nothing behind it."""
    if len(element) or element.keys():
        return None
    tail = element.tail
    if tail and not tail.isspace():
        return None
    text = element.text or ""
    return text.strip() if len(text) <= limit else None


def _is_blank(text: str | None) -> bool:
    return not text or text.isspace()
