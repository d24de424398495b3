"""Each scenario runs on asyncio, uvloop, trio and the threaded frontend."""

import queue
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest
from anyio.from_thread import start_blocking_portal

import siprec_anyio
import siprec_sync
from siprec_core.recording.call import CallSpec, StreamSpec
from siprec_core.recording.events import Event, SessionEnded, SessionRequested
from siprec_core.recording.outbound import RecordSpec
from siprec_core.recording.policy import ServerConfig
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, SessionId, TapId, Transport
from siprec_sync.assembly import DriverSettings
from siprec_sync.audio import AudioQueue
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.listeners import Listener
from siprec_sync.policy_hook import Hook
from siprec_sync.tls import TlsFiles
from tests.contract.certificates import make_tls_files
from tests.contract.peer import PATIENCE, Peer
from tests.ports import rtp_ports

ANY = Address("", 0)
WORKERS = ("asyncio", "uvloop", "trio", "sync")


class Decisions(Protocol):
    """What a scenario asks of a server, from its own thread."""

    def accept(self, session: SessionId) -> None: ...

    def reject(self, session: SessionId, status: int) -> None: ...

    def end(self, session: SessionId) -> None: ...

    def pause(self, session: SessionId) -> None: ...

    def resume(self, session: SessionId) -> None: ...

    def request_snapshot(self, session: SessionId) -> None: ...

    def record(self, target: RecordSpec) -> Any: ...  # noqa: ANN401 - either frontend's session

    def shut_down(self, drain_seconds: float) -> None: ...

    def tap_audio(self, session: SessionId, label: str | None, queue: AudioQueue) -> TapId: ...

    def close_tap(self, session: SessionId, tap: TapId) -> None: ...


class Running:
    """A server that runs beside the scenario."""

    def __init__(self, listeners: tuple[Listener, ...], decisions: Decisions, root: Path, table: object = None) -> None:
        self.root = root
        self.decisions = decisions
        self.table: Any = table or decisions
        """The server itself, as any thread may use it."""
        self.events: list[Event] = []
        self.context: ssl.SSLContext | None = None
        """What peers over TLS trust."""
        self._addresses = {listener.transport: listener.address for listener in listeners}
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def put(self, event: Event) -> None:
        self._queue.put(event)

    def address(self, transport: Transport) -> Address:
        return self._addresses[transport]

    def peer(self, transport: Transport = Transport.UDP) -> Peer:
        context = self.context if transport is Transport.TLS else None
        return Peer(transport, self.address(transport), context=context)

    def until(self, kind: type[Event]) -> Any:  # noqa: ANN401 - an event of that kind
        """Wait for the next event of a kind."""
        while True:
            event = self._queue.get(timeout=PATIENCE)
            self.events.append(event)
            if isinstance(event, kind):
                return event

    def requested(self) -> SessionId:
        event: SessionRequested = self.until(SessionRequested)
        return event.session

    def ended(self) -> SessionEnded:
        event: SessionEnded = self.until(SessionEnded)
        return event


class _FromThread:
    """Calls an asynchronous server from the scenario's thread."""

    def __init__(self, server: Any, call: Callable[..., Any]) -> None:  # noqa: ANN401 - any server, any portal
        self._server = server
        self._call = call

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever is there
        value = getattr(self._server, name)
        return (lambda *arguments: self._call(value, *arguments)) if callable(value) else value


class StartServer(Protocol):
    """Starts a server on the worker of the test."""

    def __call__(
        self,
        *binds: str,
        config: ServerConfig | None = None,
        tls: TlsFiles | None = None,
        policy_hook: Hook | None = None,
        media_workers: int = 0,
    ) -> Running: ...


