"""The called side: what each request gets."""

import gc

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.sip.endpoint_events import (
    AckReceived,
    CallEnded,
    CallGone,
    InviteReceived,
    MessageTraced,
    OfferReceived,
    OfferWithdrawn,
    OptionsReceived,
)
from siprec_core.sip.invite import UsageId
from siprec_core.sip.message import Request
from siprec_core.sip.uas import Refusal
from siprec_core.types import Address, Flow, Transport
from tests.core.messages import field, invite, request, status, tag
from tests.core.sip.endpoints import TCP, UDP, Agent


@pytest.fixture
def agent() -> Agent:
    return Agent()


def statuses(messages: list[bytes]) -> list[int]:
    return [status(message) for message in messages if message.startswith(b"SIP/2.0")]


# calls


def test_a_call_is_told_once_and_answered_when_the_owner_says_so(agent: Agent) -> None:
    usage = agent.invited()
    assert agent.receive(invite()) == []
    (told,) = agent.of(InviteReceived)
    assert (told.raw, told.flow) == ((invite(),), UDP)
    answer = agent.accept(usage)
    assert (status(answer), tag(answer)) == (200, told.local_tag)
    with pytest.raises(LocalProtocolError):
        agent.accept(usage)
    with pytest.raises(LocalProtocolError):
        agent.endpoint.reject(usage, Refusal(486), now=0.0)


def test_the_invite_of_a_long_call_is_not_held(agent: Agent) -> None:
    usage = agent.invited(invite(call_id="long"))
    answer = agent.accept(usage)
    agent.receive(request("ACK", call_id="long", to_tag=tag(answer)))
    agent.run(40.0)
    agent.events.clear()
    agent.outputs.clear()
    gc.collect()
    held = [each for each in gc.get_objects() if isinstance(each, Request) and each.headers.get("Call-ID") == "long"]
    assert held == []
    assert statuses(agent.receive(request("BYE", call_id="long", cseq=2, to_tag=tag(answer)))) == [200]


def test_a_rejected_call_is_over_when_its_ack_is_there(agent: Agent) -> None:
    usage = agent.invited(invite(branch="z9hG4bK1"))
    agent.endpoint.reject(usage, Refusal(486), now=0.0)
    agent.drain()
    assert statuses(agent.sent) == [486]
    assert statuses(agent.run(1.6)) == [486, 486]
    agent.receive(request("ACK", to_tag=tag(agent.sent[-1]), branch="z9hG4bK1"))
    assert agent.run(60.0) == []
    assert agent.empty()
    assert not agent.of(AckReceived), "the ACK to an error belongs to its transaction"


@pytest.mark.requirement("3261-8.2-a", "3261-12.2.2-a", "3261-15.1.2-a", "3261-20-a")
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (invite(contact=None), 400),
        (invite(contact="*"), 400),
        (invite(contact="<sip:a b@192.0.2.2>"), 400),
        (request("INVITE", extra=["Require: teleport"]), 420),
        (request("BYE"), 481),
        (request("UPDATE"), 481),
        (request("CANCEL"), 481),
        (request("BYE", to_tag="nobody"), 481),
        (invite(to_tag="nobody"), 481),
        (request("OPTIONS", to_tag="nobody"), 481),
        (request("REGISTER"), 405),
        (request("PUBLISH", to_tag="nobody"), 405),
        (request("BREW"), 501),
        (invite(contact="<sip:a\x02b@192.0.2.2>"), 400),
        (request("INVITE", uri="http://192.0.2.1"), 416),
        (request("MESSAGE", to_tag="nobody"), 405),
    ],
)
def test_what_makes_no_call_is_refused_and_leaves_nothing(agent: Agent, data: bytes, expected: int) -> None:
    answers = agent.receive(data)
    assert statuses(answers) == [expected]
    assert tag(answers[0])
    agent.receive(request("ACK", to_tag=tag(answers[0]), branch="z9hG4bK-INVITE-1-call-1"))
    agent.run(70.0)
    assert agent.empty()
    assert not agent.of(InviteReceived)


def test_acks_that_belong_to_nothing_are_never_answered(agent: Agent) -> None:
    assert agent.receive(request("ACK"), request("ACK", to_tag="x"), request("ACK", to_tag="y", uri="tel:1")) == []
    assert agent.empty()


