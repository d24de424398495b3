import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.sip.framing import KeepAlive, MessageFramer
from siprec_core.sip.message import Malformed, Request, Response
from siprec_core.sip.multipart import parse_body
from tests.core.sip.strategies import cuts

SMALL = Limits(header_block_size=600, body_size=100, drained_size=200, multipart_parts=3)
MIXED = "Content-Type: multipart/mixed;boundary=b\r\n"
CROWDED = b"--b\r\n\r\n" * 5 + b"--b--"


def message(body: bytes = b"", *, length: str | None = None, method: str = "OPTIONS", extra: str = "") -> bytes:
    counted = str(len(body)) if length is None else length
    head = (
        f"{method} sip:srs@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
        f"To: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 {method}\r\n{extra}"
    )
    head += f"Content-Length: {counted}\r\n" if counted else ""
    return head.encode() + b"\r\n" + body


def describe(event: Request | Response | Malformed | KeepAlive) -> object:
    if isinstance(event, KeepAlive):
        return event
    if isinstance(event, Malformed):
        return (
            str(event.error),
            event.error.status_hint,
            event.request_method,
            event.is_response,
            event.fatal,
            list(event.headers),
        )
    return event.to_bytes(), [found.code for found in event.findings]


def run(pieces: list[bytes], *, limits: Limits = SMALL, end: bool = True) -> list[object]:
    framer = MessageFramer(limits)
    events: list[object] = []
    for piece in pieces:
        framer.receive(piece)
        while (event := framer.poll()) is not None:
            events.append(describe(event))
    if end:
        framer.end_of_stream()
        while (event := framer.poll()) is not None:
            events.append(describe(event))
    return events


STREAMS = [
    message(),
    message(b"body") + message(b"", method="BYE"),
    b"\r\n\r\n" + message(b"x" * 100) + b"\r\n\r\n\r\n\r\n" + message(),
    b"\r\n" + message() + b"\r\n" + message(b"\r\n\r\n"),
    b"\n\r\r\n" + message().replace(b"\r\n", b"\n") + message(),
    message(b"x" * 101) + message(),
    message(length="201") + message(),
    message(length="-1") + message(),
    message(length="") + message(),
    message(extra="Content-Length: 4\r\n") + message(),
    message(extra="rubbish\r\n", body=b"skip") + message(),
    message(method="IN VITE", body=b"skip") + message(),
    message(extra="Subject: " + "x" * 600 + "\r\n"),
    b"x" * 1_000,
    b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    b"SIP/2.0 200 OK\r\n\r\n" + message(),
    message(b"cut", length="9"),
    message()[:40],
    message(length="101")[:-2] + b"\r\nonly half",
    message(extra="Subject: a\r\n b\r\n"),
    message(extra=MIXED, body=b"--b\r\n\r\nx\r\n--b--") + message(),
    message(extra=MIXED, body=CROWDED) + message(),
    message(extra=MIXED, body=CROWDED, method="INVITE") + message(),
    message(extra=MIXED, body=b"no delimiter", method="INVITE") + message(),
    message(extra=MIXED, body=CROWDED, method="BYE") + message(),
    b"",
]


@pytest.mark.requirement("3261-7.5-a", "3261-18.3-b")
@given(st.data(), st.sampled_from(STREAMS))
def test_any_cut_gives_the_same_events(data: st.DataObject, stream: bytes) -> None:
    assert run(data.draw(cuts(stream))) == run([stream])


@pytest.mark.parametrize("stream", STREAMS)
def test_octet_by_octet_gives_the_same_events(stream: bytes) -> None:
    assert run([stream[i : i + 1] for i in range(len(stream))]) == run([stream])


def test_pipelined_messages() -> None:
    framer = MessageFramer(SMALL)
    framer.receive(message(b"one") + message(b"") + message(b"three")[:-1])
    bodies = []
    while isinstance(event := framer.poll(), Request):
        bodies.append(event.body)
    assert bodies == [b"one", b""]
    waiting = [framer.mid_message]
    framer.receive(b"!")
    event = framer.poll()
    assert isinstance(event, Request)
    assert event.body == b"thre!"
    waiting.append(framer.mid_message)
    assert waiting == [True, False]
    assert framer.buffered_size == 0


