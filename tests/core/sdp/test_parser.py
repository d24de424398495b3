from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.sdp import lines as sdp_lines
from siprec_core.sdp import parser as sdp_parser
from siprec_core.sdp.model import Connection, RawLine, SessionDescription
from siprec_core.sdp.parser import ParsedSdp, parse_sdp
from tests.core.sdp.strategies import peer_texts

LIMITS = Limits()
SESSION = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"
LINE = "m=audio 4000 RTP/AVP 0\na=sendonly\na=label:1\n"
CRYPTO = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4\n"
SECURE = LINE.replace("AVP", "SAVP") + CRYPTO


def _parse(text: str, *, limits: Limits = LIMITS) -> ParsedSdp:
    return parse_sdp(text.replace("\n", "\r\n").encode(), limits=limits)


def _good(text: str, *, limits: Limits = LIMITS) -> SessionDescription:
    description = _parse(text, limits=limits).description
    assert description is not None
    return description


def _codes(text: str) -> list[tuple[str, int | None]]:
    return [(found.code, found.line) for found in _parse(text).findings]


@pytest.mark.requirement("8866-5-a")
def test_a_good_offer_has_no_findings() -> None:
    text = SESSION + (
        "m=audio 4000 RTP/AVP 0 8 101\ni=caller\nb=AS:64\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\n"
        "a=fmtp:101 0-15\na=sendonly\na=label:1\na=3gOoBTC\nm=audio 4002 RTP/AVP 0\nc=IN IP6 2001:db8::1\na=label:2\n"
    )
    parsed = _parse(text)
    assert parsed.findings == ()
    assert parsed.error is None
    assert parsed.description is not None
    assert parsed.description.to_bytes() == text.replace("\n", "\r\n").encode()
    assert [media.line for media in parsed.description.media] == [6, 15]
    assert [media.label for media in parsed.description.media] == ["1", "2"]


def test_views_are_taken_as_well() -> None:
    data = (SESSION + LINE).encode()
    assert parse_sdp(memoryview(data), limits=LIMITS) == parse_sdp(data, limits=LIMITS)


@pytest.mark.requirement("8866-5-b", "2046-5.1-c")
@pytest.mark.parametrize("line_end", ["\n", "\r"])
def test_other_line_ends_are_told_once(line_end: str) -> None:
    parsed = parse_sdp((SESSION + LINE).replace("\n", line_end).encode(), limits=LIMITS)
    assert [(found.code, found.line) for found in parsed.findings] == [("sdp-line-end", 1)]
    assert parsed.description == _good(SESSION + LINE)


def test_the_first_stray_line_end_is_told() -> None:
    data = (SESSION + LINE).replace("\n", "\r\n").replace("c=IN IP4 192.0.2.1\r\n", "c=IN IP4 192.0.2.1\n").encode()
    assert [(found.code, found.line) for found in parse_sdp(data, limits=LIMITS).findings] == [("sdp-line-end", 4)]


@pytest.mark.requirement("8866-5-b", "2046-5.1-c")
def test_missing_last_line_end() -> None:
    assert _codes((SESSION + LINE).removesuffix("\n")) == [("sdp-no-final-line-end", 8)]


