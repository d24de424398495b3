"""The sending side of one media line: PCM in, paced RTP packets out.

Packets leave on a grid of slots, slot n at `start + n * ptime`, so that rounding never adds up to a drift. The
timestamp of a packet is that of its slot: when the audio runs out, slots pass unused, the timestamp runs on through the
silence, and the next packet carries the marker of a new talk spurt (RFC 3551 section 4.1).
"""

from collections import deque
from math import ceil
from struct import Struct

from siprec_core.codecs.registry import BUILT_IN, Codecs
from siprec_core.errors import LocalProtocolError
from siprec_core.machine import Outbox
from siprec_core.media.commands import SendMedia
from siprec_core.media.keys import KeySequence
from siprec_core.rtp.payload import PayloadFormat
from siprec_core.types import Address, Component, MediaId

_FIXED = Struct("!BBHII").pack
_VERSION_2 = 0x80
_MARKER = 0x80
_LONGEST_PTIME = 200
_LATE_SLOTS = 3
"""Audio that is so many slots late still continues the talk spurt: a caller that feeds in real time is never quite on
time."""


class RtpSender:
    """Sends the audio of one stream. `Machine` of `SendMedia` commands.

    The queue holds what the application adds and has no bound of its own: `queued_seconds` tells when to wait.
    """

    __slots__ = (
        "_encoder",
        "_event_type",
        "_finishing",
        "_frame_size",
        "_frame_timestamps",
        "_keys",
        "_marker",
        "_media",
        "_outbox",
        "_payload_type",
        "_payloads",
        "_pcm",
        "_ptime_seconds",
        "_sequence_number",
        "_slot",
        "_start",
        "_timestamp",
        "_to",
        "packets_sent",
        "payload_size_sent",
        "ptime",
        "ssrc",
    )

    def __init__(
        self,
        media: MediaId,
        payload_format: PayloadFormat,
        *,
        to: Address,
        ssrc: int,
        sequence_number: int,
        timestamp: int,
        ptime: int = 20,
        event_type: int | None = None,
        codecs: Codecs = BUILT_IN,
    ) -> None:
        """Prepare to send to `to` in packets of `ptime` milliseconds.

        `sequence_number` (16 bits) and `timestamp` (32 bits) are the first packet's and, as `ssrc`, should be random
        (RFC 3550 section 5.1). A `ptime` that we cannot keep gives way to 20 or 40: a peer's is only a wish (RFC 8866
        section 6.4). `event_type` is the payload type of telephone events of the same clock rate, None without any.
        `codecs` encode; raises `LocalProtocolError` when they cannot encode the format.
        """
        encoder = codecs.encoder(
            payload_format.encoding, payload_format.clock_rate, payload_format.channels, payload_format.parameters
        )
        if encoder is None:
            raise LocalProtocolError(f"{payload_format.name} cannot be encoded")
        self.ptime = _usable_ptime(ptime, encoder.sample_rate, payload_format)
        """Milliseconds of audio in each packet."""
        self.ssrc = ssrc
        self.packets_sent = 0
        self.payload_size_sent = 0
        """Octets of payload, without headers (as RFC 3550 section 6.4.1 counts them)."""
        self._media = media
        self._to = to
        self._payload_type = payload_format.payload_type
        self._sequence_number = sequence_number
        self._timestamp = timestamp
        self._encoder = encoder
        self._ptime_seconds = self.ptime / 1000
        self._frame_size = encoder.sample_rate * self.ptime // 1000 * encoder.channels * 2
        self._frame_timestamps = payload_format.clock_rate * self.ptime // 1000
        self._event_type = event_type
        self._keys = KeySequence(frame_timestamps=self._frame_timestamps, ptime_seconds=self._ptime_seconds)
        self._pcm = bytearray()  # less than a frame
        self._payloads: deque[bytes] = deque()
        self._start: float | None = None
        self._slot = 0  # the one that the next packet takes
        self._marker = True
        self._finishing = False
        self._outbox: Outbox[SendMedia] = Outbox()

    @property
    def finished(self) -> bool:
        """True once `finish` was called and everything is sent."""
        return self._finishing and not self._waiting

    @property
    def queued_seconds(self) -> float:
        """Audio that waits for its slot, whole packets only."""
        return len(self._payloads) * self._ptime_seconds

    @property
    def sample_rate(self) -> int:
        """Samples of one channel a second that `add` expects."""
        return self._encoder.sample_rate

    def timestamp_at(self, now: float) -> int | None:
        """Give the RTP timestamp of an instant, None before the first packet."""
        if self._start is None:
            return None
        elapsed = (now - self._start) / self._ptime_seconds
        return (self._timestamp + round(elapsed * self._frame_timestamps)) & 0xFFFF_FFFF

    def add(self, pcm: bytes | memoryview, *, now: float) -> None:
        """Queue 16-bit little-endian PCM of any length; what does not fill a packet waits for more.

        Sending begins with the first whole packet. Raises `LocalProtocolError` after `finish`.
        """
        if self._finishing:
            raise LocalProtocolError("no audio can be added after finish")
        self._pcm += pcm
        frames, rest = divmod(len(self._pcm), self._frame_size)
        if not frames:
            return
        if not self._waiting:
            self._resume(now)
        whole = len(self._pcm) - rest
        encoded = self._encoder.encode(bytes(self._pcm[:whole]))
        del self._pcm[:whole]
        size = len(encoded) // frames
        self._payloads.extend(encoded[at : at + size] for at in range(0, len(encoded), size))
        self.handle_timeout(now=now)

    def press(self, digits: str, *, now: float) -> None:
        """Send key presses (RFC 4733) one after the other from now on. Audio of the same time is left out.

        Raises `LocalProtocolError` for a character that is no key, without `event_type`, and after `finish`.
        """
        if self._event_type is None:
            raise LocalProtocolError("telephone events are not negotiated")
        if self._finishing:
            raise LocalProtocolError("no digits can be added after finish")
        waiting = self._waiting
        self._keys.add(digits)
        if not waiting:
            self._resume(now)
        self.handle_timeout(now=now)

    def finish(self, *, now: float) -> None:
        """Take no more audio; the last packet is filled up with silence."""
        if self._pcm and not self._finishing:
            self.add(bytes(self._frame_size - len(self._pcm)), now=now)
        self._finishing = True

    def handle_timeout(self, *, now: float) -> None:
        """Send the packets whose slots have come, all of them when the call is late."""
        while self._waiting and self._deadline() <= now:
            self._use_slot()

    def poll_output(self) -> SendMedia | None:
        """Give the oldest packet not yet taken, None when there is none."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the instant of the next packet, None while nothing waits."""
        return self._deadline() if self._waiting else None

    @property
    def _waiting(self) -> bool:
        return bool(self._payloads) or self._keys.waiting

    def _deadline(self) -> float:
        return (self._start or 0.0) + self._slot * self._ptime_seconds

    def _resume(self, now: float) -> None:
        """Choose the slot of the packet that ends a silence."""
        if self._start is None:
            self._start = now
        slots = (now - self._start) / self._ptime_seconds
        if slots - self._slot > _LATE_SLOTS:
            self._slot = ceil(slots)
            # RFC 3551 4.1: "the first packet of a talkspurt [...] SHOULD be distinguished by setting the marker bit".
            self._marker = True

    def _use_slot(self) -> None:
        payload = self._payloads.popleft() if self._payloads else None
        key = self._keys.take()
        if key is not None and self._event_type is not None:
            # RFC 4733 2.5.1.1: the timestamp of all packets of an event is that of its beginning.
            self._send(self._event_type, key.event.to_bytes(), self._slot - key.slots_before, marker=key.marker)
        elif payload is not None:
            self._send(self._payload_type, payload, self._slot, marker=self._marker)
            self._marker = False
        self._slot += 1

    def _send(self, payload_type: int, payload: bytes, slot: int, *, marker: bool) -> None:
        second = payload_type | (_MARKER if marker else 0)
        timestamp = (self._timestamp + slot * self._frame_timestamps) & 0xFFFF_FFFF
        header = _FIXED(_VERSION_2, second, self._sequence_number, timestamp, self.ssrc)
        self._outbox.put(SendMedia(media=self._media, component=Component.RTP, to=self._to, data=header + payload))
        self._sequence_number = (self._sequence_number + 1) & 0xFFFF
        self.packets_sent += 1
        self.payload_size_sent += len(payload)


def _usable_ptime(wish: int, sample_rate: int, payload_format: PayloadFormat) -> int:
    """Give the first packet time that is a whole number of samples and that a receiver should take (RFC 3551 4.2)."""
    for ptime in (wish, 20, 40):
        whole = not sample_rate * ptime % 1000 and not payload_format.clock_rate * ptime % 1000
        if whole and 1 <= ptime <= _LONGEST_PTIME:
            return ptime
    raise LocalProtocolError(f"{payload_format.name} cannot be cut into packets")
