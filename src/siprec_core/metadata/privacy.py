"""What of the metadata may be stored: each element is kept, dropped or replaced by a keyed hash.

RFC 7865 section 10: the recording server "MUST NOT" record metadata that its policy does not ask for. A filter is plain
data, rules by element. It works on the document as the client wrote it, whatever its dialect, and gives a document of
the same dialect: everything that is stored is made from that one.

Names of rules are without prefix, letter case does not count:

- `name` for an element wherever it stands, `session/reason` for one within another;
- `nameID@aor` for an attribute; it covers the `aor` elements of older generations as well;
- `{http://example.com/x}` for all elements of a namespace;
- `extensions` for every other element that RFC 7865 does not have;
- `ids` for the ids of groups, sessions, participants and streams and all references to them: `keep` or `hash`.

The more exact rule counts. Without a rule the elements that hold a document together are kept (`STRUCTURE`), and of
everything else becomes what `default` says.
"""

import hmac
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.metadata.ids import id_key
from siprec_core.metadata.model import RECORDING_NAMESPACES, Attribute, Element
from siprec_core.metadata.vocabulary import folded_name, split_tag
from siprec_core.metadata.writer import UNKNOWN_AOR, write_tree
from siprec_core.metadata.xml_tree import parse_xml


class FilterAction(StrEnum):
    """What becomes of an element or attribute."""

    KEEP = "keep"
    DROP = "drop"
    HASH = "hash"
    """Replaced by an HMAC-SHA256 of the text: the same text gives the same hash, and nobody without the key can
    find the text."""


STRUCTURE: Final = frozenset(
    {
        "recording",
        "recording_metadata",
        "requestsnapshot",
        "datamode",
        "group",
        "group-ref",
        "session",
        "participant",
        "nameid",
        "stream",
        "label",
        "sessionrecordingassoc",
        "participantsessionassoc",
        "participantstreamassoc",
        "send",
        "recv",
        "id",
    }
)
"""Elements in lower case that are kept without a rule: without them nobody could tell which audio is whose."""
_IDS: Final = frozenset(
    {"group_id", "session_id", "participant_id", "stream_id", "id", "streamid", "session", "participant", "group"}
)
"""Attributes that are ids or refer to one."""
_ID_TEXTS: Final = frozenset({"send", "recv", "group-ref", "id"})
_TEXTS: Final = _ID_TEXTS | {"datamode", "label"}
"""Elements of the structure that have a text."""
_WITH_ELEMENT: Final = frozenset(
    {
        "datamode",
        "label",
        "media_label",
        "cause",
        "protocol",
        "pname",
        "pval",
        "{http://www.w3.org/XML/1998/namespace}lang",
    }
)
"""Attributes that share the fate of their element."""
_ALIASES: Final = {"end-time": "stop-time"}
_SHORTEST_KEY: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataFilter:
    """A policy on what is stored."""

    rules: Mapping[str, FilterAction]
    """By name in lower case."""
    default: FilterAction = FilterAction.KEEP
    """What becomes of elements without a rule that are no structure: `keep` or `drop`."""
    other_parts: FilterAction = FilterAction.KEEP
    """What becomes of body parts that are neither SDP nor metadata: `keep` or `drop`."""
    key: bytes = b""
    """Secret of the hashes, at least 16 octets."""

    def __post_init__(self) -> None:
        """Raise ConfigurationError for rules that cannot be."""
        for name, action in (("default", self.default), ("other_parts", self.other_parts)):
            if action is FilterAction.HASH:
                raise ConfigurationError(f"metadata filter: {name} is keep or drop")
        if self.rules.get("ids") is FilterAction.DROP:
            raise ConfigurationError("metadata filter: ids is keep or hash, without ids nothing can be told apart")
        for name in self.rules:
            if name != name.lower() or not name.strip("{}@/ "):
                raise ConfigurationError(f"metadata filter: {name!r} is no name of a rule")
        if FilterAction.HASH in self.rules.values() and len(self.key) < _SHORTEST_KEY:
            raise ConfigurationError(f"metadata filter: hashes need a key of at least {_SHORTEST_KEY} octets")

    @classmethod
    def from_plain(cls, plain: Mapping[str, object], *, key: bytes = b"") -> Self:
        """Make a filter from plain data: `default`, `other-parts` and the table `elements` of names and actions.

        Raises ConfigurationError for anything else.
        """
        unknown = plain.keys() - {"default", "other-parts", "elements"}
        if unknown:
            raise ConfigurationError(f"metadata filter: {min(unknown)!r} is unknown")
        elements = plain.get("elements", {})
        if not isinstance(elements, Mapping):
            raise ConfigurationError("metadata filter: elements is a table of names and actions")
        return cls(
            # A namespace is compared as it is written, but for its letter case.
            rules={str(name).lower(): _action(str(name), action) for name, action in elements.items()},
            default=_action("default", plain.get("default", "keep")),
            other_parts=_action("other-parts", plain.get("other-parts", "keep")),
            key=key,
        )

    def apply(self, data: bytes | memoryview, *, limits: Limits, charset: str | None = None) -> bytes:
        """Give a metadata body with everything taken out that may not be stored.

        It is empty for a body that cannot be read: what cannot be understood cannot be filtered. Never raises.
        """
        root = parse_xml(data, limits=limits, charset=charset, whole=True).root
        if root is None:
            return b""
        filtering = _Filtering(self, limits.xml_depth, split_tag(root.tag)[0])
        try:
            return write_tree(filtering.element(root, 1), ascii_only=charset is not None)
        except LocalProtocolError:
            return b""


