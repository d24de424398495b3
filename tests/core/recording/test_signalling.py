"""SIP messages and exchanges out of captures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.containers.capture import Datagram
from siprec_core.limits import Limits
from siprec_core.recording.signalling import (
    Answered,
    Asked,
    CallFinder,
    CallReader,
    SeenMessage,
    SignallingReader,
    looks_like_sip,
    offer_findings,
    plan_of,
    read_description,
)
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import build_answer, plan_answer
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sip.message import Request, Response
from siprec_core.sip.parser import parse_datagram
from siprec_core.types import Address
from tests.core.recording.calls import CLIENT, CODECS, LINES, SERVER, Line, request, response, sdp

HERE, THERE = Address(SERVER, 5_060), Address(CLIENT, 5_060)
LIMITS = Limits()
INVITE = request("INVITE", sdp(LINES).encode(), "application/sdp")
CRYPTO_1 = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{'A' * 40}"
CRYPTO_2 = f"a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:{'A' * 40}"
ANSWER = response(INVITE, "200 OK", sdp([Line("1", 30_000, direction="recvonly"), Line("2", 0)]).encode())


def message_of(raw: bytes) -> Request | Response:
    message = parse_datagram(raw, limits=LIMITS)
    assert isinstance(message, Request | Response)
    return message


def seen(raw: bytes, at_ns: int = 0) -> SeenMessage:
    return SeenMessage(at_ns, "udp", THERE, HERE, message_of(raw), raw)


def call() -> CallReader:
    invite = seen(INVITE, 1)
    assert isinstance(invite.message, Request)
    return CallReader(invite, invite.message, limits=LIMITS)


def test_requests_and_answers_are_told_once() -> None:
    reader = call()
    asked = reader.receive(seen(INVITE, 1))
    assert isinstance(asked, Asked)
    assert (asked.first, asked.from_client, asked.at_ns) == (True, True, 1)
    assert reader.receive(seen(INVITE, 2)) is None
    assert reader.receive(seen(response(INVITE, "183 Progress"), 3)) is None
    answered = reader.receive(seen(ANSWER, 4))
    assert isinstance(answered, Answered)
    assert (answered.first, answered.at_ns, reader.local_tag) == (True, 4, "server")
    assert answered.offer is not None
    assert answered.answer is not None
    assert reader.receive(seen(ANSWER, 5)) is None


def test_a_refused_offer_changes_nothing() -> None:
    reader = call()
    reader.receive(seen(INVITE))
    again = request("INVITE", sdp(LINES).encode(), "application/sdp", cseq=2)
    asked = reader.receive(seen(again))
    assert isinstance(asked, Asked)
    assert not asked.first
    assert reader.receive(seen(response(again, "488 Not Acceptable Here"))) is None


def test_requests_of_the_server_have_the_sides_turned() -> None:
    reader = call()
    reader.receive(seen(INVITE))
    turned = request("UPDATE", sdp(LINES).encode(), "application/sdp", cseq=9)
    turned = turned.replace(b";tag=server", b";tag=other").replace(b";tag=client", b";tag=server")
    turned = turned.replace(b";tag=other", b";tag=client")
    asked = reader.receive(seen(turned))
    assert isinstance(asked, Asked)
    assert not asked.from_client
    raw = response(turned, "200 OK", sdp(LINES[:1]).encode())
    answered = reader.receive(seen(raw))
    assert isinstance(answered, Answered)
    assert answered.offer is not None
    assert answered.answer is not None
    assert (len(answered.offer.media), len(answered.answer.media)) == (1, 2)


@pytest.mark.parametrize("tag", [b"client", b"server"])
def test_who_hung_up(tag: bytes) -> None:
    reader = call()
    asked = reader.receive(seen(request("BYE", cseq=2).replace(b";tag=client", b";tag=" + tag), 8))
    assert isinstance(asked, Asked)
    assert asked.from_client is (tag == b"client")


def test_repetitions_are_remembered_within_bounds() -> None:
    reader = call()
    for cseq in range(1, 500):
        reader.receive(seen(request("UPDATE", cseq=cseq)))
    assert len(reader._pending) <= 64


def test_a_stream_in_pieces() -> None:
    reader = SignallingReader(limits=LIMITS)
    data = INVITE + ANSWER
    got = []
    for start in range(0, len(data), 100):
        datagram = Datagram(start, "tcp", THERE, HERE, data[start : start + 100], 0, restart=start == 0)
        got += [each.message for each in reader.receive(datagram)]
    assert [type(each) for each in got] == [Request, Response]


def test_streams_are_bounded() -> None:
    reader = SignallingReader(limits=LIMITS)
    for port in range(1, 1_000):
        list(reader.receive(Datagram(0, "tcp", Address(CLIENT, port), HERE, b"x", 0)))
    assert len(reader._framers) <= 256


@given(st.binary(max_size=200), st.sampled_from(["udp", "tcp"]))
def test_any_octets_are_passed_over(data: bytes, transport: str) -> None:
    reader = SignallingReader(limits=LIMITS)
    datagram = Datagram(0, "udp" if transport == "udp" else "tcp", THERE, HERE, data, 0)
    for each in reader.receive(datagram):
        assert isinstance(each.message, Request | Response)


def test_sip_is_told_from_rtp() -> None:
    assert looks_like_sip(INVITE)
    assert looks_like_sip(ANSWER)
    assert not looks_like_sip(b"\x80\x00" + bytes(170))
    assert not looks_like_sip(b"GET / HTTP/1.1\r\n\r\n")


def test_a_plan_follows_from_its_answer() -> None:
    lines = [Line("1", 40_000), Line("2", 40_002, "XYZ/8000", 99), Line("3", 40_004, direction="inactive")]
    offer = parse_sdp(sdp(lines).encode(), limits=LIMITS).description
    assert offer is not None
    plan = plan_answer(offer, codecs=CODECS)
    answer = build_answer(offer, plan, ports={0: 30_000, 2: 30_004}, address=SERVER, session_id=1)
    again = plan_of(offer, answer)
    assert again.accepted == plan.accepted
    assert [line.accepted for line in again.lines] == [line.accepted for line in plan.lines]
    assert offer_findings(offer, again, None) == plan.findings


def test_an_answer_with_other_lines_than_the_offer() -> None:
    offer = parse_sdp(sdp(LINES).encode(), limits=LIMITS).description
    answer = parse_sdp(sdp([*LINES, *LINES]).encode(), limits=LIMITS).description
    assert offer is not None
    assert answer is not None
    assert len(plan_of(offer, answer).lines) == 2
    assert len(plan_of(answer, offer).lines) == 2
    assert offer_findings(answer, plan_of(answer, offer), None) is not None


def test_a_plan_names_the_keys_that_were_accepted() -> None:
    def secure(line: Line, *cryptos: str) -> SessionDescription:
        text = sdp([line]).replace("RTP/AVP", "RTP/SAVP") + "".join(f"{crypto}\r\n" for crypto in cryptos)
        description = parse_sdp(text.encode(), limits=LIMITS).description
        assert description is not None
        return description

    offer = secure(Line("1", 4_000), CRYPTO_1, CRYPTO_2)
    answer = secure(Line("1", 30_000, direction="recvonly"), CRYPTO_2.replace("AA", "BB"))
    plan = plan_of(offer, answer)
    assert plan.lines[0].accepted
    assert plan.lines[0].crypto == offer.media[0].crypto_attributes[1]
    assert offer_findings(offer, plan, None) == ()


def test_the_first_description_counts() -> None:
    assert read_description(message_of(request("ACK")), limits=LIMITS) is None
    description = read_description(message_of(INVITE), limits=LIMITS)
    assert description is not None
    assert len(description.media) == 2


def test_the_first_recording_call_that_was_answered_is_picked() -> None:
    finder = CallFinder(limits=LIMITS)
    lost = INVITE.replace(b"call-1@", b"lost@")
    assert finder.receive(seen(ANSWER)) == ()
    assert finder.receive(seen(lost)) == ()
    assert finder.receive(seen(INVITE)) == ()
    asked, answered = finder.receive(seen(ANSWER))
    assert isinstance(asked, Asked)
    assert isinstance(answered, Answered)
    assert finder.call is not None
    assert finder.call.call_id == "call-1@example.com"
    assert finder.receive(seen(lost)) == ()
    assert finder.settle() == ()


@pytest.mark.parametrize("code", ["401 Unauthorized", "407 Proxy Authentication Required", "422 Too Small"])
def test_a_call_that_was_challenged_begins_with_the_invite_that_was_taken(code: str) -> None:
    finder = CallFinder(limits=LIMITS)
    again = request("INVITE", sdp(LINES).encode(), "application/sdp", cseq=2)
    refused, taken = response(INVITE, code), response(again, "200 OK", sdp(LINES).encode())
    assert [*finder.receive(seen(INVITE, 1)), *finder.receive(seen(refused, 2)), *finder.receive(seen(again, 3))] == []
    assert finder.receive(seen(refused, 4)) == (), "a repetition of it"
    asked, answered = finder.receive(seen(taken, 5))
    assert isinstance(asked, Asked)
    assert isinstance(answered, Answered)
    assert (asked.first, asked.at_ns, answered.first) == (True, 3, True)
    assert finder.call is not None
    assert finder.call.seen.at_ns == 3
    later = request("INVITE", sdp(LINES).encode(), "application/sdp", cseq=3)
    (changed,) = finder.receive(seen(later, 6))
    assert isinstance(changed, Asked)
    assert not changed.first


def test_without_an_answer_the_first_call_is_picked_at_the_end() -> None:
    finder = CallFinder(limits=LIMITS)
    finder.receive(seen(INVITE))
    assert [each.first for each in finder.settle()] == [True]


def test_calls_of_a_capture_are_bounded() -> None:
    finder = CallFinder(limits=LIMITS)
    for number in range(500):
        finder.receive(seen(INVITE.replace(b"call-1@", b"%d@" % number)))
    assert len(finder._calls) <= 64
