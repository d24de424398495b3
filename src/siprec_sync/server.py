"""The recording server for programs with threads: `with serve("udp://127.0.0.1:5060", ...) as server`."""

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self, cast

from siprec_core.errors import SiprecError
from siprec_core.media.listener import AudioFrame
from siprec_core.recording.events import Event, ServerDrained, SessionRequested
from siprec_core.recording.outbound import RecordSpec
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer
from siprec_core.types import SessionId
from siprec_sync.asking import AskedSession, from_listener
from siprec_sync.assembly import Assembly, DriverSettings, assemble
from siprec_sync.audio import QUEUE_FRAMES, AudioQueue
from siprec_sync.clocks import read_clocks
from siprec_sync.driver import Driver
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
from siprec_sync.waiting import Bell, EventStream


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
    """A running recording server, for any thread. Leaving its block ends all sessions and finishes their files."""

    def __init__(self, core: ServerCoreT, assembly: Assembly[Event], hub: ServerHub) -> None:
        super().__init__(core, assembly)
        self._hub = hub
        self._driver = Driver(assembly)
        self._drained = False

    def __enter__(self) -> Self:
        self._driver.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._driver.running and not self._drained:
                self.shut_down(drain_seconds=0.0)
        finally:
            self.close()
        if error is None and self.failed is not None:
            raise self._driver.gone()

    def __iter__(self) -> Iterator[Session]:
        """Follow the sessions: those that run now, then each that is requested."""
        bell = Bell()
        return _sessions_of(self._hub.follow_sessions(bell.ring, self._make), bell)

    def _make(self, requested: SessionRequested) -> tuple[Session, EventQueue[Event]]:
        session = Session(requested, self)
        return session, session.queue

    def record(self, target: RecordSpec) -> Session:
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
                bell.wait_until(lambda: asked.closed)
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
        """Call `function` with the core and `now` in the driver's thread, and give its answer.

        Raises what it raises; DriverFailedError when the driver failed, LocalProtocolError when it was stopped.
        """
        return self._driver.request(partial(function, self.core))

    def shut_down(self, drain_seconds: float) -> None:
        """Refuse new sessions, wait for running ones up to `drain_seconds`, end the rest; return when all is finished.

        Raises DriverFailedError when the driver fails meanwhile.
        """
        drained = self.events(lambda event: isinstance(event, ServerDrained))
        self.request(lambda core, now: core.shut_down(drain_seconds=drain_seconds, now=now))
        if drained.next() is None:
            raise self._driver.gone()
        self._drained = True

    def wait(self) -> None:
        """Wait until the server stops. Raises DriverFailedError when it stopped by a fault."""
        self._driver.wait()

    def close(self) -> None:
        """Stop at once: sockets are closed, what is queued for the files is written, running recordings stay open.

        Harmless twice. Such recordings are finished by a later recovery.
        """
        self._driver.stop()


def _sessions_of(feed: SessionFeed[Session], bell: Bell) -> Iterator[Session]:
    while True:
        bell.wait_until(lambda: feed.ready)
        session = feed.take()
        if session is None:
            return
        yield session


def serve(
    *binds: str | Bind,
    config: ServerConfig | None = None,
    sinks: Sinks,
    tls: TlsFiles | ssl.SSLContext | None = None,
    settings: DriverSettings | None = None,
    policy_hook: Hook | None = None,
) -> Server[RecordingServer]:
    """Open a recording server on addresses such as `udp://0.0.0.0:5060`; without any on UDP and TCP 127.0.0.1:5060.

    The listeners are open when this returns; serving begins with the `with` block. `policy_hook` decides about each
    call, in threads of its own. Raises ConfigurationError when an address, the certificate or the place for recordings
    cannot be used.
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
        hub.add(PolicyThreads(policy_hook, core, assembly.pump.call, undecided=config.undecided))
    return Server(core, assembly, hub)
