"""Any run of calls, holds, updates, losses, garbage and time: nothing raises, nothing is left.

The client's side is written by hand, so that it can break every rule; the network and the driver are the test's too:
binding and rendering take as long as the run likes, and fail when it likes.
"""

from collections import Counter, deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.media.commands import BindMedia
from siprec_core.recording.events import (
    FindingRaised,
    ServerDrained,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
)
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import Address, Component, DatagramBatch, Flow, FlowId, SessionId, Transport
from tests.core.harness import CLIENT, SERVER, Node, Pair
from tests.core.messages import METADATA, OFFER, field, invite, request, response_to, status, tag
from tests.core.sip.endpoints import is_empty

PAIRS = 12
CALLS = st.integers(0, 4)
THIRD = "m=audio 41004 RTP/AVP 0\r\na=sendonly\r\na=label:3\r\n"
OFFERS = {
    "same": OFFER,
    "hold": OFFER.replace("sendonly", "inactive"),
    "more": OFFER + THIRD,
    "less": OFFER.replace("m=audio 41000", "m=audio 0"),
    "none": OFFER.replace("m=audio 41000", "m=audio 0").replace("m=audio 41002", "m=audio 0"),
    "video": OFFER.replace("m=audio", "m=video"),
    "codec": OFFER.replace("0 8", "18"),
    "broken": "v=0\r\nnonsense\r\n",
}


class SlowPair(Pair):
    """A pair whose driver binds and renders when it is told to."""

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config=config)
        self.binding: deque[BindMedia] = deque()
        self.rendering: deque[SessionId] = deque()

    def _bind(self, node: Node, command: BindMedia) -> None:
        self.binding.append(command)

    def _render(self, session: SessionId) -> None:
        self.rendering.append(session)

    def bind_one(self, *, works: bool) -> None:
        if self.binding:
            command = self.binding.popleft()
            if works:
                self.server.media[command.media] = command
                self.recorder.media_bound(command.media, now=self.now)
            else:
                self.recorder.media_failed(command.media, "in use", now=self.now)
            self.settle()

    def render_one(self, *, works: bool) -> None:
        if self.rendering:
            session = self.rendering.popleft()
            if works:
                self.recorder.rendered(session, now=self.now)
            else:
                self.recorder.render_failed(session, "disk gone", now=self.now)
            self.settle()


