"""Challenger and responder against each other, and each against what a hostile peer sends."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.entropy import Entropy
from siprec_core.errors import ConfigurationError
from siprec_core.findings import Finding
from siprec_core.limits import Limits
from siprec_core.sip.digest import (
    ALGORITHMS,
    Authenticated,
    Authentication,
    Challenge,
    Challenger,
    Credentials,
    Refusal,
    Responder,
    Secret,
    Unauthenticated,
    may_challenge,
    set_credentials,
)
from siprec_core.sip.digest_hash import Algorithm, digest_response
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response
from siprec_core.sip.parser import parse_datagram
from tests.core.sip.strategies import printable

REALM, URI, USER, PASSWORD = "recorder.example", "sip:srs@recorder.example", "alice", "open sesame"
Fields = tuple[tuple[str, str], ...]


def seeded(seed: bytes = b"") -> Entropy:
    """Octets that never repeat, the same in each run."""
    state = seed

    def entropy(size: int) -> bytes:
        nonlocal state
        state = hashlib.sha256(state).digest()
        return (state * (size // 32 + 1))[:size]

    return entropy


def challenger(
    *,
    users: dict[str, Secret] | None = None,
    algorithms: Sequence[str] = ("SHA-256", "MD5"),
    qop: Sequence[str] = ("auth",),
    allow_no_qop: bool = False,
    allow_any_uri: bool = False,
    limits: Limits = Limits(),
) -> Challenger:
    return Challenger(
        REALM,
        users={USER: Secret(PASSWORD)} if users is None else users,
        key=b"k" * 32,
        entropy=seeded(b"challenger"),
        algorithms=algorithms,
        qop=qop,
        nonce_seconds=60.0,
        allow_no_qop=allow_no_qop,
        allow_any_uri=allow_any_uri,
        limits=limits,
    )


def responder(username: str = USER, password: str | Secret = PASSWORD, *, realm: str | None = None) -> Responder:
    return Responder(username, password, entropy=seeded(b"responder"), realm=realm)


def request(fields: Fields = (), *, method: str = "INVITE", uri: str = URI, body: bytes = b"") -> Request:
    made = Request(method, uri, Headers(), body)
    set_credentials(made.headers, fields)
    return made


def unauthorized(*challenges: Challenge | str, status: int = 401, name: str = "WWW-Authenticate") -> Response:
    return Response(status, None, Headers([(name, str(challenge)) for challenge in challenges]))


def challenged(server: Challenger, *, stale: bool = False, now: float = 0.0) -> Response:
    return unauthorized(*server.challenges(stale=stale, now=now))


def answered(server: Challenger, client: Responder, *, uri: str = URI, body: bytes = b"", now: float = 0.0) -> Request:
    first = request(uri=uri, body=body)
    fields = client.answer(challenged(server, now=now), first)
    assert fields is not None
    return request(fields, uri=uri, body=body)


def credentials_of(value: Request) -> Credentials:
    return Credentials.parse(value.headers.get("Authorization") or "")


def refusal(result: Authentication) -> tuple[Refusal, bool]:
    assert isinstance(result, Unauthenticated)
    return result.reason, result.stale


def codes(result: Authentication) -> list[str]:
    return [found.code for found in result.findings]


# ---- the two sides against each other


@given(
    username=printable,
    password=st.text(st.characters(codec="utf-8"), max_size=12),
    algorithm=st.sampled_from(ALGORITHMS),
    qop=st.sampled_from([("auth",), ("auth-int",), ("auth", "auth-int"), ("auth-int", "auth")]),
    uri=st.sampled_from([URI, "sip:[2001:db8::1]:5070;transport=tcp", "sips:a@b?x=y", "tel:+1", 'sip:"odd\\"@a']),
    body=st.binary(max_size=20),
    start=st.floats(-1e6, 1e6),
    age=st.floats(0, 59.9),
)
def test_answer_to_a_challenge_authenticates(
    username: str,
    password: str,
    algorithm: str,
    qop: tuple[str, ...],
    uri: str,
    body: bytes,
    start: float,
    age: float,
) -> None:
    """3261-22-b, 7616-3.4-a, 8760-2.6-c."""
    server = challenger(users={username: Secret(password)}, algorithms=(algorithm,), qop=qop)
    client = responder(username, password)
    first = answered(server, client, uri=uri, body=body, now=start)
    assert server.check(first, now=start + age) == Authenticated(user=username)
    for method in ("UPDATE", "BYE"):  # later requests go without a challenge
        later = request(client.authorise(method, uri, body), method=method, uri=uri, body=body)
        assert server.check(later, now=start + age) == Authenticated(user=username)


def test_credentials_survive_the_wire() -> None:
    server, client = challenger(users={"Jäs \\ön": Secret(PASSWORD)}), responder("Jäs \\ön")
    sent = answered(server, client)
    sent.headers.add("Via", "SIP/2.0/UDP a;branch=z9hG4bKa")
    sent.headers.add("From", "<sip:a@b>;tag=1")
    sent.headers.add("To", "<sip:a@b>")
    sent.headers.add("Call-ID", "a")
    sent.headers.add("CSeq", "1 INVITE")
    received = parse_datagram(sent.to_bytes(), limits=Limits())
    assert isinstance(received, Request)
    assert server.check(received, now=0.0) == Authenticated(user="Jäs \\ön")


@given(
    part=st.sampled_from(["response", "nonce", "uri", "realm", "username", "cnonce", "nc"]),
    at=st.integers(0, 100),
    flip=st.integers(1, 127),
    algorithm=st.sampled_from(ALGORITHMS),
)
def test_altered_credentials_never_authenticate(part: str, at: int, flip: int, algorithm: str) -> None:
    server, client = challenger(algorithms=(algorithm,)), responder()
    sent = credentials_of(answered(server, client))
    value = getattr(sent, part)
    at %= len(value)
    altered = replace(sent, **{part: value[:at] + chr(ord(value[at]) ^ flip) + value[at + 1 :]})
    forged = Request("INVITE", URI, Headers.from_parsed([("Authorization", str(altered))]))
    assert isinstance(server.check(forged, now=0.0), Unauthenticated)
    # What was forged has used nothing up.
    assert server.check(request((("Authorization", str(sent)),)), now=0.0) == Authenticated(user=USER)


def test_credentials_are_for_one_method_uri_and_with_auth_int_one_body() -> None:
    server = challenger(qop=("auth-int",))
    sent = answered(server, responder(), body=b"v=0")
    fields = (("Authorization", sent.headers.get("Authorization") or ""),)
    for other in (
        request(fields, method="BYE", body=b"v=0"),
        request(fields, body=b"v=1"),
        request(fields),
    ):
        assert refusal(server.check(other, now=0.0)) == (Refusal.WRONG, False)
    assert refusal(server.check(request(fields, uri="sip:other@a", body=b"v=0"), now=0.0)) == (Refusal.URI, False)
    assert isinstance(server.check(sent, now=0.0), Authenticated)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_no_request_authenticates_twice(order: list[int]) -> None:
    """7616-3.4-a: requests may overtake each other, but a replayed nonce count never passes."""
    server, client = challenger(), responder()
    sent = [answered(server, client)] + [request(client.authorise("INVITE", URI)) for _ in range(9)]
    seen: set[int] = set()
    for index in order:
        result = server.check(sent[index], now=1.0)
        if index in seen:
            assert refusal(result) == (Refusal.REPLAYED, True)
            assert codes(result) == ["digest-replay"]
        else:
            assert isinstance(result, Authenticated)
        seen.add(index)


@given(st.floats(60.01, 1e6))
def test_expired_nonce_is_stale_and_the_client_goes_on(age: float) -> None:
    server, client = challenger(), responder()
    late = answered(server, client)
    assert refusal(server.check(late, now=age)) == (Refusal.NONCE, True)
    fields = client.answer(challenged(server, stale=True, now=age), late)
    assert fields is not None
    assert isinstance(server.check(request(fields), now=age), Authenticated)


def test_wrong_password_ends_after_one_answer() -> None:
    server, client = challenger(), responder(password="wrong")
    sent = answered(server, client)
    result = server.check(sent, now=0.0)
    assert refusal(result) == (Refusal.WRONG, False)
    assert isinstance(result, Unauthenticated)
    assert result.status == 401
    assert client.answer(challenged(server), sent) is None
    assert client.authorise("INVITE", URI) == ()


@pytest.mark.parametrize("stale", [[True] * 20, [False] * 20, [False] + [True] * 20])
@pytest.mark.parametrize("used_before", [False, True])
def test_attempts_for_one_request_end_whatever_the_server_says(stale: list[bool], used_before: bool) -> None:
    server, client = challenger(), responder()
    sent = request()
    if used_before:
        answered(server, client)
        sent = request(client.authorise("INVITE", URI))
    answers = 0
    for flag in stale:
        fields = client.answer(challenged(server, stale=flag), sent)
        if fields is None:
            break
        answers += 1
        sent = request(fields)
    assert answers <= 2


def test_attempts_end_with_a_server_that_has_a_new_realm_each_time() -> None:
    client = Responder(USER, PASSWORD, entropy=seeded(), limits=Limits(digest_realms=3))
    sent = request()
    for number in range(3):
        fields = client.answer(unauthorized(f'Digest realm="r{number}", nonce="n", qop="auth"'), sent)
        assert fields is not None
        assert len(fields) == number + 1
        sent = request(fields)
    assert client.answer(unauthorized('Digest realm="r3", nonce="n", qop="auth"'), sent) is None
    many = unauthorized(*(f'Digest realm="x{number}", nonce="n"' for number in range(9)))
    assert Responder(USER, PASSWORD, entropy=seeded()).answer(many, request()) is None


def test_attempts_end_when_requests_of_one_dialog_are_rejected_in_turns() -> None:
    """The server tells each of two requests the nonce of the other one, as if that were new."""
    client = responder()
    rejected = []
    for number in (1, 2):
        fields = client.answer(unauthorized(f'Digest realm="r", nonce="{number}", qop="auth"'), request())
        assert fields is not None
        rejected.append(request(fields))
    answers = 0
    for number in range(2, 40):
        if not rejected:
            break
        turn = number % len(rejected)
        for challenge in (f'nonce="{number}", stale=true', f'nonce="{number + 1}"'):
            fields = client.answer(unauthorized(f'Digest realm="r", qop="auth", {challenge}'), rejected[turn])
            if fields is None:
                del rejected[turn]
                break
            answers += 1
            rejected[turn] = request(fields)
    assert rejected == []
    assert answers <= 4


# ---- the server


def test_challenges_are_ordered_fresh_and_have_qop() -> None:
    """8760-2.1-a, 8760-2.6-b, 7616-5-a."""
    server = challenger(algorithms=("SHA-256", "MD5", "MD5-sess"), qop=("auth", "auth-int"))
    first, second = server.challenges(now=0.0), server.challenges(stale=True, now=0.0)
    assert [challenge.algorithm for challenge in first] == ["SHA-256", "MD5", "MD5-sess"]
    assert len({challenge.nonce for challenge in first + second}) == 6
    assert {challenge.realm for challenge in first} == {REALM}
    assert {challenge.qop for challenge in first} == {("auth", "auth-int")}
    assert [challenge.stale for challenge in first + second] == [False] * 3 + [True] * 3


def test_ack_and_cancel_are_never_challenged() -> None:
    """3261-22-a."""
    assert not may_challenge("ACK")
    assert not may_challenge("CANCEL")
    assert may_challenge("INVITE")
    assert may_challenge("BYE")


def test_request_without_credentials() -> None:
    server = challenger()
    assert refusal(server.check(request(), now=0.0)) == (Refusal.NO_CREDENTIALS, False)


def test_unknown_scheme_is_no_credentials() -> None:
    """RFC 4475 3.3.7 (regaut01)."""
    result = challenger().check(request((("Authorization", "NoOneKnowsThisScheme opaque-data=here"),)), now=0.0)
    assert refusal(result) == (Refusal.NO_CREDENTIALS, False)
    assert codes(result) == ["digest-other-scheme"]


def test_basic_is_refused() -> None:
    """8760-2.6-a."""
    result = challenger().check(request((("Authorization", "Basic YWxpY2U6b3BlbiBzZXNhbWU="),)), now=0.0)
    assert refusal(result) == (Refusal.NO_CREDENTIALS, False)
    assert "YWxp" not in repr(result)


def test_malformed_credentials_deserve_400() -> None:
    result = challenger().check(request((("Authorization", "Digest username"),)), now=0.0)
    assert refusal(result) == (Refusal.MALFORMED, False)
    assert isinstance(result, Unauthenticated)
    assert result.status == 400
    assert codes(result) == ["digest-malformed"]


def test_credentials_for_our_realm_are_found_among_others() -> None:
    server, client = challenger(), responder()
    ours = answered(server, client).headers.get("Authorization") or ""
    others = (
        ("Authorization", ours.replace(REALM, "elsewhere")),
        ("Authorization", "Digest username"),
        ("Authorization", "Other x"),
        ("Authorization", ours.replace("algorithm=SHA-256", "algorithm=AKAv1-MD5")),
        ("Proxy-Authorization", ours.replace(REALM, "proxy")),
    )
    assert refusal(server.check(request(others[:1]), now=0.0)) == (Refusal.NO_CREDENTIALS, False)
    assert refusal(server.check(request(others[3:]), now=0.0)) == (Refusal.ALGORITHM, False)
    assert isinstance(server.check(request((*others, ("Authorization", ours))), now=0.0), Authenticated)


def test_only_one_response_is_computed_for_many_credentials() -> None:
    asked = []

    def users(name: str) -> Secret | None:
        asked.append(name)
        return Secret(PASSWORD)

    server = Challenger(REALM, users=users, key=b"k" * 16, entropy=seeded())
    field = answered(server, responder(password="wrong")).headers.get("Authorization") or ""
    assert refusal(server.check(request((("Authorization", field),) * 50), now=0.0)) == (Refusal.WRONG, False)
    assert asked == [USER]


@pytest.mark.parametrize("algorithm", ["SHA-512", "MD5-sess", "SHA-256-sess", "AKAv2-SHA-256"])
def test_algorithm_that_was_not_offered(algorithm: str) -> None:
    server, client = challenger(), responder()
    sent = replace(credentials_of(answered(server, client)), algorithm=algorithm)
    assert refusal(server.check(request((("Authorization", str(sent)),)), now=0.0)) == (Refusal.ALGORITHM, False)


def test_nonce_for_one_algorithm_is_no_nonce_for_a_weaker_one() -> None:
    server = challenger()
    strong, weak = server.challenges(now=0.0)
    assert Algorithm.named(weak.algorithm) is Algorithm.MD5
    fields = responder().answer(unauthorized(replace(strong, algorithm="MD5")), request())
    assert fields is not None
    assert refusal(server.check(request(fields), now=0.0)) == (Refusal.NONCE, True)
    fields = responder().answer(unauthorized(weak), request())
    assert fields is not None
    assert isinstance(server.check(request(fields), now=0.0), Authenticated)


def test_credentials_without_algorithm_mean_md5() -> None:
    server = challenger()
    challenge = replace(server.challenges(now=0.0)[1], algorithm=None)
    fields = responder().answer(unauthorized(challenge), request())
    assert fields is not None
    assert "algorithm" not in fields[0][1]
    assert isinstance(server.check(request(fields), now=0.0), Authenticated)


def test_quality_of_protection_that_was_not_offered() -> None:
    server = challenger(qop=("auth",))
    challenge = replace(server.challenges(now=0.0)[0], qop=("auth-int",))
    fields = responder().answer(unauthorized(challenge), request())
    assert fields is not None
    assert refusal(server.check(request(fields), now=0.0)) == (Refusal.QOP, False)


def legacy(server: Challenger, client: Responder) -> Request:
    challenge = replace(server.challenges(now=0.0)[-1], qop=())
    fields = client.answer(unauthorized(challenge), request())
    assert fields is not None
    return request(fields)


def test_credentials_without_qop_are_refused_unless_allowed() -> None:
    """8760-2.6-b."""
    for algorithm in ("MD5", "MD5-sess"):
        server = challenger(algorithms=(algorithm,))
        result = server.check(legacy(server, responder()), now=0.0)
        assert refusal(result) == (Refusal.QOP, False)
        assert codes(result) == ["digest-no-qop"]
        server = challenger(algorithms=(algorithm,), allow_no_qop=True)
        sent = legacy(server, responder())
        assert "nc=" not in (sent.headers.get("Authorization") or "")
        assert codes(server.check(sent, now=0.0)) == ["digest-no-qop"]
        # Nothing counts such answers: a nonce takes one.
        assert refusal(server.check(sent, now=0.0)) == (Refusal.REPLAYED, True)


def test_session_algorithm_without_qop_needs_a_cnonce() -> None:
    server = challenger(algorithms=("MD5-sess",), allow_no_qop=True)
    sent = replace(credentials_of(legacy(server, responder())), cnonce=None)
    assert refusal(server.check(request((("Authorization", str(sent)),)), now=0.0)) == (Refusal.MALFORMED, False)


def test_equivalent_uris_are_the_same() -> None:
    server, client = challenger(), responder()
    sent = answered(server, client, uri="sip:srs@Recorder.Example:5060;lr")
    sent.uri = "SIP:srs@recorder.example:5060"
    assert server.check(sent, now=0.0) == Authenticated(user=USER)


@pytest.mark.parametrize("uri", ["sip:other@recorder.example", "tel:+1", "", "\x00"])
def test_other_uri_is_refused_unless_allowed(uri: str) -> None:
    for allowed in (False, True):
        server, client = challenger(allow_any_uri=allowed), responder()
        sent = answered(server, client)
        sent.uri = uri
        result = server.check(sent, now=0.0)
        assert codes(result) == ["digest-other-uri"]
        if allowed:
            assert isinstance(result, Authenticated)
        else:
            assert refusal(result) == (Refusal.URI, False)
            assert isinstance(result, Unauthenticated)
            assert result.status == 400


def test_unknown_user_is_told_as_a_wrong_password() -> None:
    server = challenger()
    for username in ("mallory", ""):
        # The empty password is what stands in for a secret that is not there.
        for password in (PASSWORD, ""):
            sent = answered(server, responder(username, password))
            assert refusal(server.check(sent, now=0.0)) == (Refusal.WRONG, False)


def test_user_without_a_hash_for_the_algorithm_is_refused() -> None:
    ha1 = Secret(PASSWORD).ha1(Algorithm.SHA_256, USER, REALM)
    assert ha1 is not None
    server = challenger(users={USER: Secret.from_hashes({"SHA-256": ha1})})
    assert isinstance(server.check(answered(server, responder()), now=0.0), Authenticated)
    weak = server.challenges(now=0.0)[1]
    fields = responder().answer(unauthorized(weak), request())
    assert fields is not None
    assert refusal(server.check(request(fields), now=0.0)) == (Refusal.WRONG, False)
    # An attacker who signs with nothing in place of the missing hash gains nothing.
    sent = credentials_of(request(fields))
    response = digest_response(
        Algorithm.MD5, "", nonce=weak.nonce, method="INVITE", uri=URI, qop=sent.qop, nc=sent.nc, cnonce=sent.cnonce
    )
    forged = str(replace(sent, response=response))
    assert refusal(server.check(request((("Authorization", forged),)), now=0.0)) == (Refusal.WRONG, False)


def test_hashed_user_name_is_not_looked_up() -> None:
    server = challenger()
    challenge = replace(server.challenges(now=0.0)[0], userhash=True)
    fields = responder().answer(unauthorized(challenge), request())
    assert fields is not None
    assert refusal(server.check(request(fields), now=0.0)) == (Refusal.WRONG, False)


def test_session_key_belongs_to_its_user() -> None:
    """A user must not sign in another's name with the session key of his own."""
    users = {USER: Secret(PASSWORD), "bob": Secret("bob's")}
    server, bob = challenger(users=users, algorithms=("MD5-sess",)), responder("bob", "bob's")
    first = answered(server, bob)
    assert server.check(first, now=0.0) == Authenticated(user="bob")
    second = replace(credentials_of(request(bob.authorise("INVITE", URI))), username=USER)
    assert refusal(server.check(request((("Authorization", str(second)),)), now=0.0)) == (Refusal.WRONG, False)


