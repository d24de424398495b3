"""Requests of ours within a call: re-INVITE and UPDATE, glare, retries, refreshes, the end of a lost peer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError
from siprec_core.sip.endpoint_events import CallChanged, CallEnded, ChangeRefused, InfoReceived, OfferReceived
from siprec_core.sip.invite import UsageId
from tests.core.messages import body, field, invite, request, response_to, status
from tests.core.sip.endpoints import Agent

SDP = "v=0\r\n"
UPDATE_ALLOWED = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE"
TIMED = ["Supported: timer", UPDATE_ALLOWED, "Session-Expires: 600;refresher=uas"]


@pytest.fixture
def agent() -> Agent:
    return Agent()


def change(agent: Agent, usage: UsageId, *, description: str = SDP, method: str | None = "INVITE") -> bytes:
    agent.endpoint.change(
        usage,
        body=description.encode(),
        content_type="application/sdp",
        description=description.encode(),
        method=method,
        now=agent.now,
    )
    before = len(agent.sent)
    agent.drain()
    return b"".join(agent.sent[before:])


def answer(agent: Agent, sent: bytes, code: int, *extra: str, sdp: str = "") -> list[bytes]:
    return agent.receive(
        response_to(sent, code, to_tag=None, contact="<sip:new@192.0.2.2:5070>", body=sdp, extra=extra)
    )


@pytest.mark.requirement("3261-12.2.1-a", "3261-12.2.1-b", "3261-13.2.2-a", "7866-6.2-b")
def test_a_re_invite_is_answered_and_acknowledged_each_time(agent: Agent) -> None:
    usage, _ = agent.established()
    sent = change(agent, usage)
    assert sent.startswith(b"INVITE sip:src@192.0.2.2:5070 SIP/2.0")
    assert "+sip.srs" in field(sent, "Contact")
    (ack,) = answer(agent, sent, 200, sdp=SDP)
    assert ack.startswith(b"ACK sip:new@192.0.2.2:5070"), "the target was refreshed"
    assert field(ack, "CSeq").split()[0] == field(sent, "CSeq").split()[0]
    assert answer(agent, sent, 200, sdp=SDP) == [ack]
    (changed,) = agent.of(CallChanged)
    assert not changed.refresh
    agent.run(40.0)
    assert len(agent.hang_up(usage)) == 1


@pytest.mark.requirement("3261-14.1-a", "3261-14.1-b")
def test_an_update_needs_no_ack_and_one_change_waits_for_the_other(agent: Agent) -> None:
    usage, _ = agent.established(invite(extra=[UPDATE_ALLOWED]))
    assert agent.endpoint.allows(usage, "UPDATE")
    assert agent.endpoint.stands(usage)
    first = change(agent, usage, description="", method=None)
    assert first.startswith(b"UPDATE ")
    assert change(agent, usage) == b""
    (second,) = answer(agent, first, 200)
    assert second.startswith(b"INVITE ")
    answer(agent, second, 488)
    (refused,) = agent.of(ChangeRefused)
    assert refused.status == 488
    assert not agent.of(CallEnded), "3261-14.1-b: the session is as before"


def test_only_calls_that_stand_can_be_changed_and_not_without_bound(agent: Agent) -> None:
    usage, _ = agent.established()
    for _ in range(17):
        change(agent, usage)
    with pytest.raises(LocalProtocolError):
        change(agent, usage)
    with pytest.raises(LocalProtocolError):
        change(agent, UsageId(99))
    agent.hang_up(usage)
    with pytest.raises(LocalProtocolError):
        change(agent, usage)


@pytest.mark.requirement("3261-14.1-c", "3261-14.2-a", "3311-5.2-a", "7866-7.2-f")
def test_glare_is_491_both_ways_and_tried_once_more(agent: Agent) -> None:
    """We are called, so we wait 0 to 2 s."""
    usage, ours = agent.established()
    sent = change(agent, usage)
    (refusal,) = agent.receive(invite(cseq=2, to_tag=ours))
    assert status(refusal) == 491
    assert status(agent.receive(invite(method="UPDATE", cseq=3, to_tag=ours))[0]) == 491
    answer(agent, sent, 491)
    (again,) = [each for each in agent.run(2.0) if each.startswith(b"INVITE")]
    assert int(field(again, "CSeq").split()[0]) > int(field(sent, "CSeq").split()[0])
    answer(agent, again, 491)
    assert not [each for each in agent.run(10.0) if each.startswith(b"INVITE")]
    assert [each.status for each in agent.of(ChangeRefused)] == [491]


@pytest.mark.requirement("3261-14.1-c")
def test_the_caller_waits_longer(agent: Agent) -> None:
    usage = agent.call()
    agent.receive(response_to(agent.sent[0], 200))
    sent = change(agent, usage)
    answer(agent, sent, 491)
    assert not [each for each in agent.run(2.09) if each.startswith(b"INVITE")]
    assert [each for each in agent.run(2.0) if each.startswith(b"INVITE")]


@pytest.mark.requirement("3311-5.2-b")
def test_an_update_without_offer_passes_an_offer_of_ours(agent: Agent) -> None:
    usage, ours = agent.established()
    change(agent, usage)
    agent.receive(invite(method="UPDATE", offer=None, cseq=2, to_tag=ours))
    assert len(agent.of(OfferReceived)) == 1


@pytest.mark.requirement("3261-14.1-a")
def test_the_peers_offer_replaces_one_of_ours_that_waits(agent: Agent) -> None:
    usage, ours = agent.established()
    offered = agent.offered(ours)
    assert change(agent, usage) == b"", "an offer of the peer's waits"
    agent.answer_offer(offered)
    (refused,) = agent.of(ChangeRefused)
    assert (refused.status, refused.request) == (491, None)


@pytest.mark.requirement("6141-a")
def test_what_an_update_changed_outlives_the_re_invite_that_failed_around_it(agent: Agent) -> None:
    usage, ours = agent.established()
    sent = change(agent, usage)
    agent.receive(invite(method="UPDATE", offer=None, cseq=2, to_tag=ours, contact="<sip:moved@192.0.2.9>"))
    agent.endpoint.answer_offer(usage, body=b"", content_type="", now=agent.now)
    agent.drain()
    answer(agent, sent, 488)
    assert [event.status for event in agent.of(ChangeRefused)] == [488]
    (bye,) = agent.hang_up(usage)
    assert bye.startswith(b"BYE sip:moved@192.0.2.9 "), "neither rolled back nor moved by the failure"


@pytest.mark.requirement("3261-12.2.1-c")
@pytest.mark.parametrize(("code", "reason"), [(481, "peer-gone"), (408, "peer-gone")])
def test_a_peer_that_has_left_ends_the_call(agent: Agent, code: int, reason: str) -> None:
    usage, _ = agent.established()
    sent = change(agent, usage)
    replies = answer(agent, sent, code)
    assert replies[-1].startswith(b"BYE ")
    assert [event.reason for event in agent.of(CallEnded)] == [reason]
    answer(agent, replies[-1], 200)
    agent.run(100.0)
    assert agent.empty()


@pytest.mark.requirement("3261-12.2.1-c")
def test_silence_ends_the_call_too(agent: Agent) -> None:
    usage, _ = agent.established(invite(extra=[UPDATE_ALLOWED]))
    change(agent, usage, description="", method=None)
    agent.run(100.0)
    assert [event.reason for event in agent.of(CallEnded)] == ["peer-gone"]
    assert agent.empty()


@pytest.mark.requirement("3261-14.1-b", "3261-21-a")
@pytest.mark.parametrize("code", [400, 403, 415, 488, 500, 501, 503, 600])
def test_other_failures_leave_the_call(agent: Agent, code: int) -> None:
    usage, _ = agent.established()
    answer(agent, change(agent, usage), code)
    assert [event.status for event in agent.of(ChangeRefused)] == [code]
    assert not agent.of(CallEnded)


@pytest.mark.requirement("3261-21-a")
def test_500_with_retry_after_is_tried_again(agent: Agent) -> None:
    usage, _ = agent.established()
    answer(agent, change(agent, usage), 500, "Retry-After: 3 (busy)")
    assert not [each for each in agent.run(2.9) if each.startswith(b"INVITE")]
    assert [each for each in agent.run(0.2) if each.startswith(b"INVITE")]


@pytest.mark.requirement("4028-9-a", "4028-10-a")
def test_the_peers_refresh_keeps_the_call_and_its_silence_ends_it(agent: Agent) -> None:
    data = invite(extra=["Supported: timer", "Session-Expires: 90;refresher=uac"])
    usage, ours = agent.established(data)
    final = next(each for each in agent.sent if each.startswith(b"SIP/2.0 200"))
    assert field(final, "Session-Expires") == "90;refresher=uac"
    assert field(final, "Require") == "timer"
    agent.run(50.0)
    again = request("UPDATE", cseq=2, to_tag=ours, extra=["Supported: timer", "Session-Expires: 90;refresher=uac"])
    agent.receive(again)
    refreshed = agent.answer_offer(usage)
    assert field(refreshed, "Session-Expires") == "90;refresher=uac"
    assert not agent.of(CallEnded)
    agent.run(59.0)
    assert not agent.of(CallEnded)
    agent.run(2.0)
    assert [event.reason for event in agent.of(CallEnded)] == ["session-timer"]
    assert agent.sent[-1].startswith(b"BYE ")


@pytest.mark.requirement("4028-10-a")
def test_we_refresh_by_update_where_it_is_allowed(agent: Agent) -> None:
    usage, _ = agent.established(invite(extra=TIMED))
    (refresh,) = agent.run(300.0)
    assert refresh.startswith(b"UPDATE ")
    assert field(refresh, "Session-Expires") == "600;refresher=uac"
    assert field(refresh, "Content-Length") == "0"
    answer(agent, refresh, 200, "Session-Expires: 600;refresher=uac")
    (again,) = agent.run(300.0)
    assert again.startswith(b"UPDATE ")
    assert all(changed.refresh for changed in agent.of(CallChanged))
    assert len(agent.hang_up(usage)) == 1


@pytest.mark.requirement("4028-10-a")
def test_we_refresh_by_re_invite_with_the_same_description_elsewhere(agent: Agent) -> None:
    agent.established(invite(extra=["Supported: timer", "Session-Expires: 600;refresher=uas"]))
    (refresh,) = agent.run(300.0)
    assert refresh.startswith(b"INVITE ")
    assert body(refresh) == "v=0\r\n", "what the 200 said"


def test_an_update_that_is_not_taken_after_all_becomes_a_re_invite(agent: Agent) -> None:
    agent.established(invite(extra=TIMED))
    (refresh,) = agent.run(300.0)
    (again,) = answer(agent, refresh, 405)
    assert again.startswith(b"INVITE ")


def test_a_refresh_that_is_too_short_is_made_longer(agent: Agent) -> None:
    agent.established(invite(extra=TIMED))
    (refresh,) = agent.run(300.0)
    (again,) = answer(agent, refresh, 422, "Min-SE: 1200")
    assert field(again, "Session-Expires").startswith("1200")
    assert field(again, "Min-SE") == "1200"


def test_refreshes_that_fail_end_the_call_in_time(agent: Agent) -> None:
    agent.established(invite(extra=TIMED))
    for _ in range(20):
        sent = [each for each in agent.run(60.0) if each.startswith((b"UPDATE", b"INVITE"))]
        for each in sent[:1]:
            answer(agent, each, 500)
    assert [event.reason for event in agent.of(CallEnded)] == ["session-timer"]


@pytest.mark.requirement("4028-9-a")
def test_intervals_below_ours_are_422(agent: Agent) -> None:
    (refusal,) = agent.receive(invite(extra=["Supported: timer", "Session-Expires: 30"]))
    assert (status(refusal), field(refusal, "Min-SE")) == (422, "90")


@pytest.mark.requirement("6086-4-a")
def test_info_within_a_call(agent: Agent) -> None:
    _, ours = agent.established()
    taken = request("INFO", cseq=2, to_tag=ours, body="Signal=5", content_type="application/dtmf-relay")
    assert status(agent.receive(taken)[0]) == 200
    assert len(agent.of(InfoReceived)) == 1
    foreign = request("INFO", cseq=3, to_tag=ours, body="x", content_type="text/plain")
    assert status(agent.receive(foreign)[0]) == 415
    assert status(agent.receive(request("INFO", cseq=4, to_tag=ours, extra=["Info-Package: x"]))[0]) == 469
    assert status(agent.receive(request("INFO", cseq=5, to_tag="nobody"))[0]) == 481
    assert status(agent.receive(request("INFO", cseq=5, call_id="none"))[0]) == 481
    assert len(agent.of(InfoReceived)) == 1


@pytest.mark.requirement("3262-3-b")
def test_prack_matches_nothing(agent: Agent) -> None:
    """No reliable 1xx was sent."""
    _, ours = agent.established(invite(extra=["Supported: 100rel"]))
    assert status(agent.receive(request("PRACK", cseq=2, to_tag=ours, extra=["RAck: 1 1 INVITE"]))[0]) == 481


@given(st.lists(st.sampled_from([100, 180, 200, 202, 400, 405, 408, 422, 481, 491, 500, 503]), max_size=8))
def test_no_sequence_of_responses_does_harm(codes: list[int]) -> None:
    agent = Agent()
    usage, _ = agent.established(invite(extra=TIMED))
    change(agent, usage)
    for code in codes:
        sent = [each for each in agent.sent if each.startswith((b"INVITE", b"UPDATE"))]
        answer(agent, sent[-1], code, "Retry-After: 1", "Min-SE: 700")
        agent.run(3.0)
    agent.hang_up(usage)
    agent.run(2_000.0)
    assert agent.empty()
