"""The user agent core as a whole: order of its outputs, and any run of anything."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError
from siprec_core.sip.commands import SendDatagram
from siprec_core.sip.endpoint_events import (
    AckReceived,
    CallEnded,
    EndpointEvent,
    InviteReceived,
    MessageRefused,
    MessageTraced,
    OfferReceived,
    OptionsReceived,
)
from siprec_core.sip.uas import Refusal
from tests.core.messages import invite, request, response_to, tag
from tests.core.sip.endpoints import TCP, UDP, Agent


@pytest.fixture
def agent() -> Agent:
    return Agent()


def names(agent: Agent) -> list[str]:
    return [type(output).__name__ for output in agent.outputs]


def test_traces_events_and_commands_keep_their_order(agent: Agent) -> None:
    _, ours = agent.established()
    agent.outputs.clear()
    agent.receive(request("BYE", cseq=2, to_tag=ours))
    assert names(agent) == ["MessageTraced", "MessageTraced", "SendDatagram", "CallEnded", "CallGone"]
    received, sent, command = agent.outputs[:3]
    assert isinstance(received, MessageTraced)
    assert isinstance(sent, MessageTraced)
    assert isinstance(command, SendDatagram)
    assert (received.sent, sent.sent, sent.data) == (False, True, command.data)


def test_everything_of_a_call_is_traced(agent: Agent) -> None:
    usage, ours = agent.established()
    agent.answer_offer(agent.offered(ours))
    agent.receive(request("ACK", cseq=2, to_tag=ours, branch="z9hG4bK-a2"))
    (bye,) = agent.hang_up(usage)
    agent.receive(response_to(bye, 200))
    traced = [output for output in agent.outputs if isinstance(output, MessageTraced)]
    lines = [(trace.sent, trace.data.split(b" ")[0 if not trace.data.startswith(b"SIP") else 1]) for trace in traced]
    assert lines == [
        (True, b"200"),
        (False, b"ACK"),
        (False, b"INVITE"),
        (True, b"200"),
        (False, b"ACK"),
        (True, b"BYE"),
        (False, b"200"),
    ], "all but the first INVITE, which InviteReceived carries"
    assert all(trace.usage == usage for trace in traced)


def test_messages_of_one_piece_are_told_one_by_one(agent: Agent) -> None:
    agent.endpoint.flow_opened(TCP, now=0.0)
    _, ours = agent.established(invite(transport="TCP"), TCP)
    offer = invite(cseq=2, to_tag=ours, transport="TCP")
    bye = request("BYE", cseq=3, to_tag=ours, transport="TCP")
    agent.endpoint.receive_stream(TCP, offer + bye, now=0.0)
    told: list[EndpointEvent] = []
    while (output := agent.endpoint.poll_output()) is not None:
        if isinstance(output, OfferReceived):
            agent.endpoint.answer_offer(output.usage, body=b"", content_type="", now=0.0)
        if isinstance(output, EndpointEvent) and not isinstance(output, MessageTraced):
            told.append(output)
    assert [type(event).__name__ for event in told] == ["OfferReceived", "CallEnded", "CallGone"]


def test_what_is_no_message_is_told(agent: Agent) -> None:
    agent.receive(b"nonsense\r\n\r\n")
    (refused,) = agent.of(MessageRefused)
    assert refused.flow == UDP


def test_an_idle_endpoint_waits_for_nothing(agent: Agent) -> None:
    assert agent.endpoint.next_timeout() is None
    assert agent.endpoint.poll_output() is None
    agent.endpoint.handle_timeout(now=100.0)
    assert agent.endpoint.poll_output() is None
    assert agent.endpoint.calls == 0


_CALLS = st.sampled_from(["1", "2"])
_STEPS = st.one_of(
    st.tuples(st.just("send"), _CALLS, st.sampled_from(["INVITE", "ACK", "CANCEL", "BYE", "UPDATE", "OPTIONS"])),
    st.tuples(st.just("act"), _CALLS, st.sampled_from(["accept", "reject", "answer", "refuse", "hang up", "options"])),
    st.tuples(st.just("time"), _CALLS, st.sampled_from(["0.1", "1", "5", "40"])),
)


@given(st.lists(_STEPS, max_size=40), st.booleans())
@settings(max_examples=200)
def test_any_run_keeps_the_rules_and_leaves_nothing(steps: list[tuple[str, str, str]], one_piece: bool) -> None:
    agent = Agent()
    agent.endpoint.flow_opened(TCP, now=0.0)
    tags: dict[str, str] = {}
    waiting: list[bytes] = []
    for number, (kind, call, what) in enumerate(steps):
        if kind == "send":
            waiting.append(_message(what, call, tags.get(call, ""), number + 1))
            if not one_piece or number % 3 == 0:
                agent.receive(*waiting, flow=TCP)
                waiting.clear()
        elif kind == "act":
            _act(agent, what)
        else:
            agent.run(float(what))
        for event in agent.of(InviteReceived):
            tags[event.request.call_id] = event.local_tag
    for last in ("hang up", "options"):
        _act(agent, last)
    agent.run(300.0)
    assert agent.empty()
    ended = [event.usage for event in agent.of(CallEnded)]
    assert sorted(ended) == sorted(event.usage for event in agent.of(InviteReceived)), "each call ends once"


def _message(method: str, call_id: str, to_tag: str, cseq: int) -> bytes:
    branch = f"z9hG4bK-{call_id}-{cseq // 4}"
    if method in ("INVITE", "UPDATE"):
        return invite(method=method, call_id=call_id, to_tag=to_tag, cseq=cseq, branch=branch, transport="TCP")
    return request(method, call_id=call_id, to_tag=to_tag, cseq=cseq, branch=branch, transport="TCP")


def _act(agent: Agent, what: str) -> None:
    """Do what an owner may do to everything that was told; what is too late is refused and harms nothing."""
    for event in list(agent.events):
        try:
            _act_on(agent, event, what)
        except LocalProtocolError:
            continue
    agent.drain()


def _act_on(agent: Agent, event: object, what: str) -> None:
    endpoint, now = agent.endpoint, agent.now
    match event, what:
        case InviteReceived(usage=usage), "accept":
            endpoint.accept(usage, body=b"", content_type="", now=now)
        case InviteReceived(usage=usage), "reject":
            endpoint.reject(usage, Refusal(486), now=now)
        case InviteReceived(usage=usage), "hang up":
            endpoint.hang_up(usage, now=now)
        case OfferReceived(usage=usage), "answer":
            endpoint.answer_offer(usage, body=b"", content_type="", now=now)
        case OfferReceived(usage=usage), "refuse":
            endpoint.refuse_offer(usage, Refusal(488), now=now)
        case OptionsReceived(request_id=request_id), "options":
            endpoint.answer_options(request_id, None, now=now)
        case _:
            pass


def test_an_ack_is_told_with_whether_its_number_fits(agent: Agent) -> None:
    usage = agent.invited()
    ours = tag(agent.accept(usage))
    agent.receive(request("ACK", to_tag=ours, branch="z9hG4bK-a"), request("ACK", cseq=9, to_tag=ours))
    assert [event.matched for event in agent.of(AckReceived)] == [True, False]
