"""The settings of a server from its options, its environment and its file, in that order; else the defaults.

Whatever is wrong is told with its place: the option, the variable, or file, line and column.
"""

import argparse
import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siprec.kinds import argument, toml
from siprec.outcome import CommandError, unreadable
from siprec.settings import BY_NAME, SETTINGS, ServeSettings, Setting, build, options

_VARIABLE: Final = re.compile(r"SIPREC_(?P<section>[A-Z0-9_]+?)__(?P<key>[A-Z0-9_]+)\Z")
_HEADER: Final = re.compile(r"\s*\[\[?\s*(?P<name>[A-Za-z0-9_-]+)(?P<rest>[^\]]*)\]")
_ENTRY: Final = re.compile(r"(?P<blank>\s*)(?P<key>[A-Za-z0-9_-]+)\s*(?:=|\.)")
_PLACE: Final = re.compile(r"(?P<text>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings that count, and where each comes from."""

    settings: ServeSettings
    values: Mapping[str, object]
    """All values by `section.key`."""
    origins: Mapping[str, str]
    """Where a value stands that is not the default, by `section.key`."""

    def with_values(self, values: Mapping[str, object]) -> "Configuration":
        """Give this configuration with other values."""
        merged = {**self.values, **values}
        return Configuration(build(merged), merged, self.origins)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the table, and `-c`."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, help="TOML file with these and further settings")
    for name, row in options().items():
        item = row.kind.item
        parser.add_argument(
            *row.flags,
            dest=name,
            metavar=row.metavar,
            type=argument(item or row.kind),
            action="store" if item is None else "append",
            help=row.meaning.replace("%", "%%"),
        )


def read_configuration(given: argparse.Namespace, environment: Mapping[str, str]) -> Configuration:
    """Read everything that was given. Raises CommandError that names the place of what is wrong."""
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    sources = [*_from_environment(environment), *_from_options(given)]
    if given.config is not None:
        sources = [*_from_file(given.config), *sources]
    for row, value, origin in sources:
        values[row.name] = value
        origins[row.name] = origin
    settings = build(values)
    return Configuration(settings, {row.name: values.get(row.name, row.default) for row in SETTINGS}, origins)


def listing(configuration: Configuration) -> str:
    """Write all settings as a TOML file, with the origin of what was given.

    There are no secrets among them: these stand in files of their own, whose names are settings.
    """
    lines: list[str] = []
    section = ""
    for row in SETTINGS:
        if row.section != section:
            section = row.section
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        value = configuration.values[row.name]
        origin = configuration.origins.get(row.name)
        if value is None:
            text = f"# {row.key} is not set"
        else:
            text = f"{row.key} = {toml(row.kind.plain(row.kind.within(value, Path.cwd())))}"
        lines.append(text if origin is None else f"{text}  # {origin}")
    return "\n".join(lines) + "\n"


Source = tuple[Setting, object, str]
"""A setting, its value and where that stands."""


def _from_options(given: argparse.Namespace) -> Iterator[Source]:
    for name, row in options().items():
        value = getattr(given, name)
        if value is not None:
            yield row, tuple(value) if row.kind.item is not None else value, row.flags[-1]


def _from_environment(environment: Mapping[str, str]) -> Iterator[Source]:
    for variable in sorted(environment):
        match = _VARIABLE.match(variable)
        if match is None:
            continue
        row = BY_NAME.get(f"{match['section']}.{match['key']}".lower())
        if row is None:
            raise CommandError(f"{variable}: there is no such setting{_hint(variable, [r.variable for r in SETTINGS])}")
        try:
            yield row, row.kind.read(environment[variable]), variable
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise CommandError(f"{variable}: {error}") from None


def _from_file(path: Path) -> Iterator[Source]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: not UTF-8, octet {error.start + 1}") from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CommandError(_syntax_error(path, str(error), text)) from None
    places = _places(text)
    sections = list(dict.fromkeys(row.section for row in SETTINGS))
    for section, table in content.items():
        place = places.get(section, "")
        if section not in sections:
            raise CommandError(f"{path}{place}: there is no section {section!r}{_hint(section, sections)}")
        if not isinstance(table, dict):
            raise CommandError(f"{path}{place}: {section} is a section: write [{section}] above its keys")
        for key, value in table.items():
            yield _read_entry(path, places, f"{section}.{key}", value)


def _read_entry(path: Path, places: Mapping[str, str], name: str, value: object) -> Source:
    origin = f"{path}{places.get(name, '')}"
    row = BY_NAME.get(name)
    if row is None:
        raise CommandError(f"{origin}: there is no setting {name}{_hint(name, list(BY_NAME))}")
    try:
        return row, row.kind.within(row.kind.take(value), path.parent), origin
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise CommandError(f"{origin}: {name}: {error}") from None


def _syntax_error(path: Path, message: str, text: str) -> str:
    match = _PLACE.match(message)
    if match is not None:
        return f"{path}:{match['line']}:{match['column']}: {_phrase(match['text'])}"
    message = message.removesuffix(" (at end of document)")
    lines = text.split("\n")
    return f"{path}:{len(lines)}:{len(lines[-1]) + 1}: {_phrase(message)}"


def _phrase(text: str) -> str:
    return text[:1].lower() + text[1:]


def _places(text: str) -> dict[str, str]:
    """Give `:line:column` of each section and of each key that stands on a line of its own."""
    places: dict[str, str] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header is not None:
            section = header["name"]
            place = f":{number}:{header.start('name') + 1}"
            places.setdefault(section, place)
            # [[server.bind]] is an entry of the key `bind`.
            deeper = header["rest"].strip()
            if deeper.startswith("."):
                section = f"{section}.{deeper[1:].strip()}"
                places.setdefault(section, place)
            continue
        entry = _ENTRY.match(line)
        if entry is not None:
            name = f"{section}.{entry['key']}" if section else entry["key"]
            places.setdefault(name, f":{number}:{len(entry['blank']) + 1}")
    return places


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else ""
