"""Server and client change a session that stands: hold, resume, metadata, snapshots, session timers, INFO."""

import json
from itertools import pairwise
from typing import Any

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.metadata.model import DataMode, MetadataDocument, Participant, Session
from siprec_core.recording.call import ChangeOutcome, ClientConfig
from siprec_core.recording.call_events import ChangeConcluded, RecordingAnswered, RecordingEnded
from siprec_core.recording.events import (
    FindingRaised,
    MetadataUpdated,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    StreamsChanged,
)
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.replay import MetadataBody, Replay
from siprec_core.types import Flow, FlowId, SessionId, Transport
from tests.core.harness import Pair, Wire
from tests.core.messages import METADATA, OFFER, body, field, invite, request, response_to, status, tag
from tests.core.sip.test_changing import UPDATE_ALLOWED

SECOND = bytes(16_000)
FIRST, SECOND_ID = "c3RyZWFtLW9uZS1pZA==", "c3RyZWFtLXR3by1pZA=="
PARTIAL = METADATA.replace("complete", "partial")


def established(pair: Pair) -> SessionId:
    pair.call("1", "2")
    pair.run(1.0)
    return pair.server.of(SessionEstablished)[0].session


def timeline(pair: Pair, session: SessionId) -> list[str]:
    report = json.loads(pair.recorder._sessions[session].account.report("active").to_bytes())
    return [entry["event"] for entry in report["timeline"]]


def origin(message: bytes) -> list[str]:
    return next(line for line in body(message).splitlines() if line.startswith("o=")).split()


# the server's side


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
def test_what_goes_over_a_new_connection_is_in_the_journal(transport: Transport) -> None:
    pair = Pair(transport=transport)
    session = established(pair)
    for node in (pair.client, pair.server):
        for flow in list(node.flows.values()):
            node.machine.flow_failed(flow, "reset", now=pair.now)
    pair.recorder.pause(session, now=pair.now)
    pair.run(1.0)
    assert timeline(pair, session).count("stream-held") == 2
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    (journal,) = [data for name, data in pair.server.files.items() if name.endswith("journal.pcapng")]
    (offer,) = pair.server.messages(b"INVITE")
    (ack,) = pair.server.messages(b"ACK")
    assert journal.count(offer) == journal.count(ack) == 1
    replay = Replay(limits=Limits())
    replay.receive(journal)
    replay.end_of_file()
    while replay.poll() is not None:
        pass
    assert replay.account is not None
    told = [entry["event"] for entry in replay.account.report("completed").timeline]
    assert told.count("stream-held") == 2


@pytest.mark.requirement("7866-7.2-a")
@pytest.mark.parametrize("transport", Transport)
def test_the_server_pauses_and_resumes(transport: Transport) -> None:
    """7866-7.2-a, 7866-6.1.1-a, 7866-6.2-b, 3264 section 8."""
    pair = Pair(transport=transport)
    session = established(pair)
    pair.caller.send_audio("1", SECOND, now=pair.now)
    pair.recorder.pause(session, now=pair.now)
    with pytest.raises(LocalProtocolError):
        pair.recorder.pause(session, now=pair.now)
    pair.run(0.5)
    (offer,) = pair.server.messages(b"INVITE")
    assert "a=inactive" in body(offer)
    assert "a=recvonly" not in body(offer)
    assert "+sip.srs" in field(offer, "Contact")
    answer = pair.client.messages(b"SIP/2.0 200")[-1]
    assert "+sip.src" in field(answer, "Contact")
    assert body(answer).count("a=inactive") == 2
    sent = len(pair.client.sent_media)
    pair.caller.send_audio("1", SECOND, now=pair.now)
    pair.run(2.0)
    assert len(pair.client.sent_media) == sent, "held"
    assert timeline(pair, session).count("stream-held") == 2
    pair.recorder.resume(session, now=pair.now)
    pair.run(0.5)
    assert timeline(pair, session).count("stream-resumed") == 2
    assert len(pair.server.of(StreamsChanged)) == 2
    resumed = pair.server.messages(b"INVITE")[-1]
    assert int(origin(resumed)[2]) == int(origin(offer)[2]) + 1
    assert origin(resumed)[1] == origin(offer)[1]
    pair.caller.send_audio("1", SECOND, now=pair.now)
    pair.run(2.0)
    assert len(pair.client.sent_media) > sent
    with pytest.raises(LocalProtocolError):
        pair.recorder.resume(session, now=pair.now)


