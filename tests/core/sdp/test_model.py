from dataclasses import replace

import pytest
from hypothesis import given

from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.sdp.attributes import (
    Attribute,
    FingerprintAttribute,
    GroupAttribute,
    RtcpAttribute,
    SsrcAttribute,
)
from siprec_core.sdp.formats import MediaFormat, RtpMap
from siprec_core.sdp.model import (
    Bandwidth,
    Connection,
    MediaDescription,
    Origin,
    RawLine,
    SessionDescription,
    address_type,
    format_attributes,
)
from siprec_core.sdp.parser import parse_sdp
from tests.core.sdp.strategies import descriptions

ORIGIN = Origin("-", 7, 1, "192.0.2.1")


def _media(*attributes: str, formats: str = "0", protocol: str = "RTP/AVP") -> MediaDescription:
    pairs = [attribute.partition(":") for attribute in attributes]
    return MediaDescription(
        "audio",
        4000,
        protocol,
        tuple(formats.split()),
        tuple(Attribute(name, value if colon else None) for name, colon, value in pairs),
    )


@given(descriptions())
def test_parsing_gives_back_what_was_written(description: SessionDescription) -> None:
    parsed = parse_sdp(description.to_bytes(), limits=Limits())
    assert parsed.error is None
    assert parsed.description == description


@pytest.mark.requirement("8866-5-a")
def test_lines_come_in_the_order_of_the_grammar() -> None:
    media = MediaDescription(
        "audio", 4000, "RTP/AVP", ("0",), (Attribute("sendonly"),), Connection("192.0.2.2"), 1, "i2"
    )
    description = SessionDescription(
        ORIGIN,
        "name",
        Connection("192.0.2.1"),
        (media,),
        (Attribute("tool", "x"),),
        (RawLine("t", "0 0"), RawLine("r", "1 2 3")),
        information="i1",
        uri="u",
        emails=("e",),
        phones=("p",),
        key="prompt",
        other_lines=(RawLine("x", "?"),),
    )
    letters = [line[0] for line in description.to_bytes().decode().split("\r\n") if line]
    assert "".join(letters) == "vosiuepctrkaxmica"
    assert description.to_bytes().endswith(b"a=sendonly\r\n")


@pytest.mark.requirement("8866-5.3-a")
def test_an_empty_session_name_is_not_written() -> None:
    assert b"\r\ns=-\r\n" in SessionDescription(ORIGIN, "").to_bytes()


