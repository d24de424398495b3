import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.codecs.amr import AmrFrames, readable
from siprec_core.codecs.framing import MOST_FRAMES
from siprec_core.format_parameters import split_parameters
from tests.core.codecs.amr_payloads import NARROWBAND, WIDEBAND, Frame, aligned, packed

SPEECH = Frame(7, "10" * 122)
"""A frame of 12.2 kbit/s."""


def framing(parameters: str = "", *, wideband: bool = False) -> AmrFrames:
    return AmrFrames(split_parameters(parameters), wideband=wideband)


@st.composite
def frames_of(draw: st.DrawFn, sizes: tuple[int, ...]) -> list[Frame]:
    types = st.sampled_from((*range(len(sizes)), 15, *((14,) if sizes is WIDEBAND else ())))
    frames = []
    for frame_type in draw(st.lists(types, min_size=1, max_size=12)):
        size = sizes[frame_type] if frame_type < len(sizes) else 0
        speech = draw(st.integers(0, (1 << size) - 1)) if size else 0
        frames.append(Frame(frame_type, f"{speech:0{size}b}" if size else "", draw(st.booleans())))
    return frames


FRAMES = st.sampled_from((NARROWBAND, WIDEBAND)).flatmap(lambda sizes: st.tuples(st.just(sizes), frames_of(sizes)))


def stored(frames: list[Frame], sizes: tuple[int, ...]) -> list[bytes]:
    """What has speech that can be decoded."""
    return [frame.stored if frame.intact and frame.frame_type < len(sizes) - 1 else b"" for frame in frames]


@given(FRAMES, st.integers(0, 15))
def test_packed_frames_are_cut(given_frames: tuple[tuple[int, ...], list[Frame]], mode_request: int) -> None:
    sizes, frames = given_frames
    wideband = sizes is WIDEBAND
    payload = packed(frames, mode_request=mode_request)
    found = framing(wideband=wideband)
    assert found.cut(payload) == stored(frames, sizes)
    assert found.samples(payload) == len(frames) * (320 if wideband else 160)
    assert found.deviation is None


@given(FRAMES, st.booleans(), st.booleans(), st.integers(0, 15))
def test_aligned_frames_are_cut(
    given_frames: tuple[tuple[int, ...], list[Frame]], checksums: bool, by_octets: bool, mode_request: int
) -> None:
    sizes, frames = given_frames
    wideband = sizes is WIDEBAND
    payload = aligned(frames, mode_request=mode_request, checksums=checksums, by_octets=by_octets)
    found = framing(f"octet-align=1;crc={checksums:d};robust-sorting={by_octets:d}", wideband=wideband)
    assert found.cut(payload) == stored(frames, sizes)
    assert found.samples(payload) == len(frames) * (320 if wideband else 160)
    assert found.deviation is None


@given(
    st.binary(max_size=200),
    st.sampled_from(("", "octet-align=1", "crc=1", "robust-sorting=1", "crc=1;robust-sorting=1")),
    st.booleans(),
)
def test_any_octets_are_cut_into_as_many_frames_as_are_counted(payload: bytes, parameters: str, wideband: bool) -> None:
    found = framing(parameters, wideband=wideband)
    frames = found.cut(payload)
    assert found.samples(payload) == len(frames) * (320 if wideband else 160)
    sizes = {0, *((bits + 7) // 8 + 1 for bits in (WIDEBAND if wideband else NARROWBAND))}
    assert {len(frame) for frame in frames} <= sizes


@given(FRAMES, st.data())
def test_what_is_cut_off_is_no_payload(given_frames: tuple[tuple[int, ...], list[Frame]], data: st.DataObject) -> None:
    sizes, frames = given_frames
    payload = aligned(frames, checksums=True)
    short = payload[: data.draw(st.integers(0, len(payload) - 1))]
    found = framing("crc=1", wideband=sizes is WIDEBAND)
    assert found.cut(short) == [] or found.deviation is not None


def test_checksums_and_sorting_imply_octets() -> None:
    for parameters, payload in (
        ("crc=1", aligned([SPEECH], checksums=True)),
        ("robust-sorting=1", aligned([SPEECH], by_octets=True)),
        ("octet-align=1", aligned([SPEECH])),
        ("octet-align=0; mode-set=7", packed([SPEECH])),
    ):
        found = framing(parameters)
        assert found.cut(payload) == [SPEECH.stored]
        assert found.deviation is None


def test_comfort_noise_and_what_was_lost_are_silence() -> None:
    noise = Frame(8, "1" * 39)
    found = framing()
    assert found.cut(packed([SPEECH, noise, Frame(15), SPEECH])) == [SPEECH.stored, b"", b"", SPEECH.stored]
    assert framing(wideband=True).cut(packed([Frame(14), Frame(9, "0" * 40)])) == [b"", b""]


def test_the_other_layout_is_told() -> None:
    """Gateways lose `octet-align=1` on the way."""
    found = framing()
    assert found.cut(aligned([SPEECH, SPEECH])) == [SPEECH.stored] * 2
    assert found.deviation == "octet-aligned payloads where bandwidth-efficient is agreed"
    found = framing("octet-align=1", wideband=True)
    wide = Frame(2, "01" * 126 + "1")
    assert found.cut(packed([wide])) == [wide.stored]
    assert found.deviation == "bandwidth-efficient payloads where octet-aligned is agreed"


def test_octets_behind_the_frames_are_left_out() -> None:
    assert framing().cut(packed([SPEECH]) + b"\0\0\0") == [SPEECH.stored]
    assert framing("octet-align=1").cut(aligned([SPEECH]) + b"\0\0\0") == [SPEECH.stored]


@pytest.mark.parametrize("frame_type", [9, 10, 11, 12, 13, 14])
def test_types_that_are_not_assigned_make_a_payload_unreadable(frame_type: int) -> None:
    found = framing()
    payload = packed([SPEECH, Frame(frame_type)])
    assert found.cut(payload) == []
    assert found.samples(payload) == 0
    if frame_type in range(10, 14):
        assert framing(wideband=True).samples(packed([Frame(frame_type)])) == 0


def test_a_packet_cannot_tell_of_minutes_of_silence() -> None:
    most = [Frame(15)] * MOST_FRAMES
    for parameters, write in (("", packed), ("octet-align=1", aligned)):
        assert framing(parameters).samples(write(most)) == MOST_FRAMES * 160
        assert framing(parameters).samples(write([*most, Frame(15)])) < MOST_FRAMES * 160
        assert framing(parameters).samples(b"\xff" * 65_000) == 0


def test_interleaving_is_not_read() -> None:
    assert readable({"octet-align": "1"})
    assert not readable(split_parameters("octet-align=1; interleaving=30"))