@pytest.mark.requirement("3261-8.2.2-c")
def test_a_merged_request_is_482_while_the_first_is_there(agent: Agent) -> None:
    agent.invited(invite(branch="z9hG4bK1"))
    assert statuses(agent.receive(invite(branch="z9hG4bK2"))) == [482]
    assert len(agent.of(InviteReceived)) == 1


def test_the_limits_of_calls_are_503_with_retry_after() -> None:
    agent = Agent(limits=Limits(dialogs=2, early_dialogs=1))
    first = agent.invited(invite(call_id="1"))
    (refused,) = agent.receive(invite(call_id="2"))
    assert (status(refused), field(refused, "Retry-After")) == (503, "5")
    agent.accept(first)
    agent.accept(agent.invited(invite(call_id="3")))
    assert statuses(agent.receive(invite(call_id="4"))) == [503]


def test_beyond_the_limit_of_transactions_answers_have_no_state() -> None:
    agent = Agent(limits=Limits(server_transactions=1))
    agent.invited(invite(call_id="1"))
    answers = agent.receive(invite(call_id="2"), invite(call_id="2"))
    assert statuses(answers) == [503, 503]
    assert answers[0] == answers[1], "RFC 3261 8.2.7: the same tag for the same request"
    assert agent.receive(request("ACK", call_id="2", to_tag=tag(answers[0]))) == []


# the wait for an answer (RFC 3261 13.3.1.1, RFC 3262)


@pytest.mark.requirement("3261-13.3.1-b", "7866-6.2-b")
def test_a_call_that_waits_hears_of_it_every_minute(agent: Agent) -> None:
    usage = agent.invited(invite(extra=["Supported: 100rel", "Record-Route: <sip:p1;lr>"]))
    assert statuses(agent.run(59.0)) == [100]
    assert statuses(agent.run(122.0)) == [183, 183, 183]
    progress = agent.sent[-1]
    assert tag(progress) == agent.of(InviteReceived)[0].local_tag
    assert "+sip.srs" in field(progress, "Contact")
    assert field(progress, "Record-Route") == "<sip:p1;lr>"
    assert "UPDATE" in field(progress, "Allow")
    assert (field(progress, "Require"), field(progress, "RSeq")) == ("", "")
    agent.accept(usage)
    agent.receive(request("ACK", to_tag=tag(progress)))
    assert agent.run(600.0) == []


@pytest.mark.requirement("3262-3-a", "3262-3-b")
def test_a_caller_who_requires_it_gets_its_1xx_reliably(agent: Agent) -> None:
    usage = agent.invited(invite(require="siprec, 100rel"))
    agent.run(60.0)
    progress = agent.sent[-1]
    assert (status(progress), field(progress, "Require")) == (183, "100rel")
    number = int(field(progress, "RSeq"))
    assert 1 <= number < 2**31
    assert agent.run(1.6) == [progress, progress], "until its PRACK"
    ours = tag(progress)
    wrong = [f"{number + 1} 1 INVITE", f"{number} 2 INVITE"]
    pracks = [prack(ours, cseq, rack) for cseq, rack in enumerate([*wrong, f"{number} 1 INVITE"], 2)]
    assert statuses(agent.receive(*pracks)) == [481, 481, 200]
    assert statuses(agent.receive(prack(ours, 5, f"{number} 1 INVITE"))) == [481], "acknowledged before"
    assert statuses(agent.receive(prack(ours, 6, "nonsense"))) == [400]
    again = agent.run(60.0)
    assert field(again[0], "RSeq") == str(number + 1)
    assert status(agent.accept(usage)) == 200, "it has no SDP that would have to be acknowledged first"
    assert statuses(agent.receive(prack(ours, 7, f"{number + 1} 1 INVITE"))) == [200]


@pytest.mark.requirement("3262-3-b")
def test_a_reliable_1xx_that_is_never_acknowledged_refuses_the_call_with_5xx(agent: Agent) -> None:
    usage = agent.invited(invite(require="siprec, 100rel", branch="z9hG4bK1"))
    agent.run(92.0)
    assert status(agent.sent[-1]) == 504
    assert agent.of(CallEnded) == [CallEnded(usage=usage, reason="timeout-prack")]
    agent.receive(request("ACK", to_tag=tag(agent.sent[-1]), branch="z9hG4bK1"))
    agent.run(70.0)
    assert agent.empty()


