"""The published calls of RFC 7866 and RFC 8068, message by message, as a recording server and a client live them.

The messages in tests/data/rfc are those of the RFCs with their snippets completed; here they get the tags of the
dialog that they meet. Their known mistakes are kept, and it is shown what is found of them.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from siprec_core.limits import Limits
from siprec_core.metadata.model import MetadataDocument, RequestSnapshot
from siprec_core.metadata.reader import read_metadata
from siprec_core.recording.events import MetadataUpdated, SessionEnded, SessionEstablished, StreamsChanged
from siprec_core.recording.replay import Replay
from siprec_core.recording.session import RecordingSession
from siprec_core.sdp.offer import read_answer
from siprec_core.sdp.parser import parse_sdp
from siprec_core.types import Address, Flow, FlowId, Transport
from tests.core.harness import CLIENT, SERVER, Pair
from tests.core.messages import body, field, response_to, status, tag

DATA = Path(__file__).parent.parent / "data" / "rfc"
ALICE, BOB, CAROL = "srfBElmCRp2QB23b7Mpk0w==", "zSfPoSvdSDCmU3A3TRDxAw==", "Atnm1ZRnOC6Pm5MApkrDzQ=="
CAROL_OF_TURRET = "EiXGlc+4TruqqoDaNE76ag=="
NAMES = {ALICE: "Alice", BOB: "Bob", CAROL: "Carol", CAROL_OF_TURRET: "Carol"}
FIRST_CS, SECOND_CS, TURRET_CS = "hVpd7YQgRW2nD22h7q60JQ==", "bfLZ+NTFEeCNxQTuRyQBmw==", "e6370VVGEeWAG6886p18uA=="
MIXED = "i1Pz3to5hGk8fuXl+PbwCw=="
ALICE_AUDIO, BOB_AUDIO, CAROL_AUDIO = "UAAMm5GRQKSCMVvLyl4rFw==", "8zc6e0lYTlWIINA6GR+3ag==", "60JAJm9UTvik0Ltlih/Gzw=="


def published(name: str) -> bytes:
    """Read a message, or another example; `name` is the file's without the RFC."""
    (path,) = DATA.glob(f"rfc????-{name}.*")
    return path.read_bytes()


def in_dialog(message: bytes, ours: str) -> bytes:
    """Give a message with our tag in To, or without one."""
    head, separator, rest = message.partition(b"\r\n\r\n")
    head = re.sub(rb"(?m)^(To: <[^>]*>).*$", rb"\1" + (f";tag={ours}".encode() if ours else b"") + b"\r", head)
    return head.replace(b"\r\r", b"\r") + separator + rest


class Published:
    """A client that sends published messages over one connection, ten seconds apart."""

    def __init__(self) -> None:
        self.pair = Pair()
        self.flow = Flow(Transport.TCP, SERVER, Address(CLIENT.host, 40_001), FlowId(1))
        self.pair.recorder.flow_opened(self.flow, now=0.0)
        self.ours = ""
        self.report: dict[str, Any] = {}

    def hear(self, data: bytes) -> list[bytes]:
        """Hand octets to the server; give what it sends."""
        known = len(self.pair.server.sent)
        self.pair.recorder.receive_stream(self.flow, data, now=self.pair.now)
        self.pair.settle()
        return self.pair.server.sent[known:]

    def send(self, name: str, *, allow: str = "", answer: str = "") -> bytes:
        """Send a message; an INVITE is acknowledged, with `answer` where that is wanted. Gives the final answer."""
        self.pair.run(10.0)
        message = in_dialog(published(name), self.ours)
        if allow:
            message = message.replace(b"\r\nContact:", f"\r\nAllow: {allow}\r\nContact:".encode(), 1)
        (final,) = [data for data in self.hear(message) if data.startswith(b"SIP/2.0 ") and status(data) >= 200]
        self.ours = tag(final)
        if message.startswith(b"INVITE"):
            self.hear(acknowledgement(final, answer))
        if self.pair.recorder.sessions():
            self.report = json.loads(self.session.account.report("active").to_bytes())
        return final

    @property
    def session(self) -> RecordingSession:
        (session,) = self.pair.recorder._sessions.values()
        return session

    @property
    def senders(self) -> dict[str, tuple[str, ...]]:
        """The streams that each participant contributes to now, by its name."""
        flows = self.session.account.metadata.snapshot().participant_stream_associations
        return {NAMES[flow.participant_id]: flow.send for flow in flows}

    @property
    def movements(self) -> list[tuple[str, str]]:
        """Who joined and who left, in order."""
        kinds = {"participant-joined": "joined", "participant-left": "left"}
        entries = [entry for entry in self.report["timeline"] if entry["event"] in kinds]
        return [(NAMES[entry["participant_id"]], kinds[entry["event"]]) for entry in entries]

    @property
    def codes(self) -> set[str]:
        return {found["code"] for found in self.report["findings"]}

    def end(self) -> dict[str, Any]:
        """Give the report as the journal tells it, once the recording is over."""
        assert len(self.pair.server.of(SessionEnded)) == 1
        (journal,) = [data for name, data in self.pair.server.files.items() if name.endswith("journal.pcapng")]
        replay = Replay(limits=Limits())
        replay.receive(journal)
        replay.end_of_file()
        while replay.poll() is not None:
            pass
        assert replay.account is not None
        self.report = json.loads(replay.account.report("completed").to_bytes())
        return self.report


