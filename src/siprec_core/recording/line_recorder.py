"""The half of a recorded line that another process may run: from the datagrams of its sockets to blocks of the journal.

The other half, in the session, is `apart`.
"""

from siprec_core.media.encryption import CryptoCounts, CryptoProvider, LineCipher, ReceivingKey
from siprec_core.media.outputs import MediaOutput
from siprec_core.media.receiver import MediaReceiver
from siprec_core.media.spec import MediaSpec
from siprec_core.recording.capture import Pauses
from siprec_core.recording.journal import LineEncoder
from siprec_core.recording.masking import mask_events
from siprec_core.recording.plane import LineReport, RecordLine
from siprec_core.types import Component, DatagramBatch

REPORT_SECONDS = 1.0
"""Time between reports of a line on which packets come and nothing happens."""
_NOTHING = CryptoCounts(0, 0)


class LineRecorder:
    """Opens, sorts out and encodes what comes to one line."""

    __slots__ = (
        "_cipher",
        "_encoder",
        "_events",
        "_heard",
        "_outputs",
        "_pauses",
        "_provider",
        "_receiver",
        "_report_at",
        "_size",
        "_start",
    )

    def __init__(self, start: RecordLine, provider: CryptoProvider | None) -> None:
        self._start = start
        self._provider = provider
        self._encoder = _encoder(start)
        self._events: set[int] = set()
        """Payload types of telephone events."""
        self._receiver: MediaReceiver | None = None
        self._cipher: LineCipher | None = None
        self._pauses = Pauses()
        self._outputs: list[MediaOutput] = []
        self._size = 0
        self._heard = False
        self._report_at = float("-inf")

    def move(self, start: RecordLine) -> None:
        """Go on with other sockets."""
        self._start = start
        self._encoder = _encoder(start)

    def update(self, spec: MediaSpec, *, now: float) -> None:
        """Take what offer and answer made of the line."""
        self._events.update(each.payload_type for each in spec.formats if each.is_event)
        if self._receiver is None:
            self._receiver = MediaReceiver(spec, limits=self._start.limits, now=now, where=self._start.where)
        else:
            self._receiver.update(spec, now=now)

    def secure(self, keys: tuple[ReceivingKey, ...], *, now: float) -> None:
        """Take the keys of the line, none for one without encryption."""
        if not keys or self._provider is None:
            self._cipher = None
            return
        if self._cipher is None:
            self._cipher = LineCipher(self._provider, limits=self._start.limits, where=self._start.where)
        self._cipher.agree(keys, now=now)

    def pause(self, *, paused: bool, now: float) -> None:
        """Capture nothing that comes at `now` or later, or go on."""
        self._pauses.set(paused=paused, now=now)

    def receive(self, batch: DatagramBatch, *, component: Component, now: float) -> bytes:
        """Take the datagrams that came to one port; give the blocks to append to the journal."""
        receiver = self._receiver
        if receiver is None:
            return b""
        self._heard = True
        if self._cipher is not None:
            batch = self._cipher.receive(batch, component=component)
            while (found := self._cipher.poll_output()) is not None:
                self._outputs.append(found)
        batch = self._pauses.admit(batch, component)
        if self._start.mask_digits and component is Component.RTP:
            batch = mask_events(batch, self._events)
        accepted = receiver.receive(batch, component=component, now=now)
        blocks = [
            self._encoder.encode(held.component, [(held.data, held.source, held.arrival)]) for held in accepted.held
        ]
        if accepted.indexes:
            blocks.append(self._encoder.encode(component, accepted.of(batch)))
        while (output := receiver.poll_output()) is not None:
            self._outputs.append(output)
        data = b"".join(blocks)
        self._size += len(data)
        return data

    def report(self, *, now: float, last: bool = False) -> LineReport | None:
        """Give the report that is due, None when none is. `last` wants one in any case."""
        receiver = self._receiver
        if receiver is None or not (last or self._outputs or (self._heard and now >= self._report_at)):
            return None
        outputs, self._outputs = tuple(self._outputs), []
        self._heard = False
        self._report_at = now + REPORT_SECONDS
        cipher = self._cipher
        return LineReport(
            sink=self._start.sink,
            line=self._start.line,
            outputs=outputs,
            statistics=receiver.statistics(),
            report_address=receiver.report_address,
            unopened=_NOTHING if cipher is None else cipher.counts,
            packets_unopened=0 if cipher is None else cipher.packets_rejected,
            journal_size=self._size,
        )


def _encoder(start: RecordLine) -> LineEncoder:
    return LineEncoder(start.interface, rtp=start.rtp, rtcp=start.rtcp, time_base=start.time_base)
