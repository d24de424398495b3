"""Lines without media: told once each silence, with likely reasons, and never while they are on hold."""

from dataclasses import replace

import pytest

from siprec_core.limits import Limits
from siprec_core.recording.watch import MediaWatch, Stall, stall_reasons
from siprec_core.types import Address, Component
from tests.core.recording.calls import LINES, START, Recorded, Sent, stream, tone

QUIET = Limits(first_media_seconds=5.0, silent_media_seconds=30.0)


def watching(recorded: Recorded, limits: Limits = QUIET) -> MediaWatch:
    watch = MediaWatch(limits)
    watch.follow(recorded.account.lines.values(), now=START)
    return watch


def told(watch: MediaWatch, until: float) -> list[tuple[float, Stall]]:
    """Let time pass; give what is told with the seconds since the start."""
    found = []
    while (due := watch.next_timeout()) is not None and due <= START + until:
        found += [(due - START, stall) for stall in watch.due(now=due)]
        again = watch.next_timeout()
        assert again is None or again > due
    return found


def test_a_line_without_packets_is_told_of_once() -> None:
    recorded = Recorded().invite()
    watch = watching(recorded)
    assert list(watch.due(now=START + 4.9)) == []
    found = told(watch, 1_000.0)
    assert [(at, stall.label, stall.never) for at, stall in found] == [(5.0, "1", True), (5.0, "2", True)]
    assert "port 30000" in found[0][1].reasons[0]
    assert "192.0.2.10:40000" in found[0][1].reasons[1]


def test_a_line_that_falls_silent_is_told_of_at_each_silence() -> None:
    recorded = Recorded().invite(LINES[:1], metadata="")
    watch = watching(recorded)
    recorded.media(0, stream(tone(8_000)))
    first = told(watch, 40.0)
    assert [(round(at), stall.never, stall.reasons) for at, stall in first] == [(31, False, ())]
    recorded.media(0, stream(tone(8_000), sequence_number=150, timestamp=9_000, seconds=50.0))
    second = told(watch, 300.0)
    assert [(stall.never, stall.index) for _, stall in second] == [(False, 0)]
    assert 80.9 <= second[0][0] <= 112.0


def test_a_line_on_hold_is_not_watched_and_begins_anew_after_it() -> None:
    recorded = Recorded().invite(LINES[:1], metadata="")
    watch = watching(recorded)
    recorded.offer((replace(LINES[0], direction="inactive"),), 2.0)
    watch.follow(recorded.account.lines.values(), now=START + 2.0)
    assert watch.next_timeout() is None
    recorded.offer(LINES[:1], 60.0)
    watch.follow(recorded.account.lines.values(), now=START + 60.0)
    assert [at for at, _ in told(watch, 200.0)] == [65.0]


def test_nothing_is_watched_after_the_end_or_when_it_is_not_wanted() -> None:
    recorded = Recorded().invite()
    watch = watching(recorded)
    watch.clear()
    assert watch.next_timeout() is None
    assert list(watch.due(now=START + 99.0)) == []
    assert told(watching(recorded, Limits(first_media_seconds=0.0, silent_media_seconds=0.0)), 1e6) == []


@pytest.mark.parametrize("kind", ["rejected", "rtcp", "no address", "no label", "encrypted"])
def test_reasons_follow_from_what_was_agreed_and_what_came(kind: str) -> None:
    recorded = Recorded().invite(LINES[:1], metadata="")
    line = recorded.account.lines[0]
    source = Address("192.0.2.10", 40_000)
    match kind:
        case "rejected":
            recorded.media(0, [Sent(b"\x80\x63" + bytes(170), 1.0, source)])
            expected = "1 datagrams came and were rejected"
        case "rtcp":
            report = bytes.fromhex("80 c9 0001 00000001")
            recorded.media(0, [Sent(report, 1.0, source)], component=Component.RTCP)
            expected = "RTCP came"
        case "no address":
            line.plan = replace(line.plan, remote_rtp=None)
            expected = "names no address"
        case "no label":
            line.plan = replace(line.plan, label=None)
            expected = "no label"
        case _:
            line.plan = replace(line.plan, protocol="RTP/SAVP")
            expected = "RTP/SAVP without a key"
    assert expected in "; ".join(stall_reasons(line, line.receiver.statistics()))