class Endurance(RuleBasedStateMachine):
    """Five calls at a time over one UDP path and one connection."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.sequence = [0] * 5
        self.generation = [0] * 5
        self.last: deque[bytes] = deque(maxlen=20)

    @initialize(
        manual=st.booleans(),
        strict=st.booleans(),
        recording_seconds=st.sampled_from([20.0, 1e6]),
        no_media_seconds=st.sampled_from([0.0, 15.0]),
        most=st.sampled_from([None, 2]),
    )
    def start(
        self, manual: bool, strict: bool, recording_seconds: float, no_media_seconds: float, most: int | None
    ) -> None:
        limits = Limits(
            recording_seconds=recording_seconds, no_media_seconds=no_media_seconds, idle_stream_seconds=50.0
        )
        config = ServerConfig(
            rtp_ports=(30_000, 30_000 + 2 * PAIRS - 1),
            manual=manual,
            strict=strict,
            max_sessions=most,
            limits=limits,
        )
        self.pair = SlowPair(config)
        self.flow = Flow(Transport.TCP, SERVER, Address(CLIENT.host, 40_001), FlowId(1))
        self.pair.recorder.flow_opened(self.flow, now=0.0)

    # messages

    def names(self, call: int) -> tuple[str, str]:
        """Give the Call-ID of a call, and our tag in it as far as it was seen."""
        call_id = f"call-{call}-{self.generation[call]}"
        answers = [data for data in self.pair.server.messages(b"SIP/2.0 200") if field(data, "Call-ID") == call_id]
        return call_id, tag(answers[-1]) if answers else ""

    def send(self, *messages: bytes, stream: bool) -> None:
        self.last.extend(messages)
        if stream:
            self.pair.recorder.receive_stream(self.flow, b"".join(messages), now=self.pair.now)
            self.pair.settle()
        else:
            for message in messages:
                self.pair.inject(message)

    def within(self, call: int, method: str, **parts: str | None) -> bytes:
        """Write a request within a call, or a first INVITE when it has not been answered."""
        call_id, ours = self.names(call)
        self.sequence[call] += 1
        number = self.sequence[call]
        if method in ("INVITE", "UPDATE"):
            offer, metadata = parts.get("offer"), parts.get("metadata")
            branch = f"z9hG4bK-{call_id}-{number}"
            extra = ["Supported: timer", "Session-Expires: 90;refresher=uas"] if number % 3 == 0 else []
            return invite(
                method=method,
                offer=offer,
                metadata=metadata,
                cseq=number,
                to_tag=ours,
                call_id=call_id,
                branch=branch,
                extra=["Allow: INVITE, ACK, CANCEL, BYE, UPDATE", *extra],
            )
        return request(method, cseq=number, to_tag=ours, call_id=call_id, branch=f"z9hG4bK-{call_id}-{number}")

    @rule(call=CALLS, stream=st.booleans(), what=st.sampled_from(sorted(OFFERS)), metadata=st.booleans())
    def offer(self, call: int, stream: bool, what: str, metadata: bool) -> None:
        self.send(
            self.within(call, "INVITE", offer=OFFERS[what], metadata=METADATA if metadata else None), stream=stream
        )

    @rule(call=CALLS, stream=st.booleans())
    def call_and_acknowledge(self, call: int, stream: bool) -> None:
        self.send(self.within(call, "INVITE", offer=OFFER, metadata=METADATA), stream=stream)
        while self.pair.binding:
            self.pair.bind_one(works=True)
        self.acknowledge(call, stream, 0)

    @rule(call=CALLS, stream=st.booleans(), offset=st.sampled_from([0, 0, 0, 1, -1]))
    def acknowledge(self, call: int, stream: bool, offset: int) -> None:
        call_id, ours = self.names(call)
        number = max(0, self.sequence[call] + offset)
        self.count += 1
        ack = request("ACK", cseq=number, to_tag=ours, call_id=call_id, branch=f"z9hG4bK-ack-{self.count}")
        self.send(ack, stream=stream)

    @rule(call=CALLS, stream=st.booleans(), xml=st.sampled_from([METADATA, "<broken", ""]))
    def update(self, call: int, stream: bool, xml: str) -> None:
        self.send(self.within(call, "UPDATE", metadata=xml), stream=stream)

    @rule(call=CALLS, stream=st.booleans())
    def cancel(self, call: int, stream: bool) -> None:
        call_id, ours = self.names(call)
        number = self.sequence[call]
        branch = f"z9hG4bK-{call_id}-{number}"
        self.send(request("CANCEL", cseq=number, to_tag=ours, call_id=call_id, branch=branch), stream=stream)

    @rule(call=CALLS, stream=st.booleans(), pipelined=st.booleans())
    def hang_up(self, call: int, stream: bool, pipelined: bool) -> None:
        before = [self.within(call, "INVITE", offer=OFFERS["more"])] if pipelined else []
        self.send(*before, self.within(call, "BYE"), stream=stream)

    @rule(call=CALLS)
    def begin_anew(self, call: int) -> None:
        self.generation[call] += 1

    @rule(call=CALLS, method=st.sampled_from(["OPTIONS", "INFO", "BREW", "PRACK", "REFER"]), stream=st.booleans())
    def other_request(self, call: int, method: str, stream: bool) -> None:
        self.send(self.within(call, method), stream=stream)

    @rule(place=st.integers(0, 19), damage=st.integers(0, 2000), stream=st.booleans())
    def repeat(self, place: int, damage: int, stream: bool) -> None:
        """Send an earlier message again, whole or with one octet changed."""
        if self.last:
            message = bytearray(self.last[place % len(self.last)])
            if damage < len(message) and not stream:
                message[damage] ^= 0x20
            self.pair.inject(bytes(message))

    @rule(data=st.binary(max_size=60))
    def garbage(self, data: bytes) -> None:
        self.pair.inject(data)
        for media in list(self.pair.server.media):
            batch = DatagramBatch([data], [Address("203.0.113.9", 9)], [self.pair.now])
            self.pair.recorder.receive_media(media, batch, component=Component.RTP, now=self.pair.now)
        self.pair.settle()

    # driver and application

    @rule(works=st.sampled_from([True, True, True, False]))
    def bind(self, works: bool) -> None:
        self.pair.bind_one(works=works)

    @rule(works=st.booleans())
    def render(self, works: bool) -> None:
        self.pair.render_one(works=works)

    @rule(seconds=st.sampled_from([0.1, 0.6, 5.0, 33.0, 120.0]))
    def time(self, seconds: float) -> None:
        self.pair.run(seconds, limit=5_000)

    @rule()
    def connection_breaks(self) -> None:
        self.pair.recorder.flow_failed(self.flow, "reset", now=self.pair.now)
        self.pair.settle()
        self.count += 1
        self.flow = Flow(Transport.TCP, SERVER, Address(CLIENT.host, 41_000 + self.count), FlowId(1 + self.count))
        self.pair.recorder.flow_opened(self.flow, now=self.pair.now)

    @rule(
        place=st.integers(0, 9),
        code=st.sampled_from([100, 200, 200, 200, 408, 422, 481, 488, 491, 500]),
        offer=st.sampled_from(["same", "hold", "more", "broken", ""]),
        stream=st.booleans(),
    )
    def answer(self, place: int, code: int, offer: str, stream: bool) -> None:
        """Answer a request of the server's, a late or repeated one too, as well or as badly as the run likes."""
        asked = [data for data in self.pair.server.sent[-20:] if data.startswith((b"INVITE", b"UPDATE", b"BYE"))]
        if asked:
            request_ = asked[place % len(asked)]
            self.send(response_to(request_, code, to_tag=None, body=OFFERS.get(offer, "")), stream=stream)

    @rule(place=st.integers(0, 9), what=st.sampled_from(["pause", "resume", "snapshot"]))
    def want(self, place: int, what: str) -> None:
        recorder, now = self.pair.recorder, self.pair.now
        sessions = list(recorder.sessions())
        if sessions:
            session = sessions[place % len(sessions)]
            acts = {"pause": recorder.pause, "resume": recorder.resume, "snapshot": recorder.request_snapshot}
            try:
                acts[what](session, now=now)
            except LocalProtocolError:
                pass  # the session is not active, or has a change under way
        self.pair.settle()

    @rule(place=st.integers(0, 9), what=st.sampled_from(["accept", "reject", "end", "sink"]))
    def decide(self, place: int, what: str) -> None:
        sessions = list(self.pair.recorder.sessions())
        recorder, now = self.pair.recorder, self.pair.now
        if what == "sink" and self.pair.server.sinks:
            sinks = list(self.pair.server.sinks)
            recorder.sink_failed(sinks[place % len(sinks)], "No space left on device", now=now)
        elif sessions and what != "sink":
            session = sessions[place % len(sessions)]
            try:
                if what == "accept":
                    recorder.accept(session, now=now)
                elif what == "reject":
                    recorder.reject(session, 603, now=now)
                else:
                    recorder.end(session, now=now)
            except LocalProtocolError:
                pass  # the session waits for no decision
        self.pair.settle()

    # what must hold

    @invariant()
    def ports_are_never_lost(self) -> None:
        if hasattr(self, "pair"):
            pool = self.pair.recorder._resources.ports
            assert len(pool) + len(pool._taken) == PAIRS
            assert not {port for free in pool._free for port, _ in free} & pool._taken

    @invariant()
    def no_deadline_lies_in_the_past_for_long(self) -> None:
        if hasattr(self, "pair"):
            self.pair._wake()
            due = self.pair.recorder.next_timeout()
            assert due is None or due >= self.pair.now

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        pair = self.pair
        for session in list(pair.recorder.sessions()):
            try:
                pair.recorder.reject(session, 603, now=pair.now)
            except LocalProtocolError:
                pair.recorder.end(session, now=pair.now)
        pair.recorder.shut_down(drain_seconds=0.0, now=pair.now)
        pair.settle()
        pair.run(200.0)
        while pair.binding:
            pair.bind_one(works=True)
        while pair.rendering:
            pair.render_one(works=True)
        pair.run(200.0)
        self.check_nothing_is_left(pair)

    def check_nothing_is_left(self, pair: Pair) -> None:
        server = pair.recorder
        assert server.sessions() == {}
        assert len(pair.server.of(ServerDrained)) == 1
        assert is_empty(server._endpoint)
        assert not any((server._media, server._sinks, server._usages, server._by_usage))
        assert len(server._resources.ports) == PAIRS
        established = Counter(event.session for event in pair.server.of(SessionEstablished))
        assert established == Counter(event.session for event in pair.server.of(SessionEnded))
        assert all(count == 1 for count in established.values())
        requested = Counter(event.call_id for event in pair.server.of(SessionRequested))
        refused = Counter(event.call_id for event in pair.server.of(SessionRefused))
        assert requested.total() <= established.total() + refused.total(), "each session that was told has an end"
        due = server.next_timeout()
        assert due is None or due > pair.now


