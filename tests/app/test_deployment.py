"""The files for those who run a server, and the reference of its settings, are what the program does."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from siprec.kinds import toml
from siprec.settings import SETTINGS
from tests.app.programs import Program
from tests.tree import ROOT

DEPLOY = ROOT / "docs" / "deploy"
REFERENCE = ROOT / "docs" / "reference" / "configuration.md"


def reference_table() -> Iterator[str]:
    """Write the table of the reference."""
    yield "| setting | option | default | meaning |"
    yield "|---|---|---|---|"
    for row in SETTINGS:
        option = f"`{row.flags[-1]}`" if row.flags else ""
        default = "" if row.default is None else f"`{toml(row.kind.plain(row.default))}`"
        live = "; *live*" if row.live else ""
        yield f"| `{row.name}` | {option} | {default} | {row.meaning}{live} |"


def test_the_reference_lists_all_settings() -> None:
    shown = [line for line in REFERENCE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    expected = list(reference_table())
    assert shown[shown.index(expected[0]) :] == expected


def test_tables_of_the_reference_are_configurations(siprec: Program, tmp_path: Path) -> None:
    found = re.findall(r"^```toml\n(.*?)^```$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    for text in found:
        path = tmp_path / "siprec.toml"
        path.write_text(text, encoding="utf-8")
        (tmp_path / "users").write_text(f"a:b:{'0' * 64}\n", encoding="ascii")
        done = siprec("serve", "-c", path, "--check-config", "--digest-users", tmp_path / "users")
        assert (done.code, done.err) == (0, "")


def test_the_example_file_is_a_configuration(siprec: Program) -> None:
    done = siprec("serve", "-c", DEPLOY / "siprec.toml", "--check-config")
    assert (done.code, done.err) == (0, "")
    assert tomllib.loads(done.out)["server"]["drain_seconds"] == 120.0


def test_each_line_of_the_example_file_can_be_used(siprec: Program, tmp_path: Path) -> None:
    """What is commented out is right too, and every setting but the limits is there."""
    text = (DEPLOY / "siprec.toml").read_text(encoding="utf-8")
    text = re.sub(r"^# ([a-z_]+ = )", r"\1", text, flags=re.MULTILINE)
    content = tomllib.loads(text)
    shown = {f"{section}.{key}" for section, table in content.items() for key in table}
    assert shown >= {row.name for row in SETTINGS if row.section != "limits"}
    assert shown <= {row.name for row in SETTINGS}
    defaults = {row.name: row.default for row in SETTINGS}
    for name in (
        "server.worker",
        "server.policy",
        "admission.retry_seconds",
        "timers.min_se",
        "media.prefer_own_codecs",
    ):
        section, _, key = name.partition(".")
        assert content[section][key] == defaults[name]
    for unwanted in ("tls", "digest", "http"):
        del content[unwanted]
    del content["recordings"]["metadata_filter"]
    lines = [
        f"[{section}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in table.items()) for section, table in content.items()
    ]
    (tmp_path / "siprec.toml").write_text("\n".join(lines), encoding="utf-8")
    done = siprec("serve", "-c", tmp_path / "siprec.toml", "--check-config")
    assert (done.code, done.err) == (0, "")


def unit() -> list[tuple[str, str, str]]:
    """Give section, name and value of each line of the unit."""
    entries: list[tuple[str, str, str]] = []
    section = ""
    for line in (DEPLOY / "siprec.service").read_text(encoding="utf-8").splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        elif line and not line.startswith("#"):
            name, mark, value = line.partition("=")
            assert mark, line
            assert re.fullmatch(r"[A-Z][A-Za-z]+", name), line
            entries.append((section, name, value))
    return entries


def test_the_unit_fits_the_server() -> None:
    entries = unit()
    settings = {name: value for section, name, value in entries if section == "Service"}
    assert len({(section, name) for section, name, _ in entries}) == len(entries)
    assert {section for section, _, _ in entries} == {"Unit", "Service", "Install"}
    assert settings["Type"] == "notify-reload"
    assert settings["ExecStart"].split()[1:] == ["serve", "-c", "/etc/siprec/siprec.toml"]
    example = tomllib.loads((DEPLOY / "siprec.toml").read_text(encoding="utf-8"))
    assert int(settings["TimeoutStopSec"]) > example["server"]["drain_seconds"]
    assert example["recordings"]["directory"] == f"/var/lib/{settings['StateDirectory']}"


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: systemd)"
)
def test_systemd_knows_what_the_unit_says(tmp_path: Path) -> None:
    text = (DEPLOY / "siprec.service").read_text(encoding="utf-8").replace("/opt/siprec/bin/siprec", "/bin/true")
    path = tmp_path / "siprec.service"
    path.write_text(text.replace("Type=notify-reload", "Type=notify"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "siprec.service" in line]
    assert complaints == []


def test_the_container_has_what_it_copies() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    known = {"FROM", "COPY", "RUN", "USER", "WORKDIR", "VOLUME", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {step[0] for step in steps} == known
    for name, rest in steps:
        if name == "COPY" and not rest.startswith("--from="):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
    assert dict(steps)["STOPSIGNAL"] == "SIGTERM"
    assert dict(steps)["CMD"] == '["serve", "-c", "/etc/siprec/siprec.toml"]'
    # The image has the program that the project installs, an extra that there is, a user and a folder that are made.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runs = " ".join(rest for name, rest in steps if name == "RUN")
    (extras,) = re.findall(r"/source\[([\w,]+)\]", runs)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    (program,) = re.findall(r'"/opt/siprec/bin/(\w+)"', dict(steps)["ENTRYPOINT"])
    assert program in project["scripts"]
    assert re.search(rf"useradd .*\b{dict(steps)['USER']}\b", runs)
    assert re.search(rf"install -d .*{dict(steps)['VOLUME']}\b", runs)
    copied = {rest.split()[-1] for name, rest in steps if name == "COPY"}
    assert {"/opt/siprec", "/etc/siprec/siprec.toml"} <= copied
    example = tomllib.loads((DEPLOY / "siprec.toml").read_text(encoding="utf-8"))
    assert example["recordings"]["directory"] == dict(steps)["VOLUME"]
    # The base image has an interpreter that the project takes.
    bases = [re.fullmatch(r"python:3\.(\d+)-slim(?: AS build)?", rest) for name, rest in steps if name == "FROM"]
    assert all(base is not None and int(base[1]) >= 11 for base in bases)
    # The build needs what pyproject.toml names.
    assert "README.md LICENSE" in dict(step for step in steps if step[0] == "COPY" and "pyproject" in step[1])["COPY"]
