"""Loss and reordering on purpose."""

from hypothesis import given
from hypothesis import strategies as st

from siprec.impairment import Impairment
from siprec_core.media.commands import SendMedia
from siprec_core.types import Address, Component, MediaId

TO = Address("192.0.2.1", 4000)


def packet(number: int, component: Component = Component.RTP) -> SendMedia:
    return SendMedia(media=MediaId(1), component=component, to=TO, data=number.to_bytes(4, "big"))


def sent(impairment: Impairment, count: int) -> list[int]:
    packets = [each for number in range(count) for each in impairment.pass_on(packet(number))]
    return [int.from_bytes(each.data, "big") for each in packets]


@given(st.floats(0, 100), st.floats(0, 100), st.integers(0, 99), st.integers(0, 300))
def test_what_is_counted_is_what_happened(loss: float, reorder: float, seed: int, count: int) -> None:
    impairment = Impairment(loss_percent=loss, reorder_percent=reorder, seed=seed)
    left = sent(impairment, count)
    assert len(left) == len(set(left)) == count - impairment.lost[TO]
    overtaken = sum(any(earlier > each for earlier in left[:place]) for place, each in enumerate(left))
    assert overtaken == impairment.reordered[TO]


def test_the_same_seed_does_the_same_and_the_shares_are_near_what_was_asked_for() -> None:
    impairments = [Impairment(loss_percent=10, reorder_percent=5, seed=seed) for seed in (1, 1, 2)]
    first, again, other = (sent(each, 10_000) for each in impairments)
    assert first == again != other
    assert 850 < impairments[0].lost[TO] < 1_150
    assert 350 < impairments[0].reordered[TO] < 650


def test_reports_pass_and_nothing_is_touched_without_a_wish() -> None:
    everything = Impairment(loss_percent=100, reorder_percent=0, seed=0)
    report = packet(1, Component.RTCP)
    assert list(everything.pass_on(report)) == [report]
    assert sent(everything, 10) == []
    assert sent(Impairment(loss_percent=0, reorder_percent=0, seed=0), 100) == list(range(100))
