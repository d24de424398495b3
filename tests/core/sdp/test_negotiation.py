from collections.abc import Sequence

import pytest
from hypothesis import given, settings

from siprec_core.errors import LocalProtocolError, NegotiationError
from siprec_core.limits import Limits
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import Answered, AnswerPlan, Codec, LinePlan, build_answer, plan_answer
from siprec_core.sdp.parser import parse_sdp
from siprec_core.types import Address
from tests.core.sdp.strategies import OURS, recordable_offers

G711 = (Codec("PCMU", 8000), Codec("PCMA", 8000))
AUDIO = ("m=audio 4000 RTP/AVP 0 8 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15,16", "a=sendonly")


def _offer(*lines: str, origin: str = "src 1 1", connection: str = "c=IN IP4 192.0.2.1") -> SessionDescription:
    text = "\r\n".join(("v=0", f"o={origin} IN IP4 192.0.2.1", "s=-", connection, "t=0 0", *lines, ""))
    description = parse_sdp(text.encode(), limits=Limits()).description
    assert description is not None
    return description


def _line(*lines: str, codecs: Sequence[Codec] = G711, rtcp_mux: bool = False) -> LinePlan:
    return plan_answer(_offer(*lines), codecs=codecs, rtcp_mux=rtcp_mux).lines[0]


def _codes(plan: AnswerPlan) -> list[str]:
    return [found.code for found in plan.findings]


def _answer(
    offer: SessionDescription, plan: AnswerPlan, previous: SessionDescription | None = None
) -> SessionDescription:
    ports = {line.index: 30000 + 2 * line.index for line in plan.accepted}
    return build_answer(offer, plan, ports=ports, address="192.0.2.99", session_id=5, previous=previous)


def _text(description: SessionDescription) -> list[str]:
    return description.to_bytes().decode().splitlines()


@pytest.mark.requirement("3264-6.1-g")
def test_plan_of_an_ordinary_line() -> None:
    plan = plan_answer(_offer(*AUDIO, "a=label:caller", "a=ptime:30"), codecs=G711)
    (line,) = plan.lines
    assert plan.findings == ()
    assert plan.accepted == (line,)
    assert line.accepted
    assert line.refusal is None
    assert [(each.payload_type, each.name) for each in line.formats] == [
        (0, "PCMU/8000"),
        (101, "telephone-event/8000"),
    ]
    assert line.formats[1].fmtp == "0-15,16"
    assert (line.index, line.media, line.protocol, line.direction) == (0, "audio", "RTP/AVP", "recvonly")
    assert (line.label, line.ptime, line.rtcp_mux) == ("caller", 30, False)
    assert line.remote_rtp == Address("192.0.2.1", 4000)
    assert line.remote_rtcp == Address("192.0.2.1", 4001)


@pytest.mark.requirement("3264-6-a", "3264-ans-b", "8839-a", "7866-7.2-b")
def test_answer_of_an_ordinary_offer() -> None:
    offer = _offer(
        *AUDIO, "a=label:1", "a=ptime:30", "a=3gOoBTC", "a=candidate:1 1 UDP 1 192.0.2.1 4000 typ host",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:k", "m=video 4002 RTP/AVP 98", "a=rtpmap:98 H264/90000", "a=label:2",
    )  # fmt: skip
    plan = plan_answer(offer, codecs=G711)
    assert _text(_answer(offer, plan)) == [
        "v=0",
        "o=- 5 1 IN IP4 192.0.2.99",
        "s=-",
        "c=IN IP4 192.0.2.99",
        "t=0 0",
        "m=audio 30000 RTP/AVP 0 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:30",
        "a=recvonly",
        "a=label:1",
        "m=video 0 RTP/AVP 98",
        "a=label:2",
    ]
    assert plan.lines[1].refusal == "video is not recorded"


@pytest.mark.requirement("8866-5.9-a", "3264-6-a")
def test_time_is_copied_and_ipv6_written() -> None:
    offer = _offer(*AUDIO)
    text = offer.to_bytes().replace(b"t=0 0\r\n", b"t=3034423619 3042462419\r\nr=1 2 3\r\n")
    parsed = parse_sdp(text, limits=Limits()).description
    assert parsed is not None
    plan = plan_answer(parsed, codecs=G711)
    lines = _text(build_answer(parsed, plan, ports={0: 4}, address="2001:db8::9", session_id=1))
    assert "t=3034423619 3042462419" in lines
    assert "r=1 2 3" not in lines
    assert "o=- 1 1 IN IP6 2001:db8::9" in lines
    assert "c=IN IP6 2001:db8::9" in lines


