"""Answers to offers of encrypted media (RFC 4568), by policy; offers of ours, and what is answered to them."""

from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError, NegotiationError
from siprec_core.limits import Limits
from siprec_core.sdp.crypto import SUITES, CryptoAttribute, InlineKey, SrtpPolicy, offer_crypto, read_crypto
from siprec_core.sdp.formats import Codec, MediaFormat
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import Answered, AnswerPlan, build_answer, plan_answer
from siprec_core.sdp.offer import NegotiatedLine, OfferedStream, build_offer, read_answer
from siprec_core.sdp.parser import parse_sdp

G711 = (Codec("PCMU", 8000), Codec("PCMA", 8000))
SHORT, LONG = "AES_CM_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80"
LABELLED = ("a=sendonly", "a=label:1")
PCMU = MediaFormat(0, "PCMU", 8000)


def _key(number: int, suite: str = SHORT) -> InlineKey:
    return InlineKey(bytes([number]) * SUITES[suite].size)


def _crypto(tag: int, suite: str = SHORT, number: int = 1, rest: str = "") -> str:
    return f"a=crypto:{tag} {suite} inline:{b64encode(_key(number, suite).key).decode()}{rest}"


def _offer(*lines: str, connection: str = "c=IN IP4 192.0.2.1") -> SessionDescription:
    text = "\r\n".join(("v=0", "o=src 1 1 IN IP4 192.0.2.1", "s=-", connection, "t=0 0", *lines, ""))
    description = parse_sdp(text.encode(), limits=Limits()).description
    assert description is not None
    return description


def _secure(*cryptos: str, protocol: str = "RTP/SAVP", port: int = 4000, label: int = 1) -> tuple[str, ...]:
    return (f"m=audio {port} {protocol} 0", *cryptos, "a=sendonly", f"a=label:{label}")


PLAIN = ("m=audio 4000 RTP/AVP 0", *LABELLED)


def _answer(offer: SessionDescription, plan: AnswerPlan, *keys: InlineKey) -> SessionDescription:
    ports = {line.index: 30000 + 2 * line.index for line in plan.accepted}
    return build_answer(offer, plan, ports=ports, address="192.0.2.99", session_id=5, keys=dict(enumerate(keys)))


def _cryptos(description: SessionDescription, index: int = 0) -> list[str]:
    return [str(attribute) for attribute in description.media[index].attributes if attribute.name == "crypto"]


@pytest.mark.requirement("4568-5.1.2-a")
@pytest.mark.parametrize("protocol", ["RTP/SAVP", "rtp/savp", "RTP/SAVPF"])
def test_one_line_is_accepted_with_a_key_of_ours(protocol: str) -> None:
    offer = _offer(*_secure(_crypto(3, SHORT), _crypto(7, LONG), _crypto(9, SHORT), protocol=protocol))
    plan = plan_answer(offer, codecs=G711, srtp=SrtpPolicy.ALLOW)
    assert plan.findings == ()
    (line,) = plan.accepted
    assert line.crypto is not None
    assert (line.crypto.tag, line.crypto.suite, line.crypto.keys) == (7, LONG, (_key(1, LONG),))
    answer = _answer(offer, plan, _key(2, LONG))
    assert answer.media[0].protocol == protocol
    assert answer.media[0].direction == "recvonly"
    assert _cryptos(answer) == [f"crypto:7 {LONG} inline:{b64encode(_key(2, LONG).key).decode()}"]
    assert parse_sdp(answer.to_bytes(), limits=Limits()).findings == ()


def test_the_suites_of_the_caller_decide() -> None:
    offer = _offer(*_secure(_crypto(1, LONG), _crypto(2, SHORT)))
    plan = plan_answer(offer, codecs=G711, srtp=SrtpPolicy.ALLOW, suites=[SHORT, LONG])
    assert plan.lines[0].crypto is not None
    assert plan.lines[0].crypto.tag == 2


