"""The bounds: all there, all sensible."""

import re
from dataclasses import FrozenInstanceError, fields

import pytest

from siprec_core import limits
from siprec_core.limits import Limits


@pytest.mark.parametrize("field", fields(Limits), ids=lambda field: field.name)
def test_every_bound_is_positive(field: object) -> None:
    name = field.name  # type: ignore[attr-defined]
    value = getattr(Limits(), name)
    if name == "no_media_seconds":
        assert value == 0.0, "0 is never: persistent recordings are legal"
    else:
        assert value > 0


def test_seconds_are_floats_and_counts_are_whole() -> None:
    for field in fields(Limits):
        kind = float if field.name.endswith("_seconds") else int
        assert isinstance(getattr(Limits(), field.name), kind), field.name


def test_the_parts_fit_into_the_whole() -> None:
    bounds = Limits()
    assert bounds.header_field_size <= bounds.header_block_size
    assert bounds.part_header_size <= bounds.header_block_size
    assert bounds.early_dialogs <= bounds.dialogs
    assert bounds.connections_per_source <= bounds.connections
    assert bounds.multipart_boundary == 70
    assert bounds.xml_text_size <= bounds.body_size <= bounds.drained_size


def test_bounds_cannot_be_changed_in_use() -> None:
    with pytest.raises(FrozenInstanceError):
        Limits().body_size = 1  # type: ignore[misc]


def test_every_bound_says_what_it_is_for() -> None:
    with open(limits.__file__, encoding="utf-8") as file:
        source = file.read()
    documented = re.findall(r'^    (\w+): (?:int|float) = .*\n    """', source, re.MULTILINE)
    assert documented == [field.name for field in fields(Limits)]