def acknowledgement(final: bytes, answer: str) -> bytes:
    kind = "Content-Type: application/sdp\r\n" if answer else ""
    return (
        "ACK sip:recorder@srs.example.com SIP/2.0\r\n"
        f"Via: {field(final, 'Via')}-ack\r\nMax-Forwards: 70\r\n"
        f"From: {field(final, 'From')}\r\nTo: {field(final, 'To')}\r\nCall-ID: {field(final, 'Call-ID')}\r\n"
        f"CSeq: {field(final, 'CSeq').split()[0]} ACK\r\n{kind}Content-Length: {len(answer)}\r\n\r\n{answer}"
    ).encode()


def media(message: bytes) -> list[tuple[str, bool, str, str]]:
    """Give kind, acceptance, label and direction of each line of the SDP in a message."""
    description = parse_sdp(message.partition(b"\r\n\r\n")[2], limits=Limits()).description
    assert description is not None
    return [(line.media, line.port > 0, line.label or "", description.direction_of(line)) for line in description.media]


AUDIO_OF_FOUR = [
    ("audio", True, "96", "recvonly"),
    ("video", False, "97", "inactive"),
    ("audio", True, "98", "recvonly"),
    ("video", False, "99", "inactive"),
]


@pytest.fixture
def flow() -> Published:
    return Published()


# RFC 8068 section 3.2: one stream for each participant and medium


@pytest.mark.requirement("8068-3.2.1-a")
def test_a_basic_call(flow: Published) -> None:
    answer = flow.send("s3.2.1-basic-call")
    assert status(answer) == 200
    assert [line[:3] for line in media(answer)] == [line[:3] for line in AUDIO_OF_FOUR]
    assert [line[3] for line in media(answer) if line[1]] == ["recvonly", "recvonly"]
    assert flow.pair.server.of(SessionEstablished)[0].labels == ("96", "98")
    assert flow.movements == [("Alice", "joined"), ("Bob", "joined")]
    assert [(each["label"], each["stream_id"]) for each in flow.report["streams"]] == [
        ("96", ALICE_AUDIO),
        ("98", BOB_AUDIO),
    ]
    (session,) = flow.report["sessions"]
    assert session["sip_session_ids"][0].startswith("ab30317f1a784dc48ff824d0d3715d86;")
    assert [group["id"] for group in flow.report["groups"]] == ["7+OTCyoxTmqmqyA/1weDAg=="]
    assert "sdp-line-refused" in flow.codes


@pytest.mark.requirement("8068-3.2.2-a")
def test_a_hold_and_a_resumption_are_told_by_metadata_alone(flow: Published) -> None:
    flow.send("s3.2.1-basic-call")
    first = media(flow.pair.server.sent[-1])
    for name, alice in (("s3.2.2a-hold", 0), ("s3.2.2b-resume", 2)):
        answer = flow.send(name)
        assert media(answer) == first, "the SDP of RFC 8068 stays sendonly: labels and directions as before"
        assert {who: len(streams) for who, streams in flow.senders.items()} == {"Alice": alice, "Bob": 2}
    assert [event.complete for event in flow.pair.server.of(MetadataUpdated)] == [True, False, False]
    assert "snapshot-not-possible" not in flow.codes
    assert not {"stream-held", "stream-changed"} & {entry["event"] for entry in flow.report["timeline"]}
    assert flow.movements == [("Alice", "joined"), ("Bob", "joined")], "who holds is still there"


