import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.rtp.interval import MINIMUM_SECONDS, rtcp_interval


@pytest.mark.requirement("3550-6.2-a")
@given(st.booleans(), st.booleans(), st.floats(0, 1))
def test_two_parties_wait_for_the_minimum_randomised(initial: bool, we_sent: bool, fraction: float) -> None:
    interval = rtcp_interval(
        members=2, senders=1, we_sent=we_sent, average_size=128, initial=initial, fraction=fraction
    )
    mean = (MINIMUM_SECONDS / 2 if initial else MINIMUM_SECONDS) / 1.21828
    assert interval == pytest.approx(mean * (0.5 + fraction))


@pytest.mark.requirement("3550-6.2-a")
def test_many_members_share_five_per_cent_of_the_bandwidth() -> None:
    def mean(members: int, senders: int, *, we_sent: bool) -> float:
        return 1.21828 * rtcp_interval(
            members=members, senders=senders, we_sent=we_sent, average_size=100, initial=False, fraction=0.5
        )

    assert mean(1_000, 500, we_sent=False) == pytest.approx(100 * 1_000 / 500)
    # With few senders they have a quarter of it to themselves.
    assert mean(1_000, 100, we_sent=True) == pytest.approx(100 * 100 / 125)
    assert mean(1_000, 100, we_sent=False) == pytest.approx(100 * 900 / 375)
