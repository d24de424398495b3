"""A recording server under messages of the kinds that RFC 4475 collects: each gets the answer that its RFC wants.

The messages are our own; each is named after its counterpart there. What is legal has to be recorded in strict mode.
"""

import pytest

from siprec_core.limits import Limits
from siprec_core.recording.events import FindingRaised
from siprec_core.recording.policy import ServerConfig
from siprec_core.sip.message import Request, Response
from siprec_core.sip.parser import parse_datagram
from siprec_core.types import Flow, FlowId, Transport
from tests.core.harness import CLIENT, SERVER, Pair
from tests.core.messages import METADATA, OFFER, field, invite, multipart, request, status, tag

STREAM = Flow(Transport.TCP, SERVER, CLIENT, FlowId(1))


def answers(data: bytes) -> list[bytes]:
    """Give what a strict server says to a datagram."""
    pair = Pair(config=ServerConfig(strict=True))
    pair.inject(data)
    return pair.server.sent


def answer(data: bytes) -> int:
    (sent,) = answers(data)
    return status(sent)


def over_tcp(data: bytes) -> Pair:
    pair = Pair(config=ServerConfig(strict=True))
    pair.recorder.flow_opened(STREAM, now=0.0)
    pair.recorder.receive_stream(STREAM, data, now=0.0)
    pair.settle()
    return pair


def altered(*changes: tuple[str, str], data: bytes | None = None) -> bytes:
    """Give an INVITE that can be recorded with some of its text replaced."""
    made = invite() if data is None else data
    for old, new in changes:
        assert old.encode() in made
        made = made.replace(old.encode(), new.encode(), 1)
    return made


FROM = "From: <sip:src@192.0.2.2>;tag=abc"
TO = "To: <sip:recorder@192.0.2.1>"
URI = "INVITE sip:recorder@192.0.2.1:5060 SIP/2.0"
VIA = "Via: SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bK-INVITE-1-call-1;rport"
FIELDS = "Max-Forwards: 70"

LEGAL = {
    "wsinv": altered(
        (FROM, 'fRoM   : "J \\\\\\"R"       <sip:src@192.0.2.2>\r\n  ;\r\n  tag  = abc'),
        (TO, "TO :\r\n sip:recorder@192.0.2.1"),
        (VIA, "v  :  SIP  / 2.0\r\n /UDP\r\n    192.0.2.2:5070;branch  =   z9hG4bK9ikj8  ;\r\n rport"),
        (FIELDS, "MaX-fOrWaRdS: 0068\r\ns :\r\nNewFangled:   value\r\n continued \t more"),
        ("CSeq: 1 INVITE", "CSeq: 0009\r\n  INVITE"),
        ("Call-ID:", "i :"),
    ),
    "esc01": altered((URI, "INVITE sip:sips%3Auser%40example.com@192.0.2.1 SIP/2.0")),
    "escnull": altered(("<sip:src@192.0.2.2:5070>", "<sip:null-%00-null@192.0.2.2:5070>")),
    "lwsdisp": altered((FROM, "From: caller<sip:src@192.0.2.2>;tag=abc")),
    "longreq": altered(
        (FROM, f'From: "{"I have a long name " * 30}" <sip:src@192.0.2.2>;tag={"1" * 200}'),
        ("call-1\r\n", f"{'longcallid' * 30}\r\n"),
        (VIA, "\r\n".join([VIA, *(f"v: SIP/2.0/TCP sip{n}.example.com;branch=z9hG4bK{n}" for n in range(33))])),
    ),
    "semiuri": altered((URI, "INVITE sip:user;par=u%40example.net@192.0.2.1 SIP/2.0")),
    "transports": altered(
        (VIA, f"{VIA}\r\nVia: SIP/2.0/SCTP a.example.com;branch=z9hG4bK2,SIP/2.0/UNKNOWN b.example.com;branch=z9hG4bK3")
    ),
    "unksm2": altered((TO, "To: isbn:2983792873"), (FROM, "From: <http://www.example.com>;tag=abc")),
    "regaut01": altered((FIELDS, f"{FIELDS}\r\nAuthorization: NoOneKnowsThisScheme opaque-data=here")),
    "zeromf": altered((FIELDS, "Max-Forwards: 0")),
    "cparam01": altered(("Contact: <sip:src@192.0.2.2:5070>;+sip.src", "Contact: sip:src@192.0.2.2:5070;+sip.src")),
}


@pytest.mark.requirement("4475-3.1.1-a", "4475-3.3-a", "3261-7.3.1-a")
@pytest.mark.parametrize("name", LEGAL)
def test_what_is_legal_is_recorded_by_a_strict_server(name: str) -> None:
    assert answer(LEGAL[name]) == 200


