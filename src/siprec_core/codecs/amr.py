"""The payload format of AMR and AMR-WB (RFC 4867): from RTP payloads to frames as the storage format has them.

A payload is a codec mode request, which does not concern a recorder, a table of contents with one entry a frame, and
the speech bits. They are packed without gaps (bandwidth-efficient, section 4.3), or each on octets of its own
(octet-aligned, section 4.4), then with a checksum a frame and sorted by octets where that was agreed. Interleaving is
not read: nobody agrees to it, see `readable`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from siprec_core.codecs.framing import MOST_FRAMES

_NARROWBAND_BITS: Final = (95, 103, 118, 134, 148, 159, 204, 244, 39)
"""Speech bits of frame types 0 to 7, which are the modes from 4.75 to 12.2 kbit/s, and of comfort noise (table 1)."""
_WIDEBAND_BITS: Final = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)
"""Speech bits of frame types 0 to 8, the modes from 6.60 to 23.85 kbit/s, and of comfort noise."""
_SPEECH_LOST: Final = 14
_NO_DATA: Final = 15


class _Entry(NamedTuple):
    """One frame in the table of contents (section 4.3.2)."""

    frame_type: int
    intact: bool
    """Q bit: the frame was not damaged before it was packed."""
    bits: int
    """Of speech; 0 where none was sent."""


class _Layout(NamedTuple):
    octet_aligned: bool
    checksums: bool = False
    sorted: bool = False


def readable(parameters: Mapping[str, str | None]) -> bool:
    """Tell whether payloads of a format with these parameters can be read, which those with interleaving cannot."""
    return "interleaving" not in parameters


class AmrFrames:
    """Cuts payloads of one format: `codecs.framing.Framing`.

    A payload that has the lengths of the other layout, octet-aligned or not, and not those that were agreed is read so:
    gateways lose the parameters on the way.
    """

    __slots__ = ("_bits", "_frame_samples", "_layout", "deviation")

    def __init__(self, parameters: Mapping[str, str | None], *, wideband: bool) -> None:
        checksums = parameters.get("crc") == "1"
        by_octets = parameters.get("robust-sorting") == "1"
        # RFC 4867 8.1: either of the two "implies automatically that octet-aligned operation SHALL be used".
        aligned = checksums or by_octets or parameters.get("octet-align") == "1"
        self._layout = _Layout(aligned, checksums, by_octets)
        self._bits = _WIDEBAND_BITS if wideband else _NARROWBAND_BITS
        self._frame_samples = 320 if wideband else 160
        self.deviation: str | None = None

    def samples(self, payload: bytes) -> int:
        """Count what the table of contents lists, 20 ms each; 0 for what cannot be read."""
        return self._frame_samples * len(self._read(payload)[1])

    def cut(self, payload: bytes) -> list[bytes]:
        """Give the frames as the storage format has them (section 5.3): an octet with type and quality, then the bits.

        Comfort noise, what was lost before and what is marked as damaged are `b""`.
        """
        layout, entries = self._read(payload)
        if not entries:
            return []
        speech = _aligned_speech(payload, layout, entries) if layout.octet_aligned else _packed_speech(payload, entries)
        noise = len(self._bits) - 1
        return [
            bytes((entry.frame_type << 3 | 4,)) + octets if entry.frame_type < noise and entry.intact else b""
            for entry, octets in zip(entries, speech, strict=True)
        ]

    def _read(self, payload: bytes) -> tuple[_Layout, list[_Entry]]:
        """Give the layout that fits and the table of contents, which is empty when none does."""
        agreed = self._layout
        entries, rest = self._contents(payload, agreed)
        if rest == 0:
            return agreed, entries
        other = _Layout(not agreed.octet_aligned)
        found, other_rest = self._contents(payload, other)
        if other_rest == 0 and found:
            names = ("bandwidth-efficient", "octet-aligned")
            self.deviation = f"{names[other.octet_aligned]} payloads where {names[agreed.octet_aligned]} is agreed"
            return other, found
        return agreed, entries if rest > 0 else []

    def _contents(self, payload: bytes, layout: _Layout) -> tuple[list[_Entry], int]:
        """Read the table of contents; give it, and the octets that are left behind all frames, less than 0 when octets
        are missing or the table cannot be read."""
        entries: list[_Entry] = []
        head = payload[: 1 + MOST_FRAMES]
        value, size = int.from_bytes(head, "big"), 8 * len(head)
        # The mode request has four bits, behind which octet-aligned payloads have four more that mean nothing.
        at, width = (size - 8, 8) if layout.octet_aligned else (size - 4, 6)
        more = True
        while more:
            at -= width
            if at < 0 or len(entries) == MOST_FRAMES:
                return [], -1
            octet = (value >> at) << (8 - width)
            frame_type = octet >> 3 & 15
            if frame_type < len(self._bits):
                bits = self._bits[frame_type]
            elif frame_type == _NO_DATA or (frame_type == _SPEECH_LOST and self._bits is _WIDEBAND_BITS):
                bits = 0
            else:
                return [], -1  # RFC 4867 4.3.2: a packet with a frame type that is not assigned is discarded
            entries.append(_Entry(frame_type, bool(octet & 4), bits))
            more = bool(octet & 0x80)
        if layout.octet_aligned:
            speech = sum((entry.bits + 7) // 8 + (layout.checksums and entry.bits > 0) for entry in entries)
            return entries, len(payload) - (size - at) // 8 - speech
        return entries, len(payload) - (size - at + sum(entry.bits for entry in entries) + 7) // 8


def _packed_speech(payload: bytes, entries: list[_Entry]) -> list[bytes]:
    """Cut speech bits that follow one another, and fill each frame up to whole octets."""
    value = int.from_bytes(payload, "big")
    at = 8 * len(payload) - 4 - 6 * len(entries)
    speech = []
    for entry in entries:
        at -= entry.bits
        frame = value >> at & ((1 << entry.bits) - 1)
        speech.append((frame << (-entry.bits % 8)).to_bytes((entry.bits + 7) // 8, "big"))
    return speech


def _aligned_speech(payload: bytes, layout: _Layout, entries: list[_Entry]) -> list[bytes]:
    """Cut speech bits on octets of their own; checksums are passed over, UDP has one of its own."""
    at = 1 + len(entries) + (sum(entry.bits > 0 for entry in entries) if layout.checksums else 0)
    sizes = [(entry.bits + 7) // 8 for entry in entries]
    if not layout.sorted:
        ends = [at + sum(sizes[: index + 1]) for index in range(len(sizes))]
        return [payload[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    # RFC 4867 4.4.4: the first octets of all frames, then the second ones, until no frame has any left.
    speech = [bytearray() for _ in sizes]
    for place in range(max(sizes)):
        for frame, size in zip(speech, sizes, strict=True):
            if place < size:
                frame.append(payload[at])
                at += 1
    return [bytes(frame) for frame in speech]
