"""The file that tells what of the metadata may be stored."""

import tomllib
from pathlib import Path

from siprec_core.errors import ConfigurationError
from siprec_core.metadata.privacy import MetadataFilter


def read_filter(path: Path | None) -> MetadataFilter | None:
    """Read a filter from a TOML file, None without one; raises ConfigurationError for a file that is none.

    The secret of the hashes stands in a file of its own, named by `key-file` relative to this one.
    """
    if path is None:
        return None
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
        key_file = plain.pop("key-file", None)
        if key_file is not None and not isinstance(key_file, str):
            raise ConfigurationError(f"{path}: key-file is the name of a file")
        key = b"" if key_file is None else (path.parent / key_file).read_bytes().strip()
        return MetadataFilter.from_plain(plain, key=key)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
