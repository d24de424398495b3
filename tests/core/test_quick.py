import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest

from siprec_core.quick import maker


@dataclass(frozen=True, slots=True)
class Value:
    """A class with every kind of parameter."""

    one: int
    two: str = "two"
    three: tuple[int, ...] = field(default=(), kw_only=True)
    four: int = field(default=4, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Parameters by name only."""

    one: int
    two: int = 2


@dataclass(frozen=True, slots=True)
class Listed:
    """A default that is made for each object."""

    values: list[int] = field(default_factory=list)


make_value, make_named = maker(Value), maker(Named)


def test_signature_is_that_of_the_class() -> None:
    for cls, make in ((Value, make_value), (Named, make_named)):
        assert inspect.signature(make).parameters == inspect.signature(cls).parameters


@pytest.mark.parametrize("arguments", [(1,), (1, "b"), (1, "b", 5)])
@pytest.mark.parametrize("named", [{}, {"three": (3,)}])
def test_objects_are_those_of_the_class(arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    made, value = make_value(*arguments, **named), Value(*arguments, **named)
    assert made == value
    assert repr(made) == repr(value)
    assert hash(made) == hash(value)
    assert type(made) is Value


def test_objects_with_named_parameters_are_those_of_the_class() -> None:
    assert make_named(one=1) == Named(one=1, two=2) != make_named(one=2)


@pytest.mark.parametrize(("arguments", "named"), [((), {}), ((1, "b", 3, 4), {}), ((1,), {"one": 1}), ((1,), {"x": 1})])
def test_wrong_arguments_are_refused(arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        make_value(*arguments, **named)


def test_objects_are_frozen_and_can_be_copied() -> None:
    value = make_value(1, three=(2,))
    with pytest.raises(FrozenInstanceError):
        value.one = 2  # type: ignore[misc]
    assert replace(value, two="x") == Value(1, "x", three=(2,))
    assert copy.copy(value) == pickle.loads(pickle.dumps(value)) == value


def test_each_object_has_a_default_of_its_own() -> None:
    make = maker(Listed)
    one, two = make(), make()
    assert one == two == Listed([])
    assert one.values is not two.values
    assert make([1]) == Listed([1])


@dataclass(frozen=True, slots=True)
class _Computed:
    one: int
    two: int = field(init=False, default=1)


@dataclass(frozen=True, slots=True)
class _Checked:
    one: int

    def __post_init__(self) -> None:
        """Nothing to check."""


@dataclass(frozen=True, slots=True)
class _Derived(Value):
    five: int = 5


@pytest.mark.parametrize("cls", [_Computed, _Checked, _Derived])
def test_class_of_another_kind_is_refused(cls: type[Any]) -> None:
    with pytest.raises(TypeError, match="made by itself"):
        maker(cls)
