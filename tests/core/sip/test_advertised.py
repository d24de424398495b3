"""Addresses that the peers of single listeners are told."""

import pytest

from siprec_core.sip.advertised import Advertised, advertised
from siprec_core.types import Address, Transport

UDP, TCP = Transport.UDP, Transport.TCP


@pytest.mark.parametrize(
    ("transport", "host", "port", "local", "fits"),
    [
        (UDP, "10.0.0.5", 5060, Address("10.0.0.5", 5060), True),
        (TCP, "10.0.0.5", 5060, Address("10.0.0.5", 5060), False),
        (UDP, "10.0.0.5", 5061, Address("10.0.0.5", 5060), False),
        (UDP, "10.0.0.5", 0, Address("10.0.0.5", 5060), True),
        (UDP, "10.0.0.6", 5060, Address("10.0.0.5", 5060), False),
        (UDP, "0.0.0.0", 5060, Address("10.0.0.5", 5060), True),
        (UDP, "::", 5060, Address("10.0.0.5", 5060), False),
        (UDP, "::", 5060, Address("2001:db8::5", 5060), True),
        (UDP, "2001:DB8:0::5", 5060, Address("2001:db8::5", 5060), True),
        (UDP, "recorder", 5060, Address("10.0.0.5", 5060), False),
    ],
)
def test_which_listener_fits(transport: Transport, host: str, port: int, local: Address, fits: bool) -> None:
    rule = Advertised(transport=transport, host=host, port=port, address="203.0.113.5")
    assert rule.fits(UDP, local) is fits
    assert advertised((rule,), UDP, local) == ("203.0.113.5" if fits else None)


def test_the_first_that_fits_counts() -> None:
    rules = [
        Advertised(transport=UDP, host="0.0.0.0", port=0, address=address) for address in ("a.example", "b.example")
    ]
    assert advertised(rules, UDP, Address("10.0.0.5", 5060)) == "a.example"
    assert advertised((), UDP, Address("10.0.0.5", 5060)) is None
