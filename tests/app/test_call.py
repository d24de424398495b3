"""`siprec call` against servers that refuse, break rules or are not there."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from siprec.command_call import offered_streams
from siprec.outcome import CommandError
from siprec.targets import read_target
from siprec_core.containers.wav import WavEncoder
from siprec_core.types import Transport
from tests.app.programs import Program
from tests.core.messages import body, field

HEAD = "SIP/2.0 {status}\r\nVia: {via}\r\nFrom: {from_}\r\nTo: {to};tag=srs\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n"


class Double:
    """A server on UDP that answers each request with what a test wants."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.bye_status: str | None = "200 OK"
        self.cancel_status: str | None = None
        self.extra = ""
        self.hangs_up = False
        self.media_port: int | None = None
        self.change_status: str | None = None
        self.answers_options = False
        self.changes: tuple[tuple[str, str], ...] = ()
        self.refuses_last = False
        self.bodies: list[str] = []
        self.from_ = ""
        self.client = ""
        """Where it waits for requests."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.contact = f"<sip:srs@{self.target}>;+sip.srs"
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()

    def _run(self) -> None:
        while True:
            data, source = self.socket.recvfrom(65_535)
            if not data:
                return
            method = data.split(b" ", 1)[0]
            answered = {
                b"INVITE": True,
                b"BYE": self.bye_status is not None,
                b"CANCEL": self.cancel_status is not None,
                b"OPTIONS": self.answers_options,
            }
            if answered.get(method):
                self.socket.sendto(self._answer(data, method == b"INVITE"), source)
            if method == b"ACK" and self.hangs_up:
                self.socket.sendto(self._bye(data), source)

    def _bye(self, ack: bytes) -> bytes:
        head = f"BYE sip:{self.client} SIP/2.0\r\nVia: SIP/2.0/UDP {self.target};branch=z9hG4bKbye\r\n"
        head += f"From: {field(ack, 'To')}\r\nTo: {field(ack, 'From')}\r\nCall-ID: {field(ack, 'Call-ID')}\r\n"
        return f"{head}CSeq: 1 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n".encode()

    def _answer(self, data: bytes, is_invite: bool) -> bytes:
        status = self.status if is_invite else (self.bye_status or "")
        if data.startswith(b"CANCEL"):
            status = self.cancel_status or ""
        if is_invite and self.change_status is not None and ";tag=" in field(data, "To"):
            status = self.change_status
        head = HEAD.format(
            status=status,
            via=field(data, "Via"),
            from_=field(data, "From"),
            to=field(data, "To").partition(";")[0],
            call_id=field(data, "Call-ID"),
            cseq=field(data, "CSeq"),
        )
        head += self.extra
        text = ""
        if data.startswith(b"OPTIONS"):
            head += "Allow: INVITE, ACK, BYE\r\n"
        if is_invite:
            self.from_ = field(data, "From")
            self.client = field(data, "Via").split()[1].partition(";")[0]
            self.bodies.append(body(data))
            offer = body(data).partition("\r\n\r\n")[2].partition("\r\n--")[0]
            text = offer.replace("a=sendonly", "a=recvonly")
            for old, new in self.changes:
                text = text.replace(old, new)
            if self.media_port is not None:
                text = re.sub(r"m=audio \d+", f"m=audio {self.media_port}", text)
            if self.refuses_last:
                before, line, after = text.rpartition("m=audio ")
                text = f"{before}{line}0 {after.partition(' ')[2]}"
            head += f"Contact: {self.contact}\r\nAllow: INVITE, ACK, BYE\r\nContent-Type: application/sdp\r\n"
        return f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()


@pytest.fixture
def double() -> Iterator[Double]:
    double = Double()
    yield double
    double.close()


def test_a_server_that_keeps_the_rules(siprec: Program, double: Double) -> None:
    done = siprec("call", double.target, "--seconds", "0.1", "--from", "sip:me@example.com")
    assert (done.code, done.err) == (0, "")
    assert "200 OK" in done.out
    assert "PCMU/8000" in done.out
    assert "\n  no " not in done.out
    assert double.from_.startswith("<sip:me@example.com>;tag=")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ((("a=label:2", "a=label:7"),), "sdp-answer-label"),
        ((("a=recvonly", "a=sendonly"),), "sdp-answer-direction"),
        ((("RTP/AVP 0 8\r\n", "RTP/AVP 0 8 9\r\na=rtpmap:9 G722/8000\r\n"),), "sdp-answer-format"),
    ],
)
@pytest.mark.parametrize("worker", ["asyncio", "sync"])
def test_each_broken_rule_is_told_and_1(
    siprec: Program, double: Double, changes: tuple[tuple[str, str], ...], code: str, worker: str
) -> None:
    double.changes = changes
    done = siprec("call", double.target, "--seconds", "0.1", "--json", "-k", worker)
    assert done.code == 1
    assert code in {found["code"] for found in done.json["findings"]}
    assert done.json["ok"] is False
    assert [check["kept"] for check in done.json["checks"]].count(False) == 1


def test_a_missing_feature_tag_is_told(siprec: Program, double: Double) -> None:
    double.contact = f"<sip:srs@{double.target}>"
    done = siprec("call", double.target, "--seconds", "0.1")
    assert done.code == 1
    assert "answer-no-feature-tag" in done.out


def test_a_stream_that_is_refused_is_a_problem(siprec: Program, double: Double) -> None:
    double.refuses_last = True
    done = siprec("call", double.target, "--seconds", "0.1", "--json")
    assert done.code == 1
    assert [stream["codec"] for stream in done.json["streams"]] == ["PCMU/8000", None]


@pytest.mark.parametrize("worker", ["trio", "sync"])
def test_a_refusal_is_1(siprec: Program, double: Double, worker: str) -> None:
    double.status = "503 Service Unavailable"
    done = siprec("call", double.target, "--json", "-k", worker)
    assert (done.code, done.json["status"], done.json["streams"]) == (1, 503, [])


def test_what_is_to_be_done_about_a_refusal(siprec: Program, double: Double) -> None:
    double.status, double.extra = "503 Full", "Retry-After: 30\r\n"
    assert siprec("call", double.target, "--json").json["retry_after"] == 30
    assert "asked again after 30 s" in siprec("call", double.target).out
    double.status, double.extra = "401 Unauthorized", ""
    assert "--user" in siprec("call", double.target).out
    double.status = "302 Moved"
    assert "not followed" in siprec("call", double.target).out


@pytest.mark.parametrize("worker", ["asyncio", "sync"])
def test_a_server_that_never_decides_was_reached(siprec: Program, double: Double, worker: str) -> None:
    double.status = "180 Ringing"
    done = siprec("call", double.target, "-k", worker, "--timeout", "0.3")
    assert (done.code, done.err) == (1, "")
    assert "408 no final answer, only 180 Ringing" in done.out


def test_a_stream_that_is_inactive_was_not_refused(siprec: Program, double: Double) -> None:
    double.changes = (("a=recvonly", "a=inactive"),)
    done = siprec("call", double.target, "--seconds", "0.1")
    assert done.code == 1
    assert done.out.count(" inactive ") == 2
    assert "refused" not in done.out


@pytest.mark.parametrize("worker", ["asyncio", "trio", "sync"])
def test_silence_is_69(siprec: Program, worker: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{sock.getsockname()[1]}"
        done = siprec("call", target, "--timeout", "0.3", "-k", worker)
    assert done.code == 69
    assert done.err == f"siprec: {target}: {target} over udp cannot be reached: no answer\n"


@pytest.mark.parametrize("worker", ["asyncio", "sync"])
def test_no_listener_is_69(siprec: Program, worker: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        done = siprec("call", f"127.0.0.1:{sock.getsockname()[1]};transport=tcp", "-k", worker)
    assert done.code == 69
    assert "transport failed" in done.err


def test_a_name_of_this_machine_and_the_way_that_was_taken(siprec: Program, double: Double) -> None:
    port = double.target.rpartition(":")[2]
    done = siprec("call", f"localhost:{port}", "--seconds", "0.1", "--json")
    assert (done.code, done.json["transport"], done.json["remote"]["host"]) == (0, "udp", "127.0.0.1")


def test_what_may_go_over_tls_takes_its_options(siprec: Program) -> None:
    done = siprec("call", "sip:recorder.invalid", "--tls-insecure")
    assert (done.code, done.err.startswith("siprec: recorder.invalid: ")) == (69, True)
    done = siprec("call", "sip:recorder.invalid;transport=udp", "--tls-insecure")
    assert (done.code, "--tls-insecure" in done.err) == (2, True)


def test_an_unknown_name_is_69(siprec: Program) -> None:
    done = siprec("call", "sip:recorder.invalid")
    assert (done.code, done.err.startswith("siprec: recorder.invalid: ")) == (69, True)


def wav(path: Path, rate: int, seconds: float, channels: int = 1) -> Path:
    encoder = WavEncoder(rate, channels)
    pcm = bytes(2 * channels * round(rate * seconds))
    path.write_bytes(encoder.start(len(pcm)) + pcm)
    return path


def test_audio_labels_and_metadata_are_the_callers(siprec: Program, double: Double, tmp_path: Path) -> None:
    (tmp_path / "metadata.xml").write_text("<recording/>", encoding="utf-8")
    words = ("--audio", wav(tmp_path / "a.wav", 8_000, 0.2), "--label", "left", "--label", "right")
    done = siprec("call", double.target, *words, "--metadata", tmp_path / "metadata.xml", "--json")
    assert done.code == 0
    assert [(each["label"], each["packets_sent"]) for each in done.json["streams"]] == [("left", 10), ("right", 10)]
    assert "\r\n\r\n<recording/>\r\n--" in double.bodies[0]


def test_keys_are_sent_where_the_server_takes_them(siprec: Program, double: Double) -> None:
    done = siprec("call", double.target, "--seconds", "0.1", "--dtmf", "12d")
    assert (done.code, done.err) == (0, "")
    assert "keys 12D sent" in done.out
    double.changes = (("AVP 0 8 101", "AVP 0 8"), ("a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n", ""))
    done = siprec("call", double.target, "--seconds", "0.1", "--dtmf", "1", "--json")
    assert done.code == 1
    assert "no telephone events" in done.json["digits_refused"]
    assert siprec("call", double.target, "--dtmf", "12x").code == 2


def test_streams_are_counted(siprec: Program, double: Double) -> None:
    done = siprec("call", double.target, "--streams", "3", "--label", "2", "--seconds", "0.1", "--json")
    assert [stream["label"] for stream in done.json["streams"]] == ["2", "1", "3"]


def test_files_without_audio_and_unknown_codecs_are_2(siprec: Program, tmp_path: Path) -> None:
    (tmp_path / "c.wav").write_bytes(b"no audio at all")
    for words in (("--audio", tmp_path / "none.wav"), ("--audio", tmp_path / "c.wav"), ("--codecs", "opus/48000/2")):
        done = siprec("call", "127.0.0.1:9", *words)
        assert done.code == 2
        assert str(words[1]) in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["127.0.0.1:5060", "--srtp", "ROT13"],
        ["--srtp", "127.0.0.1:5060"],
        ["tel:+1555"],
        ["sip:"],
        ["127.0.0.1:x"],
        ["127.0.0.1;transport=sctp"],
        ["sips:127.0.0.1;transport=udp"],
        ["127.0.0.1", "--from", "nobody"],
        ["127.0.0.1", "--label", "a b"],
        ["127.0.0.1", "--label", "a", "--label", "a"],
        ["127.0.0.1", "--streams", "1", "--label", "a", "--label", "b"],
        ["127.0.0.1", "--tls-insecure"],
        ["127.0.0.1", "--seconds", "0"],
    ],
)
def test_wrong_usage_is_2(siprec: Program, words: list[str]) -> None:
    done = siprec("call", *words)
    assert (done.code, done.err.count("\n"), done.err[:8]) == (2, 1, "siprec: ")


def test_targets() -> None:
    assert read_target("recorder:5070").port == 5070
    assert read_target("[2001:db8::1]:5070").host == "2001:db8::1"
    assert read_target("sips:recorder").transport is Transport.TLS
    assert read_target("SIP:u@recorder;transport=tcp").transport is Transport.TCP
    assert read_target("sip:user:secret@recorder").host == read_target("user@recorder").host == "recorder"
    for wrong in ("", "mailto:me@example.com", "tel:+1234", "http://recorder:5060"):
        with pytest.raises(CommandError):
            read_target(wrong)


def test_streams_have_a_participant_each() -> None:
    streams = offered_streams([str(index) for index in range(10)])
    assert len({stream.aor for stream in streams}) == 10
    assert streams[9].aor == "sip:party10@example.com"
