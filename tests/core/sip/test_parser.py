import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response
from siprec_core.sip.parser import Malformed, find_header_end, parse_datagram

LIMITS = Limits()
GOOD = {
    "Via": "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa1;rport",
    "Max-Forwards": "70",
    "From": '"Source" <sip:src@example.com>;tag=f1',
    "To": "<sip:srs@example.com>",
    "Call-ID": "c1@example.com",
    "CSeq": "1 OPTIONS",
    "Contact": "<sip:src@192.0.2.1:5060>;+sip.src",
    "Content-Length": "0",
}


def wire(body: bytes = b"", **changes: str | None) -> bytes:
    """A good request, changed: `start` and `extra` are lines, every other keyword is a field (None leaves it out)."""
    start = changes.pop("start", "OPTIONS sip:srs@example.com SIP/2.0")
    extra = changes.pop("extra", "")
    fields = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [start, *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return ("\r\n".join(f"{line}" for line in lines) + f"\r\n{extra}\r\n").encode("utf-8", "surrogateescape") + body


def change(name: str, value: str | None) -> bytes:
    """A good request with one field changed."""
    changes: dict[str, str | None] = {name.replace("-", "_"): value}
    return wire(b"", **changes)


def read(data: bytes, *, strict: bool = False) -> Request | Response:
    message = parse_datagram(data, limits=LIMITS, strict=strict)
    assert isinstance(message, Request | Response)
    return message


def refuse(data: bytes, *, strict: bool = False) -> Malformed:
    message = parse_datagram(data, limits=LIMITS, strict=strict)
    assert isinstance(message, Malformed)
    return message


def codes(message: Request | Response) -> list[str]:
    return [found.code for found in message.findings]


def test_a_request() -> None:
    message = read(wire(), strict=True)
    assert isinstance(message, Request)
    assert (message.method, message.uri, message.body, message.findings) == (
        "OPTIONS",
        "sip:srs@example.com",
        b"",
        (),
    )
    assert message.top_via.has_rport
    assert read(bytes(memoryview(wire()))).call_id == "c1@example.com"
    assert isinstance(parse_datagram(memoryview(wire()), limits=LIMITS), Request)


@pytest.mark.requirement("3261-7.1-a", "3261-25-a")
def test_a_response() -> None:
    message = read(wire(start="SIP/2.0 200 Всё хорошо"), strict=True)
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (200, "Всё хорошо")
    empty = read(wire(start="SIP/2.0 100 "), strict=True)
    assert isinstance(empty, Response)
    assert empty.reason == ""
    assert isinstance(read(wire(start="sip/2.0 200 OK"), strict=True), Response)


@pytest.mark.requirement("5626-8-a")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b"\0\0\0\0",
        b" ",
        b"\r\n" * 50,
        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + b"\x07" * 12,
    ],
)
def test_keep_alive_datagrams(data: bytes) -> None:
    assert parse_datagram(data, limits=LIMITS) is None


@pytest.mark.parametrize("data", [b"x", b"\x16\x03\x01\x02\x00", b"\x01\x02", b"\r\nx", b"OPTIONS", b"\xff" * 300])
def test_garbage_is_malformed(data: bytes) -> None:
    refuse(data)


@pytest.mark.requirement("3261-7.5-a")
def test_line_ends_before_the_start_line_are_skipped() -> None:
    assert read(b"\r\n\r\n" + wire()).call_id == "c1@example.com"


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
@pytest.mark.parametrize("value", [None, ""])
def test_mandatory_fields(name: str, value: str | None) -> None:
    malformed = refuse(change(name, value))
    assert malformed.error.field == name
    assert malformed.error.status_hint == 400
    assert malformed.request_method == "OPTIONS"
    assert not malformed.is_response
    assert len(malformed.headers) >= 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Via", "SIP/2.0/UDP 192.0.2.15;;,;,,"),
        ("From", "Bell"),
        ("To", "<sip:a b@c>"),
        ("CSeq", "1"),
        ("CSeq", "-1 OPTIONS"),
        ("CSeq", "2147483648 OPTIONS"),
        ("CSeq", "36893488147419103232 OPTIONS"),
        ("CSeq", "1 INVITE"),
        ("CSeq", "1 options"),
        ("Content-Length", "-999"),
        ("Content-Length", "1x"),
        ("Content-Length", ""),
        ("Content-Length", "9" * 400),
    ],
)
def test_malformed_mandatory_fields(name: str, value: str) -> None:
    malformed = refuse(change(name, value))
    assert malformed.error.field == name
    assert malformed.error.status_hint == 400


@pytest.mark.parametrize("field", ["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type"])
def test_single_fields_with_two_values(field: str) -> None:
    data = wire(Content_Type="text/plain", extra=f"{field}: 5 OPTIONS\r\n")
    assert refuse(data).error.field == field


def test_the_same_value_twice_is_told() -> None:
    data = wire(extra="Call-ID: c1@example.com\r\nl: 0\r\n")
    assert codes(read(data)) == ["sip-repeated-field", "sip-repeated-field"]
    assert refuse(data, strict=True).error.field in {"Call-ID", "Content-Length"}