@pytest.mark.requirement("3261-13.3.1-a")
def test_a_call_whose_time_is_over_is_487(agent: Agent) -> None:
    usage = agent.invited(invite(extra=["Expires: 3"], branch="z9hG4bK1"))
    assert statuses(agent.run(2.9)) == [100]
    assert statuses(agent.run(0.2)) == [487]
    assert agent.of(CallEnded) == [CallEnded(usage=usage, reason="expired")]
    with pytest.raises(LocalProtocolError):
        agent.accept(usage)


def test_a_call_that_was_answered_in_time_never_expires(agent: Agent) -> None:
    usage = agent.invited(invite(extra=["Expires: 3"]))
    ours = tag(agent.accept(usage))
    agent.receive(request("ACK", to_tag=ours))
    agent.run(60.0)
    assert not agent.of(CallEnded)


def prack(ours: str, cseq: int, rack: str) -> bytes:
    return request("PRACK", to_tag=ours, cseq=cseq, contact=None, extra=[f"RAck: {rack}"])


def test_a_prack_to_a_call_without_reliable_1xx_is_481(agent: Agent) -> None:
    _, ours = agent.established()
    assert statuses(agent.receive(prack(ours, 2, "1 1 INVITE"))) == [481]


# Session-ID (RFC 7989)


@pytest.mark.requirement("7989-a")
def test_a_session_identifier_is_joined_in_all_that_we_send(agent: Agent) -> None:
    theirs, later = "ab30317f1a784dc48ff824d0d3715d86", "47755a9de7794ba387653f2099600ef2"
    usage = agent.invited(invite(extra=[f"Session-ID: {theirs};remote={'0' * 32}"]))
    answer = agent.accept(usage)
    ours, _, remote = field(answer, "Session-ID").partition(";remote=")
    assert (len(ours), remote) == (32, theirs)
    agent.receive(request("ACK", to_tag=tag(answer), branch="z9hG4bK-ack"))
    moved = request("INFO", cseq=2, to_tag=tag(answer), extra=[f"Session-ID: {later};remote={ours}"])
    assert field(agent.receive(moved)[0], "Session-ID") == f"{ours};remote={later}"
    assert field(agent.hang_up(usage)[0], "Session-ID") == f"{ours};remote={later}"


def test_without_a_session_identifier_of_the_peer_we_send_none(agent: Agent) -> None:
    usage = agent.invited()
    assert field(agent.accept(usage), "Session-ID") == ""


# CANCEL (RFC 3261 9.2)


@pytest.mark.requirement("3261-9.2-a")
def test_a_cancel_before_the_answer_is_200_and_487(agent: Agent) -> None:
    usage = agent.invited(invite(branch="z9hG4bK1"))
    answers = agent.receive(request("CANCEL", branch="z9hG4bK1", contact=None))
    assert statuses(answers) == [200, 487]
    assert [field(answer, "CSeq") for answer in answers] == ["1 CANCEL", "1 INVITE"]
    assert tag(answers[0]) == tag(answers[1])
    assert agent.of(CallEnded) == [CallEnded(usage=usage, reason="cancelled")]
    with pytest.raises(LocalProtocolError):
        agent.accept(usage)
    agent.run(70.0)
    assert agent.empty()


@pytest.mark.requirement("3261-9.2-a")
def test_a_cancel_after_the_answer_changes_nothing(agent: Agent) -> None:
    usage = agent.invited(invite(branch="z9hG4bK1"))
    agent.accept(usage)
    assert statuses(agent.receive(request("CANCEL", branch="z9hG4bK1"))) == [200]
    assert not agent.of(CallEnded)


@pytest.mark.requirement("3261-9.2-a")
def test_a_cancel_after_the_end_is_still_200(agent: Agent) -> None:
    usage = agent.invited(invite(branch="z9hG4bK1"))
    agent.endpoint.reject(usage, Refusal(486), now=0.0)
    agent.drain()
    assert statuses(agent.receive(request("CANCEL", branch="z9hG4bK1"))) == [200]


