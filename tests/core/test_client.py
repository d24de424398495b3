"""The recording client: refusals, silence, broken paths, answers that break rules, audio in real time."""

import json
import struct
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.client import RecordingClient
from siprec_core.errors import LocalProtocolError
from siprec_core.limits import Limits
from siprec_core.metadata.model import Dialect
from siprec_core.metadata.reader import read_metadata
from siprec_core.recording.call import CallSpec, ClientConfig, StreamSpec
from siprec_core.recording.call_events import (
    AudioFinished,
    RecordingAnswered,
    RecordingEnded,
    RecordingProceeding,
    RecordingRefused,
)
from siprec_core.recording.commands import BindMedia, CloseMedia, OpenFlow, SendDatagram, SendMedia, SendStream
from siprec_core.recording.lines import BIND_ATTEMPTS
from siprec_core.recording.policy import ServerConfig
from siprec_core.rtp.packet import RtpPacket
from siprec_core.sdp.formats import MediaFormat
from siprec_core.sip.multipart import parse_body
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Component, DatagramBatch, Flow, MediaId, Transport
from tests.core.harness import CLIENT, SERVER, TIME_BASE, Pair, Wire, entropy
from tests.core.messages import field, invite, read, request, response_to, status

SPEC = CallSpec(
    uri="sip:recorder@192.0.2.1",
    hop=Hop(Transport.UDP, SERVER),
    local=CLIENT,
    streams=(StreamSpec(label="1", aor="sip:ann@example.com"), StreamSpec(label="2", aor="sip:bob@example.com")),
)
ANSWER = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 30000 RTP/AVP 0\r\na=recvonly\r\na=label:1\r\n"
    "m=audio 30002 RTP/AVP 0\r\na=recvonly\r\na=label:2\r\n"
)
EventT = TypeVar("EventT")
SECOND = struct.pack("<8000h", *([1000] * 8000))


