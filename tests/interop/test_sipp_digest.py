"""Digest with SIPp: as a client that `siprec serve` challenges, and as a server that challenges `siprec call`."""

import hashlib
import json
import time
from pathlib import Path

import pytest

from tests.interop.programs import path_of
from tests.interop.recordings import Recording
from tests.interop.serving import serving, siprec
from tests.interop.sipp import sipp
from tests.interop.test_sipp_as_server import listening

NAME, PASSWORD, REALM = "alice", "open-sesame", "recorder"
TEXT = f"{NAME}:{REALM}:{PASSWORD}".encode()


def users(folder: Path) -> Path:
    """Write a file with an MD5 hash: Debian's SIPp knows no other, and looks at the first challenge alone."""
    ha1 = hashlib.md5(TEXT, usedforsecurity=False).hexdigest()
    path = folder / "users"
    path.write_text(f"{NAME}:{REALM}:{ha1}\n", encoding="utf-8")
    return path


@pytest.mark.requirement("3261-22-a")
def test_sipp_authenticates_invite_and_bye(tmp_path: Path) -> None:
    path_of("sipp")
    with serving(tmp_path, "asyncio", "--digest-users", str(users(tmp_path))) as server:
        with sipp("client_digest", tmp_path, transport="udp", to=server.ports["udp"], user=(NAME, PASSWORD)) as client:
            client.wait()
        recording = Recording.read(server.wait_for_recording("call"))
    assert recording.report["authenticated_user"] == NAME
    assert recording.report["end_reason"] == "bye"
    assert client.messages().count("SIP/2.0 401 Unauthorized") == 2
    assert b"response=" not in (recording.folder / "journal.pcapng").read_bytes()


def test_sipp_with_a_wrong_password_is_refused(tmp_path: Path) -> None:
    path_of("sipp")
    log = tmp_path / "server.log"
    with serving(tmp_path, "asyncio", "--digest-users", str(users(tmp_path))) as server:
        # SIPp itself would take its time to give up.
        with sipp("client_digest", tmp_path, transport="udp", to=server.ports["udp"], user=(NAME, "wrong")):
            deadline = time.monotonic() + 20.0
            while "digest-refused: INVITE from 127.0.0.1" not in log.read_text(encoding="utf-8"):
                assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
                time.sleep(0.05)
        assert not list(server.recordings.rglob("recording.json"))


@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
@pytest.mark.requirement("3261-22-b")
def test_sipp_verifies_what_siprec_call_answers(tmp_path: Path, password: str) -> None:
    """SIPp computes the response itself, and refuses a wrong one for good."""
    (tmp_path / "password").write_text(password + "\n", encoding="utf-8")
    right = password == PASSWORD
    with listening("server_digest", tmp_path / "sipp", "udp", user=NAME, password=PASSWORD) as (server, port):
        options = ("--user", NAME, "--password-file", str(tmp_path / "password"), "--seconds", "0.2", "--json")
        report = json.loads(siprec("call", f"127.0.0.1:{port}", *options, exit_code=0 if right else 1))
        server.wait()
    assert report["status"] == (200 if right else 403)
    messages = server.messages()
    assert messages.count("CSeq: 1 INVITE") >= 2
    if right:
        assert messages.count("Authorization: Digest") >= 3, "INVITE, ACK and BYE have credentials"
