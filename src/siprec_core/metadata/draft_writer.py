"""The writer of formats older than RFC 7865, for recorders that read nothing else.

Nothing is written in them unless it is asked for. They have no associations: participants say themselves what they send
and receive, when they came and in which session they are. What the model holds beyond that is left out.
"""

from siprec_core.errors import LocalProtocolError
from siprec_core.metadata.ids import id_key
from siprec_core.metadata.model import (
    DRAFT_RECORDING_NAMESPACE,
    DRAFT_SIPREC_NAMESPACE,
    Attribute,
    Dialect,
    Element,
    MetadataDocument,
    Name,
    NameId,
    Participant,
    Session,
    Stream,
)
from siprec_core.metadata.times import Instant
from siprec_core.metadata.writer import write_metadata, write_tree

_XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"


def write_document(document: MetadataDocument, dialect: Dialect) -> bytes:
    """Write a document in the form of RFC 7865 or, on request, of a draft; raises as `write_draft` does."""
    return write_metadata(document) if dialect is Dialect.RFC7865 else write_draft(document, dialect)


def write_draft(document: MetadataDocument, dialect: Dialect) -> bytes:
    """Write a document as `draft-recording` or `draft-siprec` have it, in UTF-8.

    Raises LocalProtocolError for another dialect, and for a text or name that no XML document can hold.
    """
    if dialect is Dialect.DRAFT_RECORDING:
        return write_tree(_Draft(DRAFT_RECORDING_NAMESPACE, nested=False).recording(document, "recording"))
    if dialect is Dialect.DRAFT_SIPREC:
        return write_tree(_Draft(DRAFT_SIPREC_NAMESPACE, nested=True).recording(document, "recording_metadata"))
    raise LocalProtocolError(f"nothing is written in the dialect {dialect.value}")


class _Draft:
    """One generation of drafts; in the `nested` one addresses and stream ids are elements of their own."""

    def __init__(self, namespace: str, *, nested: bool) -> None:
        self._namespace = namespace
        self._nested = nested

    def recording(self, document: MetadataDocument, root: str) -> Element:
        """Give the root element."""
        children = []
        if document.datamode is not None:
            children.append(self._leaf("dataMode" if self._nested else "datamode", document.datamode.value))
        for group in document.groups:
            times = self._times(group.associate_time, group.disassociate_time)
            children.append(self._element("group", {"id": group.group_id}, times, group.extensions))
        children += [self._session(session) for session in document.sessions]
        children += [self._participant(participant, document) for participant in document.participants]
        children += [self._stream(stream) for stream in document.streams]
        return self._element(root, {}, children, document.extensions)

    def _session(self, session: Session) -> Element:
        attributes = {"id": session.session_id}
        children = [self._leaf("sipSessionID", each) for each in session.sip_session_ids]
        if session.group_ref is not None and self._nested:
            attributes["group"] = session.group_ref
        elif session.group_ref is not None:
            children.append(self._leaf("group-ref", session.group_ref))
        children += self._time("start-time", session.start_time) + self._time("stop-time", session.stop_time)
        return self._element("session", attributes, children, session.extensions)

    def _participant(self, participant: Participant, document: MetadataDocument) -> Element:
        key = id_key(participant.participant_id)
        attributes = {"id": participant.participant_id}
        children = [self._name_id(each) for each in participant.name_ids]
        for flow in document.participant_stream_associations:
            if id_key(flow.participant_id) == key:
                children += [self._stream_ref("send", each) for each in flow.send]
                children += [self._stream_ref("recv", each) for each in flow.recv]
        for membership in document.participant_session_associations:
            if id_key(membership.participant_id) == key and "session" not in attributes:
                attributes["session"] = membership.session_id
                children += self._times(membership.associate_time, membership.disassociate_time)
        return self._element("participant", attributes, children, participant.extensions)

    def _name_id(self, name_id: NameId) -> Element:
        children = [] if name_id.name is None else [self._name(name_id.name)]
        if not self._nested:
            return self._element("nameID", {"aor": name_id.aor or ""}, children)
        return self._element("nameID", {}, [self._leaf("aor", name_id.aor or ""), *children])

    def _name(self, name: Name) -> Element:
        language = () if name.language is None else (Attribute(_XML_NAMESPACE, "lang", name.language),)
        return Element(self._namespace, "name", language, name.text)

    def _stream_ref(self, name: str, stream_id: str) -> Element:
        return self._element(name, {}, [self._leaf("id", stream_id)]) if self._nested else self._leaf(name, stream_id)

    def _stream(self, stream: Stream) -> Element:
        attributes = {"id": stream.stream_id}
        if stream.session_id is not None:
            attributes["session"] = stream.session_id
        label = [] if stream.label is None else [self._leaf("label", stream.label)]
        return self._element("stream", attributes, label, stream.extensions)

    def _times(self, since: Instant | None, until: Instant | None) -> list[Element]:
        return self._time("associate-time", since) + self._time("disassociate-time", until)

    def _time(self, name: str, instant: Instant | None) -> list[Element]:
        text = None if instant is None else instant.to_wire()
        return [] if text is None else [self._leaf(name, text)]

    def _leaf(self, name: str, text: str) -> Element:
        return Element(self._namespace, name, text=text)

    def _element(
        self,
        name: str,
        attributes: dict[str, str],
        children: list[Element],
        extensions: tuple[Element, ...] = (),
    ) -> Element:
        given = tuple(Attribute(None, key, value) for key, value in attributes.items())
        return Element(self._namespace, name, given, children=(*children, *extensions))