def test_one_source_goes_on_after_a_hold() -> None:
    pair = Pair()
    session = established(pair)
    pair.caller.send_audio("1", SECOND, now=pair.now)
    pair.run(1.5)
    pair.recorder.pause(session, now=pair.now)
    pair.run(3.0)
    pair.recorder.resume(session, now=pair.now)
    pair.run(0.5)
    pair.caller.send_audio("1", SECOND, now=pair.now)
    pair.run(2.0)
    headers = [each.data[:12] for each in pair.client.sent_media]
    assert len({header[8:] for header in headers}) == 1, "one SSRC"
    numbers = [int.from_bytes(header[2:4], "big") for header in headers]
    assert [(after - before) & 0xFFFF for before, after in pairwise(numbers)] == [1] * 99


def test_a_refused_pause_leaves_the_session_and_can_be_tried_again() -> None:
    pair = Pair(wire=Wire(drop=lambda data: data.startswith(b"INVITE") and b"+sip.srs" in data))
    session = established(pair)
    pair.recorder.pause(session, now=pair.now)
    pair.run(0.1)
    sent = pair.server.messages(b"INVITE")[-1]
    pair.inject(response_to(sent, 488))
    assert [each.finding.code for each in pair.server.of(FindingRaised)][-1] == "change-refused"
    assert not pair.recorder._sessions[session].paused
    pair.recorder.pause(session, now=pair.now)


@pytest.mark.requirement("7866-7.2-f", "3261-14.1-c")
def test_a_pause_that_meets_a_re_invite_of_the_client_comes_through() -> None:
    pair = Pair()
    session = established(pair)
    pair.recorder.pause(session, now=pair.now)
    pair.caller.pause("1", now=pair.now)
    pair.run(10.0)
    assert pair.recorder._sessions[session].paused
    assert pair.caller.changes_waiting == 0
    report = json.loads(pair.recorder._sessions[session].account.report("active").to_bytes())
    assert [stream["direction"] for stream in report["streams"]] == ["inactive", "inactive"]
    pair.recorder.resume(session, now=pair.now)
    pair.run(5.0)
    pair.caller.send_audio("2", SECOND, now=pair.now)
    pair.caller.send_audio("1", SECOND, now=pair.now)
    sent = len(pair.client.sent_media)
    pair.run(3.0)
    assert len(pair.client.sent_media) == sent + 50, "stream 2 alone goes on"


@pytest.mark.requirement("7866-9.2-b", "7866-9.2-c", "7866-9.2-d", "7866-9.2-e", "7866-9.2-f", "7866-9.1-h", "7865-7-a")
def test_a_snapshot_is_asked_for_by_update_and_met_at_once() -> None:
    """7866-9.2-b to 7866-9.2-f, 7866-9.1-h."""
    pair = Pair()
    session = established(pair)
    before = len(pair.server.of(MetadataUpdated))
    pair.recorder.request_snapshot(session, reason="just <asking>", now=pair.now)
    pair.run(1.0)
    (asked,) = pair.server.messages(b"UPDATE")
    assert field(asked, "Content-Disposition") == "recording-session"
    assert field(asked, "Content-Type") == "application/rs-metadata+xml"
    assert "<requestsnapshot" in body(asked)
    assert "m=audio" not in body(asked)
    updates = pair.server.of(MetadataUpdated)[before:]
    assert [update.complete for update in updates] == [True]
    assert len(pair.client.messages(b"UPDATE") + pair.client.messages(b"INVITE")[1:]) == 1, "a transaction of its own"


def alone() -> Pair:
    """Give a server whose client is written by hand: what it sends reaches nobody."""
    return Pair(wire=Wire(drop=lambda data: True))


