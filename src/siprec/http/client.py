"""Asks an operations interface, with nothing but the standard library."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from siprec.http.plan import read_token
from siprec.outcome import CommandError, Exit
from siprec_core.errors import RemoteProtocolError
from siprec_core.recording.session_info import SessionInfo

DEFAULT_URL: Final = "http://127.0.0.1:8080"
_ANSWER_SIZE: Final = 256 * 1024 * 1024
"""Octets of an answer: a list of many thousand sessions is a few megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsClient:
    """The operations interface of one server. Its methods raise CommandError: 69 when nothing answers, else 1."""

    url: str = DEFAULT_URL
    token: str | None = field(default=None, repr=False)
    timeout: float = 10.0
    """Seconds."""

    def sessions(self, status: str | None = None) -> list[dict[str, object]]:
        """List the sessions, those of a status or all."""
        answer = self._ask("GET", f"/v1/sessions{f'?status={quote(status)}' if status else ''}")
        listed = answer.get("sessions")
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise self._strange("no list of sessions")
        return listed

    def session(self, session: str) -> SessionInfo:
        """Give one session."""
        return self._read(self._ask("GET", f"/v1/sessions/{quote(session, safe='')}"))

    def change(self, session: str, action: str, members: dict[str, str] | None = None) -> SessionInfo:
        """Ask for a change (`pause`, `resume`, `stop`, `snapshot`, `mark`) and give the session as it stands then."""
        return self._read(self._ask("POST", f"/v1/sessions/{quote(session, safe='')}/{action}", members))

    def _read(self, answer: dict[str, object]) -> SessionInfo:
        try:
            return SessionInfo.from_json(answer)
        except RemoteProtocolError as error:
            raise self._strange(error.message) from error

    def _ask(self, method: str, path: str, members: dict[str, str] | None = None) -> dict[str, object]:
        connection, base = self._connect()
        headers = {"Accept": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        body = None
        if members:
            headers["Content-Type"] = "application/json"
            body = json.dumps(members)
        try:
            connection.request(method, f"{base}{path}", body, headers)
            response = connection.getresponse()
            data = response.read(_ANSWER_SIZE)
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise CommandError(f"{self.url}: {reason[:1].lower()}{reason[1:]}", Exit.UNREACHABLE) from error
        finally:
            connection.close()
        return self._checked(response, data)

    def _connect(self) -> tuple[HTTPConnection, str]:
        """Make a connection, and give the path that stands before all others."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise CommandError(f"--url {self.url}: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError(f"--url {self.url}: write http://HOST:PORT")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(parts.hostname, port, timeout=self.timeout), parts.path.rstrip("/")

    def _checked(self, response: HTTPResponse, data: bytes) -> dict[str, object]:
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            content = None
        if not 200 <= response.status < 300:
            detail = content.get("detail") if isinstance(content, dict) else None
            raise CommandError(
                f"{self.url}: {detail if isinstance(detail, str) else f'{response.status} {response.reason}'}",
                Exit.PROBLEMS,
            )
        if not isinstance(content, dict):
            raise self._strange("no JSON object")
        return content

    def _strange(self, detail: str) -> CommandError:
        return CommandError(f"{self.url}: not the answer of a recording server: {detail}", Exit.PROBLEMS)


def client_from(
    url: str | None, token_file: str | None, environment: Mapping[str, str], *, timeout: float
) -> OperationsClient:
    """Make a client from options, else from the variables that the server has too. Raises CommandError."""
    bind = environment.get("SIPREC_HTTP__BIND")
    file = token_file or environment.get("SIPREC_HTTP__TOKEN_FILE")
    return OperationsClient(
        url=url or (f"http://{bind}" if bind else DEFAULT_URL),
        token=read_token(Path(file)) if file else None,
        timeout=timeout,
    )
