import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.codecs.g711 import decode_a_law, decode_mu_law, encode_a_law
from siprec_core.codecs.registry import Decoder, Encoder, decoder_for, encoder_for


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
    assert (mono.sample_rate, mono.channels, mono.samples(160)) == (8000, 1, 160)
    assert (stereo.sample_rate, stereo.channels, stereo.samples(400)) == (44_100, 2, 100)
    assert stereo.samples(403) == 100
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
    assert len(pcm) // (2 * channels) == found.samples(len(payload))
