"""Where the frames of a payload begin and end, for codecs whose octets others decode (RFC 3551 section 4.5).

A payload holds one frame or several, each of a fixed length in time. What is cut here is decoded one frame at a time;
what is no whole number of frames is left out, and a pause is silence of its length.
"""

from collections.abc import Mapping
from typing import Final, Protocol

MOST_FRAMES: Final = 50
"""Frames read of one payload. A frame of a pause takes an octet or less: without a bound one packet could tell of
minutes of silence. RFC 3551 section 4.2 asks for 200 ms at most."""


class Framing(Protocol):
    """How the payloads of one format are cut into frames."""

    @property
    def deviation(self) -> str | None:
        """How payloads that were read differ from what was agreed, None when they do not."""

    def cut(self, payload: bytes) -> list[bytes]:
        """Give the frames in order, as the decoder takes them; `b""` stands for one of silence."""

    def samples(self, payload: bytes) -> int:
        """Give the samples of all frames together; every frame has the same share of them."""


class FixedFrames:
    """Frames of one size: GSM (RFC 3551 section 4.5.8), and G.729 with the pauses of its Annex B (section 4.5.6)."""

    __slots__ = ("_frame_samples", "_frame_size", "_pause_size")

    deviation = None

    def __init__(self, frame_size: int, frame_samples: int, *, pause_size: int = 0) -> None:
        """`pause_size` is that of a last frame which describes comfort noise, 0 without one."""
        self._frame_size = frame_size
        self._frame_samples = frame_samples
        self._pause_size = pause_size

    def cut(self, payload: bytes) -> list[bytes]:
        """Give the frames."""
        count, rest = divmod(len(payload), self._frame_size)
        frames = [payload[at : at + self._frame_size] for at in range(0, count * self._frame_size, self._frame_size)]
        if rest and rest == self._pause_size:
            frames.append(b"")
        return frames[:MOST_FRAMES]

    def samples(self, payload: bytes) -> int:
        """Count them."""
        count, rest = divmod(len(payload), self._frame_size)
        return min(count + (0 < rest == self._pause_size), MOST_FRAMES) * self._frame_samples


class G723Frames:
    """Frames of 30 ms whose first two bits tell their size (RFC 3551 section 4.5.3)."""

    __slots__ = ()

    deviation = None
    _SIZES: Final = (24, 20, 4, 1)
    """6.3 kbit/s, 5.3 kbit/s, comfort noise, nothing transmitted."""
    _FRAME_SAMPLES: Final = 240

    def cut(self, payload: bytes) -> list[bytes]:
        """Give the frames."""
        frames: list[bytes] = []
        at = 0
        while at < len(payload) and len(frames) < MOST_FRAMES:
            end = at + self._SIZES[payload[at] & 3]
            if end > len(payload):
                break
            frames.append(payload[at:end])
            at = end
        return frames

    def samples(self, payload: bytes) -> int:
        """Count them."""
        return self._FRAME_SAMPLES * len(self.cut(payload))


class IlbcFrames:
    """Frames of 20 or 30 ms (RFC 3952 section 3), which their size tells as well as the parameter `mode`."""

    __slots__ = ("_mode", "deviation")

    _MODES: Final = {20: (38, 160), 30: (50, 240)}
    """Octets and samples of a frame by the milliseconds that `mode` tells."""

    def __init__(self, parameters: Mapping[str, str | None]) -> None:
        # RFC 3952 5: without `mode`, "the default frame size is 30 ms".
        self._mode = 20 if parameters.get("mode") == "20" else 30
        self.deviation: str | None = None

    def cut(self, payload: bytes) -> list[bytes]:
        """Give the frames."""
        size, _ = self._MODES[self._mode_of(payload)]
        return [payload[at : at + size] for at in range(0, len(payload) - size + 1, size)][:MOST_FRAMES]

    def samples(self, payload: bytes) -> int:
        """Count them."""
        size, samples = self._MODES[self._mode_of(payload)]
        return samples * min(len(payload) // size, MOST_FRAMES)

    def _mode_of(self, payload: bytes) -> int:
        other = 50 - self._mode
        if payload and len(payload) % self._MODES[self._mode][0] and not len(payload) % self._MODES[other][0]:
            self.deviation = f"frames of {other} ms where {self._mode} ms are agreed"
            return other
        return self._mode


class OpusPackets:
    """One packet of Opus, which tells its length itself (RFC 6716 section 3.1)."""

    __slots__ = ()

    deviation = None
    _SAMPLE_RATE: Final = 48_000
    _MILLISECONDS: Final = (
        *(10, 20, 40, 60) * 3,  # SILK
        *(10, 20) * 2,  # hybrid
        *(2.5, 5, 10, 20) * 4,  # CELT
    )
    """Length of a frame by the configuration number of the table of contents."""
    _LONGEST_SECONDS: Final = 0.12
    """Of audio in a packet (RFC 6716 section 3.2.5)."""

    def cut(self, payload: bytes) -> list[bytes]:
        """Give the packet."""
        return [payload]

    def samples(self, payload: bytes) -> int:
        """Tell the length of the packet by its table of contents, at 48,000 Hz."""
        if not payload:
            return 0
        code = payload[0] & 3
        if code == 3:
            count = payload[1] & 0x3F if len(payload) > 1 else 0
        else:
            count = 1 if code == 0 else 2
        seconds = count * self._MILLISECONDS[payload[0] >> 3] / 1000
        return round(seconds * self._SAMPLE_RATE) if seconds <= self._LONGEST_SECONDS else 0