@pytest.mark.requirement("8068-3.2.3-a")
@pytest.mark.requirement("8068-3.1-a")
def test_a_transfer_by_reinvite_brings_carol_in_for_alice(flow: Published) -> None:
    """The example names streams that nothing defined: that is found, a snapshot is wanted, and the call goes on."""
    flow.send("s3.2.1-basic-call", allow="INVITE, ACK, BYE, CANCEL, UPDATE")
    flow.send("s3.2.2a-hold")
    flow.send("s3.2.2b-resume")
    answer = flow.send("s3.2.3a-transfer-reinvite")
    assert status(answer) == 200
    assert flow.movements[2:] == [("Carol", "joined"), ("Alice", "left")]
    assert flow.senders["Carol"][0] == CAROL_AUDIO
    assert "metadata-dangling-reference" in flow.codes
    (update,) = flow.pair.server.messages(b"UPDATE")
    assert isinstance(read_metadata(body(update).encode(), limits=Limits()).document, RequestSnapshot)
    assert field(update, "Content-Type") == "application/rs-metadata", "as the client writes it"
    changed = [entry["label"] for entry in flow.report["timeline"] if entry["event"] == "stream-changed"]
    assert changed == ["96", "98"], "its ports are others"
    flow.hear(response_to(update, 200, to_tag=None))
    bye = flow.send("s3.2.4-disconnect-bye")
    assert status(bye) == 200
    report = flow.end()
    assert flow.movements[4:] == [("Bob", "left"), ("Carol", "left")]
    assert report["sessions"][0]["stop_time"] == "2010-12-16T23:41:07Z"
    assert report["timeline"][-1] == {"at": report["ended_at"], "event": "ended", "reason": "bye"}
    assert report["end_reason"] == "bye"


@pytest.mark.requirement("8068-3.2.3-b")
def test_a_transfer_by_refer_ends_one_session_and_begins_another(flow: Published) -> None:
    flow.send("s3.2.1-basic-call")
    flow.send("s3.2.3b-transfer-refer-stop-old-cs")
    assert flow.movements[2:] == [("Alice", "left"), ("Bob", "left")]
    assert flow.report["sessions"][0]["stop_time"] is not None
    flow.send("s3.2.3c-transfer-refer-new-cs")
    assert flow.movements[4:] == [("Bob", "joined"), ("Carol", "joined")]
    assert [session["id"] for session in flow.report["sessions"]] == [FIRST_CS, SECOND_CS]
    assert {(each["label"], each["stream_id"], each["session_id"]) for each in flow.report["streams"]} == {
        ("96", CAROL_AUDIO, SECOND_CS),
        ("98", BOB_AUDIO, SECOND_CS),
    }
    assert set(flow.senders) == {"Bob", "Carol"}
    assert [person["id"] for person in flow.report["participants"]] == [ALICE, BOB, CAROL]
    assert len(flow.pair.server.of(SessionEstablished)) == 1, "it is one recording session all the time"


@pytest.mark.requirement("8068-3.2.4-a")
def test_the_bye_tells_that_everybody_left(flow: Published) -> None:
    flow.send("s3.2.1-basic-call")
    assert status(flow.send("s3.2.4-disconnect-bye")) == 200
    report = flow.end()
    assert flow.movements == [("Alice", "joined"), ("Bob", "joined"), ("Alice", "left"), ("Bob", "left")]
    assert report["end_reason"] == "bye"
    assert all(person["left_at"] == "2010-12-16T23:41:07.000000Z" for person in report["participants"])


# RFC 8068 section 3.3: one mixed stream


@pytest.mark.requirement("8068-3.3.1-a", "8068-3.3.3-a")
def test_a_mixed_conference(flow: Published) -> None:
    answer = flow.send("s3.3.1-mixed-basic")
    assert media(answer) == [("audio", True, "96", "recvonly")]
    assert flow.senders == {"Alice": (MIXED,), "Bob": (MIXED,)}
    (stream,) = flow.report["streams"]
    assert (stream["label"], stream["stream_id"], stream["session_id"]) == ("96", MIXED, FIRST_CS)
    flow.send("s3.3.2a-mixed-hold")
    assert flow.senders == {"Alice": (), "Bob": (MIXED,)}
    flow.send("s3.3.2b-mixed-resume")
    assert flow.senders == {"Alice": (MIXED,), "Bob": (MIXED,)}
    flow.send("s3.3.3a-mixed-join")
    assert flow.movements == [("Alice", "joined"), ("Bob", "joined"), ("Carol", "joined")]
    assert len(flow.report["sessions"][0]["sip_session_ids"]) == 3
    assert flow.senders["Carol"] == (MIXED,)
    flow.send("s3.3.3b-mixed-drop")
    assert flow.movements[3:] == [("Alice", "left")]
    assert len(flow.report["sessions"][0]["sip_session_ids"]) == 2
    carol = next(person for person in flow.report["participants"] if person["names"] == ["Carol"])
    assert carol["left_at"] is None
    assert flow.codes.isdisjoint({"snapshot-not-possible", "sdp-answer-line-count", "sip-ack-mismatch"})
    assert len(flow.pair.server.of(MetadataUpdated)) == 5