def inject_call(pair: Pair, *extra: str, metadata: str = PARTIAL) -> str:
    pair.inject(invite(metadata=metadata, extra=extra))
    ours = tag(pair.server.sent[-1])
    pair.inject(request("ACK", to_tag=ours, branch="z9hG4bK-ack"))
    pair.run(3.0)
    return ours


@pytest.mark.requirement("7866-9.2-h", "7865-chk-c")
def test_partial_metadata_before_any_snapshot_is_asked_about_and_not_for_ever() -> None:
    """7866-9.2-h: with a guard against a client that never mends."""
    pair = alone()
    ours = inject_call(pair, UPDATE_ALLOWED)
    for number in range(2, 12):
        asked = pair.server.messages(b"UPDATE")[-1]
        pair.inject(response_to(asked, 200, to_tag=None))
        document = METADATA if number % 2 else PARTIAL.replace('c2Vzc2lvbi1vbmUtaWQ="><', f'bm90aGluZw{number}=="><')
        pair.inject(invite(method="UPDATE", offer=None, metadata=document, cseq=number, to_tag=ours))
        pair.run(3.0)
    assert len({field(each, "CSeq") for each in pair.server.messages(b"UPDATE")}) == 3
    assert len(pair.recorder.sessions()) == 1


@pytest.mark.requirement("7866-9.2-g")
def test_without_update_nothing_is_asked() -> None:
    """7866-9.2-g."""
    pair = alone()
    inject_call(pair)
    assert not pair.server.messages(b"UPDATE")
    assert "snapshot-not-possible" in [each.finding.code for each in pair.server.of(FindingRaised)]
    session = pair.server.of(SessionEstablished)[0].session
    with pytest.raises(LocalProtocolError):
        pair.recorder.request_snapshot(session, now=pair.now)


@pytest.mark.requirement("3261-13.2.1-a", "3261-14.2-c", "7866-7.2-d")
def test_the_offer_of_a_200_is_answered_in_the_ack() -> None:
    """A re-INVITE without offer gets ours, with exactly the lines that are there."""
    pair = alone()
    ours = inject_call(pair, metadata=METADATA)
    pair.inject(invite(offer=None, metadata=None, cseq=2, to_tag=ours))
    offer = pair.server.sent[-1]
    assert status(offer) == 200
    assert body(offer).count("m=audio") == 2
    moved = OFFER.replace("41002", "0").replace("41000", "42000").replace("100 1", "100 2")
    pair.inject(request("ACK", cseq=2, to_tag=ours, branch="z9hG4bK-2", body=moved, content_type="application/sdp"))
    session = pair.server.of(SessionEstablished)[0].session
    report = json.loads(pair.recorder._sessions[session].account.report("active").to_bytes())
    assert report["streams"][0]["remote"]["port"] == 42000
    assert "stream-removed" in timeline(pair, session)


@pytest.mark.parametrize("answer", ["", "v=0\r\nm=audio 1 RTP/AVP 0\r\n", "garbage"])
def test_an_ack_without_a_usable_answer_changes_nothing(answer: str) -> None:
    pair = alone()
    ours = inject_call(pair, metadata=METADATA)
    pair.inject(invite(offer=None, metadata=None, cseq=2, to_tag=ours))
    kind = "application/sdp" if answer else ""
    pair.inject(request("ACK", cseq=2, to_tag=ours, branch="z9hG4bK-2", body=answer, content_type=kind))
    assert len(pair.recorder.sessions()) == 1
    assert not pair.server.of(StreamsChanged)
    assert pair.server.of(FindingRaised)


def test_info_brings_digits_and_metadata() -> None:
    """6086-4-a."""
    pair = alone()
    ours = inject_call(pair, metadata=METADATA)
    digit = request("INFO", cseq=2, to_tag=ours, body="Signal=7\r\nDuration=90", content_type="application/dtmf-relay")
    pair.inject(digit)
    session = pair.server.of(SessionEstablished)[0].session
    assert "dtmf" in timeline(pair, session)
    pair.inject(invite(method="INFO", offer=None, metadata=METADATA, cseq=3, to_tag=ours, require=None))
    assert status(pair.server.sent[-1]) == 415, "only one body, of a known type"
    told = request("INFO", cseq=4, to_tag=ours, body=METADATA, content_type="application/rs-metadata+xml")
    pair.inject(told)
    assert len(pair.server.of(MetadataUpdated)) == 2


