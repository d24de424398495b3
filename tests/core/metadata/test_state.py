import sys
from collections.abc import Callable, Hashable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.findings import Severity
from siprec_core.limits import Limits
from siprec_core.metadata.model import DataMode, Dialect, MetadataDocument
from siprec_core.metadata.reader import read_metadata
from siprec_core.metadata.state import MetadataChanges, MetadataState, Stay
from siprec_core.metadata.times import parse_time
from tests.core.metadata.documents import DOCUMENTS, LIMITS, document, load, read, uid

ANNA, BEN, CARLA = uid("anna"), uid("ben"), uid("carla")
CALL, LATER, FIRST, SECOND = uid("call"), uid("later"), uid("first"), uid("second")
NAME = "<nameID aor='sip:x@example.org'/>"
NOW = 1_714_560_000_000_000_000


def at(text: str) -> int:
    unix_ns = parse_time(f"2024-05-01T{text}Z").instant.unix_ns
    assert unix_ns is not None
    return unix_ns


def membership(participant: str, since: str | None = None, until: str | None = None, session: str = CALL) -> str:
    times = f"<associate-time>2024-05-01T{since}Z</associate-time>" if since else ""
    times += f"<disassociate-time>2024-05-01T{until}Z</disassociate-time>" if until else ""
    ids = f"participant_id='{participant}' session_id='{session}'"
    return f"<participantsessionassoc {ids}>{times}</participantsessionassoc>"


def participant(identity: str) -> str:
    return f"<participant participant_id='{identity}'>{NAME}</participant>"


def flow(identity: str, send: str = "", recv: str = "") -> str:
    inner = "".join(f"<send>{each}</send>" for each in send.split()) + "".join(
        f"<recv>{each}</recv>" for each in recv.split()
    )
    return f"<participantstreamassoc participant_id='{identity}'>{inner}</participantstreamassoc>"


START = f"<session session_id='{CALL}'><start-time>2024-05-01T10:00:00Z</start-time></session>"
STREAMS = (
    f"<stream stream_id='{FIRST}' session_id='{CALL}'><label>1</label></stream>"
    f"<stream stream_id='{SECOND}' session_id='{CALL}'><label>2</label></stream>"
)
PAIR = participant(ANNA) + participant(BEN)
FLOWS = flow(ANNA, FIRST, SECOND) + flow(BEN, SECOND, FIRST)
CALL_OF_TWO = START + PAIR + STREAMS + membership(ANNA, "10:00:00") + membership(BEN, "10:00:01") + FLOWS


def partial(body: str) -> str:
    return document(f"<datamode>partial</datamode>{body}")


def applied(*texts: str, state: MetadataState | None = None) -> tuple[MetadataState, MetadataChanges]:
    state = state or MetadataState(limits=LIMITS)
    changes = MetadataChanges(complete=False)
    for number, text in enumerate(texts):
        changes = state.apply(read(text), NOW + number * 1_000_000_000)
    return state, changes


def stays(state: MetadataState) -> dict[str, tuple[Stay, ...]]:
    return {record.participant.participant_id: record.stays for record in state.participants}


def test_first_complete_document_starts_everything() -> None:
    state, changes = applied(document(CALL_OF_TWO))
    assert changes == MetadataChanges(
        complete=True,
        joined=((ANNA, CALL), (BEN, CALL)),
        streams_added=(FIRST, SECOND),
        sessions_started=(CALL,),
    )
    assert state.dialect is Dialect.RFC7865
    assert state.had_complete
    assert stays(state) == {ANNA: (Stay(CALL, at("10:00:00")),), BEN: (Stay(CALL, at("10:00:01")),)}


def test_streams_and_their_people_are_found() -> None:
    state, _ = applied(document(CALL_OF_TWO))
    stream = state.stream_for_label("2")
    assert stream is not None
    assert stream.stream_id == SECOND
    assert state.stream_for_label("3") is None
    assert state.stream(FIRST) is not None
    assert state.stream("unknown") is None
    assert [each.participant_id for each in state.senders_of(SECOND)] == [BEN]
    assert [each.participant_id for each in state.receivers_of(SECOND)] == [ANNA]
    assert [each.participant_id for each in state.current_senders_of(SECOND)] == [BEN]


