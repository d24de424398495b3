"""The audio that a recording client sends: one sender for each stream that the server takes, in real time.

A stream that is held keeps its SSRC, and its sequence numbers and timestamps go on where they would be, so that the
recorder sees one source with a silence (RFC 3550 section 5.1). Beside its audio each stream has its RTCP: sender
reports at their intervals, also while it is held, and BYE at the end (RFC 7866 section 8.1.1).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from siprec_core.clock import TimeBase, ntp_of
from siprec_core.codecs.registry import BUILT_IN, Codecs
from siprec_core.entropy import Ids
from siprec_core.errors import LocalProtocolError
from siprec_core.machine import earliest
from siprec_core.media.commands import SendMedia
from siprec_core.media.reports import RtcpReporter, SenderState
from siprec_core.media.sender import RtpSender
from siprec_core.recording.call_events import AudioFinished
from siprec_core.recording.reception import Reception, blocks_of, received
from siprec_core.recording.securing import SecureStreams
from siprec_core.rtp.payload import PayloadFormat
from siprec_core.sdp.formats import MediaFormat
from siprec_core.sdp.offer import NegotiatedLine
from siprec_core.types import Address, Component, DatagramBatch, MediaId

_NOWHERE = Address("", 0)


@dataclass(slots=True)
class _Stream:
    """One stream, sending or held."""

    media: MediaId
    format: PayloadFormat
    to: Address
    ptime: int
    ssrc: int
    sequence_number: int
    timestamp: int
    events: int | None
    """Payload type of telephone events, None when they are not agreed on."""
    sender: RtpSender
    reporter: RtcpReporter
    began: float | None = None
    """When the first audio came."""
    packets: int = 0
    """RTP packets of senders before this one."""
    octets: int = 0
    """Octets of payload of senders before this one."""
    reception: Reception | None = None
    """What the server said last."""
    held: bool = False
    finishing: bool = False
    finished: bool = False


class ClientAudio:
    """The streams of one client by label."""

    __slots__ = ("_cname", "_codecs", "_farewells", "_ids", "_streams", "_time_base")

    def __init__(self, ids: Ids, *, time_base: TimeBase, codecs: Codecs = BUILT_IN) -> None:
        self._codecs = codecs
        self._ids = ids
        self._time_base = time_base
        # RFC 7022 4.2: a name made for this call; its streams are of one endpoint and share the clock.
        self._cname = ids.cname()
        self._farewells: list[SendMedia] = []
        self._streams: dict[str, _Stream] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the streams that the server takes, held ones included."""
        return tuple(self._streams)

    def negotiated(self, label: str, media: MediaId, line: NegotiatedLine, *, ptime: int, now: float) -> None:
        """Take what an answer, or the server's own offer, made of a stream; `ptime` is our wish in milliseconds."""
        stream = self._streams.get(label)
        # RFC 3264 7: the first format of the answer that we can use; events may stand before it.
        chosen = next(filter(None, map(self._encodable, line.formats)), None)
        if not line.accepted:
            self._leave(label)
        elif chosen is None or line.remote_rtp is None or not line.receives:
            if stream is not None:
                stream.held = True
        elif stream is None:
            self._open(label, media, chosen, _events(line, chosen), line.remote_rtp, line.ptime or ptime, now)
        elif stream.held or (stream.format, stream.to) != (chosen, line.remote_rtp):
            stream.format, stream.to, stream.ptime = chosen, line.remote_rtp, line.ptime or ptime
            stream.events = _events(line, chosen)
            self._go_on(stream, now)
        if label in self._streams:
            self._streams[label].reporter.aim(line.remote_rtcp, mux=False, local_host=None)

    def hold(self, label: str) -> None:
        """Send nothing of a stream until it is negotiated again; audio that waits is dropped then."""
        if label in self._streams:
            self._streams[label].held = True

    def add(self, label: str, pcm: bytes, *, now: float) -> None:
        """Queue audio; that of a held stream is dropped. Raises LocalProtocolError for a stream not taken."""
        stream = self._stream(label)
        if stream.held:
            return
        if stream.began is None:
            stream.began = now
        stream.sender.add(pcm, now=now)

    def press(self, label: str, digits: str, *, now: float) -> None:
        """Press keys; those of a held stream are dropped.

        Raises LocalProtocolError for a stream not taken, or without telephone events, and for what is no key.
        """
        stream = self._stream(label)
        if stream.events is None:
            raise LocalProtocolError(f"the server takes no telephone events for label {label!r}")
        if stream.held:
            return
        if stream.began is None:
            stream.began = now
        stream.sender.press(digits, now=now)

    def finish(self, label: str, *, now: float) -> None:
        """Take no more audio of a stream."""
        stream = self._stream(label)
        stream.finishing = True
        stream.sender.finish(now=now)

    def sample_rate(self, label: str) -> int:
        """Give the PCM rate of a stream in hertz."""
        return self._stream(label).sender.sample_rate

    def queued_seconds(self, label: str) -> float:
        """Give how much audio waits for its time, in seconds; raises LocalProtocolError for a stream not taken."""
        stream = self._stream(label)
        return 0.0 if stream.held else stream.sender.queued_seconds

    def receive(self, media: MediaId, batch: DatagramBatch) -> None:
        """Take datagrams that came back to the ports of a stream: reports on it count, all else is passed over."""
        for stream in self._streams.values():
            if stream.media != media:
                continue
            for data, _, arrival in batch:
                at_ns = self._time_base.unix_ns_at(arrival)
                for block in blocks_of(data):
                    if block.ssrc == stream.ssrc:
                        rate = stream.format.clock_rate
                        stream.reception = received(stream.reception, block, clock_rate=rate, at_ns=at_ns)

    def reception(self, label: str) -> Reception | None:
        """Give what the server reported last of a stream, None before it did."""
        return self._stream(label).reception

    def next_timeout(self) -> float | None:
        """Give the instant of the next packet or report."""
        audio = (each.sender.next_timeout() for each in self._streams.values() if not each.held)
        return earliest(*audio, *(each.reporter.next_timeout() for each in self._streams.values()))

    def handle_timeout(self, *, now: float) -> None:
        """Send the packets and reports whose time has come."""
        for stream in self._streams.values():
            if not stream.held:
                stream.sender.handle_timeout(now=now)
            if now >= stream.reporter.next_timeout():
                stream.reporter.report((), sent=self._state(stream, now), now=now)

    def outputs(self) -> Iterator[SendMedia | AudioFinished]:
        """Give what is to be sent, and what has come to its end."""
        while self._farewells:
            yield self._farewells.pop(0)
        for label, stream in self._streams.items():
            while (report := stream.reporter.poll_output()) is not None:
                yield report
            while not stream.held and (command := stream.sender.poll_output()) is not None:
                yield command
            if stream.finishing and not stream.finished and (stream.held or stream.sender.finished):
                stream.finished = True
                yield AudioFinished(label=label, packets=stream.packets + stream.sender.packets_sent)

    def clear(self) -> None:
        """Send nothing more but BYE, which is among the outputs."""
        for label in list(self._streams):
            self._leave(label)

    def _leave(self, label: str) -> None:
        stream = self._streams.pop(label, None)
        if stream is not None:
            stream.reporter.goodbye()
            while (command := stream.reporter.poll_output()) is not None:
                self._farewells.append(command)

    def _state(self, stream: _Stream, now: float) -> SenderState:
        """Give what a sender report tells: both clocks at one instant, and the counts."""
        timestamp = stream.sender.timestamp_at(now)
        if timestamp is None:
            elapsed = 0.0 if stream.began is None else now - stream.began
            timestamp = (stream.timestamp + round(elapsed * stream.format.clock_rate)) & 0xFFFF_FFFF
        return SenderState(
            ntp_timestamp=ntp_of(self._time_base.unix_ns_at(now)),
            rtp_timestamp=timestamp,
            packet_count=stream.packets + stream.sender.packets_sent,
            octet_count=stream.octets + stream.sender.payload_size_sent,
        )

    def _encodable(self, offered: MediaFormat) -> PayloadFormat | None:
        """Give a negotiated format as the sender wants it, None when we have no encoder for it."""
        wanted = PayloadFormat(
            offered.payload_type, offered.encoding.upper(), offered.clock_rate, offered.channels, offered.fmtp or ""
        )
        encoder = self._codecs.encoder(wanted.encoding, wanted.clock_rate, wanted.channels, wanted.parameters)
        return None if encoder is None else wanted

    def _stream(self, label: str) -> _Stream:
        stream = self._streams.get(label)
        if stream is None:
            raise LocalProtocolError(f"the server takes no audio for label {label!r}")
        return stream

    def _open(
        self, label: str, media: MediaId, chosen: PayloadFormat, events: int | None, to: Address, ptime: int, now: float
    ) -> None:
        ssrc, first, timestamp = self._ids.ssrc(), self._ids.sequence_number(), self._ids.rtp_timestamp()
        sender = RtpSender(
            media,
            chosen,
            to=to,
            ssrc=ssrc,
            sequence_number=first,
            timestamp=timestamp,
            ptime=ptime,
            event_type=events,
            codecs=self._codecs,
        )
        reporter = RtcpReporter(media, cname=self._cname, ids=self._ids, sources_limit=1, ssrc=ssrc, now=now)
        self._streams[label] = _Stream(media, chosen, to, ptime, ssrc, first, timestamp, events, sender, reporter)

    def _go_on(self, stream: _Stream, now: float) -> None:
        stream.held = False
        stream.packets += stream.sender.packets_sent
        stream.octets += stream.sender.payload_size_sent
        elapsed = 0.0 if stream.began is None else now - stream.began
        stream.sender = RtpSender(
            stream.media,
            stream.format,
            to=stream.to,
            ssrc=stream.ssrc,
            sequence_number=(stream.sequence_number + stream.packets) & 0xFFFF,
            timestamp=(stream.timestamp + round(elapsed * stream.format.clock_rate)) & 0xFFFF_FFFF,
            ptime=stream.ptime,
            event_type=stream.events,
            codecs=self._codecs,
        )
        if stream.finishing:
            stream.sender.finish(now=now)


