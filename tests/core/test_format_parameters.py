import pytest

from siprec_core.format_parameters import split_parameters


@pytest.mark.requirement("8866-6.15-a")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("annexb=no", {"annexb": "no"}),
        ("minptime=10; useinbandfec=1;Stereo", {"minptime": "10", "useinbandfec": "1", "stereo": None}),
        ("mode = 20 ;mode=30;;=x", {"mode": "20"}),
        ("sprop=aGVs=,b==", {"sprop": "aGVs=,b=="}),
        ("", {}),
        (None, {}),
    ],
)
def test_parameters(value: str | None, expected: dict[str, str | None]) -> None:
    assert split_parameters(value) == expected
