"""Any octets taken for a capture give the same captures of calls whole as in pieces, within bounds, each a capture."""

from siprec_core.containers.capture import CaptureProblem
from siprec_core.containers.datagrams import DatagramReader
from siprec_core.limits import Limits
from siprec_core.recording.splitting import CallSplitter

LIMITS = Limits(capture_block_size=16_384, capture_interfaces=16, capture_calls=8, capture_waiting_size=65_536)


def split(data: bytes, step: int) -> tuple[tuple[str, ...], dict[str, bytes], int]:
    splitter = CallSplitter(limits=LIMITS)
    parts: dict[str, bytes] = {}

    def take() -> None:
        while (part := splitter.poll()) is not None:
            parts[part.recording] = parts.get(part.recording, b"") + part.data
        assert splitter.waiting_size <= LIMITS.capture_waiting_size

    for at in range(0, len(data), step):
        splitter.receive(data[at : at + step])
        take()
    splitter.end_of_file()
    take()
    return splitter.recordings, parts, len(splitter.findings)


def check(data: bytes) -> None:
    recordings, parts, findings = split(data, max(1, len(data)))
    assert split(data, 1) == split(data, 13) == (recordings, parts, findings)
    assert set(parts) == set(recordings)
    assert len(recordings) <= LIMITS.capture_calls
    assert findings <= 100
    for part in parts.values():
        reader = DatagramReader(limits=Limits())
        reader.receive(part)
        reader.end_of_file()
        while (item := reader.poll()) is not None:
            assert not isinstance(item, CaptureProblem) or item.finding.code == "capture-gap"


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
