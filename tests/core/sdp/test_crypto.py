from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import LocalProtocolError
from siprec_core.sdp.crypto import (
    PREFERRED_SUITES,
    SUITES,
    CryptoAttribute,
    CryptoSuite,
    InlineKey,
    accepted_crypto,
    answer_crypto,
    check_crypto,
    check_fresh_keys,
    choose_crypto,
    offer_crypto,
    read_crypto,
    read_crypto_lines,
)

KEY = bytes(range(30))
TEXT = b64encode(KEY).decode()
SUITE = "AES_CM_128_HMAC_SHA1_80"


def _read(value: str) -> CryptoAttribute:
    reading = read_crypto(value)
    assert reading.attribute is not None, reading
    return reading.attribute


@pytest.mark.requirement("4568-6.1-a")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"1 {SUITE} inline:{TEXT}", CryptoAttribute(1, SUITE, (InlineKey(KEY),))),
        (f"12 {SUITE} inline:{TEXT}|2^20|1:4", CryptoAttribute(12, SUITE, (InlineKey(KEY, 1 << 20, 1, 4),))),
        (f"1 {SUITE} inline:{TEXT}|1048577", CryptoAttribute(1, SUITE, (InlineKey(KEY, 1_048_577),))),
        (f"1 {SUITE} inline:{TEXT}|9:128", CryptoAttribute(1, SUITE, (InlineKey(KEY, None, 9, 128),))),
        (
            f"1 {SUITE} inline:{TEXT}|2^48 KDR=24 WSH=64 FEC_ORDER=SRTP_FEC -novel=1",
            CryptoAttribute(
                1, SUITE, (InlineKey(KEY, 1 << 48),), ("KDR=24", "WSH=64", "FEC_ORDER=SRTP_FEC", "-novel=1")
            ),
        ),
        (
            f"1 {SUITE} inline:{TEXT}|2^20|1:4;inline:{TEXT}|2^20|2:4",
            CryptoAttribute(1, SUITE, (InlineKey(KEY, 1 << 20, 1, 4), InlineKey(KEY, 1 << 20, 2, 4))),
        ),
        ("1 X_NEW_SUITE inline:AAAA", CryptoAttribute(1, "X_NEW_SUITE", (InlineKey(bytes(3)),))),
    ],
)
def test_attributes_are_read_and_written(value: str, expected: CryptoAttribute) -> None:
    assert read_crypto(value) == (expected, None, value.split()[0])
    assert str(expected) == value


@pytest.mark.requirement("4568-6.2-a")
@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_keys_have_the_length_of_their_suite(suite: CryptoSuite) -> None:
    name, key = suite.name, bytes(suite.size)
    assert _read(f"1 {name} inline:{b64encode(key).decode()}").keys == (InlineKey(key),)
    for wrong in (key[:-1], key + b"\0"):
        assert read_crypto(f"1 {name} inline:{b64encode(wrong).decode()}").attribute is None


@pytest.mark.requirement("4568-6.1-a", "4568-6.3-a")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        f"1 {SUITE}",
        f"x {SUITE} inline:{TEXT}",
        f"1234567890 {SUITE} inline:{TEXT}",
        f"-1 {SUITE} inline:{TEXT}",
        f"1 {SUITE} outline:{TEXT}",
        f"1 {SUITE} {TEXT}",
        f"1 {SUITE} inline:",
        f"1 {SUITE} inline:!!!!",
        f"1 {SUITE} inline:{TEXT[:-4]}",
        f"1 {SUITE} inline:{TEXT}|0",
        f"1 {SUITE} inline:{TEXT}|2^49",
        f"1 {SUITE} inline:{TEXT}|2^",
        f"1 {SUITE} inline:{TEXT}|x",
        f"1 {SUITE} inline:{TEXT}|",
        f"1 {SUITE} inline:{TEXT}|2^20|1",
        f"1 {SUITE} inline:{TEXT}|1:",
        f"1 {SUITE} inline:{TEXT}|1:0",
        f"1 {SUITE} inline:{TEXT}|1:129",
        f"1 {SUITE} inline:{TEXT}|256:1",
        f"1 {SUITE} inline:{TEXT}|2^20|1:4|x",
        f"1 {SUITE} inline:{TEXT}|1:4|2^20",
        f"1 {SUITE} inline:{TEXT};inline:{TEXT}",
        f"1 {SUITE} inline:{TEXT}|1:4;inline:{TEXT}|1:4",
        f"1 {SUITE} inline:{TEXT}|1:4;inline:{TEXT}|2:8",
        f"1 {SUITE} {';'.join([f'inline:{TEXT}|1:4'] * 17)}",
        f"1 {SUITE} inline:{TEXT} NOVEL",
        f"1 {SUITE} inline:{TEXT} {TEXT}",
        f"1 {SUITE} inline:{TEXT} KDR=25",
        f"1 {SUITE} inline:{TEXT} KDR",
        f"1 {SUITE} inline:{TEXT} WSH=63",
        f"1 {SUITE} inline:{TEXT} WSH=x",
        f"1 {SUITE} inline:{TEXT} FEC_ORDER=none",
        f"1 {SUITE} inline:{TEXT} UNENCRYPTED_SRTP=1",
        f"1 {SUITE} inline:{TEXT} WSH=64 WSH=64",
    ],
)
def test_invalid_attributes_are_none(value: str) -> None:
    attribute, deviation, _ = read_crypto(value)
    assert attribute is None
    assert deviation
    assert TEXT[:8] not in deviation


