"""One client, several recording servers, a pretended DNS and wire: which server gets the call, and what is said."""

from heapq import heappop, heappush
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.client import RecordingClient
from siprec_core.errors import LocalProtocolError
from siprec_core.recording.call import CallSpec, ClientConfig, StreamSpec
from siprec_core.recording.call_events import (
    RecordingAnswered,
    RecordingAttempted,
    RecordingEnded,
    RecordingRefused,
    ServerFailed,
)
from siprec_core.recording.commands import (
    BindMedia,
    CloseFlow,
    CloseMedia,
    OpenFlow,
    OpenSink,
    RenderRecording,
    Resolve,
    SendDatagram,
    SendMedia,
    SendStream,
    WriteSink,
)
from siprec_core.recording.events import SessionEnded, SessionEstablished
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.servers import ServerMemory
from siprec_core.server import RecordingServer
from siprec_core.sip.names import AddressRecord, DnsAnswer, LookupFailure, RecordType, SrvRecord
from siprec_core.types import Address, Flow, FlowId, Listening, Transport
from tests.core.harness import CLIENT, TIME_BASE, Node, entropy
from tests.core.messages import body, field

CLIENT_TCP = Address(CLIENT.host, 5072)
LATENCY = 0.01
STREAMS = (StreamSpec(label="1", aor="sip:ann@example.com"), StreamSpec(label="2", aor="sip:bob@example.com"))


