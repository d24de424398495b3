"""Where answers say that media goes."""

from siprec_core.limits import Limits
from siprec_core.recording.media_ports import media_ports
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.parser import parse_sdp
from siprec_core.types import Address, Component

SERVER = Address("192.0.2.1", 5_060)


def described(*lines: str, host: str = "IP4 198.51.100.2") -> SessionDescription:
    text = "\r\n".join(["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", f"c=IN {host}", "t=0 0", *lines, ""])
    description = parse_sdp(text.encode(), limits=Limits()).description
    assert description is not None
    return description


def test_rtp_and_rtcp_at_the_address_of_the_description_and_of_the_server() -> None:
    found = media_ports(described("m=audio 30000 RTP/AVP 0", "m=audio 30002 RTP/AVP 0"), SERVER)
    assert found == {
        Address(host, 30_000 + offset): (offset // 2, Component.RTCP if offset % 2 else Component.RTP)
        for host in ("198.51.100.2", "192.0.2.1")
        for offset in range(4)
    }


def test_a_line_with_both_on_one_port_and_one_that_was_refused() -> None:
    found = media_ports(described("m=audio 0 RTP/AVP 0", "m=audio 30000 RTP/AVP 0", "a=rtcp-mux"), SERVER)
    assert found == {Address(host, 30_000): (1, None) for host in ("198.51.100.2", "192.0.2.1")}


def test_a_port_of_rtcp_that_is_told() -> None:
    found = media_ports(described("m=audio 30000 RTP/AVP 0", "a=rtcp:40001"), SERVER)
    assert {address.port: component for address, (_, component) in found.items()} == {
        30_000: Component.RTP,
        40_001: Component.RTCP,
    }


def test_a_port_is_rtp_before_it_is_the_next_one_of_another_line() -> None:
    found = media_ports(described("m=audio 30000 RTP/AVP 0", "m=audio 30001 RTP/AVP 0"), SERVER)
    assert found[Address("192.0.2.1", 30_001)] == (1, Component.RTP)


def test_every_spelling_of_an_address_is_the_one_of_captures() -> None:
    found = media_ports(described("m=audio 30000 RTP/AVP 0", host="IP6 2001:DB8:0:0:0:0:0:2"), SERVER)
    assert Address("2001:db8::2", 30_000) in found
    named = media_ports(described("m=audio 30000 RTP/AVP 0", host="IP4 recorder.example.com"), SERVER)
    assert Address("192.0.2.1", 30_000) in named