def test_a_cancelled_reinvite_is_487_and_told(agent: Agent) -> None:
    _, ours = agent.established()
    usage = agent.offered(ours, branch="z9hG4bK2")
    assert statuses(agent.receive(request("CANCEL", cseq=2, branch="z9hG4bK2", to_tag=ours))) == [200, 487]
    assert agent.of(OfferWithdrawn) == [OfferWithdrawn(usage=usage)]
    with pytest.raises(LocalProtocolError):
        agent.answer_offer(usage)
    assert not agent.of(CallEnded)
    agent.offered(ours, cseq=3)
    assert status(agent.answer_offer(usage)) == 200, "the next offer is taken"


def test_invite_and_cancel_in_one_piece_are_taken_one_after_the_other(agent: Agent) -> None:
    agent.endpoint.flow_opened(TCP, now=0.0)
    message = invite(branch="z9hG4bK1", transport="TCP")
    cancel = request("CANCEL", branch="z9hG4bK1", transport="TCP")
    agent.endpoint.receive_stream(TCP, message + cancel, now=0.0)
    while not agent.of(InviteReceived):
        output = agent.endpoint.poll_output()
        assert output is not None
        agent.events.append(output)
    agent.endpoint.reject(agent.of(InviteReceived)[0].usage, Refusal(421), now=0.0)
    agent.drain()
    assert statuses(agent.sent) == [421, 200]


# within dialogs


def test_an_offer_is_answered_when_the_owner_says_so(agent: Agent) -> None:
    _, ours = agent.established()
    usage = agent.offered(ours)
    answer = agent.answer_offer(usage)
    assert (status(answer), field(answer, "CSeq"), tag(answer)) == (200, "2 INVITE", ours)
    assert field(answer, "Contact").endswith("+sip.srs")
    with pytest.raises(LocalProtocolError):
        agent.answer_offer(usage)


@pytest.mark.requirement("3261-14.2-a", "3311-5.2-a")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_second_offer_before_the_first_answer_is_500_with_a_random_wait(agent: Agent, method: str) -> None:
    _, ours = agent.established()
    usage = agent.offered(ours)
    waits = []
    for number in range(3, 40):
        (refused,) = agent.receive(invite(method=method, cseq=number, to_tag=ours))
        assert status(refused) == 500
        waits.append(int(field(refused, "Retry-After")))
    assert all(0 <= wait <= 10 for wait in waits)
    assert len(set(waits)) > 3
    assert status(agent.answer_offer(usage)) == 200


def test_an_offer_before_the_ack_is_taken(agent: Agent) -> None:
    ours = tag(agent.accept(agent.invited()))
    assert status(agent.answer_offer(agent.offered(ours))) == 200
    agent.receive(request("ACK", cseq=2, to_tag=ours, branch="z9hG4bK-ack2"))
    assert agent.run(60.0) == [], "one ACK shows that the call stands"


@pytest.mark.requirement("6141-a", "3261-14.2-b")
def test_a_refused_offer_leaves_the_call_and_its_target(agent: Agent) -> None:
    _, ours = agent.established()
    agent.receive(invite(cseq=2, to_tag=ours, contact="<sip:new@192.0.2.9>", branch="z9hG4bK2"))
    usage = agent.of(OfferReceived)[-1].usage
    agent.endpoint.refuse_offer(usage, Refusal(488), now=0.0)
    agent.drain()
    assert status(agent.sent[-1]) == 488
    agent.receive(request("ACK", cseq=2, to_tag=ours, branch="z9hG4bK2"))
    assert all(event.matched for event in agent.of(AckReceived))
    assert agent.hang_up(usage)[0].startswith(b"BYE sip:src@192.0.2.2:5070 ")


@pytest.mark.requirement("3261-12.2.2-c", "3311-5.2-b", "6141-a")
def test_an_answered_offer_moves_the_target(agent: Agent) -> None:
    _, ours = agent.established()
    agent.receive(invite(method="UPDATE", cseq=2, to_tag=ours, contact="<sip:new@192.0.2.9>"))
    usage = agent.of(OfferReceived)[-1].usage
    agent.answer_offer(usage)
    assert agent.hang_up(usage)[0].startswith(b"BYE sip:new@192.0.2.9 ")


