"""Calls over bad networks and of odd clients, over real sockets: every tone stands where it was spoken.

All calls of a worker run side by side. What was sent when is measured where it is sent, so that a busy machine spoils
nothing: a source stands in the recording where its first packet left.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from siprec_core.containers.wav import read_wav
from siprec_core.rtp.packet import RtpPacket
from siprec_core.types import Transport
from tests.contract.conftest import Running
from tests.contract.peer import Peer
from tests.contract.test_scenarios import report_of
from tests.core.recording.calls import LINES, Sent
from tests.core.recording.speech import FRAME, RATE, TOLERANCE, Frame, onsets, speak, spoilt, wanted

SECONDS = 3.4
PERIOD = 1.0
A_LAW = replace(LINES[0], codec="PCMA/8000", payload_type=8)


@dataclass
class Span:
    """What a source sends until it stands in a new relation to the clock."""

    sent: list[Sent]
    tones: list[float]
    """When tones begin, by the clock of the plan."""
    first_sent: float = 0.0
    """When the first packet really left, seconds on the monotonic clock."""
    doubt: float = 0.0
    """How long its leaving took."""

    def due(self, origin: float) -> list[float]:
        return [self.first_sent - origin + at - self.sent[0].seconds for at in self.tones]


@dataclass
class Plan:
    """One call: the spans of its lines, and what its client does besides."""

    lines: list[list[Span]]
    counts: list[tuple[int, int, int, int, int]]
    """Packets received, lost, duplicate, reordered and rejected by line."""
    changes: list[tuple[float, Callable[[Peer], object]]] = field(default_factory=list)


def voice(**options: Any) -> list[Frame]:  # noqa: ANN401 - those of `speak`
    return speak(options.pop("seconds", SECONDS), period=PERIOD, **{"offset": 0.5, **options})


def span(frames: Sequence[Frame], sent: list[Sent] | None = None, *, offset: float = 0.5) -> Span:
    chosen = [frame.sent(LINES[0]) for frame in frames] if sent is None else sent
    return Span(chosen, wanted(frames, offset, PERIOD))


def lossy() -> Plan:
    """5 % loss, 10 % reordering, repetitions; numbers and timestamps wrap."""
    chance = random.Random(3)
    lines, counts = [], []
    for index, line in enumerate(LINES):
        offset = 0.5 + 0.3 * index
        frames = voice(offset=offset, ssrc=index + 1)
        sent, lost, repeated, overtaken = spoilt(frames, line, chance)
        lines.append([span(frames, sent, offset=offset)])
        counts.append((len(frames) - lost, lost, repeated, overtaken, 0))
    return Plan(lines, counts)


def drifting() -> Plan:
    slow, steady = voice(drift=200e-6), voice(ssrc=2)
    return Plan([[span(slow)], [span(steady)]], [(len(frames), 0, 0, 0, 0) for frames in (slow, steady)])


def two_sources() -> Plan:
    """A source changes in the middle, and another one speaks beside."""
    first = voice(seconds=1.8, ssrc=1)
    second = voice(seconds=1.6, begin=1.8, ssrc=2, sequence_number=9, timestamp=77)
    # It is silent, so that the tones of two sources need not be told apart.
    joined = voice(seconds=2.2, begin=1.2, offset=99.0, ssrc=3, sequence_number=40_000, timestamp=1)
    spans = [span(first), span(second), span(joined, offset=99.0)]
    return Plan([spans], [(len(first) + len(second) + len(joined), 0, 0, 0, 0)])


def silence_not_sent() -> Plan:
    frames = voice()
    kept = [frame.sent(LINES[0]) for index, frame in enumerate(frames) if frame.spoken or index < 10]
    # Numbers run on over silence that is not sent, timestamps do not stand still (RFC 3551 section 4.1).
    sent = [
        Sent(each.data[:2] + number.to_bytes(2, "big") + each.data[4:], each.seconds)
        for number, each in enumerate(kept)
    ]
    return Plan([[span(frames, sent)]], [(len(sent), 0, 0, 0, 0)])


def held() -> Plan:
    """A hold of a second during which the timestamps stand still."""
    before = voice(seconds=1.2)
    after = voice(
        seconds=1.1,
        begin=2.3,
        sequence_number=65_400 + len(before),
        timestamp=(0xFFFF_FF00 + len(before) * FRAME) & 0xFFFF_FFFF,
    )
    changes: list[tuple[float, Callable[[Peer], object]]] = [
        (1.21, lambda peer: peer.reoffer(2, peer.sdp(direction="inactive", version_number=2))),
        (2.25, lambda peer: peer.reoffer(3, peer.sdp(version_number=3))),
    ]
    return Plan([[span(before), span(after)]], [(len(before) + len(after), 0, 0, 0, 0)], changes)


def another_codec() -> Plan:
    begin = 1.5
    count = int(begin * RATE / FRAME)
    first = voice(seconds=begin)
    second = voice(
        seconds=SECONDS - begin,
        begin=begin,
        line=A_LAW,
        sequence_number=65_400 + count,
        timestamp=(0xFFFF_FF00 + count * FRAME) & 0xFFFF_FFFF,
    )
    changes: list[tuple[float, Callable[[Peer], object]]] = [
        (begin - 0.001, lambda peer: peer.reoffer(2, peer.sdp(payload_type=8, version_number=2)))
    ]
    return Plan([[span([*first, *second])]], [(len(first) + len(second), 0, 0, 0, 0)], changes)


PLANS = (lossy, drifting, two_sources, silence_not_sent, held, another_codec)


class Speaking(threading.Thread):
    """The client of one call."""

    def __init__(self, peer: Peer, plan: Plan) -> None:
        super().__init__()
        self.peer = peer
        self.plan = plan
        self.call_id = peer.call_id
        self.ports = peer.establish(streams=len(plan.lines))
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._speak()
            assert self.peer.request("BYE", 9).status == 200
        except BaseException as failure:
            self.failure = failure
            raise

    def _speak(self) -> None:
        steps: list[tuple[float, int, Callable[[], object]]] = [
            (at, 0, lambda change=change: change(self.peer))  # type: ignore[misc]
            for at, change in self.plan.changes
        ]
        for port, spans in zip(self.ports, self.plan.lines, strict=True):
            for each in spans:
                steps += [
                    (sent.seconds, 1, lambda sent=sent, each=each, port=port: self._send(sent, each, port))  # type: ignore[misc]
                    for sent in each.sent
                ]
        steps.sort(key=lambda step: step[:2])
        begin = time.monotonic() + 0.05
        for at, _, step in steps:
            time.sleep(max(0.0, begin + at - time.monotonic()))
            step()

    def _send(self, sent: Sent, span: Span, port: int) -> None:
        before = time.monotonic()
        self.peer.media.sendto(sent.data, (self.peer.target.host, port))
        if sent is span.sent[0]:
            span.first_sent, span.doubt = before, time.monotonic() - before

    @property
    def origin(self) -> float:
        return min(span.first_sent for spans in self.plan.lines for span in spans)


def assert_heard(server: Running, directory: str, call: Speaking) -> None:
    """Fail when a tone is elsewhere than it was spoken, or when anything was counted wrong."""
    report = report_of(server, directory)
    names = ("received", "lost", "duplicate", "reordered", "rejected")
    counts = [tuple(stream[f"packets_{name}"] for name in names) for stream in report["streams"]]
    assert counts == call.plan.counts
    for stream, spans in zip(report["streams"], call.plan.lines, strict=True):
        due = sorted(at for span in spans for at in span.due(call.origin))
        doubt = max(span.doubt for span in spans)
        found = onsets(read_wav((server.root / directory / stream["file"]).read_bytes())[1])
        assert len(found) == len(due) > 0
        assert max(abs(each - at) for each, at in zip(found, due, strict=True)) <= TOLERANCE + doubt


@pytest.mark.requirement("3550-5.1-d", "3550-5.1-e", "3550-8.2-b")
def test_impaired_calls_side_by_side(server: Running) -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(server.peer(Transport.UDP)) for _ in PLANS]
        calls = [Speaking(peer, plan()) for peer, plan in zip(peers, PLANS, strict=True)]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
    assert [call.failure for call in calls] == [None] * len(calls)
    directories = {}
    for _ in calls:
        directory = server.ended().directory
        directories[report_of(server, directory)["call_id"]] = directory
    for call in calls:
        assert_heard(server, directories[call.call_id], call)
    assert RtpPacket.parse(calls[0].plan.lines[0][0].sent[-1].data).sequence_number < 65_400
