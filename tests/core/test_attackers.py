"""Who sends to the media ports of a call without being its client changes no recording, and is counted."""

import json
import random
from collections.abc import Callable
from typing import cast

import pytest

from siprec_core.recording.events import SessionEnded, StreamStalled
from siprec_core.rtp.packet import RtpPacket
from siprec_core.rtp.reports import SenderReport
from siprec_core.rtp.rtcp import Goodbye, parse_compound
from siprec_core.types import Address, Component, DatagramBatch
from tests.core.harness import CLIENT, Pair
from tests.core.recording.calls import rendered, tone

ATTACKER = "203.0.113.66"
Attack = Callable[["Attacked"], None]


class Attacked:
    """A call of two streams, and somebody else on the wire."""

    def __init__(self) -> None:
        self.pair = Pair()
        self.pair.call()
        self.pair.run(0.1)
        self.sent = 0

    def throw(self, data: bytes, *, source: Address, component: Component = Component.RTP) -> None:
        """Send one datagram to every media port."""
        for media in list(self.pair.server.media):
            batch = DatagramBatch([data], [source], [self.pair.now])
            self.pair.recorder.receive_media(media, batch, component=component, now=self.pair.now)
        self.sent += 1
        self.pair.settle()

    def heard(self, port: int) -> list[bytes]:
        """Give the packets that the client sent to a port."""
        return [command.data for command in self.pair.client.sent_media if command.to.port == port]


def recorded(attack: Attack | None) -> tuple[dict[str, bytes], dict[str, object]]:
    """Live through the call; give its audio and its report."""
    attacked = Attacked()
    pair = attacked.pair
    for label in ("1", "2"):
        pair.caller.send_audio(label, tone(16_000, step=int(label) * 11), now=pair.now)
    for _ in range(4):
        pair.run(0.5)
        if attack is not None:
            attack(attacked)
    pair.run(1.0)
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    assert [event.reason for event in pair.server.of(SessionEnded)] == ["bye"]
    (journal,) = [data for name, data in pair.server.files.items() if name.endswith("journal.pcapng")]
    files = rendered(journal)
    report = json.loads(files["recording.json"])
    return {name: data for name, data in files.items() if name.endswith(".wav")}, report


def every_port(attacked: Attacked) -> None:
    for component in Component:
        for data in (b"", b"x", random.Random(attacked.sent).randbytes(200), attacked.heard(30_000)[-1]):
            attacked.throw(data, source=Address(ATTACKER, 4_444), component=component)


def stream_of_his_own(attacked: Attacked) -> None:
    last = RtpPacket.parse(attacked.heard(30_000)[-1])
    for step in range(1, 60):
        number, timestamp = (last.sequence_number + step) & 0xFFFF, last.timestamp + 160 * step
        packet = RtpPacket(0, number, timestamp, last.ssrc, bytes(160))
        attacked.throw(packet.to_bytes(), source=Address(ATTACKER, 4_444))


def flood_of_sources(attacked: Attacked) -> None:
    for ssrc in range(300):
        data = RtpPacket(0, ssrc, 0, 0xABC000 + attacked.sent, b"\0" * 160).to_bytes()
        attacked.throw(data, source=Address(ATTACKER, 4_444))


def flood_under_the_client_s_address(attacked: Attacked) -> None:
    for ssrc in range(300):
        data = RtpPacket(0, 7 * ssrc, 0, 0xABC000 + attacked.sent, b"\0" * 160).to_bytes()
        for port in (40_000, 40_002):
            attacked.throw(data, source=Address(CLIENT.host, port))


def forged_goodbye(attacked: Attacked) -> None:
    ssrcs = tuple({RtpPacket.parse(attacked.heard(port)[-1]).ssrc for port in (30_000, 30_002)})
    data = SenderReport(ssrcs[0], 5, 5, 5, 5).to_bytes() + Goodbye(ssrcs, "gone").to_bytes()
    for host in (ATTACKER, CLIENT.host):
        for component in Component:
            attacked.throw(data, source=Address(host, 40_001), component=component)


def replay(attacked: Attacked) -> None:
    for data in attacked.heard(30_000)[-50:]:
        for host in (ATTACKER, CLIENT.host):
            attacked.throw(data, source=Address(host, 40_000))


@pytest.mark.requirement("3550-sec-a", "3550-6.6-a", "3550-8.2-a")
@pytest.mark.parametrize(
    ("attack", "counter"),
    [
        (every_port, "packets_rejected"),
        (stream_of_his_own, "packets_rejected"),
        (flood_of_sources, "packets_rejected"),
        (flood_under_the_client_s_address, "packets_rejected"),
        (forged_goodbye, None),
        (replay, "packets_duplicate"),
    ],
)
def test_nothing_recorded_changes_and_it_is_counted(attack: Attack, counter: str | None) -> None:
    quiet, expected = recorded(None)
    audio, report = recorded(attack)
    assert audio == quiet
    assert set(audio) == {"1.wav", "2.wav", "mix.wav"}
    for told, stream in zip(streams(report), streams(expected), strict=True):
        assert (told["packets_received"], told["packets_lost"]) == (stream["packets_received"], 0)
        assert told["ssrcs"] == stream["ssrcs"]
        assert told["remote"] == stream["remote"]
    if counter is not None:
        assert any(cast("int", stream[counter]) >= 8 for stream in streams(report))


def streams(report: dict[str, object]) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", report["streams"])


@pytest.mark.requirement("3550-sec-a")
def test_nobody_is_reported_to_who_was_not_heard_on_the_line() -> None:
    attacked = Attacked()
    for _ in range(30):
        attacked.throw(RtpPacket(0, 5, 0, 9, bytes(160)).to_bytes(), source=Address(ATTACKER, 4_444))
    attacked.throw(SenderReport(9, 1, 1, 1, 1).to_bytes(), source=Address(ATTACKER, 4_445), component=Component.RTCP)
    attacked.pair.run(30.0)
    assert not [command for command in attacked.pair.server.sent_rtcp if command.to.host == ATTACKER]


def test_a_call_that_we_paused_is_not_told_of_even_if_the_client_never_agrees() -> None:
    pair = Pair()
    pair.call()
    pair.run(1.0)
    pair.wire.drop = lambda data: True
    (session,) = pair.recorder.sessions()
    pair.recorder.pause(session, now=pair.now)
    pair.run(20.0)
    assert not pair.server.of(StreamStalled)


def test_a_call_without_audio_is_told_of_with_reasons_and_goes_on() -> None:
    pair = Pair()
    pair.call()
    pair.run(20.0)
    stalled = pair.server.of(StreamStalled)
    assert [(event.label, event.never) for event in stalled] == [("1", True), ("2", True)]
    assert all(event.reasons for event in stalled)
    assert not pair.server.of(SessionEnded)
    pair.caller.stop(now=pair.now)
    pair.run(1.0)
    (journal,) = [data for name, data in pair.server.files.items() if name.endswith("journal.pcapng")]
    report = json.loads(rendered(journal)["recording.json"])
    codes = [each["code"] for each in report["findings"]]
    assert codes.count("media-never") == 2
    assert all(parse_compound(command.data) for command in pair.server.sent_rtcp)
