"""Log lines: one an event, whatever a peer wrote."""

import json
import logging
import re
from collections.abc import Iterator

import pytest

from siprec.logs import EventLog, redacted, set_up_logs
from siprec_core.findings import Severity, finding
from siprec_core.recording.events import (
    Diagnostic,
    FindingRaised,
    ServerDrained,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
)
from siprec_core.types import Address, SessionId, Transport

ID = SessionId("0123")
PEER = Address("192.0.2.1", 5060)
REQUESTED = SessionRequested(
    session=ID, call_id="c\r\n1\x1b[31m", peer=PEER, transport=Transport.TCP, user_agent="agent\n2000-01-01 forged"
)


@pytest.fixture
def restored_logs() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str], level: str, *events: object) -> list[str]:
    set_up_logs(level)
    log = EventLog()
    for event in events:
        log.write(event)  # type: ignore[arg-type]
    return [line.partition("Z ")[2] for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("restored_logs")
def test_lines_name_recording_and_call(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(
        capsys,
        "info",
        REQUESTED,
        SessionEstablished(session=ID, labels=("1", "2")),
        SessionEnded(session=ID, reason="bye", status="failed", directory="2024/01/15/0123"),
        SessionRefused(call_id="other", peer=PEER, status=486, reason="Busy Here"),
        ServerDrained(),
    )
    start = "recording=0123 call=c\\r\\n1\\x1b[31m peer=192.0.2.1:5060 "
    assert found == [
        f"INFO    {start}requested by 192.0.2.1:5060 over tcp, agent\\n2000-01-01 forged",
        f"INFO    {start}established, streams 1, 2",
        f"ERROR   {start}ended (bye), failed, 2024/01/15/0123",
        "WARNING call=other peer=192.0.2.1:5060 refused 192.0.2.1:5060: 486 Busy Here",
        "INFO    all sessions have ended",
    ]


@pytest.mark.usefixtures("restored_logs")
def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    events = (
        FindingRaised(session=ID, finding=finding("siprec-no-require", "Require")),
        FindingRaised(session=ID, finding=finding("siprec-no-metadata", "body")),
        Diagnostic(code="storage-failed", severity=Severity.ERROR, session=None, detail="disk"),
    )
    assert [line.split()[0] for line in lines(capsys, "debug", *events)] == ["INFO", "DEBUG", "ERROR"]
    assert lines(capsys, "warning", *events) == ["ERROR   storage-failed: disk"]


@pytest.mark.usefixtures("restored_logs")
def test_the_frontends_own_event_lines_are_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info")
    logging.getLogger("siprec").info("an event")
    logging.getLogger("siprec.sinks").error("trouble\nwith\x00disk")
    assert capsys.readouterr().err.endswith("Z ERROR   trouble\\nwith\\x00disk\n")


@pytest.mark.usefixtures("restored_logs")
def test_refused_and_ended_calls_are_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    refused = SessionRefused(call_id=REQUESTED.call_id, peer=PEER, status=487, reason="Request Terminated")
    found = lines(capsys, "info", REQUESTED, refused, SessionEstablished(session=ID, labels=()))
    assert found[-1].startswith("INFO    recording=0123 call=- peer=- ")


@pytest.mark.usefixtures("restored_logs")
def test_json_has_the_call_in_fields(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", "json")
    log = EventLog()
    log.write(REQUESTED)
    log.write(ServerDrained())
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("at"))
    assert first == {
        "level": "info",
        "logger": "siprec.calls",
        "recording": "0123",
        "call": "c\\r\\n1\\x1b[31m",
        "peer": "192.0.2.1:5060",
        "message": "requested by 192.0.2.1:5060 over tcp, agent\\n2000-01-01 forged",
    }
    assert (second["message"], "call" in second) == ("all sessions have ended", False)


def fault() -> None:
    try:
        raise ValueError("broken\nthing")
    except ValueError:
        logging.getLogger("siprec.driver").critical("the driver stops", exc_info=True)


@pytest.mark.usefixtures("restored_logs")
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_fault_has_its_traceback_only_for_debugging(capsys: pytest.CaptureFixture[str], form: str) -> None:
    set_up_logs("info", form)
    fault()
    (line,) = capsys.readouterr().err.splitlines()
    message = json.loads(line)["message"] if form == "json" else line
    assert message.endswith("the driver stops: ValueError: broken\\nthing")
    assert "Traceback" not in line
    set_up_logs("info", form, debug=True)
    fault()
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert (len(shown.splitlines()) == 1) is (form == "json")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "a=crypto:1 SUITE inline:AAAA+/bb==|2^20",
            "a=crypto:1 SUITE inline:***|2^20",
        ),
        ("Authorization: Digest username=x\r\nVia: y", "Authorization: ***\r\nVia: y"),
        ('Digest nonce="1", response="0123", uri="sip:x"', 'Digest nonce="1", response=***, uri="sip:x"'),
        ("to sip:alice:secret@example.com", "to sip:alice:***@example.com"),
        ("to sip:alice@example.com:5060", "to sip:alice@example.com:5060"),
    ],
)
def test_secrets_are_blotted_out(text: str, shown: str) -> None:
    assert redacted(text) == shown
