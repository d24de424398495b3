"""One conversation recorded by several servers at a time: what both frontends have in common.

Each member is a call of its own with a driver of its own. What fails in one is kept as its `error` and leaves the
others and the application alone.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

from siprec_core.entropy import Ids
from siprec_core.errors import ConfigurationError, LocalProtocolError, SiprecError
from siprec_core.metadata.model import Dialect, MetadataDocument
from siprec_core.recording.call import CallSpec, ChangeOutcome, StreamSpec, first_metadata
from siprec_core.recording.call_events import CallEvent
from siprec_sync.calls import CallFacade, CallRefusedError, ChangeRefusedError
from siprec_sync.events import EventHub, EventQueue

_LOGGER = logging.getLogger("siprec")

CallT = TypeVar("CallT", bound=CallFacade)
ResultT = TypeVar("ResultT")
OnFailure: TypeAlias = Literal["ignore", "raise"]
"""Whether a recorder that fails is only noted, or raised into the application."""
Outcome: TypeAlias = ChangeOutcome | SiprecError | None
"""What became of a change at one server: how it took it, why it did not, or None when there was nothing to change."""
CLOSING_SECONDS = 5.0
"""How long leaving a group waits for the answers to its BYEs where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEvent:
    """An event of one of the calls of a group."""

    number: int
    """Which, from 0: its place in `members`."""
    event: CallEvent


class GroupMember(Generic[CallT]):
    """One recording server of a group."""

    def __init__(self, number: int, spec: CallSpec) -> None:
        self.number = number
        """Its place in the group, from 0."""
        self.spec = spec
        """What was asked for."""
        self.call: CallT | None = None
        """None until its sockets are open, and when they cannot be."""
        self._fault: SiprecError | None = None

    @property
    def decided(self) -> bool:
        """True when the server has answered or refused, or cannot be called."""
        return self._fault is not None or (self.call is not None and self.call.progress.decided)

    @property
    def records(self) -> bool:
        """True while the server records."""
        if self._fault is not None or self.call is None:
            return False
        return self.call.progress.answered is not None and not self.call.progress.over

    @property
    def error(self) -> SiprecError | None:
        """Why the server does not record, or records no more; None while all is well and after our own end."""
        if self._fault is not None or self.call is None:
            return self._fault
        progress = self.call.progress
        if progress.refused is not None:
            return CallRefusedError(progress.refused.status, progress.refused.reason, local=progress.refused.local)
        if progress.ended is not None and progress.ended.reason not in ("local-bye", "cancelled"):
            return LocalProtocolError(f"the call has ended: {progress.ended.reason}")
        return None

    def fail(self, error: SiprecError) -> None:
        """Keep the first reason why the call cannot be carried."""
        if self._fault is None:
            self._fault = error
            _LOGGER.warning("%s is not recording: %s", self.spec.uri, error)


class _MemberReader:
    """Passes the events of one call on to the readers of its group, and rings."""

    def __init__(self, number: int, hub: EventHub[GroupEvent], ring: Callable[[], None]) -> None:
        self.closed = False
        self._number = number
        self._hub = hub
        self._ring = ring

    def put(self, event: CallEvent) -> None:
        """Take an event."""
        self._hub.publish(GroupEvent(number=self._number, event=event))
        self._ring()

    def close(self) -> None:
        """Take note of the end."""
        self.closed = True
        self._ring()


class GroupChange(NamedTuple):
    """A change under way at one server."""

    call: CallFacade
    number: int | None
    """Of the change; None when nothing changes."""

    @property
    def concluded(self) -> bool:
        """True when `conclude` has an outcome."""
        return self.call.progress.concluded(self.number)

    def conclude(self) -> Outcome:
        """Give what became of it."""
        try:
            return self.call.progress.conclude(self.number)
        except ChangeRefusedError as error:
            return error.outcome
        finally:
            self.forget()

    def forget(self) -> None:
        """Wait for it no more."""
        self.call.progress.forget(self.number)