# single runs that once went wrong in servers


def connected(pair: Pair) -> Flow:
    flow = Flow(Transport.TCP, SERVER, Address(CLIENT.host, 40_001), FlowId(1))
    pair.recorder.flow_opened(flow, now=pair.now)
    return flow


def established(pair: Pair) -> str:
    pair.inject(invite())
    ours = tag(pair.server.sent[-1])
    pair.inject(request("ACK", to_tag=ours, branch="z9hG4bK-ack"))
    return ours


def test_a_thousand_calls_in_one_piece_are_answered_one_by_one() -> None:
    pair = Pair(config=ServerConfig(limits=Limits(requests_per_source=0)))
    flow = connected(pair)
    calls = [invite(call_id=str(number), offer=OFFERS["codec"], transport="TCP") for number in range(1_000)]
    pair.recorder.receive_stream(flow, b"".join(calls), now=0.0)
    pair.settle()
    assert [status(data) for data in pair.server.sent] == [488] * 1_000
    assert pair.recorder.sessions() == {}


def test_an_offer_and_the_bye_behind_it_in_one_piece() -> None:
    pair = Pair()
    flow = connected(pair)
    ours = established(pair)
    offer = invite(cseq=2, to_tag=ours, transport="TCP")
    pair.recorder.receive_stream(flow, offer + request("BYE", cseq=3, to_tag=ours, transport="TCP"), now=0.0)
    pair.settle()
    answers = [(status(data), field(data, "CSeq")) for data in pair.server.sent[-2:]]
    assert answers == [(200, "2 INVITE"), (200, "3 BYE")]
    assert len(pair.server.of(SessionEnded)) == 1


