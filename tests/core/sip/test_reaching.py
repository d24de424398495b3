"""How requests reach servers: one place after the other, calls given up meanwhile, dialogs without their connection."""

import pytest

from siprec_core.sip.commands import OpenFlow, Resolve, SendDatagram
from siprec_core.sip.endpoint_events import (
    CallAnswered,
    CallAttempted,
    CallChanged,
    CallEnded,
    CallGone,
    CallRefused,
)
from siprec_core.sip.invite import UsageId
from siprec_core.sip.names import AddressRecord, DnsAnswer, LookupFailure, RecordType, SrvRecord
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Flow, FlowId, Listening, Transport
from tests.core.messages import field, invite, read, request, response_to, tag
from tests.core.sip.endpoints import LOCAL, TCP, Agent, is_empty

ONE, TWO = Address("192.0.2.81", 5060), Address("192.0.2.82", 5060)
LISTENING = (Listening(Transport.UDP, LOCAL), Listening(Transport.TCP, Address("192.0.2.1", 5064)))


class Dns:
    """Answers what an agent asks from a table; what is not in it does not exist."""

    def __init__(self, agent: Agent, **records: tuple[str, ...]) -> None:
        self.agent = agent
        self.records = records
        self.answered = 0

    def answer(self) -> None:
        """Answer all that is asked, and what is asked because of that."""
        while len(asked := self.agent.of(Resolve)) > self.answered:
            question = asked[self.answered]
            self.answered += 1
            self.agent.endpoint.host_resolved(question.query, self.lookup(question), now=self.agent.now)
            self.agent.drain()

    def lookup(self, question: Resolve) -> DnsAnswer:
        label = question.name.partition(".")[0].lstrip("_")
        if question.type is RecordType.SRV:
            service = question.name.split(".")[1].lstrip("_")
            names = self.records.get(service, ())
            return tuple(SrvRecord(order, 1, 5060, name) for order, name in enumerate(names)) or _nothing()
        if question.type is RecordType.A and label in self.records:
            return tuple(AddressRecord(host) for host in self.records[label])
        return _nothing()


def _nothing() -> LookupFailure:
    return LookupFailure.NO_RECORDS


@pytest.fixture
def agent() -> Agent:
    return Agent()


def called(agent: Agent, uri: str = "sip:recorder@example.com", extra: tuple[str, ...] = ()) -> UsageId:
    message = read(request("INVITE", uri=uri, contact=None, call_id="ours", from_tag="ours", extra=list(extra)))
    message.headers.remove("Via")
    usage = agent.endpoint.call(message, None, local=LOCAL, now=agent.now)
    agent.drain()
    return usage


def datagrams(agent: Agent) -> list[tuple[str, Address]]:
    commands = [output for output in agent.outputs if isinstance(output, SendDatagram)]
    return [(command.data.split(b" ")[0].decode(), command.flow.remote) for command in commands]


TWO_SERVERS = {"udp": ("one.example.com", "two.example.com"), "one": (ONE.host,), "two": (TWO.host,)}


def placed(agent: Agent, **records: tuple[str, ...]) -> UsageId:
    """Call a domain with two UDP servers."""
    usage = called(agent)
    Dns(agent, **(records or TWO_SERVERS)).answer()
    return usage


@pytest.mark.requirement("3261-8.1.2-a", "3263-4-b")
def test_a_503_sends_the_same_invite_to_the_next_place(agent: Agent) -> None:
    usage = placed(agent)
    (first,) = agent.sent
    assert datagrams(agent) == [("INVITE", ONE)]
    agent.receive(response_to(first, 503), flow=Flow(Transport.UDP, LOCAL, ONE))
    assert datagrams(agent) == [("INVITE", ONE), ("ACK", ONE), ("INVITE", TWO)]
    second = agent.sent[-1]
    for name in ("Call-ID", "CSeq", "From", "To", "Max-Forwards"):
        assert field(second, name) == field(first, name)
    assert field(second, "Via") != field(first, "Via")
    assert second.count(b"\r\nVia:") == second.count(b"\r\nContact:") == 1
    agent.receive(response_to(second, 200), flow=Flow(Transport.UDP, LOCAL, TWO))
    assert [event.usage for event in agent.of(CallAnswered)] == [usage]
    assert [event.hop.remote for event in agent.of(CallAttempted)] == [ONE, TWO]
    assert not agent.of(CallRefused)


