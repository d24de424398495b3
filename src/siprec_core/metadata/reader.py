"""The reader of metadata documents: RFC 7865 and the dialects that came before it, into one model.

One pass over the element tree, driven by the tables of `vocabulary`. Nothing that a peer writes raises: a document that
cannot be read gives an error, one that can be read gives the document and a finding for each kind of deviation, at the
first place where it occurs.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.metadata import vocabulary as forms
from siprec_core.metadata.associate import LooseParticipant, associate
from siprec_core.metadata.checks import check_document
from siprec_core.metadata.element_reader import ElementReader, Parts, TooLargeError
from siprec_core.metadata.exact import read_exact
from siprec_core.metadata.model import (
    RFC7865_NAMESPACE,
    DataMode,
    Dialect,
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
    RequestSnapshot,
    Session,
    SessionRecordingAssociation,
    Stream,
)
from siprec_core.metadata.notes import Notes
from siprec_core.metadata.origins import ROOT, Note, Origins
from siprec_core.metadata.vocabulary import ObjectForm, dialect_of, split_tag
from siprec_core.metadata.xml_tree import XmlTree, build_tree, open_xml

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMetadata:
    """What `read_metadata` made of a body."""

    document: MetadataDocument | RequestSnapshot | None
    """None when the body cannot be read."""
    findings: tuple[Finding, ...]
    error: RemoteProtocolError | None
    """Why there is no document."""


def read_metadata(data: bytes | memoryview, *, limits: Limits, charset: str | None = None) -> ParsedMetadata:
    """Read a metadata body (RFC 7865, `application/rs-metadata+xml`); never raises for what is in it.

    `charset` is the parameter of the media type, which outranks the XML declaration.
    """
    tree = open_xml(data, limits=limits, charset=charset)
    exact = None if tree.error is not None else read_exact(tree.data, limits=limits)
    if exact is not None:
        notes = Notes(tree, limits.findings)
        return ParsedMetadata(document=_checked(*exact, (), notes.note), findings=notes.findings(), error=None)
    build_tree(tree)
    if tree.root is None:
        return ParsedMetadata(document=None, findings=tuple(tree.findings[: limits.findings]), error=tree.error)
    namespace, name = split_tag(tree.root.tag)
    dialect = dialect_of(namespace, name)
    if dialect is None:
        message = f"the root element is {name[:80]!r}, not recording"
        line, column = tree.places([ROOT]).get(ROOT, (None, None))
        fault = finding("metadata-root", "root", message, line=line, column=column)
        error = RemoteProtocolError(message, field="root", line=line, column=column)
        return ParsedMetadata(document=None, findings=(*tree.findings, fault)[: limits.findings], error=error)
    reader = _DocumentReader(tree, dialect, namespace, limits)
    try:
        document = reader.read(tree.root, name)
    except TooLargeError as error:
        fault = finding("metadata-too-large", "document", str(error))
        return ParsedMetadata(
            document=None,
            findings=(*tree.findings, fault)[: limits.findings],
            error=RemoteProtocolError(str(error), field="metadata"),
        )
    return ParsedMetadata(document=document, findings=reader.findings(), error=None)


def _checked(
    document: MetadataDocument, origins: Origins, loose: Sequence[LooseParticipant], note: Note
) -> MetadataDocument:
    """Give the document with the associations that it implies, and note what is inconsistent."""
    document = associate(document, loose, note)
    check_document(document, origins, note)
    return document


@dataclass(slots=True)
class _Objects:
    """The objects of a document as they come."""

    groups: list[Group] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    participants: list[Participant] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    recordings: list[SessionRecordingAssociation] = field(default_factory=list)
    memberships: list[ParticipantSessionAssociation] = field(default_factory=list)
    flows: list[ParticipantStreamAssociation] = field(default_factory=list)


class _DocumentReader(ElementReader):
    """Maps one document to the model."""

    __slots__ = ("_loose", "_places")

    def __init__(self, tree: XmlTree, dialect: Dialect, namespace: str | None, limits: Limits) -> None:
        super().__init__(tree, dialect, namespace, limits)
        self._loose: list[LooseParticipant] = []
        self._places: dict[str, list[int]] = {}
        """Numbers of the children of the root that were read, by name."""

    def read(self, root: ET.Element, name: str) -> MetadataDocument | RequestSnapshot:
        """Map the whole tree."""
        self._note_dialect(root, name)
        if name.lower() == "requestsnapshot":
            return self._request_snapshot(root)
        return self._recording(root)

    def _note_dialect(self, root: ET.Element, name: str) -> None:
        if self.namespace != RFC7865_NAMESPACE:
            # RFC 7865 6.11: the namespace names the version, and there is no other version.
            namespace = "no namespace" if self.namespace is None else f"the namespace {self.namespace[:120]!r}"
            self.note("metadata-namespace", name[:80], f"{namespace} instead of {RFC7865_NAMESPACE!r}", root)
        if self.dialect is Dialect.SEED:
            self.note("seed-dialect", "recording", None, root)
        elif self.dialect is not Dialect.RFC7865:
            self.note("metadata-dialect", name[:80], f"a document of the {self.dialect} dialect", root)

    # The documents

    def _batches(self, root: ET.Element, form: ObjectForm) -> Iterator[Parts]:
        """Sort the attributes and children of the root; gives the same parts whenever children have come to it."""
        parts = Parts({}, {}, [])
        count = 0
        for children in self._tree.children():
            self.number_children(children, count)
            if count == 0:
                if root.attrib:
                    self.sort_attributes(root, form, parts.attributes)
                if root.text and not root.text.isspace():
                    self.note("metadata-stray-text", form.name, None, root)
            count += len(children)
            self.sort_children(root, children, form, parts)
            yield parts

    def _request_snapshot(self, root: ET.Element) -> RequestSnapshot:
        reason = None
        extensions: list[Element] = []
        for parts in self._batches(root, forms.REQUEST_SNAPSHOT):
            element = parts.first("requestreason")
            if reason is None and element is not None:
                reason = self.name(element, "requestsnapshot/requestreason")
            extensions = parts.extensions
        return RequestSnapshot(dialect=self.dialect, reason=reason, extensions=tuple(extensions))

    def _recording(self, root: ET.Element) -> MetadataDocument:
        objects = _Objects()
        mode: DataMode | None = None
        told = False
        parts = Parts({}, {}, [])
        for parts in self._batches(root, forms.RECORDING):
            if not told and "datamode" in parts.children:
                mode, told = self._datamode(parts), True
            self._take(parts, objects)
        document = MetadataDocument(
            dialect=self.dialect,
            namespace=self.namespace,
            datamode=mode if told else self._datamode(parts),
            groups=tuple(objects.groups),
            sessions=tuple(objects.sessions),
            participants=tuple(objects.participants),
            streams=tuple(objects.streams),
            session_recording_associations=tuple(objects.recordings),
            participant_session_associations=tuple(objects.memberships),
            participant_stream_associations=tuple(objects.flows),
            extensions=tuple(parts.extensions),
        )
        return _checked(document, Origins(self._places), self._loose, self.note)

    def _take(self, parts: Parts, objects: "_Objects") -> None:
        """Read the objects among the children that came."""
        children = parts.children
        for name in tuple(children):
            match name:
                case "group":
                    self._each(children, name, objects.groups, self._group)
                case "session":
                    self._each(children, name, objects.sessions, self._session)
                case "participant":
                    self._each(children, name, objects.participants, self._participant)
                case "stream":
                    self._each(children, name, objects.streams, self._stream)
                case "sessionrecordingassoc":
                    self._each(children, name, objects.recordings, self._session_recording)
                case "participantsessionassoc":
                    self._each(children, name, objects.memberships, self._participant_session)
                case "participantstreamassoc":
                    self._each(children, name, objects.flows, self._participant_stream)
                case _:
                    pass  # datamode

    def _each(
        self,
        children: dict[str, list[ET.Element]],
        name: str,
        objects: list[ItemT],
        read: Callable[[ET.Element], ItemT],
    ) -> None:
        elements = children.pop(name)
        self._places.setdefault(name, []).extend([self._numbers[id(element)] for element in elements])
        for element in elements:
            self.current = element
            objects.append(read(element))

    def _datamode(self, parts: Parts) -> DataMode | None:
        element = parts.first("datamode")
        text = parts.attributes.get("datamode") if element is None else self.text(element, "recording/datamode")
        if text is None:
            return None
        folded = text.lower()
        mode = DataMode(folded) if folded in ("complete", "partial") else None
        if mode is None or folded != text:
            meaning = "taken as complete" if mode is None else f"taken as {mode}"
            self.note("metadata-datamode", "recording/datamode", f"{text[:40]!r} {meaning}", element)
        return mode

    # The objects

    def _group(self, element: ET.Element) -> Group:
        form = forms.GROUP
        parts = self.open(element, form)
        return Group(
            self.id(parts, "group_id", form, element),
            self.time(parts, "associate-time", form),
            self.time(parts, "disassociate-time", form),
            tuple(parts.extensions),
        )

    def _session(self, element: ET.Element) -> Session:
        form = forms.SESSION
        parts = self.open(element, form)
        group = parts.first("group-ref")
        return Session(
            self.id(parts, "session_id", form, element),
            tuple([" ".join(self.text(each, "session/sipSessionID").split()) for each in parts.all("sipSessionID")]),
            tuple([self._reason(each) for each in parts.all("reason")]),
            parts.attributes.get("group-ref") if group is None else self.text(group, "session/group-ref"),
            self.time(parts, "start-time", form),
            self.time(parts, "stop-time", form),
            tuple(parts.extensions),
        )

    def _reason(self, element: ET.Element) -> Reason:
        text = (element.text or "").strip()
        cause = element.attrib.get("cause", "").strip()
        self.check_size(text)
        number = None
        # xs:short in the schema of RFC 7865 section 9; longer digits are no cause of any protocol.
        if len(cause) <= 6 and cause.lstrip("+-").isdecimal() and cause.isascii() and -32_768 <= int(cause) <= 32_767:
            number = int(cause)
        else:
            self.note("metadata-missing-attribute", "reason@cause", f"cause {cause[:40]!r} is no number", element)
        return Reason(text, number, element.attrib.get("protocol", "SIP"))

    def _participant(self, element: ET.Element) -> Participant:
        form = forms.PARTICIPANT
        parts = self.open(element, form)
        name_ids: list[NameId] = []
        for each in parts.all("nameID"):
            self._name_id(each, name_ids, parts.extensions)
        participant_id = self.id(parts, "participant_id", form, element)
        for each in parts.all("aor"):
            name_ids.append(NameId(self.text(each, "participant/aor")))
            self.note("metadata-misplaced-element", "participant/aor", "aor belongs into nameID", each)
        for each in parts.all("name"):
            self.note("metadata-misplaced-element", "participant/name", "name belongs into nameID", each)
        _add_names(name_ids, [self.name(each, "participant/name") for each in parts.all("name")])
        if not name_ids:
            self.note("metadata-missing-element", "participant/nameID", "a participant without nameID", element)
        session_id = parts.attributes.get("session_id")
        if session_id is not None or len(parts.children) > ("nameID" in parts.children):
            self._loose.append(
                LooseParticipant(
                    participant_id=participant_id,
                    session_id=session_id or None,
                    send=self._ids(parts, "send", form),
                    recv=self._ids(parts, "recv", form),
                    associate_time=self.time(parts, "associate-time", form),
                    disassociate_time=self.time(parts, "disassociate-time", form),
                    place=self.place_of(element),
                )
            )
        return Participant(participant_id, tuple(name_ids), tuple(parts.extensions))

    def _name_id(self, element: ET.Element, name_ids: list[NameId], extensions: list[Element]) -> None:
        if not len(element) and not element.text and element.attrib.keys() == {"aor"}:
            bare = element.attrib["aor"].strip()
            self.check_size(bare)
            name_ids.append(NameId(bare))
            return
        parts = self.open(element, forms.NAME_ID)
        aor = parts.attributes.get("aor")
        if aor is None:
            child = parts.first("aor")
            if child is not None:
                aor = self.text(child, "nameID/aor")
                self.note("metadata-misplaced-element", "nameID/aor", "aor is an attribute", child)
            else:
                self.note("metadata-missing-attribute", "nameID@aor", "a nameID without aor", element)
        # RFC 7865 9: nothing foreign may stand in nameID; it is kept where it may stand.
        for extension in parts.extensions:
            self.note(
                "metadata-misplaced-element", "nameID", f"{extension.name[:80]!r} kept at the participant", element
            )
            extensions.append(extension)
        names = [self.name(each, "nameID/name") for each in parts.all("name")]
        if len(names) > 1:
            self.note("metadata-repeated-element", "nameID/name", None, element)
        name_ids.append(NameId(aor, names[0] if names else None))
        name_ids.extend(NameId(aor, name) for name in names[1:])

    def _stream(self, element: ET.Element) -> Stream:
        form = forms.STREAM
        parts = self.open(element, form)
        child = parts.first("label")
        label = None if child is None else self.text(child, "stream/label")
        bound = element.attrib.get("media_label")
        if bound is not None and child is not None and label != bound.strip():
            # Google's client puts free text into label and the label of the SDP into an attribute.
            parts.extensions.append(self.extension(child))
            label = bound.strip()
        elif label is None:
            label = parts.attributes.get("label")
        return Stream(
            self.id(parts, "stream_id", form, element),
            parts.attributes.get("session_id") or None,
            label,
            tuple(parts.extensions),
        )

    # The associations

    def _session_recording(self, element: ET.Element) -> SessionRecordingAssociation:
        form = forms.SESSION_RECORDING
        parts = self.open(element, form)
        return SessionRecordingAssociation(
            self.id(parts, "session_id", form, element),
            self.time(parts, "associate-time", form),
            self.time(parts, "disassociate-time", form),
            tuple(parts.extensions),
        )

    def _participant_session(self, element: ET.Element) -> ParticipantSessionAssociation:
        form = forms.PARTICIPANT_SESSION
        parts = self.open(element, form)
        return ParticipantSessionAssociation(
            self.id(parts, "participant_id", form, element),
            self.id(parts, "session_id", form, element),
            self.time(parts, "associate-time", form),
            self.time(parts, "disassociate-time", form),
            tuple(
                [Parameter(each.attrib.get("pname", ""), each.attrib.get("pval", "")) for each in parts.all("param")]
            ),
            tuple(parts.extensions),
        )

    def _participant_stream(self, element: ET.Element) -> ParticipantStreamAssociation:
        form = forms.PARTICIPANT_STREAM
        parts = self.open(element, form)
        return ParticipantStreamAssociation(
            self.id(parts, "participant_id", form, element),
            self._ids(parts, "send", form),
            self._ids(parts, "recv", form),
            self.time(parts, "associate-time", form),
            self.time(parts, "disassociate-time", form),
            tuple(parts.extensions),
        )

    def _ids(self, parts: Parts, name: str, form: ObjectForm) -> tuple[str, ...]:
        elements = parts.children.get(name)
        if elements is None:
            return ()
        where = f"{form.name}/{name}"
        # An empty send or recv names no stream.
        return tuple([text for each in elements if (text := self.text(each, where))])


def _add_names(name_ids: list[NameId], names: list[Name]) -> None:
    """Put names that stand in the participant to its addresses without a name, in order."""
    waiting = iter(names)
    for index, name_id in enumerate(name_ids):
        if name_id.name is None:
            name = next(waiting, None)
            if name is None:
                break
            name_ids[index] = NameId(name_id.aor, name)
    name_ids.extend(NameId(None, name) for name in waiting)
