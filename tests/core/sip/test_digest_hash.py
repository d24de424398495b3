import hashlib

import pytest

from siprec_core.errors import ConfigurationError
from siprec_core.sip.digest_hash import Algorithm, Secret, digest_response, session_ha1

with_sha_512_256 = pytest.mark.skipif(
    "sha512_256" not in hashlib.algorithms_available, reason="this OpenSSL has no SHA-512/256"
)


def answer(algorithm: Algorithm, username: str, realm: str, password: str, **rest: str) -> str:
    ha1 = Secret(password).ha1(algorithm, username, realm)
    assert ha1 is not None
    return digest_response(algorithm, ha1, **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        (Algorithm.MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm.SHA_256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_examples_of_rfc_7616_3_9_1(algorithm: Algorithm, response: str) -> None:
    given = answer(
        algorithm,
        "Mufasa",
        "http-auth@example.org",
        "Circle of Life",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        method="GET",
        uri="/dir/index.html",
        qop="auth",
        nc="00000001",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert given == response


@with_sha_512_256
def test_example_of_rfc_7616_3_9_2_as_corrected_by_erratum_4897() -> None:
    algorithm, username, realm = Algorithm.SHA_512_256, "J\u00e4s\u00f8n Doe", "api@example.org"
    hashed = algorithm.hash(f"{username}:{realm}".encode())
    assert hashed == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    given = answer(
        algorithm,
        username,
        realm,
        "Secret, or not?",
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        method="GET",
        uri="/doe.json",
        qop="auth",
        nc="00000001",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    assert given == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"


def test_example_of_rfc_2617() -> None:
    given = answer(
        Algorithm.MD5,
        "Mufasa",
        "testrealm@host.com",
        "Circle Of Life",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        method="GET",
        uri="/dir/index.html",
        qop="auth",
        nc="00000001",
        cnonce="0a4f113b",
    )
    assert given == "6629fae49393a05397450978507c4ef1"


def test_form_of_rfc_2069() -> None:
    given = answer(
        Algorithm.MD5,
        "Mufasa",
        "testrealm@host.com",
        "Circle Of Life",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        method="GET",
        uri="/dir/index.html",
    )
    assert given == "670fd8c2df070c60b045671b8b24ff02"


def test_auth_int_hashes_the_body_and_nothing_for_none() -> None:
    """8760-2.6-c: an empty body counts as an empty text."""

    def of(a2: str) -> str:
        return md5(f"a1:n:00000001:c:auth-int:{md5(a2)}")

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    for body in (b"", b"v=0\r\n"):
        given = digest_response(
            Algorithm.MD5,
            "a1",
            nonce="n",
            method="INVITE",
            uri="sip:a",
            qop="auth-int",
            nc="00000001",
            cnonce="c",
            body=body,
        )
        assert given == of(f"INVITE:sip:a:{md5(body.decode())}")


def test_session_algorithms_hash_nonce_and_cnonce_into_a1() -> None:
    expected = hashlib.sha256(b"a1:n:c").hexdigest()
    assert session_ha1(Algorithm.SHA_256_SESS, "a1", nonce="n", cnonce="c") == expected


def test_octets_that_are_no_utf_8_are_hashed_as_they_came() -> None:
    ha1 = Secret("p").ha1(Algorithm.MD5, "\udcff", "r")
    assert ha1 == hashlib.md5(b"\xff:r:p").hexdigest()


@pytest.mark.parametrize("name", ["MD5", "md5", "MD5-sess", "SHA-256", "sha-256-SESS"])
def test_algorithms_by_name(name: str) -> None:
    algorithm = Algorithm.named(name)
    assert algorithm is not None
    assert algorithm.value.lower() == name.lower()
    assert algorithm.is_session == name.lower().endswith("-sess")
    assert algorithm.base.value.lower() == name.lower().removesuffix("-sess")
    assert len(algorithm.hash(b"")) == algorithm.hash_size


def test_algorithm_without_a_name_or_with_an_unknown_one() -> None:
    assert Algorithm.named(None) is Algorithm.MD5
    assert Algorithm.named("AKAv1-MD5") is None
    assert Algorithm.named("") is None


def test_secret_shows_nothing() -> None:
    for secret in (Secret("open sesame"), Secret.from_hashes({"MD5": "0123456789abcdef" * 2})):
        for shown in (repr(secret), str(secret), f"{secret}", repr([secret]), repr({"a": secret})):
            assert "sesame" not in shown
            assert "0123" not in shown
        assert not hasattr(secret, "__dict__")


def test_secret_of_hashes_is_as_good_as_the_password() -> None:
    password = Secret("p")
    ha1 = password.ha1(Algorithm.SHA_256, "alice", "r")
    assert ha1 is not None
    secret = Secret.from_hashes({"sha-256": ha1.upper()})
    assert secret.ha1(Algorithm.SHA_256, "alice", "r") == ha1
    assert secret.ha1(Algorithm.SHA_256_SESS, "alice", "r") == ha1
    assert secret.ha1(Algorithm.MD5, "alice", "r") is None


@pytest.mark.parametrize(
    "hashes",
    [{"SHA-1": "0" * 40}, {"MD5-sess": "0" * 32}, {"MD5": "0" * 64}, {"SHA-256": "0" * 63 + "g"}, {"MD5": "geheim"}],
)
def test_secret_refuses_what_is_no_hash_without_showing_it(hashes: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Secret.from_hashes(hashes)
    assert not any(value in str(caught.value) for value in hashes.values())


def test_password_that_is_no_unicode_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Secret("sesame\ud800")
    assert "sesame" not in str(caught.value)
    assert caught.value.__cause__ is None
