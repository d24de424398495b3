import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding
from siprec_core.sip.digest_values import Challenge, Credentials, OtherScheme, other_scheme, read_digest_fields
from siprec_core.sip.headers import Headers
from tests.core.sip.strategies import printable, tokens

HASH = "8ca523f5e9506fed4657c9700eebdbec"
CREDENTIALS = f'Digest username="bob", realm="r", nonce="n", uri="sip:a", response="{HASH}"'
KNOWN_IN_CHALLENGES = frozenset(["realm", "nonce", "algorithm", "qop", "opaque", "stale", "domain", "userhash"])
KNOWN_IN_CREDENTIALS = frozenset(["username", "username*", "uri", "response", "cnonce", "nc"])
KNOWN = KNOWN_IN_CHALLENGES | KNOWN_IN_CREDENTIALS

texts = printable | st.text('"\\, =\t\udcffa', max_size=8)
other_parameters = st.lists(st.tuples(tokens, tokens), max_size=3, unique_by=lambda item: item[0].lower()).map(
    lambda items: tuple(item for item in items if item[0].lower() not in KNOWN)
)
challenges = st.builds(
    Challenge,
    realm=texts,
    nonce=texts,
    algorithm=st.none() | tokens,
    qop=st.lists(tokens, max_size=3).map(tuple),
    opaque=st.none() | texts,
    stale=st.booleans(),
    domain=st.none() | texts,
    userhash=st.booleans(),
    others=other_parameters,
)
credentials = st.builds(
    Credentials,
    username=texts,
    realm=texts,
    nonce=texts,
    uri=texts,
    response=st.text("0123456789abcdef", min_size=32, max_size=32),
    algorithm=st.none() | tokens,
    cnonce=texts,
    opaque=st.none() | texts,
    qop=st.none() | tokens,
    nc=st.text("0123456789abcdefABCDEF", min_size=8, max_size=8),
    userhash=st.booleans(),
    others=other_parameters,
)


@given(challenges)
def test_challenge_survives_writing(challenge: Challenge) -> None:
    assert Challenge.parse(str(challenge)) == challenge
    Headers([("WWW-Authenticate", str(challenge))])


@given(credentials)
def test_credentials_survive_writing(value: Credentials) -> None:
    findings: list[Finding] = []
    assert Credentials.parse(str(value), findings=findings) == value
    assert findings == []
    Headers([("Authorization", str(value))])


def test_challenge_as_it_is_written() -> None:
    challenge = Challenge(
        realm='a "b"',
        nonce="n=",
        algorithm="SHA-256",
        qop=("auth", "auth-int"),
        opaque="o",
        stale=True,
        userhash=True,
        others=(("charset", "UTF-8"),),
    )
    assert str(challenge) == (
        'Digest realm="a \\"b\\"", nonce="n=", opaque="o", stale=true, algorithm=SHA-256, qop="auth,auth-int", '
        "userhash=true, charset=UTF-8"
    )


def test_credentials_as_they_are_written() -> None:
    """8760-2.6-c, 7616-3.4-a: which values have quotes."""
    value = Credentials(
        username="bob",
        realm="r",
        nonce="n",
        uri="sip:a",
        response=HASH,
        algorithm="MD5",
        cnonce="c",
        opaque="o",
        qop="auth",
        nc="0000000a",
    )
    assert str(value) == f'{CREDENTIALS}, algorithm=MD5, cnonce="c", opaque="o", qop=auth, nc=0000000a'
    assert value.nonce_count == 10
    assert Credentials.parse(CREDENTIALS).nonce_count is None


