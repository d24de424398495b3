"""Where the objects of a document came from, and how what is wrong with them is told.

A document may be larger than its element tree should ever be, so an object does not hold on to its element: a place is
a pair of numbers, from which line and column are found when a finding needs them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

Place: TypeAlias = tuple[int, int]
"""Number of a child of the root element, from 0, and number of an element within it in document order, 0 for itself."""
ROOT: Final[Place] = (-1, 0)


class Note(Protocol):
    """Takes a finding: code, place in the form, message, and the place in the document for its line."""

    def __call__(self, code: str, where: str, message: str | None = None, place: Place | None = None, /) -> None:
        """Take one."""


@dataclass(slots=True)
class Origins:
    """The children of the root that the objects of a document were read from, by element name, in order."""

    numbers: Mapping[str, Sequence[int]]

    def of(self, name: str, index: int) -> Place | None:
        """Give the place of the object with that index, None for an object that no element stands for."""
        numbers = self.numbers.get(name, ())
        return (numbers[index], 0) if index < len(numbers) else None


def shown(text: str) -> str:
    """Give an id fit for a message."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
