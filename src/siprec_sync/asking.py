"""Recording sessions that a server asks for: from which address, and how far the asking is."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic

from siprec_core.errors import ConfigurationError
from siprec_core.recording.events import (
    Event,
    SessionEnded,
    SessionEstablished,
    SessionRefused,
    SessionRequested,
)
from siprec_core.recording.outbound import RecordSpec
from siprec_core.types import Address, SessionId
from siprec_sync.calls import CallRefusedError
from siprec_sync.events import EventHub, EventQueue, SessionT
from siprec_sync.listeners import Listener, is_wildcard, local_host_towards, reason_of


class AskedSession(Generic[SessionT]):
    """Follows one session that is asked for, up to its answer; a reader of the hub.

    `make` gives the frontend's object for the session and the queue that takes its events from then on.
    """

    def __init__(
        self,
        hub: EventHub[Event],
        notify: Callable[[], None],
        make: Callable[[SessionRequested], tuple[SessionT, EventQueue[Event]]],
    ) -> None:
        self._hub = hub
        self._notify = notify
        self._make = make
        self._session: SessionT | None = None
        self._refused: SessionRefused | None = None
        self.id: SessionId | None = None
        """The session; set in the input that asks for it, before its first event."""
        self.closed = False
        """True when the answer is there, or none will come."""

    def put(self, event: Event) -> None:
        """Take note of what becomes of the session."""
        if self.id is None:
            return
        match event:
            case SessionRequested(session=session) if session == self.id:
                self._session, queue = self._make(event)
                self._hub.add(queue)
            case SessionRefused(session=session) if session == self.id:
                self._refused = event
                self.close()
            case SessionEstablished(session=session) | SessionEnded(session=session) if session == self.id:
                self.close()
            case _:
                pass

    def close(self) -> None:
        """Take note that nothing more is to come."""
        self.closed = True
        self._notify()

    def answer(self) -> SessionT | None:
        """Give the session, None when the server stopped. Raises CallRefusedError when there is none."""
        if self._refused is not None:
            raise CallRefusedError(self._refused.status, self._refused.reason)
        return self._session


def from_listener(target: RecordSpec, listeners: Sequence[Listener]) -> RecordSpec:
    """Give a target with the address of the listener that the call goes out from, where it names none.

    Raises ConfigurationError when no listener has the transport and the kind of address of the target's `hop`.
    """
    if target.local is not None:
        return target
    remote = target.hop.remote
    for listener in listeners:
        host = listener.address.host
        if listener.transport is target.hop.transport and (":" in host) is (":" in remote.host):
            if is_wildcard(host):
                host = _host_towards(remote)
            return replace(target, local=Address(host, listener.address.port))
    raise ConfigurationError(f"no {target.hop.transport.value} listener to ask {remote} from")


def _host_towards(remote: Address) -> str:
    try:
        return local_host_towards(remote)
    except OSError as error:
        raise ConfigurationError(f"no way to {remote}: {reason_of(error)}") from error
