import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding
from siprec_core.sip.fields import ContentDisposition, ContentType, CSeq, NameAddr, Via
from siprec_core.sip.parameters import Parameters
from tests.core.sip.strategies import hosts, parameters, ports, printable, quotable, tokens

ODD_TEXT = st.text('<>"\\;=,:/ \tsip@a1.[]()*\x00ä', max_size=40)


def codes(findings: list[Finding]) -> list[str]:
    return [found.code for found in findings]


def test_via() -> None:
    via = Via.parse("SIP/2.0/udp 192.0.2.1:5070;branch=z9hG4bK776;rport;received=192.0.2.9")
    assert (via.transport, via.host, via.port) == ("UDP", "192.0.2.1", 5070)
    assert via.branch == "z9hG4bK776"
    assert via.received == "192.0.2.9"
    assert via.has_rport
    assert via.rport is None
    assert str(via.with_parameter("rport", "6000")).endswith(";rport=6000;received=192.0.2.9")
    assert via.with_parameter("rport", "6000").rport == 6000
    assert via.with_parameter("rport", "70000").rport is None


@pytest.mark.requirement("3261-25-a")
@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("SIP  /   2.0 /UDP    192.0.2.2;branch=390skdjuw", "SIP/2.0/UDP 192.0.2.2;branch=390skdjuw"),
        ("SIP/2.0/TCP host   ;  branch  =   z9  ", "SIP/2.0/TCP host;branch=z9"),
        ("SIP/2.0/TLS [2001:db8::9]:5061;received=[::1]", "SIP/2.0/TLS [2001:db8::9]:5061;received=[::1]"),
        ("SIP/7.0/UNKNOWN a", "SIP/7.0/UNKNOWN a"),
        ("SIP/2.0/TCP a;alias", "SIP/2.0/TCP a;alias"),
    ],
)
def test_odd_vias_are_written_cleanly(text: str, wire: str) -> None:
    via = Via.parse(text)
    assert str(via) == wire
    assert Via.parse(wire) == via


@pytest.mark.requirement("3261-25-a")
def test_received_loses_brackets() -> None:
    assert Via.parse("SIP/2.0/UDP a;received=[2001:db8::9]").received == "2001:db8::9"
    assert Via.parse("SIP/2.0/UDP a;received=2001:db8::9").received == "2001:db8::9"
    assert Via.parse("SIP/2.0/UDP a").received is None