def test_user_who_is_taken_away_is_refused_at_once() -> None:
    users = {USER: Secret(PASSWORD)}
    server, client = challenger(users=users, algorithms=("MD5-sess",)), responder()
    assert isinstance(server.check(answered(server, client), now=0.0), Authenticated)
    del users[USER]
    later = request(client.authorise("INVITE", URI))
    assert refusal(server.check(later, now=0.0)) == (Refusal.WRONG, False)


def test_memory_of_nonces_is_bounded() -> None:
    server = challenger(limits=Limits(digest_nonces=2))
    sent = [answered(server, responder(), now=float(at)) for at in range(4)]
    for value in sent:
        assert isinstance(server.check(value, now=4.0), Authenticated)
    for value in sent:
        assert refusal(server.check(value, now=4.0))[1]


@given(
    st.lists(
        st.text('Digestrealm="recordex,.\\alice:rponsuqhvb0123456789\t\udcff', max_size=60)
        | st.sampled_from([REALM, f'Digest username="alice", realm="{REALM}", nonce="', 'uri="sip:a"', "nc=00000001"]),
        max_size=6,
    )
)
def test_garbage_never_authenticates_and_never_raises(pieces: list[str]) -> None:
    server = challenger(allow_no_qop=True, allow_any_uri=True)
    for text in (*pieces, ", ".join(pieces), "".join(pieces)):
        made = Request("INVITE", URI, Headers.from_parsed([("Authorization", text)]))
        assert isinstance(server.check(made, now=0.0), Unauthenticated)


