"""From the packets of one media line to runs of audio with their place on the session's clock.

A run is what plays without a gap: the payloads of packets in a row, decoded at once, because a decoder is fast only
over many packets. The same packets get the same places, so that a first reading tells how long the files of a second
one get.
"""

import struct
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from siprec_core.clock import unix_ns_of_ntp
from siprec_core.codecs.registry import BUILT_IN, Codecs, Decoder, extra_for
from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.media.timeline import TICKS_PER_SECOND, SessionClock, Timeline
from siprec_core.recording.replay import LineMedia, LineReport
from siprec_core.rtp.demux import DatagramKind, classify
from siprec_core.rtp.packet import FIXED_HEADER_SIZE, RtpPacket
from siprec_core.sdp.formats import MediaFormat

_RUN_PACKETS = 512
"""Packets gathered at most: memory must not grow with the length of a call."""
_DECODERS = 16
"""Sources of one line and format that keep a decoder."""
_HEADER = struct.Struct("!BBHII").unpack_from


class Run(NamedTuple):
    """Audio without a gap."""

    ssrc: int
    start: int
    """Tick of the first sample."""
    end: int
    """Tick behind the last sample."""
    decoder: Decoder
    payloads: list[bytes]
    anchor: int
    """Tick at which its source was last anchored by arrival."""
    delay: int
    """Least delay of its packets, arrival less place, in ticks."""


class ClockPoint(NamedTuple):
    """What a sender report says of the place of a source's audio."""

    ssrc: int
    anchor: int
    """As in `Run`."""
    tick: int
    """Place of its RTP timestamp."""
    wall: int
    """The sender's wall clock at that instant, in ticks."""


class _Codec:
    """One payload type that can be decoded."""

    __slots__ = ("_decoders", "_make", "clock_rate", "decoder", "durations", "name", "unreadable")

    def __init__(self, name: str, decoder: Decoder, clock_rate: int, make: Callable[[], Decoder | None]) -> None:
        self.name = name
        self.decoder = decoder
        self.clock_rate = clock_rate
        self._make = make
        self._decoders: dict[int, Decoder] = {}
        self.durations: dict[int, tuple[int, bool]] = {}
        """By size of the payload: ticks, and whether the payload ends with a whole sample."""
        self.unreadable = 0
        """Payloads that hold no audio by the rules of the codec."""

    def duration(self, payload: bytes) -> tuple[int, bool]:
        samples, size = self.decoder.samples(payload), len(payload)
        ticks = samples * TICKS_PER_SECOND // self.decoder.sample_rate
        if not self.decoder.by_size:
            return ticks, True
        entry = self.durations[size] = (ticks, size == 0 or self.decoder.samples(payload[:-1]) < samples)
        return entry

    def decoder_of(self, ssrc: int) -> Decoder:
        """Give the decoder of one source."""
        if not self.decoder.stateful:
            return self.decoder
        decoder = self._decoders.get(ssrc)
        if decoder is None:
            if len(self._decoders) >= _DECODERS:
                del self._decoders[next(iter(self._decoders))]
            decoder = self._decoders[ssrc] = self._make() or self.decoder
        return decoder


