"""Encrypted recording calls between our client and our server, with pretended ciphers on a pretended wire."""

from typing import Any

import pytest

from siprec_core.errors import ConfigurationError, LocalProtocolError
from siprec_core.media.encryption import CryptoProvider, MasterKey
from siprec_core.recording.call import CallSpec, ClientConfig, StreamSpec
from siprec_core.recording.call_events import RecordingAnswered, RecordingRefused
from siprec_core.recording.events import FindingRaised, SessionEnded, StreamsChanged
from siprec_core.recording.policy import ServerConfig
from siprec_core.sdp.crypto import SrtpPolicy
from siprec_core.server import RecordingServer
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Component, DatagramBatch, Transport
from tests.core.ciphers import SUITES, PretendContext, PretendProvider
from tests.core.harness import CLIENT, SERVER, TIME_BASE, Pair, entropy
from tests.core.media.lines import rtp
from tests.core.recording.test_replay import report_after

SECOND = bytes(16_000)


class Encrypted(Pair):
    """A pair with ciphers on both sides."""

    def __init__(
        self,
        policy: SrtpPolicy = SrtpPolicy.ALLOW,
        *,
        ciphers: CryptoProvider | None = None,
        client_ciphers: CryptoProvider | None = None,
    ) -> None:
        super().__init__(
            config=ServerConfig(crypto=ciphers or PretendProvider(), srtp=policy),
            client_config=ClientConfig(crypto=client_ciphers or PretendProvider()),
            transport=Transport.TCP,
        )

    def dial(self, *suites: str, labels: tuple[str, ...] = ("1", "2")) -> None:
        streams = tuple(StreamSpec(label=label, aor=f"sip:{label}@example.com") for label in labels)
        hop = Hop(self.transport, SERVER)
        spec = CallSpec(uri="sip:recorder@192.0.2.1", hop=hop, local=CLIENT, streams=streams, srtp=suites)
        self.caller.start(spec, now=self.now)
        self.settle()
        self.run(1.0)

    def say(self, label: str, seconds: int = 1) -> None:
        self.caller.send_audio(label, SECOND * seconds, now=self.now)
        self.settle()

    def hang_up(self) -> None:
        self.caller.stop(now=self.now)
        self.run(5.0)

    def journal(self) -> bytes:
        (journal,) = [data for name, data in self.server.files.items() if name.endswith("journal.pcapng")]
        return journal

    def report(self) -> dict[str, Any]:
        """Give what the journal says about the recording."""
        return report_after(self.journal()).as_json()

    def found(self) -> list[str]:
        return [event.finding.code for event in self.server.of(FindingRaised)]

    def server_media(self, label_index: int = 0) -> tuple[Any, Address]:
        """Give the server's media id of a line, and where the client sends it from."""
        media, _ = sorted(self.server.media.items())[label_index]
        _, bound = sorted(self.client.media.items())[label_index]
        return media, bound.rtp

    def attack(self, *datagrams: bytes, line: int = 0) -> None:
        media, source = self.server_media(line)
        batch = DatagramBatch(datagrams, [source] * len(datagrams), [self.now] * len(datagrams))
        self.recorder.receive_media(media, batch, component=Component.RTP, now=self.now)
        self.settle()


def streams_of(report: dict[str, Any]) -> list[tuple[int, int]]:
    return [(each["packets_received"], each["packets_rejected"]) for each in report["streams"]]


@pytest.mark.requirement("7866-12.2-b", "4568-6.2-a")
@pytest.mark.parametrize("suites", [*[(suite,) for suite in SUITES], SUITES])
def test_a_call_is_recorded_decrypted(suites: tuple[str, ...]) -> None:
    pair = Encrypted(SrtpPolicy.REQUIRE)
    pair.dial(*suites)
    (answer,) = pair.client.of(RecordingAnswered)
    assert answer.labels == ("1", "2")
    assert answer.findings == ()
    pair.say("1")
    pair.say("2")
    pair.run(2.0)
    assert all(command.data[12:] != b"\xff" * 160 for command in pair.client.sent_media)
    pair.hang_up()
    report = pair.report()
    assert streams_of(report) == [(50, 0), (50, 0)]
    assert [each["codec"] for each in report["streams"]] == ["PCMU/8000"] * 2
    assert [found["code"] for found in report["findings"]] == ["sdp-crypto-exposed"] * 2
    assert pair.journal().count(b"\xff" * 160) == 100
    (key, *_), *_ = [made for made in pair.recorder.config.crypto.made if not made[1]]  # type: ignore[union-attr]
    assert key.suite == suites[0]


