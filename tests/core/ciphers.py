"""Pretended ciphers for tests: they hide and authenticate nothing worth hiding, but behave as SRTP does."""

from collections.abc import Sequence
from hashlib import sha256

from siprec_core.media.encryption import CryptoContext, CryptoFailure, MasterKey

SUITES = ("AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")


class PretendProvider:
    """Makes contexts, and remembers with what."""

    def __init__(self, suites: tuple[str, ...] = SUITES) -> None:
        self.suites = suites
        self.made: list[tuple[MasterKey, bool]] = []

    def context(self, key: MasterKey, *, sending: bool) -> CryptoContext:
        self.made.append((key, sending))
        return PretendContext(key)


class PretendContext:
    """XOR with one octet of the key, behind it a tag as long as the suite's, which covers key and packet."""

    def __init__(self, key: MasterKey) -> None:
        self._key = key.key
        # The tag of GCM belongs to its ciphertext, so that it stands in front of a key identifier.
        self._rtp_tag = {"GCM": 16, "_32": 4}.get(key.suite[-3:], 10)
        self._rtcp_tag = 16 if self._rtp_tag == 16 else 10
        self._seen: set[bytes] = set()
        self._rtcp_index = 0

    def unprotect(self, packet: bytes) -> bytes | CryptoFailure:
        return self._open(packet, 12, self._rtp_tag)

    def unprotect_all(self, packets: Sequence[bytes]) -> list[bytes | CryptoFailure]:
        return [self.unprotect(packet) for packet in packets]

    def unprotect_rtcp(self, packet: bytes) -> bytes | CryptoFailure:
        opened = self._open(packet, 8, self._rtcp_tag, index_size=4)
        return opened if isinstance(opened, CryptoFailure) else opened[:-4]

    def protect(self, packet: bytes) -> bytes | CryptoFailure:
        return self._seal(packet, 12, self._rtp_tag)

    def protect_rtcp(self, packet: bytes) -> bytes | CryptoFailure:
        # RFC 3711 3.4: an index makes each packet another one, whatever it says.
        self._rtcp_index += 1
        return self._seal(packet + self._rtcp_index.to_bytes(4, "big"), 8, self._rtcp_tag)

    def _open(self, packet: bytes, header_size: int, tag_size: int, *, index_size: int = 0) -> bytes | CryptoFailure:
        if len(packet) < header_size + index_size + tag_size:
            return CryptoFailure.MALFORMED
        body, tag = packet[:-tag_size], packet[-tag_size:]
        if tag != self._tag(body, tag_size):
            return CryptoFailure.AUTHENTICATION
        if packet in self._seen:
            return CryptoFailure.REPLAY
        self._seen.add(packet)
        return self._mask(body, header_size)

    def _seal(self, packet: bytes, header_size: int, tag_size: int) -> bytes | CryptoFailure:
        if len(packet) > 1_300:
            return CryptoFailure.MALFORMED
        body = self._mask(packet, header_size)
        return body + self._tag(body, tag_size)

    def _mask(self, packet: bytes, header_size: int) -> bytes:
        octet = self._key[0] | 1
        return packet[:header_size] + bytes(each ^ octet for each in packet[header_size:])

    def _tag(self, body: bytes, size: int) -> bytes:
        return sha256(self._key + body).digest()[:size]
