"""The RTCP of whole calls: what server and client tell each other about the audio."""

import pytest

from siprec_core.errors import LocalProtocolError
from siprec_core.recording.events import SessionEnded
from siprec_core.rtp.compound import read_packet
from siprec_core.rtp.reports import ReceiverReport, SenderReport
from siprec_core.rtp.rtcp import Goodbye, parse_compound
from siprec_core.rtp.sdes import SourceDescription
from siprec_core.types import Address
from tests.core.harness import Pair
from tests.core.recording.test_replay import report_after

TONE = bytes(2 * 8_000)


@pytest.mark.requirement("7866-8.1.1-a", "7866-8.1.8-b", "4961-a", "3550-6.3.7-a")
def test_server_sends_reports_from_its_rtcp_ports_and_never_rtp() -> None:
    pair = Pair()
    pair.call()
    pair.run(0.1)
    pair.caller.send_audio("1", TONE, now=pair.now)
    pair.run(30.0)
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    assert pair.server.sent_media == []
    sent = [command for command in pair.server.sent_rtcp if command.to == Address("192.0.2.2", 40_001)]
    assert len(pair.server.sent_rtcp) > len(sent), "line 2 brought reports and no audio"
    compounds = [[read_packet(packet) for packet in parse_compound(command.data)] for command in sent]
    assert 4 <= len(compounds) <= 14
    first, *_, last = compounds
    (block,) = first[0].blocks if isinstance(first[0], ReceiverReport) else ()
    assert (block.cumulative_lost, block.fraction_lost) == (0, 0)
    assert [type(packet) for packet in last] == [ReceiverReport, SourceDescription, Goodbye]
    (journal,) = [data for name, data in pair.server.files.items() if name.endswith("journal.pcapng")]
    heard = report_after(journal).streams[0].rtcp
    assert heard.reports_sent == len(sent)
    assert heard.reports_received > heard.sender_reports >= 1, "who has fallen silent sends receiver reports"
    assert (heard.goodbye, heard.round_trip) == (None, None)
    assert heard.cname


@pytest.mark.requirement("7866-8.1.1-a", "3550-6.4.1-a", "3550-6.6-a")
def test_the_client_reports_what_it_sent_and_says_goodbye() -> None:
    pair = Pair()
    pair.call()
    pair.run(0.1)
    pair.caller.send_audio("1", bytes(2 * 8_000 * 20), now=pair.now)
    pair.run(40.0)
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    reports = [command for command in pair.client.sent_rtcp if command.to.port == 30_001]
    typed = [[read_packet(packet) for packet in parse_compound(command.data)] for command in reports]
    senders = [packet for each in typed for packet in each if isinstance(packet, SenderReport)]
    assert len(senders) >= 2
    early, late = senders[0], senders[1]
    seconds = (late.ntp_timestamp - early.ntp_timestamp) / (1 << 32)
    assert (late.rtp_timestamp - early.rtp_timestamp) % (1 << 32) == pytest.approx(8_000 * seconds, abs=2)
    assert early.octet_count == 160 * early.packet_count
    assert isinstance(typed[-1][-1], Goodbye)
    blocks = [
        block
        for command in pair.server.sent_rtcp
        for packet in map(read_packet, parse_compound(command.data))
        if isinstance(packet, ReceiverReport)
        for block in packet.blocks
    ]
    stamps = {packet.ntp_timestamp >> 16 & 0xFFFF_FFFF for packet in senders}
    assert {block.last_sender_report for block in blocks} <= stamps | {0}
    assert any(block.last_sender_report and block.delay_since_last_sender_report for block in blocks)
    assert all(event.reason == "bye" for event in pair.server.of(SessionEnded)), "RTCP BYE ends nothing"


def test_the_client_knows_what_the_server_says_of_its_audio() -> None:
    pair = Pair()
    pair.call()
    pair.run(0.1)
    assert pair.caller.reception("1") is None
    pair.caller.send_audio("1", bytes(2 * 8_000 * 20), now=pair.now)
    pair.run(25.0)
    reception = pair.caller.reception("1")
    assert reception is not None
    assert reception.reports >= 2
    assert (reception.packets_lost, reception.fraction_lost) == (0, 0.0)
    assert reception.jitter == pytest.approx(0, abs=0.001)
    assert reception.round_trip == pytest.approx(0.0, abs=0.1)
    with pytest.raises(LocalProtocolError):
        pair.caller.reception("9")
