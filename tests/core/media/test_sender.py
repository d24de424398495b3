import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.codecs.registry import Codecs, encoder_for
from siprec_core.errors import LocalProtocolError
from siprec_core.media.sender import RtpSender
from siprec_core.rtp.packet import RtpPacket
from siprec_core.rtp.payload import PayloadFormat
from siprec_core.types import Component, MediaId
from tests.core.media.lines import ANNOUNCED

PCMU = PayloadFormat(0, "PCMU", 8000)
FRAME = bytes(320)
"""20 ms of silence at 8,000 Hz."""


def _sender(
    payload_format: PayloadFormat = PCMU, *, sequence_number: int = 100, timestamp: int = 5000, ptime: int = 20
) -> RtpSender:
    return RtpSender(
        MediaId(3),
        payload_format,
        to=ANNOUNCED,
        ssrc=77,
        sequence_number=sequence_number,
        timestamp=timestamp,
        ptime=ptime,
    )


def _sent(sender: RtpSender) -> list[RtpPacket]:
    packets = []
    while (command := sender.poll_output()) is not None:
        assert (command.media, command.component, command.to) == (3, Component.RTP, ANNOUNCED)
        packets.append(RtpPacket.parse(command.data))
    return packets


def _play(sender: RtpSender) -> list[tuple[float, RtpPacket]]:
    """Wake up exactly at each deadline until nothing waits."""
    played = []
    while (deadline := sender.next_timeout()) is not None:
        sender.handle_timeout(now=deadline)
        played += [(deadline, packet) for packet in _sent(sender)]
    return played


def test_packets_leave_every_ptime() -> None:
    sender = _sender()
    sender.add(FRAME * 50, now=10.0)
    first = _sent(sender)
    assert [(packet.sequence_number, packet.timestamp, packet.marker) for packet in first] == [(100, 5000, True)]
    assert sender.queued_seconds == pytest.approx(0.98)
    played = _play(sender)
    assert [at for at, _ in played] == [10.0 + slot * 0.02 for slot in range(1, 50)]
    packets = [packet for _, packet in played]
    assert [packet.sequence_number for packet in packets] == list(range(101, 150))
    assert [packet.timestamp for packet in packets] == [5000 + 160 * slot for slot in range(1, 50)]
    assert not any(packet.marker for packet in packets)
    assert {(packet.ssrc, packet.payload_type, len(packet.payload)) for packet in packets} == {(77, 0, 160)}
    assert (sender.packets_sent, sender.payload_size_sent) == (50, 8000)


def test_a_late_wake_up_sends_all_that_is_due_and_the_grid_stays() -> None:
    sender = _sender()
    sender.add(FRAME * 10, now=0.0)
    _sent(sender)
    sender.handle_timeout(now=0.07)
    assert [packet.sequence_number for packet in _sent(sender)] == [101, 102, 103]
    assert sender.next_timeout() == 4 * 0.02


def test_early_and_repeated_wake_ups_do_nothing() -> None:
    sender = _sender()
    sender.handle_timeout(now=0.0)
    sender.add(FRAME * 2, now=0.0)
    _sent(sender)
    sender.handle_timeout(now=0.019)
    sender.handle_timeout(now=0.019)
    assert _sent(sender) == []
    sender.handle_timeout(now=0.02)
    sender.handle_timeout(now=0.02)
    assert len(_sent(sender)) == 1
    assert sender.next_timeout() is None


@pytest.mark.requirement("3551-4.1-a")
def test_the_timestamp_runs_on_through_silence() -> None:
    sender = _sender()
    sender.add(FRAME * 2, now=0.0)
    _play(sender)
    _sent(sender)
    sender.add(FRAME, now=1.005)
    assert sender.next_timeout() == pytest.approx(1.02)
    ((_, packet),) = _play(sender)
    assert (packet.sequence_number, packet.timestamp, packet.marker) == (102, 5000 + 51 * 160, True)


