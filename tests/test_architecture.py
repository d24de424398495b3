"""The rules of the house, checked on the syntax trees of `src` and on what an import of the core really loads.

Each rule is a function from modules to complaints, so that it is tried on the tree and, below, on code that breaks it.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import defusedxml
import pytest
import sortedcontainers

from siprec_core.finding_codes import REGISTRY
from siprec_core.limits import Limits
from tests.tree import (
    PACKAGES,
    ROOT,
    SRC,
    Module,
    classes,
    core_modules,
    functions,
    imports,
    line_count,
    modules,
)

FLOORS: dict[str, int] = {
    "": 7,  # the package itself, which only exports
    "server": 6,
    "client": 6,
    "waiting_client": 6,
    "recording": 5,
    "sip.endpoint": 4,
    "sip.doors": 4,
    "sip.endpoint_events": 4,
    "sip.called": 4,
    "sip.calling": 4,
    "sip.calls": 4,
    "sip.reaching": 4,
    "sip.changing": 4,
    "sip.invite": 4,
    "sip.dialog": 3,
    "sip.identity": 3,
    "sip.outgoing": 3,
    "sip.early": 3,
    "sdp.negotiation": 3,
    "sdp.offer": 3,
    "media.receiver": 3,
    "media.sender": 3,
    "sip.transport": 2,
    "sip.transaction": 2,
    "sip.transaction_layer": 2,
    "sip.authorisation": 2,
    "sip.locate": 2,
    "sip.locations": 2,
    "sip.reliable": 2,
    "sip.session_timer": 2,
    "sip.info": 2,
    "metadata.state": 2,
    "media": 2,
    "sip": 1,
    "sdp": 1,
    "rtp": 1,
    "metadata": 1,
    "codecs": 1,
    "containers": 1,
    "errors": 0,
    "types": 0,
    "limits": 0,
    "findings": 0,
    "format_parameters": 0,
    "finding_codes": 0,
    "machine": 0,
    "quick": 0,
    "timers": 0,
    "clock": 0,
    "entropy": 0,
}
"""Floor by module or folder below `siprec_core`; the longest matching name counts."""

# fmt: off
NEVER_LOADED = frozenset({
    "anyio", "asyncio", "concurrent.futures", "email", "logging", "multiprocessing", "queue", "random", "sched",
    "secrets", "select", "selectors", "socket", "ssl", "subprocess", "tempfile", "threading", "trio", "uuid",
    "uvloop", "xml.sax",
})
"""What the core must not even load through others (`os`, `io`, `time` belong to every interpreter)."""
FORBIDDEN_IN_CORE = NEVER_LOADED | {
    "concurrent", "ctypes", "importlib", "io", "os", "pathlib", "shutil", "signal", "socketserver", "time",
}
# fmt: on
FORBIDDEN_CALLS = frozenset({"open", "print", "input", "breakpoint", "exec", "eval", "__import__"})
FORBIDDEN_CLOCKS = frozenset({"now", "utcnow", "today"})

THIRD_PARTY: dict[str, frozenset[str]] = {
    "siprec_core": frozenset({"defusedxml", "sortedcontainers"}),
    "siprec_sync": frozenset(),
    "siprec_anyio": frozenset({"anyio"}),
    "siprec": frozenset({"anyio"}),
}
"""What a package may import when it is loaded."""
EXTRAS: dict[str, frozenset[str]] = {
    "siprec_core": frozenset(),
    "siprec_sync": frozenset({"dns", "G722", "av", "pylibsrtp"}),
    "siprec_anyio": frozenset(),
    "siprec": frozenset({"trio", "uvloop", "hypercorn"}),
}
"""What a package may import within a function only: what an extra installs."""
PLUGINS: dict[str, frozenset[str]] = {
    "siprec.testing": frozenset({"pytest"}),
    "siprec.http.access": frozenset({"starlette"}),
    "siprec.http.application": frozenset({"starlette"}),
    "siprec.http.connections": frozenset({"hypercorn", "starlette"}),
    "siprec.http.exposition": frozenset({"prometheus_client"}),
    "siprec.http.interface": frozenset({"starlette"}),
    "siprec.http.problems": frozenset({"starlette"}),
}
"""What a module may import because only programs that have it load the module."""
OURS: dict[str, frozenset[str]] = {
    "siprec_core": frozenset({"siprec_core"}),
    "siprec_sync": frozenset({"siprec_core", "siprec_sync"}),
    "siprec_anyio": frozenset({"siprec_core", "siprec_sync", "siprec_anyio"}),
    "siprec": frozenset(PACKAGES),
}

FILE_LINES, CLASS_LINES, FUNCTION_LINES, MEDIAN_FUNCTION_LINES, FACADE_NAMES = 800, 400, 60, 12, 40
FORBIDDEN_WORDS = frozenset({"manager", "helper", "handler", "util", "utils", "process", "do"})
WORD_ALLOWED = frozenset[str]()
"""Names with such a word that are right all the same, each with its reason."""

UNTESTED = frozenset(
    {
        "siprec_core.finding_codes",  # tables; their uses are checked below, lookup in tests/core/test_findings.py
        "siprec_core.errors",  # exceptions without behaviour but __str__, tested where they are raised
        "siprec_core.sip.commands",  # values without behaviour, each used by the tests of their machines
        "siprec_core.media.commands",
        "siprec_core.recording.commands",
        "siprec_core.recording.events",
        "siprec_core.recording.call_events",
        "siprec_core.sip.endpoint_events",
        "siprec_core.limits",  # numbers, each tried by the tests of what keeps it
    }
)
"""Core modules without a test file of their own, each with its reason."""

Modules = Mapping[str, Module]
Rule = Callable[[Modules], Iterator[str]]


def floor_of(name: str) -> int | None:
    """Give the floor of a module of the core by its dotted name."""
    inner = name.removeprefix("siprec_core").removeprefix(".")
    while inner:
        if inner in FLOORS:
            return FLOORS[inner]
        inner = inner.rpartition(".")[0]
    return FLOORS[""] if name == "siprec_core" else None


def is_below(target: str, tops: frozenset[str]) -> bool:
    """Whether a dotted name is one of `tops` or lies below one."""
    return any(target == top or target.startswith(top + ".") for top in tops)


# ---- what may import what


def floors(mods: Modules) -> Iterator[str]:
    known = frozenset(mods)
    for module in mods.values():
        own = floor_of(module.name)
        if own is None:
            yield f"{module}: no floor is assigned to it"
            continue
        for imported in imports(module, known):
            if not is_below(imported.target, frozenset({"siprec_core"})):
                continue
            floor = floor_of(imported.target)
            folder = mods[imported.target].folder if imported.target in mods else imported.target.rpartition(".")[0]
            same_folder = (folder == module.folder or own == 0) and floor is not None and floor <= own
            if floor is None or (floor >= own and not same_folder):
                yield f"{module}:{imported.line}: floor {own} imports {imported.target} of floor {floor}"


def circles(mods: Modules) -> Iterator[str]:
    known = frozenset(mods)
    graph = {m.name: {i.target for i in imports(m, known) if i.target in mods} - {m.name} for m in mods.values()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield "circle: " + " -> ".join(error.args[1])


def forbidden_imports(mods: Modules) -> Iterator[str]:
    known = frozenset(mods)
    for module in mods.values():
        for imported in imports(module, known):
            if is_below(imported.target, FORBIDDEN_IN_CORE):
                yield f"{module}:{imported.line}: {imported.target}"
        for node in ast.walk(module.tree):  # `from xml import sax` imports a module that is not ours
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    if whole in FORBIDDEN_IN_CORE:
                        yield f"{module}:{node.lineno}: {whole}"


def relative_imports(mods: Modules) -> Iterator[str]:
    for module in mods.values():
        for imported in imports(module, frozenset(mods)):
            if imported.target.startswith("."):
                yield f"{module}:{imported.line}: relative import {imported.target}"


def package_rules(mods: Modules) -> Iterator[str]:
    known = frozenset(mods)
    for module in mods.values():
        for imported in imports(module, known):
            top = imported.target.partition(".")[0]
            where = f"{module}:{imported.line}"
            if top in PACKAGES:
                if top not in OURS[module.package]:
                    yield f"{where}: {module.package} imports {imported.target}"
                elif module.package == "siprec_anyio" and imported.target in ("siprec_sync", "siprec_sync.driver"):
                    yield f"{where}: uses the other frontend itself instead of its building blocks"
            elif top in PLUGINS.get(module.name, ()):
                continue
            elif top not in sys.stdlib_module_names and top not in THIRD_PARTY[module.package]:
                if not (imported.lazy and top in EXTRAS[module.package]):
                    yield f"{where}: {imported.target} is not a dependency of {module.package}"
            elif module.package == "siprec_sync" and top == "asyncio":
                yield f"{where}: the blocking frontend imports {imported.target}"
            elif module.package == "siprec_anyio" and top == "asyncio":
                yield f"{where}: works on trio as well, so never imports {imported.target}"


# ---- calls and statements


def forbidden_calls(mods: Modules) -> Iterator[str]:
    for module in mods.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
                yield f"{module}:{node.lineno}: {node.func.id}()"
            elif isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_CLOCKS:
                owner = ast.unparse(node.value).rpartition(".")[2]
                if owner in ("datetime", "date"):
                    yield f"{module}:{node.lineno}: {owner}.{node.attr} reads the clock"


def asserts(mods: Modules) -> Iterator[str]:
    for module in mods.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Assert):
                yield f"{module}:{node.lineno}: assert vanishes under -O; raise or prove it to the type checker"


# ---- sizes and names


def sizes(mods: Modules) -> Iterator[str]:
    for module in mods.values():
        lines = len(module.path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES:
            yield f"{module}: {lines} lines"
        for cls in classes(module):
            if line_count(cls) > CLASS_LINES:
                yield f"{module}.{cls.name}: {line_count(cls)} lines"
        for function in functions(module):
            if line_count(function) > FUNCTION_LINES:
                yield f"{module}.{function.name}: {line_count(function)} lines"


def words(name: str) -> set[str]:
    """Split an identifier at underscores and capitals."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)}


