"""The measurement of capacity: that it measures, in small, and what it writes."""

from pathlib import Path

import pytest

from tests.benchmarks.capacity import Outcome, Run, carry_out, idle_session_size, machine, page

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory in /proc")


@needs_proc
def test_a_load_is_carried_out_and_told(tmp_path: Path) -> None:
    outcome = carry_out(Run("sync", 3, 50.0, 0.2), tmp_path)
    assert outcome.report["calls"]["complete"] == 3
    assert outcome.report["packets"] == {"sent": 60, "received": 60, "lost": 0, "reports_missing": 0}
    assert outcome.processor_seconds > 0
    text = page([outcome, Outcome(Run("trio", 100, 50.0, 10.0), {}, 0.0, 0)], 41_234.0)
    assert "| sync | 3 | 3 | 60 | 0 |" in text
    assert "Calls that failed" not in text
    outcome.report["failures"]["486 Busy Here"] = 2
    assert "- sync: 2 x 486 Busy Here\n" in page([outcome], 41_234.0)
    assert "| trio | 100 | did not run |" in text
    assert "| 10,000 | 41.2 | 60 | met |" in text
    assert machine() in text


@needs_proc
def test_idle_sessions_are_weighed() -> None:
    assert 1_000 < idle_session_size(200) < 1_000_000
