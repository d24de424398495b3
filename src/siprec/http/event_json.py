"""Events as JSON, fit to leave the program: no secrets, one line."""

import json
import re
import time
from dataclasses import fields
from enum import Enum
from typing import Final

from siprec.logs import redacted
from siprec_core.clock import format_instant
from siprec_core.findings import Finding
from siprec_core.recording.events import DigitReceived, Event
from siprec_core.types import Address

_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_TEXT_SIZE: Final = 1_000
"""Characters that are told of one text: a peer's may be long, and many events are kept."""


def event_name(event: Event) -> str:
    """Give the name of an event's kind: `session-established`."""
    return _CAPITAL.sub("-", type(event).__name__).lower()


def event_json(event: Event) -> str:
    """Write an event with the instant at which it is told."""
    # Digits may be a card's number, so only that there was one is told; `recording.json` has them.
    hidden = "digit" if isinstance(event, DigitReceived) else ""
    content: dict[str, object] = {"event": event_name(event), "at": format_instant(time.time_ns())}
    for each in fields(event):
        if each.name != hidden:
            content[each.name] = _plain(getattr(event, each.name))
    return json.dumps(content)


def _plain(value: object) -> object:
    if isinstance(value, Finding):
        return _plain(value.as_json())
    if isinstance(value, Address):
        return {"host": value.host, "port": value.port}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return redacted(value if len(value) <= _TEXT_SIZE else f"{value[:_TEXT_SIZE]}...")
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
