import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.grammar import unescape
from siprec_core.sip.uri import SipUri, same_uri
from siprec_core.types import Transport
from tests.core.sip.strategies import hosts, ports

USER_CHARACTERS = "aB9-_.!~*'()&=+$,;?/"


@pytest.mark.requirement("3261-19.1-a")
def test_all_elements() -> None:
    uri = SipUri.parse("SIPS:Alice:pw@Example.COM:5061;transport=tcp;lr?Subject=hi&To=x")
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == ("sips", "Alice", "pw", "example.com", 5061)
    assert uri.parameters.get("transport") == "tcp"
    assert "lr" in uri.parameters
    assert uri.headers == "Subject=hi&To=x"


@pytest.mark.requirement("3261-19.1-a")
@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:example.com", None, "example.com", None),
        ("sip:@example.com", "", "example.com", None),
        ("sip:%00@example.com", "%00", "example.com", None),
        ("sip:a;b=c%40d@example.com", "a;b=c%40d", "example.com", None),
        ("sip:what?ever@example.com:99", "what?ever", "example.com", 99),
        ("sip:[2001:DB8::10:5070]", None, "2001:db8::10:5070", None),
        ("sip:u@[2001:db8::10]:5070", "u", "2001:db8::10", 5070),
        ("sip:+15551234@10.0.0.1;user=phone", "+15551234", "10.0.0.1", None),
    ],
)
def test_users_and_hosts(text: str, user: str | None, host: str, port: int | None) -> None:
    uri = SipUri.parse(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)
    assert SipUri.parse(str(uri)) == uri


def test_a_feature_tag_inside_the_brackets_stays_visible() -> None:
    assert "+sip.src" in SipUri.parse("sip:src@192.0.2.1:5060;transport=tcp;+sip.src").parameters


@pytest.mark.parametrize("text", ["tel:+1555", "http://example.com", "isbn:2983792873", "soap.beep://192.0.2.1:3002"])
def test_other_schemes_are_416(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        SipUri.parse(text)
    assert caught.value.status_hint == 416


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        ":x",
        "1sip:x",
        "sip:a b@c",
        "sip:a@",
        "sip:a@b:c",
        "sip:a@b:70000",
        "sip:2001:db8::10",
        "sip:[2001:db8:::192.0.2.1]",
        "sip:a@b;x=<",
        "sip:a@b?x=\x01",
        "sip:%zz@b",
        "sip:a@b@c",
        "sip:a@\x00",
        "sip:[::1",
        "sip:[fe80::1%eth0]",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        SipUri.parse(text)
    assert caught.value.status_hint == 400


def test_empty_parameters_are_left_out() -> None:
    assert str(SipUri.parse("sip:a;;lr;")) == "sip:a;lr"


@pytest.mark.parametrize(
    ("text", "transport"),
    [
        ("sip:a", None),
        ("sip:a;transport=TCP", Transport.TCP),
        ("sip:a;transport=udp", Transport.UDP),
        ("sip:a;transport=tls", Transport.TLS),
        ("sip:a;transport=sctp", None),
        ("sip:a;transport", None),
        ("sips:a;transport=tcp", Transport.TLS),
    ],
)
def test_transport(text: str, transport: Transport | None) -> None:
    assert SipUri.parse(text).transport is transport


@pytest.mark.requirement("3261-19.1-a")
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        ("sip:a@b;x=1;lr", "sip:a@b;lr;X=1"),
        ("sip:a@b?Subject=x&To=y", "sip:a@b?to=y&subject=x"),
        ("sip:[2001:db8:0::1]", "sip:[2001:DB8::1]"),
    ],
)
def test_same(a: str, b: str) -> None:
    assert same_uri(SipUri.parse(a), SipUri.parse(b))
    assert same_uri(SipUri.parse(b), SipUri.parse(a))


@pytest.mark.requirement("3261-19.1-a")
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("sip:ALICE@b", "sip:alice@b"),
        ("sip:a@b", "sips:a@b"),
        ("sip:a@b", "sip:a@b:5060"),
        ("sip:a@b", "sip:a@b;transport=udp"),
        ("sip:a@b", "sip:a@b;user=phone"),
        ("sip:a@b", "sip:a@b;maddr=c"),
        ("sip:a@b;ttl=1", "sip:a@b;ttl=2"),
        ("sip:a@b;x=1", "sip:a@b;x=2"),
        ("sip:a@b", "sip:a@b?Subject=x"),
        ("sip:a@b?Subject=x", "sip:a@b?Subject=X"),
        ("sip:a:p@b", "sip:a:q@b"),
        ("sip:a@b", "sip:b"),
    ],
)
def test_different(a: str, b: str) -> None:
    assert not same_uri(SipUri.parse(a), SipUri.parse(b))
    assert not same_uri(SipUri.parse(b), SipUri.parse(a))


@given(
    st.sampled_from(["sip", "sips"]),
    st.none() | st.text(USER_CHARACTERS, max_size=8),
    hosts,
    ports,
    st.lists(st.sampled_from([";lr", ";transport=tcp", ";x=%41", ";+sip.src", ";a=[::1]"]), max_size=3),
    st.none() | st.sampled_from(["", "a=b", "a=b&c=d"]),
)
def test_round_trip(
    scheme: str, user: str | None, host: str, port: int | None, parameters: list[str], headers: str | None
) -> None:
    at = "" if user is None else f"{user}@"
    shown = f"[{host}]" if ":" in host else host
    text = f"{scheme}:{at}{shown}{'' if port is None else f':{port}'}{''.join(parameters)}"
    text += "" if headers is None else f"?{headers}"
    uri = SipUri.parse(text)
    assert str(uri) == text
    assert same_uri(uri, uri)
    assert uri.user is None or unescape(uri.user) == user


@given(st.text("sip:@;=?&[]%41ab. \x00\u00e4", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        uri = SipUri.parse("sip:" + text)
    except RemoteProtocolError:
        return
    assert SipUri.parse(str(uri)) == uri
