"""The negotiating half of a session: its own offers, the answers to them, snapshot requests."""

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.recording.events import FindingRaised, StreamsChanged
from siprec_core.recording.exchanges import Ask, SessionState
from siprec_core.sip.info import InfoDigit
from tests.core.messages import OFFER, invite
from tests.core.recording.test_hold import description
from tests.core.recording.test_session import Bench, understood


def asked(bench: Bench) -> Ask:
    bench.drain()
    return bench.of(Ask)[-1]


def codes(bench: Bench) -> list[str]:
    bench.drain()
    return [each.finding.code for each in bench.of(FindingRaised)]


@pytest.fixture
def bench() -> Bench:
    return Bench().active()


@pytest.mark.requirement("7866-7.2-a", "7866-7.2-d")
def test_a_pause_is_an_offer_of_the_same_lines_and_its_answer_counts(bench: Bench) -> None:
    bench.session.pause(paused=True)
    ask = asked(bench)
    assert ask.body.count(b"a=inactive") == 2
    assert ask.description is not None
    assert bench.session.paused
    bench.session.offer_taken(description(OFFER.replace("sendonly", "inactive")), refresh=False, now=1.0)
    bench.drain()
    assert bench.of(StreamsChanged)
    report = bench.session.account.report("active")
    assert [stream.direction for stream in report.streams] == ["inactive", "inactive"]
    bench.session.pause(paused=False)
    assert asked(bench).body.count(b"a=recvonly") == 2


def test_only_active_sessions_change_and_one_change_at_a_time() -> None:
    bench = Bench()
    with pytest.raises(LocalProtocolError):
        bench.session.pause(paused=True)
    with pytest.raises(LocalProtocolError):
        bench.session.request_snapshot(None)
    bench.active()
    with pytest.raises(LocalProtocolError):
        bench.session.pause(paused=False)
    bench.session.pause(paused=True)
    with pytest.raises(LocalProtocolError):
        bench.session.pause(paused=False)


def test_a_client_that_offers_while_we_pause_is_answered_inactive(bench: Bench) -> None:
    bench.session.pause(paused=True)
    bench.drain()
    bench.offered(understood(invite(metadata=None, cseq=2, to_tag="mine")))
    bench.session.change_refused(491, "superseded", offered=True, now=1.0)
    before = len(bench.of(Ask))
    bench.drain()
    assert len(bench.of(Ask)) == before, "the answer has held the lines already"
    assert bench.session.paused


def test_an_overtaken_pause_is_asked_again_and_a_refused_one_is_not(bench: Bench) -> None:
    bench.session.pause(paused=True)
    bench.session.change_refused(491, "superseded", offered=True, now=1.0)
    bench.drain()
    assert len(bench.of(Ask)) == 2
    bench.session.change_refused(488, "Not Acceptable Here", offered=True, now=1.0)
    assert "change-refused" in codes(bench)
    assert not bench.session.paused


def test_a_refresh_answered_with_the_same_changes_nothing(bench: Bench) -> None:
    bench.session.offer_taken(description(OFFER), refresh=True, now=1.0)
    bench.session.offer_taken(None, refresh=True, now=1.0)
    bench.drain()
    assert not bench.of(StreamsChanged)


def test_an_answer_with_other_lines_is_a_finding(bench: Bench) -> None:
    bench.session.offer_taken(description(OFFER.partition("m=audio 41002")[0]), refresh=True, now=1.0)
    assert "sdp-answer-line-count" in codes(bench)


def test_a_snapshot_request_that_fails_is_a_finding(bench: Bench) -> None:
    bench.session.request_snapshot("because")
    ask = asked(bench)
    assert (ask.disposition, ask.description) == ("recording-session", None)
    bench.session.change_refused(501, "Not Implemented", offered=False, now=1.0)
    bench.session.snapshot_impossible(now=1.0)
    assert {"change-refused", "snapshot-not-possible"} <= set(codes(bench))


def test_info_after_the_end_is_nothing(bench: Bench) -> None:
    bench.ended()
    assert bench.session.state is not SessionState.ACTIVE
    bench.session.info_received(understood(invite()), InfoDigit("5", None), now=2.0)
    assert "dtmf" not in [entry["event"] for entry in bench.session.account.report("completed").timeline]
