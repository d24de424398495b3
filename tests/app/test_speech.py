"""What a call of ours says, in which codec: from a WAV file of any kind to the recording."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from siprec.outcome import CommandError
from siprec.speech import Clip, Tone, offered_formats, read_clip
from siprec.testing import assert_recording, recorder
from siprec.tones import tone, tone_share
from siprec_core.codecs.registry import Codecs
from siprec_core.containers.wav import WavEncoder, read_wav
from siprec_core.media.mixer import interleave
from siprec_core.recording.call import DEFAULT_FORMATS, TELEPHONE_EVENT
from siprec_core.recording.policy import ServerConfig
from siprec_core.sdp.formats import MediaFormat
from siprec_sync.codecs import decodable_codecs
from tests.app.programs import Program
from tests.ports import rtp_ports

needs_g722 = pytest.mark.skipif(find_spec("G722") is None, reason="the extra audio is not installed")


def wav(path: Path, pcm: bytes, rate: int, channels: int = 1) -> Path:
    path.write_bytes(WavEncoder(rate, channels).start(len(pcm)) + pcm)
    return path


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("wanted", [8_000, 16_000])
def test_clips_of_any_rate_keep_their_tone(tmp_path: Path, rate: int, wanted: int) -> None:
    clip = read_clip(wav(tmp_path / "a.wav", tone(700, 0.5, rate), rate))
    assert clip.seconds == pytest.approx(0.5, abs=1e-3)
    pcm = clip.at(wanted)
    assert len(pcm) == pytest.approx(wanted, abs=4)
    assert tone_share(pcm, 700, wanted) > 0.8


def test_channels_become_one(tmp_path: Path) -> None:
    both = interleave([tone(500, 0.2, 8_000), bytes(3_200)])
    clip = read_clip(wav(tmp_path / "a.wav", both, 8_000, 2))
    assert clip.seconds == 0.2
    assert tone_share(clip.pcm, 500, 8_000) > 0.99


def test_a_beginning() -> None:
    clip = Clip(bytes(range(200)) * 8, 8_000)
    assert clip.first(0.01) == Clip(clip.pcm[:160], 8_000)
    assert clip.first(9.0) == clip
    assert Tone(440, 0.1).at(16_000) == tone(440, 0.1, 16_000)


def test_files_without_audio(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_bytes(b"no audio at all")
    for path in (tmp_path / "none.wav", tmp_path / "text.wav", wav(tmp_path / "empty.wav", b"", 8_000)):
        with pytest.raises(CommandError, match=path.name):
            read_clip(path)


def test_formats_of_codecs() -> None:
    assert offered_formats((), with_events=False) == DEFAULT_FORMATS
    assert offered_formats((), with_events=True) == (*DEFAULT_FORMATS, TELEPHONE_EVENT)
    assert offered_formats(("L16/16000", "pcma/8000", "L16/44100", "L16/8000"), with_events=True) == (
        MediaFormat(96, "L16", 16_000),
        MediaFormat(8, "pcma", 8_000),
        MediaFormat(11, "L16", 44_100),
        MediaFormat(97, "L16", 8_000),
        MediaFormat(98, "telephone-event", 16_000, 1, "0-15"),
        TELEPHONE_EVENT,
        MediaFormat(99, "telephone-event", 44_100, 1, "0-15"),
    )


@pytest.mark.parametrize("name", ["PCMU", "L16/8000/2", "opus/48000/2", "AMR/8000", "XXXX/8000", "PCMU/0"])
def test_codecs_that_cannot_be_offered(name: str) -> None:
    with pytest.raises(CommandError, match="--codecs"):
        offered_formats((name,), with_events=False)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siprec.speech.installed_codecs", Codecs)
    with pytest.raises(CommandError, match=r"siprec\[audio\]"):
        offered_formats(("G722/8000",), with_events=False)


G722 = pytest.param("G722/8000", 16_000, "sync", marks=needs_g722)


@pytest.mark.parametrize(
    ("codec", "rate", "worker"), [("PCMA/8000", 8_000, "sync"), ("L16/16000", 16_000, "asyncio"), G722]
)
def test_calls_in_each_codec(siprec: Program, tmp_path: Path, codec: str, rate: int, worker: str) -> None:
    clip = wav(tmp_path / "a.wav", tone(700, 0.5, 22_050), 22_050)
    config = ServerConfig(rtp_ports=rtp_ports(), codecs=decodable_codecs())
    with recorder(tmp_path / "recordings", config=config) as running:
        words = ("--codecs", codec, "--audio", clip, "--streams", "2", "--dtmf", "5", "-k", worker, "--json")
        done = siprec("call", running.target(), *words)
        assert (done.code, done.err) == (0, "")
        folder = running.next_recording()
    assert [stream["codec"] for stream in done.json["streams"]] == [codec] * 2
    report = assert_recording(folder, tones={"2": 880})
    assert [stream["codec"] for stream in report["streams"]] == [codec] * 2
    assert [key["digit"] for key in report["streams"][0]["dtmf"]] == ["5"]
    wav_format, pcm = read_wav((folder / "1.wav").read_bytes())
    assert wav_format.sample_rate == rate
    assert tone_share(pcm, 700, rate) > 0.3, (
        "the key takes the place of audio; at a wrong rate the tone would be another"
    )
