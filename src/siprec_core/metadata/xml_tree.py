"""From octets to a bounded element tree, safely.

A document type declaration is refused, and without one XML has neither entities to multiply nor anything external to
fetch. The tree is built by the C parser; its bounds are checked on the octets before (number of elements, attributes of
one element) or on the way through the tree (depth, text). Places are not kept while parsing: a second pass looks up
those of the few elements that a finding is about. A large document never stands in memory as a tree: the children of
its root are handed over and forgotten as they are complete.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from defusedxml.common import DTDForbidden
from defusedxml.ElementTree import DefusedXMLParser

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.metadata.encoding import decode_body
from siprec_core.metadata.origins import Place

_INVALID_TOKEN, _UNDEFINED_ENTITY = 4, 11
"""Expat's codes of the two mistakes that unescaped text makes."""
_BARE_AMPERSAND = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
_QUOTED = rb"(?:\"[^\"<]*+\"|'[^'<]*+')"

WHOLE_SIZE = 256 * 1024
"""Octets of a document up to which its tree is built as a whole."""
PIECE_SIZE = 256 * 1024
"""Octets of a larger one that are parsed at a time. Expat scans a token that is cut off again with each piece."""
_FINAL = True
"""The octets handed to expat are all there are."""


class _Found(Exception):  # noqa: N818
    """Stops a pass of expat; never leaves this module."""