def test_keys_are_nowhere_but_on_the_wire() -> None:
    from base64 import b64encode

    pair = Encrypted()
    pair.dial(*SUITES)
    pair.say("1")
    pair.run(1.5)
    pair.hang_up()
    provider = pair.recorder.config.crypto
    assert isinstance(provider, PretendProvider)
    keys = [b64encode(key.key) for key, _ in provider.made]
    assert keys
    for key in keys:
        assert any(key in message for message in (*pair.client.sent, *pair.server.sent))
        assert all(key not in data for data in pair.server.files.values())
        assert key.decode("ascii") not in repr(pair.server.events)


@pytest.mark.parametrize(
    ("policy", "suites", "status"),
    [(SrtpPolicy.OFF, SUITES, 488), (SrtpPolicy.REQUIRE, (), 488), (SrtpPolicy.ALLOW, (), 200)],
)
def test_the_policy_decides(policy: SrtpPolicy, suites: tuple[str, ...], status: int) -> None:
    pair = Encrypted(policy)
    pair.dial(*suites)
    refused = pair.client.of(RecordingRefused)
    assert [each.status for each in refused] == ([status] if status != 200 else [])
    assert bool(pair.client.of(RecordingAnswered)) is (status == 200)


def test_a_suite_that_the_server_has_no_ciphers_for() -> None:
    pair = Encrypted(ciphers=PretendProvider((SUITES[1],)))
    pair.dial(SUITES[0])
    assert [each.status for each in pair.client.of(RecordingRefused)] == [488]
    pair = Encrypted(ciphers=PretendProvider((SUITES[1],)))
    pair.dial(*SUITES)
    assert pair.client.of(RecordingAnswered)[0].labels == ("1", "2")


def test_a_server_without_ciphers_names_what_is_missing() -> None:
    pair = Encrypted()
    pair.recorder = RecordingServer(ServerConfig(), time_base=TIME_BASE, entropy=entropy(1))
    pair.server.machine = pair.recorder
    pair.dial(*SUITES)
    assert [each.status for each in pair.client.of(RecordingRefused)] == [488]
    assert "srtp-unavailable" in pair.found()
    with pytest.raises(ConfigurationError, match="no ciphers"):
        RecordingServer(ServerConfig(srtp=SrtpPolicy.REQUIRE), time_base=TIME_BASE, entropy=entropy(1))


def test_a_client_without_ciphers_does_not_start() -> None:
    pair = Pair()
    spec = CallSpec(uri="sip:r@192.0.2.1", local=CLIENT, streams=(StreamSpec(label="1", aor="sip:a@b"),), srtp=SUITES)
    with pytest.raises(LocalProtocolError, match="no ciphers"):
        pair.caller.start(spec, now=0.0)


@pytest.mark.requirement("4568-7.1.4-a")
def test_holds_of_either_side_and_metadata_leave_the_contexts_as_they_are() -> None:
    pair = Encrypted()
    pair.dial(*SUITES)
    pair.say("1", 10)
    pair.run(1.0)
    made = len(pair.recorder.config.crypto.made)  # type: ignore[union-attr]
    session = next(iter(pair.recorder.sessions()))
    pair.caller.pause("1", now=pair.now)
    pair.run(1.0)
    pair.caller.resume("1", now=pair.now)
    pair.run(1.0)
    pair.recorder.pause(session, now=pair.now)
    pair.run(1.0)
    pair.recorder.resume(session, now=pair.now)
    pair.run(1.0)
    pair.recorder.request_snapshot(session, now=pair.now)
    pair.run(1.0)
    # The snapshot names labels, so an offer travels with it.
    assert len(pair.server.of(StreamsChanged)) == 5
    assert len(pair.recorder.config.crypto.made) == made  # type: ignore[union-attr]
    before = len(pair.client.sent_media)
    pair.say("1")
    pair.run(2.0)
    assert len(pair.client.sent_media) > before
    pair.hang_up()
    ((received, rejected), _) = streams_of(pair.report())
    assert (received, rejected) == (len(pair.client.sent_media), 0)
    offers = [data for data in pair.client.messages(b"INVITE") if b"a=crypto" in data]
    assert [data.count(b"a=crypto") for data in offers] == [6, 2, 2]