# the client's side


@pytest.mark.requirement("7866-7.1.1-e")
def test_the_client_pauses_and_resumes_one_stream() -> None:
    """7866-7.1.1-e."""
    pair = Pair()
    session = established(pair)
    pair.caller.send_audio("1", SECOND, now=pair.now)
    assert pair.caller.pause("1", now=pair.now) == 1
    assert pair.caller.pause("1", now=pair.now) is None, "it is held already"
    pair.run(2.0)
    (_, held) = pair.client.messages(b"INVITE")
    assert body(held).count("a=inactive") == 1
    assert body(held).count("a=sendonly") == 1
    assert "+sip.src" in field(held, "Contact")
    assert pair.caller.last_change == ChangeOutcome(status=200, reason="OK")
    assert pair.client.of(ChangeConcluded) == [ChangeConcluded(change=1, outcome=pair.caller.last_change)]
    assert len(pair.client.sent_media) == 1, "the first packet left with the audio"
    pair.caller.resume("1", now=pair.now)
    pair.run(1.0)
    pair.caller.send_audio("1", SECOND, now=pair.now)
    pair.run(2.0)
    assert len(pair.client.sent_media) == 51
    events = timeline(pair, session)
    assert (events.count("stream-held"), events.count("stream-resumed")) == (1, 1)
    with pytest.raises(LocalProtocolError):
        pair.caller.pause("9", now=pair.now)


@pytest.mark.requirement("7866-9.1-b", "7866-9.1-d", "7866-9.1-e", "7866-9.1-f")
def test_metadata_with_labels_travels_with_its_offer_and_without_by_update() -> None:
    """7866-9.1-b, 7866-9.1-e, 7866-9.1-f."""
    pair = Pair()
    established(pair)
    pair.caller.update_metadata(METADATA.encode(), now=pair.now)
    pair.run(0.5)
    update = pair.client.messages(b"UPDATE")[-1]
    assert field(update, "Content-Type").startswith("multipart/mixed")
    stop = MetadataDocument(
        datamode=DataMode.PARTIAL,
        sessions=(Session("c2Vzc2lvbi1vbmUtaWQ="),),
        participants=(Participant("cGFydGljaXBhbnQtMg=="),),
    )
    pair.caller.update_metadata(stop, now=pair.now)
    pair.run(0.5)
    bare = pair.client.messages(b"UPDATE")[-1]
    assert field(bare, "Content-Type") == "application/rs-metadata+xml"
    assert field(bare, "Content-Disposition") == "recording-session"
    assert [(each.change, each.outcome.taken) for each in pair.client.of(ChangeConcluded)] == [(1, True), (2, True)]
    assert [update.complete for update in pair.server.of(MetadataUpdated)] == [True, True, False]


def test_a_refused_change_says_so() -> None:
    pair = Pair(config=ServerConfig(strict=True))
    established(pair)
    change = pair.caller.update_metadata(b"<recording", now=pair.now)
    pair.run(1.0)
    (concluded,) = pair.client.of(ChangeConcluded)
    assert (concluded.change, concluded.outcome.status, concluded.outcome.taken) == (change, 400, False)
    assert not concluded.outcome.local, "the server said so"
    assert pair.caller.last_change == concluded.outcome


def test_a_change_without_an_answer_is_concluded_by_time() -> None:
    wire = Wire()
    pair = Pair(wire=wire)
    established(pair)
    wire.drop = lambda data: True
    pair.caller.update_metadata(METADATA.encode(), now=pair.now)
    waits = pair.caller.pause("1", now=pair.now)
    pair.run(100.0)
    outcomes = {each.change: each.outcome for each in pair.client.of(ChangeConcluded)}
    assert [(outcomes[1].status, outcomes[1].local), (outcomes[2].status, outcomes[2].local)] == [
        (408, True),
        (481, True),
    ]
    assert waits == 2
    assert pair.caller.changes_waiting == 0