@pytest.mark.requirement("3551-4.1-a")
def test_audio_that_is_a_little_late_continues_the_talk_spurt() -> None:
    sender = _sender()
    packets = []
    for step in range(50):
        sender.add(FRAME, now=step * 0.02 + (0.015 if step % 2 else 0.001))
        packets += _sent(sender)
    packets += [packet for _, packet in _play(sender)]
    assert [packet.timestamp for packet in packets] == [5000 + 160 * slot for slot in range(50)]
    assert [packet.marker for packet in packets] == [True] + [False] * 49


def test_numbers_and_timestamps_wrap() -> None:
    sender = _sender(sequence_number=0xFFFF, timestamp=0xFFFF_FFFF)
    sender.add(FRAME * 2, now=0.0)
    _, second = [*_sent(sender), *(packet for _, packet in _play(sender))]
    assert (second.sequence_number, second.timestamp) == (0, 159)


def test_finish_fills_the_last_packet_with_silence() -> None:
    sender = _sender()
    sender.add(b"\x10\x10" * 200, now=0.0)
    finished = [sender.finished]
    sender.finish(now=0.001)
    finished.append(sender.finished)
    _, last = [*_sent(sender), *(packet for _, packet in _play(sender))]
    encoder = encoder_for("PCMU", 8000, 1)
    assert encoder is not None
    assert last.payload == encoder.encode(b"\x10\x10" * 40 + bytes(240))
    assert [*finished, sender.finished] == [False, False, True]
    sender.finish(now=1.0)
    with pytest.raises(LocalProtocolError):
        sender.add(FRAME, now=1.0)


def test_finish_without_audio_is_finished() -> None:
    sender = _sender()
    sender.finish(now=0.0)
    assert sender.finished
    assert sender.next_timeout() is None


@given(st.binary(max_size=2000), st.lists(st.integers(0, 700), max_size=6), st.sampled_from(["PCMU", "PCMA", "L16"]))
def test_any_split_of_the_audio_sends_the_same(pcm: bytes, cuts: list[int], encoding: str) -> None:
    payload_format = PayloadFormat(96, encoding, 8000)
    whole, split = _sender(payload_format), _sender(payload_format)
    whole.add(pcm, now=0.0)
    start = 0
    for cut in sorted(cuts):
        split.add(memoryview(pcm)[start:cut], now=0.0)
        start = max(start, min(cut, len(pcm)))
    split.add(pcm[start:], now=0.0)
    for sender in (whole, split):
        sender.finish(now=0.0)
        sender.handle_timeout(now=60.0)
    packets = _sent(whole)
    assert _sent(split) == packets
    encoder = encoder_for(encoding, 8000, 1)
    assert encoder is not None
    padded = pcm + bytes(-len(pcm) % 320)
    assert b"".join(packet.payload for packet in packets) == encoder.encode(padded)


@pytest.mark.parametrize(
    ("payload_format", "wish", "ptime"),
    [
        (PCMU, 30, 30),
        (PCMU, 0, 20),
        (PCMU, -20, 20),
        (PCMU, 201, 20),
        (PCMU, 10**9, 20),
        (PayloadFormat(11, "L16", 44_100), 1, 20),
        (PayloadFormat(96, "L16", 11_025), 7, 40),
    ],
)
def test_a_packet_time_that_cannot_be_kept_gives_way(payload_format: PayloadFormat, wish: int, ptime: int) -> None:
    sender = _sender(payload_format, ptime=wish)
    assert sender.ptime == ptime
    sender.add(bytes(sender.sample_rate * 2), now=0.0)
    _sent(sender)
    _, packet = _play(sender)[0]
    assert packet.timestamp == 5000 + payload_format.clock_rate * ptime // 1000