# Directions


@pytest.mark.requirement("3264-6.1-a", "7866-7.2-a", "3264-8-e", "8866-6.7-a")
@pytest.mark.parametrize(
    ("lines", "direction", "code"),
    [
        (("m=audio 4000 RTP/AVP 0", "a=sendonly", "a=label:1"), "recvonly", None),
        (("m=audio 4000 RTP/AVP 0", "a=sendrecv", "a=label:1"), "recvonly", "sdp-not-sendonly"),
        (("m=audio 4000 RTP/AVP 0", "a=label:1"), "recvonly", "sdp-not-sendonly"),
        (("a=sendonly", "m=audio 4000 RTP/AVP 0", "a=label:1"), "recvonly", None),
        (("a=inactive", "m=audio 4000 RTP/AVP 0", "a=label:1"), "inactive", None),
        (("a=inactive", "m=audio 4000 RTP/AVP 0", "a=sendonly", "a=label:1"), "recvonly", None),
        (("m=audio 4000 RTP/AVP 0", "a=inactive", "a=label:1"), "inactive", None),
        (("m=audio 4000 RTP/AVP 0", "a=recvonly", "a=label:1"), "inactive", "sdp-recvonly-offer"),
        (("m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=sendonly", "a=label:1"), "inactive", "sdp-hold-address"),
    ],
)
def test_directions(lines: tuple[str, ...], direction: str, code: str | None) -> None:
    offer = _offer(*lines)
    plan = plan_answer(offer, codecs=G711)
    assert plan.lines[0].direction == direction
    # A direction never stops RTCP; the unspecified address does.
    assert (plan.lines[0].remote_rtcp is not None) is (code != "sdp-hold-address")
    assert _codes(plan) == ([] if code is None else [code])
    assert f"a={direction}" in _text(_answer(offer, plan))


# Formats


@pytest.mark.requirement("3264-6.1-b", "3264-6.1-c")
def test_our_order_of_codecs_decides() -> None:
    assert [each.payload_type for each in _line(*AUDIO).formats] == [0, 101]
    assert [each.payload_type for each in _line(*AUDIO, codecs=G711[::-1]).formats] == [8, 101]


@pytest.mark.requirement("3264-6.1-b")
def test_the_order_of_the_offer_may_decide() -> None:
    plan = plan_answer(_offer(*AUDIO), codecs=G711[::-1], offer_order=True)
    assert [each.payload_type for each in plan.lines[0].formats] == [0, 101]


def test_all_codecs_may_be_kept() -> None:
    plan = plan_answer(_offer(*AUDIO), codecs=G711[::-1], all_codecs=True)
    assert [each.payload_type for each in plan.lines[0].formats] == [8, 0, 101]


@pytest.mark.requirement("3264-6.1-b")
def test_codecs_at_dynamic_payload_types_keep_their_number_and_letters() -> None:
    offer = _offer("m=audio 4000 RTP/AVP 9 110", "a=rtpmap:110 pcma/8000", "a=sendonly", "a=label:1")
    assert _text(_answer(offer, plan_answer(offer, codecs=G711)))[5:7] == [
        "m=audio 30000 RTP/AVP 110",
        "a=rtpmap:110 pcma/8000",
    ]


@pytest.mark.requirement("3264-6-d")
def test_events_need_the_clock_of_the_codec() -> None:
    lines = (
        "m=audio 4000 RTP/AVP 96 0 100 101", "a=rtpmap:96 L16/16000", "a=rtpmap:100 telephone-event/16000",
        "a=rtpmap:101 telephone-event/8000",
    )  # fmt: skip
    assert [each.payload_type for each in _line(*lines).formats] == [0, 101]
    assert [each.payload_type for each in _line(*lines, codecs=[Codec("L16", 16000)]).formats] == [96, 100]


@pytest.mark.requirement("3264-6-d")
def test_comfort_noise_is_kept_beside_the_codec() -> None:
    assert [each.payload_type for each in _line("m=audio 4000 RTP/AVP 13 0 18").formats] == [0, 13]