def test_secrets_stay_out_of_what_is_shown() -> None:
    server, client = challenger(), responder()
    sent = answered(server, client)
    for shown in (repr(server), repr(client), repr(credentials_of(sent)), repr(server.check(sent, now=0.0))):
        assert "sesame" not in shown
        assert credentials_of(sent).response not in shown


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("realm", ""),
        ("realm", 'a"b'),
        ("realm", "a\r\nb"),
        ("key", b"short"),
        ("algorithms", ()),
        ("algorithms", ("MD5", "md5")),
        ("algorithms", ("SHA-1",)),
        ("qop", ()),
        ("qop", ("auth-conf",)),
        ("nonce_seconds", 0.0),
        ("nonce_seconds", float("nan")),
        ("nonce_seconds", float("inf")),
    ],
)
def test_settings_that_make_no_sense(setting: str, value: object) -> None:
    settings: dict[str, object] = {"realm": REALM, "users": {}, "key": b"k" * 16, "entropy": seeded()}
    with pytest.raises(ConfigurationError, match=setting):
        Challenger(**(settings | {setting: value}))  # type: ignore[arg-type]


# ---- the client


def test_topmost_challenge_that_we_know_is_answered() -> None:
    """8760-2.4-a."""
    response = unauthorized(
        'Basic realm="r"',
        'Digest realm="r", nonce="a", algorithm=AKAv1-MD5, qop="auth"',
        'Digest realm="r", nonce="b", algorithm=SHA-256, qop="auth-conf"',
        "Digest realm",
        'Digest realm="r", nonce="c", algorithm=SHA-256, qop="auth-int,auth"',
        'Digest realm="r", nonce="d", algorithm=MD5, qop="auth"',
    )
    findings: list[Finding] = []
    fields = responder().answer(response, request(), findings=findings)
    assert fields is not None
    ((name, value),) = fields
    assert name == "Authorization"
    sent = Credentials.parse(value)
    assert (sent.nonce, sent.algorithm, sent.qop, sent.nc, sent.uri) == ("c", "SHA-256", "auth", "00000001", URI)
    assert [found.code for found in findings] == ["digest-other-scheme", "digest-malformed"]


