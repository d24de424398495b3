"""Parameters behind a semicolon: of header fields and of URIs (RFC 3261 section 7.3.1).

Order and spelling survive a round trip; names compare without regard to case.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Self

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.sip.grammar import BLANKS, QUOTED_STRING, TOKEN_CLASS, is_token, quote, unquote

_VALUE_CLASS = r'[^;", \t<>]'
PLAIN_PARAMETERS = rf"(?:;{TOKEN_CLASS}++(?:={_VALUE_CLASS}++)?+)*+"
"""Parameters in the form that nearly all senders use: no blanks, no quotes, nothing empty."""

_PLAIN = re.compile(PLAIN_PARAMETERS)
_PARAMETER = re.compile(
    rf"[ \t]*+;[ \t]*+(?:({TOKEN_CLASS}++)[ \t]*+(=[ \t]*+({QUOTED_STRING}|{_VALUE_CLASS}*+))?+)?+[ \t]*+", re.DOTALL
)
_BARE_VALUE = re.compile(rf"(?:{TOKEN_CLASS}|[:\[\]])+")
"""What may be written without quotes: a token or a host (RFC 3261 section 25.1, gen-value)."""

RawParameter = tuple[str, str | None]


class Parameters:
    """Immutable ordered parameters.

    A flag such as `lr` has no value: ask `name in parameters`. `get` and iteration give values without quotes and
    quoted pairs; writing gives back what was read.
    """

    __slots__ = ("_raw",)

    def __init__(self, items: Iterable[tuple[str, str | None]] = ()) -> None:
        self._raw: tuple[RawParameter, ...] = tuple((name, _encode(value)) for name, value in items)

    @classmethod
    def parse(
        cls, text: str, *, field: str = "parameters", findings: list[Finding] | None = None, forgive_empty: bool = True
    ) -> Self:
        """Read `;name=value;flag`, an empty text included.

        What is tolerated (an empty parameter, an empty value, a name given twice) is told in `findings`. Without
        `forgive_empty` an empty parameter raises, as everything else that is no parameter does: RemoteProtocolError.
        """
        if _PLAIN.fullmatch(text) is not None:
            return cls.split_plain(text, field=field, findings=findings)
        raw: list[RawParameter] = []
        text = text.strip(BLANKS)
        position = 0
        empty = False
        while position < len(text):
            match = _PARAMETER.match(text, position)
            if match is None or (match[1] is None and not forgive_empty):
                raise RemoteProtocolError("not a parameter", field=field, offset=position)
            position = match.end()
            name, assigned, value = match.groups()
            empty = empty or name is None or (assigned is not None and not value)
            if name is not None:
                raw.append((name, value or None))
        if empty and findings is not None:
            findings.append(finding("sip-parameter-empty", field))
        return cls._warned(cls.from_raw(raw), field, findings)

    @classmethod
    def split_plain(cls, text: str, *, field: str = "parameters", findings: list[Finding] | None = None) -> Self:
        """Read a text that the pattern `PLAIN_PARAMETERS` is known to match."""
        if not text:
            return cls.from_raw(())
        raw = []
        for item in text[1:].split(";"):
            name, assigned, value = item.partition("=")
            raw.append((name, value if assigned else None))
        made = cls.from_raw(raw)
        return made if findings is None or len(raw) < 2 else cls._warned(made, field, findings)

    @classmethod
    def from_raw(cls, raw: Iterable[RawParameter]) -> Self:
        """Make parameters of values in wire form, quotes included, that are known to be well-formed."""
        made = cls.__new__(cls)
        made._raw = tuple(raw)  # noqa: SLF001 - an object of this class
        return made

    @classmethod
    def _warned(cls, made: Self, field: str, findings: list[Finding] | None) -> Self:
        # RFC 3261 7.3.1: "any given parameter-name MUST NOT appear more than once"; the first one counts.
        if findings is not None and len({name.lower() for name, _ in made._raw}) != len(made._raw):
            findings.append(finding("sip-parameter-repeated", field))
        return made

    def __len__(self) -> int:
        return len(self._raw)

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        for name, value in self._raw:
            yield name, None if value is None else unquote(value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parameters):
            return NotImplemented
        return self._folded() == other._folded()

    def __hash__(self) -> int:
        return hash(self._folded())

    def __repr__(self) -> str:
        return f"Parameters({str(self)!r})"

    def __str__(self) -> str:
        return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self._raw)

    def _folded(self) -> tuple[RawParameter, ...]:
        return tuple((name.lower(), value) for name, value in self._raw)

    def _find(self, name: str) -> RawParameter | None:
        wanted = name.lower()
        for item in self._raw:
            if item[0] == wanted or item[0].lower() == wanted:
                return item
        return None

    def get(self, name: str) -> str | None:
        """Give the value of the first parameter of that name; None when it is absent or a flag."""
        item = self._find(name)
        return None if item is None or item[1] is None else unquote(item[1])

    def with_(self, name: str, value: str | None) -> Self:
        """Give a copy in which `name` has `value` (None: a flag), at its old place or at the end.

        Raises ValueError for a name that is no token.
        """
        if not is_token(name):
            raise ValueError(f"{name!r} is not a token")
        wanted = name.lower()
        replacement = (name, _encode(value))
        raw: list[RawParameter] = []
        placed = False
        for item in self._raw:
            if item[0].lower() != wanted:
                raw.append(item)
            elif not placed:
                raw.append(replacement)
                placed = True
        if not placed:
            raw.append(replacement)
        return self.from_raw(raw)

    def without(self, name: str) -> Self:
        """Give a copy that lacks every parameter of that name."""
        wanted = name.lower()
        return self.from_raw(item for item in self._raw if item[0].lower() != wanted)


def _encode(value: str | None) -> str | None:
    if value is None or _BARE_VALUE.fullmatch(value) is not None:
        return value
    return quote(value)


NO_PARAMETERS = Parameters()
"""The empty parameters, shared because they are immutable."""
