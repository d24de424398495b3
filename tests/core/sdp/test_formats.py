import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.sdp.formats import STATIC_PAYLOAD_TYPES, Codec, MediaFormat, RtpMap, payload_type_of, read_rtpmap


@pytest.mark.requirement("8866-6.6-a")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0 PCMU/8000", (0, "PCMU/8000")),
        ("8 pcma/8000", (8, "pcma/8000")),
        ("111 opus/48000/2", (111, "opus/48000/2")),
        ("0 PCMU/8000/1", (0, "PCMU/8000")),
        ("97 L16/16000/0", (97, "L16/16000")),
        ("98 H264/90000", (98, "H264/90000")),
    ],
)
def test_rtpmap_by_the_grammar(value: str, expected: tuple[int, str]) -> None:
    payload_type, rtpmap, deviation = read_rtpmap(value)
    assert (payload_type, str(rtpmap), deviation) == (*expected, None)


@pytest.mark.requirement("8866-6.6-a")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0 pcmu/8000a", (0, "pcmu/8000")),
        (" 0  PCMU / 8000", (0, "PCMU/8000")),
        ("101 telephone-event", (101, "telephone-event/8000")),
        ("101 telephone-event/", (101, "telephone-event/8000")),
        ("9 G722", (9, "G722/8000")),
        ("111 OPUS/48000 /2", (111, "OPUS/48000/2")),
    ],
)
def test_rtpmap_tolerated(value: str, expected: tuple[int, str]) -> None:
    payload_type, rtpmap, deviation = read_rtpmap(value)
    assert (payload_type, str(rtpmap)) == expected
    assert deviation is not None


@pytest.mark.parametrize(
    "value",
    ["", "x", "0", "128 PCMU/8000", "96 secret", "0 PCMU/0", "-1 PCMU/8000", "96 x/99999999999", "0 /8000", "9" * 5000],
)
def test_rtpmap_that_tells_nothing(value: str) -> None:
    payload_type, rtpmap, deviation = read_rtpmap(value)
    assert payload_type is None
    assert rtpmap is None
    assert deviation is not None


@pytest.mark.requirement("8866-6.6-a")
def test_encoding_names_compare_without_letter_case() -> None:
    assert RtpMap("PCMU", 8000).same_as(RtpMap("pcmu", 8000))
    assert not RtpMap("PCMU", 8000).same_as(RtpMap("PCMU", 16000))
    assert not RtpMap("L16", 44100, 2).same_as(RtpMap("L16", 44100))


@pytest.mark.requirement("8866-6.6-a")
def test_static_table() -> None:
    assert {number: str(STATIC_PAYLOAD_TYPES[number]) for number in (0, 3, 4, 8, 9, 10, 11, 13, 18)} == {
        0: "PCMU/8000",
        3: "GSM/8000",
        4: "G723/8000",
        8: "PCMA/8000",
        9: "G722/8000",
        10: "L16/44100/2",
        11: "L16/44100",
        13: "CN/8000",
        18: "G729/8000",
    }
    assert all(number < 35 for number in STATIC_PAYLOAD_TYPES)


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("127", 127), ("128", None), ("-1", None), ("*", None), ("00", None)]
)
def test_payload_types(text: str, expected: int | None) -> None:
    assert payload_type_of(text) == expected


def test_codec_parse_and_match() -> None:
    assert str(Codec.parse("opus/48000/2")) == "opus/48000/2"
    assert Codec.parse("PCMU/8000") == Codec("PCMU", 8000)
    assert Codec("PCMU", 8000).matches(RtpMap("pcmu", 8000))
    assert not Codec("PCMU", 8000).matches(RtpMap("PCMU", 8000, 2))
    assert not Codec("PCMU", 8000).matches(RtpMap("PCMA", 8000))


@pytest.mark.parametrize("text", ["", "PCMU", "PCMU/", "PCMU/0", "PCMU/8000/0", "PC MU/8000", "PCMU/8000\r\n"])
def test_codec_refuses(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        Codec.parse(text)


def test_media_format_views() -> None:
    event = MediaFormat(101, "Telephone-Event", 8000, 1, "0-15")
    assert event.is_telephone_event
    assert not event.is_comfort_noise
    assert event.name == "Telephone-Event/8000"
    assert MediaFormat(13, "cn", 8000).is_comfort_noise
    assert MediaFormat(111, "opus", 48000, 2).rtpmap == RtpMap("opus", 48000, 2)


def test_parameters_by_name() -> None:
    assert MediaFormat(18, "G729", 8000, 1, "annexb=no").parameters == {"annexb": "no"}
    assert MediaFormat(0, "PCMU", 8000).parameters == {}
