"""The ciphers of pylibsrtp: there and back, and what must not be opened."""

import pytest

pytest.importorskip("pylibsrtp", reason="the extra srtp is not installed")

from siprec_core.errors import ConfigurationError
from siprec_core.media.encryption import CryptoFailure, MasterKey
from siprec_core.recording.call import CallSpec, ClientConfig, StreamSpec
from siprec_core.recording.policy import ServerConfig
from siprec_core.sdp.crypto import SUITES, SrtpPolicy
from siprec_core.types import Address, Component, DatagramBatch
from siprec_sync import srtp
from siprec_sync.srtp import PylibsrtpProvider, with_client_ciphers, with_server_ciphers
from tests.core.media.lines import rtp
from tests.core.test_srtp_calls import Encrypted

PROVIDER = PylibsrtpProvider()
CM_80 = "AES_CM_128_HMAC_SHA1_80"
REPORT = bytes.fromhex("81c8000dcafebabe4e565445524a1d2e0000000100000002000003e8")
"""A sender report as far as its head; SRTCP does not look into it."""


def key_of(suite: str, octet: int = 7) -> MasterKey:
    return MasterKey(suite, bytes((octet + each) & 0xFF for each in range(SUITES[suite].size)))


def opened(packet: bytes, key: MasterKey) -> bytes | CryptoFailure:
    return PROVIDER.context(key, sending=False).unprotect(packet)


@pytest.mark.requirement("3711-3.4-a", "4568-6.2-a")
@pytest.mark.parametrize("suite", PROVIDER.suites)
def test_there_and_back(suite: str) -> None:
    sending, receiving = (PROVIDER.context(key_of(suite), sending=each) for each in (True, False))
    grown = {"AES_CM_128_HMAC_SHA1_80": (10, 14), "AES_CM_128_HMAC_SHA1_32": (4, 14)}.get(suite, (16, 20))
    for number in range(3):
        packet = rtp(number)
        sealed = sending.protect(packet)
        assert isinstance(sealed, bytes)
        assert sealed[:12] == packet[:12]
        assert sealed[12 : len(packet)] != packet[12:]
        assert len(sealed) - len(packet) == grown[0]
        assert receiving.unprotect(sealed) == packet
        report = sending.protect_rtcp(REPORT)
        assert isinstance(report, bytes)
        assert len(report) - len(REPORT) == grown[1]
        assert receiving.unprotect_rtcp(report) == REPORT


@pytest.mark.requirement("3711-3.3.1-a", "3711-3.3.2-a")
@pytest.mark.parametrize("suite", PROVIDER.suites)
def test_wraps_losses_and_replays(suite: str) -> None:
    """The rollover counter follows 70,000 packets; lost ones do not matter; an old one is never opened again."""
    sending, receiving = (PROVIDER.context(key_of(suite), sending=each) for each in (True, False))
    first = sealed = sending.protect(rtp(0xFF00, size=1))
    assert isinstance(first, bytes)
    for number in range(0xFF00, 0xFF00 + 70_000):
        if number > 0xFF00:
            sealed = sending.protect(rtp(number, size=1))
        if number % 3 == 0 or number == 0xFF00:
            assert isinstance(sealed, bytes)
            assert receiving.unprotect(sealed) == rtp(number, size=1)
    assert isinstance(sealed, bytes)
    last = sending.protect(rtp(0xFF00 + 70_000, size=1))
    assert isinstance(last, bytes)
    assert receiving.unprotect(last[:-1] + bytes([last[-1] ^ 1])) is CryptoFailure.AUTHENTICATION
    assert receiving.unprotect(last) == rtp(0xFF00 + 70_000, size=1)
    assert receiving.unprotect(last) is CryptoFailure.REPLAY
    assert isinstance(receiving.unprotect(first), CryptoFailure)


@pytest.mark.requirement("4568-6.4-a")
@pytest.mark.parametrize("suite", PROVIDER.suites)
def test_a_source_is_bound_by_its_first_packet_and_begins_with_rollover_counter_0(suite: str) -> None:
    """RFC 4568 section 6.4.1: SDP names no SSRC; whatever comes is a stream of its own, whose counter begins with 0."""
    key = key_of(suite)
    receiving = PROVIDER.context(key, sending=False)
    first = PROVIDER.context(key, sending=True)
    # The first source begins anywhere and wraps, so its counter is 1 when the others begin.
    for number in (0x7FFF, 0xBFFF, 0xFFFF, 0x10000, 0x10001):
        sealed = first.protect(rtp(number, ssrc=1))
        assert isinstance(sealed, bytes)
        assert receiving.unprotect(sealed) == rtp(number, ssrc=1)
    for ssrc, number in ((2, 0), (3, 0x7FFF), (0xFFFFFFFF, 5)):
        sealed = PROVIDER.context(key, sending=True).protect(rtp(number, ssrc=ssrc))
        assert isinstance(sealed, bytes)
        assert receiving.unprotect(sealed) == rtp(number, ssrc=ssrc)


