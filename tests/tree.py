"""The source tree as the tests of the house rules see it: modules, their syntax trees and what they import."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
PACKAGES = ("siprec_core", "siprec_sync", "siprec_anyio", "siprec")


@dataclass(frozen=True)
class Module:
    """One module of `src`."""

    name: str
    """Dotted name; a package's own name for its `__init__.py`."""
    path: Path
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def folder(self) -> str:
        """The dotted name of the folder that the file lies in."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def package(self) -> str:
        """The top package."""
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Import:
    """One imported module, ours or not."""

    target: str
    """The module that is imported: `a.b` for `from a import b` when `a.b` is a module of ours, else `a`."""
    line: int
    lazy: bool
    """True within a function."""


def parse(name: str, path: Path) -> Module:
    return Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path)))


@cache
def modules() -> dict[str, Module]:
    """Give all modules of `src` by name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((SRC / package).rglob("*.py")):
            parts = path.relative_to(SRC).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = parse(name, path)
    return found


def core_modules() -> dict[str, Module]:
    return {name: module for name, module in modules().items() if module.package == "siprec_core"}


def imports(module: Module, known: frozenset[str] | None = None) -> Iterator[Import]:
    """Give every import of a module, those within functions and under TYPE_CHECKING included.

    `known` names the modules of ours (default: all of `src`). A relative import gives a target that starts with a dot.
    """
    ours = frozenset(modules()) if known is None else known
    yield from _imports(module.tree, ours, lazy=False)


def _imports(node: ast.AST, ours: frozenset[str], *, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, lazy)
        elif isinstance(child, ast.ImportFrom):
            base = "." * child.level + (child.module or "")
            for alias in child.names:
                whole = f"{base}.{alias.name}"
                yield Import(whole if whole in ours else base, child.lineno, lazy)
        else:
            inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, ours, lazy=inside)


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(module: Module) -> Iterator[Function]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def classes(module: Module) -> Iterator[ast.ClassDef]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            yield node


def line_count(node: Function | ast.ClassDef) -> int:
    """Lines from `def` or `class` to the last line, docstring included."""
    return (node.end_lineno or node.lineno) - node.lineno + 1