def names(mods: Modules) -> Iterator[str]:
    for module in mods.values():
        defined = [(1, module.name.rpartition(".")[2])]
        defined += [(cls.lineno, cls.name) for cls in classes(module)]
        defined += [(function.lineno, function.name) for function in functions(module)]
        for line, name in defined:
            if name not in WORD_ALLOWED and words(name) & FORBIDDEN_WORDS:
                yield f"{module}:{line}: {name}"


def facades(mods: Modules) -> Iterator[str]:
    for module in mods.values():
        if module.name not in ("siprec_core.server", "siprec_core.client", "siprec_core.waiting_client"):
            continue
        for cls in classes(module):
            public = [f.name for f in cls.body if isinstance(f, ast.FunctionDef) and not f.name.startswith("_")]
            if len(public) > FACADE_NAMES:
                yield f"{module}.{cls.name}: {len(public)} public names"


def values(mods: Modules) -> Iterator[str]:
    """Commands and events are frozen, slotted, keyword-only dataclasses."""
    for module in mods.values():
        if not module.name.endswith(("commands", "events")):
            continue
        for cls in classes(module):
            if any(ast.unparse(base).rpartition(".")[2] in ("Enum", "Protocol", "NamedTuple") for base in cls.bases):
                continue
            wanted = {"frozen=True", "slots=True", "kw_only=True"}
            given = {ast.unparse(k) for d in cls.decorator_list if isinstance(d, ast.Call) for k in d.keywords}
            if not wanted <= given:
                yield f"{module}.{cls.name}: {', '.join(sorted(wanted - given))} missing"


