"""The timer queue against a dictionary."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from siprec_core.timers import TimerQueue

_KEYS = st.integers(0, 8)
_INSTANTS = st.integers(0, 40).map(lambda quarter: quarter / 4)


class AgainstADictionary(RuleBasedStateMachine):
    """The model keeps deadline and order of arming; the queue must agree with it after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: TimerQueue[int] = TimerQueue()
        self.model: dict[int, tuple[float, int]] = {}
        self.count = 0

    @rule(key=_KEYS, deadline=_INSTANTS)
    def arm(self, key: int, deadline: float) -> None:
        self.queue.set(key, deadline)
        if self.model.get(key, (None, 0))[0] != deadline:
            self.count += 1
            self.model[key] = deadline, self.count

    @rule(key=_KEYS)
    def disarm(self, key: int) -> None:
        assert self.queue.cancel(key) is (self.model.pop(key, None) is not None)

    @rule(now=_INSTANTS)
    def fire(self, now: float) -> None:
        due = sorted((entry, key) for key, entry in self.model.items() if entry[0] <= now)
        assert self.queue.pop_due(now) == (due[0][1] if due else None)
        if due:
            del self.model[due[0][1]]

    @invariant()
    def agrees(self) -> None:
        assert len(self.queue) == len(self.model)
        first = min(((entry, key) for key, entry in self.model.items()), default=None)
        assert self.queue.next_deadline() == (None if first is None else first[0][0])
        assert self.queue.next_key() == (None if first is None else first[1])
        for key in range(9):
            assert (key in self.queue) is (key in self.model)
            assert self.queue.deadline(key) == (self.model[key][0] if key in self.model else None)


TestAgainstADictionary = AgainstADictionary.TestCase


@given(st.lists(st.tuples(st.integers(), _INSTANTS)))
def test_everything_comes_out_once_in_order_of_deadline(armed: list[tuple[int, float]]) -> None:
    queue: TimerQueue[int] = TimerQueue()
    for key, deadline in armed:
        queue.set(key, deadline)
    out = []
    while (key_due := queue.pop_due(1e9)) is not None:
        out.append(key_due)
    final = dict(armed)
    assert sorted(out) == sorted(final)
    assert [final[key] for key in out] == sorted(final.values())
    assert queue.next_deadline() is None


def test_equal_deadlines_fire_in_the_order_of_arming() -> None:
    queue: TimerQueue[str] = TimerQueue()
    for key in ("b", "a", "c"):
        queue.set(key, 1.0)
    queue.set("b", 1.0)  # armed already: it keeps its place
    assert [queue.pop_due(1.0) for _ in range(3)] == ["b", "a", "c"]


def test_a_deadline_is_due_at_its_very_instant() -> None:
    queue: TimerQueue[str] = TimerQueue()
    queue.set("a", 1.0)
    assert queue.pop_due(0.999_999) is None
    assert queue.pop_due(1.0) == "a"
