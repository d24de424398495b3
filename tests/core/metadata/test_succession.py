"""Documents that contradict the ones before them, after the flows of RFC 8068 where the published ones do."""

import pytest

from siprec_core.metadata.state import MetadataChanges, MetadataState
from siprec_core.metadata.times import parse_time
from tests.core.metadata.documents import LIMITS, document, read, uid

ANNA, BEN, CARLA = uid("anna"), uid("ben"), uid("carla")
CALL, LATER, FIRST = uid("call"), uid("later"), uid("first")


def at(text: str) -> int:
    unix_ns = parse_time(text).instant.unix_ns
    assert unix_ns is not None
    return unix_ns


NOW = at("2024-05-01T10:30:00Z")


def person(who: str, aor: str = "sip:x@example.org") -> str:
    return f"<participant participant_id='{who}'><nameID aor='{aor}'/></participant>"


def session(identity: str = CALL, start: str = "2024-05-01T10:00:00Z", stop: str = "") -> str:
    times = (f"<start-time>{start}</start-time>" if start else "") + (f"<stop-time>{stop}</stop-time>" if stop else "")
    return f"<session session_id='{identity}'>{times}</session>"


def stream(of: str = CALL) -> str:
    return f"<stream stream_id='{FIRST}' session_id='{of}'><label>1</label></stream>"


def member(who: str, since: str = "", until: str = "") -> str:
    times = f"<associate-time>{since}</associate-time>" if since else ""
    times += f"<disassociate-time>{until}</disassociate-time>" if until else ""
    return f"<participantsessionassoc participant_id='{who}' session_id='{CALL}'>{times}</participantsessionassoc>"


def flow(who: str, send: str = "") -> str:
    inner = f"<send>{send}</send>" if send else ""
    return f"<participantstreamassoc participant_id='{who}'>{inner}</participantstreamassoc>"


BASE = session() + person(ANNA) + stream() + member(ANNA, "2024-05-01T10:00:00Z") + flow(ANNA, FIRST)


def after(*texts: str, now_ns: int = NOW) -> MetadataChanges:
    """Apply a complete document and partial ones; gives what the last one changed."""
    state = MetadataState(limits=LIMITS)
    changes = state.apply(read(document(BASE)), now_ns)
    for text in texts:
        changes = state.apply(read(document(f"<datamode>partial</datamode>{text}")), now_ns)
    return changes


def codes(changes: MetadataChanges) -> list[str]:
    return [each.code for each in changes.findings]


def test_documents_in_agreement_give_no_findings() -> None:
    assert codes(after()) == []
    assert codes(after(person(ANNA), stream(), member(ANNA, until="2024-05-01T10:20:00Z") + flow(ANNA))) == []


@pytest.mark.requirement("7865-6.3-f")
def test_stream_that_moves_to_another_session() -> None:
    changes = after(session(LATER) + stream(LATER))
    assert codes(changes) == ["metadata-stream-moved"]
    assert codes(after(stream().replace(f" session_id='{CALL}'", ""))) == []


def test_id_that_stands_for_somebody_else() -> None:
    assert codes(after(person(ANNA, "sip:other@example.org"))) == ["metadata-identity-changed"]
    assert codes(after(person(ANNA, "SIP:X@example.org"))) == []
    assert codes(after(person(BEN, "sip:other@example.org"))) == []


@pytest.mark.requirement("7865-6.8-c")
def test_who_leaves_and_is_still_said_to_send() -> None:
    gone = member(ANNA, until="2024-05-01T10:20:00Z")
    changes = after(gone)
    assert codes(changes) == ["metadata-streams-not-cleared"]
    assert changes.left == ((ANNA, CALL),)
    assert changes.held == ()
    assert codes(after(gone + flow(ANNA))) == []
    assert codes(after(session(start="", stop="2024-05-01T10:20:00Z"))) == []


@pytest.mark.requirement("7865-chk-d")
def test_end_before_a_beginning_told_earlier() -> None:
    changes = after(member(ANNA, until="2024-05-01T09:59:59Z") + flow(ANNA))
    assert codes(changes) == ["metadata-time-order"]
    assert codes(after(session(start="", stop="2024-05-01T09:59:30Z"))) == ["metadata-time-order"]


def test_end_before_events_told_earlier() -> None:
    joins = person(CARLA) + member(CARLA, "2024-05-01T10:10:00Z")
    assert codes(after(joins, member(ANNA, until="2024-05-01T10:05:00Z") + flow(ANNA))) == ["metadata-time-backwards"]
    assert codes(after(joins, member(ANNA, until="2024-05-01T10:09:30Z") + flow(ANNA))) == []


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-05-01T10:00:00Z", []),
        ("2024-05-01T09:56:00Z", []),
        ("2024-05-01T09:54:00Z", ["metadata-clock"]),
        ("2025-05-01T10:00:00Z", []),
        ("2025-05-03T10:00:00Z", ["metadata-clock"]),
    ],
)
def test_clock_that_is_wrong(now: str, expected: list[str]) -> None:
    assert sorted({*codes(after(now_ns=at(now)))}) == expected


def test_time_that_nobody_understands_is_compared_with_nothing() -> None:
    assert codes(after(member(ANNA, until="soon") + flow(ANNA))) == []


def test_stream_without_id_is_compared_with_nothing() -> None:
    empty = stream().replace(FIRST, "")
    assert codes(after(empty, empty.replace(CALL, LATER) + session(LATER))) == []
