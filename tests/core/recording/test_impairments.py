"""Calls over bad networks, from bad clocks and of odd clients: every tone stands where it was spoken."""

import json
import math
import random
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from siprec_core.codecs.registry import encoder_for
from siprec_core.containers.wav import read_wav
from siprec_core.rtp.packet import RtpPacket
from siprec_core.types import Address
from tests.core.recording.calls import CLIENT, LINES, Line, Recorded, Sent, rendered

RATE = 8_000
FRAME = 160
PERIOD = 5.0
"""Seconds between tones."""
TONE_SECONDS = 0.2
TOLERANCE = 0.010
QUIET = array("h", bytes(2 * FRAME)).tobytes()


@dataclass(frozen=True)
class Frame:
    """A packet of a speaker."""

    packet: RtpPacket
    seconds: float
    """When it was sent, from the answer."""
    spoken: bool
    """It holds some of a tone."""
    first: bool
    """A tone begins in it."""

    def sent(self, line: Line, late: float = 0.0) -> Sent:
        return Sent(self.packet.to_bytes(), self.seconds + late, Address(CLIENT, line.port))


def speak(
    seconds: float,
    *,
    begin: float = 0.0,
    offset: float = 2.0,
    drift: float = 0.0,
    ssrc: int = 0x11,
    sequence_number: int = 65_400,
    timestamp: int = 0xFFFF_FF00,
    line: Line = LINES[0],
) -> list[Frame]:
    """Speak a tone every `PERIOD` seconds from `offset` on, by a clock that is slow by `drift`."""
    name, rate = line.codec.split("/")
    encoder = encoder_for(name, int(rate), 1)
    assert encoder is not None
    quiet = encoder.encode(QUIET)
    frames = []
    was = False
    for index in range(int(seconds * RATE / FRAME)):
        at = begin + index * FRAME / RATE * (1 + drift)
        times = [at + n / RATE * (1 + drift) for n in range(FRAME)]
        voiced = [(time - offset) % PERIOD < TONE_SECONDS and time >= offset for time in (times[0], times[-1])]
        payload = quiet
        if any(voiced):
            spoken = [(time - offset) % PERIOD < TONE_SECONDS and time >= offset for time in times]
            samples = [
                round(9_000 * math.cos(2 * math.pi * 1_000 * time)) if on else 0
                for time, on in zip(times, spoken, strict=True)
            ]
            payload = encoder.encode(array("h", samples).tobytes())
        packet = RtpPacket(
            line.payload_type,
            (sequence_number + index) & 0xFFFF,
            (timestamp + index * FRAME) & 0xFFFF_FFFF,
            ssrc,
            payload,
        )
        frames.append(Frame(packet, at, any(voiced), any(voiced) and not was))
        was = any(voiced)
    return frames


def onsets(pcm: bytes) -> list[float]:
    """Give where tones begin: the first loud sample after half a second without one."""
    found: list[float] = []
    last = -RATE
    for place, sample in enumerate(array("h", pcm)):
        if abs(sample) > 3_000:
            if place - last > RATE // 2:
                found.append(place / RATE)
            last = place
    return found


def wanted(frames: Iterable[Frame], offset: float = 2.0) -> list[float]:
    """Give when the tones began whose first packet is among `frames`."""
    firsts = sorted(frame.seconds for frame in frames if frame.first)
    return [offset + PERIOD * round((at - offset) / PERIOD) for at in firsts]


def assert_in_place(pcm: bytes, expected: Sequence[float]) -> None:
    found = onsets(pcm)
    assert len(found) == len(expected)
    assert max(abs(each - due) for each, due in zip(found, expected, strict=True)) <= TOLERANCE


