"""Reads a recording session back out of a capture file: our journal, or any pcap or pcapng of a SIPREC call.

A replay feeds a `RecordingAccount` as the live session did. From our journal it takes the lines from the interfaces,
and what no packet shows from the notes. Another capture has neither: there the first recording call that was answered
counts, and its media is what goes to the ports of the answer.
"""

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from siprec_core.clock import TimeBase, format_instant
from siprec_core.containers.capture import CaptureProblem, Datagram, Interface, Statistics
from siprec_core.containers.datagrams import DatagramReader
from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.media.outputs import SenderReported, SourceFinding
from siprec_core.recording.account import RecordingAccount
from siprec_core.recording.journal import (
    LINE_INTERFACE,
    NOTE_KEY,
    JsonValue,
    NoteFields,
    read_finding,
    read_note,
    read_reports,
)
from siprec_core.recording.media_ports import media_ports
from siprec_core.recording.outbound import agent_of
from siprec_core.recording.request import RecordingBody
from siprec_core.recording.signalling import (
    Answered,
    Asked,
    CallFinder,
    SeenMessage,
    SignallingReader,
    offer_findings,
    plan_of,
)
from siprec_core.rtp.demux import DatagramKind, classify
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.negotiation import Answered as Negotiated
from siprec_core.sip.info import read_digit, refuse_info
from siprec_core.sip.message import Request
from siprec_core.types import Address, Component, DatagramBatch, SessionId, Transport

_BATCH = 256
"""Datagrams of one line gathered before they are accounted for."""
_BATCH_NS = 500_000_000
"""Longest time that one batch spans."""
_STEP_NS = 2_000_000_000
"""How far the clock of a capture may fall back before that is taken for a step of the clock."""
_PROBLEMS = 100
_LAST_NS = 250_000_000_000 * 1_000_000_000
"""Latest instant believed, in the year 9892: damaged captures tell times that no calendar has."""
_LONGEST_UPTIME = 1e12
"""Seconds on a monotonic clock that are believed."""


@dataclass(slots=True)
class LineMedia:
    """Datagrams of one RTP port that belong to the recording, in order of the capture."""

    line: int
    datagrams: list[tuple[bytes, int]]
    """Payload and arrival, nanoseconds since 1970-01-01T00:00:00Z."""


@dataclass(slots=True)
class LineReport:
    """A sender report of a line's peer."""

    line: int
    ssrc: int
    ntp_timestamp: int
    rtp_timestamp: int
    at_ns: int
    """Its arrival."""


@dataclass(slots=True)
class MetadataBody:
    """A metadata body as received."""

    number: int
    """From 1."""
    raw: bytes


ReplayItem: TypeAlias = LineMedia | LineReport | MetadataBody


class _Batch:
    """Datagrams of one line and component that wait to be accounted for."""

    __slots__ = ("arrivals_ns", "component", "datagrams", "line", "sources")

    def __init__(self, line: int, component: Component) -> None:
        self.line = line
        self.component = component
        self.datagrams: list[bytes] = []
        self.sources: list[Address] = []
        self.arrivals_ns: list[int] = []