def test_events_that_are_no_digits_are_not_accepted() -> None:
    lines = ("m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 32-49")
    assert [each.payload_type for each in _line(*lines).formats] == [0]


@pytest.mark.requirement("3264-6-d")
def test_events_answered_are_ours_and_the_offers() -> None:
    offer = _offer("m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-11,16")
    assert "a=fmtp:101 0-11" in _text(_answer(offer, plan_answer(offer, codecs=G711)))


@pytest.mark.requirement("3264-6.1-e")
def test_parameters_are_repeated_only_where_both_sides_must_agree() -> None:
    offer = _offer(
        "m=audio 4000 RTP/AVP 18", "a=fmtp:18 annexb=no", "m=audio 4002 RTP/AVP 96", "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 maxaveragebitrate=20000",
    )  # fmt: skip
    plan = plan_answer(offer, codecs=[Codec("G729", 8000), Codec("OPUS", 48000, 2)])
    assert plan.lines[1].formats[0].fmtp == "maxaveragebitrate=20000"
    answer = _text(_answer(offer, plan))
    assert "a=fmtp:18 annexb=no" in answer
    assert "a=rtpmap:96 opus/48000/2" in answer
    assert not [line for line in answer if line.startswith("a=fmtp:96")]


AMR = (Codec("AMR-WB", 16_000), Codec("AMR", 8_000))


@pytest.mark.parametrize(
    ("rtpmap", "offered", "answered"),
    [
        ("AMR/8000", "octet-align=1", "octet-align=1"),
        ("AMR/8000", "Mode-Set=0,2,7;octet-align=1", "octet-align=1; mode-set=0,2,7"),
        ("AMR/8000", "mode-change-neighbor=1;mode-change-period=2", "mode-change-period=2; mode-change-neighbor=1"),
        ("AMR-WB/16000", "crc=1; robust-sorting=1", "crc=1; robust-sorting=1"),
        ("AMR-WB/16000", "mode-change-capability=2; max-red=0; x-own=1", None),
        ("AMR/8000", None, None),
        ("iLBC/8000", "mode=20", "mode=20"),
        ("iLBC/8000", "mode", None),
        ("G723/8000", "bitrate=5.3;annexa=no", "annexa=no"),
    ],
)  # fmt: skip
def test_parameters_of_the_payload_are_agreed_on(rtpmap: str, offered: str | None, answered: str | None) -> None:
    """RFC 4867 8.3.1: what says how octets lie is the same both ways, "any unknown parameter" is left out."""
    fmtp = () if offered is None else (f"a=fmtp:96 {offered}",)
    offer = _offer("m=audio 4000 RTP/AVP 96", f"a=rtpmap:96 {rtpmap}", *fmtp)
    plan = plan_answer(offer, codecs=[*AMR, Codec("ILBC", 8_000), Codec("G723", 8_000)])
    assert plan.lines[0].formats[0].fmtp == offered
    lines = [line for line in _text(_answer(offer, plan)) if line.startswith("a=fmtp:96")]
    assert lines == ([] if answered is None else [f"a=fmtp:96 {answered}"])


def test_interleaved_amr_is_not_accepted() -> None:
    lines = (
        "m=audio 4000 RTP/AVP 96 97 98", "a=rtpmap:96 AMR-WB/16000", "a=fmtp:96 octet-align=1;interleaving=30",
        "a=rtpmap:97 AMR/8000", "a=fmtp:97 interleaving=4", "a=rtpmap:98 AMR/8000", "a=fmtp:98 octet-align=1",
    )  # fmt: skip
    plan = plan_answer(_offer(*lines), codecs=AMR, all_codecs=True)
    assert [each.payload_type for each in plan.lines[0].formats] == [98]
    with pytest.raises(NegotiationError, match="no common codec"):
        plan_answer(_offer("m=audio 4000 RTP/AVP 96", *lines[1:3]), codecs=AMR)


# RTCP


