"""WAV files: 16-bit PCM out, any integer PCM in; RF64 (EBU Tech 3306) from 4 GiB on.

A file whose length is known before gets the shortest header. One that grows gets a header of fixed size with a `JUNK`
chunk where RF64 keeps its 64-bit sizes, and sizes of all ones, which readers take as "up to the end of the file": it
plays even if nobody comes back to rewrite the header.
"""

import struct
from dataclasses import dataclass
from typing import Final

from siprec_core.errors import LocalProtocolError, RemoteProtocolError

PCM: Final = 1
"""WAVE_FORMAT_PCM."""
_EXTENSIBLE = 0xFFFE
_PCM_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_UNKNOWN_SIZE = 0xFFFF_FFFF
_SAMPLE_SIZE = 2
_DS64_SIZE = 28
_SHORT_HEADER_SIZE = 44
_LONG_HEADER_SIZE = _SHORT_HEADER_SIZE + 8 + _DS64_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class WavFormat:
    """What the samples of a WAV file are."""

    sample_rate: int
    """Samples of one channel a second."""
    channels: int
    bits: int
    """Bits of one sample in the file: 8, 16, 24 or 32."""


class WavEncoder:
    """Encodes one WAV file of 16-bit little-endian PCM."""

    __slots__ = ("_channels", "_data_size", "_growing", "_sample_rate")

    def __init__(self, sample_rate: int, channels: int) -> None:
        """Raise LocalProtocolError when the format does not fit a WAV header."""
        if not 0 < channels <= 0xFFFF // _SAMPLE_SIZE:
            raise LocalProtocolError(f"a WAV file has 1 to {0xFFFF // _SAMPLE_SIZE} channels, not {channels}")
        if sample_rate < 1 or sample_rate * channels * _SAMPLE_SIZE > 0xFFFF_FFFF:
            raise LocalProtocolError(f"a WAV file cannot have {channels} channels at {sample_rate} samples a second")
        self._sample_rate = sample_rate
        self._channels = channels
        self._data_size = 0
        self._growing = False

    @property
    def frame_size(self) -> int:
        """Octets of one sample of every channel."""
        return self._channels * _SAMPLE_SIZE

    def start(self, data_size: int | None = None) -> bytes:
        """Give the header of `data_size` octets of samples; None when the size is told by `finish`."""
        self._data_size = 0
        self._growing = data_size is None
        if data_size is None:
            return self._riff(_UNKNOWN_SIZE) + self._junk() + self._format() + self._data(_UNKNOWN_SIZE)
        riff_size = _SHORT_HEADER_SIZE - 8 + data_size
        if riff_size >= _UNKNOWN_SIZE:
            return self._rf64(data_size)
        return self._riff(riff_size) + self._format() + self._data(data_size)

    def add(self, pcm: bytes | memoryview) -> bytes | memoryview:
        """Count samples and give them back: what stands in the file is what came in."""
        self._data_size += len(pcm)
        return pcm

    def finish(self) -> bytes:
        """Give the header to write at offset 0 in place of the one that `start` gave without a size."""
        if not self._growing:
            raise LocalProtocolError("the header was written with its size already")
        riff_size = _LONG_HEADER_SIZE - 8 + self._data_size
        if riff_size >= _UNKNOWN_SIZE:
            return self._rf64(self._data_size)
        return self._riff(riff_size) + self._junk() + self._format() + self._data(self._data_size)

    def _rf64(self, data_size: int) -> bytes:
        sizes = struct.pack("<QQQI", _LONG_HEADER_SIZE - 8 + data_size, data_size, data_size // self.frame_size, 0)
        return (
            struct.pack("<4sI4s4sI", b"RF64", _UNKNOWN_SIZE, b"WAVE", b"ds64", _DS64_SIZE)
            + sizes
            + self._format()
            + self._data(_UNKNOWN_SIZE)
        )

    def _riff(self, size: int) -> bytes:
        return struct.pack("<4sI4s", b"RIFF", size, b"WAVE")

    def _junk(self) -> bytes:
        return struct.pack("<4sI", b"JUNK", _DS64_SIZE) + bytes(_DS64_SIZE)

    def _format(self) -> bytes:
        rate, frame_size = self._sample_rate, self.frame_size
        return struct.pack("<4sIHHIIHH", b"fmt ", 16, PCM, self._channels, rate, rate * frame_size, frame_size, 16)

    def _data(self, size: int) -> bytes:
        return struct.pack("<4sI", b"data", size)


def read_wav(data: bytes | memoryview) -> tuple[WavFormat, bytes]:
    """Read a whole WAV, RF64 or BW64 file; give its format and its samples as 16-bit little-endian PCM.

    Chunks that we do not know are skipped; a size that reaches beyond the end of the file means the end. 8-bit samples
    are widened, 24- and 32-bit ones lose their lowest bits. Raises RemoteProtocolError, with the octet, when it is no
    WAV file of integer PCM.
    """
    view = memoryview(data)
    if len(view) < 12 or bytes(view[:4]) not in (b"RIFF", b"RF64", b"BW64") or bytes(view[8:12]) != b"WAVE":
        raise RemoteProtocolError("not a WAV file", offset=0)
    wav_format: WavFormat | None = None
    long_data_size: int | None = None
    offset = 12
    while offset + 8 <= len(view):
        name, size = struct.unpack_from("<4sI", view, offset)
        start = offset + 8
        if name == b"ds64" and size >= 24 and start + 24 <= len(view):
            long_data_size = struct.unpack_from("<Q", view, start + 8)[0]
        elif name == b"fmt ":
            wav_format = _read_format(view, start, size)
        elif name == b"data":
            if wav_format is None:
                raise RemoteProtocolError("samples before their format", offset=offset)
            if size == _UNKNOWN_SIZE and long_data_size is not None:
                size = long_data_size
            return wav_format, _to_16_bit(view[start : start + size], wav_format)
        offset = start + size + (size & 1)
    raise RemoteProtocolError("no data chunk", offset=min(offset, len(view)))


def _read_format(view: memoryview, start: int, size: int) -> WavFormat:
    if size < 16 or start + 16 > len(view):
        raise RemoteProtocolError("the format chunk is too short", offset=start)
    tag, channels, rate, _, frame_size, bits = struct.unpack_from("<HHIIHH", view, start)
    if tag == _EXTENSIBLE and size >= 40 and start + 40 <= len(view):
        if bytes(view[start + 26 : start + 40]) == _PCM_GUID_TAIL:
            tag = struct.unpack_from("<H", view, start + 24)[0]
    if tag != PCM:
        raise RemoteProtocolError(f"format {tag} is not integer PCM", offset=start)
    if bits not in (8, 16, 24, 32) or channels < 1 or rate < 1 or frame_size != channels * bits // 8:
        raise RemoteProtocolError(f"{channels} channels of {bits} bits at {rate} Hz are not PCM", offset=start)
    return WavFormat(sample_rate=rate, channels=channels, bits=bits)


def _to_16_bit(samples: memoryview, wav_format: WavFormat) -> bytes:
    width = wav_format.bits // 8
    size = len(samples) - len(samples) % (width * wav_format.channels)
    whole = bytes(samples[:size])
    if width == 2:
        return whole
    pcm = bytearray(size // width * 2)
    if width == 1:
        # 8-bit samples are unsigned around 128.
        pcm[1::2] = whole.translate(bytes((value + 128) & 0xFF for value in range(256)))
    else:
        pcm[0::2] = whole[width - 2 :: width]
        pcm[1::2] = whole[width - 1 :: width]
    return bytes(pcm)