@pytest.fixture(params=WORKERS)
def worker(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name in ("uvloop", "trio"):
        pytest.importorskip(name)
    return name


@pytest.fixture
def start_server(worker: str, tmp_path: Path) -> Iterator[StartServer]:
    numbers = count(1)
    with ExitStack() as stack:

        def start(
            *binds: str,
            config: ServerConfig | None = None,
            tls: TlsFiles | None = None,
            policy_hook: Hook | None = None,
            media_workers: int = 0,
        ) -> Running:
            chosen = binds or ("udp://127.0.0.1:0", "tcp://127.0.0.1:0")
            config = config or ServerConfig()
            if config.rtp_ports == ServerConfig().rtp_ports:
                config = replace(config, rtp_ports=rtp_ports())
            # One server has a root at a time.
            sinks = DirectorySinks(tmp_path / f"recordings-{next(numbers)}")
            settings = DriverSettings(media_workers=media_workers)
            if worker == "sync":
                return _start_sync(stack, chosen, config, tls, sinks, policy_hook, settings)
            return _start_anyio(stack, worker, chosen, config, tls, sinks, policy_hook, settings)

        yield start


def _start_sync(
    stack: ExitStack,
    binds: tuple[str, ...],
    config: ServerConfig | None,
    tls: TlsFiles | None,
    sinks: DirectorySinks,
    policy_hook: Hook | None = None,
    settings: DriverSettings | None = None,
) -> Running:
    server = stack.enter_context(
        siprec_sync.serve(*binds, config=config, sinks=sinks, tls=tls, settings=settings, policy_hook=policy_hook)
    )
    running = Running(server.listeners, server, sinks.root)
    events = server.events()

    def follow() -> None:
        for event in events:
            running.put(event)

    # Ends by itself when the server does, which the stack sees to.
    threading.Thread(target=follow).start()
    return running


def _start_anyio(
    stack: ExitStack,
    worker: str,
    binds: tuple[str, ...],
    config: ServerConfig | None,
    tls: TlsFiles | None,
    sinks: DirectorySinks,
    policy_hook: Hook | None = None,
    settings: DriverSettings | None = None,
) -> Running:
    backend = "trio" if worker == "trio" else "asyncio"
    options = {} if worker == "trio" else {"use_uvloop": worker == "uvloop"}
    portal = stack.enter_context(start_blocking_portal(backend, options))
    serving = siprec_anyio.serve(
        *binds, config=config, sinks=sinks, tls=tls, settings=settings, policy_hook=policy_hook
    )
    server = stack.enter_context(portal.wrap_async_context_manager(serving))
    running = Running(server.listeners, _FromThread(server, portal.call), sinks.root, server)
    events = portal.call(server.events)

    async def follow() -> None:
        async for event in events:
            running.put(event)

    portal.start_task_soon(follow)
    return running


@pytest.fixture
def server(start_server: StartServer) -> Running:
    return start_server()


@pytest.fixture
def everywhere(start_server: StartServer, tls_files: TlsFiles) -> Running:
    """Start a server on UDP, TCP and TLS."""
    return start_everywhere(start_server, tls_files)


def start_everywhere(start: StartServer, tls_files: TlsFiles, config: ServerConfig | None = None) -> Running:
    tls = TlsFiles(certificate=tls_files.certificate, key=tls_files.key)
    server = start(*(f"{transport.value}://127.0.0.1:0" for transport in Transport), config=config, tls=tls)
    server.context = ssl.create_default_context(cafile=str(tls_files.authorities))
    return server


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def spec(target: Address, transport: Transport, *, local: Address = ANY) -> CallSpec:
    return CallSpec(
        uri=f"sip:recorder@{target}",
        hop=Hop(transport, target, "localhost"),
        local=local,
        streams=(
            StreamSpec(label="1", aor="sip:alice@example.com", name="Alice"),
            StreamSpec(label="2", aor="sip:bob@example.com", name="Bob"),
        ),
    )


Connect = Callable[..., Any]


@pytest.fixture
def connect(worker: str) -> Iterator[Connect]:
    """Open calls on the worker of the test; all are over when the test is."""
    with ExitStack() as stack:

        def open_call(call: CallSpec, **named: object) -> Any:  # noqa: ANN401 - either frontend's call
            if worker == "sync":
                return stack.enter_context(siprec_sync.connect(call, **named))  # type: ignore[arg-type]
            backend = "trio" if worker == "trio" else "asyncio"
            options = {} if worker == "trio" else {"use_uvloop": worker == "uvloop"}
            portal = stack.enter_context(start_blocking_portal(backend, options))
            connecting = siprec_anyio.connect(call, **named)  # type: ignore[arg-type]
            recording = stack.enter_context(portal.wrap_async_context_manager(connecting))
            return _FromThread(recording, portal.call)

        yield open_call
