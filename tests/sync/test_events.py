"""Events on their way to the application."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.findings import Severity, finding
from siprec_core.recording.call_events import AudioFinished, RecordingAttempted, RecordingEnded, RecordingRefused
from siprec_core.recording.events import (
    Diagnostic,
    DigitReceived,
    Event,
    FindingRaised,
    MetadataUpdated,
    ServerDrained,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
    SourceFound,
    StreamsChanged,
)
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, SessionId, Transport
from siprec_sync.events import (
    EventHub,
    EventQueue,
    ServerHub,
    SlowReaderError,
    log_call_event,
    log_event,
    printable,
    session_of,
    session_queue,
)

PEER = Address("192.0.2.1", 5060)
ONE, TWO = SessionId("one"), SessionId("two")


def requested(session: SessionId, call_id: str = "") -> SessionRequested:
    return SessionRequested(
        session=session, call_id=call_id or session, peer=PEER, transport=Transport.UDP, user_agent=None
    )


def established(session: SessionId) -> SessionEstablished:
    return SessionEstablished(session=session, labels=("1",))


def ended(session: SessionId) -> SessionEnded:
    return SessionEnded(session=session, reason="bye", status="completed", directory="d")


def refused(call_id: str) -> SessionRefused:
    return SessionRefused(call_id=call_id, peer=PEER, status=487, reason="Request Terminated")


def informing(session: SessionId = ONE) -> MetadataUpdated:
    return MetadataUpdated(session=session, complete=True)


def taken(queue: EventQueue[Event]) -> list[Event]:
    found: list[Event] = []
    while (event := queue.take()) is not None:
        found.append(event)
    return found


def test_a_queue_gives_events_in_order_and_rings() -> None:
    rings: list[None] = []
    queue = EventQueue[Event](lambda: rings.append(None))
    for event in (requested(ONE), established(ONE)):
        queue.put(event)
    assert taken(queue) == [requested(ONE), established(ONE)]
    queue.close()
    assert len(rings) == 3


def test_a_queue_is_ready_for_an_event_or_the_end() -> None:
    queue = EventQueue[Event](lambda: None)
    states = [queue.ready]
    queue.put(requested(ONE))
    states.append(queue.ready)
    queue.take()
    states.append(queue.ready)
    queue.close()
    states.append(queue.ready)
    assert states == [False, True, False, True]


def test_a_filter_keeps_others_out() -> None:
    queue = EventQueue[Event](lambda: None, accepts=lambda event: session_of(event) == TWO)
    for event in (requested(ONE), requested(TWO), ServerDrained(), refused("x")):
        queue.put(event)
    assert taken(queue) == [requested(TWO)]


def test_a_slow_reader_loses_what_only_informs() -> None:
    queue = EventQueue[Event](lambda: None, capacity=2)
    for event in (requested(ONE), informing(), informing(), established(ONE)):
        queue.put(event)
    assert queue.dropped == 1
    assert taken(queue) == [requested(ONE), informing(), established(ONE)]


def test_a_very_slow_reader_is_told() -> None:
    queue = EventQueue[Event](lambda: None, capacity=2)
    for _ in range(5):
        queue.put(ended(ONE))
    assert [queue.take() for _ in range(4)] == [ended(ONE)] * 4
    with pytest.raises(SlowReaderError):
        queue.take()


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 8))
def test_a_queue_never_holds_more_than_its_bound(kinds: list[bool], capacity: int) -> None:
    queue = EventQueue[Event](lambda: None, capacity=capacity)
    for matters in kinds:
        queue.put(ended(ONE) if matters else informing())
        assert len(queue._events) <= 2 * capacity
    kept = list(queue._events)
    assert kept.count(ended(ONE)) == sum(kinds) or queue.broken


def test_a_session_queue_ends_with_its_session() -> None:
    for last in (ended(ONE), refused("call-one")):
        queue = session_queue(requested(ONE, "call-one"), lambda: None)
        for event in (established(ONE), established(TWO), refused("call-two"), last, informing()):
            queue.put(event)
        assert taken(queue) == [established(ONE), last]
        assert queue.closed


def test_the_hub_serves_every_reader() -> None:
    hub = EventHub[Event](lambda event: None)
    queues = [EventQueue[Event](lambda: None) for _ in range(3)]
    hub.add(*queues)
    hub.publish(requested(ONE))
    hub.remove(queues[2])
    hub.remove(queues[2])
    hub.publish(ended(ONE))
    hub.close()
    assert [taken(queue) for queue in queues] == [[requested(ONE), ended(ONE)]] * 2 + [[requested(ONE)]]
    late = EventQueue[Event](lambda: None)
    hub.add(late)
    assert [queue.closed for queue in (*queues, late)] == [True, True, False, True]


def test_a_closed_reader_is_forgotten() -> None:
    hub = EventHub[Event](lambda event: None)
    queue = session_queue(requested(ONE), lambda: None)
    hub.add(queue)
    hub.publish(ended(ONE))
    assert hub._readers == []


def test_the_feed_begins_with_what_runs() -> None:
    hub = ServerHub()
    for event in (requested(ONE), requested(TWO), ended(ONE), established(TWO), requested(SessionId("gone"), "c")):
        hub.publish(event)
    hub.publish(refused("c"))

    def make(event: SessionRequested) -> tuple[SessionRequested, EventQueue[Event]]:
        queue = session_queue(event, lambda: None)
        queues[event.session] = queue
        return event, queue

    queues: dict[SessionId, EventQueue[Event]] = {}
    feed = hub.follow_sessions(lambda: None, make)
    assert feed.take() == requested(TWO)
    assert feed.take() is None
    assert not feed.ready
    hub.publish(requested(ONE))
    hub.publish(established(ONE))
    hub.publish(ended(TWO))
    assert feed.take() == requested(ONE)
    assert taken(queues[ONE]) == [established(ONE)]
    assert taken(queues[TWO]) == [ended(TWO)]
    hub.close()
    assert (feed.ready, feed.closed, feed.take(), queues[ONE].closed) == (True, True, None, True)
    assert hub.follow_sessions(lambda: None, make).closed


def test_a_feed_that_nobody_reads_is_bounded() -> None:
    hub = ServerHub()

    def make(event: SessionRequested) -> tuple[SessionRequested, EventQueue[Event]]:
        return event, session_queue(event, lambda: None)

    feed = hub.follow_sessions(lambda: None, make)
    feed._capacity = 2
    for index in range(4):
        hub.publish(requested(SessionId(str(index))))
    assert [feed.take(), feed.take()] == [requested(SessionId("0")), requested(SessionId("1"))]
    with pytest.raises(SlowReaderError):
        feed.take()


EVENTS: list[tuple[Event, int, str]] = [
    (requested(ONE), logging.INFO, "one requested by 192.0.2.1:5060 over udp, Call-ID one"),
    (established(ONE), logging.INFO, "one established, streams 1"),
    (StreamsChanged(session=ONE, labels=("1", "2")), logging.INFO, "one streams are now 1, 2"),
    (informing(), logging.DEBUG, "one metadata, complete"),
    (
        SourceFound(session=ONE, label="1", source=PEER, ssrc=10),
        logging.INFO,
        "one stream 1 comes from 192.0.2.1:5060, SSRC 0x0000000a",
    ),
    (DigitReceived(session=ONE, label="1", digit="5", at_ns=0), logging.DEBUG, "one a key was pressed"),
    (ended(ONE), logging.INFO, "one ended (bye), completed, d"),
    (
        SessionEnded(session=ONE, reason="bye", status="failed", directory="d"),
        logging.ERROR,
        "one ended (bye), failed, d",
    ),
    (refused("c"), logging.INFO, "refused 192.0.2.1:5060: 487 Request Terminated, Call-ID c"),
    (
        FindingRaised(session=ONE, finding=finding("sip-malformed", "Via", "what")),
        logging.INFO,
        "one finding sip-malformed at Via: what",
    ),
    (Diagnostic(code="c", severity=Severity.WARNING, session=None, detail="d"), logging.WARNING, "c: d"),
    (ServerDrained(), logging.INFO, "all sessions have ended"),
]


@pytest.mark.parametrize(("event", "level", "text"), EVENTS)
def test_events_in_the_log(event: Event, level: int, text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "siprec"):
        log_event(event)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(level, text)]


def test_call_events_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "siprec"):
        log_call_event(RecordingAttempted(hop=Hop(Transport.TCP, PEER)))
        log_call_event(RecordingRefused(status=486, reason="Busy Here"))
        log_call_event(AudioFinished(label="1", packets=5))
        log_call_event(RecordingEnded(reason="refused"))
    assert [record.getMessage() for record in caplog.records] == [
        "calling 192.0.2.1:5060 over tcp",
        "refused: 486 Busy Here",
        "stream 1: 5 packets sent",
        "ended (refused)",
    ]


def test_a_log_line_stays_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "siprec"):
        log_event(refused("x\r\nINFO all is well\x1b[2J"))
    (record,) = caplog.records
    assert record.getMessage().endswith("Call-ID x\\r\\nINFO all is well\\x1b[2J")


@given(st.text(max_size=2_000))
def test_printable_texts(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text, longest=10_000) == text or not text.isprintable()
