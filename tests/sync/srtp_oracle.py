"""SRTP written down once more from the RFCs, with the primitives of `cryptography`: what ciphers are compared with."""

import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_SIZES = {
    "AES_CM_128_HMAC_SHA1_80": 16,
    "AES_CM_128_HMAC_SHA1_32": 16,
    "AEAD_AES_128_GCM": 16,
    "AEAD_AES_256_GCM": 32,
}


def key_stream(key: bytes, start: int, size: int) -> bytes:
    """AES in counter mode (RFC 3711 section 4.1.1): octets from a 128-bit counter on."""
    return Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16, "big"))).encryptor().update(bytes(size))


def derived(master: bytes, salt: bytes, label: int, size: int) -> bytes:
    """A session key at a key derivation rate of 0 (RFC 3711 section 4.3, RFC 6188 section 3); a salt of 14 octets."""
    return key_stream(master, (int.from_bytes(salt, "big") ^ label << 48) << 16, size)


@dataclass(frozen=True)
class SessionKeys:
    """Keys of one direction of RTP, or of RTCP."""

    suite: str
    cipher: bytes
    salt: bytes
    authentication: bytes = b""

    @classmethod
    def of(cls, suite: str, master: bytes, *, rtcp: bool) -> "SessionKeys":
        """Derive them from a master key with the salt behind it."""
        size = _KEY_SIZES[suite]
        # RFC 7714 section 11: a salt of 96 bits is filled with zeros on the right.
        key, salt = master[:size], master[size:].ljust(14, b"\0")
        first = 3 if rtcp else 0
        salt_size = 12 if suite.startswith("AEAD") else 14
        return cls(
            suite,
            derived(key, salt, first, size),
            derived(key, salt, first + 2, salt_size),
            derived(key, salt, first + 1, 20),
        )

    def protect(self, packet: bytes, *, header_size: int, rollover_counter: int = 0) -> bytes:
        """Make an SRTP packet (RFC 3711 section 3.1, RFC 7714 section 8)."""
        head, payload = packet[:header_size], packet[header_size:]
        ssrc, index = int.from_bytes(packet[8:12], "big"), rollover_counter << 16 | int.from_bytes(packet[2:4], "big")
        if self.suite.startswith("AEAD"):
            nonce = ssrc << 48 ^ index ^ int.from_bytes(self.salt, "big")
            return head + AESGCM(self.cipher).encrypt(nonce.to_bytes(12, "big"), payload, head)
        sealed = head + self._counter_mode(payload, ssrc, index)
        tag_size = 4 if self.suite.endswith("_32") else 10
        return sealed + self._tag(sealed + rollover_counter.to_bytes(4, "big"), tag_size)

    def protect_rtcp(self, packet: bytes, *, index: int) -> bytes:
        """Make an SRTCP packet (RFC 3711 section 3.4, RFC 7714 section 9)."""
        head, payload = packet[:8], packet[8:]
        ssrc, trailer = int.from_bytes(packet[4:8], "big"), (1 << 31 | index).to_bytes(4, "big")
        if self.suite.startswith("AEAD"):
            nonce = ssrc << 48 ^ index ^ int.from_bytes(self.salt, "big")
            return head + AESGCM(self.cipher).encrypt(nonce.to_bytes(12, "big"), payload, head + trailer) + trailer
        sealed = head + self._counter_mode(payload, ssrc, index) + trailer
        return sealed + self._tag(sealed, 10)

    def _counter_mode(self, payload: bytes, ssrc: int, index: int) -> bytes:
        start = int.from_bytes(self.salt, "big") << 16 ^ ssrc << 64 ^ index << 16
        stream = key_stream(self.cipher, start, len(payload))
        return bytes(one ^ other for one, other in zip(payload, stream, strict=True))

    def _tag(self, covered: bytes, size: int) -> bytes:
        return hmac.digest(self.authentication, covered, "sha1")[:size]