def heard(call: Recorded, voices: Sequence[Sequence[Sent]], seconds: float) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Record voices side by side, end the call, render it, twice with the same result."""
    for first in range(0, int(seconds) + 1, 5):
        for line, sent in enumerate(voices):
            call.media(line, [each for each in sent if first <= each.seconds < first + 5], batch=250)
    files = rendered(call.bye(seconds).journal)
    assert files == rendered(call.journal, size=7_001)
    return files, json.loads(files["recording.json"])


def pcm_of(files: dict[str, bytes], name: str) -> bytes:
    return read_wav(files[name])[1]


def spoilt(frames: Sequence[Frame], line: Line, chance: random.Random) -> tuple[list[Sent], int, int, int]:
    """Lose 5 % of packets, delay 10 %, repeat 2 %; give what arrives, and how many were lost, repeated, overtaken."""
    arriving: list[tuple[Sent, int]] = []
    lost = repeated = 0
    for index, frame in enumerate(frames):
        if not frame.first and 5 < index < len(frames) - 5 and chance.random() < 0.05:
            lost += 1
            continue
        late = chance.uniform(0.025, 0.09) if index > 5 and chance.random() < 0.10 else 0.0
        arriving.append((frame.sent(line, late), index))
        if chance.random() < 0.02 and index > 5:
            repeated += 1
            arriving.append((frame.sent(line, late + 0.001), index))
    arriving.sort(key=lambda each: each[0].seconds)
    newest, overtaken = -1, 0
    seen: set[int] = set()
    for _, index in arriving:
        overtaken += index < newest and index not in seen
        newest = max(newest, index)
        seen.add(index)
    return [each for each, _ in arriving], lost, repeated, overtaken


def test_loss_reordering_and_repetition() -> None:
    chance = random.Random(3)
    voices: list[list[Sent]] = []
    counts = []
    due: list[list[float]] = []
    for line in LINES:
        frames = speak(40.0, offset=2.0 + len(voices), line=line, ssrc=len(voices) + 1)
        sent, lost, repeated, overtaken = spoilt(frames, line, chance)
        voices.append(sent)
        counts.append((len(frames) - lost, lost, repeated, overtaken, 0))
        due.append(wanted(frames, 2.0 + len(due)))
    files, report = heard(Recorded().invite(), voices, 40.0)
    names = ("received", "lost", "duplicate", "reordered", "rejected")
    assert [tuple(stream[f"packets_{name}"] for name in names) for stream in report["streams"]] == counts
    for name, expected in zip(("1.wav", "2.wav"), due, strict=True):
        assert_in_place(pcm_of(files, name), expected)


@pytest.mark.parametrize("drift", [200e-6, -200e-6])
def test_a_drifting_clock_stays_beside_the_other(drift: float) -> None:
    seconds = 200.0
    frames = speak(seconds, drift=drift)
    steady = speak(seconds, line=LINES[1], ssrc=2)
    chance = random.Random(5)
    voices = [
        [each.sent(line, chance.uniform(0, 0.004) if index else 0.0) for index, each in enumerate(voice)]
        for voice, line in ((frames, LINES[0]), (steady, LINES[1]))
    ]
    for voice in voices:
        voice.sort(key=lambda each: each.seconds)
    files, report = heard(Recorded().invite(), voices, seconds)
    # Without correction the last tone of the first speaker stood 39 ms from its place.
    assert_in_place(pcm_of(files, "1.wav"), wanted(frames))
    assert_in_place(pcm_of(files, "2.wav"), wanted(steady))
    assert len(files["1.wav"]) == len(files["2.wav"])
    assert [stream["packets_lost"] for stream in report["streams"]] == [0, 0]


def test_silence_that_is_not_sent_keeps_its_time() -> None:
    frames = speak(60.0)
    sent = [frame.sent(LINES[0]) for index, frame in enumerate(frames) if frame.spoken or index < 10]
    # Numbers run on over silence that is not sent, timestamps do not stand still (RFC 3551 section 4.1).
    numbered = [
        Sent(RtpPacket.parse(each.data).to_bytes()[:2] + number.to_bytes(2, "big") + each.data[4:], each.seconds)
        for number, each in enumerate(sent)
    ]
    files, report = heard(Recorded().invite(LINES[:1]), [numbered], 60.0)
    assert_in_place(pcm_of(files, "1.wav"), wanted(frames))
    stream = report["streams"][0]
    assert (stream["packets_received"], stream["packets_lost"]) == (len(sent), 0)
    assert stream["silence"] > 40.0


def test_a_source_that_changes_and_one_that_joins() -> None:
    first = speak(20.0, ssrc=1)
    second = speak(20.0, begin=20.0, ssrc=2, sequence_number=9, timestamp=77)
    joined = speak(15.0, begin=25.0, offset=4.5, ssrc=3, sequence_number=40_000, timestamp=1)
    sent = sorted(
        (frame.sent(LINES[0]) for frame in (*first, *second, *joined)),
        key=lambda each: each.seconds,
    )
    files, report = heard(Recorded().invite(LINES[:1]), [sent], 40.0)
    due = sorted(wanted([*first, *second]) + wanted(joined, 4.5))
    assert_in_place(pcm_of(files, "1.wav"), due)
    stream = report["streams"][0]
    assert stream["ssrcs"] == [1, 2, 3]
    assert (stream["packets_received"], stream["packets_lost"], stream["packets_rejected"]) == (2_750, 0, 0)


@pytest.mark.parametrize("still", [True, False])
def test_a_hold_keeps_its_time_whatever_the_clock_did(still: bool) -> None:
    before = speak(15.0)
    clock = len(before) * FRAME if still else round(25.0 * RATE)
    after = speak(15.0, begin=25.0, sequence_number=65_400 + len(before), timestamp=(0xFFFF_FF00 + clock) & 0xFFFF_FFFF)
    held = [Line("1", 40_000, direction="inactive")]
    call = Recorded().invite(LINES[:1])
    call.media(0, [frame.sent(LINES[0]) for frame in before], batch=250)
    call.offer(held, 15.1).offer(LINES[:1], 24.9)
    call.media(0, [frame.sent(LINES[0]) for frame in after], batch=250)
    files = rendered(call.bye(40.0).journal)
    assert_in_place(pcm_of(files, "1.wav"), wanted([*before, *after]))


def test_a_codec_that_changes_within_a_stream() -> None:
    a_law = Line("1", 40_000, "PCMA/8000", 8)
    first = speak(12.0)
    second = speak(
        18.0,
        begin=12.0,
        line=a_law,
        sequence_number=65_400 + len(first),
        timestamp=(0xFFFF_FF00 + len(first) * FRAME) & 0xFFFF_FFFF,
    )
    call = Recorded().invite(LINES[:1])
    call.media(0, [frame.sent(LINES[0]) for frame in first], batch=250)
    call.offer([a_law], 12.0)
    call.media(0, [frame.sent(a_law) for frame in second], batch=250)
    files = rendered(call.bye(30.0).journal)
    assert_in_place(pcm_of(files, "1.wav"), wanted([*first, *second]))
    assert json.loads(files["recording.json"])["streams"][0]["packets_lost"] == 0
