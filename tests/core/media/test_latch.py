import pytest

from siprec_core.media.latch import SourceLatch, Standing, usable_address
from siprec_core.types import Address
from tests.core.media.lines import ANNOUNCED, ELSEWHERE, FOREIGN


def _latch(announced: Address | None = ANNOUNCED, rtcp: Address | None = None) -> SourceLatch:
    latch = SourceLatch()
    latch.announce(announced, rtcp)
    return latch


def test_before_the_lock_everybody_may_be_learnt() -> None:
    latch = _latch()
    assert latch.standing(ANNOUNCED) is Standing.ANNOUNCED
    assert latch.standing(ELSEWHERE) is Standing.LEARNABLE
    assert latch.learning


def test_after_the_lock_only_the_announced_address_may_take_over() -> None:
    latch = _latch()
    latch.lock(ELSEWHERE)
    assert latch.standing(ELSEWHERE) is Standing.LOCKED
    assert latch.standing(ANNOUNCED) is Standing.ANNOUNCED
    assert latch.standing(FOREIGN) is Standing.FOREIGN
    latch.lock(ANNOUNCED)
    assert latch.standing(ELSEWHERE) is Standing.FOREIGN


@pytest.mark.parametrize(
    ("announced", "learning"), [(FOREIGN, True), (ANNOUNCED, False), (ELSEWHERE, False), (None, False)]
)
def test_only_a_new_address_opens_the_latch(announced: Address | None, learning: bool) -> None:
    latch = _latch()
    latch.lock(ELSEWHERE)
    latch.announce(announced, None)
    assert latch.learning is learning
    assert latch.standing(ELSEWHERE) is Standing.LOCKED


def test_rtcp_belongs_to_the_hosts_that_are_known() -> None:
    latch = _latch(rtcp=FOREIGN)
    latch.lock(ELSEWHERE)
    assert all(latch.admits_rtcp(Address(address.host, 9)) for address in (ANNOUNCED, ELSEWHERE, FOREIGN))
    assert not latch.admits_rtcp(Address("192.0.2.200", ANNOUNCED.port))


@pytest.mark.parametrize(
    ("given", "usable"),
    [
        (None, None),
        (Address("192.0.2.1", 0), None),
        (Address("0.0.0.0", 9), None),
        (Address("::", 9), None),
        (Address("224.1.2.3", 9), None),
        (Address("ff02::1", 9), None),
        (Address("host.example", 9), None),
        (Address("", 9), None),
        (Address("192.0.2.1", 9), Address("192.0.2.1", 9)),
        (Address("2001:DB8:0:0::1", 9), Address("2001:db8::1", 9)),
    ],
)
def test_usable_addresses(given: Address | None, usable: Address | None) -> None:
    assert usable_address(given) == usable
