"""The measurement of received media: its arithmetic, and that every receiver that is here takes what is sent."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import media, media_srtp
from tests.benchmarks.media import YARDSTICK, Bench, Measured, Run

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="this needs Linux and a C compiler"
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("media")
    return Bench(folder, media.compiled(folder), 0.4)


@pytest.mark.parametrize(
    "run", [media.receiver(["LOAD", "receive"]), media.python_receiver("asyncio"), media.python_receiver("anyio")]
)
def test_a_receiver_counts_what_was_sent(bench: Bench, run: Run) -> None:
    measured = run(bench, 6)
    assert measured.sent == 6 * 20
    assert measured.received == measured.sent


def test_the_server_has_what_was_sent_in_its_journals(bench: Bench) -> None:
    measured = media.server("sync")(bench, 4)
    assert (measured.sent, measured.received) == (80, 80)
    assert measured.cpu_seconds > 0


def test_ratios_are_of_rounds_and_losses_of_all() -> None:
    results = {
        YARDSTICK: [Measured(100, 100, 0.001), Measured(100, 100, 0.002), Measured(100, 100, 0.004)],
        "siprec serve, sync": [Measured(100, 100, 0.001), Measured(100, 100, 0.001), Measured(100, 50, 0.001)],
        "siprec serve, asyncio": [Measured(100, 100, 0.001)] * 3,
    }
    assert media.ratio_of(results, YARDSTICK) == 1.0
    assert media.ratio_of(results, "siprec serve, sync") == pytest.approx(0.5)
    rows = media.table(results)[3:]
    assert rows[0] == "| C: epoll and recv | 20.0 | 1.00 | 50,000 | 500 | 0.00% |"
    assert rows[1] == "| siprec serve, sync | 10.0 | 0.50 | 100,000 | 1,000 | 16.67% |"
    assert [line.rpartition("| ")[2] for line in media.goal_lines(results)[3:]] == ["met |", "met |"]


def test_the_introduction_tells_of_the_machine() -> None:
    text = "\n".join(media.introduction())
    assert media.processor() in text
    assert "400 ports" in text


def test_every_encrypted_packet_is_opened() -> None:
    pytest.importorskip("pylibsrtp", reason="the extra srtp is not installed")
    lines = media_srtp.section(rounds=1)
    assert [line.split("|")[1].strip() for line in lines[-2:]] == list(media_srtp.MEASURED)


def test_a_wrong_call_of_the_sender_is_told(bench: Bench) -> None:
    assert subprocess.run([bench.load, "send"], check=False).returncode == 2


def test_the_sender_is_written_for_strict_compilers(tmp_path: Path) -> None:
    source = Path(media.__file__).with_name("media_load.c")
    words = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(tmp_path / "load"), str(source)]
    assert subprocess.run(words, check=False, capture_output=True).stderr == b""
