"""Asks an operations interface over real HTTP, with the standard library alone."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from tests.app.programs import RunningServer

SECONDS = 15.0
"""After that a test gives up; nothing is asserted about time."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    media_type: str
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the operation gives
        return json.loads(self.body)


@dataclass(frozen=True)
class Told:
    """One server-sent event."""

    id: str
    name: str
    data: Any


class Http:
    """A client of one server."""

    def __init__(self, server: RunningServer, token: str | None = None) -> None:
        self.host: str = server.ready["http"]["host"]
        self.port: int = server.ready["http"]["port"]
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def __call__(
        self, method: str, path: str, content: object = None, *, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request; `content` is JSON, or octets as they are."""
        sent = {**self.headers, **(headers or {})}
        body = content if isinstance(content, bytes | None) else json.dumps(content).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = HTTPConnection(self.host, self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            media_type = response.headers.get_content_type()
            return Answer(response.status, media_type, response.read(), dict(response.headers))
        finally:
            connection.close()

    def get(self, path: str, **named: Any) -> Answer:  # noqa: ANN401 - as a call
        return self("GET", path, **named)

    def post(self, path: str, content: object = None, **named: Any) -> Answer:  # noqa: ANN401 - as a call
        return self("POST", path, content, **named)

    @contextmanager
    def events(self, last: str | None = None, query: str = "") -> Iterator[Iterator[Told]]:
        """Follow the events; the first that is given is the empty one that tells where they begin."""
        connection = HTTPConnection(self.host, self.port, timeout=SECONDS)
        try:
            sent = {**self.headers, **({} if last is None else {"Last-Event-ID": last})}
            connection.request("GET", f"/v1/events{query}", headers=sent)
            response = connection.getresponse()
            assert response.status == 200
            assert response.headers.get_content_type() == "text/event-stream"
            yield _events(response)
        finally:
            connection.close()

    def until(self, path: str, ready: Callable[[Answer], bool]) -> Answer:
        """Ask again and again until the answer is as wanted."""
        deadline = time.monotonic() + SECONDS
        while not ready(answer := self.get(path)):
            assert time.monotonic() < deadline, answer
            time.sleep(0.05)
        return answer

    def until_reachable(self) -> None:
        """Ask again and again until there is an answer at all."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                self.get("/livez")
            except (OSError, HTTPException):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return


def _events(response: HTTPResponse) -> Iterator[Told]:
    fields: dict[str, str] = {}
    while line := response.readline():
        name, colon, value = line.decode("utf-8").rstrip("\n").partition(": ")
        if colon:
            fields[name] = value
        elif fields:
            yield Told(fields.get("id", ""), fields.get("event", ""), json.loads(fields.get("data", "null")))
            fields = {}


def until_named(events: Iterator[Told], name: str) -> list[Told]:
    """Take events up to one of a name."""
    taken = []
    for told in events:
        taken.append(told)
        if told.name == name:
            return taken
    raise AssertionError(f"no {name} among {[told.name for told in taken]}")