@pytest.mark.parametrize("side", ["client", "server"])
def test_the_end_of_the_call_concludes_what_waits(side: str) -> None:
    pair = Pair()
    session = established(pair)
    pair.caller.pause("1", now=pair.now)
    pair.caller.update_metadata(METADATA.encode(), now=pair.now)
    if side == "client":
        pair.caller.stop(now=pair.now)
    else:
        pair.recorder.end(session, now=pair.now)
    pair.run(100.0)
    concluded = pair.client.of(ChangeConcluded)
    assert [each.change for each in concluded] == [1, 2]
    assert concluded[-1].outcome == ChangeOutcome(status=481, reason="the call has ended", local=True)
    ended = [index for index, event in enumerate(pair.client.events) if isinstance(event, RecordingEnded)]
    assert ended == [len(pair.client.events) - 1]


def test_nothing_can_be_changed_before_and_after_the_call() -> None:
    pair = Pair()
    with pytest.raises(LocalProtocolError):
        pair.caller.update_metadata(METADATA.encode(), now=0.0)
    established(pair)
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    with pytest.raises(LocalProtocolError):
        pair.caller.pause("1", now=pair.now)
    with pytest.raises(LocalProtocolError):
        pair.caller.update_metadata(METADATA.encode(), now=pair.now)


# session timers


@pytest.mark.requirement("4028-10-a")
@pytest.mark.parametrize("side", ["client", "server"])
def test_two_hours_of_refreshes_take_a_moment(side: str) -> None:
    pair = Pair(
        config=ServerConfig(session_timer=side == "server", session_expires=600),
        client_config=ClientConfig(session_timer=side == "client"),
    )
    session = established(pair)
    assert field(pair.server.messages(b"SIP/2.0 200")[0], "Session-Expires").startswith("600;")
    pair.run(7200.0)
    assert session in pair.recorder.sessions()
    refreshes = pair.client.messages(b"UPDATE") + pair.server.messages(b"UPDATE")
    assert 23 <= len(refreshes) <= 25
    pair.caller.stop(now=pair.now)
    pair.run(60.0)
    assert pair.server.of(SessionEnded)[0].reason == "bye"
    assert pair.recorder.next_timeout() is None
    assert pair.caller.next_timeout() is None


@pytest.mark.requirement("4028-10-a")
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_silent_peer_is_noticed(side: str) -> None:
    """The only standard way to notice a dead client when no media flows."""
    wire = Wire()
    pair = Pair(
        config=ServerConfig(session_timer=side == "server"),
        client_config=ClientConfig(session_timer=side == "client", session_expires=120),
        wire=wire,
    )
    established(pair)
    wire.drop = lambda data: True
    pair.run(3600.0)
    assert [event.reason for event in pair.server.of(SessionEnded)] == ["session-timer"]
    assert [event.reason for event in pair.client.of(RecordingEnded)] == ["session-timer"]


@pytest.mark.requirement("4028-7-a")
def test_a_422_makes_the_client_call_again() -> None:
    """The same Call-ID, the Min-SE of the server, one CSeq higher."""
    pair = Pair(config=ServerConfig(min_se=900), client_config=ClientConfig(session_timer=True, session_expires=300))
    established(pair)
    first, second = pair.client.messages(b"INVITE")
    assert field(first, "Call-ID") == field(second, "Call-ID")
    assert field(second, "CSeq") == "2 INVITE"
    assert field(second, "Session-Expires").startswith("900")
    assert field(second, "Min-SE") == "900"
    assert len(pair.client.of(RecordingAnswered)) == 1


