"""Identifiers from a seam for randomness: the core draws no random number of its own."""

from base64 import b64encode
from collections.abc import Callable
from typing import TypeAlias

Entropy: TypeAlias = Callable[[int], bytes]
"""Gives that many random octets: `os.urandom` in production, a seeded generator in tests."""


class Ids:
    """One method per identifier, each as random as its RFC asks."""

    __slots__ = ("_entropy",)

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy

    def octets(self, size: int) -> bytes:
        """Random octets, for keys and for what draws its own."""
        return self._entropy(size)

    def tag(self) -> str:
        """From or To tag: at least 32 bits (RFC 3261 section 19.3); we give 64."""
        return self._entropy(8).hex()

    def branch(self) -> str:
        """Via branch with the magic cookie (RFC 3261 section 8.1.1.7)."""
        return "z9hG4bK" + self._entropy(12).hex()

    def call_id(self) -> str:
        """Call-ID without a host, so that it tells nothing of ours (RFC 3261 section 8.1.1.4)."""
        return self._entropy(16).hex()

    def session(self) -> str:
        """Id of a recording: 16 octets in lower-case hexadecimal, fit for a file name."""
        return self._entropy(16).hex()

    def unique_id(self) -> str:
        """Metadata id: a random (version 4) UUID's 16 octets in base64 (RFC 7865 section 6.10)."""
        octets = bytearray(self._entropy(16))
        octets[6] = octets[6] & 0x0F | 0x40
        octets[8] = octets[8] & 0x3F | 0x80
        return b64encode(octets).decode("ascii")

    def sdp_session(self) -> int:
        """`sess-id` of an `o=` line: below 2**62 (RFC 3264 section 5)."""
        return int.from_bytes(self._entropy(8), "big") >> 2

    def cname(self) -> str:
        """RTCP CNAME: 96 random bits in base64 (RFC 7022 section 4.2)."""
        return b64encode(self._entropy(12)).decode("ascii")

    def ssrc(self) -> int:
        """RTP synchronisation source: 32 bits (RFC 3550 section 8.1)."""
        return int.from_bytes(self._entropy(4), "big")

    def sequence_number(self) -> int:
        """First RTP sequence number: below 2**15, so that SRTP cannot start beside a wrap (RFC 4568 section 6.4)."""
        return int.from_bytes(self._entropy(2), "big") >> 1

    def rtp_timestamp(self) -> int:
        """First RTP timestamp: 32 bits (RFC 3550 section 5.1)."""
        return int.from_bytes(self._entropy(4), "big")

    def boundary(self) -> str:
        """Multipart boundary: 22 token characters (RFC 2046 section 5.1.1)."""
        return "siprec" + self._entropy(8).hex()

    def fraction(self) -> float:
        """A number from 0 up to, not including, 1."""
        return int.from_bytes(self._entropy(6), "big") / (1 << 48)
