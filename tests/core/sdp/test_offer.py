import pytest
from hypothesis import given, settings

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.sdp.formats import Codec, MediaFormat
from siprec_core.sdp.model import Direction, SessionDescription
from siprec_core.sdp.negotiation import build_answer, plan_answer
from siprec_core.sdp.offer import NegotiatedAnswer, OfferedStream, build_offer, read_answer
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sdp.rules import recording_offer_findings
from siprec_core.types import Address
from tests.core.sdp.strategies import OURS, descriptions, recordable_offers

PCMU = MediaFormat(0, "PCMU", 8000)
PCMA = MediaFormat(8, "PCMA", 8000)
L16 = MediaFormat(96, "L16", 16000)
EVENTS = MediaFormat(101, "telephone-event", 8000, 1, "0-15")
CALLER = OfferedStream(label="1", formats=(PCMU, PCMA, EVENTS), port=4000)
CALLEE = OfferedStream(label="2", formats=(L16, PCMU), port=4002, ptime=20, rtcp_mux=True)

GOOD = (
    "v=0", "o=- 9 1 IN IP4 198.51.100.2", "s=-", "c=IN IP4 198.51.100.2", "t=0 0",
    "m=audio 30000 RTP/AVP 0 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15",
    "a=recvonly", "a=label:1",
    "m=audio 30002 RTP/AVP 96", "a=rtpmap:96 L16/16000", "a=ptime:40", "a=rtcp-mux", "a=recvonly", "a=label:2",
)  # fmt: skip


def _offer(*streams: OfferedStream) -> SessionDescription:
    return build_offer(streams or (CALLER, CALLEE), address="192.0.2.1", session_id=7)


def _sdp(*lines: str) -> SessionDescription:
    description = parse_sdp("\r\n".join((*lines, "")).encode(), limits=Limits()).description
    assert description is not None
    return description


def _read(*changes: tuple[str, str], offer: SessionDescription | None = None) -> NegotiatedAnswer:
    text = "\n".join((*GOOD, ""))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return read_answer(_offer() if offer is None else offer, _sdp(*text.split("\n")[:-1]))


def _codes(answer: NegotiatedAnswer) -> list[str]:
    return [found.code for found in answer.findings]


@pytest.mark.requirement("7866-7.1.1-a", "7866-7.1.1-b")
def test_offer() -> None:
    assert _offer().to_bytes().decode().splitlines() == [
        "v=0",
        "o=- 7 1 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=audio 4000 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=sendonly",
        "a=label:1",
        "m=audio 4002 RTP/AVP 96 0",
        "a=rtpmap:96 L16/16000",
        "a=rtpmap:0 PCMU/8000",
        "a=ptime:20",
        "a=rtcp-mux",
        "a=sendonly",
        "a=label:2",
    ]


@pytest.mark.requirement("7866-7.1.1-a", "7866-7.1.1-b")
def test_an_offer_keeps_to_the_rules() -> None:
    parsed = parse_sdp(_offer().to_bytes(), limits=Limits())
    assert parsed.findings == ()
    assert parsed.description is not None
    assert recording_offer_findings(parsed.description) == ()


@pytest.mark.requirement("7866-7.1.1-d", "7866-7.1.1-e")
def test_hold_and_removal() -> None:
    held = OfferedStream(label="1", formats=(PCMU,), port=4000, direction="inactive")
    removed = OfferedStream(label="2", formats=(PCMU,), port=0)
    later = build_offer((held, removed), address="2001:db8::1", session_id=7, version=2)
    lines = later.to_bytes().decode().splitlines()
    assert "o=- 7 2 IN IP6 2001:db8::1" in lines
    assert "a=inactive" in lines
    assert "m=audio 0 RTP/AVP 0" in lines
    assert later.continuing(_offer()).origin.version == 2


@pytest.mark.parametrize(
    "streams",
    [
        (OfferedStream(label="a b", formats=(PCMU,), port=4000),),
        (OfferedStream(label="", formats=(PCMU,), port=4000),),
        (OfferedStream(label="1\r\n", formats=(PCMU,), port=4000),),
        (OfferedStream(label="1", formats=(PCMU,), port=65536),),
        (OfferedStream(label="1", formats=(PCMU,), port=-1),),
        (OfferedStream(label="1", formats=(), port=4000),),
        (OfferedStream(label="1", formats=(PCMU, PCMU), port=4000),),
        (CALLER, CALLER),
    ],
)
def test_wrong_offers_are_not_written(streams: tuple[OfferedStream, ...]) -> None:
    with pytest.raises(LocalProtocolError):
        build_offer(streams, address="192.0.2.1", session_id=7)


