"""The recording server on asyncio and trio: `async with serve("udp://127.0.0.1:5060", ...) as server`."""

import os
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

import anyio
from siprec_anyio.driver import Driver, running
from siprec_anyio.waiting import Bell, EventStream
from siprec_core.errors import SiprecError
from siprec_core.media.listener import AudioFrame
from siprec_core.recording.decision import Decision
from siprec_core.recording.events import Event, ServerDrained, SessionRequested
from siprec_core.recording.outbound import RecordSpec
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer
from siprec_core.types import SessionId
from siprec_sync.asking import AskedSession, from_listener
from siprec_sync.assembly import Assembly, DriverSettings, assemble
from siprec_sync.audio import QUEUE_FRAMES, AudioQueue
from siprec_sync.clocks import read_clocks
from siprec_sync.events import EventQueue, ServerHub, SessionFeed, session_queue
from siprec_sync.facade import (
    DEFAULT_BINDS,
    ResultT,
    ServerCoreT,
    ServerFacade,
    SessionActions,
    SessionControl,
)
from siprec_sync.listeners import Bind
from siprec_sync.media_workers import with_media_workers
from siprec_sync.policy_hook import Hook, PolicyThreads, with_hook
from siprec_sync.pump import Storage
from siprec_sync.sinks import Sinks
from siprec_sync.srtp import with_server_ciphers
from siprec_sync.tls import TlsFiles


class Session(SessionActions, EventStream[Event]):
    """One recording session; iterating it gives its events up to its end."""

    def __init__(self, requested: SessionRequested, server: SessionControl) -> None:
        SessionActions.__init__(self, requested, server)
        EventStream.__init__(self, partial(session_queue, requested))

    def audio(self, label: str | None = None, *, capacity: int = QUEUE_FRAMES) -> "AudioStream":
        """Listen to the stream with a label, or to all of them, from now on.

        A reader that falls `capacity` frames behind loses the oldest ones; the recording loses nothing. Raises
        LocalProtocolError when the session is not established, has no such stream, or too many listen.
        """
        return AudioStream(self._server, self.id, label, capacity=capacity)


class AudioStream(EventStream[AudioFrame]):
    """Live audio; iterating it gives its frames up to the end of the session or to `close`."""

    def __init__(self, server: SessionControl, session: SessionId, label: str | None, *, capacity: int) -> None:
        super().__init__(lambda notify: AudioQueue(notify, capacity=capacity))
        self._server = server
        self._session = session
        self._tap = server.tap_audio(session, label, cast("AudioQueue", self.queue))

    @property
    def dropped(self) -> int:
        """Frames that were lost because they were not read in time."""
        return self.queue.dropped

    def close(self) -> None:
        """Listen no more. Harmless twice."""
        try:
            self._server.close_tap(self._session, self._tap)
        except SiprecError:
            self.queue.close()  # the server is gone, and with it the tap


