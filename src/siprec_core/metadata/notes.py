"""What is told about one document: each kind of deviation once, at the first place where it occurs."""

from siprec_core.findings import Finding, FindingLog, finding
from siprec_core.metadata.origins import Place
from siprec_core.metadata.xml_tree import XmlTree


class Notes:
    """The findings of one document. Line and column are looked up when all of them are there."""

    __slots__ = ("_limit", "_noted", "_pending", "_tree")

    def __init__(self, tree: XmlTree, limit: int) -> None:
        """`limit` bounds the findings."""
        self._tree = tree
        self._limit = limit
        self._noted: set[tuple[str, str]] = set()
        self._pending: list[tuple[str, str, str | None, Place | None]] = []

    def is_new(self, code: str, where: str) -> bool:
        """Tell whether a code has not been noted for a place in the form."""
        return (code, where) not in self._noted

    def note(self, code: str, where: str, message: str | None = None, place: Place | None = None, /) -> None:
        """Note a deviation once for each code and place in the form."""
        if (code, where) not in self._noted:
            self._noted.add((code, where))
            if len(self._pending) < self._limit:
                self._pending.append((code, where, message, place))

    def findings(self) -> tuple[Finding, ...]:
        """Give all findings, those about the octets first, with their places."""
        if not self._pending:
            return tuple(self._tree.findings[: self._limit])
        places = self._tree.places(place for *_, place in self._pending if place is not None)
        log = FindingLog(self._limit)
        log.add(*self._tree.findings)
        for code, where, message, place in self._pending:
            line, column = (None, None) if place is None else places.get(place, (None, None))
            log.add(finding(code, where, message, line=line, column=column))
        return tuple(log.findings)
