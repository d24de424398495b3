"""The header fields of a message or body part: ordered, looked up without regard to case or compact form."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from siprec_core.errors import LocalProtocolError
from siprec_core.sip.grammar import BLANKS, is_token, split_list
from siprec_core.sip.header_names import NOT_A_LIST, USUAL_SPELLINGS, canonical_name

ViewT = TypeVar("ViewT")

_UNWRITABLE = re.compile("[\r\n\ud800-\udc7f\udd00-\udfff]|(?<!\\\\)\x00")


class Headers:
    """Ordered header fields.

    Values are text in UTF-8 with `surrogateescape`, so that any octets survive. Values that would end a line (CR, LF)
    or that cannot be written (NUL, other surrogates) are refused when they are set; a NUL behind a backslash is part of
    a quoted string of the peer's (RFC 4475 section 3.1.1.2) and may be copied.
    """

    __slots__ = ("_fields", "_index", "_views")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: list[tuple[str, str]] = []
        self._index: dict[str, list[str]] | None = None
        self._views: dict[tuple[str, str], Any] = {}
        for name, value in fields:
            self.add(name, value)

    @classmethod
    def from_parsed(cls, fields: list[tuple[str, str]], index: dict[str, list[str]] | None = None) -> "Headers":
        """Take over fields whose names are canonical and whose values are known to be writable.

        `index` holds the values by `key_of` their name.
        """
        made = cls.__new__(cls)
        made._fields = fields
        made._index = index  # noqa: SLF001 - an object of this class
        made._views = {}  # noqa: SLF001
        return made

    def __len__(self) -> int:
        return len(self._fields)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and key_of(name) in self._indexed()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"

    def copy(self) -> "Headers":
        """Give an independent copy."""
        return Headers.from_parsed(self._fields.copy())

    def get(self, name: str) -> str | None:
        """Give the value of the first field of that name, None when there is none."""
        index = self._index
        if index is None:
            index = self._indexed()
        # Keys of the index that are known names are canonical, as most callers write them.
        values = index.get(name) or index.get(key_of(name))
        return values[0] if values else None

    def get_all(self, name: str) -> list[str]:
        """Give the values of all fields of that name in order, as they stand."""
        return self._indexed().get(key_of(name), []).copy()

    def count(self, name: str) -> int:
        """Give how many entries a list field has at most (commas in quotes count too); costs less than `values`."""
        values = self._indexed().get(key_of(name))
        return 0 if values is None else len(values) + sum([value.count(",") for value in values])

    def values(self, name: str) -> list[str]:
        """Give the entries of a list field over all fields of that name, in order (RFC 3261 section 7.3.1)."""
        key = key_of(name)
        values = self._indexed().get(key, [])
        if key in NOT_A_LIST:
            return values.copy()
        return [entry for value in values for entry in split_list(value)]

    def view(self, name: str, kind: str, read: Callable[["Headers"], ViewT]) -> ViewT:
        """Give `read(self)`, kept until a field of the canonical `name` is written; `kind` tells several apart.

        Raises what `read` raises, and then keeps nothing.
        """
        views = self._views
        key = (name, kind)
        if key in views:
            known: ViewT = views[key]
            return known
        made = views[key] = read(self)
        return made

    def keep_view(self, name: str, kind: str, made: object) -> None:
        """Keep for `view` what has been read already."""
        self._views[name, kind] = made

    def add(self, name: str, value: str) -> None:
        """Append a field. Raises LocalProtocolError for a name or value that cannot be written."""
        self._insert(len(self._fields), name, value)

    def insert_first(self, name: str, value: str) -> None:
        """Put a field before all others of its name, or at the very front (a new Via; RFC 3261 section 18.1.1)."""
        at = self._place(name)
        self._insert(at if at < len(self._fields) else 0, name, value)

    def set(self, name: str, value: str) -> None:
        """Replace all fields of that name by one, at the place of the first or at the end."""
        self.set_all(name, (value,))

    def set_all(self, name: str, values: Iterable[str]) -> None:
        """Replace all fields of that name, at the place of the first or at the end."""
        key = key_of(name)
        written = [(canonical_name(name), _writable(name, value)) for value in values]
        first = self._place(name)
        self._fields = (
            self._fields[:first] + written + [item for item in self._fields[first:] if key_of(item[0]) != key]
        )
        self._forget(key)

    def replace_first(self, name: str, value: str) -> None:
        """Replace the first entry of a list field and leave all others as they stand, malformed ones too.

        Without a field of that name one is added.
        """
        at = self._place(name)
        if at == len(self._fields):
            self.add(name, value)
            return
        entries = split_list(self._fields[at][1])
        written = (canonical_name(name), _writable(name, value))
        others = [(written[0], entry) for entry in entries[1:]]
        self._fields[at : at + 1] = [written, *others]
        self._forget(key_of(name))

    def _place(self, name: str) -> int:
        key = key_of(name)
        return next((i for i, (known, _) in enumerate(self._fields) if key_of(known) == key), len(self._fields))

    def remove(self, name: str) -> None:
        """Take away all fields of that name; none is no error."""
        key = key_of(name)
        self._fields = [item for item in self._fields if key_of(item[0]) != key]
        self._forget(key)

    def _insert(self, at: int, name: str, value: str) -> None:
        self._fields.insert(at, (canonical_name(name), _writable(name, value)))
        self._forget(key_of(name))

    def _forget(self, key: str) -> None:
        self._index = None
        if self._views:
            for known in [known for known in self._views if known[0] == key]:
                del self._views[known]

    def _indexed(self) -> dict[str, list[str]]:
        index = self._index
        if index is None:
            index = self._index = {}
            for name, value in self._fields:
                index.setdefault(key_of(name), []).append(value)
        return index


def key_of(name: str) -> str:
    """Give what equal names have in common: the canonical name of a known field, else the name in lower case."""
    return USUAL_SPELLINGS.get(name) or USUAL_SPELLINGS.get(name.lower()) or name.lower()


def _writable(name: str, value: str) -> str:
    if name not in USUAL_SPELLINGS and not is_token(name):
        raise LocalProtocolError(f"{name!r} is not a header field name")
    # Of the characters that cannot be written none is printable, and of ASCII that is quickly told.
    if not (value.isascii() and value.isprintable()) and _UNWRITABLE.search(value) is not None:
        raise LocalProtocolError(f"the value of {name} holds CR, LF, NUL or text that is no Unicode")
    return value.strip(BLANKS)