@pytest.mark.requirement("5761-5.1.1-a", "8858-4.3-a")
@pytest.mark.parametrize(
    ("attributes", "allowed", "expected"),
    [
        (("a=rtcp-mux",), False, False),
        (("a=rtcp-mux",), True, True),
        ((), True, False),
        (("a=rtcp-mux", "a=rtcp-mux-only"), False, True),
    ],
)
def test_rtcp_mux(attributes: tuple[str, ...], *, allowed: bool, expected: bool) -> None:
    offer = _offer(*AUDIO, *attributes)
    plan = plan_answer(offer, codecs=G711, rtcp_mux=allowed)
    assert plan.lines[0].rtcp_mux is expected
    assert plan.lines[0].remote_rtcp == Address("192.0.2.1", 4000 if expected else 4001)
    assert ("a=rtcp-mux" in _text(_answer(offer, plan))) is expected


@pytest.mark.requirement("8866-5.8-a")
@pytest.mark.parametrize(
    ("lines", "sent"), [(("b=RR:0",), False), (("b=RS:0", "b=RR:0"), False), (("b=RS:0",), True), (("b=RR:800",), True)]
)
def test_no_rtcp_without_bandwidth_for_it(lines: tuple[str, ...], *, sent: bool) -> None:
    line = _line(AUDIO[0], *lines, *AUDIO[1:])
    assert (line.remote_rtcp is not None) is sent
    assert line.remote_rtp is not None


@pytest.mark.requirement("5761-4-a")
def test_muxed_lines_have_no_payload_types_of_rtcp() -> None:
    lines = ("m=audio 4000 RTP/AVP 72 8", "a=rtpmap:72 PCMU/8000", "a=rtcp-mux")
    assert [each.payload_type for each in _line(*lines, rtcp_mux=True).formats] == [8]
    assert [each.payload_type for each in _line(*lines).formats] == [72]


# Addresses


@pytest.mark.parametrize(
    ("connection", "code"),
    [
        ("c=IN IP4 media.example.net", "sdp-host-name"),
        ("c=IN IP4 239.1.2.3/127", "sdp-unusable-address"),
        ("c=IN IP4 255.255.255.255", "sdp-unusable-address"),
        ("c=IN IP6 ff02::1", "sdp-unusable-address"),
        ("c=IN IP4 300.1.1.1", "sdp-unusable-address"),
    ],
)
def test_addresses_that_nothing_is_sent_to(connection: str, code: str) -> None:
    plan = plan_answer(_offer(*AUDIO, "a=label:1", connection=connection), codecs=G711)
    assert plan.lines[0].accepted
    assert plan.lines[0].remote_rtp is None
    assert _codes(plan) == [code]


def test_loopback_only_where_allowed() -> None:
    offer = _offer(*AUDIO, connection="c=IN IP4 127.0.0.1")
    assert plan_answer(offer, codecs=G711).lines[0].remote_rtp == Address("127.0.0.1", 4000)
    assert plan_answer(offer, codecs=G711, allow_loopback=False).lines[0].remote_rtp is None


def test_a_line_without_connection_is_recorded() -> None:
    plan = plan_answer(_offer(*AUDIO, "a=label:1", connection="a=x"), codecs=G711)
    assert plan.lines[0].direction == "recvonly"
    assert plan.lines[0].remote_rtp is None


# Refusals


@pytest.mark.requirement("3264-6-b", "3264-6-c", "3264-6.1-d", "3264-ans-a", "9143-7.3-a", "3550-5.2-a")
@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        (("m=video 4002 RTP/AVP 98",), "video is not recorded"),
        (("m=message 9 TCP/MSRP *",), "message is not recorded"),
        (("m=audio 4002 RTP/SAVP 0",), "secure media not enabled"),
        (("m=audio 4002 UDP/TLS/RTP/SAVPF 0",), "keys by DTLS not supported"),
        (("m=audio 4002 udp 0",), "transport protocol udp not known"),
        (("m=audio 4002 RTP/AVP 18",), "no common codec"),
        (("m=audio 4002 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"), "no common codec"),
        (("m=audio 0 RTP/AVP 0",), "removed by the offerer"),
        (("m=audio 0 RTP/AVP 0", "a=bundle-only"), "offered for bundling only"),
    ],
)
def test_refused_lines_beside_an_accepted_one(lines: tuple[str, ...], refusal: str) -> None:
    offer = _offer(*lines, *AUDIO, "a=label:1")
    plan = plan_answer(offer, codecs=G711)
    line = plan.lines[0]
    assert [each.accepted for each in plan.lines] == [False, True]
    assert line.refusal == refusal
    assert (line.formats, line.remote_rtp, line.remote_rtcp, line.direction) == ((), None, None, "inactive")
    answer = _answer(offer, plan).media[0]
    assert (answer.media, answer.port, answer.protocol, answer.formats) == (
        offer.media[0].media,
        0,
        offer.media[0].protocol,
        offer.media[0].formats,
    )
    assert answer.attributes == ()