class Replay:
    """Turns the octets of a capture into the account of one recording and its media.

    Feed octets with `receive`, then `poll` until it gives None; after the last octet call `end_of_file` and poll again.
    Never raises for what the file holds.
    """

    __slots__ = (
        "_batches",
        "_complete",
        "_ended",
        "_finder",
        "_finished",
        "_invitation",
        "_is_over",
        "_items",
        "_journal_lines",
        "_last_ns",
        "_limits",
        "_line_ports",
        "_local_ports",
        "_negotiated",
        "_newest_ns",
        "_reader",
        "_shift_ns",
        "_signalling",
        "_start",
        "_time_base",
        "account",
        "findings",
        "is_journal",
        "problems_dropped",
    )

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._reader = DatagramReader(limits=limits)
        self._signalling = SignallingReader(limits=limits)
        self._items: deque[ReplayItem] = deque()
        self.account: RecordingAccount | None = None
        """The account, None before a recording was found."""
        self.is_journal = False
        """The capture is a journal of ours."""
        self.findings: list[Finding] = []
        """What is wrong with the capture itself."""
        self.problems_dropped = 0
        self._start: NoteFields = {}
        self._time_base = TimeBase(monotonic=0.0, unix_ns=0)
        self._finder = CallFinder(limits=limits)
        self._invitation: RecordingBody | None = None
        self._negotiated: Negotiated | None = None
        self._journal_lines: dict[int, int] = {}
        """Our journal: line by interface."""
        self._local_ports: dict[int, tuple[Address | None, Address | None]] = {}
        """Our journal: RTP and RTCP address by line."""
        self._line_ports: dict[Address, tuple[int, Component | None]] = {}
        """Another capture: line and component by destination; None where both share it."""
        self._batches: dict[tuple[int, Component], _Batch] = {}
        self._newest_ns = 0
        self._shift_ns = 0
        self._last_ns = 0
        self._ended = False
        self._finished = False
        self._is_over = False
        self._complete = False
        """The end is in the capture."""

    # input

    def receive(self, data: bytes | memoryview) -> None:
        """Take the next octets of the file, any number of them."""
        self._reader.receive(data)

    def end_of_file(self) -> None:
        """Tell that no octet follows."""
        self._reader.end_of_file()
        self._ended = True

    def poll(self) -> ReplayItem | None:
        """Give the next item, None when more octets are needed (or the file is at its end)."""
        while not self._items:
            item = self._reader.poll()
            if item is None:
                if not self._ended:
                    return None
                self._finish()
                break
            if self._is_over:
                continue
            if isinstance(item, Datagram):
                self._receive_datagram(item)
            elif isinstance(item, Statistics):
                self._receive_statistics(item)
            elif isinstance(item, Interface):
                self._receive_interface(item)
            elif isinstance(item, CaptureProblem):
                self._report(item.finding)
            elif self.is_journal:
                # Our journals have one section: another one was put behind, and its lines have the same names.
                self._is_over = True
                self._report(finding("capture-limit", "capture", "another journal begins: render it by itself"))
        return self._items.popleft() if self._items else None

    @property
    def status(self) -> str:
        """The `status` of `recording.json` that follows from the capture, once it was read to its end."""
        if self.account is None or not (self.is_journal or self.account.lines):
            return "failed"
        lost = self.account.end_reason == "worker-lost"
        return "completed" if self._complete and not lost else "recovered"

    # items of the capture

    def _receive_interface(self, interface: Interface) -> None:
        name = interface.name
        if name.startswith(LINE_INTERFACE) and name[len(LINE_INTERFACE) :].isdecimal():
            line = int(name[len(LINE_INTERFACE) :][:6])
            self._journal_lines[interface.index] = line

    def _receive_statistics(self, statistics: Statistics) -> None:
        statistics.at_ns = min(statistics.at_ns, _LAST_NS)
        for comment in statistics.comments:
            note = read_note(comment)
            if note is not None:
                self._flush()
                self._receive_note(note, statistics)

    def _receive_datagram(self, datagram: Datagram) -> None:
        at_ns = datagram.at_ns = self._continuous(datagram.at_ns)
        self._last_ns = at_ns
        if self.is_journal:
            line = self._journal_lines.get(datagram.interface)
            if line is not None:
                self._add(line, self._journal_component(line, datagram), datagram)
                return
        elif datagram.transport == "udp" and self._line_ports:
            found = self._line_ports.get(datagram.destination)
            if found is not None:
                self._add(found[0], found[1] or _component_of(datagram.payload), datagram)
                return
        for seen in self._signalling.receive(datagram):
            self._flush()
            self._receive_message(seen)

    def _continuous(self, at_ns: int) -> int:
        """Take steps back of the capture's clock out: what follows one goes on where it stood before.

        A leap ahead over more than a recording lasts is one packet's wrong time: those behind it must not follow.
        """
        at_ns = min(at_ns + self._shift_ns, _LAST_NS)
        if self.is_journal:
            pass
        elif self._newest_ns and at_ns - self._newest_ns > self._limits.recording_seconds * 1_000_000_000:
            self._report(finding("capture-time", "capture", f"{format_instant(at_ns)} is too late for this call"))
            at_ns = self._newest_ns
        elif at_ns < self._newest_ns - _STEP_NS:
            self._shift_ns += self._newest_ns - at_ns
            self._report(finding("capture-clock-stepped", "capture"))
            at_ns = self._newest_ns
        self._newest_ns = max(self._newest_ns, at_ns)
        return at_ns

    def _journal_component(self, line: int, datagram: Datagram) -> Component:
        rtp, rtcp = self._local_ports.get(line, (None, None))
        if rtcp is not None and rtcp != rtp:
            return Component.RTCP if datagram.destination == rtcp else Component.RTP
        return Component.RTP

    def _report(self, found: Finding) -> None:
        if len(self.findings) < _PROBLEMS:
            self.findings.append(found)
        else:
            self.problems_dropped += 1

    # media

    def _add(self, line: int, component: Component, datagram: Datagram) -> None:
        if self.account is None or line not in self.account.lines:
            return
        key = (line, component)
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches[key] = _Batch(line, component)
        elif len(batch.datagrams) >= _BATCH or datagram.at_ns - batch.arrivals_ns[0] > _BATCH_NS:
            self._flush()
            batch = self._batches[key] = _Batch(line, component)
        batch.datagrams.append(datagram.payload)
        batch.sources.append(datagram.source)
        batch.arrivals_ns.append(datagram.at_ns)

    def _flush(self) -> None:
        batches = list(self._batches.values())
        self._batches.clear()
        for batch in batches:
            self._account_for(batch)

    def _account_for(self, batch: _Batch) -> None:
        if self.account is None:
            return
        base, offset = self._time_base.unix_ns, self._time_base.monotonic
        arrivals = [offset + (at_ns - base) / 1_000_000_000 for at_ns in batch.arrivals_ns]
        accepted = self.account.receive_media(
            batch.line,
            DatagramBatch(batch.datagrams, batch.sources, arrivals),
            component=batch.component,
            now=arrivals[-1],
        )
        reports = []
        while (output := self.account.poll_media(batch.line)) is not None:
            if isinstance(output, SourceFinding) and (output.replayable or not self.is_journal):
                self.account.found(output.finding)
            elif isinstance(output, SenderReported):
                reports.append(self._report_of(batch.line, output))
        chosen: list[tuple[bytes, int]]
        if self.is_journal:
            # What a journal holds was accepted when it came; the receiver counts it again but has no say.
            chosen = list(zip(batch.datagrams, batch.arrivals_ns, strict=True))
        else:
            chosen = [
                (held.data, self._time_base.unix_ns_at(held.arrival))
                for held in accepted.held
                if held.component is Component.RTP
            ]
            chosen += [(batch.datagrams[index], batch.arrivals_ns[index]) for index in accepted.indexes]
        if batch.component is Component.RTP and chosen:
            self._items.append(LineMedia(batch.line, chosen))
        self._items.extend(reports)

    def _report_of(self, line: int, reported: SenderReported) -> LineReport:
        at_ns = self._time_base.unix_ns_at(reported.at)
        return LineReport(line, reported.ssrc, reported.ntp_timestamp, reported.rtp_timestamp, at_ns)

    # notes of our journal

    def _receive_note(self, note: dict[str, JsonValue], statistics: Statistics) -> None:
        kind = note.pop(NOTE_KEY)
        line = note.pop("line", None)
        index = line if isinstance(line, int) else None
        if kind == "start" and self.account is None:
            self._begin_journal(note, statistics.at_ns)
            return
        if self.account is None or not self.is_journal:
            return
        self._last_ns = max(self._last_ns, statistics.at_ns)
        now = self._time_base.monotonic_at(statistics.at_ns)
        if kind == "line" and index is not None:
            self._local_ports[index] = (_address(note.get("rtp")), _address(note.get("rtcp")))
        elif kind == "line-end":
            if index is not None and statistics.dropped is not None:
                self.account.count_rejected(index, statistics.dropped)
            reports = read_reports(note)
            if index is not None and reports is not None:
                self.account.reports_sent(index, reports)
        elif kind == "finding":
            found = read_finding(note)
            if found is not None:
                self.account.found(found)
        elif kind == "end":
            self._complete = True
            ended_ns = _instant(note.get("ended_ns"), statistics.at_ns)
            self.account.ended(str(note.get("reason", "")), now=self._time_base.monotonic_at(ended_ns))
        else:
            self.account.noted(str(kind), note, now=now, line=index)

    def _begin_journal(self, note: dict[str, JsonValue], at_ns: int) -> None:
        self.is_journal = self._finder.at_once = True
        self._finder.server_started = note.get("initiator") == "server"
        started_ns = _instant(note.get("started_ns"), at_ns)
        self._time_base = _time_base(note.get("time_base"), started_ns)
        self._start = note
        self._last_ns = at_ns
        self._open_account(str(note.get("session", "")), started_ns)

    def _open_account(self, session: str, started_ns: int) -> RecordingAccount:
        account = self.account = RecordingAccount(
            SessionId(session),
            limits=self._limits,
            time_base=self._time_base,
            started=self._time_base.monotonic_at(started_ns),
        )
        return account

    # signalling

    def _receive_message(self, seen: SeenMessage) -> None:
        for event in self._finder.receive(seen):
            self._open_account_of_call()
            if isinstance(event, Asked):
                self._asked(event)
            else:
                self._answered(seen, event)

    def _open_account_of_call(self) -> None:
        """Begin the account of another capture's recording, once its call was chosen."""
        call = self._finder.call
        if self.account is None and call is not None:
            started_ns = call.seen.at_ns
            self._time_base = TimeBase(monotonic=0.0, unix_ns=started_ns)
            self._open_account(call.recording_id, started_ns)

    def _asked(self, asked: Asked) -> None:
        account = self.account
        if account is None:
            return
        now = self._time_base.monotonic_at(asked.at_ns)
        if asked.from_client:
            if not asked.first or self._invitation is None:
                account.found(*asked.read.findings)
            if asked.first:
                self._invitation = asked.read
            elif asked.request.method == "BYE":
                self._take_metadata(asked.read, now)
                account.bye_received(asked.request, now=now)
        if asked.request.method == "INFO" and asked.from_client and not _info_refused(asked.request):
            digit = read_digit(asked.request)
            if digit is not None:
                account.digit_received(digit, now=now)
        if asked.request.method == "BYE" and not self.is_journal:
            self._complete = True
            account.ended("bye" if asked.from_client else "server-bye", now=now)

    def _answered(self, seen: SeenMessage, answered: Answered) -> None:
        account = self.account
        if account is None:
            return
        now = self._time_base.monotonic_at(answered.at_ns)
        if answered.offer is not None and answered.answer is not None:
            self._negotiate(answered.offer, answered.answer, now)
            if not self.is_journal:
                server = seen.source if answered.by_server else seen.destination
                self._line_ports.update(media_ports(answered.answer, server))
        if answered.brought is not None:
            account.found(*answered.brought.findings)
            self._invitation = answered.brought
        read = answered.read
        if read is not None and not answered.first and read.request.method != "BYE":
            # RFC 3261 14.1: what was refused has changed nothing.
            self._take_metadata(read, now)
        if answered.first and account.answered_ns is None:
            account.answered(now=now)
            if self._invitation is not None:
                self._take_metadata(self._invitation, now)

    def _negotiate(self, offer: SessionDescription, answer: SessionDescription, now: float) -> None:
        plan = plan_of(offer, answer)
        if self.account is not None:
            # What another capture shows was sent for all to read.
            protected = _transport(self._start.get("transport")) is Transport.TLS
            self.account.found(*offer_findings(offer, plan, self._negotiated, keys_protected=protected))
            self.account.offer_answered(offer, plan, answer, now=now)
        self._negotiated = Negotiated(offer=offer, plan=plan, answer=answer)

    def _take_metadata(self, read: RecordingBody, now: float) -> None:
        if read.metadata_raw and self.account is not None:
            self.account.metadata_received(read.metadata, read.metadata_raw, now=now)
            self._items.append(MetadataBody(self.account.metadata_documents, bytes(read.metadata_raw)))

    # the end

    def _finish(self) -> None:
        self._flush()
        if self._finished:
            return
        self._finished = True
        for asked in self._finder.settle():
            self._open_account_of_call()
            self._asked(asked)
        account = self.account
        if account is None or (account.answered_ns is None and not self.is_journal):
            self._report(finding("capture-no-recording", "capture"))
        if account is None:
            return
        self._invite(account)
        if account.end_reason is None:
            now = self._time_base.monotonic_at(max(self._last_ns, self._newest_ns))
            account.ended("crash" if self.is_journal else "capture-end", now=now)

    def _invite(self, account: RecordingAccount) -> None:
        call = self._finder.call
        start = self._start
        by_server = call is not None and call.server_started
        peer = _address(start.get("peer"))
        if peer is None and call is not None:
            peer = call.seen.destination if by_server else call.seen.source
        if peer is None:
            return
        message = None if call is None else call.answer if by_server else call.invite
        seen_transport = Transport.UDP if call is None else Transport(call.seen.transport)
        account.invited(
            call_id="" if call is None else call.call_id,
            local_tag="" if call is None else call.local_tag,
            remote_tag="" if call is None else call.client_tag,
            transport=_transport(start.get("transport")) or seen_transport,
            peer=peer,
            user_agent=None if message is None else agent_of(message),
            authenticated_user=user if isinstance(user := start.get("authenticated_user"), str) else None,
            initiator="server" if by_server else "client",
            peer_names=_texts(start.get("peer_names")),
            now=self._time_base.monotonic_at(account.started_ns),
        )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _component_of(payload: bytes) -> Component:
    return Component.RTCP if classify(payload) is DatagramKind.RTCP else Component.RTP


def _address(value: object) -> Address | None:
    match value:
        case [str(host), int(port)]:
            return Address(host, port)
        case _:
            return None


def _instant(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and 0 <= value <= _LAST_NS else otherwise


def _transport(value: object) -> Transport | None:
    return Transport(value) if value in ("udp", "tcp", "tls") else None


def _time_base(value: object, started_ns: int) -> TimeBase:
    match value:
        case {"monotonic": int() | float() as monotonic, "unix_ns": int(unix_ns)} if (
            0 <= monotonic <= _LONGEST_UPTIME and 0 <= unix_ns <= _LAST_NS
        ):
            return TimeBase(monotonic=float(monotonic), unix_ns=unix_ns)
        case _:
            return TimeBase(monotonic=0.0, unix_ns=started_ns)


def _info_refused(request: Request) -> bool:
    try:
        return refuse_info(request) is not None
    except RemoteProtocolError:
        return True
