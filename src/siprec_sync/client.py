"""A recording call for programs with threads: `with connect(call) as recording`."""

import ssl
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Self

from siprec_core.client import RecordingClient
from siprec_core.metadata.model import MetadataDocument
from siprec_core.recording.call import CallSpec, ChangeOutcome, ClientConfig, ListenSpec
from siprec_core.recording.call_events import CallEvent, RecordingAnswered, RecordingEnded
from siprec_core.waiting_client import WaitingClient
from siprec_sync.assembly import Assembly, DriverSettings
from siprec_sync.calls import MOST_AHEAD_SECONDS, CallFacade, CallProgress, local_hosts, pieces, prepare_call
from siprec_sync.codecs import with_client_codecs
from siprec_sync.driver import Driver
from siprec_sync.events import EventHub, EventQueue
from siprec_sync.facade import ResultT
from siprec_sync.listening import prepare_listening
from siprec_sync.resolver import Resolver
from siprec_sync.srtp import with_client_ciphers
from siprec_sync.tls import TlsFiles
from siprec_sync.waiting import Bell, EventStream

_CLOSING_SECONDS = 40.0
"""A BYE without answer is given up after 32 s (timer F, RFC 3261 section 17.1.2.2)."""


class Call(CallFacade):
    """One recording call, for any thread. Leaving its block ends the call."""

    def __init__(
        self, core: RecordingClient, call: CallSpec | None, assembly: Assembly[CallEvent], hub: EventHub[CallEvent]
    ) -> None:
        super().__init__(core, assembly)
        self.call = call
        self._bell = Bell()
        self._progress = CallProgress(self._bell.ring)
        hub.add(self._progress)
        self._driver = Driver(assembly)

    def __enter__(self) -> Self:
        self._driver.start()
        try:
            self.request(self._begin)
        except BaseException:
            self._driver.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._driver.running and not self._progress.over:
                self.stop(timeout=_CLOSING_SECONDS)
        finally:
            self._driver.stop()
        if error is None and self.failed is not None:
            raise self._driver.gone()

    def request(self, function: Callable[[RecordingClient, float], ResultT]) -> ResultT:
        """Call `function` with the core and `now` in the driver's thread, and give its answer.

        Raises what it raises; DriverFailedError when the driver failed, LocalProtocolError when it was stopped.
        """
        return self._driver.request(partial(function, self.core))

    def wait_answered(self, timeout: float | None = None) -> RecordingAnswered:
        """Wait for the answer. Raises CallRefusedError when there is none, DriverFailedError at a fault.

        Raises TimeoutError when `timeout` seconds pass before that; the call goes on.
        """
        if not self._bell.wait_until(lambda: self._progress.decided, timeout):
            raise TimeoutError("the call was not answered in time")
        self._check()
        return self._progress.answer()

    def send(self, stream: str, frames: bytes | Iterable[bytes]) -> None:
        """Send 16-bit little-endian PCM at the stream's `sample_rate`, and wait until hardly any of it is left to send.

        `stream` is a label, or the name or address of who speaks. Waits for the answer first. Raises CallRefusedError
        when the call is not taken, LocalProtocolError for a stream that the server does not take and when the call ends
        before all is sent.
        """
        self.wait_answered()
        label = self.label_of(stream)
        for frame in (frames,) if isinstance(frames, bytes) else frames:
            for piece in pieces(frame):
                ahead = self.queue_audio(label, piece)
                if ahead > MOST_AHEAD_SECONDS:
                    self._bell.wait_until(lambda: self._progress.over, ahead - MOST_AHEAD_SECONDS)

    def events(self) -> EventStream[CallEvent]:
        """Follow the events of the call from now on."""
        stream = EventStream[CallEvent](EventQueue)
        self.follow(stream.queue)
        return stream

    def wait_sent(self) -> None:
        """Wait until the audio of every stream was finished and sent, or the call is over."""
        self._bell.wait_until(lambda: self._progress.sent)
        self._check()

    def wait_ended(self, timeout: float | None = None) -> RecordingEnded | None:
        """Wait until nothing of the call is left, up to `timeout` seconds if given; None when it is not over then."""
        self._bell.wait_until(lambda: self._progress.over, timeout)
        self._check()
        return self._progress.ended

    def stop(self, timeout: float | None = None) -> RecordingEnded | None:
        """End the call by BYE or CANCEL and wait as `wait_ended` does."""
        self.request(lambda core, now: core.stop(now=now))
        return self.wait_ended(timeout)

    def pause(self, label: str, timeout: float | None = None) -> ChangeOutcome | None:
        """Hold a stream by re-INVITE and wait for the answer; None when it is held already.

        Its audio stops at once; what is added meanwhile is dropped. Raises ChangeRefusedError when the server does not
        take the change, LocalProtocolError for a stream that it does not take or when too many changes wait,
        TimeoutError when `timeout` seconds pass before an answer; the change goes on.
        """
        return self._conclude(self.begin_hold(label, paused=True), timeout)

    def resume(self, label: str, timeout: float | None = None) -> ChangeOutcome | None:
        """Go on with a stream that was held and wait for the answer; as `pause`."""
        return self._conclude(self.begin_hold(label, paused=False), timeout)

    def update_metadata(self, document: MetadataDocument | bytes, timeout: float | None = None) -> ChangeOutcome | None:
        """Send metadata (RFC 7866 section 9.1) and wait for the answer.

        Raises as `pause` does, and LocalProtocolError for a document that cannot be written.
        """
        return self._conclude(self.begin_update(document), timeout)

    def _conclude(self, change: int | None, timeout: float | None) -> ChangeOutcome | None:
        try:
            if not self._bell.wait_until(lambda: self._progress.concluded(change), timeout):
                raise TimeoutError("the change was not answered in time")
            self._check()
            return self._progress.conclude(change)
        finally:
            self._progress.forget(change)

    @property
    def _is_running(self) -> bool:
        return self._driver.running

    def _stop_driver(self) -> None:
        self._driver.stop()

    def _begin(self, core: RecordingClient, now: float) -> None:
        if self.call is not None:
            core.start(self.call, now=now)

    def _check(self) -> None:
        if self.failed is not None:
            raise self._driver.gone()