@pytest.mark.requirement("3264-6-b")
@pytest.mark.parametrize(
    ("lines", "warning_code"),
    [
        ((), 304),
        (("m=video 4002 RTP/AVP 98",), 304),
        (("m=audio 0 RTP/AVP 0",), 304),
        (("m=audio 4002 udp 0", "m=video 4002 RTP/AVP 98"), 302),
        (("m=audio 4002 RTP/SAVP 0",), 302),
        (("m=audio 4002 RTP/AVP 18 97", "m=audio 4002 RTP/SAVP 0"), 305),
    ],
)
def test_nothing_to_record(lines: tuple[str, ...], warning_code: int) -> None:
    with pytest.raises(NegotiationError) as raised:
        plan_answer(_offer(*lines), codecs=G711)
    assert raised.value.warning_code == warning_code


def test_the_refusal_names_what_was_offered() -> None:
    with pytest.raises(NegotiationError, match=r"offered: G729/8000, payload type 97$"):
        plan_answer(_offer("m=audio 4002 RTP/AVP 18 97"), codecs=G711)


@pytest.mark.requirement("3264-ans-a")
def test_avpf_and_letters_of_the_protocol_are_kept() -> None:
    offer = _offer("m=audio 4000 rtp/avpf 0", "a=label:1")
    assert "m=audio 30000 rtp/avpf 0" in _text(_answer(offer, plan_answer(offer, codecs=G711)))


@pytest.mark.requirement("4574-4-a")
def test_labels_are_checked() -> None:
    assert "sdp-no-label" in _codes(plan_answer(_offer(*AUDIO), codecs=G711))
    assert "sdp-duplicate-label" in _codes(plan_answer(_offer(*AUDIO, "a=label:1", *AUDIO, "a=label:1"), codecs=G711))


@pytest.mark.requirement("9143-7.3-a", "5888-9-a", "7866-8.4-b")
def test_bundling_is_told_and_left() -> None:
    offer = _offer("a=group:BUNDLE 1 2", *AUDIO, "a=label:1", "a=mid:1")
    plan = plan_answer(offer, codecs=G711)
    assert _codes(plan) == ["sdp-bundle-ignored"]
    assert not [line for line in _text(_answer(offer, plan)) if "BUNDLE" in line or "mid" in line]


# Later offers

LINE_1 = (*AUDIO, "a=label:1")
LINE_2 = ("m=audio 4002 RTP/AVP 0", "a=sendonly", "a=label:2")


def _answered(*lines: str) -> Answered:
    offer = _offer(*lines)
    plan = plan_answer(offer, codecs=G711)
    return Answered(offer=offer, plan=plan, answer=_answer(offer, plan))


@pytest.mark.requirement("3264-8-a")
def test_the_same_offer_gets_the_same_answer() -> None:
    first = _answered(*LINE_1, *LINE_2)
    plan = plan_answer(first.offer, codecs=G711, previous=first)
    assert plan.findings == ()
    assert _answer(first.offer, plan, first.answer) == first.answer


@pytest.mark.requirement("3264-8-a", "3264-8-e")
def test_hold_and_resume_raise_the_version() -> None:
    first = _answered(*LINE_1)
    held = _offer(*[line.replace("sendonly", "inactive") for line in LINE_1], origin="src 1 2")
    held_answer = _answer(held, plan_answer(held, codecs=G711, previous=first), first.answer)
    assert held_answer.origin == first.answer.origin._replace(version=2)
    assert held_answer.media[0].direction == "inactive"
    resumed = _answer(first.offer, first.plan, held_answer)
    assert resumed.origin.version == 3
    assert resumed.media == first.answer.media


