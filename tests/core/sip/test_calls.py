"""The table of calls: look-up, early calls, connections in use, what is left at the end."""

import pytest

from siprec_core.sip.commands import OpenFlow
from siprec_core.sip.endpoint_events import InviteReceived
from siprec_core.sip.uas import Refusal
from siprec_core.types import Address, Flow, FlowId, Transport
from tests.core.messages import invite, read, request, tag
from tests.core.sip.endpoints import LOCAL, REMOTE, TCP, Agent


@pytest.fixture
def agent() -> Agent:
    return Agent()


def test_calls_are_found_by_dialog_and_by_id(agent: Agent) -> None:
    usage, ours = agent.established()
    table = agent.endpoint._calls
    call = table.get(usage)
    assert call is not None
    assert table.of(read(request("BYE", to_tag=ours))) is call
    assert table.of(read(request("BYE", to_tag=ours, from_tag="else"))) is None
    assert table.of(read(request("BYE", to_tag="else"))) is None
    assert table.of(read(request("BYE", to_tag=ours, call_id="else"))) is None
    assert table.get(None) is None
    assert table.of_owner(None) is None
    assert table.of_owner(usage) is call


def test_early_calls_are_those_without_an_answer(agent: Agent) -> None:
    table = agent.endpoint._calls
    first = agent.invited(invite(call_id="1"))
    second = agent.invited(invite(call_id="2"))
    assert (len(table), table.early) == (2, 2)
    agent.accept(first)
    assert (len(table), table.early) == (2, 1)
    agent.endpoint.reject(second, Refusal(486), now=0.0)
    assert (len(table), table.early) == (1, 0)


@pytest.mark.requirement("3261-18-b")
def test_a_connection_with_a_dialog_may_idle_and_one_without_may_not(agent: Agent) -> None:
    agent.endpoint.flow_opened(TCP, now=0.0)
    _, ours = agent.established(invite(transport="TCP"), TCP)
    agent.run(5000.0)
    assert agent.endpoint._transport.is_open(TCP)
    agent.receive(request("BYE", cseq=2, to_tag=ours, transport="TCP"), flow=TCP)
    agent.run(5000.0)
    assert not agent.endpoint._transport.is_open(TCP)


def test_a_dialog_that_moves_lets_its_old_connection_go(agent: Agent) -> None:
    other = Flow(Transport.TCP, LOCAL, Address("192.0.2.2", 5999), FlowId(2))
    agent.endpoint.flow_opened(TCP, now=0.0)
    agent.endpoint.flow_opened(other, now=0.0)
    _, ours = agent.established(invite(transport="TCP"), TCP)
    agent.receive(request("OPTIONS", cseq=2, to_tag=ours, transport="TCP"), flow=other)
    agent.run(5000.0)
    assert not agent.endpoint._transport.is_open(TCP)
    assert agent.endpoint._transport.is_open(other)


@pytest.mark.requirement("3261-18-b", "5923-8-a")
def test_a_call_outlives_its_connection_and_calls_back(agent: Agent) -> None:
    agent.endpoint.flow_opened(TCP, now=0.0)
    usage, _ = agent.established(invite(transport="TCP"), TCP)
    agent.endpoint.flow_failed(TCP, "reset", now=0.0)
    agent.drain()
    assert len(agent.endpoint._calls) == 1
    assert agent.hang_up(usage) == []
    (opened,) = [output for output in agent.outputs if isinstance(output, OpenFlow)]
    assert opened.remote == REMOTE, "the Contact is called"


def test_a_hundred_calls_leave_nothing(agent: Agent) -> None:
    for number in range(100):
        agent.receive(invite(call_id=str(number)))
    for number, told in enumerate(list(agent.of(InviteReceived))):
        if number % 3 == 0:
            agent.endpoint.reject(told.usage, Refusal(486), now=0.0)
        else:
            ours = tag(agent.accept(told.usage))
            if number % 3 == 1:
                agent.receive(request("ACK", call_id=str(number), to_tag=ours, branch=f"z9hG4bK-a{number}"))
                agent.receive(request("BYE", call_id=str(number), to_tag=ours, cseq=2))
    agent.run(200.0)
    assert agent.empty()
    assert agent.endpoint.next_timeout() is None
