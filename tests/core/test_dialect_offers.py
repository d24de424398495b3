"""Offers as clients in the field write them, each in a live call and each with its hostile twins."""

import struct

import pytest

from siprec_core.limits import Limits
from siprec_core.recording.events import FindingRaised, SessionEnded, SessionEstablished, SourceFound, StreamsChanged
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.parser import parse_sdp
from siprec_core.types import Address, Component, DatagramBatch
from tests.core.dialect_offers import FOLDER, OFFERS, Line, hostile_twins, message
from tests.core.harness import CLIENT, Pair
from tests.core.messages import body, field, invite, request, status, tag


def described(answer: bytes) -> SessionDescription:
    parsed = parse_sdp(body(answer).encode(), limits=Limits())
    assert parsed.findings == ()
    assert parsed.description is not None
    return parsed.description


def codes(pair: Pair) -> set[str]:
    return {raised.finding.code for raised in pair.server.of(FindingRaised)}


def test_every_file_is_expected_and_every_expectation_has_its_file() -> None:
    assert {path.stem.removeprefix("sdp-") for path in FOLDER.glob("sdp-*.sip")} == set(OFFERS)


@pytest.mark.requirement("3264-6-a", "3264-6-b", "3264-6-c", "3264-6.1-a", "3264-6-d", "3264-ans-b", "7866-7.2-b")
@pytest.mark.parametrize("name", OFFERS)
def test_a_live_call(name: str) -> None:
    expected, pair = OFFERS[name], Pair()
    data = message(name)
    pair.inject(data)
    answer = pair.server.sent[-1]
    assert status(answer) == 200
    assert codes(pair) == expected.findings
    description = described(answer)
    assert len(description.media) == len(expected.lines)
    for answered, line in zip(description.media, expected.lines, strict=True):
        assert (answered.media, answered.protocol, answered.label) == (line.media, line.protocol, line.label)
        assert " ".join(answered.formats) == line.formats
        assert (answered.direction or "", bool(answered.port)) == (line.answer, bool(line.answer))
        assert answered.ptime == line.ptime
        allowed = {"rtpmap", "fmtp", "ptime", "rtcp-mux", "label", line.answer}
        assert {attribute.name for attribute in answered.attributes} <= allowed
    (established,) = pair.server.of(SessionEstablished)
    assert established.labels == tuple(line.label for line in expected.lines if line.answer)
    within = {"to_tag": tag(answer), "call_id": field(data, "Call-ID")}
    number = int(field(data, "CSeq").split()[0])
    pair.inject(request("ACK", cseq=number, branch="z9hG4bK-ack", **within))
    _speak(pair, expected.lines)
    pair.inject(request("BYE", cseq=number + 1, **within))
    pair.run(60.0)
    assert [ended.reason for ended in pair.server.of(SessionEnded)] == ["bye"]
    heard = {line.label for line in expected.lines if line.answer == "recvonly"}
    assert {found.label for found in pair.server.of(SourceFound)} == heard


def _speak(pair: Pair, lines: tuple[Line, ...]) -> None:
    """Send a little audio on every accepted line that is not held."""
    accepted = [line for line in lines if line.answer]
    for number, (media, line) in enumerate(zip(list(pair.server.media), accepted, strict=True)):
        if line.answer == "inactive":
            continue
        source = Address(CLIENT.host, 41_000 + 2 * number)
        kind = int(line.formats.split()[0])
        packets = [struct.pack(">BBHII", 0x80, kind, each, 160 * each, number + 1) + bytes(160) for each in range(20)]
        batch = DatagramBatch(packets, [source] * 20, [pair.now] * 20)
        pair.recorder.receive_media(media, batch, component=Component.RTP, now=pair.now)
        pair.settle()


@pytest.mark.parametrize("name", OFFERS)
def test_hostile_twins_do_no_harm(name: str) -> None:
    pair = Pair()
    for number, twin in enumerate(hostile_twins(message(name))):
        pair.inject(twin.replace(b"branch=z9hG4bK", b"branch=z9hG4bK%d" % number, 1))
        assert all(line.isprintable() for data in pair.server.sent for line in data.decode().split("\r\n"))
    pair.inject(request("OPTIONS", call_id="probe"))
    assert status(pair.server.sent[-1]) == 200


