"""What one entry of the registry is."""

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How bad a finding is."""

    ERROR = "error"
    """Against a MUST, or information was lost."""
    WARNING = "warning"
    """Against a SHOULD, or tolerated with a guess."""
    INFO = "info"
    """Worth knowing."""


@dataclass(frozen=True, slots=True)
class FindingCode:
    """One entry of the registry."""

    code: str
    severity: Severity
    rfc: str
    """The rule, for example `RFC 7866 6.1.1`; empty when no RFC rules it."""
    meaning: str
    advice: str
