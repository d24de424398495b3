"""The client's streams: opened, held, moved, finished."""

from dataclasses import replace

import pytest

from siprec_core.codecs.registry import Codecs
from siprec_core.entropy import Ids
from siprec_core.errors import LocalProtocolError
from siprec_core.media.commands import SendMedia
from siprec_core.recording.call_events import AudioFinished
from siprec_core.recording.client_audio import ClientAudio
from siprec_core.sdp.formats import MediaFormat
from siprec_core.sdp.offer import NegotiatedLine
from siprec_core.types import Address, MediaId
from tests.core.harness import TIME_BASE, entropy

HERE = Address("192.0.2.1", 30_000)
LINE = NegotiatedLine(
    index=0,
    label="1",
    accepted=True,
    formats=(MediaFormat(101, "telephone-event", 8000), MediaFormat(0, "PCMU", 8000)),
    direction="recvonly",
    ptime=None,
    rtcp_mux=False,
    remote_rtp=HERE,
    remote_rtcp=None,
)
FRAME = bytes(320)


class _Wide:
    names = ()
    sample_rate, channels = 16_000, 1

    def decoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> None:
        del encoding, clock_rate, channels, parameters

    def encoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> "_Wide | None":
        return self if (encoding, clock_rate, channels, parameters) == ("WIDE", 8_000, 1, "") else None

    def encode(self, pcm: bytes | memoryview) -> bytes:
        return bytes(pcm[::4])


class Bench:
    def __init__(self) -> None:
        self.audio = ClientAudio(Ids(entropy(1)), time_base=TIME_BASE)
        self.sent: list[SendMedia] = []
        self.finished: list[AudioFinished] = []

    def negotiated(self, line: NegotiatedLine = LINE, now: float = 0.0) -> None:
        self.audio.negotiated("1", MediaId(1), line, ptime=20, now=now)

    def drain(self) -> None:
        for output in self.audio.outputs():
            if isinstance(output, SendMedia):
                self.sent.append(output)
            else:
                self.finished.append(output)

    def add(self, frames: int, now: float) -> None:
        self.audio.add("1", FRAME * frames, now=now)
        self.drain()
        while (due := self.audio.next_timeout()) is not None and due < now + 1.0:
            self.audio.handle_timeout(now=due)
            self.drain()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.requirement("7866-8.3.1-c")
def test_only_streams_that_are_taken_can_be_used(bench: Bench) -> None:
    for line in (replace(LINE, accepted=False), replace(LINE, remote_rtp=None), replace(LINE, direction="inactive")):
        bench.negotiated(line)
    assert bench.audio.labels == ()
    with pytest.raises(LocalProtocolError):
        bench.audio.add("1", FRAME, now=0.0)
    with pytest.raises(LocalProtocolError):
        bench.audio.finish("1", now=0.0)
    with pytest.raises(LocalProtocolError):
        bench.audio.sample_rate("1")


def test_formats_without_encoder_are_not_sent(bench: Bench) -> None:
    bench.negotiated(replace(LINE, formats=(MediaFormat(99, "OPUS", 48000, 2),)))
    assert bench.audio.labels == ()


def test_codecs_of_providers_are_sent() -> None:
    codecs = Codecs(_Wide())
    audio = ClientAudio(Ids(entropy(1)), time_base=TIME_BASE, codecs=codecs)
    audio.negotiated("1", MediaId(1), replace(LINE, formats=(MediaFormat(96, "wide", 8_000),)), ptime=20, now=0.0)
    assert audio.sample_rate("1") == 16_000


def test_a_held_stream_is_silent_and_goes_on_as_one_source(bench: Bench) -> None:
    bench.negotiated()
    bench.add(5, 0.0)
    bench.audio.hold("1")
    bench.add(5, 1.0)
    assert len(bench.sent) == 5
    bench.negotiated(now=2.0)
    bench.add(5, 2.0)
    assert len(bench.sent) == 10
    before, after = bench.sent[4].data, bench.sent[5].data
    assert before[8:12] == after[8:12]
    assert int.from_bytes(after[2:4], "big") - int.from_bytes(before[2:4], "big") == 1
    stamps = [int.from_bytes(each[4:8], "big") for each in (bench.sent[0].data, after)]
    assert (stamps[1] - stamps[0]) & 0xFFFF_FFFF == 16_000, "two seconds"


def test_the_servers_hold_and_its_end_stop_the_stream(bench: Bench) -> None:
    bench.negotiated()
    bench.negotiated(replace(LINE, direction="inactive"))
    bench.add(5, 0.0)
    assert bench.sent == []
    bench.negotiated(replace(LINE, accepted=False))
    assert bench.audio.labels == ()


def test_a_new_address_is_followed_at_once(bench: Bench) -> None:
    bench.negotiated()
    bench.add(1, 0.0)
    bench.negotiated(replace(LINE, remote_rtp=Address("192.0.2.9", 4)), now=0.02)
    bench.add(1, 0.02)
    assert [each.to.port for each in bench.sent] == [30_000, 4]


def test_an_unchanged_answer_disturbs_nothing(bench: Bench) -> None:
    bench.negotiated()
    bench.audio.add("1", FRAME * 3, now=0.0)
    bench.negotiated(now=0.01)
    bench.add(0, 0.01)
    assert len(bench.sent) == 3


@pytest.mark.parametrize("held", [False, True])
def test_the_end_of_the_audio_is_told_once_also_when_held(bench: Bench, held: bool) -> None:
    bench.negotiated()
    bench.add(2, 0.0)
    if held:
        bench.audio.hold("1")
    bench.audio.finish("1", now=0.1)
    bench.drain()
    bench.drain()
    assert bench.finished == [AudioFinished(label="1", packets=2)]
    bench.audio.clear()
    assert bench.audio.next_timeout() is None
