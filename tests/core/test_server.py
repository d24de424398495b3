"""The recording server as a whole, against the harness's client and against hand-written messages."""

import json
import random
import struct
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.media.receiver import MediaReceiver
from siprec_core.recording.call_events import RecordingAnswered, RecordingEnded, RecordingRefused
from siprec_core.recording.commands import OpenFlow, Resolve
from siprec_core.recording.events import (
    Diagnostic,
    FindingRaised,
    MetadataUpdated,
    ServerDrained,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
    SourceFound,
    StreamsChanged,
)
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer
from siprec_core.sip.names import AddressRecord, RecordType
from siprec_core.types import Address, Component, DatagramBatch, Flow, FlowId, MediaId, Transport
from tests.core.harness import CLIENT, SERVER, TIME_BASE, Pair, Wire, entropy
from tests.core.messages import METADATA, OFFER, body, field, invite, multipart, request, status, tag

TONE = struct.pack("<160h", *range(0, 16000, 100)) * 50


def answer_to(pair: Pair, data: bytes) -> bytes:
    """Give the last message that the server sent after `data` came."""
    before = len(pair.server.sent)
    pair.inject(data)
    assert len(pair.server.sent) > before, "the server says nothing"
    return pair.server.sent[-1]


def establish(pair: Pair, **parts: str | None) -> str:
    """Set up a hand-written call and give the server's tag."""
    answer = answer_to(pair, invite(**parts))  # type: ignore[arg-type]
    assert status(answer) == 200
    pair.inject(request("ACK", to_tag=tag(answer), branch="z9hG4bK-ack"))
    return tag(answer)


def codes(pair: Pair) -> set[str]:
    return {event.finding.code for event in pair.server.of(FindingRaised)}


# a call


@pytest.mark.requirement("7866-8.4-a")
@pytest.mark.parametrize("transport", list(Transport))
def test_a_call_is_recorded_from_invite_to_rendering(transport: Transport) -> None:
    pair = Pair(transport=transport, wire=Wire(piece_size=7))
    pair.call("1", "2")
    pair.run(0.1)
    answered = pair.client.of(RecordingAnswered)
    assert [event.labels for event in answered] == [("1", "2")]
    assert answered[0].findings == ()
    for label in ("1", "2"):
        pair.caller.send_audio(label, TONE, now=pair.now)
        pair.caller.finish_audio(label, now=pair.now)
    pair.run(2.0)
    assert [(event.label, event.source.port) for event in pair.server.of(SourceFound)] == [("1", 40000), ("2", 40002)]
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    assert pair.client.of(RecordingEnded) == [RecordingEnded(reason="local-bye")]
    (ended,) = pair.server.of(SessionEnded)
    assert (ended.reason, ended.status) == ("bye", "completed")
    assert set(pair.server.files) == {f"{ended.directory}/journal.pcapng", f"{ended.directory}/recording.json"}
    assert pair.recorder.sessions() == {}
    assert not pair.server.media
    assert not pair.client.media


def test_the_answer_follows_the_offer() -> None:
    pair = Pair()
    answer = answer_to(pair, invite())
    assert field(answer, "Content-Type") == "application/sdp"
    assert "+sip.srs" in field(answer, "Contact")
    assert field(answer, "Contact").endswith(">;+sip.srs")
    assert "UPDATE" in field(answer, "Allow")
    assert tag(answer)
    text = body(answer)
    assert text.count("m=audio") == 2
    assert text.count("a=recvonly") == 2
    assert text.index("a=label:1") < text.index("a=label:2")
    assert "m=audio 30000 RTP/AVP 0" in text
    assert "m=audio 30002 RTP/AVP 0" in text


@pytest.mark.requirement("3261-12.1.1-a")
def test_record_route_is_copied_in_order() -> None:
    pair = Pair()
    answer = answer_to(
        pair, invite(extra=["Record-Route: <sip:p2.example.com;lr>", "Record-Route: <sip:p1.example.com;lr>"])
    )
    fields = [line for line in answer.decode().split("\r\n") if line.startswith("Record-Route")]
    assert fields == ["Record-Route: <sip:p2.example.com;lr>", "Record-Route: <sip:p1.example.com;lr>"]


