"""`siprec doctor` on servers that are well, break rules, refuse or are not there."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import siprec_sync
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import Address, Transport
from siprec_sync.sinks import MemorySinks
from tests.app.programs import Done, Program
from tests.app.test_call import Double
from tests.contract.certificates import make_tls_files
from tests.ports import rtp_ports


@pytest.fixture
def double() -> Iterator[Double]:
    double = Double()
    yield double
    double.close()


def looks(done: Done, name: str) -> list[dict[str, Any]]:
    return [look for look in done.json["looks"] if look["name"] == name]


def bad(done: Done) -> list[str]:
    return [look["text"] for look in done.json["looks"] if look["verdict"] == "bad"]


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_our_own_server_is_well(siprec: Program, transport: Transport) -> None:
    config = ServerConfig(rtp_ports=rtp_ports())
    binds = ("udp://127.0.0.1:0", "tcp://127.0.0.1:0")
    with siprec_sync.serve(*binds, config=config, sinks=MemorySinks()) as server:
        (address,) = [each.address for each in server.listeners if each.transport is transport]
        done = siprec("doctor", f"sip:{address};transport={transport.value}", "--seconds", 0.2, "--json")
    assert (done.code, done.err, bad(done)) == (0, "", [])
    assert done.json["ok"] is True
    assert [look["verdict"] for look in looks(done, "stream")] == ["good", "good"]
    assert [look["verdict"] for look in looks(done, "bye")] == ["good"]
    assert bool(looks(done, "size")) is (transport is Transport.UDP)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((("a=label:2", "a=label:7"),), "each label is repeated"),
        ((("a=recvonly", "a=sendonly"),), "each direction fits"),
        ((("RTP/AVP 0 8\r\n", "RTP/AVP 0 8 9\r\na=rtpmap:9 G722/8000\r\n"),), "payload types"),
    ],
)
def test_a_broken_rule_is_explained(
    siprec: Program, double: Double, changes: tuple[tuple[str, str], ...], words: str
) -> None:
    double.changes = changes
    done = siprec("doctor", double.target, "--seconds", "0.1", "--timeout", "1", "--json")
    assert done.code == 1
    (look,) = [look for look in looks(done, "answer") if look["verdict"] == "bad"]
    assert look["text"].startswith(words)
    assert look["advice"]
    assert look["rfc"].startswith("RFC ")


def test_silence_to_options_is_bad_and_the_call_goes_on(siprec: Program, double: Double) -> None:
    done = siprec("doctor", double.target, "--seconds", "0.1", "--timeout", "0.3", "--json")
    assert done.code == 1
    assert [look["verdict"] for look in looks(done, "options")] == ["bad"]
    assert "no answer" in looks(done, "options")[0]["text"]
    assert [look["verdict"] for look in looks(done, "call")] == ["good"]


def test_what_options_tells(siprec: Program, double: Double) -> None:
    double.answers_options = True
    done = siprec("doctor", double.target, "--seconds", "0.1", "--json")
    assert looks(done, "options")[0]["verdict"] == "good"
    assert looks(done, "allow")[0]["text"] == "Allow lacks CANCEL"
    assert looks(done, "accept") == []


def test_a_port_without_receiver_is_bad(siprec: Program, double: Double) -> None:
    double.media_port = 1
    done = siprec("doctor", double.target, "--seconds", "0.3", "--timeout", "0.3", "--json")
    assert done.code == 1
    assert all("refused (ICMP" in look["text"] for look in looks(done, "stream"))
    assert looks(done, "ports")[0]["verdict"] == "note"


def test_a_refusal_is_explained(siprec: Program, double: Double) -> None:
    double.status = "415 Unsupported Media Type"
    done = siprec("doctor", double.target, "--timeout", "0.3")
    assert done.code == 1
    assert "415 Unsupported Media Type" in done.out
    assert "does not read multipart/mixed" in done.out


def test_a_refused_stream_is_told(siprec: Program, double: Double) -> None:
    double.refuses_last = True
    done = siprec("doctor", double.target, "--timeout", "0.3", "--seconds", "0.1", "--json")
    assert [look["verdict"] for look in looks(done, "stream")] == ["good", "bad"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_nobody_there_is_69(siprec: Program, transport: str) -> None:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        address = Address(*sock.getsockname())
        done = siprec("doctor", f"sip:{address};transport={transport}", "--timeout", "0.3")
    assert done.code == 69
    assert "cannot be reached" in done.err


def test_an_untrusted_certificate_is_explained(siprec: Program, tmp_path: Path) -> None:
    files = make_tls_files(tmp_path)
    server_files = siprec_sync.TlsFiles(certificate=files.certificate, key=files.key)
    config = ServerConfig(rtp_ports=rtp_ports())
    with siprec_sync.serve("tls://127.0.0.1:0", config=config, tls=server_files, sinks=MemorySinks()) as server:
        target = f"sips:{server.listeners[0].address}"
        doubted = siprec("doctor", target, "--seconds", "0.1", "--timeout", "1", "--json")
        trusted = siprec("doctor", target, "--seconds", "0.1", "--json", "--tls-ca", files.certificate)
        unchecked = siprec("doctor", target, "--seconds", "0.1", "--json", "--tls-insecure")
    assert doubted.code == 69
    assert "not trusted" in looks(doubted, "tls")[0]["text"]
    assert looks(doubted, "tls")[0]["advice"]
    assert trusted.code == 0
    assert looks(trusted, "tls")[0]["text"].startswith("TLSv1")
    assert looks(unchecked, "tls")[0]["verdict"] == "note"


def test_a_server_that_never_decides_is_explained_in_time(siprec: Program, double: Double) -> None:
    double.status = "183 Session Progress"
    done = siprec("doctor", double.target, "--timeout", "0.3", "--json")
    assert done.code == 1
    (look,) = looks(done, "call")
    assert look["text"] == "the call was not answered: no final answer"
    assert "does not decide" in look["advice"]


def test_a_bye_without_answer_is_waited_for_as_long_as_was_told(siprec: Program, double: Double) -> None:
    double.bye_status = None
    done = siprec("doctor", double.target, "--seconds", "0.1", "--timeout", "0.3", "--json")
    assert done.code == 1
    assert [look["text"] for look in looks(done, "bye")] == ["the BYE was not answered with 200"]


def test_a_server_that_hangs_up_is_told_from_one_without_answer(siprec: Program, double: Double) -> None:
    double.hangs_up = True
    done = siprec("doctor", double.target, "--seconds", "1", "--timeout", "0.3", "--json")
    assert done.code == 1
    assert [look["text"] for look in looks(done, "bye")] == ["the server ended the call before we did"]


def test_an_inactive_stream_and_a_redirection_are_explained(siprec: Program, double: Double) -> None:
    double.changes = (("a=recvonly", "a=inactive"),)
    done = siprec("doctor", double.target, "--timeout", "0.3", "--json")
    assert {look["text"] for look in looks(done, "stream")} == {
        "stream 1 is inactive in the answer",
        "stream 2 is inactive in the answer",
    }
    double.status = "302 Moved"
    done = siprec("doctor", double.target, "--timeout", "0.3", "--json")
    assert "elsewhere" in looks(done, "call")[0]["advice"]


def test_silence_on_a_connection_is_not_taken_for_lost_fragments(siprec: Program) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        done = siprec("doctor", f"127.0.0.1:{sock.getsockname()[1]};transport=tcp", "--timeout", "0.3", "--json")
    assert done.code == 69
    assert "Nothing that speaks SIP" in looks(done, "call")[0]["advice"]