def test_padding_may_be_missing() -> None:
    key = bytes(range(46))
    text = b64encode(key).decode().rstrip("=")
    reading = read_crypto(f"1 AES_256_CM_HMAC_SHA1_80 inline:{text}")
    assert reading.attribute is not None
    assert reading.attribute.keys[0].key == key
    assert reading.deviation == "the padding of the key is missing"


def test_keys_do_not_show() -> None:
    attribute = _read(f"1 {SUITE} inline:{TEXT} FEC_KEY=inline:{TEXT}")
    assert TEXT not in repr(attribute)
    assert repr(KEY) not in repr(attribute)
    assert str(KEY[:4]) not in repr(attribute)


@pytest.mark.requirement("4568-6.3-a")
def test_session_parameters() -> None:
    plain = _read(f"1 {SUITE} inline:{TEXT}")
    assert (plain.window_size, plain.key_derivation_rate, plain.is_weakened) == (64, 0, False)
    rich = _read(f"1 {SUITE} inline:{TEXT} WSH=1024 KDR=4")
    assert (rich.window_size, rich.key_derivation_rate, rich.parameter("WSH")) == (1024, 16, "1024")
    assert _read(f"1 {SUITE} inline:{TEXT} KDR=0").key_derivation_rate == 0
    for name in ("UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP"):
        assert _read(f"1 {SUITE} inline:{TEXT} {name}").is_weakened


def test_a_tag_counts_once() -> None:
    lines = [f"1 {SUITE} inline:{TEXT}", f"1 {SUITE} inline:{TEXT} WSH=128", "garbage", f"2 {SUITE} inline:{TEXT}"]
    assert [each.tag for each in read_crypto_lines(lines)] == [1, 2]
    assert read_crypto_lines(lines)[0].parameters == ()


def _offered(*suites: str, parameters: tuple[str, ...] = ()) -> list[CryptoAttribute]:
    return [
        CryptoAttribute(tag, suite, (InlineKey(bytes([tag]) * SUITES[suite].size),), parameters)
        for tag, suite in enumerate(suites, 1)
    ]


@pytest.mark.requirement("4568-5.1.2-a")
def test_our_order_of_suites_decides() -> None:
    offered = _offered("AES_CM_128_HMAC_SHA1_32", SUITE, "AES_256_CM_HMAC_SHA1_80")
    chosen = choose_crypto(offered)
    assert chosen is not None
    assert (chosen.tag, chosen.suite) == (3, "AES_256_CM_HMAC_SHA1_80")
    only = choose_crypto(offered, suites=["AES_CM_128_HMAC_SHA1_32", SUITE])
    assert only is not None
    assert only.tag == 1
    assert choose_crypto(offered, suites=["AEAD_AES_128_GCM"]) is None
    assert choose_crypto([]) is None
    assert choose_crypto([CryptoAttribute(1, "NEW", (InlineKey(b"x"),))], suites=["NEW"]) is None


@pytest.mark.requirement("4568-6.3-a")
@pytest.mark.parametrize(
    "parameter", ["UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP", "KDR=1", "FEC_ORDER=FEC_SRTP"]
)
def test_what_weakens_or_is_not_done_is_passed_over(parameter: str) -> None:
    weak = _offered(SUITE, parameters=(parameter,))
    assert choose_crypto(weak) is None
    assert choose_crypto([*weak, *_offered(SUITE, parameters=("WSH=128",))]) is not None


def test_preferred_suites_are_known_and_strongest_first() -> None:
    assert set(PREFERRED_SUITES) < set(SUITES)
    assert PREFERRED_SUITES.index("AES_CM_128_HMAC_SHA1_80") < PREFERRED_SUITES.index("AES_CM_128_HMAC_SHA1_32")


