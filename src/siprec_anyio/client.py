"""A recording call on asyncio and trio: `async with connect(call) as recording`."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
from anyio import to_thread
from siprec_anyio.driver import Driver, running
from siprec_anyio.waiting import Bell
from siprec_core.client import RecordingClient
from siprec_core.metadata.model import MetadataDocument
from siprec_core.recording.call import CallSpec, ChangeOutcome, ClientConfig, ListenSpec
from siprec_core.recording.call_events import CallEvent, RecordingAnswered, RecordingEnded
from siprec_sync.assembly import Assembly, DriverSettings
from siprec_sync.calls import CallFacade, CallProgress, local_hosts, prepare_call
from siprec_sync.events import EventHub
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
        """What was asked for, with our real address; None for a call that we wait for."""
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
        return await self._conclude(self._begin_hold(label, paused=True))

    async def resume(self, label: str) -> ChangeOutcome | None:
        """Go on with a stream that was held and wait for the answer; as `pause`."""
        return await self._conclude(self._begin_hold(label, paused=False))

    async def update_metadata(self, document: MetadataDocument | bytes) -> ChangeOutcome | None:
        """Send metadata (RFC 7866 section 9.1) and wait for the answer.

        Raises as `pause` does, and LocalProtocolError for a document that cannot be written.
        """
        return await self._conclude(self._begin_update(document))

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
    config = with_client_ciphers(config or ClientConfig(), call)
    resolver = Resolver(None if settings is None else settings.lookup)
    find_hosts = partial(local_hosts, call, resolver=resolver, limits=config.limits)
    hosts = find_hosts() if call.hop is not None else await to_thread.run_sync(find_hosts, abandon_on_cancel=True)
    client, spec, assembly, hub = prepare_call(
        call, hosts, config=config, tls=tls, settings=settings, resolver=resolver
    )
    driver = Driver(assembly)
    recording = Call(client, spec, assembly, hub, driver)
    async with _carry(recording, driver):
        recording.request(lambda core, now: core.start(spec, now=now))
        yield recording


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
    async with _carry(waiting, driver):
        waiting.request(lambda _core, now: client.listen(spec, now=now))
        yield waiting


@asynccontextmanager
async def _carry(recording: Call, driver: Driver) -> AsyncIterator[None]:
    async with running(driver):
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSING_SECONDS):
                await recording.aclose()
            driver.stop()
