from typing import get_args

from siprec_core.media.outputs import MediaOutput
from siprec_core.rtp.packet import RtpPacket
from siprec_core.rtp.reports import SenderReport
from siprec_core.rtp.telephone_event import TelephoneEvent
from siprec_core.types import Component
from tests.core.media.lines import ANNOUNCED, ELSEWHERE, Datagram, line, run

BYE = bytes.fromhex("81 cb 0001 00000001")
REPORT = SenderReport(1, 2 << 32, 160, 1, 160).to_bytes()


def test_every_output_is_told_by_some_line_with_its_instant() -> None:
    recorded = line().feed(run(0, 2, source=ELSEWHERE, at=5.0), run(2, 2, at=6.0))
    recorded.feed([Datagram(REPORT + BYE, ANNOUNCED, 7.0, Component.RTCP)])
    event = RtpPacket(101, 4, 640, 1, TelephoneEvent(5, 400).to_bytes()).to_bytes()
    recorded.feed([Datagram(event, ANNOUNCED, 8.0)])
    assert {type(output) for output in recorded.outputs} == set(get_args(MediaOutput))
    assert all(5.0 <= output.at <= 8.0 for output in recorded.outputs)