@dataclass(slots=True)
class XmlTree:
    """An element tree, or why there is none."""

    root: ET.Element | None
    findings: list[Finding] = field(default_factory=list)
    error: RemoteProtocolError | None = None
    data: bytes = b""
    """The octets that were parsed, UTF-8."""
    skipped_lines: int = 0
    skipped_columns: int = 0
    pull: "ET.XMLPullParser[ET.Element] | None" = None
    """Gives the rest of a large document, whose root has only just begun."""
    fed: int = 0
    """Octets that `pull` has got."""

    def children(self) -> Iterator[Sequence[ET.Element]]:
        """Give the children of the root in order, all at once or some at a time; they go when the next ones come."""
        root, pull = self.root, self.pull
        if root is None:
            return
        if pull is None:
            yield list(root)
            return
        for at in range(self.fed, len(self.data), PIECE_SIZE):
            # The last one may be growing still.
            if len(root) > 1:
                yield root[:-1]
                del root[:-1]
            pull.feed(self.data[at : at + PIECE_SIZE])
            _drain(pull)
        pull.close()
        yield list(root)

    def places(self, wanted: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        """Give line and column, both from 1, of elements of the document."""
        places = set(wanted)
        if not places:
            return {}
        return {place: self.shift(*found) for place, found in _places(self.data, places).items()}

    def shift(self, line: int, column: int) -> tuple[int, int]:
        """Give a place in the body for a place in `data`."""
        return line + self.skipped_lines, column + (self.skipped_columns if line == 1 else 0)


def parse_xml(data: bytes | memoryview, *, limits: Limits, charset: str | None = None, whole: bool = False) -> XmlTree:
    """Parse a document; what is wrong with it is in the result, nothing is raised.

    With `whole` the tree of a large one is built at once too; without, `XmlTree.children` gives it little by little.
    """
    tree = open_xml(data, limits=limits, charset=charset)
    build_tree(tree, whole=whole)
    return tree


def open_xml(data: bytes | memoryview, *, limits: Limits, charset: str | None = None) -> XmlTree:
    """Decode a document and check its bounds, without its tree; as `parse_xml`."""
    body = decode_body(bytes(data), charset)
    tree = XmlTree(None, body.findings, body.error, body.data, body.skipped_lines, body.skipped_columns)
    if tree.error is None:
        _check_bounds(tree, limits)
    return tree


def build_tree(tree: XmlTree, *, whole: bool = False) -> None:
    """Build the tree of a document that was opened, unless there is an error; as `parse_xml`."""
    if tree.error is None:
        _build(tree, whole=whole)


def _build(tree: XmlTree, *, whole: bool) -> None:
    try:
        _begin(tree, tree.data, whole=whole)
        return
    except ET.ParseError as problem:
        fault = problem
    repaired = _repair(tree.data, fault.code)
    if repaired is not None:
        try:
            _begin(tree, repaired, whole=whole)
        except ET.ParseError:
            tree.root = None
        else:
            tree.data = repaired
    line, column = tree.shift(fault.position[0], fault.position[1] + 1)
    # Expat ends its texts with the place, which we tell apart.
    message = f"not well-formed XML: {str(fault).partition(': line ')[0]}"
    if tree.root is None:
        tree.error = RemoteProtocolError(message, field="metadata", line=line, column=column)
        tree.findings.append(finding("metadata-malformed", "document", message, line=line, column=column))
    else:
        tree.findings.append(
            finding("metadata-repaired", "document", f"{message}; read after a repair", line=line, column=column)
        )


def _begin(tree: XmlTree, data: bytes, *, whole: bool) -> None:
    """Parse a document, a large one up to its root; raises ParseError when any of it is not well-formed."""
    if whole or len(data) <= WHOLE_SIZE:
        tree.root = _parse(data)
        return
    _check_form(data)
    # The declaration is blotted out: the octets are UTF-8 whatever it says.
    declared = data.find(b"?>") + 2 if data.startswith(b"<?xml") else 0
    pull: ET.XMLPullParser[ET.Element] = ET.XMLPullParser(("start",))
    pull.feed(re.sub(rb"[^\n]", b" ", data[:declared]))
    root, tree.fed = None, declared
    while root is None:
        pull.feed(data[tree.fed : tree.fed + PIECE_SIZE])
        tree.fed += PIECE_SIZE
        root = _drain(pull)
    tree.root, tree.pull = root, pull


def _drain(pull: "ET.XMLPullParser[ET.Element]") -> ET.Element | None:
    """Pass over what a parser tells; gives the element that began first."""
    first: ET.Element | None = None
    events: Iterator[Any] = pull.read_events()
    for _, element in events:
        if first is None:
            first = element
    return first


def _check_form(data: bytes) -> None:
    """Raise ParseError for a document that is not well-formed, before anything is made of it."""
    try:
        expat.ParserCreate("utf-8", "}").Parse(data, _FINAL)
    except expat.ExpatError as error:
        fault = ET.ParseError(str(error))
        fault.code, fault.position = error.code, (error.lineno, error.offset)
        raise fault from None


def _parse(data: bytes) -> ET.Element:
    # The encoding given here overrides the declaration: expat meets UTF-8 only and never asks for a codec.
    parser = ET.XMLParser(encoding="utf-8")
    parser.feed(data)
    return parser.close()


def _repair(data: bytes, code: int) -> bytes | None:
    """Mend what OpenSIPS and others get wrong, names put in unescaped or in ISO-8859-1; None if it is not that."""
    # A repair could let the parser reach a document type declaration behind the mistake.
    if code not in (_INVALID_TOKEN, _UNDEFINED_ENTITY) or b"<!DOCTYPE" in data:
        return None
    mended = data
    try:
        mended.decode("utf-8")
    except UnicodeDecodeError:
        mended = mended.decode("iso-8859-1").encode("utf-8")
    if b"<![CDATA[" not in mended:
        mended = _BARE_AMPERSAND.sub(b"&amp;", mended)
    return None if mended == data else mended


def _check_bounds(tree: XmlTree, limits: Limits) -> None:
    data = tree.data
    tags = 2 * limits.xml_elements + _MARKUP_BESIDE_ELEMENTS
    if len(data) > tags and data.count(b"<") > tags:
        _refuse(tree, "metadata-too-large", f"more than {limits.xml_elements} elements")
        return
    if len(data) > _MANY_QUOTES and data.count(b'"') + data.count(b"'") > _MANY_QUOTES:
        # An attribute value holds no `<`, so the expression looks at each tag once and never goes back.
        crowded = rb"<[^!?/<>][^<>\"']*+(?:%b[^<>\"']*+){%d}" % (_QUOTED, limits.xml_attributes + 1)
        if re.search(crowded, data):
            _refuse(tree, "metadata-too-large", f"an element with more than {limits.xml_attributes} attributes")
            return
    # XML 1.0 production 28 lets a declaration begin with these very octets only.
    if b"<!DOCTYPE" in data:
        place = _doctype_place(data)
        if place is not None:
            message = "a document type declaration is refused"
            _refuse(tree, "metadata-doctype", message, *tree.shift(*place))


_MANY_QUOTES = 4_096
"""Below it, attributes cost too little to be counted before the tree is built; the reader of the tree counts them."""
_MARKUP_BESIDE_ELEMENTS = 1_000
"""Comments, processing instructions and CDATA sections that a document may have beside its tags."""


def _refuse(tree: XmlTree, code: str, message: str, line: int | None = None, column: int | None = None) -> None:
    tree.error = RemoteProtocolError(message, field="metadata", line=line, column=column)
    tree.findings.append(finding(code, "document", message, line=line, column=column))


def _doctype_place(data: bytes) -> tuple[int, int] | None:
    """Give the place of a document type declaration, None when what looks like one is text or a comment."""
    parser = DefusedXMLParser(target=_StopAtRoot(), encoding="utf-8", forbid_dtd=True)
    try:
        parser.feed(data)
    except DTDForbidden:
        # Expat stands behind the name by now.
        start = data.rfind(b"<!DOCTYPE", 0, parser.parser.CurrentByteIndex)
        before = data[data.rfind(b"\n", 0, start) + 1 : start]
        return data.count(b"\n", 0, start) + 1, len(before.decode("utf-8", "replace")) + 1
    except (_Found, ET.ParseError):
        # The root has begun; or broken before a declaration: the parser of the tree stops at the same octet.
        return None
    return None


class _StopAtRoot(ET.TreeBuilder):
    """A declaration can stand only before the root element (XML 1.0 production 22)."""

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        """Stop at the first element."""
        raise _Found


def _places(data: bytes, wanted: set[Place]) -> dict[Place, tuple[int, int]]:
    """Find the places in one pass that ends with the last of them."""
    parser = expat.ParserCreate("utf-8")
    places: dict[Place, tuple[int, int]] = {}
    number, index, depth = -1, 0, 0

    def start(_name: str, _attributes: object) -> None:
        nonlocal number, index, depth
        if depth == 1:
            number, index = number + 1, 0
        elif depth:
            index += 1
        depth += 1
        if (number, index) in wanted:
            places[number, index] = (parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)
            if len(places) == len(wanted):
                raise _Found

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        parser.Parse(data, _FINAL)
    except (_Found, expat.ExpatError):
        return places
    return places