@pytest.mark.requirement("3261-7.5-a")
def test_keep_alives() -> None:
    assert run([b"\r\n\r\n"]) == [KeepAlive.PING]
    assert run([b"\r\n", b"\r\n", b"\r\n\r\n"]) == [KeepAlive.PING, KeepAlive.PING]
    assert run([b"\r\n"]) == []
    assert run([b"\r\n" + message()]) == run([message()])
    assert run([b"\r\n\r\n\r\n" + message()]) == [KeepAlive.PING, *run([message()])]


def test_line_ends_are_not_a_message() -> None:
    framer = MessageFramer(SMALL)
    framer.receive(b"\r\n\r")
    assert framer.poll() is None
    assert not framer.mid_message
    framer.receive(b"x")
    assert framer.poll() is None
    assert framer.mid_message


def test_a_malformed_message_with_a_length_is_survived() -> None:
    events = run([message(b"skipped", extra="rubbish\r\n") + message()])
    assert len(events) == 2
    assert events[1] == run([message()])[0]


@pytest.mark.requirement("3261-18.3-b")
@pytest.mark.parametrize(("length", "fatal"), [("101", False), ("200", False), ("201", True), ("10000000000", True)])
def test_bodies_that_are_too_large(length: str, fatal: bool) -> None:
    framer = MessageFramer(SMALL)
    framer.receive(message(length=length))
    event = framer.poll()
    assert isinstance(event, Malformed)
    assert (event.error.status_hint, event.fatal, event.request_method) == (413, fatal, "OPTIONS")
    if not fatal:
        assert framer.mid_message
        framer.receive(b"x" * (int(length) - 1))
        assert framer.poll() is None
        assert (framer.buffered_size, framer.arrived_size) == (0, int(length) - 1)
        framer.receive(b"x" + message())
        assert isinstance(framer.poll(), Request)
        assert framer.arrived_size == 0


@pytest.mark.requirement("3261-18.3-b")
@pytest.mark.parametrize("length", ["", "-1", "ten", "1, 1"])
def test_lost_framing_closes(length: str) -> None:
    framer = MessageFramer(SMALL)
    framer.receive(message(length=length) + message())
    event = framer.poll()
    assert isinstance(event, Malformed)
    assert event.fatal
    assert event.error.field == "Content-Length"
    assert event.headers.get("Call-ID") == "x"
    framer.receive(message())
    framer.end_of_stream()
    assert framer.poll() is None
    assert framer.buffered_size == 0
    assert not framer.mid_message


@pytest.mark.requirement("3261-18.3-b")
def test_a_header_without_end_closes_at_the_limit() -> None:
    framer = MessageFramer(SMALL)
    framer.receive(message()[:-2] + b"X: " + b"y" * 600)
    event = framer.poll()
    assert isinstance(event, Malformed)
    assert event.fatal
    assert event.error.status_hint == 513
    assert event.headers.get("Call-ID") == "x"


def test_limits_within_a_header_close() -> None:
    limits = Limits(header_fields=8)
    framer = MessageFramer(limits)
    framer.receive(message(extra="A: 1\r\nB: 2\r\nC: 3\r\n") + message())
    event = framer.poll()
    assert isinstance(event, Malformed)
    assert event.fatal


def test_strict_refuses_what_tolerant_takes() -> None:
    lenient, strict = MessageFramer(SMALL), MessageFramer(SMALL, strict=True)
    stream = message(b"x").replace(b"OPTIONS ", b"OPTIONS  ", 1) + message()
    lenient.receive(stream)
    strict.receive(stream)
    assert isinstance(lenient.poll(), Request)
    refused = strict.poll()
    assert isinstance(refused, Malformed)
    assert not refused.fatal
    assert isinstance(strict.poll(), Request)


def test_the_end_of_the_stream_within_a_message() -> None:
    for stream, is_response in ((message()[:60], False), (message(length="5"), False), (b"SIP/2.0 2", True)):
        framer = MessageFramer(SMALL)
        framer.receive(stream)
        assert framer.poll() is None
        framer.end_of_stream()
        event = framer.poll()
        assert isinstance(event, Malformed)
        assert event.fatal
        assert event.is_response is is_response
        assert framer.poll() is None