@pytest.mark.requirement("7865-5-a", "7865-6.8-e")
def test_hold_replaces_the_streams_of_a_participant() -> None:
    state, changes = applied(document(CALL_OF_TWO), partial(flow(ANNA, "", SECOND)))
    assert changes == MetadataChanges(complete=False, held=(ANNA,))
    assert state.current_senders_of(FIRST) == ()
    assert [each.participant_id for each in state.senders_of(FIRST)] == [ANNA]
    assert [each.participant_id for each in state.current_senders_of(SECOND)] == [BEN]
    (anna, _) = state.participants
    assert (anna.sends, anna.receives) == ((FIRST,), (SECOND,))


@pytest.mark.requirement("7865-6.8-e")
def test_several_associations_of_one_document_are_one_set() -> None:
    state, _ = applied(document(START + PAIR + STREAMS + flow(ANNA, FIRST) + flow(ANNA, SECOND, FIRST)))
    assert [(each.send, each.recv) for each in state.snapshot().participant_stream_associations] == [
        ((FIRST, SECOND), (FIRST,))
    ]


@pytest.mark.requirement("7865-6.3-g")
def test_bare_stop_time_ends_the_call_and_loses_nothing() -> None:
    stop = f"<session session_id='{CALL}'><stop-time>2024-05-01T10:05:00Z</stop-time></session>"
    state, changes = applied(document(CALL_OF_TWO), partial(stop + membership(ANNA, until="10:04:00")))
    assert changes.left == ((ANNA, CALL), (BEN, CALL))
    assert changes.sessions_stopped == (CALL,)
    assert stays(state) == {
        ANNA: (Stay(CALL, at("10:00:00"), at("10:04:00")),),
        BEN: (Stay(CALL, at("10:00:01"), at("10:05:00")),),
    }
    (session,) = state.sessions
    assert session.start_time is not None
    assert session.stop_time is not None
    first = state.snapshot().participant_session_associations[0]
    assert first.associate_time is not None
    assert first.disassociate_time is not None


def test_transfer_brings_one_and_takes_one() -> None:
    body = participant(CARLA) + membership(ANNA, until="10:02:00") + membership(CARLA, "10:02:01") + flow(CARLA, FIRST)
    state, changes = applied(document(CALL_OF_TWO), partial(body))
    assert (changes.joined, changes.left) == (((CARLA, CALL),), ((ANNA, CALL),))
    assert [record.left_ns for record in state.participants] == [at("10:02:00"), None, None]
    assert [each.participant_id for each in state.senders_of(FIRST)] == [ANNA, CARLA]


def test_transfer_hold_and_return_are_told() -> None:
    state, changes = applied(
        document(CALL_OF_TWO),
        partial(participant(CARLA) + membership(ANNA, until="10:02:00") + membership(CARLA, "10:02:01") + flow(ANNA)),
    )
    assert changes.transferred == ((ANNA, CARLA, CALL),)
    assert changes.held == ()
    _, changes = applied(partial(flow(BEN, "", FIRST)), state=state)
    assert (changes.held, changes.resumed) == ((BEN,), ())
    _, changes = applied(partial(flow(BEN, "", FIRST)), state=state)
    assert (changes.held, changes.resumed) == ((), ())
    _, changes = applied(partial(flow(BEN, SECOND, FIRST)), state=state)
    assert (changes.held, changes.resumed) == ((), (BEN,))


@pytest.mark.requirement("7865-6.6-c", "7865-6.8-b")
def test_who_was_where_at_an_instant() -> None:
    body = participant(CARLA) + membership(ANNA, until="10:02:00") + membership(CARLA, "10:02:01")
    state, _ = applied(document(CALL_OF_TWO), partial(body + flow(ANNA) + flow(CARLA, FIRST, SECOND)))
    assert state.at(at("09:59:59")).present == ()
    early, between, late = state.at(at("10:00:00")), state.at(at("10:02:00")), state.at(at("10:02:01"))
    assert early.present == ((ANNA, CALL),)
    assert (early.senders, early.receivers) == ({FIRST: (ANNA,)}, {SECOND: (ANNA,)})
    assert (between.present, between.senders) == (((BEN, CALL),), {SECOND: (BEN,)})
    assert late.present == ((BEN, CALL), (CARLA, CALL))
    assert late.senders == {FIRST: (CARLA,), SECOND: (BEN,)}
    assert late.receivers == {FIRST: (BEN,), SECOND: (CARLA,)}


