"""One conversation recorded by several servers on asyncio and trio: `async with connect_all(*calls) as group`."""

import ssl
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias

import anyio
from siprec_anyio.client import Call, begin, carry, open_call
from siprec_anyio.driver import Driver, task_group
from siprec_anyio.waiting import Bell, EventStream, each_frame
from siprec_core.errors import SiprecError
from siprec_core.metadata.model import MetadataDocument
from siprec_core.recording.call import CallSpec, ClientConfig
from siprec_sync.assembly import DriverSettings
from siprec_sync.calls import MOST_AHEAD_SECONDS, pieces
from siprec_sync.groups import (
    CLOSING_SECONDS,
    GroupChange,
    GroupEvent,
    GroupFacade,
    GroupMember,
    OnFailure,
    Outcome,
    begin_hold,
    begin_update,
)
from siprec_sync.tls import TlsFiles

_Open: TypeAlias = Callable[[CallSpec], Awaitable[tuple[Call, Driver]]]


class RecordingGroup(GroupFacade[Call]):
    """Calls to several recording servers. Its methods belong to the event loop's thread."""

    def __init__(
        self, calls: Sequence[CallSpec], open_one: _Open, *, on_failure: OnFailure, closing_seconds: float
    ) -> None:
        self._bell = Bell()
        super().__init__(calls, on_failure=on_failure, ring=self._bell.ring)
        self._open_one = open_one
        self._closing_seconds = closing_seconds
        self._left = False
        self._opening: list[anyio.CancelScope] = []
        self._tasks = AsyncExitStack()

    async def __aenter__(self) -> Self:
        tasks = await self._tasks.enter_async_context(task_group())
        for member in self.members:
            tasks.start_soon(self._carry, member)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        failure = next(iter(self.errors.values()), None)
        self._left = True
        self._bell.ring()
        for scope in self._opening:
            scope.cancel()  # nobody waits any more for a name server
        try:
            await self._tasks.__aexit__(kind, error, traceback)
        finally:
            self._hub.close()
        if error is None and self._raises and failure is not None:
            raise failure

    async def wait_answered(self) -> None:
        """Wait until every server has answered or failed."""
        await self._bell.wait_until(lambda: self._decided)
        self.raise_failure()

    async def send(self, stream: str, frames: bytes | Iterable[bytes] | AsyncIterable[bytes]) -> None:
        """Send 16-bit little-endian PCM to every server that records, and wait until hardly any is left to send.

        Waits first until one of them has answered, or all have failed; one that answers later gets what comes then. All
        should use the same sample rate. `send_audio` never waits.
        """
        await self._bell.wait_until(lambda: self._can_send)
        async with aclosing(each_frame(frames)) as given:
            async for frame in given:
                for piece in pieces(frame):
                    ahead = self._queue(stream, piece)
                    if ahead > MOST_AHEAD_SECONDS:
                        await anyio.sleep(ahead - MOST_AHEAD_SECONDS)

    async def wait_sent(self) -> None:
        """Wait until every server that records was sent the audio of all streams, which have to be finished."""
        await self._bell.wait_until(lambda: self._all_sent)
        self.raise_failure()

    async def pause(self, stream: str) -> tuple[Outcome, ...]:
        """Hold a stream at every server that records; gives for each member what became of it, None for the others."""
        return await self._change(begin_hold(stream, paused=True))

    async def resume(self, stream: str) -> tuple[Outcome, ...]:
        """Go on with a stream that was held; as `pause`."""
        return await self._change(begin_hold(stream, paused=False))

    async def update_metadata(self, document: MetadataDocument | bytes) -> tuple[Outcome, ...]:
        """Send metadata to every server that records; as `pause`."""
        return await self._change(begin_update(document))

    async def stop(self) -> None:
        """End every call, and wait for the answers as long as leaving the group does."""
        self._begin_stop()
        with anyio.move_on_after(self._closing_seconds):
            await self._bell.wait_until(lambda: not self._running)
        self.close()

    def events(self) -> EventStream[GroupEvent]:
        """Follow the events of all calls from now on."""
        return EventStream[GroupEvent](self._queue_of_events)

    # inside

    async def _change(self, begin_one: Callable[[Call], int | None]) -> tuple[Outcome, ...]:
        # All servers are told before the first one is waited for: a slow one holds up nobody.
        begun = self._each(lambda call: GroupChange(call, begin_one(call)))
        await self._bell.wait_until(lambda: all(each.concluded for each in begun if isinstance(each, GroupChange)))
        outcomes = tuple(each.conclude() if isinstance(each, GroupChange) else each for each in begun)
        self.raise_failure(outcomes)
        return outcomes

    async def _carry(self, member: GroupMember[Call]) -> None:
        """Carry the call of one member until the group is left; its failure stays its own."""
        try:
            opened = None
            with anyio.CancelScope() as scope:
                self._opening.append(scope)
                opened = await self._open_one(member.spec)
            if opened is None or self._left:
                return
            recording, driver = opened
            self._adopt(member, recording)
            async with carry(recording, driver):
                begin(recording)
                try:
                    await self._bell.wait_until(lambda: self._left)
                finally:
                    if not recording.progress.over:
                        with anyio.CancelScope(shield=True), anyio.move_on_after(self._closing_seconds):
                            await recording.stop()
                        recording.close()
        except SiprecError as error:
            member.fail(error)
        finally:
            self._bell.ring()


def connect_all(
    *calls: CallSpec,
    config: ClientConfig | None = None,
    tls: TlsFiles | ssl.SSLContext | None = None,
    settings: DriverSettings | None = None,
    on_failure: OnFailure = "ignore",
    closing_seconds: float = CLOSING_SECONDS,
) -> RecordingGroup:
    """Prepare calls to several recording servers at a time, each with its own state.

    The INVITEs leave when the `async with` block begins; entering it waits for nobody. A server that fails is noted in
    `errors` and told by events; with `on_failure="raise"` the first failure is raised by the methods of the group and
    when the block is left. Leaving waits `closing_seconds` at most for the answers to the BYEs. Raises
    ConfigurationError without calls.
    """
    open_one = partial(open_call, config=config, tls=tls, settings=settings)
    return RecordingGroup(calls, open_one, on_failure=on_failure, closing_seconds=closing_seconds)
