"""The example of the core under plain sockets records a call."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from siprec_core.containers.wav import read_wav
from tests.app.programs import Program
from tests.tree import ROOT, SRC

PAGE = ROOT / "docs" / "howto" / "embed.md"
MOST_LINES = 60


def example() -> str:
    """Give the example, which is the only one with `select`."""
    found = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (text,) = (each for each in found if "select.select" in each)
    return str(text)


def test_it_is_short_and_needs_the_core_alone() -> None:
    lines = [line for line in example().splitlines() if line.strip() and "import" not in line]
    assert len(lines) <= MOST_LINES
    assert set(re.findall(r"^(?:from|import) (\w+)", example(), re.MULTILINE)) == {
        "os",
        "select",
        "socket",
        "time",
        "pathlib",
        "siprec_core",
    }


def test_it_records_a_call(siprec: Program, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(example(), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-u", "example.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SRC)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stdout is not None
            target = program.stdout.readline().removeprefix("listening on ").strip()
            done = siprec("call", f"{target};transport=udp", "--seconds", "0.5", "--hold", "0.2-0.3", "--json")
        finally:
            program.send_signal(signal.SIGINT)
            program.communicate(timeout=30)
    assert (done.code, done.err) == (0, "")
    (journal,) = tmp_path.glob("core-recordings/**/journal.pcapng")
    rendered = siprec("render", journal, "-o", tmp_path / "files")
    assert rendered.code == 0, rendered.err
    sent = {stream["label"]: stream["packets_sent"] for stream in done.json["streams"]}
    for label, packets in sent.items():
        _, pcm = read_wav((tmp_path / "files" / f"{label}.wav").read_bytes())
        assert len(pcm) >= packets * 320