class Network:
    """A client and the servers `one`, `two`, ... of the domain example.com, best first.

    `states` has a word for each server: `up`, `dead` (nothing answers, connections are refused), `full` (503),
    `udp` (takes no connections), `slow` (says 183 and no more).
    """

    def __init__(
        self, *states: str, transport: str = "udp", large_over_tcp: bool = False, memory: ServerMemory | None = None
    ) -> None:
        self.now = 0.0
        self.states = list(states)
        self.service = transport
        config = ClientConfig(large_over_tcp=large_over_tcp, servers=memory)
        self.client = Node(RecordingClient(config, time_base=TIME_BASE, entropy=entropy(2)), CLIENT)
        self.servers = [
            Node(
                RecordingServer(
                    ServerConfig(manual=states[index] == "slow"), time_base=TIME_BASE, entropy=entropy(10 + index)
                ),
                Address(f"192.0.2.{81 + index}", 5060),
            )
            for index in range(len(states))
        ]
        for node, state in zip(self.servers, states, strict=True):
            if state == "full":
                node.machine.shut_down(drain_seconds=1e6, now=0.0)  # type: ignore[union-attr]
        self.asked: list[Resolve] = []
        self._deliveries: list[tuple[float, int, object]] = []
        self._count = count()

    def call(self, uri: str = "sip:recorder@example.com", *, listening: tuple[Listening, ...] | None = None) -> None:
        heard = (Listening(Transport.UDP, CLIENT), Listening(Transport.TCP, CLIENT_TCP))
        spec = CallSpec(uri=uri, local=CLIENT, listening=heard if listening is None else listening, streams=STREAMS)
        self.machine.start(spec, now=self.now)
        self.settle()

    def call_all(self, **changes: Any) -> None:  # noqa: ANN401 - whatever a call takes
        """Call the servers one after the other, each by a URI of its own."""
        first, *others = (f"sip:{node.address};transport={self.service}" for node in self.servers)
        heard = (Listening(Transport.UDP, CLIENT), Listening(Transport.TCP, CLIENT_TCP))
        spec = CallSpec(
            uri=first, alternatives=tuple(others), local=CLIENT, listening=heard, streams=STREAMS, **changes
        )
        self.machine.start(spec, now=self.now)
        self.settle()

    @property
    def machine(self) -> RecordingClient:
        machine = self.client.machine
        if not isinstance(machine, RecordingClient):
            raise TypeError(machine)
        return machine

    def stop(self) -> None:
        self.machine.stop(now=self.now)
        self.settle()

    def established(self) -> list[int]:
        """Give the numbers of the servers that record."""
        return [number for number, node in enumerate(self.servers, 1) if node.of(SessionEstablished)]

    def attempts(self) -> list[tuple[str, int]]:
        hosts = [node.address.host for node in self.servers]
        tried = self.client.of(RecordingAttempted)
        return [(each.hop.transport.value, hosts.index(each.hop.remote.host) + 1) for each in tried]

    def left(self) -> list[tuple[str, bytes]]:
        """Give the INVITEs that went out, once each, by transport: none of connections that were refused."""
        sent = {field(data, "Via"): data for data in reversed(self.client.messages(b"INVITE "))}
        return [(via.partition(" ")[0].rpartition("/")[2].lower(), data) for via, data in reversed(sent.items())]

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        nodes = [self.client, *self.servers]
        for _ in range(20_000):
            due = [self._deliveries[0][0]] if self._deliveries else []
            due += [at for node in nodes if (at := node.machine.next_timeout()) is not None]
            if not due or min(due) > until:
                self.now = until
                return
            self.now = max(self.now, min(due))
            while self._deliveries and self._deliveries[0][0] <= self.now:
                heappop(self._deliveries)[2]()  # type: ignore[operator]
                self.settle()
            for node in nodes:
                at = node.machine.next_timeout()
                if at is not None and at <= self.now:
                    node.machine.handle_timeout(now=self.now)
            self.settle()
        raise RuntimeError("the machines do not come to rest")

    def settle(self) -> None:
        moved = True
        while moved:
            moved = False
            for node in (self.client, *self.servers):
                moved = self._perform(node) or moved

    def _later(self, deliver: object) -> None:
        heappush(self._deliveries, (self.now + LATENCY, next(self._count), deliver))

    def _peer(self, node: Node, remote: Address) -> Node | None:
        """Give who is at an address; None when nothing answers there."""
        if node is not self.client:
            return self.client
        for server, state in zip(self.servers, self.states, strict=True):
            if server.address == remote and state != "dead":
                return server
        return None

    def _perform(self, node: Node) -> bool:
        output = node.machine.poll_output()
        match output:
            case None:
                return False
            case Resolve():
                self.asked.append(output)
                answer = self._look_up(output)
                self._later(lambda: node.machine.host_resolved(output.query, answer, now=self.now))
            case SendDatagram(flow=flow, data=data):
                node.sent.append(data)
                peer = self._peer(node, flow.remote)
                back = Flow(Transport.UDP, flow.remote, flow.local)
                if peer is not None:
                    self._later(lambda: peer.machine.receive_datagram(data, flow=back, now=self.now))
            case OpenFlow():
                self._open(node, output)
            case SendStream(flow=flow, data=data):
                node.sent.append(data)
                self._send(node, flow, data)
            case CloseFlow(flow=flow):
                self._send(node, flow, b"")
            case BindMedia(media=media):
                node.machine.media_bound(media, now=self.now)
            case CloseMedia(media=media):
                node.machine.media_closed(media, now=self.now)
            case RenderRecording(session=session):
                node.machine.rendered(session, now=self.now)  # type: ignore[union-attr]
            case SendMedia() | OpenSink() | WriteSink():
                pass
            case _:
                node.events.append(output)
        return True

    def _open(self, node: Node, command: OpenFlow) -> None:
        peer = self._peer(node, command.remote)
        refused = peer is None or self.states[self.servers.index(peer)] == "udp"
        mine = Flow(command.transport, Address(node.address.host, 40_000 - command.id), command.remote, command.id)
        if refused or peer is None:
            self._later(lambda: node.machine.flow_failed(mine, "connection refused", now=self.now))
            return
        theirs = Flow(command.transport, command.remote, mine.local, FlowId(-command.id))
        node.flows[command.id] = mine
        peer.flows[FlowId(-command.id)] = theirs
        peer.machine.flow_opened(theirs, now=self.now)
        node.machine.flow_opened(mine, now=self.now)

    def _send(self, node: Node, flow: Flow, data: bytes) -> None:
        peer = self._peer(node, flow.remote)
        there = None if peer is None or flow.id is None else peer.flows.get(FlowId(-flow.id))
        if peer is not None and there is not None:
            self._later(lambda: peer.machine.receive_stream(there, data, now=self.now))

    def _look_up(self, question: Resolve) -> DnsAnswer:
        names = ["one", "two", "three"][: len(self.states)]
        if question.type is RecordType.SRV and question.name == f"_sip._{self.service}.example.com":
            return tuple(SrvRecord(order, 0, 5060, f"{name}.example.com") for order, name in enumerate(names))
        label = question.name.partition(".")[0]
        if question.type is RecordType.A and label in names:
            return (AddressRecord(self.servers[names.index(label)].address.host),)
        return LookupFailure.NO_RECORDS