def test_a_reinvite_that_is_cancelled_while_its_sockets_are_bound() -> None:
    pair = SlowPair(ServerConfig())
    pair.inject(invite())
    pair.bind_one(works=True)
    pair.bind_one(works=True)
    ours = tag(pair.server.sent[-1])
    pair.inject(invite(cseq=2, to_tag=ours, offer=OFFERS["more"], branch="z9hG4bK-r"))
    pair.inject(request("CANCEL", cseq=2, to_tag=ours, branch="z9hG4bK-r"))
    pair.bind_one(works=True)
    assert [status(data) for data in pair.server.sent[-2:]] == [200, 487]
    pair.inject(invite(cseq=3, to_tag=ours))
    assert status(pair.server.sent[-1]) == 200
    assert len(pair.recorder.sessions()) == 1


def test_a_drain_waits_for_renderings_without_a_deadline() -> None:
    pair = SlowPair(ServerConfig())
    pair.inject(invite())
    pair.bind_one(works=True)
    pair.bind_one(works=True)
    pair.inject(request("ACK", to_tag=tag(pair.server.sent[-1]), branch="z9hG4bK-ack"))
    pair.recorder.shut_down(drain_seconds=1.0, now=0.0)
    pair.run(100.0, limit=1_000)
    assert pair.recorder.next_timeout() is None
    assert not pair.server.of(ServerDrained)
    pair.render_one(works=True)
    assert len(pair.server.of(ServerDrained)) == 1


