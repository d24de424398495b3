"""Who listens to a recording while it goes on: taps, and the live path of the lines that they want."""

from collections.abc import Iterable

from siprec_core.codecs.registry import Codecs
from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.machine import Outbox, earliest
from siprec_core.media.listener import AudioFrame, LineListener
from siprec_core.recording.account import LineAccount, RecordingAccount
from siprec_core.recording.commands import DeliverAudio, EndAudio
from siprec_core.types import SessionId, TapId


class SessionListening:
    """The taps of one session. Nothing is decoded for a line that nobody taps."""

    __slots__ = (
        "_account",
        "_codecs",
        "_count",
        "_heard_documents",
        "_limits",
        "_lines",
        "_outputs",
        "_session",
        "_taps",
    )

    def __init__(self, account: RecordingAccount, *, limits: Limits) -> None:
        self._account = account
        self._session: SessionId = account.session
        self._limits = limits
        self._taps: dict[TapId, tuple[str | None, Codecs]] = {}
        self._codecs: Codecs | None = None
        self._lines: dict[int, LineListener] = {}
        self._outputs: Outbox[DeliverAudio | EndAudio] = Outbox()
        self._heard_documents = -1
        self._count = 0

    def open(self, label: str | None, codecs: Codecs) -> TapId:
        """Begin to listen to the stream with a label, or to all of them; the codecs of the first tap count for all.

        Raises LocalProtocolError when no stream has the label, or too many listen.
        """
        if label is not None and all(line.label != label for line in self._account.lines.values()):
            raise LocalProtocolError(f"no stream has the label {label!r}")
        if len(self._taps) >= self._limits.taps:
            raise LocalProtocolError(f"there are {self._limits.taps} taps on this session already")
        self._count += 1
        tap = TapId(f"{self._session}/{self._count}")
        self._taps[tap] = (label, codecs)
        self._codecs = self._codecs or codecs
        return tap

    def close(self, tap: TapId) -> None:
        """Listen no more; harmless for a tap that is closed."""
        self._taps.pop(tap, None)
        wanted = [self._account.lines[index].label for index in self._lines]
        for index, label in zip(list(self._lines), wanted, strict=True):
            if not self._wants(label):
                del self._lines[index]
        if not self._taps:
            self._codecs = None

    @property
    def active(self) -> bool:
        """True while anybody listens."""
        return bool(self._taps)

    def receive(self, line: LineAccount, datagrams: Iterable[tuple[bytes | memoryview, float]], *, now: float) -> None:
        """Take accepted datagrams of the RTP port with their arrivals, seconds on the driver's clock."""
        if self._codecs is None or not self._wants(line.label):
            return
        listener = self._lines.get(line.index)
        if listener is None:
            listener = LineListener(line.label, codecs=self._codecs, limits=self._limits)
            self._lines[line.index] = listener
            self._heard_documents = -1
        listener.agree({entry.payload_type: entry for entry in line.receiver.spec.formats})
        self._name_participants()
        unix_ns_at = self._account.unix_ns_at
        for data, arrival in datagrams:
            listener.receive(data, at_ns=unix_ns_at(arrival), arrival=arrival)
        self._deliver(line.label, listener.take(now=now))

    def handle_timeout(self, *, now: float) -> None:
        """Give up missing packets whose time has come."""
        for index, listener in self._lines.items():
            self._deliver(self._account.lines[index].label, listener.take(now=now))

    def next_timeout(self) -> float | None:
        """Give the instant at which a missing packet is given up."""
        return earliest(*(listener.next_timeout() for listener in self._lines.values())) if self._lines else None

    def end(self) -> None:
        """End all taps: no audio follows."""
        self._outputs.extend(EndAudio(tap=tap) for tap in self._taps)
        self._taps.clear()
        self._lines.clear()

    def poll_output(self) -> DeliverAudio | EndAudio | None:
        """Give the oldest output not yet taken."""
        return self._outputs.poll()

    def _wants(self, label: str) -> bool:
        return any(wanted is None or wanted == label for wanted, _ in self._taps.values())

    def _deliver(self, label: str, frames: list[AudioFrame]) -> None:
        if frames:
            kept = tuple(frames)
            for tap, (wanted, _) in self._taps.items():
                if wanted is None or wanted == label:
                    self._outputs.put(DeliverAudio(tap=tap, frames=kept))

    def _name_participants(self) -> None:
        """Tell the listeners who sends their streams, whenever metadata came."""
        if self._heard_documents == self._account.metadata_documents:
            return
        self._heard_documents = self._account.metadata_documents
        for index, listener in self._lines.items():
            listener.participants = self._account.senders(index)
