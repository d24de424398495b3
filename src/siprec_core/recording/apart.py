"""The lines of a session whose media another process takes: what stands for them here.

They put commands for the media plane where the session puts all of its own, so that everything keeps its order, and
know what the plane reported. The other half is `line_recorder`.
"""

from collections import deque
from collections.abc import Mapping

from siprec_core.clock import TimeBase
from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.machine import Puts
from siprec_core.media.encryption import CryptoCounts, CryptoProvider, ReceivingKey
from siprec_core.media.outputs import MediaOutput
from siprec_core.media.receiver import Accepted, MediaReceiver
from siprec_core.media.spec import MediaSpec
from siprec_core.media.statistics import LineStatistics
from siprec_core.recording.capture import CaptureGate
from siprec_core.recording.keeper import JournalKeeper
from siprec_core.recording.lines import MediaLine
from siprec_core.recording.plane import LineReport, PauseLine, PlaneCommand, RecordLine, SecureLine, UpdateLine
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.securing import SecureLines
from siprec_core.sdp.crypto import SrtpPolicy
from siprec_core.sdp.negotiation import LinePlan
from siprec_core.types import Address, Component, DatagramBatch, SinkId


class LinesApart:
    """The lines of one session, by index."""

    def __init__(
        self, outbox: Puts[PlaneCommand], *, time_base: TimeBase, limits: Limits, mask_digits: bool = False
    ) -> None:
        self._outbox = outbox
        self._time_base = time_base
        self._limits = limits
        self._mask_digits = mask_digits
        self._sink = SinkId(0)
        self._receivers: dict[int, ReceiverApart] = {}
        self._reports: dict[int, LineReport] = {}

    @property
    def journal_size(self) -> int:
        """Octets of packets in the journal."""
        return sum(report.journal_size for report in self._reports.values())

    def record(self, line: MediaLine, journal: JournalKeeper, *, label: str | None) -> None:
        """Hand over the sockets of a line that the journal, which is open, describes."""
        self._sink = sink = journal.sink or self._sink
        self._outbox.put(
            RecordLine(
                sink=sink,
                line=line.index,
                media=line.media,
                interface=journal.interface_of(line.index),
                rtp=line.rtp,
                rtcp=line.rtcp,
                where=f"stream {line.index if label is None else label}",
                time_base=self._time_base,
                mask_digits=self._mask_digits,
                limits=self._limits,
            )
        )

    def open_receiver(self, spec: MediaSpec, now: float, where: str) -> "ReceiverApart":
        """Make what stands for the receiver of a line: `OpenReceiver` of an account."""
        empty = MediaReceiver(spec, limits=self._limits, now=now, where=where).statistics()
        index = int(spec.media)
        receiver = self._receivers[index] = ReceiverApart(self, spec, empty)
        receiver.update(spec, now=now)
        return receiver

    def update(self, spec: MediaSpec, *, now: float) -> None:
        """Tell what offer and answer made of a line."""
        self._outbox.put(UpdateLine(sink=self._sink, line=int(spec.media), spec=spec, now=now))

    def secure(self, line: int, keys: tuple[ReceivingKey, ...], *, now: float) -> None:
        """Tell the keys of a line."""
        self._outbox.put(SecureLine(sink=self._sink, line=line, keys=keys, now=now))

    def pause(self, line: int, *, paused: bool, now: float) -> None:
        """Tell that a line is not captured from now on, or is again."""
        self._outbox.put(PauseLine(sink=self._sink, line=line, paused=paused, now=now))

    def reported(self, report: LineReport) -> bool:
        """Take what came on a line; False for one that never was."""
        receiver = self._receivers.get(report.line)
        if receiver is None:
            return False
        self._reports[report.line] = report
        receiver.take(report)
        return True

    def report(self, line: int) -> LineReport | None:
        """Give the latest report of a line."""
        return self._reports.get(line)