@pytest.mark.requirement("6026-7-a")
def test_a_repeated_invite_gets_the_same_answer_and_no_second_session() -> None:
    pair = Pair()
    pair.inject(invite())
    pair.inject(invite())
    pair.run(0.4)
    assert len(pair.server.of(SessionRequested)) == 1


@pytest.mark.requirement("3261-13.3.1-d")
def test_2xx_is_repeated_until_the_ack_over_every_transport() -> None:
    pair = Pair()
    answer = answer_to(pair, invite())
    pair.run(3.6)
    assert len(pair.server.messages(b"SIP/2.0 200")) == 4  # at 0, 0.5, 1.5, 3.5
    pair.inject(request("ACK", to_tag=tag(answer), branch="z9hG4bK-ack"))
    pair.run(40.0)
    assert len(pair.server.messages(b"SIP/2.0 200")) == 4
    assert not pair.server.messages(b"BYE")


def test_a_lost_ack_ends_the_call_with_bye_after_64_t1() -> None:
    pair = Pair()
    pair.inject(invite())
    pair.run(31.9)
    assert not pair.server.messages(b"BYE")
    pair.run(0.2)
    assert pair.server.messages(b"BYE")
    pair.run(40.0)
    (ended,) = pair.server.of(SessionEnded)
    assert ended.reason == "timeout-ack"


def test_lost_and_repeated_datagrams_do_no_harm() -> None:
    for seed in range(20):
        pair = Pair(wire=Wire(loss=0.3, duplicate=0.3, jitter=0.3, seed=seed))
        pair.call()
        pair.run(20.0)
        assert len(pair.client.of(RecordingAnswered)) + len(pair.client.of(RecordingRefused)) == 1
        pair.caller.stop(now=pair.now)
        pair.run(100.0)
        assert pair.recorder.sessions() == {}
        assert pair.client.of(RecordingEnded)
        assert pair.recorder.next_timeout() is None


@pytest.mark.requirement("3261-9.2-a")
def test_cancel_before_the_answer() -> None:
    pair = Pair(config=ServerConfig(manual=True))
    pair.inject(invite())
    pair.run(0.3)
    assert pair.server.messages(b"SIP/2.0 100")
    pair.inject(request("CANCEL", cseq=1, branch="z9hG4bK-INVITE-1-call-1", contact=None))
    assert [status(data) for data in pair.server.sent[-2:]] == [200, 487]
    assert field(pair.server.sent[-1], "CSeq") == "1 INVITE"
    assert tag(pair.server.sent[-1]) == tag(pair.server.sent[-2])
    assert [event.status for event in pair.server.of(SessionRefused)] == [487]
    pair.run(40.0)
    assert pair.recorder.sessions() == {}


@pytest.mark.requirement("3261-9.2-a")
def test_cancel_of_nothing_is_481_and_after_the_answer_changes_nothing() -> None:
    pair = Pair()
    assert status(answer_to(pair, request("CANCEL", branch="z9hG4bK-other", contact=None))) == 481
    establish(pair)
    cancel = request("CANCEL", branch="z9hG4bK-INVITE-1-call-1", contact=None)
    assert status(answer_to(pair, cancel)) == 200
    assert len(pair.recorder.sessions()) == 1


def test_bye_without_dialog_is_481() -> None:
    assert status(answer_to(Pair(), request("BYE", to_tag="nobody"))) == 481


def test_the_client_hangs_up_before_the_ack() -> None:
    pair = Pair()
    answer = answer_to(pair, invite())
    assert status(answer_to(pair, request("BYE", to_tag=tag(answer), cseq=2))) == 200
    pair.run(40.0)
    assert [event.reason for event in pair.server.of(SessionEnded)] == ["bye"]


def test_the_application_ends_a_session() -> None:
    pair = Pair()
    pair.call()
    pair.run(1.0)
    (session,) = pair.recorder.sessions()
    pair.recorder.end(session, now=pair.now)
    pair.settle()
    pair.run(1.0)
    assert [event.reason for event in pair.server.of(SessionEnded)] == ["server-bye"]
    assert pair.client.of(RecordingEnded) == [RecordingEnded(reason="bye")]


# refusals