@settings(max_examples=40)
@given(st.lists(DOCUMENTS, max_size=4))
def test_every_span_is_found_at_its_beginning(documents: list[MetadataDocument]) -> None:
    state = MetadataState(limits=LIMITS)
    for number, each in enumerate(documents):
        state.apply(each, NOW + number)
    for span in state.spans:
        assert span.until_ns is None or span.until_ns >= span.since_ns
        if span.until_ns != span.since_ns:
            moment = state.at(span.since_ns)
            assert span.participant_id in (moment.senders if span.sends else moment.receivers)[span.stream_id]


@pytest.mark.requirement("7865-5-b")
def test_complete_document_ends_what_it_does_not_list() -> None:
    later = START.replace(CALL, LATER) + participant(BEN) + STREAMS.replace(CALL, LATER).replace(FIRST, uid("third"))
    later += membership(BEN, session=LATER)
    state, changes = applied(document(CALL_OF_TWO), document(later))
    assert changes.sessions_stopped == (CALL,)
    assert changes.sessions_started == (LATER,)
    assert changes.streams_removed == (FIRST,)
    assert changes.streams_added == (uid("third"),)
    assert changes.joined == ((BEN, LATER),)
    assert sorted(changes.left) == sorted([(ANNA, CALL), (BEN, CALL)])
    assert [each.session_id for each in state.snapshot().sessions] == [LATER]
    assert [each.session_id for each in state.snapshot(ended=True).sessions] == [CALL, LATER]
    assert [record.participant.participant_id for record in state.participants] == [ANNA, BEN]
    assert [record.left_ns for record in state.participants] == [NOW + 1_000_000_000, None]
    relabelled = state.stream_for_label("1")
    assert relabelled is not None
    assert relabelled.stream_id == uid("third")


def test_participant_without_association_is_there_while_it_is_listed() -> None:
    state, _ = applied(document(START + PAIR), document(START + participant(BEN)))
    anna, ben = state.participants
    assert (anna.joined_ns, anna.left_ns) == (NOW, NOW + 1_000_000_000)
    assert (ben.joined_ns, ben.left_ns) == (NOW, None)


def test_stay_without_time_begins_with_the_session() -> None:
    state, _ = applied(document(START + participant(ANNA) + membership(ANNA)))
    assert stays(state) == {ANNA: (Stay(CALL, at("10:00:00")),)}


def test_stay_without_any_time_begins_with_the_document() -> None:
    state, _ = applied(document(f"<session session_id='{CALL}'/>" + participant(ANNA) + membership(ANNA)))
    assert stays(state) == {ANNA: (Stay(CALL, NOW),)}


@pytest.mark.requirement("7865-chk-c")
def test_partial_document_before_a_complete_one_is_kept_and_flagged() -> None:
    state, changes = applied(partial(CALL_OF_TWO))
    assert [each.code for each in changes.findings] == ["metadata-partial-first"]
    assert changes.snapshot_needed
    assert not state.had_complete
    assert len(state.participants) == 2
    _, changes = applied(document(CALL_OF_TWO), state=state)
    assert not changes.snapshot_needed


@pytest.mark.requirement("7865-chk-a")
def test_partial_document_that_refers_to_nothing_asks_for_a_snapshot() -> None:
    state, changes = applied(document(CALL_OF_TWO), partial(flow(ANNA, uid("nowhere"))))
    assert changes.snapshot_needed
    assert [each.code for each in changes.findings] == ["metadata-dangling-reference"]
    assert state.senders_of(uid("nowhere")) != ()


@pytest.mark.requirement("7865-6.10-e")
def test_id_of_another_kind_in_a_later_document_is_an_error() -> None:
    _, changes = applied(document(CALL_OF_TWO), partial(participant(FIRST)))
    assert [each.code for each in changes.findings] == ["metadata-id-reused"]


