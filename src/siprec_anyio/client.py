"""A recording call on asyncio and trio: `async with connect(call) as recording`."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
from siprec_anyio.driver import Driver, running
from siprec_anyio.waiting import Bell
from siprec_core.client import RecordingClient
from siprec_core.recording.call import CallSpec, ClientConfig, ListenSpec
from siprec_core.recording.call_events import CallEvent, RecordingAnswered, RecordingEnded
from siprec_sync.assembly import Assembly, DriverSettings
from siprec_sync.calls import CallFacade, CallProgress, prepare_call
from siprec_sync.events import EventHub
from siprec_sync.facade import ResultT
from siprec_sync.listening import prepare_listening
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

    async def aclose(self) -> None:
        """End the call if that was not done; then stop. Harmless twice."""
        try:
            if self._driver.running and not self._progress.over:
                await self.stop()
        finally:
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
    """Carry a recording call to `call.hop` during the block; the INVITE leaves at its beginning.

    In `call.local` an empty host takes the address from which the server is reached, port 0 any free port. Raises
    ConfigurationError when the local address or a TLS file cannot be used.
    """
    client, spec, assembly, hub = prepare_call(call, config=config or ClientConfig(), tls=tls, settings=settings)
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
