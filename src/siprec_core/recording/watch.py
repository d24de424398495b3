"""Watches the media of one session: lines on which no packet ever came, and lines that fell silent.

It only tells. What ends a session is `no_media_seconds` and `recording_seconds` of the limits; RTP, RTCP and SIP all
count as life for the first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.machine import earliest
from siprec_core.media.statistics import LineStatistics
from siprec_core.recording.account import LineAccount
from siprec_core.recording.events import StreamStalled
from siprec_core.types import SessionId


@dataclass(frozen=True, slots=True)
class Stall:
    """A line without media."""

    index: int
    label: str
    never: bool
    """True when no packet ever came."""
    seconds: float
    """How long packets were missed."""
    reasons: tuple[str, ...]
    """What is likely to be wrong, the likeliest first."""

    @property
    def finding(self) -> Finding:
        """The finding about it."""
        message = "; ".join((f"no packet for {self.seconds:.0f} s", *self.reasons))
        return finding("media-never" if self.never else "media-stopped", f"stream {self.label}", message)

    def event(self, session: SessionId) -> StreamStalled:
        """Make the event about it."""
        return StreamStalled(
            session=session, label=self.label, never=self.never, seconds=self.seconds, reasons=self.reasons
        )


@dataclass(slots=True)
class _Watched:
    line: LineAccount
    since: float
    """From when on packets are expected."""
    told: float | None = None
    """Arrival of the last packet when the line was told of; -1 when there was none."""
    direction: str = "recvonly"


class MediaWatch:
    """The lines of one session that ought to bring packets. A line on hold is not watched."""

    __slots__ = ("_due", "_limits", "_watched")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._watched: dict[int, _Watched] = {}
        self._due: float | None = None

    def follow(self, lines: Iterable[LineAccount], *, now: float) -> None:
        """Take the lines as an exchange left them: those that may send are expected to, from now or from before."""
        expected = {line.index: line for line in lines if line.active and line.plan.direction != "inactive"}
        for index in self._watched.keys() - expected.keys():
            del self._watched[index]
        for index, line in expected.items():
            if index not in self._watched:
                self._watched[index] = _Watched(line, now)
        self._rearm(now)

    def clear(self) -> None:
        """Watch nothing more: the call is over."""
        self._watched.clear()
        self._due = None

    def next_timeout(self) -> float | None:
        """Give the instant at which a line may be found without media."""
        return self._due

    def due(self, *, now: float) -> Iterator[Stall]:
        """Give the lines that are without media for too long, each silence once."""
        if self._due is None or now < self._due:
            return
        for watched in self._watched.values():
            last = _last_arrival(watched)
            deadline = self._deadline(watched, last)
            if deadline is None or now < deadline:
                continue
            watched.told = -1.0 if last is None else last
            statistics = watched.line.receiver.statistics()
            never = not statistics.packets_received
            since = watched.since if last is None else max(last, watched.since)
            reasons = stall_reasons(watched.line, statistics) if never else ()
            yield Stall(watched.line.index, watched.line.label, never, now - since, reasons)
        self._rearm(now)

    def _rearm(self, now: float) -> None:
        self._due = earliest(*(self._next_look(watched, now) for watched in self._watched.values()))

    def _next_look(self, watched: _Watched, now: float) -> float | None:
        last = _last_arrival(watched)
        deadline = self._deadline(watched, last)
        # A silence that was told may end: whether another one begins is looked at at leisure.
        again = self._limits.silent_media_seconds
        return deadline if deadline is not None else (now + again if again else None)

    def _deadline(self, watched: _Watched, last: float | None) -> float | None:
        """Give when the present silence of a line is too long; None when it was told, or is never."""
        if watched.told == (-1.0 if last is None else last):
            return None
        if last is None:
            return watched.since + self._limits.first_media_seconds if self._limits.first_media_seconds else None
        return max(last, watched.since) + again if (again := self._limits.silent_media_seconds) else None


def stall_reasons(line: LineAccount, statistics: LineStatistics) -> tuple[str, ...]:
    """Tell why a line may be without packets, from what was agreed and what came."""
    plan = line.plan
    reasons = []
    if statistics.packets_rejected:
        reasons.append(
            f"{statistics.packets_rejected} datagrams came and were rejected: the findings of this stream tell of "
            f"their source, payload type or form; agreed were {', '.join(each.name for each in plan.formats)}"
        )
    elif statistics.rtcp_received:
        reasons.append("RTCP came, so the way is open: the client sends no audio on this line")
    else:
        reasons.append(f"nothing came to port {line.local_port}: a firewall, a route, or the address that we announce")
    if plan.remote_rtp is None:
        reasons.append("the client's description names no address that packets can come from")
    else:
        reasons.append(f"the client announced to send from {plan.remote_rtp}")
    if plan.label is None:
        reasons.append("the line has no label: the client may not know what to send on it")
    if plan.crypto is not None:
        reasons.append("the line is encrypted (SRTP): packets under another key are rejected")
    elif "SAVP" in plan.protocol:
        reasons.append(f"the line was offered as {plan.protocol} without a key that could be used")
    return tuple(reasons)


def _last_arrival(watched: _Watched) -> float | None:
    return watched.line.receiver.last_arrival