@pytest.mark.requirement("3261-21-b")
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (request("BREW"), 501),
        (request("SUBSCRIBE"), 405),
        (request("UPDATE"), 481),
        (request("INVITE", uri="tel:+15551234"), 416),
        (request("INVITE", extra=["Require: siprec, teleport"]), 420),
        (invite(require=None, metadata=None, contact="<sip:a@192.0.2.2>"), 421),
        (invite(offer=None), 400),
        (invite(offer="v=0\r\nnonsense\r\n"), 400),
        (invite(offer=OFFER.replace("0 8", "18")), 488),
        (invite(offer=OFFER.replace("m=audio", "m=video")), 488),
        (invite(contact=None), 400),
        (request("INVITE", body="x", content_type="text/plain"), 415),
        (request("INVITE", body="x", content_type="multipart/mixed"), 400),
        (request("INVITE", cseq_method="BYE"), 400),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else None,
)
def test_what_cannot_be_recorded_gets_its_status_and_the_server_goes_on(data: bytes, expected: int) -> None:
    pair = Pair()
    answer = answer_to(pair, data)
    assert status(answer) == expected
    assert pair.recorder.sessions() == {}
    assert not pair.server.media
    pair.inject(request("ACK", to_tag=tag(answer), branch="z9hG4bK-INVITE-1-call-1"))
    pair.run(40.0)
    assert status(answer_to(pair, invite(call_id="another"))) == 200


@pytest.mark.requirement("3261-8.2.1-a", "3261-8.2.2-d", "3261-8.2.3-a", "3261-20.43-a", "3261-13.3.1-c")
def test_refusals_name_what_would_do() -> None:
    pair = Pair()
    assert "INVITE" in field(answer_to(pair, request("SUBSCRIBE")), "Allow")
    unsupported = answer_to(pair, request("INVITE", call_id="2", extra=["Require: siprec, teleport"]))
    assert field(unsupported, "Unsupported") == "teleport"
    assert field(answer_to(pair, invite(call_id="3", offer=OFFER.replace("0 8", "18"))), "Warning").startswith("305 ")
    unmarked = invite(call_id="4", require=None, metadata=None, contact="<sip:a@192.0.2.2>")
    assert field(answer_to(pair, unmarked), "Require") == "siprec"
    plain = request("INVITE", call_id="5", body="x", content_type="text/plain", extra=["Require: siprec"])
    assert "application/rs-metadata+xml" in field(answer_to(pair, plain), "Accept")


@pytest.mark.requirement("3261-8.2-a")
def test_faults_are_told_in_the_order_of_rfc_3261_8_2() -> None:
    faults = {"method": "BREW", "uri": "tel:1", "require": "teleport", "content_type": "text/plain", "body": "x"}
    good = {"method": "INVITE", "uri": "sip:recorder@192.0.2.1", "require": "siprec"}
    told = []
    for number, mended in enumerate(([], ["method"], ["uri"], ["require"])):
        faults |= {name: good[name] for name in mended}
        data = request(
            faults["method"],
            uri=faults["uri"],
            call_id=str(number),
            extra=[f"Require: {faults['require']}"],
            content_type=faults["content_type"],
            body=faults["body"],
        )
        told.append(status(answer_to(Pair(), data)))
    assert told == [501, 416, 420, 415]


@pytest.mark.requirement("3261-7.3.2-a", "3261-8.2.2-a")
@pytest.mark.parametrize(
    "line",
    [
        "Retry-After: soon",
        "Unsupported: siprec",
        "RSeq: x",
        "WWW-Authenticate: Digest",
        "Min-SE: never",
        "Subscription-State: ,,",
        "Date: yesterday",
        "X-Vendor-Thing: free <<",
        "P-Unknown",
    ],
)
def test_fields_that_are_unknown_or_of_other_messages_are_ignored(line: str) -> None:
    pair = Pair()
    data = invite(extra=[line if ":" in line else f"{line}:"])
    answer = answer_to(pair, data)
    assert status(answer) == 200
    assert not field(answer, line.partition(":")[0])
    assert len(pair.recorder.sessions()) == 1


def test_strict_mode_wants_both_marks() -> None:
    pair = Pair(config=ServerConfig(strict=True))
    assert status(answer_to(pair, invite(require=None))) == 421
    assert status(answer_to(pair, invite(call_id="2", contact="<sip:a@192.0.2.2>"))) == 421
    assert status(answer_to(pair, invite(call_id="3"))) == 200