@pytest.mark.requirement("3261-8.2.2-a")
def test_a_broken_contact_in_an_offer_is_passed_over(agent: Agent) -> None:
    _, ours = agent.established()
    agent.receive(invite(cseq=2, to_tag=ours, contact="<sip:a b@192.0.2.2>"))
    assert status(agent.answer_offer(agent.of(OfferReceived)[-1].usage)) == 200


@pytest.mark.requirement("3261-12.2.2-b")
def test_a_lower_sequence_number_is_500_and_a_gap_is_fine(agent: Agent) -> None:
    _, ours = agent.established()
    agent.answer_offer(agent.offered(ours, cseq=10))
    assert statuses(agent.receive(invite(method="UPDATE", cseq=9, to_tag=ours))) == [500]
    agent.answer_offer(agent.offered(ours, cseq=1000, method="UPDATE"))


def test_the_2xx_to_a_reinvite_is_repeated_until_its_ack(agent: Agent) -> None:
    _, ours = agent.established()
    answer = agent.answer_offer(agent.offered(ours))
    assert agent.run(1.6) == [answer, answer]
    agent.receive(request("ACK", cseq=2, to_tag=ours, branch="z9hG4bK-ack2"))
    assert agent.run(60.0) == []


def test_the_2xx_to_an_update_is_not_repeated(agent: Agent) -> None:
    _, ours = agent.established()
    agent.answer_offer(agent.offered(ours, method="UPDATE"))
    assert agent.run(60.0) == []


def test_acks_with_another_number_are_told(agent: Agent) -> None:
    usage = agent.invited()
    ours = tag(agent.accept(usage))
    agent.receive(request("ACK", cseq=5, to_tag=ours, branch="z9hG4bK-ack"))
    assert [event.matched for event in agent.of(AckReceived)] == [False]
    assert agent.run(60.0) == []


# BYE (RFC 3261 15.1.2)


@pytest.mark.requirement("3261-15.1.2-a")
def test_a_bye_ends_the_call_with_its_body(agent: Agent) -> None:
    usage, ours = agent.established()
    bye = request("BYE", cseq=2, to_tag=ours, body="x", content_type="text/plain")
    assert statuses(agent.receive(bye)) == [200]
    (ended,) = agent.of(CallEnded)
    assert (ended.usage, ended.reason) == (usage, "bye")
    assert ended.request is not None
    assert ended.request.body == b"x"
    assert agent.of(CallGone) == [CallGone(usage=usage)]
    assert statuses(agent.receive(bye)) == [200], "a BYE that comes again gets the same"
    assert statuses(agent.receive(request("BYE", cseq=3, to_tag=ours))) == [481]
    agent.run(70.0)
    assert agent.empty()


@pytest.mark.requirement("3261-15.1.2-a")
def test_a_bye_answers_what_still_waits_with_487(agent: Agent) -> None:
    _, ours = agent.established()
    usage = agent.offered(ours)
    answers = agent.receive(request("BYE", cseq=3, to_tag=ours))
    assert sorted(statuses(answers)) == [200, 487]
    with pytest.raises(LocalProtocolError):
        agent.answer_offer(usage)
    agent.run(70.0)
    assert agent.empty()


def test_hanging_up_answers_what_still_waits_with_487(agent: Agent) -> None:
    _, ours = agent.established()
    usage = agent.offered(ours)
    sent = agent.hang_up(usage)
    assert [data.split(b" ")[0] for data in sent] == [b"BYE", b"SIP/2.0"]
    assert statuses(sent) == [487]
    agent.run(200.0)
    assert agent.empty()


def test_a_bye_before_the_ack_is_taken(agent: Agent) -> None:
    ours = tag(agent.accept(agent.invited()))
    assert statuses(agent.receive(request("BYE", cseq=2, to_tag=ours))) == [200]
    assert agent.run(70.0) == []
    assert agent.empty()


def test_byes_that_cross_both_get_their_200(agent: Agent) -> None:
    usage, ours = agent.established()
    agent.hang_up(usage)
    assert statuses(agent.receive(request("BYE", cseq=2, to_tag=ours))) == [200]
    assert [event.reason for event in agent.of(CallEnded)] == ["local-bye"]
    agent.run(70.0)
    assert agent.empty()


