"""The pump: commands to sockets and files, what happens there to inputs."""

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from siprec_core.clock import TimeBase
from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.media.listener import AudioFrame
from siprec_core.recording.commands import (
    BindMedia,
    CloseFlow,
    CloseMedia,
    CloseSink,
    DeliverAudio,
    OpenFlow,
    OpenSink,
    RenderRecording,
    Resolve,
    SendDatagram,
    SendMedia,
    SendStream,
    SinkKind,
    WriteSink,
)
from siprec_core.recording.events import Event, ServerDrained
from siprec_core.sip.names import AddressRecord, LookupFailure, QueryId, RecordType
from siprec_core.types import Address, Component, Flow, FlowId, MediaId, SessionId, SinkId, TapId, Transport
from siprec_sync import signalling
from siprec_sync.audio import AudioQueue
from siprec_sync.listeners import Listener, open_listeners
from siprec_sync.pump import Pump, Storage
from siprec_sync.resolver import Found, Resolver
from siprec_sync.signalling import StreamSettings
from siprec_sync.sinks import MemorySinks
from siprec_sync.tls import TlsFiles, client_context, server_context
from tests.contract.certificates import make_tls_files
from tests.contract.double import CoreDouble
from tests.sync.test_media import free_pair

LINE = MediaId(1)
PATIENCE = 10.0
"""Seconds after which a test gives up; nothing is asserted about time."""