@pytest.mark.requirement("4475-3.1.1-a", "3261-8.2.1-a")
@pytest.mark.parametrize("method", ["!interesting-Method0123456789_*+`.%indeed'~", "RE%47IST%45R"])
def test_odd_methods_are_unknown_and_never_unescaped(method: str) -> None:
    """The kinds intmeth and esc02: an escaped REGISTER would be 405."""
    assert answer(request(method)) == 501


@pytest.mark.requirement("4475-3.1.1-a", "3261-18.3-a")
def test_a_second_request_in_a_datagram_is_noise() -> None:
    """The kind dblreq."""
    assert len(answers(request("OPTIONS") + invite())) == 1


@pytest.mark.requirement("4475-3.1.1-a", "3261-18.3-b")
def test_binary_parts_are_framed_by_content_length() -> None:
    """The kind mpart01."""
    kind, text = multipart(
        ("application/sdp", "", OFFER),
        ("application/rs-metadata+xml", "recording-session", METADATA),
        ("application/octet-stream", "render;handling=optional", "\x00\r\n\r\nINVITE sip:a SIP/2.0\r\n\r\n--edg"),
    )
    first = request("INVITE", body=text, content_type=kind, extra=["Require: siprec"], transport="TCP")
    pair = over_tcp(first + request("OPTIONS", call_id="next", transport="TCP"))
    assert {(status(sent), field(sent, "CSeq")) for sent in pair.server.sent} == {(200, "1 INVITE"), (200, "1 OPTIONS")}


@pytest.mark.requirement("4475-3.1.1-a", "3261-25-a")
@pytest.mark.parametrize(
    ("code", "reason"), [(200, "= 2**3 * 5**2 но сто девяносто"), (100, "")], ids=["unreason", "noreason"]
)
def test_any_reason_phrase_is_taken(code: int, reason: str) -> None:
    response = parse_datagram(altered((URI, f"SIP/2.0 {code} {reason}")), limits=Limits(), strict=True)
    assert isinstance(response, Response)
    assert response.reason == reason


@pytest.mark.requirement("4475-3.1.2-a", "4475-3.3-a")
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(altered((VIA, "Via: SIP/2.0/UDP 192.0.2.2:5070;;,;,,")), 400, id="badinv01"),
        pytest.param(request("OPTIONS").replace(b"Content-Length: 0", b"Content-Length: 9999"), 400, id="clerr"),
        pytest.param(request("OPTIONS").replace(b"Content-Length: 0", b"Content-Length: -999"), 400, id="ncl"),
        pytest.param(altered(("CSeq: 1 INVITE", "CSeq: 36893488147419103232 INVITE")), 400, id="scalar02"),
        pytest.param(altered((URI, "INVITE <sip:recorder@192.0.2.1> SIP/2.0")), 400, id="ltgtruri"),
        pytest.param(altered((URI, "INVITE sip:recorder@192.0.2.1; lr SIP/2.0")), 400, id="lwsruri"),
        pytest.param(altered(("<sip:src@192.0.2.2:5070>", "sip:src@192.0.2.2?Route=%3Csip:a%3E")), 400, id="regbadct"),
        pytest.param(request("OPTIONS", cseq_method="INVITE"), 400, id="mismatch01"),
        pytest.param(request("NEWMETHOD", cseq_method="INVITE"), 400, id="mismatch02"),
        pytest.param(altered((URI, "INVITE sip:recorder@192.0.2.1 SIP/7.0")), 505, id="badvers"),
        pytest.param(altered((f"{FROM}\r\n", "")), 400, id="insuf"),
        pytest.param(altered((URI, "INVITE nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0")), 416, id="unkscm"),
        pytest.param(request("OPTIONS", uri="soap.beep://192.0.2.103:3002"), 416, id="novelsc"),
        pytest.param(request("INVITE", body="x", content_type="application/unknown"), 415, id="invut"),
        pytest.param(altered((FIELDS, f"{FIELDS}\r\nCall-ID: another")), 400, id="multi01"),
        pytest.param(altered((FIELDS, f"{FIELDS}\r\nContent-Length: 15")), 400, id="mcl01"),
    ],
)
def test_what_is_wrong_is_refused(data: bytes, expected: int) -> None:
    assert answer(data) == expected


@pytest.mark.requirement("4475-3.3-a", "3261-8.2.2-d")
def test_extensions_that_are_required_of_us_are_told_and_those_of_proxies_are_not() -> None:
    """The kind bext01."""
    (sent,) = answers(
        invite(require="nothingSupportsThis, siprec", extra=["Proxy-Require: noProxiesSupportThis", "Require: norThis"])
    )
    assert status(sent) == 420
    assert sorted(field(sent, "Unsupported").lower().split(", ")) == ["northis", "nothingsupportsthis"]


