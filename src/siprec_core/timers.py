"""One queue of deadlines for a whole endpoint.

Nine of ten SIP timers are cancelled before they fire, so deletion has to be a real one: a sorted list of
(deadline, sequence, key) beside a dictionary by key, both O(log n). No two entries have one sequence, so keys are never
compared.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from sortedcontainers import SortedList

KeyT = TypeVar("KeyT", bound=Hashable)


class TimerQueue(Generic[KeyT]):
    """Deadlines by key; a key has at most one deadline."""

    __slots__ = ("_by_key", "_entries", "_sequence")

    def __init__(self) -> None:
        self._entries: SortedList[tuple[float, int, KeyT]] = SortedList()
        self._by_key: dict[KeyT, tuple[float, int, KeyT]] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def set(self, key: KeyT, deadline: float) -> None:
        """Arm `key` at `deadline` (seconds on the caller's clock); an earlier arming of the key is replaced."""
        armed = self._by_key.get(key)
        if armed is not None:
            if armed[0] == deadline:
                return
            self._entries.remove(armed)
        self._sequence += 1
        entry = (deadline, self._sequence, key)
        self._by_key[key] = entry
        self._entries.add(entry)

    def cancel(self, key: KeyT) -> bool:
        """Disarm `key`; False when it was not armed."""
        entry = self._by_key.pop(key, None)
        if entry is None:
            return False
        self._entries.remove(entry)
        return True

    def deadline(self, key: KeyT) -> float | None:
        """Give the deadline of `key`, None when it is not armed."""
        entry = self._by_key.get(key)
        return None if entry is None else entry[0]

    def next_deadline(self) -> float | None:
        """Give the earliest deadline, None when nothing is armed."""
        return self._entries[0][0] if self._entries else None

    def next_key(self) -> KeyT | None:
        """Give the key that is due first, None when nothing is armed."""
        return self._entries[0][2] if self._entries else None

    def pop_due(self, now: float) -> KeyT | None:
        """Disarm and give one key whose deadline is not after `now`, in order of deadline; None when there is none."""
        if not self._entries or self._entries[0][0] > now:
            return None
        key = self._entries[0][2]
        self.cancel(key)
        return key
