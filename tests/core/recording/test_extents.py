"""Where the audio of a line lies."""

import pytest

from siprec_core.codecs.registry import decoder_for
from siprec_core.media.timeline import TICKS_PER_SECOND
from siprec_core.recording import extents
from siprec_core.recording.extents import Cuts, LineExtent
from siprec_core.recording.placing import ClockPoint, Run

SECOND = TICKS_PER_SECOND


def run(start: int, *, ssrc: int = 1, anchor: int = 0, delay: int = 0, rate: int = 8_000) -> Run:
    decoder = decoder_for("L16", rate, 1)
    assert decoder is not None
    return Run(ssrc, start, start + SECOND, decoder, [b"\0" * 2 * rate], anchor, delay)


def test_a_line_lies_between_its_first_and_its_last_run() -> None:
    extent = LineExtent()
    for each in (run(5 * SECOND), run(2 * SECOND, ssrc=2, anchor=2 * SECOND, rate=16_000), run(7 * SECOND)):
        extent.add(each)
    extent.close()
    assert (extent.start, extent.end, extent.rate) == (2 * SECOND, 8 * SECOND, 16_000)
    assert extent.place(run(5 * SECOND)) == (5 * SECOND, 6 * SECOND)


def test_drift_and_shift_of_a_stretch_move_what_belongs_to_it() -> None:
    extent = LineExtent()
    for second in (10, 50):
        extent.add(run(second * SECOND, anchor=10 * SECOND))
        extent.add(run(second * SECOND, ssrc=2))
    (moved, _) = extent.stretches()
    moved.drift, moved.shift = 200_000, -SECOND // 4
    extent.close()
    start, end = extent.place(run(50 * SECOND, anchor=10 * SECOND))
    assert start == 50 * SECOND + SECOND * 8 // 1_000 - SECOND // 4
    assert end - start == SECOND + SECOND // 5_000
    assert extent.place(run(50 * SECOND, ssrc=2)) == (50 * SECOND, 51 * SECOND)
    assert extent.place(run(50 * SECOND, anchor=7)) == (50 * SECOND, 51 * SECOND), "no such stretch"
    assert (extent.start, extent.end) == (10 * SECOND - SECOND // 4, 51 * SECOND)


def test_reports_belong_to_the_stretch_of_their_anchor() -> None:
    extent = LineExtent()
    extent.report(ClockPoint(1, 5 * SECOND, 6 * SECOND, 106 * SECOND))
    for anchor in (5 * SECOND, 50 * SECOND):
        extent.add(run(anchor, anchor=anchor))
    first, second = extent.stretches()
    assert first.clock is not None
    assert first.clock.relation(5 * SECOND) == (100 * SECOND, None)
    assert second.clock is None


def test_a_source_that_is_anchored_again_and_again_is_bounded() -> None:
    extent = LineExtent()
    for second in range(3_000):
        extent.add(run(second * SECOND, anchor=second * SECOND))
        extent.report(ClockPoint(1, second * SECOND, second * SECOND, 0))
    extent.close()
    assert (extent.start, extent.end) == (0, 3_000 * SECOND)
    assert len(extent.stretches()) == len(extent._clocks) == 1_000


def test_nothing_came() -> None:
    extent = LineExtent()
    extent.close()
    assert (extent.start, extent.end, extent.rate) == (0, 0, 0)


def test_gaps_that_all_share_are_cut_out() -> None:
    cuts = Cuts([(0, 2 * SECOND), (10 * SECOND, 11 * SECOND), (1 * SECOND, 3 * SECOND), (11 * SECOND + 7, 12 * SECOND)])
    assert [cuts.place(tick * SECOND) for tick in (0, 2, 3, 10, 12)] == [each * SECOND for each in (0, 2, 3, 3, 5)]
    assert Cuts([]).place(5) == 5


def test_spans_join_what_is_less_than_a_second_apart() -> None:
    extent = LineExtent()
    for start in (0, SECOND, 2 * SECOND + SECOND // 2, 9 * SECOND):
        extent.add(run(start))
    extent.close()
    assert extent.spans() == [(0, 7 * SECOND // 2), (9 * SECOND, 10 * SECOND)]


def test_spans_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extents, "_SPANS", 3)
    extent = LineExtent()
    for second in (0, 10, 20, 30, 5):
        extent.add(run(second * SECOND))
    extent.close()
    assert extent.spans() == [(0, SECOND), (10 * SECOND, 11 * SECOND), (5 * SECOND, 31 * SECOND)]