def test_large_requests_take_tcp_where_that_is_configured() -> None:
    """3261-18.1.1-a."""
    pair = Pair(client_config=ClientConfig(large_over_tcp=True))
    session = established(pair)
    (sent,) = pair.client.messages(b"INVITE")
    assert len(sent) > 1_300
    assert field(sent, "Via").startswith("SIP/2.0/TCP")
    assert pair.recorder.sessions()[session].transport is Transport.TCP
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    assert pair.client.of(RecordingEnded)


def journal_of(pair: Pair) -> bytes:
    return next(data for name, data in pair.server.files.items() if name.endswith("journal.pcapng"))


def replayed(pair: Pair) -> Replay:
    replay = Replay(limits=Limits())
    replay.receive(journal_of(pair))
    replay.end_of_file()
    while replay.poll() is not None:
        pass
    return replay


@pytest.mark.requirement("7866-9.2-k", "3326-2-a")
def test_the_replay_knows_what_was_refused_and_why_the_client_left() -> None:
    pair = Pair()
    pair.inject(invite())
    to_tag = tag(pair.server.sent[-1])
    pair.inject(request("ACK", to_tag=to_tag, branch="z9hG4bK-ack"))
    told = METADATA.replace("ann@", "eve@")
    pair.inject(invite(offer=OFFER.replace("m=audio", "m=video"), metadata=told, cseq=2, to_tag=to_tag))
    assert status(pair.server.sent[-1]) == 488
    pair.inject(request("ACK", cseq=2, to_tag=to_tag, branch="z9hG4bK-INVITE-2-call-1"))
    pair.inject(invite(method="UPDATE", offer=None, metadata=METADATA.replace("ann@", "joe@"), cseq=3, to_tag=to_tag))
    assert status(pair.server.sent[-1]) == 200
    (session,) = pair.recorder._sessions.values()
    pair.inject(request("BYE", cseq=4, to_tag=to_tag, extra=["Reason: Q.850;cause=16"]))
    live = json.loads(session.account.report("completed").to_bytes())
    again = replayed(pair).account
    assert again is not None
    assert [entry["aors"] for entry in live["participants"]] == [["sip:joe@example.com"]]
    assert [entry["reasons"] for entry in live["timeline"] if entry["event"] == "bye"] == [["Q.850;cause=16"]]
    assert json.loads(again.report("completed").to_bytes()) == live


@pytest.mark.parametrize("transport", Transport)
def test_the_answer_to_our_bye_is_in_the_journal(transport: Transport) -> None:
    pair = Pair(transport=transport)
    session = established(pair)
    pair.recorder.end(session, now=pair.now)
    pair.run(1.0)
    (bye,) = pair.server.messages(b"BYE")
    assert field(bye, "Reason").startswith("SIP;cause=200;")
    answer = next(data for data in pair.client.messages(b"SIP/2.0 200") if field(data, "CSeq").endswith("BYE"))
    assert answer in journal_of(pair)
    assert [event.reason for event in pair.server.of(SessionEnded)] == ["server-bye"]


def test_an_unasked_reliable_1xx_is_acknowledged_and_found() -> None:
    pair = Pair(wire=Wire(drop=lambda data: data.startswith(b"INVITE")))
    pair.call("1")
    (sent,) = pair.client.messages(b"INVITE")
    progress = response_to(sent, 183, extra=["Require: 100rel", "RSeq: 5"])
    pair.inject(progress, source=pair.server.address, to=pair.client)
    pair.inject(progress, source=pair.server.address, to=pair.client)
    (prack,) = pair.client.messages(b"PRACK")
    assert field(prack, "RAck") == "5 1 INVITE"
    pair.inject(
        response_to(sent, 200, body=OFFER.replace("sendonly", "recvonly")), source=pair.server.address, to=pair.client
    )
    (answered,) = pair.client.of(RecordingAnswered)
    assert [found.code for found in answered.findings].count("progress-reliable") == 1


def test_a_drained_server_tells_its_clients_why() -> None:
    pair = Pair()
    established(pair)
    pair.recorder.shut_down(drain_seconds=0.0, now=pair.now)
    pair.run(1.0)
    assert field(pair.server.messages(b"BYE")[0], "Reason").startswith("SIP;cause=503;")


