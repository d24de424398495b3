"""The queue of outputs and the earliest of several instants."""

from hypothesis import given
from hypothesis import strategies as st

from siprec_core.machine import Machine, Outbox, earliest
from siprec_core.sip.invite import InviteUsage, UsageId, UsageOutput
from tests.core.messages import read, request

_INSTANTS = st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False))


@given(st.lists(st.integers() | st.none(), max_size=50))
def test_an_outbox_is_first_in_first_out(steps: list[int | None]) -> None:
    box: Outbox[int] = Outbox()
    model: list[int] = []
    for step in steps:
        if step is None:
            assert box.poll() == (model.pop(0) if model else None)
        else:
            box.put(step)
            model.append(step)
        assert len(box) == len(model)


def test_several_outputs_keep_their_order() -> None:
    box: Outbox[int] = Outbox()
    box.put(1)
    box.extend((2, 3))
    assert [box.poll(), box.poll(), box.poll(), box.poll()] == [1, 2, 3, None]


def test_what_was_taken_is_not_held() -> None:
    box: Outbox[int] = Outbox()
    box.extend(range(10))
    for number in range(1_000):
        assert box.poll() == number
        box.put(number + 10)
        assert len(box) == 10
        assert len(box._items) <= 110


@given(_INSTANTS)
def test_the_earliest_of_those_that_are_there(instants: list[float | None]) -> None:
    known = [instant for instant in instants if instant is not None]
    assert earliest(*instants) == min(known, default=None)


def test_a_usage_has_the_shape_of_a_machine() -> None:
    invite = read(request("INVITE"))
    machine: Machine[UsageOutput] = InviteUsage(UsageId(1), invite, calling=False, dialog=None)
    assert machine.poll_output() is None
    assert machine.next_timeout() is None
    machine.handle_timeout(now=0.0)
    assert machine.poll_output() is None
