"""The directive `conformance`: per RFC a table of what it asks, and of the tests that prove it."""

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from tests.requirements import DEVIATIONS, REQUIREMENTS, Deviation, Requirement, deviations, marks, requirements
from tests.tree import ROOT

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

_COLUMNS = (("id", 13), ("role", 7), ("level", 10), ("rule", 40), ("proved by", 30))


class Conformance(SphinxDirective):
    """Gives a count and the tables; takes no argument."""

    def run(self) -> list[nodes.Node]:
        """Make one section with one table for each RFC, in the order of their first lines."""
        for path in (REQUIREMENTS, DEVIATIONS):
            self.env.note_dependency(str(path))
        tests: dict[str, list[str]] = defaultdict(list)
        for mark in marks():
            tests[mark.id].append(mark.test)
            self.env.note_dependency(str(ROOT / mark.test.partition("::")[0]))
        deviated = deviations()
        lines = list(requirements().values())
        first = {source: i for i, source in reversed(list(enumerate(line.source for line in lines)))}
        lines.sort(key=lambda line: first[line.source])
        made: list[nodes.Node] = [_count(lines, tests, deviated)]
        for source, group in groupby(lines, key=lambda line: line.source):
            section = nodes.section(ids=[nodes.make_id(source)], names=[source])
            section += nodes.title(text=source)
            section += _table(list(group), tests, deviated)
            made.append(section)
        return made


def _count(lines: list[Requirement], tests: dict[str, list[str]], deviated: dict[str, Deviation]) -> nodes.paragraph:
    ours = [line for line in lines if line.ours]
    proved = sum(line.id in tests for line in ours)
    left_out = sum(line.id in deviated for line in ours)
    text = f"Of {len(ours)} lines that speak to a recording server or client {proved} are proved by tests"
    return nodes.paragraph(text=f"{text} and {left_out} are deviations.")


def _table(lines: list[Requirement], tests: dict[str, list[str]], deviated: dict[str, Deviation]) -> nodes.table:
    group = nodes.tgroup(cols=len(_COLUMNS))
    group += [nodes.colspec(colwidth=width) for _, width in _COLUMNS]
    head = nodes.thead()
    head += _row(*([nodes.paragraph(text=title)] for title, _ in _COLUMNS))
    body = nodes.tbody()
    for line in lines:
        name = nodes.paragraph()
        name += nodes.literal(text=line.id, ids=[nodes.make_id(f"r-{line.id}")])
        rule = nodes.paragraph(text=f"{line.section}: {line.rule}")
        proof: list[nodes.Node] = [_test(test) for test in tests.get(line.id, ())]
        if line.id in deviated:
            proof.append(_deviation(deviated[line.id]))
        body += _row([name], [nodes.paragraph(text=line.role)], [nodes.paragraph(text=line.level)], [rule], proof)
    group += [head, body]
    table = nodes.table()
    table += group
    return table


def _test(test: str) -> nodes.paragraph:
    paragraph = nodes.paragraph()
    paragraph += nodes.literal(text=test.removeprefix("tests/"))
    return paragraph


def _deviation(deviation: Deviation) -> nodes.paragraph:
    paragraph = nodes.paragraph()
    paragraph += nodes.emphasis(text="deviation: ")
    paragraph += nodes.Text(f"{deviation.practice} {deviation.reason}")
    return paragraph


def _row(*cells: list[nodes.Node]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += cell
        row += entry
    return row


def setup(app: "Sphinx") -> "ExtensionMetadata":
    """Register the directive with Sphinx."""
    app.add_directive("conformance", Conformance)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
