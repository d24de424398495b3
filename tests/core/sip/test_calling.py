"""The calling side: what responses, silence and broken paths do to a call of ours."""

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.sip.commands import OpenFlow
from siprec_core.sip.endpoint_events import (
    CallAnswered,
    CallEnded,
    CallGone,
    CallOffered,
    CallProgressed,
    CallRefused,
    MessageTraced,
)
from siprec_core.sip.transport import Hop
from siprec_core.types import Flow, Transport
from tests.core.messages import field, read, request, response_to, status, tag
from tests.core.sip.endpoints import LOCAL, REMOTE, Agent


@pytest.fixture
def agent() -> Agent:
    return Agent()


def methods(messages: list[bytes]) -> list[bytes]:
    return [message.split(b" ")[0] for message in messages]


@pytest.mark.requirement("3261-8.1.1-a", "3261-8.1.1-d", "3311-4-a")
def test_an_invite_has_all_that_a_request_needs(agent: Agent) -> None:
    agent.call()
    (invite,) = agent.sent
    assert field(invite, "Via").startswith("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK")
    assert field(invite, "Via").endswith(";rport")
    assert field(invite, "Contact") == "<sip:192.0.2.1:5060>;+sip.srs"
    assert field(invite, "Max-Forwards") == "70"
    assert "UPDATE" in field(invite, "Allow")
    assert field(invite, "User-Agent") == "siprec"
    assert "tag=" not in field(invite, "To")


@pytest.mark.requirement("3261-8.1.1-f")
def test_a_sips_uri_gets_a_sips_contact(agent: Agent) -> None:
    agent.call(Hop(Transport.TLS, REMOTE), uri="sips:recorder@192.0.2.2")
    (opened,) = agent.of(OpenFlow)
    agent.endpoint.flow_opened(Flow(Transport.TLS, LOCAL, REMOTE, opened.id), now=0.0)
    agent.drain()
    assert field(agent.sent[0], "Contact").startswith("<sips:")


@pytest.mark.requirement("3261-13.2.2-a", "3261-8.1.1-e")
def test_an_answer_is_acknowledged_with_a_branch_of_its_own(agent: Agent) -> None:
    usage = agent.call()
    (invite,) = agent.sent
    (ack,) = agent.receive(response_to(invite, 200))
    assert ack.startswith(b"ACK sip:srs@192.0.2.1:5060 SIP/2.0")
    assert field(ack, "CSeq") == "1 ACK"
    assert field(ack, "To").endswith(";tag=srs")
    assert field(ack, "Via") != field(invite, "Via")
    (answered,) = agent.of(CallAnswered)
    assert (answered.usage, answered.response.status) == (usage, 200)


@pytest.mark.requirement("3261-13.2.2-a", "3261-13.2.1-a")
def test_a_2xx_that_comes_again_gets_the_same_ack(agent: Agent) -> None:
    agent.call()
    ok = response_to(agent.sent[0], 200)
    first, again = agent.receive(ok), agent.receive(ok)
    assert first == again
    assert len(agent.of(CallAnswered)) == 1


@pytest.mark.requirement("3261-17.1.1-a", "3261-8.1.3-a")
@pytest.mark.parametrize("code", [180, 183, 199])
def test_progress_is_told_and_stops_the_repetition(agent: Agent, code: int) -> None:
    usage = agent.call()
    agent.receive(response_to(agent.sent[0], code))
    assert [(event.usage, event.response.status) for event in agent.of(CallProgressed)] == [(usage, code)]
    assert agent.run(100.0) == []


@pytest.mark.requirement("3261-8.1.3-a", "3261-21-a")
@pytest.mark.parametrize("code", [302, 404, 420, 486, 503, 603, 699])
def test_every_error_refuses_the_call(agent: Agent, code: int) -> None:
    usage = agent.call()
    (ack,) = agent.receive(response_to(agent.sent[0], code))
    assert ack.startswith(b"ACK ")
    assert field(ack, "Via") == field(agent.sent[0], "Via"), "RFC 3261 17.1.1.3: the branch of the INVITE"
    assert [(event.usage, event.status) for event in agent.of(CallRefused)] == [(usage, code)]
    assert agent.of(CallGone)
    agent.run(70.0)
    assert agent.empty()


