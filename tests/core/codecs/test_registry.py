import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.codecs.g711 import decode_a_law, decode_mu_law, encode_a_law
from siprec_core.codecs.registry import (
    BUILT_IN,
    Codecs,
    Decoder,
    Encoder,
    decode_run,
    decoder_for,
    encoder_for,
    extra_for,
)


def decoder(encoding: str, clock_rate: int = 8000, channels: int = 1) -> Decoder:
    found = decoder_for(encoding, clock_rate, channels)
    assert found is not None
    return found


def encoder(encoding: str, clock_rate: int = 8000, channels: int = 1) -> Encoder:
    found = encoder_for(encoding, clock_rate, channels)
    assert found is not None
    return found


def test_g711_by_name_in_any_letter_case() -> None:
    payload = bytes(range(256))
    assert decoder("PCMU").decode(payload) == decode_mu_law(payload)
    assert decoder("pcma").decode(payload) == decode_a_law(payload)
    assert encoder("PcmA").encode(b"\0\x10" * 4) == encode_a_law(b"\0\x10" * 4)


def test_rate_channels_and_samples() -> None:
    mono, stereo = decoder("PCMU"), decoder("L16", 44_100, 2)
    assert (mono.sample_rate, mono.channels, mono.samples(bytes(160))) == (8000, 1, 160)
    assert (stereo.sample_rate, stereo.channels, stereo.samples(bytes(400))) == (44_100, 2, 100)
    assert stereo.samples(bytes(403)) == 100
    assert (encoder("L16", 44_100, 2).sample_rate, encoder("L16", 44_100, 2).channels) == (44_100, 2)


def test_l16_swaps_the_octets() -> None:
    assert decoder("L16", 16_000).decode(struct.pack(">2h", 5, -5)) == struct.pack("<2h", 5, -5)


@pytest.mark.parametrize("encoding", ["telephone-event", "CN", "G729", "opus", ""])
def test_nothing_for_what_we_cannot_decode(encoding: str) -> None:
    assert decoder_for(encoding, 8000, 1) is None
    assert encoder_for(encoding, 8000, 1) is None


@pytest.mark.parametrize(("clock_rate", "channels"), [(0, 1), (-1, 1), (8000, 0)])
def test_nothing_for_a_format_that_cannot_be(clock_rate: int, channels: int) -> None:
    assert decoder_for("PCMU", clock_rate, channels) is None
    assert encoder_for("PCMU", clock_rate, channels) is None


@given(st.sampled_from(["PCMU", "PCMA", "L16"]), st.integers(min_value=1, max_value=6), st.binary(max_size=600))
def test_any_payload_decodes_to_at_least_its_samples(encoding: str, channels: int, payload: bytes) -> None:
    found = decoder(encoding, 8000, channels)
    pcm = found.decode(payload)
    assert len(pcm) // (2 * channels) == found.samples(payload)


class Provider:
    """Decodes HALF: each octet is two samples of silence."""

    names = ("HALF/8000", "HALF/8000")

    def decoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> Decoder | None:
        return HalfDecoder(parameters) if (encoding, clock_rate, channels) == ("HALF", 8000, 1) else None

    def encoder(self, encoding: str, clock_rate: int, channels: int, parameters: str) -> Encoder | None:
        return encoder_for("PCMU", clock_rate, channels) if encoding == "HALF" else None


class HalfDecoder:
    sample_rate = 16_000
    channels = 1
    by_size = False
    stateful = True
    deviation = None

    def __init__(self, parameters: str) -> None:
        self.parameters = parameters
        self.packets = 0

    def decode(self, payload: bytes | memoryview) -> bytes:
        self.packets += 1
        return bytes(4 * len(payload))

    def samples(self, payload: bytes | memoryview) -> int:
        return 2 * len(payload)


def test_providers_add_what_the_core_has_not() -> None:
    codecs = Codecs(Provider())
    found = codecs.decoder("half", 8000, 1, "mode=1")
    assert isinstance(found, HalfDecoder)
    assert found.parameters == "mode=1"
    assert codecs.decoder("half", 8000) is not found
    assert codecs.encoder("Half", 8000) is not None
    assert codecs.decoder("PCMU", 8000) == decoder("PCMU")
    assert codecs.decoder("other", 8000) is None
    assert codecs.encoder("other", 8000) is None
    assert codecs.added == ("HALF/8000",)
    assert BUILT_IN.added == ()


def test_runs_are_decoded_as_the_decoder_likes_it() -> None:
    found = HalfDecoder("")
    assert decode_run(found, [b"12", b"3"]) == bytes(12)
    assert found.packets == 2
    assert decode_run(decoder("PCMU"), [b"12", b"3"]) == decode_mu_law(b"123")


def test_extras_are_named() -> None:
    assert [extra_for(each) for each in ("g722", "Opus", "PCMU", "XXXX")] == ["audio", "codecs", None, None]