@pytest.mark.requirement("8866-5-a", "8866-5.3-a")
@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (SESSION + LINE + "\n", "sdp-blank-line", 9),
        ("\n" + SESSION + LINE, "sdp-blank-line", 1),
        (SESSION + LINE + " \n", "sdp-blank-line", 9),
        (SESSION.replace("s=-\n", "") + LINE, "sdp-no-session-name", 1),
        (SESSION.replace("s=-", "s=") + LINE, "sdp-no-session-name", 3),
        (SESSION.replace("t=0 0\n", "") + LINE, "sdp-timing", 1),
        (SESSION.replace("t=0 0", "t=0") + LINE, "sdp-timing", 5),
        (SESSION.replace("v=0", "v=1") + LINE, "sdp-version-number", 1),
        (SESSION.replace("- 1 1", "- 1 x") + LINE, "sdp-origin", 2),
        (SESSION.replace("c=IN IP4 192.0.2.1\n", "") + LINE, "sdp-no-connection", 5),
        (SESSION.replace("c=IN IP4 192.0.2.1", "c=IN IP6 192.0.2.1") + LINE, "sdp-connection", 4),
        (SESSION.replace("c=IN IP4", "c= IN IP4") + LINE, "sdp-blanks", 4),
        (SESSION.replace("c=IN IP4", "c =IN IP4") + LINE, "sdp-blanks", 4),
        (SESSION + LINE.replace("sendonly", "sendonly "), "sdp-blanks", 7),
        (SESSION + LINE + "c=IN IP4 192.0.2.2\n", "sdp-order", 9),
        (SESSION + "b=AS:64\n" + LINE, "sdp-order", 6),
        (SESSION + "a=x\nb=AS:64\n" + LINE, "sdp-order", 7),
        (SESSION + LINE + "b=AS:64\nk=\n", "sdp-order", 9),
        (SESSION.replace("t=0 0\n", "") + LINE + "t=0 0\n", "sdp-order", 8),
        (SESSION.replace("s=-\n", "s=-\ns=again\n") + LINE, "sdp-repeated-line", 4),
        (SESSION + LINE.replace("a=sendonly", "c=IN IP4 192.0.2.2\nc=IN IP4 192.0.2.3"), "sdp-repeated-line", 8),
        (SESSION.replace("s=-\n", "o=- 2 2 IN IP4 192.0.2.2\ns=-\n") + LINE, "sdp-repeated-line", 3),
        (SESSION.replace("s=-\n", "s=-\nu=x\nu=y\n") + LINE, "sdp-repeated-line", 5),
        (SESSION.replace("s=-\n", "s=-\ni=x\ni=y\n") + LINE, "sdp-repeated-line", 5),
        (SESSION + "k=x\nk=y\n" + LINE, "sdp-repeated-line", 7),
        (SESSION + "y=1\n" + LINE, "sdp-unknown-line", 6),
        (SESSION + "nonsense\n" + LINE, "sdp-bad-line", 6),
        (SESSION + "=1\n" + LINE, "sdp-bad-line", 6),
        (SESSION.replace("t=", "b=AS\nt=") + LINE, "sdp-bad-line", 5),
        (SESSION + "k=prompt\n" + LINE, "sdp-key", 6),
        (SESSION + LINE.replace("4000", "70000"), "sdp-port", 6),
        (SESSION + LINE.replace("4000", "4000/2"), "sdp-port-count", 6),
        (SESSION + LINE.replace(" 0\n", " 0 x\n"), "sdp-formats", 6),
        (SESSION + LINE.replace(" 0\n", " 0 0\n"), "sdp-formats", 6),
        (SESSION + LINE.replace(" 0\n", " 0 101\n"), "sdp-no-rtpmap", 6),
        (SESSION + LINE + "a=rtpmap:0 pcmu/8000a\n", "sdp-rtpmap", 9),
        (SESSION + LINE + "a=rtpmap:96 a/1\na=rtpmap:96 b/1\n", "sdp-rtpmap", 10),
        (SESSION + LINE + "a=rtpmap:0 PCMA/8000\n", "sdp-static-redefined", 9),
        (SESSION + LINE + "a=recvonly\n", "sdp-directions", 9),
        (SESSION + LINE + "a=label:2\n", "sdp-label", 9),
        (SESSION + LINE.replace("label:1", "label:a b"), "sdp-label", 8),
        (SESSION + "a=label:1\n" + LINE, "sdp-label", 6),
        (SESSION + LINE + "a=rtcp:0\n", "sdp-attribute", 9),
        (SESSION + LINE + "a=ptime:x\n", "sdp-attribute", 9),
        (SESSION + LINE + "a=mid:\n", "sdp-attribute", 9),
        (SESSION + LINE + "a=maxptime:-1\n", "sdp-attribute", 9),
        (SESSION + LINE + "a=ssrc:4294967296 cname:x\n", "sdp-attribute", 9),
        (SESSION + LINE + "a=fingerprint:sha-256 12:3\n", "sdp-attribute", 9),
        (SESSION + LINE + "a=setup:both\n", "sdp-attribute", 9),
        (SESSION + SECURE + "a=crypto:1 NULL\n", "sdp-crypto", 10),
        (SESSION + SECURE + "a=crypto\n", "sdp-crypto", 10),
        (SESSION + SECURE + CRYPTO, "sdp-crypto", 10),
        (SESSION + CRYPTO + SECURE, "sdp-crypto-misplaced", 6),
        (SESSION + LINE + CRYPTO, "sdp-crypto-misplaced", 9),
        (SESSION + LINE + "m=audio\n", "sdp-media-line", 9),
        ("\ufeff" + SESSION + LINE, "sdp-charset", 1),
        (SESSION.replace("s=-", "s=\udcff") + LINE, "sdp-charset", 3),
        (SESSION + LINE.replace("label:1", "label:1\0"), "sdp-nul", 8),
    ],
)  # fmt: skip
def test_each_deviation_is_told_with_its_line(text: str, code: str, line: int) -> None:
    data = text.replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    parsed = parse_sdp(data, limits=LIMITS)
    assert parsed.error is None
    assert (code, line) in [(found.code, found.line) for found in parsed.findings]
    assert parsed.description is not None
    assert parsed.description.media[0].label is not None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("\n\n", 1),
        ((SESSION + LINE).replace("v=0\n", ""), 1),
        ((SESSION + LINE).replace("o=- 1 1 IN IP4 192.0.2.1\n", ""), 1),
        ((SESSION + LINE).replace("o=- 1 1 IN IP4 192.0.2.1", "o=- 1 1"), 2),
        (SESSION + "m=audio\nm=audio 4000\n", 6),
        ("no description at all\n", 1),
    ],
)
def test_errors(text: str, line: int) -> None:
    parsed = _parse(text)
    assert parsed.description is None
    assert parsed.error is not None
    assert parsed.error.line == line
    assert parsed.error.status_hint == 400
    assert (parsed.findings[-1].code, parsed.findings[-1].line) == ("sdp-malformed", line)