def test_tolerant_mode_takes_any_mark_and_says_what_is_missing() -> None:
    pair = Pair()
    assert status(answer_to(pair, invite(require=None, contact="<sip:a@192.0.2.2>"))) == 200
    assert {"siprec-no-require", "siprec-no-feature-tag"} <= codes(pair)
    assert status(answer_to(pair, invite(call_id="2", metadata=None, require=None))) == 200


@pytest.mark.requirement("3261-21-c")
def test_broken_metadata_is_recorded_unless_strict() -> None:
    broken = METADATA.replace("</recording>", "")
    pair = Pair()
    assert status(answer_to(pair, invite(metadata=broken))) == 200
    assert "metadata-malformed" in codes(pair)
    assert status(answer_to(Pair(config=ServerConfig(strict=True)), invite(metadata=broken))) == 400


@pytest.mark.requirement("3261-8.2.2-c")
def test_a_merged_request_is_482() -> None:
    pair = Pair()
    pair.inject(invite())
    assert status(answer_to(pair, invite(branch="z9hG4bK-other-path"))) == 482


@pytest.mark.requirement("3261-11-a", "3261-13.3.1-c")
def test_session_limit() -> None:
    for when_full, expected in (("busy", 486), ("unavailable", 503)):
        pair = Pair(config=ServerConfig(max_sessions=1, when_full=when_full))
        assert status(answer_to(pair, request("OPTIONS", call_id="o1"))) == 200
        establish(pair)
        answer = answer_to(pair, invite(call_id="2"))
        assert status(answer) == expected
        assert bool(field(answer, "Retry-After")) is (expected == 503)
        assert status(answer_to(pair, request("OPTIONS", call_id="o2"))) == expected


def test_no_free_port_is_503_and_ports_come_back() -> None:
    pair = Pair(config=ServerConfig(rtp_ports=(30000, 30003)))
    server_tag = establish(pair)
    answer = answer_to(pair, invite(call_id="2"))
    assert status(answer) == 503
    assert field(answer, "Retry-After")
    pair.inject(request("BYE", to_tag=server_tag, cseq=2))
    assert status(answer_to(pair, invite(call_id="3"))) == 200


def test_a_port_in_use_is_passed_over() -> None:
    pair = Pair()
    pair.server.bind_failures = 3
    assert "m=audio 30008" in body(answer_to(pair, invite()))


def test_enough_failures_to_bind_are_503() -> None:
    pair = Pair()
    pair.server.bind_failures = 1_000
    answer = answer_to(pair, invite())
    assert status(answer) == 503
    assert not pair.server.media
    pair.server.bind_failures = 0
    assert status(answer_to(pair, invite(call_id="2"))) == 200


@pytest.mark.requirement("3261-11-a", "3840-9-a")
def test_options_tell_the_capabilities() -> None:
    answer = answer_to(Pair(), request("OPTIONS"))
    assert status(answer) == 200
    assert "application/sdp" in field(answer, "Accept")
    assert "+sip.srs" in field(answer, "Contact")
    assert "INVITE" in field(answer, "Allow")


def test_manual_acceptance() -> None:
    pair = Pair(config=ServerConfig(manual=True))
    pair.inject(invite())
    (session,) = pair.recorder.sessions()
    pair.recorder.accept(session, now=pair.now)
    pair.settle()
    assert pair.server.messages(b"SIP/2.0 200")
    with pytest.raises(LocalProtocolError):
        pair.recorder.accept(session, now=pair.now)
    pair.inject(invite(call_id="2"))
    other = next(key for key in pair.recorder.sessions() if key != session)
    pair.recorder.reject(other, 603, now=pair.now)
    pair.settle()
    assert status(pair.server.sent[-1]) == 603
    with pytest.raises(LocalProtocolError):
        pair.recorder.reject(other, 603, now=pair.now)


# within a call


@pytest.mark.requirement("7866-7.3.2-c")
def test_attributes_of_the_communication_session_are_ignored() -> None:
    plain = body(answer_to(Pair(), invite()))
    marked = OFFER.replace("t=0 0\r\n", "t=0 0\r\na=record:paused\r\n").replace(
        "a=label:1\r\n", "a=label:1\r\na=recordpref:off\r\n"
    )
    assert body(answer_to(Pair(), invite(offer=marked))) == plain


