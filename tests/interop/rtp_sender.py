"""Sends tones as RTP (RFC 3550, G.711 mu-law), several streams at one pace: a program of its own.

    python rtp_sender.py --seconds 3 --report sent.json LOCAL_PORT:HOST:PORT:FREQUENCY:SSRC ...

The first stream is as a bad network delivers it: one packet twice, two packets swapped, one packet lost. The report
says what was sent, so that a test can compare what was recorded.
"""

import argparse
import json
import math
import os
import socket
import struct
import time
from collections.abc import Iterator

RATE = 8_000
PACKET_SAMPLES = 160
AMPLITUDE = 9_000
FIRST_SEQUENCE_NUMBER = 65_500
"""Wraps within the first second."""
FIRST_TIMESTAMP = 2**32 - 8_000
"""Wraps after one second."""
DUPLICATED, SWAPPED, LOST = 40, 60, 80
"""Packets of the first stream, counted from 0; the swapped one leaves behind its successor."""


def mu_law(sample: int) -> int:
    """Encode a 16-bit sample (ITU-T G.711)."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32_635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> exponent + 3 & 0x0F) & 0xFF


def mu_law_tone(frequency: int, seconds: float) -> bytes:
    """Make a sine tone."""
    step = 2 * math.pi * frequency / RATE
    second = bytes(mu_law(round(AMPLITUDE * math.sin(step * index))) for index in range(RATE))
    count = round(seconds * RATE)
    return (second * (count // RATE + 1))[:count]


class Stream:
    """One RTP stream."""

    def __init__(self, text: str, seconds: float, *, impaired: bool) -> None:
        local_port, host, port, frequency, ssrc = text.split(":")
        self.to = (host, int(port))
        self.frequency = int(frequency)
        self.ssrc = int(ssrc)
        self.audio = mu_law_tone(self.frequency, seconds)
        self.count = len(self.audio) // PACKET_SAMPLES
        self.order = list(range(self.count))
        if impaired:
            self.order[SWAPPED : SWAPPED + 2] = [SWAPPED + 1, SWAPPED]
            self.order[LOST] = -1
        self.impaired = impaired
        self.sent = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", int(local_port)))

    def packet(self, index: int) -> bytes:
        """Make packet `index`, from 0."""
        first = 0x80 if index == 0 else 0
        head = struct.pack(
            "!BBHII",
            0x80,
            first,  # marker and payload type 0
            (FIRST_SEQUENCE_NUMBER + index) % 2**16,
            (FIRST_TIMESTAMP + index * PACKET_SAMPLES) % 2**32,
            self.ssrc,
        )
        return head + self.audio[index * PACKET_SAMPLES : (index + 1) * PACKET_SAMPLES]

    def send_slot(self, slot: int) -> None:
        """Send what leaves at the time of packet `slot`."""
        index = self.order[slot]
        copies = (index >= 0) + (self.impaired and slot == DUPLICATED)
        for _ in range(copies):
            self.socket.sendto(self.packet(index), self.to)
            self.sent += 1


def paced(count: int) -> Iterator[int]:
    """Give 0 to `count` - 1, one each 20 ms from now on, never early."""
    start = time.monotonic()
    for slot in range(count):
        rest = start + slot * PACKET_SAMPLES / RATE - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        yield slot


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("streams", nargs="+", metavar="LOCAL_PORT:HOST:PORT:FREQUENCY:SSRC")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    streams = [Stream(text, arguments.seconds, impaired=not index) for index, text in enumerate(arguments.streams)]
    for slot in paced(streams[0].count):
        for stream in streams:
            stream.send_slot(slot)
    report = [
        {"ssrc": each.ssrc, "frequency": each.frequency, "sent": each.sent, "impaired": each.impaired}
        for each in streams
    ]
    temporary = f"{arguments.report}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(report, file)
    os.replace(temporary, arguments.report)


if __name__ == "__main__":
    main()
