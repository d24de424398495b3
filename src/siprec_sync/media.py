"""The media side of a driver: UDP sockets for RTP and RTCP, drained once per tick.

A recorder has no deadline for the ear, so no packet wakes us: the kernel keeps what arrives, and a tick takes it in
batches (a fifth of the cost of a wake-up per packet).
"""

import logging
import selectors
import socket
from collections.abc import Iterator

from siprec_core.types import Address, Component, DatagramBatch, MediaId
from siprec_sync.datagrams import DatagramReader, open_reader
from siprec_sync.listeners import open_datagram_socket, reason_of

_LOGGER = logging.getLogger("siprec.media")

RECEIVE_BUFFER_SIZE = 212_992
"""What Debian's kernel grants by default: some 200 packets of G.711, four seconds of one stream."""
_BATCHES_PER_TICK = 16
"""Reads of one socket in one tick: a flood on one port must not hold up the others."""


class _MediaSocket:
    """One bound socket and what it belongs to."""

    __slots__ = ("component", "media", "socket")

    def __init__(self, media: MediaId, component: Component, sock: socket.socket) -> None:
        self.media = media
        self.component = component
        self.socket = sock


class MediaSockets:
    """The bound media ports of one driver. Its length counts those that are read here."""

    def __init__(self, *, receive_buffer_size: int = RECEIVE_BUFFER_SIZE, reader: DatagramReader | None = None) -> None:
        self._receive_buffer_size = receive_buffer_size
        self._reader = reader or open_reader()
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[tuple[MediaId, Component], _MediaSocket] = {}
        self._lent: set[tuple[MediaId, Component]] = set()
        self.unsent = 0
        """Datagrams that the kernel did not take."""

    def __len__(self) -> int:
        return len(self._sockets) - len(self._lent)

    def bind(self, media: MediaId, rtp: Address, rtcp: Address | None) -> None:
        """Bind the ports of one media line, both or none. Raises OSError."""
        opened: list[_MediaSocket] = []
        try:
            for component, address in ((Component.RTP, rtp), (Component.RTCP, rtcp)):
                if address is not None:
                    sock = open_datagram_socket(address, buffer_size=self._receive_buffer_size)
                    opened.append(_MediaSocket(media, component, sock))
                    self._reader.prepare(sock)
            for entry in opened:
                self._selector.register(entry.socket, selectors.EVENT_READ, entry)
                self._sockets[media, entry.component] = entry
        except OSError:
            for entry in opened:
                self._remove(entry)
            raise

    def lend(self, media: MediaId) -> tuple[int, ...]:
        """Give the descriptors of one line, RTP first, to who reads them from now on; sending and closing stay here."""
        entries = [entry for component in Component if (entry := self._sockets.get((media, component))) is not None]
        for entry in entries:
            self._selector.unregister(entry.socket)
            self._lent.add((media, entry.component))
        return tuple(entry.socket.fileno() for entry in entries)

    def adopt(self, media: MediaId, component: Component, sock: socket.socket) -> None:
        """Read a socket that was lent to us, which its owner has bound and prepared."""
        sock.settimeout(0)
        entry = self._sockets[media, component] = _MediaSocket(media, component, sock)
        self._selector.register(sock, selectors.EVENT_READ, entry)

    def drain(self) -> Iterator[tuple[MediaId, Component, DatagramBatch]]:
        """Take what waits in all sockets, batch by batch; each batch is valid until the next is asked for.

        Sockets may be bound and closed between two batches.
        """
        self._reader.synchronise()
        for key, _ in self._selector.select(0):
            entry: _MediaSocket = key.data
            for _ in range(_BATCHES_PER_TICK):
                if self._sockets.get((entry.media, entry.component)) is not entry:
                    break
                batch = self._read(entry)
                if batch is None:
                    break
                yield entry.media, entry.component, batch
                if len(batch) < self._reader.capacity:
                    break

    def rest(self, media: MediaId) -> Iterator[tuple[Component, DatagramBatch]]:
        """Take what still waits in the sockets of one line, bounded as in a tick."""
        self._reader.synchronise()
        for component in Component:
            entry = self._sockets.get((media, component))
            for _ in range(_BATCHES_PER_TICK):
                batch = None if entry is None else self._read(entry)
                if batch is None:
                    break
                yield component, batch

    def send(self, media: MediaId, component: Component, to: Address, data: bytes) -> None:
        """Send one datagram from a bound port; loss is counted, not reported."""
        entry = self._sockets.get((media, component))
        if entry is None:
            self.unsent += 1
            return
        try:
            entry.socket.sendto(data, to)
        except OSError:
            self.unsent += 1

    def close(self, media: MediaId) -> None:
        """Close the sockets of one line; harmless when there are none."""
        for component in Component:
            entry = self._sockets.get((media, component))
            if entry is not None:
                self._remove(entry)

    def close_all(self) -> None:
        """Close every socket."""
        for entry in list(self._sockets.values()):
            self._remove(entry)
        self._selector.close()

    def _read(self, entry: _MediaSocket) -> DatagramBatch | None:
        try:
            return self._reader.read(entry.socket)
        except OSError as error:
            _LOGGER.warning("reading a media port failed: %s", reason_of(error))
            return None

    def _remove(self, entry: _MediaSocket) -> None:
        self._sockets.pop((entry.media, entry.component), None)
        self._lent.discard((entry.media, entry.component))
        try:
            self._selector.unregister(entry.socket)
        except KeyError:
            pass  # binding failed before it was registered, or it was lent
        entry.socket.close()