def test_streams_without_id_are_told_apart_by_label() -> None:
    streams = "<stream stream_id=''><label>1</label></stream><stream stream_id=''><label>2</label></stream>"
    state, _ = applied(document(streams))
    assert [each.label for each in state.streams] == ["1", "2"]


def test_recording_of_the_early_dialect_begins_with_its_first_document() -> None:
    state = MetadataState(limits=LIMITS)
    document = read(load("seed"))
    for number in range(2):
        state.apply(document, NOW + number * 1_000_000_000)
    (recording,) = state.snapshot().session_recording_associations
    assert recording.associate_time is not None
    assert recording.associate_time.unix_ns == NOW
    assert state.dialect is Dialect.SEED
    assert state.snapshot().dialect is Dialect.RFC7865
    assert [each.participant_id for each in state.current_senders_of("only")] == ["anna", "ben"]


def test_state_is_bounded() -> None:
    state = MetadataState(limits=Limits(metadata_objects=10))
    for number in range(20):
        changes = state.apply(read(partial(participant(uid(f"p{number}")) + membership(uid(f"p{number}")))), NOW)
    assert "metadata-objects" in [each.code for each in changes.findings]
    assert len(state.participants) <= 10


@pytest.mark.parametrize("name", ["complete", "seed", "draft-recording", "draft-siprec", "lenient"])
def test_snapshot_of_a_complete_document_says_the_same(name: str) -> None:
    document = read(load(name))
    state = MetadataState(limits=LIMITS)
    state.apply(document, NOW)
    snapshot = state.snapshot()
    assert snapshot.datamode is DataMode.COMPLETE
    assert (snapshot.sessions, snapshot.participants, snapshot.streams, snapshot.extensions) == (
        document.sessions,
        document.participants,
        document.streams,
        document.extensions,
    )


def calls(text: str) -> int:
    """Count the calls of functions that reading and applying a document costs."""
    count = 0

    def profile(*_: object) -> None:
        nonlocal count
        count += 1

    data = text.encode()
    state = MetadataState(limits=LIMITS)
    sys.setprofile(profile)
    try:
        parsed = read_metadata(data, limits=LIMITS)
        assert isinstance(parsed.document, MetadataDocument)
        state.apply(parsed.document, NOW)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "part",
    [
        lambda number: flow(ANNA, uid(f"s{number}")),
        lambda number: membership(ANNA, f"10:{number // 60 % 60:02}:{number % 60:02}", f"11:00:{number % 60:02}"),
        lambda number: participant(uid(f"p{number}")),
        lambda number: f"<stream stream_id='s{number}' id{number}=''/>",
        lambda number: f"<stream stream_id='{FIRST}'/>",
    ],
    ids=["flows", "memberships", "participants", "attributes", "duplicates"],
)
def test_cost_grows_with_the_size_of_the_document(part: Callable[[int], str]) -> None:
    small, large = (calls(partial("".join(part(number) for number in range(size)))) for size in (200, 1600))
    assert large < 10 * small


def test_cost_of_names_outside_of_name_ids_grows_with_their_number() -> None:
    def body(size: int) -> str:
        return partial(f"<participant participant_id='{ANNA}'>{NAME * size}{'<name>x</name>' * size}</participant>")

    assert calls(body(1600)) < 10 * calls(body(200))


KEYS: dict[str, Callable[[Any], Hashable]] = {
    "groups": lambda each: each.group_id,
    "sessions": lambda each: each.session_id,
    "participants": lambda each: each.participant_id,
    "streams": lambda each: each.stream_id,
    "session_recording_associations": lambda each: each.session_id,
    "participant_session_associations": lambda each: (each.participant_id, each.session_id),
    "participant_stream_associations": lambda each: each.participant_id,
}
TOLD_WHOLE = ("streams", "participant_stream_associations")
NOT_KEPT = ("disassociate_time",)


