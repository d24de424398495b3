"""One conversation recorded by several servers, for programs with threads: `with connect_all(*calls) as group`."""

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from siprec_core.errors import LocalProtocolError, SiprecError
from siprec_core.metadata.model import MetadataDocument
from siprec_core.recording.call import CallSpec, ClientConfig
from siprec_sync.assembly import DriverSettings
from siprec_sync.calls import MOST_AHEAD_SECONDS, pieces
from siprec_sync.client import Call, connect
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
from siprec_sync.waiting import Bell, EventStream


class RecordingGroup(GroupFacade[Call]):
    """Calls to several recording servers, for any thread. Leaving its block ends them all."""

    def __init__(
        self,
        calls: Sequence[CallSpec],
        connect_one: Callable[[CallSpec], Call],
        *,
        on_failure: OnFailure,
        closing_seconds: float,
    ) -> None:
        self._bell = Bell()
        super().__init__(calls, on_failure=on_failure, ring=self._bell.ring)
        self._connect_one = connect_one
        self._closing_seconds = closing_seconds
        self._leaving = False
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._open, args=(member,), name=f"siprec-group-{member.number}", daemon=True)
            for member in self.members
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        failure = next(iter(self.errors.values()), None)
        until = time.monotonic() + self._closing_seconds
        with self._lock:
            self._leaving = True
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self.stop(max(0.0, until - time.monotonic()))
        self._hub.close()
        if error is None and self._raises and failure is not None:
            raise failure

    def wait_answered(self, timeout: float | None = None) -> bool:
        """Wait until every server has answered or failed; False when `timeout` seconds pass before that."""
        decided = self._bell.wait_until(lambda: self._decided, timeout)
        self.raise_failure()
        return decided

    def send(self, stream: str, frames: bytes | Iterable[bytes]) -> None:
        """Send 16-bit little-endian PCM to every server that records, and wait until hardly any is left to send.

        Waits first until one of them has answered, or all have failed; one that answers later gets what comes then. All
        should use the same sample rate. `send_audio` never waits.
        """
        self._bell.wait_until(lambda: self._can_send)
        for frame in (frames,) if isinstance(frames, bytes) else frames:
            for piece in pieces(frame):
                ahead = self._queue(stream, piece)
                if ahead > MOST_AHEAD_SECONDS:
                    time.sleep(ahead - MOST_AHEAD_SECONDS)

    def wait_sent(self) -> None:
        """Wait until every server that records was sent the audio of all streams, which have to be finished."""
        self._bell.wait_until(lambda: self._all_sent)
        self.raise_failure()

    def pause(self, stream: str, timeout: float | None = None) -> tuple[Outcome, ...]:
        """Hold a stream at every server that records; gives for each member what became of it, None for the others.

        A server that has not answered within `timeout` seconds has a LocalProtocolError for it; the change goes on.
        """
        return self._change(begin_hold(stream, paused=True), timeout)

    def resume(self, stream: str, timeout: float | None = None) -> tuple[Outcome, ...]:
        """Go on with a stream that was held; as `pause`."""
        return self._change(begin_hold(stream, paused=False), timeout)

    def update_metadata(self, document: MetadataDocument | bytes, timeout: float | None = None) -> tuple[Outcome, ...]:
        """Send metadata to every server that records; as `pause`."""
        return self._change(begin_update(document), timeout)

    def stop(self, timeout: float | None = None) -> None:
        """End every call, and wait for the answers up to `timeout` seconds, or as long as leaving the group does."""
        self._begin_stop()
        self._bell.wait_until(lambda: not self._running, self._closing_seconds if timeout is None else timeout)
        self.close()

    def events(self) -> EventStream[GroupEvent]:
        """Follow the events of all calls from now on."""
        return EventStream[GroupEvent](self._queue_of_events)

    # inside

    def _open(self, member: GroupMember[Call]) -> None:
        try:
            call = self._connect_one(member.spec)
            with self._lock:
                if self._leaving:
                    call.close()
                    return
                self._adopt(member, call)
                call.__enter__()
        except SiprecError as error:
            member.fail(error)
        finally:
            self._bell.ring()

    def _change(self, begin: Callable[[Call], int | None], timeout: float | None) -> tuple[Outcome, ...]:
        # All servers are told before the first one is waited for: a slow one holds up nobody.
        begun = self._each(lambda call: GroupChange(call, begin(call)))
        changes = [each for each in begun if isinstance(each, GroupChange)]
        self._bell.wait_until(lambda: all(each.concluded for each in changes), timeout)
        outcomes = tuple(_outcome(each) if isinstance(each, GroupChange) else each for each in begun)
        self.raise_failure(outcomes)
        return outcomes


def _outcome(change: GroupChange) -> Outcome:
    if change.concluded:
        return change.conclude()
    change.forget()
    return LocalProtocolError("the change was not answered in time")


def connect_all(
    *calls: CallSpec,
    config: ClientConfig | None = None,
    tls: TlsFiles | ssl.SSLContext | None = None,
    settings: DriverSettings | None = None,
    on_failure: OnFailure = "ignore",
    closing_seconds: float = CLOSING_SECONDS,
) -> RecordingGroup:
    """Prepare calls to several recording servers at a time, each with its own state.

    The INVITEs leave when the `with` block begins; entering it waits for nobody. A server that fails is noted in
    `errors` and told by events; with `on_failure="raise"` the first failure is raised by the methods of the group and
    when the block is left. Leaving waits `closing_seconds` at most for the answers to the BYEs. Raises
    ConfigurationError without calls.
    """
    connect_one = partial(connect, config=config, tls=tls, settings=settings)
    return RecordingGroup(calls, connect_one, on_failure=on_failure, closing_seconds=closing_seconds)
