"""Recording sessions that the server begins: INVITE without offer, offer in the 200, answer in the ACK."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.recording.account import RecordingAccount
from siprec_core.recording.call import ClientConfig
from siprec_core.recording.call_events import RecordingAnswered, RecordingEnded
from siprec_core.recording.commands import BindMedia, SendDatagram, SendMedia
from siprec_core.recording.events import (
    FindingRaised,
    MetadataUpdated,
    ServerDrained,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
    StreamsChanged,
)
from siprec_core.recording.lines import BIND_ATTEMPTS
from siprec_core.recording.policy import ServerConfig
from siprec_core.sdp.parser import parse_sdp
from siprec_core.types import Flow, SessionId, Transport
from tests.core.harness import CLIENT, SERVER, Pair, Wire
from tests.core.messages import OFFER, body, field, response_to, status
from tests.core.recording.calls import rendered
from tests.core.recording.test_render import report_of
from tests.core.recording.test_replay import foreign, packets_of, replayed, report_after

TONE = bytes(range(256)) * 8


def waiting(*labels: str, wire: Wire | None = None, transport: Transport = Transport.UDP, **named: object) -> Pair:
    pair = Pair(waiting=True, wire=wire, transport=transport, **named)  # type: ignore[arg-type]
    pair.listen(*labels)
    return pair


def account_of(pair: Pair, session: SessionId) -> RecordingAccount:
    return pair.recorder._sessions[session].account


def talk(pair: Pair, *labels: str) -> None:
    for label in labels or ("1", "2"):
        pair.caller.send_audio(label, TONE, now=pair.now)
        pair.caller.finish_audio(label, now=pair.now)
    pair.run(1.0)


def journal_of(pair: Pair) -> bytes:
    (journal,) = [data for name, data in pair.server.files.items() if name.endswith("journal.pcapng")]
    return journal


def reason_of(pair: Pair) -> tuple[int, str]:
    (refused,) = pair.server.of(SessionRefused)
    return refused.status, refused.reason


def is_at_rest(pair: Pair) -> bool:
    """Tell that nothing of any call is left at the server, its ports included."""
    pair.run(70.0)
    pool = pair.recorder._resources.ports
    return not pair.recorder.sessions() and not pair.recorder._endpoint.calls and not pool._taken


class Hand:
    """A client written by hand: it takes the INVITE of a server alone."""

    def __init__(self, *, config: ServerConfig | None = None) -> None:
        self.pair = Pair(config=config, wire=Wire(loss=1.0))
        self.session = self.pair.record()
        (self.invite,) = self.pair.server.messages(b"INVITE")

    def answer(
        self, code: int = 200, *, offer: str = OFFER, contact: str = "<sip:src@192.0.2.2:5070>;+sip.src", tag: str = "c"
    ) -> bytes:
        return response_to(self.invite, code, to_tag=tag, contact=contact, body=offer if code == 200 else "")

    def receive(self, data: bytes) -> list[bytes]:
        before = len(self.pair.server.sent)
        self.pair.inject(data)
        return self.pair.server.sent[before:]


def methods(messages: list[bytes]) -> list[str]:
    return [message.split(b" ", 1)[0].decode() for message in messages]


# a call from beginning to end


@pytest.mark.requirement("7866-6.2-b", "7866-6.2-c", "7866-6.2-e", "7866-6.1.1-e", "7866-7.2-e")
def test_the_invite_says_that_a_server_asks_and_offers_nothing() -> None:
    pair = Pair(wire=Wire(loss=1.0))
    pair.record(uri="sip:phone@192.0.2.2:5070;transport=udp")
    (invite,) = pair.server.messages(b"INVITE")
    assert invite.startswith(b"INVITE sip:phone@192.0.2.2:5070;transport=udp SIP/2.0\r\n")
    assert field(invite, "Require") == "siprec"
    assert field(invite, "Contact") == "<sip:192.0.2.1:5060>;+sip.srs"
    assert field(invite, "From").startswith("<sip:siprec@localhost>;tag=")
    assert field(invite, "To") == "<sip:phone@192.0.2.2>"
    assert field(invite, "Content-Length") == "0"
    assert field(invite, "Content-Type") == ""
    assert "application/rs-metadata" in field(invite, "Accept")


@pytest.mark.requirement("7866-6.1.1-a", "7866-6.1.1-c", "3261-13.2.1-a")
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_session_is_recorded_from_our_invite_to_rendering(transport: Transport) -> None:
    pair = waiting(transport=transport)
    session = pair.record()
    pair.run(1.0)
    (requested,) = pair.server.of(SessionRequested)
    assert (requested.session, requested.initiator, requested.peer) == (session, "server", CLIENT)
    assert pair.recorder.sessions()[session].state == "active"
    assert [event.labels for event in pair.server.of(SessionEstablished)] == [("1", "2")]
    assert pair.server.of(MetadataUpdated)
    (ok,) = pair.client.messages(b"SIP/2.0 200")
    assert field(ok, "Contact").endswith(";+sip.src")
    (ack,) = pair.server.messages(b"ACK")
    assert field(ack, "Content-Type") == "application/sdp"
    assert body(ack).count("a=recvonly") == 2
    (answered,) = pair.client.of(RecordingAnswered)
    assert (answered.response, answered.labels, answered.findings) == (None, ("1", "2"), ())
    talk(pair)
    pair.caller.stop(now=pair.now)
    pair.run(2.0)
    (ended,) = pair.server.of(SessionEnded)
    assert (ended.session, ended.reason, ended.status) == (session, "bye", "completed")
    assert [event.reason for event in pair.client.of(RecordingEnded)] == ["local-bye"]
    assert not pair.server.of(FindingRaised)
    report = report_of(rendered(journal_of(pair)))
    assert [(each["label"], each["packets_received"]) for each in report["streams"]] == [("1", 7), ("2", 7)]
    assert [each["aors"] for each in report["participants"]] == [["sip:1@example.com"], ["sip:2@example.com"]]
    assert is_at_rest(pair)


def test_the_ack_waits_for_the_sockets_and_comes_again_with_each_200() -> None:
    hand = Hand()
    hand.pair.server.bind_failures = 3
    (ack,) = hand.receive(hand.answer())
    assert methods([ack]) == ["ACK"]
    answer = parse_sdp(body(ack).encode(), limits=Limits()).description
    assert answer is not None
    assert {line.port for line in answer.media} == {bind.rtp.port for bind in hand.pair.server.media.values()}
    assert hand.receive(hand.answer()) == [ack], "RFC 3261 13.2.2.4: the same ACK for each retransmission"
    assert [event.session for event in hand.pair.server.of(SessionEstablished)] == [hand.session]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 1_000_000))
def test_lost_repeated_and_reordered_datagrams_do_no_harm(seed: int) -> None:
    pair = waiting(wire=Wire(loss=0.25, duplicate=0.25, jitter=0.3, seed=seed))
    session = pair.record()
    pair.run(35.0)
    if not pair.server.of(SessionEstablished):
        assert reason_of(pair)[0] == 408
        return
    account = account_of(pair, session)
    pair.recorder.end(session, now=pair.now)
    pair.run(80.0)
    assert len(pair.server.of(SessionEstablished)) == 1
    assert len(pair.client.of(RecordingAnswered)) <= 1
    assert [event.reason for event in pair.server.of(SessionEnded)] in (["server-bye"], ["bye"])
    assert len(pair.client.of(RecordingEnded)) == 1
    assert report_after(journal_of(pair)).as_json() == account.report("completed").as_json()
    assert is_at_rest(pair)


def is_held(pair: Pair, label: str) -> bool:
    return pair.caller._audio._streams[label].held


def test_hold_resume_and_metadata_work_as_in_every_session() -> None:
    pair = waiting()
    session = pair.record()
    pair.run(1.0)
    pair.recorder.pause(session, now=pair.now)
    pair.run(1.0)
    assert is_held(pair, "1")
    pair.recorder.resume(session, now=pair.now)
    pair.run(1.0)
    assert not is_held(pair, "1")
    pair.caller.pause("1", now=pair.now)
    pair.run(1.0)
    assert len(pair.server.of(StreamsChanged)) == 3
    pair.recorder.request_snapshot(session, now=pair.now)
    pair.run(1.0)
    assert [event.complete for event in pair.server.of(MetadataUpdated)] == [True, True]
    pair.recorder.end(session, now=pair.now)
    pair.run(2.0)
    report = report_after(journal_of(pair))
    events = [(entry["event"], entry.get("label")) for entry in report.timeline]
    assert events.count(("stream-held", "1")) == 2
    assert events.count(("stream-held", "2")) == 1
    assert report.end_reason == "server-bye"


def test_the_session_timer_is_refreshed_with_the_descriptions_that_are_in_force() -> None:
    pair = Pair(
        waiting=True,
        config=ServerConfig(session_timer=True, session_expires=90),
        client_config=ClientConfig(session_expires=90),
    )
    pair.listen()
    session = pair.record()
    pair.run(300.0)
    assert pair.recorder.sessions()[session].state == "active"
    assert len(pair.client.sent) + len(pair.server.sent) > 8
    assert {each.finding.code for each in pair.server.of(FindingRaised)} <= {"media-never"}
    assert len(pair.server.of(SessionEstablished)) == 1


def test_a_422_is_answered_with_a_longer_interval_and_the_journal_follows() -> None:
    pair = Pair(
        waiting=True,
        config=ServerConfig(session_timer=True, session_expires=90),
        client_config=ClientConfig(session_expires=600, min_se=600),
    )
    pair.listen()
    session = pair.record()
    pair.run(1.0)
    assert len(pair.server.messages(b"INVITE")) == 2
    account = account_of(pair, session)
    pair.recorder.end(session, now=pair.now)
    pair.run(2.0)
    again = report_after(journal_of(pair))
    assert again.as_json() == account.report("completed").as_json()
    assert len(again.streams) == 2


def test_metadata_may_come_later_by_update() -> None:
    hand = Hand()
    hand.receive(hand.answer())
    (established,) = hand.pair.server.of(SessionEstablished)
    codes = [event.finding.code for event in hand.pair.server.of(FindingRaised)]
    assert codes == ["siprec-no-metadata"]
    assert established.labels == ("1", "2")


# the journal


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_live_account_and_replay_agree(transport: Transport) -> None:
    pair = waiting(transport=transport)
    session = pair.record()
    pair.run(1.0)
    account = account_of(pair, session)
    talk(pair)
    pair.caller.pause("2", now=pair.now)
    pair.run(1.0)
    pair.recorder.end(session, now=pair.now)
    pair.run(2.0)
    live = account.report("completed")
    assert report_after(journal_of(pair)).as_json() == live.as_json()
    written = report_of(rendered(journal_of(pair)))
    ours, theirs = field(pair.server.messages(b"INVITE")[0], "From"), field(pair.server.messages(b"BYE")[0], "To")
    assert (written["initiator"], written["call_id"]) == ("server", live.call_id)
    assert written["local_tag"] == ours.partition("tag=")[2]
    assert written["remote_tag"] == theirs.partition("tag=")[2]
    assert written["peer"] == {"host": CLIENT.host, "port": CLIENT.port}
    assert (written["user_agent"], written["transport"]) == ("siprec", transport.value)
    assert (written["datamode"], written["dialect"]) == ("complete", "rfc7865")


def test_a_foreign_capture_of_such_a_call_tells_the_same() -> None:
    pair = waiting()
    pair.record()
    pair.run(1.0)
    talk(pair)
    pair.recorder.end(next(iter(pair.recorder.sessions())), now=pair.now)
    pair.run(2.0)
    journal = journal_of(pair)
    ours, other = report_after(journal), report_after(foreign(packets_of(journal)))
    same = ("initiator", "call_id", "local_tag", "remote_tag", "peer", "user_agent", "end_reason", "participants")
    for name in same:
        assert getattr(other, name) == getattr(ours, name), name
    packets = [(each.label, each.packets_received) for each in ours.streams]
    assert [(each.label, each.packets_received) for each in other.streams] == packets == [("1", 7), ("2", 7)]


def test_a_journal_cut_anywhere_is_read_up_to_the_cut() -> None:
    pair = waiting()
    session = pair.record()
    pair.run(1.0)
    pair.recorder.end(session, now=pair.now)
    pair.run(2.0)
    journal = journal_of(pair)
    for end in range(0, len(journal), 211):
        replay, _ = replayed(journal[:end])
        if replay.account is not None:
            assert replay.account.report(replay.status).status in ("recovered", "failed")


# what fails


@pytest.mark.parametrize("code", [302, 403, 420, 480, 486, 503, 603])
def test_a_refusal_is_told_and_a_redirection_is_not_followed(code: int) -> None:
    hand = Hand()
    (ack,) = hand.receive(hand.answer(code))
    assert methods([ack]) == ["ACK"]
    assert body(ack) == ""
    (refused,) = hand.pair.server.of(SessionRefused)
    assert (refused.session, refused.status, refused.peer) == (hand.session, code, CLIENT)
    assert len(hand.pair.server.messages(b"INVITE")) == 1
    assert hand.pair.server.files == {}
    assert is_at_rest(hand.pair)


def test_silence_is_408() -> None:
    pair = Pair(wire=Wire(loss=1.0))
    pair.record()
    pair.run(33.0)
    assert reason_of(pair)[0] == 408
    assert is_at_rest(pair)


def test_a_client_that_only_rings_is_cancelled_in_time() -> None:
    hand = Hand()
    hand.receive(hand.answer(180))
    hand.pair.run(59.0)
    assert not hand.pair.server.messages(b"CANCEL")
    hand.pair.run(2.0)
    assert len(hand.pair.server.messages(b"CANCEL")) >= 1
    assert reason_of(hand.pair) == (408, "Request Timeout - no answer within 60 s")
    assert is_at_rest(hand.pair)


def test_an_asked_session_can_be_given_up() -> None:
    hand = Hand()
    hand.receive(hand.answer(180))
    hand.pair.recorder.end(hand.session, now=hand.pair.now)
    hand.pair.settle()
    assert methods(hand.pair.server.sent)[-1] == "CANCEL"
    assert reason_of(hand.pair)[0] == 487
    hand.receive(hand.answer(487))
    assert is_at_rest(hand.pair)


def refused_answer(ack: bytes) -> list[tuple[str, int, str | None]]:
    """Give the lines of an ACK's answer as (media, port, label)."""
    description = parse_sdp(body(ack).encode(), limits=Limits()).description
    assert description is not None
    return [(line.media, line.port, line.label) for line in description.media]


