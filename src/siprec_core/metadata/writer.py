"""The writer of metadata documents: always the form of RFC 7865, valid by the schema of its section 9.

What the model holds and the schema does not allow is brought into shape: ids of another form become name-based UUIDs
(`ids.unique_id_for`), times are written in UTC, and elements that may stand nowhere travel inside one wrapper element
of a namespace of ours, which the reader takes off again.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from siprec_core.errors import LocalProtocolError
from siprec_core.metadata.ids import unique_id_for
from siprec_core.metadata.model import (
    RFC7865_NAMESPACE,
    Attribute,
    Element,
    Group,
    MetadataDocument,
    Name,
    NameId,
    Participant,
    ParticipantSessionAssociation,
    ParticipantStreamAssociation,
    Reason,
    Session,
    SessionRecordingAssociation,
    Stream,
)
from siprec_core.metadata.times import Instant
from siprec_core.metadata.vocabulary import CARRIED_NAME, CARRIED_NAMESPACE

UNKNOWN_AOR = "sip:anonymous@anonymous.invalid"
"""Stands for an address that nobody told (RFC 3323 section 4.1.1.3): the schema wants one in each nameID."""

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML 1.0 document can hold (production 2)."""
_SPECIAL = re.compile("[^ !#-%'-;=?-~]")
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)
_NAME_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NAME = re.compile(f"[{_NAME_START}][{_NAME_START}.0-9\u00b7\u0300-\u036f\u203f\u2040-]*")
"""A name without colon (Namespaces in XML, production 4)."""
_LANGUAGE = re.compile(r"(?:[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)?")
"""What the schema takes for `xml:lang`."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_URI_CHARACTERS = "!$&'()*+,-./:;=?@_~%[]"
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def write_metadata(document: MetadataDocument) -> bytes:
    """Write a `recording` document in UTF-8.

    Raises LocalProtocolError for a text or name that no XML document can hold.
    """
    lines = [f'{_DECLARATION}<recording xmlns="{RFC7865_NAMESPACE}">']
    if document.datamode is not None:
        lines.append(f"  <datamode>{document.datamode.value}</datamode>")
    for group in document.groups:
        _write_group(group, lines)
    for session in document.sessions:
        _write_session(session, lines)
    for participant in document.participants:
        _write_participant(participant, lines)
    for stream in document.streams:
        _write_stream(stream, lines)
    for recorded in document.session_recording_associations:
        _write_session_recording(recorded, lines)
    for membership in document.participant_session_associations:
        _write_participant_session(membership, lines)
    for flow in document.participant_stream_associations:
        _write_participant_stream(flow, lines)
    _write_extensions(document.extensions, "  ", lines)
    lines.append("</recording>\n")
    return "\n".join(lines).encode("utf-8")


def write_request_snapshot(reason: str | None = None, *, language: str | None = "en") -> bytes:
    """Write a `requestsnapshot` document (RFC 7865 section 7).

    Raises LocalProtocolError for a reason that no XML document can hold.
    """
    lines = [f'{_DECLARATION}<requestsnapshot xmlns="{RFC7865_NAMESPACE}">']
    if reason is not None:
        lines.append(f"  {_named('requestreason', Name(reason, language))}")
    lines.append("</requestsnapshot>\n")
    return "\n".join(lines).encode("utf-8")


def write_tree(root: Element, *, ascii_only: bool = False) -> bytes:
    """Write a document of any form from its root element, each child on a line of its own.

    With `ascii_only` any charset parameter is true of the octets: other characters are written as references, or,
    when a name has some, in UTF-8 behind a byte order mark. Raises LocalProtocolError for a text or name that no XML
    document can hold.
    """
    start, name, default = _start_tag(root, None)
    lines = [f"{_DECLARATION}<{start}>{_escape(root.text)}"]
    lines += [f"  {_element(child, default)}{_escape(child.tail)}" for child in root.children]
    text = "\n".join((*lines, f"</{name}>\n"))
    if not ascii_only:
        return text.encode("utf-8")
    if _has_ascii_names(root):
        return text.encode("ascii", "xmlcharrefreplace")
    # A name cannot hold a reference; a byte order mark outranks the charset parameter (RFC 7303 3).
    return text.encode("utf-8-sig")


def _has_ascii_names(element: Element) -> bool:
    if not element.name.isascii() or not all(attribute.name.isascii() for attribute in element.attributes):
        return False
    return all(map(_has_ascii_names, element.children))


# The objects; the order of the children is that of the schema's sequences.


def _write_group(group: Group, lines: list[str]) -> None:
    content: list[str] = []
    _write_times(group.associate_time, group.disassociate_time, content)
    _write_extensions(group.extensions, "    ", content)
    _close(f'group group_id="{unique_id_for(group.group_id)}"', content, lines)


def _write_session(session: Session, lines: list[str]) -> None:
    content = [f"    <sipSessionID>{_escape(each)}</sipSessionID>" for each in session.sip_session_ids]
    carried: list[Element] = []
    for reason in session.reasons:
        if reason.cause is None:
            # The schema wants a cause; the prose of RFC 7865 section 6.3.1 does not know it.
            carried.append(_reason_element(reason))
            continue
        protocol = "" if reason.protocol == "SIP" else f' protocol="{_escape(reason.protocol)}"'
        content.append(f'    <reason cause="{reason.cause}"{protocol}>{_escape(reason.text)}</reason>')
    if session.group_ref is not None:
        content.append(f"    <group-ref>{unique_id_for(session.group_ref)}</group-ref>")
    _write_time("start-time", session.start_time, content)
    _write_time("stop-time", session.stop_time, content)
    _write_extensions((*carried, *session.extensions), "    ", content)
    _close(f'session session_id="{unique_id_for(session.session_id)}"', content, lines)


def _write_participant(participant: Participant, lines: list[str]) -> None:
    content: list[str] = []
    for name_id in participant.name_ids or (NameId(UNKNOWN_AOR),):
        aor = _escape(_uri(name_id.aor) if name_id.aor else UNKNOWN_AOR)
        if name_id.name is None:
            content.append(f'    <nameID aor="{aor}"/>')
        else:
            content.append(f'    <nameID aor="{aor}">\n      {_named("name", name_id.name)}\n    </nameID>')
    _write_extensions(participant.extensions, "    ", content)
    _close(f'participant participant_id="{unique_id_for(participant.participant_id)}"', content, lines)


def _write_stream(stream: Stream, lines: list[str]) -> None:
    content = [] if stream.label is None else [f"    <label>{_escape(stream.label)}</label>"]
    _write_extensions(stream.extensions, "    ", content)
    session = "" if stream.session_id is None else f' session_id="{unique_id_for(stream.session_id)}"'
    _close(f'stream stream_id="{unique_id_for(stream.stream_id)}"{session}', content, lines)


def _write_session_recording(association: SessionRecordingAssociation, lines: list[str]) -> None:
    content: list[str] = []
    _write_times(association.associate_time, association.disassociate_time, content)
    _write_extensions(association.extensions, "    ", content)
    _close(f'sessionrecordingassoc session_id="{unique_id_for(association.session_id)}"', content, lines)


def _write_participant_session(association: ParticipantSessionAssociation, lines: list[str]) -> None:
    content: list[str] = []
    _write_times(association.associate_time, association.disassociate_time, content)
    content.extend(
        f'    <param pname="{_escape(each.name)}" pval="{_escape(each.value)}"/>' for each in association.parameters
    )
    _write_extensions(association.extensions, "    ", content)
    participant, session = unique_id_for(association.participant_id), unique_id_for(association.session_id)
    _close(f'participantsessionassoc participant_id="{participant}" session_id="{session}"', content, lines)


def _write_participant_stream(association: ParticipantStreamAssociation, lines: list[str]) -> None:
    content = [f"    <send>{unique_id_for(each)}</send>" for each in association.send]
    content.extend(f"    <recv>{unique_id_for(each)}</recv>" for each in association.recv)
    # RFC 7865 9: the times stand behind send and recv, unlike in the other associations.
    _write_times(association.associate_time, association.disassociate_time, content)
    _write_extensions(association.extensions, "    ", content)
    _close(f'participantstreamassoc participant_id="{unique_id_for(association.participant_id)}"', content, lines)


# The parts of objects


def _close(start: str, content: Iterable[str], lines: list[str]) -> None:
    inner = list(content)
    if not inner:
        lines.append(f"  <{start}/>")
        return
    lines.append(f"  <{start}>")
    lines.extend(inner)
    lines.append(f"  </{start.partition(' ')[0]}>")


def _write_times(since: Instant | None, until: Instant | None, lines: list[str]) -> None:
    _write_time("associate-time", since, lines)
    _write_time("disassociate-time", until, lines)


def _write_time(name: str, instant: Instant | None, lines: list[str]) -> None:
    # RFC 7865 6.9: "T" and "Z" in upper case, and a zone; a time without meaning has no such form and is left out.
    text = None if instant is None else instant.to_wire()
    if text is not None:
        lines.append(f"    <{name}>{text}</{name}>")


def _named(element: str, name: Name) -> str:
    code = None if name.language is None else name.language.replace("_", "-")
    language = "" if code is None or not _LANGUAGE.fullmatch(code) else f' xml:lang="{code}"'
    return f"<{element}{language}>{_escape(name.text)}</{element}>"


def _uri(aor: str) -> str:
    """Give an address as a URI reference (RFC 3986): other characters escaped, `sip:` before what is no reference."""
    escaped = quote(_BAD_PERCENT.sub("%25", aor), safe=_URI_CHARACTERS, errors="surrogatepass")
    head = escaped.partition("/")[0]
    return f"sip:{escaped}" if ":" in head and not _SCHEME.match(escaped) else escaped


def _escape(text: str) -> str:
    """Escape a text for element content and for attribute values alike."""
    if _SPECIAL.search(text) is None:
        return text
    fault = _ILLEGAL.search(text)
    if fault is not None:
        raise LocalProtocolError(f"no XML document can hold the character {fault.group()!r}")
    return text.translate(_ESCAPES)


# Extensions


def _write_extensions(extensions: Sequence[Element], indent: str, lines: list[str]) -> None:
    """Write extension elements; RFC 7865 section 9 lets only those of another namespace stand there."""
    carried: list[Element] = []
    for element in extensions:
        if element.namespace in (None, RFC7865_NAMESPACE):
            carried.append(element)
        else:
            lines.append(indent + _element(element, RFC7865_NAMESPACE))
    if carried:
        wrapper = Element(CARRIED_NAMESPACE, CARRIED_NAME, children=tuple(carried))
        lines.append(indent + _element(wrapper, RFC7865_NAMESPACE))


def _reason_element(reason: Reason) -> Element:
    return Element(RFC7865_NAMESPACE, "reason", (Attribute(None, "protocol", reason.protocol),), reason.text)


def _element(element: Element, default: str | None) -> str:
    """Write a subtree; `default` is the default namespace around it."""
    start, name, default = _start_tag(element, default)
    content = [_escape(element.text)]
    for child in element.children:
        content.append(_element(child, default))
        content.append(_escape(child.tail))
    inner = "".join(content)
    return f"<{start}>{inner}</{name}>" if inner else f"<{start}/>"


def _start_tag(element: Element, default: str | None) -> tuple[str, str, str | None]:
    """Give the start tag without its brackets, the name with its prefix and the default namespace within."""
    if not _NAME.fullmatch(element.name):
        raise LocalProtocolError(f"{element.name!r} is no element name")
    name = element.name
    start = [name]
    if element.namespace == _XML_NAMESPACE:
        # Namespaces in XML, section 3: this namespace has the prefix xml and is never the default.
        start = [name := f"xml:{name}"]
    elif element.namespace != default:
        default = element.namespace
        start.append(f'xmlns="{_escape(element.namespace or "")}"')
    prefixes: dict[str, str] = {_XML_NAMESPACE: "xml"}
    for attribute in element.attributes:
        if not _NAME.fullmatch(attribute.name):
            raise LocalProtocolError(f"{attribute.name!r} is no attribute name")
        prefix = ""
        if attribute.namespace is not None:
            known = prefixes.get(attribute.namespace)
            if known is None:
                known = prefixes[attribute.namespace] = f"a{len(prefixes)}"
                start.append(f'xmlns:{known}="{_escape(attribute.namespace)}"')
            prefix = known + ":"
        start.append(f'{prefix}{attribute.name}="{_escape(attribute.value)}"')
    return " ".join(start), name, default