class AudioDoors(ABC):
    """The inputs of a client that are about the audio of its streams."""

    _audio: ClientAudio
    _secure: SecureStreams

    def send_audio(self, label: str, pcm: bytes, *, now: float) -> None:
        """Queue 16-bit little-endian PCM at the stream's rate; it leaves in real time.

        Raises LocalProtocolError for a stream that the server does not take.
        """
        self._audio.add(label, pcm, now=now)
        self._drain_audio()

    def send_digits(self, label: str, digits: str, *, now: float) -> None:
        """Press keys (`0` to `9`, `*`, `#`, `A` to `D`) one after the other, as telephone events (RFC 4733).

        Each is held for 0.1 s and takes the place of audio of that time. Raises LocalProtocolError for a stream that
        the server does not take, when it takes no telephone events for it (`StreamSpec.formats` has to offer them), and
        for what is no key.
        """
        self._audio.press(label, digits, now=now)
        self._drain_audio()

    def finish_audio(self, label: str, *, now: float) -> None:
        """Say that no more audio of a stream follows; `AudioFinished` tells when the last packet has left."""
        self._audio.finish(label, now=now)
        self._drain_audio()

    def sample_rate(self, label: str) -> int:
        """Give the PCM rate of a stream in hertz; raises LocalProtocolError for one that the server does not take."""
        return self._audio.sample_rate(label)

    def queued_seconds(self, label: str) -> float:
        """Give how much audio of a stream waits for its time, in seconds; raises as `sample_rate` does."""
        return self._audio.queued_seconds(label)

    def reception(self, label: str) -> Reception | None:
        """Give what the server reported last of a stream (RTCP), None before it did; raises LocalProtocolError for one
        that it does not take."""
        return self._audio.reception(label)

    def seal_media(self, media: MediaId, packet: bytes) -> bytes | None:
        """Give an RTP packet of the application's own as it has to leave on a media line that was agreed on.

        That is encrypted where it was negotiated so (RFC 3711); None for one that cannot be sent.
        """
        sealed = self._secure.seal(SendMedia(media=media, component=Component.RTP, to=_NOWHERE, data=packet))
        return None if sealed is None else sealed.data

    @abstractmethod
    def _drain_audio(self) -> None:
        """Put out what the streams send."""


def _events(line: NegotiatedLine, chosen: PayloadFormat) -> int | None:
    """Give the payload type of the telephone events that go with an audio format: those of its clock rate (RFC 4733
    section 2.4.1)."""
    found = (each for each in line.formats if each.is_telephone_event and each.clock_rate == chosen.clock_rate)
    return next((each.payload_type for each in found), None)