# ---- the rules on the tree

CORE_RULES: tuple[Rule, ...] = (floors, forbidden_imports, forbidden_calls, facades, values)
ALL_RULES: tuple[Rule, ...] = (circles, relative_imports, package_rules, asserts, sizes, names)


@pytest.mark.parametrize("rule", CORE_RULES, ids=lambda rule: rule.__name__)
def test_core_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(core_modules())) == []


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.__name__)
def test_source_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(modules())) == []


def test_functions_are_short() -> None:
    counts = [line_count(function) for module in modules().values() for function in functions(module)]
    assert median(counts) <= MEDIAN_FUNCTION_LINES


def test_test_files_keep_the_file_limit() -> None:
    paths = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "fuzz").rglob("*.py")]
    over = {str(p.relative_to(ROOT)): n for p in paths if (n := len(p.read_text().splitlines())) > FILE_LINES}
    assert over == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_typed(package: str) -> None:
    assert (SRC / package / "py.typed").is_file()
    assert (SRC / package / "__init__.py").is_file()


def test_every_core_module_has_its_test_file() -> None:
    missing = []
    for module in core_modules().values():
        if module.is_package or is_below(module.name, UNTESTED):
            continue
        *folders, name = module.name.split(".")[1:]
        expected = ROOT.joinpath("tests", "core", *folders, f"test_{name}.py")
        if not expected.is_file():
            missing.append(str(expected.relative_to(ROOT)))
    assert missing == []


