"""What the call objects of both frontends have in common: how far the call is, and how it is set up."""

import os
import ssl
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import assert_never

from siprec_core.client import RecordingClient
from siprec_core.errors import ConfigurationError, RemoteProtocolError, SiprecError
from siprec_core.limits import Limits
from siprec_core.metadata.model import MetadataDocument
from siprec_core.recording.call import CallSpec, ChangeOutcome, ClientConfig
from siprec_core.recording.call_events import (
    AudioFinished,
    CallEvent,
    ChangeConcluded,
    RecordingAnswered,
    RecordingAttempted,
    RecordingEnded,
    RecordingProceeding,
    RecordingRefused,
    ServerFailed,
)
from siprec_core.sip.transport import Hop
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address, Listening, Transport
from siprec_sync.assembly import Assembly, DriverSettings, assemble
from siprec_sync.clocks import read_clocks
from siprec_sync.events import EventHub, Reader, log_call_event
from siprec_sync.facade import Facade
from siprec_sync.listeners import Bind, local_host_towards, reason_of
from siprec_sync.resolver import LocationError, Resolver, locate
from siprec_sync.tls import TlsFiles

_PIECE_SIZE = 16_000
"""Octets: a second of 8,000 Hz."""
MOST_AHEAD_SECONDS = 0.2
"""How much audio `send` lets wait in the queue."""


class CallRefusedError(SiprecError):
    """The recording server refused the call, was silent (408) or could not be reached (503)."""

    def __init__(self, status: int, reason: str, *, local: bool = False, retry_seconds: int | None = None) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.local = local
        """True when no response of the server's says so."""
        self.retry_seconds = retry_seconds
        """The server's Retry-After."""


class ChangeRefusedError(SiprecError):
    """The server refused a change, was silent (408), or the call ended first (481): the session is as it was."""

    def __init__(self, outcome: ChangeOutcome) -> None:
        super().__init__(f"{outcome.status} {outcome.reason}")
        self.outcome = outcome


