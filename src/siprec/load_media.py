"""The audio of a load test: one socket for each stream, all packets of a step sent in one go.

Every stream is a tone of a second over and over, encoded once, so that a packet costs a header and a system call. The
streams are spread over the steps of a packet time: signalling never waits for all of them at once.
"""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from struct import Struct

from siprec.tones import frequency_of, tone
from siprec_core.codecs.registry import encoder_for
from siprec_core.sdp.formats import MediaFormat
from siprec_core.types import Address
from siprec_sync.listeners import open_datagram_socket

PACKET_SECONDS = 0.02
_STEPS = 4
_STEP_SECONDS = PACKET_SECONDS / _STEPS
_SAMPLES = 160
"""Of 8,000 Hz in a packet; one octet each in G.711."""
_PACKET = Struct(f"!BBHII{_SAMPLES}s").pack
_VERSION_2 = 0x80
_MARKER = 0x80
_LATEST_PACKETS = 25
"""Caught up at once by a stream that is late, half a second: more would fill the receiver's buffer."""
_BUFFER_SIZE = 16_384
_MOST_RTCP = 1_000
"""Datagrams counted on one port: a flood must not hold up the end of a call."""


class MediaPorts:
    """The bound RTP and RTCP port of one stream."""

    __slots__ = ("rtcp", "rtcp_received", "rtp")

    def __init__(self, rtp: Address, rtcp: Address | None) -> None:
        """Bind both or none. Raises OSError."""
        self.rtp = open_datagram_socket(rtp, buffer_size=_BUFFER_SIZE)
        self.rtcp: socket.socket | None = None
        self.rtcp_received = 0
        """Datagrams that had come to the RTCP port when it was closed; at most as many as are counted."""
        try:
            self.rtcp = None if rtcp is None else open_datagram_socket(rtcp, buffer_size=_BUFFER_SIZE)
        except OSError:
            self.rtp.close()
            raise

    def close(self) -> None:
        """Close both."""
        self.rtp.close()
        if self.rtcp is None:
            return
        try:
            while self.rtcp_received < _MOST_RTCP:
                self.rtcp.recv(1)
                self.rtcp_received += 1
        except OSError:
            pass  # no more
        self.rtcp.close()


@dataclass(slots=True, eq=False)
class LoadStream:
    """One stream that is sent."""

    label: str
    to: Address
    ports: MediaPorts
    payloads: tuple[bytes, ...]
    payload_type: int
    total: int
    """Packets to send."""
    ssrc: int
    sequence_number: int
    timestamp: int
    began: float
    sent: int = 0
    """Packets that the kernel took."""
    turn: int = 0
    """Packets whose time has come, taken or not."""
    refused: int = 0
    """Packets that nobody received: ICMP told of an earlier one."""
    seal: Callable[[bytes], bytes | None] | None = None
    """Gives a packet as it leaves where the stream is encrypted."""

    @property
    def finished(self) -> bool:
        """True when every packet had its time."""
        return self.turn >= self.total


def begin_stream(
    ports: MediaPorts,
    to: Address,
    wanted: MediaFormat,
    *,
    label: str,
    index: int,
    total: int,
    identity: bytes,
    seal: Callable[[bytes], bytes | None] | None = None,
    now: float,
) -> LoadStream:
    """Make a stream of `total` packets to `to`; `identity` is ten random octets, `seal` encrypts. Raises OSError."""
    # Connected: what ICMP says of the port comes back as an error of a later packet.
    ports.rtp.connect(to)
    return LoadStream(
        label=label,
        to=to,
        ports=ports,
        payloads=_payloads(wanted.encoding.upper(), index),
        payload_type=wanted.payload_type,
        total=total,
        ssrc=int.from_bytes(identity[:4], "big"),
        sequence_number=int.from_bytes(identity[4:6], "big"),
        timestamp=int.from_bytes(identity[6:10], "big"),
        began=now,
        seal=seal,
    )


class MediaPlane:
    """All streams of a generator."""

    def __init__(self) -> None:
        self._streams: tuple[dict[LoadStream, None], ...] = tuple({} for _ in range(_STEPS))
        self._step = 0
        self._next: float | None = None
        self.sent = 0
        """Packets sent by all streams."""

    def add(self, stream: LoadStream, *, now: float) -> None:
        """Send a stream from now on."""
        min(self._streams, key=len)[stream] = None
        if self._next is None:
            self._next = now

    def remove(self, stream: LoadStream) -> None:
        """Send no more of a stream; harmless when it has ended."""
        for streams in self._streams:
            streams.pop(stream, None)

    def next_timeout(self) -> float | None:
        """Give the instant of the next step, None without streams."""
        return self._next

    def handle_timeout(self, *, now: float) -> Iterator[LoadStream]:
        """Send what is due; gives the streams that have come to their end."""
        if self._next is None:
            return
        for _ in range(_STEPS):
            if now < self._next:
                return
            streams = self._streams[self._step]
            self._step = (self._step + 1) % _STEPS
            self._next += _STEP_SECONDS
            ended = [stream for stream in streams if self._send(stream, now)]
            for stream in ended:
                del streams[stream]
            yield from ended
        if not any(self._streams):
            self._next = None
        elif self._next < now - PACKET_SECONDS:
            self._next = now  # late by more than a round: the streams themselves catch up

    def _send(self, stream: LoadStream, now: float) -> bool:
        """Send the packets of a stream whose time has come; tell whether they were the last."""
        due = min(int((now - stream.began) / PACKET_SECONDS) + 1, stream.total, stream.turn + _LATEST_PACKETS)
        payloads, send = stream.payloads, stream.ports.rtp.send
        for turn in range(stream.turn, due):
            packet = _PACKET(
                _VERSION_2,
                stream.payload_type | (0 if turn else _MARKER),
                (stream.sequence_number + turn) & 0xFFFF,
                (stream.timestamp + turn * _SAMPLES) & 0xFFFF_FFFF,
                stream.ssrc,
                payloads[turn % len(payloads)],
            )
            sealed = packet if stream.seal is None else stream.seal(packet)
            if sealed is None:
                continue
            try:
                send(sealed)
            except ConnectionRefusedError:
                stream.refused += 1
            except OSError:
                continue  # not taken: it is missing in `sent`
            else:
                stream.sent += 1
                self.sent += 1
        stream.turn = due
        return due >= stream.total


def usable_format(formats: tuple[MediaFormat, ...]) -> MediaFormat | None:
    """Give the first format of an answer that we send: G.711 in either law."""
    return next((each for each in formats if each.encoding.upper() in ("PCMU", "PCMA")), None)


@cache
def _payloads(encoding: str, index: int) -> tuple[bytes, ...]:
    encoder = encoder_for(encoding, 8_000, 1)
    encoded = b"" if encoder is None else encoder.encode(tone(frequency_of(index), 1.0, 8_000))
    return tuple(encoded[at : at + _SAMPLES] for at in range(0, len(encoded), _SAMPLES))
