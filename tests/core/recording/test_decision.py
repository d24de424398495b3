"""Decisions about calls."""

import json

import pytest

from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.recording.decision import Decision
from siprec_core.recording.events import FindingRaised
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.render import render
from siprec_core.types import SessionId
from tests.core.harness import Pair
from tests.core.messages import field, invite, request, status, tag
from tests.core.recording.calls import collect


def asked(*, undecided: str = "accept") -> tuple[Pair, SessionId]:
    pair = Pair(config=ServerConfig(manual=True, decision_seconds=2.0, undecided=undecided))
    pair.inject(invite())
    (session,) = pair.recorder.session_ids()
    return pair, session


def test_what_a_hook_is_told() -> None:
    pair, session = asked()
    told = pair.recorder.policy_request(session)
    assert (told.session, told.call_id) == (session, "call-1")
    assert told.peer.host == "192.0.2.2"
    assert told.uri.startswith("sip:")
    assert "recorder" in told.to
    assert "src" in told.from_
    assert told.marks.any
    assert told.metadata is not None
    with pytest.raises(LocalProtocolError):
        pair.recorder.policy_request(SessionId("other"))


def test_a_decision_is_carried_out_and_kept_in_report_and_journal() -> None:
    pair, session = asked()
    decision = Decision(tenant="sales", retention_days=90, labels=("a", "b"), codecs=("PCMA/8000",))
    pair.recorder.decide(session, decision, now=pair.now)
    pair.settle()
    answer = pair.server.sent[-1]
    assert status(answer) == 200
    assert b"PCMU" not in answer
    pair.inject(request("ACK", to_tag=tag(answer), branch="z9hG4bK-ack"))
    expected = {"tenant": "sales", "retention_days": 90, "labels": ["a", "b"]}
    name = next(name for name in pair.server.files if name.endswith("recording.json"))
    assert json.loads(pair.server.files[name])["policy"] == expected
    pair.inject(request("BYE", to_tag=tag(answer), cseq=2))
    pair.run(1.0)
    journal = next(data for name, data in pair.server.files.items() if name.endswith("journal.pcapng"))
    report = json.loads(collect(render(lambda: [journal]))["recording.json"])
    assert report["policy"] == expected
    with pytest.raises(LocalProtocolError):
        pair.recorder.decide(session, Decision(), now=pair.now)


def test_a_call_without_remarks_has_no_policy() -> None:
    pair, session = asked()
    pair.recorder.decide(session, Decision(), now=pair.now)
    pair.settle()
    name = next(name for name in pair.server.files if name.endswith("recording.json"))
    assert "policy" not in json.loads(pair.server.files[name])


def test_a_refusal_has_status_and_reason() -> None:
    pair, session = asked()
    pair.recorder.decide(session, Decision(status=403, reason="Not Yours"), now=pair.now)
    pair.settle()
    assert pair.server.sent[-1].startswith(b"SIP/2.0 403 Not Yours\r\n")
    assert not pair.recorder.session_ids()


@pytest.mark.parametrize(
    "decision",
    [
        Decision(status=200),
        Decision(status=403, reason="a\r\nb"),
        Decision(status=403, reason="ä"),
        Decision(codecs=("",)),
    ],
)
def test_what_cannot_be_is_refused_and_the_call_goes_on_waiting(decision: Decision) -> None:
    pair, session = asked()
    with pytest.raises(LocalProtocolError):
        pair.recorder.decide(session, decision, now=pair.now)
    pair.recorder.decide(session, Decision(), now=pair.now)
    pair.settle()
    assert status(pair.server.sent[-1]) == 200


@pytest.mark.parametrize(("undecided", "expected"), [("accept", 200), ("reject", 503)])
def test_a_late_decision_counts_no_more(undecided: str, expected: int) -> None:
    pair, session = asked(undecided=undecided)
    pair.run(1.9)
    assert all(status(data) < 200 for data in pair.server.sent)
    pair.run(0.2)
    final = [data for data in pair.server.messages(b"SIP/2.0") if status(data) >= 200]
    assert status(final[0]) == expected
    assert bool(field(final[0], "Retry-After")) is (expected == 503)
    assert "decision-late" in {event.finding.code for event in pair.server.of(FindingRaised)}
    with pytest.raises(LocalProtocolError):
        pair.recorder.decide(session, Decision(), now=pair.now)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigurationError, match="undecided"):
        Pair(config=ServerConfig(undecided="shrug"))
