"""Every requirement that we claim is proved by a test that names it, or is a deviation with its reason."""

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from tests.requirements import Deviation, Mark, Requirement, deviations, marks, requirements

COMPLETE = (
    "7866-6*",
    "7866-7*",
    "7866-9*",
    "7865-*",
    "9806-2*",
    "8068-*",
    "3264-*",
    "8866-*",
    "3261-*",
    "4475-*",
    "6026-*",
    "4320-*",
    "3581-*",
    "3263-*",
    "5626-*",
    "5923-*",
    "5922-*",
    "7118-*",
    "3262-*",
    "3311-*",
    "4028-*",
    "3326-*",
    "6086-*",
    "3840-*",
    "3841-*",
    "7989-*",
    "3325-*",
    "6141-*",
    "5057-*",
    "5621-*",
    "2045-*",
    "2046-*",
    "8760-*",
    "7616-*",
    "7866-8*",
    "3550-*",
    "5761-*",
    "7983-*",
    "3711-*",
    "4568-*",
    "3551-*",
    "4733-*",
)
"""Families of which every line that speaks to a recording server or client is proved or deviated from."""

PARTLY = frozenset(
    {
        "3711-5-a",
        "3261-8.2-a",
        "3261-8.2.3-a",
        "3261-12.1.1-b",
        "3261-18-a",
        "3261-18.1.1-b",
        "3261-18.2.2-a",
        "3261-21-b",
        "4475-3.1.2-a",
        "4475-3.3-a",
        "5626-4.4-a",
        "5923-8-a",
        "7866-6.2-a",
        "7866-7.1.1-g",
    }
)
"""Ids that a test proves as far as we go, and that the page of deviations limits."""


@cache
def marked() -> tuple[Mark, ...]:
    return tuple(marks())


def test_marks_name_requirements_that_exist() -> None:
    known = requirements()
    assert [f"{mark.test} names {mark.id}" for mark in marked() if mark.id not in known] == []


def test_no_test_names_a_requirement_twice() -> None:
    pairs = [(mark.id, mark.test) for mark in marked()]
    assert sorted({pair for pair in pairs if pairs.count(pair) > 1}) == []


def test_deviations_are_of_requirements_that_exist() -> None:
    assert deviations().keys() <= requirements().keys()


def test_nothing_is_both_proved_and_deviated_from() -> None:
    assert {mark.id for mark in marked()} & deviations().keys() == PARTLY


@pytest.mark.parametrize("family", COMPLETE)
def test_every_requirement_of_a_complete_family_is_proved_or_a_deviation(family: str) -> None:
    family_lines = [line for line in requirements().values() if fnmatchcase(line.id, family)]
    assert family_lines
    settled = {mark.id for mark in marked()} | deviations().keys()
    open_lines = [line for line in family_lines if line.ours and line.id not in settled]
    assert [f"{line.id}: {line.rule}" for line in open_lines] == []


# ---- the readers themselves


def test_a_rule_may_hold_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("# id | role | level | section | rule\n\n1-2.3-a | both | MUST | §2.3 | `on` | `off`\n")
    assert requirements(path) == {"1-2.3-a": Requirement("1-2.3-a", "both", "MUST", "§2.3", "`on` | `off`")}


@pytest.mark.parametrize("text", ["1-a | both | MUST | §1\n", "words\n", "1-a | b | c | d | e\n1-a | b | c | d | e\n"])
def test_lines_that_are_no_requirements_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"requirements\.txt:"):
        requirements(path)


def test_source_and_role_of_a_requirement() -> None:
    assert Requirement("3261-7-a", "both", "", "", "").source == "RFC 3261"
    assert Requirement("INT-01", "SRS", "", "", "").source == "INT"
    assert not Requirement("7866-6.3-a", "UA(CS)", "", "", "").ours


def test_the_table_of_deviations_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deviations.md"
    path.write_text("text | a | b\n\n| id | what we do | why |\n|---|---|---|\n| `7118-a` | UDP \\| TCP | no |\n")
    assert deviations(path) == {"7118-a": Deviation("7118-a", r"UDP \| TCP", "no")}


@pytest.mark.parametrize("rows", ["| 1-a | x |\n", "| 1-a | x | |\n", "| 1-a | x | y |\n| 1-a | x | y |\n"])
def test_broken_rows_of_deviations_are_refused(rows: str, tmp_path: Path) -> None:
    path = tmp_path / "deviations.md"
    path.write_text(rows)
    with pytest.raises(ValueError, match=r"deviations\.md:"):
        deviations(path)


_TESTS = """
import pytest

@pytest.mark.timeout(1)
@pytest.mark.requirement("1-a", "1-b")
def test_one() -> None: ...

@pytest.mark.requirement("1-a")
async def test_two() -> None: ...
"""


def test_marks_are_read_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "test_x.py").write_text(_TESTS)
    place = f"{tmp_path.name}/inner/test_x.py"
    assert marks(tmp_path) == [
        Mark("1-a", f"{place}::test_one", 5),
        Mark("1-b", f"{place}::test_one", 5),
        Mark("1-a", f"{place}::test_two", 8),
    ]


@pytest.mark.parametrize(
    "source",
    [
        'pytestmark = pytest.mark.requirement("1-a")',
        '@pytest.mark.requirement("1-a")\ndef not_a_test() -> None: ...',
        "@pytest.mark.requirement(NAME)\ndef test_a() -> None: ...",
    ],
)
def test_marks_in_odd_places_are_refused(source: str, tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(source)
    with pytest.raises(ValueError, match=r"test_x\.py:"):
        marks(tmp_path)