@pytest.mark.requirement("4568-5.1.2-a")
def test_an_answer_repeats_tag_and_suite_with_its_own_key() -> None:
    offered = CryptoAttribute(7, SUITE, (InlineKey(KEY, 1 << 20),), ("WSH=128",))
    ours = InlineKey(bytes(30))
    assert str(answer_crypto(offered, ours)) == f"7 {SUITE} inline:{b64encode(bytes(30)).decode()}"
    for wrong in (InlineKey(KEY), InlineKey(bytes(29)), InlineKey(b"")):
        with pytest.raises(LocalProtocolError):
            answer_crypto(offered, wrong)


@pytest.mark.requirement("4568-5.1.1-a")
def test_an_offer_counts_its_tags() -> None:
    made = offer_crypto([("AES_256_CM_HMAC_SHA1_80", InlineKey(bytes(46))), (SUITE, InlineKey(KEY))])
    assert [(each.tag, each.suite) for each in made] == [(1, "AES_256_CM_HMAC_SHA1_80"), (2, SUITE)]
    for wrong in ([("NEW", InlineKey(KEY))], [(SUITE, InlineKey(bytes(46)))]):
        with pytest.raises(LocalProtocolError):
            offer_crypto(wrong)


def test_what_would_be_invalid_is_not_written() -> None:
    for wrong in (
        CryptoAttribute(1, SUITE, (InlineKey(KEY, 1 << 49),)),
        CryptoAttribute(1, SUITE, (InlineKey(KEY),), ("NOVEL",)),
        CryptoAttribute(1, SUITE, (InlineKey(KEY, None, 1, 200),)),
    ):
        with pytest.raises(LocalProtocolError):
            check_crypto(wrong)


def test_a_key_stands_once() -> None:
    first, second = _offered(SUITE, SUITE)
    check_fresh_keys([[first], [second], []])
    with pytest.raises(LocalProtocolError):
        check_fresh_keys([[first], [second, first]])


@pytest.mark.requirement("4568-5.1.3-a")
def test_an_answer_accepts_one_of_the_offer() -> None:
    offered = _offered(SUITE, "AES_256_CM_HMAC_SHA1_80")
    answer = CryptoAttribute(2, "AES_256_CM_HMAC_SHA1_80", (InlineKey(bytes(46)),))
    assert accepted_crypto(offered, [answer]) == offered[1]
    assert accepted_crypto(offered, []) is None
    assert accepted_crypto(offered, [answer, answer]) is None
    assert accepted_crypto(offered, [CryptoAttribute(1, "AES_256_CM_HMAC_SHA1_80", answer.keys)]) is None
    assert accepted_crypto(offered, [CryptoAttribute(3, SUITE, answer.keys)]) is None


def test_same_keying_is_blind_to_the_tag() -> None:
    (first,) = _offered(SUITE)
    assert first.same_keying(CryptoAttribute(9, SUITE, first.keys))
    assert not first.same_keying(CryptoAttribute(1, SUITE, (InlineKey(KEY),)))
    assert not first.same_keying(CryptoAttribute(1, SUITE, first.keys, ("WSH=128",)))
    assert not first.same_keying(None)


def _keys(size: int, count: int) -> st.SearchStrategy[tuple[InlineKey, ...]]:
    lifetimes = st.none() | st.integers(1, 1 << 48).filter(lambda packets: len(str(packets)) <= 15)
    keys = st.builds(InlineKey, st.binary(min_size=size, max_size=size), lifetimes, st.just(None), st.just(0))
    many = st.builds(
        lambda raw, packets: tuple(InlineKey(key, packets, mki, 2) for mki, key in enumerate(raw)),
        st.lists(st.binary(min_size=size, max_size=size), min_size=2, max_size=max(2, count)),
        lifetimes,
    )
    return st.tuples(keys) | many


@given(
    st.sampled_from(sorted(SUITES)).flatmap(
        lambda suite: st.builds(
            CryptoAttribute,
            st.integers(0, 999_999_999),
            st.just(suite),
            _keys(SUITES[suite].size, 4),
            st.lists(st.sampled_from(["KDR=3", "WSH=64", "UNENCRYPTED_SRTP", "-x"]), unique=True).map(tuple),
        )
    )
)
def test_what_is_written_is_read(attribute: CryptoAttribute) -> None:
    assert read_crypto(str(attribute)) == (attribute, None, str(attribute.tag))


PIECES = st.sampled_from(
    ["1", " ", SUITE, "inline:", TEXT, "|", "2^", "48", "1:4", ";", "WSH=", "KDR=", "-", "=", "\n"]
)


@given(st.lists(PIECES | st.text(max_size=4), max_size=16).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    attribute, deviation, _ = read_crypto(text)
    assert attribute is not None or deviation
    assert (deviation or "").isprintable()
    if attribute is not None:
        assert read_crypto(str(attribute)).attribute == attribute
