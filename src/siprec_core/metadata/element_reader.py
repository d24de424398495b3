"""Reading one element of a metadata document by its form: attributes, children, extensions, text, times.

What an element says otherwise than RFC 7865 section 9 is brought to the RFC's names and noted; what has no place in the
model is kept as an extension.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from siprec_core.findings import Finding
from siprec_core.limits import Limits
from siprec_core.metadata import vocabulary as forms
from siprec_core.metadata.model import Attribute, Dialect, Element, Name
from siprec_core.metadata.notes import Notes
from siprec_core.metadata.origins import ROOT, Place
from siprec_core.metadata.times import Instant, ParsedTime, parse_time
from siprec_core.metadata.vocabulary import ObjectForm, Vocabulary, folded_name, split_tag, vocabulary_for
from siprec_core.metadata.xml_tree import XmlTree

_CARRIED = f"{{{forms.CARRIED_NAMESPACE}}}{forms.CARRIED_NAME}"


class TooLargeError(Exception):
    """A bound of `Limits` is passed; never leaves the reader."""


@dataclass(slots=True)
class Parts:
    """One object of the document, sorted by its form."""

    attributes: dict[str, str]
    """By RFC name."""
    children: dict[str, list[ET.Element]]
    """By RFC name, in order."""
    extensions: list[Element]
    last: int = 0
    """Place in the schema's sequence that has been reached."""

    def first(self, name: str) -> ET.Element | None:
        """Give the first child of a name, None when there is none."""
        found = self.children.get(name)
        return found[0] if found else None

    def all(self, name: str) -> Sequence[ET.Element]:
        """Give the children of a name in order."""
        return self.children.get(name, ())


