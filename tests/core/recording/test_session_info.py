"""Sessions as they stand."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.session_info import ParticipantInfo, SessionInfo, SessionStatus, StreamInfo
from siprec_core.types import Address, SessionId, Transport
from tests.core.harness import Pair
from tests.core.messages import invite
from tests.core.recording.calls import rendered
from tests.core.recording.test_render import report_of


def only(pair: Pair) -> SessionInfo:
    (info,) = pair.recorder.sessions().values()
    assert pair.recorder.session(info.id) == info
    assert pair.recorder.session_ids() == (info.id,)
    return info


def test_a_session_from_its_invite_to_its_end() -> None:
    pair = Pair(config=ServerConfig(manual=True))
    pair.inject(invite())
    early = only(pair)
    assert (early.status, early.state, early.answered_at) == (SessionStatus.EARLY, "requested", None)
    assert early.call_id == "call-1"
    assert early.peer == Address("192.0.2.2", 5070)
    assert early.local_tag
    assert early.files == ()
    pair.recorder.accept(early.id, now=pair.now)
    pair.settle()
    active = only(pair)
    assert active.status is SessionStatus.ACTIVE
    assert active.answered_at is not None
    assert active.started_at == early.started_at
    assert [stream.label for stream in active.streams] == list(active.labels)
    assert active.participants
    assert active.metadata_documents == 1
    assert active.datamode == "complete"
    assert active.files == ("journal.pcapng", "recording.json")
    assert pair.recorder.session(SessionId("other")) is None


def test_pause_and_storage_show() -> None:
    pair = Pair()
    pair.call("1")
    pair.run(1.0)
    info = only(pair)
    pair.recorder.pause(info.id, now=pair.now)
    pair.settle()
    assert only(pair).status is SessionStatus.PAUSED
    sink = next(iter(pair.server.sinks))
    pair.recorder.sink_failed(sink, "No space left on device", now=pair.now)
    assert only(pair).status is SessionStatus.FAILED


def test_a_mark_stands_in_timeline_and_journal() -> None:
    pair = Pair()
    pair.call("1")
    pair.run(1.0)
    session = only(pair).id
    pair.recorder.mark(session, "the customer agrees", now=pair.now)
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    (journal,) = [data for name, data in pair.server.files.items() if name.endswith("journal.pcapng")]
    timeline = report_of(rendered(journal))["timeline"]
    (entry,) = [each for each in timeline if each["event"] == "mark"]
    assert entry["text"] == "the customer agrees"
    assert timeline[0]["at"] < entry["at"] < timeline[-1]["at"]
    with pytest.raises(LocalProtocolError, match="no such session"):
        pair.recorder.mark(session, "too late", now=pair.now)


@pytest.mark.parametrize("text", ["", " ", "two\nlines", "\x1b[31m", "x" * 501])
def test_a_mark_is_one_line_of_text(text: str) -> None:
    pair = Pair()
    pair.call("1")
    pair.run(1.0)
    with pytest.raises(LocalProtocolError, match="printable"):
        pair.recorder.mark(only(pair).id, text, now=pair.now)


def test_a_session_that_is_not_active_takes_no_mark() -> None:
    pair = Pair(config=ServerConfig(manual=True))
    pair.inject(invite())
    with pytest.raises(LocalProtocolError, match="not active"):
        pair.recorder.mark(only(pair).id, "early", now=pair.now)


def test_quality_is_counted_while_the_call_goes_on() -> None:
    pair = Pair()
    pair.call("1")
    pair.run(1.0)
    pair.caller.send_audio("1", bytes(320 * 20), now=pair.now)
    pair.run(1.0)
    (stream,) = only(pair).streams
    assert stream.packets_received > 0
    assert stream.packets_lost == 0
    assert stream.last_packet_at is not None


TEXTS = st.text(max_size=8)
MAYBE = st.none() | TEXTS
COUNTS = st.integers(0, 2**40)
ADDRESSES = st.builds(Address, TEXTS, st.integers(0, 65_535))
STREAMS = st.builds(
    StreamInfo,
    label=TEXTS,
    stream_id=MAYBE,
    codec=MAYBE,
    direction=TEXTS,
    local_port=COUNTS,
    remote=st.none() | ADDRESSES,
    packets_received=COUNTS,
    packets_lost=COUNTS,
    packets_duplicate=COUNTS,
    packets_reordered=COUNTS,
    packets_rejected=COUNTS,
    jitter=st.floats(0, 10),
    last_packet_at=MAYBE,
)
TUPLES = st.lists(TEXTS, max_size=3).map(tuple)
INFOS = st.builds(
    SessionInfo,
    id=TEXTS.map(SessionId),
    status=st.sampled_from(SessionStatus),
    state=TEXTS,
    call_id=TEXTS,
    local_tag=TEXTS,
    remote_tag=TEXTS,
    peer=ADDRESSES,
    transport=st.sampled_from(Transport),
    user_agent=MAYBE,
    authenticated_user=MAYBE,
    started_at=TEXTS,
    answered_at=MAYBE,
    labels=TUPLES,
    streams=st.lists(STREAMS, max_size=2).map(tuple),
    participants=st.lists(st.builds(ParticipantInfo, TEXTS, TUPLES, TUPLES), max_size=2).map(tuple),
    datamode=MAYBE,
    dialect=TEXTS,
    metadata_documents=COUNTS,
    findings=COUNTS,
    directory=TEXTS,
    files=TUPLES,
)


@given(INFOS)
def test_what_json_carries_is_read_back(info: SessionInfo) -> None:
    assert SessionInfo.from_json(json.loads(json.dumps(info.as_json()))) == info


@given(INFOS, st.data())
def test_a_field_that_is_wrong_or_missing_is_told(info: SessionInfo, data: st.DataObject) -> None:
    value = info.as_json()
    name = data.draw(st.sampled_from(sorted(value)))
    wrong: object = data.draw(st.sampled_from([{}, [1], 1.5, True, object()]))
    with pytest.raises(RemoteProtocolError):
        SessionInfo.from_json({**value, name: wrong})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )
)
def test_anything_else_is_refused_as_such(value: object) -> None:
    with pytest.raises(RemoteProtocolError):
        SessionInfo.from_json(value)


def test_a_snapshot_is_a_value() -> None:
    pair = Pair()
    pair.call("1")
    pair.run(1.0)
    before = only(pair)
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    assert before.status is SessionStatus.ACTIVE
    assert replace(before, state="x") != before
