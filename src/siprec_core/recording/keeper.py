"""Keeps the journal of one session: gathers its bytes and hands them to the sink in few writes."""

from collections.abc import Iterable, Mapping

from siprec_core.findings import Finding
from siprec_core.machine import Puts
from siprec_core.recording.commands import CloseSink, SinkCommand, WriteSink
from siprec_core.recording.control_report import SentReports
from siprec_core.recording.journal import JournalWriter, NoteFields
from siprec_core.recording.report import Initiator
from siprec_core.types import Address, Component, Flow, SinkId

FLUSH_SECONDS = 0.2
"""How long journal bytes are gathered before they go to the sink."""
_FLUSH_SIZE = 256 * 1024
"""Octets gathered that go to the sink at once."""
_EARLY_MESSAGES = 64
"""Messages, and findings, kept before the journal is opened: an INVITE comes again only few times."""


class JournalKeeper:
    """The journal of one session, from before it is opened to its end."""

    __slots__ = (
        "_early",
        "_early_findings",
        "_gathered",
        "_gathered_size",
        "_outbox",
        "_prompt",
        "_writer",
        "flush_at",
        "sink",
    )

    def __init__(self, writer: JournalWriter, outbox: Puts[SinkCommand], *, prompt: bool = False) -> None:
        """Writes go to `outbox`, which the session shares, so that they keep their place among its commands.

        `prompt` keeps that place exactly: nothing is gathered.
        """
        self._writer = writer
        self._outbox = outbox
        self._prompt = prompt
        self._early: list[tuple[bytes, Flow, bool, float]] = []
        self._early_findings: list[tuple[Finding, float]] = []
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self.sink: SinkId | None = None
        """The sink, None before `open`."""
        self.flush_at: float | None = None
        """When what is gathered goes to the sink."""

    @property
    def size(self) -> int:
        """Octets of the journal so far."""
        return self._writer.size

    def open(
        self,
        sink: SinkId,
        *,
        flow: Flow,
        started: float,
        initiator: Initiator = "client",
        authenticated_user: str | None = None,
        now: float,
    ) -> None:
        """Begin the journal with the messages that went before it; `started` is the instant of the INVITE."""
        self.sink = sink
        start = self._writer.start(
            flow=flow, now=now, started=started, initiator=initiator, authenticated_user=authenticated_user
        )
        self._gather(start, now)
        for data, path, sent, at in self._early:
            self._write(data, path, sent, at, now)
        self._early.clear()
        for found, at in self._early_findings:
            self._gather(self._writer.finding(found, now=at), now)
        self._early_findings.clear()

    def add_line(self, line: int, *, label: str | None, rtp: Address, rtcp: Address | None, now: float) -> None:
        """Describe a media line before its packets."""
        self._gather(self._writer.add_line(line, label=label, rtp=rtp, rtcp=rtcp, now=now), now)

    def interface_of(self, line: int) -> int:
        """Give the number that the packets of a described line have in the journal."""
        return self._writer.interface_of(line)

    def sip(self, data: bytes, *, flow: Flow, sent: bool, now: float) -> None:
        """Keep a SIP message, or a piece of one along a connection; before `open` it waits for that."""
        if self.sink is not None:
            self._write(data, flow, sent, now, now)
        elif len(self._early) < _EARLY_MESSAGES:
            self._early.append((data, flow, sent, now))

    def media(
        self,
        line: int,
        component: Component,
        datagrams: Iterable[tuple[memoryview | bytes, Address, float]],
        *,
        now: float,
    ) -> None:
        """Keep datagrams of a line, as (payload, source, arrival)."""
        self._gather(self._writer.media(line, component, datagrams), now)

    def finding(self, found: Finding, *, now: float) -> None:
        """Keep a finding that no packet shows; before `open` it waits for that."""
        if self.sink is not None:
            self._gather(self._writer.finding(found, now=now), now)
        elif len(self._early_findings) < _EARLY_MESSAGES:
            self._early_findings.append((found, now))

    def note(self, kind: str, fields: NoteFields, *, now: float, line: int | None = None) -> None:
        """Keep an entry of the timeline that no packet shows."""
        if self.sink is not None:
            self._gather(self._writer.note(kind, fields, now=now, line=line), now)

    def finish(
        self,
        reason: str,
        *,
        ended: float,
        received: Mapping[int, int],
        rejected: Mapping[int, int],
        reports: Mapping[int, SentReports],
        now: float,
    ) -> None:
        """End the journal with the reason and instant of the end and, by line, the packets received and rejected and
        the reports sent."""
        block = self._writer.finish(reason, now=now, received=received, rejected=rejected, reports=reports, ended=ended)
        self._gather(block, now)
        self.flush()
        if self.sink is not None:
            self._outbox.put(CloseSink(sink=self.sink))

    def flush(self) -> None:
        """Hand over what is gathered."""
        self.flush_at = None
        if self._gathered and self.sink is not None:
            self._outbox.put(WriteSink(sink=self.sink, data=b"".join(self._gathered)))
        self._gathered.clear()
        self._gathered_size = 0

    def _write(self, data: bytes, flow: Flow, sent: bool, at: float, now: float) -> None:
        for block in self._writer.sip_blocks(data, flow=flow, sent=sent, now=at):
            self._gather(block, now)

    def _gather(self, block: bytes, now: float) -> None:
        self._gathered.append(block)
        self._gathered_size += len(block)
        if self._prompt or self._gathered_size >= _FLUSH_SIZE:
            self.flush()
        elif self.flush_at is None:
            self.flush_at = now + FLUSH_SECONDS