# Later offers


def later(pair: Pair, first: str, second: str) -> SessionDescription:
    pair.inject(invite(offer=first))
    ours = tag(pair.server.sent[-1])
    pair.inject(request("ACK", to_tag=ours, branch="z9hG4bK-a"))
    pair.inject(invite(offer=second, cseq=2, to_tag=ours, metadata=None))
    answer = pair.server.sent[-1]
    assert status(answer) == 200
    return described(answer)


BASE = (
    "v=0\r\no=src 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n"
    "m=audio 41000 RTP/AVP 0 8\r\na=sendonly\r\na=label:1\r\n"
)
NEXT = BASE.replace("src 1 1", "src 1 2")
SECOND = "m=audio 41002 RTP/AVP 0\r\na=sendonly\r\na=label:2\r\n"


@pytest.mark.requirement("3264-8-a", "3264-8-b", "3264-8-c", "3264-8-e", "7866-7.1.1-d", "7866-7.1.1-e")
@pytest.mark.parametrize(
    ("first", "second", "expected", "code"),
    [
        # BroadWorks after a redirect, Webex: another session id
        (BASE, BASE.replace("src 1 1", "src 77 1"), ["recvonly 0 1"], "sdp-origin-changed"),
        # drachtio, OpenSIPS: the version stays although the description changes
        (BASE, BASE.replace("sendonly", "inactive"), ["inactive 0 1"], "sdp-version-unchanged"),
        (BASE, NEXT.replace("41000", "41002"), ["recvonly 0 1"], None),  # Metaswitch: port + 2
        (BASE, NEXT.replace("c=IN IP4 192.0.2.2", "c=IN IP4 192.0.2.7"), ["recvonly 0 1"], None),
        (BASE, NEXT.replace("0 8", "8 0"), ["recvonly 8 1"], None),  # Cisco, Webex: other codecs
        (BASE, NEXT.replace("0 8", "8 9 0 18"), ["recvonly 8 1"], None),
        (BASE, NEXT + SECOND, ["recvonly 0 1", "recvonly 0 2"], None),
        (BASE + SECOND, NEXT + SECOND.replace("41002", "0"), ["recvonly 0 1", "refused 0 2"], None),
        (
            BASE + SECOND,
            NEXT.replace("41000", "0") + SECOND + SECOND.replace("label:2", "label:3").replace("41002", "41004"),
            ["refused 0 8 1", "recvonly 0 2", "recvonly 0 3"],
            None,
        ),
        (BASE.replace("41000", "0") + SECOND, NEXT.replace("label:1", "label:4") + SECOND,
            ["recvonly 0 4", "recvonly 0 2"], None),
        (BASE.replace("sendonly", "inactive"), NEXT, ["recvonly 0 1"], None),  # CUBE: media comes with a re-INVITE
        (BASE, NEXT.replace("c=IN IP4 192.0.2.2", "c=IN IP4 0.0.0.0"), ["inactive 0 1"], "sdp-hold-address"),
    ],
    ids=[
        "other session", "version stays", "other port", "other address", "other order", "more codecs", "line added",
        "line removed", "removed and added", "slot used again", "activated", "held by address",
    ],
)  # fmt: skip
def test_later_offers(first: str, second: str, expected: list[str], code: str | None) -> None:
    pair = Pair()
    answer = later(pair, first, second)
    told = [f"{line.direction or 'refused'} {' '.join(line.formats)} {line.label}" for line in answer.media]
    assert told == expected
    assert {each for each in codes(pair) if each.startswith("sdp-")} == ({code} if code else set())
    first_answer = described(next(data for data in pair.server.sent if b"application/sdp" in data))
    assert answer.origin.same_session(first_answer.origin)
    changed = answer.media != first_answer.media
    assert answer.origin.version == first_answer.origin.version + changed
    # RFC 3264 8.3.1: our ports stay, so that packets of the old description are still received.
    for before, after in zip(first_answer.media, answer.media, strict=False):
        assert 0 in (before.port, after.port) or before.port == after.port
    assert len(pair.recorder.sessions()) == 1
    assert len(pair.server.of(SessionEstablished)) == 1
    assert len(pair.server.of(StreamsChanged)) == 1
