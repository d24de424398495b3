"""How far a call is, as its events tell."""

import pytest

from siprec_core.recording.call import ChangeOutcome
from siprec_core.recording.call_events import ChangeConcluded, RecordingEnded, RecordingRefused
from siprec_sync.calls import CallProgress, CallRefusedError, ChangeRefusedError

TAKEN = ChangeOutcome(status=200, reason="OK")


class Rings:
    """Counts what is told."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_an_outcome_is_kept_for_who_waits_for_it() -> None:
    rings = Rings()
    progress = CallProgress(rings)
    assert progress.expect(7) == 7
    assert not progress.concluded(7)
    progress.put(ChangeConcluded(change=7, outcome=TAKEN))
    assert progress.concluded(7)
    assert progress.conclude(7) == TAKEN
    assert progress.last_change == TAKEN
    assert rings.count == 1


def test_a_change_of_nothing_is_concluded_at_once() -> None:
    progress = CallProgress(Rings())
    assert progress.expect(None) is None
    assert progress.concluded(None)
    assert progress.conclude(None) is None


def test_outcomes_that_nobody_waits_for_are_not_kept() -> None:
    progress = CallProgress(Rings())
    progress.expect(1)
    progress.forget(1)
    for change in range(100):
        progress.put(ChangeConcluded(change=change, outcome=TAKEN))
    assert progress._changes == {}
    assert progress.last_change == TAKEN


def test_a_refused_change_raises_with_its_outcome() -> None:
    progress = CallProgress(Rings())
    progress.expect(1)
    refused = ChangeOutcome(status=488, reason="Not Acceptable Here")
    progress.put(ChangeConcluded(change=1, outcome=refused))
    with pytest.raises(ChangeRefusedError, match="488 Not Acceptable Here") as caught:
        progress.conclude(1)
    assert caught.value.outcome == refused


def test_the_end_of_the_driver_ends_the_waiting_for_a_change() -> None:
    progress = CallProgress(Rings())
    progress.expect(1)
    progress.close()
    assert progress.concluded(1)
    with pytest.raises(ChangeRefusedError, match="481"):
        progress.conclude(1)


@pytest.mark.parametrize("local", [False, True])
def test_a_refused_call_tells_the_wire_from_this_side(local: bool) -> None:
    progress = CallProgress(Rings())
    progress.put(RecordingRefused(status=503, reason="Service Unavailable", local=local))
    with pytest.raises(CallRefusedError) as caught:
        progress.answer()
    assert caught.value.local is local


def test_a_call_that_ended_before_its_answer_is_no_refusal_of_the_server_s() -> None:
    progress = CallProgress(Rings())
    progress.put(RecordingEnded(reason="cancelled"))
    with pytest.raises(CallRefusedError, match="487 cancelled") as caught:
        progress.answer()
    assert caught.value.local
