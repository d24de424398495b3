"""Values that every floor shares: addresses, flows, media ids, batches of datagrams."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, NewType

SessionId = NewType("SessionId", str)
"""Id of one recording, given by us, fit for a file name."""
FlowId = NewType("FlowId", int)
"""Id of one stream connection, given by the driver."""
MediaId = NewType("MediaId", int)
"""Id of one bound RTP/RTCP port pair, given by the core."""
SinkId = NewType("SinkId", int)
"""Id of one file or other place that takes bytes, given by the core."""


TapId = NewType("TapId", str)
"""Id of one listener to the live audio of a session, given by the core."""


class Transport(Enum):
    """SIP transport (RFC 3261 section 18; the value is the `transport` URI parameter's, TLS apart)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"

    @property
    def reliable(self) -> bool:
        """True for transports that neither lose nor reorder (RFC 3261 section 17)."""
        return self is not Transport.UDP

    @property
    def via_name(self) -> str:
        """The name in a Via header field: upper case."""
        return self.value.upper()

    @property
    def default_port(self) -> int:
        """5061 for TLS, else 5060 (RFC 3261 section 19.1.2)."""
        return 5061 if self is Transport.TLS else 5060


class Address(NamedTuple):
    """A numeric IP address and a port."""

    host: str
    """IPv4 dotted or IPv6 without brackets."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Flow:
    """A path for SIP messages: a pair of addresses, and for streams one connection (RFC 5626's word)."""

    transport: Transport
    local: Address
    remote: Address
    id: FlowId | None = None
    """Set for connections, None for datagrams."""
    peer_names: tuple[str, ...] = field(default=(), compare=False)
    """Whom the certificate of a TLS peer names (RFC 5922 section 7.1), once that was found to be good."""


class Listening(NamedTuple):
    """Where an endpoint takes messages over one transport: what its Via and Contact name."""

    transport: Transport
    address: Address
    """Numeric, never a wildcard."""


class Component(Enum):
    """The two halves of a media port pair (RFC 3550 section 11)."""

    RTP = 1
    RTCP = 2

    # That of an Enum is a call of Python, and members are keys of every batch of packets and every message.
    __hash__ = object.__hash__


class DatagramBatch:
    """Datagrams of one socket as views on a reader's reusable buffer.

    Valid only during the call that hands it over: keep nothing of it without copying.

    `datagrams[i]` is the payload, `sources[i]` its sender and `arrivals[i]` its arrival in seconds on the driver's
    monotonic clock, as the kernel saw it where the socket tells.
    """

    __slots__ = ("arrivals", "datagrams", "sources")

    def __init__(
        self, datagrams: Sequence[memoryview | bytes], sources: Sequence[Address], arrivals: Sequence[float]
    ) -> None:
        self.datagrams = datagrams
        self.sources = sources
        self.arrivals = arrivals

    def __len__(self) -> int:
        return len(self.datagrams)

    def __iter__(self) -> Iterator[tuple[memoryview | bytes, Address, float]]:
        return zip(self.datagrams, self.sources, self.arrivals, strict=True)
