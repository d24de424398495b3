"""The transaction layer: what it absorbs, what it repeats, what reaches its user."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.entropy import Ids
from siprec_core.limits import Limits
from siprec_core.machine import Outbox
from siprec_core.sip.commands import CloseFlow, OpenFlow, SendDatagram, SendStream
from siprec_core.sip.reply import respond
from siprec_core.sip.transaction_layer import (
    AckArrived,
    LayerOutput,
    MessageRefused,
    OutgoingRequest,
    Overloaded,
    RequestArrived,
    ResponseArrived,
    Traced,
    TransactionEnded,
    TransactionLayer,
    Unreadable,
)
from siprec_core.sip.transport import Hop, Received, TransportLayer
from siprec_core.types import Address, Flow, FlowId, Transport
from tests.core.harness import entropy
from tests.core.messages import read, request, response_to, status

LOCAL = Address("192.0.2.1", 5060)
REMOTE = Address("192.0.2.2", 5070)
UDP = Flow(Transport.UDP, LOCAL, REMOTE)
TCP = Flow(Transport.TCP, LOCAL, REMOTE, FlowId(1))


class Stack:
    """A layer over its transport, with time in hand."""

    def __init__(self, *, most: int = 100) -> None:
        self.transport = TransportLayer(limits=Limits())
        self.outbox: Outbox[LayerOutput] = Outbox()
        self.layer = TransactionLayer(self.transport, self.outbox, ids=Ids(entropy(1)), most=most)
        self.now = 0.0

    def drain(self) -> list[LayerOutput]:
        outputs = []
        while True:
            while (output := self.outbox.poll()) is not None:
                outputs.append(output)
            if not self.layer.step(now=self.now):
                return outputs

    def receive(self, data: bytes, flow: Flow = UDP) -> list[LayerOutput]:
        if flow.id is None:
            self.transport.receive_datagram(data, flow=flow, now=self.now)
        else:
            self.transport.receive_stream(flow, data, now=self.now)
        return self.drain()

    def arrive(self, data: bytes) -> RequestArrived:
        (arrived,) = self.receive(data)
        assert isinstance(arrived, RequestArrived)
        return arrived

    def answer(self, arrived: RequestArrived, code: int) -> list[LayerOutput]:
        response = respond(arrived.incoming.request, code, to_tag=arrived.incoming.local_tag)
        self.layer.respond(arrived.incoming, response, now=self.now)
        return self.drain()

    def pass_time(self, seconds: float) -> list[LayerOutput]:
        until, outputs = self.now + seconds, []
        while (due := self.layer.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.layer.handle_timeout(now=self.now)
            outputs += self.drain()
        self.now = until
        return outputs

    def start(
        self, method: str = "OPTIONS", *, transport: Transport = Transport.UDP, owner: int | None = None
    ) -> OutgoingRequest:
        message = read(request(method))
        hop = Hop(transport, REMOTE)
        return self.layer.start(message, hop, local=LOCAL, flow=None, owner=owner, now=self.now)


@pytest.fixture
def stack() -> Stack:
    return Stack()


def sent(outputs: list[LayerOutput]) -> list[bytes]:
    return [output.data for output in outputs if isinstance(output, (SendDatagram, SendStream))]


def first_lines(outputs: list[LayerOutput]) -> list[bytes]:
    return [data.split(b" SIP/2.0")[0].split(b"\r\n")[0] for data in sent(outputs)]


# requests that come


def test_a_request_that_comes_again_reaches_the_user_once(stack: Stack) -> None:
    stack.arrive(request("OPTIONS"))
    assert stack.receive(request("OPTIONS")) == []


@pytest.mark.requirement("3261-17.2.2-a")
def test_an_answer_is_repeated_to_a_request_that_comes_again(stack: Stack) -> None:
    arrived = stack.arrive(request("OPTIONS"))
    answer = stack.answer(arrived, 200)
    assert [status(data) for data in sent(answer)] == [200]
    assert stack.receive(request("OPTIONS")) == answer
    assert stack.answer(arrived, 486) == [], "a second final answer is not sent"


def test_a_finished_transaction_is_told_and_forgotten(stack: Stack) -> None:
    arrived = stack.arrive(request("OPTIONS"))
    stack.answer(arrived, 200)
    assert stack.pass_time(31.9) == []
    assert stack.pass_time(0.2) == [TransactionEnded(incoming=arrived.incoming)]
    assert isinstance(stack.receive(request("OPTIONS"))[0], RequestArrived)


def test_a_user_that_is_slow_is_covered_by_a_100(stack: Stack) -> None:
    stack.arrive(request("INVITE"))
    assert first_lines(stack.pass_time(0.25)) == [b"SIP/2.0 100 Trying"]
    stack.arrive(request("OPTIONS"))
    assert first_lines(stack.pass_time(3.4)) == []
    assert first_lines(stack.pass_time(0.2)) == [b"SIP/2.0 100 Trying"]


@pytest.mark.requirement("3261-17.2.1-a")
def test_the_ack_to_a_failure_is_absorbed(stack: Stack) -> None:
    arrived = stack.arrive(request("INVITE", branch="z9hG4bK1"))
    arrived.incoming.owner = 7
    stack.answer(arrived, 486)
    ack = request("ACK", branch="z9hG4bK1", to_tag=arrived.incoming.local_tag)
    assert stack.receive(ack) == [Traced(owner=7, data=ack, flow=UDP, sent=False)]
    assert stack.receive(ack) == [Traced(owner=7, data=ack, flow=UDP, sent=False)]
    assert stack.pass_time(60.0) == [TransactionEnded(incoming=arrived.incoming)]


@pytest.mark.requirement("6026-7-a")
def test_the_ack_to_a_success_reaches_the_user_whatever_its_branch(stack: Stack) -> None:
    arrived = stack.arrive(request("INVITE", branch="z9hG4bK1"))
    stack.answer(arrived, 200)
    for branch, incoming in (("z9hG4bK1", arrived.incoming), ("z9hG4bK2", None)):
        (ack,) = stack.receive(request("ACK", branch=branch, to_tag=arrived.incoming.local_tag))
        assert isinstance(ack, AckArrived)
        assert ack.incoming is incoming


@pytest.mark.requirement("3261-9.2-a")
def test_a_cancel_finds_the_invite_it_means(stack: Stack) -> None:
    arrived = stack.arrive(request("INVITE", branch="z9hG4bK1"))
    cancel = stack.arrive(request("CANCEL", branch="z9hG4bK1"))
    assert stack.layer.find(cancel.incoming.request, method="INVITE") is arrived.incoming
    other = stack.arrive(request("CANCEL", branch="z9hG4bK2"))
    assert stack.layer.find(other.incoming.request, method="INVITE") is None


def test_beyond_the_limit_a_request_has_no_transaction() -> None:
    stack = Stack(most=1)
    stack.arrive(request("OPTIONS", call_id="1"))
    (over,) = stack.receive(request("OPTIONS", call_id="2"))
    assert isinstance(over, Overloaded)
    stack.layer.answer_stateless(over.request, respond(over.request, 503, to_tag="x"), over.flow, now=0.0)
    assert [status(data) for data in sent(stack.drain())] == [503]
    assert stack.receive(request("OPTIONS", call_id="1")) == [], "the transaction that is there goes on"


def test_a_request_without_a_key_is_unreadable(stack: Stack) -> None:
    message = read(request("OPTIONS", branch="of-rfc-2543"))
    message.headers.remove("Call-ID")
    stack.layer._receive(Received(message=message, flow=UDP, raw=()), 0.0)
    (unreadable,) = stack.drain()
    assert isinstance(unreadable, Unreadable)
    assert unreadable.error.field == "Call-ID"


def test_octets_that_are_no_message_are_told(stack: Stack) -> None:
    (refused,) = stack.receive(b"hello\r\n\r\n")
    assert isinstance(refused, MessageRefused)


def test_messages_of_one_piece_are_handed_over_one_at_a_time(stack: Stack) -> None:
    stack.transport.flow_opened(TCP, now=0.0)
    both = request("OPTIONS", call_id="1", transport="TCP") + request("OPTIONS", call_id="2", transport="TCP")
    stack.transport.receive_stream(TCP, both, now=0.0)
    for call_id in ("1", "2"):
        assert stack.layer.step(now=0.0)
        arrived = stack.outbox.poll()
        assert isinstance(arrived, RequestArrived)
        assert arrived.incoming.request.call_id == call_id
        assert stack.outbox.poll() is None
    assert not stack.layer.step(now=0.0)


def test_an_answer_over_a_stream_ends_its_transaction_at_once(stack: Stack) -> None:
    stack.transport.flow_opened(TCP, now=0.0)
    (arrived,) = stack.receive(request("OPTIONS", transport="TCP"), TCP)
    assert isinstance(arrived, RequestArrived)
    stack.answer(arrived, 200)
    assert stack.layer.next_timeout() == 0.0
    assert stack.pass_time(0.0) == [TransactionEnded(incoming=arrived.incoming)]


# requests that we send


def test_a_request_is_repeated_until_its_response_and_that_is_passed_once(stack: Stack) -> None:
    outgoing = stack.start()
    (data,) = sent(stack.drain())
    assert sent(stack.pass_time(1.6)) == [data, data]
    (arrived,) = stack.receive(response_to(data, 200))
    assert isinstance(arrived, ResponseArrived)
    assert (arrived.outgoing, arrived.status, arrived.flow) == (outgoing, 200, UDP)
    assert stack.receive(response_to(data, 200)) == []
    assert stack.pass_time(100.0) == []
    assert stack.layer.next_timeout() is None


@pytest.mark.requirement("3261-8.1.3-a")
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_silence_becomes_408(stack: Stack, method: str) -> None:
    stack.start(method)
    outputs = stack.pass_time(40.0)
    arrived = [output for output in outputs if isinstance(output, ResponseArrived)]
    assert [(one.status, one.response, one.flow) for one in arrived] == [(408, None, None)]
    assert stack.layer.next_timeout() is None


@pytest.mark.requirement("3261-8.1.3-a")
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_connection_that_cannot_be_opened_becomes_503(stack: Stack, method: str) -> None:
    stack.start(method, transport=Transport.TCP)
    (opened,) = stack.drain()
    assert isinstance(opened, OpenFlow)
    stack.transport.flow_failed(Flow(Transport.TCP, LOCAL, REMOTE, opened.id), "refused", now=0.0)
    (arrived,) = stack.drain()
    assert isinstance(arrived, ResponseArrived)
    assert (arrived.status, arrived.response) == (503, None)
    assert stack.layer.next_timeout() is None


@pytest.mark.requirement("3261-18.1.1-b")
def test_a_response_comes_along_the_connection_of_its_request_or_one_to_our_sent_by(stack: Stack) -> None:
    other = Flow(Transport.TCP, LOCAL, Address("192.0.2.2", 33_000), FlowId(2))
    stack.transport.flow_opened(TCP, now=0.0)
    stack.transport.flow_opened(other, now=0.0)
    for flow in (TCP, other):
        stack.start(transport=Transport.TCP)
        (data,) = sent(stack.drain())
        (arrived,) = stack.receive(response_to(data, 200), flow)
        assert isinstance(arrived, ResponseArrived)
        assert (arrived.status, arrived.flow) == (200, flow)
        stack.pass_time(0.0)


def test_a_connection_that_breaks_before_the_answer_becomes_503(stack: Stack) -> None:
    stack.transport.flow_opened(TCP, now=0.0)
    stack.start(transport=Transport.TCP)
    assert [type(output).__name__ for output in stack.drain()] == ["SendStream"]
    stack.transport.receive_stream(TCP, b"", now=0.0)
    closed, arrived = stack.drain()
    assert isinstance(closed, CloseFlow)
    assert isinstance(arrived, ResponseArrived)
    assert arrived.status == 503


def test_a_connection_that_breaks_after_the_answer_changes_nothing(stack: Stack) -> None:
    stack.transport.flow_opened(TCP, now=0.0)
    stack.start(transport=Transport.TCP)
    (data,) = sent(stack.drain())
    stack.receive(response_to(data, 200), TCP)
    stack.pass_time(0.0)
    stack.transport.flow_failed(TCP, "reset", now=0.0)
    assert stack.drain() == []


@pytest.mark.requirement("3261-8.1.3-b", "3261-17.1.3-a", "6026-7-a")
@pytest.mark.parametrize(
    "change",
    [
        (b"z9hG4bK-OPTIONS", b"z9hG4bK-other"),
        (b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE"),
        (b"From:", b"Via: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bK9\r\nFrom:"),
        (b"From:", b"Via: broken\r\nFrom:"),
    ],
    ids=["branch", "method", "second via", "broken second via"],
)
def test_responses_that_are_not_ours_are_dropped(stack: Stack, change: tuple[bytes, bytes]) -> None:
    stack.start()
    (data,) = sent(stack.drain())
    response = response_to(data, 200)
    assert change[0] in response
    assert not [one for one in stack.receive(response.replace(*change)) if isinstance(one, ResponseArrived)]
    assert isinstance(stack.receive(response)[0], ResponseArrived), "the right one is still waited for"


@pytest.mark.requirement("3261-17.1.1-a")
def test_an_error_response_to_an_invite_is_acknowledged_each_time(stack: Stack) -> None:
    stack.start("INVITE")
    (data,) = sent(stack.drain())
    first = stack.receive(response_to(data, 486))
    assert first_lines(first) == [b"ACK sip:recorder@192.0.2.1:5060"]
    assert [type(output).__name__ for output in first] == ["SendDatagram", "ResponseArrived"]
    assert stack.receive(response_to(data, 486)) == first[:1]


def test_after_a_cancel_an_invite_without_final_response_becomes_408(stack: Stack) -> None:
    outgoing = stack.start("INVITE")
    (data,) = sent(stack.drain())
    stack.receive(response_to(data, 180))
    assert stack.layer.next_timeout() is None
    stack.layer.cancelled(outgoing, now=1.0)
    arrived = [one for one in stack.pass_time(33.1) if isinstance(one, ResponseArrived)]
    assert [one.status for one in arrived] == [408]
    assert stack.layer.next_timeout() is None


def test_an_ack_to_a_success_has_no_transaction(stack: Stack) -> None:
    stack.layer.send_ack(read(request("ACK")), Hop(Transport.UDP, REMOTE), local=LOCAL, flow=None, owner=3, now=0.0)
    traced, command = stack.drain()
    assert isinstance(traced, Traced)
    assert (traced.owner, traced.sent) == (3, True)
    assert isinstance(command, SendDatagram)
    assert stack.layer.next_timeout() is None


# traces


def test_all_messages_of_an_owner_are_traced_in_order(stack: Stack) -> None:
    arrived = stack.arrive(request("OPTIONS"))
    arrived.incoming.owner = 7
    traced, command = stack.answer(arrived, 200)
    assert isinstance(command, SendDatagram)
    assert traced == Traced(owner=7, data=command.data, flow=UDP, sent=True)
    again, repeated, _ = stack.receive(request("OPTIONS"))
    assert again == Traced(owner=7, data=request("OPTIONS"), flow=UDP, sent=False)
    assert repeated == traced


def test_responses_of_an_owner_are_traced_as_they_came(stack: Stack) -> None:
    stack.start(owner=5)
    (data,) = sent(stack.drain())
    response = response_to(data, 200)
    traced, arrived = stack.receive(response)
    assert traced == Traced(owner=5, data=response, flow=UDP, sent=False)
    assert isinstance(arrived, ResponseArrived)


@given(st.lists(st.sampled_from(["INVITE", "OPTIONS", "ACK", "CANCEL", "BYE"]), max_size=30), st.randoms())
def test_nothing_is_left_once_all_is_answered_and_time_has_passed(methods: list[str], random: object) -> None:
    stack = Stack()
    for number, method in enumerate(methods):
        branch = f"z9hG4bK{random.randrange(3)}"  # type: ignore[attr-defined]
        for output in stack.receive(request(method, branch=branch, cseq=number + 1)):
            if isinstance(output, RequestArrived):
                stack.answer(output, random.choice([200, 486]))  # type: ignore[attr-defined]
    stack.pass_time(200.0)
    assert stack.layer.next_timeout() is None
    assert not stack.layer._incoming
    assert not stack.layer._outgoing