@pytest.mark.parametrize(
    "response",
    [
        unauthorized(),
        unauthorized('Basic realm="r"'),
        unauthorized('Digest realm="r", nonce="a", algorithm=AKAv1-MD5'),
        unauthorized("Digest"),
        unauthorized('Digest realm="r", nonce="a"', status=403),
        unauthorized('Digest realm="r", nonce="a"', name="Warning"),
    ],
)
def test_nothing_to_answer(response: Response) -> None:
    assert responder().answer(response, request()) is None


def test_algorithms_that_were_not_chosen_are_passed_over() -> None:
    client = Responder(USER, PASSWORD, entropy=seeded(), algorithms=("SHA-256",))
    assert client.answer(unauthorized('Digest realm="r", nonce="a", qop="auth"'), request()) is None
    with pytest.raises(ConfigurationError):
        Responder(USER, PASSWORD, entropy=seeded(), algorithms=("SHA-1",))


def test_only_the_realm_that_was_chosen_is_answered() -> None:
    client = responder(realm="r")
    assert client.answer(unauthorized('Digest realm="s", nonce="a"'), request()) is None
    fields = client.answer(unauthorized('Digest realm="s", nonce="a"', 'Digest realm="r", nonce="a"'), request())
    assert fields is not None
    assert [Credentials.parse(value).realm for _, value in fields] == ["r"]


