"""Asking for a session: from which listener, and when the asking is over."""

import socket

import pytest

from siprec_core.errors import ConfigurationError
from siprec_core.recording.events import Event, SessionEstablished, SessionRefused, SessionRequested
from siprec_core.recording.outbound import RecordSpec
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, SessionId, Transport
from siprec_sync.asking import AskedSession, from_listener
from siprec_sync.calls import CallRefusedError
from siprec_sync.events import EventQueue, ServerHub, session_queue
from siprec_sync.listeners import Listener

PEER = Address("127.0.0.1", 5070)
ONE, OTHER = SessionId("one"), SessionId("other")


def requested(session: SessionId) -> SessionRequested:
    return SessionRequested(
        session=session, call_id=session, peer=PEER, transport=Transport.UDP, user_agent=None, initiator="server"
    )


def refused(session: SessionId | None, call_id: str) -> SessionRefused:
    return SessionRefused(call_id=call_id, peer=PEER, status=486, reason="Busy Here", session=session)


class Bench:
    def __init__(self) -> None:
        self.hub = ServerHub()
        self.rings = 0
        self.asked = AskedSession[EventQueue[Event]](self.hub, self._ring, self._make)
        self.hub.add(self.asked)

    def _ring(self) -> None:
        self.rings += 1

    @staticmethod
    def _make(event: SessionRequested) -> tuple[EventQueue[Event], EventQueue[Event]]:
        queue = session_queue(event, lambda: None)
        return queue, queue


def test_the_session_is_there_with_all_its_events_when_it_is_established() -> None:
    bench = Bench()
    bench.hub.publish(refused(None, "before the asking"))
    bench.asked.id = ONE
    bench.hub.publish(requested(OTHER))
    bench.hub.publish(requested(ONE))
    bench.hub.publish(refused(OTHER, OTHER))
    closed = [bench.asked.closed]
    established = SessionEstablished(session=ONE, labels=("1",))
    bench.hub.publish(established)
    closed.append(bench.asked.closed)
    assert closed == [False, True]
    assert bench.rings == 1
    queue = bench.asked.answer()
    assert queue is not None
    assert queue.take() == established


def test_a_refusal_is_an_error_with_its_status() -> None:
    bench = Bench()
    bench.asked.id = ONE
    bench.hub.publish(requested(ONE))
    bench.hub.publish(refused(ONE, ONE))
    with pytest.raises(CallRefusedError) as caught:
        bench.asked.answer()
    assert (caught.value.status, caught.value.reason) == (486, "Busy Here")


def test_a_server_that_stops_gives_nothing() -> None:
    bench = Bench()
    bench.asked.id = ONE
    bench.hub.close()
    assert bench.asked.closed
    assert bench.asked.answer() is None


@pytest.mark.parametrize(
    ("transport", "host", "expected"),
    [
        (Transport.UDP, "127.0.0.1", Address("127.0.0.1", 5060)),
        (Transport.TCP, "127.0.0.1", Address("127.0.0.1", 5062)),
        (Transport.TLS, "127.0.0.1", None),
        (Transport.UDP, "::1", None),
    ],
)
def test_the_listener_of_the_transport_is_taken(transport: Transport, host: str, expected: Address | None) -> None:
    with socket.socket() as unused:
        listeners = [
            Listener(Transport.UDP, Address("127.0.0.1", 5060), unused),
            Listener(Transport.TCP, Address("0.0.0.0", 5062), unused),
        ]
        target = RecordSpec(uri="sip:x", hop=Hop(transport, Address(host, 5070)))
        if expected is None:
            with pytest.raises(ConfigurationError):
                from_listener(target, listeners)
        else:
            assert from_listener(target, listeners).local == expected
            named = RecordSpec(uri="sip:x", hop=target.hop, local=Address("192.0.2.1", 1))
            assert from_listener(named, listeners) is named
