"""Requests that an endpoint sends: Via, branch, path and what a CANCEL copies."""

from dataclasses import replace

import pytest

from siprec_core.entropy import Ids
from siprec_core.limits import Limits
from siprec_core.machine import Outbox
from siprec_core.sip.commands import SendDatagram
from siprec_core.sip.dialog import Dialog
from siprec_core.sip.identity import EndpointConfig
from siprec_core.sip.locate import HopFailure
from siprec_core.sip.message import Request
from siprec_core.sip.outgoing import RequestSender, failure_of
from siprec_core.sip.reasons import Reason
from siprec_core.sip.reply import respond
from siprec_core.sip.transaction_layer import LayerOutput, ResponseArrived, TransactionLayer
from siprec_core.sip.transport import TransportLayer
from siprec_core.types import Address, Listening, Transport
from tests.core.harness import entropy
from tests.core.messages import field, read, request
from tests.core.sip.endpoints import HOP, LOCAL, UDP


class Bench:
    """A sender over a layer, with what it sent."""

    def __init__(self, *, advertise: str | None = None, large_over_tcp: bool = False) -> None:
        config = EndpointConfig(
            product="siprec",
            feature_tag="+sip.src",
            understood=frozenset(),
            advertise=advertise,
            large_over_tcp=large_over_tcp,
        )
        ids = Ids(entropy(4))
        self.outbox: Outbox[LayerOutput] = Outbox()
        transport = TransportLayer(limits=Limits())
        self.layer = TransactionLayer(transport, self.outbox, ids=ids, most=10)
        self.sender = RequestSender(config, self.layer, ids=ids)
        self.dialog = Dialog.for_uas(read(request("INVITE", cseq=4)), local_tag="mine", flow=UDP)

    def sent(self) -> list[SendDatagram]:
        outputs = []
        while (output := self.outbox.poll()) is not None:
            outputs.append(output)
        return [output for output in outputs if isinstance(output, SendDatagram)]


WHY = Reason.sip(200, "done")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_bye_goes_to_the_target_with_a_fresh_branch(bench: Bench) -> None:
    bench.sender.bye(bench.dialog, WHY, owner=None, now=0.0)
    bench.sender.bye(bench.dialog, WHY, owner=None, now=0.0)
    one, two = bench.sent()
    assert one.flow.remote == ("192.0.2.2", 5070)
    assert one.data.startswith(b"BYE sip:src@192.0.2.2:5070 SIP/2.0\r\n")
    assert (field(one.data, "CSeq"), field(two.data, "CSeq")) == ("1 BYE", "2 BYE")
    assert field(one.data, "Via") != field(two.data, "Via")
    assert field(one.data, "User-Agent") == "siprec"
    assert field(one.data, "Reason") == 'SIP;cause=200;text="done"'


def test_an_ack_is_built_once_and_repeated_as_it_was(bench: Bench) -> None:
    invite = read(request("INVITE", cseq=4))
    ack = bench.sender.ack(bench.dialog, invite=invite, again=None, owner=None, now=0.0)
    assert bench.sender.ack(bench.dialog, invite=invite, again=ack, owner=None, now=0.0) is ack
    one, two = bench.sent()
    assert one == two
    assert field(one.data, "CSeq") == "4 ACK"
    assert bench.layer.next_timeout() is None, "an ACK to a 2xx has no transaction"


@pytest.mark.requirement("3261-22-a")
def test_an_ack_has_the_credentials_of_its_invite(bench: Bench) -> None:
    credentials = ["Authorization: Digest a=b", "Authorization: Digest c=d", "Proxy-Authorization: Digest e=f"]
    invite = read(request("INVITE", extra=credentials))
    ack = bench.sender.ack(bench.dialog, invite=invite, again=None, owner=None, now=0.0)
    assert ack.headers.get_all("Authorization") == ["Digest a=b", "Digest c=d"]
    assert ack.headers.get_all("Proxy-Authorization") == ["Digest e=f"]


@pytest.mark.requirement("3261-9.1-a")
def test_a_cancel_copies_what_rfc_3261_9_1_lists(bench: Bench) -> None:
    invite = read(request("INVITE", extra=["Route: <sip:p1;lr>", "Route: <sip:p2;lr>", "Require: siprec"], body="x"))
    invite.headers.remove("Via")
    call = bench.sender.start(invite, HOP, local=LOCAL, flow=None, owner=None, now=0.0)
    bench.sender.cancel(call, WHY, now=0.0)
    sent, cancel = (read(command.data) for command in bench.sent())
    assert (cancel.method, cancel.uri, str(cancel.cseq)) == ("CANCEL", sent.uri, "1 CANCEL")
    for name in ("Via", "From", "To", "Call-ID", "Route"):
        assert cancel.headers.get_all(name) == sent.headers.get_all(name)
    assert "Require" not in cancel.headers
    assert cancel.headers.get("Reason") == str(WHY)
    assert cancel.body == b""


def test_an_advertised_host_stands_in_the_via() -> None:
    bench = Bench(advertise="203.0.113.7")
    bench.sender.bye(bench.dialog, WHY, owner=None, now=0.0)
    assert field(bench.sent()[0].data, "Via").startswith("SIP/2.0/UDP 203.0.113.7:5060;")