def test_a_description_without_media_is_one() -> None:
    assert _good(SESSION).media == ()


def test_a_broken_media_line_keeps_its_place() -> None:
    description = _good(SESSION + "m=video\na=label:9\n" + LINE)
    assert [(media.media, media.port, media.label) for media in description.media] == [
        ("video", 0, "9"),
        ("audio", 4000, "1"),
    ]
    assert parse_sdp(description.to_bytes(), limits=LIMITS).description == description


@pytest.mark.requirement("8866-5-c")
def test_nothing_is_lost() -> None:
    description = _good(SESSION + "y=1\ns=again\n" + LINE + "a=X-odd: ü \nc=bad\nv=0\n")
    assert description.other_lines == (RawLine("y", "1"), RawLine("s", "again"))
    assert description.media[0].other_lines == (RawLine("c", "bad"), RawLine("v", "0"))
    assert str(description.media[0].attributes[-1]) == "X-odd: ü"


def test_lines_of_the_session_count_wherever_they_stand() -> None:
    description = _good("v=0\n" + LINE + "o=- 5 6 IN IP4 192.0.2.1\nc=IN IP4 192.0.2.7\nt=1 2\ns=late\n")
    assert description.origin.session_id == 5
    assert description.name == "late"
    assert description.timing == (RawLine("t", "1 2"),)
    assert description.media[0].connection == Connection("192.0.2.7")


def test_text_of_a_peer_never_reaches_a_message_unescaped() -> None:
    parsed = _parse(SESSION + LINE.replace("label:1", "label:\x1b[2J\u202e x") + "m=audio \x1b[2J RTP/AVP 0\n\x1b=1\n")
    assert {"sdp-label", "sdp-port", "sdp-unknown-line"} <= {found.code for found in parsed.findings}
    assert all((found.message + found.where).isprintable() for found in parsed.findings)


# Bounds


@pytest.mark.requirement("8866-lim-a")
def test_too_many_lines_are_refused_before_they_are_cut() -> None:
    parsed = parse_sdp(b"\n" * 1_000_000, limits=LIMITS)
    assert parsed.description is None
    assert [found.code for found in parsed.findings] == ["sdp-limit"]


def test_as_many_lines_as_the_limit_are_taken() -> None:
    text = SESSION + LINE
    limits = replace(LIMITS, sdp_lines=text.count("\n"))
    assert _parse(text, limits=limits).error is None
    assert _parse(text + "a=x\n", limits=limits).error is not None


@pytest.mark.requirement("8866-lim-a")
@pytest.mark.parametrize(
    "text",
    [
        SESSION + f"i={'x' * 4_100}\n" + LINE,
        SESSION + "a=x\n" * 257 + LINE,
        SESSION + LINE * 65,
    ],
)
def test_bounds_of_the_session(text: str) -> None:
    parsed = _parse(text)
    assert parsed.error is not None
    assert parsed.findings[-1].code == "sdp-limit"


@pytest.mark.requirement("8866-lim-a")
@pytest.mark.parametrize(
    "text",
    [
        SESSION + LINE + f"a=x:{'x' * 4_100}\n" + LINE,
        SESSION + LINE + "a=x\n" * 255 + LINE,
        SESSION + LINE.replace(" 0\n", " " + " ".join(map(str, range(129))) + "\n") + LINE,
    ],
)
def test_bounds_of_a_media_line_cost_its_port(text: str) -> None:
    parsed = _parse(text)
    assert parsed.description is not None
    assert [media.port for media in parsed.description.media] == [0, 4000]
    assert "sdp-limit" in [found.code for found in parsed.findings]


