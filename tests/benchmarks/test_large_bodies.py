"""An INVITE whose metadata fills ten megabytes, over TCP in pieces of 1,460 octets: time by size, and memory.

Memory is told by `tracemalloc` as multiples of the document; the pieces are made one by one and count only while they
are handed over.
"""

import tracemalloc
from dataclasses import dataclass, field
from time import process_time

from pytest_benchmark.fixture import BenchmarkFixture

from siprec_core.limits import Limits
from siprec_core.recording.commands import BindMedia, SendStream
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer
from siprec_core.sip.framing import MessageFramer
from siprec_core.sip.message import Request
from siprec_core.sip.multipart import parse_body
from siprec_core.types import Flow, FlowId, Transport
from tests.core.harness import CLIENT, SERVER, TIME_BASE, entropy
from tests.core.messages import METADATA, OFFER, multipart, request, status

SIZE = 10_000_000
PIECE = 1_460
FLOW = Flow(Transport.TCP, SERVER, CLIENT, FlowId(1))
RAISED = Limits(body_size=64 * 1024 * 1024)


def large_invite(size: int) -> bytes:
    """Write an INVITE whose metadata has `size` octets: people with long extension data."""
    text = "what the client adds " * 100
    person = '<participant participant_id="{:024}"><x xmlns="urn:example:x">{}</x></participant>\n'
    count = (size - len(METADATA)) // len(person.format(0, text))
    people = "".join(person.format(number, text) for number in range(count))
    metadata = METADATA.replace("</recording>", f"{people}</recording>")
    metadata = metadata.replace("</recording>", " " * (size - len(metadata)) + "</recording>")
    kind, body = multipart(
        ("application/sdp", "", OFFER), ("application/rs-metadata+xml", "recording-session", metadata)
    )
    return request("INVITE", body=body, content_type=kind, extra=["Require: siprec"], transport="TCP")


@dataclass
class Receiver:
    """A server and the one connection that it hears."""

    limits: Limits
    answers: list[bytes] = field(default_factory=list)
    closed: bool = False

    def __post_init__(self) -> None:
        self.server = RecordingServer(ServerConfig(limits=self.limits), time_base=TIME_BASE, entropy=entropy(1))
        self.server.flow_opened(FLOW, now=0.0)

    def receive(self, octets: bytes) -> None:
        """Take octets in pieces, drop what is put out but for the answers."""
        for start in range(0, len(octets), PIECE):
            self.server.receive_stream(FLOW, octets[start : start + PIECE], now=0.0)
            while (output := self.server.poll_output()) is not None:
                if isinstance(output, SendStream):
                    self.answers.append(output.data)
                elif isinstance(output, BindMedia):
                    self.server.media_bound(output.media, now=0.0)
                elif type(output).__name__ == "CloseFlow":
                    self.closed = True


def cpu_seconds(size: int) -> float:
    """Give the CPU time of one INVITE, the best of three."""
    octets = large_invite(size)
    taken = []
    for _ in range(3):
        receiver = Receiver(RAISED)
        start = process_time()
        receiver.receive(octets)
        taken.append(process_time() - start)
        assert status(receiver.answers[-1]) == 200
    return min(taken)


def test_framing_and_multipart(benchmark: BenchmarkFixture) -> None:
    octets = large_invite(SIZE)

    def read() -> int:
        framer, message = MessageFramer(RAISED), None
        for start in range(0, len(octets), PIECE):
            framer.receive(octets[start : start + PIECE])
            message = framer.poll()
        assert isinstance(message, Request)
        assert framer.scanned_size < 2 * PIECE
        return sum(len(part.content) for part in parse_body(message, limits=RAISED).leaves())

    assert benchmark(read) > SIZE


def test_whole_server(benchmark: BenchmarkFixture) -> None:
    octets = large_invite(SIZE)

    def run() -> list[bytes]:
        receiver = Receiver(RAISED)
        receiver.receive(octets)
        return receiver.answers

    answers = benchmark(run)
    assert status(answers[-1]) == 200


def test_time_is_linear_in_the_size() -> None:
    assert cpu_seconds(SIZE) / cpu_seconds(SIZE // 10) < 20


def test_memory_stays_below_four_times_the_document() -> None:
    octets = large_invite(SIZE)
    receiver = Receiver(RAISED)
    tracemalloc.start()
    try:
        receiver.receive(octets)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert status(receiver.answers[-1]) == 200
    assert peak < 4 * SIZE


def test_a_body_over_the_limit_is_read_past_and_costs_no_memory() -> None:
    octets = large_invite(SIZE)
    receiver = Receiver(Limits())
    tracemalloc.start()
    try:
        receiver.receive(octets)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [status(answer) for answer in receiver.answers] == [413]
    assert not receiver.closed
    assert peak < SIZE // 10
    receiver.receive(request("OPTIONS", cseq=2, transport="TCP"))
    assert status(receiver.answers[-1]) == 200