@pytest.mark.requirement("3261-14.2-b")
def test_hold_and_resume() -> None:
    pair = Pair()
    server_tag = establish(pair)
    hold = answer_to(
        pair, invite(offer=OFFER.replace("sendonly", "inactive"), metadata=None, cseq=2, to_tag=server_tag)
    )
    assert body(hold).count("a=inactive") == 2
    pair.inject(request("ACK", cseq=2, to_tag=server_tag, branch="z9hG4bK-ack2"))
    resume = answer_to(pair, invite(metadata=None, cseq=3, to_tag=server_tag))
    assert body(resume).count("a=recvonly") == 2
    versions = [body(data).split("\r\n")[1].split()[2] for data in (hold, resume)]
    assert int(versions[1]) == int(versions[0]) + 1
    assert len(pair.server.of(StreamsChanged)) == 2
    assert pair.recorder.sessions()


@pytest.mark.requirement("3261-14.2-b")
def test_a_repeated_offer_is_answered_with_the_same_description() -> None:
    pair = Pair()
    first = answer_to(pair, invite())
    pair.inject(request("ACK", to_tag=tag(first), branch="z9hG4bK-ack"))
    assert body(answer_to(pair, invite(cseq=2, to_tag=tag(first)))) == body(first)


def test_a_line_that_is_added_gets_a_port_of_its_own() -> None:
    pair = Pair()
    server_tag = establish(pair)
    more = OFFER + "m=audio 41004 RTP/AVP 0\r\na=sendonly\r\na=label:3\r\n"
    answer = answer_to(pair, invite(offer=more, cseq=2, to_tag=server_tag))
    assert "m=audio 30004" in body(answer)
    assert "a=label:3" in body(answer)
    removed = more.replace("m=audio 41002", "m=audio 0")
    answer = answer_to(pair, invite(offer=removed, cseq=3, to_tag=server_tag))
    assert [line.split()[1] for line in body(answer).split("\r\n") if line.startswith("m=")] == ["30000", "0", "30004"]
    assert len(pair.server.media) == 2


@pytest.mark.requirement("3261-14.2-b", "3261-20.43-a")
@pytest.mark.parametrize(
    ("offer", "code"),
    [
        (OFFER.replace("0 8", "18"), "305"),
        (OFFER.replace("m=audio", "m=video"), "304"),
        (OFFER.partition("m=audio 41002")[0], "399"),
    ],
)
def test_a_refused_reoffer_leaves_the_call_as_it_was(offer: str, code: str) -> None:
    pair = Pair()
    first = answer_to(pair, invite())
    server_tag = tag(first)
    pair.inject(request("ACK", to_tag=server_tag, branch="z9hG4bK-ack"))
    refused = answer_to(pair, invite(offer=offer, cseq=2, to_tag=server_tag))
    assert status(refused) == 488
    assert field(refused, "Warning").startswith(f'{code} siprec "')
    assert len(pair.recorder.sessions()) == 1
    assert len(pair.server.media) == 2
    assert body(answer_to(pair, invite(cseq=3, to_tag=server_tag))) == body(first)


@pytest.mark.requirement("3311-5.2-b")
def test_metadata_in_update_has_no_sdp_in_the_answer() -> None:
    pair = Pair()
    server_tag = establish(pair)
    update = request(
        "UPDATE", body=METADATA, content_type="application/rs-metadata+xml", cseq=2, to_tag=server_tag,
        extra=["Content-Disposition: recording-session"],
    )  # fmt: skip
    answer = answer_to(pair, update)
    assert status(answer) == 200
    assert body(answer) == ""
    assert len(pair.server.of(MetadataUpdated)) == 2


@pytest.mark.requirement("3261-14.2-c")
def test_a_reinvite_without_offer_is_answered_with_one() -> None:
    pair = Pair()
    first = answer_to(pair, invite())
    pair.inject(request("ACK", to_tag=tag(first), branch="z9hG4bK-ack"))
    answer = answer_to(pair, invite(offer=None, cseq=2, to_tag=tag(first)))
    assert status(answer) == 200
    assert body(answer) == body(first)


def test_a_lower_cseq_is_500() -> None:
    pair = Pair()
    server_tag = establish(pair)
    assert status(answer_to(pair, request("OPTIONS", cseq=5, to_tag=server_tag))) == 200
    assert status(answer_to(pair, request("UPDATE", cseq=4, to_tag=server_tag))) == 500