@pytest.mark.requirement("4475-3.3-a", "3261-18.3-b")
def test_two_lengths_close_a_connection() -> None:
    """The kind mcl01."""
    doubled = request("OPTIONS", transport="TCP").replace(b"Content-Length: 0", b"Content-Length: 0\r\nl: 15")
    pair = over_tcp(doubled + request("OPTIONS", call_id="next", transport="TCP"))
    assert [status(sent) for sent in pair.server.sent] == [400]


@pytest.mark.requirement("4475-3.1.2-a", "4475-3.3-a", "3261-8.1.3-b")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CSeq: 1 INVITE", "CSeq: 9292394834772304023312 OPTIONS"),
        (URI, "SIP/2.0 4294967301 better not break"),
        (VIA, f"{VIA}\r\n{VIA}"),
    ],
    ids=["scalarlg", "bigcode", "bcast"],
)
def test_broken_and_foreign_responses_are_dropped(old: str, new: str) -> None:
    data = altered((old, new)) if old == URI else altered((URI, "SIP/2.0 200 OK"), (old, new))
    assert answers(data) == []


@pytest.mark.requirement("4475-3.1.2-a", "4475-3.1.2-b")
@pytest.mark.parametrize(
    ("old", "new", "code", "strict"),
    [
        (TO, 'To: "Mr. J. User <sip:recorder@192.0.2.1>', "sip-quote-unbalanced", 400),
        (TO, 'To: "Watson, Thomas" < sip:recorder@192.0.2.1 >', "sip-bracket-blanks", 400),
        (FROM, "From: Bell, Alexander <sip:src@192.0.2.2>;tag=abc", "sip-display-name", 400),
        (URI, "INVITE  sip:recorder@192.0.2.1  SIP/2.0", "sip-start-line-blanks", 400),
        (URI, f"{URI}  ", "sip-start-line-blanks", 400),
        (URI, "INVITE sip:recorder@192.0.2.1?Route=%3Csip:example.com%3E SIP/2.0", "sip-uri-headers", 400),
        (FIELDS, f"{FIELDS}\r\nDate: Fri, 01 Jan 2010 16:00:00 EST", None, 200),
    ],
    ids=["quotbal", "badaspec", "baddn", "lwsstart", "trws", "escruri", "baddate"],
)
def test_what_may_be_mended_is_recorded_with_a_finding_or_strictly_refused(
    old: str, new: str, code: str | None, strict: int
) -> None:
    data = altered((old, new))
    assert answer(data) == strict
    pair = Pair()
    pair.inject(data)
    assert [status(sent) for sent in pair.server.sent] == [200]
    told = {raised.finding.code for raised in pair.server.of(FindingRaised)}
    assert code is None or code in told
    pair.inject(request("ACK", to_tag=tag(pair.server.sent[0]), branch="z9hG4bK-ack"))
    pair.recorder.end(next(iter(pair.recorder.sessions())), now=pair.now)
    pair.settle()
    ours = parse_datagram(pair.server.messages(b"BYE")[0], limits=Limits(), strict=True)
    assert isinstance(ours, Request), "the fault is not copied into what we send"


@pytest.mark.requirement("4475-3.2-a")
def test_a_branch_that_is_only_the_cookie_is_matched_as_rfc_2543_wants() -> None:
    """The kind badbranch."""
    pair = Pair()
    data = altered(("branch=z9hG4bK-INVITE-1-call-1", "branch=z9hG4bK"))
    for each in (data, data, data.replace(b"call-1", b"call-2").replace(b"branch=z9hG4bK-INVITE-1", b"branch=z9hG4bK")):
        pair.inject(each)
    assert len(pair.recorder.sessions()) == 2, "one by each Call-ID, none for the repetition"


@pytest.mark.requirement("4475-3.3-a")
@pytest.mark.parametrize("contact", ["<sip:src@192.0.2.2:5070;+sip.src>", "sip:src@192.0.2.2:5070;x=1"])
def test_a_parameter_of_the_uri_is_none_of_the_contact(contact: str) -> None:
    """The kind cparam02: within brackets it belongs to the URI."""
    assert answer(invite(contact=contact)) == 421


@pytest.mark.requirement("4475-3.4-a")
def test_a_client_of_rfc_2543_is_recorded() -> None:
    """The kind inv2543: no From tag, no cookie, no Max-Forwards, no Content-Length."""
    data = altered((";tag=abc", ""), (";branch=z9hG4bK-INVITE-1-call-1;rport", ""), (f"{FIELDS}\r\n", ""))
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    assert answer(b"\r\n".join(lines) + b"\r\n\r\n" + body) == 200
