"""How streams lie to each other: by the wall clocks of their senders, within what arrival allows."""

import pytest

from siprec_core.codecs.registry import decoder_for
from siprec_core.findings import Finding
from siprec_core.limits import Limits
from siprec_core.media.timeline import TICKS_PER_SECOND
from siprec_core.recording.alignment import AlignedLine, align
from siprec_core.recording.extents import LineExtent
from siprec_core.recording.placing import ClockPoint, Run

SECOND = TICKS_PER_SECOND
MILLISECOND = SECOND // 1_000
WALL = 2_000_000 * SECOND
"""What the senders' wall clock shows at tick 0."""
DECODER = decoder_for("PCMU", 8_000, 1)


class Voice:
    """A source that speaks from an instant on; what it says at an instant arrives `delay` milliseconds later."""

    def __init__(
        self,
        *,
        delay: int = 0,
        drift: int = 0,
        wall_drift: int = 0,
        begin: int = 0,
        seconds: int = 60,
        ssrc: int = 1,
        wrong: int = 0,
        jitter: int = 0,
    ) -> None:
        assert DECODER is not None
        self.extent = LineExtent()
        self.anchor = begin * SECOND + delay * MILLISECOND
        self.ssrc = ssrc
        for second in range(seconds):
            tick = self.anchor + second * SECOND
            behind = second * SECOND * drift // 1_000_000_000 + (jitter * MILLISECOND if second % 2 else 0)
            self.extent.add(Run(ssrc, tick, tick + SECOND, DECODER, [bytes(8_000)], self.anchor, behind))
        for second in range(1, seconds, 5):
            elapsed = second * SECOND + second * SECOND * drift // 1_000_000_000
            wall = begin * SECOND + elapsed
            wall += wall * wall_drift // 1_000_000_000
            point = ClockPoint(ssrc, self.anchor, self.anchor + second * SECOND, WALL + wall + wrong * MILLISECOND)
            self.extent.report(point)

    def place(self, second: float) -> float:
        """Give where audio of a second after the beginning lies, in milliseconds."""
        assert DECODER is not None
        tick = self.anchor + round(second * SECOND)
        return self.extent.place(Run(self.ssrc, tick, tick, DECODER, [], self.anchor, 0))[0] / MILLISECOND


def aligned(*voices: Voice, cname: str | None = "ada@host", limits: Limits | None = None) -> list[Finding]:
    lines = {}
    for index, voice in enumerate(voices):
        cnames = {} if cname is None else dict.fromkeys(range(5), cname)
        lines[index] = AlignedLine(voice.extent, cnames, f"stream {index}")
    return align(lines, limits=limits or Limits())


@pytest.mark.requirement("3550-6.4.1-b")
def test_a_slower_way_is_taken_out() -> None:
    near, far = Voice(delay=5), Voice(delay=85)
    assert aligned(near, far) == []
    assert near.place(10) == pytest.approx(far.place(10), abs=1)
    assert near.place(10) == pytest.approx(10_005, abs=1), "the nearer one stays"


@pytest.mark.parametrize("names", [("a@host", "b@host"), ("d41d8c", "d41d8c"), ("@", "@")])
def test_names_of_one_host_are_one_wall_clock(names: tuple[str, str]) -> None:
    near, far = Voice(), Voice(delay=80)
    align(
        {
            index: AlignedLine(voice.extent, {1: name}, "")
            for index, (voice, name) in enumerate(zip((near, far), names, strict=True))
        },
        limits=Limits(),
    )
    assert near.place(0) == pytest.approx(far.place(0), abs=1)


@pytest.mark.parametrize("names", [("a@host", "a@other"), ("d41d8c", "d41d8d"), ("a@host", None), (None, None)])
def test_other_names_are_other_wall_clocks(names: tuple[str | None, str | None]) -> None:
    near, far = Voice(), Voice(delay=80)
    lines = {
        index: AlignedLine(voice.extent, {} if name is None else {1: name}, "")
        for index, (voice, name) in enumerate(zip((near, far), names, strict=True))
    }
    assert align(lines, limits=Limits()) == []
    assert (near.place(0), far.place(0)) == (0, 80)