@pytest.mark.requirement("3264-7-a")
def test_a_good_answer() -> None:
    answer = _read()
    assert answer.findings == ()
    first, second = answer.lines
    assert (first.index, first.label, first.accepted, first.direction) == (0, "1", True, "recvonly")
    assert first.formats == (PCMU, EVENTS)
    assert first.remote_rtp == Address("198.51.100.2", 30000)
    assert first.remote_rtcp == Address("198.51.100.2", 30001)
    assert (second.formats, second.ptime, second.rtcp_mux) == ((L16,), 40, True)
    assert second.remote_rtcp == second.remote_rtp
    assert first.receives
    assert second.receives


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (("m=audio 30000", "m=video 30000"), ["sdp-answer-media"]),
        (("m=audio 30000 RTP/AVP", "m=audio 30000 RTP/AVPF"), ["sdp-answer-protocol"]),
        (("t=0 0", "t=1 2"), ["sdp-answer-timing"]),
        (("a=recvonly\na=label:1", "a=sendrecv\na=label:1"), ["sdp-answer-direction"]),
        (("a=recvonly\na=label:1", "a=label:1"), ["sdp-answer-direction"]),
        (("a=recvonly\na=label:1", "a=sendonly\na=label:1"), ["sdp-answer-direction"]),
        (("a=recvonly\na=label:1", "a=inactive\na=label:1"), []),
        (("a=label:1\n", ""), ["sdp-answer-label"]),
        (("a=label:1", "a=label:2"), ["sdp-answer-label"]),
        (("c=IN IP4 198.51.100.2\n", ""), ["sdp-answer-address", "sdp-answer-address"]),
        (("c=IN IP4 198.51.100.2", "c=IN IP4 0.0.0.0"), ["sdp-answer-address", "sdp-answer-address"]),
        (("a=fmtp:101 0-15\n", ""), ["sdp-answer-events"]),
        (("a=rtpmap:96 L16/16000\n", ""), ["sdp-answer-rtpmap"]),
        (("a=rtpmap:96 L16/16000", "a=rtpmap:96 L16/8000"), ["sdp-answer-format", "sdp-answer-format"]),
        (("RTP/AVP 0 101", "RTP/AVP 0 101 18"), ["sdp-answer-format"]),
        (("RTP/AVP 0 101", "RTP/AVP 101"), ["sdp-answer-format"]),
        (("RTP/AVP 0 101\na=rtpmap:0", "RTP/AVP 110 101\na=rtpmap:110"), ["sdp-answer-payload-type"]),
        (("a=fmtp:101 0-15", "a=fmtp:101 0-15\na=rtcp-mux"), ["sdp-answer-rtcp-mux"]),
        (("m=audio 30000", "m=audio 0"), []),
    ],
)
def test_each_broken_rule_is_told(change: tuple[str, str], codes: list[str]) -> None:
    assert _codes(_read(change)) == codes


@pytest.mark.requirement("3264-7-a")
@pytest.mark.parametrize(
    ("change", "accepted", "receives"),
    [
        (("m=audio 30000", "m=video 30000"), False, False),
        (("m=audio 30000", "m=audio 0"), False, False),
        (("RTP/AVP 0 101", "RTP/AVP 101"), False, False),
        (("RTP/AVP 0 101", "RTP/AVP 3"), False, False),
        (("a=recvonly\na=label:1", "a=inactive\na=label:1"), True, False),
        (("a=recvonly\na=label:1", "a=sendonly\na=label:1"), True, False),
        (("a=recvonly\na=label:1", "a=sendrecv\na=label:1"), True, True),
        (("c=IN IP4 198.51.100.2", "c=IN IP4 239.0.0.1"), True, False),
        (("a=rtpmap:0 PCMU/8000\n", ""), True, True),
    ],
)
def test_what_can_be_used_is_used(change: tuple[str, str], *, accepted: bool, receives: bool) -> None:
    line = _read(change).lines[0]
    assert (line.accepted, line.receives) == (accepted, receives)


@pytest.mark.requirement("3264-7-a")
def test_payload_types_of_the_answer_are_sent() -> None:
    answer = _read(("RTP/AVP 0 101\na=rtpmap:0", "RTP/AVP 110 101\na=rtpmap:110"))
    assert answer.lines[0].formats[0] == PCMU._replace(payload_type=110)