def test_hashes_answer_what_they_fit() -> None:
    client = responder(password=Secret.from_hashes({"MD5": "0" * 32}))
    fields = client.answer(
        unauthorized('Digest realm="r", nonce="a", algorithm=SHA-256', 'Digest realm="r", nonce="b"'), request()
    )
    assert fields is not None
    assert Credentials.parse(fields[0][1]).nonce == "b"


def test_opaque_is_sent_back_and_unknown_parameters_are_not() -> None:
    fields = responder().answer(
        unauthorized('Digest realm="a \\"r\\"", nonce="n\\\\", opaque="o=\\"", qop="auth", charset=UTF-8'), request()
    )
    assert fields is not None
    sent = Credentials.parse(fields[0][1])
    assert (sent.realm, sent.nonce, sent.opaque, sent.others) == ('a "r"', "n\\", 'o="', ())


def test_auth_int_when_nothing_else_is_offered() -> None:
    client = responder()
    for body in (b"", b"v=0"):
        fields = client.answer(unauthorized('Digest realm="r", nonce="n", qop="auth-int"'), request(body=body))
        assert fields is not None
        sent = Credentials.parse(fields[0][1])
        assert sent.qop == "auth-int"
        ha1 = Secret(PASSWORD).ha1(Algorithm.MD5, USER, "r")
        assert ha1 is not None
        assert sent.response == sent.expected_response(Algorithm.MD5, ha1, method="INVITE", body=body)


