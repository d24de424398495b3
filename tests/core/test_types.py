"""Addresses, transports and batches."""

import pytest

from siprec_core.types import Address, DatagramBatch, Flow, FlowId, Transport


@pytest.mark.parametrize(
    ("transport", "reliable", "name", "port"),
    [
        (Transport.UDP, False, "UDP", 5060),
        (Transport.TCP, True, "TCP", 5060),
        (Transport.TLS, True, "TLS", 5061),
    ],
)
def test_transports_know_their_rules(transport: Transport, reliable: bool, name: str, port: int) -> None:
    assert transport.reliable is reliable
    assert transport.via_name == name
    assert transport.default_port == port


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert str(Address("192.0.2.1", 5060)) == "192.0.2.1:5060"
    assert str(Address("2001:db8::1", 5060)) == "[2001:db8::1]:5060"


def test_flows_compare_by_value() -> None:
    one = Flow(Transport.TCP, Address("192.0.2.1", 5060), Address("192.0.2.2", 40000), FlowId(1))
    assert one == Flow(Transport.TCP, Address("192.0.2.1", 5060), Address("192.0.2.2", 40000), FlowId(1))
    assert one != Flow(Transport.TCP, Address("192.0.2.1", 5060), Address("192.0.2.2", 40000), FlowId(2))
    assert len({one, one}) == 1


def test_a_batch_gives_its_datagrams_with_source_and_arrival() -> None:
    source = Address("192.0.2.2", 41000)
    batch = DatagramBatch([b"a", memoryview(b"bc")], [source, source], [1.0, 1.5])
    assert len(batch) == 2
    assert [(bytes(data), sender, at) for data, sender, at in batch] == [(b"a", source, 1.0), (b"bc", source, 1.5)]


def test_a_batch_of_uneven_lists_is_an_error_of_the_reader() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(DatagramBatch([b"a", b"b"], [Address("192.0.2.2", 1)], [0.0, 0.0]))
