"""The transport layer: marking, routing of responses, connections and their limits."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.sip.commands import CloseFlow, OpenFlow, SendDatagram, SendStream
from siprec_core.sip.fields import Via
from siprec_core.sip.message import Request
from siprec_core.sip.transport import (
    Hop,
    Received,
    Refused,
    SendFailed,
    SentLate,
    TransportLayer,
    TransportOutput,
    mark_top_via,
)
from siprec_core.types import Address, Flow, FlowId, Transport
from tests.core.messages import field, read, request, status, tag

LOCAL = Address("192.0.2.1", 5060)
REMOTE = Address("192.0.2.2", 5070)
UDP = Flow(Transport.UDP, LOCAL, REMOTE)
HOP = Hop(Transport.TCP, REMOTE)


def stream(number: int = 1, remote: Address = REMOTE, transport: Transport = Transport.TCP) -> Flow:
    return Flow(transport, LOCAL, remote, FlowId(number))


def drain(layer: TransportLayer) -> list[TransportOutput]:
    outputs = []
    while (output := layer.poll_output()) is not None:
        outputs.append(output)
    return outputs


def kinds(layer: TransportLayer) -> list[str]:
    return [type(output).__name__ for output in drain(layer)]


@pytest.fixture
def layer() -> TransportLayer:
    return TransportLayer(limits=Limits())


def with_via(text: str, method: str = "OPTIONS") -> bytes:
    lines = request(method).split(b"\r\n")
    lines[1] = f"Via: {text}".encode()
    return b"\r\n".join(lines)


# marking (RFC 3261 18.2.1, RFC 3581 4)


@pytest.mark.requirement("3261-18.2.1-a", "3581-4-a")
@pytest.mark.parametrize(
    ("via", "remote", "marked"),
    [
        ("192.0.2.2:5070", REMOTE, "192.0.2.2:5070"),
        ("192.0.2.2:5070", Address("192.0.2.2", 9), "192.0.2.2:5070"),
        ("192.0.2.2:5070", Address("203.0.113.9", 5070), "192.0.2.2:5070;received=203.0.113.9"),
        ("client.example.com", REMOTE, "client.example.com;received=192.0.2.2"),
        ("192.0.2.2:5070;rport", REMOTE, "192.0.2.2:5070;rport=5070;received=192.0.2.2"),
        ("10.0.0.1;rport", Address("192.0.2.2", 33000), "10.0.0.1;rport=33000;received=192.0.2.2"),
        ("10.0.0.1;rport=1", Address("192.0.2.2", 33000), "10.0.0.1;rport=33000;received=192.0.2.2"),
        ("10.0.0.1;rport;received=10.9.9.9", REMOTE, "10.0.0.1;rport=5070;received=192.0.2.2"),
        ("10.0.0.1;received=10.9.9.9", REMOTE, "10.0.0.1;received=192.0.2.2"),
        ("[2001:db8::1]:5070", Address("2001:db8::1", 5070), "[2001:db8::1]:5070"),
        ("[2001:DB8:0:0::1]", Address("2001:db8::1", 5070), "[2001:DB8:0:0::1]"),
        ("[2001:db8::9]", Address("2001:db8::1", 5070), "[2001:db8::9];received=2001:db8::1"),
        ("[2001:db8::1];rport", Address("2001:db8::1", 7), "[2001:db8::1];rport=7;received=2001:db8::1"),
    ],
)
@pytest.mark.parametrize("transport", list(Transport))
def test_the_top_via_tells_where_the_request_came_from(
    via: str, remote: Address, marked: str, transport: Transport
) -> None:
    message = read(with_via(f"SIP/2.0/UDP {via};branch=z9hG4bK1"))
    mark_top_via(message, Flow(transport, LOCAL, remote))
    assert message.top_via == Via.parse(message.headers.values("Via")[0])
    written = Via.parse(str(message.top_via))
    expected = Via.parse(f"SIP/2.0/UDP {marked};branch=z9hG4bK1")
    assert (written.host, written.port) == (expected.host, expected.port)
    assert dict(written.parameters) == dict(expected.parameters)


@pytest.mark.requirement("3581-4-a")
def test_only_the_top_via_is_marked() -> None:
    message = read(request("OPTIONS", extra=["Via: SIP/2.0/UDP far.example.com;branch=z9hG4bK9;rport"]))
    mark_top_via(message, UDP)
    assert [via.has_rport for via in message.vias] == [True, True]
    assert [via.rport for via in message.vias] == [5070, None]
    assert message.vias[1].received is None


# responses (RFC 3261 18.2.2, RFC 3581 4)


@pytest.mark.requirement("3261-18.2.2-a", "3581-4-a")
@pytest.mark.parametrize(
    ("via", "remote", "target"),
    [
        ("192.0.2.2:5070;rport", Address("192.0.2.2", 33000), Address("192.0.2.2", 33000)),
        ("192.0.2.2:5070;rport=1", Address("192.0.2.2", 33000), Address("192.0.2.2", 33000)),
        ("192.0.2.2:5070", Address("192.0.2.2", 33000), Address("192.0.2.2", 5070)),
        ("192.0.2.2", Address("192.0.2.2", 33000), Address("192.0.2.2", 5060)),
        ("10.0.0.1:5070", Address("192.0.2.2", 33000), Address("192.0.2.2", 5070)),
        ("client.example.com", Address("192.0.2.2", 33000), Address("192.0.2.2", 5060)),
        ("192.0.2.2;maddr=203.0.113.9", Address("192.0.2.2", 33000), Address("192.0.2.2", 5060)),
        ("192.0.2.2;received=203.0.113.9", Address("192.0.2.2", 33000), Address("192.0.2.2", 5060)),
        ("[2001:db8::2]:5070", Address("2001:db8::2", 33000), Address("2001:db8::2", 5070)),
    ],
)
def test_a_datagram_is_answered_to_its_source_address_alone(
    layer: TransportLayer, via: str, remote: Address, target: Address
) -> None:
    flow = Flow(Transport.UDP, LOCAL, remote)
    layer.receive_datagram(with_via(f"SIP/2.0/UDP {via};branch=z9hG4bK1"), flow=flow, now=0.0)
    (received,) = drain(layer)
    assert isinstance(received, Received)
    assert isinstance(received.message, Request)
    layer.send_response(b"answer", via=received.message.top_via, flow=flow)
    # RFC 3581 4: from the address and port that the request came to.
    assert drain(layer) == [SendDatagram(flow=Flow(Transport.UDP, LOCAL, target), data=b"answer")]


@pytest.mark.requirement("3261-18.2.2-a")
def test_a_response_takes_the_connection_of_its_request(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    layer.send_response(b"answer", via=Via.parse("SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1"), flow=stream())
    assert drain(layer) == [SendStream(flow=stream(), data=b"answer")]


@pytest.mark.requirement("3261-18.2.2-a")
@pytest.mark.parametrize(
    ("via", "port"),
    [
        ("192.0.2.2:5099;branch=z9hG4bK1", 5099),
        ("192.0.2.2;branch=z9hG4bK1", 5060),
        ("client.example.com:5099;received=192.0.2.2;branch=z9hG4bK1", 5099),
        ("203.0.113.9:5099;branch=z9hG4bK1;received=203.0.113.9", 5099),
    ],
)
def test_when_the_connection_is_gone_the_source_is_called_at_the_sent_by_port(
    layer: TransportLayer, via: str, port: int
) -> None:
    layer.flow_opened(stream(), now=0.0)
    layer.flow_failed(stream(), "reset", now=0.0)
    layer.send_response(b"answer", via=Via.parse(f"SIP/2.0/TCP {via}"), flow=stream())
    (opened,) = drain(layer)
    assert isinstance(opened, OpenFlow)
    assert opened.remote == Address("192.0.2.2", port), "never where the peer says, always where it is"
    again = Flow(Transport.TCP, LOCAL, opened.remote, opened.id)
    layer.flow_opened(again, now=0.0)
    assert drain(layer) == [SendStream(flow=again, data=b"answer")]


@pytest.mark.requirement("3261-18.2.2-a")
def test_a_lost_tls_connection_is_opened_again_at_5061(layer: TransportLayer) -> None:
    flow = stream(transport=Transport.TLS)
    layer.send_response(b"answer", via=Via.parse("SIP/2.0/TLS 192.0.2.2;branch=z9hG4bK1"), flow=flow)
    (opened,) = drain(layer)
    assert isinstance(opened, OpenFlow)
    assert (opened.transport, opened.remote) == (Transport.TLS, Address("192.0.2.2", 5061))


# malformed


@pytest.mark.requirement("3261-21-c")
def test_a_malformed_request_is_answered_with_a_tag_and_its_fault(layer: TransportLayer) -> None:
    data = request("OPTIONS", cseq_method="INVITE")
    for _ in range(2):
        layer.receive_datagram(data, flow=UDP, now=0.0)
    first, answer, _, again = drain(layer)
    assert isinstance(first, Refused)
    assert isinstance(answer, SendDatagram)
    assert answer == again, "the same request gets the same answer"
    assert status(answer.data) == 400
    assert answer.data.split(b"\r\n")[0].startswith(b"SIP/2.0 400 Bad Request - CSeq")
    assert tag(answer.data)
    assert "received=192.0.2.2" in field(answer.data, "Via")


@pytest.mark.requirement("3261-18.3-a", "4475-3.3-a")
@pytest.mark.parametrize(
    "data",
    [
        request("ACK", cseq_method="INVITE"),
        b"SIP/2.0 200 OK\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"OPTIONS sip:a SIP/2.0\r\n\r\n",
        b"hello\r\n\r\n",
    ],
)
def test_what_cannot_or_must_not_be_answered_is_not(layer: TransportLayer, data: bytes) -> None:
    layer.receive_datagram(data, flow=UDP, now=0.0)
    assert kinds(layer) == ["Refused"]


@pytest.mark.requirement("5626-8-a")
@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b"    "])
def test_keep_alive_datagrams_are_no_errors(layer: TransportLayer, data: bytes) -> None:
    layer.receive_datagram(data, flow=UDP, now=0.0)
    assert kinds(layer) == []


@given(st.binary(max_size=400), st.integers(1, 400))
def test_any_octets_on_a_datagram_or_stream_never_raise(data: bytes, size: int) -> None:
    layer = TransportLayer(limits=Limits())
    layer.receive_datagram(data, flow=UDP, now=0.0)
    layer.flow_opened(stream(), now=0.0)
    for start in range(0, len(data), size):
        layer.receive_stream(stream(), data[start : start + size], now=0.0)
    layer.receive_stream(stream(), b"", now=0.0)
    closed = [output for output in drain(layer) if isinstance(output, CloseFlow)]
    assert len(closed) == 1
    assert layer.next_timeout() is None


# streams


@given(st.lists(st.integers(1, 600), min_size=1, max_size=30))
def test_any_cutting_gives_the_same_messages(sizes: list[int]) -> None:
    octets = b"".join(request("OPTIONS", call_id=str(number), transport="TCP") for number in range(4))
    layer = TransportLayer(limits=Limits())
    layer.flow_opened(stream(), now=0.0)
    position = 0
    for size in [*sizes, len(octets)]:
        if octets[position : position + size]:
            layer.receive_stream(stream(), octets[position : position + size], now=0.0)
        position += size
    received = [output for output in drain(layer) if isinstance(output, Received)]
    assert [output.message.call_id for output in received] == ["0", "1", "2", "3"]
    assert b"".join(piece for output in received for piece in output.raw) == octets


@pytest.mark.requirement("5626-4.4-a")
def test_ping_is_answered_with_pong_between_messages_alone(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    layer.receive_stream(stream(), b"\r\n\r\n", now=0.0)
    assert drain(layer) == [SendStream(flow=stream(), data=b"\r\n")]
    body = "\r\n\r\n\r\n\r\n"
    layer.receive_stream(stream(), request("OPTIONS", body=body, content_type="text/plain"), now=0.0)
    assert kinds(layer) == ["Received"]


@pytest.mark.requirement("3261-18.3-b")
def test_lost_framing_is_answered_and_closed(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    without_length = request("OPTIONS").replace(b"Content-Length: 0\r\n", b"")
    layer.receive_stream(stream(), without_length + request("OPTIONS"), now=0.0)
    refused, answer, closed = drain(layer)
    assert isinstance(refused, Refused)
    assert isinstance(answer, SendStream)
    assert status(answer.data) == 400
    assert closed == CloseFlow(flow=stream())
    layer.receive_stream(stream(), request("OPTIONS"), now=0.0)
    assert kinds(layer) == []


def test_answers_to_what_came_before_the_framing_was_lost_still_go_out(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    good = request("OPTIONS", transport="TCP")
    layer.receive_stream(stream(), good + b"\x16\x03\x01", now=0.0)
    received, refused = drain(layer)
    assert isinstance(received, Received)
    assert isinstance(refused, Refused)
    assert isinstance(received.message, Request)
    layer.send_response(b"answer", via=received.message.top_via, flow=stream())
    assert drain(layer) == [SendStream(flow=stream(), data=b"answer")]
    layer.receive_stream(stream(), good, now=0.5)
    assert kinds(layer) == [], "nothing is read of it any more"
    layer.send_request(b"ours", HOP, local=LOCAL, flow=stream(), token="t")
    (opened,) = drain(layer)
    assert isinstance(opened, OpenFlow), "an answer to it could not be read"
    layer.handle_timeout(now=0.9)
    assert kinds(layer) == []
    layer.handle_timeout(now=1.0)
    assert drain(layer) == [CloseFlow(flow=stream())]


def test_a_connection_whose_framing_is_lost_closes_with_its_peer(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    layer.receive_stream(stream(), request("OPTIONS", transport="TCP") + b"\x16\x03\x01", now=0.0)
    drain(layer)
    layer.receive_stream(stream(), b"", now=0.5)
    assert drain(layer) == [CloseFlow(flow=stream())]
    assert layer.next_timeout() is None


def test_a_malformed_message_with_a_length_keeps_the_connection(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    layer.receive_stream(stream(), request("OPTIONS", cseq_method="INVITE") + request("OPTIONS"), now=0.0)
    assert kinds(layer) == ["Refused", "SendStream", "Received"]


def test_a_body_that_is_refused_early_is_answered_once(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    body = "--b\r\n\r\n" * 100 + "x" * 100_000
    octets = request("INVITE", body=body, content_type="multipart/mixed;boundary=b", transport="TCP")
    layer.receive_stream(stream(), octets[:-90_000], now=0.0)
    assert kinds(layer) == ["Refused", "SendStream"]
    for start in range(len(octets) - 90_000, len(octets), 1_460):
        layer.receive_stream(stream(), octets[start : start + 1_460], now=0.0)
    assert kinds(layer) == []
    layer.receive_stream(stream(), request("OPTIONS"), now=0.0)
    assert kinds(layer) == ["Received"]


def test_the_end_within_a_message_closes_once(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    layer.receive_stream(stream(), request("OPTIONS")[:-2], now=0.0)
    layer.receive_stream(stream(), b"", now=0.0)
    layer.receive_stream(stream(), b"", now=0.0)
    assert kinds(layer).count("CloseFlow") == 1


def test_octets_and_failures_of_unknown_connections_are_ignored(layer: TransportLayer) -> None:
    layer.receive_stream(stream(9), request("OPTIONS"), now=0.0)
    layer.flow_failed(stream(9), "reset", now=0.0)
    layer.flow_failed(UDP, "refused", now=0.0)
    layer.flow_opened(UDP, now=0.0)
    layer.retain(stream(9))
    layer.release(stream(9))
    assert kinds(layer) == []
    assert layer.next_timeout() is None


# connections to open


def test_messages_wait_in_order_for_a_connection_that_opens_once(layer: TransportLayer) -> None:
    for number in range(3):
        layer.send_request(b"%d" % number, HOP, local=LOCAL, token=f"t{number}")
    (opened,) = drain(layer)
    assert isinstance(opened, OpenFlow)
    assert opened.id < 0, "connections that we open are numbered apart from those that drivers accept"
    flow = Flow(Transport.TCP, LOCAL, REMOTE, opened.id)
    layer.flow_opened(flow, now=0.0)
    layer.flow_opened(flow, now=0.0)
    assert drain(layer) == [SendStream(flow=flow, data=b"%d" % number) for number in range(3)]


def test_what_waited_for_a_connection_is_told_with_its_owner(layer: TransportLayer) -> None:
    layer.send_request(b"1", HOP, local=LOCAL, token="t1", owner=7)
    layer.send_response(b"2", via=Via.parse("SIP/2.0/TCP 192.0.2.2:5070;branch=z9hG4bK1"), flow=stream(), owner=8)
    layer.send_request(b"3", HOP, local=LOCAL, token="")
    (opened,) = drain(layer)
    assert isinstance(opened, OpenFlow)
    flow = Flow(Transport.TCP, LOCAL, REMOTE, opened.id)
    layer.flow_opened(flow, now=0.0)
    assert drain(layer) == [
        SendStream(flow=flow, data=b"1"),
        SentLate(owner=7, data=b"1", flow=flow),
        SendStream(flow=flow, data=b"2"),
        SentLate(owner=8, data=b"2", flow=flow),
        SendStream(flow=flow, data=b"3"),
    ]


def test_a_failed_opening_fails_every_token_and_can_be_tried_again(layer: TransportLayer) -> None:
    layer.send_request(b"1", HOP, local=LOCAL, token="t1")
    layer.send_request(b"2", HOP, local=LOCAL, token="")
    layer.send_request(b"3", HOP, local=LOCAL, token="t3")
    (opened,) = drain(layer)
    assert isinstance(opened, OpenFlow)
    layer.flow_failed(Flow(Transport.TCP, LOCAL, REMOTE, opened.id), "refused", now=0.0)
    assert drain(layer) == [SendFailed(token="t1", error="refused"), SendFailed(token="t3", error="refused")]
    layer.send_request(b"4", HOP, local=LOCAL, token="t4")
    (again,) = drain(layer)
    assert isinstance(again, OpenFlow)
    assert again.id != opened.id


@pytest.mark.requirement("5923-8-a")
def test_a_request_prefers_its_flow_then_any_connection_to_the_hop(layer: TransportLayer) -> None:
    far = stream(2, Address("203.0.113.9", 5060))
    layer.flow_opened(stream(1), now=0.0)
    layer.flow_opened(far, now=0.0)
    layer.send_request(b"1", HOP, local=LOCAL, flow=far, token="")
    layer.send_request(b"2", HOP, local=LOCAL, token="")
    layer.flow_failed(far, "reset", now=0.0)
    layer.send_request(b"3", HOP, local=LOCAL, flow=far, token="")
    assert drain(layer) == [
        SendStream(flow=far, data=b"1"),
        SendStream(flow=stream(1), data=b"2"),
        SendStream(flow=stream(1), data=b"3"),
    ]


def test_a_connection_that_ends_fails_what_waits_for_an_answer_and_nothing_else(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    for token in ("t1", "t2", ""):
        layer.send_request(b"x", HOP, local=LOCAL, token=token)
    layer.finished("t1")
    layer.finished("never seen")
    drain(layer)
    layer.flow_failed(stream(), "reset", now=0.0)
    assert drain(layer) == [SendFailed(token="t2", error="reset")]


def test_too_many_connections_and_too_much_waiting_fail_at_once() -> None:
    layer = TransportLayer(limits=Limits(connections=2, body_size=1))
    layer.flow_opened(stream(1), now=0.0)
    layer.send_request(b"x" * 200_000, Hop(Transport.TCP, Address("203.0.113.1", 5060)), local=LOCAL, token="a")
    layer.send_request(b"x" * 200_000, Hop(Transport.TCP, Address("203.0.113.1", 5060)), local=LOCAL, token="b")
    layer.send_request(b"x", Hop(Transport.TCP, Address("203.0.113.2", 5060)), local=LOCAL, token="c")
    outputs = drain(layer)
    assert isinstance(outputs[0], OpenFlow)
    assert [output.token for output in outputs[1:] if isinstance(output, SendFailed)] == ["b", "c"]


@pytest.mark.requirement("3581-3-a")
def test_datagrams_leave_from_the_local_address(layer: TransportLayer) -> None:
    layer.send_request(b"x", Hop(Transport.UDP, REMOTE), local=LOCAL, token="t")
    assert drain(layer) == [SendDatagram(flow=UDP, data=b"x")]
    assert layer.is_open(UDP)
    assert not layer.is_open(stream())


def test_close_all_closes_everything(layer: TransportLayer) -> None:
    layer.flow_opened(stream(1), now=0.0)
    layer.flow_opened(stream(2, Address("203.0.113.9", 5060)), now=0.0)
    layer.close_all()
    assert kinds(layer) == ["CloseFlow", "CloseFlow"]
    assert layer.next_timeout() is None


# time


def run(layer: TransportLayer, until: float) -> float | None:
    """Fire deadlines until something is closed; tell when."""
    while (due := layer.next_timeout()) is not None and due <= until:
        layer.handle_timeout(now=due)
        if "CloseFlow" in kinds(layer):
            return due
    return None


@pytest.mark.requirement("3261-18-b")
def test_an_idle_connection_is_closed_after_its_last_octet(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    layer.receive_stream(stream(), b"\r\n\r\n", now=500.0)
    drain(layer)
    assert run(layer, 2000.0) == 1100.0


@pytest.mark.requirement("3261-18-b")
def test_a_connection_that_a_dialog_uses_may_idle(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    layer.retain(stream())
    layer.retain(stream())
    layer.release(stream())
    assert run(layer, 5000.0) is None
    layer.release(stream())
    assert run(layer, 9000.0) == 5400.0


def test_a_message_that_crawls_is_given_5_seconds() -> None:
    """At least 32 octets a second on the average, from 5 s after the first octet on."""
    layer = TransportLayer(limits=Limits())
    layer.flow_opened(stream(), now=0.0)
    octets = request("OPTIONS")
    for second in range(5):
        layer.receive_stream(stream(), octets[second : second + 1], now=10.0 + second)
    assert run(layer, 100.0) == 15.0


def test_a_message_that_is_slow_but_does_not_crawl_is_awaited() -> None:
    layer = TransportLayer(limits=Limits())
    layer.flow_opened(stream(), now=0.0)
    octets = request("OPTIONS") + b" " * 10
    pieces = [octets[start : start + 40] for start in range(0, len(octets), 40)]
    for second, piece in enumerate(pieces):
        layer.handle_timeout(now=10.0 + second)
        layer.receive_stream(stream(), piece, now=10.0 + second)
    assert "Received" in kinds(layer)


def test_a_refused_body_that_is_read_past_does_not_crawl() -> None:
    layer = TransportLayer(limits=Limits(body_size=1, drained_size=10_000))
    layer.flow_opened(stream(), now=0.0)
    head = request("OPTIONS").replace(b"Content-Length: 0", b"Content-Length: 4000")
    assert b"4000" in head
    layer.receive_stream(stream(), head, now=10.0)
    assert kinds(layer) == ["Refused", "SendStream"]
    for second in range(20):
        layer.receive_stream(stream(), b"x" * 200, now=11.0 + second)
        layer.handle_timeout(now=11.0 + second)
    assert kinds(layer) == []
    layer.receive_stream(stream(), request("OPTIONS"), now=32.0)
    assert kinds(layer) == ["Received"]


def test_connections_of_one_source_are_limited_and_those_over_it_leave_nothing() -> None:
    layer = TransportLayer(limits=Limits(connections_per_source=2))
    flows = [stream(number) for number in range(1, 5)]
    for flow in flows:
        layer.flow_opened(flow, now=0.0)
    assert [layer.is_open(flow) for flow in flows] == [True, True, False, False]
    assert kinds(layer) == ["CloseFlow", "CloseFlow"]
    layer.flow_failed(flows[0], "reset", now=0.0)
    layer.flow_opened(flows[3], now=0.0)
    assert layer.is_open(flows[3])
    for flow in flows:
        layer.flow_failed(flow, "reset", now=0.0)
    assert not layer._accepted


def test_a_message_that_does_not_end_is_given_30_seconds_from_its_first_octet() -> None:
    layer = TransportLayer(limits=Limits(slow_message_rate=0))
    layer.flow_opened(stream(), now=0.0)
    octets = request("OPTIONS")
    for second in range(29):
        layer.receive_stream(stream(), octets[second : second + 1], now=10.0 + second)
    assert run(layer, 100.0) == 40.0


def test_a_busy_connection_whose_pieces_always_end_within_a_message_lives() -> None:
    layer = TransportLayer(limits=Limits(slow_message_rate=0))
    layer.flow_opened(stream(), now=0.0)
    rest = b""
    for number in range(100):
        octets = rest + request("OPTIONS", call_id=str(number))
        layer.receive_stream(stream(), octets[:-5], now=float(number))
        rest = octets[-5:]
        layer.handle_timeout(now=float(number))
    assert kinds(layer) == ["Received"] * 99
    assert run(layer, 1000.0) == 129.0, "the last message began at 99 s"


def test_a_message_that_ends_in_time_is_forgotten_by_the_clock(layer: TransportLayer) -> None:
    layer.flow_opened(stream(), now=0.0)
    octets = request("OPTIONS")
    layer.receive_stream(stream(), octets[:20], now=0.0)
    layer.receive_stream(stream(), octets[20:], now=29.0)
    drain(layer)
    assert run(layer, 600.0) is None


@pytest.mark.parametrize(
    "close", [lambda layer: layer.receive_stream(stream(), b"", now=1.0), TransportLayer.close_all]
)
def test_closed_connections_leave_nothing(layer: TransportLayer, close: Callable[[TransportLayer], None]) -> None:
    layer.flow_opened(stream(), now=0.0)
    layer.send_request(b"x", HOP, local=LOCAL, token="t")
    layer.receive_stream(stream(), b"OPTIONS", now=0.0)
    close(layer)
    assert layer.next_timeout() is None
    assert not layer.is_open(stream())
    drain(layer)
    layer.send_request(b"x", HOP, local=LOCAL, token="t")
    assert kinds(layer) == ["OpenFlow"]