def test_a_200_that_crosses_the_cancel_is_declined_and_ended() -> None:
    hand = Hand()
    hand.receive(hand.answer(180))
    hand.pair.recorder.end(hand.session, now=hand.pair.now)
    hand.pair.settle()
    ack, bye = hand.receive(hand.answer())
    assert methods([ack, bye]) == ["ACK", "BYE"]
    assert refused_answer(ack) == [("audio", 0, "1"), ("audio", 0, "2")]
    assert hand.receive(hand.answer()) == [ack]
    assert len(hand.pair.server.of(SessionRefused)) == 1
    assert is_at_rest(hand.pair)


@pytest.mark.parametrize(
    ("contact", "offer", "reason"),
    [
        ("<sip:x@192.0.2.2:5070>", OFFER, "not that of a recording client"),
        ("<sip:x@192.0.2.2:5070>;+sip.srs", OFFER, "not that of a recording client"),
        ("<sip:x@192.0.2.2:5070>;+sip.src", "", "brings no SDP offer"),
        ("<sip:x@192.0.2.2:5070>;+sip.src", "garbage", "cannot be read"),
    ],
)
@pytest.mark.requirement("7866-6.1.1-f", "7866-6.1.1-g")
def test_a_200_that_begins_no_recording_session_is_acknowledged_and_ended(
    contact: str, offer: str, reason: str
) -> None:
    hand = Hand()
    ack, bye = hand.receive(hand.answer(contact=contact, offer=offer))
    assert methods([ack, bye]) == ["ACK", "BYE"]
    assert reason_of(hand.pair)[0] == 502
    assert reason in reason_of(hand.pair)[1]
    if offer == OFFER:
        assert [port for _, port, _ in refused_answer(ack)] == [0, 0]
    assert hand.pair.server.files == {}
    assert is_at_rest(hand.pair)


