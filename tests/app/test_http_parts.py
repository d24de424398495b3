"""The parts of the operations interface by themselves: settings, events, backlog, counts, the document."""

import argparse
import json
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import anyio
import siprec.http.feed as feed_module
from siprec.configuration import Configuration, add_options, read_configuration
from siprec.http.connections import PatientEvent
from siprec.http.event_json import event_json, event_name
from siprec.http.feed import EventFeed
from siprec.http.interface import Interface
from siprec.http.openapi import DETAILS, SCHEMAS, openapi_document
from siprec.http.operations import OPERATIONS
from siprec.http.plan import make_http_plan, read_token
from siprec.http.tally import LAG_BOUNDS, LagMeter, Tally
from siprec.outcome import CommandError
from siprec_core.findings import Severity, finding
from siprec_core.recording.events import (
    Diagnostic,
    DigitReceived,
    Event,
    FindingRaised,
    ServerDrained,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
)
from siprec_core.recording.session_info import SessionInfo, StreamInfo
from siprec_core.types import Address, SessionId, Transport
from tests.app.programs import Program, start
from tests.tree import SRC

ID = SessionId("s1")
REFUSED = SessionRefused(call_id="c", peer=Address("192.0.2.1", 5060), status=486, reason="Busy Here")
ESTABLISHED = SessionEstablished(session=ID, labels=("1", "2"))


def configuration(*words: str) -> Configuration:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return read_configuration(parser.parse_args(words), {})


