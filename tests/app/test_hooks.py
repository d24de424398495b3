"""Functions named on the command line."""

from pathlib import Path

import pytest

from siprec.hooks import load_hook
from siprec.outcome import CommandError


def test_a_function_is_found_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_policy.py").write_text("def decide(request):\n    return request\n\nvalue = 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    hook = load_hook("own_policy:decide")
    assert hook is not None
    assert hook.__name__ == "decide"
    assert load_hook(None) is None
    with pytest.raises(CommandError, match="not a function"):
        load_hook("own_policy:value")


@pytest.mark.parametrize("name", ["", "module", ":function", "no_such_module:decide", "json:no_such_function"])
def test_what_cannot_be_loaded_is_told(name: str) -> None:
    with pytest.raises(CommandError, match="policy-hook"):
        load_hook(name)