def test_silence_leads_on_and_the_last_one_decides(agent: Agent) -> None:
    placed(agent)
    agent.run(32.1)
    assert datagrams(agent)[-1] == ("INVITE", TWO)
    agent.receive(response_to(agent.sent[-1], 503), flow=Flow(Transport.UDP, LOCAL, TWO))
    assert [(event.status, event.reason) for event in agent.of(CallRefused)] == [(503, "Whatever")]
    assert agent.of(CallGone)
    agent.run(70.0)
    assert agent.empty()


@pytest.mark.parametrize("code", [486, 500, 600])
def test_any_other_answer_is_the_answer(agent: Agent, code: int) -> None:
    placed(agent)
    agent.receive(response_to(agent.sent[0], code))
    assert [event.status for event in agent.of(CallRefused)] == [code]
    assert len(agent.of(CallAttempted)) == 1


def test_a_server_that_rings_is_not_left_for_its_silence(agent: Agent) -> None:
    placed(agent)
    agent.receive(response_to(agent.sent[0], 180))
    assert agent.run(100.0) == []


def test_no_cancel_before_the_next_server_has_said_a_word(agent: Agent) -> None:
    usage = placed(agent)
    agent.receive(response_to(agent.sent[0], 180), response_to(agent.sent[0], 503))
    second = agent.sent[-1]
    assert agent.hang_up(usage) == [], "RFC 3261 9.1: of the new transaction nothing has come back"
    (cancel,) = agent.receive(response_to(second, 100, to_tag=None))
    assert cancel.startswith(b"CANCEL ")
    assert field(cancel, "Via") == field(second, "Via")


def test_a_call_that_is_given_up_goes_nowhere_else(agent: Agent) -> None:
    usage = placed(agent)
    agent.hang_up(usage)
    agent.receive(response_to(agent.sent[0], 503))
    assert len(agent.of(CallAttempted)) == 1
    assert [event.reason for event in agent.of(CallEnded)] == ["cancelled"]
    agent.run(70.0)
    assert agent.empty()


def test_a_call_that_is_given_up_while_its_servers_are_sought(agent: Agent) -> None:
    usage = called(agent)
    assert agent.hang_up(usage) == []
    assert [event.reason for event in agent.of(CallEnded)] == ["cancelled"]
    Dns(agent, udp=("one.example.com",), one=(ONE.host,)).answer()
    assert agent.sent == []
    assert agent.empty()


def test_a_refused_connection_leads_on(agent: Agent) -> None:
    agent.endpoint.listen(LISTENING)
    placed(agent, tcp=("one.example.com", "two.example.com"), one=(ONE.host,), two=(TWO.host,))
    for remote, opened in zip((ONE, TWO), agent.of(OpenFlow), strict=False):
        assert opened.remote == remote
        agent.endpoint.flow_failed(Flow(Transport.TCP, LOCAL, remote, opened.id), "connection refused", now=0.0)
        agent.drain()
    last = agent.of(OpenFlow)[-1]
    agent.endpoint.flow_failed(Flow(Transport.TCP, LOCAL, TWO, last.id), "connection refused", now=0.0)
    agent.drain()
    assert [opened.remote for opened in agent.of(OpenFlow)] == [ONE, TWO]
    (refused,) = agent.of(CallRefused)
    assert (refused.status, refused.reason) == (503, "Service Unavailable - transport failed: connection refused")
    assert agent.empty()


