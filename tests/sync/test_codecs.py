"""Codecs of packages that may be absent; nothing here needs them to be there but what says so."""

import math
import random
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec.tones import tone, tone_share
from siprec_core.codecs.registry import BUILT_IN, Decoder, decode_run
from siprec_sync import codecs
from siprec_sync.codecs import installed_codecs

needs_g722 = pytest.mark.skipif(find_spec("G722") is None, reason="the extra audio is not installed")
needs_av = pytest.mark.skipif(find_spec("av") is None, reason="the extra codecs is not installed")
FRAMED = ["OPUS/48000/2", "G729/8000", "GSM/8000"]


def decoder(name: str) -> Decoder:
    encoding, rate, *channels = name.split("/")
    found = installed_codecs().decoder(encoding, int(rate), int(*channels or "1"))
    assert found is not None
    return found


def test_only_what_is_installed_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "find_spec", lambda name: None)
    bare = installed_codecs.__wrapped__()
    assert bare.added == ()
    assert bare.decoder("G722", 8000) is None
    assert bare.encoder("G722", 8000) is None
    assert bare.decoder("pcmu", 8000) is not None
    assert bare.decoder("XXXX", 8000) is None
    assert BUILT_IN.decoder("opus", 48_000, 2) is None


@pytest.mark.requirement("3551-6-a")
@needs_g722
def test_g722_has_twice_the_samples_of_its_clock() -> None:
    encoder = installed_codecs().encoder("g722", 8000)
    assert encoder is not None
    assert encoder.sample_rate == 16_000
    pcm = tone(1_000, 1.0, 16_000)
    payload = encoder.encode(pcm)
    assert len(payload) == 8_000
    whole = decoder("G722/8000")
    assert (whole.sample_rate, whole.channels, whole.samples(payload)) == (16_000, 1, 16_000)
    decoded = whole.decode(payload)
    assert len(decoded) == len(pcm)
    assert tone_share(decoded[640:], 1_000, 16_000) > 0.98
    packets = [payload[at : at + 160] for at in range(0, len(payload), 160)]
    assert decode_run(decoder("G722/8000"), packets) == decoded
    single = decoder("G722/8000")
    assert b"".join(map(single.decode, packets)) == decoded


@needs_g722
def test_what_is_no_g722_is_refused() -> None:
    for rate, channels in ((16_000, 1), (8_000, 2)):
        assert installed_codecs().decoder("G722", rate, channels) is None
        assert installed_codecs().encoder("G722", rate, channels) is None
    assert decoder("G722/8000").decode(b"") == b""


@needs_g722
@given(st.binary(max_size=400))
def test_any_octets_are_g722(payload: bytes) -> None:
    assert len(decoder("G722/8000").decode(payload)) == 4 * len(payload)


@needs_av
@pytest.mark.parametrize("name", FRAMED)
def test_any_packet_gives_the_audio_that_its_length_promises(name: str) -> None:
    made = decoder(name)
    for seed in range(150):
        payload = random.Random(seed).randbytes(seed % 70)
        assert len(made.decode(payload)) == 2 * made.samples(payload)


@pytest.mark.requirement("3551-4.5-a")
@pytest.mark.parametrize(
    ("name", "size", "samples"),
    [
        ("G729/8000", 10, 80),
        ("G729/8000", 20, 160),
        ("G729/8000", 22, 240),
        ("G729/8000", 2, 80),
        ("G729/8000", 7, 0),
        ("GSM/8000", 33, 160),
        ("GSM/8000", 66, 320),
        ("GSM/8000", 0, 0),
    ],
)
@needs_av
def test_lengths_of_frames(name: str, size: int, samples: int) -> None:
    assert decoder(name).samples(bytes(size)) == samples


@pytest.mark.parametrize(
    ("payload", "milliseconds"),
    [
        (b"", 0),
        (bytes([0 << 3]), 10),
        (bytes([3 << 3 | 1]), 120),
        (bytes([13 << 3 | 2]), 40),
        (bytes([16 << 3]), 2.5),
        (bytes([31 << 3 | 3, 4]), 80),
        (bytes([31 << 3 | 3, 63]), 0),
        (bytes([31 << 3 | 3]), 0),
    ],
)
def test_opus_tells_its_length(payload: bytes, milliseconds: float) -> None:
    assert math.isclose(codecs._opus_samples(payload), milliseconds * 48)


@needs_av
def test_opus() -> None:
    import av

    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48_000, "mono", "s16"
    pcm = tone(1_000, 1.0, 48_000)
    packets = []
    for at in range(0, len(pcm), 1920):
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        frame.sample_rate = 48_000
        frame.planes[0].update(pcm[at : at + 1920])
        packets += [bytes(packet) for packet in context.encode(frame)]
    decoded = decode_run(decoder("OPUS/48000/2"), packets)
    assert len(decoded) == 1920 * len(packets)
    assert tone_share(decoded[9_600:], 1_000, 48_000) > 0.97
