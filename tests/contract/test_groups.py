"""One conversation at several recorders, and audio that is sent in real time; on every frontend."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

import siprec_anyio
import siprec_sync
from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.metadata.builder import MetadataBuilder
from siprec_core.metadata.writer import write_metadata
from siprec_core.recording.admission import AdmissionPolicy
from siprec_core.recording.call import CallSpec, ChangeOutcome, ClientConfig, StreamSpec
from siprec_core.recording.call_events import AudioFinished, RecordingEnded, RecordingRefused
from siprec_core.recording.events import SessionEstablished
from siprec_core.recording.policy import ServerConfig
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Transport
from siprec_sync.calls import CallRefusedError
from tests.contract.conftest import ANY, Connect, Running, StartServer, _FromThread, spec
from tests.contract.test_calls import tone
from tests.contract.test_scenarios import report_of

CLOSED = ServerConfig(admission=AdmissionPolicy(networks=("192.0.2.0/24",)))
"""Nobody of this machine is recorded: 403."""
RATE = 8_000
Group = Callable[..., Any]


def call_to(server: Running, transport: Transport = Transport.UDP) -> CallSpec:
    return spec(server.address(transport), transport)


def silent() -> tuple[socket.socket, CallSpec]:
    """Make a server that says nothing."""
    deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    deaf.bind(("127.0.0.1", 0))
    address = Address(*deaf.getsockname())
    call = CallSpec(uri=f"sip:{address}", hop=Hop(Transport.UDP, address), local=ANY, streams=streams())
    return deaf, call


def streams() -> tuple[StreamSpec, ...]:
    return (
        StreamSpec(label="1", aor="sip:alice@example.com", name="Alice"),
        StreamSpec(label="2", aor="sip:bob@example.com", name="Bob"),
    )


def open_group(stack: ExitStack, worker: str, *calls: CallSpec, **named: object) -> Any:  # noqa: ANN401
    """Open a group of either frontend, which ends with the stack."""
    if worker == "sync":
        return stack.enter_context(siprec_sync.connect_all(*calls, **named))  # type: ignore[arg-type]
    backend = "trio" if worker == "trio" else "asyncio"
    options = {} if worker == "trio" else {"use_uvloop": worker == "uvloop"}
    portal = stack.enter_context(start_blocking_portal(backend, options))
    connecting = siprec_anyio.connect_all(*calls, **named)  # type: ignore[arg-type]
    return _FromThread(stack.enter_context(portal.wrap_async_context_manager(connecting)), portal.call)


@pytest.fixture
def group(worker: str) -> Iterator[Group]:
    """Open groups on the worker of the test; all are over when the test is."""
    with ExitStack() as stack:
        yield partial(open_group, stack, worker)


def test_audio_goes_to_who_speaks_in_real_time(server: Running, connect: Connect) -> None:
    call = connect(call_to(server))
    events = call.events()
    call.send("Alice", tone(440, 0.4, RATE))
    call.send("sip:bob@example.com", [tone(880, 0.1, RATE)] * 4)
    with pytest.raises(LocalProtocolError, match="'Carol'"):
        call.send("Carol", bytes(320))
    call.finish_audio("1")
    call.finish_audio("2")
    call.wait_sent()
    call.stop()
    seen = []
    while (event := events.queue.take()) is not None:
        seen.append(type(event))
    assert seen[-3:] == [AudioFinished, AudioFinished, RecordingEnded]
    report = report_of(server, server.ended().directory)
    assert [each["packets_received"] for each in report["streams"]] == [20, 20]


def test_a_call_that_is_refused_takes_no_audio(start_server: StartServer, connect: Connect) -> None:
    call = connect(call_to(start_server(config=CLOSED)))
    with pytest.raises(CallRefusedError, match="403"):
        call.send("1", bytes(320))


def test_every_server_records_the_same_conversation(start_server: StartServer, group: Group) -> None:
    servers = [start_server(), start_server()]
    recorders = group(call_to(servers[0]), call_to(servers[1], Transport.TCP))
    recorders.wait_answered()
    assert recorders.errors == {}
    for name, frequency in (("Alice", 440), ("Bob", 880)):
        recorders.send(name, tone(frequency, 0.3, RATE))
        recorders.finish_audio(name)
    recorders.wait_sent()
    recorders.stop()
    reports = [report_of(server, server.ended().directory) for server in servers]
    assert [[each["packets_received"] for each in report["streams"]] for report in reports] == [[15, 15], [15, 15]]
    assert reports[0]["sessions"][0]["id"] == reports[1]["sessions"][0]["id"], "they can be joined"
    assert recorders.errors == {}


def test_one_that_fails_leaves_the_others_and_the_application_alone(start_server: StartServer, group: Group) -> None:
    good, closed = start_server(), start_server(config=CLOSED)
    deaf, unheard = silent()
    with deaf:
        recorders = group(unheard, call_to(closed), call_to(good), closing_seconds=0.1)
        events = recorders.events()
        recorders.send("Alice", tone(440, 0.4, RATE))
        outcomes = recorders.pause("Alice")
        assert [None if each is None else each.status for each in outcomes] == [None, None, 200]
        assert good.until(SessionEstablished)
        (error,) = recorders.errors.values()
        assert isinstance(error, CallRefusedError)
        assert error.status == 403
        recorders.stop()
        assert len(recorders.errors) == 1, "the end of the others is no error"
        seen = []
        while (event := events.queue.take()) is not None:
            seen.append(event)
    assert {each.number for each in seen if isinstance(each.event, RecordingRefused)} <= {1}
    assert 2 in {each.number for each in seen if isinstance(each.event, RecordingEnded)}
    received = report_of(good, good.ended().directory)["streams"][0]["packets_received"]
    assert 0 < received <= 20, "a hold drops what waits"


def test_a_failure_is_raised_where_that_is_asked_for(start_server: StartServer, worker: str) -> None:
    good, closed = start_server(), start_server(config=CLOSED)

    def record() -> None:
        with ExitStack() as stack:
            recorders = open_group(stack, worker, call_to(good), call_to(closed), on_failure="raise")
            recorders.send("Alice", bytes(320))
            recorders.wait_answered()

    with pytest.raises(CallRefusedError, match="403"):
        record()
    assert good.ended().reason == "bye", "the others are ended with the group"


def test_a_recorder_that_ends_on_its_own_is_told(start_server: StartServer, group: Group) -> None:
    servers = [start_server(), start_server()]
    recorders = group(*map(call_to, servers))
    recorders.wait_answered()
    events = recorders.events()
    servers[0].decisions.end(servers[0].until(SessionEstablished).session)
    servers[0].ended()
    recorders.send("Alice", tone(440, 0.3, RATE))
    recorders.finish_audio("Alice")
    recorders.finish_audio("Bob")
    recorders.wait_sent()
    assert [type(error) for error in recorders.errors.values()] == [LocalProtocolError]
    assert [member.records for member in recorders.members] == [False, True]
    assert events.queue.take().number == 0
    recorders.stop()
    assert report_of(servers[1], servers[1].ended().directory)["streams"][0]["packets_received"] == 15


def test_all_are_told_of_who_comes_and_goes(start_server: StartServer, group: Group) -> None:
    servers = [start_server(), start_server()]
    people = MetadataBuilder(entropy=os.urandom, unix_ns=time.time_ns())
    people.join("1", "sip:alice@example.com", "Alice", unix_ns=time.time_ns())
    bob = people.join("2", "sip:bob@example.com", "Bob", unix_ns=time.time_ns())
    known = write_metadata(people.complete())
    recorders = group(*(replace(call_to(server), metadata=known) for server in servers))
    recorders.wait_answered()
    people.transfer(bob, "sip:carol@example.com", "Carol", unix_ns=time.time_ns())
    outcomes = recorders.update_metadata(people.partial())
    assert [isinstance(each, ChangeOutcome) and each.taken for each in outcomes] == [True, True]
    assert recorders.resume("Alice") == (None, None), "it was not held"
    recorders.stop()
    for server in servers:
        report = report_of(server, server.ended().directory)
        assert [each["names"] for each in report["participants"]] == [["Alice"], ["Bob"], ["Carol"]]


def test_the_servers_of_a_list_are_asked_in_turn(start_server: StartServer, connect: Connect) -> None:
    closed, good = start_server(config=CLOSED), start_server()
    deaf, unheard = silent()
    with deaf:
        first = replace(
            unheard,
            alternatives=tuple(f"sip:{server.address(Transport.UDP)};transport=udp" for server in (closed, good)),
        )
        call = connect(first, config=ClientConfig(silence_seconds=0.2))
        assert call.wait_answered().labels == ("1", "2")
        assert [each.status for each in call.progress.failed_servers] == [408, 403]
        assert call.progress.hop.remote == good.address(Transport.UDP)
        call.stop()
    assert good.ended().reason == "bye"


def test_a_group_of_nobody_is_misuse(worker: str) -> None:
    package = siprec_sync if worker == "sync" else siprec_anyio
    with pytest.raises(ConfigurationError):
        package.connect_all()
    with pytest.raises(ConfigurationError):
        package.connect_all(spec(Address("127.0.0.1", 5060), Transport.UDP), on_failure="perhaps")
