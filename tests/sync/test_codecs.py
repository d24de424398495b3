"""Codecs of packages that may be absent; nothing here needs them to be there but what says so."""

import random
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec.tones import tone, tone_share
from siprec_core.codecs.registry import BUILT_IN, Decoder, decode_run
from siprec_core.containers.wav import read_wav
from siprec_core.recording.render import render
from siprec_core.rtp.packet import RtpPacket
from siprec_sync import codecs
from siprec_sync.codecs import installed_codecs
from tests.core.codecs.amr_payloads import WIDEBAND, Frame, aligned, packed
from tests.core.recording.calls import Line, Recorded, Sent, chunked, collect

needs_g722 = pytest.mark.skipif(find_spec("G722") is None, reason="the extra audio is not installed")
needs_av = pytest.mark.skipif(find_spec("av") is None, reason="the extra codecs is not installed")
FRAMED = ["OPUS/48000/2", "AMR-WB/16000", "AMR/8000", "G729/8000", "ILBC/8000", "GSM/8000", "G723/8000"]


def decoder(name: str, parameters: str = "") -> Decoder:
    encoding, rate, *channels = name.split("/")
    found = installed_codecs().decoder(encoding, int(rate), int(*channels or "1"), parameters)
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


def encoded(name: str, pcm: bytes, sample_rate: int, *, frame: int, bit_rate: int | None = None) -> list[bytes]:
    """What FFmpeg makes of audio, in packets of so many samples."""
    import av

    context = av.CodecContext.create(name, "w")
    context.sample_rate, context.layout, context.format = sample_rate, "mono", "s16"
    if bit_rate is not None:
        context.bit_rate = bit_rate
    packets = []
    for at in range(0, len(pcm), 2 * frame):
        piece = av.AudioFrame(format="s16", layout="mono", samples=frame)
        piece.sample_rate = sample_rate
        piece.planes[0].update(pcm[at : at + 2 * frame])
        packets += [bytes(packet) for packet in context.encode(piece)]
    return packets


@needs_av
def test_opus() -> None:
    packets = encoded("libopus", tone(1_000, 1.0, 48_000), 48_000, frame=960)
    decoded = decode_run(decoder("OPUS/48000/2"), packets)
    assert len(decoded) == 1920 * len(packets)
    assert tone_share(decoded[9_600:], 1_000, 48_000) > 0.97


@needs_av
def test_g723() -> None:
    packets = encoded("g723_1", tone(440, 1.2, 8_000), 8_000, frame=240, bit_rate=6_300)
    assert {len(packet) for packet in packets} == {24}
    decoded = decode_run(decoder("G723/8000"), packets)
    assert len(decoded) == 480 * len(packets)
    assert tone_share(decoded[4_800:], 440, 8_000) > 0.9


@pytest.fixture(scope="module")
def amr_frames() -> list[Frame]:
    """A second of 440 Hz at 12.2 kbit/s."""
    import av

    try:
        stored = encoded("libopencore_amrnb", tone(440, 1.0, 8_000), 8_000, frame=160, bit_rate=12_200)
    except (av.FFmpegError, ValueError):
        pytest.skip("this FFmpeg has no encoder of AMR")
    return [Frame(7, f"{int.from_bytes(each[1:], 'big'):0248b}"[:244]) for each in stored]


@needs_av
@pytest.mark.parametrize(
    ("parameters", "write"),
    [
        ("", packed),
        ("octet-align=1", aligned),
        ("robust-sorting=1;crc=1", partial(aligned, by_octets=True, checksums=True)),
    ],
)
def test_amr_in_each_layout(amr_frames: list[Frame], parameters: str, write: Callable[[list[Frame]], bytes]) -> None:
    packets = [write(amr_frames[at : at + 2]) for at in range(0, len(amr_frames), 2)]
    found = decoder("AMR/8000", parameters)
    decoded = decode_run(found, packets)
    assert len(decoded) == 320 * len(amr_frames)
    assert tone_share(decoded[3_200:], 440, 8_000) > 0.95
    assert found.deviation is None


@needs_av
def test_a_call_in_amr_is_rendered(amr_frames: list[Frame]) -> None:
    """A second of a tone, then two pauses as the codec tells them, 160 ms between the packets; the tone again."""
    noise = [Frame(8, "1" * 39)]
    spoken = [(n, packed([each])) for n, each in enumerate(amr_frames)]
    paused = [(50, packed(noise)), (58, packed(noise))]
    again = [(66 + n, packed([each])) for n, each in enumerate(amr_frames)]
    sent = [
        Sent(RtpPacket(0, number, 160 * slot, 1, payload).to_bytes(), slot / 50)
        for number, (slot, payload) in enumerate([*spoken, *paused, *again])
    ]
    call = Recorded().invite([Line("1", 40_000)]).media(0, sent).bye(3.0)
    journal = call.journal.replace(b"a=rtpmap:0 PCMU/8000", b"a=rtpmap:0  AMR/8000")
    files = collect(render(lambda: chunked(journal), codecs=installed_codecs()))
    wav_format, pcm = read_wav(files["1.wav"])
    assert (wav_format.sample_rate, len(pcm)) == (8_000, 320 * (66 + len(amr_frames)))
    assert tone_share(pcm[3_200:16_000], 440, 8_000) > 0.95
    assert not any(pcm[320 * 51 : 320 * 66])
    assert tone_share(pcm[-12_800:], 440, 8_000) > 0.95


@needs_av
def test_pauses_of_amr_are_silence_of_their_length(amr_frames: list[Frame]) -> None:
    found = decoder("AMR/8000")
    found.decode(packed(amr_frames[:10]))
    assert found.decode(packed([Frame(8, "1" * 39), Frame(15)])) == bytes(640)
    assert found.samples(packed([Frame(15)] * 3)) == 480
    again = b"".join(found.decode(packed([each])) for each in amr_frames[10:])
    assert tone_share(again[3_200:], 440, 8_000) > 0.95


@needs_av
@pytest.mark.parametrize("mode", range(9))
def test_every_mode_of_amr_wb_is_decoded(mode: int) -> None:
    found = decoder("AMR-WB/16000", "octet-align=1")
    payload = aligned([Frame(mode, "01" * (WIDEBAND[mode] // 2) + "1" * (WIDEBAND[mode] % 2))] * 2)
    decoded = b"".join(found.decode(payload) for _ in range(3))
    assert len(decoded) == 3 * 2 * 640
    assert any(decoded)


@needs_av
def test_interleaved_amr_is_not_decoded() -> None:
    assert installed_codecs().decoder("AMR", 8_000, 1, "octet-align=1;interleaving=4") is None
    assert installed_codecs().decoder("AMR", 16_000, 1) is None
    assert installed_codecs().decoder("AMR", 8_000, 2) is None


@needs_av
def test_both_modes_of_ilbc_within_one_stream() -> None:
    found = decoder("iLBC/8000", "mode=20")
    # The last bit of a frame tells that it is empty (RFC 3951 section 3.8).
    short, long = (random.Random(0).randbytes(size - 1) + b"\0" for size in (38, 50))
    deviations = []
    for payload, pcm_size in ((short * 2, 640), (long * 2, 960), (short, 320), (long, 480)):
        decoded = found.decode(payload)
        assert len(decoded) == pcm_size
        assert any(decoded)
        deviations.append(found.deviation)
    assert deviations == [None, *["frames of 30 ms where 20 ms are agreed"] * 3]
