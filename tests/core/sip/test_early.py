"""The PRACK that reliable 1xx to an INVITE of ours get."""

import pytest

from siprec_core.sip.dialog import Dialog
from siprec_core.sip.early import EarlyDialogs
from siprec_core.sip.message import Request
from siprec_core.types import Address, Flow, Transport
from tests.core.messages import field, read, read_response, request, response_to
from tests.core.sip.endpoints import HOP, Agent

FLOW = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("192.0.2.2", 5070))
INVITE = request("INVITE", cseq=4, contact=None)


def reliable(number: int, *, to_tag: str | None = "a", contact: str | None = "<sip:srs@192.0.2.2:5070>") -> bytes:
    extra = ["Require: 100rel", f"RSeq: {number}"]
    return response_to(INVITE, 183, to_tag=to_tag, contact=contact, extra=extra)


US = FLOW.local


def acknowledge(early: EarlyDialogs, response: bytes) -> Request | None:
    found = early.acknowledge(read(INVITE), read_response(response), flow=FLOW, sent_by=FLOW.local)
    return None if found is None else found[1]


@pytest.mark.requirement("3262-4-a")
def test_reliable_responses_are_acknowledged_in_order_and_once() -> None:
    early = EarlyDialogs()
    first = acknowledge(early, reliable(50))
    assert first is not None
    assert (first.method, first.uri) == ("PRACK", "sip:srs@192.0.2.2:5070")
    assert (first.headers.get("RAck"), first.headers.get("CSeq")) == ("50 4 INVITE", "5 PRACK")
    assert first.to.tag == "a"
    assert acknowledge(early, reliable(50)) is None, "it came again"
    assert acknowledge(early, reliable(52)) is None, "the one before is missing"
    second = acknowledge(early, reliable(51))
    assert second is not None
    assert (second.headers.get("RAck"), second.headers.get("CSeq")) == ("51 4 INVITE", "6 PRACK")


def test_each_fork_counts_for_itself() -> None:
    early = EarlyDialogs()
    assert acknowledge(early, reliable(50)) is not None
    assert acknowledge(early, reliable(7, to_tag="b")) is not None
    assert acknowledge(early, reliable(51)) is not None


def test_forks_without_end_are_not_kept() -> None:
    early = EarlyDialogs()
    answered = [acknowledge(early, reliable(1, to_tag=f"t{number}")) is not None for number in range(20)]
    assert answered == [True] * 16 + [False] * 4


@pytest.mark.parametrize(
    "response",
    [
        response_to(INVITE, 183, to_tag="a"),
        response_to(INVITE, 100, to_tag=None, contact=None),
        reliable(1, to_tag=None),
        reliable(1, contact=None),
        reliable(1, contact="*"),
    ],
)
def test_what_cannot_be_acknowledged_is_left(response: bytes) -> None:
    assert acknowledge(EarlyDialogs(), response) is None


def test_the_dialog_counts_on() -> None:
    early = EarlyDialogs()
    acknowledge(early, reliable(1))
    acknowledge(early, reliable(2))
    dialog = Dialog.for_uac(
        read(INVITE), read_response(response_to(INVITE, 200, to_tag="a")), flow=FLOW, sent_by=FLOW.local
    )
    other = Dialog.for_uac(
        read(INVITE), read_response(response_to(INVITE, 200, to_tag="b")), flow=FLOW, sent_by=FLOW.local
    )
    early.continue_in(dialog)
    early.continue_in(other)
    assert (dialog.local_sequence, other.local_sequence) == (6, 4)


def test_an_answer_that_cannot_be_used_is_ended_with_a_number_above_that_of_the_prack() -> None:
    agent = Agent()
    agent.call(HOP)
    invite = agent.sent[0]
    agent.receive(response_to(invite, 183, to_tag="srs", extra=["Require: 100rel", "RSeq: 9"]))
    _, bye = agent.receive(response_to(invite, 200, to_tag="srs", contact=None))
    assert field(bye, "CSeq") == "3 BYE"


@pytest.mark.requirement("3262-4-a")
def test_a_call_sends_prack_and_goes_on_counting_from_it() -> None:
    agent = Agent()
    usage = agent.call(HOP)
    invite = agent.sent[0]
    progress = response_to(invite, 183, to_tag="srs", extra=["Require: 100rel", "RSeq: 9"])
    (prack,) = agent.receive(progress)
    assert prack.startswith(b"PRACK ")
    assert field(prack, "RAck") == "9 1 INVITE"
    agent.receive(response_to(prack, 200))
    agent.receive(response_to(invite, 200))
    (bye,) = agent.hang_up(usage)
    assert field(bye, "CSeq") == "3 BYE"
    agent.receive(response_to(bye, 200))
    agent.run(64.0)
    assert agent.empty()