def test_an_ack_with_another_number_is_a_finding_and_stops_the_repetition() -> None:
    pair = Pair()
    answer = answer_to(pair, invite())
    pair.inject(request("ACK", cseq=7, to_tag=tag(answer), branch="z9hG4bK-ack"))
    pair.run(40.0)
    assert len(pair.server.messages(b"SIP/2.0 200")) == 1
    assert "sip-ack-mismatch" in codes(pair)
    assert pair.recorder.sessions()


def test_a_reinvite_whose_ack_is_lost_ends_nothing() -> None:
    pair = Pair()
    server_tag = establish(pair)
    pair.inject(invite(cseq=2, to_tag=server_tag))
    pair.run(60.0)
    assert len(pair.server.messages(b"SIP/2.0 200")) > 5
    assert len(pair.recorder.sessions()) == 1


def test_metadata_in_bye_is_taken() -> None:
    pair = Pair()
    server_tag = establish(pair)
    pair.inject(
        request("BYE", body=METADATA, content_type="application/rs-metadata", cseq=2, to_tag=server_tag, contact=None)
    )
    assert len(pair.server.of(MetadataUpdated)) == 2
    assert [event.reason for event in pair.server.of(SessionEnded)] == ["bye"]


# the end, storage, limits


def test_drain_waits_for_the_running_call() -> None:
    pair = Pair()
    pair.call()
    pair.run(1.0)
    pair.recorder.shut_down(drain_seconds=30.0, now=pair.now)
    answer = answer_to(pair, invite(call_id="late"))
    assert (status(answer), bool(field(answer, "Retry-After"))) == (503, True)
    assert status(answer_to(pair, request("OPTIONS", call_id="o"))) == 503
    pair.run(10.0)
    assert not pair.server.of(ServerDrained)
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    assert len(pair.server.of(ServerDrained)) == 1
    assert [event.reason for event in pair.server.of(SessionEnded)] == ["bye"]


def test_drain_hangs_up_at_its_deadline() -> None:
    pair = Pair()
    pair.call()
    pair.run(1.0)
    pair.recorder.shut_down(drain_seconds=5.0, now=pair.now)
    pair.run(6.0)
    assert [event.reason for event in pair.server.of(SessionEnded)] == ["shutdown"]
    assert len(pair.server.of(ServerDrained)) == 1
    assert pair.client.of(RecordingEnded) == [RecordingEnded(reason="bye")]


def test_drain_of_an_idle_server_is_done_at_once_and_of_a_deaf_client_in_time() -> None:
    pair = Pair()
    pair.recorder.shut_down(drain_seconds=5.0, now=pair.now)
    pair.settle()
    assert len(pair.server.of(ServerDrained)) == 1
    pair = Pair()
    establish(pair)
    pair.recorder.shut_down(drain_seconds=1.0, now=pair.now)
    pair.run(6.0)
    assert len(pair.server.of(ServerDrained)) == 1


def test_without_room_new_calls_get_503_and_the_running_one_goes_on() -> None:
    pair = Pair()
    establish(pair)
    for _ in range(2):
        pair.recorder.storage_changed(full=True, now=pair.now)
    pair.settle()
    assert [event.code for event in pair.server.of(Diagnostic)] == ["storage-full"]
    answer = answer_to(pair, invite(call_id="2"))
    assert status(answer) == 503
    assert b"\r\nRetry-After:" in answer
    assert status(answer_to(pair, request("OPTIONS", call_id="3"))) == 503
    pair.run(60.0)
    assert len(pair.recorder.sessions()) == 1
    pair.recorder.storage_changed(full=False, now=pair.now)
    pair.settle()
    assert [event.code for event in pair.server.of(Diagnostic)] == ["storage-full", "storage-free"]
    assert status(answer_to(pair, invite(call_id="4"))) == 200


def test_storage_failure_refuses_new_calls_for_a_while_and_keeps_the_running_one() -> None:
    pair = Pair()
    establish(pair)
    sink = next(iter(pair.server.sinks))
    pair.recorder.sink_failed(sink, "No space left on device", now=pair.now)
    pair.settle()
    assert "storage-full" in codes(pair)
    assert pair.server.of(Diagnostic)
    assert status(answer_to(pair, invite(call_id="2"))) == 503
    assert len(pair.recorder.sessions()) == 1
    pair.run(11.0)
    assert status(answer_to(pair, invite(call_id="3"))) == 200


