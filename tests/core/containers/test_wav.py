import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.containers.wav import WavEncoder, WavFormat, read_wav
from siprec_core.errors import LocalProtocolError, RemoteProtocolError

PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + bytes(len(body) & 1)


def wav(*chunks: bytes, name: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return struct.pack("<4sI", name, len(body)) + body


def pcm_format(bits: int, channels: int = 1, tag: int = 1, extra: bytes = b"") -> bytes:
    frame_size = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, 8000, 8000 * frame_size, frame_size, bits) + extra)


def test_a_known_size_gives_the_shortest_header() -> None:
    header = WavEncoder(8000, 2).start(400)
    assert header == wav(pcm_format(16, 2), chunk(b"data", bytes(400)))[:44]


def test_a_file_that_grows_keeps_the_size_of_its_header() -> None:
    encoder = WavEncoder(16_000, 1)
    start = encoder.start()
    assert struct.unpack_from("<I", start, 4) == struct.unpack_from("<I", start, len(start) - 4) == (0xFFFF_FFFF,)
    data = bytes(encoder.add(bytes(6))) + bytes(encoder.add(memoryview(b"ab")))
    header = encoder.finish()
    assert len(header) == len(start) == 80
    assert read_wav(header + data) == (WavFormat(sample_rate=16_000, channels=1, bits=16), data)
    assert read_wav(start + data) == read_wav(header + data)


def test_the_standard_library_reads_it() -> None:
    encoder = WavEncoder(8000, 3)
    encoder.start()
    data = bytes(range(12)) * 4
    encoder.add(data)
    for header in (encoder.finish(), encoder.start(len(data))):
        with wave.open(io.BytesIO(header + data)) as reader:
            assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (3, 2, 8000)
            assert reader.readframes(1000) == data


@pytest.mark.parametrize(
    ("data_size", "name"),
    [(0xFFFF_FFFF - 36 - 1, b"RIFF"), (0xFFFF_FFFF - 36, b"RF64"), (5 << 30, b"RF64")],
)
def test_rf64_from_4_gib_on(data_size: int, name: bytes) -> None:
    header = WavEncoder(8000, 2).start(data_size)
    assert header[:4] == name
    if name == b"RF64":
        assert header[12:16] == b"ds64"
        assert struct.unpack_from("<QQQI", header, 20) == (72 + data_size, data_size, data_size // 4, 0)
        assert struct.unpack_from("<I", header, 4) == struct.unpack_from("<I", header, 76) == (0xFFFF_FFFF,)
        assert header[48:76] == pcm_format(16, 2) + b"data"


class Long(bytes):
    """Octets that say they are many."""

    def __len__(self) -> int:
        return 1 << 32


def test_a_file_that_grows_over_4_gib_becomes_rf64_in_place() -> None:
    encoder = WavEncoder(8000, 1)
    start = encoder.start()
    encoder.add(Long())
    header = encoder.finish()
    assert header[:4] == b"RF64"
    assert len(header) == len(start)
    assert struct.unpack_from("<QQ", header, 20) == (72 + (1 << 32), 1 << 32)


def test_rf64_is_read() -> None:
    encoder = WavEncoder(8000, 1)
    header = encoder.start(5 << 30)
    assert read_wav(header + b"abcd") == (WavFormat(sample_rate=8000, channels=1, bits=16), b"abcd")


def test_a_header_with_its_size_is_not_finished_again() -> None:
    encoder = WavEncoder(8000, 1)
    encoder.start(2)
    with pytest.raises(LocalProtocolError):
        encoder.finish()


@pytest.mark.parametrize(("rate", "channels"), [(0, 1), (8000, 0), (8000, 32_768), (48_000_000, 100)])
def test_a_format_that_does_not_fit_is_refused(rate: int, channels: int) -> None:
    with pytest.raises(LocalProtocolError):
        WavEncoder(rate, channels)


@pytest.mark.parametrize(
    ("bits", "samples"),
    [
        (8, bytes((128, 255, 0))),
        (16, struct.pack("<3h", 0, 0x7F00, -0x8000)),
        (24, bytes((9, 0, 0, 9, 0, 0x7F, 9, 0, 0x80))),
        (32, bytes((9, 9, 0, 0, 9, 9, 0, 0x7F, 9, 9, 0, 0x80))),
    ],
)
def test_every_width_becomes_16_bits(bits: int, samples: bytes) -> None:
    found, pcm = read_wav(wav(pcm_format(bits), chunk(b"data", samples)))
    assert found.bits == bits
    assert struct.unpack("<3h", pcm) == (0, 0x7F00, -0x8000)


def test_other_chunks_are_skipped_odd_ones_included() -> None:
    data = wav(chunk(b"LIST", b"abc"), pcm_format(16), chunk(b"fact", bytes(4)), chunk(b"data", b"wxyz"))
    assert read_wav(memoryview(data + b"trailer"))[1] == b"wxyz"


def test_the_extensible_form_of_pcm_is_read() -> None:
    extra = struct.pack("<HHI", 22, 16, 0) + PCM_GUID
    assert read_wav(wav(pcm_format(16, tag=0xFFFE, extra=extra), chunk(b"data", b"ab")))[1] == b"ab"


def test_a_part_of_a_frame_at_the_end_is_left_out() -> None:
    data = wav(pcm_format(16, 2), chunk(b"data", bytes(11)))
    assert read_wav(data)[1] == bytes(8)
    assert read_wav(data[:-5])[1] == bytes(4)


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        (b"", "not a WAV file", 0),
        (b"RIFF\0\0\0\0AVI ", "not a WAV file", 0),
        (wav(), "no data chunk", 12),
        (wav(pcm_format(16)), "no data chunk", 36),
        (wav(chunk(b"data", b"ab"), pcm_format(16)), "samples before their format", 12),
        (wav(chunk(b"fmt ", bytes(14))), "the format chunk is too short", 20),
        (wav(pcm_format(16, tag=7)), "format 7 is not integer PCM", 20),
        (wav(pcm_format(16, tag=0xFFFE)), "format 65534 is not integer PCM", 20),
        (wav(pcm_format(12)), "1 channels of 12 bits at 8000 Hz are not PCM", 20),
        (wav(pcm_format(16, 0)), "0 channels of 16 bits at 8000 Hz are not PCM", 20),
    ],
)
def test_what_is_no_pcm_is_refused_with_its_place(data: bytes, message: str, offset: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_wav(data)
    assert (caught.value.message, caught.value.offset) == (message, offset)


@given(
    st.integers(min_value=1, max_value=192_000),
    st.integers(min_value=1, max_value=8),
    st.binary(max_size=100),
    st.booleans(),
)
def test_reading_undoes_writing(rate: int, channels: int, data: bytes, known: bool) -> None:
    data = data[: len(data) - len(data) % (2 * channels)]
    encoder = WavEncoder(rate, channels)
    header = encoder.start(len(data) if known else None)
    encoder.add(data)
    header = header if known else encoder.finish()
    assert read_wav(header + data) == (WavFormat(sample_rate=rate, channels=channels, bits=16), data)


@given(st.binary(max_size=120), st.integers(min_value=0, max_value=120))
def test_broken_files_raise_nothing_else(garbage: bytes, cut: int) -> None:
    whole = wav(pcm_format(16), chunk(b"data", garbage))
    for data in (garbage, whole[:cut], wav(garbage), wav(pcm_format(24), garbage, name=b"BW64")):
        try:
            found, pcm = read_wav(data)
        except RemoteProtocolError:
            continue
        assert len(pcm) % (2 * found.channels) == 0