def test_two_content_lengths() -> None:
    assert refuse(wire(extra="Content-Length: 5\r\n", body=b"12345")).error.field == "Content-Length"


@pytest.mark.requirement("3261-7.1-a")
@pytest.mark.parametrize("version", ["SIP/7.0", "sip/3.0", "SIP/2.00"])
def test_other_versions_are_505(version: str) -> None:
    malformed = refuse(wire(start=f"OPTIONS sip:a@b {version}", CSeq="rubbish"))
    assert malformed.error.status_hint == 505
    assert malformed.headers.get("Call-ID") == "c1@example.com"


@pytest.mark.requirement("3261-7.1-b")
@pytest.mark.parametrize(
    "start",
    [
        "OPTIONS",
        "OPTIONS sip:a@b",
        "OPTIONS <sip:a@b> SIP/2.0",
        "OPTIONS sip:a@b; lr SIP/2.0",
        "OPTIONS a@b SIP/2.0",
        "OPTIONS sip:\x07 SIP/2.0",
        "OPTIONS sip:a@b HTTP/1.1",
        "OP(TIONS sip:a@b SIP/2.0",
        " OPTIONS sip:a@b SIP/2.0",
    ],
)
def test_malformed_request_lines(start: str) -> None:
    malformed = refuse(wire(start=start))
    assert malformed.error.status_hint == 400
    assert malformed.error.line == 1
    assert not malformed.is_response
    assert malformed.headers.get("Via") == GOOD["Via"]


@pytest.mark.parametrize(
    "start", ["SIP/2.0", "SIP/2.0 4294967301 x", "SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 2x0 x", "SIP/ 200 x"]
)
def test_malformed_status_lines(start: str) -> None:
    malformed = refuse(wire(start=start))
    assert malformed.is_response
    assert malformed.request_method is None


def test_other_schemes_and_methods_are_no_errors_here() -> None:
    assert isinstance(read(wire(start="OPTIONS nobody:knows SIP/2.0")), Request)
    assert isinstance(read(wire(start="RE%47!~ sip:a@b SIP/2.0", CSeq="1 RE%47!~")), Request)


@pytest.mark.requirement("3261-7.3.1-c")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"start": "OPTIONS  sip:a@b  SIP/2.0"}, "sip-start-line-blanks"),
        ({"start": "OPTIONS sip:a@b SIP/2.0  "}, "sip-start-line-blanks"),
        ({"start": "SIP/2.0 200"}, "sip-start-line-blanks"),
        ({"start": "OPTIONS sip:a@b?Route=%3Csip:c%3E SIP/2.0"}, "sip-uri-headers"),
        ({"From": '"A" sip:a@b;tag=1'}, "sip-bracket-missing"),
        ({"To": "Watson, T <sip:a@b>"}, "sip-display-name"),
        ({"Contact": "<sip:a@b;+sip.src"}, "sip-bracket-unclosed"),
        ({"Contact": "<<sip:a@b>;+sip.src>"}, "sip-bracket-doubled"),
        ({"Contact": "sip:a@b?Route=c"}, "sip-contact-malformed"),
        ({"Via": "SIP/2.0/UDP a;branch=1;branch=2"}, "sip-parameter-repeated"),
    ],
)
def test_deviations_are_told_or_refused(changes: dict[str, str | None], code: str) -> None:
    data = wire(b"", **changes)
    assert codes(read(data)) == [code]
    refuse(data, strict=True)


@pytest.mark.parametrize("extra", ["", "Contact: <sip:b@192.0.2.2>\r\n"])
@pytest.mark.parametrize(("method", "odd"), [("INVITE", True), ("UPDATE", True), ("REGISTER", False)])
def test_several_contacts_are_told_where_one_is_due(method: str, odd: bool, extra: str) -> None:
    contact = "<sip:a@192.0.2.1>" if extra else "<sip:a@192.0.2.1>, <sip:b@192.0.2.2>"
    data = wire(start=f"{method} sip:a@b SIP/2.0", CSeq=f"1 {method}", Contact=contact, extra=extra)
    message = read(data)
    assert codes(message) == ["sip-contact-malformed"] * odd
    assert len(message.contacts) == 2
    if odd:
        refuse(data, strict=True)
    redirect = read(wire(start="SIP/2.0 302 Moved", CSeq="1 INVITE", Contact=contact, extra=extra))
    assert codes(redirect) == []


@pytest.mark.requirement("3261-7-a")
def test_bare_lf() -> None:
    data = wire(Content_Length="8", body=b"a\nb\r\nc\n\n").replace(b"OPTIONS\r\n", b"OPTIONS\n")
    message = read(data)
    assert message.body == b"a\nb\r\nc\n\n"
    assert codes(message) == ["sip-bare-lf"]
    assert refuse(data, strict=True).error.status_hint == 400
    only_lf = wire().replace(b"\r\n", b"\n")
    assert read(only_lf).call_id == "c1@example.com"


