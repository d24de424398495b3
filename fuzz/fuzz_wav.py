"""Any octets are a WAV file of whole frames, which is written and read again alike, or refused with their place."""

from siprec_core.containers.wav import WavEncoder, WavFormat, read_wav
from siprec_core.errors import RemoteProtocolError


def check(data: bytes) -> None:
    refused_at: int | None = None
    try:
        wav_format, pcm = read_wav(data)
    except RemoteProtocolError as error:
        refused_at = -1 if error.offset is None else error.offset
    if refused_at is not None:
        assert 0 <= refused_at <= len(data)
        return
    channels, rate = wav_format.channels, wav_format.sample_rate
    assert len(pcm) % (2 * channels) == 0
    assert len(pcm) <= 2 * len(data)
    if channels <= 0x7FFF and rate * channels * 2 <= 0xFFFF_FFFF:
        again = WavEncoder(rate, channels).start(len(pcm)) + pcm
        assert read_wav(again) == (WavFormat(sample_rate=rate, channels=channels, bits=16), pcm)


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
