"""Who contributed to and received which stream from when to when.

RFC 7865 section 6.8.1: an association always tells all streams of a participant, so what it does not name any more is
over. Spans are kept beside the present state, which shows the last word only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from siprec_core.metadata.ids import id_key


@dataclass(frozen=True, slots=True)
class StreamSpan:
    """One participant on one stream for a time."""

    participant_id: str
    stream_id: str
    sends: bool
    """True for contributing to the stream, False for receiving it."""
    since_ns: int
    """UTC, nanoseconds since the epoch: the associate-time, else when the participant joined, else the arrival."""
    until_ns: int | None = None
    """None while it lasts."""

    def covers(self, unix_ns: int) -> bool:
        """Tell whether an instant lies within: the beginning does, the end does not."""
        return self.since_ns <= unix_ns and (self.until_ns is None or unix_ns < self.until_ns)


@dataclass(slots=True)
class _Span:
    participant_id: str
    stream_id: str
    sends: bool
    since_ns: int
    until_ns: int | None = None


class Contributions:
    """The streams of all participants of one recording; `limit` bounds the spans."""

    __slots__ = ("_open", "_room", "_sent", "_spans")

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._spans: list[_Span] = []
        self._open: dict[str, dict[tuple[str, bool], _Span]] = {}
        self._sent: set[str] = set()
        """Keys of the participants who ever contributed."""

    def participants(self) -> Iterator[str]:
        """Give the keys of all participants who are on a stream now."""
        return iter(tuple(self._open))

    def tell(
        self,
        participant_id: str,
        send: Iterable[str],
        recv: Iterable[str],
        *,
        begin_ns: int,
        end_ns: int,
    ) -> tuple[bool, bool]:
        """Take all streams of a participant: new ones begin, those not named any more end.

        Gives whether it has ceased to contribute, and whether it contributes again after such a pause.
        """
        key = id_key(participant_id)
        lasting = self._open.get(key, {})
        wanted = {(id_key(each), True): each for each in send}
        wanted.update(((id_key(each), False), each) for each in recv)
        sent_before = any(sends for _, sends in lasting)
        sends_now = any(sends for _, sends in wanted)
        for each in [each for each in lasting if each not in wanted]:
            span = lasting.pop(each)
            span.until_ns = max(end_ns, span.since_ns)
        for each, stream_id in wanted.items():
            if each not in lasting and self._room > 0:
                self._room -= 1
                span = lasting[each] = _Span(participant_id, stream_id, each[1], begin_ns)
                self._spans.append(span)
        if lasting:
            self._open[key] = lasting
        else:
            self._open.pop(key, None)
        again = sends_now and not sent_before and key in self._sent
        if sends_now:
            self._sent.add(key)
        return sent_before and not sends_now, again

    def spans(self) -> tuple[StreamSpan, ...]:
        """Give all spans in the order in which they were told."""
        return tuple(
            StreamSpan(each.participant_id, each.stream_id, each.sends, each.since_ns, each.until_ns)
            for each in self._spans
        )