@pytest.mark.parametrize(
    "text",
    ["", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 a", "SIP/2.0/UDP a b", "SIP/2.0/UDP a;;", "SIP/2.0/UDP a:99999", "x"],
)
def test_malformed_vias(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        Via.parse(text)
    assert caught.value.field == "Via"


@given(tokens, hosts, ports, parameters())
def test_vias_round_trip(transport: str, host: str, port: int | None, values: Parameters) -> None:
    via = Via(transport.upper(), host, port, values)
    assert Via.parse(str(via)) == via


@pytest.mark.requirement("3261-20-a", "3261-25-a")
@pytest.mark.parametrize(
    ("text", "name", "uri", "tag"),
    [
        ('"Bob \\"B\\" C" <sip:b@c>;tag=1', 'Bob "B" C', "sip:b@c", "1"),
        ('"Bob"<sip:b@c>', "Bob", "sip:b@c", None),
        ("Bob von X <sip:b@c;lr>;tag=1;x", "Bob von X", "sip:b@c;lr", "1"),
        ("Bob<sip:b@c>", "Bob", "sip:b@c", None),
        ("<sip:b@c?x=y,z>", None, "sip:b@c?x=y,z", None),
        ("sip:b@c;tag=1;user=phone", None, "sip:b@c", "1"),
        ("sip:b@c", None, "sip:b@c", None),
        ("tel:+1-555;tag=7", None, "tel:+1-555", "7"),
        ("sip:b@c ;   tag    = 19", None, "sip:b@c", "19"),
        ("<http://example.com>;tag=1", None, "http://example.com", "1"),
        ('"\u30ec\u30b3" <sip:b@c>', "\u30ec\u30b3", "sip:b@c", None),
        ('"" <sip:b@c>', "", "sip:b@c", None),
        ("*", None, "*", None),
    ],
)
def test_addresses_that_break_no_rule(text: str, name: str | None, uri: str, tag: str | None) -> None:
    findings: list[Finding] = []
    address = NameAddr.parse(text, findings=findings)
    assert (address.display_name, address.uri, address.tag) == (name, uri, tag)
    assert findings == []
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "wire", "code"),
    [
        ('"Bob" sip:b@c;tag=1', '"Bob" <sip:b@c>;tag=1', "sip-bracket-missing"),
        ("<sip:b@c;+sip.src", "<sip:b@c;+sip.src>", "sip-bracket-unclosed"),
        ("<<sip:b@c>;+sip.src>", "<sip:b@c>;+sip.src", "sip-bracket-doubled"),
        ("<<sip:b@c>>;+sip.src", "<sip:b@c>;+sip.src", "sip-bracket-doubled"),
        ('"W, T" < sip:b@c >', '"W, T" <sip:b@c>', "sip-bracket-blanks"),
        ("W, T <sip:b@c>;tag=4", '"W, T" <sip:b@c>;tag=4', "sip-display-name"),
        ("J\xf6rg <sip:b@c>", '"J\xf6rg" <sip:b@c>', "sip-display-name"),
        ('"Mr. B <sip:b@c>', '"Mr. B" <sip:b@c>', "sip-quote-unbalanced"),
        ("b@c;tag=2", "<b@c>;tag=2", "sip-uri-no-scheme"),
        ("<sip:b@c>;;tag=2", "<sip:b@c>;tag=2", "sip-parameter-empty"),
        ("<sip:b@c>;tag=2;tag=3", "<sip:b@c>;tag=2;tag=3", "sip-parameter-repeated"),
    ],
)
def test_tolerated_addresses(text: str, wire: str, code: str) -> None:
    findings: list[Finding] = []
    assert str(NameAddr.parse(text, field="To", findings=findings)) == wire
    assert codes(findings) == ([code])
    assert all(found.where == "To" for found in findings)