# settings


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "[::1]:0", "localhost:80", "127.9.9.9:1"])
def test_this_machine_may_ask_without_a_token(address: str) -> None:
    plan = make_http_plan(configuration("--http", address).settings)
    assert plan is not None
    assert str(plan.bind) == address
    assert plan.token is None


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "[::]:0", "192.0.2.1:80", "recorder.example:80"])
def test_others_need_a_token(address: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--http-token-file"):
        make_http_plan(configuration("--http", address).settings)
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n", encoding="ascii")
    plan = make_http_plan(configuration("--http", address, "--http-token-file", str(file)).settings)
    assert plan is not None
    assert plan.token == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(plan)


@pytest.mark.parametrize("text", ["8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "::1:80", ":80"])
def test_addresses_that_are_none(siprec: Program, text: str) -> None:
    done = siprec("serve", "--http", text, "--check-config")
    assert done.code == 2
    assert done.err.startswith("siprec: ")


def test_a_token_file_alone_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--http, which is not given"):
        make_http_plan(configuration("--http-token-file", str(tmp_path / "x")).settings)


@pytest.mark.parametrize(
    "content", [b"", b"short\n", b"has blanks in it somewhere", b"\xff" * 20, b"two\nlines of token..."]
)
def test_files_that_hold_no_token(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(CommandError, match="a token is one line"):
        read_token(tmp_path / "token")
    with pytest.raises(CommandError, match="no such file"):
        read_token(tmp_path / "none")


def test_the_extra_is_named_when_it_is_absent(siprec: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siprec.http.plan.find_spec", lambda name: None)
    done = siprec("serve", "--http", "127.0.0.1:0", "--check-config")
    assert (done.code, done.out) == (2, "")
    assert "siprec[server]" in done.err
    assert siprec("serve", "--check-config").code == 0


@pytest.mark.parametrize("worker", ["asyncio", "sync"])
def test_a_port_in_use_is_one_line_and_2(tmp_path: Path, worker: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        program = start(["serve", "-k", worker, "-b", "udp://127.0.0.1:0", "--http", f"127.0.0.1:{port}"], tmp_path)
        _, err = program.communicate(timeout=30)
    assert program.returncode == 2
    assert err == f"siprec: --http: cannot listen on tcp://127.0.0.1:{port}: address already in use\n"


def test_nothing_of_the_extra_is_loaded_without_it() -> None:
    names = "starlette hypercorn prometheus_client"
    code = f"import sys, siprec.command_serve, siprec.command_sessions; print(set({names.split()}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SRC)
    assert done.stdout == "set()\n"


# events


def test_events_are_json_without_secrets() -> None:
    requested = SessionRequested(
        session=ID,
        call_id="c",
        peer=Address("192.0.2.1", 5060),
        transport=Transport.UDP,
        user_agent="a\nb" + "x" * 5_000,
    )
    told = json.loads(event_json(requested))
    assert (told["event"], told["session"], told["peer"]) == (
        "session-requested",
        ID,
        {"host": "192.0.2.1", "port": 5060},
    )
    assert told["transport"] == "udp"
    assert told["user_agent"].startswith("a\nb")
    assert len(told["user_agent"]) < 1_100
    assert "\n" not in event_json(requested)
    digit = DigitReceived(session=ID, label="1", digit="7", at_ns=0)
    assert "7" not in json.loads(event_json(digit)).values()
    assert event_name(digit) == "digit-received"
    secret = Diagnostic(code="x", severity=Severity.INFO, session=None, detail="inline:c2VjcmV0LWtleQ==")
    assert "c2Vjcm" not in event_json(secret)
    raised = FindingRaised(session=ID, finding=finding("siprec-no-metadata", "body", line=3))
    assert json.loads(event_json(raised))["finding"]["line"] == 3


def events_of(pieces: bytes) -> list[dict[str, str]]:
    blocks = [block for block in pieces.decode().split("\n\n") if block]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks if not block.startswith(":")]


async def take(stream: AsyncGenerator[bytes], count: int) -> list[dict[str, str]]:
    """Take so many events."""
    found: list[dict[str, str]] = []
    while len(found) < count:
        found += events_of(await anext(stream))
    return found


@pytest.mark.anyio
async def test_a_reader_who_falls_behind_is_told_how_much_it_missed() -> None:
    feed = EventFeed("ab", capacity=10)
    feed.put(ESTABLISHED)
    async with aclosing(feed.stream("ab-1")) as stream:
        (begin,) = await take(stream, 1)
        assert begin["id"] == "ab-1"
        for _ in range(25):
            feed.put(REFUSED)
        gap, *rest = await take(stream, 11)
        assert (gap["event"], json.loads(gap["data"])) == ("gap", {"event": "gap", "missed": 15})
        assert gap["id"] == "ab-16"
        assert [each["id"] for each in rest] == [f"ab-{number}" for number in range(17, 27)]
        feed.close()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


@pytest.mark.anyio
async def test_a_new_reader_begins_now_and_wakes_for_each_event() -> None:
    feed = EventFeed("ab")
    feed.put(REFUSED)
    async with aclosing(feed.stream(None)) as stream:
        assert (await take(stream, 1))[0]["id"] == "ab-1"
        async with anyio.create_task_group() as tasks:

            async def put_later() -> None:
                await anyio.sleep(0)
                feed.put(ESTABLISHED)

            tasks.start_soon(put_later)
            (told,) = await take(stream, 1)
        assert (told["event"], told["id"]) == ("session-established", "ab-2")


@pytest.mark.anyio
async def test_a_quiet_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "KEEP_ALIVE_SECONDS", 0.01)
    feed = EventFeed("ab")
    async with aclosing(feed.stream(None, ID)) as stream:
        await anext(stream)
        assert await anext(stream) == b": keep-alive\n\n"
        feed.put(REFUSED)
        assert await anext(stream) == b": keep-alive\n\n", "of another session"
        feed.put(ESTABLISHED)
        assert [each["event"] for each in await take(stream, 1)] == ["session-established"]


@pytest.mark.parametrize(
    ("last", "position", "lost"),
    [(None, 1, False), ("ab-0", 0, False), ("ab-1", 1, False), ("ab-2", 0, True), ("cd-1", 0, True), ("x", 0, True)],
)
def test_where_a_reader_goes_on(last: str | None, position: int, lost: bool) -> None:
    feed = EventFeed("ab")
    feed.put(REFUSED)
    assert feed.position_of(last) == (position, lost)


def test_one_wake_up_serves_many_events() -> None:
    rings: list[Any] = []
    feed = EventFeed("ab", wake=rings.append)
    for _ in range(5):
        feed.put(REFUSED)
    assert len(rings) == 1
    rings[0]()
    feed.put(REFUSED)
    assert len(rings) == 2


@pytest.mark.anyio
async def test_the_last_event_of_a_server_is_waited_for() -> None:
    feed = EventFeed("ab")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.wait_drained)
        await anyio.sleep(0)
        feed.put(ServerDrained())
    assert not feed.closed


@pytest.mark.anyio
async def test_events_of_hypercorn_are_not_waited_for_without_end() -> None:
    class Never:
        async def wait(self) -> None:
            await anyio.sleep_forever()

        async def clear(self) -> None: ...

        async def set(self) -> None: ...

        def is_set(self) -> bool:
            return False

    with pytest.raises(TimeoutError):
        await PatientEvent(Never, 0.01).wait()


# counts


def test_events_are_counted() -> None:
    tally = Tally()
    events: list[Event] = [
        REFUSED,
        REFUSED,
        ESTABLISHED,
        SessionEnded(session=ID, reason="bye", status="completed", directory="d"),
        FindingRaised(session=ID, finding=finding("siprec-no-metadata", "body")),
        ServerDrained(),
    ]
    for event in events:
        tally.notice(event)
    assert tally.refused == {486: 2}
    assert (tally.requested, tally.established) == (0, 1)
    assert tally.ended == {("completed", "bye"): 1}
    assert [code for code, _ in tally.findings] == ["siprec-no-metadata"]


def test_lag_is_counted_in_buckets() -> None:
    meter = LagMeter()
    for seconds in (0.0, LAG_BOUNDS[0], 0.002, 100.0):
        meter.observe(seconds)
    buckets = dict(meter.buckets())
    assert (buckets[str(LAG_BOUNDS[0])], buckets[str(LAG_BOUNDS[1])], buckets["+Inf"]) == (2, 3, 4)
    assert meter.sum == pytest.approx(100.003)


# the document


def test_every_operation_is_described_and_implemented() -> None:
    document = openapi_document(version="1", token=False)
    described = {
        (method.upper(), path, operation["operationId"])
        for path, methods in document["paths"].items()  # type: ignore[attr-defined]
        for method, operation in methods.items()
    }
    assert described == {(each.method, each.path, each.name) for each in OPERATIONS}
    assert all(callable(getattr(Interface, each.name)) for each in OPERATIONS)
    assert "security" not in document
    text = json.dumps(document)
    for name in SCHEMAS:
        assert f'"#/components/schemas/{name}"' in text


def test_schemas_have_the_fields_of_sessions() -> None:
    session: Any = SCHEMAS["Session"]["properties"]
    assert list(session) != []
    assert set(session) == {each.name for each in fields(SessionInfo)}
    assert set(session["streams"]["items"]["properties"]) == {each.name for each in fields(StreamInfo)}
    listed: Any = SCHEMAS["Sessions"]["properties"]
    assert set(listed["sessions"]["items"]["properties"]) == set(session) - DETAILS
