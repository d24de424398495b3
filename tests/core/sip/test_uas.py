"""The checks before a request reaches its usage."""

import re

import pytest

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.uas import ALLOWED, METHODS, Refusal, carries_offer, check_request, refusal_of, warning
from tests.core.messages import read, request

UNDERSTOOD = frozenset(("siprec",))


def refused(data: bytes) -> Refusal | None:
    return check_request(read(data), understood=UNDERSTOOD)


@pytest.mark.parametrize("method", ALLOWED)
def test_what_we_allow_goes_on(method: str) -> None:
    assert refused(request(method, extra=["Require: siprec"])) is None


@pytest.mark.requirement("3261-8.2.1-a")
@pytest.mark.parametrize("method", sorted(METHODS - set(ALLOWED)))
def test_known_methods_that_we_do_not_take_are_405_with_allow(method: str) -> None:
    refusal = refused(request(method))
    assert refusal is not None
    assert (refusal.status, refusal.headers) == (405, (("Allow", ", ".join(ALLOWED)),))


@pytest.mark.requirement("3261-8.2.1-a")
@pytest.mark.parametrize("method", ["BREW", "invite", "!interesting-Method0123456789_*+`.%indeed'~"])
def test_unknown_methods_are_501(method: str) -> None:
    assert refused(request(method)) == Refusal(501)


@pytest.mark.parametrize(
    ("uri", "status"),
    [("sip:a@b", None), ("SIPS:a@b", None), ("tel:+1555", 416), ("nobodyKnowsThisScheme:totallyopaquecontent", 416)],
)
def test_other_schemes_are_416(uri: str, status: int | None) -> None:
    refusal = refused(request("INVITE", uri=uri))
    assert (None if refusal is None else refusal.status) == status


@pytest.mark.requirement("3261-8.2.2-d")
def test_420_lists_only_what_is_unknown() -> None:
    refusal = refused(request("INVITE", extra=["Require: nothingSupportsThis, SipRec", "Require: norThis"]))
    assert refusal is not None
    assert refusal.status == 420
    assert refusal.headers == (("Unsupported", "nothingsupportsthis, northis"),)


@pytest.mark.requirement("3261-8.2.2-d")
@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_require_in_ack_and_cancel_is_ignored(method: str) -> None:
    assert refused(request(method, extra=["Require: nothing"])) is None


def test_proxy_require_is_for_proxies() -> None:
    assert refused(request("INVITE", extra=["Proxy-Require: nothing"])) is None


@pytest.mark.requirement("3261-8.2-a")
def test_the_method_is_checked_before_all_else() -> None:
    refusal = refused(request("BREW", uri="tel:1", extra=["Require: nothing"]))
    assert refusal is not None
    assert refusal.status == 501
    refusal = refused(request("INVITE", uri="tel:1", extra=["Require: nothing"]))
    assert refusal is not None
    assert refusal.status == 416


@pytest.mark.requirement("3261-21-c")
def test_a_refusal_names_the_fault_in_text_that_can_be_sent() -> None:
    refusal = refusal_of(RemoteProtocolError("bad \r\nX: y \x00\u00e9" + "x" * 500, field="Via"))
    assert refusal.status == 400
    assert refusal.reason is not None
    assert refusal.reason.startswith("Bad Request - Via: bad   X: y")
    assert all(" " <= character <= "~" for character in refusal.reason)
    assert len(refusal.reason) < 150


@pytest.mark.requirement("3261-20.43-a")
def test_a_warning_has_code_agent_and_quoted_text() -> None:
    name, value = warning(304, 'no "audio"\\ \r\nhere \u00e9' + "x" * 500)
    assert name == "Warning"
    assert re.fullmatch(r'304 siprec "no  audio     here  x+"', value)
    assert len(value) < 230


def test_another_status_keeps_its_own_phrase() -> None:
    assert refusal_of(RemoteProtocolError("scheme", status_hint=416)) == Refusal(416)


@pytest.mark.requirement("4028-9-a")
def test_timer_may_be_required_of_any_user_agent() -> None:
    assert refused(request("INVITE", extra=["Require: timer, siprec"])) is None


@pytest.mark.requirement("3311-5.2-b")
@pytest.mark.parametrize(
    ("body", "kind", "offers"),
    [
        ("", "", False),
        ("v=0", "application/sdp", True),
        ("v=0", "", True),
        ("v=0", "nonsense", True),
        ("<x/>", "application/rs-metadata+xml", False),
        ("--b\r\nContent-Type: Application/SDP\r\n\r\nv=0\r\n--b--", "multipart/mixed;boundary=b", True),
        ("--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--", "multipart/mixed;boundary=b", False),
    ],
)
def test_offers_are_told_from_other_bodies(body: str, kind: str, offers: bool) -> None:
    assert carries_offer(read(request("UPDATE", body=body, content_type=kind))) is offers
