"""Which encodings we turn into PCM and back, by the name that `a=rtpmap` gives (RFC 8866 section 6.6)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from siprec_core.codecs.g711 import decode_a_law, decode_mu_law, encode_a_law, encode_mu_law
from siprec_core.codecs.linear import decode_l16, encode_l16


class Decoder(Protocol):
    """Turns RTP payloads of one format into PCM. Payloads of packets in a row may be joined and decoded at once."""

    @property
    def sample_rate(self) -> int:
        """Samples of one channel a second of what `decode` gives."""

    @property
    def channels(self) -> int:
        """Channels, interleaved in the PCM."""

    def decode(self, payload: bytes | memoryview) -> bytes:
        """Give 16-bit little-endian PCM. Never raises for what the payload holds."""

    def samples(self, payload_size: int) -> int:
        """Give how many samples of one channel a payload of that many octets decodes to."""


class Encoder(Protocol):
    """Turns PCM into RTP payloads of one format."""

    @property
    def sample_rate(self) -> int:
        """Samples of one channel a second that `encode` expects."""

    @property
    def channels(self) -> int:
        """Channels, interleaved in the PCM."""

    def encode(self, pcm: bytes | memoryview) -> bytes:
        """Encode 16-bit little-endian PCM; what is less than a whole sample at the end is left out."""


@dataclass(frozen=True, slots=True)
class _SampleDecoder:
    """A decoder of an encoding that has a fixed number of octets a sample (RFC 3551 section 4.3)."""

    sample_rate: int
    channels: int
    octets_per_sample: int
    decode: Callable[[bytes | memoryview], bytes]

    def samples(self, payload_size: int) -> int:
        return payload_size // (self.octets_per_sample * self.channels)


@dataclass(frozen=True, slots=True)
class _SampleEncoder:
    """An encoder of an encoding that has a fixed number of octets a sample."""

    sample_rate: int
    channels: int
    encode: Callable[[bytes | memoryview], bytes]


_Coding = Callable[[bytes | memoryview], bytes]

_SAMPLE_ENCODINGS: dict[str, tuple[int, _Coding, _Coding]] = {
    "PCMU": (1, decode_mu_law, encode_mu_law),
    "PCMA": (1, decode_a_law, encode_a_law),
    "L16": (2, decode_l16, encode_l16),
}
"""Octets per sample, decoding, encoding."""


def decoder_for(encoding: str, clock_rate: int, channels: int) -> Decoder | None:
    """Give a decoder of an encoding name (letter case does not matter), None when we have none.

    `clock_rate` is the rtpmap's, `channels` at least 1; RFC 3551 section 4.1 interleaves the channels sample by sample.
    """
    known = _SAMPLE_ENCODINGS.get(encoding.upper())
    if known is None or clock_rate < 1 or channels < 1:
        return None
    octets_per_sample, decode, _ = known
    return _SampleDecoder(clock_rate, channels, octets_per_sample, decode)


def encoder_for(encoding: str, clock_rate: int, channels: int) -> Encoder | None:
    """Give an encoder of an encoding name (letter case does not matter), None when we have none."""
    known = _SAMPLE_ENCODINGS.get(encoding.upper())
    if known is None or clock_rate < 1 or channels < 1:
        return None
    return _SampleEncoder(clock_rate, channels, known[2])
