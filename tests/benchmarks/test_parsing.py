"""Reading one SIPREC INVITE, piece by piece and as a whole; 64 different calls go round."""

from collections.abc import Callable
from itertools import cycle
from typing import TypeVar

from pytest_benchmark.fixture import BenchmarkFixture

from siprec_core.codecs.g711 import decode_mu_law
from siprec_core.containers.wav import WavEncoder
from siprec_core.limits import Limits
from siprec_core.metadata.model import MetadataDocument
from siprec_core.metadata.reader import read_metadata
from siprec_core.recording.request import read_request
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sip.header_block import read_header_block
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request
from siprec_core.sip.multipart import parse_body
from siprec_core.sip.parser import parse_datagram
from tests.benchmarks.messages import Call, calls
from tests.core.messages import read

LIMITS = Limits()
SECOND = bytes(range(256)) * 31 + bytes(64)
"""8,000 octets of G.711."""

ReadT = TypeVar("ReadT")


def _round(benchmark: BenchmarkFixture, work: Callable[[Call], ReadT]) -> ReadT:
    """Measure `work` on one call after the other and give what it made of the last."""
    following = cycle(calls()).__next__
    made: ReadT = benchmark(lambda: work(following()))
    return made


def test_header_split(benchmark: BenchmarkFixture) -> None:
    def split(call: Call) -> Headers:
        header, _, _ = call.invite.partition(b"\r\n\r\n")
        return read_header_block(header, limits=LIMITS, start_line=True).headers

    assert len(_round(benchmark, split)) == 14


def test_header_checked(benchmark: BenchmarkFixture) -> None:
    message = _round(benchmark, lambda call: parse_datagram(call.invite, limits=LIMITS))
    assert isinstance(message, Request)
    assert message.findings == ()


def test_header_typed(benchmark: BenchmarkFixture) -> None:
    def typed(call: Call) -> tuple[object, ...]:
        message = read(call.invite)
        return message.vias, message.from_, message.to, message.contacts, message.cseq.number

    assert _round(benchmark, typed)[-1] == 101


def test_sdp(benchmark: BenchmarkFixture) -> None:
    def typed(call: Call) -> list[list[str]]:
        description = parse_sdp(call.sdp, limits=LIMITS).description
        return [] if description is None else [[one.name for one in line.media_formats()] for line in description.media]

    assert _round(benchmark, typed) == [["PCMU/8000", "PCMA/8000", "telephone-event/8000"]] * 2


def test_multipart(benchmark: BenchmarkFixture) -> None:
    def parts(call: Call) -> list[str]:
        headers = Headers.from_parsed([("Content-Type", call.content_type)])
        body = parse_body(Request("INVITE", "sip:srs", headers, call.body), limits=LIMITS)
        return [part.content_type.media_type for part in body.leaves()]

    assert _round(benchmark, parts) == ["application/sdp", "application/rs-metadata+xml"]


def test_metadata(benchmark: BenchmarkFixture) -> None:
    parsed = _round(benchmark, lambda call: read_metadata(call.metadata, limits=LIMITS))
    assert isinstance(parsed.document, MetadataDocument)
    assert len(parsed.document.participant_stream_associations) == 2
    assert parsed.findings == ()


def test_whole_invite(benchmark: BenchmarkFixture) -> None:
    made = _round(benchmark, lambda call: read_request(read(call.invite), limits=LIMITS, strict=False))
    assert made.offer is not None
    assert made.metadata is not None
    assert (made.findings, made.refusal) == ((), None)


def test_g711_decode_of_a_second(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(decode_mu_law, SECOND)) == 2 * len(SECOND)


def test_wav_of_a_second(benchmark: BenchmarkFixture) -> None:
    pcm = decode_mu_law(SECOND)

    def write() -> int:
        encoder = WavEncoder(8_000, 1)
        start, audio, end = encoder.start(), encoder.add(pcm), encoder.finish()
        return len(start) + len(audio) + len(end)

    assert benchmark(write) > len(pcm)