@pytest.mark.parametrize("text", ["x\r\na=evil", "x\n", "x\r", "x\0"])
def test_writing_refuses_line_ends_and_nul(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        SessionDescription(ORIGIN, text).to_bytes()
    with pytest.raises(LocalProtocolError):
        SessionDescription(ORIGIN, media=(_media(f"label:{text}"),)).to_bytes()


def test_octets_that_are_not_utf8_survive() -> None:
    text = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=caf\xe9\r\nt=0 0\r\na=charset:ISO-8859-1\r\n"
    parsed = parse_sdp(text, limits=Limits())
    assert parsed.description is not None
    assert parsed.description.to_bytes() == text
    assert parsed.findings == ()


def test_attribute_views() -> None:
    media = _media(
        "label: 42 ", "ptime:30", "rtcp:4010 IN IP4 192.0.2.9", "rtcp-mux", "mid:a", "content:speaker", "sendonly",
        "crypto:1 AES inline:k", "crypto:2 AES inline:l", "rtcp-mux-only",
    )  # fmt: skip
    assert media.label == "42"
    assert media.ptime == 30
    assert media.rtcp == RtcpAttribute(4010, "192.0.2.9")
    assert media.rtcp_mux
    assert media.rtcp_mux_only
    assert media.mid == "a"
    assert media.content == "speaker"
    assert media.direction == "sendonly"
    assert media.crypto == ("1 AES inline:k", "2 AES inline:l")
    assert media.attribute("mid") == Attribute("mid", "a")


def test_views_of_secure_and_grouped_lines() -> None:
    key = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
    media = replace(
        _media(
            f"crypto:1 AES_CM_128_HMAC_SHA1_80 {key}", "crypto:2 broken", f"crypto:1 AES_CM_128_HMAC_SHA1_32 {key}",
            "ssrc:7 cname:a@b", "ssrc:bad", "content:slides, alt", "maxptime:60", "bundle-only", "setup:passive",
        ),
        bandwidths=(Bandwidth("AS", 64), Bandwidth("RR", 0), Bandwidth("AS", 65)),
    )  # fmt: skip
    assert [(each.tag, each.suite) for each in media.crypto_attributes] == [(1, "AES_CM_128_HMAC_SHA1_80")]
    assert media.ssrcs == (SsrcAttribute(7, "cname", "a@b"),)
    assert (media.contents, media.maxptime, media.bundle_only) == (("slides", "alt"), 60, True)
    assert [media.bandwidth(kind) for kind in ("AS", "RR", "RS")] == [64, 0, None]
    bare = _media()
    assert (bare.contents, bare.maxptime, bare.bundle_only, bare.crypto_attributes, bare.ssrcs) == (
        (), None, False, (), (),
    )  # fmt: skip
    session = SessionDescription(
        ORIGIN,
        media=(media, bare),
        attributes=(
            Attribute("group", "BUNDLE 1 2"),
            Attribute("group", ""),
            Attribute("fingerprint", "sha-1 AB"),
            Attribute("setup", "actpass"),
        ),
    )
    assert session.groups == (GroupAttribute("BUNDLE", ("1", "2")),)
    assert [session.setup_of(each) for each in session.media] == ["passive", "actpass"]
    assert session.fingerprint_of(bare) == FingerprintAttribute("sha-1", b"\xab")
    assert SessionDescription(ORIGIN).fingerprint_of(bare) is None
    assert SessionDescription(ORIGIN).setup_of(bare) is None


def test_attribute_views_without_attributes() -> None:
    media = _media("label:", "rtcp:x", "direction:both")
    views = (media.label, media.ptime, media.rtcp, media.mid, media.content, media.direction, media.fmtp(0))
    assert views == (None,) * 7
    assert media.crypto == ()
    assert not media.rtcp_mux
    assert not media.rtcp_mux_only


@pytest.mark.requirement("8866-6.6-a", "8866-6.15-a")
def test_codecs() -> None:
    media = _media(
        "rtpmap:96 OPUS/48000/2", "rtpmap:8 pcma/8000", "rtpmap:101 telephone-event/8000", "rtpmap:96 later/1",
        "fmtp:101 0-15,16", "fmtp:9 x", "fmtp:96 minptime=10; useinbandfec=1",
        formats="0 8 18 96 97 101 8 300",
    )  # fmt: skip
    assert media.codecs() == (
        (0, "PCMU/8000"),
        (8, "pcma/8000"),
        (18, "G729/8000"),
        (96, "OPUS/48000/2"),
        (97, None),
        (101, "telephone-event/8000"),
    )
    assert media.rtpmaps[96] == RtpMap("OPUS", 48000, 2)
    assert media.fmtp(101) == "0-15,16"
    assert media.fmtp("96") == "minptime=10; useinbandfec=1"
    assert media.media_formats()[-1] == MediaFormat(101, "telephone-event", 8000, 1, "0-15,16")
    assert [format_.payload_type for format_ in media.media_formats()] == [0, 8, 18, 96, 101]


def test_formats_of_other_protocols_are_no_payload_types() -> None:
    assert _media(formats="0", protocol="udptl").codecs() == ()
    assert _media(formats="*", protocol="TCP/MSRP").payload_types == ()
    assert _media(formats="0", protocol="UDP/TLS/RTP/SAVPF").payload_types == (0,)


@pytest.mark.requirement("8866-6.7-a", "8866-5.7-a")
def test_session_defaults_hold_for_lines() -> None:
    own = replace(_media("inactive"), connection=Connection("192.0.2.2"))
    bare = _media()
    session = SessionDescription(
        ORIGIN, connection=Connection("192.0.2.1"), media=(own, bare), attributes=(Attribute("sendonly"),)
    )
    assert [session.direction_of(media) for media in session.media] == ["inactive", "sendonly"]
    assert [session.connection_of(media) for media in session.media] == [
        Connection("192.0.2.2"),
        Connection("192.0.2.1"),
    ]
    assert session.attribute("sendonly") == Attribute("sendonly")
    assert session.attribute("label") is None
    assert SessionDescription(ORIGIN).direction_of(bare) == "sendrecv"


@pytest.mark.requirement("3264-8-a")
def test_version_rises_exactly_when_something_changed() -> None:
    first = SessionDescription(ORIGIN, media=(_media("sendonly"),))
    same = SessionDescription(Origin("x", 99, 5, "203.0.113.1"), media=(_media("sendonly"),))
    held = SessionDescription(Origin("x", 99, 5, "203.0.113.1"), media=(_media("inactive"),))
    assert same.continuing(first) == first
    assert held.continuing(first).origin == ORIGIN._replace(version=2)
    assert held.continuing(first).media == held.media


def test_origins_compare_but_for_the_version() -> None:
    assert ORIGIN.same_session(ORIGIN._replace(version=9))
    assert not ORIGIN.same_session(ORIGIN._replace(session_id=9))


def test_format_attributes() -> None:
    formats = (MediaFormat(0, "PCMU", 8000), MediaFormat(101, "telephone-event", 8000, 1, "0-15"))
    assert [str(attribute) for attribute in format_attributes(formats)] == [
        "rtpmap:0 PCMU/8000",
        "rtpmap:101 telephone-event/8000",
        "fmtp:101 0-15",
    ]


@pytest.mark.requirement("8866-5.2-a")
def test_address_types() -> None:
    assert address_type("192.0.2.1") == "IP4"
    assert address_type("2001:db8::1") == "IP6"