@pytest.mark.requirement("3261-8.1.3-a")
def test_silence_is_408(agent: Agent) -> None:
    agent.call()
    agent.run(31.9)
    assert not agent.of(CallRefused)
    agent.run(0.2)
    assert [event.status for event in agent.of(CallRefused)] == [408]
    assert agent.empty()


@pytest.mark.requirement("3261-8.1.3-a")
def test_a_broken_path_is_503(agent: Agent) -> None:
    agent.call(Hop(Transport.TCP, REMOTE))
    (opened,) = agent.of(OpenFlow)
    agent.endpoint.flow_failed(Flow(Transport.TCP, LOCAL, REMOTE, opened.id), "refused", now=0.0)
    agent.drain()
    assert [event.status for event in agent.of(CallRefused)] == [503]
    assert agent.empty()


@pytest.mark.parametrize("contact", [None, "*", '"no end'])
def test_a_2xx_without_a_usable_contact_refuses_the_call(agent: Agent, contact: str | None) -> None:
    agent.call()
    agent.receive(response_to(agent.sent[0], 200, contact=contact))
    (refused,) = agent.of(CallRefused)
    assert refused.status == 502
    assert "Contact" in refused.reason


@pytest.mark.requirement("3261-13.2.2-a")
@pytest.mark.parametrize(
    ("contact", "extra"),
    [
        (None, ""),
        ("*", ""),
        ("<sip:a\x01b@192.0.2.9>", ""),
        ("sip:a\x7fb@192.0.2.9", ""),
        ("<sip:a\x85b@192.0.2.9>", ""),
        ("<sip:srs@192.0.2.9>", 'Record-Route: "no end'),
    ],
)
def test_a_2xx_that_cannot_be_used_is_acknowledged_and_ended_where_the_invite_went(
    agent: Agent, contact: str | None, extra: str
) -> None:
    agent.call()
    invite = agent.sent[0]
    ok = response_to(invite, 200, contact=contact, extra=[extra] if extra else [])
    ack, bye = agent.receive(ok)
    assert [read(each).method for each in (ack, bye)] == ["ACK", "BYE"]
    assert read(ack).uri == read(bye).uri == read(invite).uri
    assert field(bye, "Reason").startswith("SIP;cause=502;")
    assert tag(ack) == tag(bye) == "srs"
    assert agent.receive(ok) == [ack], "each 2xx gets its ACK (RFC 3261 13.2.2.4)"
    assert len(agent.of(CallRefused)) == 1
    agent.receive(response_to(bye, 200))
    agent.run(64.0)
    assert agent.empty()


def test_a_fork_that_cannot_be_used_is_ended_and_the_call_goes_on(agent: Agent) -> None:
    usage = agent.call()
    invite = agent.sent[0]
    agent.receive(response_to(invite, 200))
    ack, bye = agent.receive(response_to(invite, 200, to_tag="other", contact=None))
    assert (tag(ack), tag(bye)) == ("other", "other")
    assert len(agent.of(CallAnswered)) == 1
    assert not agent.of(CallRefused)
    assert field(agent.hang_up(usage)[0], "To").endswith("tag=srs")


@pytest.mark.requirement("3326-2-a")
def test_a_cancel_and_a_bye_say_why(agent: Agent) -> None:
    usage = agent.call()
    agent.receive(response_to(agent.sent[0], 180))
    (cancel,) = agent.hang_up(usage)
    assert field(cancel, "Reason").startswith("SIP;cause=487;")
    ack, bye = agent.receive(response_to(agent.sent[0], 200))
    assert field(ack, "Reason") == ""
    assert field(bye, "Reason").startswith("SIP;cause=200;")


# hanging up


@pytest.mark.requirement("3261-9.1-a")
def test_hanging_up_waits_for_a_1xx_before_the_cancel(agent: Agent) -> None:
    usage = agent.call()
    (invite,) = agent.sent
    assert agent.hang_up(usage) == []
    (cancel,) = agent.receive(response_to(invite, 100, to_tag=None))
    assert cancel.startswith(b"CANCEL " + invite.split(b" ")[1] + b" ")
    for name in ("Via", "From", "To", "Call-ID"):
        assert field(cancel, name) == field(invite, name)
    assert field(cancel, "CSeq") == "1 CANCEL"
    agent.receive(response_to(cancel, 200))
    (ack,) = agent.receive(response_to(invite, 487))
    assert ack.startswith(b"ACK ")
    assert agent.of(CallEnded) == [CallEnded(usage=usage, reason="cancelled")]
    assert not agent.of(CallRefused)
    agent.run(70.0)
    assert agent.empty()