def _action(name: str, value: object) -> FilterAction:
    for action in FilterAction:
        if value == action.value:
            return action
    raise ConfigurationError(f"metadata filter: {name} is keep, drop or hash, not {value!r}")


class _Filtering:
    """One document on its way through a filter."""

    __slots__ = ("_depth", "_key", "_own", "_policy")

    def __init__(self, policy: MetadataFilter, depth: int, namespace: str | None) -> None:
        """`namespace` is that of the root."""
        self._policy = policy
        self._own = RECORDING_NAMESPACES | {namespace, None}
        self._key = policy.key
        self._depth = depth

    def element(self, element: ET.Element, depth: int) -> Element:
        """Copy an element that is kept, with what may be kept of its content."""
        namespace, name = _names(element)
        text = element.text or ""
        if len(element) or (name in STRUCTURE and name not in _TEXTS):
            # Text between elements has no meaning in RFC 7865; nobody can say what it tells.
            text = ""
        elif name in _ID_TEXTS and self._rule("ids") is FilterAction.HASH and text.strip():
            text = self._hashed_id(text)
        children = self._children(element, name, depth) if depth < self._depth else []
        if name == "participant" and not any(child.name.lower() == "nameid" for child in children):
            if any(_names(child)[1] == "nameid" for child in element):
                children.insert(0, Element(namespace, "nameID", (Attribute(None, "aor", UNKNOWN_AOR),)))
        return Element(namespace, split_tag(element.tag)[1], self._attributes(element, name), text, tuple(children))

    def _children(self, element: ET.Element, name: str, depth: int) -> list[Element]:
        children = []
        for child in element:
            action = self._action_of(child, name)
            if action is FilterAction.DROP:
                continue
            if action is FilterAction.HASH:
                children.append(self._hashed(child, depth + 1))
            elif self._is_own(child):
                children.append(self.element(child, depth + 1))
            else:
                children.append(self._kept(child, depth + 1))
        return children

    def _action_of(self, element: ET.Element, parent: str) -> FilterAction:
        namespace, name = _names(element)
        own = self._is_own(element)
        rule = self._rule(f"{parent}/{name}") or self._rule(name)
        if rule is None and name == "aor":
            rule = self._rule("nameid@aor")
        if rule is None and not own:
            rule = self._rule(f"{{{(namespace or '').lower()}}}") or self._rule("extensions")
        if rule is not None:
            return rule
        return FilterAction.KEEP if own and name in STRUCTURE else self._policy.default

    def _attributes(self, element: ET.Element, name: str) -> tuple[Attribute, ...]:
        kept = []
        for key, value in element.attrib.items():
            namespace, local = split_tag(key)
            action = self._rule(f"{name}@{local.lower()}")
            if local.lower() in _IDS and namespace is None:
                action = self._rule("ids") or FilterAction.KEEP
                value = self._hashed_id(value) if action is FilterAction.HASH and value.strip() else value
            elif action is None:
                action = FilterAction.KEEP if key.lower() in _WITH_ELEMENT else self._policy.default
                if action is FilterAction.DROP and (name, local) == ("nameid", "aor"):
                    value, action = UNKNOWN_AOR, FilterAction.KEEP
            elif local.lower() == "aor":
                value = UNKNOWN_AOR if action is FilterAction.DROP else self._hashed_aor(value, action)
                action = FilterAction.KEEP
            elif action is FilterAction.HASH:
                value = self._hash(value)
            if action is not FilterAction.DROP:
                kept.append(Attribute(namespace, local, value))
        return tuple(kept)

    def _kept(self, element: ET.Element, depth: int, *, tail: bool = False) -> Element:
        """Copy an extension; rules about elements within it count."""
        namespace, name = split_tag(element.tag)
        children = []
        for child in element if depth < self._depth else ():
            action = self._rule(f"{name.lower()}/{_names(child)[1]}") or self._rule(_names(child)[1])
            if action is FilterAction.HASH:
                children.append(self._hashed(child, depth + 1))
            elif action is not FilterAction.DROP:
                children.append(self._kept(child, depth + 1, tail=True))
        attributes = []
        for key, value in element.attrib.items():
            space, local = split_tag(key)
            action = self._rule(f"{name.lower()}@{local.lower()}")
            if name.lower() == "extensiondata" and local in ("id", "parent") and action is None:
                # BroadWorks: the ids of this element and of the object that it is about.
                value = self._hashed_id(value) if self._rule("ids") is FilterAction.HASH else value
            if action is not FilterAction.DROP:
                attributes.append(Attribute(space, local, self._hash(value) if action is FilterAction.HASH else value))
        behind = (element.tail or "") if tail else ""
        return Element(namespace, name, tuple(attributes), element.text or "", tuple(children), behind)

    def _hashed(self, element: ET.Element, depth: int) -> Element:
        """Copy a subtree with every text and attribute value hashed."""
        namespace, name = split_tag(element.tag)
        text = element.text or ""
        if text.strip():
            text = self._hashed_aor(text, FilterAction.HASH) if name.lower() == "aor" else self._hash(text)
        children = [self._hashed(child, depth + 1) for child in element] if depth < self._depth else []
        attributes = []
        for key, value in element.attrib.items():
            space, local = split_tag(key)
            if key.lower() not in _WITH_ELEMENT:
                value = self._hashed_aor(value, FilterAction.HASH) if local == "aor" else self._hash(value)
            attributes.append(Attribute(space, local, value))
        return Element(namespace, name, tuple(attributes), text, tuple(children))

    def _is_own(self, element: ET.Element) -> bool:
        """Tell whether RFC 7865 or one of the formats before it has the element."""
        namespace, name = split_tag(element.tag)
        return namespace in self._own and (folded_name(name) is not None or name.lower() in STRUCTURE)

    def _rule(self, name: str) -> FilterAction | None:
        return self._policy.rules.get(name)

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._key, text.strip().encode("utf-8", "surrogatepass"), "sha256")[:16]

    def _hash(self, text: str) -> str:
        return self._digest(text).hex()

    def _hashed_aor(self, text: str, action: FilterAction) -> str:
        return f"sip:{self._hash(text)}@hashed.invalid" if action is FilterAction.HASH else text

    def _hashed_id(self, text: str) -> str:
        """Give an id of the form of RFC 7865 section 6.10: a UUID of version 8 (RFC 9562), ours alone to make."""
        octets = bytearray(self._digest(id_key(text.strip())))
        octets[6] = octets[6] & 0x0F | 0x80
        octets[8] = octets[8] & 0x3F | 0x80
        return b64encode(octets).decode("ascii")


def _names(element: ET.Element) -> tuple[str | None, str]:
    """Give namespace and name, the name in lower case and of the RFC where a dialect has another."""
    namespace, name = split_tag(element.tag)
    folded = name.lower()
    return namespace, _ALIASES.get(folded, folded)
