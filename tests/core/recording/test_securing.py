"""Keys of ours for offers and answers, and the ciphers of a session's lines."""

from dataclasses import replace

import pytest

from siprec_core.entropy import Ids
from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.media.commands import SendMedia
from siprec_core.recording.securing import (
    SecureLines,
    SecureStreams,
    answer_keys,
    offered_crypto,
    receiving_keys,
    usable_suites,
)
from siprec_core.sdp.crypto import CryptoAttribute, InlineKey, SrtpPolicy
from siprec_core.sdp.formats import Codec, MediaFormat
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import Answered, AnswerPlan, build_answer, plan_answer
from siprec_core.sdp.offer import OfferedStream, build_offer, read_answer
from siprec_core.types import Address, Component, DatagramBatch, MediaId
from tests.core.ciphers import SUITES, PretendContext, PretendProvider
from tests.core.harness import entropy
from tests.core.media.lines import rtp

PCMU = (MediaFormat(0, "PCMU", 8000),)
SOURCE = Address("192.0.2.2", 41_000)


def offer(*labels: str, seed: int = 3, port: int = 41_000, secure: bool = True) -> SessionDescription:
    ids = Ids(entropy(seed))
    streams = [
        OfferedStream(
            label=label,
            formats=PCMU,
            port=port + 2 * index,
            protocol="RTP/SAVP" if secure else "RTP/AVP",
            crypto=offered_crypto(SUITES, ids) if secure else (),
        )
        for index, label in enumerate(labels)
    ]
    return build_offer(streams, address="192.0.2.2", session_id=1)


def planned(description: SessionDescription, previous: Answered | None = None) -> AnswerPlan:
    codecs = [Codec.parse("PCMU/8000")]
    return plan_answer(description, codecs=codecs, srtp=SrtpPolicy.ALLOW, suites=SUITES, previous=previous)


def answered(description: SessionDescription, ids: Ids, previous: Answered | None = None) -> Answered:
    plan = planned(description, previous)
    answer = build_answer(
        description,
        plan,
        ports={line.index: 30_000 + 2 * line.index for line in plan.accepted},
        address="192.0.2.1",
        session_id=2,
        keys=answer_keys(plan, previous, ids),
        previous=None if previous is None else previous.answer,
    )
    return Answered(offer=description, plan=plan, answer=answer)


def our_keys(exchange: Answered) -> list[bytes]:
    return [line.crypto_attributes[0].keys[0].key for line in exchange.answer.media]


@pytest.mark.requirement("4568-5.1.2-a")
def test_an_answer_has_an_own_new_key_for_each_line() -> None:
    exchange = answered(offer("1", "2"), Ids(entropy(4)))
    theirs = {key.key for line in exchange.offer.media for each in line.crypto_attributes for key in each.keys}
    ours = our_keys(exchange)
    assert len(set(ours)) == 2
    assert not theirs & set(ours)
    assert [len(key) for key in ours] == [28, 28]
    assert [line.crypto_attributes[0].suite for line in exchange.answer.media] == ["AEAD_AES_128_GCM"] * 2


@pytest.mark.requirement("4568-7.1.4-a")
def test_our_key_stays_exactly_while_the_context_goes_on() -> None:
    ids = Ids(entropy(4))
    first = answered(offer("1", "2"), ids)
    same = answered(first.offer, ids, first)
    assert our_keys(same) == our_keys(first)
    assert same.answer == first.answer
    rekeyed = answered(offer("1", "2", seed=9), ids, first)
    moved = answered(offer("1", "2", port=42_000), ids, first)
    assert not set(our_keys(rekeyed)) & set(our_keys(first))
    assert not set(our_keys(moved)) & set(our_keys(first))
    assert rekeyed.answer.origin.version == 2


def test_a_line_that_is_added_gets_a_key() -> None:
    ids = Ids(entropy(4))
    first = answered(offer("1"), ids)
    both = offer("1", "2")
    wider = answered(both, ids, first)
    assert len(set(our_keys(wider))) == 2


@pytest.mark.requirement("4568-5.1.1-a")
def test_an_offer_has_a_fresh_key_for_each_suite_and_line() -> None:
    description = offer("1", "2")
    keys = [key.key for line in description.media for each in line.crypto_attributes for key in each.keys]
    assert len(set(keys)) == 6
    for line in description.media:
        assert [each.tag for each in line.crypto_attributes] == [1, 2, 3]
        assert [each.suite for each in line.crypto_attributes] == list(SUITES)
    with pytest.raises(LocalProtocolError, match="unknown crypto suite"):
        offered_crypto(["ROT13"], Ids(entropy(1)))


