"""The published vectors of SRTP.

Most of them begin at session keys, and libsrtp takes none: an oracle of our own has to agree with the vectors, and the
ciphers with the oracle.
"""

import pytest

pytest.importorskip("pylibsrtp", reason="the extra srtp is not installed")
pytest.importorskip("cryptography", reason="cryptography is not installed")

from siprec_core.media.encryption import MasterKey
from siprec_core.rtp.packet import HeaderExtension, RtpPacket
from siprec_core.sdp.crypto import SUITES
from siprec_sync.srtp import PylibsrtpProvider
from tests.sync.srtp_oracle import SessionKeys, derived, key_stream

PROVIDER = PylibsrtpProvider()
OCTETS = bytes(range(32))
GCM_SALT = b"Quid pro quo"
GCM_PACKET = bytes.fromhex("8040f17b8041f8d35501a0b2") + b"Gallia est omnis divisa in partes tres"
GCM_REPORT = bytes.fromhex("81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61") + b"\xde\xad\xbe\xef" * 5


@pytest.mark.parametrize(
    ("key", "first", "last"),
    [
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0",
            "ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae6a2cc3787889374fbeb4c81b17ba6c44",
        ),
        (
            "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
            "92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac63c4868b7096d88421b563b8c94c9a31",
            "cea518c90fd91ced9cbb18c078a547113dbc4814f4da5f00a08772b63c6a046d6eb246913062a16891433e97dd01a57f",
        ),
    ],
    ids=["RFC 3711 B.2", "RFC 6188 7.1"],
)
def test_key_streams(key: str, first: str, last: str) -> None:
    stream = key_stream(bytes.fromhex(key), 0xF0F1F2F3F4F5F6F7F8F9FAFBFCFD << 16, 0xFF02 * 16)
    assert (stream[:48].hex(), stream[-48:].hex()) == (first, last)


@pytest.mark.requirement("3711-4.3-a")
@pytest.mark.parametrize(
    ("master", "salt", "cipher", "cipher_salt", "authentication"),
    [
        (
            "e1f97a0d3e018be0d64fa32c06de4139",
            "0ec675ad498afeebb6960b3aabe6",
            "c61e7a93744f39ee10734afe3ff7a087",
            "30cbbc08863d8c85d49db34a9ae1",
            "cebe321f6ff7716b6fd4ab49af256a156d38baa4",
        ),
        (
            "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
            "3b04803de51ee7c96423ab5b78d2",
            "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
            "fa31791685ca444a9e07c6c64e93",
            "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05",
        ),
    ],
    ids=["RFC 3711 B.3", "RFC 6188 7.2"],
)
def test_key_derivation(master: str, salt: str, cipher: str, cipher_salt: str, authentication: str) -> None:
    keys = bytes.fromhex(master), bytes.fromhex(salt)
    assert derived(*keys, 0, len(cipher) // 2).hex() == cipher
    assert derived(*keys, 2, 14).hex() == cipher_salt
    assert derived(*keys, 1, 20).hex() == authentication


@pytest.mark.requirement("4568-6.2-a")
@pytest.mark.parametrize(
    ("suite", "size", "packet", "report"),
    [
        (
            "AEAD_AES_128_GCM",
            16,
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
            "899d7f27beb16a9152cf765ee4390cce",
            "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b"
            "c84aa45896cf4d2fc5abf87245d9eade800005d4",
        ),
        (
            "AEAD_AES_256_GCM",
            32,
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b"
            "7aa3db36dfffd6b0f9bb7878d7a76c13",
            "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad"
            "1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
        ),
    ],
    ids=["RFC 7714 16.1, 17.1", "RFC 7714 16.2, 17.2"],
)
def test_packets_under_session_keys(suite: str, size: int, packet: str, report: str) -> None:
    keys = SessionKeys(suite, OCTETS[:size], GCM_SALT)
    assert keys.protect(GCM_PACKET, header_size=12).hex() == GCM_PACKET[:12].hex() + packet
    assert keys.protect_rtcp(GCM_REPORT, index=0x5D4).hex() == GCM_REPORT[:8].hex() + report


def key_of(suite: str) -> MasterKey:
    return MasterKey(suite, bytes((13 * each + 5) & 0xFF for each in range(SUITES[suite].size)))


@pytest.mark.requirement("3711-4.3-a", "3711-3.3.1-a", "4568-6.2-a")
@pytest.mark.parametrize("suite", PROVIDER.suites)
def test_our_ciphers_compute_what_the_oracle_does(suite: str) -> None:
    """Plain headers and full ones, over the wrap of the sequence numbers, of two sources under one key."""
    key = key_of(suite)
    sending, receiving = (PROVIDER.context(key, sending=each) for each in (True, False))
    keys = SessionKeys.of(suite, key.key, rtcp=False)
    for number in range(0xFFF0, 0x1_0010):
        for ssrc in (0xDECAFBAD, 0x5501A0B2):
            plain = RtpPacket(0, number & 0xFFFF, 160 * number, ssrc, bytes(range(number & 0xFF)))
            full = RtpPacket(
                8, number & 0xFFFF, 7, ssrc, b"audio", csrcs=(1, 2), extension=HeaderExtension(0xBEDE, bytes(8))
            )
            chosen, header_size = (full, 32) if number % 3 == 0 else (plain, 12)
            packet = chosen.to_bytes()
            sealed = keys.protect(packet, header_size=header_size, rollover_counter=number >> 16)
            assert sending.protect(packet) == sealed
            assert receiving.unprotect(sealed) == packet


@pytest.mark.requirement("3711-3.4-a", "3711-3.2.3-a")
@pytest.mark.parametrize("suite", PROVIDER.suites)
def test_our_ciphers_of_reports_compute_what_the_oracle_does(suite: str) -> None:
    key = key_of(suite)
    sending, receiving = (PROVIDER.context(key, sending=each) for each in (True, False))
    keys = SessionKeys.of(suite, key.key, rtcp=True)
    for index in range(1, 20):
        sealed = sending.protect_rtcp(GCM_REPORT)
        assert isinstance(sealed, bytes)
        # libsrtp counts from 1; RFC 3711 section 3.4 begins with 0, and a receiver takes both.
        assert sealed == keys.protect_rtcp(GCM_REPORT, index=index)
        assert receiving.unprotect_rtcp(sealed) == GCM_REPORT
    fresh = PROVIDER.context(key, sending=False)
    assert fresh.unprotect_rtcp(keys.protect_rtcp(GCM_REPORT, index=0)) == GCM_REPORT
    assert fresh.unprotect_rtcp(keys.protect_rtcp(GCM_REPORT, index=(1 << 31) - 1)) == GCM_REPORT
