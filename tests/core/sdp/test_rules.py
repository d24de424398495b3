import pytest

from siprec_core.limits import Limits
from siprec_core.sdp.formats import MediaFormat
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sdp.rules import (
    continuity_findings,
    formats_without_events,
    media_addresses,
    recording_offer_findings,
    sendable_address,
    where,
)
from siprec_core.types import Address


def _sdp(*lines: str, origin: str = "- 1 1", connection: str = "c=IN IP4 192.0.2.1") -> SessionDescription:
    text = "\r\n".join(("v=0", f"o={origin} IN IP4 192.0.2.1", "s=-", connection, "t=0 0", *lines, ""))
    description = parse_sdp(text.encode(), limits=Limits()).description
    assert description is not None
    return description


def _codes(offer: SessionDescription) -> list[str]:
    return [found.code for found in recording_offer_findings(offer)]


def test_a_good_recording_offer() -> None:
    assert _codes(_sdp("m=audio 4000 RTP/AVP 0", "a=sendonly", "a=label:1", "m=video 0 RTP/AVP 96")) == []


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("m=audio 4000 RTP/AVP 0", "a=sendonly"), "sdp-no-label"),
        (("m=audio 4000 RTP/AVP 0", "a=label:1"), "sdp-not-sendonly"),
        (("m=audio 4000 RTP/AVP 0", "a=sendrecv", "a=label:1"), "sdp-not-sendonly"),
        (("m=audio 4000 RTP/AVP 0", "a=recvonly", "a=label:1"), "sdp-recvonly-offer"),
        (("m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=sendonly", "a=label:1"), "sdp-hold-address"),
        (("m=audio 4000 RTP/AVP 0", "c=IN IP6 ::", "a=sendonly", "a=label:1"), "sdp-hold-address"),
    ],
)
def test_deviations_of_a_recording_offer(lines: tuple[str, ...], code: str) -> None:
    found = recording_offer_findings(_sdp(*lines))
    assert [finding.code for finding in found] == [code]
    assert found[0].line == 6


@pytest.mark.requirement("4574-4-a")
def test_labels_are_unique() -> None:
    line = ("m=audio 4000 RTP/AVP 0", "a=sendonly", "a=label:1")
    assert _codes(_sdp(*line, *line)) == ["sdp-duplicate-label"]
    assert _codes(_sdp(*line, "m=audio 0 RTP/AVP 0", "a=label:1")) == []


def test_direction_of_the_session_counts() -> None:
    assert _codes(_sdp("a=sendonly", "m=audio 4000 RTP/AVP 0", "a=label:1")) == []
    assert _codes(_sdp("a=inactive", "m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=label:1")) == []


def test_lines_are_named_by_place_and_label() -> None:
    description = _sdp("m=audio 4000 RTP/AVP 0", "m=audio 4000 RTP/AVP 0", "a=label:\x1b")
    assert where(description, 0) == "m= line 1"
    assert where(description, 1) == "m= line 2, label '\\x1b'"


LINE = ("m=audio 4000 RTP/AVP 0 96", "a=rtpmap:96 opus/48000/2", "a=sendonly", "a=label:1")


@pytest.mark.requirement("3264-8-a", "3264-8-d")
@pytest.mark.parametrize(
    ("origin", "lines", "codes"),
    [
        ("- 1 1", LINE, []),
        ("- 1 2", (*LINE, "a=x"), []),
        ("- 1 1", (*LINE, "a=x"), ["sdp-version-unchanged"]),
        ("- 1 3", (*LINE, "a=x"), ["sdp-version-step"]),
        ("- 1 0", (*LINE, "a=x"), ["sdp-version-step"]),
        ("- 2 1", LINE, ["sdp-origin-changed"]),
        ("- 1 2", ("m=video 4000 RTP/AVP 0",), ["sdp-media-changed"]),
        ("- 1 2", ("m=video 0 RTP/AVP 0",), []),
        ("- 1 2", ("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 L16/16000"), ["sdp-payload-type-changed"]),
        ("- 1 2", ("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 OPUS/48000/2"), []),
    ],
)
def test_continuity(origin: str, lines: tuple[str, ...], codes: list[str]) -> None:
    found = continuity_findings(_sdp(*LINE), _sdp(*lines, origin=origin))
    assert [finding.code for finding in found] == codes


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("192.0.2.1", 4000, Address("192.0.2.1", 4000)),
        ("2001:DB8::0:1", 4000, Address("2001:db8::1", 4000)),
        ("fe80::1%eth0", 4000, Address("fe80::1", 4000)),
        ("::ffff:192.0.2.1", 4000, Address("192.0.2.1", 4000)),
        ("192.0.2.1", 0, None),
        ("192.0.2.1", 65536, None),
        ("0.0.0.0", 4000, None),
        ("::", 4000, None),
        ("::ffff:0.0.0.0", 4000, None),
        ("239.1.2.3", 4000, None),
        ("ff02::1", 4000, None),
        ("255.255.255.255", 4000, None),
        ("media.example.net", 4000, None),
        ("127.0.0.1", 4000, None),
        ("::1", 4000, None),
        ("::ffff:127.0.0.1", 4000, None),
        ("1" * 100, 4000, None),
    ],
)
def test_addresses_that_may_be_sent_to(host: str, port: int, expected: Address | None) -> None:
    assert sendable_address(host, port, allow_loopback=False) == expected


def test_loopback_may_be_allowed() -> None:
    assert sendable_address("127.0.0.1", 4000, allow_loopback=True) == Address("127.0.0.1", 4000)
    assert sendable_address("0.0.0.0", 4000, allow_loopback=True) is None


@pytest.mark.requirement("8866-5.14-a", "3605-2.1-a")
@pytest.mark.parametrize(
    ("attribute", "rtcp_mux", "rtcp"),
    [
        ("a=x", False, ("192.0.2.1", 4001)),
        ("a=x", True, ("192.0.2.1", 4000)),
        ("a=rtcp:5000", False, ("192.0.2.1", 5000)),
        ("a=rtcp:5000 IN IP4 192.0.2.7", False, ("192.0.2.7", 5000)),
        ("a=rtcp:5000 IN IP4 239.0.0.1", False, None),
        ("a=rtcp:0", False, ("192.0.2.1", 4001)),
    ],
)
def test_rtcp_address(attribute: str, rtcp: tuple[str, int] | None, *, rtcp_mux: bool) -> None:
    description = _sdp("m=audio 4000 RTP/AVP 0", attribute)
    addresses = media_addresses(description, description.media[0], rtcp_mux=rtcp_mux, allow_loopback=False)
    assert addresses == (("192.0.2.1", 4000), rtcp)


def test_addresses_at_the_edges() -> None:
    last = _sdp("m=audio 65535 RTP/AVP 0")
    assert media_addresses(last, last.media[0], rtcp_mux=False, allow_loopback=False) == (("192.0.2.1", 65535), None)
    bare = _sdp("m=audio 4000 RTP/AVP 0", connection="a=x")
    assert media_addresses(bare, bare.media[0], rtcp_mux=False, allow_loopback=False) == (None, None)


def test_formats_without_events() -> None:
    audio = MediaFormat(0, "PCMU", 8000)
    assert formats_without_events((audio, MediaFormat(101, "telephone-event", 8000), MediaFormat(13, "CN", 8000))) == (
        audio,
    )