class Server(ServerFacade[ServerCoreT]):
    """A running recording server. The decisions about sessions and the looks at them are for any thread.

    Everything that waits, and `events`, belongs to the event loop's thread.
    """

    def __init__(self, core: ServerCoreT, assembly: Assembly[Event], hub: ServerHub, driver: Driver) -> None:
        super().__init__(core, assembly)
        self._hub = hub
        self._driver = driver
        self._drained = False

    def __aiter__(self) -> AsyncIterator[Session]:
        """Follow the sessions: those that run now, then each that is requested."""
        bell = Bell()
        return _sessions_of(self._hub.follow_sessions(bell.ring, self._make), bell)

    def _make(self, requested: SessionRequested) -> tuple[Session, EventQueue[Event]]:
        session = Session(requested, self)
        return session, session.queue

    async def record(self, target: RecordSpec) -> Session:
        """Ask a recording client for a recording session (RFC 7866 section 6.2) and wait for its answer.

        Without `target.local` it goes out from our listener of the transport. The session follows from its first event
        on; it is among those of the iteration too. Raises CallRefusedError when there is none, with the client's status
        or one of ours as `SessionRefused` tells; LocalProtocolError when none can begin now; ConfigurationError without
        a listener for it. A waiting that is cancelled gives the session up.
        """
        bell = Bell()
        target = from_listener(target, self.listeners)
        asked = AskedSession[Session](self._hub, bell.ring, self._make)

        def ask(core: ServerCoreT, now: float) -> SessionId:
            asked.id = core.record(target, now=now)
            return asked.id

        self._hub.add(asked)
        try:
            identity = self.request(ask)
            try:
                await bell.wait_until(lambda: asked.closed)
            except BaseException:
                with suppress(SiprecError):  # it does not run any more
                    self.end(identity)
                raise
        finally:
            self._hub.remove(asked)
        session = asked.answer()
        if session is None or not self._driver.running:
            raise self._driver.gone()
        return session

    def events(self, accepts: Callable[[Event], bool] | None = None, *, capacity: int = 10_000) -> EventStream[Event]:
        """Follow all events from now on, or those that `accepts` takes."""
        stream = EventStream[Event](lambda notify: EventQueue(notify, accepts=accepts, capacity=capacity))
        self._hub.add(stream.queue)
        return stream

    def request(self, function: Callable[[ServerCoreT, float], ResultT]) -> ResultT:
        """Call `function` with the core and `now`, carry out what follows from it, and give its answer.

        Raises what it raises; DriverFailedError when the driver failed, LocalProtocolError when it was stopped.
        """
        return self._driver.request(partial(function, self.core))

    async def shut_down(self, drain_seconds: float) -> None:
        """Refuse new sessions, wait for running ones up to `drain_seconds`, end the rest; return when all is finished.

        Raises DriverFailedError when the driver fails meanwhile.
        """
        drained = self.events(lambda event: isinstance(event, ServerDrained))
        self.request(lambda core, now: core.shut_down(drain_seconds=drain_seconds, now=now))
        if await drained.next() is None:
            raise self._driver.gone()
        self._drained = True

    async def wait(self) -> None:
        """Wait until the server stops. Raises DriverFailedError when it stopped by a fault."""
        await self._driver.wait()

    async def aclose(self) -> None:
        """End all sessions and finish their files, if that was not done; then stop. Harmless twice."""
        try:
            if self._driver.running and not self._drained:
                await self.shut_down(drain_seconds=0.0)
        finally:
            self.close()

    def close(self) -> None:
        """Stop at once: sockets are closed, what is queued for the files is written, running recordings stay open.

        Harmless twice. Such recordings are finished by a later recovery.
        """
        self._driver.stop()


async def _sessions_of(feed: SessionFeed[Session], bell: Bell) -> AsyncIterator[Session]:
    while True:
        await bell.wait_until(lambda: feed.ready)
        session = feed.take()
        if session is None:
            return
        yield session


@asynccontextmanager
async def serve(
    *binds: str | Bind,
    config: ServerConfig | None = None,
    sinks: Sinks,
    tls: TlsFiles | ssl.SSLContext | None = None,
    settings: DriverSettings | None = None,
    policy_hook: Hook | None = None,
) -> AsyncIterator[Server[RecordingServer]]:
    """Serve on addresses such as `udp://0.0.0.0:5060`, without any on UDP and TCP 127.0.0.1:5060, during the block.

    Leaving the block ends all sessions and finishes their files. A fault in the server comes out of the block as
    DriverFailedError. `policy_hook` decides about each call, in threads of its own. Raises ConfigurationError when an
    address, the certificate or the place for recordings cannot be used.
    """
    config = with_server_ciphers(config or ServerConfig())
    config = with_media_workers(config, sinks, 0 if settings is None else settings.media_workers)
    if policy_hook is not None:
        config = with_hook(config)
    core = RecordingServer(config, time_base=read_clocks(), entropy=os.urandom)
    hub = ServerHub()
    storage = Storage(sinks, core)
    assembly = assemble(
        core, binds or DEFAULT_BINDS, hub=hub, storage=storage, limits=config.limits, tls=tls, settings=settings
    )
    if policy_hook is not None:
        run = partial(_run_hook, _backend())
        hub.add(PolicyThreads(policy_hook, core, assembly.pump.call, undecided=config.undecided, run=run))
    async with run_server(core, assembly, hub) as server:
        yield server


def _backend() -> str:
    """Name what we run on."""
    # anyio makes the event of the loop that runs; its module is named after that.
    return "trio" if type(anyio.Event()).__module__.endswith("trio") else "asyncio"


def _run_hook(backend: str, coroutine: Coroutine[Any, Any, Decision]) -> Decision:
    """Run an asynchronous hook in a loop of its own, of the kind that the server has."""

    async def awaited() -> Decision:
        return await coroutine

    return anyio.run(awaited, backend=backend)


@asynccontextmanager
async def run_server(
    core: ServerCoreT, assembly: Assembly[Event], hub: ServerHub, *, closing_seconds: float = 40.0
) -> AsyncIterator[Server[ServerCoreT]]:
    """Serve with an assembled driver during the block.

    Leaving it takes `closing_seconds` at most, also when the block was cancelled: a BYE without answer is given up
    after 32 s (timer F, RFC 3261 section 17.1.2.2).
    """
    driver = Driver(assembly)
    server = Server(core, assembly, hub, driver)
    async with running(driver):
        try:
            yield server
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(closing_seconds):
                await server.aclose()
            server.close()
