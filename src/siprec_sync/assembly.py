"""Puts a core, its sockets, its files and its events together, for either frontend."""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

from siprec_core.errors import ConfigurationError
from siprec_core.limits import Limits
from siprec_core.types import Transport
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.events import EventHub
from siprec_sync.listeners import Bind, Listener, open_listeners
from siprec_sync.media import RECEIVE_BUFFER_SIZE, MediaSockets
from siprec_sync.media_workers import MediaWorkers
from siprec_sync.pump import TICK_SECONDS, Core, EventT, Pump, Storage
from siprec_sync.resolver import Lookup, Resolver
from siprec_sync.signalling import StreamSettings
from siprec_sync.tls import TlsFiles, client_context, server_context


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverSettings:
    """How a driver treats sockets, whatever its core does with them."""

    streams: StreamSettings = field(default_factory=StreamSettings)
    tick_seconds: float = TICK_SECONDS
    media_buffer_size: int = RECEIVE_BUFFER_SIZE
    """Receive buffer asked for each media socket, octets."""
    lookup: Lookup | None = None
    """Looks up names in place of the system and dnspython. It may block; several threads call it."""
    media_workers: int = 0
    """Processes that take media and write journals, for a server; 0 does both in the driver."""
    given: tuple[socket.socket, ...] = ()
    """Listening sockets that someone else has bound; each takes the place of opening its address."""


@dataclass(frozen=True, slots=True)
class Assembly(Generic[EventT]):
    """A driver without the waiting."""

    pump: Pump[EventT]
    hub: EventHub[EventT]
    listeners: tuple[Listener, ...]
    streams: StreamSettings
    """How connections are treated, as it was asked for."""

    def renew_tls(self, tls: TlsFiles | None, binds: Sequence[Bind] = ()) -> None:
        """Read certificates again: connections to come get them, those that stand keep theirs. From any thread.

        `binds` are those of the listeners, in their order, where one has a certificate of its own. Raises
        ConfigurationError; then everything stays as it was.
        """
        self.pump.signalling.settings = _with_tls(self.streams, tls, binds, self.listeners)


def assemble(
    core: Core[EventT],
    binds: Sequence[str | Bind],
    *,
    hub: EventHub[EventT],
    storage: Storage | None,
    limits: Limits,
    tls: TlsFiles | ssl.SSLContext | None = None,
    settings: DriverSettings | None = None,
    resolver: Resolver | None = None,
) -> Assembly[EventT]:
    """Open the listeners, start the sinks, and tie all to `core`.

    `tls` serves `tls://` listeners, and connections of ours as far as it is `TlsFiles`. `resolver` is one that has been
    in use, with what it remembers. Raises ConfigurationError, and has then closed what it opened.
    """
    settings = settings or DriverSettings()
    wanted = [bind if isinstance(bind, Bind) else Bind.parse(bind) for bind in binds]
    listeners = open_listeners(*wanted, given=settings.given)
    try:
        streams = _with_tls(settings.streams, tls, wanted, listeners)
    except ConfigurationError:
        _close(listeners)
        raise
    media = MediaSockets(receive_buffer_size=settings.media_buffer_size)
    workers = None
    if settings.media_workers and storage is not None and isinstance(storage.sinks, DirectorySinks):
        workers = MediaWorkers(
            storage.sinks, storage.inputs, count=settings.media_workers, tick_seconds=settings.tick_seconds
        )
        storage = replace(storage, sinks=workers)
    pump = Pump(
        core,
        storage=storage,
        publish=hub.publish,
        limits=limits,
        streams=streams,
        media=media,
        resolver=resolver or Resolver(settings.lookup),
        tick_seconds=settings.tick_seconds,
        workers=workers,
    )
    try:
        pump.start(listeners)
    except ConfigurationError:
        _close(listeners)
        pump.close()
        raise
    return Assembly(pump, hub, listeners, settings.streams)


def _close(listeners: Sequence[Listener]) -> None:
    for listener in listeners:
        listener.socket.close()


def _with_tls(
    streams: StreamSettings,
    tls: TlsFiles | ssl.SSLContext | None,
    binds: Sequence[Bind],
    listeners: Sequence[Listener],
) -> StreamSettings:
    own = {
        listener.address: server_context(bind.tls)
        for bind, listener in zip(binds, listeners, strict=False)
        if bind.tls is not None and listener.transport is Transport.TLS
    }
    if own:
        streams = replace(streams, listener_tls=own)
    shared = any(listener.transport is Transport.TLS and listener.address not in own for listener in listeners)
    client = streams.client_tls
    if tls is None:
        if shared and streams.server_tls is None:
            raise ConfigurationError("a tls:// listener needs a certificate and its key")
        return replace(streams, client_tls=client or client_context())
    if isinstance(tls, ssl.SSLContext):
        return replace(streams, server_tls=tls, client_tls=client or client_context())
    server = server_context(tls) if shared else streams.server_tls
    return replace(streams, server_tls=server, client_tls=client or client_context(tls))
