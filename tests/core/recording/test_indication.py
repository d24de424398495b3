"""How the people of a call are told that they are recorded (RFC 7866 section 6.1.2)."""

import pytest

from siprec_core.limits import Limits
from siprec_core.recording.indication import recording_indication
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sdp.record import RecordingState, recording_states
from tests.core.messages import OFFER, read, read_response, request, response_to

ON, OFF, PAUSED = RecordingState
DESCRIPTION = parse_sdp(OFFER.encode(), limits=Limits()).description


@pytest.mark.requirement("7866-6.1.2-a")
@pytest.mark.parametrize("supported", ["timer", "record-aware", "Record-Aware, timer", "norecord-aware"])
@pytest.mark.parametrize("states", [(ON, ON), (OFF, ON), (ON, PAUSED)])
def test_everybody_is_told_while_something_is_recorded(supported: str, states: tuple[RecordingState, ...]) -> None:
    assert DESCRIPTION is not None
    participant = read(request("INVITE", extra=[f"Supported: {supported}"]))
    indication = recording_indication(participant, DESCRIPTION, states)
    assert (recording_states(indication.description) == states) is not indication.other_means


@pytest.mark.requirement("7866-6.1.2-b")
def test_who_is_aware_is_told_in_the_sdp() -> None:
    assert DESCRIPTION is not None
    aware = read(request("INVITE", extra=["Supported: timer, record-aware"]))
    indication = recording_indication(aware, DESCRIPTION, (ON, PAUSED))
    assert recording_states(indication.description) == (ON, PAUSED)
    assert not indication.other_means


@pytest.mark.requirement("7866-6.1.2-c")
@pytest.mark.parametrize(("states", "heard"), [((ON, OFF), True), ((PAUSED, OFF), False), ((OFF, OFF), False)])
def test_who_is_not_aware_is_told_otherwise_while_something_is_recorded(
    states: tuple[RecordingState, ...], heard: bool
) -> None:
    assert DESCRIPTION is not None
    unaware = read_response(response_to(request("INVITE"), 200))
    indication = recording_indication(unaware, DESCRIPTION, states)
    assert (indication.description, indication.other_means) == (DESCRIPTION, heard)