def test_a_failed_rendering_is_told() -> None:
    pair = Pair()
    server_tag = establish(pair)
    (session,) = pair.recorder.sessions()
    pair.render_error = "disk gone"
    pair.inject(request("BYE", cseq=2, to_tag=server_tag))
    (ended,) = pair.server.of(SessionEnded)
    assert (ended.session, ended.status) == (session, "failed")
    assert "render-failed" in codes(pair)


@pytest.mark.parametrize(
    ("limits", "reason", "seconds"),
    [
        (Limits(recording_seconds=10.0), "max-duration", 11.0),
        (Limits(no_media_seconds=5.0), "media-timeout", 6.0),
    ],
)
def test_limits_end_a_recording(limits: Limits, reason: str, seconds: float) -> None:
    pair = Pair(config=ServerConfig(limits=limits), wire=Wire(media_loss=1.0))
    pair.call()
    pair.run(seconds)
    assert [event.reason for event in pair.server.of(SessionEnded)] == [reason]
    assert pair.client.of(RecordingEnded)


def test_a_journal_that_grows_too_large_ends_the_recording() -> None:
    pair = Pair(config=ServerConfig(limits=Limits(journal_size=20_000)))
    pair.call("1")
    pair.run(0.1)
    pair.caller.send_audio("1", TONE * 5, now=pair.now)
    pair.run(10.0)
    assert [event.reason for event in pair.server.of(SessionEnded)] == ["max-size"]


def test_too_many_transactions_are_answered_503_without_state() -> None:
    pair = Pair(config=ServerConfig(limits=replace(Limits(), server_transactions=2)))
    for number in range(2):
        assert status(answer_to(pair, request("OPTIONS", call_id=f"o{number}"))) == 200
    assert status(answer_to(pair, request("OPTIONS", call_id="o3"))) == 503


def test_early_call_limit() -> None:
    pair = Pair(config=ServerConfig(manual=True, limits=replace(Limits(), early_dialogs=1)))
    pair.inject(invite())
    assert status(answer_to(pair, invite(call_id="2"))) == 503


def test_configuration_errors_name_the_setting() -> None:
    for config, name in (
        (ServerConfig(rtp_ports=(5, 4)), "rtp_ports"),
        (ServerConfig(rtp_ports=(30001, 30001)), "rtp_ports"),
        (ServerConfig(when_full="shrug"), "when_full"),
        (ServerConfig(max_sessions=0), "max_sessions"),
    ):
        with pytest.raises(ConfigurationError, match=name):
            RecordingServer(config, time_base=TIME_BASE, entropy=entropy(1))


# hostile