def test_challenge_of_rfc_7616_3_9_1() -> None:
    challenge = Challenge.parse(
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    assert challenge.realm == "http-auth@example.org"
    assert challenge.qop == ("auth", "auth-int")
    assert challenge.algorithm == "MD5"
    assert challenge.opaque == "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
    assert not challenge.stale


@pytest.mark.parametrize(("text", "stale"), [("true", True), ("TRUE", True), ('"True"', True), ("false", False)])
def test_stale(text: str, stale: bool) -> None:
    assert Challenge.parse(f'Digest realm="r",nonce="n",stale={text}').stale is stale


@pytest.mark.parametrize(
    "text",
    [
        f'digest  username="bob",realm="r",nonce="n",uri="sip:a",response="{HASH}"',
        f'DIGEST username = "bob" , realm= "r",\tnonce ="n" ,uri="sip:a",response="{HASH}" ',
        f'Digest USERNAME="bob",,realm="r",nonce="n", ,uri="sip:a",response="{HASH}",',
        f' Digest username="b\\ob", realm="r", nonce="n", uri="sip:a", response="{HASH}"',
    ],
)
def test_odd_spellings(text: str) -> None:
    findings: list[Finding] = []
    assert Credentials.parse(text, findings=findings) == Credentials.parse(CREDENTIALS)
    assert findings == []


def test_wrong_quoting_is_read_and_told() -> None:
    findings: list[Finding] = []
    value = Credentials.parse(
        f'Digest username=bob,realm="r",nonce="n",uri=sip:a,response="{HASH}",algorithm="MD5",qop="auth",nc="00000001",'
        'cnonce="c"',
        findings=findings,
    )
    assert (value.uri, value.algorithm, value.qop, value.nonce_count) == ("sip:a", "MD5", "auth", 1)
    assert [found.code for found in findings] == ["digest-quoting"]
    assert findings[0].message.endswith("username, uri, algorithm, qop, nc")
    Challenge.parse('Digest realm="r",nonce="n",qop=auth,algorithm="MD5"', findings=findings)
    assert findings[1].message.endswith("qop, algorithm")


def test_extended_user_name() -> None:
    plain = "Digest username*=UTF-8''J%C3%A4s%C3%B8n%20Doe" + CREDENTIALS.removeprefix('Digest username="bob"')
    value = Credentials.parse(plain)
    assert value.username == "Jäsøn Doe"
    assert Credentials.parse(str(value)) == value


@pytest.mark.parametrize(
    "name",
    [
        "username*=bob",
        "username*=UTF-8''a, username=\"a\"",
        "username*=UTF-8''a%0d%0ab",
        "username*=UTF-8''%00",
        "username*=ISO-8859-1''a",
        "username*=UTF-8''a, userhash=true",
    ],
)
def test_malformed_extended_user_names(name: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Credentials.parse(f"Digest {name}" + CREDENTIALS.removeprefix('Digest username="bob"'))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "Digest",
        "Digest ",
        "Digest realm",
        "Digest realm=",
        'Digest realm="r"',
        'Digest realm="r", nonce="n',
        'Digest realm="r" nonce="n"',
        'Digest realm="r", nonce="n", realm="s"',
        'Digest realm="r", nonce="n", other=1, OTHER=2',
        'Digest realm="r", nonce="n", qop="au th"',
        'Digest realm="r", nonce="n", algorithm="M D"',
        'Digest realm="r", nonce="n\r\nVia: x"',
        'Digest realm="r\x00", nonce="n"',
        'Digest realm="\ud800", nonce="n"',
        'Digest, realm="r", nonce="n"',
        'Digest realm="r", nonce="n", Digest realm="s", nonce="n"',
        'Basic realm="r"',
        "\x00",
    ],
)
def test_malformed_challenges(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        Challenge.parse(text)
    assert caught.value.field == "WWW-Authenticate"
    assert caught.value.status_hint == 400


@pytest.mark.parametrize(
    "more",
    [
        f', response="{HASH}"',
        ", qop=auth",
        ', qop=auth, nc=00000001, cnonce="c", nc=00000002',
        ", qop=auth, nc=00000001",
        ', qop=auth, cnonce="c"',
        ', qop=auth, nc=1, cnonce="c"',
        ', qop=auth, nc=0000000g, cnonce="c"',
        ', qop=auth, nc=000000001, cnonce="c"',
        ", nc=\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661",
        ", username=x",
    ],
)
def test_malformed_credentials(more: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        Credentials.parse(CREDENTIALS + more)
    assert caught.value.field == "Authorization"


@pytest.mark.parametrize("name", ["username", "realm", "nonce", "uri", "response"])
def test_credentials_without_what_they_need(name: str) -> None:
    kept = [part for part in CREDENTIALS.removeprefix("Digest ").split(", ") if not part.startswith(f"{name}=")]
    with pytest.raises(RemoteProtocolError, match=f"{name} is missing"):
        Credentials.parse("Digest " + ", ".join(kept))


@pytest.mark.parametrize("response", [HASH.upper(), HASH[1:], HASH + "0", "", "x" * 32, HASH * 2 + "0"])
def test_response_is_a_hash_in_lower_case(response: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Credentials.parse(CREDENTIALS.replace(HASH, response))


def test_other_schemes_are_kept_apart() -> None:
    """RFC 4475 3.3.7 (regaut01); 8760-2.6-a: Basic is not ours."""
    assert other_scheme(CREDENTIALS) is None
    assert other_scheme("digest") is None
    for text in ("NoOneKnowsThisScheme opaque-data=here", "Basic Ym9iOnNlc2FtZQ==", "Negotiate"):
        other = other_scheme(text)
        assert other is not None
        assert str(other) == text
        assert "Ym9i" not in repr(other)
    assert other_scheme("Basic  x") == OtherScheme("Basic", "x")
    with pytest.raises(RemoteProtocolError):
        other_scheme("=")


def test_what_helps_to_guess_a_password_is_not_shown() -> None:
    shown = repr(Credentials.parse(CREDENTIALS + ', cnonce="cnonce-value"'))
    assert HASH not in shown
    assert "cnonce-value" not in shown
    assert "bob" in shown


def test_fields_are_read_each_for_itself() -> None:
    headers = Headers(
        [
            ("Authorization", "NoOneKnowsThisScheme opaque-data=here"),
            ("Authorization", "Digest username"),
            ("Authorization", CREDENTIALS),
        ]
    )
    findings: list[Finding] = []
    read, malformed = read_digest_fields(Credentials, headers, "Authorization", findings)
    assert read == [Credentials.parse(CREDENTIALS)]
    assert malformed
    assert [found.code for found in findings] == ["digest-other-scheme", "digest-malformed"]
    assert read_digest_fields(Challenge, headers, "WWW-Authenticate", findings) == ([], False)


@given(st.text('Digest realm="",=\\\t\x00\r\n*\'%éusernamonceqp1-\ud800\udc80', max_size=80))
def test_garbage_raises_nothing_else(text: str) -> None:
    for value in (text, f"Digest {text}"):
        for parse in (Challenge.parse, Credentials.parse, other_scheme):
            try:
                parse(value)
            except RemoteProtocolError:
                pass


@pytest.mark.parametrize("piece", ['"', "\\", ",", "a=", 'a="\\', "a ", "=", " ", "%"])
def test_long_garbage_is_read_once(piece: str) -> None:
    """Patterns that would go over such a text again and again would exceed the time of the whole run."""
    text = "Digest realm=" + piece * (400_000 // len(piece))
    with pytest.raises(RemoteProtocolError):
        Challenge.parse(text)