@pytest.mark.requirement("4568-5.1.2-a", "3264-ans-a")
@pytest.mark.parametrize(
    ("lines", "policy", "refusal", "warning_code"),
    [
        (PLAIN, SrtpPolicy.OFF, None, 0),
        (PLAIN, SrtpPolicy.ALLOW, None, 0),
        (PLAIN, SrtpPolicy.REQUIRE, "media without encryption not allowed", 302),
        (_secure(_crypto(1)), SrtpPolicy.OFF, "secure media not enabled", 302),
        (_secure(_crypto(1)), SrtpPolicy.ALLOW, None, 0),
        (_secure(_crypto(1)), SrtpPolicy.REQUIRE, None, 0),
        (_secure(), SrtpPolicy.ALLOW, "no usable a=crypto", 399),
        (_secure("a=crypto:1 NEW inline:AAAA"), SrtpPolicy.ALLOW, "no usable a=crypto", 399),
        (_secure(_crypto(1, rest=" UNENCRYPTED_SRTP")), SrtpPolicy.ALLOW, "no usable a=crypto", 399),
        (_secure(_crypto(1)[:-3]), SrtpPolicy.REQUIRE, "no usable a=crypto", 399),
        (_secure(_crypto(1), protocol="UDP/TLS/RTP/SAVP"), SrtpPolicy.ALLOW, "keys by DTLS not supported", 302),
        (_secure(protocol="UDP/TLS/RTP/SAVPF"), SrtpPolicy.REQUIRE, "keys by DTLS not supported", 302),
        (_secure(_crypto(1), protocol="RTP/AVP"), SrtpPolicy.REQUIRE, "media without encryption not allowed", 302),
        (_secure(protocol="TCP/RTP/SAVP"), SrtpPolicy.ALLOW, "transport protocol TCP/RTP/SAVP not known", 302),
    ],
)
def test_policies(lines: tuple[str, ...], policy: SrtpPolicy, refusal: str | None, warning_code: int) -> None:
    offer = _offer(*lines)
    if refusal is None:
        (line,) = plan_answer(offer, codecs=G711, srtp=policy).accepted
        assert (line.crypto is not None) is ("SAVP" in lines[0])
        return
    with pytest.raises(NegotiationError, match=refusal) as raised:
        plan_answer(offer, codecs=G711, srtp=policy)
    assert raised.value.warning_code == warning_code
    # Beside a line that can be had, the refused one only loses its port.
    good = PLAIN if policy is not SrtpPolicy.REQUIRE else _secure(_crypto(1))
    both = _offer(*lines, *good)
    plan = plan_answer(both, codecs=G711, srtp=policy)
    assert [line.refusal for line in plan.lines] == [refusal, None]
    keys = (_key(9), _key(8))
    answer = _answer(both, plan, *keys)
    assert (answer.media[0].port, answer.media[0].protocol) == (0, both.media[0].protocol)
    assert _cryptos(answer, 0) == []


def test_secure_and_plain_lines_stand_side_by_side() -> None:
    offer = _offer(*PLAIN, *_secure(_crypto(1), port=4002, label=2))
    plan = plan_answer(offer, codecs=G711, srtp=SrtpPolicy.ALLOW)
    answer = build_answer(
        offer, plan, ports={0: 30000, 1: 30002}, address="192.0.2.99", session_id=1, keys={1: _key(5)}
    )
    assert [len(_cryptos(answer, index)) for index in (0, 1)] == [0, 1]


def test_keys_beside_a_plain_line_are_told_and_left() -> None:
    lines = _secure(_crypto(1), protocol="RTP/AVP")
    text = "\r\n".join(("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", *lines, ""))
    parsed = parse_sdp(text.encode(), limits=Limits())
    assert [(found.code, found.line) for found in parsed.findings] == [("sdp-crypto-misplaced", 7)]
    assert parsed.description is not None
    plan = plan_answer(parsed.description, codecs=G711, srtp=SrtpPolicy.ALLOW)
    assert plan.lines[0].crypto is None
    assert _cryptos(_answer(parsed.description, plan)) == []


@pytest.mark.requirement("4568-8-a")
def test_keys_on_open_signalling_are_told() -> None:
    offer = _offer(*_secure(_crypto(1)))
    plan = plan_answer(offer, codecs=G711, srtp=SrtpPolicy.ALLOW, keys_protected=False)
    assert [found.code for found in plan.findings] == ["sdp-crypto-exposed"]
    assert plan.lines[0].accepted
    assert plan_answer(_offer(*PLAIN), codecs=G711, srtp=SrtpPolicy.ALLOW, keys_protected=False).findings == ()


