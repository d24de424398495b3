"""The file of `siprec serve --metadata-filter`."""

from pathlib import Path

import pytest

from siprec.filters import read_filter
from siprec_core.errors import ConfigurationError
from siprec_core.metadata.privacy import FilterAction


def test_without_a_file_there_is_no_filter() -> None:
    assert read_filter(None) is None


def test_file_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "filter.key").write_bytes(b"0123456789abcdef0123456789abcdef\n")
    path = tmp_path / "filter.toml"
    path.write_text(
        'default = "drop"\nother-parts = "drop"\nkey-file = "filter.key"\n[elements]\n"nameID@aor" = "hash"\n'
        '"{http://example.com/X}" = "keep"\n'
    )
    policy = read_filter(path)
    assert policy is not None
    assert (policy.default, policy.other_parts) == (FilterAction.DROP, FilterAction.DROP)
    assert policy.rules == {"nameid@aor": FilterAction.HASH, "{http://example.com/x}": FilterAction.KEEP}
    assert policy.key == b"0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "text",
    ["default = ", "colour = 'red'", "key-file = 1", "key-file = 'absent'", "[elements]\nname = 'hash'", "\xff"],
)
def test_wrong_file_is_told_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "filter.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError):
        read_filter(path)


def test_absent_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent"):
        read_filter(tmp_path / "absent.toml")
