"""Digest on the command line: the file of users, listeners that are left out, and `siprec call --user`."""

import hashlib
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec.digest import PASSWORD_VARIABLE, caller, read_users, rule_without
from siprec.outcome import CommandError
from siprec_core.sip.authentication import DigestRule
from siprec_core.sip.digest import Secret
from siprec_core.sip.digest_hash import Algorithm
from siprec_core.types import Transport
from siprec_sync.listeners import Bind
from tests.app.programs import Program, serving

MD5 = hashlib.md5(b"alice:recorder:open-sesame", usedforsecurity=False).hexdigest()
SHA = hashlib.sha256(b"alice:recorder:open-sesame").hexdigest()


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return written(tmp_path, f"alice:recorder:{SHA}\n")


def written(folder: Path, text: str) -> Path:
    path = folder / "users"
    path.write_bytes(text.encode())
    return path


# the file of users


def secret_of(rule: DigestRule, name: str) -> Secret:
    assert rule.users is not None
    assert not callable(rule.users)
    return rule.users[name]


def test_users_of_both_algorithms(tmp_path: Path) -> None:
    text = f"# who may call\r\n\r\nalice:recorder:{SHA}\r\nalice:recorder:{MD5.upper()}\r\n  bob:recorder:{MD5}\r\n"
    rule = read_users(written(tmp_path, "\ufeff" + text), None, tolerant=True)
    assert (rule.realm, rule.algorithms) == ("recorder", ("MD5",)), "bob has no other"
    assert secret_of(rule, "alice").ha1(Algorithm.SHA_256, "alice", "recorder") == SHA
    assert secret_of(rule, "alice").ha1(Algorithm.MD5, "alice", "recorder") == MD5
    assert (rule.allow_any_uri, rule.allow_no_qop) == (True, True)
    assert (rule.transport, rule.host, rule.port) == (None, None, None)


@pytest.mark.parametrize(("lines", "algorithms"), [([SHA], ("SHA-256",)), ([MD5, SHA], ("SHA-256", "MD5"))])
def test_the_stronger_algorithm_is_offered_first(tmp_path: Path, lines: list[str], algorithms: tuple[str, ...]) -> None:
    text = "".join(f"alice:recorder:{line}\n" for line in lines)
    rule = read_users(written(tmp_path, text), None, tolerant=False)
    assert rule.algorithms == algorithms
    assert (rule.allow_any_uri, rule.allow_no_qop) == (False, False)