def merged(base: MetadataDocument, update: MetadataDocument) -> MetadataDocument:
    """Merge by the book: objects are replaced by id, past facts that are not told anew stay."""
    result: dict[str, Any] = {}
    for kind, key in KEYS.items():
        objects = {key(each): each for each in getattr(base, kind)}
        for each in getattr(update, kind):
            before = objects.get(key(each))
            if before is not None and kind not in TOLD_WHOLE:
                kept = {
                    field.name: getattr(before, field.name)
                    for field in fields(each)
                    if getattr(each, field.name) in (None, ()) and field.name not in NOT_KEPT
                }
                each = replace(each, **kept)
            objects[key(each)] = each
        result[kind] = tuple(objects.values())
    return replace(base, **result, extensions=update.extensions or base.extensions)


@pytest.mark.requirement("7865-5-a", "7866-9.2-a")
@settings(max_examples=60)
@given(DOCUMENTS, st.lists(DOCUMENTS, max_size=3))
def test_partial_documents_on_a_complete_one_equal_the_merged_one(
    base: MetadataDocument, updates: list[MetadataDocument]
) -> None:
    stepwise, whole = MetadataState(limits=LIMITS), MetadataState(limits=LIMITS)
    base = replace(base, datamode=DataMode.COMPLETE)
    stepwise.apply(base, NOW)
    for number, update in enumerate(updates):
        stepwise.apply(replace(update, datamode=DataMode.PARTIAL), NOW + number)
        base = merged(base, update)
    whole.apply(base, NOW)
    assert stepwise.snapshot() == whole.snapshot() == base


@settings(max_examples=60)
@given(st.lists(DOCUMENTS, max_size=5))
def test_history_agrees_with_the_changes_told(documents: list[MetadataDocument]) -> None:
    state = MetadataState(limits=LIMITS)
    lasting: list[tuple[str, str]] = []
    for number, each in enumerate(documents):
        changes = state.apply(each, NOW + number)
        lasting += changes.joined
        for left in changes.left:
            lasting.remove(left)
    records = {record.participant.participant_id: record for record in state.participants}
    assert len(lasting) == len(set(lasting))
    for identity, record in records.items():
        open_stays = [stay.session_id for stay in record.stays if stay.left_ns is None]
        assert sorted(open_stays) == sorted(session for who, session in lasting if who == identity)
        assert (record.left_ns is None) or not open_stays


@pytest.mark.requirement("7865-6.1-b")
def test_recording_may_have_nothing_in_it() -> None:
    state, changes = applied(document(""))
    assert changes == MetadataChanges(complete=True)
    assert state.snapshot().sessions == ()


@pytest.mark.requirement("7865-6.2-c", "7865-6.3-f")
def test_sessions_of_one_group_have_their_own_people_and_streams() -> None:
    group = uid("group")
    calls = "".join(f"<session session_id='{each}'><group-ref>{group}</group-ref></session>" for each in (CALL, LATER))
    streams = STREAMS.replace(f"stream_id='{SECOND}' session_id='{CALL}'", f"stream_id='{SECOND}' session_id='{LATER}'")
    body = f"<group group_id='{group}'/>" + calls + PAIR + streams
    state, changes = applied(document(body + membership(ANNA) + membership(BEN, session=LATER) + FLOWS))
    assert changes.sessions_started == (CALL, LATER)
    assert changes.joined == ((ANNA, CALL), (BEN, LATER))
    assert [each.group_ref for each in state.sessions] == [group, group]
    stop = f"<session session_id='{LATER}'><stop-time>2024-05-01T10:05:00Z</stop-time></session>"
    _, changes = applied(partial(stop), state=state)
    assert (changes.sessions_stopped, changes.left) == ((LATER,), ((BEN, LATER),))


@pytest.mark.requirement("7866-9.2-i")
def test_id_that_another_client_defined_is_no_error() -> None:
    body = f"<session session_id='{CALL}'><group-ref>{uid('of another client')}</group-ref></session>"
    parsed = read_metadata(document(body).encode(), limits=LIMITS)
    assert isinstance(parsed.document, MetadataDocument)
    changes = MetadataState(limits=LIMITS).apply(parsed.document, NOW)
    assert not changes.snapshot_needed
    assert {each.severity for each in (*parsed.findings, *changes.findings)} == {Severity.WARNING}