def test_offers_after_our_bye_are_481(agent: Agent) -> None:
    usage, ours = agent.established()
    agent.hang_up(usage)
    assert statuses(agent.receive(invite(method="UPDATE", cseq=2, to_tag=ours))) == [481]


@pytest.mark.requirement("3261-13.3.1-d")
def test_a_lost_ack_ends_the_call_by_bye(agent: Agent) -> None:
    usage = agent.invited()
    agent.accept(usage)
    sent = agent.run(31.9)
    assert len(sent) == 10
    assert agent.run(0.2)[-1].startswith(b"BYE ")
    assert agent.of(CallEnded) == [CallEnded(usage=usage, reason="timeout-ack")]
    agent.run(70.0)
    assert agent.empty()


# OPTIONS (RFC 3261 11)


@pytest.mark.requirement("3261-11-a", "3840-9-a")
def test_options_are_answered_as_the_owner_says(agent: Agent) -> None:
    agent.receive(request("OPTIONS"))
    (asked,) = agent.of(OptionsReceived)
    agent.endpoint.answer_options(asked.request_id, None, now=0.0)
    agent.drain()
    (answer,) = agent.sent
    assert status(answer) == 200
    assert "INVITE" in field(answer, "Allow")
    assert "application/sdp" in field(answer, "Accept")
    assert (field(answer, "Accept-Encoding"), field(answer, "Accept-Language")) == ("identity", "*")
    assert field(answer, "Contact").endswith(";+sip.srs")
    agent.endpoint.answer_options(asked.request_id, None, now=0.0)
    agent.drain()
    assert len(agent.sent) == 1


@pytest.mark.requirement("3261-11-a")
def test_options_within_a_dialog_keep_its_tag(agent: Agent) -> None:
    _, ours = agent.established()
    agent.receive(request("OPTIONS", cseq=2, to_tag=ours))
    agent.endpoint.answer_options(agent.of(OptionsReceived)[0].request_id, Refusal(486), now=0.0)
    agent.drain()
    assert (status(agent.sent[-1]), tag(agent.sent[-1])) == (486, ours)


@pytest.mark.requirement("4320-4.1-a", "4320-4.2-a")
def test_options_that_nobody_answers_get_a_100_and_never_408(agent: Agent) -> None:
    agent.receive(request("OPTIONS"))
    assert statuses(agent.run(3.4)) == []
    assert statuses(agent.run(0.2)) == [100]
    assert statuses(agent.run(1_000.0)) == []


# paths


def test_a_dialog_follows_the_path_of_the_peer(agent: Agent) -> None:
    contact = "<sip:src@client.example.com>"
    usage, ours = agent.established(invite(contact=contact))
    moved = Flow(Transport.UDP, UDP.local, Address("203.0.113.9", 7000))
    agent.receive(request("OPTIONS", cseq=2, to_tag=ours), flow=moved)
    agent.hang_up(usage)
    traced = [output for output in agent.outputs if isinstance(output, MessageTraced)][-1]
    assert traced.data.startswith(b"BYE ")
    assert traced.flow.remote == moved.remote


def test_unknown_usages_are_errors_of_the_owner(agent: Agent) -> None:
    for act in (agent.accept, agent.answer_offer):
        with pytest.raises(LocalProtocolError):
            act(UsageId(99))
    with pytest.raises(LocalProtocolError):
        agent.endpoint.refuse_offer(UsageId(99), Refusal(488), now=0.0)
    agent.endpoint.hang_up(UsageId(99), now=0.0)
    assert agent.empty()


@pytest.mark.requirement("4475-3.4-a")
def test_peers_of_rfc_2543_without_tags_and_cookies_can_call(agent: Agent) -> None:
    def old(data: bytes) -> bytes:
        lines = [line for line in data.split(b"\r\n") if not line.startswith(b"Max-Forwards")]
        lines[1] = b"Via: SIP/2.0/UDP 192.0.2.2:5070"
        return b"\r\n".join(lines).replace(b";tag=abc", b"")

    ours = tag(agent.accept(agent.invited(old(invite()))))
    assert agent.receive(old(invite())) == []
    agent.receive(old(request("ACK", to_tag=ours)))
    assert [event.matched for event in agent.of(AckReceived)] == [True]
    assert statuses(agent.receive(old(request("BYE", cseq=2, to_tag=ours)))) == [200]