def test_unknown_media_flows_and_sinks_are_ignored() -> None:
    pair = Pair()
    machine = pair.recorder
    batch = DatagramBatch([b"x"], [CLIENT], [0.0])
    machine.receive_media(MediaId(99), batch, component=Component.RTP, now=0.0)
    machine.media_bound(MediaId(99), now=0.0)
    machine.media_failed(MediaId(99), "gone", now=0.0)
    machine.media_closed(MediaId(99), now=0.0)
    machine.receive_stream(Flow(Transport.TCP, SERVER, CLIENT, FlowId(9)), b"x", now=0.0)
    machine.flow_failed(Flow(Transport.TCP, SERVER, CLIENT, FlowId(9)), "reset", now=0.0)
    pair.settle()
    assert status(answer_to(pair, invite())) == 200


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_any_octets_at_any_door_never_raise(pieces: list[bytes]) -> None:
    pair = Pair()
    establish(pair)
    flow = Flow(Transport.TCP, SERVER, CLIENT, FlowId(3))
    pair.recorder.flow_opened(flow, now=0.0)
    media = next(iter(pair.server.media))
    for piece in pieces:
        pair.inject(piece)
        pair.recorder.receive_stream(flow, piece, now=pair.now)
        batch = DatagramBatch([piece], [Address("203.0.113.9", 9)], [pair.now])
        pair.recorder.receive_media(media, batch, component=Component.RTP, now=pair.now)
        pair.settle()
    assert len(pair.recorder.sessions()) == 1


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_invite_never_raises(data: st.DataObject) -> None:
    message = bytearray(invite())
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(message) - 1))
        message[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    pair = Pair()
    pair.inject(bytes(message))
    pair.run(1.0)
    assert status(answer_to(pair, request("OPTIONS", call_id="alive"))) == 200


def test_a_thousand_packets_of_anything_neither_raise_nor_pile_up() -> None:
    pair = Pair()
    establish(pair)
    media = next(iter(pair.server.media))
    chance = random.Random(3)
    sources = [Address("192.0.2.2", 41000), *(Address(f"203.0.113.{number}", 4000 + number) for number in range(20))]

    def packet() -> bytes:
        if chance.random() < 0.4:
            return chance.randbytes(chance.randrange(0, 2048))
        header = struct.pack("!BBHII", 0x80, 0, chance.getrandbits(16), chance.getrandbits(32), chance.getrandbits(32))
        return header + chance.randbytes(chance.randrange(0, 1460))

    for number in range(100):
        now = pair.now + number / 100
        packets = [packet() for _ in range(10)]
        batch = DatagramBatch(packets, [chance.choice(sources) for _ in packets], [now] * len(packets))
        pair.recorder.receive_media(media, batch, component=chance.choice(list(Component)), now=now)
        pair.settle()
    limits = pair.recorder.config.limits
    (session,) = pair.recorder._sessions.values()
    receiver = session.account.lines[0].receiver
    assert isinstance(receiver, MediaReceiver)
    assert len(receiver._sources) <= limits.ssrcs_per_line
    assert len(receiver.statistics().ssrcs) <= limits.ssrcs_reported
    assert receiver._probation.held_size <= limits.probation_size
    assert status(answer_to(pair, request("OPTIONS", call_id="alive"))) == 200


def test_foreign_parts_are_passed_over() -> None:
    kind, text = multipart(
        ("application/sdp", "", OFFER),
        ("application/gtd", "signal;handling=optional", "GCI,1"),
        ("application/rs-metadata", "recording-session", METADATA),
        ("application/vnd.example+json", "", "{}"),
    )
    pair = Pair()
    data = request("INVITE", body=text, content_type=kind, extra=["Require: siprec"])
    assert status(answer_to(pair, data)) == 200
    assert "body-unknown-part" in codes(pair)


def test_established_event_names_the_labels() -> None:
    pair = Pair()
    establish(pair)
    assert [event.labels for event in pair.server.of(SessionEstablished)] == [("1", "2")]


def test_the_server_looks_for_a_client_whose_connection_is_gone() -> None:
    pair = Pair()
    source = Flow(Transport.TCP, SERVER, Address(CLIENT.host, 40_000), FlowId(1))
    pair.recorder.flow_opened(source, now=pair.now)
    data = invite(contact="<sip:src@client.example.com:5072;transport=tcp>")
    pair.recorder.receive_stream(source, data, now=pair.now)
    pair.settle()
    ack = request("ACK", to_tag=tag(pair.server.messages(b"SIP/2.0 200")[0]), branch="z9hG4bK-ack")
    pair.recorder.receive_stream(source, ack, now=pair.now)
    pair.recorder.receive_stream(source, b"", now=pair.now)
    pair.settle()
    (established,) = pair.server.of(SessionEstablished)
    pair.recorder.end(established.session, now=pair.now)
    pair.settle()
    (question,) = pair.server.of(Resolve)
    assert (question.name, question.type) == ("client.example.com", RecordType.A)
    pair.recorder.host_resolved(question.query, (AddressRecord("192.0.2.9"),), now=pair.now)
    outputs = []
    while (output := pair.recorder.poll_output()) is not None:
        outputs.append(output)
    (opened,) = [output for output in outputs if isinstance(output, OpenFlow)]
    assert (opened.transport, opened.remote) == (Transport.TCP, Address("192.0.2.9", 5072))


# clocks


def test_a_wall_clock_that_is_set_counts_for_recordings_that_begin_later() -> None:
    pair = Pair()
    pair.call("1")
    pair.run(1.0)
    day = 86_400 * 1_000_000_000
    pair.recorder.rebase_clock(replace(TIME_BASE, unix_ns=TIME_BASE.unix_ns + 40 * day))
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    pair.inject(invite(call_id="later"))
    reports = [json.loads(data) for name, data in pair.server.files.items() if name.endswith("/recording.json")]
    first, second = (datetime.fromisoformat(report["started_at"]) for report in reports)
    assert timedelta(days=40) < second - first < timedelta(days=40, minutes=1)
    assert reports[0]["duration"] < 10.0
