"""Packets of many media lines, as sums."""

from collections.abc import Iterable
from dataclasses import dataclass

from siprec_core.media.statistics import LineStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaCounts:
    """Packets of many media lines; each field is the sum of the one of the same name."""

    packets_received: int = 0
    packets_lost: int = 0
    packets_duplicate: int = 0
    packets_reordered: int = 0
    packets_rejected: int = 0

    def __add__(self, other: "MediaCounts") -> "MediaCounts":
        return MediaCounts(
            packets_received=self.packets_received + other.packets_received,
            packets_lost=self.packets_lost + other.packets_lost,
            packets_duplicate=self.packets_duplicate + other.packets_duplicate,
            packets_reordered=self.packets_reordered + other.packets_reordered,
            packets_rejected=self.packets_rejected + other.packets_rejected,
        )


def sum_media(lines: Iterable[tuple[LineStatistics, int]]) -> MediaCounts:
    """Sum the statistics of lines, each with the number of its packets that were not authentic."""
    entries = tuple(lines)
    return MediaCounts(
        packets_received=sum(line.packets_received for line, _ in entries),
        packets_lost=sum(line.packets_lost for line, _ in entries),
        packets_duplicate=sum(line.packets_duplicate for line, _ in entries),
        packets_reordered=sum(line.packets_reordered for line, _ in entries),
        packets_rejected=sum(line.packets_rejected + forged for line, forged in entries),
    )
