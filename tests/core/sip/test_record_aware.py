"""The option tag of recording-aware user agents (RFC 7866 section 6.3)."""

import pytest

from siprec_core.sip.headers import Headers
from siprec_core.sip.record_aware import add_record_aware, is_record_aware
from tests.core.messages import read, read_response, request, response_to


@pytest.mark.parametrize(
    ("supported", "aware"),
    [
        (["record-aware"], True),
        (["timer, Record-Aware"], True),
        (["timer", "record-aware"], True),
        (["timer"], False),
        ([], False),
    ],
)
def test_the_tag_is_looked_for_in_supported(supported: list[str], aware: bool) -> None:
    extra = [f"Supported: {value}" for value in supported]
    assert is_record_aware(read(request("INVITE", extra=extra))) is aware
    assert is_record_aware(read_response(response_to(request("INVITE"), 200, extra=extra))) is aware


def test_a_tag_in_require_alone_claims_nothing() -> None:
    assert not is_record_aware(read(request("INVITE", extra=["Require: record-aware"])))


@pytest.mark.requirement("7866-6.3-a")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], ["record-aware"]),
        (["timer, 100rel"], ["timer, 100rel, record-aware"]),
        (["timer", "100rel"], ["timer, 100rel, record-aware"]),
        (["timer, RECORD-AWARE"], ["timer, RECORD-AWARE"]),
    ],
)
def test_the_tag_is_listed_once(before: list[str], after: list[str]) -> None:
    headers = Headers([("Supported", value) for value in before])
    add_record_aware(headers)
    assert headers.get_all("Supported") == after
