from siprec_core.media.statistics import SourceStatistics, merged, total


def _entry(ssrc: int, packets: int, *, at: float = 0.0, jitter: float = 0.0) -> SourceStatistics:
    return SourceStatistics(
        ssrc=ssrc,
        packets_received=packets,
        packets_lost=1,
        packets_duplicate=2,
        packets_reordered=3,
        restarts=4,
        extended_highest=packets,
        payload_size=160 * packets,
        jitter=jitter,
        first_arrival=at,
        last_arrival=at + packets,
    )


def test_a_sum_keeps_the_name_of_the_first() -> None:
    both = merged(_entry(1, 10, at=5.0, jitter=0.1), _entry(2, 20, at=1.0, jitter=0.2))
    assert both == SourceStatistics(
        ssrc=1,
        packets_received=30,
        packets_lost=2,
        packets_duplicate=4,
        packets_reordered=6,
        restarts=8,
        extended_highest=10,
        payload_size=4800,
        jitter=0.1,
        first_arrival=1.0,
        last_arrival=21.0,
    )


def test_the_total_takes_the_jitter_of_the_largest() -> None:
    assert total([]) is None
    sum_ = total([_entry(1, 5, jitter=0.5), _entry(2, 50, jitter=0.2), _entry(3, 7, jitter=0.9)])
    assert sum_ is not None
    assert (sum_.ssrc, sum_.packets_received, sum_.jitter) == (2, 62, 0.2)
