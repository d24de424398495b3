"""`siprec inspect`: every kind of file, and what is no such file."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec.command_inspect import inspect_file
from siprec.description import describe_document
from siprec.documents import decode
from tests.app.programs import Program
from tests.core.messages import METADATA, OFFER, invite, multipart, request
from tests.tree import ROOT

EXAMPLES = ROOT.parent / "shared" / "rfc" / "examples"
DATA = ROOT / "tests" / "data"
SEED_INVITE = DATA / "app" / "seed-invite.sip"


def inspected(siprec: Program, path: Path, data: bytes | None = None, code: int = 0) -> Any:  # noqa: ANN401 - JSON
    if data is not None:
        path.write_bytes(data)
    done = siprec("inspect", "--json", path)
    assert (done.code, done.err) == (code, "")
    return done.json


def codes(entry: dict[str, Any]) -> set[str]:
    return {found["code"] for found in entry["findings"]}


def test_an_invite_of_a_recording_session(siprec: Program, tmp_path: Path) -> None:
    entry = inspected(siprec, tmp_path / "invite", invite())
    assert entry["file"] == str(tmp_path / "invite")
    assert (entry["kind"], entry["method"], entry["uri"]) == ("request", "INVITE", "sip:recorder@192.0.2.1:5060")
    assert entry["headers"][0] == ["Via", "SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bK-INVITE-1-call-1;rport"]
    assert (entry["call_id"], entry["cseq"]) == ("call-1", [1, "INVITE"])
    assert entry["siprec"] == {"recording_session": True, "require": True, "feature_tag": True, "metadata": True}
    assert entry["parts"] == [
        {"content_type": "application/sdp", "disposition": None, "size": len(OFFER)},
        {
            "content_type": "application/rs-metadata+xml",
            "disposition": "recording-session",
            "size": len(METADATA),
        },
    ]
    assert entry["sdp"]["origin"]["session_id"] == 100
    assert entry["sdp"]["media"][1] == {
        "media": "audio",
        "port": 41002,
        "protocol": "RTP/AVP",
        "label": "2",
        "direction": "sendonly",
        "host": "192.0.2.2",
        "codecs": ["PCMU/8000", "PCMA/8000"],
        "crypto": 0,
    }
    assert [stream["label"] for stream in entry["metadata"]["streams"]] == ["1", "2"]
    assert "status" not in entry


def test_a_response(siprec: Program, tmp_path: Path) -> None:
    head = (
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
        "To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nm: <sip:c@d>;+sip.srs\r\n"
        f"c: application/SDP\r\nl: {len(OFFER)}\r\n\r\n"
    )
    entry = inspected(siprec, tmp_path / "answer", head.encode() + OFFER.encode())
    assert (entry["kind"], entry["status"], entry["reason"]) == ("response", 200, "OK")
    assert ["Contact", "<sip:c@d>;+sip.srs"] in entry["headers"]
    assert entry["parts"] == [{"content_type": "application/sdp", "disposition": None, "size": len(OFFER)}]
    assert entry["siprec"] == {"recording_session": True, "require": False, "feature_tag": True, "metadata": False}


def test_an_ordinary_request_shows_no_recording_session(siprec: Program, tmp_path: Path) -> None:
    entry = inspected(siprec, tmp_path / "options", request("OPTIONS", contact=None))
    assert entry["siprec"]["recording_session"] is False
    assert not entry.keys() & {"parts", "sdp", "metadata"}
    assert entry["findings"] == []


def test_sdp_alone(siprec: Program, tmp_path: Path) -> None:
    text = OFFER.replace("m=audio 41002 RTP/AVP 0 8", "m=audio 41002 RTP/SAVP 96 97\r\na=rtpmap:96 opus/48000/2")
    text += "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n"
    entry = inspected(siprec, tmp_path / "offer", text.replace("a=sendonly\r\n", "").encode())
    assert entry["kind"] == "sdp"
    assert not entry.keys() & {"headers", "siprec", "parts", "metadata", "call_id"}
    second = entry["sdp"]["media"][1]
    assert (second["codecs"], second["crypto"], second["direction"]) == (["opus/48000/2", None], 1, "sendrecv")


@pytest.mark.parametrize("path", sorted((DATA / "metadata").iterdir()), ids=lambda path: path.name)
def test_metadata_alone(siprec: Program, path: Path) -> None:
    entry = inspected(siprec, path)
    assert entry["kind"] == "metadata"
    assert {"dialect", "datamode", "sessions", "participants", "streams", "extensions"} <= entry["metadata"].keys()


def test_a_multipart_body_alone(siprec: Program, tmp_path: Path) -> None:
    kind, body = multipart(("application/sdp", "", OFFER), ("application/rs-metadata", "", METADATA))
    entry = inspected(siprec, tmp_path / "body", body.encode())
    assert entry["kind"] == "multipart"
    assert [part["size"] for part in entry["parts"]] == [len(OFFER), len(METADATA)]
    assert entry["sdp"]["media"][0]["label"] == "1"
    assert entry["metadata"]["dialect"] == "rfc7865"
    assert "headers" not in entry
    with_header = inspected(siprec, tmp_path / "body", f"Content-Type: {kind}\r\n\r\n{body}".encode())
    lines, later = ([found.pop("line") for found in each["findings"]] for each in (entry, with_header))
    assert with_header == entry
    assert later == [line + 2 for line in lines] != []


def test_line_feeds_alone_are_a_finding_and_no_more(siprec: Program, tmp_path: Path) -> None:
    entry = inspected(siprec, tmp_path / "unix", invite().replace(b"\r\n", b"\n"))
    assert {"sip-bare-lf", "mime-bare-lf", "file-content-length"} <= codes(entry)
    assert len(entry["parts"]) == 2
    assert len(entry["metadata"]["streams"]) == 2


@pytest.mark.parametrize("length", ["0", "1", "999999", "many", "-1"])
def test_a_wrong_length_is_a_finding_and_no_more(siprec: Program, tmp_path: Path, length: str) -> None:
    head, _, body = invite().partition(b"\r\n\r\n")
    wrong = head.rpartition(b": ")[0] + b": " + length.encode() + b"\r\n\r\n" + body
    entry = inspected(siprec, tmp_path / "length", wrong)
    assert "file-content-length" in codes(entry)
    assert len(entry["parts"]) == 2


def test_a_message_that_a_server_refuses_is_shown_as_far_as_it_goes(siprec: Program, tmp_path: Path) -> None:
    entry = inspected(siprec, tmp_path / "bad", invite().replace(b"CSeq: 1 INVITE\r\n", b""), code=1)
    assert entry["method"] == "INVITE"
    assert len(entry["parts"]) == 2
    assert "cseq" not in entry
    (found,) = [each for each in entry["findings"] if each["severity"] == "error"]
    assert (found["code"], found["where"]) == ("sip-malformed", "CSeq")


def test_findings_tell_the_line_of_the_file(siprec: Program, tmp_path: Path) -> None:
    data = invite(metadata=METADATA.replace("<stream ", "\r\n<unknown/><stream ", 1), offer=OFFER + "x=1\r\n")
    entry = inspected(siprec, tmp_path / "lines", data.replace(b"<sip:src@192.0.2.2:5070>;", b"<sip:src@192.0.2.2;"))
    lines = data.split(b"\r\n")
    places = {found["code"]: found["line"] for found in entry["findings"] if "line" in found}
    assert lines[places["sdp-unknown-line"] - 1] == b"x=1"
    assert lines[places["metadata-unknown-element"] - 1].startswith(b"<unknown/>")
    assert lines[places["sip-bracket-unclosed"] - 1].startswith(b"Contact:")


@pytest.mark.parametrize(
    "data",
    [b"", b" \r\n", b"hello\n", b"\x00\xff" * 50, b"<html></html>", b"v=0\n", b"--edge\r\n", b"INVITE sip:a SIP/2.0"],
)
def test_what_cannot_be_decoded_gives_findings_and_1(siprec: Program, tmp_path: Path, data: bytes) -> None:
    entry = inspected(siprec, tmp_path / "what", data, code=1)
    assert entry["findings"]


@settings(max_examples=60)
@given(st.binary(max_size=200), st.integers(min_value=0, max_value=2_000), st.sampled_from(["cut", "put"]))
def test_no_octets_raise(noise: bytes, place: int, how: str) -> None:
    data = invite()
    at = place % len(data)
    hostile = data[:at] if how == "cut" else data[:at] + noise + data[at:]
    for each in (noise, hostile):
        json.dumps(describe_document(decode(each)))


def test_a_file_that_is_not_there_is_2(siprec: Program, tmp_path: Path) -> None:
    done = siprec("inspect", tmp_path / "none")
    assert done.code == 2
    assert done.err == f"siprec: {tmp_path / 'none'}: no such file or directory\n"


def test_several_files_make_a_list(siprec: Program, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(invite())
    second.write_bytes(OFFER.encode())
    assert [entry["kind"] for entry in siprec("inspect", "--json", first, second).json] == ["request", "sdp"]


def test_the_summary_has_no_control_characters(siprec: Program, tmp_path: Path) -> None:
    path = tmp_path / "escape"
    path.write_bytes(invite(call_id="a\x1b[31mb").replace(b"s=-", b"s=\x1b[0m"))
    done = siprec("inspect", path)
    assert "\x1b" not in done.out
    assert "Call-ID a\\x1b[31mb" in done.out
    assert "audio 192.0.2.2:41000 RTP/AVP label 1 sendonly: PCMU/8000 PCMA/8000" in done.out


def test_the_invite_of_the_older_dialect(siprec: Program) -> None:
    entry = inspected(siprec, SEED_INVITE)
    assert entry["metadata"]["dialect"] == "seed"
    assert len(entry["metadata"]["participants"]) == 2
    assert {"seed-dialect", "metadata-namespace"} <= codes(entry)


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples of the RFCs are not beside this checkout")
def test_every_example_of_the_rfcs_is_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    paths = sorted(EXAMPLES.iterdir())
    assert paths
    for path in paths:
        entry, decoded = inspect_file(path)
        assert decoded, path.name
        expected = {".xml": "metadata", ".sdp": "sdp", ".sip": "request"}[path.suffix]
        assert entry["kind"] == expected
        if path.suffix == ".sip":
            assert "call_id" in entry, path.name
        assert not [found for found in entry["findings"] if found["severity"] == "error"], path.name  # type: ignore[attr-defined]
