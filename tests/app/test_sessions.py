"""`siprec sessions` against a running server."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.asking import Http
from tests.app.programs import Program, RunningServer, serving
from tests.app.test_http import QUIET, peer_of, session_of
from tests.contract.peer import Peer

TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("sessions")
    (folder / "token").write_text(TOKEN, encoding="ascii")
    words = ("-b", "udp://127.0.0.1:0", "--http", "127.0.0.1:0", "--http-token-file", folder / "token", *QUIET)
    with serving(folder, *words) as running:
        yield running
        assert running.end() == 0


@pytest.fixture
def environment(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds the server by the variables that the server has too."""
    http = server.ready["http"]
    monkeypatch.setenv("SIPREC_HTTP__BIND", f"{http['host']}:{http['port']}")
    monkeypatch.setenv("SIPREC_HTTP__TOKEN_FILE", str(server.folder / "token"))


@pytest.fixture
def call(server: RunningServer) -> Iterator[tuple[Peer, str]]:
    with peer_of(server) as peer:
        peer.establish(2)
        yield peer, session_of(Http(server, TOKEN), peer.call_id)


@pytest.mark.usefixtures("environment")
def test_a_session_is_listed_shown_and_changed(siprec: Program, server: RunningServer, call: tuple[Peer, str]) -> None:
    peer, session = call
    listed = siprec("sessions", "ls")
    assert (listed.code, listed.err) == (0, "")
    assert re.search(rf"^session +status +started +peer +Call-ID\n{session} +active +\S+ +{peer.local} ", listed.out)
    assert [each["id"] for each in siprec("sessions", "ls", "--json").json] == [session]
    assert siprec("sessions", "ls", "--status", "paused").out == "no sessions\n"
    shown = siprec("sessions", "show", session)
    assert shown.code == 0
    assert shown.out.startswith(f"{session}: active\n")
    assert f"Call-ID {peer.call_id}" in shown.out
    assert re.search(r"label +codec +direction +from +packets +lost\n +1 +PCMU/8000 +recvonly", shown.out)
    assert siprec("sessions", "show", session, "--json").json["call_id"] == peer.call_id

    paused = siprec("sessions", "pause", session)
    assert (paused.code, paused.out) == (0, f"{session}: paused\n")
    again = siprec("sessions", "pause", session)
    assert (again.code, again.out) == (1, "")
    assert re.fullmatch(r"siprec: http://\S+: a change of the session waits for its answer\n", again.err)
    peer.agree(peer.ask("INVITE"), body=peer.sdp(2, direction="inactive", version_number=2))
    peer.ask("ACK")
    assert siprec("sessions", "resume", session, "--json").json["status"] == "active"
    peer.agree(peer.ask("INVITE"), body=peer.sdp(2, version_number=3))
    peer.ask("ACK")
    assert siprec("sessions", "mark", session, "two", "words").out == f"{session}: active\n"
    assert siprec("sessions", "snapshot", session).code == 1, "this client does not allow UPDATE"
    assert siprec("sessions", "stop", session).code == 0
    peer.agree(peer.ask("BYE"))
    Http(server, TOKEN).until("/v1/sessions", lambda answer: answer.json == {"sessions": []})
    gone = siprec("sessions", "show", session)
    assert gone.code == 1
    assert f"there is no session '{session}'" in gone.err
    (report,) = server.reports()
    assert [each["text"] for each in report["timeline"] if each["event"] == "mark"] == ["two words"]


@pytest.mark.usefixtures("environment")
def test_who_has_no_token_is_told(siprec: Program, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("incorrect-horse-battery", encoding="ascii")
    refused = siprec("sessions", "ls", "--token-file", tmp_path / "wrong")
    assert (refused.code, refused.err.endswith(": a bearer token is needed\n")) == (1, True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("dance",), "invalid choice"),
        (("ls", "x"), "ls takes no SESSION"),
        (("show",), "show needs a SESSION"),
        (("pause", "x", "y"), "pause takes no TEXT"),
        (("mark", "x"), "mark needs a TEXT"),
        (("show", "x", "--status", "active"), "--status is for ls"),
        (("ls", "--url", "ftp://x"), "write http://HOST:PORT"),
        (("ls", "--url", "http://x:y"), "--url http://x:y"),
        (("ls", "--token-file", "/none"), "/none"),
    ],
)
def test_wrong_usage(siprec: Program, words: tuple[str, ...], text: str) -> None:
    done = siprec("sessions", *words)
    assert (done.code, done.out) == (2, "")
    assert text in done.err


def test_nobody_there_is_69(siprec: Program) -> None:
    done = siprec("sessions", "ls", "--url", "http://127.0.0.1:9")
    assert (done.code, done.err) == (69, "siprec: http://127.0.0.1:9: connection refused\n")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 1),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"sessions": [1]}', 1),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\n\xff[[", 1),
        (b"SIP/2.0 200 OK\r\n\r\n", 69),
        (b"", 69),
    ],
)
def test_what_is_no_recording_server(siprec: Program, data: bytes, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(data)

        thread = threading.Thread(target=answer)
        thread.start()
        done = siprec("sessions", "ls", "--url", f"http://127.0.0.1:{other.getsockname()[1]}")
        thread.join()
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("siprec: http://127.0.0.1:")
    assert done.err.count("\n") == 1
