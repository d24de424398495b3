"""What every response repeats of its request."""

import pytest

from siprec_core.limits import Limits
from siprec_core.sip.parser import Malformed, parse_datagram
from siprec_core.sip.reply import copied_headers, respond, stateless_tag
from tests.core.messages import read, request

TWO_HOPS = request("INVITE", extra=["Via: SIP/2.0/UDP far.example.com;branch=z9hG4bK9", "Timestamp: 54.1"])


@pytest.mark.requirement("3261-8.2.6-c")
@pytest.mark.parametrize("status", [100, 180, 200, 486])
def test_via_from_call_id_and_cseq_are_copied_in_order(status: int) -> None:
    message = read(TWO_HOPS)
    response = respond(message, status, to_tag="srs")
    for name in ("Via", "From", "Call-ID", "CSeq"):
        assert response.headers.get_all(name) == message.headers.get_all(name)


@pytest.mark.requirement("3261-8.2.6-b", "3261-8.2.6-c")
def test_a_100_has_no_tag_of_ours_and_copies_timestamp() -> None:
    response = respond(read(TWO_HOPS), 100, to_tag="srs")
    assert response.to.tag is None
    assert response.headers.get("Timestamp") == "54.1"
    final = respond(read(TWO_HOPS), 200, to_tag="srs")
    assert final.to.tag == "srs"
    assert "Timestamp" not in final.headers


def test_a_tag_that_is_there_stays() -> None:
    assert respond(read(request("BYE", to_tag="mine")), 200, to_tag="other").to.tag == "mine"


def test_the_reason_phrase_is_ours_unless_told() -> None:
    assert respond(read(TWO_HOPS), 486).reason == "Busy Here"
    assert respond(read(TWO_HOPS), 486, reason="No room").reason == "No room"


def test_what_is_unreadable_is_copied_as_it_came() -> None:
    data = request("INVITE").replace(b"To: <sip:recorder@192.0.2.1>", b'To: "no end')
    malformed = parse_datagram(data, limits=Limits())
    assert isinstance(malformed, Malformed)
    copied = copied_headers(malformed.headers, to_tag="srs")
    assert copied.get("To") == '"no end'
    assert copied.get("Call-ID") == "call-1"


def test_a_stateless_tag_is_the_same_for_the_same_request_and_another_for_others() -> None:
    tags = [stateless_tag(read(data).headers) for data in (TWO_HOPS, TWO_HOPS, request("INVITE", call_id="2"))]
    assert tags[0] == tags[1] != tags[2]
    assert len(tags[0]) == 16
    assert respond(read(TWO_HOPS), 400, to_tag=tags[0]).to.tag == tags[0]