@pytest.mark.requirement("3262-3-a", "3261-13.3.1-b")
def test_a_client_that_waits_for_the_application_hears_of_it_reliably() -> None:
    pair = Pair(config=ServerConfig(manual=True))
    pair.inject(invite(require="siprec, 100rel"))
    pair.run(60.0)
    progress = pair.server.sent[-1]
    assert (status(progress), field(progress, "Require")) == (183, "100rel")
    rack = f"RAck: {field(progress, 'RSeq')} 1 INVITE"
    pair.inject(request("PRACK", cseq=2, to_tag=tag(progress), extra=[rack]))
    assert status(pair.server.sent[-1]) == 200
    pair.run(30.0)
    assert pair.server.sent[-1] != progress, "it is not repeated any more"
    (session,) = pair.recorder.sessions()
    pair.recorder.accept(session, now=pair.now)
    pair.settle()
    assert (status(pair.server.sent[-1]), tag(pair.server.sent[-1])) == (200, tag(progress))


def test_a_client_that_acknowledges_no_reliable_1xx_is_refused() -> None:
    pair = Pair(config=ServerConfig(manual=True))
    pair.inject(invite(require="siprec, 100rel"))
    pair.run(92.5)
    assert status(pair.server.sent[-1]) == 504
    assert [event.status for event in pair.server.of(SessionRefused)] == [504]
    assert not pair.recorder.sessions()


@pytest.mark.requirement("3261-13.3.1-a")
def test_a_client_whose_patience_is_over_is_refused_with_487() -> None:
    pair = Pair(config=ServerConfig(manual=True))
    pair.inject(invite(extra=["Expires: 20"]))
    pair.run(21.0)
    assert [event.status for event in pair.server.of(SessionRefused)] == [487]
    assert not pair.recorder.sessions()


def test_calls_before_lost_framing_are_answered_on_their_connection() -> None:
    pair = Pair()
    flow = Flow(Transport.TCP, pair.server.address, pair.client.address, FlowId(5))
    pair.recorder.flow_opened(flow, now=0.0)
    piece = request("OPTIONS", transport="TCP", call_id="o") + invite(transport="TCP") + b"\x16\x03\x01"
    pair.recorder.receive_stream(flow, piece, now=0.0)
    pair.settle()
    assert [status(data) for data in pair.server.sent] == [200, 200]
    assert not pair.server.flows, "no connection was opened for them"


def test_digits_told_by_info_are_in_the_replay() -> None:
    pair = Pair()
    pair.inject(invite())
    to_tag = tag(pair.server.sent[-1])
    pair.inject(request("ACK", to_tag=to_tag, branch="z9hG4bK-ack"))
    for cseq, (kind, text) in enumerate(
        (("application/dtmf-relay", "Signal=5\r\nDuration=160"), ("text/plain", "7")), 2
    ):
        pair.inject(request("INFO", cseq=cseq, to_tag=to_tag, body=text, content_type=kind))
    pair.inject(request("BYE", cseq=9, to_tag=to_tag))
    assert [status(data) for data in pair.server.sent[-3:]] == [200, 415, 200]
    replay = replayed(pair)
    assert replay.account is not None
    digits = [entry for entry in replay.account.report("completed").timeline if entry["event"] == "dtmf"]
    assert [(entry["digit"], entry["source"], entry["duration"]) for entry in digits] == [("5", "info", 0.16)]