def test_a_realm_is_chosen(tmp_path: Path) -> None:
    path = written(tmp_path, f"alice:inner:{MD5}\nbob:outer:{SHA}\n")
    rule = read_users(path, "outer", tolerant=True)
    assert (rule.realm, list(rule.users or ())) == ("outer", ["bob"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "realm", "message"),
    [
        ("alice:recorder\n", None, "users:1: write name:realm:hash"),
        ("\nalice:recorder:x:y\n", None, "users:2: write name:realm:hash"),
        (f"alice::{MD5}\n", None, "users:1: write name:realm:hash"),
        ("# one\nalice:recorder:open-sesame\n", None, "users:2: the hash has 32 (MD5) or 64 (SHA-256)"),
        ("alice:recorder:" + "g" * 32, None, "users:1: the hash has 32 (MD5) or 64 (SHA-256) hexadecimal digits"),
        (f"alice:r:{MD5}\nalice:r:{MD5}\n", None, "users:2: 'alice' has a second MD5 hash"),
        ("# nobody\n", None, "users: no users in it"),
        (f"alice:a:{MD5}\nalice:b:{MD5}\n", None, "choose one of them with --digest-realm: 'a', 'b'"),
        (f"alice:a:{MD5}\n", "b", "users: no user of the realm 'b'"),
        (f"alice:a:{MD5}\nbob:a:{SHA}\n", None, "every user of the realm 'a' needs a hash of one algorithm"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_file_is_told(tmp_path: Path, text: str, realm: str | None, message: str) -> None:
    with pytest.raises(CommandError) as raised:
        read_users(written(tmp_path, text), realm, tolerant=True)
    assert message in str(raised.value)
    assert "sesame" not in str(raised.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no such file"):
        read_users(tmp_path / "none", None, tolerant=True)
    (tmp_path / "octets").write_bytes(b"\xff\xfe")
    with pytest.raises(CommandError, match="not UTF-8"):
        read_users(tmp_path / "octets", None, tolerant=True)


@given(text=st.text(alphabet=st.sampled_from("ab:0#\n\r \x85"), max_size=200))
def test_any_file_gives_users_or_one_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = written(tmp_path_factory.getbasetemp(), text)
    with pytest.raises(CommandError):  # no line of so few characters holds a hash
        read_users(path, None, tolerant=True)


# listeners


def test_listeners_are_left_out() -> None:
    binds = ("udp://10.0.0.5:5060", "tls://[::]")
    rules = tuple(rule_without(Bind.parse(bind)) for bind in binds)
    assert [(rule.users, rule.transport, rule.host, rule.port) for rule in rules] == [
        (None, Transport.UDP, "10.0.0.5", 5060),
        (None, Transport.TLS, "::", 5061),
    ]


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        ("udp://127.0.0.1:5060?digest=of", "digest: 'of' is not on or off"),
        ("udp://127.0.0.1:5060?", "behind the question mark"),
        ("udp://127.0.0.1:0?digest=off", "numeric address and a port other than 0"),
        ("udp://localhost:5060?digest=off", "numeric address and a port other than 0"),
    ],
)
def test_queries_that_cannot_be(siprec: Program, users: Path, bind: str, message: str) -> None:
    done = siprec("serve", "-b", bind, "--digest-users", users)
    assert done.code == 2
    assert message in done.err


@pytest.mark.parametrize("words", [("--digest-realm", "r"), ("-b", "udp://127.0.0.1:5060?digest=off")])
def test_what_belongs_to_users_needs_them(siprec: Program, words: tuple[str, ...]) -> None:
    done = siprec("serve", *words)
    assert (done.code, done.out) == (2, "")
    assert "--digest-users" in done.err


# callers


def test_nobody() -> None:
    assert caller(None, None) is None


def test_the_password_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "password"
    path.write_text("hé llo \nsecond line\n", encoding="utf-8")
    monkeypatch.setenv(PASSWORD_VARIABLE, "other")
    for file, password in ((path, "hé llo "), (None, "other")):
        user = caller("alice", file)
        assert user is not None
        ours, wanted = (secret.ha1(Algorithm.MD5, "alice", "r") for secret in (user.secret, Secret(password)))
        assert ours == wanted
        assert password not in repr(user)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--user", "alice"), "--user needs --password-file, or SIPREC_PASSWORD"),
        (("--password-file", "x"), "--password-file needs --user"),
        (("--user", "alice", "--password-file", "/dev/null"), "/dev/null: no password in its first line"),
        (("--user", "alice", "--password-file", "/nowhere"), "/nowhere: no such file"),
    ],
)
def test_callers_that_cannot_be(
    siprec: Program, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    done = siprec("call", "127.0.0.1:9", *words)
    assert done.code == 2
    assert message in done.err


# the program


def test_a_server_takes_its_users_only(siprec: Program, tmp_path: Path, users: Path) -> None:
    """Over a connection each; the listener that is left out asks nobody."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    password = tmp_path / "password"
    password.write_text("open-sesame\n", encoding="utf-8")
    (tmp_path / "wrong").write_text("open-barley\n", encoding="utf-8")
    binds = ("-b", "udp://127.0.0.1:0", "-b", f"tcp://127.0.0.1:{port}?digest=off")
    with serving(tmp_path, *binds, "--digest-users", users) as server:
        udp, tcp = server.target("udp"), server.target("tcp")
        short = ("--seconds", "0.1", "--json")
        wrong = siprec("call", udp, *short, "--user", "alice", "--password-file", tmp_path / "wrong")
        assert (wrong.code, wrong.json["status"]) == (1, 401)
        nobody = siprec("call", udp, *short)
        assert (nobody.code, nobody.json["status"]) == (1, 401)
        right = siprec("call", udp, *short, "--user", "alice", "--password-file", password)
        assert (right.code, right.json["findings"]) == (0, [])
        assert siprec("call", tcp, *short).code == 0
        assert server.end() == 0
    assert [(report["transport"], report["authenticated_user"]) for report in server.reports()] == [
        ("udp", "alice"),
        ("tcp", None),
    ]
    assert server.errors.count("digest-refused") == 1
    assert ", user alice, " in server.errors
    for secret in ("sesame", "barley", SHA):
        assert secret not in server.errors
