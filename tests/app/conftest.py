"""Fixtures of the tests of the command line."""

import pytest

from tests.app.programs import Program


@pytest.fixture
def siprec(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program, run in this process."""
    monkeypatch.setenv("COLUMNS", "120")
    return Program(capsys)