@pytest.mark.requirement("7866-9.2-k", "7866-9.2-a")
def test_metadata_of_a_refused_offer_changes_nothing() -> None:
    pair = alone()
    ours = inject_call(pair, metadata=METADATA)
    renamed = METADATA.replace("sip:ann@example.com", "sip:zoe@example.com")
    unusable = OFFER.replace("m=audio", "m=video").replace("RTP/AVP 0 8", "RTP/AVP 99")
    pair.inject(invite(offer=unusable, metadata=renamed, cseq=2, to_tag=ours, branch="z9hG4bK-no"))
    assert status(pair.server.sent[-1]) == 488
    pair.inject(request("ACK", cseq=2, to_tag=ours, branch="z9hG4bK-no"))
    session = pair.server.of(SessionEstablished)[0].session

    def aors() -> list[str]:
        metadata = pair.recorder._sessions[session].account.metadata
        return [aor for record in metadata.participants for aor in record.participant.aors]

    assert aors() == ["sip:ann@example.com"]
    pair.inject(invite(offer=OFFER, metadata=renamed, cseq=3, to_tag=ours))
    pair.run(1.0)
    assert aors() == ["sip:zoe@example.com"]
    pair.inject(request("BYE", cseq=4, to_tag=ours))
    pair.run(1.0)
    replay = Replay(limits=Limits())
    for name, content in pair.server.files.items():
        if name.endswith("journal.pcapng"):
            replay.receive(content)
    replay.end_of_file()
    bodies = []
    while (item := replay.poll()) is not None:
        if isinstance(item, MetadataBody):
            bodies.append(item.raw)
    assert [b"zoe" in each for each in bodies] == [False, True]


# labels and communication sessions


def report(pair: Pair) -> dict[str, Any]:
    (session,) = pair.recorder._sessions.values()
    made: dict[str, Any] = json.loads(session.account.report("active").to_bytes())
    return made


def taken(pair: Pair) -> str:
    pair.inject(invite())
    to_tag = tag(pair.server.sent[-1])
    pair.inject(request("ACK", to_tag=to_tag, branch="z9hG4bK-ack"))
    return to_tag


@pytest.mark.requirement("7866-7.1.1-c")
def test_labels_mean_the_lines_of_the_description_beside_them() -> None:
    pair = Pair()
    to_tag = taken(pair)
    assert [(each["label"], each["stream_id"]) for each in report(pair)["streams"]] == [("1", FIRST), ("2", SECOND_ID)]
    crossed = OFFER.replace("label:1", "label:x").replace("label:2", "label:1").replace("label:x", "label:2")
    pair.inject(invite(offer=crossed.replace("100 1 IN", "100 2 IN"), cseq=2, to_tag=to_tag))
    assert status(pair.server.sent[-1]) == 200
    assert [(each["label"], each["stream_id"]) for each in report(pair)["streams"]] == [("2", SECOND_ID), ("1", FIRST)]


@pytest.mark.requirement("7866-7.1.1-f")
def test_a_hold_may_be_told_by_metadata_alone() -> None:
    pair = Pair()
    to_tag = taken(pair)
    held = METADATA.replace(f"<send>{FIRST}</send>", "").replace(">complete<", ">partial<")
    pair.inject(request("UPDATE", cseq=2, to_tag=to_tag, body=held, content_type="application/rs-metadata+xml"))
    assert status(pair.server.sent[-1]) == 200
    told = report(pair)
    assert [each["direction"] for each in told["streams"]] == ["recvonly", "recvonly"]
    assert "participant-held" in [entry["event"] for entry in told["timeline"]]


@pytest.mark.requirement("7866-7.1.1-g")
def test_a_second_communication_session_joins_with_lines_of_its_own() -> None:
    pair = Pair()
    to_tag = taken(pair)
    more = OFFER.replace("100 1 IN", "100 2 IN") + "m=audio 41004 RTP/AVP 0\r\na=sendonly\r\na=label:3\r\n"
    other, third = "c2Vzc2lvbi10d28taWQ=", "c3RyZWFtLXRocmVlLWk="
    told = METADATA.replace(
        "</recording>",
        f'<session session_id="{other}"/><stream stream_id="{third}" session_id="{other}"><label>3</label></stream>'
        "</recording>",
    )
    pair.inject(invite(offer=more, metadata=told, cseq=2, to_tag=to_tag))
    pair.settle()
    assert status(pair.server.sent[-1]) == 200
    streams = report(pair)["streams"]
    assert [each["label"] for each in streams] == ["1", "2", "3"]
    assert [each["session_id"] for each in streams] == ["c2Vzc2lvbi1vbmUtaWQ="] * 2 + [other]
    assert len(report(pair)["sessions"]) == 2
