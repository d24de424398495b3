"""The account of one recording: the facts, fed by the live session and by the replay of a journal alike.

It decides nothing: the same facts in give the same report out, so what a server knew while it recorded and what is
found in its journal afterwards agree.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Protocol, TypeAlias

from siprec_core.clock import TimeBase, format_instant
from siprec_core.findings import Finding, FindingLog
from siprec_core.limits import Limits
from siprec_core.media.outputs import KeyPressed, MediaOutput
from siprec_core.media.receiver import Accepted, MediaReceiver
from siprec_core.media.spec import MediaSpec
from siprec_core.media.statistics import LineStatistics
from siprec_core.metadata.model import MetadataDocument, RequestSnapshot, Stream
from siprec_core.metadata.state import MetadataState
from siprec_core.quick import maker
from siprec_core.recording.binding import (
    Binding,
    bind_streams,
    groups_json,
    participants_json,
    sessions_json,
    spans_json,
)
from siprec_core.recording.control_report import ControlReport, SentReports
from siprec_core.recording.journal import JsonValue, NoteFields
from siprec_core.recording.report import Initiator, RecordingReport, StreamReport
from siprec_core.rtp.payload import PayloadFormat
from siprec_core.rtp.telephone_event import KeyPress
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import AcceptedFormat, AnswerPlan, LinePlan
from siprec_core.sip.info import InfoDigit
from siprec_core.sip.message import Request
from siprec_core.sip.reasons import reasons_of
from siprec_core.types import Address, Component, DatagramBatch, MediaId, SessionId, Transport

_RANKS = {
    "invited": 0,
    "stream-added": 1,
    "metadata": 2,
    "participant-joined": 2,
    "participant-left": 2,
    "participant-transferred": 2,
    "participant-held": 2,
    "participant-resumed": 2,
    "answered": 3,
    "ended": 9,
}
"""Order of entries of the timeline that have one instant."""
_OTHER_RANK = 5
_make_report, _make_stream = maker(RecordingReport), maker(StreamReport)


class LineReceiver(Protocol):
    """Who knows what came on a line: a `MediaReceiver`, or what stands for one that is elsewhere."""

    @property
    def spec(self) -> MediaSpec:
        """What signalling said last."""

    @property
    def last_arrival(self) -> float | None:
        """Arrival of the last packet."""

    @property
    def report_address(self) -> Address | None:
        """Where reports on the line go."""

    def update(self, spec: MediaSpec, *, now: float) -> None:
        """Take what a re-offer changed."""

    def receive(self, batch: DatagramBatch, *, component: Component, now: float) -> Accepted:
        """Take datagrams."""

    def poll_output(self) -> MediaOutput | None:
        """Give the oldest output not yet taken."""

    def statistics(self) -> LineStatistics:
        """Give the counters."""


OpenReceiver: TypeAlias = Callable[[MediaSpec, float, str], LineReceiver]
"""Makes the receiver of a new line from its specification, the instant, and the name for findings."""


class LineAccount:
    """One media line that was accepted at some time."""

    __slots__ = (
        "active",
        "formats",
        "held_ns",
        "index",
        "local_port",
        "plan",
        "presses",
        "receiver",
        "rejected",
        "reports",
    )

    def __init__(self, plan: LinePlan, receiver: LineReceiver) -> None:
        self.index = plan.index
        """Place of the `m=` line, from 0."""
        self.plan = plan
        """As the latest offer and answer left it."""
        self.receiver = receiver
        self.local_port = 0
        self.active = True
        """False once a later offer removed the line."""
        self.held_ns: int | None = None
        """When the line was last put on hold, nanoseconds since 1970."""
        self.rejected: int | None = None
        """Packets rejected, as a journal tells; None: as counted by `receiver`."""
        self.reports: SentReports | None = None
        """Our reports on the line, once it is over."""
        self.formats: dict[int, AcceptedFormat] = {}
        """Formats by payload type, those of earlier answers included."""
        self.presses: list[tuple[KeyPress, dict[str, object]]] = []
        """Keys pressed (RFC 4733), each with its entry of the timeline."""

    @property
    def label(self) -> str:
        """The label, or the index as text."""
        return _label(self.plan)

    def codec(self, payload_types: Iterable[int]) -> str | None:
        """Name the audio format that came first, else the one agreed on first; None when there is none."""
        came = [self.formats[each] for each in payload_types if each in self.formats]
        audio = [
            each for each in (*came, *self.plan.formats) if not each.is_telephone_event and not each.is_comfort_noise
        ]
        return audio[0].name if audio else None


class RecordingAccount:
    """The facts of one recording. Instants are monotonic seconds of the clock that `time_base` ties to UTC."""

    __slots__ = (
        "_authenticated_user",
        "_call_id",
        "_ended_ns",
        "_initiator",
        "_limits",
        "_open_receiver",
        "_peer",
        "_peer_names",
        "_time_base",
        "_timeline",
        "_transport",
        "answered_ns",
        "datamode",
        "dialect",
        "end_reason",
        "findings",
        "lines",
        "local_tag",
        "metadata",
        "metadata_documents",
        "remote_tag",
        "session",
        "started_ns",
        "timeline_dropped",
        "user_agent",
    )

    def __init__(
        self,
        session: SessionId,
        *,
        limits: Limits,
        time_base: TimeBase,
        started: float,
        open_receiver: OpenReceiver | None = None,
    ) -> None:
        """`open_receiver` makes the receivers of lines where it is not this account that is given the datagrams."""
        self.session = session
        self._limits = limits
        self._open_receiver = open_receiver or self._receive_here
        self._time_base = time_base
        self.started_ns = time_base.unix_ns_at(started)
        self.answered_ns: int | None = None
        self._ended_ns: int | None = None
        self.end_reason: str | None = None
        """Why the recording ended, None as long as it runs."""
        self._initiator: Initiator = "client"
        self._call_id = ""
        self.local_tag = self.remote_tag = ""
        """The tags of the dialog (RFC 3261 section 12)."""
        self._transport = Transport.UDP
        self._peer: Address | None = None
        self.user_agent: str | None = None
        """What the client calls itself."""
        self._authenticated_user: str | None = None
        self._peer_names: tuple[str, ...] = ()
        self.lines: dict[int, LineAccount] = {}
        """Lines by index that were accepted at some time."""
        self.metadata = MetadataState(limits=limits)
        """The merged metadata (RFC 7866 section 9)."""
        self.metadata_documents = 0
        """Bodies of metadata received."""
        self.datamode: str | None = None
        """`complete` or `partial`: the latest metadata; None before any."""
        self.dialect = ""
        """That of the latest metadata."""
        self.findings = FindingLog(limits.findings)
        self._timeline: list[tuple[int, int, dict[str, object]]] = []
        self.timeline_dropped = 0
        """Entries of the timeline over the bound."""

    def invited(
        self,
        *,
        call_id: str,
        local_tag: str,
        remote_tag: str,
        transport: Transport,
        peer: Address,
        user_agent: str | None,
        authenticated_user: str | None = None,
        initiator: Initiator = "client",
        peer_names: tuple[str, ...] = (),
        now: float,
    ) -> None:
        """Take the INVITE that began the recording; `peer`, `remote_tag` and `user_agent` are the client's."""
        self._initiator = initiator
        self._call_id, self.local_tag, self.remote_tag = call_id, local_tag, remote_tag
        self._transport, self._peer, self.user_agent = transport, peer, user_agent
        self._authenticated_user, self._peer_names = authenticated_user, peer_names
        self._add_entry("invited", {}, now=now)

    def offer_answered(
        self, offer: SessionDescription, plan: AnswerPlan, answer: SessionDescription, *, now: float
    ) -> None:
        """Take an offer with the answer that was sent to it: the first one and each later one."""
        for line_plan in plan.lines:
            line = self.lines.get(line_plan.index)
            if line_plan.accepted:
                if line is None:
                    line = self._add_line(line_plan, now=now)
                    self._add_entry("stream-added", _line_fields(line_plan), now=now, line=line)
                elif _differs(line, line_plan):
                    self._change_line(line, line_plan, now=now)
                line.formats.update({entry.payload_type: entry for entry in line_plan.formats})
                line.local_port = answer.media[line_plan.index].port
            elif line is not None and line.active:
                line.active = False
                self._add_entry("stream-removed", {}, now=now, line=line)

    def answered(self, *, now: float) -> None:
        """Take the 2xx to the INVITE that began the recording: call it when that is sent."""
        if self.answered_ns is None:
            self.answered_ns = self._time_base.unix_ns_at(now)
            self._add_entry("answered", {}, now=now)

    def metadata_received(
        self, document: MetadataDocument | RequestSnapshot | None, raw: bytes | memoryview, *, now: float
    ) -> None:
        """Take a metadata body (None as document when it cannot be read): call it when its request is answered 2xx."""
        self.metadata_documents += 1
        fields: dict[str, object] = {
            "file": metadata_file_name(self.metadata_documents),
            "sha256": sha256(raw).hexdigest(),
        }
        document = document if isinstance(document, MetadataDocument) else None
        if document is not None:
            self.dialect = document.dialect.value
            self.datamode = fields["datamode"] = "complete" if document.is_complete else "partial"
        self._add_entry("metadata", fields, now=now)
        if document is None:
            return
        changes = self.metadata.apply(document, self._time_base.unix_ns_at(now))
        self.found(*changes.findings)
        for kind, stays in (("participant-joined", changes.joined), ("participant-left", changes.left)):
            for participant, communication_session in stays:
                ids = {"participant_id": participant, "session_id": communication_session}
                self._add_entry(kind, ids, now=now)
        for leaver, comer, communication_session in changes.transferred:
            transfer = {"from_id": leaver, "to_id": comer, "session_id": communication_session}
            self._add_entry("participant-transferred", transfer, now=now)
        for kind, people in (("participant-held", changes.held), ("participant-resumed", changes.resumed)):
            for participant in people:
                self._add_entry(kind, {"participant_id": participant}, now=now)

    def found(self, *findings: Finding) -> None:
        """Take findings."""
        self.findings.add(*findings)

    def noted(self, kind: str, fields: NoteFields, *, now: float, line: int | None = None) -> None:
        """Take an entry of the timeline; `JournalWriter.note` takes the same arguments."""
        self._add_entry(kind, fields, now=now, line=None if line is None else self.lines.get(line))

    def digit_received(self, digit: InfoDigit, *, now: float) -> None:
        """Take a DTMF digit that an INFO told."""
        fields: dict[str, JsonValue] = {"digit": digit.digit, "source": "info"}
        if digit.duration is not None:
            fields["duration"] = digit.duration
        self.noted("dtmf", fields, now=now)

    def bye_received(self, bye: Request, *, now: float) -> None:
        """Take the BYE of the client: its reasons belong into the timeline (RFC 3326)."""
        reasons: list[JsonValue] = [str(reason) for reason in reasons_of(bye.headers)]
        if reasons:
            self.noted("bye", {"reasons": reasons}, now=now)

    def receive_media(self, line: int, batch: DatagramBatch, *, component: Component, now: float) -> Accepted:
        """Take datagrams of a line and give those to be journalled; KeyError for a line that was never accepted."""
        return self.lines[line].receiver.receive(batch, component=component, now=now)

    def poll_media(self, line: int) -> MediaOutput | None:
        """Give what the receiver of a line has to tell, None when there is nothing more. Keys pressed are noted."""
        known = self.lines[line]
        output = known.receiver.poll_output()
        if isinstance(output, KeyPressed):
            press = output.press
            fields: dict[str, object] = {"digit": press.digit, "source": "rtp"}
            entry = self._add_entry("dtmf", fields, now=press.at, line=known)
            known.presses.append((press, entry))
        return output

    def count_rejected(self, line: int, count: int) -> None:
        """Take the number of rejected packets of a line from its journal, which holds none of them."""
        known = self.lines.get(line)
        if known is not None:
            known.rejected = count

    def reports_sent(self, line: int, reports: SentReports) -> None:
        """Take what we reported on a line, at its end."""
        known = self.lines.get(line)
        if known is not None:
            known.reports = reports

    def senders(self, line: int) -> tuple[str, ...]:
        """Give the ids of the participants who send the stream of a line, as far as the metadata say."""
        wanted = [(index, self.lines[index].plan.label) for index in sorted(self.lines)]
        stream = bind_streams(wanted, self.metadata).streams.get(line)
        if stream is None:
            return ()
        return tuple(
            record.participant.participant_id
            for record in self.metadata.participants
            if stream.stream_id in record.sends and record.left_ns is None
        )

    def unix_ns_at(self, now: float) -> int:
        """Give an instant of our clock as nanoseconds since 1970-01-01T00:00:00Z."""
        return self._time_base.unix_ns_at(now)

    def ended(self, reason: str, *, now: float) -> None:
        """Take the end: an `end_reason` of `recording.json`. The first one counts."""
        if self.end_reason is None:
            self.end_reason = reason
            self._ended_ns = self._time_base.unix_ns_at(now)
            self._add_entry("ended", {"reason": reason}, now=now)

    def report(self, status: str) -> RecordingReport:
        """Give the report as things stand, with `status` of `recording.json`."""
        lines = [self.lines[index] for index in sorted(self.lines)]
        for line in lines:
            for press, entry in line.presses:
                entry["duration"] = round(press.duration, 6)
        wanted = [(line.index, line.plan.label) for line in lines]
        binding = bind_streams(wanted, self.metadata)
        entries = sorted(self._timeline, key=lambda entry: entry[:2])
        return _make_report(
            id=self.session,
            status=status,
            end_reason=self.end_reason,
            initiator=self._initiator,
            call_id=self._call_id,
            local_tag=self.local_tag,
            remote_tag=self.remote_tag,
            transport=self._transport,
            peer=self._peer,
            user_agent=self.user_agent,
            authenticated_user=self._authenticated_user,
            peer_names=self._peer_names,
            started_ns=self.started_ns,
            answered_ns=self.answered_ns,
            ended_ns=self._ended_ns,
            datamode=self.datamode,
            dialect=self.dialect,
            groups=groups_json(self.metadata),
            sessions=sessions_json(self.metadata),
            participants=participants_json(self.metadata),
            contributions=spans_json(self.metadata),
            streams=self._streams(lines, binding),
            timeline=tuple(entry for _, _, entry in entries),
            findings=(*self.findings.findings, *binding.findings),
        )

    def streams(self) -> tuple[StreamReport, ...]:
        """Give the lines that were accepted at some time, as things stand."""
        lines = [self.lines[index] for index in sorted(self.lines)]
        return self._streams(lines, bind_streams([(line.index, line.plan.label) for line in lines], self.metadata))

    def _streams(self, lines: Iterable[LineAccount], binding: Binding) -> tuple[StreamReport, ...]:
        return tuple(self._stream(line, binding.streams.get(line.index)) for line in lines)

    def _stream(self, line: LineAccount, stream: Stream | None) -> StreamReport:
        statistics = line.receiver.statistics()
        first_ns = self._instant(statistics.first_arrival)
        last_ns = self._instant(statistics.last_arrival)
        return _make_stream(
            index=line.index,
            label=line.label,
            stream_id=None if stream is None else stream.stream_id,
            session_id=None if stream is None else stream.session_id,
            media=line.plan.media,
            codec=line.codec(statistics.payload_types),
            direction=line.plan.direction if line.active else "inactive",
            local_port=line.local_port,
            remote=statistics.source or line.plan.remote_rtp,
            ssrcs=statistics.ssrcs,
            packets_received=statistics.packets_received,
            packets_lost=statistics.packets_lost,
            packets_duplicate=statistics.packets_duplicate,
            packets_reordered=statistics.packets_reordered,
            packets_rejected=statistics.packets_rejected if line.rejected is None else line.rejected,
            source_changes=statistics.source_changes,
            jitter=statistics.jitter,
            first_packet_ns=first_ns,
            last_packet_ns=last_ns,
            duration=0.0 if first_ns is None or last_ns is None else max(last_ns - first_ns, 0) / 1_000_000_000,
            dtmf=tuple(self._digit(press) for press, _ in line.presses),
            rtcp=ControlReport.of(statistics, line.reports, self._time_base),
        )

    def _digit(self, press: KeyPress) -> dict[str, object]:
        at = format_instant(self._time_base.unix_ns_at(press.at))
        return {"digit": press.digit, "at": at, "duration": round(press.duration, 6)}

    def _instant(self, now: float | None) -> int | None:
        return None if now is None else self._time_base.unix_ns_at(now)

    def _add_line(self, plan: LinePlan, *, now: float) -> LineAccount:
        receiver = self._open_receiver(_spec(plan), now, f"stream {_label(plan)}")
        line = self.lines[plan.index] = LineAccount(plan, receiver)
        return line

    def _receive_here(self, spec: MediaSpec, now: float, where: str) -> MediaReceiver:
        return MediaReceiver(spec, limits=self._limits, now=now, where=where)

    def _change_line(self, line: LineAccount, plan: LinePlan, *, now: float) -> None:
        was = line.plan.direction if line.active else "inactive"
        line.plan, line.active = plan, True
        line.receiver.update(_spec(plan), now=now)
        if plan.direction == "inactive" and was != "inactive":
            line.held_ns = self._time_base.unix_ns_at(now)
            kind = "stream-held"
        else:
            kind = "stream-changed" if was == plan.direction else "stream-resumed"
        self._add_entry(kind, _line_fields(plan), now=now, line=line)

    def _add_entry(
        self, kind: str, fields: Mapping[str, object], *, now: float, line: LineAccount | None = None
    ) -> dict[str, object]:
        at_ns = self._time_base.unix_ns_at(now)
        entry: dict[str, object] = {"at": format_instant(at_ns), "event": kind}
        if line is not None:
            entry["label"] = line.label
        entry.update({name: value for name, value in fields.items() if name not in entry})
        if len(self._timeline) < self._limits.timeline_entries:
            self._timeline.append((at_ns, _RANKS.get(kind, _OTHER_RANK), entry))
        else:
            self.timeline_dropped += 1
        return entry


def metadata_file_name(number: int) -> str:
    """Give the name of the file that keeps the metadata body of a number from 1, within the folder of its recording."""
    return f"metadata/{number:04}.xml"


def _label(plan: LinePlan) -> str:
    return str(plan.index) if plan.label is None else plan.label


def _differs(line: LineAccount, plan: LinePlan) -> bool:
    # Keys are not told of: a journal has none of them.
    return not line.active or replace(line.plan, crypto=None) != replace(plan, crypto=None)


def _spec(plan: LinePlan) -> MediaSpec:
    formats = tuple(
        PayloadFormat(each.payload_type, each.encoding.upper(), each.clock_rate, each.channels, each.fmtp or "")
        for each in plan.formats
    )
    return MediaSpec(
        media=MediaId(plan.index),
        formats=formats,
        remote_rtp=plan.remote_rtp,
        remote_rtcp=plan.remote_rtcp,
        direction=plan.direction,
        rtcp_mux=plan.rtcp_mux,
        ptime=plan.ptime,
    )


def _line_fields(plan: LinePlan) -> dict[str, object]:
    return {"direction": plan.direction, "codecs": [each.name for each in plan.formats]}