@pytest.mark.requirement("3261-20-a")
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "<>",
        "Bell",
        '"open',
        "sip:a b@c",
        "sip:a@b?x=y",
        "sip:a,b@c",
        "<sip:a@b> x",
        "<sip:a>;=",
        "<sip:a@b>>",
        '"a"',
    ],
)
def test_malformed_addresses(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        NameAddr.parse(text, field="From")
    assert caught.value.field == "From"


def test_address_views() -> None:
    address = NameAddr.parse("<sip:b@c:5070;transport=tcp>")
    assert address.sip_uri().port == 5070
    assert str(address.with_tag("t")) == "<sip:b@c:5070;transport=tcp>;tag=t"
    with pytest.raises(RemoteProtocolError):
        NameAddr.parse("<tel:+1>").sip_uri()


@pytest.mark.requirement("3261-20-a")
@given(st.none() | quotable, hosts, parameters())
def test_addresses_round_trip(name: str | None, host: str, values: Parameters) -> None:
    address = NameAddr(name, f"sip:a@[{host}]" if ":" in host else f"sip:a@{host}", values)
    assert NameAddr.parse(str(address)) == address


@given(ODD_TEXT)
def test_any_address_is_read_or_refused(text: str) -> None:
    try:
        address = NameAddr.parse(text)
    except RemoteProtocolError:
        return
    findings: list[Finding] = []
    again = NameAddr.parse(str(address), findings=findings)
    assert again == address
    assert set(codes(findings)) <= {"sip-uri-no-scheme", "sip-parameter-repeated"}


@given(ODD_TEXT)
def test_any_via_is_read_or_refused(text: str) -> None:
    try:
        via = Via.parse("SIP/2.0/UDP " + text)
    except RemoteProtocolError:
        return
    assert Via.parse(str(via)) == via


@pytest.mark.parametrize(
    ("text", "number", "method"),
    [("1 INVITE", 1, "INVITE"), ("0009   INVITE", 9, "INVITE"), ("2147483647 A", 2**31 - 1, "A")],
)
def test_cseq(text: str, number: int, method: str) -> None:
    assert CSeq.parse(text) == CSeq(number, method)
    assert CSeq.parse(str(CSeq(number, method))) == CSeq(number, method)


@pytest.mark.parametrize(
    "text", ["", "1", "INVITE", "-1 A", "2147483648 A", "36893488147419103232 A", "1 A B", "1 <", "1A"]
)
def test_malformed_cseqs(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        CSeq.parse(text)


@pytest.mark.requirement("2045-5-a")
@pytest.mark.parametrize(
    ("text", "media_type", "boundary"),
    [
        ("application/sdp", "application/sdp", None),
        ("application/SDP ", "application/sdp", None),
        ("application/sdp;charset=ISO-10646", "application/sdp", None),
        ("application/sdp ;", "application/sdp", None),
        ("multipart/mixed; boundary=x", "multipart/mixed", "x"),
        ("multipart/mixed;boundary=----=_Part_1_2.3", "multipart/mixed", "----=_Part_1_2.3"),
        ('Multipart/Mixed ; Boundary="----=_Part 1 "', "multipart/mixed", "----=_Part 1"),
        ("text/plain (a comment); charset=us-ascii (another)", "text/plain", None),
        ('multipart/mixed;boundary="a(b)c" (comment)', "multipart/mixed", "a(b)c"),
        ("application / sdp", "application/sdp", None),
    ],
)
def test_content_type(text: str, media_type: str, boundary: str | None) -> None:
    read = ContentType.parse(text)
    assert read.media_type == media_type
    assert read.boundary == boundary
    assert ContentType.parse(str(read)) == read


@pytest.mark.parametrize("text", ["", "application", "application/", "/sdp", "a/b/c", "a b/c", "a/b;c=d e"])
def test_malformed_content_types(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        ContentType.parse(text)


@given(tokens, tokens, parameters(printable))
@example("0", "0", Parameters([("0", ""), ("000", "(;1=)")]))  # what looks like a comment is written in quotes
def test_content_types_round_trip(main: str, sub: str, values: Parameters) -> None:
    made = ContentType(main.lower(), sub.lower(), values)
    assert ContentType.parse(str(made)) == made


@pytest.mark.parametrize(
    ("text", "kind", "handling"),
    [
        ("session", "session", "required"),
        ("Recording-Session", "recording-session", "required"),
        ("session; handling=OPTIONAL", "session", "optional"),
        ("session;handling=required", "session", "required"),
        ("signal;handling=whatever", "signal", "required"),
    ],
)
def test_content_disposition(text: str, kind: str, handling: str) -> None:
    read = ContentDisposition.parse(text)
    assert (read.type, read.handling) == (kind, handling)
    assert ContentDisposition.parse(str(read)) == read


@given(
    st.sampled_from(
        ["<sip:a{}b@host>", "sip:a{}b@host", '"A" <sip:host;p={}>', "A<<sip:a{}@host>;tag=1>", "<sip:a@host{}"]
    ),
    st.integers(0, 0x9F).map(chr).filter(lambda character: not "\x21" <= character <= "\x7e")
    | st.sampled_from("\u2028\u2029"),
)
def test_no_address_has_a_control_character_in_its_uri(form: str, character: str) -> None:
    try:
        uri = NameAddr.parse(form.format(character)).uri
    except RemoteProtocolError:
        return
    assert character not in uri, "blanks at an end may be left out, nothing else"


@pytest.mark.parametrize("text", ["", ";handling=optional", "a b", "session;handling=a b"])
def test_malformed_content_dispositions(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        ContentDisposition.parse(text)
