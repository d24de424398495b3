"""Codecs of other packages, for the core's registry: G.722 with the extra `audio`, more with the extra `codecs`.

The packages are imported when one of their codecs is first asked for. What is not installed is simply not known.
"""

import sys
from array import array
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from siprec_core.codecs.amr import AmrFrames, readable
from siprec_core.codecs.framing import FixedFrames, Framing, G723Frames, IlbcFrames, OpusPackets
from siprec_core.codecs.registry import CodecProvider, Codecs, Decoder, Encoder, format_name
from siprec_core.format_parameters import split_parameters
from siprec_core.media.mixer import resample
from siprec_core.recording.call import ClientConfig
from siprec_core.recording.policy import ServerConfig

_G722_RATE: Final = 16_000
_OPUS_RATE: Final = 48_000


@cache
def installed_codecs() -> Codecs:
    """Give the core's codecs and those of the packages that are installed."""
    providers: list[CodecProvider] = []
    if find_spec("G722") is not None:
        providers.append(_G722Provider())
    if find_spec("av") is not None:
        providers.append(_AvProvider())
    return Codecs(*providers)


def decodable_codecs() -> tuple[str, ...]:
    """Give what `ServerConfig.codecs` lists by default, and behind it what the installed packages decode."""
    return (*ServerConfig().codecs, *installed_codecs().added)


def with_client_codecs(config: ClientConfig) -> ClientConfig:
    """Give a configuration the codecs that are installed, unless it names its own."""
    return config if config.codecs is not None else replace(config, codecs=installed_codecs())


def resampled(pcm: bytes, rate: int, new_rate: int) -> bytes:
    """Give 16-bit little-endian PCM of one channel at another rate.

    With the extra `codecs` by a filter; else samples are repeated or left out, which is heard.
    """
    if rate == new_rate:
        return pcm
    if find_spec("av") is None:
        return resample(pcm, rate, new_rate, len(pcm) // 2 * new_rate // rate)
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=new_rate)
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.sample_rate = rate
    frame.planes[0].update(pcm[: len(pcm) & ~1])
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return b"".join(bytes(each.planes[0])[: 2 * each.samples] for each in pieces)


class _G722Provider:
    """G.722 at 64 kbit/s (package `g722`)."""

    names = ("G722/8000",)

    def decoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> Decoder | None:
        del parameters
        # RFC 3551 4.5.2: the rate of G722 is 8,000 in SDP and RTP, although the audio has 16,000 samples a second.
        return _G722Decoder() if (encoding, clock_rate, channels) == ("G722", 8_000, 1) else None

    def encoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> Encoder | None:
        del parameters
        return _G722Encoder() if (encoding, clock_rate, channels) == ("G722", 8_000, 1) else None


class _G722Decoder:
    """Octets to pairs of samples."""

    sample_rate = _G722_RATE
    channels = 1
    by_size = True
    stateful = True
    deviation = None

    def __init__(self) -> None:
        self._codec = _new_g722()

    def decode(self, payload: bytes | memoryview) -> bytes:
        return _little_endian(self._codec.decode(bytes(payload))) if payload else b""

    def samples(self, payload: bytes | memoryview) -> int:
        return 2 * len(payload)


class _G722Encoder:
    """Pairs of samples to octets."""

    sample_rate = _G722_RATE
    channels = 1

    def __init__(self) -> None:
        self._codec = _new_g722()

    def encode(self, pcm: bytes | memoryview) -> bytes:
        samples = array("h", bytes(pcm[: len(pcm) & ~3]))
        if sys.byteorder == "big":
            samples.byteswap()
        return bytes(self._codec.encode(samples)) if samples else b""


def _new_g722() -> Any:  # noqa: ANN401 - the package has no types
    import G722

    return G722.G722(_G722_RATE, 64_000)


class _AvProvider:
    """What FFmpeg decodes (package `av`)."""

    names = ("OPUS/48000/2", "AMR-WB/16000", "AMR/8000", "G729/8000", "ILBC/8000", "GSM/8000", "G723/8000")

    def decoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> Decoder | None:
        # RFC 7587 7: opus has the rate 48000 and two channels in every rtpmap, whatever is in the packets.
        if encoding == "OPUS":
            channels = 2
        if format_name(encoding, clock_rate, channels) not in self.names:
            return None
        given = split_parameters(parameters)
        match encoding:
            case "OPUS":
                return _AvDecoder("opus", clock_rate, OpusPackets())
            case "AMR" | "AMR-WB":
                wideband = encoding == "AMR-WB"
                name = "amrwb" if wideband else "amrnb"
                return _AvDecoder(name, clock_rate, AmrFrames(given, wideband=wideband)) if readable(given) else None
            case "ILBC":
                return _AvDecoder("ilbc", clock_rate, IlbcFrames(given))
            case "G729":
                return _AvDecoder("g729", clock_rate, FixedFrames(10, 80, pause_size=2))
            case "GSM":
                return _AvDecoder("gsm", clock_rate, FixedFrames(33, 160))
            case _:
                return _AvDecoder("g723_1", clock_rate, G723Frames())

    def encoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> Encoder | None:
        del encoding, clock_rate, channels, parameters
        return None


_ILBC_BIT_RATES: Final = {38: 15_200, 50: 13_333}
"""Bits a second by the size of a frame: FFmpeg tells the two modes of iLBC by them (RFC 3952 section 2)."""


class _AvDecoder:
    """A decoder of frames: what cannot be decoded is silence of its length."""

    channels = 1
    by_size = False
    stateful = True

    def __init__(self, name: str, sample_rate: int, framing: Framing) -> None:
        import av

        self.sample_rate = sample_rate
        self._name = name
        self._framing = framing
        self._packet = av.Packet
        self._failures: tuple[type[Exception], ...] = (av.FFmpegError, ValueError)
        self._contexts: dict[int, Any] = {}
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate)

    @property
    def deviation(self) -> str | None:
        return self._framing.deviation

    def samples(self, payload: bytes | memoryview) -> int:
        return self._framing.samples(bytes(payload))

    def decode(self, payload: bytes | memoryview) -> bytes:
        octets = bytes(payload)
        wanted = 2 * self._framing.samples(octets)
        if not wanted:
            return b""
        frames = self._framing.cut(octets)
        size = wanted // len(frames)
        return b"".join([self._decode(frame)[:size].ljust(size, b"\0") for frame in frames])

    def _decode(self, frame: bytes) -> bytes:
        if not frame:
            return b""
        try:
            decoded = self._context_for(len(frame)).decode(self._packet(frame))
            return b"".join(self._pcm(each) for each in decoded)
        except self._failures:
            return b""

    def _context_for(self, frame_size: int) -> Any:  # noqa: ANN401 - av.CodecContext
        """Give FFmpeg's decoder, which only iLBC has two of."""
        bit_rate = _ILBC_BIT_RATES.get(frame_size, 0) if self._name == "ilbc" else 0
        context = self._contexts.get(bit_rate)
        if context is None:
            import av

            context = self._contexts[bit_rate] = av.CodecContext.create(self._name, "r")
            context.sample_rate = self.sample_rate
            context.layout = "mono"
            if bit_rate:
                context.bit_rate = bit_rate
        return context

    def _pcm(self, frame: Any) -> bytes:  # noqa: ANN401 - av.AudioFrame
        resampled: Iterable[Any] = self._resampler.resample(frame)
        return b"".join(bytes(each.planes[0])[: 2 * each.samples] for each in resampled)


def _little_endian(samples: "array[int]") -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
