"""What a load test tells: quantiles, losses that the server's own reports show, JSON and text."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from siprec.load import LoadPlan, LoadResult
from siprec.terminal import clean, styled, table, write_text

_REREAD_SECONDS = 0.2
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What a server's reports tell of the calls that were complete."""

    packets: int
    lost: int
    missing: int
    """Calls without a report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """A result with what belongs to it."""

    target: str
    plan: LoadPlan
    result: LoadResult
    received: Received | None
    """None when the server's reports were not read."""
    processor_seconds: float
    memory_size: int
    """Most octets that the generator held."""

    @property
    def good(self) -> bool:
        """True when every call was complete and the server got every packet of it."""
        complete = self.result.complete == self.plan.total
        return complete and (self.received is None or not (self.received.lost or self.received.missing))

    def as_json(self) -> dict[str, object]:
        """Give the report as `siprec load --json` prints it."""
        result, plan = self.result, self.plan
        received = self.received
        return {
            "target": self.target,
            "transport": plan.hop.transport.value,
            "streams": len(plan.spec.streams),
            "rate": plan.rate,
            "limit": plan.limit,
            "seconds": plan.seconds,
            "calls": {
                "wanted": plan.total,
                "begun": result.begun,
                "complete": result.complete,
                "failed": result.failed,
                "peak": result.peak,
            },
            "failures": dict(result.failures.most_common()),
            "findings": dict(result.findings.most_common()),
            "setup_seconds": {name: _rounded(value) for name, value in set_up_quantiles(result.set_ups).items()},
            "packets": {
                "sent": result.packets_sent,
                "received": None if received is None else received.packets,
                "lost": None if received is None else received.lost,
                "reports_missing": None if received is None else received.missing,
            },
            "elapsed_seconds": _rounded(result.elapsed),
            "processor_seconds": _rounded(self.processor_seconds),
            "memory_size": self.memory_size,
            "ok": self.good,
        }

    def print(self) -> None:
        """Print the report for people."""
        result = self.result
        style = "green" if result.complete == self.plan.total else "red"
        write_text(
            f"{clean(self.target)}: {styled(f'{result.complete} of {self.plan.total} calls complete', style)} "
            f"in {result.elapsed:.1f} s, at most {result.peak} at a time"
        )
        quantiles = set_up_quantiles(result.set_ups)
        if result.set_ups:
            told = ("-" if value is None else f"{value * 1000:.1f}" for value in quantiles.values())
            write_text(table(("set-up in ms", *quantiles), [("", *told)]))
        write_text(f"  {result.packets_sent:,} packets sent{self._received()}")
        write_text(f"  generator: {self.processor_seconds:.1f} s of processor, {self.memory_size / 1e6:.0f} MB")
        for reason, count in result.failures.most_common():
            write_text(f"  {styled('failed', 'red')} {count} x {clean(reason)}")
        for code, count in result.findings.most_common():
            write_text(f"  {styled('answer', 'yellow')} {count} x {code}")

    def _received(self) -> str:
        if self.received is None:
            return ""
        missing = f", {self.received.missing} calls without a report" if self.received.missing else ""
        return f", {self.received.packets:,} received in complete calls, {self.received.lost:,} lost{missing}"


def set_up_quantiles(set_ups: Sequence[float]) -> dict[str, float | None]:
    """Give the quantiles (nearest rank) and the longest; None without calls."""
    ordered = sorted(set_ups)
    if not ordered:
        return dict.fromkeys((*QUANTILES, "max"))
    quantiles: dict[str, float | None] = {
        name: ordered[ceil(share * len(ordered)) - 1] for name, share in QUANTILES.items()
    }
    return {**quantiles, "max": ordered[-1]}


def read_received(recordings: Path, sent: dict[str, int], *, patience_seconds: float) -> Received:
    """Add up what the server received of calls, from the reports below `recordings`.

    `sent` has the packets by Call-ID. Waits up to `patience_seconds` until every report is finished.
    """
    until = time.monotonic() + patience_seconds
    received: dict[str, int] = {}
    others: set[Path] = set()
    while True:
        for path in set(recordings.rglob("recording.json")) - others:
            call_id, packets = _read_report(path)
            if packets is not None:
                others.add(path)
                if call_id in sent:
                    received[call_id] = packets
        if len(received) == len(sent) or time.monotonic() >= until:
            break
        time.sleep(_REREAD_SECONDS)
    lost = sum(max(0, sent[call_id] - packets) for call_id, packets in received.items())
    return Received(packets=sum(received.values()), lost=lost, missing=len(sent) - len(received))


def _read_report(path: Path) -> tuple[str, int | None]:
    """Give the Call-ID of a recording and its packets, None while it is not finished."""
    try:
        report = json.loads(path.read_bytes())
        if report["status"] == "active":
            return "", None
        return str(report["call_id"]), sum(int(stream["packets_received"]) for stream in report["streams"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", None  # being replaced, or nobody's report


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
