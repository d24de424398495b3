"""Settings that all tests share: hypothesis profiles and the marker of the interop tests."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
_INTEROP = Path(__file__).parent / "interop"

# No deadline in any profile: an assertion on time fails on a busy machine and says nothing about the code.
settings.register_profile("default", deadline=None, suppress_health_check=_QUIET)
settings.register_profile("ci", deadline=None, suppress_health_check=_QUIET, derandomize=True, print_blob=True)
settings.register_profile("thorough", deadline=None, suppress_health_check=_QUIET, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything under tests/interop, so that `-m interop` selects it whole."""
    for item in items:
        if item.path.is_relative_to(_INTEROP):
            item.add_marker(pytest.mark.interop)
