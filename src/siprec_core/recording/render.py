"""Makes the files of a recording from its journal, or from another capture of a SIPREC call.

The journal is read twice. The first reading gives the facts and how long the files get; the second one writes them,
all at once and a few seconds at a time, so that memory does not grow with the length of a call. Nothing but the journal
goes in: the same journal gives the same bytes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from hashlib import sha256
from typing import Final, TypeAlias

from siprec_core.clock import TimeBase, format_instant
from siprec_core.codecs.registry import BUILT_IN, Codecs, decode_run
from siprec_core.containers.wav import WavEncoder
from siprec_core.errors import LocalProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.media.drift import fitted, sample_at
from siprec_core.media.mixer import Track, downmix, interleave, resample, saturating_sum
from siprec_core.media.timeline import TICKS_PER_SECOND, SessionClock
from siprec_core.metadata.writer import write_metadata
from siprec_core.recording.account import LineAccount, RecordingAccount, metadata_file_name
from siprec_core.recording.alignment import AlignedLine, align, furthest_shift
from siprec_core.recording.extents import Cuts, LineExtent
from siprec_core.recording.mixing import Mix, groups_of
from siprec_core.recording.placing import LinePlacer, Run
from siprec_core.recording.replay import LineMedia, LineReport, MetadataBody, Replay
from siprec_core.recording.report import FileEntry, RecordingReport, StreamReport
from siprec_core.types import SessionId

JOURNAL_NAME: Final = "journal.pcapng"
REPORT_NAME: Final = "recording.json"
MIX_NAME: Final = "mix.wav"
METADATA_NAME: Final = "metadata.xml"

_WINDOW_SECONDS = 4
"""Length of the pieces that are written at once; whole seconds, which are whole samples at every rate."""
_RESERVED = frozenset(("journal", "metadata", "mix", "recording"))
_NAME_SIZE = 64
_SAMPLE_SIZE = 2

Chunks: TypeAlias = Callable[[], Iterable[bytes]]
"""Begins a new reading of the journal: its octets from the first to the last, in pieces of any size."""


@dataclass(frozen=True, slots=True)
class FileStart:
    """A file begins. Several may be open at once."""

    name: str
    """Relative to the folder of the recording, `/` between the parts; made by us, never a peer's text as it came."""


