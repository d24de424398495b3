import pytest

from siprec_core.rtp.payload import STATIC_FORMATS, PayloadFormat, static_format


@pytest.mark.parametrize(
    ("payload_type", "name"),
    [(0, "PCMU/8000"), (8, "PCMA/8000"), (9, "G722/8000"), (10, "L16/44100/2"), (11, "L16/44100"), (18, "G729/8000")],
)
def test_static_types_have_their_names(payload_type: int, name: str) -> None:
    entry = static_format(payload_type)
    assert entry is not None
    assert entry.name == name
    assert entry.payload_type == payload_type


@pytest.mark.parametrize("payload_type", [1, 2, 19, 35, 72, 95, 96, 127, 128, -1])
def test_other_types_are_none(payload_type: int) -> None:
    assert static_format(payload_type) is None


def test_the_table_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        STATIC_FORMATS[0] = PayloadFormat(0, "GSM", 8000)  # type: ignore[index]


def test_special_formats_are_told_apart() -> None:
    assert PayloadFormat(101, "TELEPHONE-EVENT", 8000).is_event
    assert PayloadFormat(13, "CN", 8000).is_comfort_noise
    assert not PayloadFormat(0, "PCMU", 8000).is_event
    assert not PayloadFormat(0, "PCMU", 8000).is_comfort_noise