class GroupFacade(Generic[CallT]):
    """A group as the application sees it, but for the waiting."""

    def __init__(self, calls: Sequence[CallSpec], *, on_failure: OnFailure, ring: Callable[[], None]) -> None:
        """Raises ConfigurationError for a group of nobody and for an `on_failure` that is none."""
        if not calls:
            raise ConfigurationError("a group needs at least one call")
        if on_failure not in ("ignore", "raise"):
            raise ConfigurationError(f"on_failure: {on_failure!r} is neither ignore nor raise")
        self.members: tuple[GroupMember[CallT], ...] = tuple(
            GroupMember(number, call) for number, call in enumerate(_with_metadata(calls))
        )
        """The servers in the order in which they were given."""
        self._raises = on_failure == "raise"
        self._ring = ring
        self._hub: EventHub[GroupEvent] = EventHub(lambda event: None)

    @property
    def errors(self) -> dict[str, SiprecError]:
        """Why servers do not record, by URI; empty while all is well."""
        return {member.spec.uri: error for member in self.members if (error := member.error) is not None}

    def send_audio(self, stream: str, pcm: bytes) -> None:
        """Queue 16-bit little-endian PCM for every server that records; it leaves in real time, and nobody waits.

        `stream` is a label, or the name or address of who speaks. Here and below, with `on_failure="raise"`, the first
        failure is raised once every server has been served.
        """
        self._each(lambda call: call.send_audio(call.label_of(stream), pcm))

    def send_digits(self, stream: str, digits: str) -> None:
        """Press keys towards every server that records, as `Call.send_digits` does."""
        self._each(lambda call: call.send_digits(call.label_of(stream), digits))

    def finish_audio(self, stream: str) -> None:
        """Say that no more audio of a stream follows."""
        self._each(lambda call: call.finish_audio(call.label_of(stream)))

    def close(self) -> None:
        """End every call and stop at once: BYE or CANCEL is sent, and no answer to it is waited for. Harmless twice."""
        for member in self.members:
            if member.call is not None:
                member.call.close()

    # inside

    def _adopt(self, member: GroupMember[CallT], call: CallT) -> None:
        """Take the call of a member, which has not begun."""
        call.follow(_MemberReader(member.number, self._hub, self._ring))
        member.call = call
        self._ring()

    def _queue(self, stream: str, pcm: bytes) -> float:
        """Queue audio everywhere; give the seconds of the longest queue."""
        ahead = self._each(lambda call: call.queue_audio(call.label_of(stream), pcm))
        return max((each for each in ahead if isinstance(each, float)), default=0.0)

    @property
    def _can_send(self) -> bool:
        """True when somebody records, or nobody ever will."""
        return any(member.records for member in self.members) or all(member.decided for member in self.members)

    @property
    def _decided(self) -> bool:
        return all(member.decided for member in self.members)

    def _each(self, function: Callable[[CallT], ResultT]) -> list[ResultT | SiprecError | None]:
        """Call `function` with each call that records; None stands for a member that does not."""
        results: list[ResultT | SiprecError | None] = []
        for member in self.members:
            result: ResultT | SiprecError | None = None
            if member.records and member.call is not None:
                try:
                    result = function(member.call)
                except SiprecError as error:
                    result = error
            results.append(result)
        self.raise_failure(results)
        return results

    def raise_failure(self, results: Iterable[object] = ()) -> None:
        """Raise the first failure, those among `results` included, where that was asked for by `on_failure`."""
        if not self._raises:
            return
        failures = [member.error for member in self.members]
        for failure in (*failures, *(each for each in results if isinstance(each, SiprecError))):
            if failure is not None:
                raise failure

    @property
    def _running(self) -> list[CallT]:
        """Calls of which something is left."""
        calls = (member.call for member in self.members if member.error is None)
        return [call for call in calls if call is not None and not call.progress.over]

    def _begin_stop(self) -> None:
        """End every call, and wait for nothing."""
        for call in self._running:
            call.call_soon(lambda core, now: core.stop(now=now))

    @property
    def _all_sent(self) -> bool:
        """True when everything is sent that was finished, wherever somebody records."""
        calls = [member.call for member in self.members if member.records]
        return self._decided and all(call is None or call.progress.sent for call in calls)

    def _queue_of_events(self, notify: Callable[[], None]) -> EventQueue[GroupEvent]:
        queue = EventQueue[GroupEvent](notify)
        self._hub.add(queue)
        return queue


def begin_hold(stream: str, *, paused: bool) -> Callable[[CallFacade], int | None]:
    """Make what begins to hold a stream of a call, or to go on with it."""
    return lambda call: call.begin_hold(call.label_of(stream), paused=paused)


def begin_update(document: MetadataDocument | bytes) -> Callable[[CallFacade], int | None]:
    """Make what begins to tell a server of metadata."""
    return lambda call: call.begin_update(document)


def _with_metadata(calls: Sequence[CallSpec]) -> list[CallSpec]:
    """Give every server of the same conversation the same metadata: its ids are what joins the recordings later."""
    built: dict[tuple[tuple[StreamSpec, ...], Dialect], bytes] = {}
    told = []
    for call in calls:
        if call.metadata is None:
            key = (call.streams, call.dialect)
            if key not in built:
                built[key] = first_metadata(call, ids=Ids(os.urandom), unix_ns=time.time_ns())
            call = replace(call, metadata=built[key])
        told.append(call)
    return told
