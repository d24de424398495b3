import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec.tones import tone, tone_share
from siprec_core.codecs.concealment import Concealment


@pytest.mark.parametrize("rate", [8_000, 16_000])
@pytest.mark.parametrize("frequency", [100, 220, 440])
def test_a_tone_goes_on_without_a_break(rate: int, frequency: int) -> None:
    whole = tone(frequency, 0.12, rate)
    frame = rate // 50 * 2
    concealment = Concealment(rate)
    for at in range(0, 5 * frame, frame):
        concealment.hear(whole[at : at + frame])
    made = concealment.conceal(frame // 2)
    assert len(made) == frame
    assert tone_share(whole[: 5 * frame] + made, frequency, rate) > 0.95


def test_a_long_loss_fades_to_silence() -> None:
    concealment = Concealment(8_000)
    for _ in range(3):
        concealment.hear(tone(400, 0.02, 8_000))
    frames = [concealment.conceal(160) for _ in range(5)]
    loudest = [max(abs(int.from_bytes(f[n : n + 2], "little", signed=True)) for n in range(0, 320, 2)) for f in frames]
    assert loudest[0] > 9_000 > loudest[1] > loudest[2] > 0
    assert loudest[3:] == [0, 0]
    concealment.hear(tone(400, 0.02, 8_000))
    assert any(concealment.conceal(160))


def test_nothing_heard_is_silence() -> None:
    assert Concealment(8_000).conceal(10) == bytes(20)


@given(st.lists(st.binary(max_size=700).map(lambda data: data[: len(data) & ~1]), max_size=5), st.integers(0, 900))
def test_any_audio_gives_the_samples_asked_for(heard: list[bytes], samples: int) -> None:
    concealment = Concealment(8_000)
    for pcm in heard:
        concealment.hear(pcm)
    assert len(concealment.conceal(samples)) == 2 * samples