# RFC 3261 18.1.1 (3261-18.1.1-a)


def large(size: int) -> Request:
    message = read(request("INVITE", body="x" * size, content_type="application/sdp"))
    message.headers.remove("Via")
    return message


@pytest.mark.parametrize(("size", "transport"), [(200, "UDP"), (1300, "TCP")])
def test_large_requests_leave_over_tcp_where_that_is_wanted(size: int, transport: str) -> None:
    bench = Bench(large_over_tcp=True)
    outgoing = bench.sender.start(large(size), HOP, local=LOCAL, flow=None, owner=None, now=0.0)
    assert outgoing.request.top_via.transport == transport
    again = bench.sender.fail_over(outgoing, HopFailure.REFUSED, now=0.0)
    assert (again is None) is (transport == "UDP")


def test_a_hop_that_is_tcp_or_a_caller_that_wants_udp_is_obeyed() -> None:
    plain = Bench().sender.start(large(5000), HOP, local=LOCAL, flow=None, owner=None, now=0.0)
    assert plain.request.top_via.transport == "UDP"
    over_tcp = replace(HOP, transport=Transport.TCP)
    bench = Bench(large_over_tcp=True)
    chosen = bench.sender.start(large(5000), over_tcp, local=LOCAL, flow=None, owner=None, now=0.0)
    assert chosen.request.top_via.transport == "TCP"
    assert bench.sender.fail_over(chosen, HopFailure.REFUSED, now=0.0) is None


def test_udp_is_tried_when_the_connection_cannot_be_made() -> None:
    bench = Bench(large_over_tcp=True)
    failed = bench.sender.start(large(1300), HOP, local=LOCAL, flow=None, owner=None, now=0.0)
    again = bench.sender.fail_over(failed, HopFailure.REFUSED, now=0.0)
    assert again is not None
    (sent,) = bench.sent()
    assert field(sent.data, "Via").startswith("SIP/2.0/UDP")
    assert field(sent.data, "Via").count("branch") == 1
    assert again.request.cseq == failed.request.cseq
    assert again.request.top_via.branch != failed.request.top_via.branch
    assert bench.sender.fail_over(again, HopFailure.NO_RESPONSE, now=0.0) is None, "there is no third path"


def test_udp_is_not_for_what_went_unanswered_over_tcp() -> None:
    bench = Bench(large_over_tcp=True)
    outgoing = bench.sender.start(large(1300), HOP, local=LOCAL, flow=None, owner=None, now=0.0)
    assert bench.sender.fail_over(outgoing, HopFailure.NO_RESPONSE, now=0.0) is None


@pytest.mark.parametrize(
    ("transport", "status", "heard", "expected"),
    [
        (Transport.UDP, 408, False, HopFailure.NO_RESPONSE),
        (Transport.UDP, 408, True, None),
        (Transport.TCP, 503, False, HopFailure.REFUSED),
        (Transport.TCP, 503, True, None),
        (Transport.TLS, 503, False, HopFailure.TRANSPORT_FAILED),
    ],
)
def test_what_counts_as_a_failure_of_the_place(
    transport: Transport, status: int, heard: bool, expected: HopFailure | None
) -> None:
    hop = replace(HOP, transport=transport)
    outgoing = Bench().sender.start(large(1), hop, local=LOCAL, flow=None, owner=None, now=0.0)
    outgoing.heard = heard
    arrival = ResponseArrived(outgoing=outgoing, status=status, reason="", response=None, flow=None)
    assert failure_of(arrival) is expected


@pytest.mark.parametrize(("status", "expected"), [(503, HopFailure.SERVICE_UNAVAILABLE), (500, None), (408, None)])
def test_of_answers_only_503_sends_a_request_elsewhere(status: int, expected: HopFailure | None) -> None:
    outgoing = Bench().sender.start(large(1), HOP, local=LOCAL, flow=None, owner=None, now=0.0)
    response = respond(outgoing.request, status)
    arrival = ResponseArrived(outgoing=outgoing, status=status, reason="", response=response, flow=UDP)
    assert failure_of(arrival) is expected


def test_via_and_contact_name_where_we_listen_over_the_transport_that_is_used() -> None:
    bench = Bench(large_over_tcp=True)
    bench.sender.listening = (
        Listening(Transport.UDP, Address("192.0.2.1", 5060)),
        Listening(Transport.TCP, Address("192.0.2.1", 5062)),
    )
    over_tcp = bench.sender.start(large(1300), HOP, local=LOCAL, flow=None, owner=None, now=0.0)
    assert str(over_tcp.request.top_via).startswith("SIP/2.0/TCP 192.0.2.1:5062;")
    assert over_tcp.request.headers.get_all("Contact") == ["<sip:192.0.2.1:5062;transport=tcp>;+sip.src"]
    over_udp = bench.sender.fail_over(over_tcp, HopFailure.REFUSED, now=0.0)
    assert over_udp is not None
    assert str(over_udp.request.top_via).startswith("SIP/2.0/UDP 192.0.2.1:5060;")
    assert over_udp.request.headers.get_all("Contact") == ["<sip:192.0.2.1:5060>;+sip.src"]
