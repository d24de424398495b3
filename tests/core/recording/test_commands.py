"""Commands and events of both facades: values of one shape, in closed unions."""

from dataclasses import fields, is_dataclass
from typing import get_args

import pytest

from siprec_core.recording import call_events, commands, events
from siprec_core.sip import endpoint_events

UNIONS = (commands.Command, events.Event, call_events.CallEvent, endpoint_events.EndpointEvent)
KINDS = sorted({kind for union in UNIONS for kind in get_args(union)}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_is_frozen_slotted_and_made_by_keyword(kind: type) -> None:
    assert is_dataclass(kind)
    parameters = kind.__dataclass_params__  # type: ignore[attr-defined]
    assert parameters.frozen
    assert not hasattr(kind, "__dict__") or "__slots__" in vars(kind)
    assert all(field.kw_only for field in fields(kind))
    assert kind.__doc__


@pytest.mark.parametrize(
    ("module", "union"),
    [(commands, commands.Command), (events, events.Event), (call_events, call_events.CallEvent)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_union_is_closed_over_its_module(module: object, union: object) -> None:
    declared = {value for value in vars(module).values() if isinstance(value, type) and is_dataclass(value)}
    names = {kind.__name__ for kind in declared if kind.__module__ == getattr(module, "__name__", "")}
    assert names <= {kind.__name__ for kind in get_args(union)}


def test_sinks_have_three_kinds() -> None:
    assert {kind.value for kind in commands.SinkKind} == {"journal", "document", "orphan"}