class ReceiverApart:
    """Stands for the receiver of one line: a `LineReceiver`. It knows what was reported last."""

    __slots__ = ("_lines", "_outputs", "_statistics", "report_address", "spec")

    def __init__(self, lines: LinesApart, spec: MediaSpec, statistics: LineStatistics) -> None:
        self._lines = lines
        self._outputs: deque[MediaOutput] = deque()
        self._statistics = statistics
        self.spec = spec
        """What signalling said last."""
        self.report_address: Address | None = None
        """Where reports on the line go."""

    @property
    def last_arrival(self) -> float | None:
        """Arrival of the last packet that was reported."""
        return self._statistics.last_arrival

    def update(self, spec: MediaSpec, *, now: float) -> None:
        """Tell the plane what a re-offer changed."""
        self.spec = spec
        self._lines.update(spec, now=now)

    def take(self, report: LineReport) -> None:
        """Take a report."""
        self._outputs.extend(report.outputs)
        self._statistics = report.statistics
        self.report_address = report.report_address

    def receive(self, batch: DatagramBatch, *, component: Component, now: float) -> Accepted:
        """Raise LocalProtocolError: the datagrams of this line belong to the media plane."""
        raise LocalProtocolError("the media of this session is received elsewhere")

    def poll_output(self) -> MediaOutput | None:
        """Give the oldest output not yet taken."""
        return self._outputs.popleft() if self._outputs else None

    def statistics(self) -> LineStatistics:
        """Give the counters as they were reported."""
        return self._statistics


class SecureLinesApart(SecureLines):
    """The encrypted lines of a session, opened by the plane."""

    __slots__ = ("_lines", "_secured")

    def __init__(
        self, provider: CryptoProvider | None, policy: SrtpPolicy, *, limits: Limits, lines: LinesApart
    ) -> None:
        super().__init__(provider, policy, limits=limits)
        self._lines = lines
        self._secured: set[int] = set()

    def packets_rejected(self, index: int) -> int:
        """Datagrams of a line's RTP port that were not authentic."""
        report = self._lines.report(index)
        return 0 if report is None else report.packets_unopened

    def counts(self) -> Mapping[int, CryptoCounts]:
        """Give what was not opened, by line; lines of which everything was are absent."""
        reports = ((index, self._lines.report(index)) for index in sorted(self._secured))
        return {index: report.unopened for index, report in reports if report is not None and any(report.unopened)}

    def _is_encrypted(self, index: int) -> bool:
        return index in self._secured

    def _agree(self, line: LinePlan, provider: CryptoProvider, keys: tuple[ReceivingKey, ...], now: float) -> None:
        del provider
        if keys:
            self._secured.add(line.index)
        elif line.index in self._secured:
            self._secured.discard(line.index)
        else:
            return
        self._lines.secure(line.index, keys, now=now)


class CaptureGateApart(CaptureGate):
    """The pauses of a session, kept by the plane."""

    __slots__ = ("_apart", "_paused_lines")

    def __init__(self, lines: LinesApart) -> None:
        super().__init__()
        self._apart = lines
        self._paused_lines: set[int] = set()

    def _set(self, line: int, now: float) -> None:
        paused = self.paused or line in self._held
        if paused != (line in self._paused_lines):
            (self._paused_lines.add if paused else self._paused_lines.discard)(line)
            self._apart.pause(line, paused=paused, now=now)


def lines_apart(config: ServerConfig, outbox: Puts[PlaneCommand], *, time_base: TimeBase) -> LinesApart | None:
    """Make what stands for the lines of a session, None for a server that takes media itself."""
    if not config.media_apart:
        return None
    return LinesApart(outbox, time_base=time_base, limits=config.limits, mask_digits=config.mask_digits)


def secure_lines(config: ServerConfig, apart: LinesApart | None) -> SecureLines:
    """Make the encrypted lines of a session."""
    if apart is None:
        return SecureLines(config.crypto, config.srtp, limits=config.limits)
    return SecureLinesApart(config.crypto, config.srtp, limits=config.limits, lines=apart)


def capture_gate(apart: LinesApart | None) -> CaptureGate:
    """Make the pauses of a session."""
    return CaptureGate() if apart is None else CaptureGateApart(apart)
