"""Who took part when: the stays of participants in sessions, and the streams that each ever sent or received.

A stay is told piecewise: an association opens it, a later one with a disassociate-time closes it, a complete document
repeats it. A participant may leave and come back, so that there is a list of stays for each session (RFC 7865 section
6.6.1).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from siprec_core.metadata.ids import id_key


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay of a participant in a session."""

    session_id: str
    joined_ns: int
    """UTC, nanoseconds since the epoch: the associate-time, else the start of the session, else the arrival."""
    left_ns: int | None = None
    """None while it lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one association tells of a stay."""

    participant_id: str
    session_id: str
    joined_ns: int | None
    left_ns: int | None
    over: bool
    """True with a disassociate-time, be it readable or not."""
    guess_ns: int
    """When the stay began if nothing tells."""
    now_ns: int


@dataclass(slots=True)
class _OpenStay:
    """A stay that can still be corrected."""

    session_id: str
    joined_ns: int
    left_ns: int | None
    guessed: bool
    """True when nothing told the beginning."""


@dataclass(slots=True)
class _Presence:
    """What is remembered of one participant; the dictionaries find a stay without a search."""

    first_ns: int
    gone_ns: int | None = None
    stays: list[_OpenStay] = field(default_factory=list)
    open: dict[str, _OpenStay] = field(default_factory=dict)
    """The stay that lasts, by session key; there is one at most."""
    last: dict[str, _OpenStay] = field(default_factory=dict)
    """The stay told last, by session key."""
    begun: dict[tuple[str, int], _OpenStay] = field(default_factory=dict)
    """By session key and told beginning."""
    sends: dict[str, str] = field(default_factory=dict)
    """Stream ids by key."""
    receives: dict[str, str] = field(default_factory=dict)

    def match(self, session_key: str, told: Told) -> _OpenStay | None:
        """Find the stay that an association speaks of, None when it speaks of a new one."""
        lasting = self.open.get(session_key)
        if told.joined_ns is None:
            return lasting or (self.last.get(session_key) if told.over else None)
        same = self.begun.get((session_key, told.joined_ns))
        if same is not None and (told.over or lasting is None):
            return same
        # Another beginning corrects the one told before only while it cannot be a stay of its own.
        return lasting if lasting is not None and (lasting.guessed or not told.over) else None

    def add(self, session_key: str, told: Told) -> _OpenStay:
        """Begin a stay."""
        guessed = told.joined_ns is None
        stay = _OpenStay(told.session_id, told.guess_ns if told.joined_ns is None else told.joined_ns, None, guessed)
        self.stays.append(stay)
        self.last[session_key] = stay
        if not guessed:
            self.begun[session_key, stay.joined_ns] = stay
        return stay

    def correct(self, session_key: str, stay: _OpenStay, joined_ns: int) -> None:
        """Take a told beginning, unless another stay has it."""
        if self.begun.get((session_key, joined_ns), stay) is stay and (stay.guessed or stay.joined_ns != joined_ns):
            self.begun.pop((session_key, stay.joined_ns), None)
            self.begun[session_key, joined_ns] = stay
            stay.joined_ns, stay.guessed = joined_ns, False


