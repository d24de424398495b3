import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.codecs.framing import MOST_FRAMES, FixedFrames, Framing, G723Frames, IlbcFrames, OpusPackets

G729 = FixedFrames(10, 80, pause_size=2)
GSM = FixedFrames(33, 160)


@pytest.mark.requirement("3551-4.5-a")
@pytest.mark.parametrize(
    ("framing", "size", "samples", "frame_sizes"),
    [
        (G729, 10, 80, [10]),
        (G729, 20, 160, [10, 10]),
        (G729, 22, 240, [10, 10, 0]),
        (G729, 2, 80, [0]),
        (G729, 7, 0, []),
        (G729, 0, 0, []),
        (GSM, 33, 160, [33]),
        (GSM, 66, 320, [33, 33]),
        (GSM, 32, 0, []),
        (GSM, 0, 0, []),
    ],
)
def test_frames_of_one_size(framing: FixedFrames, size: int, samples: int, frame_sizes: list[int]) -> None:
    assert framing.samples(bytes(size)) == samples
    assert [len(frame) for frame in framing.cut(bytes(size))] == frame_sizes


@pytest.mark.requirement("3551-4.5-a")
def test_frames_of_g723_tell_their_size() -> None:
    sizes = (24, 20, 4, 1)
    frames = [bytes((0x80 | kind,)) + b"\x07" * (size - 1) for kind, size in enumerate(sizes)]
    assert G723Frames().cut(b"".join(frames)) == frames
    assert G723Frames().samples(b"".join(frames)) == 960
    assert G723Frames().cut(frames[1] + frames[0][:23]) == [frames[1]]


@pytest.mark.parametrize(
    ("parameters", "size", "samples", "deviates"),
    [
        ({}, 50, 240, False),
        ({"mode": "30"}, 100, 480, False),
        ({"mode": "20"}, 76, 320, False),
        ({}, 38, 160, True),
        ({"mode": "20"}, 150, 720, True),
        ({"mode": "20"}, 950, 25 * 160, False),
        ({}, 49, 0, False),
        ({}, 0, 0, False),
        ({"mode": "x"}, 51, 240, False),
    ],
)
def test_ilbc_has_two_lengths(parameters: dict[str, str | None], size: int, samples: int, deviates: bool) -> None:
    framing = IlbcFrames(parameters)
    assert framing.samples(bytes(size)) == samples
    assert sum({38: 160, 50: 240}[len(frame)] for frame in framing.cut(bytes(size))) == samples
    assert (framing.deviation is not None) == deviates


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
    assert math.isclose(OpusPackets().samples(payload), milliseconds * 48)
    assert OpusPackets().cut(payload) == [payload]


@given(
    st.binary(max_size=2_000), st.sampled_from((G729, GSM, G723Frames(), IlbcFrames({}), IlbcFrames({"mode": "20"})))
)
def test_any_octets_give_as_many_frames_as_are_counted(payload: bytes, framing: Framing) -> None:
    frames = framing.cut(payload)
    assert len(frames) <= MOST_FRAMES
    samples = framing.samples(payload)
    assert (samples == 0) == (not frames)
    assert not frames or samples % len(frames) == 0