@pytest.mark.requirement("3711-3.3.2-a")
def test_what_comes_late_within_the_window_is_opened() -> None:
    sending, receiving = (PROVIDER.context(key_of(CM_80), sending=each) for each in (True, False))
    packets = [sending.protect(rtp(number)) for number in range(1_500)]
    order = [0, 1_499, 500, 499 + 1, 100]
    found = [receiving.unprotect(packets[each]) for each in order]  # type: ignore[arg-type]
    assert found == [rtp(0), rtp(1_499), rtp(500), CryptoFailure.REPLAY, CryptoFailure.REPLAY]


@pytest.mark.parametrize("suite", PROVIDER.suites)
def test_a_wrong_key_opens_nothing(suite: str) -> None:
    sealed = PROVIDER.context(key_of(suite), sending=True).protect(rtp(1))
    assert isinstance(sealed, bytes)
    assert opened(sealed, key_of(suite, 8)) is CryptoFailure.AUTHENTICATION


@pytest.mark.parametrize("suite", PROVIDER.suites)
@pytest.mark.parametrize(
    "packet", [b"", b"\x80", rtp(1)[:12], bytes(40), bytes([0x9F]) * 40, bytes([0x90]) * 14, b"\x80" * 1_501]
)
def test_hostile_packets_open_nothing(suite: str, packet: bytes) -> None:
    for sending in (False, True):
        context = PROVIDER.context(key_of(suite), sending=sending)
        assert isinstance(context.unprotect(packet), CryptoFailure)
        assert isinstance(context.unprotect_rtcp(packet), CryptoFailure)


def test_packets_too_long_to_be_protected() -> None:
    context = PROVIDER.context(key_of(CM_80), sending=True)
    assert isinstance(context.protect(rtp(1, size=1_344)), bytes)
    assert context.protect(rtp(2, size=1_345)) is CryptoFailure.MALFORMED


CALL = CallSpec(uri="sip:r@a", local=Address("", 0), streams=(StreamSpec(label="1", aor="sip:a@b"),))
SECURE_CALL = CallSpec(uri="sip:r@a", local=Address("", 0), streams=CALL.streams, srtp=(CM_80,))


def test_configurations_get_the_ciphers_that_they_lack() -> None:
    assert isinstance(with_server_ciphers(ServerConfig()).crypto, PylibsrtpProvider)
    assert with_server_ciphers(ServerConfig(srtp=SrtpPolicy.OFF)).crypto is None
    own = ServerConfig(crypto=PROVIDER)
    assert with_server_ciphers(own) is own
    assert isinstance(with_client_ciphers(ClientConfig(), SECURE_CALL).crypto, PylibsrtpProvider)
    assert with_client_ciphers(ClientConfig(), CALL).crypto is None
    mine = ClientConfig(crypto=PROVIDER)
    assert with_client_ciphers(mine, SECURE_CALL) is mine


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srtp, "find_spec", lambda name: None)
    assert with_server_ciphers(ServerConfig()).crypto is None
    with pytest.raises(ConfigurationError, match=r"pip install 'siprec\[srtp\]'"):
        with_server_ciphers(ServerConfig(srtp=SrtpPolicy.REQUIRE))
    with pytest.raises(ConfigurationError, match=r"pip install 'siprec\[srtp\]'"):
        with_client_ciphers(ClientConfig(), SECURE_CALL)


@pytest.mark.requirement("3711-3.4-a")
@pytest.mark.parametrize("suite", PROVIDER.suites)
def test_reports_of_a_call_go_both_ways_and_no_other_key_opens_them(suite: str) -> None:
    pair = Encrypted(SrtpPolicy.REQUIRE, ciphers=PylibsrtpProvider(), client_ciphers=PylibsrtpProvider())
    pair.dial(suite)
    pair.say("1", 20)
    pair.run(22.0)
    reception = pair.caller.reception("1")
    assert reception is not None
    assert (reception.packets_lost, reception.reports >= 2) == (0, True)
    assert reception.round_trip is not None, "the server has opened reports of ours"
    sent = [command for command in pair.server.sent_rtcp if command.to.port == 40_001]
    stranger = PROVIDER.context(key_of(suite), sending=False)
    assert {stranger.unprotect_rtcp(command.data) for command in sent} == {CryptoFailure.AUTHENTICATION}
    media, source = pair.server_media()
    replayed = [command.data for command in pair.client.sent_rtcp if command.to.port == 30_001]
    forged = PROVIDER.context(key_of(suite), sending=True).protect_rtcp(REPORT)
    assert isinstance(forged, bytes)
    attack = [*replayed, forged, REPORT]
    origin = Address(source.host, source.port + 1)
    batch = DatagramBatch(attack, [origin] * len(attack), [pair.now] * len(attack))
    pair.recorder.receive_media(media, batch, component=Component.RTCP, now=pair.now)
    pair.settle()
    pair.hang_up()
    (entry,) = [each for each in pair.report()["timeline"] if each["event"] == "srtp-rejected"]
    assert (entry["failed"], entry["replayed"]) == (2, len(replayed))
