"""One synchronisation source of a media line: the in-order run that takes nearly all packets, and the counters."""

from collections.abc import Sequence
from struct import Struct

from siprec_core.media.statistics import SourceStatistics
from siprec_core.rtp.jitter import InterarrivalJitter
from siprec_core.rtp.packet import FIXED_HEADER_SIZE, RtpPacket
from siprec_core.rtp.payload import PayloadFormat
from siprec_core.rtp.sequence import SequenceTracker, Verdict
from siprec_core.rtp.telephone_event import KeyPress, KeyPressReader
from siprec_core.types import Address, DatagramBatch

_FIXED = Struct("!HHII").unpack_from  # version to payload type in one number, sequence number, timestamp, SSRC
_EXTENSION_LENGTH = Struct("!H").unpack_from
_VERSION_2 = 0x8000
_EXTENSION_BIT = 0x1000
_MARKER = 0x80


class TrackedSource:
    """A synchronisation source that passed its probation."""

    __slots__ = (
        "_kinds",
        "_payload_size",
        "first_arrival",
        "goodbye_at",
        "jitter",
        "keys",
        "last_arrival",
        "sequence",
        "ssrc",
    )

    def __init__(self, ssrc: int, first: int, *, arrival: float, max_dropout: int) -> None:
        self.ssrc = ssrc
        self.sequence = SequenceTracker(first, max_dropout=max_dropout)
        self.jitter = InterarrivalJitter()
        self.first_arrival = arrival
        self.last_arrival = arrival
        self.goodbye_at: float | None = None
        self.keys: KeyPressReader | None = None  # once a telephone event came
        self._payload_size = 0
        # First 16 bits of the headers that the run takes: no padding and no CSRC, and a format that came before. They
        # are written without the extension bit; one extension may be there and is passed over.
        self._kinds: frozenset[int] = frozenset()

    def receive_run(self, batch: DatagramBatch, start: int, source: Address | None) -> int:
        """Take packets of this source, each the next in sequence, from index `start` on; give the index of the first
        datagram that is not one.

        This is `place` for many packets at once; one round of the loop is all that an ordinary packet costs.
        """
        jitter = self.jitter
        transit = jitter.transit
        if transit is None or not self._kinds:
            return start
        datagrams: Sequence[memoryview | bytes] = batch.datagrams
        sources, arrivals = batch.sources, batch.arrivals
        own_ssrc, kinds, clock_rate, estimate = self.ssrc, self._kinds, jitter.clock_rate, jitter.jitter
        expected = (self.sequence.extended_highest + 1) & 0xFFFF
        size_sum = 0
        index, stop = start, len(datagrams)
        while index < stop:
            data = datagrams[index]
            sender = sources[index]
            if sender is not source and sender != source:
                break
            size = len(data)
            if size < FIXED_HEADER_SIZE:
                break
            kind, sequence_number, timestamp, ssrc = _FIXED(data)
            if sequence_number != expected or ssrc != own_ssrc:
                break
            if kind not in kinds:
                if kind ^ _EXTENSION_BIT not in kinds or size < FIXED_HEADER_SIZE + 4:
                    break
                size -= 4 + 4 * _EXTENSION_LENGTH(data, FIXED_HEADER_SIZE + 2)[0]
                if size < FIXED_HEADER_SIZE:
                    break
            expected = (expected + 1) & 0xFFFF
            size_sum += size
            previous = transit
            transit = arrivals[index] * clock_rate - timestamp
            difference = transit - previous
            if difference < 0.0:
                difference = -difference
            if difference > 2147483648.0:  # the timestamp wrapped
                difference = abs(difference - 4294967296.0)
            estimate += (difference - estimate) / 16.0
            index += 1
        count = index - start
        if count:
            self.sequence.advance(count)
            self._payload_size += size_sum - FIXED_HEADER_SIZE * count
            self.last_arrival = arrivals[index - 1]
            jitter.transit = transit
            jitter.jitter = estimate
        return index

    def place(self, packet: RtpPacket, payload_format: PayloadFormat, *, verdict: Verdict, arrival: float) -> None:
        """Account for one packet whose sequence number is counted already with this verdict."""
        self.last_arrival = arrival
        if verdict is Verdict.DUPLICATE:
            return
        self._payload_size += len(packet.payload)
        # RFC 4733 2.5.2.2: the packets of one event share the timestamp of its start, so their spacing tells no jitter.
        if payload_format.is_event:
            return
        if payload_format.clock_rate != self.jitter.clock_rate:
            self._kinds = frozenset()
        self.jitter.update(packet.timestamp, arrival=arrival, clock_rate=payload_format.clock_rate)
        kind = _VERSION_2 | packet.payload_type
        # RFC 5761 4: with the marker, the types 64 to 95 look like RTCP; they stay on the careful path.
        if kind not in self._kinds and not 64 <= packet.payload_type <= 95:
            self._kinds |= {kind, kind | _MARKER}

    def read_event(self, packet: RtpPacket, payload_format: PayloadFormat, *, arrival: float) -> list[KeyPress]:
        """Give the key presses that begin with a packet of telephone events."""
        if self.keys is None:
            self.keys = KeyPressReader()
        return self.keys.receive(
            packet.payload,
            timestamp=packet.timestamp,
            marker=packet.marker,
            clock_rate=payload_format.clock_rate,
            arrival=arrival,
        )

    def forget_formats(self) -> None:
        """Let the next packet of each payload type be looked at in full: the formats of the line have changed."""
        self._kinds = frozenset()

    def resume(self) -> None:
        """Go on after a hold: packets that are missing now are not lost."""
        self.sequence.skip()
        self.forget_formats()

    def restart(self, sequence_number: int) -> None:
        """Begin anew at a jump that passed its probation, counting the packet with this number."""
        self.sequence.restart(sequence_number)
        self.jitter.forget_transit()

    def statistics(self) -> SourceStatistics:
        """Give the counters as they are."""
        sequence = self.sequence
        return SourceStatistics(
            ssrc=self.ssrc,
            packets_received=sequence.received,
            packets_lost=sequence.lost,
            packets_duplicate=sequence.duplicates,
            packets_reordered=sequence.reordered,
            restarts=sequence.restarts,
            extended_highest=sequence.extended_highest,
            payload_size=self._payload_size,
            jitter=self.jitter.seconds,
            first_arrival=self.first_arrival,
            last_arrival=self.last_arrival,
            goodbye_at=self.goodbye_at,
            clock_rate=self.jitter.clock_rate,
        )