def test_each_accepted_line_needs_a_key_of_its_own() -> None:
    offer = _offer(*_secure(_crypto(1)), *_secure(_crypto(1, number=2), port=4002, label=2))
    plan = plan_answer(offer, codecs=G711, srtp=SrtpPolicy.ALLOW)
    assert len(set(map(str, _answer(offer, plan, _key(8), _key(9)).media))) == 2
    for keys in ((), (_key(8),), (_key(8), _key(8)), (_key(1), _key(8)), (_key(8), _key(9, LONG))):
        with pytest.raises(LocalProtocolError):
            _answer(offer, plan, *keys)


@pytest.mark.requirement("4568-7.1.4-a")
def test_a_context_goes_on_unless_key_or_address_change() -> None:
    first = _offer(*_secure(_crypto(1)))
    plan = plan_answer(first, codecs=G711, srtp=SrtpPolicy.ALLOW)
    answered = Answered(offer=first, plan=plan, answer=_answer(first, plan, _key(9)))
    for lines, connection, goes_on in (
        (_secure(_crypto(1)), "c=IN IP4 192.0.2.1", True),
        (_secure(_crypto(2)), "c=IN IP4 192.0.2.1", True),
        (_secure(_crypto(1, number=3)), "c=IN IP4 192.0.2.1", False),
        (_secure(_crypto(1), port=4444), "c=IN IP4 192.0.2.1", False),
        (_secure(_crypto(1)), "c=IN IP4 192.0.2.8", False),
        (_secure(_crypto(1, LONG)), "c=IN IP4 192.0.2.1", False),
    ):
        later = _offer(*lines, connection=connection)
        again = plan_answer(later, codecs=G711, srtp=SrtpPolicy.ALLOW, previous=answered)
        assert again.lines[0].continues_crypto(plan.lines[0]) is goes_on
    assert not plan.lines[0].continues_crypto(None)
    clear = plan_answer(_offer(*PLAIN), codecs=G711)
    assert not clear.lines[0].continues_crypto(clear.lines[0])
    again = plan_answer(first, codecs=G711, srtp=SrtpPolicy.ALLOW, previous=answered)
    repeated = build_answer(
        first, again, ports={0: 30000}, address="192.0.2.99", session_id=5, keys={0: _key(9)}, previous=answered.answer
    )
    assert repeated == answered.answer


# Offers of ours


def _stream(
    label: str = "1", *keys: tuple[str, InlineKey], protocol: str = "RTP/SAVP", port: int = 4000
) -> OfferedStream:
    return OfferedStream(label=label, formats=(PCMU,), port=port, protocol=protocol, crypto=offer_crypto(keys))


@pytest.mark.requirement("4568-5.1.1-a")
def test_an_offer_lists_its_suites_with_keys_of_their_own() -> None:
    offer = build_offer(
        [_stream("1", (LONG, _key(1, LONG)), (SHORT, _key(2))), _stream("2", (SHORT, _key(3)), port=4002)],
        address="192.0.2.1",
        session_id=7,
    )
    assert [text.split(" inline")[0] for text in _cryptos(offer)] == [f"crypto:1 {LONG}", f"crypto:2 {SHORT}"]
    assert offer.attribute("crypto") is None
    assert parse_sdp(offer.to_bytes(), limits=Limits()).findings == ()


@pytest.mark.parametrize(
    "streams",
    [
        [_stream("1", (SHORT, _key(1))), _stream("2", (SHORT, _key(1)))],
        [_stream("1", (SHORT, _key(1)), protocol="RTP/AVP")],
        [_stream("1")],
        [OfferedStream(label="1", formats=(PCMU,), port=4, protocol="RTP/SAVP", crypto=(
            CryptoAttribute(1, SHORT, (_key(1),)), CryptoAttribute(1, SHORT, (_key(2),))))],
        [OfferedStream(label="1", formats=(PCMU,), port=4, protocol="RTP/SAVP", crypto=(
            CryptoAttribute(1, SHORT, (InlineKey(b"short"),)),))],
    ],
    ids=["key twice", "keys without profile", "profile without keys", "tag twice", "key too short"],
)  # fmt: skip
def test_wrong_keys_are_not_offered(streams: list[OfferedStream]) -> None:
    with pytest.raises(LocalProtocolError):
        build_offer(streams, address="192.0.2.1", session_id=7)


