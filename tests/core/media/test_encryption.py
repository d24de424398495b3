"""Encrypted lines: keys and their identifiers, changes of keys, forged, replayed and broken packets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.media.commands import SendMedia
from siprec_core.media.encryption import (
    CryptoCounts,
    LineCipher,
    MasterKey,
    ReceivingKey,
    SendingCipher,
)
from siprec_core.types import Address, Component, DatagramBatch, MediaId
from tests.core.ciphers import SUITES, PretendContext, PretendProvider
from tests.core.media.lines import ANNOUNCED, rtp

CM_80 = "AES_CM_128_HMAC_SHA1_80"
ONE, TWO = MasterKey(CM_80, b"\x11" * 30), MasterKey(CM_80, b"\x22" * 30)
RECEIVER_REPORT = bytes.fromhex("80c9000100000001")


def sealed(packet: bytes, key: MasterKey = ONE, *, rtcp: bool = False) -> bytes:
    context = PretendContext(key)
    found = context.protect_rtcp(packet) if rtcp else context.protect(packet)
    assert isinstance(found, bytes)
    return found


def batch(*datagrams: bytes, at: float = 0.0, apart: float = 0.02) -> DatagramBatch:
    arrivals = [at + apart * index for index in range(len(datagrams))]
    return DatagramBatch(datagrams, [ANNOUNCED] * len(datagrams), arrivals)


class Line:
    """A line's cipher and what it told."""

    def __init__(self, *keys: ReceivingKey | MasterKey, limits: Limits | None = None) -> None:
        self.provider = PretendProvider()
        self.cipher = LineCipher(self.provider, limits=limits or Limits(), where="stream 1")
        self.agree(*keys)

    def agree(self, *keys: ReceivingKey | MasterKey, now: float = 0.0) -> None:
        named = [key if isinstance(key, ReceivingKey) else ReceivingKey(key) for key in keys]
        if named:
            self.cipher.agree(named, now=now)

    def receive(self, *datagrams: bytes, component: Component = Component.RTP, at: float = 0.0) -> list[bytes]:
        opened = self.cipher.receive(batch(*datagrams, at=at), component=component)
        assert len(opened.datagrams) == len(opened.sources) == len(opened.arrivals)
        return [bytes(data) for data in opened.datagrams]

    def codes(self) -> list[str]:
        found = []
        while (output := self.cipher.poll_output()) is not None:
            assert not output.replayable
            found.append(output.finding.code)
        return found


def test_what_is_authentic_is_opened_and_keeps_source_and_arrival() -> None:
    line = Line(ONE)
    packets = [rtp(number) for number in range(3)]
    opened = line.cipher.receive(batch(*(sealed(packet) for packet in packets), at=7.0), component=Component.RTP)
    assert list(opened.datagrams) == packets
    assert list(opened.sources) == [ANNOUNCED] * 3
    assert opened.arrivals == [7.0, 7.02, 7.04]
    assert line.cipher.counts == CryptoCounts(0, 0)
    assert line.codes() == []


@pytest.mark.requirement("3711-3.2.3-a")
def test_rtcp_has_keys_of_its_own_on_either_port() -> None:
    line = Line(ONE)
    report = sealed(RECEIVER_REPORT, rtcp=True)
    assert line.receive(report, component=Component.RTCP) == [RECEIVER_REPORT]
    assert Line(ONE).receive(report) == [RECEIVER_REPORT]


def test_other_protocols_pass_for_the_receiver_to_judge() -> None:
    stun = b"\x00\x01\x00\x00" + bytes(16)
    assert Line(ONE).receive(stun, b"") == [stun, b""]


def test_nothing_is_opened_before_a_key_is_known() -> None:
    line = Line()
    assert line.receive(sealed(rtp(1))) == []
    assert line.cipher.counts.failed == 1


@pytest.mark.requirement("3711-5-a")
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("size", [1, 4, 128])
def test_the_key_identifier_chooses_the_key_and_is_taken_off(suite: str, size: int) -> None:
    masters = [MasterKey(suite, bytes([octet]) * 30) for octet in (1, 3)]
    line = Line(*(ReceivingKey(master, bytes([number]) * size) for number, master in enumerate(masters)))

    def with_identifier(packet: bytes, number: int, tag_size: int) -> bytes:
        end = len(packet) - tag_size
        return packet[:end] + bytes([number]) * size + packet[end:]

    tags = {SUITES[0]: (0, 0), SUITES[1]: (10, 10), SUITES[2]: (4, 10)}[suite]
    for number, master in enumerate(masters):
        packet = with_identifier(sealed(rtp(5 + number), master), number, tags[0])
        assert line.receive(packet) == [rtp(5 + number)]
        report = with_identifier(sealed(RECEIVER_REPORT, master, rtcp=True), number, tags[1])
        assert line.receive(report, component=Component.RTCP) == [RECEIVER_REPORT]
    unknown = with_identifier(sealed(rtp(9), masters[0]), 7, tags[0])
    assert line.receive(unknown) == []
    assert line.cipher.counts.failed == 1


def test_the_same_keys_named_again_go_on() -> None:
    line = Line(ONE)
    packet = sealed(rtp(1))
    assert line.receive(packet) == [rtp(1)]
    line.agree(ONE, now=1.0)
    assert len(line.provider.made) == 1
    assert line.receive(packet, at=1.0) == []
    assert line.cipher.counts == CryptoCounts(0, 1)


