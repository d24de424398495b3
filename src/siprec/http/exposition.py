"""The metrics of a server, as Prometheus scrapes them: no label names a call or a peer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from anyio import lowlevel, to_thread
from siprec.http.doors import SESSIONS_AT_A_TIME, Doors
from siprec.http.tally import LagMeter, Tally
from siprec_core.recording.server_status import ServerStatus
from siprec_core.recording.totals import MediaCounts
from siprec_sync.directory_sinks import DirectorySinks
from siprec_sync.space import disk_space

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Media type of what `Exposition.scrape` gives."""
_MEDIA_MEANINGS = {
    "packets_received": "Valid RTP packets, each once.",
    "packets_lost": "RTP packets that are missing by their sequence numbers.",
    "packets_duplicate": "RTP packets that came again.",
    "packets_reordered": "RTP packets that came after a later one.",
    "packets_rejected": "Packets that failed validation, authentication, source or payload type.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one scrape shows."""

    status: ServerStatus
    media: MediaCounts
    disk: tuple[int, int] | None
    """Octets of the disk of the recordings, all and free; None when it cannot be looked at."""


class Exposition(Collector):
    """The metrics of one server, in a registry of their own."""

    def __init__(
        self, doors: Doors, sinks: DirectorySinks, tally: Tally, lag: LagMeter, *, version: str, worker: str
    ) -> None:
        self._doors = doors
        self._sinks = sinks
        self._tally = tally
        self._lag = lag
        self._build = {"version": version, "worker": worker}
        self._media = MediaCounts()
        self._snapshot: Snapshot | None = None
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    async def scrape(self) -> bytes:
        """Give the metrics as text. Raises UnavailableError."""
        self._snapshot = await self._look()
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Give what the latest look has found."""
        snapshot = self._snapshot
        if snapshot is None:
            return
        yield InfoMetricFamily("siprec_build", "This program.", self._build)
        yield from _server_metrics(snapshot.status)
        yield from _media_metrics(snapshot.media)
        yield from self._storage_metrics(snapshot.disk)
        yield from _event_metrics(self._tally)
        lag = HistogramMetricFamily(
            "siprec_loop_lag_seconds", "How late the server's loop came to what was due, measured every second."
        )
        lag.add_metric((), self._lag.buckets(), self._lag.sum)
        yield lag

    async def _look(self) -> Snapshot:
        status = await self._doors.ask(lambda core, now: core.status(now=now))
        # What ends between two looks is missing in this sum, and never twice in it.
        media = status.past_media
        ids = status.session_ids
        for start in range(0, len(ids), SESSIONS_AT_A_TIME):
            some = ids[start : start + SESSIONS_AT_A_TIME]
            media += await self._doors.ask(lambda core, now, some=some: core.media_counts(some))  # type: ignore[misc]
            await lowlevel.checkpoint()
        # A counter never goes back: a late packet is no longer lost, but was counted so.
        self._media = _largest(self._media, media)
        disk = await to_thread.run_sync(_disk_of, self._sinks.root, abandon_on_cancel=True)
        return Snapshot(status=status, media=self._media, disk=disk)

    def _storage_metrics(self, disk: tuple[int, int] | None) -> Iterator[Metric]:
        if disk is not None:
            total, free = disk
            yield GaugeMetricFamily("siprec_disk_size_bytes", "Size of the disk of the recordings.", total)
            yield GaugeMetricFamily("siprec_disk_free_bytes", "What of it may still be written.", free)
        yield GaugeMetricFamily("siprec_write_queue_bytes", "Octets that wait to be written.", self._sinks.queued_size)
        yield GaugeMetricFamily(
            "siprec_render_queue", "Recordings whose final files are not begun.", self._sinks.waiting_renderings
        )


def _server_metrics(status: ServerStatus) -> Iterator[Metric]:
    yield GaugeMetricFamily("siprec_ready", "1 when a new call would be taken.", status.unavailable is None)
    sessions = GaugeMetricFamily("siprec_sessions", "Sessions that are not over.", labels=("status",))
    for each, count in status.sessions.items():
        sessions.add_metric((each.value,), count)
    yield sessions
    yield GaugeMetricFamily("siprec_streams", "Media lines that are open.", status.streams)
    yield GaugeMetricFamily("siprec_waiting_calls", "Calls that wait for room.", status.waiting_calls)
    ports = GaugeMetricFamily("siprec_rtp_port_pairs", "Pairs of media ports.", labels=("state",))
    for state in fields(status.ports):
        ports.add_metric((state.name,), getattr(status.ports, state.name))
    yield ports


def _media_metrics(media: MediaCounts) -> Iterator[Metric]:
    for name, meaning in _MEDIA_MEANINGS.items():
        yield CounterMetricFamily(f"siprec_{name}", meaning, getattr(media, name))


def _event_metrics(tally: Tally) -> Iterator[Metric]:
    yield CounterMetricFamily("siprec_sessions_requested", "Sessions that were asked for.", tally.requested)
    yield CounterMetricFamily("siprec_sessions_established", "Sessions that were answered.", tally.established)
    ended = CounterMetricFamily("siprec_sessions_ended", "Recordings that are over.", labels=("status", "reason"))
    for (status, reason), count in dict(tally.ended).items():
        ended.add_metric((status, reason), count)
    yield ended
    refused = CounterMetricFamily("siprec_refused", "Calls that were refused, by status.", labels=("status",))
    for code, count in dict(tally.refused).items():
        refused.add_metric((str(code),), count)
    yield refused
    findings = CounterMetricFamily("siprec_findings", "Findings, by code.", labels=("code", "severity"))
    for (code_name, severity), count in dict(tally.findings).items():
        findings.add_metric((code_name, severity), count)
    yield findings


def _largest(first: MediaCounts, second: MediaCounts) -> MediaCounts:
    return MediaCounts(**{name: max(getattr(first, name), getattr(second, name)) for name in _MEDIA_MEANINGS})


def _disk_of(root: Path) -> tuple[int, int] | None:
    try:
        return disk_space(root)
    except OSError:
        return None
