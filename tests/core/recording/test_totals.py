"""Sums of packets."""

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from siprec_core.media.statistics import LineStatistics
from siprec_core.recording.totals import MediaCounts, sum_media

NAMES = [each.name for each in fields(MediaCounts)]
COUNTS = st.lists(st.integers(0, 2**40), min_size=5, max_size=5).map(
    lambda numbers: MediaCounts(**dict(zip(NAMES, numbers, strict=True)))
)


def line(counts: MediaCounts) -> LineStatistics:
    return LineStatistics(
        **{name: getattr(counts, name) for name in NAMES},
        rtcp_received=1,
        rtcp_rejected=1,
        payload_size=1,
        jitter=0.5,
        first_arrival=None,
        last_arrival=None,
        source=None,
        ssrcs=(),
        csrcs=(),
        payload_types=(),
        sources=(),
    )


@given(COUNTS, COUNTS)
def test_each_field_is_summed(first: MediaCounts, second: MediaCounts) -> None:
    total = first + second
    assert [getattr(total, name) for name in NAMES] == [getattr(first, n) + getattr(second, n) for n in NAMES]
    assert first + MediaCounts() == first


@given(st.lists(COUNTS), st.integers(0, 100))
def test_lines_are_summed_with_what_was_not_authentic(entries: list[MediaCounts], forged: int) -> None:
    total = sum_media((line(counts), forged) for counts in entries)
    assert total == sum(entries, MediaCounts(packets_rejected=forged * len(entries)))