@pytest.mark.requirement("3263-4-b")
@pytest.mark.parametrize(
    ("states", "transport", "attempts"),
    [
        (("up", "up"), "udp", [("udp", 1)]),
        (("full", "up"), "udp", [("udp", 1), ("udp", 2)]),
        (("dead", "up"), "udp", [("udp", 1), ("udp", 2)]),
        (("dead", "up"), "tcp", [("tcp", 1), ("tcp", 2)]),
        (("full", "up"), "tcp", [("tcp", 1), ("tcp", 2)]),
        (("dead", "full", "up"), "tcp", [("tcp", 1), ("tcp", 2), ("tcp", 3)]),
    ],
)
def test_the_first_server_that_can_records(
    states: tuple[str, ...], transport: str, attempts: list[tuple[str, int]]
) -> None:
    network = Network(*states, transport=transport)
    network.call()
    network.run(40.0)
    assert network.attempts() == attempts
    assert network.established() == [attempts[-1][1]]
    assert len(network.client.of(RecordingAnswered)) == 1
    invites = [data for _, data in network.left()]
    assert len({field(data, "Call-ID") + field(data, "CSeq") for data in invites}) == 1
    assert len({body(data) for data in invites}) == 1
    assert len(invites) == len([each for each in attempts if each[0] == "udp" or states[each[1] - 1] != "dead"])
    network.stop()
    network.run(1.0)
    assert [event.reason for event in network.client.of(RecordingEnded)] == ["local-bye"]
    (ended,) = network.servers[attempts[-1][1] - 1].of(SessionEnded)
    assert ended.reason == "bye"


@pytest.mark.parametrize(
    ("states", "transport", "status", "text"),
    [
        (("full", "full"), "udp", 503, "Service Unavailable"),
        (("full", "dead"), "udp", 408, "Request Timeout"),
        (("full", "dead"), "tcp", 503, "Service Unavailable - transport failed: connection refused"),
        ((), "udp", 503, "example.com: no address found (the name has no such records)"),
    ],
)
def test_when_all_fail_the_last_word_counts(states: tuple[str, ...], transport: str, status: int, text: str) -> None:
    network = Network(*states, transport=transport)
    network.call()
    network.run(70.0)
    assert network.client.of(RecordingRefused) == [
        RecordingRefused(
            status=status,
            reason=text,
            local="dead" in states or not states,
            retry_seconds=ServerConfig().retry_seconds if states[-1:] == ("full",) else None,
        )
    ]
    assert network.client.of(RecordingEnded) == [RecordingEnded(reason="refused")]
    network.run(1_000.0)
    assert network.machine.next_timeout() is None


@pytest.mark.requirement("3261-18.1.1-a")
@pytest.mark.parametrize(
    ("states", "attempts"),
    [
        (("up",), [("tcp", 1)]),
        (("udp",), [("tcp", 1), ("udp", 1)]),
        (("dead", "up"), [("tcp", 1), ("udp", 1), ("tcp", 2)]),
        (("full", "up"), [("tcp", 1), ("tcp", 2)]),
    ],
)
def test_what_is_too_large_for_udp_goes_over_tcp(states: tuple[str, ...], attempts: list[tuple[str, int]]) -> None:
    network = Network(*states, large_over_tcp=True)
    network.call()
    network.run(40.0)
    assert network.attempts() == attempts
    taken = [name for name, number in attempts if name == "udp" or states[number - 1] in ("up", "full")]
    assert [transport for transport, _ in network.left()] == taken
    for transport, invite in network.left():
        ours = CLIENT_TCP if transport == "tcp" else CLIENT
        suffix = ";transport=tcp" if transport == "tcp" else ""
        assert field(invite, "Via").startswith(f"SIP/2.0/{transport.upper()} {ours};")
        assert field(invite, "Contact") == f"<sip:{ours}{suffix}>;+sip.src"
    network.stop()
    network.run(1.0)
    (bye,) = network.client.messages(b"BYE ")
    assert field(bye, "Via").partition(";")[0] == field(network.left()[-1][1], "Via").partition(";")[0]
    assert [event.reason for event in network.client.of(RecordingEnded)] == ["local-bye"]


