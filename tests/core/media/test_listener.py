"""Frames out of the packets of one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec.tones import tone, tone_share
from siprec_core.codecs.g711 import encode_mu_law
from siprec_core.codecs.registry import BUILT_IN
from siprec_core.limits import Limits
from siprec_core.media.listener import AudioFrame, LineListener
from siprec_core.rtp.packet import RtpPacket
from siprec_core.rtp.payload import PayloadFormat
from tests.core.media.lines import FORMATS

EPOCH = 1_700_000_000_000_000_000
CODED = encode_mu_law(tone(440, 2.0, 8_000))


def listener(limits: Limits | None = None) -> LineListener:
    made = LineListener("1", codecs=BUILT_IN, limits=limits or Limits())
    made.agree({entry.payload_type: entry for entry in (*FORMATS, PayloadFormat(13, "CN", 8000))})
    return made


def packet(number: int, *, ssrc: int = 1, payload_type: int = 0, timestamp: int | None = None) -> bytes:
    at = number * 160 if timestamp is None else timestamp
    payload = CODED[number * 160 % 16_000 :][:160]
    return RtpPacket(payload_type, number & 0xFFFF, at & 0xFFFF_FFFF, ssrc, payload).to_bytes()


def hear(made: LineListener, data: bytes, at: float) -> list[AudioFrame]:
    made.receive(data, at_ns=EPOCH + round(at * 1e9), arrival=at)
    return made.take(now=at)


def test_each_packet_is_a_frame_with_its_instant() -> None:
    made = listener()
    made.participants = ("alice",)
    frames = [frame for number in range(10) for frame in hear(made, packet(number), number * 0.02 + number % 3 / 1000)]
    assert [(frame.at_ns - EPOCH) / 1e6 for frame in frames] == [20.0 * number for number in range(10)]
    assert {(f.sample_rate, f.label, f.participants, f.ssrc, f.concealed) for f in frames} == {
        (8_000, "1", ("alice",), 1, False)
    }
    assert frames[0].duration == 0.02
    assert tone_share(b"".join(frame.pcm for frame in frames), 440, 8_000) > 0.98


def test_a_lost_packet_is_made_up() -> None:
    made = listener()
    frames = [frame for number in (0, 1, 2, 4) for frame in hear(made, packet(number), number * 0.02)]
    assert len(frames) == 3, "the gap is waited for"
    due = made.next_timeout()
    assert due == pytest.approx(0.1)
    frames += made.take(now=0.2)
    assert [frame.concealed for frame in frames] == [False, False, False, True, False]
    assert [(frame.at_ns - EPOCH) / 1e6 for frame in frames] == [0, 20, 40, 60, 80]
    assert tone_share(b"".join(frame.pcm for frame in frames), 440, 8_000) > 0.95


def test_a_silence_is_a_gap_between_instants() -> None:
    made = listener()
    frames = hear(made, packet(0), 0.0)
    frames += hear(made, packet(1, timestamp=160 + 8_000), 1.02)
    assert [(frame.at_ns - EPOCH) / 1e6 for frame in frames] == [0, 1_020]
    assert not any(frame.concealed for frame in frames)


def test_a_long_loss_is_a_gap_too() -> None:
    made = listener()
    frames = hear(made, packet(0), 0.0) + hear(made, packet(20), 0.4) + made.take(now=1.0)
    assert [(frame.at_ns - EPOCH) / 1e6 for frame in frames] == [0, 400]


def test_timestamps_that_cannot_be_true_are_not_believed() -> None:
    made = listener()
    frames = hear(made, packet(0), 0.0) + hear(made, packet(1, timestamp=99_999_999), 0.02)
    assert [(frame.at_ns - EPOCH) / 1e6 for frame in frames] == [0, 20]


@pytest.mark.requirement("4733-x-a", "3389-4-a")
def test_events_and_comfort_noise_are_no_audio_and_no_loss() -> None:
    made = listener()
    frames = [
        frame
        for number, payload_type in enumerate((0, 101, 13, 77, 0))
        for frame in hear(made, packet(number, payload_type=payload_type), number * 0.02)
    ]
    assert [(frame.at_ns - EPOCH) / 1e6 for frame in frames] == [0, 80]
    assert made.next_timeout() is None


def test_sources_are_apart_and_bounded() -> None:
    made = listener(Limits(ssrcs_per_line=3))
    frames = [frame for ssrc in range(10) for frame in hear(made, packet(ssrc * 7, ssrc=ssrc), 0.0)]
    assert [frame.ssrc for frame in frames] == list(range(10))


@given(st.lists(st.tuples(st.binary(max_size=40), st.floats(0, 5)), max_size=40))
def test_anything_may_come(datagrams: list[tuple[bytes, float]]) -> None:
    made = listener()
    for data, at in datagrams:
        for frame in hear(made, b"\x80" + data, at):
            assert len(frame.pcm) % 2 == 0
    made.take(now=1e6)
    assert made.next_timeout() is None
