"""What shares a channel of the mix."""

import pytest

from siprec_core.containers.wav import read_wav
from siprec_core.media.mixer import interleave, saturating_sum
from siprec_core.recording.mixing import Mix, groups_of
from siprec_core.recording.render import render
from tests.core.recording.calls import LINES, METADATA, Line, Recorded, chunked, coded, collect, stream, tone

THREE = (*LINES, Line("3", 40_004))
SAME_SPEAKER = METADATA.replace(
    "<send>UAAMm5GRQKSCMVvLyl4rFw==</send>",
    "<send>UAAMm5GRQKSCMVvLyl4rFw==</send><send>AAAAm5GRQKSCMVvLyl4rFw==</send>",
).replace(
    "  <sessionrecordingassoc",
    '  <stream stream_id="AAAAm5GRQKSCMVvLyl4rFw==" session_id="hVpd7YQgRW2nD22h7q60JQ==">'
    "<label>3</label></stream>\n  <sessionrecordingassoc",
)


@pytest.mark.parametrize(
    ("mix", "metadata", "groups"),
    [
        (Mix.CHANNELS, METADATA, [[0], [1], [2]]),
        (Mix.MONO, METADATA, [[0, 1, 2]]),
        (Mix.STEREO, METADATA, [[0], [1, 2]]),
        (Mix.STEREO, SAME_SPEAKER, [[0, 2], [1]]),
        (Mix.STEREO, "", [[0], [1, 2]]),
    ],
)
def test_lines_of_one_speaker_share_a_side(mix: Mix, metadata: str, groups: list[list[int]]) -> None:
    assert groups_of(mix, Recorded().invite(THREE, metadata=metadata).account) == groups


@pytest.mark.parametrize("mix", Mix)
def test_nothing_gives_nothing(mix: Mix) -> None:
    assert groups_of(mix, None) == []
    assert groups_of(mix, Recorded().account) == []


def test_the_mix_is_what_was_asked_for() -> None:
    pcm = [tone(1_600, step=step, level=20_000) for step in (37, 91, 53)]
    call = Recorded().invite(THREE)
    for line, voice in enumerate(pcm):
        call.media(line, stream(voice, line=THREE[line], ssrc=line + 1))
    call.bye(1.0)
    first, second, third = map(coded, pcm)
    rest = saturating_sum(second, third)
    expected = {
        Mix.CHANNELS: (3, interleave([first, second, third])),
        Mix.STEREO: (2, interleave([first, rest])),
        Mix.MONO: (1, saturating_sum(saturating_sum(first, second), third)),
    }
    for mix, (channels, mixed) in expected.items():
        files = collect(render(lambda: chunked(call.journal), mix=mix))
        wav, audio = read_wav(files["mix.wav"])
        assert (wav.channels, audio == mixed) == (channels, True)


def test_one_line_has_a_silent_right_side() -> None:
    call = Recorded().invite(LINES[:1]).media(0, stream(tone(800))).bye(1.0)
    files = collect(render(lambda: chunked(call.journal), mix=Mix.STEREO))
    assert read_wav(files["mix.wav"])[1] == interleave([coded(tone(800)), bytes(1_600)])