def test_allow_lists_name_only_what_exists() -> None:
    assert core_modules().keys() >= UNTESTED


def test_core_tests_neither_sleep_nor_open_sockets() -> None:
    forbidden = frozenset(
        ["socket", "time", "asyncio", "anyio", "trio", "threading", "subprocess", "select", "selectors"]
    )
    found = []
    for path in (ROOT / "tests" / "core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            targets = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            targets += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.relative_to(ROOT)}:{node.lineno}: {t}" for t in targets if is_below(t, forbidden)]  # type: ignore[attr-defined]
    assert found == []


def test_every_finding_code_is_used() -> None:
    users = [m for m in modules().values() if not is_below(m.name, frozenset({"siprec_core.finding_codes"}))]
    text = "\n".join(m.path.read_text(encoding="utf-8") for m in users)
    assert [code for code in REGISTRY if f'"{code}"' not in text] == []


def test_every_limit_is_obeyed() -> None:
    fields = Limits.__dataclass_fields__
    text = "\n".join(m.path.read_text(encoding="utf-8") for n, m in modules().items() if n != "siprec_core.limits")
    assert [name for name in fields if not re.search(rf"\.{name}\b", text)] == []


def test_source_carries_no_reminders() -> None:
    word = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", r"\bHA" + r"CK\b")))
    paths = [*SRC.rglob("*.py"), *(ROOT / "docs").glob("**/*.md"), *(ROOT / "fuzz").glob("*.py"), *ROOT.glob("*.md")]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if word.search(line)
    ]
    assert found == []


# ---- what an import really loads

_PROBE = """
import json, sys
paths, names, watched = json.loads(sys.argv[1])
sys.path[:0] = paths
already = set(sys.modules)
for name in names:
    __import__(name)
print(json.dumps(sorted(name for name in set(sys.modules) - already if name in watched)))
"""


def loaded_by(names: list[str], watched: frozenset[str]) -> list[str]:
    """Import modules in an interpreter without site-packages hooks and tell which of `watched` that loaded."""
    paths = {str(SRC), *(str(Path(m.__file__ or "").parent.parent) for m in (defusedxml, sortedcontainers))}
    arguments = json.dumps([sorted(paths), names, sorted(watched)])
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", _PROBE, arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    loaded: list[str] = json.loads(done.stdout)
    return loaded


def test_core_loads_no_io() -> None:
    assert loaded_by(sorted(core_modules()), NEVER_LOADED) == []


def test_probe_sees_what_is_loaded() -> None:
    assert loaded_by(["asyncio"], NEVER_LOADED) >= ["asyncio", "concurrent.futures"]


# ---- each rule finds what breaks it


