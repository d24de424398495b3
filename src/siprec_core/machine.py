"""The shape that every machine from floor 2 up has.

One input method is called, then `poll_output` until it gives None, then the timer is armed at `next_timeout`. Inputs
carry `now`, seconds on a clock that never goes back. Nothing that a peer sends makes an input raise.
"""

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

OutT = TypeVar("OutT")
OutT_co = TypeVar("OutT_co", covariant=True)
InT_contra = TypeVar("InT_contra", contravariant=True)


class Machine(Protocol[OutT_co]):
    """A state machine without I/O."""

    def handle_timeout(self, *, now: float) -> None:
        """Let everything happen whose time has come; early and repeated calls do nothing."""

    def poll_output(self) -> OutT_co | None:
        """Give the oldest output not yet taken, None when there is none."""

    def next_timeout(self) -> float | None:
        """Give the instant at which `handle_timeout` is due, None when nothing waits."""


_TAKEN_TOGETHER = 100
"""Outputs that are let go of at once when others wait behind them."""


class Outbox(Generic[OutT]):
    """The first-in first-out outputs of one machine.

    A server has some ten of them for each call, nearly always empty: a list takes a tenth of what a deque does then.
    """

    __slots__ = ("_items", "_taken")

    def __init__(self) -> None:
        self._items: list[OutT] = []
        self._taken = 0
        """Of the items, those that were taken; they go together."""

    def __len__(self) -> int:
        return len(self._items) - self._taken

    def put(self, item: OutT) -> None:
        """Append one output."""
        self._items.append(item)

    def extend(self, items: Iterable[OutT]) -> None:
        """Append outputs in their order."""
        self._items.extend(items)

    def poll(self) -> OutT | None:
        """Take the oldest output, None when empty."""
        items = self._items
        if not items:
            return None
        item = items[self._taken]
        self._taken += 1
        if self._taken == len(items):
            items.clear()
            self._taken = 0
        elif self._taken == _TAKEN_TOGETHER:
            del items[:_TAKEN_TOGETHER]
            self._taken = 0
        return item


class Puts(Protocol[InT_contra]):
    """Where a layer puts its outputs when the layer above wants one order for both."""

    def put(self, item: InT_contra) -> None:
        """Append one output."""


def earliest(*instants: float | None) -> float | None:
    """Give the earliest of several optional instants, None when there is none."""
    known = [instant for instant in instants if instant is not None]
    return min(known) if known else None
