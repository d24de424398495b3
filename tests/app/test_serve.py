"""`siprec serve` and `siprec call`, each a program of its own: every worker, every transport, and how they end."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from siprec.tones import frequency_of, tone_share
from siprec_core.containers.wav import read_wav
from siprec_sync.tls import TlsFiles
from tests.app.programs import Program, RunningServer, serving, start
from tests.contract.certificates import make_tls_files
from tests.core.messages import invite, request, status, tag
from tests.ports import rtp_ports
from tests.tree import ROOT

WORKERS = ("asyncio", "uvloop", "trio", "sync")
ALL = ("-b", "udp://127.0.0.1:0", "-b", "tcp://127.0.0.1:0", "-b", "tls://127.0.0.1:0")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def ask(server: RunningServer, data: bytes) -> bytes:
    """Send a datagram and give the last of what is answered within a moment."""
    (listener,) = [each for each in server.ready["listeners"] if each["transport"] == "udp"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(data, ("127.0.0.1", listener["port"]))
        answer = sock.recv(65_535)
        while status(answer) < 200:
            answer = sock.recv(65_535)
        return answer


def options() -> bytes:
    return request("OPTIONS", call_id=os.urandom(4).hex())


def assert_complete(folder: Path, report: dict[str, Any], seconds: float) -> None:
    assert (report["status"], report["end_reason"]) == ("completed", "bye")
    assert [stream["label"] for stream in report["streams"]] == ["1", "2"]
    lengths = set()
    for index, stream in enumerate(report["streams"]):
        wav_format, pcm = read_wav((folder / stream["file"]).read_bytes())
        assert tone_share(pcm, frequency_of(index), wav_format.sample_rate) > 0.9
        lengths.add(len(pcm))
        assert abs(len(pcm) / 16_000 - seconds) <= 0.1
    assert len(lengths) == 1


@pytest.mark.parametrize("worker", WORKERS)
def test_calls_over_each_transport_are_recorded(siprec: Program, tmp_path: Path, tls: TlsFiles, worker: str) -> None:
    with serving(tmp_path, "-k", worker, *ALL, "--tls-cert", tls.certificate, "--tls-key", tls.key) as server:
        assert server.ready["pid"] == server.program.pid
        assert [each["transport"] for each in server.ready["listeners"]] == ["udp", "tcp", "tls"]
        assert all(each["host"] == "127.0.0.1" and each["port"] > 0 for each in server.ready["listeners"])
        assert server.ready["rtp_ports"] == list(rtp_ports())
        for transport in ("udp", "tcp", "tls"):
            trust = ("--tls-ca", tls.certificate) if transport == "tls" else ()
            done = siprec("call", server.target(transport), "--seconds", "0.4", "-k", worker, "--json", *trust)
            assert (done.code, done.err) == (0, "")
            assert done.json["ok"] is True
            assert [stream["packets_sent"] for stream in done.json["streams"]] == [20, 20]
        assert server.end() == 0
    assert not (tmp_path / "ready.json").exists()
    reports = server.reports()
    assert [report["transport"] for report in reports] == ["udp", "tcp", "tls"]
    for report in reports:
        (folder,) = (tmp_path / "recordings").rglob(report["id"])
        assert_complete(folder, report, 0.4)
    assert siprec("verify", tmp_path / "recordings").code == 0
    assert (
        len(re.findall(r"^siprec: listening on (?:udp|tcp|tls)://127\.0\.0\.1:\d+$", server.errors, re.MULTILINE)) == 3
    )
    lines = [line for line in server.errors.splitlines() if "ended (bye)" in line]
    assert [
        f"recording={report['id']} call={report['call_id']} " in line
        for report, line in zip(reports, lines, strict=True)
    ]
    assert "Traceback" not in server.errors


@pytest.mark.parametrize("worker", WORKERS)
def test_term_drains(tmp_path: Path, worker: str) -> None:
    with serving(tmp_path, "-k", worker, "-b", "udp://127.0.0.1:0", "--drain-seconds", "20") as server:
        call = start(["call", server.target("udp"), "--seconds", "2", "--json"], tmp_path)
        wait_for(lambda: bool(server.reports()))
        server.program.send_signal(signal.SIGTERM)
        wait_for(lambda: status(ask(server, options())) == 503)
        refused = ask(server, invite(call_id="late"))
        assert b"\r\nRetry-After:" in refused
        out, err = call.communicate(timeout=20)
        assert (call.returncode, json.loads(out)["end_reason"]) == (0, "local-bye"), err
        server.program.communicate(timeout=20)
        assert server.program.returncode == 0
    assert [(report["status"], report["end_reason"]) for report in server.reports()] == [("completed", "bye")]


@pytest.mark.parametrize("worker", ["asyncio", "sync"])
def test_a_call_that_outlasts_the_draining_gets_bye(tmp_path: Path, worker: str) -> None:
    with serving(tmp_path, "-k", worker, "-b", "udp://127.0.0.1:0", "--drain-seconds", "0.3") as server:
        call = start(["call", server.target("udp"), "--seconds", "20", "--json"], tmp_path)
        wait_for(lambda: bool(server.reports()))
        assert server.end(signal.SIGINT) == 0
        out, _ = call.communicate(timeout=20)
        assert (call.returncode, json.loads(out)["end_reason"]) == (1, "bye")
    assert [(report["status"], report["end_reason"]) for report in server.reports()] == [("completed", "shutdown")]


@pytest.mark.parametrize("worker", ["asyncio", "trio", "sync"])
def test_a_second_int_ends_at_once(tmp_path: Path, worker: str) -> None:
    with serving(tmp_path, "-k", worker, "-b", "udp://127.0.0.1:0", "--drain-seconds", "60") as server:
        call = start(["call", server.target("udp"), "--seconds", "20"], tmp_path)
        try:
            wait_for(lambda: bool(server.reports()))
            server.program.send_signal(signal.SIGINT)
            wait_for(lambda: status(ask(server, options())) == 503)
            assert server.end(signal.SIGINT) == 130
        finally:
            call.kill()
            call.communicate()
    assert not (tmp_path / "ready.json").exists()


def wait_for(ready: Any, seconds: float = 15.0) -> None:  # noqa: ANN401 - any test without arguments
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def test_the_server_goes_on_after_what_it_cannot_take(siprec: Program, tmp_path: Path) -> None:
    with serving(tmp_path, "-b", "udp://127.0.0.1:0", "--max-sessions", "5") as server:
        assert status(ask(server, invite(call_id="a", require=None, contact="<sip:a@b>", metadata=None))) == 421
        assert status(ask(server, invite(call_id="b").replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE"))) == 400
        assert status(ask(server, invite(call_id="evil\x1b[31m\x07", offer="v=0\r\nnothing"))) == 400
        assert siprec("call", server.target("udp"), "--seconds", "0.1").code == 0
        assert server.end(signal.SIGTERM) == 0
    assert "\x1b" not in server.errors
    assert "\x07" not in server.errors
    assert "evil\\x1b[31m\\x07" in server.errors


def test_the_older_dialect_is_recorded_with_findings(tmp_path: Path) -> None:
    with serving(tmp_path, "-b", "udp://127.0.0.1:0") as server:
        data = (ROOT / "tests" / "data" / "app" / "seed-invite.sip").read_bytes()
        answer = ask(server, data.replace(b";branch", b";rport;branch"))
        assert status(answer) == 200
        bye = request("BYE", to_tag=tag(answer), from_tag="older", call_id="older-1", cseq=2)
        assert status(ask(server, bye)) == 200
        assert server.end() == 0
    (report,) = server.reports()
    assert report["dialect"] == "seed"
    codes = {found["code"] for found in report["findings"]}
    assert {"siprec-no-require", "siprec-no-feature-tag", "seed-dialect", "metadata-namespace"} <= codes


def test_full_and_strict(tmp_path: Path) -> None:
    words = ("--max-sessions", "1", "--when-full", "unavailable", "--policy", "strict")
    with serving(tmp_path, "-b", "udp://127.0.0.1:0", *words) as server:
        assert status(ask(server, invite(call_id="a", require=None))) == 421
        assert status(ask(server, invite(call_id="b"))) == 200
        assert status(ask(server, invite(call_id="c"))) == 503


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-b", "tls://127.0.0.1:0"], "--tls-cert"),
        (["-b", "tls://127.0.0.1:0", "--tls-cert", "none.pem"], "none.pem"),
        (["-b", "udp://127.0.0.1:0", "--tls-cert", "none.pem"], "tls://"),
        (["-b", "http://127.0.0.1:0"], "http://127.0.0.1:0"),
        (["-b", "udp://192.0.2.77:0"], "udp://192.0.2.77:0"),
        (["-b", "udp://127.0.0.1:0", "--recordings", "/dev/null/x"], "/dev/null/x"),
        (["-b", "udp://127.0.0.1:0", "--ready-file", "none/ready.json"], "none/ready.json"),
    ],
)
@pytest.mark.parametrize("worker", ["asyncio", "sync"])
def test_what_cannot_be_served_is_one_line_and_2(tmp_path: Path, worker: str, words: list[str], text: str) -> None:
    program = start(["serve", "-k", worker, *words], tmp_path)
    _, err = program.communicate(timeout=20)
    assert (program.returncode, err[:8], err.count("\n")) == (2, "siprec: ", 1)
    assert text in err


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        bind = f"udp://127.0.0.1:{sock.getsockname()[1]}"
        program = start(["serve", "-b", bind], tmp_path)
        _, err = program.communicate(timeout=20)
    assert program.returncode == 2
    assert err == f"siprec: cannot listen on {bind}: address already in use\n"


@pytest.mark.parametrize("worker", ["trio", "uvloop"])
def test_a_worker_that_is_not_installed_names_its_extra(
    siprec: Program, monkeypatch: pytest.MonkeyPatch, worker: str
) -> None:
    monkeypatch.setattr("siprec.callers.find_spec", lambda name: None)
    done = siprec("call", "127.0.0.1:9", "-k", worker)
    assert done.code == 2
    assert f"siprec[{worker}]" in done.err


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (Debian: tshark)")
def test_others_read_the_journal(siprec: Program, tmp_path: Path) -> None:
    with serving(tmp_path, "-b", "tcp://127.0.0.1:0") as server:
        assert siprec("call", server.target("tcp"), "--seconds", "0.2").code == 0
        server.end()
    (journal,) = (tmp_path / "recordings").rglob("journal.pcapng")
    done = subprocess.run(
        ["tshark", "-r", str(journal), "-Y", "sip", "-T", "fields", "-e", "sip.Method", "-e", "sip.Status-Code"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    seen = done.stdout.split()
    assert [word for word in seen if word in ("INVITE", "ACK", "BYE")] == ["INVITE", "ACK", "BYE"]
    assert seen.count("200") == 2


@pytest.mark.parametrize("worker", WORKERS)
def test_a_program_listens(tmp_path: Path, siprec: Program, worker: str) -> None:
    command = f"exec:sh -c 'cat > {tmp_path}/heard-$SIPREC_LABEL.raw'"
    with serving(tmp_path, "-b", "udp://127.0.0.1:0", "-k", worker, "--processor", command) as server:
        done = siprec("call", server.target("udp"), "--seconds", "0.6")
        assert done.code == 0, done.err
        assert server.end() == 0
    for index in (0, 1):
        heard = (tmp_path / f"heard-{index + 1}.raw").read_bytes()
        # The first packets may have come before the tap.
        assert len(heard) > 16_000 * 0.3
        assert tone_share(heard, frequency_of(index), 8_000) > 0.95


def test_media_workers_record_and_leave_processors_out(siprec: Program, tmp_path: Path) -> None:
    refused = siprec("serve", "--media-workers", "1", "--processor", "exec:cat")
    assert refused.code == 2
    assert "--processor listens to live audio, which is not to be had with --media-workers" in refused.err
    with serving(tmp_path, "-b", "udp://127.0.0.1:0", "--media-workers", "1") as server:
        assert siprec("call", server.target("udp"), "--seconds", "0.2").code == 0
        assert server.end(signal.SIGTERM) == 0
    (report,) = (json.loads(each.read_text("utf-8")) for each in tmp_path.rglob("recording.json"))
    assert report["status"] == "completed"
    assert [each["packets_received"] for each in report["streams"]] == [10, 10]
