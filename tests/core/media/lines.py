"""Made-up media lines for the tests of this folder: packets, batches, and a line that is fed one datagram at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from siprec_core.limits import Limits
from siprec_core.media.outputs import MediaOutput, SourceFinding
from siprec_core.media.receiver import MediaReceiver
from siprec_core.media.spec import MediaSpec
from siprec_core.rtp.packet import RtpPacket
from siprec_core.rtp.payload import PayloadFormat
from siprec_core.types import Address, Component, DatagramBatch, MediaId

ANNOUNCED = Address("192.0.2.1", 4000)
ELSEWHERE = Address("198.51.100.7", 5555)
FOREIGN = Address("203.0.113.9", 6000)
FORMATS = (
    PayloadFormat(0, "PCMU", 8000),
    PayloadFormat(8, "PCMA", 8000),
    PayloadFormat(97, "L16", 16_000),
    PayloadFormat(101, "TELEPHONE-EVENT", 8000),
)


@dataclass(frozen=True, slots=True)
class Datagram:
    data: bytes
    source: Address = ANNOUNCED
    arrival: float = 0.0
    component: Component = Component.RTP


def spec(
    *,
    remote_rtp: Address | None = ANNOUNCED,
    remote_rtcp: Address | None = None,
    direction: Literal["recvonly", "inactive"] = "recvonly",
    rtcp_mux: bool = False,
    formats: tuple[PayloadFormat, ...] = FORMATS,
) -> MediaSpec:
    return MediaSpec(
        media=MediaId(1),
        formats=formats,
        remote_rtp=remote_rtp,
        remote_rtcp=remote_rtcp,
        direction=direction,
        rtcp_mux=rtcp_mux,
    )


def rtp(number: int, *, ssrc: int = 1, payload_type: int = 0, size: int = 160) -> bytes:
    """A packet whose timestamp fits its number at 20 ms of 8,000 Hz."""
    return RtpPacket(payload_type, number & 0xFFFF, number * 160 & 0xFFFF_FFFF, ssrc, bytes(size)).to_bytes()


def run(
    first: int, count: int, *, ssrc: int = 1, source: Address = ANNOUNCED, at: float = 0.0, payload_type: int = 0
) -> list[Datagram]:
    """Packets in sequence, 20 ms apart."""
    return [
        Datagram(rtp(first + step, ssrc=ssrc, payload_type=payload_type), source, at + step * 0.02)
        for step in range(count)
    ]


def batch(datagrams: Sequence[Datagram]) -> DatagramBatch:
    return DatagramBatch(
        [memoryview(datagram.data) for datagram in datagrams],
        [datagram.source for datagram in datagrams],
        [datagram.arrival for datagram in datagrams],
    )


@dataclass(slots=True)
class Line:
    """A receiver with the journal of what it accepted and all that it told."""

    receiver: MediaReceiver
    journal: list[Datagram] = field(default_factory=list)
    outputs: list[MediaOutput] = field(default_factory=list)

    @property
    def codes(self) -> list[str]:
        return [output.finding.code for output in self.outputs if isinstance(output, SourceFinding)]

    def feed(self, *groups: Iterable[Datagram], together: bool = False) -> "Line":
        """Receive datagrams, one batch each or (of one component) all in one."""
        datagrams = [datagram for group in groups for datagram in group]
        for cut in [datagrams] if together else [[datagram] for datagram in datagrams]:
            if cut:
                self.receive(cut)
        return self

    def receive(self, datagrams: Sequence[Datagram]) -> None:
        component = datagrams[0].component
        accepted = self.receiver.receive(batch(datagrams), component=component, now=datagrams[-1].arrival)
        self.journal += [Datagram(held.data, held.source, held.arrival, held.component) for held in accepted.held]
        self.journal += [datagrams[index] for index in accepted.indexes]
        self.take_outputs()

    def update(self, changed: MediaSpec, *, now: float) -> None:
        self.receiver.update(changed, now=now)
        self.take_outputs()

    def take_outputs(self) -> None:
        while (output := self.receiver.poll_output()) is not None:
            self.outputs.append(output)


def line(given: MediaSpec | None = None, *, limits: Limits | None = None) -> Line:
    return Line(MediaReceiver(given or spec(), limits=limits or Limits(), now=0.0))
