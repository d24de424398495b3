"""How an endpoint shows itself, and where its requests go."""

import pytest

from siprec_core.sip.dialog import Dialog
from siprec_core.sip.headers import Headers
from siprec_core.sip.identity import (
    EndpointConfig,
    add_capabilities,
    answer,
    asks_for_sips,
    bracketed,
    contact,
    failure,
    leads_to_sips,
    next_hop,
    progress,
    sent_by,
    success,
    via,
)
from siprec_core.sip.reply import respond
from siprec_core.sip.transaction import InviteServerTransaction
from siprec_core.sip.transaction_layer import IncomingRequest
from siprec_core.sip.transport import Hop, Received
from siprec_core.sip.uas import Refusal
from siprec_core.types import Address, Flow, FlowId, Listening, Transport
from tests.core.messages import read, request

CONFIG = EndpointConfig(product="siprec", feature_tag="+sip.srs", understood=frozenset())
UDP = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("192.0.2.2", 5070))
TCP = Flow(Transport.TCP, Address("192.0.2.1", 5060), Address("192.0.2.2", 40000), FlowId(1))
TLS = Flow(Transport.TLS, Address("2001:db8::1", 5061), Address("2001:db8::2", 40000), FlowId(1))


def incoming(data: bytes, flow: Flow = UDP) -> IncomingRequest:
    message = read(data)
    machine = InviteServerTransaction(message, respond(message, 100), reliable=False, now=0.0)
    return IncomingRequest(("key",), machine, Received(message=message, flow=flow, raw=(data,)), "mine")


@pytest.mark.parametrize(
    ("flow", "secure", "advertise", "expected"),
    [
        (UDP, False, None, "<sip:192.0.2.1:5060>;+sip.srs"),
        (TCP, False, None, "<sip:192.0.2.1:5060;transport=tcp>;+sip.srs"),
        (TLS, False, None, "<sip:[2001:db8::1]:5061;transport=tls>;+sip.srs"),
        (TLS, True, None, "<sips:[2001:db8::1]:5061>;+sip.srs"),
        (UDP, False, "203.0.113.7", "<sip:203.0.113.7:5060>;+sip.srs"),
        (UDP, False, "2001:db8::7", "<sip:[2001:db8::7]:5060>;+sip.srs"),
    ],
)
def test_the_contact_has_the_feature_tag_outside_the_brackets(
    flow: Flow, secure: bool, advertise: str | None, expected: str
) -> None:
    config = EndpointConfig(product="p", feature_tag="+sip.srs", understood=frozenset(), advertise=advertise)
    assert contact(config, flow, secure=secure) == expected


@pytest.mark.requirement("3581-3-a")
def test_our_via_asks_for_rport() -> None:
    text = via(CONFIG, Transport.TCP, Address("2001:db8::1", 5060), "z9hG4bK1")
    assert text == "SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bK1;rport"


HEARD = (
    Listening(Transport.UDP, Address("192.0.2.1", 5070)),
    Listening(Transport.TCP, Address("192.0.2.1", 5072)),
    Listening(Transport.UDP, Address("2001:db8::1", 5074)),
)


@pytest.mark.parametrize(
    ("transport", "host", "expected"),
    [
        (Transport.UDP, "192.0.2.9", Address("192.0.2.1", 5070)),
        (Transport.TCP, "192.0.2.9", Address("192.0.2.1", 5072)),
        (Transport.TLS, "192.0.2.9", Address("192.0.2.1", 5061)),
        (Transport.UDP, "2001:db8::9", Address("2001:db8::1", 5074)),
        (Transport.TCP, "2001:db8::9", Address("2001:db8::1", 5060)),
    ],
)
def test_we_are_named_by_where_we_listen(transport: Transport, host: str, expected: Address) -> None:
    assert sent_by(HEARD, Hop(transport, Address(host, 5060)), Address("192.0.2.77", 1)) == expected


def test_without_a_listener_that_fits_the_known_address_counts() -> None:
    known = Address("192.0.2.77", 5071)
    assert sent_by((), Hop(Transport.TCP, Address("192.0.2.9", 5060)), known) == known
    assert sent_by(HEARD[2:], Hop(Transport.TCP, Address("192.0.2.9", 5060)), known) == known


