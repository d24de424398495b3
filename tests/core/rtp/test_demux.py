import pytest

from siprec_core.rtp.demux import DatagramKind, classify


@pytest.mark.requirement("7983-7-a")
@pytest.mark.parametrize(
    ("first", "last", "kind"),
    [
        (0, 3, DatagramKind.STUN),
        (4, 15, DatagramKind.UNKNOWN),
        (16, 19, DatagramKind.ZRTP),
        (20, 63, DatagramKind.DTLS),
        (64, 79, DatagramKind.TURN),
        (80, 127, DatagramKind.UNKNOWN),
        (128, 191, DatagramKind.RTP),
        (192, 255, DatagramKind.UNKNOWN),
    ],
)
def test_the_first_octet_tells_the_protocol(first: int, last: int, kind: DatagramKind) -> None:
    assert {classify(bytes((octet, 0))) for octet in range(first, last + 1)} == {kind}


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (0, DatagramKind.RTP),
        (191, DatagramKind.RTP),
        (192, DatagramKind.RTCP),
        (200, DatagramKind.RTCP),
        (223, DatagramKind.RTCP),
        (224, DatagramKind.RTP),
        (255, DatagramKind.RTP),
    ],
)
def test_the_second_octet_tells_rtcp(second: int, kind: DatagramKind) -> None:
    assert classify(bytes((0x80, second))) is kind


def test_the_shortest_datagrams() -> None:
    assert classify(b"") is DatagramKind.EMPTY
    assert classify(b"\x80") is DatagramKind.RTP
    assert classify(memoryview(b"\x80\xc8")) is DatagramKind.RTCP
