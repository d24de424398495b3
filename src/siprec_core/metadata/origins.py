"""Where the objects of a document came from, and how what is wrong with them is told."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Note(Protocol):
    """Takes a finding: code, place in the form, message, and the element for its line."""

    def __call__(self, code: str, where: str, message: str | None = None, element: ET.Element | None = None, /) -> None:
        """Take one."""


@dataclass(slots=True)
class Origins:
    """The elements that the objects of a document were read from, by element name, in order."""

    elements: dict[str, Sequence[ET.Element]] = field(default_factory=dict)

    def of(self, name: str, index: int) -> ET.Element | None:
        """Give the element of the object with that index, None for an object that no element stands for."""
        elements = self.elements.get(name, ())
        return elements[index] if index < len(elements) else None


def shown(text: str) -> str:
    """Give an id fit for a message."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