class ElementReader:
    """Reads elements of one document by their forms and notes how they deviate."""

    __slots__ = (
        "_may_exceed",
        "_notes",
        "_numbers",
        "_times",
        "_tree",
        "_vocabulary",
        "current",
        "dialect",
        "limits",
        "namespace",
    )

    def __init__(self, tree: XmlTree, dialect: Dialect, namespace: str | None, limits: Limits) -> None:
        self._tree = tree
        self.dialect = dialect
        self.namespace = namespace
        self.limits = limits
        self._vocabulary: Vocabulary = vocabulary_for(dialect, namespace)
        self._notes = Notes(tree, limits.findings)
        self._may_exceed = len(tree.data) > limits.xml_text_size
        """False for a document that is itself no longer than one text may be."""
        self._times: dict[str, ParsedTime] = {}
        """A document tells the same few instants again and again."""
        self._numbers: dict[int, int] = {}
        """Number of each child of the root that is being read, by its `id()`."""
        self.current: ET.Element | None = None
        """The child of the root that is being read piece by piece."""

    def findings(self) -> tuple[Finding, ...]:
        """Give all findings, with their places."""
        return self._notes.findings()

    # Findings

    def note(
        self, code: str, where: str, message: str | None = None, element: ET.Element | Place | None = None
    ) -> None:
        """Note a deviation once for each code and place in the form."""
        if self._notes.is_new(code, where):
            place = element if element is None or isinstance(element, tuple) else self.place_of(element)
            self._notes.note(code, where, message, place)

    def number_children(self, children: Sequence[ET.Element], first: int) -> None:
        """Take the children of the root that are read next; `first` is the number of the first one."""
        self._numbers = dict(zip(map(id, children), range(first, first + len(children)), strict=True))

    def place_of(self, element: ET.Element) -> Place:
        """Give the place of a numbered child, or of an element within `current`; that of the root for any other."""
        number = self._numbers.get(id(element))
        if number is not None:
            return number, 0
        if self.current is not None:
            for index, each in enumerate(self.current.iter()):
                if each is element:
                    return self._numbers.get(id(self.current), -1), index
        return ROOT

    # The general shape of an object

    def open(self, element: ET.Element, form: ObjectForm) -> Parts:
        """Sort the attributes and children of an object by its form."""
        parts = Parts({}, {}, [])
        if element.attrib:
            self.sort_attributes(element, form, parts.attributes)
        text = element.text
        if text and not text.isspace():
            self.note("metadata-stray-text", form.name, None, element)
        self.sort_children(element, element, form, parts)
        return parts

    def sort_attributes(self, element: ET.Element, form: ObjectForm, attributes: dict[str, str]) -> None:
        """Bring the attributes of an object to the names of the RFC."""
        self._check_attributes(element)
        known_names = form.attributes
        for name, value in element.attrib.items():
            known = known_names.get(name)
            if known == name:
                attributes[known] = value.strip()
                continue
            guest = form.guests.get(name)
            if known is not None:
                attributes.setdefault(known, value.strip())
                self.note("metadata-id-attribute", f"{form.name}@{name}", f"{name!r} instead of {known!r}", element)
            elif guest is not None:
                attributes.setdefault(guest, value.strip())
                message = f"attribute {name!r} read as {guest!r}"
                self.note("metadata-unknown-attribute", f"{form.name}@{name}", message, element)
            elif not name.startswith(forms.SCHEMA_INSTANCE):
                shown = split_tag(name)[1][:80]
                self.note(
                    "metadata-unknown-attribute", f"{form.name}@{shown}", f"attribute {shown!r} left out", element
                )

    def sort_children(
        self, element: ET.Element, children: Iterable[ET.Element], form: ObjectForm, parts: Parts
    ) -> None:
        """Sort children of `element`, all of them or the next ones."""
        names = self._vocabulary.names
        places = form.children
        kept = parts.children
        last = parts.last
        for child in children:
            name = names.get(child.tag)
            tail = child.tail
            if tail and not tail.isspace():
                self.note("metadata-stray-text", form.name, None, element)
            place = None if name is None else places.get(name)
            if name is None or place is None:
                if child.tag == _CARRIED:
                    parts.extensions.extend([self.extension(each) for each in child])
                    last = len(places)
                else:
                    last = max(last, self._sort_other_child(child, name, form, parts))
                continue
            if place < last:
                self.note("metadata-element-order", form.name, f"{name} stands after its place", child)
            else:
                last = place
            if name in kept:
                self._keep(name, child, form, parts)
            else:
                kept[name] = [child]
        parts.last = last

    def _keep(self, name: str, child: ET.Element, form: ObjectForm, parts: Parts) -> None:
        found = parts.children.get(name)
        if found is None:
            parts.children[name] = [child]
        elif name in form.single:
            self.note("metadata-repeated-element", f"{form.name}/{name}", None, child)
            parts.extensions.append(self.extension(child))
        else:
            found.append(child)

    def _sort_other_child(self, child: ET.Element, name: str | None, form: ObjectForm, parts: Parts) -> int:
        """Sort a child that the RFC does not have at this place; gives the place after it in the schema's sequence."""
        namespace, local = split_tag(child.tag)
        if name is None:
            name = self._recognised(namespace, local, form, child)
        if name is not None:
            alias = form.aliases.get(name)
            if alias is not None and alias not in parts.children:
                self.note("metadata-element-name", f"{form.name}/{local}", f"{local!r} instead of {alias!r}", child)
                name = alias
            if name in form.children or name in form.strays:
                self._keep(name, child, form, parts)
                return 0
        if namespace in self._vocabulary.own:
            where = f"{form.name}/{local[:80]}"
            self.note("metadata-unknown-element", where, f"{local[:80]!r} kept as extension data", child)
            parts.extensions.append(self.extension(child))
            return 0
        parts.extensions.append(self.extension(child))
        return len(form.children)

    def _recognised(self, namespace: str | None, local: str, form: ObjectForm, child: ET.Element) -> str | None:
        """Give the RFC name of a child that is written in another case, or in no namespace; None for any other."""
        where = f"{form.name}/{local[:80]}"
        name = self._vocabulary.folded(namespace, local)
        if name is not None:
            self.note("metadata-name-case", where, f"{local[:80]!r} instead of {name!r}", child)
        elif namespace is None:
            # A root with a prefix and children without one (Sonus). No extension: RFC 7865 9 has those in a namespace.
            name = folded_name(local)
            if name is not None:
                self.note("metadata-namespace", where, f"{local[:80]!r} is in no namespace", child)
        return name

    def extension(self, element: ET.Element, depth: int = 3, *, tail: bool = False) -> Element:
        """Copy a subtree that the model has no field for."""
        if depth > self.limits.xml_depth:
            raise TooLargeError(f"elements nested deeper than {self.limits.xml_depth}")
        self._check_attributes(element)
        namespace, name = split_tag(element.tag)
        text, behind = element.text or "", (element.tail or "") if tail else ""
        attributes = tuple(Attribute(*split_tag(key), value) for key, value in element.attrib.items())
        self.check_size(text)
        self.check_size(behind)
        children = tuple(self.extension(child, depth + 1, tail=True) for child in element)
        return Element(namespace, name, attributes, text, children, behind)

    # Values

    def check_size(self, text: str) -> None:
        """Raise TooLargeError for a text or attribute value beyond the bound."""
        if len(text) > self.limits.xml_text_size:
            raise TooLargeError(f"a text of more than {self.limits.xml_text_size} characters")

    def _check_attributes(self, element: ET.Element) -> None:
        if len(element.attrib) > self.limits.xml_attributes:
            raise TooLargeError(f"an element with more than {self.limits.xml_attributes} attributes")
        if self._may_exceed:
            for value in element.attrib.values():
                self.check_size(value)

    def text(self, element: ET.Element, where: str) -> str:
        """Give the text of an element, white space around it left out."""
        text = element.text or ""
        if len(element):
            # BroadWorks writes <send><id>...</id></send>.
            inner = [(child.text or "").strip() for child in element if split_tag(child.tag)[1] == "id"]
            self.note("metadata-nested-text", where, None, element)
            text = inner[0] if inner and not text.strip() else text
        if element.attrib:
            self._check_attributes(element)
            unexpected = [name for name in element.attrib if name != forms.LANGUAGE]
            if unexpected:
                self.note("metadata-unknown-attribute", where, f"attribute {unexpected[0][:80]!r} left out", element)
        if self._may_exceed:
            self.check_size(text)
        return text.strip()

    def time(self, parts: Parts, name: str, form: ObjectForm) -> Instant | None:
        """Give the date-time of a child, None without that child."""
        element = parts.first(name)
        if element is None:
            return None
        where = f"{form.name}/{name}"
        text = self.text(element, where)
        parsed = self._times.get(text)
        if parsed is None:
            parsed = self._times[text] = parse_time(text)
        if parsed.deviation is not None:
            code = "metadata-time-syntax" if parsed.instant.unix_ns is not None else "metadata-time-unknown"
            self.note(code, where, f"{parsed.instant.text[:60]!r}: {parsed.deviation}", element)
        return parsed.instant

    def id(self, parts: Parts, name: str, form: ObjectForm, element: ET.Element) -> str:
        """Give a required id, empty when it is missing."""
        value = parts.attributes.get(name)
        if not value:
            self.note("metadata-missing-attribute", f"{form.name}@{name}", f"{name!r} is missing or empty", element)
            return ""
        return value

    def name(self, element: ET.Element, where: str) -> Name:
        """Give the text and language of an element."""
        return Name(self.text(element, where), element.attrib.get(forms.LANGUAGE))
