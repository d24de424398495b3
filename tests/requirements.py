"""What the RFCs ask, which tests prove it, and where we deviate: read from the files, without importing a test.

The manual's page on conformance and `tests/test_conformance.py` are both made from this.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.tree import ROOT

REQUIREMENTS = ROOT / "docs" / "reference" / "requirements.txt"
DEVIATIONS = ROOT / "docs" / "reference" / "deviations.md"

_MARK = "pytest.mark.requirement"
_ID = re.compile(r"[0-9A-Z]+-[\w.-]+")


@dataclass(frozen=True)
class Requirement:
    """One line of `requirements.txt`."""

    id: str
    """The RFC's number or INT (what peers in the field do), the section, a letter."""
    role: str
    """SRS, SRC, both, or UA(CS): the recording-aware user agent of the call that is recorded."""
    level: str
    section: str
    rule: str

    @property
    def source(self) -> str:
        """`RFC 3261`, or `INT`."""
        number = self.id.partition("-")[0]
        return f"RFC {number}" if number.isdigit() else number

    @property
    def ours(self) -> bool:
        """Whether it speaks to a recording server or client."""
        return self.role in ("SRS", "SRC", "both")


@dataclass(frozen=True)
class Deviation:
    """One row of the table in `deviations.md`."""

    id: str
    practice: str
    """What we do instead."""
    reason: str


@dataclass(frozen=True)
class Mark:
    """One requirement that one test names."""

    id: str
    test: str
    """`tests/core/sip/test_uas.py::test_name`, as pytest takes it."""
    line: int


def requirements(path: Path = REQUIREMENTS) -> dict[str, Requirement]:
    """Read all requirements by id, in the order of the file; ValueError for a line that is none or comes twice."""
    found: dict[str, Requirement] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        parts = line.split(" | ", 4)
        if len(parts) != 5 or _ID.fullmatch(parts[0]) is None or parts[0] in found:
            raise ValueError(f"{path.name}:{number}: {line[:60]}")
        found[parts[0]] = Requirement(*parts)
    return found


def deviations(path: Path = DEVIATIONS) -> dict[str, Deviation]:
    """Read the table `id | what we do | why`; ValueError for an id that comes twice or a row without its cells."""
    found: dict[str, Deviation] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        name = cells[0].strip("`")
        if not line.startswith("|") or _ID.fullmatch(name) is None:
            continue
        if len(cells) != 3 or not all(cells) or name in found:
            raise ValueError(f"{path.name}:{number}: {line[:60]}")
        found[name] = Deviation(name, cells[1], cells[2])
    return found


def marks(folder: Path = ROOT / "tests") -> list[Mark]:
    """Give every requirement that a test of `folder` names, in the order of files and lines.

    Raises ValueError for a mark that stands elsewhere than on a test, or whose ids are not plain strings.
    """
    found: list[Mark] = []
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if _MARK not in text:
            continue
        place = path.relative_to(folder.parent).as_posix()
        found += _marks_of(ast.parse(text, str(path)), place)
    return found


def _marks_of(tree: ast.Module, place: str) -> Iterator[Mark]:
    all_calls = {node for node in ast.walk(tree) if _is_mark(node)}
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or not function.name.startswith("test_"):
            continue
        for call in function.decorator_list:
            if isinstance(call, ast.Call) and _is_mark(call):
                all_calls.discard(call)
                for argument in call.args:
                    if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                        raise ValueError(f"{place}:{call.lineno}: an id is not a plain string")
                    yield Mark(argument.value, f"{place}::{function.name}", call.lineno)
    for stray in all_calls:
        raise ValueError(f"{place}:{getattr(stray, 'lineno', 0)}: the mark is not the decorator of a test")


def _is_mark(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == _MARK
