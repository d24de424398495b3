"""Media ports for servers under test: a range for each test process, so that none hears the packets of another."""

import os

_SIZE = 1_000


def rtp_ports() -> tuple[int, int]:
    """Give the lowest and the highest port of this process."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    low = 10_000 + _SIZE * (int(worker) % 16)
    return low, low + _SIZE - 1