def test_hanging_up_after_progress_cancels_at_once(agent: Agent) -> None:
    usage = agent.call()
    agent.receive(response_to(agent.sent[0], 180))
    assert methods(agent.hang_up(usage)) == [b"CANCEL"]
    assert agent.hang_up(usage) == []


@pytest.mark.requirement("3261-9.1-a")
@pytest.mark.parametrize("progress", [False, True])
def test_a_2xx_that_crosses_the_cancel_is_acknowledged_and_ended(agent: Agent, progress: bool) -> None:
    usage = agent.call()
    invite = agent.sent[0]
    if progress:
        agent.receive(response_to(invite, 180))
    agent.hang_up(usage)
    sent = agent.receive(response_to(invite, 200))
    assert methods(sent) == [b"ACK", b"BYE"]
    assert field(sent[1], "CSeq") == "2 BYE"
    assert not agent.of(CallAnswered)
    assert [event.reason for event in agent.of(CallEnded)] == ["local-bye"]
    agent.receive(response_to(sent[1], 200))
    assert agent.of(CallGone)
    agent.run(70.0)
    assert agent.empty()


def test_a_cancel_that_nobody_hears_ends_the_call_after_64_t1(agent: Agent) -> None:
    usage = agent.call()
    agent.receive(response_to(agent.sent[0], 180))
    agent.hang_up(usage)
    agent.run(31.9)
    assert not agent.of(CallEnded)
    agent.run(0.2)
    assert [event.reason for event in agent.of(CallEnded)] == ["cancelled"]
    assert agent.empty()


@pytest.mark.requirement("3261-15-a")
@pytest.mark.parametrize("code", [200, 481, 408, 500])
def test_any_answer_to_our_bye_is_the_end(agent: Agent, code: int) -> None:
    usage = agent.call()
    agent.receive(response_to(agent.sent[0], 200))
    (bye,) = agent.hang_up(usage)
    assert not agent.of(CallGone)
    agent.receive(response_to(bye, code))
    assert agent.of(CallGone) == [CallGone(usage=usage)]
    agent.run(70.0)
    assert agent.empty()


@pytest.mark.requirement("3261-15-a")
def test_a_bye_without_answer_is_given_up(agent: Agent) -> None:
    usage = agent.call()
    agent.receive(response_to(agent.sent[0], 200))
    agent.hang_up(usage)
    assert len(agent.run(40.0)) == 10
    assert agent.of(CallGone)
    agent.run(70.0)
    assert agent.empty()


# the peer


def test_the_called_side_ends_the_call(agent: Agent) -> None:
    usage = agent.call()
    agent.receive(response_to(agent.sent[0], 200))
    bye = request("BYE", call_id="ours", from_tag="srs", to_tag="ours", cseq=1)
    assert [status(data) for data in agent.receive(bye)] == [200]
    (ended,) = agent.of(CallEnded)
    assert (ended.usage, ended.reason) == (usage, "bye")
    agent.run(70.0)
    assert agent.empty()


@pytest.mark.requirement("3261-13.2.2-b")
def test_another_fork_is_acknowledged_and_ended_and_the_first_is_kept(agent: Agent) -> None:
    usage = agent.call()
    invite = agent.sent[0]
    agent.receive(response_to(invite, 200, to_tag="one"))
    sent = agent.receive(response_to(invite, 200, to_tag="two", contact="<sip:two@192.0.2.77>"))
    assert methods(sent) == [b"ACK", b"BYE"]
    assert all(b"sip:two@192.0.2.77" in data.split(b"\r\n")[0] for data in sent)
    assert all(field(data, "To").endswith(";tag=two") for data in sent)
    assert len(agent.of(CallAnswered)) == 1
    assert not agent.of(CallEnded)
    agent.receive(response_to(sent[1], 200))
    (bye,) = agent.hang_up(usage)
    assert field(bye, "To").endswith(";tag=one")


