"""Any packets of any link type never raise, hold no more than the limits, and give the same datagrams in any split."""

import struct

from siprec_core.containers.capture import CaptureProblem, Datagram
from siprec_core.containers.datagrams import DatagramItem, DatagramReader
from siprec_core.limits import Limits

LIMITS = Limits(capture_fragments=4, capture_streams=4, capture_stream_segments=4, capture_waiting_size=1_000)
LINK_TYPES = (0, 1, 101, 108, 113, 127, 228, 276)


def capture_of(data: bytes) -> bytes:
    """Make a pcap file of `data`: an octet for the link type, then packets, each behind two octets of time and size."""
    link_type = LINK_TYPES[data[0] % len(LINK_TYPES)] if data else 1
    pieces = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0, link_type)]
    place = seconds = 0
    place = 1
    while place + 2 <= len(data):
        seconds += data[place] & 3
        packet = data[place + 2 : place + 2 + data[place + 1]]
        pieces.append(struct.pack("<IIII", seconds, 0, len(packet), len(packet)) + packet)
        place += 2 + len(packet)
    return b"".join(pieces)


def items_of(capture: bytes, step: int) -> list[DatagramItem]:
    reader = DatagramReader(limits=LIMITS)
    items: list[DatagramItem] = []
    for start in range(0, len(capture), step):
        reader.receive(capture[start : start + step])
        while (item := reader.poll()) is not None:
            items.append(item)
        assert len(reader._fragments) <= LIMITS.capture_fragments  # noqa: SLF001
        assert reader._streams.waiting_size <= LIMITS.capture_waiting_size  # noqa: SLF001
    reader.end_of_file()
    while (item := reader.poll()) is not None:
        items.append(item)
    assert reader._streams.waiting_size == 0  # noqa: SLF001
    return items


def check(data: bytes) -> None:
    capture = capture_of(data)
    whole = items_of(capture, len(capture))
    assert items_of(capture, 5) == whole
    carried = sum(len(item.payload) for item in whole if isinstance(item, Datagram))
    assert carried <= len(data)
    for item in whole:
        if isinstance(item, CaptureProblem):
            assert item.finding.code != "capture-torn"


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
