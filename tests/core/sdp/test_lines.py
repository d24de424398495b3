import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.sdp import lines
from siprec_core.sdp.attributes import Attribute
from siprec_core.sdp.lines import (
    AttributeLine,
    MediaLine,
    keep_attribute_block,
    known_attribute_block,
    known_attribute_line,
    read_attribute_line,
    read_bandwidth,
    read_connection,
    read_media_line,
    read_number,
    read_origin,
    read_timing,
)
from siprec_core.sdp.model import Bandwidth, Connection, Origin


def test_a_line_that_recurs_is_kept() -> None:
    line = read_attribute_line("rtpmap:0 PCMU/8000")
    assert line == AttributeLine(Attribute("rtpmap", "0 PCMU/8000"), "0")
    known = known_attribute_line("a=rtpmap:0 PCMU/8000")
    assert known == line[:2]
    assert known is not None
    assert known[0] is line.attribute
    read_attribute_line("rtpmap:0 pcmu/8000a")
    assert known_attribute_line("a=rtpmap:0 pcmu/8000a") is None, "what has a problem is read again"


@pytest.mark.parametrize(
    "value", ["crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x", "ice-pwd:secretsecretsecretsecret", "label:" + "x" * 100]
)
def test_secrets_and_long_lines_are_not_kept(value: str) -> None:
    read_attribute_line(value)
    assert known_attribute_line(f"a={value}") is None


def test_kept_lines_are_bounded() -> None:
    for number in range(3_000):
        read_attribute_line(f"label:{number}")
    assert len(lines._attribute_lines) <= 1_024


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("label:", "sdp-label"),
        ("label:a b", "sdp-label"),
        ("label", "sdp-label"),
        ("rtcp:x", "sdp-attribute"),
        ("ptime:x", "sdp-attribute"),
        ("maxptime", "sdp-attribute"),
        ("rtpmap:0 pcmu/8000a", "sdp-rtpmap"),
        ("rtpmap:x", "sdp-rtpmap"),
        ("rtpmap:0 PCMA/8000", "sdp-static-redefined"),
    ],
)
def test_problems_of_attributes(value: str, code: str) -> None:
    problem = read_attribute_line(value).problem
    assert problem is not None
    assert problem.code == code


@pytest.mark.parametrize(
    "value", ["sendonly", "label:0", "label:123456789", "3gOoBTC", "rtpmap:8 pcma/8000", "ptime:20"]
)
def test_attributes_without_a_problem(value: str) -> None:
    assert read_attribute_line(value).problem is None


@pytest.mark.requirement("8866-5.7-a")
@pytest.mark.parametrize(
    ("value", "expected", "tolerated"),
    [
        ("IN IP4 192.0.2.1", Connection("192.0.2.1"), False),
        ("IN IP6 2001:db8::1", Connection("2001:db8::1", "IP6"), False),
        ("IN IP4 media.example.net", Connection("media.example.net"), False),
        ("IN IP6 media.example.net", Connection("media.example.net", "IP6"), False),
        ("IN IP4 224.2.36.42/127", Connection("224.2.36.42", suffix="127"), False),
        ("IN IP4 192.0.2.1/127", Connection("192.0.2.1", suffix="127"), True),
        ("IN IP4 2001:db8::1", Connection("2001:db8::1", "IP6"), True),
        ("IN IP6 192.0.2.1", Connection("192.0.2.1"), True),
        ("IN IP6 [2001:db8::1]", Connection("2001:db8::1", "IP6"), True),
        ("in ip4 192.0.2.1", Connection("192.0.2.1"), True),
        ("IN IP4", None, True),
        ("", None, True),
        ("IN IP4 192.0.2.1 x", None, True),
    ],
)
def test_connections(value: str, expected: Connection | None, *, tolerated: bool) -> None:
    connection, problem = read_connection(value)
    assert connection == expected
    assert (problem is not None) == tolerated


@pytest.mark.requirement("8866-5.2-a")
def test_origins() -> None:
    assert read_origin("- 1 2 IN IP4 192.0.2.1") == (Origin("-", 1, 2, "192.0.2.1"), None)
    assert read_origin("- 1 2 IN IP4")[0] is None


@pytest.mark.requirement("8866-5.2-a")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Some SBC 1 2 IN IP4 192.0.2.1", Origin("Some_SBC", 1, 2, "192.0.2.1")),
        ("- abc 2 IN IP4 192.0.2.1", Origin("-", 0, 2, "192.0.2.1")),
        ("- 1 -2 IN IP4 192.0.2.1", Origin("-", 1, 0, "192.0.2.1")),
        (f"- {'9' * 4000} 2 IN IP4 192.0.2.1", Origin("-", 0, 2, "192.0.2.1")),
    ],
)
def test_origins_tolerated(value: str, expected: Origin) -> None:
    origin, problem = read_origin(value)
    assert origin == expected
    assert problem is not None
    assert problem.code == "sdp-origin"