@pytest.mark.requirement("3264-8-b")
def test_lines_come_and_go() -> None:
    first = _answered(*LINE_1, *LINE_2)
    later = _offer("m=audio 0 RTP/AVP 0", *LINE_2, *AUDIO, "a=label:3", origin="src 1 2")
    plan = plan_answer(later, codecs=G711, previous=first)
    assert [line.accepted for line in plan.lines] == [False, True, True]
    assert plan.findings == ()
    again = _offer(*AUDIO, "a=label:4", *LINE_2, *AUDIO, "a=label:3", origin="src 1 3")
    answered = Answered(offer=later, plan=plan, answer=_answer(later, plan, first.answer))
    assert [line.label for line in plan_answer(again, codecs=G711, previous=answered).lines] == ["4", "2", "3"]


@pytest.mark.requirement("3264-8-b")
def test_fewer_lines_than_before_are_refused() -> None:
    with pytest.raises(NegotiationError) as raised:
        plan_answer(_offer(*LINE_1, origin="src 1 2"), codecs=G711, previous=_answered(*LINE_1, *LINE_2))
    assert raised.value.warning_code == 399


@pytest.mark.requirement("3264-6-c")
def test_an_offer_that_removes_everything_is_answered() -> None:
    first = _answered(*LINE_1, "m=video 4004 RTP/AVP 98")
    later = _offer("m=audio 0 RTP/AVP 0", "m=video 4004 RTP/AVP 98", origin="src 1 2")
    plan = plan_answer(later, codecs=G711, previous=first)
    assert plan.accepted == ()
    assert [media.port for media in _answer(later, plan, first.answer).media] == [0, 0]


def test_an_offer_that_takes_our_codecs_away_is_refused() -> None:
    with pytest.raises(NegotiationError) as raised:
        plan_answer(_offer("m=audio 4000 RTP/AVP 18", origin="src 1 2"), codecs=G711, previous=_answered(*LINE_1))
    assert raised.value.warning_code == 305


@pytest.mark.requirement("3264-8-d")
def test_changes_that_are_against_the_rules_are_told() -> None:
    later = _offer("m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 PCMA/8000", "a=sendonly", "a=label:1")
    plan = plan_answer(later, codecs=G711, previous=_answered(*LINE_1))
    assert set(_codes(plan)) == {"sdp-version-unchanged", "sdp-payload-type-changed"}


# Wrong calls


def test_an_accepted_line_needs_a_port() -> None:
    offer = _offer(*LINE_1)
    plan = plan_answer(offer, codecs=G711)
    for ports in ({}, {0: 0}, {0: 65536}, {1: 4000}):
        with pytest.raises(LocalProtocolError):
            build_answer(offer, plan, ports=ports, address="192.0.2.99", session_id=5)


def test_a_plan_belongs_to_its_offer() -> None:
    plan = plan_answer(_offer(*LINE_1), codecs=G711)
    with pytest.raises(LocalProtocolError):
        build_answer(_offer(*LINE_1, *LINE_2), plan, ports={0: 4000}, address="192.0.2.99", session_id=5)


# Laws


@pytest.mark.requirement("3264-6-a", "3264-6-c", "3264-6.1-b", "7866-7.2-b", "8866-5.12-a", "7866-8.3.1-a")
@settings(max_examples=50)
@given(recordable_offers)
def test_laws_of_an_answer(offer: SessionDescription) -> None:
    plan = plan_answer(offer, codecs=OURS)
    answer = _answer(offer, plan)
    parsed = parse_sdp(answer.to_bytes(), limits=Limits())
    assert parsed.description == answer
    assert not [line for line in _text(answer) if line.startswith("k=")]
    assert [media.media for media in answer.media] == [media.media for media in offer.media]
    assert [media.protocol for media in answer.media] == [media.protocol for media in offer.media]
    assert [media.label for media in answer.media] == [media.label for media in offer.media]
    for offered, answered, line in zip(offer.media, answer.media, plan.lines, strict=True):
        assert set(answered.formats) <= set(offered.formats)
        assert (answered.port != 0) == line.accepted
        assert offered.port != 0 or answered.port == 0
        if line.accepted:
            assert answered.direction in {"recvonly", "inactive"}
            meanings = {each.payload_type: each.rtpmap for each in offered.media_formats()}
            assert all(each.rtpmap == meanings[each.payload_type] for each in answered.media_formats())
    again = Answered(offer=offer, plan=plan, answer=answer)
    assert _answer(offer, plan_answer(offer, codecs=OURS, previous=again), answer) == answer
