"""Payloads of AMR and AMR-WB, written as RFC 4867 draws them."""

from dataclasses import dataclass

NARROWBAND = (95, 103, 118, 134, 148, 159, 204, 244, 39)
WIDEBAND = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)


@dataclass(frozen=True)
class Frame:
    """One frame: its speech as text of zeros and ones, empty when nothing was sent."""

    frame_type: int
    speech: str = ""
    intact: bool = True

    @property
    def octets(self) -> bytes:
        """The speech filled up to whole octets."""
        size = (len(self.speech) + 7) // 8
        return int(self.speech.ljust(8 * size, "0") or "0", 2).to_bytes(size, "big")

    @property
    def stored(self) -> bytes:
        """The frame of the storage format (section 5.3)."""
        return bytes((self.frame_type << 3 | self.intact << 2,)) + self.octets


def contents(frames: list[Frame]) -> list[str]:
    """The table of contents: six bits an entry."""
    last = len(frames) - 1
    return [f"{int(n < last)}{frame.frame_type:04b}{int(frame.intact)}" for n, frame in enumerate(frames)]


def packed(frames: list[Frame], *, mode_request: int = 15) -> bytes:
    """A bandwidth-efficient payload (section 4.3)."""
    bits = f"{mode_request:04b}" + "".join(contents(frames)) + "".join(frame.speech for frame in frames)
    size = (len(bits) + 7) // 8
    return int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def aligned(frames: list[Frame], *, mode_request: int = 15, checksums: bool = False, by_octets: bool = False) -> bytes:
    """An octet-aligned payload (section 4.4)."""
    made = bytearray((mode_request << 4,))
    made += bytes(int(entry, 2) << 2 for entry in contents(frames))
    if checksums:
        made += b"\xcc" * sum(bool(frame.speech) for frame in frames)
    if not by_octets:
        return bytes(made + b"".join(frame.octets for frame in frames))
    for place in range(max(len(frame.octets) for frame in frames)):
        for frame in frames:
            made += frame.octets[place : place + 1]
    return bytes(made)
