"""Findings: what a peer did that deserves a word.

A finding never stops a recording by itself. The codes are declared in `finding_codes`.
"""

from dataclasses import dataclass

from siprec_core.finding_codes import REGISTRY, FindingCode, Severity

__all__ = ["REGISTRY", "Finding", "FindingCode", "FindingLog", "Severity", "finding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One deviation at one place."""

    code: str
    severity: Severity
    where: str
    """The header field, SDP line, element or stream it is about."""
    message: str
    rfc: str
    line: int | None = None
    """Line from 1 within the document that `where` belongs to."""
    column: int | None = None
    """Column from 1."""

    def as_json(self) -> dict[str, object]:
        """Give the fields as `recording.json` and `inspect --json` show them."""
        fields: dict[str, object] = {
            "code": self.code,
            "severity": self.severity.value,
            "where": self.where,
            "message": self.message,
            "rfc": self.rfc,
        }
        if self.line is not None:
            fields["line"] = self.line
        if self.column is not None:
            fields["column"] = self.column
        return fields


class FindingLog:
    """Findings of one session or message, bounded: what is over the bound is counted."""

    __slots__ = ("_limit", "dropped", "findings")

    def __init__(self, limit: int = 1_000) -> None:
        self.findings: list[Finding] = []
        self.dropped = 0
        self._limit = limit

    def add(self, *findings: Finding) -> None:
        """Keep findings up to the bound."""
        for finding in findings:
            if len(self.findings) < self._limit:
                self.findings.append(finding)
            else:
                self.dropped += 1


def finding(
    code: str, where: str, message: str | None = None, *, line: int | None = None, column: int | None = None
) -> Finding:
    """Make a finding of a registered code; without `message` the code's meaning is the message.

    Raises KeyError for a code that is not registered: a programming error, never a peer's.
    """
    entry = REGISTRY[code]
    return Finding(
        code=code,
        severity=entry.severity,
        where=where,
        message=entry.meaning if message is None else message,
        rfc=entry.rfc,
        line=line,
        column=column,
    )
