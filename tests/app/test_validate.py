"""`siprec validate`: findings with their places, and the rules of recording sessions."""

import re
from pathlib import Path
from typing import Any

import pytest

from siprec_core.metadata.ids import unique_id_for
from tests.app.programs import Program
from tests.app.test_inspect import EXAMPLES, SEED_INVITE
from tests.core import messages
from tests.core.messages import OFFER, request

DIALECTS = Path(__file__).parents[1] / "data" / "dialects"
METADATA = messages.METADATA
for _short in ("c2Vzc2lvbi1vbmUtaWQ=", "cGFydGljaXBhbnQtMQ==", "c3RyZWFtLW9uZS1pZA==", "c3RyZWFtLXR3by1pZA=="):
    METADATA = METADATA.replace(_short, unique_id_for(f"{_short} of the tests"))
"""With ids that are UUIDs."""
LINE = re.compile(
    r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?P<severity>error|warning|info) (?P<code>[a-z0-9-]+) .+"
)


def invite(*, metadata: str | None = METADATA, **parts: Any) -> bytes:  # noqa: ANN401 - those of the other
    return messages.invite(metadata=metadata, **parts)


def found(siprec: Program, path: Path, data: bytes, *words: str, code: int = 0) -> dict[str, tuple[int, int, str]]:
    """Give line, column and severity of each finding by code."""
    path.write_bytes(data)
    done = siprec("validate", path, *words)
    assert (done.code, done.err) == (code, "")
    matches = [LINE.fullmatch(line) for line in done.out.splitlines()]
    assert all(match is not None and match["file"] == str(path) for match in matches)
    return {m["code"]: (int(m["line"]), int(m["column"]), m["severity"]) for m in matches if m is not None}


def test_a_sound_invite_has_no_findings(siprec: Program, tmp_path: Path) -> None:
    assert found(siprec, tmp_path / "invite", invite(), "--strict") == {}


def test_missing_marks_are_told(siprec: Program, tmp_path: Path) -> None:
    data = invite(require=None, contact="<sip:a@b>;src", metadata=None)
    codes = found(siprec, tmp_path / "x", data)
    line = next(n for n, text in enumerate(data.split(b"\r\n"), 1) if text.startswith(b"Contact"))
    assert codes["siprec-no-require"][2] == "warning"
    assert codes["siprec-feature-tag-form"] == (line, 1, "warning")
    assert "siprec-no-metadata" in codes


def test_an_ordinary_call_is_no_recording_session(siprec: Program, tmp_path: Path) -> None:
    data = request("INVITE", contact="<sip:a@b>", body=OFFER, content_type="application/sdp")
    assert found(siprec, tmp_path / "x", data) == {}


def test_labels_of_sdp_and_metadata_are_compared(siprec: Program, tmp_path: Path) -> None:
    data = invite(metadata=METADATA.replace("<label>2</label>", "<label>3</label>"))
    codes = found(siprec, tmp_path / "x", data)
    lines = data.split(b"\r\n")
    assert codes.keys() == {"stream-without-metadata", "metadata-label-without-line"}
    assert lines[codes["stream-without-metadata"][0] - 1] == b"m=audio 41002 RTP/AVP 0 8"
    assert lines[codes["metadata-label-without-line"][0] - 1].startswith(b"<?xml")


def test_rules_of_offers(siprec: Program, tmp_path: Path) -> None:
    offer = OFFER.replace("a=label:2", "a=label:1").replace("a=sendonly\r\n", "", 1)
    codes = found(siprec, tmp_path / "x", offer.encode(), code=1)
    assert codes["sdp-duplicate-label"][0] == 8
    assert codes["sdp-not-sendonly"][0] == 6
    answer = OFFER.replace("sendonly", "recvonly")
    assert found(siprec, tmp_path / "x", answer.encode()) == {}


def test_errors_are_1_and_warnings_only_with_strict(siprec: Program, tmp_path: Path) -> None:
    warned = invite(require=None)
    assert found(siprec, tmp_path / "x", warned, code=0)
    assert found(siprec, tmp_path / "x", warned, "--strict", code=1)
    assert found(siprec, tmp_path / "x", invite().replace(b"CSeq: 1", b"CSeq: x"), code=1)


@pytest.mark.parametrize("data", [b"", b"nothing", b"<recording", b"v=0"])
def test_what_cannot_be_decoded_is_1(siprec: Program, tmp_path: Path, data: bytes) -> None:
    assert found(siprec, tmp_path / "x", data, code=1)


def test_a_line_names_the_rule(siprec: Program, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(invite(require=None))
    out = siprec("validate", tmp_path / "x").out
    assert re.fullmatch(r".*/x:1:1: warning siprec-no-require Require: .+ \(RFC 7866 6\.1\.1\)\n", out)


def test_the_older_dialect_is_told_by_its_deviations(siprec: Program) -> None:
    done = siprec("validate", SEED_INVITE)
    assert "seed-dialect" in done.out
    assert "metadata-id-attribute" in done.out


def test_a_file_that_is_not_there_is_2(siprec: Program, tmp_path: Path) -> None:
    assert siprec("validate", tmp_path / "none").code == 2


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples of the RFCs are not beside this checkout")
def test_the_examples_of_the_rfcs_have_no_errors(siprec: Program) -> None:
    done = siprec("validate", *sorted(EXAMPLES.iterdir()))
    assert (done.code, done.err) == (0, "")


def test_metadata_without_its_disposition_is_a_warning(siprec: Program, tmp_path: Path) -> None:
    whole = invite()
    assert "metadata-disposition" not in found(siprec, tmp_path / "whole.sip", whole)
    bare = whole.replace(b"Content-Disposition: recording-session\r\n", b"X-Instead-Of-It: somewhat-long-value--\r\n")
    assert len(bare) == len(whole)
    line, _, severity = found(siprec, tmp_path / "bare.sip", bare)["metadata-disposition"]
    assert (severity, bare.split(b"\r\n")[line - 1][:5]) == ("warning", b"<?xml")


def test_a_uri_with_a_tag_parameter_is_no_dialog(siprec: Program, tmp_path: Path) -> None:
    data = invite(require=None).replace(b"To: <sip:recorder@192.0.2.1>", b"To: <sip:recorder@192.0.2.1;tag=x>")
    assert "siprec-no-require" in found(siprec, tmp_path / "tag.sip", data)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sdp-session-direction.sip", "metadata of dialect rfc7865"),
        ("metadata-oracle.xml", "metadata of dialect draft-recording, probably oracle"),
    ],
)
def test_who_wrote_a_file_is_guessed(siprec: Program, name: str, told: str) -> None:
    path = DIALECTS / name
    assert siprec("validate", path, "--guess").err.startswith(f"{path}: {told}")


def test_a_product_that_names_itself_is_recognised(siprec: Program, tmp_path: Path) -> None:
    path = tmp_path / "invite"
    path.write_bytes(invite(extra=["User-Agent: Mediant SW/v.7.40A"]))
    assert siprec("validate", path, "--guess").err == f"{path}: metadata of dialect rfc7865, probably audiocodes\n"
    path.write_bytes(b"nothing at all")
    assert siprec("validate", path, "--guess").err == ""
