"""HUP: what changes without a restart does, what does not is told, and what cannot be used changes nothing."""

import hashlib
import json
import signal
import socket
import ssl
from pathlib import Path

import pytest

from tests.app.programs import SECONDS, Program, RunningServer, serving, start
from tests.app.test_serve import ask, wait_for
from tests.app.test_service import manager, until
from tests.contract.certificates import make_tls_files
from tests.core.messages import invite, status

__all__ = ["manager"]

WORKERS = ("asyncio", "uvloop", "trio", "sync")


def write(folder: Path, text: str) -> Path:
    path = folder / "siprec.toml"
    path.write_text(text, encoding="utf-8")
    return path


def hang_up(server: RunningServer, manager: socket.socket) -> None:
    """Have the server read its configuration again, and wait until it has."""
    server.program.send_signal(signal.SIGHUP)
    until(manager, "RELOADING=1")
    until(manager, "READY=1")


@pytest.mark.parametrize("worker", WORKERS)
def test_a_limit_changes_while_calls_run(tmp_path: Path, manager: socket.socket, worker: str) -> None:
    path = write(tmp_path, "[admission]\nmax_sessions = 1\n")
    notify = str(tmp_path / "notify")
    words = ("-c", path, "-k", worker, "-b", "udp://127.0.0.1:0", "--log-format", "json", "--drain-seconds", "0")
    with serving(tmp_path, *words, NOTIFY_SOCKET=notify, WATCHDOG_USEC="200000") as server:
        seen = until(manager, "READY=1")
        assert seen == ["READY=1"]
        until(manager, "WATCHDOG=1")
        assert status(ask(server, invite(call_id="a"))) == 200
        until(manager, "STATUS=recording 1 call")
        assert status(ask(server, invite(call_id="b"))) == 486
        write(tmp_path, "[admission]\nmax_sessions = 2\n[timers]\nmin_se = 100\n[logs]\nlevel = 'warning'\n")
        hang_up(server, manager)
        assert status(ask(server, invite(call_id="c"))) == 200
        write(tmp_path, "[admission]\nmax_sessions = 'x'\n")
        hang_up(server, manager)
        assert status(ask(server, invite(call_id="d"))) == 486
        until(manager, "WATCHDOG=1")
        server.program.send_signal(signal.SIGTERM)
        until(manager, "STOPPING=1")
        server.program.send_signal(signal.SIGHUP)
        _, errors = server.program.communicate(timeout=SECONDS)
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    told = [line["message"] for line in lines if line["logger"] == "siprec.server"]
    assert told[:2] == ["timers.min_se changed: that needs a restart", told[1]]
    assert told[1].startswith("reload failed, everything stays as it was: ")
    assert told[1].endswith("siprec.toml:2:1: admission.max_sessions: it has to be a whole number")
    refused = [line for line in lines if line["message"].startswith("refused")]
    assert [line["call"] for line in refused] == ["b", "d"]
    assert all(line["peer"].startswith("127.0.0.1:") for line in refused)


def certificate_of(server: RunningServer) -> bytes | None:
    """Give the certificate that a new connection is shown."""
    (port,) = [each["port"] for each in server.ready["listeners"] if each["transport"] == "tls"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as plain, context.wrap_socket(plain) as sock:
        return sock.getpeercert(binary_form=True)


@pytest.mark.parametrize("worker", WORKERS)
def test_certificates_change_while_calls_run(
    tmp_path: Path, manager: socket.socket, siprec: Program, worker: str
) -> None:
    files = make_tls_files(tmp_path)
    certificate, key = Path(str(files.certificate)), Path(str(files.key))
    (tmp_path / "new").mkdir()
    fresh = make_tls_files(tmp_path / "new")
    words = ("-k", worker, "-b", "tls://127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key)
    with serving(tmp_path, *words, NOTIFY_SOCKET=str(tmp_path / "notify")) as server:
        until(manager, "READY=1")
        before = certificate_of(server)
        trust = tmp_path / "trust.pem"
        trust.write_bytes(certificate.read_bytes())
        call = start(["call", server.target("tls"), "--seconds", "2", "--tls-ca", trust, "--json"], tmp_path)
        wait_for(lambda: bool(server.reports()))
        certificate.write_bytes(b"garbage")
        hang_up(server, manager)
        assert certificate_of(server) == before
        certificate.write_bytes(Path(str(fresh.certificate)).read_bytes())
        key.write_bytes(Path(str(fresh.key)).read_bytes())
        hang_up(server, manager)
        after = certificate_of(server)
        assert after == ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii")) != before
        out, err = call.communicate(timeout=SECONDS)
        assert (call.returncode, json.loads(out)["end_reason"]) == (0, "local-bye"), err
        done = siprec("call", server.target("tls"), "--seconds", "0.1", "--tls-ca", certificate)
        assert (done.code, done.err) == (0, "")
        assert server.end() == 0
    assert "ERROR   reload failed, everything stays as it was: TLS certificate and key" in server.errors
    assert "reloaded: certificates, no setting changed" in server.errors


def test_users_change(tmp_path: Path, manager: socket.socket, siprec: Program) -> None:
    users, password = tmp_path / "users", tmp_path / "password"
    password.write_text("secret\n", encoding="ascii")
    lines = {name: f"{name}:r:{hashlib.sha256(f'{name}:r:secret'.encode()).hexdigest()}\n" for name in ("alice", "bob")}
    users.write_text(lines["alice"], encoding="ascii")
    words = ("-b", "udp://127.0.0.1:0", "--digest-users", users)
    with serving(tmp_path, *words, NOTIFY_SOCKET=str(tmp_path / "notify")) as server:
        until(manager, "READY=1")

        def call(name: str) -> int:
            words = ("--user", name, "--password-file", password, "--seconds", "0.1")
            return siprec("call", server.target("udp"), *words).code

        assert (call("alice"), call("bob")) == (0, 1)
        users.write_text(lines["bob"], encoding="ascii")
        hang_up(server, manager)
        assert (call("alice"), call("bob")) == (1, 0)
        users.write_text(lines["bob"].replace(":r:", ":other:"), encoding="ascii")
        hang_up(server, manager)
        assert call("bob") == 0
        assert server.end() == 0
    assert "digest: realm, algorithms or listeners changed: that needs a restart" in server.errors


def test_the_key_log(tmp_path: Path) -> None:
    files = make_tls_files(tmp_path)
    log = tmp_path / "keys"
    words = ("-b", "tls://127.0.0.1:0", "--tls-cert", files.certificate, "--tls-key", files.key)
    with serving(tmp_path, *words, SSLKEYLOGFILE=str(log)) as server:
        certificate_of(server)
        wait_for(lambda: "CLIENT_TRAFFIC_SECRET" in log.read_text(encoding="ascii"))
        assert server.end() == 0


def test_a_key_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    files = make_tls_files(tmp_path)
    words = ["serve", "-b", "tls://127.0.0.1:0", "--tls-cert", files.certificate, "--tls-key", files.key]
    program = start(words, tmp_path, SSLKEYLOGFILE="/nowhere/keys")
    _, errors = program.communicate(timeout=SECONDS)
    assert (program.returncode, errors) == (2, "siprec: SSLKEYLOGFILE /nowhere/keys: No such file or directory\n")
