"""What goes wrong, told to HTTP clients as `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

PROBLEM_TYPE: Final = "application/problem+json"


class ProblemError(Exception):
    """Ends a request with an error."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Make the response of an error."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(json.dumps(content), status, media_type=PROBLEM_TYPE, headers=headers)
