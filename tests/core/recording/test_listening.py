"""Taps: what is heard of a session while it is recorded, over the whole server."""

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.media.listener import AudioFrame
from siprec_core.recording.commands import DeliverAudio, EndAudio
from siprec_core.recording.policy import ServerConfig
from siprec_core.types import SessionId, TapId
from tests.core.harness import Pair, Wire
from tests.core.test_server import TONE


def established(pair: Pair) -> SessionId:
    pair.call("1", "2")
    pair.run(0.1)
    (session,) = pair.recorder.sessions()
    return session


def frames(pair: Pair, tap: TapId) -> list[AudioFrame]:
    return [frame for each in pair.server.of(DeliverAudio) if each.tap == tap for frame in each.frames]


def test_each_tap_hears_what_it_wants_with_who_speaks() -> None:
    pair = Pair()
    session = established(pair)
    everything = pair.recorder.tap_audio(session, now=pair.now)
    second = pair.recorder.tap_audio(session, "2", now=pair.now)
    for label in ("1", "2"):
        pair.caller.send_audio(label, TONE, now=pair.now)
    pair.run(2.0)
    assert len(frames(pair, everything)) == 100
    assert [frame.label for frame in frames(pair, second)] == ["2"] * 50
    heard = {frame.label: frame.participants for frame in frames(pair, everything)}
    senders = {
        record.participant.aors[0]: record.participant.participant_id
        for record in pair.recorder._sessions[session].account.metadata.participants
    }
    assert heard == {"1": (senders["sip:1@example.com"],), "2": (senders["sip:2@example.com"],)}
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    assert {each.tap for each in pair.server.of(EndAudio)} == {everything, second}


def test_what_the_network_does_is_made_good() -> None:
    pair = Pair(wire=Wire(media_loss=0.1, jitter=0.03, seed=3))
    session = established(pair)
    tap = pair.recorder.tap_audio(session, "1", now=pair.now)
    pair.caller.send_audio("1", TONE * 4, now=pair.now)
    pair.run(6.0)
    heard = frames(pair, tap)
    assert any(frame.concealed for frame in heard)
    starts = [frame.at_ns for frame in heard]
    assert starts == sorted(set(starts))
    gaps = [
        later.at_ns - earlier.at_ns - round(earlier.duration * 1e9)
        for earlier, later in zip(heard, heard[1:], strict=False)  # noqa: RUF007 - neighbours
    ]
    assert gaps.count(0) > 0.97 * len(gaps)
    assert all(pair_gap >= 0 for pair_gap in gaps)


def test_nothing_is_decoded_for_who_does_not_listen() -> None:
    pair = Pair()
    session = established(pair)
    tap = pair.recorder.tap_audio(session, "2", now=pair.now)
    listening = pair.recorder._sessions[session]._listening
    pair.caller.send_audio("1", TONE, now=pair.now)
    pair.run(2.0)
    assert listening._lines == {}
    pair.caller.send_audio("2", TONE, now=pair.now)
    pair.run(0.5)
    assert list(listening._lines) == [1]
    pair.recorder.close_tap(session, tap, now=pair.now)
    pair.recorder.close_tap(session, tap, now=pair.now)
    before = len(frames(pair, tap))
    pair.run(1.0)
    assert len(frames(pair, tap)) == before
    assert not listening.active
    assert listening._lines == {}


def test_taps_need_a_stream_of_an_active_session_and_are_bounded() -> None:
    pair = Pair(config=ServerConfig(limits=Limits(taps=2)))
    with pytest.raises(LocalProtocolError, match="no such session"):
        pair.recorder.tap_audio(SessionId("none"), now=pair.now)
    pair.recorder.close_tap(SessionId("none"), TapId("none"), now=pair.now)
    session = established(pair)
    with pytest.raises(LocalProtocolError, match="no stream"):
        pair.recorder.tap_audio(session, "3", now=pair.now)
    taps = {pair.recorder.tap_audio(session, now=pair.now) for _ in range(2)}
    assert len(taps) == 2
    with pytest.raises(LocalProtocolError, match="2 taps"):
        pair.recorder.tap_audio(session, now=pair.now)
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    with pytest.raises(LocalProtocolError):
        pair.recorder.tap_audio(session, now=pair.now)


def test_listening_changes_nothing_of_the_recording() -> None:
    journals = []
    for listens in (False, True):
        pair = Pair(wire=Wire(media_loss=0.1, jitter=0.03, seed=5))
        session = established(pair)
        if listens:
            pair.recorder.tap_audio(session, now=pair.now)
        pair.caller.send_audio("1", TONE, now=pair.now)
        pair.run(3.0)
        pair.caller.stop(now=pair.now)
        pair.run(1.0)
        journals.append(b"".join(data for name, data in pair.server.files.items() if name.endswith("pcapng")))
    assert journals[0] == journals[1]