def test_only_transports_and_addresses_that_we_have_are_sought(agent: Agent) -> None:
    agent.endpoint.listen([Listening(Transport.TCP, Address("2001:db8::1", 5060))])
    called(agent)
    assert {(each.type, each.name) for each in agent.of(Resolve)} == {
        (RecordType.NAPTR, "example.com"),
        (RecordType.SRV, "_sip._tcp.example.com"),
    }
    Dns(agent, tcp=("one.example.com",)).answer()
    assert {each.type for each in agent.of(Resolve)} == {RecordType.NAPTR, RecordType.SRV, RecordType.AAAA}


def test_a_route_leads_the_way(agent: Agent) -> None:
    called(agent, extra=("Route: <sip:192.0.2.81;lr>",))
    assert datagrams(agent) == [("INVITE", ONE)]
    assert agent.of(CallAttempted)[0].hop == Hop(Transport.UDP, ONE)
    assert agent.sent[0].startswith(b"INVITE sip:recorder@example.com ")


@pytest.mark.parametrize(
    "uri", ["sip:recorder@missing.example.com", "sip:recorder@example.com;transport=sctp", "tel:+1555"]
)
def test_a_call_without_a_place_is_refused(agent: Agent, uri: str) -> None:
    usage = called(agent, uri)
    Dns(agent).answer()
    assert [(event.usage, event.status) for event in agent.of(CallRefused)] == [(usage, 503)]
    assert agent.of(CallGone) == [CallGone(usage=usage)]
    assert not agent.of(CallAttempted)
    assert agent.empty()


def test_name_servers_that_are_silent_end_a_call(agent: Agent) -> None:
    called(agent)
    agent.run(20.0)
    assert [event.status for event in agent.of(CallRefused)] == [503]
    assert agent.empty()


# our connection


def test_requests_within_the_dialog_never_name_the_port_of_our_connection(agent: Agent) -> None:
    agent.endpoint.listen(LISTENING)
    usage = agent.call(Hop(Transport.TCP, ONE))
    (opened,) = agent.of(OpenFlow)
    flow = Flow(Transport.TCP, Address("192.0.2.1", 40_001), ONE, opened.id)
    agent.endpoint.flow_opened(flow, now=0.0)
    agent.drain()
    assert field(agent.sent[0], "Contact") == "<sip:192.0.2.1:5064;transport=tcp>;+sip.srs"
    (ack,) = agent.receive(response_to(agent.sent[0], 200), flow=flow)
    agent.endpoint.change(
        usage, body=b"v=0\r\n", content_type="application/sdp", description=b"v=0\r\n", method="INVITE", now=0.0
    )
    agent.drain()
    change = agent.sent[-1]
    agent.receive(response_to(change, 200), flow=flow)
    (bye,) = agent.hang_up(usage)
    for message in (agent.sent[0], ack, change, bye):
        assert field(message, "Via").startswith("SIP/2.0/TCP 192.0.2.1:5064;")
    assert field(change, "Contact") == "<sip:192.0.2.1:5064;transport=tcp>;+sip.srs"


# dialogs whose connection is gone

PEER = "<sip:src@client.example.com;transport=tcp>"


def left_alone(agent: Agent, contact: str = PEER) -> tuple[UsageId, str]:
    """Take a call over a connection that then ends."""
    agent.endpoint.flow_opened(TCP, now=0.0)
    usage, ours = agent.established(invite(contact=contact, extra=["Allow: INVITE, UPDATE, BYE"]), TCP)
    agent.endpoint.receive_stream(TCP, b"", now=0.0)
    agent.drain()
    agent.sent.clear()
    return usage, ours


def test_while_the_connection_is_open_nothing_is_sought(agent: Agent) -> None:
    agent.endpoint.flow_opened(TCP, now=0.0)
    usage, _ = agent.established(invite(contact=PEER), TCP)
    assert [message.split(b" ")[0] for message in agent.hang_up(usage)] == [b"BYE"]
    assert not agent.of(Resolve)


