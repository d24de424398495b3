import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.containers.capture import CaptureProblem, Packet
from siprec_core.containers.reader import CaptureReader
from siprec_core.limits import Limits
from tests.core.containers.captures import AT_NS, interface, option, packet, pcap, read, section

PCAPNG = section() + interface(options=option(9, b"\x09")) + packet(b"abc", AT_NS)
PCAP = pcap([(AT_NS, b"abc")], ns=True)


def items_of(data: bytes, *cuts: int) -> list[object]:
    return list(read(CaptureReader(limits=Limits()), data, cuts))


@pytest.mark.parametrize("data", [PCAPNG, PCAP])
def test_tells_the_format_by_its_first_octets(data: bytes) -> None:
    whole = items_of(data)
    assert whole[-1] == Packet(0, AT_NS, b"abc", 3)
    assert items_of(data, *range(len(data))) == whole


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\x0a\x0d\x0d", "the file is too short"),
        (b"INVITE sip:a@b SIP/2.0\r\n", "neither pcap nor pcapng"),
        (b"\x1f\x8b\x08\x00" + bytes(30), "the file is packed with gzip; unpack it first"),
    ],
)
def test_another_file_costs_one_problem(data: bytes, message: str) -> None:
    for items in (items_of(data), items_of(data, *range(len(data)))):
        assert len(items) == 1
        assert isinstance(items[0], CaptureProblem)
        assert (items[0].finding.code, items[0].finding.message) == ("capture-unknown", message)


def test_the_end_may_be_told_twice() -> None:
    reader = CaptureReader(limits=Limits())
    assert len(read(reader, b"")) == 1
    reader.end_of_file()
    assert reader.poll() is None


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0, max_value=200), max_size=4))
def test_garbage_never_raises_and_splits_alike(garbage: bytes, cuts: list[int]) -> None:
    assert items_of(garbage, *cuts) == items_of(garbage)
