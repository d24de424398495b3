"""Calls over bad networks, from bad clocks and of odd clients: every tone stands where it was spoken."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from siprec_core.containers.wav import read_wav
from siprec_core.rtp.packet import RtpPacket
from tests.core.recording.calls import LINES, Line, Recorded, Sent, rendered
from tests.core.recording.speech import FRAME, RATE, assert_in_place, speak, spoilt, wanted


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


@pytest.mark.requirement("7866-8.2.1-e")
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


@pytest.mark.requirement("7866-8.1.3-a")
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