def test_what_is_received_with() -> None:
    keys = (InlineKey(b"a" * 30, mki=1, mki_size=2), InlineKey(b"b" * 30, mki=258, mki_size=2))
    attribute = CryptoAttribute(1, "AES_CM_128_HMAC_SHA1_80", keys)
    found = receiving_keys(attribute)
    assert [each.identifier for each in found] == [b"\x00\x01", b"\x01\x02"]
    assert [each.master.window_size for each in found] == [1_024, 1_024]
    for asked, got in (("WSH=64", 1_024), ("WSH=2000", 2_000), ("WSH=999999999", 32_767)):
        (key,) = receiving_keys(replace(attribute, keys=(InlineKey(b"a" * 30),), parameters=(asked,)))
        assert (key.identifier, key.master.window_size) == (b"", got)


def sealed(exchange: Answered, index: int, packet: bytes) -> bytes:
    crypto = exchange.plan.lines[index].crypto
    assert crypto is not None
    found = PretendContext(receiving_keys(crypto)[0].master).protect(packet)
    assert isinstance(found, bytes)
    return found


def receive(lines: SecureLines, index: int, *data: bytes, at: float = 0.0) -> list[bytes]:
    batch = DatagramBatch(data, [SOURCE] * len(data), [at] * len(data))
    return [bytes(each) for each in lines.receive(index, batch, component=Component.RTP).datagrams]


def test_each_line_is_opened_with_its_own_key() -> None:
    lines = SecureLines(PretendProvider(), SrtpPolicy.ALLOW, limits=Limits())
    exchange = answered(offer("1", "2"), Ids(entropy(4)))
    lines.agree(exchange.plan, exchange.answer, now=0.0)
    assert receive(lines, 0, sealed(exchange, 0, rtp(1))) == [rtp(1)]
    assert receive(lines, 1, sealed(exchange, 1, rtp(1))) == [rtp(1)]
    assert receive(lines, 1, sealed(exchange, 0, rtp(2))) == []
    assert lines.counts() == {1: (1, 0)}
    assert (lines.packets_rejected(0), lines.packets_rejected(1), lines.packets_rejected(7)) == (0, 1, 0)
    told = lines.poll(1)
    assert told is not None
    assert (told.finding.code, told.finding.where) == ("srtp-rejected", "stream 2")
    assert lines.poll(0) is lines.poll(7) is None


def test_lines_without_encryption_are_left_alone() -> None:
    lines = SecureLines(PretendProvider(), SrtpPolicy.ALLOW, limits=Limits())
    secure = answered(offer("1"), Ids(entropy(4)))
    plain = answered(offer("1", secure=False), Ids(entropy(4)))
    batch = DatagramBatch([rtp(1)], [SOURCE], [0.0])
    assert lines.receive(0, batch, component=Component.RTP) is batch
    lines.agree(secure.plan, secure.answer, now=0.0)
    assert receive(lines, 0, rtp(1)) == []
    lines.agree(plain.plan, plain.answer, now=0.0)
    assert lines.receive(0, batch, component=Component.RTP) is batch


def test_a_removed_line_keeps_its_key_for_its_last_packets() -> None:
    lines = SecureLines(PretendProvider(), SrtpPolicy.ALLOW, limits=Limits())
    exchange = answered(offer("1", "2"), Ids(entropy(4)))
    lines.agree(exchange.plan, exchange.answer, now=0.0)
    left = tuple(replace(line, accepted=False, crypto=None) if line.index else line for line in exchange.plan.lines)
    lines.agree(replace(exchange.plan, lines=left), exchange.answer, now=1.0)
    assert receive(lines, 1, sealed(exchange, 1, rtp(1))) == [rtp(1)]


def test_without_ciphers_encryption_is_off_and_that_is_told_once() -> None:
    lines = SecureLines(None, SrtpPolicy.ALLOW, limits=Limits())
    assert lines.policy is SrtpPolicy.OFF
    assert lines.suites == ()
    assert lines.unavailable(offer("1", secure=False)) == ()
    assert [found.code for found in lines.unavailable(offer("1"))] == ["srtp-unavailable"]
    assert lines.unavailable(offer("1")) == ()
    exchange = answered(offer("1"), Ids(entropy(4)))
    lines.agree(exchange.plan, exchange.answer, now=0.0)
    assert receive(lines, 0, rtp(1)) == [rtp(1)]
    for provider, policy in ((PretendProvider(), SrtpPolicy.ALLOW), (None, SrtpPolicy.OFF)):
        quiet = SecureLines(provider, policy, limits=Limits())
        assert quiet.policy is policy
        assert quiet.unavailable(offer("1")) == ()