def test_one_line_makes_few_findings() -> None:
    text = SESSION + "m=audio 4000 RTP/AVP " + " ".join(f"x{number}" for number in range(128)) + "\n"
    assert len(_parse(text).findings) == 1


# What clients in the field send


@pytest.mark.requirement("8866-5.9-a")
def test_without_connection_and_timing() -> None:
    parsed = _parse("v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nm=audio 4000 RTP/AVP 0\na=label:0\n")
    assert sorted(found.code for found in parsed.findings) == ["sdp-no-connection", "sdp-timing"]
    assert parsed.description is not None
    assert parsed.description.connection_of(parsed.description.media[0]) is None


@pytest.mark.requirement("8866-5.7-a")
def test_host_names_and_ipv6() -> None:
    description = _good(
        "v=0\no=- 1 1 IN IP6 2001:db8::1\ns=-\nc=IN IP4 media.example.net\nt=0 0\n" + LINE + LINE.replace(
            "a=sendonly", "c=IN IP6 2001:db8::2\na=sendonly"
        )
    )  # fmt: skip
    hosts = [description.connection_of(media) for media in description.media]
    assert hosts == [Connection("media.example.net"), Connection("2001:db8::2", "IP6")]


def test_media_that_is_not_audio() -> None:
    parsed = _parse(
        SESSION
        + "m=text 11000 RTP/AVP 98 100\na=rtpmap:98 red/1000\na=rtpmap:100 t140/1000\nm=message 9 TCP/MSRP *\n"
        + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nm=video 0 RTP/AVP 98\na=label:3\n"
    )
    assert parsed.findings == ()
    assert parsed.description is not None
    assert [media.media for media in parsed.description.media] == ["text", "message", "application", "video"]


# Laws


@given(peer_texts)
def test_what_was_read_can_be_written_and_read_again(data: bytes) -> None:
    parsed = parse_sdp(data, limits=LIMITS)
    assert (parsed.description is None) == (parsed.error is not None)
    if parsed.description is not None:
        assert parse_sdp(parsed.description.to_bytes(), limits=LIMITS).description == parsed.description


@given(st.binary(max_size=200))
def test_any_octets_are_taken(data: bytes) -> None:
    parse_sdp(data, limits=LIMITS)
    parse_sdp(SESSION.encode() + data, limits=LIMITS)


@given(peer_texts)
def test_what_was_kept_changes_nothing(data: bytes) -> None:
    sdp_lines._attribute_lines.clear()
    sdp_lines._attribute_blocks.clear()
    first, second, third = (parse_sdp(data, limits=LIMITS) for _ in range(3))
    assert (first.description, first.findings) == (second.description, second.findings)
    assert (first.description, first.findings) == (third.description, third.findings)


def test_every_beginning_of_a_good_text_is_taken() -> None:
    data = (SESSION + LINE).replace("\n", "\r\n").encode()
    lines = data.splitlines(keepends=True)
    whole = [b"".join(lines[:count]) for count in (5, 6, 7)]
    for end in range(len(data)):
        parsed = parse_sdp(data[:end], limits=LIMITS)
        assert bool(parsed.findings) == (data[:end] not in whole)


HEADS = st.builds(
    "v=0\n".__add__,
    st.lists(
        st.sampled_from(
            (
                "o=- 1 1 IN IP4 192.0.2.1", "o=a\x0bb 1 1 IN IP4 192.0.2.1", "o=- 99999999999999999999 0 IN IP6 ::1",
                "o=- 1 1 IN IP4 192.0.2.1 ", "s=-", "s= x ", "s=", "s=\x1c", "c=IN IP4 192.0.2.1", "c=IN IP4 host",
                "c=IN IP6 192.0.2.1", "c=IN IP4 192.0.2.1/4", "t=0 0", "t=0 0 ", "t=1 2", "a=sendonly", "b=AS:1", "i=x",
            )
        ),
        max_size=8,
    ).map("\n".join),
)  # fmt: skip


@given(HEADS | st.just(SESSION).map(lambda text: text + LINE) | st.text(max_size=9).map(SESSION.__add__))
def test_the_usual_head_is_read_as_line_by_line(text: str) -> None:
    data = text.replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    at_once = parse_sdp(data, limits=LIMITS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sdp_parser, "_USUAL_SIZE", LIMITS.sdp_line_size + 1)
        line_by_line = parse_sdp(data, limits=LIMITS)
    assert (at_once.description, at_once.findings) == (line_by_line.description, line_by_line.findings)
    assert repr(at_once) == repr(line_by_line) or at_once.error is not None
