"""Ports that nobody uses now."""

from contextlib import ExitStack
from socket import AF_INET, SOCK_DGRAM, SocketKind, socket


def free_udp_ports(count: int) -> list[int]:
    """Give UDP ports of 127.0.0.1."""
    return _free_ports(SOCK_DGRAM, count)


def free_port(kind: SocketKind) -> int:
    """Give a port of 127.0.0.1."""
    return _free_ports(kind, 1)[0]


def in_use(port: int, kind: SocketKind) -> bool:
    """Tell whether a port of 127.0.0.1 is taken."""
    with socket(AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _free_ports(kind: SocketKind, count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket(AF_INET, kind)) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