def test_nonce_count_goes_on_for_as_long_as_the_nonce() -> None:
    client = responder()
    response = unauthorized('Digest realm="r", nonce="n", qop="auth"')
    counts = []
    for fields in (
        client.answer(response, request()),
        client.authorise("INVITE", URI),
        client.answer(response, request()),  # a request that went without credentials
        client.authorise("BYE", URI),
        client.answer(unauthorized('Digest realm="r", nonce="m", qop="auth"'), request()),
    ):
        assert fields is not None
        counts.append(Credentials.parse(fields[0][1]).nonce_count)
    assert counts == [1, 2, 3, 4, 1]


@pytest.mark.parametrize("stale", ["", ", stale=true"])
def test_same_nonce_again_is_given_up(stale: str) -> None:
    client = responder()
    response = unauthorized(f'Digest realm="r", nonce="n", qop="auth"{stale}')
    fields = client.answer(response, request())
    assert fields is not None
    assert client.answer(response, request(fields)) is None


def test_nonce_that_was_good_before_may_be_replaced_without_stale() -> None:
    """Servers whose nonces are good for one request do not all say that a used one is stale."""
    client = responder()
    assert client.answer(unauthorized('Digest realm="r", nonce="1", qop="auth"'), request()) is not None
    second = request(client.authorise("UPDATE", URI), method="UPDATE")
    fields = client.answer(unauthorized('Digest realm="r", nonce="2", qop="auth"'), second)
    assert fields is not None
    assert Credentials.parse(fields[0][1]).nonce == "2"
    assert client.answer(unauthorized('Digest realm="r", nonce="3", qop="auth"'), request(fields)) is None


