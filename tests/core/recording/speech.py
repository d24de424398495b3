"""Speakers whose tones tell where they were spoken, and networks that spoil what they send."""

import math
import random
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from siprec_core.codecs.registry import encoder_for
from siprec_core.rtp.packet import RtpPacket
from siprec_core.types import Address
from tests.core.recording.calls import CLIENT, LINES, Line, Sent

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
    period: float = PERIOD,
) -> list[Frame]:
    """Speak a tone every `period` seconds from `offset` on, by a clock that is slow by `drift`."""
    name, rate = line.codec.split("/")
    encoder = encoder_for(name, int(rate), 1)
    assert encoder is not None
    quiet = encoder.encode(QUIET)
    frames = []
    was = False
    for index in range(int(seconds * RATE / FRAME)):
        at = begin + index * FRAME / RATE * (1 + drift)
        times = [at + n / RATE * (1 + drift) for n in range(FRAME)]
        voiced = [(time - offset) % period < TONE_SECONDS and time >= offset for time in (times[0], times[-1])]
        payload = quiet
        if any(voiced):
            spoken = [(time - offset) % period < TONE_SECONDS and time >= offset for time in times]
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


def wanted(frames: Iterable[Frame], offset: float = 2.0, period: float = PERIOD) -> list[float]:
    """Give when the tones began whose first packet is among `frames`."""
    firsts = sorted(frame.seconds for frame in frames if frame.first)
    return [offset + period * round((at - offset) / period) for at in firsts]


def assert_in_place(pcm: bytes, expected: Sequence[float]) -> None:
    found = onsets(pcm)
    assert len(found) == len(expected)
    assert max(abs(each - due) for each, due in zip(found, expected, strict=True)) <= TOLERANCE


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