def test_strict_mode_wants_the_feature_tag_as_it_is_written() -> None:
    contact = "<sip:x@192.0.2.2:5070>;src"
    tolerant, strict = Hand(), Hand(config=ServerConfig(strict=True))
    tolerant.receive(tolerant.answer(contact=contact))
    assert "siprec-feature-tag-form" in [each.finding.code for each in tolerant.pair.server.of(FindingRaised)]
    assert tolerant.pair.server.of(SessionEstablished)
    assert methods(strict.receive(strict.answer(contact=contact))) == ["ACK", "BYE"]


@pytest.mark.requirement("3261-13.2.2-a")
def test_an_offer_without_common_codec_is_declined_in_the_ack_and_ended() -> None:
    hand = Hand()
    offer = OFFER.replace("RTP/AVP 0 8", "RTP/AVP 96").replace("a=sendonly", "a=rtpmap:96 opus/48000/2\r\na=sendonly")
    ack, bye = hand.receive(hand.answer(offer=offer))
    assert methods([ack, bye]) == ["ACK", "BYE"]
    assert refused_answer(ack) == [("audio", 0, "1"), ("audio", 0, "2")]
    code, reason = reason_of(hand.pair)
    assert code == 488
    assert "opus/48000/2" in reason
    assert is_at_rest(hand.pair)


