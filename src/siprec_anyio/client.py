"""A recording call on asyncio and trio: `async with connect(call) as recording`."""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from functools import partial

import anyio
from anyio import to_thread
from siprec_anyio.driver import Driver, running
from siprec_anyio.waiting import Bell, EventStream, each_frame
from siprec_core.client import RecordingClient
from siprec_core.metadata.model import MetadataDocument
from siprec_core.recording.call import CallSpec, ChangeOutcome, ClientConfig, ListenSpec
from siprec_core.recording.call_events import CallEvent, RecordingAnswered, RecordingEnded
from siprec_sync.assembly import Assembly, DriverSettings
from siprec_sync.calls import MOST_AHEAD_SECONDS, CallFacade, CallProgress, local_hosts, pieces, prepare_call
from siprec_sync.codecs import with_client_codecs
from siprec_sync.events import EventHub, EventQueue
from siprec_sync.facade import ResultT
from siprec_sync.listening import prepare_listening
from siprec_sync.resolver import Resolver
from siprec_sync.srtp import with_client_ciphers
from siprec_sync.tls import TlsFiles

_CLOSING_SECONDS = 40.0
"""A BYE without answer is given up after 32 s (timer F, RFC 3261 section 17.1.2.2)."""


class Call(CallFacade):
    """One recording call. Its methods belong to the event loop's thread."""

    def __init__(
        self,
        core: RecordingClient,
        call: CallSpec | None,
        assembly: Assembly[CallEvent],
        hub: EventHub[CallEvent],
        driver: Driver,
    ) -> None:
        super().__init__(core, assembly)
        self.call = call
        self._bell = Bell()
        self._progress = CallProgress(self._bell.ring)
        hub.add(self._progress)
        self._driver = driver

    def request(self, function: Callable[[RecordingClient, float], ResultT]) -> ResultT:
        """Call `function` with the core and `now`, carry out what follows from it, and give its answer.

        Raises what it raises; DriverFailedError when the driver failed, LocalProtocolError when it was stopped.
        """
        return self._driver.request(partial(function, self.core))

    async def wait_answered(self) -> RecordingAnswered:
        """Wait for the answer. Raises CallRefusedError when there is none, DriverFailedError at a fault."""
        await self._bell.wait_until(lambda: self._progress.decided)
        self._check()
        return self._progress.answer()

    async def send(self, stream: str, frames: bytes | Iterable[bytes] | AsyncIterable[bytes]) -> None:
        """Send 16-bit little-endian PCM at the stream's `sample_rate`, and wait until hardly any of it is left to send.

        `stream` is a label, or the name or address of who speaks. Waits for the answer first. Raises CallRefusedError
        when the call is not taken, LocalProtocolError for a stream that the server does not take and when the call ends
        before all is sent.
        """
        await self.wait_answered()
        label = self.label_of(stream)
        async with aclosing(each_frame(frames)) as given:
            async for frame in given:
                for piece in pieces(frame):
                    ahead = self.queue_audio(label, piece)
                    if ahead > MOST_AHEAD_SECONDS:
                        with anyio.move_on_after(ahead - MOST_AHEAD_SECONDS):
                            await self._bell.wait_until(lambda: self._progress.over)

    def events(self) -> EventStream[CallEvent]:
        """Follow the events of the call from now on."""
        stream = EventStream[CallEvent](EventQueue)
        self.follow(stream.queue)
        return stream

    async def wait_sent(self) -> None:
        """Wait until the audio of every stream was finished and sent, or the call is over."""
        await self._bell.wait_until(lambda: self._progress.sent)
        self._check()

    async def wait_ended(self) -> RecordingEnded | None:
        """Wait until nothing of the call is left; None when the driver was stopped before that."""
        await self._bell.wait_until(lambda: self._progress.over)
        self._check()
        return self._progress.ended

    async def stop(self) -> RecordingEnded | None:
        """End the call by BYE or CANCEL and wait as `wait_ended` does."""
        self.request(lambda core, now: core.stop(now=now))
        return await self.wait_ended()

    async def pause(self, label: str) -> ChangeOutcome | None:
        """Hold a stream by re-INVITE and wait for the answer; None when it is held already.

        Its audio stops at once; what is added meanwhile is dropped. Raises ChangeRefusedError when the server does not
        take the change, LocalProtocolError for a stream that it does not take or when too many changes wait. A waiting
        that is cancelled leaves the change to go on.
        """
        return await self._conclude(self.begin_hold(label, paused=True))

    async def resume(self, label: str) -> ChangeOutcome | None:
        """Go on with a stream that was held and wait for the answer; as `pause`."""
        return await self._conclude(self.begin_hold(label, paused=False))

    async def update_metadata(self, document: MetadataDocument | bytes) -> ChangeOutcome | None:
        """Send metadata (RFC 7866 section 9.1) and wait for the answer.

        Raises as `pause` does, and LocalProtocolError for a document that cannot be written.
        """
        return await self._conclude(self.begin_update(document))

    async def aclose(self) -> None:
        """End the call if that was not done; then stop. Harmless twice."""
        try:
            if self._driver.running and not self._progress.over:
                await self.stop()
        finally:
            self._driver.stop()

    async def _conclude(self, change: int | None) -> ChangeOutcome | None:
        try:
            await self._bell.wait_until(lambda: self._progress.concluded(change))
            self._check()
            return self._progress.conclude(change)
        finally:
            self._progress.forget(change)

    @property
    def _is_running(self) -> bool:
        return self._driver.running

    def _stop_driver(self) -> None:
        self._driver.stop()

    def _check(self) -> None:
        if self.failed is not None:
            raise self._driver.gone()


