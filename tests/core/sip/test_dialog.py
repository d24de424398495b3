"""Dialogs: route sets, targets, tags and sequence numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.dialog import Dialog, DialogId
from siprec_core.types import Address, Flow, Transport
from tests.core.messages import read, read_response, request, response_to

FLOW = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("192.0.2.2", 5070))
LOOSE = ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>;x=1", "<sip:p3.example.com;lr>"]


def routes(*values: str) -> list[str]:
    return [f"Record-Route: {value}" for value in values]


def called(data: bytes) -> Dialog:
    return Dialog.for_uas(read(data), local_tag="mine", flow=FLOW)


def calling(data: bytes, response: bytes) -> Dialog:
    return Dialog.for_uac(read(data), read_response(response), flow=FLOW, sent_by=FLOW.local)


@pytest.mark.requirement("3261-12.1.1-b")
def test_called_side_takes_the_route_set_in_order() -> None:
    dialog = called(request("INVITE", extra=routes(*LOOSE), cseq=7))
    assert dialog.route_set == tuple(LOOSE)
    assert dialog.id == DialogId("call-1", "mine", "abc")
    assert dialog.remote_target == "sip:src@192.0.2.2:5070"
    assert (dialog.local_sequence, dialog.remote_sequence) == (0, 7)
    assert (dialog.local.tag, dialog.remote.tag) == ("mine", "abc")


@pytest.mark.requirement("3261-12.1.1-b")
def test_calling_side_takes_it_reversed() -> None:
    data = request("INVITE", cseq=7)
    dialog = calling(data, response_to(data, 200, extra=routes(*LOOSE)))
    assert dialog.route_set == tuple(reversed(LOOSE))
    assert dialog.id == DialogId("call-1", "abc", "srs")
    assert dialog.remote_target == "sip:srs@192.0.2.1:5060"
    assert (dialog.local_sequence, dialog.remote_sequence) == (7, None)


def test_a_comma_list_and_repeated_fields_are_the_same_route_set() -> None:
    assert called(request("INVITE", extra=routes(", ".join(LOOSE)))).route_set == tuple(LOOSE)


def test_the_two_sides_of_one_call_agree() -> None:
    data = request("INVITE", extra=routes(*LOOSE))
    response = response_to(data, 200, to_tag="mine", extra=routes(*LOOSE))
    ours, theirs = called(data), calling(data, response)
    assert ours.id == DialogId(theirs.call_id, theirs.remote_tag, theirs.local_tag)
    assert ours.route_set == tuple(reversed(theirs.route_set))
    bye = read(theirs.request("BYE").to_bytes().replace(b"Max-F", b"Via: SIP/2.0/UDP a\r\nMax-F"))
    assert DialogId(bye.call_id, bye.to.tag or "", bye.from_.tag or "") == ours.id


@pytest.mark.requirement("3261-12.2.1-a")
def test_a_request_within_the_dialog() -> None:
    dialog = called(request("INVITE", extra=routes(*LOOSE)))
    bye = dialog.request("BYE")
    assert (bye.uri, bye.headers.get_all("Route")) == ("sip:src@192.0.2.2:5070", LOOSE)
    assert (bye.from_.tag, bye.to.tag, bye.call_id, str(bye.cseq)) == ("mine", "abc", "call-1", "1 BYE")
    assert bye.max_forwards == 70
    assert dialog.next_hop_uri() == "sip:p1.example.com;lr"
    assert str(dialog.request("OPTIONS").cseq) == "2 OPTIONS"


@pytest.mark.requirement("3261-13.2.2-a")
def test_an_ack_repeats_the_number_of_its_invite() -> None:
    data = request("INVITE", cseq=7)
    dialog = calling(data, response_to(data, 200))
    assert str(dialog.request("ACK", sequence=7).cseq) == "7 ACK"
    assert str(dialog.request("BYE").cseq) == "8 BYE"


@pytest.mark.requirement("3261-12.2.1-a")
def test_a_strict_router_gets_itself_as_the_request_uri() -> None:
    dialog = called(request("INVITE", extra=routes("<sip:strict.example.com>", "<sip:p2.example.com;lr>")))
    bye = dialog.request("BYE")
    assert bye.uri == "sip:strict.example.com"
    assert bye.headers.get_all("Route") == ["<sip:p2.example.com;lr>", "<sip:src@192.0.2.2:5070>"]
    assert dialog.next_hop_uri() == "sip:strict.example.com"


def test_without_routes_the_target_is_the_next_hop() -> None:
    dialog = called(request("INVITE"))
    assert dialog.next_hop_uri() == "sip:src@192.0.2.2:5070"
    assert "Route" not in dialog.request("BYE").headers


@pytest.mark.requirement("3261-12.1.1-b")
def test_a_missing_tag_is_a_null_tag() -> None:
    dialog = called(request("INVITE").replace(b";tag=abc", b""))
    assert dialog.remote_tag == ""
    assert dialog.request("BYE").to.tag is None


@pytest.mark.parametrize("contact", [None, "*", '"no end'])
def test_without_a_usable_contact_there_is_no_dialog(contact: str | None) -> None:
    with pytest.raises(RemoteProtocolError):
        called(request("INVITE", contact=contact))
    data = request("INVITE")
    with pytest.raises(RemoteProtocolError):
        calling(data, response_to(data, 200, contact=contact))


@pytest.mark.requirement("3261-12.2.1-b", "3261-12.2.2-c")
def test_a_target_refresh_takes_the_contact() -> None:
    dialog = called(request("INVITE"))
    dialog.refresh_target(read(request("UPDATE", contact="<sip:new@192.0.2.9>")))
    assert dialog.remote_target == "sip:new@192.0.2.9"


@pytest.mark.parametrize("contact", [None, "*", '"no end', "<sip:a@192.0.2.3>, <sip:b@192.0.2.4>"])
def test_a_target_refresh_without_one_usable_contact_changes_nothing(contact: str | None) -> None:
    dialog = called(request("INVITE"))
    dialog.refresh_target(read(request("UPDATE", contact=contact)))
    assert dialog.remote_target == "sip:src@192.0.2.2:5070"


@pytest.mark.requirement("3261-12.2.2-b")
@given(st.integers(0, 2**31 - 1), st.lists(st.integers(0, 2**31 - 1), max_size=10))
def test_sequence_numbers_never_fall_and_may_have_gaps(first: int, numbers: list[int]) -> None:
    dialog = called(request("INVITE", cseq=first))
    highest = first
    for number in numbers:
        assert dialog.accept_sequence(read(request("UPDATE", cseq=number))) is (number >= highest)
        highest = max(highest, number)
        assert dialog.remote_sequence == highest


def test_the_calling_side_takes_any_first_number() -> None:
    data = request("INVITE")
    dialog = calling(data, response_to(data, 200))
    assert dialog.accept_sequence(read(request("BYE", cseq=0)))


def test_a_dialog_to_be_ended_leads_where_the_invite_went() -> None:
    data = request("INVITE", cseq=4, extra=["Route: <sip:p1;lr>, <sip:p2;lr>"])
    answer = response_to(data, 200, contact="*", extra=['Record-Route: "no end'])
    dialog = Dialog.to_end(read(data), read_response(answer), flow=FLOW, sent_by=FLOW.local)
    bye = dialog.request("BYE")
    assert (bye.uri, bye.headers.get("CSeq"), bye.to.tag) == (read(data).uri, "5 BYE", "srs")
    assert bye.headers.values("Route") == ["<sip:p1;lr>", "<sip:p2;lr>"]


@pytest.mark.parametrize("value", ["", "nonsense", "0" * 32])
def test_a_session_identifier_that_names_nothing_is_not_joined(value: str) -> None:
    dialog = called(request("INVITE", extra=[f"Session-ID: {value}"]))
    assert dialog.session_id is None
    assert "Session-ID" not in dialog.request("BYE").headers


def test_a_request_without_session_identifier_leaves_the_one_that_is_known() -> None:
    dialog = called(request("INVITE", extra=["Session-ID: ab30317f1a784dc48ff824d0d3715d86"]))
    known = dialog.session_id
    assert dialog.accept_sequence(read(request("UPDATE", cseq=2)))
    assert dialog.session_id == known == "ab30317f1a784dc48ff824d0d3715d86"


def test_display_names_survive() -> None:
    data = request("INVITE").replace(b"From: <", b'From: "Ann, \\"A\\"" <')
    assert called(data).request("BYE").headers.get("To") == '"Ann, \\"A\\"" <sip:src@192.0.2.2>;tag=abc'
