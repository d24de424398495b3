"""Functions of the operator's, named on the command line."""

import importlib
import sys

from siprec.outcome import CommandError
from siprec_sync.policy_hook import Hook


def load_hook(name: str | None) -> Hook | None:
    """Import `module:function`, from the working directory too; None without a name. Raises CommandError."""
    if name is None:
        return None
    module, _, function = name.partition(":")
    if not module or not function:
        raise CommandError(f"--policy-hook: {name!r} is not of the form MODULE:FUNCTION")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        hook = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise CommandError(f"--policy-hook: {name}: {error}") from error
    if not callable(hook):
        raise CommandError(f"--policy-hook: {name} is not a function")
    return hook  # type: ignore[no-any-return]
