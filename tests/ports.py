"""Media ports for servers under test: a range for each test process, so that none hears the packets of another."""

import os
import socket

_SIZE = 1_000
_LOOKED_AT = 200


def rtp_ports() -> tuple[int, int]:
    """Give the lowest and the highest port of this process."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    low = 10_000 + _SIZE * (int(worker) % 16)
    return low, low + _SIZE - 1


def free_ports(count: int) -> int:
    """Give an even port behind which this and so many less one are free now, in the upper half of the range."""
    low, high = rtp_ports()
    first = (low + high + 1) // 2 + os.getpid() % (_SIZE // 8) * 2
    for port in range(first - first % 2, first + _LOOKED_AT, 2):
        if all(map(_is_free, range(port, port + count))):
            return port
    raise RuntimeError(f"no {count} free ports from {first} on")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