@pytest.mark.requirement("3261-8.1.2-a")
def test_a_bye_waits_for_the_place_of_a_name(agent: Agent) -> None:
    usage, _ = left_alone(agent)
    assert agent.hang_up(usage) == []
    Dns(agent, tcp=("one.example.com", "two.example.com"), one=(ONE.host,), two=(TWO.host,)).answer()
    (opened,) = agent.of(OpenFlow)
    assert opened.remote == ONE
    agent.endpoint.flow_failed(Flow(Transport.TCP, LOCAL, ONE, opened.id), "refused", now=0.0)
    agent.drain()
    opened = agent.of(OpenFlow)[-1]
    assert opened.remote == TWO
    flow = Flow(Transport.TCP, Address("192.0.2.1", 40_001), TWO, opened.id)
    agent.endpoint.flow_opened(flow, now=0.0)
    agent.drain()
    (bye,) = agent.sent
    assert field(bye, "Via").startswith("SIP/2.0/TCP 192.0.2.1:5060;")
    agent.receive(response_to(bye, 200), flow=flow)
    assert agent.of(CallGone) == [CallGone(usage=usage)]
    agent.run(70.0)
    assert is_empty(agent.endpoint)


def test_a_change_waits_for_it_and_later_requests_use_the_new_connection(agent: Agent) -> None:
    usage, _ = left_alone(agent)
    agent.endpoint.change(usage, body=b"x", content_type="text/plain", method="UPDATE", now=0.0)
    agent.drain()
    assert agent.sent == []
    Dns(agent, client=(ONE.host,)).answer()
    (opened,) = agent.of(OpenFlow)
    flow = Flow(Transport.TCP, Address("192.0.2.1", 40_001), ONE, opened.id)
    agent.endpoint.flow_opened(flow, now=0.0)
    agent.drain()
    (update,) = agent.sent
    agent.receive(response_to(update, 200), flow=flow)
    assert agent.of(CallChanged)
    asked = len(agent.of(Resolve))
    (bye,) = agent.hang_up(usage)
    assert field(bye, "Via").startswith("SIP/2.0/TCP 192.0.2.1:5060;")
    assert len(agent.of(Resolve)) == asked
    assert len(agent.of(OpenFlow)) == 1


def test_a_name_that_leads_nowhere_leaves_the_way_back(agent: Agent) -> None:
    usage, _ = left_alone(agent)
    agent.hang_up(usage)
    Dns(agent).answer()
    (opened,) = agent.of(OpenFlow)
    assert opened.remote == TCP.remote


def test_a_peer_that_comes_back_is_answered_where_it_is(agent: Agent) -> None:
    usage, ours = left_alone(agent)
    agent.hang_up(usage)
    again = Flow(Transport.TCP, TCP.local, TCP.remote, FlowId(2))
    agent.endpoint.flow_opened(again, now=0.0)
    agent.receive(request("OPTIONS", to_tag=ours, cseq=2), flow=again)
    Dns(agent, client=(ONE.host,)).answer()
    assert [message.split(b" ")[0] for message in agent.sent if message.startswith(b"BYE")] == [b"BYE"]
    assert not agent.of(OpenFlow)


def test_a_call_that_the_peer_ends_meanwhile_sends_nothing(agent: Agent) -> None:
    usage, ours = left_alone(agent)
    agent.endpoint.change(usage, body=b"x", content_type="text/plain", method="UPDATE", now=0.0)
    agent.drain()
    again = Flow(Transport.TCP, TCP.local, TCP.remote, FlowId(2))
    agent.endpoint.flow_opened(again, now=0.0)
    agent.receive(request("BYE", to_tag=ours, cseq=2), flow=again)
    assert tag(agent.sent[-1]) == ours
    Dns(agent, client=(ONE.host,)).answer()
    agent.run(70.0)
    assert is_empty(agent.endpoint)