@pytest.mark.requirement("4568-7.1.4-a")
def test_a_new_key_counts_at_once_and_the_old_one_for_ten_seconds_more() -> None:
    line = Line(ONE)
    line.agree(TWO, now=100.0)
    assert line.receive(sealed(rtp(1)), at=101.0) == [rtp(1)]
    assert line.receive(sealed(rtp(2), TWO), at=102.0) == [rtp(2)]
    assert line.receive(sealed(rtp(3)), at=110.5) == []
    assert line.receive(sealed(rtp(4), TWO), at=111.0) == [rtp(4)]
    assert line.codes() == ["srtp-rejected"]


def test_a_wrong_key_is_found_within_five_seconds() -> None:
    quick = Line(ONE)
    assert quick.receive(*(sealed(rtp(number), TWO) for number in range(9))) == []
    assert quick.codes() == []
    assert quick.receive(sealed(rtp(9), TWO), at=0.2) == []
    assert quick.codes() == ["srtp-unauthenticated"]
    slow = Line(ONE)
    for number in range(5):
        slow.receive(sealed(rtp(number), TWO), at=float(number))
    assert slow.codes() == ["srtp-unauthenticated"]


@pytest.mark.requirement("3711-3.3.2-a")
def test_replayed_packets_are_counted_and_found_once() -> None:
    line = Line(ONE)
    packets = [sealed(rtp(number)) for number in range(5)]
    assert len(line.receive(*packets)) == 5
    assert line.receive(*packets, *packets) == []
    assert line.cipher.counts == CryptoCounts(0, 10)
    assert line.cipher.packets_rejected == 10
    assert line.codes() == ["srtp-replayed"]


def test_a_forged_packet_among_authentic_ones() -> None:
    line = Line(ONE)
    good = sealed(rtp(1))
    assert line.receive(good, good[:-1] + bytes([good[-1] ^ 1]), sealed(rtp(2))) == [rtp(1), rtp(2)]
    assert line.codes() == ["srtp-rejected"]
    line.receive(sealed(RECEIVER_REPORT, TWO, rtcp=True), component=Component.RTCP)
    assert line.cipher.counts == CryptoCounts(2, 0)
    assert line.cipher.packets_rejected == 1


def test_sources_under_one_key_are_bounded() -> None:
    line = Line(ONE, limits=Limits(srtp_ssrcs=2))
    opened = line.receive(*(sealed(rtp(1, ssrc=ssrc)) for ssrc in (1, 2, 3)), sealed(rtp(2, ssrc=1)))
    assert opened == [rtp(1, ssrc=1), rtp(1, ssrc=2), rtp(2, ssrc=1)]


@given(st.lists(st.binary(max_size=60), max_size=5), st.sampled_from(list(Component)), st.integers(0, 128))
def test_garbage_never_raises_and_is_counted_or_passed(data: list[bytes], component: Component, size: int) -> None:
    line = Line(ReceivingKey(ONE, bytes(size)))
    opened = line.receive(*data, component=component)
    assert len(opened) + line.cipher.counts.failed + line.cipher.counts.replayed == len(data)


def test_what_leaves_is_sealed_rtcp_as_such() -> None:
    to = Address("192.0.2.9", 4000)
    for component, packet, rtcp in (
        (Component.RTP, rtp(1), False),
        (Component.RTCP, RECEIVER_REPORT, True),
        (Component.RTP, RECEIVER_REPORT, True),
    ):
        cipher = SendingCipher(PretendProvider(), ONE)
        command = SendMedia(media=MediaId(3), component=component, to=to, data=packet)
        assert cipher.seal(command) == SendMedia(
            media=MediaId(3), component=component, to=to, data=sealed(packet, rtcp=rtcp)
        )
    long = SendMedia(media=MediaId(3), component=Component.RTP, to=to, data=bytes(2_000))
    assert cipher.seal(long) is None


def test_keys_are_not_shown() -> None:
    assert "x11" not in repr(ReceivingKey(ONE))
    assert "x11" not in repr(ONE)


def made(kind: str, number: int) -> bytes:
    """A datagram of a kind, as a line of key ONE, TWO before, may get it."""
    packet = rtp(number, ssrc=1 + number % 2)
    match kind:
        case "good":
            return sealed(packet)
        case "again":
            return sealed(rtp(0))
        case "forged":
            return sealed(packet)[:-1] + b"?"
        case "under the key before":
            return PretendContext(TWO).protect(packet)  # type: ignore[return-value]
        case "rtcp":
            return bytes.fromhex("80c90001000000010000")
        case "stun":
            return bytes(20)
        case _:
            return packet[: number % 14]


KINDS = ("good", "again", "forged", "under the key before", "rtcp", "stun", "short")


@settings(max_examples=200)
@given(st.lists(st.sampled_from(("good", *KINDS)), max_size=24), st.integers(1, 24))
def test_any_batches_give_the_same(kinds: list[str], size: int) -> None:
    datagrams = [made(kind, number) for number, kind in enumerate(kinds)]
    outcomes = []
    for step in (1, size):
        line = Line(TWO)
        line.agree(ONE, now=0.0)
        opened = [
            data for at in range(0, len(datagrams), step) for data in line.receive(*datagrams[at : at + step], at=1.0)
        ]
        outcomes.append((opened, line.cipher.counts, line.cipher.packets_rejected, sorted(line.codes())))
    assert outcomes[0] == outcomes[1]


def test_a_batch_of_known_sources_keeps_sources_and_arrivals() -> None:
    line = Line(ONE)
    line.receive(sealed(rtp(0)))
    batch_of_known = batch(*(sealed(rtp(number)) for number in range(1, 6)), at=7.0)
    opened = line.cipher.receive(batch_of_known, component=Component.RTP)
    assert list(opened.datagrams) == [rtp(number) for number in range(1, 6)]
    assert (opened.sources, opened.arrivals) == (batch_of_known.sources, batch_of_known.arrivals)