def test_an_offer_without_a_port_for_it_is_declined_in_the_ack_and_ended() -> None:
    hand = Hand()
    hand.pair.server.bind_failures = 10 * BIND_ATTEMPTS
    ack, bye = hand.receive(hand.answer())
    assert methods([ack, bye]) == ["ACK", "BYE"]
    assert [port for _, port, _ in refused_answer(ack)] == [0, 0]
    assert reason_of(hand.pair)[0] == 503
    assert hand.pair.server.files == {}
    assert is_at_rest(hand.pair)


def test_the_200_of_another_fork_is_declined_and_ended() -> None:
    hand = Hand()
    hand.receive(hand.answer())
    ack, bye = hand.receive(hand.answer(tag="other"))
    assert methods([ack, bye]) == ["ACK", "BYE"]
    assert field(bye, "To").endswith("tag=other")
    assert [port for _, port, _ in refused_answer(ack)] == [0, 0]
    assert hand.pair.recorder.sessions()[hand.session].state == "active"


def from_client(hand: Hand, method: str, *, tag: str = "c") -> bytes:
    """Write a request of the called client within the dialog."""
    return (
        f"{method} sip:192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bK-{method}\r\n"
        f"Max-Forwards: 70\r\nFrom: {field(hand.invite, 'To')};tag={tag}\r\nTo: {field(hand.invite, 'From')}\r\n"
        f"Call-ID: {field(hand.invite, 'Call-ID')}\r\nCSeq: 1 {method}\r\n"
        "Contact: <sip:src@192.0.2.2:5070>;+sip.src\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def answered_slowly() -> tuple[Hand, list[BindMedia]]:
    """Take the 200 while the driver is slow: no `BindMedia` is answered yet."""
    hand = Hand()
    flow = Flow(Transport.UDP, SERVER, CLIENT)
    hand.pair.recorder.receive_datagram(hand.answer(), flow=flow, now=hand.pair.now)
    binds = []
    while (output := hand.pair.recorder.poll_output()) is not None:
        assert not isinstance(output, SendDatagram), "no ACK before the sockets are there"
        if isinstance(output, BindMedia):
            binds.append(output)
    assert len(binds) == 2
    return hand, binds


def test_a_bye_while_sockets_are_bound_ends_the_call() -> None:
    hand, binds = answered_slowly()
    (ok,) = hand.receive(from_client(hand, "BYE"))
    assert status(ok) == 200
    assert reason_of(hand.pair)[0] == 487
    for bind in binds:
        hand.pair.recorder.media_bound(bind.media, now=hand.pair.now)
    hand.pair.settle()
    assert not hand.pair.server.messages(b"ACK")
    assert hand.pair.server.files == {}
    assert is_at_rest(hand.pair)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_offer_while_sockets_are_bound_has_to_come_again(method: str) -> None:
    hand, binds = answered_slowly()
    (answer,) = [each for each in hand.receive(from_client(hand, method)) if status(each) >= 200]
    assert status(answer) == 500
    assert field(answer, "Retry-After")
    for bind in binds:
        hand.pair.recorder.media_bound(bind.media, now=hand.pair.now)
    hand.pair.settle()
    assert len(hand.pair.server.messages(b"ACK sip:src@")) == 1
    assert hand.pair.server.of(SessionEstablished)


def test_an_asked_session_can_be_given_up_while_sockets_are_bound() -> None:
    hand, _ = answered_slowly()
    hand.pair.recorder.end(hand.session, now=hand.pair.now)
    hand.pair.settle()
    assert methods(hand.pair.server.sent)[-2:] == ["ACK", "BYE"]
    assert reason_of(hand.pair)[0] == 487
    assert is_at_rest(hand.pair)


# what a server must not begin


def test_a_server_that_is_full_closing_or_without_storage_begins_nothing() -> None:
    pair = Pair(config=ServerConfig(max_sessions=1), wire=Wire(loss=1.0))
    session = pair.record()
    with pytest.raises(LocalProtocolError):
        pair.record()
    pair.recorder.end(session, now=pair.now)
    pair.settle()
    pair.recorder.shut_down(drain_seconds=10.0, now=pair.now)
    with pytest.raises(LocalProtocolError):
        pair.record()


@pytest.mark.parametrize("uri", ["", "tel:+1", "sip:a b", "sip:a\r\nX: y@h", "h323:x"])
def test_a_uri_that_cannot_be_called_is_the_callers_fault_and_leaves_nothing(uri: str) -> None:
    pair = Pair()
    with pytest.raises(LocalProtocolError):
        pair.record(uri=uri)
    assert not pair.recorder.sessions()
    assert not pair.recorder._endpoint.calls
    assert not pair.server.sent


def test_drain_gives_up_what_is_asked_for() -> None:
    hand = Hand()
    hand.receive(hand.answer(180))
    hand.pair.recorder.shut_down(drain_seconds=1.0, now=hand.pair.now)
    hand.pair.run(10.0)
    assert reason_of(hand.pair)[0] == 487
    assert hand.pair.server.messages(b"CANCEL")
    assert hand.pair.server.of(ServerDrained)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_200_never_raises(data: st.DataObject) -> None:
    hand = Hand()
    good = hand.answer()
    at = data.draw(st.integers(0, len(good)))
    damage = data.draw(st.binary(max_size=40))
    hand.receive(good[:at] + damage + good[at + data.draw(st.integers(0, 60)) :])
    hand.pair.run(100.0)
    for session in hand.pair.recorder.sessions():
        hand.pair.recorder.end(session, now=hand.pair.now)
    assert is_at_rest(hand.pair)
    assert not hand.pair.server.of(SendMedia)