@pytest.mark.parametrize("value", ["1   OPTIONS", "0001 OPTIONS"])
def test_padded_numbers_are_fine(value: str) -> None:
    data = wire(CSeq=value, Max_Forwards="0068", Content_Length=" 000")
    assert read(data, strict=True).cseq.number == 1
    assert read(data.replace(b"CSeq: ", b"CSeq:"), strict=True).max_forwards == 68


@pytest.mark.requirement("3261-7.3.1-a")
def test_blanks_before_the_colon_are_legal() -> None:
    message = read(wire().replace(b"To:", b"To \t:").replace(b"Via:", b"v  :"), strict=True)
    assert codes(message) == ["sip-blank-before-colon"] * 2


@pytest.mark.requirement("3261-18.3-a")
def test_bodies_of_datagrams() -> None:
    assert read(wire(Content_Length=None, body=b"rest")).body == b"rest"
    assert read(wire(Content_Length="4", body=b"rest")).body == b"rest"
    cut = read(wire(Content_Length="4", body=b"rest and noise"), strict=True)
    assert cut.body == b"rest"
    assert codes(cut) == ["sip-excess-octets"]
    short = refuse(wire(Content_Length="5", body=b"rest"))
    assert short.error.status_hint == 400
    assert short.error.field == "Content-Length"
    assert short.headers.get("Call-ID") == "c1@example.com"
    assert refuse(wire(start="SIP/2.0 200 OK", Content_Length="5")).is_response


def test_a_header_without_end() -> None:
    malformed = refuse(wire()[:-2])
    assert malformed.error.status_hint == 400
    assert malformed.request_method == "OPTIONS"
    assert malformed.headers.get("Call-ID") == "c1@example.com"


def test_limits() -> None:
    limits = Limits(hops=3, header_block_size=1_000, datagram_size=2_000, header_field_size=600)

    def status(data: bytes) -> int:
        message = parse_datagram(data, limits=limits)
        assert isinstance(message, Malformed)
        return message.error.status_hint

    assert isinstance(parse_datagram(wire(), limits=limits), Request)
    assert status(wire(Subject="x" * 1_000)) == 513
    assert status(wire(Subject="x" * 600)) == 400
    assert status(wire(Content_Length=None, body=b"x" * 2_000)) == 513
    assert status(wire(Via="SIP/2.0/UDP a,SIP/2.0/UDP b", extra="v: SIP/2.0/UDP c,SIP/2.0/UDP d\r\n")) == 483
    assert status(wire(Route="<sip:a>,<sip:b>,<sip:c>,<sip:d>")) == 400
    quoted = wire(Contact='"a,b,c,d" <sip:a@b>')
    assert isinstance(parse_datagram(quoted, limits=limits), Request)


def test_findings_of_one_kind_and_place_are_told_once() -> None:
    message = read(wire(To="<sip:a@b>" + ";" * 4_000))
    assert codes(message) == ["sip-parameter-empty"]


def test_what_was_read_is_kept_for_the_message() -> None:
    message = read(wire())
    assert message.top_via is message.top_via
    assert message.from_ is message.from_
    assert message.contacts[0].uri == "sip:src@192.0.2.1:5060"


def test_a_quoted_nul_can_be_answered() -> None:
    message = read(wire(To='"NUL:\\\x00" <sip:a@b>'))
    answer = Response(
        501, None, Headers([("To", message.headers.get("To") or ""), ("X", str(message.to.with_tag("t")))])
    )
    assert b"\\\x00" in answer.to_bytes()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\r\n\r\nb", (1, 5)),
        (b"a\n\nb", (1, 3)),
        (b"a\n\r\nb", (1, 4)),
        (b"a\r\n\nb", (1, 4)),
        (b"a\nb\n\nc\r\n\r\n", (3, 5)),
        (b"a\r\nb", None),
        (b"\r\n\r\n", (0, 4)),
        (b"", None),
    ],
)
def test_find_header_end(data: bytes, expected: tuple[int, int] | None) -> None:
    assert find_header_end(data, 0, len(data)) == expected


LINES = st.sampled_from(
    [f"{name}: {value}" for name, value in GOOD.items()] + ["OPTIONS sip:a SIP/2.0", "", " fold", "x"]
)


@given(
    st.binary(max_size=200) | st.lists(LINES, max_size=14).map(lambda lines: "\r\n".join(lines).encode()), st.booleans()
)
def test_nothing_raises(data: bytes, strict: bool) -> None:
    message = parse_datagram(data, limits=LIMITS, strict=strict)
    if message is not None:
        Headers(message.headers)


@given(st.data())
def test_a_damaged_message_never_raises(data: st.DataObject) -> None:
    whole = bytearray(wire(Content_Length="4", body=b"body"))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.integers(0, len(whole))) :]
    message = parse_datagram(bytes(whole), limits=LIMITS)
    if isinstance(message, Request | Response):
        assert isinstance(parse_datagram(message.to_bytes(), limits=LIMITS), Request | Response)
