"""A core that records what a driver gives it and answers with what a test scripted."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from siprec_core.clock import TimeBase
from siprec_core.codecs.registry import Codecs
from siprec_core.recording.commands import Command
from siprec_core.recording.events import Event, ServerDrained
from siprec_core.recording.outbound import RecordSpec
from siprec_core.recording.plane import LineReport
from siprec_core.recording.session_info import SessionInfo
from siprec_core.sip.names import DnsAnswer, QueryId
from siprec_core.types import Address, Component, DatagramBatch, Flow, MediaId, SessionId, SinkId, TapId


class CoreDouble:
    """Every input is kept in `inputs` as (name, arguments); `react` may put outputs after any of them."""

    def __init__(self) -> None:
        self.inputs: list[tuple[str, dict[str, Any]]] = []
        self.outputs: deque[Command | Event] = deque()
        self.react: Callable[[str, dict[str, Any]], None] = lambda name, arguments: None
        self.deadline: float | None = None
        self.draining = False

    def named(self, name: str) -> list[dict[str, Any]]:
        return [arguments for each, arguments in self.inputs if each == name]

    def put(self, *outputs: Command | Event) -> None:
        self.outputs.extend(outputs)

    def _input(self, name: str, **arguments: Any) -> None:  # noqa: ANN401 - whatever the input takes
        assert not self.draining, f"{name} came before the outputs were drained"
        self.inputs.append((name, arguments))
        self.react(name, arguments)

    def poll_output(self) -> Command | Event | None:
        self.draining = bool(self.outputs)
        return self.outputs.popleft() if self.outputs else None

    def next_timeout(self) -> float | None:
        return self.deadline

    def handle_timeout(self, *, now: float) -> None:
        self.deadline = None
        self._input("handle_timeout", now=now)

    def rebase_clock(self, time_base: TimeBase) -> None:
        self._input("rebase_clock", time_base=time_base)

    def receive_datagram(self, data: bytes, *, flow: Flow, now: float) -> None:
        self._input("receive_datagram", data=data, flow=flow, now=now)

    def flow_opened(self, flow: Flow, *, now: float) -> None:
        self._input("flow_opened", flow=flow, now=now)

    def receive_stream(self, flow: Flow, data: bytes, *, now: float) -> None:
        self._input("receive_stream", flow=flow, data=data, now=now)

    def flow_failed(self, flow: Flow, error: str, *, now: float) -> None:
        self._input("flow_failed", flow=flow, error=error, now=now)

    def host_resolved(self, query: QueryId, answer: DnsAnswer, *, now: float) -> None:
        self._input("host_resolved", query=query, answer=answer, now=now)

    def media_bound(self, media: MediaId, *, now: float) -> None:
        self._input("media_bound", media=media, now=now)

    def media_failed(self, media: MediaId, error: str, *, now: float) -> None:
        self._input("media_failed", media=media, error=error, now=now)

    def receive_media(self, media: MediaId, batch: DatagramBatch, *, component: Component, now: float) -> None:
        kept: list[tuple[bytes, Address, float]] = [(bytes(data), source, at) for data, source, at in batch]
        self._input("receive_media", media=media, batch=kept, component=component, now=now)

    def media_reported(self, report: LineReport, *, now: float) -> None:
        self._input("media_reported", report=report, now=now)

    def media_lost(self, sinks: Iterable[SinkId], error: str, *, now: float) -> None:
        self._input("media_lost", sinks=tuple(sinks), error=error, now=now)

    def media_closed(self, media: MediaId, *, now: float) -> None:
        self._input("media_closed", media=media, now=now)

    def sink_failed(self, sink: SinkId, error: str, *, now: float) -> None:
        self._input("sink_failed", sink=sink, error=error, now=now)

    def storage_changed(self, *, full: bool, now: float) -> None:
        self._input("storage_changed", full=full, now=now)

    def rendered(self, session: SessionId, *, now: float) -> None:
        self._input("rendered", session=session, now=now)

    def render_failed(self, session: SessionId, error: str, *, now: float) -> None:
        self._input("render_failed", session=session, error=error, now=now)

    def accept(self, session: SessionId, *, now: float) -> None:
        self._input("accept", session=session, now=now)

    def reject(self, session: SessionId, status: int, *, now: float) -> None:
        self._input("reject", session=session, status=status, now=now)

    def end(self, session: SessionId, *, now: float) -> None:
        self._input("end", session=session, now=now)

    def pause(self, session: SessionId, *, now: float) -> None:
        self._input("pause", session=session, now=now)

    def resume(self, session: SessionId, *, now: float) -> None:
        self._input("resume", session=session, now=now)

    def request_snapshot(self, session: SessionId, *, reason: str | None = None, now: float) -> None:
        self._input("request_snapshot", session=session, reason=reason, now=now)

    def mark(self, session: SessionId, text: str, *, now: float) -> None:
        self._input("mark", session=session, text=text, now=now)

    def record(self, target: RecordSpec, *, now: float) -> SessionId:
        self._input("record", target=target, now=now)
        return SessionId("asked")

    def session_ids(self) -> tuple[SessionId, ...]:
        return ()

    def session(self, session: SessionId) -> SessionInfo | None:
        return None

    def tap_audio(self, session: SessionId, label: str | None, *, codecs: Codecs, now: float) -> TapId:
        self._input("tap_audio", session=session, label=label, codecs=codecs, now=now)
        return TapId(f"{session}/{label}")

    def close_tap(self, session: SessionId, tap: TapId, *, now: float) -> None:
        self._input("close_tap", session=session, tap=tap, now=now)

    def shut_down(self, *, drain_seconds: float, now: float) -> None:
        self._input("shut_down", drain_seconds=drain_seconds, now=now)
        self.put(ServerDrained())