@asynccontextmanager
async def connect(
    call: CallSpec,
    *,
    config: ClientConfig | None = None,
    tls: TlsFiles | ssl.SSLContext | None = None,
    settings: DriverSettings | None = None,
) -> AsyncIterator[Call]:
    """Carry a recording call to `call.hop`, or without that to the servers of `call.uri`, one after the other.

    The INVITE leaves at the beginning of the block. In `call.local` an empty host takes the address from which the
    server is reached, which may have to wait for the DNS; port 0 takes any free port. Raises ConfigurationError when
    the local address or a TLS file cannot be used.
    """
    recording, driver = await open_call(call, config=config, tls=tls, settings=settings)
    async with carry(recording, driver):
        begin(recording)
        yield recording


async def open_call(
    call: CallSpec,
    *,
    config: ClientConfig | None,
    tls: TlsFiles | ssl.SSLContext | None,
    settings: DriverSettings | None,
) -> tuple[Call, Driver]:
    """Open what a call needs, and send nothing yet. Raises as `connect` does."""
    config = with_client_codecs(with_client_ciphers(config or ClientConfig(), call))
    resolver = Resolver(None if settings is None else settings.lookup)
    find_hosts = partial(local_hosts, call, resolver=resolver, limits=config.limits)
    waits = call.hop is None or bool(call.alternatives)
    hosts = await to_thread.run_sync(find_hosts, abandon_on_cancel=True) if waits else find_hosts()
    client, spec, assembly, hub = prepare_call(
        call, hosts, config=config, tls=tls, settings=settings, resolver=resolver
    )
    driver = Driver(assembly)
    return Call(client, spec, assembly, hub, driver), driver


@asynccontextmanager
async def listen(
    spec: ListenSpec,
    *binds: str,
    config: ClientConfig | None = None,
    tls: TlsFiles | ssl.SSLContext | None = None,
    settings: DriverSettings | None = None,
) -> AsyncIterator[Call]:
    """Let a recording server call during the block, on addresses such as `udp://0.0.0.0:5060` (RFC 7866 section 6.2).

    Without any they are UDP and TCP 127.0.0.1:5060. The first server that asks gets the session; `wait_answered` waits
    for it. Raises ConfigurationError when an address or the certificate cannot be used.
    """
    client, assembly, hub = prepare_listening(binds, config=config or ClientConfig(), tls=tls, settings=settings)
    driver = Driver(assembly)
    waiting = Call(client, None, assembly, hub, driver)
    async with carry(waiting, driver):
        waiting.request(lambda _core, now: client.listen(spec, now=now))
        yield waiting


def begin(recording: Call) -> None:
    """Send the INVITE of a call that was opened."""
    call = recording.call
    if call is not None:
        recording.request(lambda core, now: core.start(call, now=now))


@asynccontextmanager
async def carry(recording: Call, driver: Driver) -> AsyncIterator[None]:
    """Run the driver of a call during the block, and end the call with it."""
    async with running(driver):
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSING_SECONDS):
                await recording.aclose()
            driver.stop()
