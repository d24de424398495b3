"""Keys pressed by a recording client, as the server tells them, and as its journal does."""

import json
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.recording.call import DEFAULT_FORMATS, TELEPHONE_EVENT, CallSpec, StreamSpec
from siprec_core.recording.events import DigitReceived, SessionEnded
from siprec_core.recording.policy import ServerConfig
from siprec_core.sip.transport import Hop
from siprec_core.types import Transport
from tests.core.harness import CLIENT, SERVER, Pair, Wire
from tests.core.messages import request
from tests.core.recording.calls import rendered
from tests.core.test_server import TONE, establish


def call(pair: Pair, *, events: bool = True) -> None:
    formats = (*DEFAULT_FORMATS, TELEPHONE_EVENT) if events else DEFAULT_FORMATS
    spec = CallSpec(
        uri=f"sip:recorder@{SERVER.host}:{SERVER.port}",
        hop=Hop(Transport.UDP, SERVER),
        local=CLIENT,
        streams=(
            StreamSpec(label="a", aor="sip:a@example.com", formats=formats),
            StreamSpec(label="b", aor="sip:b@example.com", formats=formats),
        ),
    )
    pair.caller.start(spec, now=pair.now)
    pair.run(0.1)


def end(pair: Pair) -> dict[str, Any]:
    """End the call and render its journal."""
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    (ended,) = pair.server.of(SessionEnded)
    journal = pair.server.files[f"{ended.directory}/journal.pcapng"]
    report: dict[str, Any] = json.loads(rendered(journal)["recording.json"])
    return report


@pytest.mark.requirement("4733-2.5.2-a", "4733-2.4.1-a")
@pytest.mark.parametrize(
    "wire", [Wire(), Wire(media_loss=0.3, seed=4), Wire(duplicate=0.5, jitter=0.03)], ids=["good", "losing", "shaky"]
)
def test_each_press_is_told_once_and_found_in_the_journal(wire: Wire) -> None:
    pair = Pair(wire=wire)
    call(pair)
    pair.caller.send_audio("a", TONE * 3, now=pair.now)
    pair.caller.send_digits("a", "1123#", now=pair.now)
    pair.run(4.0)
    (session,) = pair.recorder.sessions()
    told = pair.server.of(DigitReceived)
    assert [(event.session, event.label, event.digit) for event in told] == [(session, "a", each) for each in "1123#"]
    gaps = [(later.at_ns - earlier.at_ns) / 1e9 for earlier, later in pairwise(told)]
    assert all(gap == pytest.approx(0.18, abs=0.04) for gap in gaps)
    report = end(pair)
    first, second = report["streams"]
    assert [each["digit"] for each in first["dtmf"]] == list("1123#")
    assert second["dtmf"] == []
    for event, each in zip(told, first["dtmf"], strict=True):
        at = datetime.fromisoformat(each["at"])
        assert at.timestamp() == pytest.approx(event.at_ns / 1e9, abs=1e-5)
        assert 0.04 <= each["duration"] <= 0.1
    entries = [each for each in report["timeline"] if each["event"] == "dtmf"]
    assert [(each["digit"], each["label"], each["source"]) for each in entries] == [(d, "a", "rtp") for d in "1123#"]
    assert [(each["at"], each["duration"]) for each in entries] == [
        (each["at"], each["duration"]) for each in first["dtmf"]
    ]


@pytest.mark.requirement("4733-x-a")
def test_presses_are_silence_in_the_audio_and_move_nothing() -> None:
    pair = Pair()
    call(pair)
    pair.caller.send_audio("a", b"\x40\x1f" * 8000, now=pair.now)
    pair.run(0.5)
    pair.caller.send_digits("a", "5", now=pair.now)
    pair.run(1.0)
    report = end(pair)
    stream = report["streams"][0]
    assert stream["duration"] == pytest.approx(1.0)
    assert stream["silence"] == pytest.approx(0.14), "seven packets of one press"
    assert stream["packets_lost"] == 0


MASKING = ServerConfig(mask_digits=True)


@pytest.mark.requirement("4733-x-a")
def test_masked_digits_are_nowhere() -> None:
    """Which keys were pressed makes no difference: no file and no event tells."""
    files, told = [], []
    for digits in ("123", "9#A"):
        pair = Pair(config=MASKING)
        call(pair)
        pair.caller.send_audio("a", TONE, now=pair.now)
        pair.caller.send_digits("a", digits, now=pair.now)
        pair.run(1.0)
        report = end(pair)
        assert [each["digit"] for each in report["streams"][0]["dtmf"]] == ["*"] * 3
        assert [each["event"] for each in report["timeline"]].count("digits-masked") == 1
        files.append(pair.server.files)
        told.append([event.digit for event in pair.server.of(DigitReceived)])
    assert files[0] == files[1]
    assert told == [["*"] * 3] * 2


@pytest.mark.requirement("4733-x-a")
def test_masked_digits_of_info_are_nowhere() -> None:
    files = []
    for signal in ("7", "A"):
        pair = Pair(config=MASKING)
        to_tag = establish(pair)
        body = f"Signal={signal}\r\nDuration=90"
        pair.inject(request("INFO", cseq=2, to_tag=to_tag, body=body, content_type="application/dtmf-relay"))
        pair.inject(request("BYE", cseq=3, to_tag=to_tag))
        pair.run(1.0)
        (event,) = pair.server.of(DigitReceived)
        assert event.digit == "*"
        (ended,) = pair.server.of(SessionEnded)
        report = json.loads(rendered(pair.server.files[f"{ended.directory}/journal.pcapng"])["recording.json"])
        assert [each["digit"] for each in report["timeline"] if each["event"] == "dtmf"] == ["*"]
        files.append(pair.server.files)
    assert files[0] == files[1]


def test_a_digit_by_info_is_told_too() -> None:
    pair = Pair()
    to_tag = establish(pair)
    body, kind = "Signal=7\r\nDuration=90", "application/dtmf-relay"
    pair.inject(request("INFO", cseq=2, to_tag=to_tag, body=body, content_type=kind))
    assert [(event.label, event.digit) for event in pair.server.of(DigitReceived)] == [(None, "7")]


def test_digits_need_telephone_events() -> None:
    pair = Pair()
    call(pair, events=False)
    with pytest.raises(LocalProtocolError, match="no telephone events"):
        pair.caller.send_digits("a", "1", now=pair.now)
    with pytest.raises(LocalProtocolError, match="takes no audio"):
        pair.caller.send_digits("x", "1", now=pair.now)


def test_digits_of_a_held_stream_are_dropped() -> None:
    pair = Pair()
    call(pair)
    pair.caller.pause("a", now=pair.now)
    pair.caller.send_digits("a", "1", now=pair.now)
    pair.run(1.0)
    assert pair.server.of(DigitReceived) == []