def test_proxy_and_server_are_both_answered() -> None:
    client = responder()
    fields = client.answer(
        unauthorized('Digest realm="p", nonce="1", qop="auth"', status=407, name="Proxy-Authenticate"), request()
    )
    assert fields is not None
    assert [name for name, _ in fields] == ["Proxy-Authorization"]
    fields = client.answer(unauthorized('Digest realm="s", nonce="2", qop="auth"'), request(fields))
    assert fields is not None
    assert [(name, Credentials.parse(value).realm, Credentials.parse(value).nc) for name, value in fields] == [
        ("Proxy-Authorization", "p", "00000002"),
        ("Authorization", "s", "00000001"),
    ]


def test_user_name_is_hashed_on_request() -> None:
    fields = responder().answer(unauthorized('Digest realm="r", nonce="n", qop="auth", userhash=true'), request())
    assert fields is not None
    sent = Credentials.parse(fields[0][1])
    assert sent.userhash
    assert sent.username == hashlib.md5(f"{USER}:r".encode()).hexdigest()


def test_session_key_is_kept_for_the_life_of_the_nonce() -> None:
    client = responder()
    client.answer(unauthorized('Digest realm="r", nonce="n", qop="auth", algorithm=MD5-sess'), request())
    first, second = (Credentials.parse(client.authorise("INVITE", URI)[0][1]) for _ in range(2))
    assert first.cnonce == second.cnonce
    assert first.response != second.response


def test_credentials_replace_those_of_before() -> None:
    headers = Headers([("Authorization", "Digest a=b"), ("Via", "x"), ("Proxy-Authorization", "Digest c=d")])
    set_credentials(headers, (("Authorization", "Digest 1"), ("Authorization", "Digest 2")))
    assert list(headers) == [("Authorization", "Digest 1"), ("Authorization", "Digest 2"), ("Via", "x")]


@given(st.lists(st.text('Digestrealm="noc,.\\:pqsu0123\t\x01\udcffé', max_size=60), max_size=5))
def test_garbage_is_answered_with_something_writable_or_not_at_all(pieces: list[str]) -> None:
    texts = [*pieces, f'Digest realm="{"".join(pieces)}", nonce="n", {",".join(pieces)}']
    response = Response(401, None, Headers.from_parsed([("WWW-Authenticate", text) for text in texts]))
    fields = responder().answer(response, request())
    if fields is not None:
        for _, value in fields:
            assert str(Credentials.parse(value)) == value
        request(fields)