class CallProgress:
    """How far a call is: put up to date by its events, which `notify` then tells of."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self.closed = False
        """True when no event will follow."""
        self.hop: Hop | None = None
        """Where the INVITE went last, None while no server is found."""
        self.answered: RecordingAnswered | None = None
        self.refused: RecordingRefused | None = None
        self.proceeding: RecordingProceeding | None = None
        """What the server that is asked said last without deciding."""
        self.failed_servers: list[ServerFailed] = []
        """Servers that did not take the call, before the one that did or the last one."""
        self.ended: RecordingEnded | None = None
        self.packets: dict[str, int] = {}
        """Packets sent, by label, of the streams that were finished."""
        self.last_change: ChangeOutcome | None = None
        """How the server took the latest change; None before the first was concluded."""
        self._changes: dict[int, ChangeOutcome | None] = {}
        """Changes that somebody waits for."""

    def put(self, event: CallEvent) -> None:
        """Take an event."""
        match event:
            case RecordingAttempted():
                self.hop, self.proceeding = event.hop, None
            case RecordingProceeding():
                self.proceeding = event
            case ServerFailed():
                self.failed_servers.append(event)
            case RecordingAnswered():
                self.answered = event
            case RecordingRefused():
                self.refused = event
            case AudioFinished():
                self.packets[event.label] = event.packets
            case ChangeConcluded():
                self.last_change = event.outcome
                if event.change in self._changes:
                    self._changes[event.change] = event.outcome
            case RecordingEnded():
                self.ended = event
            case _:
                assert_never(event)
        self._notify()

    def close(self) -> None:
        """Take note that no event will follow."""
        self.closed = True
        self._notify()

    @property
    def decided(self) -> bool:
        """True when the call was answered or refused, or is over."""
        return self.answered is not None or self.refused is not None or self.over

    @property
    def over(self) -> bool:
        """True when nothing of the call is left."""
        return self.ended is not None or self.closed

    @property
    def sent(self) -> bool:
        """True when the audio of every accepted stream was finished and sent, or the call is over."""
        if self.over:
            return True
        return self.answered is not None and all(label in self.packets for label in self.answered.labels)

    def answer(self) -> RecordingAnswered:
        """Give the answer of a decided call. Raises CallRefusedError when it is none."""
        if self.answered is not None:
            return self.answered
        if self.refused is not None:
            refused = self.refused
            raise CallRefusedError(
                refused.status, refused.reason, local=refused.local, retry_seconds=refused.retry_seconds
            )
        raise CallRefusedError(487, self.ended.reason if self.ended else "the call was stopped", local=True)

    def expect(self, change: int | None) -> int | None:
        """Keep the outcome of a change until `conclude`; call it in the input that begins the change. Gives `change`.

        None is a change that changes nothing.
        """
        if change is not None:
            self._changes[change] = None
        return change

    def concluded(self, change: int | None) -> bool:
        """Tell whether `conclude` has something to say."""
        return change is None or self._changes.get(change) is not None or self.over

    def conclude(self, change: int | None) -> ChangeOutcome | None:
        """Give the outcome of a change that was expected, None for one that changes nothing.

        Raises ChangeRefusedError for one that the server did not take.
        """
        if change is None:
            return None
        outcome = self._changes.pop(change, None)
        if outcome is None:
            outcome = ChangeOutcome(status=481, reason="the call was stopped", local=True)
        if not outcome.taken:
            raise ChangeRefusedError(outcome)
        return outcome

    def forget(self, change: int | None) -> None:
        """Let go of a change that nobody waits for any more."""
        if change is not None:
            self._changes.pop(change, None)


class CallFacade(Facade[RecordingClient, CallEvent]):
    """A call as the application sees it, but for the waiting."""

    _progress: CallProgress
    call: CallSpec | None
    """What was asked for, with our real address; None for a call that we wait for."""

    @property
    def progress(self) -> CallProgress:
        """How far the call is."""
        return self._progress

    @property
    def last_change(self) -> ChangeOutcome | None:
        """How the server took the latest change; None before the first was concluded."""
        return self._progress.last_change

    def label_of(self, stream: str) -> str:
        """Give the label of a stream named by its label, or by the name or address of who speaks on it.

        What names none is given as it is.
        """
        streams = () if self.call is None else self.call.streams
        if any(each.label == stream for each in streams):
            return stream
        return next((each.label for each in streams if stream in (each.name, each.aor)), stream)

    def queue_audio(self, label: str, pcm: bytes) -> float:
        """Queue audio as `send_audio` does, and give how much waits for its time, in seconds."""

        def queue(core: RecordingClient, now: float) -> float:
            core.send_audio(label, pcm, now=now)
            return core.queued_seconds(label)

        return self.request(queue)

    def send_audio(self, label: str, pcm: bytes) -> None:
        """Queue 16-bit little-endian PCM at the stream's `sample_rate`; it leaves in real time.

        Raises LocalProtocolError for a stream that the server does not take.
        """
        self.request(lambda core, now: core.send_audio(label, pcm, now=now))

    def send_digits(self, label: str, digits: str) -> None:
        """Press keys (`0` to `9`, `*`, `#`, `A` to `D`) one after the other, as telephone events (RFC 4733).

        Raises LocalProtocolError for a stream that the server does not take, when it takes no telephone events for it
        (`StreamSpec.formats` has to offer them), and for what is no key.
        """
        self.request(lambda core, now: core.send_digits(label, digits, now=now))

    def finish_audio(self, label: str) -> None:
        """Say that no more audio of a stream follows. Raises LocalProtocolError as `send_audio` does."""
        self.request(lambda core, now: core.finish_audio(label, now=now))

    def sample_rate(self, label: str) -> int:
        """Give the PCM rate of a stream in hertz. Raises LocalProtocolError as `send_audio` does."""
        return self.request(lambda core, now: core.sample_rate(label))

    def close(self) -> None:
        """End the call and stop at once: BYE or CANCEL is sent, and no answer to it is waited for. Harmless twice."""
        if self._is_running:
            with suppress(SiprecError):  # it does not run any more
                self.request(lambda core, now: core.stop(now=now))
        self._stop_driver()

    @property
    @abstractmethod
    def _is_running(self) -> bool:
        """True while the driver runs."""

    @abstractmethod
    def _stop_driver(self) -> None:
        """Stop the driver."""

    def follow(self, reader: Reader[CallEvent]) -> None:
        """Have `reader` told of the events from now on, in the driver's thread or task."""
        self._assembly.hub.add(reader)

    def begin_hold(self, label: str, *, paused: bool) -> int | None:
        """Begin to hold a stream, or to go on with it; gives the number of the change, None when nothing changes.

        `progress.conclude` gives the outcome once `progress.concluded`. Raises as `pause` does at its start.
        """

        def hold(core: RecordingClient, now: float) -> int | None:
            change = core.pause(label, now=now) if paused else core.resume(label, now=now)
            return self._progress.expect(change)

        return self.request(hold)

    def begin_update(self, document: MetadataDocument | bytes) -> int | None:
        """Begin to send metadata; as `begin_hold`."""
        return self.request(lambda core, now: self._progress.expect(core.update_metadata(document, now=now)))


