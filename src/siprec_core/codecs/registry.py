"""Which encodings we turn into PCM and back, by the name that `a=rtpmap` gives (RFC 8866 section 6.6).

The core itself knows those that are a table or less. `Codecs` adds what providers bring, so that whoever renders or
listens decides what can be decoded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from siprec_core.codecs.g711 import decode_a_law, decode_mu_law, encode_a_law, encode_mu_law
from siprec_core.codecs.linear import decode_l16, encode_l16


class Decoder(Protocol):
    """Turns RTP payloads of one format into PCM."""

    @property
    def sample_rate(self) -> int:
        """Samples of one channel a second of what `decode` gives."""

    @property
    def channels(self) -> int:
        """Channels, interleaved in the PCM."""

    @property
    def by_size(self) -> bool:
        """True when payloads of packets in a row may be joined and decoded at once, and sizes tell their lengths."""

    @property
    def stateful(self) -> bool:
        """True when a payload is decoded by what came before, so that each source needs a decoder of its own."""

    @property
    def deviation(self) -> str | None:
        """How payloads that came so far differ from the format's parameters, though they could be read; else None."""

    def decode(self, payload: bytes | memoryview) -> bytes:
        """Give 16-bit little-endian PCM, as long as `samples` says. Never raises for what the payload holds."""

    def samples(self, payload: bytes | memoryview) -> int:
        """Give how many samples of one channel a payload decodes to; no state is used or changed."""


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
    by_size: ClassVar[bool] = True
    stateful: ClassVar[bool] = False
    deviation: ClassVar[None] = None

    def samples(self, payload: bytes | memoryview) -> int:
        return len(payload) // (self.octets_per_sample * self.channels)


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


class CodecProvider(Protocol):
    """Brings codecs that the core has not."""

    def decoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> Decoder | None:
        """Give a new decoder, None for what is not known here. `encoding` is upper case, `parameters` the fmtp."""

    def encoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> Encoder | None:
        """Give a new encoder, None for what is not known here."""

    @property
    def names(self) -> tuple[str, ...]:
        """What can be decoded, as `ENCODING/CLOCK-RATE` with `/CHANNELS` where there are several."""


class Codecs:
    """The core's codecs and those of providers, which are asked in order. Safe to share: it holds no state."""

    __slots__ = ("_providers",)

    def __init__(self, *providers: CodecProvider) -> None:
        self._providers = providers

    def decoder(self, encoding: str, clock_rate: int, channels: int = 1, parameters: str = "") -> Decoder | None:
        """Give a new decoder of an encoding name (letter case does not matter), None when there is none."""
        found = decoder_for(encoding, clock_rate, channels)
        for provider in self._providers if found is None else ():
            found = found or provider.decoder(encoding.upper(), clock_rate, channels, parameters)
        return found

    def encoder(self, encoding: str, clock_rate: int, channels: int = 1, parameters: str = "") -> Encoder | None:
        """Give a new encoder of an encoding name (letter case does not matter), None when there is none."""
        found = encoder_for(encoding, clock_rate, channels)
        for provider in self._providers if found is None else ():
            found = found or provider.encoder(encoding.upper(), clock_rate, channels, parameters)
        return found

    @property
    def added(self) -> tuple[str, ...]:
        """What the providers can decode, for lists of what may be negotiated."""
        return tuple(dict.fromkeys(name for provider in self._providers for name in provider.names))


BUILT_IN: Final = Codecs()
"""The core's own codecs."""

_EXTRAS: Final = {
    "G722": "audio",
    "OPUS": "codecs",
    "G729": "codecs",
    "GSM": "codecs",
    "AMR": "codecs",
    "AMR-WB": "codecs",
    "ILBC": "codecs",
    "G723": "codecs",
}


def format_name(encoding: str, clock_rate: int, channels: int) -> str:
    """Write a format as lists of codecs do: `ENCODING/CLOCK-RATE`, with `/CHANNELS` where there are several."""
    return f"{encoding}/{clock_rate}" if channels == 1 else f"{encoding}/{clock_rate}/{channels}"


def extra_for(encoding: str) -> str | None:
    """Name the extra of this package that decodes an encoding, None when none does."""
    return _EXTRAS.get(encoding.upper())


def decode_run(decoder: Decoder, payloads: Sequence[bytes]) -> bytes:
    """Decode the payloads of packets in a row."""
    if decoder.by_size:
        return decoder.decode(b"".join(payloads))
    return b"".join(map(decoder.decode, payloads))