def connect(
    call: CallSpec,
    *,
    config: ClientConfig | None = None,
    tls: TlsFiles | ssl.SSLContext | None = None,
    settings: DriverSettings | None = None,
) -> Call:
    """Prepare a recording call to `call.hop`, or without that to the servers of `call.uri`, one after the other.

    The INVITE leaves when the `with` block begins. In `call.local` an empty host takes the address from which the
    server is reached, which may have to wait for the DNS; port 0 takes any free port. Raises ConfigurationError when
    the local address or a TLS file cannot be used.
    """
    config = with_client_codecs(with_client_ciphers(config or ClientConfig(), call))
    resolver = Resolver(None if settings is None else settings.lookup)
    hosts = local_hosts(call, resolver=resolver, limits=config.limits)
    return Call(*prepare_call(call, hosts, config=config, tls=tls, settings=settings, resolver=resolver))


class _WaitingCall(Call):
    """A call that a recording server begins."""

    def __init__(
        self, core: WaitingClient, spec: ListenSpec, assembly: Assembly[CallEvent], hub: EventHub[CallEvent]
    ) -> None:
        super().__init__(core, None, assembly, hub)
        self._waiting = core
        self._spec = spec

    def _begin(self, core: RecordingClient, now: float) -> None:
        del core
        self._waiting.listen(self._spec, now=now)


def listen(
    spec: ListenSpec,
    *binds: str,
    config: ClientConfig | None = None,
    tls: TlsFiles | ssl.SSLContext | None = None,
    settings: DriverSettings | None = None,
) -> Call:
    """Prepare to be called by a recording server on addresses such as `udp://0.0.0.0:5060` (RFC 7866 section 6.2).

    Without any they are UDP and TCP 127.0.0.1:5060. They are open when this returns; from the beginning of the `with`
    block the first server that asks gets the session, and `wait_answered` waits for it. Raises ConfigurationError when
    an address or the certificate cannot be used.
    """
    client, assembly, hub = prepare_listening(binds, config=config or ClientConfig(), tls=tls, settings=settings)
    return _WaitingCall(client, spec, assembly, hub)