def test_the_server_may_end_a_call_that_came_over_a_connection() -> None:
    network = Network("up", transport="tcp")
    network.call()
    network.run(1.0)
    server = network.servers[0]
    (established,) = server.of(SessionEstablished)
    server.machine.end(established.session, now=network.now)  # type: ignore[union-attr]
    network.settle()
    network.run(1.0)
    assert [event.reason for event in network.client.of(RecordingEnded)] == ["bye"]
    (bye,) = server.messages(b"BYE ")
    assert bye.startswith(f"BYE sip:{CLIENT_TCP};transport=tcp SIP/2.0".encode())


def test_a_client_without_a_udp_socket_looks_for_connections_only() -> None:
    network = Network("up", transport="tcp")
    network.call(listening=(Listening(Transport.TCP, CLIENT_TCP),))
    network.run(1.0)
    assert "_sip._udp.example.com" not in {question.name for question in network.asked}
    assert network.established() == [1]


def test_stopping_while_the_servers_are_looked_for() -> None:
    network = Network("up")
    network.call()
    network.stop()
    assert [event.reason for event in network.client.of(RecordingEnded)] == ["cancelled"]
    network.run(10.0)
    assert network.client.sent == []
    assert network.machine.next_timeout() is None


@pytest.mark.parametrize("uri", ["", "example.com", "tel:+1555"])
def test_what_is_no_sip_uri_is_misuse(uri: str) -> None:
    network = Network()
    with pytest.raises(LocalProtocolError, match="cannot be located"):
        network.call(uri)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(("up", "dead", "full", "udp")), max_size=3),
    st.sampled_from(("udp", "tcp")),
    st.booleans(),
)
def test_a_call_is_recorded_once_or_refused_once(states: list[str], transport: str, large: bool) -> None:
    network = Network(*states, transport=transport, large_over_tcp=large)
    network.call()
    network.run(120.0)
    usable = ("up",) if transport == "tcp" else ("up", "udp")
    possible = [number for number, state in enumerate(states, 1) if state in usable]
    assert network.established() == possible[:1]
    assert len(network.client.of(RecordingRefused)) == (not possible)
    network.stop()
    network.run(1_000.0)
    assert len(network.client.of(RecordingEnded)) == 1
    assert network.machine.next_timeout() is None


# a list of servers


def numbers_of(network: Network, kind: type[ServerFailed] | type[RecordingAttempted]) -> list[int]:
    """Give the numbers of the servers that events are about."""
    hosts = [f"sip:{node.address};transport={network.service}" for node in network.servers]
    return [hosts.index(each.uri) + 1 for each in network.client.of(kind)]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("states", "failed"),
    [
        (("up", "up"), []),
        (("full", "up"), [(1, 503, 10)]),
        (("dead", "full", "up"), [(1, 408, None), (2, 503, 10)]),
        (("slow", "up"), [(1, 408, None)]),
        (("slow", "dead", "up"), [(1, 408, None), (2, 408, None)]),
    ],
)
def test_the_next_of_a_list_takes_what_the_others_do_not(
    states: tuple[str, ...], failed: list[tuple[int, int, int | None]], transport: str
) -> None:
    network = Network(*states, transport=transport)
    network.call_all()
    network.run(40.0)
    refused = 503 if transport == "tcp" else 408  # a connection that is refused says so at once
    told = [(1, refused, None) if states[0] == "dead" and each[0] == 1 else each for each in failed]
    told = [(each[0], refused, None) if states[each[0] - 1] == "dead" else each for each in told]
    events = network.client.of(ServerFailed)
    numbers = numbers_of(network, ServerFailed)
    assert [(number, each.status, each.retry_seconds) for number, each in zip(numbers, events, strict=True)] == told
    assert network.established() == [len(failed) + 1]
    assert numbers_of(network, RecordingAttempted) == list(range(1, len(failed) + 2))
    assert len(network.client.of(RecordingAnswered)) == 1
    calls = {field(data, "Call-ID") for _, data in network.left()}
    assert len(calls) == len(network.left()), "each server gets a call of its own"
    network.stop()
    network.run(1.0)
    assert [event.reason for event in network.client.of(RecordingEnded)] == ["local-bye"]
    network.run(1_000.0)
    assert network.machine.next_timeout() is None