class LinePlacer:
    """Gathers the packets of one line into runs."""

    __slots__ = (
        "_anchor",
        "_clock",
        "_codec",
        "_codecs",
        "_delay",
        "_deviations",
        "_end",
        "_formats",
        "_held_ns",
        "_known",
        "_payloads",
        "_reports",
        "_source_limit",
        "_ssrc",
        "_start",
        "_undecodable",
        "_unreadable",
        "timeline",
        "unrelated",
    )

    def __init__(self, clock: SessionClock, *, limits: Limits, known: Codecs = BUILT_IN) -> None:
        self._clock = clock
        self._known = known
        self.timeline = Timeline(clock, limits=limits)
        self._formats: dict[int, MediaFormat] = {}
        self._codecs: dict[int, _Codec | None] = {}
        self._held_ns: int | None = None
        self._undecodable: dict[str, str | None] = {}
        self._unreadable: dict[str, int] = {}
        self._deviations: dict[str, str] = {}
        self._codec: _Codec | None = None
        """Codec of the run that is being gathered, None between runs."""
        self._ssrc = self._start = self._end = self._anchor = self._delay = 0
        self._payloads: list[bytes] = []
        self._reports: dict[int, LineReport] = {}
        """The latest report of sources that no packet was placed of yet."""
        self._source_limit = limits.ssrcs_per_line
        self.unrelated = 0
        """Sender reports whose RTP timestamps are not those of the packets."""

    @property
    def undecodable(self) -> Mapping[str, str | None]:
        """Codecs that came and cannot be decoded, in order of appearance; with the extra that does, if there is one."""
        return self._undecodable

    @property
    def unreadable(self) -> Mapping[str, int]:
        """How many payloads of a codec held no audio by its rules."""
        self._note_payloads()
        return self._unreadable

    @property
    def deviations(self) -> Mapping[str, str]:
        """What payloads of a codec differed by from what was agreed, though they could be read."""
        self._note_payloads()
        return self._deviations

    def agree(self, formats: Mapping[int, MediaFormat], held_ns: int | None) -> None:
        """Take over what signalling says: formats by payload type, and when the line was last put on hold."""
        if formats != self._formats:
            self._formats = dict(formats)
            self._note_payloads()
            self._codecs.clear()
        if held_ns is not None and held_ns != self._held_ns:
            self._held_ns = held_ns
            self.timeline.hold(held_ns)

    def place(self, media: LineMedia) -> list[Run]:
        """Take packets; give the runs that ended."""
        runs: list[Run] = []
        codecs, arrive, place = self._codecs, self._clock.arrive, self.timeline.place
        for data, at_ns in media.datagrams:
            arrival = arrive(at_ns)
            if len(data) >= FIXED_HEADER_SIZE and data[0] == 0x80 and not 192 <= data[1] <= 223:
                _, second, sequence_number, timestamp, ssrc = _HEADER(data)
                payload = data[FIXED_HEADER_SIZE:]
            else:
                packet = _parse(data)
                if packet is None:
                    continue
                second, sequence_number = packet.payload_type, packet.sequence_number
                timestamp, ssrc, payload = packet.timestamp, packet.ssrc, bytes(packet.payload)
            payload_type = second & 0x7F
            codec = codecs[payload_type] if payload_type in codecs else self._find_codec(payload_type)
            if codec is None:
                continue
            size = len(payload)
            duration, whole = codec.durations.get(size) or codec.duration(payload)
            if not duration:
                if size:
                    codec.unreadable += 1
                continue
            tick = place(
                ssrc, sequence_number, timestamp, clock_rate=codec.clock_rate, duration=duration, arrival=arrival
            )
            if tick is None:
                continue
            if tick == self._end and ssrc == self._ssrc and codec is self._codec:
                self._payloads.append(payload)
                self._end = tick + duration
                if arrival - tick < self._delay:
                    self._delay = arrival - tick
            else:
                runs += self.finish()
                self._codec, self._ssrc, self._start, self._end = codec, ssrc, tick, tick + duration
                self._payloads = [payload]
                self._anchor, self._delay = self.timeline.anchor_of(ssrc), arrival - tick
            if not whole or len(self._payloads) == _RUN_PACKETS:
                runs += self.finish()
        return runs

    def report(self, report: LineReport) -> None:
        """Take a sender report; `points` gives what it tells. One without a wall clock tells nothing."""
        # RFC 3550 6.4.1: a sender that has no notion of wallclock "may set the NTP timestamp to zero".
        if report.ntp_timestamp:
            self._reports.pop(report.ssrc, None)
            if len(self._reports) >= self._source_limit:
                del self._reports[next(iter(self._reports))]
            self._reports[report.ssrc] = report

    def points(self) -> list[ClockPoint]:
        """Give what the reports taken since the last call tell; those of a source without packets wait for them."""
        points: list[ClockPoint] = []
        timeline, clock = self.timeline, self._clock
        for report in [each for each in self._reports.values() if timeline.is_placed(each.ssrc)]:
            del self._reports[report.ssrc]
            tick = timeline.locate(report.ssrc, report.rtp_timestamp, arrival=clock.tick_at(report.at_ns))
            if tick is None:
                self.unrelated += 1
            else:
                wall = clock.tick_at(unix_ns_of_ntp(report.ntp_timestamp, near_ns=report.at_ns))
                points.append(ClockPoint(report.ssrc, timeline.anchor_of(report.ssrc), tick, wall))
        return points

    def finish(self) -> list[Run]:
        """End the run that is being gathered; give it, or nothing."""
        codec, self._codec = self._codec, None
        if codec is None:
            return []
        decoder = codec.decoder_of(self._ssrc)
        return [Run(self._ssrc, self._start, self._end, decoder, self._payloads, self._anchor, self._delay)]

    def _note_payloads(self) -> None:
        """Take over what the codecs noticed."""
        for codec in filter(None, self._codecs.values()):
            if codec.unreadable:
                self._unreadable[codec.name] = self._unreadable.get(codec.name, 0) + codec.unreadable
                codec.unreadable = 0
            if codec.decoder.deviation is not None:
                self._deviations[codec.name] = codec.decoder.deviation

    def _find_codec(self, payload_type: int) -> _Codec | None:
        codec = None
        agreed = self._formats.get(payload_type)
        if agreed is not None and not agreed.is_telephone_event and not agreed.is_comfort_noise:
            make = partial(self._known.decoder, agreed.encoding, agreed.clock_rate, agreed.channels, agreed.fmtp or "")
            decoder = make()
            if decoder is None:
                # Who has the codec and not this form of it (interleaved AMR) is helped by no extra.
                installed = any(name.partition("/")[0] == agreed.encoding.upper() for name in self._known.added)
                self._undecodable[agreed.name] = None if installed else extra_for(agreed.encoding)
            else:
                codec = _Codec(agreed.name, decoder, agreed.clock_rate, make)
        self._codecs[payload_type] = codec
        return codec


def _parse(data: bytes) -> RtpPacket | None:
    if classify(data) is not DatagramKind.RTP:
        return None
    try:
        return RtpPacket.parse(data)
    except RemoteProtocolError:
        return None