class History:
    """The participants of one recording by the keys of their ids; `limit` bounds each of its lists."""

    __slots__ = ("_lasting", "_limit", "_presences", "_room")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._room = limit
        self._presences: dict[str, _Presence] = {}
        self._lasting: dict[tuple[str, str], str] = {}
        """Participant id by the keys of participant and session, for the stays that last."""

    def mention(self, participant_id: str, now_ns: int) -> None:
        """A document describes a participant."""
        presence = self._presence(id_key(participant_id), now_ns)
        if presence is not None:
            presence.gone_ns = None

    def vanish(self, participant_key: str, now_ns: int) -> None:
        """A complete document does not describe a participant any more."""
        presence = self._presences.get(participant_key)
        if presence is not None and presence.gone_ns is None:
            presence.gone_ns = now_ns

    def carry(self, participant_id: str, send: Iterable[str], recv: Iterable[str], now_ns: int) -> None:
        """A participant contributes to and receives streams."""
        presence = self._presence(id_key(participant_id), now_ns)
        if presence is not None:
            self._remember(presence.sends, send)
            self._remember(presence.receives, recv)

    def knows(self, participant_key: str, session_key: str) -> bool:
        """Tell whether a participant was ever in a session."""
        presence = self._presences.get(participant_key)
        return presence is not None and session_key in presence.last

    def tell(self, told: Told) -> tuple[bool, bool]:
        """Take what an association tells; gives whether a stay began and whether one ended."""
        key = id_key(told.participant_id), id_key(told.session_id)
        presence = self._presence(key[0], told.now_ns)
        if presence is None:
            return False, False
        stay = presence.match(key[1], told)
        began = stay is None or (stay.left_ns is not None and not told.over)
        if stay is None:
            if self._room == 0:
                return False, False
            self._room -= 1
            stay = presence.add(key[1], told)
        elif told.joined_ns is not None:
            presence.correct(key[1], stay, told.joined_ns)
        if not told.over:
            # A stay that was over and is told again as lasting goes on.
            stay.left_ns = None
            presence.open[key[1]] = stay
            self._lasting[key] = told.participant_id
            return began, False
        ended = began or stay.left_ns is None
        if told.left_ns is not None or stay.left_ns is None:
            stay.left_ns = told.now_ns if told.left_ns is None else told.left_ns
        if stay.guessed:
            stay.joined_ns = min(stay.joined_ns, stay.left_ns)
        if presence.open.get(key[1]) is stay:
            del presence.open[key[1]]
            del self._lasting[key]
        return began, ended

    def lasting(self) -> tuple[tuple[str, str], ...]:
        """Give the keys of participant and session of all stays that last."""
        return tuple(self._lasting)

    def leave(self, participant_key: str, session_key: str, left_ns: int) -> tuple[str, str]:
        """End a lasting stay that no association ends; gives the ids of participant and session."""
        participant_id = self._lasting.pop((participant_key, session_key))
        stay = self._presences[participant_key].open.pop(session_key)
        stay.left_ns = max(left_ns, stay.joined_ns) if stay.guessed else left_ns
        return participant_id, stay.session_id

    def stays(self, participant_key: str) -> tuple[Stay, ...]:
        """Give the stays of a participant in the order in which they were told."""
        presence = self._presences.get(participant_key)
        if presence is None:
            return ()
        return tuple(Stay(each.session_id, each.joined_ns, each.left_ns) for each in presence.stays)

    def sends(self, participant_key: str) -> tuple[str, ...]:
        """Give the ids of all streams that a participant ever contributed to."""
        presence = self._presences.get(participant_key)
        return () if presence is None else tuple(presence.sends.values())

    def receives(self, participant_key: str) -> tuple[str, ...]:
        """Give the ids of all streams that a participant ever received."""
        presence = self._presences.get(participant_key)
        return () if presence is None else tuple(presence.receives.values())

    def span(self, participant_key: str) -> tuple[int | None, int | None]:
        """Give the earliest joining and the latest leaving; for one who is in no session its first and last mention."""
        presence = self._presences.get(participant_key)
        if presence is None:
            return None, None
        if not presence.stays:
            return presence.first_ns, presence.gone_ns
        ends = [stay.left_ns for stay in presence.stays if stay.left_ns is not None]
        left_ns = max(ends) if len(ends) == len(presence.stays) else None
        return min(stay.joined_ns for stay in presence.stays), left_ns

    def _presence(self, key: str, now_ns: int) -> _Presence | None:
        presence = self._presences.get(key)
        if presence is None and len(self._presences) < self._limit:
            presence = self._presences[key] = _Presence(now_ns)
        return presence

    def _remember(self, streams: dict[str, str], ids: Iterable[str]) -> None:
        for each in ids:
            key = id_key(each)
            if key not in streams and self._room > 0:
                self._room -= 1
                streams[key] = each