@pytest.mark.requirement("3711-3.4-a")
@pytest.mark.parametrize("suite", SUITES)
def test_reports_go_both_ways_encrypted(suite: str) -> None:
    pair = Encrypted()
    pair.dial(suite)
    pair.say("1", 20)
    pair.run(25.0)
    reception = pair.caller.reception("1")
    assert reception is not None
    assert reception.packets_lost == 0
    assert reception.round_trip is not None, "the server has opened reports of ours"
    tag = 16 if "GCM" in suite else 10
    for sent in (pair.client.sent_rtcp, pair.server.sent_rtcp):
        assert sent
        for command in sent:
            body = command.data[8:-tag]
            assert b"\x01\x10" not in body, "no CNAME in the clear"
    pair.hang_up()
    assert not [code for code in pair.found() if code.startswith("srtp")]
    assert streams_of(pair.report())[0] == (1_000, 0)


def test_forged_and_replayed_reports_are_counted_and_change_nothing() -> None:
    pair = Encrypted()
    pair.dial(SUITES[1])
    pair.say("1", 20)
    pair.run(22.0)
    media, source = pair.server_media()
    replayed = [command.data for command in pair.client.sent_rtcp if command.to.port == 30_001]
    forger = PretendContext(MasterKey(SUITES[1], b"\x55" * 30))
    forged = forger.protect_rtcp(bytes.fromhex("81cb0001") + pair.client.sent_media[0].data[8:12])
    assert isinstance(forged, bytes)
    attack = [*replayed, forged, bytes.fromhex("80c9000100000001")]
    origin = Address(source.host, source.port + 1)
    batch = DatagramBatch(attack, [origin] * len(attack), [pair.now] * len(attack))
    pair.recorder.receive_media(media, batch, component=Component.RTCP, now=pair.now)
    pair.settle()
    pair.hang_up()
    report = pair.report()
    assert streams_of(report)[0] == (1_000, 0)
    (entry,) = [each for each in report["timeline"] if each["event"] == "srtp-rejected"]
    assert (entry["failed"], entry["replayed"]) == (2, len(replayed))


def test_an_attacker_changes_no_recording_and_is_counted() -> None:
    pair = Encrypted()
    pair.dial(SUITES[1])
    pair.say("1")
    pair.run(2.0)
    sent = [command.data for command in pair.client.sent_media]
    pair.attack(*sent, *sent)
    forger = PretendContext(MasterKey(SUITES[1], b"\x55" * 30))
    forged = [forger.protect(rtp(number, ssrc=number)) for number in range(40)]
    pair.attack(*(each for each in forged if isinstance(each, bytes)), *(rtp(number) for number in range(10)))
    bye = forger.protect_rtcp(bytes.fromhex("81cb0001") + sent[0][8:12])
    assert isinstance(bye, bytes)
    pair.attack(bye, b"", sent[0][:14])
    pair.hang_up()
    report = pair.report()
    assert streams_of(report)[0] == (50, 100 + 50 + 3)
    assert len(report["streams"][0]["ssrcs"]) == 1
    codes = [found["code"] for found in report["findings"]]
    assert codes.count("srtp-replayed") == codes.count("srtp-rejected") == 1
    (entry,) = [each for each in report["timeline"] if each["event"] == "srtp-rejected"]
    assert (entry["label"], entry["failed"], entry["replayed"]) == ("1", 52, 100)


def test_a_wrong_key_is_told_while_the_call_goes_on() -> None:
    pair = Encrypted()
    pair.dial(SUITES[0])
    forger = PretendContext(MasterKey(SUITES[0], b"\x55" * 28))
    for number in range(12):
        packet = forger.protect(rtp(number))
        assert isinstance(packet, bytes)
        pair.attack(packet)
        pair.run(0.02)
    assert "srtp-unauthenticated" in pair.found()
    pair.hang_up()
    assert [event.status for event in pair.server.of(SessionEnded)] == ["completed"]
    report = pair.report()
    assert "srtp-unauthenticated" in [found["code"] for found in report["findings"]]
    assert streams_of(report)[0] == (0, 12)
