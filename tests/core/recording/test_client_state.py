"""What a client has described and what it wants: wishes in turn, answers to the server's offers, snapshots."""

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.metadata.model import MetadataDocument
from siprec_core.metadata.reader import read_metadata
from siprec_core.recording.call import ChangeOutcome
from siprec_core.recording.call_events import ChangeConcluded
from siprec_core.recording.client_state import ClientState, Wish
from tests.core.messages import METADATA, OFFER
from tests.core.recording.test_hold import ANSWER, description, directions


@pytest.fixture
def state() -> ClientState:
    state = ClientState(limits=Limits())
    state.agree(description(OFFER), description(ANSWER))
    return state


def test_wishes_come_one_at_a_time_and_in_order(state: ClientState) -> None:
    first, second = Wish(metadata=b"1"), Wish(metadata=b"2")
    state.want(first)
    state.want(second)
    assert state.next_wish() == first
    assert state.next_wish() is None
    assert state.waiting == 2
    state.again()
    assert state.next_wish() == first
    state.current = None
    assert state.next_wish() == second


def test_wishes_are_bounded_and_one_snapshot_is_enough(state: ClientState) -> None:
    for _ in range(100):
        state.want(Wish(snapshot=True))
    assert state.waiting == 1
    for _ in range(31):
        state.want(Wish())
    with pytest.raises(LocalProtocolError):
        state.want(Wish())


@pytest.mark.requirement("7866-7.1.1-e")
def test_offers_follow_what_is_paused(state: ClientState) -> None:
    state.paused.add("2")
    offer = state.offer()
    assert directions(offer) == ["sendonly", "inactive"]
    assert offer.origin.version == 2
    with pytest.raises(LocalProtocolError):
        ClientState(limits=Limits()).offer()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("recvonly", "sendonly"), ("sendrecv", "sendonly"), ("inactive", "inactive"), ("sendonly", "inactive")],
)
def test_the_servers_offers_are_answered(state: ClientState, theirs: str, ours: str) -> None:
    answer = state.answer(description(ANSWER.replace("recvonly", theirs, 1)))
    assert answer is not None
    assert directions(answer) == [ours, "sendonly"]


def test_what_we_hold_stays_held_in_answers(state: ClientState) -> None:
    state.paused.add("1")
    answer = state.answer(description(ANSWER))
    assert answer is not None
    assert directions(answer) == ["inactive", "sendonly"]


@pytest.mark.requirement("7866-7.2-c", "7866-7.2-d", "3264-8-b")
def test_lines_that_are_dropped_or_added_get_port_0_and_missing_ones_no_answer(state: ClientState) -> None:
    """7866-7.2-c, 7866-7.2-d."""
    dropped = state.answer(description(ANSWER.replace("41000", "0")))
    assert dropped is not None
    assert [line.port for line in dropped.media] == [0, 41002]
    added = state.answer(description(ANSWER + "m=audio 9000 RTP/AVP 0\r\n"))
    assert added is not None
    assert [line.port for line in added.media] == [41000, 41002, 0]
    assert state.answer(description(ANSWER.partition("m=audio 41002")[0])) is None


def test_a_refusal_takes_a_hold_back(state: ClientState) -> None:
    state.paused.add("1")
    state.want(Wish())
    state.next_wish()
    outcome = ChangeOutcome(status=488, reason="Not Acceptable Here")
    assert state.conclude(outcome) == (ChangeConcluded(change=0, outcome=outcome),)
    assert state.paused == set()
    assert state.waiting == 0
    assert state.last_change == outcome
    assert state.conclude(outcome) == (), "nothing was under way"


def test_the_end_of_a_call_gives_up_the_change_under_way_and_those_that_wait(state: ClientState) -> None:
    numbers = [state.want_own(), state.want_own(b"<x/>"), state.want_own()]
    state.next_wish()
    given_up = state.abandon()
    assert [each.change for each in given_up] == numbers == [1, 2, 3]
    assert {(each.outcome.status, each.outcome.local, each.outcome.taken) for each in given_up} == {(481, True, False)}
    assert state.waiting == 0
    assert state.abandon() == ()


def test_a_number_is_given_only_to_what_waits(state: ClientState) -> None:
    for _ in range(32):
        last = state.want_own()
    with pytest.raises(LocalProtocolError):
        state.want_own()
    state.next_wish()
    assert state.want_own() == last + 1


def test_the_snapshot_is_everything_that_was_told(state: ClientState) -> None:
    """7866-9.1-h."""
    state.told(METADATA.encode(), unix_ns=0)
    state.told(b"no metadata", unix_ns=0)
    document = read_metadata(state.snapshot(), limits=Limits()).document
    assert isinstance(document, MetadataDocument)
    assert document.is_complete
    assert {each.label for each in document.streams} == {"1", "2"}


def test_documents_with_labels_need_their_offer(state: ClientState) -> None:
    """7866-9.1-e."""
    assert state.needs_offer(METADATA.encode())
    assert not state.needs_offer(b"<recording xmlns='urn:ietf:params:xml:ns:recording:1'/>")
    assert not state.needs_offer(b"garbage")
