"""The comparison with other libraries: its arithmetic, and that it goes on without them."""

from pathlib import Path

import pytest

from tests.benchmarks import peers
from tests.benchmarks.messages import CALLS, call, calls
from tests.benchmarks.peers import Contestant, Peers, Result, Row, goal_lines, measure


def test_every_call_is_another_one() -> None:
    made = calls()
    assert len(made) == CALLS
    assert (
        len({one.invite for one in made})
        == len({one.sdp for one in made})
        == len({one.metadata for one in made})
        == CALLS
    )


def test_every_contestant_reads_every_call_in_every_round() -> None:
    seen: dict[str, int] = {"a": 0, "b": 0}

    def count(name: str) -> None:
        seen[name] += 1

    row = Row("work", [Contestant("a", lambda _: count("a")), Contestant("b", lambda _: count("b"))])
    results = measure(row, [call(1), call(2)], rounds=3)
    assert seen == {"a": 8, "b": 8}  # one round warms up
    assert [result.name for result in results] == ["a", "b"]
    assert results[0].ratio == 1.0


def test_a_peer_that_is_missing_is_told_with_the_reason() -> None:
    found = Peers()
    assert found.load("no_such_library", "no-such-library") is None
    assert found.missing == {"no-such-library": "No module named 'no_such_library'"}


@pytest.mark.parametrize(("ratio", "verdict"), [(0.5, "met"), (0.51, "not met")])
def test_goals_are_judged_by_the_peer_that_is_hardest_to_beat(ratio: float, verdict: str) -> None:
    row = Row("work", [], [("best", 0.5), ("absent", 0.5)])
    results = [Result("siprec", 1.0, 1.0), Result("siprec: more", 2.0, 9.0), Result("slow", 9.0, 0.1)]
    lines = goal_lines([(row, [*results, Result("fast", 2.0, ratio)])])
    assert lines[2:] == [
        f"| work | fast | 0.50 | {ratio:.2f} | {verdict} |",
        "| work | absent | 0.50 | | not measured |",
    ]


def test_the_page_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "benchmarks.md"
    peers.main(["--rounds", "1", "--write", str(written)])
    text = written.read_text(encoding="utf-8")
    assert capsys.readouterr().out == text
    assert text.startswith("# Benchmarks\n")
    assert text.count("\n## ") == 8
    assert "with 14 header fields" in text