def _read(answer_crypto: str, *, secure: bool = True) -> tuple[NegotiatedLine, list[str]]:
    stream = _stream("1", (LONG, _key(1, LONG)), (SHORT, _key(2)))
    if not secure:
        stream = OfferedStream(label="1", formats=(PCMU,), port=4000)
    offer = build_offer([stream], address="192.0.2.1", session_id=7)
    answer = _offer(f"m=audio 30000 {stream.protocol} 0", *answer_crypto.split("\n"), "a=recvonly", "a=label:1")
    read = read_answer(offer, answer)
    return read.lines[0], [found.code for found in read.findings]


@pytest.mark.requirement("4568-5.1.3-a")
@pytest.mark.parametrize(
    ("crypto", "accepted"),
    [
        (_crypto(1, LONG, 9), True),
        (_crypto(2, SHORT, 9), True),
        (_crypto(1, SHORT, 9), False),
        (_crypto(3, SHORT, 9), False),
        (_crypto(2, SHORT, 9)[:-4], False),
        (f"{_crypto(1, LONG, 9)}\n{_crypto(2, SHORT, 9)}", False),
        ("a=x", False),
    ],
)
def test_an_answer_has_tag_and_suite_of_the_offer(crypto: str, *, accepted: bool) -> None:
    line, codes = _read(crypto)
    assert codes == ([] if accepted else ["sdp-answer-crypto"])
    assert (line.accepted, line.receives) == (accepted, accepted)
    if accepted:
        assert line.crypto is not None
        assert line.remote_crypto == read_crypto(crypto.removeprefix("a=crypto:")).attribute
        assert line.crypto.keys != line.remote_crypto.keys if line.remote_crypto else False
    else:
        assert (line.crypto, line.formats) == (None, ())


def test_keys_answered_to_a_plain_line_are_told() -> None:
    line, codes = _read(_crypto(1), secure=False)
    assert codes == ["sdp-answer-crypto"]
    assert line.accepted
    assert (line.crypto, line.remote_crypto) == (None, None)


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.sampled_from([SHORT, LONG, "AEAD_AES_128_GCM"]), max_size=3), min_size=1, max_size=3),
    st.sampled_from(SrtpPolicy),
)
def test_both_sides_agree(lines: list[list[str]], policy: SrtpPolicy) -> None:
    number = iter(range(1, 100))
    streams = [
        OfferedStream(
            label=str(index),
            formats=(PCMU,),
            port=4000 + 2 * index,
            protocol="RTP/SAVP" if suites else "RTP/AVP",
            crypto=offer_crypto([(suite, _key(next(number), suite)) for suite in suites]),
        )
        for index, suites in enumerate(lines)
    ]
    offer = build_offer(streams, address="192.0.2.1", session_id=7)
    expected = [policy is not (SrtpPolicy.OFF if suites else SrtpPolicy.REQUIRE) for suites in lines]
    if not any(expected):
        with pytest.raises(NegotiationError):
            plan_answer(offer, codecs=G711, srtp=policy)
        return
    plan = plan_answer(offer, codecs=G711, srtp=policy)
    keys = {line.index: _key(100 + line.index, line.crypto.suite) for line in plan.accepted if line.crypto}
    ports = {line.index: 30000 + 2 * line.index for line in plan.accepted}
    answer = build_answer(offer, plan, ports=ports, address="192.0.2.99", session_id=5, keys=keys)
    assert len(answer.media) == len(offer.media)
    read = read_answer(offer, answer)
    assert read.findings == ()
    for planned, negotiated, accepted in zip(plan.lines, read.lines, expected, strict=True):
        assert planned.accepted is negotiated.accepted is accepted
        assert planned.crypto == negotiated.crypto
        assert negotiated.remote_crypto is None or negotiated.remote_crypto.keys == (keys[planned.index],)
