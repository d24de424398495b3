"""The media lines of one recording session: ports, bindings, and what the drivers were asked to bind."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from siprec_core.entropy import Ids
from siprec_core.errors import LocalProtocolError
from siprec_core.media.commands import BindMedia, CloseMedia
from siprec_core.recording.ports import PortPool
from siprec_core.types import Address, MediaId, SinkId

BIND_ATTEMPTS = 100
"""Ports tried for one line before the call is refused: others may use ports of our range."""


class Resources:
    """What the sessions of one server share: the port pool, identifiers, and the numbering of media and sinks."""

    __slots__ = ("_media", "_sinks", "ids", "ports")

    def __init__(self, ports: PortPool, ids: Ids) -> None:
        self.ports = ports
        self.ids = ids
        self._media = count(1)
        self._sinks = count(1)

    def next_media(self) -> MediaId:
        """Give a fresh media id."""
        return MediaId(next(self._media))

    def next_sink(self) -> SinkId:
        """Give a fresh sink id."""
        return SinkId(next(self._sinks))


@dataclass(slots=True)
class MediaLine:
    """A media line with a port pair of ours."""

    index: int
    media: MediaId
    host: str
    port: int
    mux: bool
    attempts: int = 1
    bound: bool = False

    @property
    def rtp(self) -> Address:
        """Our RTP address."""
        return Address(self.host, self.port)

    @property
    def rtcp(self) -> Address | None:
        """Our RTCP address, None when it is the RTP one (RFC 5761)."""
        return None if self.mux else Address(self.host, self.port + 1)


class MediaLines:
    """Takes ports for lines, follows the binding, gives the ports back."""

    __slots__ = ("_by_media", "_lines", "_resources", "closing", "host")

    def __init__(self, resources: Resources, *, host: str) -> None:
        self._resources = resources
        self.host = host
        """The local address to bind lines at that are opened from now on."""
        self._lines: dict[int, MediaLine] = {}
        self._by_media: dict[MediaId, MediaLine] = {}
        self.closing: set[MediaId] = set()
        """Media that a `CloseMedia` was given for and that the driver has not closed yet."""

    def __contains__(self, index: object) -> bool:
        return index in self._lines

    def __len__(self) -> int:
        return len(self._lines)

    def get(self, index: int) -> MediaLine | None:
        """Give the line at a place of the description."""
        return self._lines.get(index)

    def by_media(self, media: MediaId) -> MediaLine | None:
        """Give the line of a media id, also while it closes."""
        return self._by_media.get(media)

    def indexes(self) -> list[int]:
        """Give the places of the lines that have ports, in order."""
        return sorted(self._lines)

    @property
    def all_bound(self) -> bool:
        """True when no line waits for its sockets."""
        return all(line.bound for line in self._lines.values())

    def open(self, index: int, *, mux: bool, now: float) -> BindMedia | None:
        """Take a port for a line; None when the pool is dry."""
        port = self._resources.ports.take(now=now)
        if port is None:
            return None
        line = MediaLine(index, self._resources.next_media(), self.host, port, mux)
        self._lines[index] = line
        self._by_media[line.media] = line
        return BindMedia(media=line.media, rtp=line.rtp, rtcp=line.rtcp)

    def open_each(self, count: int, *, now: float) -> Iterator[BindMedia]:
        """Take ports for the first lines, each when it is asked for; raises LocalProtocolError when the pool is dry."""
        for index in range(count):
            command = self.open(index, mux=False, now=now)
            if command is None:
                raise LocalProtocolError("no free media port")
            yield command

    def retry(self, line: MediaLine, *, now: float) -> BindMedia | None:
        """Try another port for a line whose binding failed; None after enough attempts or when the pool is dry."""
        self._resources.ports.give_back(line.port, now=now)
        port = self._resources.ports.take(now=now) if line.attempts < BIND_ATTEMPTS else None
        if port is None:
            del self._lines[line.index]
            del self._by_media[line.media]
            return None
        line.attempts += 1
        line.port = port
        return BindMedia(media=line.media, rtp=line.rtp, rtcp=line.rtcp)

    def close(self, index: int) -> CloseMedia | None:
        """Let a line go; its port rests once the driver has closed the sockets."""
        line = self._lines.pop(index, None)
        if line is None:
            return None
        self.closing.add(line.media)
        return CloseMedia(media=line.media)

    def closed(self, media: MediaId, *, now: float) -> None:
        """Take the driver's word that the sockets are closed."""
        line = self._by_media.pop(media, None)
        if line is not None:
            self._resources.ports.give_back(line.port, now=now)
        self.closing.discard(media)