def test_a_drain_refuses_who_waits_for_a_decision_and_ends_once() -> None:
    pair = Pair(config=ServerConfig(manual=True))
    pair.inject(invite())
    pair.recorder.shut_down(drain_seconds=0.0, now=0.0)
    pair.settle()
    assert [(event.call_id, event.status) for event in pair.server.of(SessionRefused)] == [("call-1", 503)]
    assert status(pair.server.sent[-1]) == 503
    assert len(pair.server.of(ServerDrained)) == 1


def test_ports_that_cannot_be_bound_leave_nothing() -> None:
    pair = Pair(config=ServerConfig(rtp_ports=(30_000, 30_003)))
    for number in range(5):
        pair.server.bind_failures = 1_000
        pair.inject(invite(call_id=str(number)))
        assert status(pair.server.sent[-1]) == 503
    assert pair.recorder._media == {}
    assert len(pair.recorder._resources.ports) == 2


def test_a_full_server_answers_options_within_a_dialog_with_200() -> None:
    pair = Pair(config=ServerConfig(max_sessions=1))
    ours = established(pair)
    pair.inject(request("OPTIONS", cseq=2, to_tag=ours))
    assert status(pair.server.sent[-1]) == 200
    pair.inject(request("OPTIONS", call_id="other"))
    assert status(pair.server.sent[-1]) == 486
    pair.recorder.shut_down(drain_seconds=60.0, now=0.0)
    pair.inject(request("OPTIONS", cseq=3, to_tag=ours))
    assert status(pair.server.sent[-1]) == 200


def test_the_ack_to_a_refused_offer_is_no_finding() -> None:
    pair = Pair()
    ours = established(pair)
    pair.inject(invite(cseq=2, to_tag=ours, offer=OFFERS["codec"], branch="z9hG4bK-r"))
    assert status(pair.server.sent[-1]) == 488
    pair.inject(request("ACK", cseq=2, to_tag=ours, branch="z9hG4bK-r"))
    pair.run(60.0)
    assert "sip-ack-mismatch" not in {raised.finding.code for raised in pair.server.of(FindingRaised)}
    assert len(pair.server.messages(b"SIP/2.0 488")) == 1


def test_a_call_that_ends_shortly_before_its_limit_does_not_spin() -> None:
    pair = SlowPair(ServerConfig(limits=Limits(recording_seconds=5.0)))
    pair.inject(invite())
    pair.bind_one(works=True)
    pair.bind_one(works=True)
    pair.run(4.0)
    pair.inject(request("BYE", cseq=2, to_tag=tag(pair.server.messages(b"SIP/2.0 200")[0])))
    pair.run(10.0, limit=1_000)
    pair.render_one(works=True)
    assert [event.reason for event in pair.server.of(SessionEnded)] == ["bye"]


TestEndurance = Endurance.TestCase
TestEndurance.settings = settings(max_examples=60, stateful_step_count=50)
