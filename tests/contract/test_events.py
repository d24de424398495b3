"""What a server tells its application: the same events in the same order, whatever it runs on."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from siprec_core.recording.events import (
    Diagnostic,
    Event,
    FindingRaised,
    ServerDrained,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SourceFound,
)
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import Transport
from tests.contract.conftest import WORKERS, Running, StartServer, start_on
from tests.contract.peer import PATIENCE, Answer, Peer

MANUAL = ServerConfig(manual=True)
REQUESTED = ["SessionRequested", "FindingRaised siprec-no-metadata"]
ESTABLISHED = [*REQUESTED, "SessionEstablished 1,2"]
_LOST_ACK_SECONDS = 32.0
"""64 times T1 (RFC 3261 section 13.3.1.4)."""

both = pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP], ids=lambda each: each.value)


def told(server: Running) -> list[str]:
    """Give the events so far as text, without what differs from call to call."""
    return [_text(event) for event in server.events]


def _text(event: Event) -> str:
    match event:
        case SessionEstablished():
            detail = ",".join(event.labels)
        case SessionEnded():
            detail = f"{event.reason} {event.status}"
        case SessionRefused():
            detail = str(event.status)
        case FindingRaised():
            detail = event.finding.code
        case Diagnostic():
            detail = event.code
        case SourceFound():
            detail = event.label
        case _:
            detail = ""
    return f"{type(event).__name__} {detail}".strip()


@both
def test_a_call(server: Running, transport: Transport) -> None:
    with server.peer(transport) as peer:
        ports = peer.establish(streams=2)
        for label, port in enumerate(ports, 1):
            peer.talk(port, 10, ssrc=label)
            assert server.until(SourceFound).label == str(label)
        assert peer.request("BYE", 2).status == 200
        server.ended()
    assert told(server) == [*ESTABLISHED, "SourceFound 1", "SourceFound 2", "SessionEnded bye completed"]