def test_only_ipv6_is_bracketed() -> None:
    assert [bracketed(host) for host in ("192.0.2.1", "::1", "a.example.com")] == [
        "192.0.2.1",
        "[::1]",
        "a.example.com",
    ]


@pytest.mark.requirement("3261-26-a")
@pytest.mark.parametrize(
    ("target", "flow", "expected"),
    [
        ("<sip:a@192.0.2.9:5080>", UDP, Hop(Transport.UDP, Address("192.0.2.9", 5080), "192.0.2.9")),
        ("<sip:a@192.0.2.9>", UDP, Hop(Transport.UDP, Address("192.0.2.9", 5060), "192.0.2.9")),
        ("<sip:a@192.0.2.9>", TCP, Hop(Transport.TCP, Address("192.0.2.9", 5060), "192.0.2.9")),
        ("<sip:a@192.0.2.9;transport=TCP>", UDP, Hop(Transport.TCP, Address("192.0.2.9", 5060), "192.0.2.9")),
        ("<sips:a@192.0.2.9>", UDP, Hop(Transport.TLS, Address("192.0.2.9", 5061), "192.0.2.9")),
        ("<sip:a@[2001:DB8:0::9]:5080>", UDP, Hop(Transport.UDP, Address("2001:db8::9", 5080), "2001:db8:0::9")),
        ("<sip:a@client.example.com>", UDP, Hop(Transport.UDP, UDP.remote)),
        ("<sip:a@client.example.com>", TCP, Hop(Transport.TCP, TCP.remote)),
        ("<tel:+1555>", UDP, Hop(Transport.UDP, UDP.remote)),
        ("<sip:a@192.0.2.9:99999>", UDP, Hop(Transport.UDP, UDP.remote)),
    ],
)
def test_the_next_hop_is_the_address_of_the_target_or_where_the_peer_is(target: str, flow: Flow, expected: Hop) -> None:
    dialog = Dialog.for_uas(read(request("INVITE", contact=target)), local_tag="mine", flow=flow)
    assert next_hop(dialog) == expected


def test_the_top_route_goes_before_the_target() -> None:
    data = request("INVITE", extra=["Record-Route: <sip:192.0.2.77:5090;lr>"])
    dialog = Dialog.for_uas(read(data), local_tag="mine", flow=UDP)
    assert next_hop(dialog).remote == Address("192.0.2.77", 5090)


@pytest.mark.requirement("3261-12.1.1-a")
def test_a_success_forms_a_dialog() -> None:
    data = request("INVITE", extra=["Record-Route: <sip:p2;lr>", "Record-Route: <sip:p1;lr>"])
    response = success(CONFIG, incoming(data), body=b"v=0\r\n", content_type="application/sdp")
    assert response.status == 200
    assert response.to.tag == "mine"
    assert response.headers.get_all("Record-Route") == ["<sip:p2;lr>", "<sip:p1;lr>"]
    assert response.headers.get("Contact") == "<sip:192.0.2.1:5060>;+sip.srs"
    assert response.headers.get("Server") == "siprec"
    assert (response.body, response.headers.get("Content-Type")) == (b"v=0\r\n", "application/sdp")
    assert {"INVITE", "BYE", "UPDATE"} <= set(response.allow)


@pytest.mark.requirement("3261-12.1.1-a")
def test_a_sips_request_gets_a_sips_contact() -> None:
    response = success(CONFIG, incoming(request("INVITE", uri="SIPS:r@192.0.2.1"), TLS), body=b"", content_type="")
    assert (response.headers.get("Contact") or "").startswith("<sips:")
    assert "Content-Type" not in response.headers


@pytest.mark.requirement("3262-3-b", "3311-4-a")
@pytest.mark.parametrize(("number", "require"), [(None, None), (988_789, "100rel")])
def test_progress_forms_an_early_dialog_and_may_be_reliable(number: int | None, require: str | None) -> None:
    response = progress(CONFIG, incoming(request("INVITE", extra=["Record-Route: <sip:p;lr>"])), number)
    assert (response.status, response.to.tag, response.headers.get("Record-Route")) == (183, "mine", "<sip:p;lr>")
    assert response.headers.get("Contact") is not None
    assert "UPDATE" in response.allow
    assert response.headers.get("Require") == require
    assert response.headers.get("RSeq") == (None if number is None else str(number))
    assert response.body == b""


