"""The registry as a whole: every code tells what is wrong and what to do."""

import re

import pytest

from siprec_core import finding_codes
from siprec_core.finding_codes import REGISTRY, FindingCode, Severity
from siprec_core.finding_codes.capture import CAPTURE_CODES
from siprec_core.finding_codes.media import MEDIA_CODES
from siprec_core.finding_codes.metadata import METADATA_CODES
from siprec_core.finding_codes.mime import MIME_CODES
from siprec_core.finding_codes.sdp import SDP_CODES
from siprec_core.finding_codes.session import SESSION_CODES
from siprec_core.finding_codes.sip import SIP_CODES

GROUPS = (SIP_CODES, MIME_CODES, SDP_CODES, METADATA_CODES, MEDIA_CODES, CAPTURE_CODES, SESSION_CODES)
ENTRIES = [entry for group in GROUPS for entry in group]


def test_no_code_stands_twice() -> None:
    assert len(REGISTRY) == len(ENTRIES)
    assert {entry.code: entry for entry in ENTRIES} == REGISTRY


def test_the_package_shows_the_registry() -> None:
    assert finding_codes.__all__ == ["REGISTRY", "FindingCode", "Severity"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.code)
def test_every_entry_is_complete(entry: FindingCode) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", entry.code)
    assert isinstance(entry.severity, Severity)
    assert len(entry.meaning) > 10
    assert len(entry.advice) > 4
    assert entry.rfc == "" or re.match(r"RFC \d{3,4}\b", entry.rfc), entry.rfc
    assert entry.meaning == entry.meaning.strip()
    assert entry.advice == entry.advice.strip()


def test_no_two_codes_mean_the_same() -> None:
    meanings = [entry.meaning for entry in ENTRIES]
    assert len(set(meanings)) == len(meanings)