@pytest.mark.parametrize("drift", [200_000, -200_000])
@pytest.mark.parametrize("jitter", [0, 15])
def test_a_drifting_clock_is_put_right_by_its_reports(drift: int, jitter: int) -> None:
    drifting, true = Voice(drift=drift, jitter=jitter), Voice(delay=40)
    assert aligned(drifting, true) == []
    spoken = 50 + 50 * drift / 1e9
    assert drifting.place(50) == pytest.approx(true.place(spoken), abs=1)


def test_a_drift_is_found_by_arrival_where_there_are_no_reports() -> None:
    drifting = Voice(drift=200_000)
    drifting.extent._clocks.clear()
    assert aligned(drifting) == []
    assert drifting.place(50) == pytest.approx(50_010, abs=1)


def test_a_wall_clock_that_drifts_follows_ours() -> None:
    first, second = Voice(wall_drift=300_000, seconds=90), Voice(wall_drift=300_000, begin=60, delay=70, seconds=90)
    assert aligned(first, second) == []
    assert first.place(80) == pytest.approx(80_000, abs=1.5)
    assert second.place(20) == pytest.approx(80_000, abs=1.5)


@pytest.mark.parametrize("wrong", [600, -600, 3_600_000, -(10**12)])
def test_wall_clocks_that_disagree_with_arrival_are_not_believed(wrong: int) -> None:
    honest, lying = Voice(), Voice(delay=80, wrong=wrong)
    assert [found.code for found in aligned(honest, lying)] == ["wall-clock-untrue"]
    assert (honest.place(0), lying.place(0)) == (0, 80)


def test_one_that_lies_does_not_part_the_others() -> None:
    voices = Voice(), Voice(delay=60), Voice(delay=90, wrong=-5_000)
    found = aligned(*voices)
    assert [(each.code, each.where) for each in found] == [("wall-clock-untrue", "stream 2")]
    assert voices[0].place(0) == pytest.approx(voices[1].place(0), abs=1)
    assert voices[2].place(0) == 90


def test_reports_that_contradict_one_another_are_not_believed() -> None:
    honest, set_clock = Voice(), Voice(delay=80)
    for second in range(60, 120, 5):
        at = set_clock.anchor + second * SECOND
        set_clock.extent.report(ClockPoint(1, set_clock.anchor, at, WALL + (second + 3) * SECOND))
    found = aligned(honest, set_clock)
    assert [each.where for each in found] == ["stream 1"]
    assert set_clock.place(0) == 80


def test_the_bound_is_a_limit() -> None:
    near, far = Voice(), Voice(delay=80)
    assert [each.code for each in aligned(near, far, limits=Limits(wall_clock_seconds=0.05))] == ["wall-clock-untrue"]
    assert far.place(0) == 80


def test_a_stretch_without_reports_moves_with_its_source() -> None:
    near, far = Voice(seconds=200), Voice(delay=80, seconds=50)
    again = Voice(delay=80, begin=100, seconds=20)
    again.extent._clocks.clear()
    for run_second in range(20):
        tick = again.anchor + run_second * SECOND
        assert DECODER is not None
        far.extent.add(Run(1, tick, tick + SECOND, DECODER, [], again.anchor, 0))
    assert aligned(near, far) == []
    assert DECODER is not None
    start, _ = far.extent.place(Run(1, again.anchor, again.anchor + SECOND, DECODER, [], again.anchor, 0))
    assert start / MILLISECOND == pytest.approx(100_000, abs=1)


def test_nothing_to_align() -> None:
    assert align({}, limits=Limits()) == []
    assert aligned(Voice(seconds=1)) == []
