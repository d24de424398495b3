"""Findings and the log that bounds them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.findings import REGISTRY, FindingLog, finding


@pytest.mark.parametrize("code", sorted(REGISTRY))
def test_a_finding_takes_its_severity_rule_and_text_from_the_registry(code: str) -> None:
    found = finding(code, "here")
    entry = REGISTRY[code]
    assert (found.code, found.severity, found.rfc, found.message) == (code, entry.severity, entry.rfc, entry.meaning)


def test_a_finding_may_say_more_than_its_code() -> None:
    found = finding("sip-ack-mismatch", "CSeq", "ACK 7 to INVITE 1", line=4, column=2)
    assert found.as_json() == {
        "code": "sip-ack-mismatch",
        "severity": found.severity.value,
        "where": "CSeq",
        "message": "ACK 7 to INVITE 1",
        "rfc": found.rfc,
        "line": 4,
        "column": 2,
    }


def test_without_a_place_in_the_text_the_json_has_none() -> None:
    assert finding("sip-ack-mismatch", "CSeq").as_json().keys() == {"code", "severity", "where", "message", "rfc"}


def test_an_unregistered_code_is_an_error_of_ours() -> None:
    with pytest.raises(KeyError):
        finding("no-such-code", "here")


@given(st.integers(0, 20), st.lists(st.integers(0, 5), max_size=10))
def test_the_log_keeps_so_many_and_counts_the_rest(limit: int, groups: list[int]) -> None:
    log = FindingLog(limit)
    for size in groups:
        log.add(*[finding("sip-ack-mismatch", str(size))] * size)
    assert len(log.findings) == min(limit, sum(groups))
    assert log.dropped == max(0, sum(groups) - limit)