class Bench:
    """A client alone, whose server is written by hand."""

    def __init__(self, spec: CallSpec = SPEC, *, config: ClientConfig | None = None, bind: bool = True) -> None:
        self.client = RecordingClient(config or ClientConfig(), time_base=TIME_BASE, entropy=entropy(2))
        self.now = 0.0
        self.outputs: list[object] = []
        self.sent: list[bytes] = []
        self.client.start(spec, now=0.0)
        self.drain()
        if bind:
            self.bind()

    def drain(self) -> None:
        while (output := self.client.poll_output()) is not None:
            self.outputs.append(output)
            if isinstance(output, (SendDatagram, SendStream)):
                self.sent.append(output.data)

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [output for output in self.outputs if isinstance(output, kind)]

    def bind(self) -> None:
        for command in self.of(BindMedia):
            self.client.media_bound(command.media, now=self.now)
        self.drain()

    def receive(self, *messages: bytes) -> list[bytes]:
        before = len(self.sent)
        for message in messages:
            self.client.receive_datagram(message, flow=Flow(Transport.UDP, CLIENT, SERVER), now=self.now)
            self.drain()
        return self.sent[before:]

    def answered(self, body: str = ANSWER) -> "Bench":
        self.receive(response_to(self.sent[0], 200, body=body))
        return self

    def run(self, seconds: float) -> list[bytes]:
        before, until = len(self.sent), self.now + seconds
        while (due := self.client.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.client.handle_timeout(now=self.now)
            self.drain()
        self.now = until
        return self.sent[before:]

    def stop(self) -> list[bytes]:
        before = len(self.sent)
        self.client.stop(now=self.now)
        self.drain()
        return self.sent[before:]

    def labels(self) -> tuple[str, ...]:
        (answered,) = self.of(RecordingAnswered)
        return answered.labels

    def codes(self) -> set[str]:
        (answered,) = self.of(RecordingAnswered)
        return {one.code for one in answered.findings}

    def closed(self) -> bool:
        """Tell whether every port that was asked for is being closed."""
        return {c.media for c in self.of(BindMedia)} == {c.media for c in self.of(CloseMedia)}


# the INVITE


@pytest.mark.requirement("7866-9-a", "7866-9.1-a", "7866-9.1-f", "7866-9.1-g", "7866-8.3-a")
@pytest.mark.requirement("7866-6.1.1-b")
@pytest.mark.requirement("9806-2-a")
def test_the_invite_is_what_rfc_7866_asks_for() -> None:
    bench = Bench()
    (data,) = bench.sent
    assert field(data, "Require") == "siprec"
    assert field(data, "Contact").endswith(">;+sip.src")
    message = read(data)
    sdp, metadata = parse_body(message, limits=Limits()).leaves()
    assert sdp.content_type.media_type == "application/sdp"
    assert bytes(sdp.content).count(b"a=sendonly") == 2
    assert metadata.content_type.media_type == "application/rs-metadata+xml"
    assert metadata.disposition is not None
    assert metadata.disposition.type == "recording-session"
    parsed = read_metadata(bytes(metadata.content), limits=Limits())
    assert parsed.findings == ()


@pytest.mark.requirement("7865-10-b")
def test_a_document_of_the_application_is_sent_as_it_is() -> None:
    bench = Bench(CallSpec(uri=SPEC.uri, hop=SPEC.hop, local=CLIENT, streams=SPEC.streams, metadata=b"<x/>"))
    assert b"<x/>" in bench.sent[0]


def test_the_invite_waits_for_the_last_socket() -> None:
    bench = Bench(bind=False)
    bench.client.media_bound(MediaId(2), now=0.0)
    bench.drain()
    assert bench.sent == []
    bench.client.media_bound(MediaId(1), now=0.0)
    bench.drain()
    assert len(bench.sent) == 1
    bench.client.media_bound(MediaId(1), now=0.0)
    bench.drain()
    assert len(bench.sent) == 1


def test_a_port_in_use_is_passed_over_and_enough_of_them_refuse() -> None:
    bench = Bench(bind=False)
    bench.client.media_failed(MediaId(1), "in use", now=0.0)
    bench.drain()
    commands = bench.of(BindMedia)
    assert [command.rtp.port for command in commands] == [40_000, 40_002, 40_004]
    for _ in range(BIND_ATTEMPTS):
        bench.client.media_failed(MediaId(1), "in use", now=0.0)
    bench.drain()
    assert bench.of(RecordingRefused) == [RecordingRefused(status=500, reason="no media port: in use", local=True)]
    assert bench.of(RecordingEnded) == [RecordingEnded(reason="refused")]
    bench.client.media_bound(MediaId(2), now=0.0)
    bench.drain()
    assert bench.sent == []


def test_misuse_is_told() -> None:
    bench = Bench()
    with pytest.raises(LocalProtocolError, match="started before"):
        bench.client.start(SPEC, now=0.0)
    for act in (lambda: bench.client.send_audio("1", b"", now=0.0), lambda: bench.client.sample_rate("1")):
        with pytest.raises(LocalProtocolError, match="label '1'"):
            act()
    client = RecordingClient(ClientConfig(), time_base=TIME_BASE, entropy=entropy(2))
    with pytest.raises(LocalProtocolError, match="at least one stream"):
        client.start(CallSpec(uri="sip:a@b", hop=SPEC.hop, local=CLIENT, streams=()), now=0.0)
    twice = CallSpec(uri=SPEC.uri, hop=SPEC.hop, local=CLIENT, streams=(SPEC.streams[0], SPEC.streams[0]))
    with pytest.raises(LocalProtocolError, match="label of its own"):
        client.start(twice, now=0.0)
    client.stop(now=0.0)
    with pytest.raises(LocalProtocolError, match="started before"):
        client.start(SPEC, now=0.0)
    few = RecordingClient(ClientConfig(rtp_ports=(40_000, 40_001)), time_base=TIME_BASE, entropy=entropy(2))
    with pytest.raises(LocalProtocolError, match="no free media port"):
        few.start(SPEC, now=0.0)


# refusals


@pytest.mark.parametrize("code", [302, 403, 420, 421, 486, 488, 503, 603])
def test_a_refusal_is_told_and_ends_the_client(code: int) -> None:
    bench = Bench()
    (ack,) = bench.receive(response_to(bench.sent[0], code))
    assert ack.startswith(b"ACK ")
    assert [(refused.status, refused.local) for refused in bench.of(RecordingRefused)] == [(code, False)]
    assert bench.of(RecordingEnded) == [RecordingEnded(reason="refused")]
    assert bench.closed()
    assert bench.stop() == []


def test_silence_is_408() -> None:
    bench = Bench()
    bench.run(32.0)
    assert [(refused.status, refused.local) for refused in bench.of(RecordingRefused)] == [(408, True)]
    assert bench.of(RecordingEnded) == [RecordingEnded(reason="refused")]
    assert bench.closed()
    assert bench.client.next_timeout() is None


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
def test_a_broken_path_is_503(transport: Transport) -> None:
    bench = Bench(CallSpec(uri=SPEC.uri, hop=Hop(transport, SERVER), local=CLIENT, streams=SPEC.streams))
    (opened,) = bench.of(OpenFlow)
    bench.client.flow_failed(Flow(transport, CLIENT, SERVER, opened.id), "refused", now=0.0)
    bench.drain()
    assert [(refused.status, refused.local) for refused in bench.of(RecordingRefused)] == [(503, True)]
    assert bench.closed()


@pytest.mark.parametrize("text", ["", "nonsense", "v=1\r\n"])
def test_a_200_without_a_usable_answer_is_acknowledged_and_ended(text: str) -> None:
    bench = Bench()
    sent = bench.receive(response_to(bench.sent[0], 200, body=text))
    assert [data.split(b" ")[0] for data in sent] == [b"ACK", b"BYE"]
    assert [(refused.status, refused.local) for refused in bench.of(RecordingRefused)] == [(502, True)]
    bench.receive(response_to(sent[1], 200))
    assert bench.of(RecordingEnded) == [RecordingEnded(reason="refused")]


# stopping


def test_stopping_before_the_sockets_are_there() -> None:
    bench = Bench(bind=False)
    bench.stop()
    assert bench.of(RecordingEnded) == [RecordingEnded(reason="cancelled")]
    assert bench.closed()
    bench.bind()
    assert bench.sent == []


def test_stopping_before_any_response_waits_for_one() -> None:
    bench = Bench()
    assert bench.stop() == []
    (cancel,) = bench.receive(response_to(bench.sent[0], 100, to_tag=None))
    assert cancel.startswith(b"CANCEL ")
    bench.receive(response_to(cancel, 200), response_to(bench.sent[0], 487))
    assert bench.of(RecordingEnded) == [RecordingEnded(reason="cancelled")]
    assert not bench.of(RecordingRefused)


def test_stopping_a_call_that_nobody_answers_ends_with_the_invite() -> None:
    bench = Bench()
    bench.stop()
    bench.run(32.0)
    assert bench.of(RecordingEnded) == [RecordingEnded(reason="cancelled")]


def test_each_provisional_response_is_told() -> None:
    bench = Bench()
    bench.receive(response_to(bench.sent[0], 100))
    bench.receive(response_to(bench.sent[0], 183))
    assert [each.status for each in bench.of(RecordingProceeding)] == [100, 183]
    assert bench.of(RecordingRefused) == []


def test_a_cancel_that_nobody_hears_ends_after_64_t1() -> None:
    bench = Bench()
    bench.receive(response_to(bench.sent[0], 180))
    assert bench.stop()[0].startswith(b"CANCEL ")
    bench.run(31.9)
    assert not bench.of(RecordingEnded)
    bench.run(0.2)
    assert bench.of(RecordingEnded) == [RecordingEnded(reason="cancelled")]
    assert bench.closed()


def test_an_answer_that_crosses_the_cancel_is_ended() -> None:
    bench = Bench()
    bench.receive(response_to(bench.sent[0], 180))
    bench.stop()
    sent = bench.receive(response_to(bench.sent[0], 200, body=ANSWER))
    assert [data.split(b" ")[0] for data in sent] == [b"ACK", b"BYE"]
    assert not bench.of(RecordingAnswered)
    bench.receive(response_to(sent[1], 200))
    assert bench.of(RecordingEnded) == [RecordingEnded(reason="local-bye")]


@pytest.mark.parametrize("answer", [200, 481, None])
def test_a_bye_ends_the_call_whatever_its_answer(answer: int | None) -> None:
    bench = Bench().answered()
    (bye,) = bench.stop()
    if answer is None:
        bench.run(32.0)
    else:
        bench.receive(response_to(bye, answer))
    assert bench.of(RecordingEnded) == [RecordingEnded(reason="local-bye")]
    assert bench.closed()


# the server's side


def from_server(bench: Bench, method: str, *, cseq: int = 1, body: str = "") -> bytes:
    """Write a request of the server within the call."""
    return request(
        method,
        call_id=field(bench.sent[0], "Call-ID"),
        from_tag="srs",
        to_tag=field(bench.sent[0], "From").partition("tag=")[2],
        cseq=cseq,
        contact="<sip:srs@192.0.2.1:5060>;+sip.srs",
        body=body,
        content_type="application/sdp" if body else "",
    )


@pytest.mark.requirement("3261-15-a")
def test_the_server_ends_the_call() -> None:
    bench = Bench().answered()
    bench.client.send_audio("1", SECOND, now=0.0)
    (answer,) = bench.receive(from_server(bench, "BYE"))
    assert status(answer) == 200
    assert bench.of(RecordingEnded) == [RecordingEnded(reason="bye")]
    sent = len(bench.outputs)
    bench.run(5.0)
    assert len(bench.outputs) == sent, "no packet after the BYE"
    with pytest.raises(LocalProtocolError):
        bench.client.send_audio("1", SECOND, now=5.0)


def test_a_broken_offer_of_the_server_is_400_one_with_fewer_lines_488_and_a_refresh_200() -> None:
    bench = Bench().answered()
    assert status(bench.receive(from_server(bench, "INVITE", cseq=1, body="v=0\r\nm=audio"))[0]) == 400
    one_line = ANSWER.partition("m=audio 30002")[0]
    assert status(bench.receive(from_server(bench, "UPDATE", cseq=1, body=one_line))[0]) == 488
    refresh = bench.receive(from_server(bench, "UPDATE", cseq=2))[0]
    assert (status(refresh), refresh.partition(b"\r\n\r\n")[2]) == (200, b"")
    again = bench.receive(from_server(bench, "INVITE", cseq=3))[0]
    assert status(again) == 200
    assert b"a=label:1" in again
    assert not bench.of(RecordingEnded)


def test_options_are_answered() -> None:
    bench = Bench().answered()
    assert status(bench.receive(request("OPTIONS"))[0]) == 200
    assert status(bench.receive(from_server(bench, "OPTIONS"))[0]) == 200


def test_a_call_of_a_stranger_is_refused_and_ours_goes_on() -> None:
    bench = Bench().answered()
    (refused,) = bench.receive(invite(branch="z9hG4bK-strange"))
    assert status(refused) == 403
    bench.receive(request("ACK", to_tag=field(refused, "To").partition("tag=")[2], branch="z9hG4bK-strange"))
    bench.run(70.0)
    assert not bench.of(RecordingEnded)
    assert bench.client._endpoint.calls == 1
    bench.client.send_audio("1", SECOND, now=bench.now)


# answers that break rules


@pytest.mark.parametrize(
    ("text", "labels", "code"),
    [
        (ANSWER.replace("m=audio 30002", "m=audio 0"), ("1",), None),
        (ANSWER.partition("m=audio 30002")[0], ("1",), "sdp-answer-line-count"),
        (ANSWER + "m=audio 30004 RTP/AVP 0\r\n", ("1", "2"), "sdp-answer-line-count"),
        (ANSWER.replace("a=label:2", "a=label:x"), ("1", "2"), "sdp-answer-label"),
        (ANSWER.replace("a=recvonly", "a=inactive"), (), None),
        (ANSWER.replace("a=recvonly\r\na=label:1", "a=sendrecv\r\na=label:1"), ("1", "2"), "sdp-answer-direction"),
        (ANSWER.replace("RTP/AVP 0", "RTP/AVP 18"), (), "sdp-answer-format"),
        (ANSWER.replace("m=audio 30000", "m=video 30000"), ("2",), "sdp-answer-media"),
        (ANSWER.replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0"), (), None),
        (ANSWER.replace("c=IN IP4 192.0.2.1", "c=IN IP4 224.2.1.1"), (), "sdp-answer-address"),
    ],
)
def test_answers_that_break_rules_are_told_and_the_rest_is_used(
    text: str, labels: tuple[str, ...], code: str | None
) -> None:
    bench = Bench().answered(text)
    assert bench.labels() == labels
    if code is not None:
        assert code in bench.codes()


def test_a_clean_answer_has_no_findings_but_those_of_the_response_itself() -> None:
    bench = Bench().answered()
    assert bench.codes() == {"answer-no-allow"}
    bench = Bench()
    bench.receive(response_to(bench.sent[0], 200, body=ANSWER, contact="<sip:srs@192.0.2.1>", extra=["Allow: INVITE"]))
    assert bench.codes() == {"answer-no-feature-tag"}


def test_a_format_that_we_cannot_encode_is_passed_over() -> None:
    formats = (MediaFormat(101, "telephone-event", 8000), MediaFormat(9, "G722", 8000), MediaFormat(8, "PCMA", 8000))
    spec = CallSpec(
        uri=SPEC.uri, hop=SPEC.hop, local=CLIENT, streams=(StreamSpec(label="1", aor="sip:a@b", formats=formats),)
    )
    events = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    line = "m=audio 30000 RTP/AVP {}\r\n" + events + "a=recvonly\r\na=label:1\r\n"
    head = ANSWER.partition("m=audio")[0]
    bench = Bench(spec).answered(head + line.format("101 9 8"))
    bench.client.send_audio("1", SECOND, now=0.0)
    bench.drain()
    (packet, *_) = [RtpPacket.parse(command.data) for command in bench.of(SendMedia)]
    assert packet.payload_type == 8
    assert Bench(spec).answered(head + line.format("101 9")).labels() == ()


@given(st.text(max_size=200), st.integers(0, len(ANSWER) - 1), st.integers(0, 40))
def test_any_answer_is_taken_without_raising(text: str, place: int, size: int) -> None:
    damaged = ANSWER[:place] + text.encode("utf-8", "replace").decode() + ANSWER[place + size :]
    bench = Bench().answered(damaged)
    assert len(bench.of(RecordingAnswered)) + len(bench.of(RecordingRefused)) == 1


# audio


def packets_of(bench: Bench) -> list[tuple[float, RtpPacket]]:
    """Run for two seconds; give every packet with its instant."""
    found = []
    bench.outputs.clear()
    bench.client.handle_timeout(now=bench.now)
    bench.drain()
    until = bench.now + 2.0
    while True:
        found += [(bench.now, RtpPacket.parse(command.data)) for command in bench.of(SendMedia)]
        bench.outputs.clear()
        due = bench.client.next_timeout()
        if due is None or due > until:
            return found
        bench.now = max(bench.now, due)
        bench.client.handle_timeout(now=bench.now)
        bench.drain()


@pytest.mark.requirement("7866-8.2.3-a")
def test_audio_leaves_in_real_time() -> None:
    bench = Bench().answered()
    assert bench.client.sample_rate("1") == 8000
    bench.client.send_audio("1", SECOND, now=0.0)
    bench.drain()
    assert len(bench.of(SendMedia)) == 1, "one packet at once, the others when their time has come"
    rest = packets_of(bench)
    assert len(rest) == 49
    assert [round(at, 6) for at, _ in rest] == [round(0.02 * number, 6) for number in range(1, 50)]
    for (_, before), (_, after) in pairwise(rest):
        assert after.sequence_number == (before.sequence_number + 1) % 65_536
        assert after.timestamp == (before.timestamp + 160) % 2**32
        assert after.ssrc == before.ssrc


def test_the_end_of_the_audio_is_told_with_its_packets() -> None:
    bench = Bench().answered()
    for label, count in (("1", 1), ("2", 2)):
        bench.client.send_audio(label, SECOND[:320] * count, now=0.0)
        bench.client.finish_audio(label, now=0.0)
    bench.drain()
    bench.run(1.0)
    assert bench.of(AudioFinished) == [AudioFinished(label="1", packets=1), AudioFinished(label="2", packets=2)]
    with pytest.raises(LocalProtocolError):
        bench.client.send_audio("1", SECOND, now=1.0)


def test_what_comes_back_on_the_media_ports_is_no_matter() -> None:
    bench = Bench().answered()
    batch = DatagramBatch([b"\x80"], [Address("192.0.2.1", 30_000)], [0.0])
    bench.client.receive_media(MediaId(1), batch, component=Component.RTCP, now=0.0)
    assert bench.client.poll_output() is None


def test_unknown_media_is_ignored() -> None:
    bench = Bench()
    for media in (MediaId(99), MediaId(-1)):
        bench.client.media_bound(media, now=0.0)
        bench.client.media_failed(media, "x", now=0.0)
        bench.client.media_closed(media, now=0.0)
    bench.drain()
    assert not bench.of(RecordingRefused)


# against the server


@pytest.mark.parametrize("seed", range(10))
def test_stopping_at_any_moment_ends_both_sides(seed: int) -> None:
    pair = Pair(wire=Wire(loss=0.2, duplicate=0.2, jitter=0.2, seed=seed), config=ServerConfig(manual=seed % 2 == 0))
    pair.call()
    for session in list(pair.recorder.sessions()):
        if seed % 4 == 0:
            pair.recorder.accept(session, now=pair.now)
    pair.run(seed * 0.11)
    pair.caller.stop(now=pair.now)
    pair.run(200.0)
    assert len(pair.client.of(RecordingEnded)) == 1
    assert not pair.client.media
    assert pair.caller.next_timeout() is None


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_octets_never_raise(pieces: list[bytes]) -> None:
    bench = Bench().answered()
    bench.receive(*pieces)
    assert not bench.of(RecordingEnded)


def test_a_large_invite_falls_back_to_udp_when_nobody_listens_on_tcp() -> None:
    """3261-18.1.1-a."""
    bench = Bench(config=ClientConfig(large_over_tcp=True))
    (opened,) = bench.of(OpenFlow)
    assert opened.transport is Transport.TCP
    assert bench.sent == []
    flow = Flow(Transport.TCP, CLIENT, SERVER, opened.id)
    bench.client.flow_failed(flow, "refused", now=0.0)
    bench.drain()
    assert field(bench.sent[0], "Via").startswith("SIP/2.0/UDP")
    assert not bench.of(RecordingRefused)
    bench.answered()
    assert bench.labels() == ("1", "2")
    assert bench.sent[-1].startswith(b"ACK ")


@pytest.mark.requirement("3261-13.2.1-a", "7866-7.2-c")
def test_an_invite_without_offer_of_the_server_gets_ours_and_its_ack_counts() -> None:
    bench = Bench().answered()
    (offer,) = bench.receive(from_server(bench, "INVITE"))
    assert offer.count(b"a=sendonly") == 2
    ack = from_server(bench, "ACK", body=ANSWER.replace("30002", "0"))
    bench.receive(ack.replace(b"z9hG4bK-ACK", b"z9hG4bK-other"))
    with pytest.raises(LocalProtocolError):
        bench.client.send_audio("2", SECOND, now=0.0)
    bench.client.send_audio("1", SECOND, now=0.0)


@pytest.mark.parametrize(
    "body", ["garbage", "v=0\r\n", ANSWER + "m=audio 9 RTP/AVP 0\r\n", ANSWER.replace("192.0.2.1", "x")]
)
def test_no_offer_of_the_server_harms_the_client(body: str) -> None:
    bench = Bench().answered()
    for number, method in enumerate(("INVITE", "UPDATE"), start=1):
        (answer,) = bench.receive(from_server(bench, method, cseq=number, body=body))
        assert status(answer) in (200, 400, 488)
        bench.receive(from_server(bench, "ACK", cseq=number))
    bench.client.pause("1", now=bench.now)
    bench.run(1.0)
    assert not bench.of(RecordingEnded)


@pytest.mark.requirement("5621-4-b", "5621-3-a", "2046-5.1-b")
def test_the_body_of_the_invite_is_flat_and_not_encoded() -> None:
    pair = Pair()
    pair.call("1", "2")
    parsed = parse_body(read(pair.client.messages(b"INVITE")[0]), limits=Limits())
    assert parsed.findings == ()
    assert parsed.root is not None
    boundary = (parsed.root.content_type.boundary or "").encode()
    assert boundary
    for part in parsed.root.parts:
        assert part.content_type.type != "multipart"
        assert part.headers.get("Content-Transfer-Encoding") is None
        assert boundary not in bytes(part.content)
    assert len(parsed.root.parts) == 2


@pytest.mark.parametrize("dialect", [Dialect.DRAFT_RECORDING, Dialect.DRAFT_SIPREC])
def test_an_older_format_is_written_on_request_only(dialect: Dialect) -> None:
    pair = Pair()
    streams = (StreamSpec(label="1", aor="sip:ann@example.com"),)
    hop = Hop(pair.transport, SERVER)
    spec = CallSpec(uri="sip:recorder@192.0.2.1", hop=hop, local=CLIENT, streams=streams, dialect=dialect)
    pair.caller.start(spec, now=0.0)
    pair.run(1.0)
    (session,) = pair.recorder.sessions().values()
    assert session is not None
    (name,) = [name for name in pair.server.files if name.endswith("recording.json")]
    report = json.loads(pair.server.files[name])
    assert report["dialect"] == dialect.value
    assert [each["aors"] for each in report["participants"]] == [["sip:ann@example.com"]]
    assert report["streams"][0]["stream_id"] == report["contributions"][0]["stream_id"]


def test_each_message_is_sent_as_the_rewriting_gives_it() -> None:
    for transport in (Transport.UDP, Transport.TCP):
        spec = replace(SPEC, hop=Hop(transport, SERVER))
        bench = Bench(spec, config=ClientConfig(rewrite=lambda data: data.replace(b"Require: siprec\r\n", b"")))
        for opened in bench.of(OpenFlow):
            bench.client.flow_opened(Flow(transport, CLIENT, SERVER, opened.id), now=0.0)
            bench.drain()
        assert [each.partition(b" ")[0] for each in bench.sent] == [b"INVITE"]
        assert b"Require:" not in bench.sent[0]


def test_each_media_packet_leaves_as_the_path_gives_it() -> None:
    def path(packet: SendMedia) -> list[SendMedia]:
        return [] if packet.component is Component.RTP and packet.data[3] % 2 else [packet, packet]

    bench = Bench(config=ClientConfig(media_path=path)).answered()
    bench.client.send_audio("1", SECOND[:3200], now=0.0)
    bench.drain()
    bench.run(1.0)
    sent = [each.data for each in bench.of(SendMedia) if each.component is Component.RTP]
    assert len(sent) == 2 * len(set(sent)) == 10
    assert all(data[3] % 2 == 0 for data in sent)


def test_how_much_audio_waits_is_told() -> None:
    bench = Bench().answered()
    assert bench.client.queued_seconds("1") == 0.0
    bench.client.send_audio("1", SECOND, now=0.0)
    assert bench.client.queued_seconds("1") == pytest.approx(0.98)
    bench.run(0.5)
    assert bench.client.queued_seconds("1") < 0.5
    bench.client.pause("1", now=bench.now)
    assert bench.client.queued_seconds("1") == 0.0
    with pytest.raises(LocalProtocolError):
        bench.client.queued_seconds("7")


def test_a_packet_of_the_application_s_own_is_not_encrypted_where_nothing_is() -> None:
    bench = Bench().answered()
    media = bench.of(BindMedia)[0].media
    assert bench.client.seal_media(media, b"\x80" + bytes(20)) == b"\x80" + bytes(20)
