"""The live path of one media line: accepted RTP in, PCM frames in order out.

Only a line that somebody listens to has a listener. It holds nothing back but what a gap delays, decodes each packet by
itself, and makes up for short losses of codecs that keep no state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple, TypeAlias

from siprec_core.codecs.concealment import Concealment
from siprec_core.codecs.registry import Codecs, Decoder
from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.machine import earliest
from siprec_core.media.jitter_buffer import JitterBuffer, Missing
from siprec_core.media.mixer import downmix
from siprec_core.rtp.demux import DatagramKind, classify
from siprec_core.rtp.packet import FIXED_HEADER_SIZE, RtpPacket
from siprec_core.rtp.payload import PayloadFormat

_HEADER = Struct("!BBHII").unpack_from
_CONCEALED_SECONDS = 0.1
"""Longest loss that is made up for; a longer one is a gap between the instants of two frames."""
_ASTRAY_NS = 1_000_000_000
"""How far the instants of frames may drift from their arrival before they are set anew."""


@dataclass(slots=True)
class AudioFrame:
    """A piece of audio of one stream, usually one packet's."""

    pcm: bytes
    """16-bit little-endian, one channel."""
    sample_rate: int
    at_ns: int
    """When its first sample came, nanoseconds since 1970-01-01T00:00:00Z. Frames of one source that follow one another
    without a gap do so here too."""
    label: str
    """Of the stream: the SDP label, the index of the line as text where there is none."""
    participants: tuple[str, ...] = ()
    """Who is heard, as far as the metadata say: participant ids."""
    ssrc: int = 0
    concealed: bool = False
    """Made up in place of lost audio."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.pcm) / (2 * self.sample_rate)


_Packet: TypeAlias = tuple[int, int, bytes, int]
"""What is left of an RTP packet: payload type, timestamp, payload, instant of its arrival. A plain tuple, since one is
made for every packet that waits."""


class _Codec(NamedTuple):
    """How one payload type is decoded."""

    decoder: Decoder
    clock_rate: int
    concealment: Concealment | None
    """None for codecs that keep a state, which a made-up frame would not change."""


class _Source:
    """One synchronisation source."""

    __slots__ = ("at_ns", "buffer", "codecs", "lost", "timestamp")

    def __init__(self) -> None:
        self.buffer: JitterBuffer[_Packet] = JitterBuffer()
        self.codecs: dict[int, _Codec | None] = {}
        self.timestamp: int | None = None
        """Timestamp of the audio that follows without a gap."""
        self.at_ns = 0
        """Instant of that audio."""
        self.lost = False


class LineListener:
    """Turns the packets of one line into frames."""

    __slots__ = ("_codecs", "_formats", "_label", "_limits", "_ready", "_sources", "participants")

    def __init__(self, label: str, *, codecs: Codecs, limits: Limits) -> None:
        self._label = label
        self._codecs = codecs
        self._limits = limits
        self._formats: dict[int, PayloadFormat] = {}
        self._sources: dict[int, _Source] = {}
        self._ready: list[AudioFrame] = []
        self.participants: tuple[str, ...] = ()
        """Who is heard from now on."""

    def agree(self, formats: Mapping[int, PayloadFormat]) -> None:
        """Take over the formats by payload type."""
        if formats != self._formats:
            self._formats = dict(formats)
            for source in self._sources.values():
                source.codecs.clear()

    def receive(self, data: bytes | memoryview, *, at_ns: int, arrival: float) -> None:
        """Take an accepted datagram; `at_ns` and `arrival` are the same instant by UTC and by the driver's clock."""
        if len(data) >= FIXED_HEADER_SIZE and data[0] == 0x80 and not 192 <= data[1] <= 223:
            _, second, sequence_number, timestamp, ssrc = _HEADER(data)
            payload_type, payload = second & 0x7F, bytes(data[FIXED_HEADER_SIZE:])
        else:
            if classify(data) is not DatagramKind.RTP:
                return
            try:
                parsed = RtpPacket.parse(data)
            except RemoteProtocolError:
                return
            sequence_number, ssrc, timestamp = parsed.sequence_number, parsed.ssrc, parsed.timestamp
            payload_type, payload = parsed.payload_type, bytes(parsed.payload)
        source = self._sources.get(ssrc)
        if source is None:
            if len(self._sources) >= self._limits.ssrcs_per_line:
                del self._sources[next(iter(self._sources))]
            source = self._sources[ssrc] = _Source()
        if source.buffer.passes(sequence_number):
            self._play(ssrc, source, payload_type, timestamp, payload, at_ns)
        else:
            source.buffer.add(sequence_number, (payload_type, timestamp, payload, at_ns), arrival)

    def take(self, *, now: float) -> list[AudioFrame]:
        """Give the frames whose turn has come."""
        for ssrc, source in self._sources.items():
            if not source.buffer.waits:
                continue
            for item in source.buffer.take(now=now):
                if isinstance(item, Missing):
                    source.lost = True
                else:
                    self._play(ssrc, source, *item)
        frames, self._ready = self._ready, []
        return frames

    def next_timeout(self) -> float | None:
        """Give the instant at which `take` gives up a missing packet, None when nothing waits."""
        return earliest(*(source.buffer.next_timeout() for source in self._sources.values()))

    def _play(
        self, ssrc: int, source: _Source, payload_type: int, timestamp: int, payload: bytes, came_ns: int
    ) -> None:
        codec = source.codecs[payload_type] if payload_type in source.codecs else self._find_codec(source, payload_type)
        if codec is None:
            return
        decoder, clock_rate, concealment = codec
        pcm = decoder.decode(payload)
        if decoder.channels > 1:
            pcm = downmix(pcm, decoder.channels)
        if not pcm:
            return
        rate, at_ns = decoder.sample_rate, source.at_ns
        if timestamp != source.timestamp or abs(at_ns - came_ns) > _ASTRAY_NS:
            at_ns = self._bridge(ssrc, source, codec, timestamp=timestamp, came_ns=came_ns)
        source.lost = False
        if concealment is not None:
            concealment.hear(pcm)
        self._ready.append(AudioFrame(pcm, rate, at_ns, self._label, self.participants, ssrc))
        samples = len(pcm) // 2
        source.timestamp = (timestamp + samples * clock_rate // rate) & 0xFFFF_FFFF
        source.at_ns = at_ns + samples * 1_000_000_000 // rate

    def _bridge(self, ssrc: int, source: _Source, codec: _Codec, *, timestamp: int, came_ns: int) -> int:
        """Give the instant of a packet that does not continue the one before, and make up for what was lost."""
        if source.timestamp is None:
            return came_ns
        gap = (timestamp - source.timestamp) & 0xFFFF_FFFF
        if gap >= 0x8000_0000:
            gap -= 0x1_0000_0000
        at_ns = source.at_ns + gap * 1_000_000_000 // codec.clock_rate
        if abs(at_ns - came_ns) > _ASTRAY_NS:
            return came_ns
        if source.lost and 0 < gap <= codec.clock_rate * _CONCEALED_SECONDS and codec.concealment is not None:
            rate = codec.decoder.sample_rate
            made = codec.concealment.conceal(gap * rate // codec.clock_rate)
            frame = AudioFrame(made, rate, source.at_ns, self._label, self.participants, ssrc, concealed=True)
            self._ready.append(frame)
        return at_ns

    def _find_codec(self, source: _Source, payload_type: int) -> _Codec | None:
        agreed, codec = self._formats.get(payload_type), None
        if agreed is not None and not agreed.is_event and not agreed.is_comfort_noise:
            decoder = self._codecs.decoder(agreed.encoding, agreed.clock_rate, agreed.channels, agreed.parameters)
            if decoder is not None:
                concealment = None if decoder.stateful else Concealment(decoder.sample_rate)
                codec = _Codec(decoder, agreed.clock_rate, concealment)
        source.codecs[payload_type] = codec
        return codec
