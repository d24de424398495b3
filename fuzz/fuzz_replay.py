"""Any octets taken for a journal give the same files whole as in pieces, never raise, and stay within the bounds."""

import json

from siprec_core.limits import Limits
from siprec_core.recording.render import FileData, FileEnd, render

LIMITS = Limits(capture_block_size=16_384, capture_interfaces=16, recording_seconds=30.0, findings=50)
LARGEST = 64 * 1024 * 1024
"""Octets of all files of one damaged journal: 64 lines of silence at most."""


def files_of(data: bytes, step: int) -> tuple[list[FileEnd], bytes]:
    ends, report, size = [], b"", 0
    for item in render(lambda: (data[at : at + step] for at in range(0, len(data), step)), limits=LIMITS):
        if isinstance(item, FileEnd):
            ends.append(item)
        elif isinstance(item, FileData):
            size += len(item.data)
            assert size < LARGEST
            if item.name == "recording.json":
                report += item.data
    return ends, report


def check(data: bytes) -> None:
    ends, report = files_of(data, max(1, len(data)))
    assert files_of(data, 1) == (ends, report)
    assert files_of(data, 13) == (ends, report)
    assert ends[-1].name == "recording.json"
    fields = json.loads(report)
    assert fields["status"] in ("completed", "failed", "recovered")
    assert len(fields["findings"]) < 1_000
    names = {end.name for end in ends[:-1]} | {"journal.pcapng"}
    assert {entry["name"] for entry in fields["files"]} == names


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
