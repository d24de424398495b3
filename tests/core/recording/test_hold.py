"""Descriptions that hold and resume, and the plans that the client's answers leave."""

from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.recording.hold import directed, held, offer_of_recorder, plan_of_counterpart, with_directions
from siprec_core.sdp.model import Direction, SessionDescription
from siprec_core.sdp.parser import parse_sdp
from tests.core.messages import OFFER

ANSWER = OFFER.replace("sendonly", "recvonly").replace("100 1 IN", "7 3 IN")


def description(text: str) -> SessionDescription:
    parsed = parse_sdp(text.encode(), limits=Limits()).description
    if parsed is None:
        raise ValueError(text)
    return parsed


def directions(of: SessionDescription) -> list[str]:
    return [of.direction_of(line) for line in of.media]


def test_the_version_rises_exactly_when_something_changes() -> None:
    ours = description(ANSWER)
    same = offer_of_recorder(ours, paused=False)
    paused = offer_of_recorder(ours, paused=True)
    assert same == ours
    assert directions(paused) == ["inactive", "inactive"]
    assert paused.origin.version == ours.origin.version + 1
    assert offer_of_recorder(paused, paused=True) == paused


def test_refused_lines_stay_refused_and_the_place_of_the_direction_stays() -> None:
    ours = description(ANSWER.replace("41002", "0"))
    paused = offer_of_recorder(ours, paused=True)
    assert directions(paused) == ["inactive", "recvonly"]
    names = [attribute.name for attribute in paused.media[0].attributes]
    assert names == ["inactive", "label"]


def test_a_line_without_direction_gets_one() -> None:
    ours = description(ANSWER.replace("a=recvonly\r\n", ""))
    assert directed(ours.media[0], "inactive").direction == "inactive"


@given(st.lists(st.sampled_from(["sendonly", "recvonly", "inactive", "sendrecv"]), min_size=2, max_size=2))
def test_chosen_directions_are_those_that_are_written(chosen: list[Direction]) -> None:
    changed = with_directions(description(ANSWER), lambda index, _line: chosen[index])
    assert directions(changed) == chosen
    again = description(changed.to_bytes().decode())
    assert directions(again) == chosen


def test_the_answer_of_a_client_becomes_a_plan_and_keeps_our_labels() -> None:
    ours = description(ANSWER)
    plan = plan_of_counterpart(ours, description(OFFER.replace("a=label:1\r\n", "").replace("41002", "0")))
    assert plan is not None
    assert [(line.label, line.accepted, line.direction) for line in plan.lines] == [
        ("1", True, "recvonly"),
        ("2", False, "inactive"),
    ]
    assert [line.direction for line in held(plan).lines] == ["inactive", "inactive"]


def test_a_client_may_hold_what_we_want() -> None:
    """Media that the answerer does not send does not come (RFC 3264 section 6.1)."""
    theirs = description(OFFER.replace("a=sendonly", "a=inactive", 1))
    plan = plan_of_counterpart(description(ANSWER), theirs)
    assert plan is not None
    assert [line.direction for line in plan.lines] == ["inactive", "recvonly"]


def test_an_answer_with_other_lines_is_none() -> None:
    one = description(OFFER.partition("m=audio 41002")[0])
    assert plan_of_counterpart(description(ANSWER), one) is None
