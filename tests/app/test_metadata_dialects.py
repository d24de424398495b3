"""Metadata as clients in the field write it, through `siprec inspect` and through a recording.

The files follow what published traces of each client show; what `inspect --json` says of them stands beside them.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec.description import describe_document
from siprec.documents import decode
from siprec_core.recording.events import SessionEnded, SessionEstablished
from tests.app.programs import Program
from tests.core.harness import Pair
from tests.core.messages import OFFER, multipart, request, status, tag
from tests.tree import ROOT

FILES = sorted((ROOT / "tests" / "data" / "dialects").glob("metadata-*.xml"))
NAMES = [path.stem.removeprefix("metadata-") for path in FILES]
EXPECTED_CODES = {
    "audiocodes": {"metadata-aor-form", "metadata-id-attribute", "metadata-time-syntax", "metadata-no-association"},
    "avaya": {"metadata-name-case", "metadata-missing-attribute", "metadata-time-syntax"},
    "broadworks": {"metadata-namespace", "metadata-nested-text", "metadata-misplaced-element"},
    "cisco-bye": {"metadata-leading-space", "metadata-element-name", "metadata-dangling-reference"},
    "connectel": set[str](),
    "cube-inactive": {"metadata-dangling-reference", "metadata-element-order"},
    "google": {"metadata-leading-space", "metadata-element-name", "metadata-unknown-attribute"},
    "jambonz": {"metadata-element-order", "metadata-time-syntax", "metadata-sip-session-id"},
    "metaswitch": {"metadata-element-order", "metadata-aor-form", "metadata-unknown-element"},
    "netsapiens": {"metadata-missing-attribute", "metadata-id-syntax"},
    "opensips": {"metadata-repaired", "metadata-time-syntax"},
    "oracle": {"metadata-namespace", "metadata-name-case", "metadata-no-association", "metadata-unknown-element"},
    "ribbon": {"metadata-namespace", "metadata-send-crossed"},
    "ribbon-bye": {"metadata-datamode", "metadata-missing-element"},
    "sems": {"metadata-unknown-attribute"},
    "twilio": {"metadata-aor-form"},
    "voiceblender": {"metadata-element-order"},
}


def expected(path: Path) -> Any:  # noqa: ANN401 - JSON
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def test_every_client_has_its_file() -> None:
    assert set(NAMES) == EXPECTED_CODES.keys()


def test_inspect_reads_every_client(siprec: Program) -> None:
    done = siprec("inspect", "--json", *FILES)
    assert (done.code, done.err) == (0, "")
    entries = {Path(entry["file"]).stem: entry for entry in done.json}
    for path in FILES:
        entry = entries[path.stem]
        assert entry["kind"] == "metadata"
        assert entry["metadata"] == expected(path), path.stem


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_deviations_of_a_client_are_named(path: Path) -> None:
    found = decode(path.read_bytes()).findings
    assert {each.code for each in found} >= EXPECTED_CODES[path.stem.removeprefix("metadata-")]
    assert all(each.line is not None for each in found)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_call_with_such_metadata_is_recorded(path: Path) -> None:
    kind, text = multipart(
        ("application/sdp", "", OFFER),
        ("application/rs-metadata+xml", "recording-session", path.read_text(encoding="utf-8")),
    )
    pair = Pair()
    pair.inject(request("INVITE", body=text, content_type=kind, extra=["Require: siprec"]))
    answer = pair.server.sent[-1]
    assert status(answer) == 200
    assert len(pair.server.of(SessionEstablished)) == 1
    (session,) = pair.recorder.sessions().values()
    ours = tag(answer)
    pair.inject(request("ACK", to_tag=ours, branch="z9hG4bK-ack"))
    pair.inject(
        request(
            "BYE", cseq=2, to_tag=ours, body=path.read_text(encoding="utf-8"), content_type="application/rs-metadata"
        )
    )
    pair.run(1.0)
    assert len(pair.server.of(SessionEnded)) == 1
    report = json.loads(pair.server.files[f"{pair.server.of(SessionEnded)[0].directory}/recording.json"])
    wanted = expected(path)
    assert report["dialect"] == wanted["dialect"]
    assert [each["aors"] for each in report["participants"]] == [each["aors"] for each in wanted["participants"]]
    assert [each["id"] for each in report["sessions"]] == [each["id"] for each in wanted["sessions"]]
    assert session is not None


@pytest.mark.parametrize("path", FILES, ids=NAMES)
@settings(max_examples=15)
@given(data=st.data())
def test_hostile_twin_never_raises(path: Path, data: st.DataObject) -> None:
    octets = path.read_bytes()
    at = data.draw(st.integers(0, len(octets)))
    twin = data.draw(
        st.sampled_from(
            [
                octets[:at],
                octets[:at] + b"\x00\xff<!" + octets[at:],
                octets[:at] + b"<!DOCTYPE r [<!ENTITY a 'b'>]>" + octets[at:],
                octets[:at] + b"&a;" + octets[at:],
                octets[at:] + octets[:at],
                octets[:at] + octets[at:].replace(b'"', b"", 1),
                octets[:at] + b"<x>" * 2_000 + octets[at:],
            ]
        )
    )
    describe_document(decode(twin))
