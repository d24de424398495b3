"""The directive `finding-codes`: a table of every finding that the software can make, from the registry itself."""

from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from siprec_core.finding_codes import REGISTRY

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

_COLUMNS = (("code", 25), ("severity", 10), ("rule", 15), ("meaning, and what to do", 50))


class FindingCodes(SphinxDirective):
    """Gives the table; takes no argument."""

    def run(self) -> list[nodes.Node]:
        """Make one row for each code, in the order of the codes."""
        group = nodes.tgroup(cols=len(_COLUMNS))
        group += [nodes.colspec(colwidth=width) for _, width in _COLUMNS]
        head = nodes.thead()
        head += _row(*(nodes.Text(title) for title, _ in _COLUMNS))
        body = nodes.tbody()
        for code, entry in sorted(REGISTRY.items()):
            text = entry.meaning + (f"; {entry.advice}" if entry.advice else "")
            name = nodes.literal(text=code, ids=[code])
            body += _row(name, nodes.Text(entry.severity.value), nodes.Text(entry.rfc), nodes.Text(text))
        group += [head, body]
        table = nodes.table()
        table += group
        return [table]


def _row(*cells: nodes.Node) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        paragraph = nodes.paragraph()
        paragraph += cell
        entry = nodes.entry()
        entry += paragraph
        row += entry
    return row


def setup(app: "Sphinx") -> "ExtensionMetadata":
    """Register the directive with Sphinx."""
    app.add_directive("finding-codes", FindingCodes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