@dataclass(frozen=True, slots=True)
class FileData:
    """The next octets of a file."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class FileEnd:
    """A file is complete."""

    name: str
    size: int
    sha256: str
    """Lower-case hexadecimal."""


RenderItem: TypeAlias = FileStart | FileData | FileEnd


def render(
    chunks: Chunks,
    *,
    limits: Limits | None = None,
    journal_name: str | None = JOURNAL_NAME,
    codecs: Codecs = BUILT_IN,
    mix: Mix = Mix.CHANNELS,
    cut_gaps: bool = False,
    findings: Sequence[Finding] = (),
) -> Iterator[RenderItem]:
    """Give the files of the recording that a capture holds, `recording.json` last.

    `mix` says what `mix.wav` is; `cut_gaps` leaves out silence of all lines of a second and more, which otherwise keeps
    its time. `journal_name` is the name by which `recording.json` lists the capture itself, whose octets are not given
    again; None leaves it out. `codecs` is what can be decoded; anything else gives a finding. `findings` are told
    beside what is found. Never raises for what the capture holds; what `chunks` raises goes through.
    """
    limits = limits or Limits()
    survey = _Survey(limits, codecs)
    for chunk in chunks():
        survey.receive(chunk)
    survey.finish()
    journal = None if journal_name is None else FileEntry(journal_name, survey.size, survey.digest.hexdigest())
    renderer = _Renderer(survey, limits, codecs, mix, cut_gaps=cut_gaps)
    renderer.replay.findings.extend(findings)
    return renderer.render(chunks(), journal)


class _Reading:
    """One reading of the journal: replays it and places the audio of its lines."""

    def __init__(self, limits: Limits, codecs: Codecs) -> None:
        self._limits = limits
        self._codecs = codecs
        self.clock = SessionClock(limits=limits)
        self.placers: dict[int, LinePlacer] = {}
        self.replay = Replay(limits=limits)

    def placer(self, line: int) -> LinePlacer:
        placer = self.placers.get(line)
        if placer is None:
            placer = self.placers[line] = LinePlacer(self.clock, limits=self._limits, known=self._codecs)
        account = self.replay.account
        if account is not None:
            known = account.lines[line]
            placer.agree(known.formats, known.held_ns)
        return placer


class _Survey(_Reading):
    """The first reading."""

    def __init__(self, limits: Limits, codecs: Codecs) -> None:
        super().__init__(limits, codecs)
        self.size = 0
        self.digest = sha256()
        self.extents: dict[int, LineExtent] = {}
        self.findings: list[Finding] = []

    def receive(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.digest.update(chunk)
        self.replay.receive(chunk)
        self._drain()

    def finish(self) -> None:
        self.replay.end_of_file()
        self._drain()
        for line, placer in self.placers.items():
            self._measure(line, placer.finish())
        account = self.replay.account
        lines = {line: _aligned(account.lines[line], self.extents[line]) for line in sorted(self.extents) if account}
        self.findings = align(lines, limits=self._limits)
        for line, aligned in lines.items():
            unrelated = self.placers[line].unrelated
            if unrelated:
                self.findings.append(finding("sender-report-unrelated", aligned.where, f"{unrelated} sender reports"))

    def _drain(self) -> None:
        while (item := self.replay.poll()) is not None:
            if isinstance(item, LineMedia):
                self._measure(item.line, self.placer(item.line).place(item))
            elif isinstance(item, LineReport):
                self.placer(item.line).report(item)

    def _measure(self, line: int, runs: Sequence[Run]) -> None:
        points = self.placers[line].points()
        if runs or points:
            extent = self.extents.setdefault(line, LineExtent())
            for run in runs:
                extent.add(run)
            for point in points:
                extent.report(point)


class _Channel:
    """One media line on its way to its WAV file and its channel of the mix."""

    __slots__ = ("name", "rate", "samples", "track")

    def __init__(self, name: str | None, rate: int, samples: int) -> None:
        self.name = name
        """File name, None for a line without audio."""
        self.rate = rate
        self.samples = samples
        """Length of the file."""
        self.track = Track()


class _Renderer(_Reading):
    """The second reading."""

    def __init__(self, survey: _Survey, limits: Limits, codecs: Codecs, mix: Mix, *, cut_gaps: bool) -> None:
        super().__init__(limits, codecs)
        self._files: dict[str, FileEntry] = {}
        self._open: dict[str, _OpenFile] = {}
        extents = self._extents = survey.extents
        self._survey_findings = survey.findings
        self._moved = furthest_shift(limits)
        self._origin = min((extent.start for extent in extents.values()), default=0)
        self._cuts = Cuts(span for extent in extents.values() for span in (extent.spans() if cut_gaps else ()))
        self._length = self._cuts.place(max((extent.end for extent in extents.values()), default=0)) - self._origin
        self._mix_rate = max((extent.rate for extent in extents.values()), default=0)
        self._second = 0
        account = survey.replay.account
        lines = [] if account is None else [account.lines[index] for index in sorted(account.lines)]
        names = file_names([(line.index, line.label) for line in lines])
        self._groups = groups_of(mix, account)
        self._channels = {line.index: self._channel(line, extents.get(line.index), names[line.index]) for line in lines}

    def _channel(self, line: LineAccount, extent: LineExtent | None, name: str) -> _Channel:
        if extent is None:
            return _Channel(None, self._mix_rate, self._samples(self._mix_rate))
        return _Channel(f"{name}.wav", extent.rate, self._samples(extent.rate))

    def _samples(self, rate: int) -> int:
        """Give the length of all files in samples at a rate, a last part of a sample counted as one."""
        return -(-self._length * rate // TICKS_PER_SECOND)

    def render(self, chunks: Iterable[bytes], journal: FileEntry | None) -> Iterator[RenderItem]:
        """Give all files."""
        yield from self._start_audio()
        for chunk in chunks:
            self.replay.receive(chunk)
            yield from self._drain()
        self.replay.end_of_file()
        yield from self._drain()
        yield from self._finish_audio()
        account = self.replay.account
        findings = [*self.replay.findings, *self._survey_findings, *self._audio_findings()]
        if account is not None and account.metadata.dialect is not None:
            yield from self._write_snapshot(account, findings)
        files = [*self._files.values()] + ([] if journal is None else [journal])
        report = self._report(account, findings, tuple(sorted(files, key=lambda entry: entry.name)))
        yield from self._write(REPORT_NAME, report.to_bytes())

    def _drain(self) -> Iterator[RenderItem]:
        while (item := self.replay.poll()) is not None:
            if isinstance(item, LineMedia):
                self._add(item.line, self.placer(item.line).place(item))
                # A wrong clock may tell of centuries; beyond the end of the files there is nothing to write.
                horizon = min(self._cuts.place(self.clock.horizon) - self._origin, self._length)
                final = horizon // TICKS_PER_SECOND
                if final >= self._second + _WINDOW_SECONDS:
                    yield from self._write_audio(final)
            elif isinstance(item, MetadataBody):
                yield from self._write(metadata_file_name(item.number), item.raw)

    def _add(self, line: int, runs: Sequence[Run]) -> None:
        for run in runs:
            channel = self._channels[line]
            start, end = map(self._cuts.place, self._extents[line].place(run))
            pcm = downmix(decode_run(run.decoder, run.payloads), run.decoder.channels)
            rate = run.decoder.sample_rate
            if rate != channel.rate:
                pcm = resample(pcm, rate, channel.rate, len(pcm) // _SAMPLE_SIZE * channel.rate // rate)
            first = sample_at(start - self._origin, channel.rate)
            if end - start != run.end - run.start:
                pcm = fitted(pcm, sample_at(end - self._origin, channel.rate) - first)
            channel.track.add(run.ssrc, first, pcm)

    # audio files

    def _start_audio(self) -> Iterator[RenderItem]:
        if self._mix_rate:
            for channel in self._channels.values():
                if channel.name is not None:
                    yield from self._start_wav(channel.name, channel.rate, 1)
            yield from self._start_wav(MIX_NAME, self._mix_rate, len(self._groups))

    def _start_wav(self, name: str, rate: int, channels: int) -> Iterator[RenderItem]:
        encoder = WavEncoder(rate, channels)
        yield self._start_file(name)
        yield self._append(name, encoder.start(self._samples(rate) * encoder.frame_size))

    def _write_audio(self, final: int) -> Iterator[RenderItem]:
        """Write whole windows of what lies before second `final`."""
        for line, placer in self.placers.items():
            self._add(line, placer.finish())
        while self._mix_rate and final >= self._second + _WINDOW_SECONDS:
            self._second += _WINDOW_SECONDS
            yield from self._write_window()

    def _finish_audio(self) -> Iterator[RenderItem]:
        if not self._mix_rate:
            return
        seconds = -(-self._length // TICKS_PER_SECOND)
        yield from self._write_audio(seconds + _WINDOW_SECONDS - 1)
        for channel in self._channels.values():
            if channel.name is not None:
                yield self._end_file(channel.name)
        yield self._end_file(MIX_NAME)

    def _write_window(self) -> Iterator[RenderItem]:
        first = self._second - _WINDOW_SECONDS
        total = self._samples(self._mix_rate)
        size = min(self._second * self._mix_rate, total) - min(first * self._mix_rate, total)
        if size <= 0:
            return
        mixed: dict[int, bytes] = {}
        for line, channel in self._channels.items():
            pcm = channel.track.take(min(self._second * channel.rate, channel.samples))
            if channel.name is not None:
                yield self._append(channel.name, pcm)
            mixed[line] = resample(pcm, channel.rate, self._mix_rate, size)
        sums = (reduce(saturating_sum, (mixed[line] for line in group), bytes(2 * size)) for group in self._groups)
        yield self._append(MIX_NAME, interleave(list(sums)))

    # what is told

    def _audio_findings(self) -> list[Finding]:
        findings: list[Finding] = []
        account = self.replay.account
        for line in sorted(self.placers) if account is not None else ():
            known = account.lines[line] if account is not None else None
            where = f"stream {line if known is None else known.label}"
            findings.extend(_placing_findings(self.placers[line], self.clock, where))
        return findings

    def _report(
        self, account: RecordingAccount | None, findings: list[Finding], files: tuple[FileEntry, ...]
    ) -> RecordingReport:
        if account is None:
            time_base = TimeBase(monotonic=0.0, unix_ns=0)
            account = RecordingAccount(SessionId(""), limits=Limits(), time_base=time_base, started=0.0)
        report = account.report(self.replay.status)
        return replace(
            report,
            streams=tuple(self._stream(stream) for stream in report.streams),
            findings=(*report.findings, *findings),
            files=files,
        )

    def _stream(self, stream: StreamReport) -> StreamReport:
        channel = self._channels.get(stream.index)
        if channel is None or channel.name is None:
            return stream
        return replace(
            stream,
            duration=channel.track.audio_samples / channel.rate,
            silence=channel.track.gap_samples / channel.rate,
            file=channel.name,
        )

    def _write_snapshot(self, account: RecordingAccount, findings: list[Finding]) -> Iterator[RenderItem]:
        try:
            data = write_metadata(account.metadata.snapshot(ended=True))
        except LocalProtocolError as error:
            findings.append(finding("render-failed", METADATA_NAME, str(error)))
            return
        yield from self._write(METADATA_NAME, data)

    # files

    def _write(self, name: str, data: bytes) -> Iterator[RenderItem]:
        yield self._start_file(name)
        yield self._append(name, data)
        yield self._end_file(name)

    def _start_file(self, name: str) -> FileStart:
        self._open[name] = _OpenFile()
        return FileStart(name)

    def _append(self, name: str, data: bytes) -> FileData:
        opened = self._open[name]
        opened.size += len(data)
        opened.digest.update(data)
        return FileData(name, data)

    def _end_file(self, name: str) -> FileEnd:
        opened = self._open.pop(name)
        entry = self._files[name] = FileEntry(name, opened.size, opened.digest.hexdigest())
        return FileEnd(name, entry.size, entry.sha256)


class _OpenFile:
    """Size and digest of a file that is being written."""

    __slots__ = ("digest", "size")

    def __init__(self) -> None:
        self.size = 0
        self.digest = sha256()


def _aligned(line: LineAccount, extent: LineExtent) -> AlignedLine:
    return AlignedLine(extent, line.receiver.statistics().control.cnames, f"stream {line.label}")


def _placing_findings(placer: LinePlacer, clock: SessionClock, where: str) -> list[Finding]:
    timeline = placer.timeline
    findings = []
    for codec, extra in placer.undecodable.items():
        remedy = "" if extra is None else f"; install siprec[{extra}] and render the journal again"
        findings.append(finding("codec-not-decoded", where, f"{codec} cannot be decoded here{remedy}"))
    for codec, count in placer.unreadable.items():
        findings.append(finding("payload-unreadable", where, f"{count} payloads are no frames of {codec}"))
    for codec, deviation in placer.deviations.items():
        findings.append(finding("payload-deviates", where, f"{codec}: {deviation}"))
    if timeline.jumps and timeline.first_jump is not None:
        at = format_instant(clock.unix_ns_at(timeline.first_jump))
        message = f"RTP timestamps jumped {timeline.jumps} times, first at {at}"
        findings.append(finding("timestamp-jump", where, message))
    if timeline.stalls:
        message = f"RTP timestamps fell behind the time that went by {timeline.stalls} times"
        findings.append(finding("timestamp-stall", where, message))
    if timeline.late:
        findings.append(finding("packet-late", where, f"{timeline.late} packets came too late to be placed"))
    if timeline.ahead:
        findings.append(finding("packet-ahead", where, f"{timeline.ahead} packets came too early to be placed"))
    return findings


def file_names(labels: Sequence[tuple[int, str]]) -> dict[int, str]:
    """Give safe, distinct names without suffix for lines by index, as like their labels as can be.

    Only ASCII letters, digits, `.`, `_` and `-` are kept, at most 64; a name never begins with a dot, differs from the
    others also where letter case does not count, and is none of the names that a recording has anyhow.
    """
    names: dict[int, str] = {}
    taken = set(_RESERVED)
    for index, label in labels:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", label[: _NAME_SIZE * 4])[:_NAME_SIZE].lstrip(".") or f"line-{index}"
        number = 1
        candidate = name
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name[: _NAME_SIZE - 8]}-{number}"
        taken.add(candidate.lower())
        names[index] = candidate
    return names
