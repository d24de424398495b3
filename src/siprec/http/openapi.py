"""The OpenAPI document, made from the table of operations."""

import re

from siprec.http.access import OPEN_PATHS
from siprec.http.operations import EVERYWHERE, GUARDED, JSON, OPERATIONS, Operation
from siprec.http.problems import PROBLEM_TYPE
from siprec_core.recording.session_info import SessionStatus
from siprec_core.types import Transport

Schema = dict[str, object]


def openapi_document(*, version: str, token: bool) -> dict[str, object]:
    """Write the document; `token` tells that one is needed."""
    paths: dict[str, dict[str, object]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    document: dict[str, object] = {
        "openapi": "3.1.0",
        "info": {
            "title": "siprec",
            "version": version,
            "summary": "Operations of a recording server",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    return {**document, "security": [{"token": []}]} if token else document


def _operation(operation: Operation) -> dict[str, object]:
    responses: dict[str, object] = {
        str(status): {
            "description": answer.meaning,
            "content": {answer.media_type: {} if answer.schema is None else {"schema": answer.schema}},
        }
        for status, answer in operation.answers.items()
    }
    guarded = () if operation.path in OPEN_PATHS else GUARDED
    for status in (*operation.problems, *guarded, *EVERYWHERE):
        responses.setdefault(
            str(status),
            {
                "description": "What is wrong (RFC 9457).",
                "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
    found: dict[str, object] = {
        "operationId": operation.name,
        "summary": operation.meaning,
        "responses": dict(sorted(responses.items())),
    }
    if not guarded:
        found["security"] = []
    if parameters := _parameters(operation):
        found["parameters"] = parameters
    if operation.body:
        schema = _object(operation.required, dict(operation.body))
        found["requestBody"] = {"required": bool(operation.required), "content": {JSON: {"schema": schema}}}
    return found


def _parameters(operation: Operation) -> list[Schema]:
    text: Schema = {"type": "string"}
    found: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    found += [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()]
    found += [{"name": name, "in": "header", "schema": text} for name in operation.headers]
    return found


def _object(required: tuple[str, ...] | None, members: dict[str, object]) -> Schema:
    """Describe an object; `required` None means all members."""
    return {"type": "object", "properties": members, "required": list(members if required is None else required)}


_TEXT: Schema = {"type": "string"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_MAYBE_INSTANT: Schema = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_ADDRESS = {"$ref": "#/components/schemas/Address"}


def _list(of: object) -> Schema:
    return {"type": "array", "items": of}


_SUMMARY: dict[str, object] = {
    "id": _TEXT,
    "status": {"type": "string", "enum": [each.value for each in SessionStatus]},
    "state": _TEXT,
    "call_id": _TEXT,
    "local_tag": _TEXT,
    "remote_tag": _TEXT,
    "peer": _ADDRESS,
    "transport": {"type": "string", "enum": [each.value for each in Transport]},
    "user_agent": _MAYBE_TEXT,
    "authenticated_user": _MAYBE_TEXT,
    "started_at": _INSTANT,
    "answered_at": _MAYBE_INSTANT,
    "labels": _list(_TEXT),
    "datamode": {"enum": ["complete", "partial", None]},
    "dialect": _TEXT,
    "metadata_documents": _COUNT,
    "findings": _COUNT,
    "directory": _TEXT,
}
DETAILS = frozenset(("streams", "participants", "files"))
"""Fields of a session that the list leaves out."""
_STREAM: dict[str, object] = {
    "label": _TEXT,
    "stream_id": _MAYBE_TEXT,
    "codec": _MAYBE_TEXT,
    "direction": _TEXT,
    "local_port": _COUNT,
    "remote": {"oneOf": [_ADDRESS, {"type": "null"}]},
    "packets_received": _COUNT,
    "packets_lost": _COUNT,
    "packets_duplicate": _COUNT,
    "packets_reordered": _COUNT,
    "packets_rejected": _COUNT,
    "jitter": {"type": "number", "description": "seconds"},
    "last_packet_at": _MAYBE_INSTANT,
}
SCHEMAS: dict[str, Schema] = {
    "Address": _object(None, {"host": _TEXT, "port": _COUNT}),
    "Problem": _object(None, {"type": _TEXT, "title": _TEXT, "status": _COUNT, "detail": _TEXT}),
    "Readiness": _object(
        None,
        {
            "ready": {"type": "boolean"},
            "reason": {"enum": [None, "draining", "full", "no-ports", "storage-full", "storage-failed"]},
        },
    ),
    "Session": _object(
        None,
        {
            **_SUMMARY,
            "streams": _list(_object(None, _STREAM)),
            "participants": _list(_object(None, {"id": _TEXT, "aors": _list(_TEXT), "names": _list(_TEXT)})),
            "files": _list(_TEXT),
        },
    ),
    "Sessions": _object(None, {"sessions": _list(_object(None, _SUMMARY))}),
}
"""What requests and answers hold, by name."""
