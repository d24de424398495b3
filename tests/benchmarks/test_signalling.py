"""The signalling of whole calls through the server without sockets: INVITE, 200, ACK, BYE, 200.

A round is one call, with transactions, dialog, SDP, metadata, journal and report; the calls follow each other by a
millisecond, so that the transactions of the last 32 seconds are still in the tables.
"""

from itertools import count

from pytest_benchmark.fixture import BenchmarkFixture

from siprec_core.limits import Limits
from siprec_core.recording.commands import BindMedia, CloseMedia, RenderRecording, SendDatagram
from siprec_core.recording.events import SessionEnded
from siprec_core.recording.policy import ServerConfig
from siprec_core.server import RecordingServer
from siprec_core.types import Address, Flow, Transport
from tests.benchmarks.messages import call, request
from tests.core.harness import CLIENT, SERVER, TIME_BASE, entropy

ROUNDS = 2_000


class _Driver:
    """Performs what a server asks for, without any input or output."""

    def __init__(self) -> None:
        # All calls come from one address, faster than any client sends.
        config = ServerConfig(limits=Limits(requests_per_source=0))
        self.server = RecordingServer(config, time_base=TIME_BASE, entropy=entropy(1))
        self.now = 0.0
        self.answers: list[bytes] = []
        self.ended = 0

    def receive(self, data: bytes, flow: Flow) -> None:
        self.server.receive_datagram(data, flow=flow, now=self.now)
        self._drain()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        while (due := self.server.next_timeout()) is not None and due <= self.now:
            self.server.handle_timeout(now=self.now)
            self._drain()

    def _drain(self) -> None:
        while (output := self.server.poll_output()) is not None:
            match output:
                case SendDatagram(data=data):
                    self.answers.append(data)
                case BindMedia(media=media):
                    self.server.media_bound(media, now=self.now)
                case CloseMedia(media=media):
                    self.server.media_closed(media, now=self.now)
                case RenderRecording(session=session):
                    self.server.rendered(session, now=self.now)
                case SessionEnded():
                    self.ended += 1
                case _:
                    pass


def test_call(benchmark: BenchmarkFixture) -> None:
    driver = _Driver()
    numbers = count(1)
    flow = Flow(Transport.UDP, SERVER, Address(CLIENT.host, 5060))

    def made() -> tuple[tuple[int, bytes], dict[str, object]]:
        number = next(numbers)
        return (number, call(number).invite), {}

    def whole(number: int, invite: bytes) -> None:
        driver.pass_time(0.001)
        driver.answers.clear()
        driver.receive(invite, flow)
        tag = driver.answers[-1].partition(b"srs@recorder.example.com>;tag=")[2].partition(b"\r\n")[0].decode()
        driver.receive(request("ACK", number, tag), flow)
        driver.receive(request("BYE", number, tag), flow)

    benchmark.pedantic(whole, setup=made, rounds=ROUNDS if benchmark.enabled else 2)  # type: ignore[no-untyped-call]
    assert driver.answers[-1].startswith(b"SIP/2.0 200 ")
    assert driver.ended == next(numbers) - 1
