"""How the streams of one recording lie to each other in time, after the first reading of its journal.

Each stretch of audio was anchored by the arrival of its first packet, so two streams lie apart by the difference of
their network delays. Where sender reports of both name one wall clock, that tells better: the stream with the least
delay stays where it arrived, the others are moved by what they were slower (RFC 3550 sections 5.1 and 6.4.1).

One wall clock is that of one host: RFC 3550 section 6.5.1 has the CNAME end with it ("user@host"), and a name without
"@" (RFC 7022) is that of one endpoint. Arrival has the last word: wall clocks that would move audio by more than
`Limits.wall_clock_seconds` are not believed, so that a lying sender gains nothing.

The drift of a source against its sender's wall clock is what its reports tell, and that of the wall clock against ours
what the arrivals of all its streams tell; without reports the arrivals tell the whole.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.media.drift import corrected, worth_correction
from siprec_core.media.timeline import TICKS_PER_SECOND, ticks_of
from siprec_core.media.wall_clock import Relation
from siprec_core.recording.extents import LineExtent, Stretch


class AlignedLine(NamedTuple):
    """One media line."""

    extent: LineExtent
    cnames: Mapping[int, str]
    """Canonical names by synchronisation source."""
    where: str
    """Of its findings."""


class _Member(NamedTuple):
    """A stretch whose place on its sender's wall clock is known."""

    line: int
    stretch: Stretch
    relation: Relation


def furthest_shift(limits: Limits) -> int:
    """Give the ticks by which reports move audio at most."""
    return 2 * ticks_of(limits.wall_clock_seconds)


def align(lines: Mapping[int, AlignedLine], *, limits: Limits) -> list[Finding]:
    """Set drift and shift of all stretches and close the extents; give what the sender reports deserve."""
    bound, furthest = ticks_of(limits.wall_clock_seconds), furthest_shift(limits)
    untrue: dict[int, str] = {}
    groups: dict[str, list[_Member]] = {}
    for index, line in lines.items():
        for stretch in line.extent.stretches():
            stretch.drift = stretch.meter.drift()
            if stretch.clock is None:
                continue
            relation = stretch.clock.relation(stretch.anchor)
            if relation is None:
                untrue.setdefault(index, "its sender reports contradict one another")
            else:
                key = _host(line.cnames.get(stretch.ssrc)) or f"{index} {stretch.ssrc}"
                groups.setdefault(key, []).append(_Member(index, stretch, relation))
    moved = [member for members in groups.values() for member in _align_group(members, bound, furthest, untrue)]
    for index, line in lines.items():
        _inherit(line.extent.stretches(), [member.stretch for member in moved if member.line == index])
        line.extent.close()
    return [finding("wall-clock-untrue", lines[index].where, untrue[index]) for index in sorted(untrue)]


def _align_group(members: list[_Member], bound: int, furthest: int, untrue: dict[int, str]) -> list[_Member]:
    """Align the stretches of one wall clock; give those that it places."""
    beside = _drift_of(members)
    for member in members:
        stretch = member.stretch
        if member.relation.drift is not None:
            stretch.drift = worth_correction(member.relation.drift + beside, stretch.end - stretch.start)
    walls = [member.stretch.anchor + member.relation.level for member in members]
    places = [corrected(wall, min(walls), beside) for wall in walls]
    """Of the anchors, on the wall clock made as fast as ours."""
    delays = [
        member.stretch.anchor + member.stretch.meter.level(member.stretch.anchor, member.stretch.drift) - place
        for member, place in zip(members, places, strict=True)
    ]
    usual = sorted(delays)[(len(delays) - 1) // 2]
    believed = []
    for member, place, delay in zip(members, places, delays, strict=True):
        if abs(delay - usual) <= bound:
            believed.append((member, place, delay))
        else:
            apart = abs(delay - usual) / TICKS_PER_SECOND
            untrue.setdefault(member.line, f"they are {apart:.3f} s apart from where arrival puts the audio")
    if len(believed) < 2:
        return []
    least = min(delay for _, _, delay in believed)
    for member, place, _ in believed:
        shift = place + least - member.stretch.anchor
        member.stretch.shift = max(-furthest, min(shift, furthest))
    return [member for member, _, _ in believed]


def _drift_of(members: Iterable[_Member]) -> int:
    """Give the drift of a wall clock beside ours, as the arrivals of its streams have it; 0 when they tell none."""
    drifts = []
    for member in members:
        slope = member.stretch.meter.slope()
        if slope is not None and member.relation.drift is not None:
            drifts.append(slope - member.relation.drift)
    return sorted(drifts)[len(drifts) // 2] if drifts else 0


def _inherit(stretches: Iterable[Stretch], moved: list[Stretch]) -> None:
    """Move stretches without reports as their source's last one before them was, or its first one behind them: the
    delay of its packets is much the same."""
    for stretch in stretches:
        known = sorted((each for each in moved if each.ssrc == stretch.ssrc), key=lambda each: each.anchor)
        if known and stretch not in known:
            before = [each for each in known if each.anchor <= stretch.anchor]
            stretch.shift = (before[-1] if before else known[0]).shift


def _host(cname: str | None) -> str | None:
    """Give what names the wall clock of a source, None without a canonical name."""
    return None if cname is None else cname.rpartition("@")[2] or cname
