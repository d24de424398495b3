"""Ports of a server that runs short of them."""

from siprec_core.recording.events import Diagnostic
from siprec_core.recording.policy import ServerConfig
from tests.core.harness import Pair
from tests.core.messages import invite


def test_the_second_range_is_used_for_what_the_first_one_cannot_take_and_told_of() -> None:
    pair = Pair(config=ServerConfig(rtp_ports=(30_000, 30_003), rtp_ports_expansion=(40_000, 40_007)))
    for number in range(3):
        pair.inject(invite(call_id=f"call-{number}", branch=f"z9hG4bK{number}"))
    ports = [bound.rtp.port for bound in pair.server.media.values()]
    assert ports == [30_000, 30_002, *range(40_000, 40_007, 2)]
    told = [event for event in pair.server.of(Diagnostic) if event.code == "rtp-ports-expanded"]
    assert len(told) == 1
    assert "30000-30003" in told[0].detail
