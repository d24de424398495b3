import pytest

from siprec_core.errors import RemoteProtocolError
from siprec_core.media.control import control_outputs
from siprec_core.media.outputs import GoodbyeReceived, SenderReported
from siprec_core.media.source import TrackedSource
from siprec_core.rtp.extended import ApplicationPacket
from siprec_core.rtp.reports import ReceiverReport, SenderReport
from siprec_core.rtp.rtcp import GOODBYE, Goodbye, RtcpPacket, parse_compound


@pytest.mark.requirement("3550-6.4.1-b", "3550-6.6-a", "3550-6.7-a")
def test_reports_and_leavings_are_told_once_and_the_rest_is_passed_over() -> None:
    source = TrackedSource(7, 1, arrival=0.0, max_dropout=3_000)
    written = (
        SenderReport(7, 1 << 40, 160, 1, 160),
        ReceiverReport(7),
        ApplicationPacket(0, 7, b"test"),
        Goodbye((7, 8), "over"),
        Goodbye((7,), "again"),
    )
    packets = parse_compound(b"".join(packet.to_bytes() for packet in written))
    assert list(control_outputs(packets, {7: source}, 5.0)) == [
        SenderReported(ssrc=7, ntp_timestamp=1 << 40, rtp_timestamp=160, at=5.0),
        GoodbyeReceived(ssrcs=(7,), reason="over", at=5.0),
    ]
    assert source.goodbye_at == 5.0


def test_what_does_not_fit_is_told_in_its_place() -> None:
    packets = (RtcpPacket(GOODBYE, 1, memoryview(b"")), RtcpPacket(200, 0, memoryview(bytes(4))))
    assert all(isinstance(told, RemoteProtocolError) for told in control_outputs(packets, {}, 0.0))
    assert len(list(control_outputs(packets, {}, 0.0))) == 2
