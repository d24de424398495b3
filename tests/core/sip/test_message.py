import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.sip.fields import CSeq, NameAddr, Via
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Malformed, Request, Response
from siprec_core.sip.parser import parse_datagram
from tests.core.sip.strategies import printable, tokens

FIELDS = [
    ("Via", "SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TCP b"),
    ("Via", "SIP/2.0/TLS c"),
    ("From", "<sip:a@b>;tag=1"),
    ("To", '"To" <sip:c@d>'),
    ("Call-ID", "x@y"),
    ("CSeq", "7 INVITE"),
    ("Max-Forwards", "0068"),
    ("Contact", '"A, B" <sip:a@b:5070;transport=tcp>;+sip.src, <sip:e@f>'),
    ("Route", "<sip:p;lr>,<sip:q;lr>"),
    ("Record-Route", "<sip:r;lr>"),
    ("Require", "SIPREC, timer"),
    ("Require", "100rel"),
    ("Proxy-Require", "x"),
    ("Supported", ""),
    ("Unsupported", "Y"),
    ("Allow", "INVITE,ACK , Bye"),
    ("Content-Type", "application/sdp"),
    ("Content-Disposition", "session;handling=optional"),
    ("X-Custom", "1"),
]


def request(body: bytes = b"v=0") -> Request:
    return Request("INVITE", "sip:c@d", Headers(FIELDS), body)


def test_typed_views() -> None:
    made = request()
    assert [via.transport for via in made.vias] == ["UDP", "TCP", "TLS"]
    assert made.top_via == Via.parse("SIP/2.0/UDP a;branch=z9hG4bK1")
    assert made.from_.tag == "1"
    assert made.to == NameAddr("To", "sip:c@d")
    assert made.call_id == "x@y"
    assert made.cseq == CSeq(7, "INVITE")
    assert made.max_forwards == 68
    assert [contact.display_name for contact in made.contacts] == ["A, B", None]
    assert "+sip.src" in made.contacts[0].parameters
    assert [route.uri for route in made.routes] == ["sip:p;lr", "sip:q;lr"]
    assert [route.uri for route in made.record_routes] == ["sip:r;lr"]
    assert made.require == ("siprec", "timer", "100rel")
    assert made.proxy_require == ("x",)
    assert made.supported == ()
    assert made.unsupported == ("y",)
    assert made.allow == ("INVITE", "ACK", "Bye")
    assert made.content_type is not None
    assert made.content_type.media_type == "application/sdp"
    assert made.content_disposition is not None
    assert made.content_disposition.handling == "optional"
    assert made.sip_uri().host == "d"
    assert repr(made) == "<Request INVITE sip:c@d>"


def test_absent_fields() -> None:
    empty = Request("OPTIONS", "sip:a", Headers())
    assert empty.vias == []
    assert empty.contacts == empty.routes == empty.record_routes == []
    assert empty.require == empty.allow == ()
    assert empty.max_forwards is None
    assert empty.content_type is None
    assert empty.content_disposition is None
    for name in ("top_via", "from_", "to", "call_id", "cseq"):
        with pytest.raises(RemoteProtocolError):
            getattr(empty, name)


def test_views_follow_writes() -> None:
    made = request()
    assert made.cseq is made.cseq
    made.headers.set("CSeq", "8 BYE")
    assert made.cseq == CSeq(8, "BYE")
    made.vias.clear()
    assert len(made.vias) == 3
    made.headers.insert_first("Via", "SIP/2.0/UDP new")
    assert made.top_via.host == "new"
    assert len(made.vias) == 4


def test_malformed_fields_raise_at_access_only() -> None:
    made = request()
    made.headers.set_all("Via", ["SIP/2.0/UDP a", "rubbish"])
    made.headers.set("Max-Forwards", "many")
    made.headers.set("Contact", "<")
    assert made.top_via.host == "a"
    for name in ("vias", "max_forwards", "contacts"):
        with pytest.raises(RemoteProtocolError):
            getattr(made, name)


@pytest.mark.parametrize(("text", "hops"), [("0", 0), ("255", 255), ("300", 255), ("9" * 5000, 255)])
def test_max_forwards_is_clamped(text: str, hops: int) -> None:
    assert Request("A", "sip:a", Headers([("Max-Forwards", text)])).max_forwards == hops


@pytest.mark.requirement("3261-20.14-a")
def test_content_length_is_written_once() -> None:
    made = request(b"12345")
    made.headers.add("l", "99")
    made.headers.add("Content-Length", "98")
    head, _, body = made.to_bytes().partition(b"\r\n\r\n")
    assert body == b"12345"
    assert head.count(b"Content-Length") == 1
    assert head.endswith(b"\r\nContent-Length: 5")
    assert head.startswith(b"INVITE sip:c@d SIP/2.0\r\nVia: SIP/2.0/UDP a")


@pytest.mark.requirement("3261-7-a", "3261-7.1-a")
def test_responses() -> None:
    made = Response(486, None, Headers([("To", "<sip:a@b>")]))
    assert made.to_bytes() == b"SIP/2.0 486 Busy Here\r\nTo: <sip:a@b>\r\nContent-Length: 0\r\n\r\n"
    assert Response(200, "", Headers()).to_bytes().startswith(b"SIP/2.0 200 \r\n")
    assert repr(made) == "<Response 486 Busy Here>"


@pytest.mark.parametrize(
    "made",
    [
        Request("IN VITE", "sip:a", Headers()),
        Request("", "sip:a", Headers()),
        Request("INVITE", "", Headers()),
        Request("INVITE", "sip:a b", Headers()),
        Request("INVITE", "sip:a\r\nX: y", Headers()),
        Request("INVITE", "<sip:a>", Headers()),
        Request("INVITE", "sip:\ud800", Headers()),
        Response(99, "x", Headers()),
        Response(700, "x", Headers()),
        Response(200, "a\r\nX: y", Headers()),
    ],
)
def test_start_lines_that_would_break_are_refused(made: Request | Response) -> None:
    with pytest.raises(LocalProtocolError):
        made.to_bytes()


@pytest.mark.requirement("3261-20.14-a")
@given(st.lists(st.tuples(tokens.map(lambda name: "X" + name), printable), max_size=6), st.binary(max_size=200))
def test_a_request_survives_the_wire(extra: list[tuple[str, str]], body: bytes) -> None:
    # REGISTER may have the several addresses of FIELDS.
    fields = [(name, "7 REGISTER" if name == "CSeq" else value) for name, value in FIELDS]
    made = Request("REGISTER", "sip:c@d", Headers([*fields, *extra]), body)
    read = parse_datagram(made.to_bytes(), limits=Limits(), strict=True)
    assert isinstance(read, Request)
    assert (read.method, read.uri, read.body) == (made.method, made.uri, body)
    assert [item for item in read.headers if item[0] != "Content-Length"] == list(made.headers)
    assert read.to_bytes() == made.to_bytes()


def test_malformed_from_message() -> None:
    error = RemoteProtocolError("x")
    made = request()
    first = Malformed.from_message(error, made)
    assert (first.request_method, first.is_response, first.fatal) == ("INVITE", False, False)
    assert first.headers == made.headers
    again = Malformed.from_message(error, first, fatal=True)
    assert (again.request_method, again.fatal) == ("INVITE", True)
    assert Malformed.from_message(error, Response(200, None, Headers())).is_response
    assert len(Malformed.from_message(error, None).headers) == 0