def test_suites_come_in_our_order() -> None:
    assert usable_suites(None) == ()
    backwards = PretendProvider(("AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM", "OWN"))
    assert usable_suites(backwards) == SUITES


def send(cipher: SecureStreams, data: bytes) -> SendMedia | None:
    return cipher.seal(SendMedia(media=MediaId(1), component=Component.RTP, to=SOURCE, data=data))


@pytest.mark.requirement("3711-9.1-a")
def test_a_client_seals_with_the_key_that_was_accepted_in_one_context() -> None:
    provider = PretendProvider()
    sending = SecureStreams(provider, limits=Limits())
    exchange = answered(offer("1"), Ids(entropy(4)))
    (line,) = read_answer(exchange.offer, exchange.answer).lines
    assert send(sending, rtp(1)) is not None
    for _ in range(2):
        assert sending.agree(MediaId(1), replace(line, ptime=200), now=0.0).ptime == 40
    assert [sending for _, sending in provider.made] == [True, False], "one for each direction"
    command = send(sending, rtp(1))
    assert command is not None
    assert command.data == sealed(exchange, 0, rtp(1))
    assert send(sending, bytes(2_000)) is None


REPORT = bytes.fromhex("80c9000100000001")


@pytest.mark.requirement("3711-3.4-a")
def test_reports_are_sealed_with_the_key_of_who_sends_them() -> None:
    lines = SecureLines(PretendProvider(), SrtpPolicy.ALLOW, limits=Limits())
    client = SecureStreams(PretendProvider(), limits=Limits())
    exchange = answered(offer("1"), Ids(entropy(4)))
    lines.agree(exchange.plan, exchange.answer, now=0.0)
    (line,) = read_answer(exchange.offer, exchange.answer).lines
    client.agree(MediaId(1), line, now=0.0)
    report = SendMedia(media=MediaId(1), component=Component.RTCP, to=SOURCE, data=REPORT)
    theirs = lines.seal(0, report)
    ours = client.seal(report)
    assert theirs is not None
    assert ours is not None
    assert len({theirs.data, ours.data, REPORT}) == 3
    to_client = DatagramBatch([theirs.data, theirs.data, ours.data, REPORT], [SOURCE] * 4, [0.0] * 4)
    assert [bytes(each) for each in client.receive(MediaId(1), to_client, component=Component.RTCP).datagrams] == [
        REPORT
    ]
    to_server = DatagramBatch([ours.data, ours.data, theirs.data, REPORT], [SOURCE] * 4, [0.0] * 4)
    assert [bytes(each) for each in lines.receive(0, to_server, component=Component.RTCP).datagrams] == [REPORT]
    assert lines.counts() == {0: (2, 1)}
    assert client.receive(MediaId(7), to_client, component=Component.RTCP) is to_client


def test_nothing_leaves_an_encrypted_line_in_the_clear() -> None:
    lines = SecureLines(PretendProvider(), SrtpPolicy.ALLOW, limits=Limits())
    exchange = answered(offer("1"), Ids(entropy(4)))
    keyless = answered(offer("1", secure=False), Ids(entropy(4)))
    report = SendMedia(media=MediaId(1), component=Component.RTCP, to=SOURCE, data=REPORT)
    assert lines.seal(0, report) is report
    lines.agree(exchange.plan, keyless.answer, now=0.0)
    assert lines.seal(0, report) is None
    lines.agree(keyless.plan, keyless.answer, now=1.0)
    assert lines.seal(0, report) is report


def test_our_context_lives_as_long_as_our_key() -> None:
    provider = PretendProvider()
    lines = SecureLines(provider, SrtpPolicy.ALLOW, limits=Limits())
    ids = Ids(entropy(4))
    first = answered(offer("1"), ids)
    for exchange in (first, answered(first.offer, ids, first)):
        lines.agree(exchange.plan, exchange.answer, now=0.0)
    assert [sending for _, sending in provider.made].count(True) == 1
    rekeyed = answered(offer("1", seed=9), ids, first)
    lines.agree(rekeyed.plan, rekeyed.answer, now=1.0)
    assert [sending for _, sending in provider.made].count(True) == 2


def test_a_client_without_the_cipher_says_so() -> None:
    SecureStreams(None, limits=Limits()).check(())
    SecureStreams(PretendProvider(), limits=Limits()).check(SUITES)
    for provider in (None, PretendProvider()):
        with pytest.raises(LocalProtocolError, match="no ciphers for the crypto suite 'AEAD_AES_256_GCM'"):
            SecureStreams(provider, limits=Limits()).check(("AEAD_AES_256_GCM",))