@pytest.mark.parametrize("keep", [5, 11])
def test_missing_lines(keep: int) -> None:
    answer = read_answer(_offer(), _sdp(*GOOD[:keep]))
    assert _codes(answer) == ["sdp-answer-line-count"]
    assert [line.accepted for line in answer.lines] == [keep == 11, False]


def test_lines_too_many() -> None:
    answer = read_answer(_offer(CALLER), _sdp(*GOOD))
    assert _codes(answer) == ["sdp-answer-line-count"]
    assert len(answer.lines) == 1


def test_removed_lines_stay_removed() -> None:
    answer = _read(offer=_offer(OfferedStream(label="1", formats=(PCMU, EVENTS), port=0), CALLEE))
    assert _codes(answer) == ["sdp-answer-port"]
    assert not answer.lines[0].accepted


@pytest.mark.parametrize(
    ("offered", "answered", "code"),
    [
        ("inactive", "recvonly", "sdp-answer-direction"),
        ("inactive", "inactive", None),
        ("recvonly", "recvonly", "sdp-answer-direction"),
        ("recvonly", "sendonly", None),
        ("sendrecv", "recvonly", None),
    ],
)
def test_directions_fit(offered: Direction, answered: str, code: str | None) -> None:
    stream = OfferedStream(label="1", formats=(PCMU, EVENTS), port=4000, direction=offered)
    change = ("a=recvonly\na=label:1", f"a={answered}\na=label:1")
    assert _codes(_read(change, offer=_offer(stream, CALLEE))) == ([] if code is None else [code])


def test_exclusive_multiplexing_has_to_be_answered() -> None:
    text = _offer(CALLER).to_bytes().replace(b"a=sendonly", b"a=rtcp-mux-only\r\na=sendonly")
    answer = read_answer(_sdp(*text.decode().splitlines()), _sdp(*GOOD[:11]))
    assert _codes(answer) == ["sdp-answer-rtcp-mux"]
    assert answer.lines[0].remote_rtcp == answer.lines[0].remote_rtp


def test_loopback_can_be_refused() -> None:
    answer = _sdp(*[line.replace("198.51.100.2", "127.0.0.1") for line in GOOD])
    assert read_answer(_offer(), answer).lines[0].remote_rtp == Address("127.0.0.1", 30000)
    assert read_answer(_offer(), answer, allow_loopback=False).lines[0].remote_rtp is None


def test_continuity_of_the_answerer() -> None:
    held = _sdp(*[line.replace("recvonly", "inactive") for line in GOOD])
    answer = read_answer(_offer(), held, previous=_sdp(*GOOD))
    assert _codes(answer) == ["sdp-version-unchanged"]


@pytest.mark.requirement("7866-7.1-a")
def test_both_sides_agree() -> None:
    offer = _offer()
    plan = plan_answer(offer, codecs=[Codec("PCMU", 8000)])
    written = build_answer(offer, plan, ports={0: 30000, 1: 30002}, address="198.51.100.2", session_id=9)
    parsed = parse_sdp(written.to_bytes(), limits=Limits())
    assert plan.findings == parsed.findings == ()
    assert parsed.description is not None
    answer = read_answer(offer, parsed.description)
    assert answer.findings == ()
    assert [line.formats for line in answer.lines] == [(PCMU, EVENTS), (PCMU,)]


@settings(max_examples=50)
@given(descriptions(), descriptions())
def test_any_answer_is_read(offer: SessionDescription, answer: SessionDescription) -> None:
    read = read_answer(offer, answer, previous=offer)
    assert len(read.lines) == len(offer.media)
    assert all(line.formats for line in read.lines if line.accepted)
    assert all((found.message + found.where).isprintable() for found in read.findings)


@pytest.mark.requirement("7866-7.1-a")
@settings(max_examples=50)
@given(recordable_offers)
def test_our_answers_break_no_rule(offer: SessionDescription) -> None:
    plan = plan_answer(offer, codecs=OURS)
    ports = {line.index: 30000 + 2 * line.index for line in plan.accepted}
    answer = build_answer(offer, plan, ports=ports, address="198.51.100.2", session_id=9)
    read = read_answer(offer, answer)
    assert read.findings == ()
    assert [line.accepted for line in read.lines] == [line.accepted for line in plan.lines]
