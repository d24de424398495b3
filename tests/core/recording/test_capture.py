"""What is captured, and what comes during a pause."""

import json

import pytest

from siprec_core.recording.account import LineAccount
from siprec_core.recording.capture import CaptureGate
from siprec_core.recording.commands import WriteSink
from siprec_core.rtp.packet import RtpPacket
from siprec_core.types import Address, Component, DatagramBatch, MediaId
from tests.core.messages import OFFER, invite
from tests.core.recording.calls import Line, Recorded
from tests.core.recording.test_session import Bench, understood

SOURCE = Address("192.0.2.10", 40_000)
TIMES = (b"001.00", b"001.02", b"001.04", b"001.98", b"002.02", b"002.04", b"002.12")
REPORT = bytes([0x80, 201, 0, 1, 0, 0, 0, 1])


def batch(*arrivals: float, data: bytes | None = None) -> DatagramBatch:
    packets = [
        data or RtpPacket(0, round(at * 50), round(at * 8_000), 7, b"[%06.2f]" % at * 20).to_bytes() for at in arrivals
    ]
    return DatagramBatch(packets, [SOURCE] * len(arrivals), list(arrivals))


def lines(direction: str, *, earlier: str = "sendonly") -> list[LineAccount]:
    call = Recorded().invite([Line("1", 40_000, direction=earlier)])
    if direction != earlier:
        call.offer([Line("1", 40_000, direction=direction)], 1.0)
    return list(call.account.lines.values())


def arrivals(gate: CaptureGate, given: DatagramBatch, component: Component = Component.RTP) -> list[float]:
    return list(gate.admit(0, given, component).arrivals)


def test_audio_of_a_pause_is_left_out_by_its_arrival() -> None:
    gate = CaptureGate()
    gate.follow(lines("sendonly"), now=0.0)
    assert arrivals(gate, batch(1.0, 2.0)) == [1.0, 2.0]
    gate.pause(paused=True, now=3.0)
    assert arrivals(gate, batch(2.9, 3.0, 3.1)) == [2.9]
    gate.pause(paused=False, now=5.0)
    assert arrivals(gate, batch(4.9, 5.0)) == [5.0]
    gate.pause(paused=True, now=5.1)
    assert arrivals(gate, batch(4.8, 5.05, 5.2)) == [5.05]
    gate.pause(paused=False, now=6.0)
    assert arrivals(gate, batch(6.0, 7.0)) == [6.0, 7.0]


def test_a_hold_of_the_client_is_a_pause_and_ours_outlasts_it() -> None:
    gate = CaptureGate()
    gate.follow(lines("inactive"), now=2.0)
    assert arrivals(gate, batch(1.9, 2.1)) == [1.9]
    gate.pause(paused=True, now=3.0)
    gate.follow(lines("sendonly"), now=4.0)
    assert arrivals(gate, batch(4.1)) == []
    gate.pause(paused=False, now=5.0)
    assert arrivals(gate, batch(4.9, 5.1)) == [5.1]


def test_a_line_that_never_was_active_is_not_paused() -> None:
    gate = CaptureGate()
    gate.follow(lines("inactive", earlier="inactive"), now=0.0)
    assert arrivals(gate, batch(1.0)) == [1.0]


def test_rtcp_is_never_left_out() -> None:
    gate = CaptureGate()
    gate.follow(lines("sendonly"), now=0.0)
    gate.pause(paused=True, now=1.0)
    assert arrivals(gate, batch(2.0, data=REPORT)) == [2.0]
    assert arrivals(gate, batch(2.0), Component.RTCP) == [2.0]
    assert arrivals(gate, batch()) == []


@pytest.mark.parametrize("by", ["server", "client"])
def test_no_sample_of_a_pause_reaches_the_journal(by: str) -> None:
    bench = Bench().active()
    session, media = bench.session, MediaId(1)
    session.receive_media(media, batch(1.0, 1.02, 1.04), component=Component.RTP, now=1.1)
    if by == "server":
        # The client goes on sending whatever we ask.
        session.pause(paused=True, now=2.0)
    else:
        held = OFFER.replace("sendonly", "inactive").replace("o=- 1 1", "o=- 1 2")
        bench.now = 2.0
        bench.offered(understood(invite(offer=held, metadata=None, cseq=2, to_tag="mine")))
    session.receive_media(media, batch(1.98, 2.02, 2.04), component=Component.RTP, now=2.1)
    session.receive_media(media, batch(2.12), component=Component.RTP, now=2.2)
    session.handle_timeout(now=9.0)
    bench.drain()
    journal = b"".join(each.data for each in bench.of(WriteSink))
    assert [text for text in TIMES if b"[%s]" % text in journal] == [b"001.00", b"001.02", b"001.04", b"001.98"]
    if by == "server":
        assert b'"siprec": "paused", "by": "server"' in journal
        entries = json.loads(session.account.report("active").to_bytes())["timeline"]
        assert [(entry["event"], entry["by"]) for entry in entries if "by" in entry] == [("paused", "server")]


def test_a_refused_pause_lets_capture_go_on() -> None:
    bench = Bench().active()
    bench.session.pause(paused=True, now=2.0)
    bench.drain()
    bench.session.change_refused(488, "Not Acceptable Here", offered=True, now=3.0)
    bench.session.receive_media(MediaId(1), batch(3.1, 3.12), component=Component.RTP, now=3.2)
    bench.session.receive_media(MediaId(1), batch(4.0, 4.02), component=Component.RTP, now=4.1)
    entries = json.loads(bench.session.account.report("active").to_bytes())["timeline"]
    assert [entry["event"] for entry in entries if "by" in entry] == ["paused", "resumed"]
    assert bench.session.account.lines[0].receiver.statistics().packets_received == 2


def test_whom_a_line_listens_to_stands_in_the_journal() -> None:
    bench = Bench().active()
    bench.session.receive_media(MediaId(1), batch(1.0, 1.02), component=Component.RTP, now=1.1)
    bench.session.handle_timeout(now=9.0)
    bench.drain()
    journal = b"".join(each.data for each in bench.of(WriteSink))
    told = b'{"siprec": "source-locked", "line": 0, "source": ["192.0.2.10", 40000], "ssrc": 7, "announced": false}'
    assert journal.count(told) == 1
    (entry,) = [
        entry
        for entry in json.loads(bench.session.account.report("active").to_bytes())["timeline"]
        if entry["event"] == "source-locked"
    ]
    assert (entry["source"], entry["ssrc"]) == (["192.0.2.10", 40_000], 7)