def test_who_answers_too_late_is_let_go() -> None:
    network = Network("slow", "up")
    network.call_all()
    network.run(30.0)
    assert network.established() == [2]
    (cancel,) = network.client.messages(b"CANCEL ")
    assert cancel.startswith(b"CANCEL sip:192.0.2.81:5060;transport=udp SIP/2.0")
    slow = network.servers[0].machine
    assert isinstance(slow, RecordingServer)
    assert not slow.session_ids()
    # A 200 that crosses the CANCEL is acknowledged and ended.
    network = Network("slow", "up")
    network.call_all()
    while not network.client.of(ServerFailed):
        network.run(LATENCY / 4)
    slow = network.servers[0].machine
    assert isinstance(slow, RecordingServer)
    (session,) = slow.session_ids()
    slow.accept(session, now=network.now)
    network.settle()
    network.run(10.0)
    assert network.established() == [1, 2]
    assert [event.reason for event in network.servers[0].of(SessionEnded)] == ["bye"]
    assert len(network.client.of(RecordingAnswered)) == 1
    network.stop()
    network.run(1.0)
    assert len(network.servers[1].of(SessionEnded)) == 1


def test_who_said_503_is_left_alone_by_the_calls_that_share_a_memory() -> None:
    memory = ServerMemory()
    network = Network("full", "up", memory=memory)
    network.call_all()
    network.run(1.0)
    assert network.attempts() == [("udp", 1), ("udp", 2)]
    again = Network("full", "up", memory=memory)
    again.run(9.0)
    again.call_all()
    again.run(1.0)
    assert again.attempts() == [("udp", 2)]
    later = Network("full", "up", memory=memory)
    later.run(11.0)
    later.call_all()
    later.run(1.0)
    assert later.attempts() == [("udp", 1), ("udp", 2)]


def test_when_all_want_to_be_left_alone_nobody_is_called() -> None:
    memory = ServerMemory()
    network = Network("full", memory=memory)
    network.call_all()
    network.run(1.0)
    (refused,) = network.client.of(RecordingRefused)
    assert (refused.status, refused.local, refused.retry_seconds) == (503, False, 10)
    again = Network("full", memory=memory)
    again.run(2.0)
    again.call_all()
    (refused,) = again.client.of(RecordingRefused)
    assert (refused.status, refused.local) == (503, True)
    assert again.client.of(RecordingEnded) == [RecordingEnded(reason="refused")]
    assert again.client.sent == []


def test_a_final_status_asks_nobody_else() -> None:
    network = Network("full", "up")
    network.call_all(final_statuses=frozenset((503,)))
    network.run(40.0)
    assert network.established() == []
    assert [each.status for each in network.client.of(RecordingRefused)] == [503]


def test_an_answer_without_sdp_sends_the_call_on() -> None:
    network = Network("slow", "up")
    network.call_all()
    network.run(0.1)
    (_, invite), *_ = network.left()
    flow = Flow(Transport.UDP, CLIENT, network.servers[0].address)
    to = field(invite, "To")
    answer = [
        "SIP/2.0 200 OK",
        *(f"{name}: {field(invite, name)}" for name in ("Via", "From", "Call-ID", "CSeq")),
        f"To: {to};tag=dumb",
        f"Contact: <sip:{network.servers[0].address}>",
        "Content-Length: 0",
        "",
        "",
    ]
    network.machine.receive_datagram("\r\n".join(answer).encode(), flow=flow, now=network.now)
    network.settle()
    network.run(1.0)
    assert [each.status for each in network.client.of(ServerFailed)] == [502]
    assert len(network.client.messages(b"BYE ")) == 1
    assert network.established() == [2]


def test_what_is_no_uri_in_a_list_is_misuse() -> None:
    network = Network("up")
    spec = CallSpec(uri="sip:192.0.2.81", alternatives=("nowhere",), local=CLIENT, streams=STREAMS)
    with pytest.raises(LocalProtocolError, match="'nowhere' cannot be located"):
        network.machine.start(spec, now=0.0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(("up", "dead", "full", "slow")), min_size=1, max_size=3), st.sampled_from(("udp", "tcp"))
)
def test_a_list_records_once_or_refuses_once(states: list[str], transport: str) -> None:
    network = Network(*states, transport=transport)
    network.call_all()
    network.run(100.0)  # two slow ones have 20 s each, and timer B ends after 32 s
    possible = [number for number, state in enumerate(states, 1) if state == "up"]
    assert network.established() == possible[:1]
    waits = not possible and states[-1] == "slow"
    assert len(network.client.of(RecordingRefused)) == (not possible and not waits)
    network.stop()
    network.run(1_000.0)
    assert len(network.client.of(RecordingEnded)) == 1
    assert network.machine.next_timeout() is None
