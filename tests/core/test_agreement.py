"""Whatever server and client want of a call, and whatever the network does: in the end both say the same.

The network loses, repeats, delays and overtakes datagrams, and breaks connections, as the run likes. When it has become
good again, every change has had its outcome and both descriptions are equal; after the end no timer runs.
"""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from siprec_core.errors import LocalProtocolError
from siprec_core.recording.call import ClientConfig
from siprec_core.recording.call_events import ChangeConcluded, RecordingEnded
from siprec_core.recording.events import SessionEnded, SessionEstablished
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import Transport
from tests.core.harness import Pair, Wire
from tests.core.messages import METADATA
from tests.core.sip.endpoints import is_empty

PARTIAL = METADATA.replace("complete", "partial")
LONG_ENOUGH = 2_000.0
"""Seconds in which every transaction, retry and pause of a change has passed, and a session that nobody refreshed."""


class Agreement(RuleBasedStateMachine):
    """One call between a server and a client of ours."""

    @initialize(
        seed=st.integers(0, 1_000),
        transport=st.sampled_from(Transport),
        refresher=st.sampled_from(["client", "server", None]),
        latency=st.sampled_from([0.0, 0.01, 0.3]),
    )
    def start(self, seed: int, transport: Transport, refresher: str | None, latency: float) -> None:
        self.wire = Wire(seed=seed, latency=latency)
        self.pair = Pair(
            config=ServerConfig(session_timer=refresher == "server"),
            client_config=ClientConfig(session_timer=refresher == "client"),
            wire=self.wire,
            transport=transport,
        )
        self.pair.call("1", "2")
        self.pair.run(3.0)
        self.session = self.pair.server.of(SessionEstablished)[0].session
        self.wanted: list[int] = []

    def attempt(self, act: Callable[[], int | None]) -> None:
        """Do what the state may forbid."""
        try:
            change = act()
        except LocalProtocolError:
            change = None
        if change is not None:
            self.wanted.append(change)
        self.pair.settle()

    # the network

    @rule(
        loss=st.sampled_from([0.0, 0.1, 0.3, 1.0]),
        duplicate=st.sampled_from([0.0, 0.3]),
        jitter=st.sampled_from([0.0, 0.3, 2.0]),
        piece_size=st.sampled_from([1, 100, 65_536]),
    )
    def weather(self, loss: float, duplicate: float, jitter: float, piece_size: int) -> None:
        wire = self.wire
        wire.loss, wire.duplicate, wire.jitter, wire.piece_size = loss, duplicate, jitter, piece_size

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.5, 3.0, 20.0, 1_000.0]))
    def time(self, seconds: float) -> None:
        self.pair.run(seconds)

    @precondition(lambda self: self.pair.transport is not Transport.UDP)
    @rule(first=st.sampled_from(["client", "server"]))
    def connections_break(self, first: str) -> None:
        client, server = self.pair.client, self.pair.server
        for node in (client, server) if first == "client" else (server, client):
            flows, node.flows = list(node.flows.values()), {}
            for flow in flows:
                node.machine.flow_failed(flow, "reset", now=self.pair.now)
        self.pair.settle()

    # what both want

    @rule(label=st.sampled_from(["1", "2"]))
    def hold(self, label: str) -> None:
        self.attempt(lambda: self.pair.caller.pause(label, now=self.pair.now))

    @rule(label=st.sampled_from(["1", "2"]))
    def go_on(self, label: str) -> None:
        self.attempt(lambda: self.pair.caller.resume(label, now=self.pair.now))

    @rule(xml=st.sampled_from([METADATA, PARTIAL]))
    def tell(self, xml: str) -> None:
        self.attempt(lambda: self.pair.caller.update_metadata(xml.encode(), now=self.pair.now))

    @rule()
    def talk(self) -> None:
        self.attempt(lambda: self.pair.caller.send_audio("2", bytes(1_600), now=self.pair.now))

    @rule()
    def pause(self) -> None:
        self.attempt(lambda: self.pair.recorder.pause(self.session, now=self.pair.now))

    @rule()
    def resume(self) -> None:
        self.attempt(lambda: self.pair.recorder.resume(self.session, now=self.pair.now))

    @rule()
    def ask(self) -> None:
        self.attempt(lambda: self.pair.recorder.request_snapshot(self.session, now=self.pair.now))

    @rule()
    def both_at_once(self) -> None:
        self.hold("1")
        self.pause()

    # what must hold in the end

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        pair = self.pair
        self.weather(0.0, 0.0, 0.0, 65_536)
        pair.run(LONG_ENOUGH)
        assert pair.caller.changes_waiting == 0
        concluded = [each.change for each in pair.client.of(ChangeConcluded) if each.change]
        assert concluded == self.wanted, "each change has one outcome, in order"
        recording = pair.recorder._sessions.get(self.session)
        assert (recording is None) == bool(pair.client.of(RecordingEnded)), "the call stands for both or for none"
        if recording is not None and recording._answered is not None:
            ours, theirs = pair.caller._state.ours, pair.caller._state.theirs
            assert ours is not None
            assert theirs is not None
            assert ours.to_bytes() == recording._answered.offer.to_bytes()
            assert theirs.to_bytes() == recording._answered.answer.to_bytes()
        if len(self.wanted) % 2:
            pair.caller.stop(now=pair.now)
        else:
            pair.recorder.end(self.session, now=pair.now)
        pair.run(2 * LONG_ENOUGH)
        assert not pair.recorder.sessions()
        assert len(pair.server.of(SessionEnded)) == len(pair.client.of(RecordingEnded)) == 1
        assert is_empty(pair.recorder._endpoint)
        assert is_empty(pair.caller._endpoint)
        assert pair.caller.next_timeout() is None
        assert pair.recorder.next_timeout() is None


TestAgreement = Agreement.TestCase
TestAgreement.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
