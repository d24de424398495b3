"""`siprec inspect --json` of what clients in the field send: labels, codecs, addresses, ids and parts."""

import json
from typing import Any

import pytest

from siprec.command_inspect import inspect_file
from siprec.description import describe_document
from siprec.documents import decode
from tests.core.dialect_offers import FOLDER, OFFERS, hostile_twins, message

BY_SESSION_ONLY = {"sdp-line-refused", "sdp-bundle-ignored", "sdp-host-name", "srtp-unavailable"}
"""Findings of the server's answer."""
BY_REVIEW = {"metadata-disposition", "sdp-hold-address", "sdp-not-sendonly"}
"""Findings of what the RFC asks of a recording session: `validate` tells them."""


STREAM_IDS = (
    "UKSjptB/TAyzL4sSJAg/0g==",
    "K5AviRHoSBi4yZ1dXZgxlQ==",
    "dQTZDpRdQui1TueBzHX2Ng==",
    "2FCZCVqjQBaaZwNvm1QNaw==",
)


@pytest.mark.parametrize("name", OFFERS)
def test_inspect(name: str) -> None:
    expected = OFFERS[name]
    described, decoded = inspect_file(FOLDER / f"sdp-{name}.sip")
    assert decoded
    entry: Any = json.loads(json.dumps(described))
    told = [
        (media["media"], media["protocol"], media["label"], media["direction"], media["host"], media["crypto"])
        for media in entry["sdp"]["media"]
    ]
    assert told == [
        (line.media, line.protocol, line.label, line.direction, line.host, line.crypto) for line in expected.lines
    ]
    codecs = [" ".join(codec or "?" for codec in media["codecs"]) for media in entry["sdp"]["media"]]
    assert codecs == [line.codecs for line in expected.lines]
    assert [part["content_type"] for part in entry["parts"]] == expected.parts.split()
    assert {mark for mark in ("require", "feature_tag", "metadata") if entry["siprec"][mark]} == set(
        expected.marks.split()
    )
    assert entry["siprec"]["recording_session"]
    labels = tuple(line.label for line in expected.lines) if expected.labels is None else expected.labels
    streams = entry["metadata"]["streams"] if "metadata" in entry else []
    assert tuple(stream["label"] for stream in streams) == labels
    assert [stream["id"] for stream in streams] == list(STREAM_IDS[: len(labels)])
    mandatory = {code for code in expected.findings if not code.startswith("siprec-")}
    assert {found["code"] for found in entry["findings"]} == mandatory - BY_SESSION_ONLY - BY_REVIEW


@pytest.mark.parametrize("name", OFFERS)
def test_hostile_twins_are_described(name: str) -> None:
    for twin in hostile_twins(message(name)):
        described = json.loads(json.dumps(describe_document(decode(twin))))
        assert described["findings"] or described.get("kind") == "request"
