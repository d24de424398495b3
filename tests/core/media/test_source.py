from hypothesis import given
from hypothesis import strategies as st

from siprec_core.media.source import TrackedSource
from siprec_core.rtp.packet import HeaderExtension, RtpPacket
from siprec_core.rtp.sequence import Verdict
from tests.core.media.lines import ANNOUNCED, ELSEWHERE, FORMATS, Datagram, batch, run

PCMU, PCMA, WIDE, EVENT = FORMATS


def _place(source: TrackedSource, packet: RtpPacket, arrival: float) -> None:
    payload_format = next(entry for entry in FORMATS if entry.payload_type == packet.payload_type)
    source.place(packet, payload_format, verdict=source.sequence.update(packet.sequence_number), arrival=arrival)


def _begun(first: int = 0) -> TrackedSource:
    source = TrackedSource(1, first, arrival=0.0, max_dropout=3000)
    packet = RtpPacket(0, first, first * 160, 1, bytes(160))
    source.place(packet, PCMU, verdict=Verdict.IN_ORDER, arrival=0.0)
    return source


def test_a_run_ends_before_the_first_packet_that_is_not_next() -> None:
    datagrams = run(1, 3, at=0.02) + run(5, 3, at=0.1)
    source = _begun()
    assert source.receive_run(batch(datagrams), 0, ANNOUNCED) == 3
    assert source.statistics().packets_received == 4
    assert source.receive_run(batch(datagrams), 3, ANNOUNCED) == 3


def test_a_run_takes_no_other_sender_ssrc_or_payload_type() -> None:
    for stranger in (
        run(1, 1, source=ELSEWHERE),
        run(1, 1, ssrc=2),
        run(1, 1, payload_type=8),
        [Datagram(b"\x80\0\0\1")],
    ):
        assert _begun().receive_run(batch(stranger), 0, ANNOUNCED) == 0


def test_a_run_starts_only_behind_a_packet_looked_at_in_full() -> None:
    source = TrackedSource(1, 0, arrival=0.0, max_dropout=3000)
    assert source.receive_run(batch(run(1, 3)), 0, ANNOUNCED) == 0
    source = _begun()
    source.forget_formats()
    assert source.receive_run(batch(run(1, 3)), 0, ANNOUNCED) == 0
    source = _begun()
    source.restart(40_000)
    assert source.receive_run(batch(run(40_001, 3)), 0, ANNOUNCED) == 0


def test_a_change_of_clock_leaves_the_run() -> None:
    source = _begun()
    _place(source, RtpPacket(97, 1, 0, 1, bytes(640)), 0.02)
    assert source.receive_run(batch(run(2, 1)), 0, ANNOUNCED) == 0
    assert source.receive_run(batch(run(2, 1, payload_type=97)), 0, ANNOUNCED) == 1


@given(
    first=st.integers(0, 65_535),
    sizes=st.lists(
        st.tuples(st.integers(0, 200), st.none() | st.integers(0, 3), st.booleans()), min_size=1, max_size=20
    ),
    lateness=st.lists(st.floats(0, 0.05), min_size=20, max_size=20),
)
def test_a_run_counts_as_its_packets_do_one_by_one(
    first: int, sizes: list[tuple[int, int | None, bool]], lateness: list[float]
) -> None:
    datagrams = []
    for step, (size, words, marker) in enumerate(sizes, start=1):
        extension = None if words is None else HeaderExtension(0xBEDE, bytes(4 * words))
        packet = RtpPacket(
            0,
            (first + step) & 0xFFFF,
            (first + step) * 160 & 0xFFFF_FFFF,
            1,
            bytes(size),
            marker=marker,
            extension=extension,
        )
        datagrams.append(Datagram(packet.to_bytes(), ANNOUNCED, step * 0.02 + lateness[step - 1]))
    at_once, one_by_one = _begun(first), _begun(first)
    assert at_once.receive_run(batch(datagrams), 0, ANNOUNCED) == len(datagrams)
    for datagram in datagrams:
        _place(one_by_one, RtpPacket.parse(datagram.data), datagram.arrival)
    assert at_once.statistics() == one_by_one.statistics()


def test_duplicates_and_events_change_no_size_or_jitter_they_should_not() -> None:
    source = _begun()
    packet = RtpPacket(0, 0, 0, 1, bytes(160))
    source.place(packet, PCMU, verdict=Verdict.DUPLICATE, arrival=5.0)
    assert (source.statistics().payload_size, source.statistics().jitter) == (160, 0.0)
    source.place(RtpPacket(101, 1, 0, 1, bytes(4)), EVENT, verdict=Verdict.IN_ORDER, arrival=6.0)
    assert (source.statistics().payload_size, source.statistics().jitter) == (164, 0.0)
    assert source.statistics().last_arrival == 6.0
