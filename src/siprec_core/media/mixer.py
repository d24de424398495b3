"""Joins placed audio into unbroken PCM: gaps become silence, sources that speak at once are summed.

All PCM is 16-bit little-endian; sizes are counted in samples of one channel.
"""

import sys
from array import array
from bisect import bisect_right, insort
from typing import NamedTuple

_SAMPLE_SIZE = 2
_BIG_ENDIAN = sys.byteorder == "big"


class _Segment(NamedTuple):
    """Audio of one source without a gap."""

    start: int
    end: int
    pcm: bytes


def _start(segment: _Segment) -> int:
    return segment.start


class Track:
    """The audio of one line on its way to a file: takes placed pieces, gives contiguous PCM.

    Pieces may come in any order before the sample up to which PCM was taken. Of one source the piece that came first
    counts; several sources at once are summed, and what is over full scale saturates.
    """

    __slots__ = ("_covered", "_first", "_last", "_position", "_sources")

    def __init__(self) -> None:
        self._position = 0
        self._sources: dict[int, list[_Segment]] = {}
        self._covered = 0
        self._first: int | None = None
        self._last = 0

    @property
    def audio_samples(self) -> int:
        """Samples from the first to the last one of audio taken so far, gaps included."""
        return 0 if self._first is None else self._last - self._first

    @property
    def gap_samples(self) -> int:
        """Samples of silence taken between audio."""
        return self.audio_samples - self._covered

    @property
    def waiting_samples(self) -> int:
        """Samples of audio not yet taken."""
        return sum(segment.end - segment.start for pieces in self._sources.values() for segment in pieces)

    def add(self, source: int, start: int, pcm: bytes) -> None:
        """Put a piece of `source` at sample `start`; what was taken already or overlaps its own source is left out."""
        segment = _Segment(start, start + len(pcm) // _SAMPLE_SIZE, pcm)
        if start < self._position:
            segment = _cut(segment, self._position, segment.end)
        pieces = self._sources.setdefault(source, [])
        if not pieces or pieces[-1].end <= segment.start:
            if segment.start < segment.end:
                pieces.append(segment)
            return
        for free in _free_parts(pieces, segment):
            insort(pieces, free, key=_start)

    def take(self, end: int) -> bytes:
        """Give the PCM up to sample `end`; it begins where the last call ended, at first with sample 0."""
        start, self._position = self._position, max(end, self._position)
        if end <= start:
            return b""
        taken = [segments for pieces in self._sources.values() if (segments := _take(pieces, end))]
        self._sources = {source: pieces for source, pieces in self._sources.items() if pieces}
        self._count(taken)
        if not taken:
            return bytes((end - start) * _SAMPLE_SIZE)
        pcm = _lay_out(taken[0], start, end)
        for segments in taken[1:]:
            pcm = saturating_sum(pcm, _lay_out(segments, start, end))
        return pcm

    def _count(self, taken: list[list[_Segment]]) -> None:
        """Count covered samples: each once, however many sources cover it."""
        segments = taken[0] if len(taken) == 1 else sorted((piece for pieces in taken for piece in pieces), key=_start)
        if not segments:
            return
        if self._first is None:
            self._first = self._last = segments[0].start
        for segment in segments:
            begin = max(segment.start, self._last)
            if segment.end > begin:
                self._covered += segment.end - begin
                self._last = segment.end


def _cut(segment: _Segment, start: int, end: int) -> _Segment:
    start, end = max(start, segment.start), min(end, segment.end)
    if start >= end:
        return _Segment(start, start, b"")
    first = (start - segment.start) * _SAMPLE_SIZE
    return _Segment(start, end, segment.pcm[first : first + (end - start) * _SAMPLE_SIZE])


def _free_parts(pieces: list[_Segment], segment: _Segment) -> list[_Segment]:
    """Give what `segment` has where `pieces` (in order, disjoint) have nothing."""
    free = []
    start = segment.start
    index = max(bisect_right(pieces, start, key=_start) - 1, 0)
    while start < segment.end and index < len(pieces) and pieces[index].start < segment.end:
        piece = pieces[index]
        if piece.start > start:
            free.append(_cut(segment, start, piece.start))
        start = max(start, piece.end)
        index += 1
    if start < segment.end:
        free.append(_cut(segment, start, segment.end))
    return free


def _take(pieces: list[_Segment], end: int) -> list[_Segment]:
    """Remove and give what lies before `end`."""
    if pieces and pieces[-1].end <= end:
        taken = pieces[:]
        pieces.clear()
        return taken
    count = 0
    while count < len(pieces) and pieces[count].end <= end:
        count += 1
    taken = pieces[:count]
    del pieces[:count]
    if pieces and pieces[0].start < end:
        taken.append(_cut(pieces[0], pieces[0].start, end))
        pieces[0] = _cut(pieces[0], end, pieces[0].end)
    return taken


def _lay_out(segments: list[_Segment], start: int, end: int) -> bytes:
    """Join segments with silence between them to the PCM from `start` to `end`."""
    parts: list[bytes] = []
    position = start
    for segment in segments:
        if segment.start > position:
            parts.append(bytes((segment.start - position) * _SAMPLE_SIZE))
        parts.append(segment.pcm)
        position = segment.end
    if position < end:
        parts.append(bytes((end - position) * _SAMPLE_SIZE))
    return b"".join(parts)


def _samples(pcm: bytes) -> "array[int]":
    samples = array("h", pcm)
    if _BIG_ENDIAN:
        samples.byteswap()
    return samples


def _pcm(samples: "array[int]") -> bytes:
    if _BIG_ENDIAN:
        samples.byteswap()
    return samples.tobytes()


def saturating_sum(first: bytes, second: bytes) -> bytes:
    """Add two pieces of PCM of one length sample by sample; sums beyond 16 bits become the nearest value inside."""
    if not first.strip(b"\0"):
        return second
    if not second.strip(b"\0"):
        return first
    sums = map(int.__add__, _samples(first), _samples(second))
    return _pcm(array("h", [-32768 if total < -32768 else 32767 if total > 32767 else total for total in sums]))


def downmix(pcm: bytes, channels: int) -> bytes:
    """Make one channel of interleaved ones by their mean; what is less than a whole frame at the end is left out."""
    if channels == 1:
        return pcm
    samples = _samples(pcm[: len(pcm) // (_SAMPLE_SIZE * channels) * (_SAMPLE_SIZE * channels)])
    totals = map(sum, zip(*(samples[channel::channels] for channel in range(channels)), strict=True))
    return _pcm(array("h", [total // channels for total in totals]))


def resample(pcm: bytes, rate: int, new_rate: int, size: int) -> bytes:
    """Give `size` samples at `new_rate` samples a second of PCM at `rate`, repeating or leaving out samples.

    The first new sample stands where the first old one does: pieces that start on whole seconds fit together. Where the
    PCM ends before `size`, silence follows.
    """
    if rate == new_rate:
        resampled = pcm
    elif new_rate % rate == 0:
        factor = new_rate // rate
        repeated = bytearray(len(pcm) * factor)
        for copy in range(factor):
            repeated[copy * 2 :: factor * 2] = pcm[0::2]
            repeated[copy * 2 + 1 :: factor * 2] = pcm[1::2]
        resampled = bytes(repeated)
    else:
        samples = array("h", pcm)
        count = min(size, len(samples) * new_rate // rate)
        resampled = array("h", [samples[index * rate // new_rate] for index in range(count)]).tobytes()
    return resampled[: size * _SAMPLE_SIZE].ljust(size * _SAMPLE_SIZE, b"\0")


def interleave(channels: list[bytes]) -> bytes:
    """Make frames of several channels of PCM of one length."""
    count = len(channels)
    if count == 1:
        return channels[0]
    frames = array("h", bytes(len(channels[0]) * count))
    for index, pcm in enumerate(channels):
        frames[index::count] = array("h", pcm)
    return frames.tobytes()