@pytest.mark.requirement("3551-4.2-a")
def test_packets_have_20_ms_unless_something_else_is_wished() -> None:
    for rate, samples in ((8_000, 160), (16_000, 320)):
        wanted = PayloadFormat(96, "L16", rate)
        sender = RtpSender(MediaId(3), wanted, to=ANNOUNCED, ssrc=77, sequence_number=100, timestamp=0)
        sender.add(bytes(rate), now=0.0)
        assert {len(packet.payload) for packet in _sent(sender) + [each for _, each in _play(sender)]} == {2 * samples}


@pytest.mark.parametrize("payload_format", [PayloadFormat(18, "G729", 8000), PayloadFormat(96, "L16", 8001)])
def test_what_cannot_be_sent_is_refused(payload_format: PayloadFormat) -> None:
    with pytest.raises(LocalProtocolError):
        _sender(payload_format)


# key presses


def _with_keys() -> RtpSender:
    return RtpSender(
        MediaId(3), PCMU, to=ANNOUNCED, ssrc=77, sequence_number=100, timestamp=5000, ptime=20, event_type=101
    )


@pytest.mark.requirement("4733-2.3-a")
def test_keys_take_the_place_of_audio_and_time_goes_on() -> None:
    sender = _with_keys()
    sender.add(FRAME * 20, now=0.0)
    first = _sent(sender)
    sender.press("1", now=0.0)
    packets = first + [packet for _, packet in _play(sender)]
    assert [packet.sequence_number for packet in packets] == list(range(100, 120))
    assert [packet.payload_type for packet in packets] == [0] + 7 * [101] + 12 * [0]
    assert {packet.timestamp for packet in packets[1:8]} == {5160}
    assert [packet.timestamp for packet in packets[8:]] == [5000 + 160 * slot for slot in range(8, 20)]
    assert [packet.marker for packet in packets[:3]] == [True, True, False]


def test_keys_need_no_audio() -> None:
    sender = _with_keys()
    sender.press("12", now=1.0)
    packets = [(1.0, packet) for packet in _sent(sender)] + _play(sender)
    assert len(packets) == 14
    assert packets[0][1].timestamp == 5000
    assert packets[7][0] == pytest.approx(1.0 + 8 * 0.02)
    assert packets[7][1].timestamp == 5000 + 8 * 160
    sender.finish(now=2.0)
    assert sender.finished


def test_keys_that_cannot_be_sent() -> None:
    with pytest.raises(LocalProtocolError, match="not negotiated"):
        _sender().press("1", now=0.0)
    sender = _with_keys()
    with pytest.raises(LocalProtocolError, match="no key"):
        sender.press("?", now=0.0)
    assert sender.next_timeout() is None
    sender.finish(now=0.0)
    with pytest.raises(LocalProtocolError, match="after finish"):
        sender.press("1", now=0.0)


class _Halves:
    """A codec that samples twice as often as its clock tells, with an octet for two samples, as G.722 does."""

    names = ("HALF/8000",)
    sample_rate, channels = 16_000, 1

    def decoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> None:
        del encoding, clock_rate, channels, parameters

    def encoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> "_Halves | None":
        return self if (encoding, clock_rate, channels, parameters) == ("HALF", 8_000, 1, "mode=1") else None

    def encode(self, pcm: bytes | memoryview) -> bytes:
        return bytes(pcm[::4])


def test_codecs_of_providers_keep_their_own_clock() -> None:
    wanted = PayloadFormat(96, "HALF", 8_000, 1, "mode=1")
    sender = RtpSender(
        MediaId(3), wanted, to=ANNOUNCED, ssrc=77, sequence_number=1, timestamp=0, codecs=Codecs(_Halves())
    )
    assert sender.sample_rate == 16_000
    sender.add(bytes(640 * 3), now=0.0)
    packets = _sent(sender) + [packet for _, packet in _play(sender)]
    assert [(packet.timestamp, len(packet.payload)) for packet in packets] == [(0, 160), (160, 160), (320, 160)]
    with pytest.raises(LocalProtocolError, match="cannot be encoded"):
        _sender(wanted)
