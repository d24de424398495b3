"""Codecs of other packages, for the core's registry: G.722 with the extra `audio`, more with the extra `codecs`.

The packages are imported when one of their codecs is first asked for. What is not installed is simply not known.
"""

import sys
from array import array
from collections.abc import Callable, Iterable
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from siprec_core.codecs.registry import CodecProvider, Codecs, Decoder, Encoder
from siprec_core.recording.policy import ServerConfig

_G722_RATE: Final = 16_000
_PACKET_SAMPLES: Final = {
    # Octets of a frame, samples of a frame (RFC 3551 section 4.5).
    "G729": (10, 80),
    "GSM": (33, 160),
}
_G729_SID: Final = 2
"""Octets of a frame of G.729 Annex B that describes comfort noise."""
_OPUS_RATE: Final = 48_000
_OPUS_MILLISECONDS: Final = (
    *(10, 20, 40, 60) * 3,  # SILK
    *(10, 20) * 2,  # hybrid
    *(2.5, 5, 10, 20) * 4,  # CELT
)
"""Length of a frame by the configuration number of the table of contents (RFC 6716 section 3.1)."""
_OPUS_LONGEST: Final = 0.12
"""Seconds of audio in a packet at most (RFC 6716 section 3.2.5)."""


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

    names = ("OPUS/48000/2", "G729/8000", "GSM/8000")

    def decoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> Decoder | None:
        del parameters
        # RFC 7587 7: opus has the rate 48000 and two channels in every rtpmap, whatever is in the packets.
        if (encoding, clock_rate) == ("OPUS", _OPUS_RATE):
            return _AvDecoder("opus", _OPUS_RATE, _opus_samples, _whole)
        if encoding in _PACKET_SAMPLES and (clock_rate, channels) == (8_000, 1):
            size, samples = _PACKET_SAMPLES[encoding]
            cut = _cut_g729 if encoding == "G729" else _cutter(size)
            return _AvDecoder(encoding.lower(), 8_000, lambda payload: samples * len(cut(payload)), cut)
        return None

    def encoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> Encoder | None:
        del encoding, clock_rate, channels, parameters
        return None


class _AvDecoder:
    """A decoder of frames: what cannot be decoded is silence of its length."""

    channels = 1
    by_size = False
    stateful = True

    def __init__(
        self,
        name: str,
        sample_rate: int,
        samples: Callable[[bytes], int],
        cut: Callable[[bytes], list[bytes]],
    ) -> None:
        import av

        self.sample_rate = sample_rate
        self._samples = samples
        self._cut = cut
        self._packet = av.Packet
        self._failures: tuple[type[Exception], ...] = (av.FFmpegError, ValueError)
        context: Any = av.CodecContext.create(name, "r")
        context.sample_rate = sample_rate
        context.layout = "mono"
        self._context = context
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate)

    def samples(self, payload: bytes | memoryview) -> int:
        return self._samples(bytes(payload))

    def decode(self, payload: bytes | memoryview) -> bytes:
        octets = bytes(payload)
        wanted = 2 * self._samples(octets)
        frames = self._cut(octets)
        size = wanted // len(frames) if frames else 0
        return b"".join(self._decode(frame)[:size].ljust(size, b"\0") for frame in frames).ljust(wanted, b"\0")

    def _decode(self, frame: bytes) -> bytes:
        if not frame:
            return b""
        try:
            decoded = self._context.decode(self._packet(frame))
            return b"".join(self._pcm(each) for each in decoded)
        except self._failures:
            return b""

    def _pcm(self, frame: Any) -> bytes:  # noqa: ANN401 - av.AudioFrame
        resampled: Iterable[Any] = self._resampler.resample(frame)
        return b"".join(bytes(each.planes[0])[: 2 * each.samples] for each in resampled)


def _whole(payload: bytes) -> list[bytes]:
    return [payload]


def _cutter(size: int) -> Callable[[bytes], list[bytes]]:
    def cut(payload: bytes) -> list[bytes]:
        return [payload[at : at + size] for at in range(0, len(payload) - size + 1, size)]

    return cut


def _cut_g729(payload: bytes) -> list[bytes]:
    """Cut frames of ten octets; a last one of two tells comfort noise (Annex B), which is silence here."""
    frames = _cutter(10)(payload)
    return [*frames, b""] if len(payload) % 10 == _G729_SID else frames


def _opus_samples(payload: bytes) -> int:
    """Tell the length of a packet by its table of contents (RFC 6716 section 3.1), at 48,000 Hz."""
    if not payload:
        return 0
    code = payload[0] & 3
    if code == 3:
        count = payload[1] & 0x3F if len(payload) > 1 else 0
    else:
        count = 1 if code == 0 else 2
    seconds = count * _OPUS_MILLISECONDS[payload[0] >> 3] / 1000
    return round(seconds * _OPUS_RATE) if seconds <= _OPUS_LONGEST else 0


def _little_endian(samples: "array[int]") -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