@pytest.mark.requirement("8866-5.14-a")
@pytest.mark.parametrize(
    ("value", "expected", "code"),
    [
        ("audio 4000 RTP/AVP 0 8", MediaLine("audio", 4000, 1, "RTP/AVP", ("0", "8")), None),
        ("audio 0 RTP/AVP 0", MediaLine("audio", 0, 1, "RTP/AVP", ("0",)), None),
        ("audio 4000/1 RTP/AVP 0", MediaLine("audio", 4000, 1, "RTP/AVP", ("0",)), None),
        ("message 9 TCP/MSRP *", MediaLine("message", 9, 1, "TCP/MSRP", ("*",)), None),
        ("audio 4000/2 RTP/AVP 0", MediaLine("audio", 4000, 2, "RTP/AVP", ("0",)), "sdp-port-count"),
        ("audio 65536 RTP/AVP 0", MediaLine("audio", 0, 1, "RTP/AVP", ("0",)), "sdp-port"),
        ("audio 99999999999 RTP/AVP 0", MediaLine("audio", 0, 1, "RTP/AVP", ("0",)), "sdp-port"),
        ("audio -1 RTP/AVP 0", MediaLine("audio", 0, 1, "RTP/AVP", ("0",)), "sdp-port"),
        ("audio ² RTP/AVP 0", MediaLine("audio", 0, 1, "RTP/AVP", ("0",)), "sdp-port"),
        ("audio 4000/0 RTP/AVP 0", MediaLine("audio", 0, 1, "RTP/AVP", ("0",)), "sdp-port"),
        ("audio 4000/ RTP/AVP 0", MediaLine("audio", 0, 1, "RTP/AVP", ("0",)), "sdp-port"),
        ("audio 4000 RTP/AVP 0 0", MediaLine("audio", 4000, 1, "RTP/AVP", ("0", "0")), "sdp-formats"),
    ],
)
def test_media_lines(value: str, expected: MediaLine, code: str | None) -> None:
    read = read_media_line(value)
    assert read._replace(problem=None) == expected
    assert (None if read.problem is None else read.problem.code) == code


@pytest.mark.requirement("8866-5.14-a")
@pytest.mark.parametrize("value", ["", "video", "video 4000", "video 4000 RTP/SAVP"])
def test_incomplete_media_lines(value: str) -> None:
    read = read_media_line(value)
    assert not read.complete
    assert read.port == 0
    assert read.formats
    assert read.media == ("video" if value else "audio")


@pytest.mark.requirement("8866-5.8-a", "8866-5.9-a")
def test_bandwidth_timing_number() -> None:
    assert read_bandwidth("AS:64") == Bandwidth("AS", 64)
    assert read_bandwidth("X-y: 7") == Bandwidth("X-y", 7)
    assert [read_bandwidth(text) for text in ("AS", "AS:", "AS:x", ":1", "")] == [None] * 5
    assert read_timing("0 0")
    assert read_timing("3034423619 3042462419")
    assert not any(map(read_timing, ("", "0", "0 x", "0 0 0", "now")))
    assert [read_number(text) for text in ("0", "007", "", "-1", "+1", "1_0", "²", "9" * 21)] == [0, 7] + [None] * 6


@given(st.text(st.characters(exclude_characters="\r\n\0"), max_size=60))
def test_readers_take_any_text(text: str) -> None:
    read_attribute_line(text)
    read_connection(text)
    read_origin(text)
    read_bandwidth(text)
    read_timing(text)
    assert read_media_line(text).formats


def block_of(text: str) -> lines.AttributeBlock:
    """Read the lines of a block one by one."""
    read = [read_attribute_line(line.removeprefix("a=")) for line in text.split("\r\n")]
    marks = {line.mark: number for number, line in enumerate(read, 7) if line.mark is not None}
    return lines.AttributeBlock(tuple(line.attribute for line in read), marks)


def test_a_block_that_recurs_is_kept() -> None:
    text = "a=rtpmap:0 PCMU/8000\r\na=label:1\r\na=sendonly"
    block = block_of(text)
    assert block.marks == {"0": 7, "label": 8, "direction": 9}
    keep_attribute_block(text, block)
    assert known_attribute_block(text) is block


@pytest.mark.parametrize(
    "line",
    [
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x",
        "a=ice-pwd:secret",
        "a=ptime:x",
        "b=AS:64",
        "",
        "a=label:" + "1" * 60,
    ],
)
def test_a_block_with_a_secret_a_problem_or_too_much_is_not_kept(line: str) -> None:
    text = "\r\n".join(["a=sendonly", *[line] * 10])
    read_attribute_line("sendonly")
    read_attribute_line(line.removeprefix("a="))
    keep_attribute_block(text, block_of("a=sendonly"))
    assert known_attribute_block(text) is None


def test_kept_blocks_are_bounded() -> None:
    for number in range(600):
        text = f"a=label:{number}\r\na=sendonly"
        keep_attribute_block(text, block_of(text))
    assert len(lines._attribute_blocks) <= 256
