"""Receives RTP and keeps what it hears by SSRC, without our own code."""

import socket
import struct
import threading
from types import TracebackType
from typing import Self

_WAIT_SECONDS = 0.2


class RtpReceiver:
    """Listens on one UDP port of 127.0.0.1 during the block."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(_WAIT_SECONDS)
        self._ending = False
        self._thread = threading.Thread(target=self._run)
        self.port = int(self._socket.getsockname()[1])
        self.packets: list[bytes] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                self.packets.append(self._socket.recv(2_048))
            except TimeoutError:
                if self._ending:
                    return

    def sequence_numbers(self) -> list[int]:
        """Give the sequence numbers, counted from the first."""
        numbers: list[int] = [struct.unpack_from("!H", packet, 2)[0] for packet in self.packets]
        return [(number - numbers[0]) % 65_536 for number in numbers]

    def timestamps(self) -> list[int]:
        """Give the timestamps, counted from the first."""
        stamps: list[int] = [struct.unpack_from("!I", packet, 4)[0] for packet in self.packets]
        return [(stamp - stamps[0]) % 2**32 for stamp in stamps]

    def ssrcs(self) -> set[int]:
        """Give the sources."""
        return {struct.unpack_from("!I", packet, 8)[0] for packet in self.packets}

    def samples(self) -> list[int]:
        """Decode everything as G.711 mu-law."""
        return [_linear(octet) for packet in self.packets for octet in packet[12:]]


def _linear(octet: int) -> int:
    """Decode one octet (ITU-T G.711)."""
    octet ^= 0xFF
    magnitude = ((octet & 0x0F) << 3) + 132 << (octet >> 4 & 7)
    return 132 - magnitude if octet & 0x80 else magnitude - 132
