"""Receives RTP on many ports, as programs for Python do: one way each, in a process of its own.

`python -m tests.benchmarks.media_receivers WAY COUNT` binds so many ports, prints them, receives until TERM, and prints
how many packets it took. Every way does with a packet what it does with one that it records or plays.
"""

import asyncio
import importlib
import signal
import sys
from collections.abc import Awaitable, Callable
from struct import unpack_from
from typing import Any, TypeAlias

Foreign: TypeAlias = Any
"""What comes from a library that is imported by its name, and is not there for the type checker."""

HOST = "127.0.0.1"


class Counted:
    """How many packets were taken."""

    def __init__(self) -> None:
        self.count = 0


async def until_term(ports: list[int]) -> None:
    """Tell the ports and wait for the end."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    sys.stdout.write(" ".join(map(str, ports)) + "\n")
    sys.stdout.flush()
    await ended.wait()


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._take(data)


async def bind(count: int, take: Callable[[int], Callable[[bytes], None]]) -> list[int]:
    """Bind ports with asyncio's protocols; `take` makes what takes the packets of a port."""
    loop = asyncio.get_running_loop()
    ports = []
    for line in range(count):
        transport, _ = await loop.create_datagram_endpoint(lambda line=line: _Protocol(take(line)), (HOST, 0))  # type: ignore[misc]
        ports.append(transport.get_extra_info("sockname")[1])
    return ports


async def with_asyncio(count: int) -> int:
    """A `DatagramProtocol` for each port that reads the header and keeps nothing."""
    counted = Counted()

    def take(data: bytes) -> None:
        unpack_from("!BBHII", data)
        counted.count += 1

    await until_term(await bind(count, lambda line: take))
    return counted.count


async def with_anyio(count: int) -> int:
    """A `UDPSocket` and a task for each port; the header is read, nothing kept."""
    anyio = importlib.import_module("anyio")
    counted = Counted()

    async def receive(sock: Foreign) -> None:
        async for data, _ in sock:
            unpack_from("!BBHII", data)
            counted.count += 1

    async with anyio.create_task_group() as tasks:
        socks = [await anyio.create_udp_socket(local_host=HOST) for _ in range(count)]
        for sock in socks:
            tasks.start_soon(receive, sock)
        await until_term([sock.extra(anyio.abc.SocketAttribute.local_port) for sock in socks])
        tasks.cancel_scope.cancel()
    return counted.count


async def with_aiortp(count: int) -> int:
    """A session for each port: statistics, jitter buffer, decoder, and the audio given to a function."""
    aiortp = importlib.import_module("aiortp")
    sessions, ports = [], []
    for _ in range(count):
        session = await aiortp.RTPSession.create((HOST, 0), (HOST, 9), 0)
        session.on_audio = lambda pcm, timestamp: None
        sessions.append(session)
        ports.append(session._rtp_transport._transport.get_extra_info("sockname")[1])
    await until_term(ports)
    return sum(session.stats["packets_received"] for session in sessions)


async def with_aiortc(count: int) -> int:
    """What its receiver does with a packet, behind plain sockets: parse, statistics, jitter buffer."""
    rtp, jitter = importlib.import_module("aiortc.rtp"), importlib.import_module("aiortc.jitterbuffer")
    receiver = importlib.import_module("aiortc.rtcrtpreceiver")
    counted = Counted()

    def line(number: int) -> Callable[[bytes], None]:
        statistics = receiver.StreamStatistics(8_000)
        buffer = jitter.JitterBuffer(capacity=16, prefetch=4)

        def take(data: bytes) -> None:
            packet = rtp.RtpPacket.parse(data)
            packet._data = packet.payload
            statistics.add(packet)
            buffer.add(packet)
            counted.count += 1

        return take

    await until_term(await bind(count, line))
    return counted.count


WAYS: dict[str, Callable[[int], Awaitable[int]]] = {
    "asyncio": with_asyncio,
    "anyio": with_anyio,
    "aiortp": with_aiortp,
    "aiortc": with_aiortc,
}


async def main(way: str, count: int) -> None:
    """Receive in one way."""
    sys.stdout.write(f"{await WAYS[way](count)}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