def pieces(pcm: bytes) -> Iterator[bytes]:
    """Cut audio into pieces of a second at most, so that nobody waits long for its encoding."""
    for start in range(0, len(pcm), _PIECE_SIZE):
        yield pcm[start : start + _PIECE_SIZE]


def local_hosts(call: CallSpec, *, resolver: Resolver, limits: Limits) -> tuple[str, ...]:
    """Tell from which of our addresses the servers of a call are reached: one of each family, the first server's first.

    Waits for the DNS when the call has no `hop`; what `resolver` learns serves the call itself. Raises
    ConfigurationError when there is no way to any server.
    """
    if call.local.host:
        return (call.local.host,)
    hops: list[Hop] = [] if call.hop is None else [call.hop]
    for uri in call.alternatives if call.hop is not None else (call.uri, *call.alternatives):
        # The call itself will tell of one that leads nowhere.
        with suppress(LocationError, RemoteProtocolError):
            hops += locate(SipUri.parse(uri), resolver=resolver, limits=limits).hops
    if not hops:
        return ("127.0.0.1",)
    found: dict[bool, str] = {}
    failures: list[ConfigurationError] = []
    for hop in hops:
        try:
            found.setdefault(":" in hop.remote.host, _host_towards(hop.remote))
        except ConfigurationError as error:
            failures.append(error)
    if not found:
        raise failures[0]
    return tuple(found.values())


def prepare_call(
    call: CallSpec,
    hosts: Sequence[str],
    *,
    config: ClientConfig,
    tls: TlsFiles | ssl.SSLContext | None,
    settings: DriverSettings | None,
    resolver: Resolver,
) -> tuple[RecordingClient, CallSpec, Assembly[CallEvent], EventHub[CallEvent]]:
    """Open what a call needs at `hosts`, our addresses; give the call with the addresses that were really bound.

    Raises ConfigurationError when an address cannot be used.
    """
    client = RecordingClient(config, time_base=read_clocks(), entropy=os.urandom)
    hub = EventHub[CallEvent](log_call_event)
    # The server may send its BYE over a connection of its own, so we listen for connections too (RFC 3261 section 18).
    certified = isinstance(tls, TlsFiles) and tls.certificate is not None
    transports = [each for each in _transports(call, config) if certified or each is not Transport.TLS]
    binds = [Bind(transport, host, call.local.port) for transport in transports for host in hosts]
    if isinstance(tls, ssl.SSLContext):
        settings, tls = _with_client_context(settings, tls), None
    assembly = assemble(
        client, binds, hub=hub, storage=None, limits=config.limits, tls=tls, settings=settings, resolver=resolver
    )
    listening = tuple(Listening(each.transport, each.address) for each in assembly.listeners)
    unheard = Address(hosts[0], call.local.port or Transport.TLS.default_port)
    local = listening[0].address if listening else unheard
    return client, replace(call, local=local, listening=listening), assembly, hub


def _transports(call: CallSpec, config: ClientConfig) -> tuple[Transport, ...]:
    """Tell over which transports requests of a call may go, and its server's come."""
    chosen: set[Transport | None] = set()
    if call.hop is not None:
        chosen.add(call.hop.transport)
    for uri in call.alternatives if call.hop is not None else (call.uri, *call.alternatives):
        try:
            chosen.add(SipUri.parse(uri).transport)
        except RemoteProtocolError:
            chosen.add(None)
    if Transport.UDP in chosen and config.large_over_tcp:
        chosen.add(Transport.TCP)
    return tuple(each for each in Transport if None in chosen or each in chosen)


def _with_client_context(settings: DriverSettings | None, context: ssl.SSLContext) -> DriverSettings:
    settings = settings or DriverSettings()
    return replace(settings, streams=replace(settings.streams, client_tls=context))


def _host_towards(remote: Address) -> str:
    try:
        return local_host_towards(remote)
    except OSError as error:
        raise ConfigurationError(f"no way to {remote}: {reason_of(error)}") from error