def test_the_end_of_the_stream_between_messages() -> None:
    framer = MessageFramer(SMALL)
    framer.receive(message() + b"\r\n")
    framer.end_of_stream()
    assert isinstance(framer.poll(), Request)
    assert framer.poll() is None
    framer.receive(message())
    assert framer.poll() is None


def test_the_search_is_linear() -> None:
    for size in (1_000, 10_000):
        framer = MessageFramer(Limits(header_block_size=size * 2))
        stream = b"OPTIONS sip:a SIP/2.0\r\n" + b"A: b\r\n" * (size // 6)
        for i in range(len(stream)):
            framer.receive(stream[i : i + 1])
            assert framer.poll() is None
            assert framer.poll() is None
        assert framer.scanned_size <= 4 * len(stream)


def test_a_large_body_is_not_searched() -> None:
    framer = MessageFramer(Limits())
    body = b"\r\n\r\n" * 100_000
    stream = message(body)
    for start in range(0, len(stream), 1_460):
        framer.receive(memoryview(stream)[start : start + 1_460])
        event = framer.poll()
    assert isinstance(event, Request)
    assert event.body == body
    assert framer.scanned_size < 2_000


@given(
    st.lists(
        st.binary(max_size=30) | st.sampled_from([b"\r\n", message(b"a"), b"Content-Length: 3\r\n\r\n"]), max_size=12
    )
)
def test_nothing_raises_and_nothing_piles_up(pieces: list[bytes]) -> None:
    limits = Limits(header_block_size=200, body_size=50)
    framer = MessageFramer(limits)
    for piece in pieces:
        framer.receive(piece)
        while framer.poll() is not None:
            pass
        assert framer.buffered_size <= limits.header_block_size + len(piece)
    framer.end_of_stream()
    while framer.poll() is not None:
        pass
    assert framer.poll() is None


def test_the_parts_of_a_body_that_arrives() -> None:
    body = b"--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\n\r\nx\r\n--b--"
    stream = message(extra=MIXED, body=body)
    framer, known = MessageFramer(SMALL), []
    for octet in stream[:-1]:
        framer.receive(bytes([octet]))
        assert framer.poll() is None
        known.append([part.content_type.media_type for part in framer.arriving_parts])
    assert sorted(known) == known
    assert known[-1] == ["application/sdp", "text/plain"]
    framer.receive(stream[-1:])
    event = framer.poll()
    assert isinstance(event, Request)
    assert framer.arriving_parts == []
    assert event.reading is not None
    assert parse_body(event, limits=SMALL) is event.reading.parsed
    assert [bytes(part.content) for part in parse_body(event, limits=SMALL).leaves()] == [b"v=0", b"x"]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_body_over_a_limit_is_refused_before_it_is_there(method: str) -> None:
    limits = Limits(multipart_parts=3)
    stream = message(extra=MIXED, body=CROWDED + b"x" * 1_000_000, method=method)
    framer = MessageFramer(limits)
    framer.receive(stream[:-999_990])
    event = framer.poll()
    assert isinstance(event, Malformed)
    assert (event.error.status_hint, event.error.message) == (400, "more than 3 parts")
    assert (event.request_method, event.fatal) == (method, False)
    assert framer.buffered_size == 0
    assert framer.arriving_parts == []
    # The rest is read past, and the connection can be used again.
    assert framer.mid_message
    framer.receive(stream[-999_990:] + message(b"next"))
    event = framer.poll()
    assert isinstance(event, Request)
    assert event.body == b"next"


@pytest.mark.parametrize("stream", [message(extra=MIXED, body=CROWDED, method=method) for method in ("BYE", "ACK")])
def test_what_ends_or_confirms_is_never_refused_for_its_body(stream: bytes) -> None:
    framer = MessageFramer(SMALL)
    for octet in stream:
        assert framer.poll() is None
        framer.receive(bytes([octet]))
    event = framer.poll()
    assert isinstance(event, Request)
    assert event.body == CROWDED
    assert parse_body(event, limits=SMALL).error is not None


def test_only_a_multipart_body_is_read_on_arrival() -> None:
    for kind in ("", "Content-Type: application/sdp\r\n", "Content-Type: rubbish\r\n"):
        framer = MessageFramer(SMALL)
        framer.receive(message(extra=kind, body=b"v=0"))
        event = framer.poll()
        assert isinstance(event, Request)
        assert event.reading is None