def test_a_response_lists_what_we_apply_when_called() -> None:
    config = EndpointConfig(
        product="p",
        feature_tag="+sip.srs",
        understood=frozenset(),
        supported=("timer",),
        supported_when_called=("100rel",),
    )
    headers = Headers()
    add_capabilities(config, headers)
    assert headers.get("Supported") == "timer"
    response = success(config, incoming(request("INVITE")), body=b"", content_type="")
    assert response.headers.get("Supported") == "timer, 100rel"


def test_a_failure_has_the_headers_of_its_refusal() -> None:
    response = failure(CONFIG, incoming(request("INVITE")), Refusal(503, "Full", (("Retry-After", "5"),)))
    assert (response.status, response.reason, response.headers.get("Retry-After")) == (503, "Full", "5")
    assert response.to.tag == "mine"
    assert "Contact" not in response.headers


def test_supported_is_written_only_where_there_is_something() -> None:
    headers = Headers()
    add_capabilities(CONFIG, headers)
    assert "Supported" not in headers
    more = EndpointConfig(product="p", feature_tag="+sip.src", understood=frozenset(), supported=("timer", "replaces"))
    add_capabilities(more, headers)
    assert headers.get("Supported") == "timer, replaces"


@pytest.mark.requirement("3261-8.2.6-c")
def test_every_answer_of_one_request_has_the_same_tag() -> None:
    one = incoming(request("INVITE"))
    assert {answer(CONFIG, one, status).to.tag for status in (180, 200, 486)} == {"mine"}


@pytest.mark.requirement("3261-12.1.1-a")
@pytest.mark.parametrize(
    ("uri", "routes", "target", "expected"),
    [
        ("sip:r@192.0.2.1", [], "<sip:a@192.0.2.2>", False),
        ("SIPS:r@192.0.2.1", [], "<sip:a@192.0.2.2>", True),
        ("sip:r@192.0.2.1", [], "<sips:a@192.0.2.2>", True),
        ("sip:r@192.0.2.1", ["<sip:p1;lr>", "<sips:p2;lr>"], "<sips:a@192.0.2.2>", False),
        ("sip:r@192.0.2.1", ["<sips:p1;lr>, <sip:p2;lr>"], "<sip:a@192.0.2.2>", True),
        ("sip:r@192.0.2.1", ["<sip:a b>"], "<sips:a@192.0.2.2>", False),
        ("sip:r@192.0.2.1", [], None, False),
    ],
)
def test_an_answer_has_a_sips_contact_where_the_request_asks_for_one(
    uri: str, routes: list[str], target: str | None, expected: bool
) -> None:
    data = request("INVITE", uri=uri, contact=target, extra=[f"Record-Route: {route}" for route in routes])
    assert asks_for_sips(read(data)) is expected
    response = success(CONFIG, incoming(data, TLS), body=b"", content_type="")
    assert (response.headers.get("Contact") or "").startswith("<sips:") is expected


@pytest.mark.requirement("3261-8.1.1-f")
@pytest.mark.parametrize(
    ("target", "routes", "expected"),
    [
        ("<sip:a@192.0.2.2>", [], False),
        ("<sips:a@192.0.2.2>", [], True),
        ("<sip:a@192.0.2.2>", ["<sips:p1;lr>"], True),
        ("<sip:a@192.0.2.2>", ["<sips:p1>"], True),
        ("<sip:a@192.0.2.2>", ["<sip:p1;lr>", "<sips:p2;lr>"], False),
    ],
)
def test_a_request_of_ours_has_a_sips_contact_where_it_goes_to_one(
    target: str, routes: list[str], expected: bool
) -> None:
    data = request("INVITE", contact=target, extra=[f"Record-Route: {route}" for route in routes])
    dialog = Dialog.for_uas(read(data), local_tag="mine", flow=TLS)
    assert leads_to_sips(dialog.request("UPDATE")) is expected