# RFC 8068 section 3.4: a recording session that outlives the communication session


@pytest.mark.requirement("8068-3.4.1-a", "7866-9.2-j")
def test_a_persistent_recording_session(flow: Published) -> None:
    flow.send("s3.2.1-basic-call")
    offer = flow.send("s3.4.1-persistent-disconnect", answer=offer_of("s3.2.1-basic-call"))
    assert [line for line in media(offer) if line[1]] == [line for line in AUDIO_OF_FOUR if line[1]]
    assert flow.movements[2:] == [("Alice", "left"), ("Bob", "left")]
    assert flow.report["sessions"][0]["stop_time"] is not None
    assert flow.report["end_reason"] is None
    assert "ack-no-answer" not in flow.codes
    assert flow.session.state.name == "ACTIVE"
    assert not flow.pair.server.of(StreamsChanged)


def offer_of(name: str) -> str:
    """Give the session description in a published INVITE."""
    return published(name).decode().partition("Content-Type: application/sdp\r\n\r\n")[2].partition("\r\n--foobar")[0]


# RFC 8068 section 3.5: two communication sessions in one recording session


@pytest.mark.requirement("8068-3.5-a")
def test_a_turret_with_two_communication_sessions(flow: Published) -> None:
    """The example's Carol has the id that elsewhere is a stream's; here it stands for one thing only."""
    answer = flow.send("s3.5-turret-two-cs")
    assert media(answer) == [("audio", True, "96", "recvonly")]
    assert [session["id"] for session in flow.report["sessions"]] == [FIRST_CS, TURRET_CS]
    assert {session["group_id"] for session in flow.report["sessions"]} == {"7+OTCyoxTmqmqyA/1weDAg=="}
    assert sorted(flow.movements) == [("Alice", "joined"), ("Bob", "joined"), ("Bob", "joined"), ("Carol", "joined")]
    assert flow.senders == {"Alice": (ALICE_AUDIO,), "Bob": (ALICE_AUDIO,), "Carol": (ALICE_AUDIO,)}


# RFC 7866: set-up, an answer, a snapshot request


def test_the_invite_of_figure_12(flow: Published) -> None:
    answer = flow.send("s9.1-fig12-invite")
    assert media(answer) == [("audio", True, "1", "recvonly")]
    assert "+sip.srs" in field(answer, "Contact")
    (person,) = flow.report["participants"]
    assert person["aors"] == ["sip:2000@example.com"]
    assert flow.report["dialect"] == "rfc7865"


def test_the_answer_of_figure_6_fits_the_offer_of_figure_5() -> None:
    offer, answer = (parse_sdp(published(name), limits=Limits()) for name in ("s7.1.1-fig5-offer", "s7.2-fig6-answer"))
    assert offer.description is not None
    assert answer.description is not None
    read = read_answer(offer.description, answer.description, previous=None)
    assert read.findings == ()
    assert [(line.index, line.accepted) for line in read.lines] == [(index, True) for index in range(4)]


@pytest.mark.requirement("7866-9.1-h")
def test_the_snapshot_request_of_figure_13_is_met_at_once() -> None:
    """The printed To tag is not that of Figure 12; here the message gets the tags of the call that it meets."""
    pair = Pair()
    pair.call("1")
    pair.run(1.0)
    invite = pair.client.messages(b"INVITE")[0]
    our_tag = field(invite, "From").partition("tag=")[2]
    server_tag = tag(pair.server.messages(b"SIP/2.0 200")[0])
    head, separator, content = published("s9.2-fig13-update").partition(b"\r\n\r\n")
    head = re.sub(rb"(?m)^To: .*\r$", f"To: <sip:2000@example.com>;tag={our_tag}\r".encode(), head)
    head = re.sub(rb"(?m)^From: .*\r$", f"From: <sip:recorder@example.com>;tag={server_tag}\r".encode(), head)
    head = re.sub(rb"(?m)^Call-ID: .*\r$", f"Call-ID: {field(invite, 'Call-ID')}\r".encode(), head)
    pair.inject(head + separator + content, source=SERVER, to=pair.client)
    answer, snapshot = pair.client.sent[-2:]
    assert (status(answer), field(answer, "CSeq")) == (200, "1 UPDATE")
    assert snapshot.startswith(b"UPDATE ")
    pair.run(1.0)
    assert [event.complete for event in pair.server.of(MetadataUpdated)] == [True, True]
    xml = snapshot[snapshot.index(b"<?xml") :].partition(b"\r\n--")[0]
    document = read_metadata(xml, limits=Limits()).document
    assert isinstance(document, MetadataDocument)
    assert document.is_complete
