"""A media line decides alike on datagrams in batches and one by one, counts each of them once, and stays bounded.

An input is a row of datagrams: one octet of length and one that chooses sender, component and delay stand before each.
"""

import sys

from siprec_core.limits import Limits
from siprec_core.media.receiver import MediaReceiver
from siprec_core.media.spec import MediaSpec
from siprec_core.media.statistics import LineStatistics
from siprec_core.rtp.payload import PayloadFormat
from siprec_core.types import Address, Component, DatagramBatch, MediaId

LIMITS = Limits(ssrcs_per_line=4, ssrcs_reported=8, probation_size=512)
SENDERS = (
    Address("192.0.2.1", 4000),
    Address("192.0.2.1", 4001),
    Address("198.51.100.1", 9),
    Address("2001:db8::1", 9),
)
DELAYS = (0.0, 0.02, 0.5, 6.0)
SPEC = MediaSpec(
    media=MediaId(1),
    formats=(PayloadFormat(0, "PCMU", 8000), PayloadFormat(101, "TELEPHONE-EVENT", 8000)),
    remote_rtp=SENDERS[0],
    remote_rtcp=SENDERS[1],
)
Datagram = tuple[bytes, Address, float, Component]


def check(data: bytes) -> None:
    datagrams = _split(data)
    one_by_one, accepted_singly = _receive([[datagram] for datagram in datagrams])
    together, accepted = _receive(_grouped(datagrams))
    assert one_by_one == together
    assert accepted_singly == accepted
    statistics = one_by_one
    assert accepted == statistics.packets_received + statistics.packets_duplicate + statistics.rtcp_received
    assert accepted + statistics.packets_rejected + statistics.rtcp_rejected == len(datagrams)
    assert statistics.packets_lost >= 0
    assert len(statistics.sources) <= LIMITS.ssrcs_per_line + LIMITS.ssrcs_reported
    assert max(len(statistics.ssrcs), len(statistics.csrcs)) <= LIMITS.ssrcs_reported


def _split(data: bytes) -> list[Datagram]:
    datagrams: list[Datagram] = []
    at, arrival = 0, 0.0
    while at + 2 <= len(data):
        size, choice = data[at], data[at + 1]
        arrival += DELAYS[choice >> 2 & 3]
        component = Component.RTCP if choice & 0xF0 == 0xF0 else Component.RTP
        datagrams.append((data[at + 2 : at + 2 + size], SENDERS[choice & 3], arrival, component))
        at += 2 + size
    return datagrams


def _grouped(datagrams: list[Datagram]) -> list[list[Datagram]]:
    groups: list[list[Datagram]] = []
    for datagram in datagrams:
        if not groups or groups[-1][-1][3] is not datagram[3]:
            groups.append([])
        groups[-1].append(datagram)
    return groups


def _receive(groups: list[list[Datagram]]) -> tuple[LineStatistics, int]:
    receiver = MediaReceiver(SPEC, limits=LIMITS, now=0.0)
    accepted_count = 0
    for group in groups:
        datagrams, sources, arrivals, components = zip(*group, strict=True)
        batch = DatagramBatch([memoryview(data) for data in datagrams], sources, arrivals)
        accepted = receiver.receive(batch, component=components[0], now=arrivals[-1])
        accepted_count += len(accepted.indexes) + len(accepted.held)
        while receiver.poll_output() is not None:
            pass
    return receiver.statistics(), accepted_count


if __name__ == "__main__":
    import atheris

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
