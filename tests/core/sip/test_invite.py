"""The INVITE usage: every state with every input, and the retransmission of 2xx."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.sip import invite as usages
from siprec_core.sip.invite import AnswerRepeater, InviteUsage, UsageId, UsageInput, UsageState
from siprec_core.sip.message import Response
from siprec_core.sip.reply import respond
from siprec_core.sip.transaction import LIFETIME
from tests.core.messages import read, request

S, I = UsageState, UsageInput  # noqa: E741 - the names that the table below is read by
INVITE = read(request("INVITE"))
KEY = ("key",)

FIGURE: dict[tuple[UsageState, UsageInput], tuple[str, UsageState]] = {
    (S.INVITED, I.ACCEPT): ("final", S.ANSWERED),
    (S.INVITED, I.REJECT): ("final rejected gone", S.ENDED),
    (S.INVITED, I.HANG_UP): ("final local-bye gone", S.ENDED),
    (S.INVITED, I.CANCEL): ("final cancelled gone", S.ENDED),
    (S.INVITED, I.BYE): ("final bye gone", S.ENDED),
    (S.INVITED, I.EXPIRE): ("final expired gone", S.ENDED),
    (S.INVITED, I.GIVE_UP): ("final timeout-prack gone", S.ENDED),
    (S.ANSWERED, I.RETRANSMIT): ("final", S.ANSWERED),
    (S.ANSWERED, I.GIVE_UP): ("send-bye timeout-ack", S.ENDING),
    (S.ANSWERED, I.ACK): ("confirmed", S.CONFIRMED),
    (S.ANSWERED, I.BYE): ("bye gone", S.ENDED),
    (S.ANSWERED, I.HANG_UP): ("local-bye", S.ANSWERED_ENDING),
    (S.ANSWERED_ENDING, I.RETRANSMIT): ("final", S.ANSWERED_ENDING),
    (S.ANSWERED_ENDING, I.GIVE_UP): ("send-bye", S.ENDING),
    (S.ANSWERED_ENDING, I.ACK): ("send-bye", S.ENDING),
    (S.ANSWERED_ENDING, I.BYE): ("gone", S.ENDED),
    (S.CALLING, I.PROVISIONAL): ("", S.PROCEEDING),
    (S.CALLING, I.SUCCESS): ("send-ack confirmed", S.CONFIRMED),
    (S.CALLING, I.UNUSABLE): ("send-ack send-bye refused", S.ENDING),
    (S.CALLING, I.OFFER): ("offered", S.OFFERED),
    (S.CALLING, I.FAILURE): ("refused gone", S.ENDED),
    (S.CALLING, I.HANG_UP): ("", S.CALLING_ENDING),
    (S.CALLING_ENDING, I.PROVISIONAL): ("send-cancel", S.CANCELLING),
    (S.CALLING_ENDING, I.SUCCESS): ("send-ack send-bye local-bye", S.ENDING),
    (S.CALLING_ENDING, I.UNUSABLE): ("send-ack send-bye local-bye", S.ENDING),
    (S.CALLING_ENDING, I.FAILURE): ("cancelled gone", S.ENDED),
    (S.PROCEEDING, I.RESTART): ("", S.CALLING),
    (S.PROCEEDING, I.SUCCESS): ("send-ack confirmed", S.CONFIRMED),
    (S.PROCEEDING, I.UNUSABLE): ("send-ack send-bye refused", S.ENDING),
    (S.PROCEEDING, I.OFFER): ("offered", S.OFFERED),
    (S.PROCEEDING, I.FAILURE): ("refused gone", S.ENDED),
    (S.PROCEEDING, I.HANG_UP): ("send-cancel", S.CANCELLING),
    (S.CANCELLING, I.SUCCESS): ("send-ack send-bye local-bye", S.ENDING),
    (S.CANCELLING, I.UNUSABLE): ("send-ack send-bye local-bye", S.ENDING),
    (S.CANCELLING, I.FAILURE): ("cancelled gone", S.ENDED),
    (S.OFFERED, I.ACKNOWLEDGE): ("send-ack confirmed", S.CONFIRMED),
    (S.OFFERED, I.HANG_UP): ("send-ack send-bye local-bye", S.ENDING),
    (S.OFFERED, I.BYE): ("bye gone", S.ENDED),
    (S.CONFIRMED, I.SUCCESS): ("send-ack", S.CONFIRMED),
    (S.CONFIRMED, I.BYE): ("bye gone", S.ENDED),
    (S.CONFIRMED, I.HANG_UP): ("send-bye local-bye", S.ENDING),
    (S.ENDING, I.SUCCESS): ("send-ack", S.ENDING),
    (S.CONFIRMED, I.UNUSABLE): ("send-ack", S.CONFIRMED),
    (S.ENDING, I.UNUSABLE): ("send-ack", S.ENDING),
    (S.ENDING, I.BYE): ("", S.ENDING),
    (S.ENDING, I.BYE_FINISHED): ("gone", S.ENDED),
}
_NAMES = {
    usages.SendFinal: "final",
    usages.SendBye: "send-bye",
    usages.SendCancel: "send-cancel",
    usages.SendAck: "send-ack",
    usages.Offered: "offered",
    usages.Confirmed: "confirmed",
    usages.Refused: "refused",
    usages.Gone: "gone",
}


def build(*, calling: bool = False) -> InviteUsage:
    return InviteUsage(UsageId(1), INVITE, calling=calling, dialog=None)


def ok() -> Response:
    return respond(INVITE, 200, to_tag="mine")


def drain(usage: InviteUsage) -> str:
    names = []
    while (output := usage.poll_output()) is not None:
        names.append(output.reason if isinstance(output, usages.Ended) else _NAMES[type(output)])
    return " ".join(names)


def pending(usage: InviteUsage) -> bool:
    return usage.offer_pending


def answered() -> InviteUsage:
    usage = build()
    usage.advance(I.ACCEPT, now=0.0, final=ok())
    drain(usage)
    return usage


@pytest.mark.parametrize(("state", "what"), list(product(S, I)), ids=lambda value: value.name)
def test_every_state_with_every_input(state: UsageState, what: UsageInput) -> None:
    usage = build()
    usage.state = state
    usage._final = ok()
    drawn = (state, what) in FIGURE
    assert usage.advance(what, now=1.0) is drawn
    outputs, following = FIGURE.get((state, what), ("", state))
    assert drain(usage) == outputs
    assert usage.state is following
    assert usage.is_over is (following in (S.ENDED, S.ENDING, S.ANSWERED_ENDING))


def test_the_table_draws_the_figure_and_nothing_else() -> None:
    assert InviteUsage.TABLE.keys() == FIGURE.keys()


def test_the_role_gives_the_first_state() -> None:
    assert build().state is S.INVITED
    assert build(calling=True).state is S.CALLING


@given(st.booleans(), st.lists(st.sampled_from(I), max_size=30))
def test_any_run_tells_its_end_once(calling: bool, inputs: list[UsageInput]) -> None:
    usage = build(calling=calling)
    told: list[str] = []
    for what in inputs:
        usage.advance(what, now=0.0, final=ok())
        told += drain(usage).split()
    endings = "bye local-bye cancelled rejected expired timeout-ack timeout-prack refused".split()  # noqa: SIM905
    ends = [name for name in told if name in endings]
    assert len(ends) <= 1
    assert told.count("gone") <= 1
    assert told.count("send-bye") <= 1
    assert told.count("send-cancel") <= 1
    if usage.state is S.ENDED:
        assert len(ends) == 1
        assert told[-1] == "gone"
        assert usage.next_timeout() is None
    if "send-bye" in told and not calling:
        assert "final" in told, "no BYE before an answer (RFC 3261 15)"


# the 2xx until its ACK (RFC 3261 13.3.1.4)


def run(usage: InviteUsage, until: float) -> list[tuple[float, str]]:
    events = []
    while (due := usage.next_timeout()) is not None and due <= until:
        usage.handle_timeout(now=due - 0.001)
        assert drain(usage) == ""
        usage.handle_timeout(now=due)
        events += [(due, name) for name in drain(usage).split()]
    return events


@pytest.mark.requirement("3261-13.3.1-d")
def test_a_2xx_is_repeated_at_t1_doubling_to_t2_for_64_t1() -> None:
    usage = answered()
    repeats = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    expected = [*((time, "final") for time in repeats), (LIFETIME, "send-bye"), (LIFETIME, "timeout-ack")]
    assert run(usage, 100.0) == expected
    assert usage.state is S.ENDING


@pytest.mark.requirement("3261-13.3.1-d")
def test_an_ack_ends_the_repetition() -> None:
    usage = answered()
    assert run(usage, 2.0) == [(0.5, "final"), (1.5, "final")]
    assert usage.acknowledged(1, now=2.0)
    assert drain(usage) == "confirmed"
    assert usage.next_timeout() is None


def test_an_invite_whose_transaction_is_over_leaves_its_number() -> None:
    usage = answered()
    usage.forget_invite()
    assert [name for name, _ in usage.invite.headers] == ["CSeq"]
    assert usage.invite.body == b""
    assert usage.acknowledged(1, now=2.0)
    assert not usage.acknowledged(2, now=2.0)


@pytest.mark.requirement("3261-15-a")
def test_hanging_up_waits_for_the_ack() -> None:
    usage = answered()
    usage.advance(I.HANG_UP, now=0.1)
    assert drain(usage) == "local-bye"
    assert run(usage, 1.0) == [(0.5, "final")], "the answer is still repeated"
    usage.acknowledged(1, now=1.0)
    assert drain(usage) == "send-bye"


def test_hanging_up_without_ack_sends_bye_when_the_wait_is_over() -> None:
    usage = answered()
    usage.advance(I.HANG_UP, now=0.1)
    drain(usage)
    assert run(usage, 100.0)[-1] == (LIFETIME, "send-bye")


def test_a_bye_before_the_ack_ends_the_repetition() -> None:
    usage = answered()
    usage.advance(I.BYE, now=0.1)
    assert drain(usage) == "bye gone"
    assert usage.next_timeout() is None


def test_a_repeater_that_is_asked_late_repeats_once() -> None:
    repeater = AnswerRepeater(ok(), now=0.0)
    assert repeater.due(10.0)
    assert not repeater.due(10.0)
    assert repeater.next_timeout() == 11.0
    assert not repeater.expired(31.9)
    assert repeater.expired(32.0)


# re-INVITEs


def test_the_2xx_to_a_reinvite_is_repeated_and_dropped_in_silence() -> None:
    usage = answered()
    usage.acknowledged(1, now=0.0)
    response = ok()
    usage.reoffer_answered(2, KEY, response, now=100.0)
    assert pending(usage)
    assert usage.next_timeout() == 100.5
    assert usage.take_due_reoffer_answers(100.4) == []
    assert usage.take_due_reoffer_answers(100.5) == [(KEY, response)]
    assert usage.next_timeout() == 101.5
    assert usage.take_due_reoffer_answers(132.0) == []
    assert usage.next_timeout() is None
    assert not pending(usage)
    assert usage.state is S.CONFIRMED


def test_each_ack_stops_its_own_answer() -> None:
    usage = answered()
    usage.acknowledged(1, now=0.0)
    usage.reoffer_answered(2, KEY, ok(), now=0.0)
    usage.reoffer_answered(3, KEY, ok(), now=0.0)
    assert usage.acknowledged(3, now=0.1)
    assert pending(usage)
    assert usage.acknowledged(2, now=0.1)
    assert not pending(usage)
    assert usage.acknowledged(1, now=0.1), "an ACK may come again"


def test_an_ack_with_a_number_of_nobody_counts_for_all_and_is_told() -> None:
    usage = answered()
    usage.reoffer_answered(2, KEY, ok(), now=0.0)
    assert not usage.acknowledged(9, now=0.1)
    assert not pending(usage)
    assert usage.state is S.CONFIRMED
    assert usage.next_timeout() is None


def test_the_end_forgets_the_answers_that_wait() -> None:
    usage = answered()
    usage.acknowledged(1, now=0.0)
    usage.reoffer_answered(2, KEY, ok(), now=0.0)
    usage.advance(I.BYE, now=0.1)
    assert usage.next_timeout() is None