@pytest.mark.requirement("3261-13.2.2-a", "3261-12.2.1-a")
def test_the_route_set_of_the_answer_is_followed(agent: Agent) -> None:
    usage = agent.call()
    routes = ["Record-Route: <sip:192.0.2.50:5066;lr>", "Record-Route: <sip:192.0.2.60;lr>"]
    (ack,) = agent.receive(response_to(agent.sent[0], 200, extra=routes))
    (bye,) = agent.hang_up(usage)
    for message in (ack, bye):
        assert [line for line in message.split(b"\r\n") if line.startswith(b"Route")] == [
            b"Route: <sip:192.0.2.60;lr>",
            b"Route: <sip:192.0.2.50:5066;lr>",
        ]


def test_a_late_response_to_a_call_that_is_over_does_no_harm(agent: Agent) -> None:
    usage = agent.call()
    invite = agent.sent[0]
    agent.receive(response_to(invite, 200))
    (bye,) = agent.hang_up(usage)
    agent.receive(response_to(bye, 200))
    assert agent.receive(response_to(invite, 200), response_to(invite, 486), response_to(invite, 100)) == []


# calls without an offer


@pytest.mark.requirement("3261-13.2.1-a")
def test_the_ack_to_an_offer_waits_for_the_owners_answer(agent: Agent) -> None:
    usage = agent.call(offerless=True)
    ok = response_to(agent.sent[0], 200, body="v=0\r\n")
    assert agent.receive(ok, ok) == []
    (offered,) = agent.of(CallOffered)
    assert (offered.usage, offered.response.body, offered.flow.remote) == (usage, b"v=0\r\n", REMOTE)
    agent.endpoint.acknowledge(usage, body=b"v=0 answer\r\n", now=agent.now)
    agent.drain()
    ack = agent.sent[-1]
    assert ack.startswith(b"ACK ")
    assert field(ack, "Content-Type") == "application/sdp"
    assert ack.endswith(b"\r\n\r\nv=0 answer\r\n")
    assert agent.receive(ok) == [ack]
    assert not agent.of(CallAnswered)
    with pytest.raises(LocalProtocolError):
        agent.endpoint.acknowledge(usage, body=b"", now=agent.now)


def test_hanging_up_declines_the_offer_in_the_ack_and_sends_bye(agent: Agent) -> None:
    usage = agent.call(offerless=True)
    agent.receive(response_to(agent.sent[0], 200, body="v=0\r\n"))
    ack, bye = agent.hang_up(usage)
    assert ack.endswith(b"\r\n\r\ndeclined by 192.0.2.1")
    assert methods([ack, bye]) == [b"ACK", b"BYE"]
    assert [event.reason for event in agent.of(CallEnded)] == ["local-bye"]


@pytest.mark.parametrize("code", [None, 180])
def test_a_2xx_behind_our_wish_to_end_is_declined_too(agent: Agent, code: int | None) -> None:
    usage = agent.call(offerless=True)
    if code is not None:
        agent.receive(response_to(agent.sent[0], code))
    agent.hang_up(usage)
    ack, bye = agent.receive(response_to(agent.sent[0], 200, body="v=0\r\n"))
    assert methods([ack, bye]) == [b"ACK", b"BYE"]
    assert ack.endswith(b"declined by 192.0.2.1")
    assert not agent.of(CallOffered)


def test_a_2xx_without_an_offer_is_acknowledged_without_an_answer(agent: Agent) -> None:
    usage = agent.call(offerless=True)
    agent.receive(response_to(agent.sent[0], 200))
    ack, _ = agent.hang_up(usage)
    assert field(ack, "Content-Length") == "0"


def test_a_message_that_waits_for_its_connection_is_traced_when_it_leaves(agent: Agent) -> None:
    usage = agent.call(Hop(Transport.TCP, REMOTE))
    assert not [each for each in agent.outputs if isinstance(each, MessageTraced)]
    (opened,) = [each for each in agent.outputs if isinstance(each, OpenFlow)]
    flow = Flow(Transport.TCP, LOCAL, REMOTE, opened.id)
    agent.endpoint.flow_opened(flow, now=0.0)
    agent.drain()
    (traced,) = [each for each in agent.outputs if isinstance(each, MessageTraced)]
    assert (traced.usage, traced.data, traced.flow, traced.sent) == (usage, agent.sent[0], flow, True)
