"""The receiving side of one media line: which datagrams belong to the recording, and what they say about the line.

Nearly all packets are the next of the source that sent the last one; `TrackedSource.receive_run` takes them in a tight
loop. Everything else is looked at one by one: protocol (RFC 7983), source address (`latch`), validity (RFC 3550
appendix A.1), payload type, then the synchronisation source, with `probation` for new ones and for jumps.

Decisions go by the datagrams and their arrivals alone, never by how they were cut into batches; and whoever feeds the
accepted datagrams, in the order of the journal, to a new receiver gets the same counters, rejections apart. A replay
relies on both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.machine import Outbox
from siprec_core.media.control import ControlRecord
from siprec_core.media.latch import SourceLatch, Standing
from siprec_core.media.line_findings import LineFindings
from siprec_core.media.outputs import KeyPressed, MediaOutput, SourceLocked, SsrcAdded
from siprec_core.media.probation import HeldDatagram, Outcome, ProbationTable, Waiting
from siprec_core.media.source import TrackedSource
from siprec_core.media.spec import MediaSpec
from siprec_core.media.statistics import LineStatistics, SourceStatistics, merged, total
from siprec_core.quick import maker
from siprec_core.rtp.demux import DatagramKind, classify
from siprec_core.rtp.packet import FIXED_HEADER_SIZE, RtpPacket
from siprec_core.rtp.payload import PayloadFormat
from siprec_core.rtp.rtcp import RtcpPacket, parse_compound
from siprec_core.rtp.sequence import Verdict
from siprec_core.types import Address, Component, DatagramBatch

_IDLE_SECONDS = 5.0
"""A synchronisation source silent for so long gives up its place to a new one (RFC 3550 section 6.3.5: five
intervals)."""
_INACTIVE_GRACE_SECONDS = 1.0
"""How long packets sent before the peer saw our answer may still come after the line became inactive."""
_make_statistics = maker(LineStatistics)


@dataclass(slots=True)
class Accepted:
    """The datagrams to be journalled after one call: `held` first, then those of the batch."""

    indexes: Sequence[int]
    """Places within the batch, ascending; a `range` over the whole batch when all were accepted."""
    held: Sequence[HeldDatagram] = ()
    """Copies of datagrams of earlier batches, of either component, that were held until their source was believed; in
    order of arrival."""

    def of(self, batch: DatagramBatch) -> list[tuple[memoryview | bytes, Address, float]]:
        """Give those of the batch with their sources and arrivals."""
        datagrams, sources, arrivals = batch.datagrams, batch.sources, batch.arrivals
        return [(datagrams[index], sources[index], arrivals[index]) for index in self.indexes]

    def heard(self, batch: DatagramBatch) -> list[tuple[memoryview | bytes, float]]:
        """Give all that came to the RTP port with its arrivals, for a batch of that port."""
        held: list[tuple[memoryview | bytes, float]]
        held = [(each.data, each.arrival) for each in self.held if each.component is Component.RTP]
        return held + [(batch.datagrams[index], batch.arrivals[index]) for index in self.indexes]


class MediaReceiver:
    """Receives the RTP and RTCP of one media line. Drain `poll_output` after each input."""

    __slots__ = (
        "_batch",
        "_control",
        "_csrcs",
        "_current",
        "_findings",
        "_formats",
        "_held",
        "_inactive_after",
        "_latch",
        "_limits",
        "_outbox",
        "_payload_types",
        "_presses",
        "_probation",
        "_refused",
        "_retired",
        "_rtcp_received",
        "_rtcp_source",
        "_seen",
        "_sources",
        "_spec",
        "_ssrcs",
        "_updated",
    )

    def __init__(self, spec: MediaSpec, *, limits: Limits, now: float, where: str = "rtp") -> None:
        self._spec = spec
        self._updated = False
        """True when a re-offer may have admitted what is held, until the next call accepts it."""
        self._limits = limits
        self._latch = SourceLatch(limits.source_silent_seconds)
        self._probation = ProbationTable(limits)
        self._outbox: Outbox[MediaOutput] = Outbox()
        self._control = ControlRecord(limits)
        self._formats: dict[int, PayloadFormat] = {}
        self._sources: dict[int, TrackedSource] = {}
        self._retired: list[SourceStatistics] = []
        self._current: TrackedSource | None = None
        """The source whose run goes on; None sends every packet down the slow path."""
        self._ssrcs: dict[int, None] = {}
        self._csrcs: dict[int, None] = {}
        self._payload_types: dict[int, None] = {}
        self._findings = LineFindings(self._outbox, where)
        self._presses = 0
        self._seen = {Component.RTP: 0, Component.RTCP: 0}
        self._rtcp_received = {Component.RTP: 0, Component.RTCP: 0}
        self._rtcp_source: Address | None = None
        self._batch = 0
        self._refused: set[int] = set()
        self._held: list[HeldDatagram] = []
        self._inactive_after: float | None = None
        """Packets that arrive after this instant deserve a finding; None when they are welcome, or the finding is
        made."""
        self.update(spec, now=now)

    @property
    def spec(self) -> MediaSpec:
        """What signalling said last."""
        return self._spec

    def update(self, spec: MediaSpec, *, now: float) -> None:
        """Take over what a re-offer changed.

        Payload types are only added: RFC 3264 8.3.2 forbids to give a number another meaning within a session, and
        packets of the old formats may still be on their way.
        """
        resumed = self._spec.direction == "inactive" != spec.direction
        self._spec = spec
        self._updated = True
        self._latch.announce(spec.remote_rtp, spec.remote_rtcp)
        if not self._latch.learning:
            self._probation.keep_only((self._latch.locked, self._latch.announced))
        self._formats.update((entry.payload_type, entry) for entry in spec.formats)
        self._latch.hold(held=spec.direction == "inactive", now=now)
        for source in self._sources.values():
            source.forget_formats()
            if resumed:
                source.resume()
        self._inactive_after = None
        if spec.direction == "inactive" and "media-while-inactive" not in self._findings:
            self._inactive_after = now + _INACTIVE_GRACE_SECONDS
            self._current = None

    def receive(self, batch: DatagramBatch, *, component: Component, now: float) -> Accepted:
        """Take the datagrams of one socket; `now` is the instant of the call, while decisions go by the arrivals.

        Accepted are: RTP of the line's source that is valid, duplicates and late packets included, and RTCP of its
        host.
        """
        self._batch += 1
        count = len(batch.datagrams)
        self._seen[component] += count
        if self._updated:
            self._updated = False
            self._release_rtcp()
        if component is Component.RTP:
            self._receive_rtp_batch(batch, count)
        else:
            for index, (data, source, arrival) in enumerate(batch):
                if not self._receive_rtcp(data, source, arrival, index, component):
                    self._refused.add(index)
        return Accepted(range(count)) if not self._refused and not self._held else self._take_accepted(count)

    def poll_output(self) -> MediaOutput | None:
        """Give the oldest output not yet taken, None when there is none."""
        return self._outbox.poll()

    @property
    def last_arrival(self) -> float | None:
        """Arrival of the last packet of any source, None before the first one."""
        return max((source.last_arrival for source in self._sources.values()), default=None)

    @property
    def report_address(self) -> Address | None:
        """Where reports on this line go: to who was heard, at the announced port where that is his; None for nobody.

        An address that was only announced is not reported to: it may be anybody's.
        """
        return self._latch.report_address(self._rtcp_source, mux=self._spec.rtcp_mux)

    def statistics(self) -> LineStatistics:
        """Give the counters as they are now."""
        entries = [*self._retired, *(source.statistics() for source in self._sources.values())]
        entries.sort(key=lambda entry: entry.first_arrival)
        sum_ = total(entries)
        counted = sum_.packets_received + sum_.packets_duplicate if sum_ else 0
        on_rtp, on_rtcp = self._rtcp_received[Component.RTP], self._rtcp_received[Component.RTCP]
        return _make_statistics(
            packets_received=sum_.packets_received if sum_ else 0,
            packets_lost=sum_.packets_lost if sum_ else 0,
            packets_duplicate=sum_.packets_duplicate if sum_ else 0,
            packets_reordered=sum_.packets_reordered if sum_ else 0,
            packets_rejected=self._seen[Component.RTP] - counted - on_rtp,
            rtcp_received=on_rtp + on_rtcp,
            rtcp_rejected=self._seen[Component.RTCP] - on_rtcp,
            payload_size=sum_.payload_size if sum_ else 0,
            jitter=sum_.jitter if sum_ else 0.0,
            first_arrival=sum_.first_arrival if sum_ else None,
            last_arrival=sum_.last_arrival if sum_ else None,
            source=self._latch.locked,
            source_changes=self._latch.changes,
            ssrcs=tuple(self._ssrcs),
            csrcs=tuple(self._csrcs),
            payload_types=tuple(self._payload_types),
            sources=tuple(entries),
            control=self._control.statistics(),
        )

    def _take_accepted(self, count: int) -> Accepted:
        refused = self._refused
        indexes: Sequence[int] = range(count)
        if refused:
            indexes = [index for index in indexes if index not in refused]
            refused.clear()
        held = sorted(self._held, key=lambda datagram: datagram.arrival)
        self._held.clear()
        return Accepted(indexes, held)

    # RTP

    def _receive_rtp_batch(self, batch: DatagramBatch, count: int) -> None:
        index = 0
        while index < count:
            if self._current is not None:
                index = self._current.receive_run(batch, index, self._latch.locked)
                if index == count:
                    return
                if len(self._sources) > 1:
                    stop = self._receive_other_run(batch, index)
                    if stop > index:
                        index = stop
                        continue
            data, source, arrival = batch.datagrams[index], batch.sources[index], batch.arrivals[index]
            if not self._receive_datagram(data, source, arrival, index):
                self._refused.add(index)
            index += 1

    def _receive_other_run(self, batch: DatagramBatch, index: int) -> int:
        """Go on with the run of another source of the line, for lines on which several talk at a time."""
        data = batch.datagrams[index]
        if len(data) < FIXED_HEADER_SIZE:
            return index
        other = self._sources.get(int.from_bytes(data[8:12], "big"))
        if other is None or other is self._current:
            return index
        stop = other.receive_run(batch, index, self._latch.locked)
        if stop > index:
            self._current = other
        return stop

    def _receive_datagram(self, data: bytes | memoryview, source: Address, arrival: float, index: int) -> bool:
        kind = classify(data)
        if kind is DatagramKind.RTCP and (self._spec.rtcp_mux or data[1] & 0x7F not in self._formats):
            return self._receive_rtcp(data, source, arrival, index, Component.RTP)
        standing = self._latch.standing(source)
        if standing is Standing.FOREIGN:
            abandoned_at = self._latch.abandoned_at(self.last_arrival)
            if arrival < abandoned_at:
                self._findings.foreign(source, self._latch.locked, arrival)
                return False
            standing = Standing.LEARNABLE
            # What came while the source was alive speaks for nobody.
            self._probation.forget_before(source, int.from_bytes(data[8:12], "big"), abandoned_at)
        if kind not in (DatagramKind.RTP, DatagramKind.RTCP):
            self._findings.other_protocol(kind, arrival)
            return False
        try:
            packet = RtpPacket.parse(data)
        except RemoteProtocolError as error:
            self._findings.add("rtp-invalid", f"first: {error}", arrival, replayable=False)
            return False
        payload_format = self._formats.get(packet.payload_type)
        if payload_format is None:
            self._findings.add(
                "payload-type-unknown",
                f"packets with payload type {packet.payload_type}, which was not negotiated, were rejected",
                arrival,
                replayable=False,
                subject=str(packet.payload_type),
            )
            return False
        tracked = self._sources.get(packet.ssrc)
        if tracked is not None and standing is not Standing.LEARNABLE:
            verdict = tracked.sequence.update(packet.sequence_number)
            if verdict is not Verdict.OUT_OF_RANGE:
                if standing is Standing.ANNOUNCED:
                    self._lock(source, packet.ssrc, arrival)
                self._place(tracked, packet, verdict, arrival)
                return True
        # The announced address vouches for the first source of the line: no probation (MIN_SEQUENTIAL of 1).
        vouched = not self._ssrcs and source == self._latch.announced
        waiting = Waiting(HeldDatagram(Component.RTP, bytes(data), source, arrival), self._batch, index)
        return self._receive_probationary(packet, waiting, standing, vouched=vouched)

    def _receive_probationary(self, packet: RtpPacket, waiting: Waiting, standing: Standing, *, vouched: bool) -> bool:
        _, _, source, arrival = waiting.datagram
        known = packet.ssrc in self._sources
        outcome = self._probation.offer(
            waiting, ssrc=packet.ssrc, sequence_number=packet.sequence_number, known=known, vouched=vouched
        )
        if outcome is Outcome.HELD:
            return False
        held = self._probation.take(source, packet.ssrc) if outcome is Outcome.PASSED else []
        if vouched:
            # What else was held of the address before a re-offer announced it would stand in front in the journal, and
            # be the first source there.
            self._probation.keep_only(())
        if outcome is Outcome.REFUSED or not (known or self._make_room(arrival)):
            self._findings.add("ssrc-limit", None, arrival, replayable=False)
            return False
        if standing is not Standing.LOCKED:
            # A source that a re-offer vouches for was believable from the first datagram that is held of it.
            self._lock(source, packet.ssrc, held[0].datagram.arrival if vouched and held else arrival)
        for earlier in held:
            self._admit(RtpPacket.parse(earlier.datagram.data), earlier.datagram.arrival)
            self._deliver(earlier)
        self._admit(packet, arrival)
        return True

    def _admit(self, packet: RtpPacket, arrival: float) -> None:
        """Count and place a packet that passed its probation."""
        tracked = self._sources.get(packet.ssrc)
        if tracked is None:
            self._place(self._add_source(packet, arrival), packet, Verdict.IN_ORDER, arrival)
            return
        verdict = tracked.sequence.update(packet.sequence_number)
        if verdict is Verdict.OUT_OF_RANGE:
            tracked.restart(packet.sequence_number)
            self._findings.add("sequence-restarted", None, arrival, replayable=True)
            verdict = Verdict.IN_ORDER
        self._place(tracked, packet, verdict, arrival)

    def _place(self, tracked: TrackedSource, packet: RtpPacket, verdict: Verdict, arrival: float) -> None:
        tracked.place(packet, self._formats[packet.payload_type], verdict=verdict, arrival=arrival)
        self._payload_types.setdefault(packet.payload_type)
        if verdict is not Verdict.DUPLICATE and self._formats[packet.payload_type].is_event:
            self._read_event(tracked, packet, arrival)
        for csrc in packet.csrcs:
            if len(self._csrcs) < self._limits.ssrcs_reported:
                self._csrcs.setdefault(csrc)
        if self._inactive_after is None:
            self._current = tracked
        elif arrival > self._inactive_after:
            self._inactive_after = None
            self._findings.add("media-while-inactive", None, arrival, replayable=True)

    def _read_event(self, tracked: TrackedSource, packet: RtpPacket, arrival: float) -> None:
        for press in tracked.read_event(packet, self._formats[packet.payload_type], arrival=arrival):
            if self._presses < self._limits.key_presses:
                self._presses += 1
                self._outbox.put(KeyPressed(press=press, at=arrival))

    def _add_source(self, packet: RtpPacket, arrival: float) -> TrackedSource:
        if self._ssrcs and packet.ssrc not in self._ssrcs:
            self._findings.add("ssrc-changed", None, arrival, replayable=True)
        tracked = TrackedSource(
            packet.ssrc, packet.sequence_number, arrival=arrival, max_dropout=self._limits.sequence_jump
        )
        self._sources[packet.ssrc] = tracked
        if len(self._ssrcs) < self._limits.ssrcs_reported:
            self._ssrcs.setdefault(packet.ssrc)
        self._outbox.put(SsrcAdded(ssrc=packet.ssrc, at=arrival))
        goodbye = self._control.add_source(tracked)
        if goodbye is not None:
            self._outbox.put(goodbye)
        return tracked

    def _make_room(self, arrival: float) -> bool:
        """Retire the longest silent source if the table is full; False when all of them are active."""
        if len(self._sources) < self._limits.ssrcs_per_line:
            return True
        idle = min(self._sources.values(), key=lambda source: source.last_arrival)
        if arrival - idle.last_arrival < _IDLE_SECONDS:
            return False
        del self._sources[idle.ssrc]
        if self._current is idle:
            self._current = None
        self._retired.append(idle.statistics())
        if len(self._retired) > self._limits.ssrcs_reported:
            self._retired[-2:] = [merged(self._retired[-2], self._retired[-1])]
        return True

    def _lock(self, source: Address, ssrc: int, arrival: float) -> None:
        latch = self._latch
        previous = latch.locked
        if previous == source:
            return
        latch.lock(source)
        self._probation.keep_only((source, latch.announced))
        announced = source == latch.announced
        self._outbox.put(SourceLocked(source=source, ssrc=ssrc, announced=announced, previous=previous, at=arrival))
        if previous is not None:
            self._findings.add(
                "source-changed", f"RTP comes from {source}, before from {previous}", arrival, replayable=True
            )
        if not announced and latch.announced is not None:
            message = f"RTP comes from {source}, announced was {latch.announced}; the source was learnt"
            self._findings.add("source-learnt", message, arrival, replayable=True)
        self._release_rtcp()

    def _deliver(self, waiting: Waiting) -> None:
        """Accept a datagram after all: by its index if it is of this batch, else as a copy."""
        if waiting.batch == self._batch:
            self._refused.discard(waiting.position)
        else:
            self._held.append(waiting.datagram)

    # RTCP

    def _release_rtcp(self) -> None:
        """Accept the held RTCP of hosts that are admitted now; the rest waits on while a source is looked for."""
        for waiting in self._probation.take_rtcp():
            component, data, source, arrival = waiting.datagram
            if self._latch.admits_rtcp(source):
                self._accept_rtcp(parse_compound(data), source, arrival, component)
                self._deliver(waiting)
            elif self._latch.learning:
                self._probation.hold_rtcp(waiting)

    def _receive_rtcp(
        self, data: bytes | memoryview, source: Address, arrival: float, index: int, component: Component
    ) -> bool:
        admitted = self._latch.admits_rtcp(source)
        if not admitted and not self._latch.learning:
            self._findings.foreign(source, self._latch.locked, arrival)
            return False
        try:
            packets = parse_compound(data)
        except RemoteProtocolError as error:
            self._findings.add("rtcp-invalid", f"first: {error}", arrival, replayable=False)
            return False
        if not admitted:
            self._probation.hold_rtcp(
                Waiting(HeldDatagram(component, bytes(data), source, arrival), self._batch, index)
            )
            return False
        self._accept_rtcp(packets, source, arrival, component)
        return True

    def _accept_rtcp(
        self, packets: Sequence[RtcpPacket], source: Address, arrival: float, component: Component
    ) -> None:
        self._rtcp_received[component] += 1
        self._latch.heard(arrival)
        self._rtcp_source = source
        if component is Component.RTP and not self._spec.rtcp_mux:
            self._findings.add("rtcp-not-multiplexed", None, arrival, replayable=True)
        for told in self._control.receive(packets, self._sources, arrival):
            if isinstance(told, RemoteProtocolError):
                self._findings.add("rtcp-invalid", f"first: {told}", arrival, replayable=True)
            else:
                self._outbox.put(told)
