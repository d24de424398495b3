"""The table of all operations: routes and the OpenAPI document are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from siprec_core.recording.session_info import SessionStatus

JSON: Final = "application/json"
_SESSION: Final = {"$ref": "#/components/schemas/Session"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of an operation that is not an error."""

    meaning: str
    media_type: str = JSON
    schema: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    name: str
    method: str
    path: str
    """With `{session}` where a session is named."""
    meaning: str
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()
    """Statuses of its errors, beyond those that every operation has."""
    query: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Schemas of the parameters behind the question mark."""
    headers: tuple[str, ...] = ()
    """Header fields that it looks at."""
    body: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Schemas of the members of the JSON object in a request."""
    required: tuple[str, ...] = ()
    """Members that have to be there."""


def _change(
    name: str,
    meaning: str,
    *,
    status: int = 202,
    body: Mapping[str, Mapping[str, object]] | None = None,
    required: tuple[str, ...] = (),
) -> Operation:
    return Operation(
        name=name,
        method="POST",
        path=f"/v1/sessions/{{session}}/{name}",
        meaning=meaning,
        answers={status: Answer(meaning="The session as it stands now.", schema=_SESSION)},
        problems=(400, 404, 408, 409, 413, 415),
        body=body or {},
        required=required,
    )


OPERATIONS: Final = (
    Operation(
        name="livez",
        method="GET",
        path="/livez",
        meaning="Tell whether the server's loop turns.",
        answers={200: Answer(meaning="It does.", media_type="text/plain", schema={"type": "string"})},
    ),
    Operation(
        name="readyz",
        method="GET",
        path="/readyz",
        meaning="Tell whether a new call would be taken, as OPTIONS does.",
        answers={
            200: Answer(meaning="It would.", schema={"$ref": "#/components/schemas/Readiness"}),
            503: Answer(meaning="It would not.", schema={"$ref": "#/components/schemas/Readiness"}),
        },
    ),
    Operation(
        name="metrics",
        method="GET",
        path="/metrics",
        meaning="Give the metrics in the text format of Prometheus.",
        answers={200: Answer(meaning="The metrics.", media_type="text/plain", schema={"type": "string"})},
    ),
    Operation(
        name="sessions",
        method="GET",
        path="/v1/sessions",
        meaning="List the sessions that are not over, the oldest first.",
        query={"status": {"type": "string", "enum": [each.value for each in SessionStatus]}},
        answers={200: Answer(meaning="The sessions.", schema={"$ref": "#/components/schemas/Sessions"})},
        problems=(400,),
    ),
    Operation(
        name="session",
        method="GET",
        path="/v1/sessions/{session}",
        meaning="Give one session as it stands.",
        answers={200: Answer(meaning="The session.", schema=_SESSION)},
        problems=(404,),
    ),
    _change("pause", "Have the client hold all media; nothing is recorded meanwhile (RFC 7866 section 7.2)."),
    _change("resume", "Go on after a pause."),
    _change("stop", "End the recording by BYE."),
    _change(
        "snapshot",
        "Ask the client for all its metadata (RFC 7866 section 9.2).",
        body={"reason": {"type": "string", "description": "for people"}},
    ),
    _change(
        "mark",
        "Keep a text in the timeline and the journal, with this instant.",
        status=200,
        body={"text": {"type": "string", "minLength": 1, "maxLength": 500}},
        required=("text",),
    ),
    Operation(
        name="events",
        method="GET",
        path="/v1/events",
        meaning="Follow the events of the server as server-sent events. Who comes back with Last-Event-ID misses none "
        "that is kept; the event `gap` tells how many are not.",
        query={"session": {"type": "string"}},
        headers=("Last-Event-ID",),
        answers={200: Answer(meaning="The events, without an end.", media_type="text/event-stream")},
    ),
    Operation(
        name="openapi",
        method="GET",
        path="/openapi.json",
        meaning="Give this document.",
        answers={200: Answer(meaning="The document.", schema={"type": "object"})},
    ),
)
"""All operations."""
EVERYWHERE: Final = (500, 503)
"""Errors of every operation."""
GUARDED: Final = (401, 403)
"""Errors of those that not everybody may ask."""