class Bench:
    """A pump with a core double and listeners of each transport."""

    def __init__(self, limits: Limits | None = None, tls: TlsFiles | None = None, wildcard: bool = False) -> None:
        self.core = CoreDouble()
        self.sinks = MemorySinks()
        self.events: list[Event] = []
        streams = StreamSettings()
        if tls is not None:
            streams = StreamSettings(
                server_tls=server_context(TlsFiles(certificate=tls.certificate, key=tls.key)),
                client_tls=client_context(TlsFiles(authorities=tls.authorities)),
            )
        self.pump = Pump[Event](
            self.core,
            storage=Storage(self.sinks, self.core),
            publish=self.events.append,
            limits=limits or Limits(),
            streams=streams,
            tick_seconds=0.01,
        )
        host = "0.0.0.0" if wildcard else "127.0.0.1"
        self.listeners = open_listeners(f"udp://{host}:0", f"tcp://{host}:0", f"tls://{host}:0")
        self.pump.start(self.listeners)

    @property
    def udp(self) -> Listener:
        return self.listeners[0]

    @property
    def tcp(self) -> Listener:
        return self.listeners[1]

    @property
    def tls(self) -> Listener:
        return self.listeners[2]

    def turn_until(self, ready: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            assert time.monotonic() < deadline, self.core.inputs
            self.pump.turn(self.pump.selector.select(0.01))

    def until(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Turn until an input came so often; give its arguments."""
        self.turn_until(lambda: len(self.core.named(name)) >= count)
        return self.core.named(name)

    def command(self, *outputs: object) -> None:
        """Have the core put outputs at the next input."""
        self.core.put(*outputs)  # type: ignore[arg-type]
        self.pump.request(lambda now: None)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.pump.close()
    made.pump.close_sinks()


@pytest.fixture
def wildcard_bench() -> Iterator[Bench]:
    made = Bench(wildcard=True)
    yield made
    made.pump.close()


def test_datagrams_both_ways(bench: Bench) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.sendto(b"question", bench.udp.address)
        (received,) = bench.until("receive_datagram")
        flow = received["flow"]
        assert received["data"] == b"question"
        assert flow == Flow(Transport.UDP, bench.udp.address, Address(*peer.getsockname()))
        bench.command(SendDatagram(flow=flow, data=b"answer"))
        peer.settimeout(PATIENCE)
        assert peer.recvfrom(100) == (b"answer", tuple(bench.udp.address))


@pytest.mark.requirement("3581-4-a")
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_a_wildcard_answers_from_the_address_that_was_asked(wildcard_bench: Bench, host: str) -> None:
    bench = wildcard_bench
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(PATIENCE)
        peer.sendto(b"question", (host, bench.udp.address.port))
        (received,) = bench.until("receive_datagram")
        flow = received["flow"]
        assert flow.local == Address(host, bench.udp.address.port)
        bench.command(SendDatagram(flow=flow, data=b"answer"))
        assert peer.recvfrom(100) == (b"answer", (host, bench.udp.address.port))


@pytest.mark.parametrize(
    ("local", "size"), [(Address("127.0.0.1", 1), 1), (None, 70_000)], ids=["no such listener", "too long"]
)
def test_a_datagram_that_cannot_leave_comes_back(bench: Bench, local: Address | None, size: int) -> None:
    flow = Flow(Transport.UDP, local or bench.udp.address, Address("127.0.0.1", 9))
    bench.command(SendDatagram(flow=flow, data=bytes(size)))
    (failed,) = bench.core.named("flow_failed")
    assert failed["flow"] == flow
    assert failed["error"]


def test_a_burst_of_datagrams_is_taken_whole(bench: Bench) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for index in range(500):
            peer.sendto(index.to_bytes(2, "big") * 600, bench.udp.address)
        received = bench.until("receive_datagram", 500)
    assert [each["data"] for each in received] == [index.to_bytes(2, "big") * 600 for index in range(500)]


def test_a_connection_from_beginning_to_end(bench: Bench) -> None:
    with socket.create_connection(bench.tcp.address, timeout=PATIENCE) as peer:
        (opened,) = bench.until("flow_opened")
        flow = opened["flow"]
        assert flow == Flow(Transport.TCP, bench.tcp.address, Address(*peer.getsockname()), FlowId(1))
        peer.sendall(b"question")
        assert bench.until("receive_stream")[0]["data"] == b"question"
        bench.command(SendStream(flow=flow, data=b"answer"))
        assert peer.recv(100) == b"answer"
        peer.shutdown(socket.SHUT_WR)
        assert bench.until("receive_stream", 2)[1]["data"] == b""
        bench.command(SendStream(flow=flow, data=b"last"), CloseFlow(flow=flow))
        assert peer.recv(100) == b"last"
        assert peer.recv(100) == b""
        bench.turn_until(lambda: bench.pump.signalling.connection_count == 0)
        assert bench.core.named("flow_failed") == []


def test_a_reset_connection_fails(bench: Bench) -> None:
    peer = socket.create_connection(bench.tcp.address, timeout=PATIENCE)
    (opened,) = bench.until("flow_opened")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    (failed,) = bench.until("flow_failed")
    assert failed["flow"] == opened["flow"]
    bench.command(SendStream(flow=opened["flow"], data=b"late"))
    assert bench.until("flow_failed", 2)[1]["error"] == "the connection is closed"
    bench.command(CloseFlow(flow=opened["flow"]))
    assert bench.pump.signalling.connection_count == 0


def test_a_peer_that_neither_reads_nor_closes_is_let_go(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_connection(bench.tcp.address, timeout=PATIENCE):
        (opened,) = bench.until("flow_opened")
        bench.command(CloseFlow(flow=opened["flow"]))
        assert bench.pump.signalling.connection_count == 1
        due = bench.pump.signalling.next_timeout()
        assert due is not None
        bench.pump.signalling.handle_timeout(now=due)
        assert bench.pump.signalling.connection_count == 0
    assert bench.core.named("flow_failed") == []


def test_limits_refuse_at_accept() -> None:
    bench = Bench(Limits(connections=3, connections_per_source=2))
    peers = [socket.create_connection(bench.tcp.address, timeout=PATIENCE) for _ in range(4)]
    try:
        bench.until("flow_opened", 2)
        bench.turn_until(lambda: bench.pump.signalling.refused == 2)
        assert [peer.recv(1) for peer in peers[2:]] == [b"", b""]
        peers[0].close()
        bench.until("receive_stream")
        bench.command(CloseFlow(flow=bench.core.named("receive_stream")[0]["flow"]))
        bench.turn_until(lambda: bench.pump.signalling.connection_count == 1)
        peers.append(socket.create_connection(bench.tcp.address, timeout=PATIENCE))
        bench.until("flow_opened", 3)
    finally:
        for peer in peers:
            peer.close()
        bench.pump.close()


def test_a_listener_without_descriptors_rests(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Exhausted:
        """Stands in for a listening socket when no descriptor is left."""

        def __init__(self, sock: socket.socket) -> None:
            self.fileno = sock.fileno

        def accept(self) -> tuple[socket.socket, object]:
            raise OSError(24, "Too many open files")

    real = bench.tcp
    exhausted = Listener(Transport.TCP, real.address, Exhausted(real.socket))  # type: ignore[arg-type]
    signals = bench.pump.signalling
    signals._accept(exhausted, selectors.EVENT_READ, time.monotonic())
    assert "rests a second: too many open files" in caplog.text
    assert real.socket not in [key.fileobj for key in bench.pump.selector.get_map().values()]
    due = signals.next_timeout()
    assert due is not None
    signals._timers.cancel(exhausted)
    signals._timers.set(real, due)
    signals.handle_timeout(now=due)
    with socket.create_connection(real.address, timeout=PATIENCE):
        bench.until("flow_opened")


def test_opening_a_flow(bench: Bench) -> None:
    command = OpenFlow(id=FlowId(-1), transport=Transport.TCP, remote=bench.tcp.address, server_name=None)
    bench.command(command)
    opened = bench.until("flow_opened", 2)
    ours = next(each["flow"] for each in opened if each["flow"].id == -1)
    bench.command(SendStream(flow=ours, data=b"hello"))
    assert bench.until("receive_stream")[0]["data"] == b"hello"


def test_opening_a_flow_to_nobody_fails(bench: Bench) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        remote = Address(*unused.getsockname())
        bench.command(OpenFlow(id=FlowId(-1), transport=Transport.TCP, remote=remote, server_name=None))
        (failed,) = bench.until("flow_failed")
    flow = failed["flow"]
    assert (flow.id, flow.remote) == (-1, remote)
    assert failed["error"] == "connection refused"
    assert bench.pump.signalling.connection_count == 0


def test_tls_both_ways(tmp_path: Path) -> None:
    bench = Bench(tls=make_tls_files(tmp_path))
    bench.command(OpenFlow(id=FlowId(-1), transport=Transport.TLS, remote=bench.tls.address, server_name="localhost"))
    opened = bench.until("flow_opened", 2)
    flows = {each["flow"].id: each["flow"] for each in opened}
    bench.command(SendStream(flow=flows[-1], data=b"question" * 100_000))
    bench.turn_until(lambda: sum(len(each["data"]) for each in bench.core.named("receive_stream")) == 800_000)
    bench.command(CloseFlow(flow=flows[-1]))
    bench.turn_until(lambda: bench.core.named("receive_stream")[-1]["data"] == b"")
    assert {each["flow"].id for each in bench.core.named("receive_stream")} == {1}
    bench.command(CloseFlow(flow=flows[1]))
    bench.turn_until(lambda: bench.pump.signalling.connection_count == 0)
    assert bench.core.named("flow_failed") == []
    bench.pump.close()


def test_a_wrong_certificate_fails_the_flow(tmp_path: Path) -> None:
    bench = Bench(tls=make_tls_files(tmp_path))
    bench.command(
        OpenFlow(id=FlowId(-1), transport=Transport.TLS, remote=bench.tls.address, server_name="other.example")
    )
    (failed,) = bench.until("flow_failed")
    assert str(failed["error"]).startswith("TLS: certificate refused")
    bench.turn_until(lambda: bench.pump.signalling.connection_count == 0)
    assert bench.core.named("flow_opened") == []
    bench.pump.close()


def test_plain_text_on_the_tls_port_never_reaches_the_core(tmp_path: Path) -> None:
    bench = Bench(tls=make_tls_files(tmp_path))
    with socket.create_connection(bench.tls.address, timeout=PATIENCE) as peer:
        peer.sendall(b"OPTIONS sip:127.0.0.1 SIP/2.0\r\n\r\n")
        bench.turn_until(lambda: bench.pump.signalling._last_id == 1 and not bench.pump.signalling.connection_count)
    assert bench.core.inputs == []
    bench.pump.close()


def test_a_handshake_that_never_ends_is_given_up(tmp_path: Path) -> None:
    bench = Bench(tls=make_tls_files(tmp_path))
    with socket.create_connection(bench.tls.address, timeout=PATIENCE):
        bench.turn_until(lambda: bench.pump.signalling.connection_count == 1)
        due = bench.pump.signalling.next_timeout()
        assert due is not None
        bench.pump.signalling.handle_timeout(now=due)
        assert bench.pump.signalling.connection_count == 0
    assert bench.core.inputs == []
    bench.pump.close()


def test_a_connection_without_tls_context_is_refused(bench: Bench) -> None:
    with socket.create_connection(bench.tls.address, timeout=PATIENCE) as peer:
        bench.turn_until(lambda: bench.pump.signalling._last_id == 1)
        assert peer.recv(1) == b""
    bench.command(OpenFlow(id=FlowId(-1), transport=Transport.TLS, remote=bench.tls.address, server_name="x"))
    assert bench.core.named("flow_failed")[0]["error"] == "no TLS context is configured"


def test_media_from_binding_to_closing(bench: Bench) -> None:
    rtp, rtcp = free_pair()
    bench.command(BindMedia(media=LINE, rtp=rtp, rtcp=rtcp))
    assert [each["media"] for each in bench.until("media_bound")] == [LINE]
    assert bench.pump.wait_seconds(time.monotonic()) is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(PATIENCE)
        for data in (b"one", b"two"):
            peer.sendto(data, rtp)
        (received,) = bench.until("receive_media")
        assert received["component"] is Component.RTP
        assert [data for data, _, _ in received["batch"]] == [b"one", b"two"]
        bench.command(SendMedia(media=LINE, component=Component.RTCP, to=Address(*peer.getsockname()), data=b"report"))
        assert peer.recvfrom(100) == (b"report", tuple(rtcp))
        peer.sendto(b"last", rtp)
        peer.sendto(b"goodbye", rtcp)
        bench.command(CloseMedia(media=LINE))
    names = [name for name, _ in bench.core.inputs]
    assert names[-3:] == ["receive_media", "receive_media", "media_closed"]
    assert [data for each in bench.core.named("receive_media")[1:] for data, _, _ in each["batch"]] == [
        b"last",
        b"goodbye",
    ]
    bench.turn_until(lambda: bench.pump.wait_seconds(time.monotonic()) is None)


def test_a_port_in_use_is_an_input(bench: Bench) -> None:
    rtp, _ = free_pair()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(tuple(rtp))
        bench.command(BindMedia(media=LINE, rtp=rtp, rtcp=None))
    (failed,) = bench.core.named("media_failed")
    assert failed["error"] == "address already in use"


def test_files_and_their_reports(bench: Bench) -> None:
    sink, session = SinkId(1), SessionId("id")
    bench.command(
        OpenSink(sink=sink, kind=SinkKind.JOURNAL, name="d/journal"),
        WriteSink(sink=sink, data=b"x"),
        CloseSink(sink=sink),
        RenderRecording(session=session, directory="d"),
        OpenSink(sink=SinkId(2), kind=SinkKind.JOURNAL, name="d/journal"),
    )
    assert bench.sinks.files == {"d/journal": b"x"}
    assert bench.until("rendered")[0]["session"] == session
    assert bench.until("sink_failed")[0]["sink"] == 2


def test_a_rendering_that_failed_is_an_input() -> None:
    def fail(sinks: MemorySinks, folder: str) -> None:
        raise RuntimeError("no journal")

    core, sinks = CoreDouble(), MemorySinks(fail)
    pump = Pump(core, storage=Storage(sinks, core), publish=lambda event: None, limits=Limits())
    pump.start(())
    core.put(RenderRecording(session=SessionId("id"), directory="d"))
    pump.request(lambda now: None)
    pump.turn(())
    assert [each["error"] for each in core.named("render_failed")] == ["no journal"]
    pump.close()


def test_files_without_a_place_are_a_fault() -> None:
    core = CoreDouble()
    pump = Pump(core, storage=None, publish=lambda event: None, limits=Limits())
    pump.start(())
    core.put(CloseSink(sink=SinkId(1)))
    with pytest.raises(LocalProtocolError):
        pump.request(lambda now: None)
    pump.close()
    pump.close_sinks()


def test_deadlines_of_the_core(bench: Bench) -> None:
    now = time.monotonic()
    assert bench.pump.wait_seconds(now) is None
    bench.core.deadline = now + 100
    assert bench.pump.wait_seconds(now) == pytest.approx(100)
    bench.pump.turn(())
    assert bench.core.inputs == []
    bench.core.deadline = now - 1
    assert bench.pump.wait_seconds(now) == 0
    bench.pump.turn(())
    assert [name for name, _ in bench.core.inputs] == ["handle_timeout"]


def test_events_are_published(bench: Bench) -> None:
    bench.command(ServerDrained())
    assert bench.events == [ServerDrained()]


def test_each_input_is_drained_before_the_next(bench: Bench) -> None:
    """The double refuses an input within a drain; failing commands make inputs within one."""
    nowhere = Flow(Transport.UDP, Address("127.0.0.1", 1), Address("127.0.0.1", 9))

    def react(name: str, arguments: dict[str, object]) -> None:
        if name == "flow_failed" and len(bench.core.inputs) < 5:
            bench.core.put(SendDatagram(flow=nowhere, data=b"x"), ServerDrained())

    bench.core.react = react
    bench.command(SendDatagram(flow=nowhere, data=b"x"), SendDatagram(flow=nowhere, data=b"x"))
    assert len(bench.core.named("flow_failed")) >= 5
    assert len(bench.events) == 4


def test_calls_from_other_threads_wake_the_pump(bench: Bench) -> None:
    seen: list[float] = []
    bench.pump.call(seen.append)
    assert bench.pump.selector.select(0) != []
    bench.turn_until(lambda: seen)
    assert bench.pump.selector.select(0) == []


def test_a_fault_in_the_core_stops_the_pump(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def fault(now: float) -> None:
        raise ZeroDivisionError

    bench.pump.call(fault)
    with pytest.raises(ZeroDivisionError):
        bench.pump.turn(())
    assert isinstance(bench.pump.failed, ZeroDivisionError)
    assert "the driver stops" in caplog.text


def test_requests_give_answers_and_errors(bench: Bench) -> None:
    def refuse(now: float) -> int:
        bench.core.put(ServerDrained())
        raise LocalProtocolError("not now")

    assert bench.pump.request(lambda now: 42) == 42
    with pytest.raises(LocalProtocolError, match="not now"):
        bench.pump.request(refuse)
    assert bench.events == [ServerDrained()]


def test_the_waker_may_be_rung_more_often_than_heard(bench: Bench) -> None:
    for _ in range(100_000):
        bench.pump.wake()
    bench.pump.turn(bench.pump.selector.select(0))
    assert bench.pump.selector.select(0) == []


def test_signalling_reads_every_datagram_of_a_turn_in_bounded_steps(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signalling, "_BATCHES_PER_TURN", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for _ in range(100):
            peer.sendto(b"x", bench.udp.address)
        bench.pump.turn(bench.pump.selector.select(PATIENCE))
        first = len(bench.core.named("receive_datagram"))
        assert 0 < first < 100
        bench.until("receive_datagram", 100)


# names


def test_an_answer_of_the_dns_is_an_input() -> None:
    def look_up(name: str, kind: RecordType) -> Found:
        if kind is not RecordType.A:
            return Found(LookupFailure.NO_RECORDS, 1.0)
        return Found((AddressRecord("192.0.2.1"),), 1.0)

    core = CoreDouble()
    pump = Pump[Event](core, storage=None, publish=lambda event: None, limits=Limits(), resolver=Resolver(look_up))
    pump.start(())
    core.put(
        Resolve(query=QueryId(1), name="a.example.com", type=RecordType.A),
        Resolve(query=QueryId(2), name="a.example.com", type=RecordType.AAAA),
    )
    pump.request(lambda now: None)
    deadline = time.monotonic() + PATIENCE
    while len(core.named("host_resolved")) < 2 and time.monotonic() < deadline:
        pump.turn(pump.selector.select(PATIENCE))
    answers = {each["query"]: each["answer"] for each in core.named("host_resolved")}
    assert answers == {1: (AddressRecord("192.0.2.1"),), 2: LookupFailure.NO_RECORDS}
    pump.close()


def test_a_wall_clock_that_is_set_is_told_to_the_core(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = time.monotonic() + 2.0
    wall = time.time_ns() + 3_602 * 10**9
    monkeypatch.setattr(time, "monotonic", lambda: moved)
    monkeypatch.setattr(time, "time_ns", lambda: wall)
    bench.pump.turn([])
    [told] = [arguments for name, arguments in bench.core.inputs if name == "rebase_clock"]
    assert told["time_base"] == TimeBase(monotonic=moved, unix_ns=wall)
    bench.pump.turn([])
    assert len([name for name, _ in bench.core.inputs if name == "rebase_clock"]) == 1


def test_a_listener_that_has_gone_is_told_to_the_core(bench: Bench) -> None:
    queue, tap, closed = AudioQueue(lambda: None), TapId("one/1"), list[float]()
    bench.pump.request(lambda now: bench.pump.listen(tap, queue, closed.append))
    bench.core.put(DeliverAudio(tap=tap, frames=(AudioFrame(b"", 8_000, 0, "1"),)))
    bench.pump.request(lambda now: None)
    assert queue.take() is not None
    assert closed == []
    queue.close()
    for _ in range(2):
        bench.core.put(DeliverAudio(tap=tap, frames=()))
        bench.pump.request(lambda now: None)
    assert len(closed) == 1