def module_of(name: str, source: str, folder: Path) -> Module:
    path = folder / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    return Module(name, path, ast.parse(source))


@pytest.mark.parametrize(
    ("rule", "sources"),
    [
        (floors, {"siprec_core.sip.uri": "import siprec_core.sdp.model", "siprec_core.sdp.model": ""}),
        (floors, {"siprec_core.sip.uri": "import siprec_core.sip.invite", "siprec_core.sip.invite": ""}),
        (floors, {"siprec_core.timers": "from siprec_core import server", "siprec_core.server": ""}),
        (floors, {"siprec_core.sip.uri": "from siprec_core import serve", "siprec_core": ""}),
        (floors, {"siprec_core.nowhere": ""}),
        (circles, {"siprec.a": "import siprec.b", "siprec.b": "def f() -> None:\n    import siprec.a"}),
        (forbidden_imports, {"siprec_core.types": "if TYPE_CHECKING:\n    from socket import socket"}),
        (forbidden_imports, {"siprec_core.types": "from xml import sax"}),
        (forbidden_imports, {"siprec_core.types": "import os.path"}),
        (forbidden_imports, {"siprec_core.types": "def f() -> None:\n    import time"}),
        (relative_imports, {"siprec.a": "from . import b"}),
        (package_rules, {"siprec_core.types": "import siprec_sync"}),
        (package_rules, {"siprec_core.types": "import lxml.etree"}),
        (package_rules, {"siprec_sync.driver": "import siprec_anyio"}),
        (package_rules, {"siprec_sync.driver": "import asyncio"}),
        (package_rules, {"siprec_anyio.driver": "from siprec_sync import driver", "siprec_sync.driver": ""}),
        (package_rules, {"siprec_anyio.driver": "def f() -> None:\n    import trio"}),
        (package_rules, {"siprec.cli": "import uvloop"}),
        (forbidden_calls, {"siprec_core.types": "open('x')"}),
        (forbidden_calls, {"siprec_core.types": "clock = datetime.datetime.now"}),
        (asserts, {"siprec.a": "assert True"}),
        (sizes, {"siprec.a": "x = 1\n" * (FILE_LINES + 1)}),
        (sizes, {"siprec.a": "class A:\n" + "    x = 1\n" * CLASS_LINES}),
        (sizes, {"siprec.a": "def f() -> None:\n" + "    x = 1\n" * FUNCTION_LINES}),
        (names, {"siprec.a": "class CallManager: ..."}),
        (names, {"siprec.sip_utils": ""}),
        (facades, {"siprec_core.server": "class A:\n" + "".join(f"    def f{i}(s): ...\n" for i in range(41))}),
        (values, {"siprec_core.sip.commands": "@dataclass(frozen=True, slots=True)\nclass A: ..."}),
    ],
)
def test_rule_finds_what_breaks_it(rule: Rule, sources: dict[str, str], tmp_path: Path) -> None:
    assert list(rule({name: module_of(name, source, tmp_path) for name, source in sources.items()})) != []


@pytest.mark.parametrize(
    ("rule", "sources"),
    [
        (floors, {"siprec_core.sip.uri": "import siprec_core.sip.fields", "siprec_core.sip.fields": ""}),
        (floors, {"siprec_core.recording.a": "from siprec_core.sdp import model", "siprec_core.sdp.model": ""}),
        (circles, {"siprec.a": "import siprec.b", "siprec.b": ""}),
        (package_rules, {"siprec_anyio.driver": "from siprec_sync import media", "siprec_sync.media": ""}),
        (package_rules, {"siprec.cli": "def f() -> None:\n    import uvloop"}),
        (forbidden_calls, {"siprec_core.types": "self.open(now)"}),
        (names, {"siprec.a": "def handle_timeout() -> None: ...\ndef document() -> None: ..."}),
    ],
)
def test_rule_lets_pass_what_keeps_it(rule: Rule, sources: dict[str, str], tmp_path: Path) -> None:
    assert list(rule({name: module_of(name, source, tmp_path) for name, source in sources.items()})) == []
