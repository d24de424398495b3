"""The account of one recording."""

import pytest

from siprec_core.findings import finding
from siprec_core.limits import Limits
from siprec_core.types import Component, DatagramBatch
from tests.core.recording.calls import LINES, METADATA, START, UNIX_NS, Line, Recorded, stream, tone


def events(call: Recorded) -> list[object]:
    return [entry["event"] for entry in call.account.report("active").timeline]


def test_a_running_recording() -> None:
    call = Recorded().invite().media(0, stream(tone(1_600)))
    report = call.account.report("active")
    assert (report.status, report.end_reason, report.ended_ns, report.duration) == ("active", None, None, 0.0)
    assert report.streams[0].packets_received == 10
    assert report.streams[0].duration == pytest.approx(0.18)
    assert events(call) == [
        "invited", "stream-added", "stream-added", "metadata", "participant-joined", "participant-joined", "answered"
    ]  # fmt: skip


def test_the_first_end_counts() -> None:
    call = Recorded().invite()
    call.account.ended("server-bye", now=START + 1.0)
    call.account.ended("bye", now=START + 2.0)
    report = call.account.report("completed")
    assert (report.end_reason, report.duration) == ("server-bye", 1.0)


def test_lines_are_held_changed_resumed_and_removed() -> None:
    held = [Line("1", 40_000, direction="inactive"), LINES[1]]
    moved = [Line("1", 41_000), LINES[1]]
    removed = [LINES[0], Line("2", 0)]
    call = Recorded().invite().offer(held, 1.0).offer(held, 1.5).offer(LINES, 2.0).offer(moved, 3.0).offer(removed, 4.0)
    stream_events = [each for each in events(call) if str(each).startswith("stream-")][2:]
    assert stream_events == ["stream-held", "stream-resumed", "stream-changed", "stream-changed", "stream-removed"]
    first, second = call.account.report("active").streams
    assert (first.direction, second.direction) == ("recvonly", "inactive")
    assert call.account.lines[0].held_ns == UNIX_NS + 1_000_000_000
    assert not call.account.lines[1].active


def test_a_removed_line_that_comes_back() -> None:
    call = Recorded().invite().offer([LINES[0], Line("2", 0)], 1.0).offer(LINES, 2.0)
    assert events(call)[-1] == "stream-resumed"
    assert call.account.lines[1].active


def test_refused_lines_are_no_streams() -> None:
    call = Recorded().invite([LINES[0], Line("2", 40_002, "XYZ/8000", 99)])
    assert [each.label for each in call.account.report("active").streams] == ["1"]


def test_a_line_without_label_is_named_by_its_place() -> None:
    call = Recorded().invite([LINES[0], Line(None, 40_002)])
    assert [each.label for each in call.account.report("active").streams] == ["1", "1"]


def test_unreadable_metadata_is_counted() -> None:
    call = Recorded().invite(metadata="<broken")
    report = call.account.report("active")
    assert call.account.metadata_documents == 1
    assert (report.datamode, report.dialect, report.participants) == (None, "", ())
    (entry,) = [entry for entry in report.timeline if entry["event"] == "metadata"]
    assert entry["file"] == "metadata/0001.xml"


def test_streams_are_bound_by_label() -> None:
    report = Recorded().invite([Line("2", 40_000), Line("1", 40_002)]).account.report("active")
    assert [each.stream_id for each in report.streams] == ["i1Pz3to5RGm8fuXl+PbwCw==", "UAAMm5GRQKSCMVvLyl4rFw=="]
    assert [each.session_id for each in report.streams] == ["hVpd7YQgRW2nD22h7q60JQ=="] * 2


def test_notes_cannot_take_the_place_of_the_entry_s_own_fields() -> None:
    call = Recorded().invite()
    call.account.noted("digit", {"at": "x", "event": "y", "label": "z", "digit": "5"}, now=START + 3.0, line=1)
    assert call.account.report("active").timeline[-1] == {
        "at": "2026-01-01T00:00:03.000000Z",
        "event": "digit",
        "label": "2",
        "digit": "5",
    }


def test_the_timeline_is_in_order_of_time() -> None:
    call = Recorded().invite()
    call.account.noted("later", {}, now=START + 2.0)
    call.account.noted("earlier", {}, now=START + 1.0)
    assert events(call)[-2:] == ["earlier", "later"]


def test_timeline_and_findings_are_bounded() -> None:
    call = Recorded(limits=Limits(timeline_entries=9, findings=3)).invite()
    for _ in range(50):
        call.account.noted("again", {}, now=START)
        call.account.found(finding("limit-reached", "x"))
    assert len(call.account.report("active").timeline) == 9
    assert call.account.timeline_dropped == 7 + 50 - 9
    assert len(call.account.report("active").findings) == 3
    assert call.account.findings.dropped == 50 - 3


def test_media_of_a_line_that_was_never_accepted_is_a_mistake() -> None:
    call = Recorded().invite()
    with pytest.raises(KeyError):
        call.account.receive_media(7, DatagramBatch([], [], []), component=Component.RTP, now=START)


def test_rejected_packets_of_a_journal_count_for_the_line() -> None:
    call = Recorded().invite(metadata=METADATA)
    call.account.count_rejected(1, 12)
    call.account.count_rejected(55, 1)
    assert [each.packets_rejected for each in call.account.report("active").streams] == [0, 12]
