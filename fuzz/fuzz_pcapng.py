"""Any octets taken for a capture file give the same items whole as one by one, and never raise."""

from siprec_core.containers.capture import CaptureProblem, Packet
from siprec_core.containers.pcapng_reader import LAST_INSTANT_NS
from siprec_core.containers.reader import CaptureItem, CaptureReader
from siprec_core.limits import Limits

LIMITS = Limits(capture_block_size=4096, capture_interfaces=8)


def items_of(data: bytes, step: int) -> list[CaptureItem]:
    reader = CaptureReader(limits=LIMITS)
    items = []
    for start in range(0, len(data), step):
        reader.receive(data[start : start + step])
        while (item := reader.poll()) is not None:
            items.append(item)
    reader.end_of_file()
    while (item := reader.poll()) is not None:
        items.append(item)
    return items


def check(data: bytes) -> None:
    whole = items_of(data, max(1, len(data)))
    assert items_of(data, 1) == whole
    assert items_of(data, 7) == whole
    # Every item stands for octets of its own: the smallest one for a block of 12 or for a search that ended.
    assert len(whole) <= 2 + len(data) // 4
    for item in whole:
        if isinstance(item, Packet):
            assert len(item.data) <= LIMITS.capture_block_size
            assert 0 <= item.at_ns <= LAST_INSTANT_NS
        elif isinstance(item, CaptureProblem):
            assert item.offset is not None
            assert 0 <= item.offset <= len(data)


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
