"""`a=record` and `a=recordpref` in the SDP of a communication session (RFC 7866 section 7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sdp.record import (
    PreferencePolicy,
    RecordingPreference,
    RecordingState,
    follow_preferences,
    latest_states,
    next_indication,
    recording_preferences,
    recording_states,
    with_recording_preferences,
    with_recording_states,
)

ON, OFF, PAUSED = RecordingState
WANTED, UNWANTED, HELD, ANY = RecordingPreference
EVERYTHING = PreferencePolicy(on=True, off=True, pause=True)


def described(*lines: str, session: str = "") -> SessionDescription:
    """Give a description with one audio line for each text, which is put below it."""
    text = f"v=0\r\no=- 5 7 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n{session}"
    for number, line in enumerate(lines):
        text += f"m=audio {4000 + 2 * number} RTP/AVP 0\r\na=sendrecv\r\n{line}"
    parsed = parse_sdp(text.encode(), limits=Limits())
    assert parsed.description is not None
    return parsed.description


def written(description: SessionDescription) -> list[str]:
    """Give the attributes that tell or wish, in order, with `m` for each media line."""
    lines = description.to_bytes().decode().splitlines()
    return [line[:1] if line.startswith("m=") else line for line in lines if line.startswith(("m=", "a=rec", "a=a="))]


@pytest.mark.requirement("7866-7.1.2-a")
@pytest.mark.parametrize(
    ("description", "states"),
    [
        (described("", ""), (None, None)),
        (described("", "", session="a=record:on\r\n"), (ON, ON)),
        (described("", "a=record:paused\r\n", session="a=record:on\r\n"), (ON, PAUSED)),
        (described("a=record:off\r\n", ""), (OFF, None)),
        (described("a=record:ON\r\n", "a=record: paused \r\n"), (ON, PAUSED)),
        (described("a=record:pause\r\n", "a=record\r\n"), (None, None)),
        (described(), ()),
    ],
)
def test_a_medium_goes_before_the_session(description: SessionDescription, states: tuple[RecordingState, ...]) -> None:
    assert recording_states(description) == states


@pytest.mark.requirement("7866-7.3.2-a", "7866-7.3.2-b")
@pytest.mark.parametrize(
    ("description", "preferences"),
    [
        (described("", ""), (ANY, ANY)),
        (described("", "a=recordpref:on\r\n", session="a=recordpref:off\r\n"), (UNWANTED, WANTED)),
        (described("a=recordpref:pause\r\n", "a=recordpref:nopreference\r\n"), (HELD, ANY)),
        (described("a=recordpref:paused\r\n", "a=recordpref\r\n"), (ANY, ANY)),
        (described("a=a=recordpref:off\r\n"), (UNWANTED,)),
    ],
)
def test_no_word_is_no_preference(
    description: SessionDescription, preferences: tuple[RecordingPreference, ...]
) -> None:
    assert recording_preferences(description) == preferences


def test_what_agrees_stands_once_and_what_was_there_goes() -> None:
    before = described("a=record:on\r\na=record:off\r\n", "a=record:paused\r\n", session="a=record:off\r\n")
    assert written(with_recording_states(before, [ON, ON])) == ["a=record:on", "m", "m"]
    assert written(with_recording_states(before, [ON, OFF])) == ["m", "a=record:on", "m", "a=record:off"]
    assert written(with_recording_states(before, [ON, None])) == ["m", "a=record:on", "m"]
    assert written(with_recording_states(before, [None, None])) == ["m", "m"]


@pytest.mark.requirement("7866-7.3.2-b")
def test_a_preference_is_never_written_as_the_grammar_is_printed() -> None:
    before = described("a=a=recordpref:on\r\n", "")
    assert written(with_recording_preferences(before, [UNWANTED, UNWANTED])) == ["a=recordpref:off", "m", "m"]
    assert written(with_recording_preferences(before, [ANY, HELD])) == ["m", "m", "a=recordpref:pause"]
    assert written(with_recording_preferences(before, [ANY, ANY])) == ["m", "m"]


def test_each_line_needs_its_state() -> None:
    with pytest.raises(LocalProtocolError):
        with_recording_states(described("", ""), [ON])
    with pytest.raises(LocalProtocolError):
        with_recording_preferences(described(), [ANY])


@given(st.lists(st.sampled_from([ON, OFF, PAUSED, None]), max_size=4))
def test_states_are_read_as_they_were_written(states: list[RecordingState | None]) -> None:
    description = with_recording_states(described(*[""] * len(states)), states)
    again = parse_sdp(description.to_bytes(), limits=Limits()).description
    assert again is not None
    assert recording_states(again) == tuple(states)


@given(st.lists(st.sampled_from(RecordingPreference), max_size=4))
def test_preferences_are_read_as_they_were_written(preferences: list[RecordingPreference]) -> None:
    description = with_recording_preferences(described(*[""] * len(preferences)), preferences)
    assert recording_preferences(description) == tuple(preferences)


@pytest.mark.requirement("7866-7.1.2-b")
def test_a_change_of_the_indication_needs_an_offer_of_the_next_version() -> None:
    sent = with_recording_states(described("", ""), [ON, ON])
    assert next_indication(sent, [ON, ON]) is None
    following = next_indication(sent, [ON, PAUSED])
    assert following is not None
    assert (following.origin.version, recording_states(following)) == (8, (ON, PAUSED))
    ended = next_indication(following, [OFF, OFF])
    assert ended is not None
    assert (ended.origin.version, written(ended)) == (9, ["a=record:off", "m", "m"])


@pytest.mark.requirement("7866-7.3.1-a")
def test_what_is_shown_is_what_was_received_last_for_each_medium() -> None:
    known = latest_states((), described("a=record:on\r\n", ""))
    assert known == (ON, None)
    known = latest_states(known, described("", "a=record:paused\r\n"))
    assert known == (ON, PAUSED)
    assert latest_states(known, described("", "", "", session="a=record:off\r\n")) == (OFF, OFF, OFF)
    assert latest_states(known, described("", "", "")) == (ON, PAUSED, None)


@pytest.mark.requirement("7866-7.3.1-b")
def test_what_was_received_can_be_passed_on_to_others() -> None:
    received = described("", "a=record:paused\r\n", session="a=record:on\r\n")
    passed_on = with_recording_states(described("", "a=ptime:20\r\n"), recording_states(received))
    assert recording_states(passed_on) == (ON, PAUSED)


@pytest.mark.requirement("7866-7.1.3-a")
@pytest.mark.parametrize(
    ("state", "preference", "policy", "expected"),
    [
        (OFF, WANTED, EVERYTHING, ON),
        (PAUSED, WANTED, EVERYTHING, ON),
        (OFF, WANTED, PreferencePolicy(off=True, pause=True), OFF),
        (ON, UNWANTED, EVERYTHING, OFF),
        (PAUSED, UNWANTED, EVERYTHING, OFF),
        (ON, UNWANTED, PreferencePolicy(on=True, pause=True), ON),
        (ON, HELD, EVERYTHING, PAUSED),
        (OFF, HELD, EVERYTHING, OFF),
        (ON, HELD, PreferencePolicy(on=True, off=True), ON),
        (ON, ANY, EVERYTHING, ON),
        (PAUSED, ANY, EVERYTHING, PAUSED),
    ],
)
def test_a_wish_is_followed_where_the_policy_says_so(
    state: RecordingState, preference: RecordingPreference, policy: PreferencePolicy, expected: RecordingState
) -> None:
    assert follow_preferences([state], [preference], policy) == (expected,)


@pytest.mark.requirement("7866-7.1.3-b")
def test_what_a_wish_has_changed_is_reported_in_the_answer() -> None:
    offer = described("a=recordpref:off\r\n", "")
    answer = described("", "")
    states = follow_preferences([ON, ON], recording_preferences(offer), PreferencePolicy(off=True))
    assert written(with_recording_states(answer, states)) == ["m", "a=record:off", "m", "a=record:on"]


def test_lines_without_a_wish_stay() -> None:
    assert follow_preferences([ON, PAUSED], [UNWANTED], EVERYTHING) == (OFF, PAUSED)
